"""Why events are not delivered, in one word and one line."""

from __future__ import annotations

import errno
import socket
import ssl

from edgeresnet.core.secrets import redact

_CERTIFICATES = {
    9: "is not valid yet (is the clock of this machine right?)",
    10: "has expired",
    18: "is signed by itself, which nobody here trusts (name it with ca=FILE)",
    19: "comes from an authority that nobody here trusts (name it with ca=FILE)",
    20: "comes from an authority that nobody here trusts (name it with ca=FILE)",
    21: "comes from an authority that nobody here trusts (name it with ca=FILE)",
    62: "is for another host",
    64: "is for another host",
}
"""OpenSSL's verify codes."""
_KINDS: tuple[tuple[type[Exception], str, str], ...] = (
    (ConnectionRefusedError, "refused", "nothing listens at {}"),
    (ConnectionError, "closed", "{} closed the connection"),
    (EOFError, "closed", "{} closed the connection"),
    (ssl.SSLEOFError, "closed", "{} closed the connection"),
    (ssl.SSLZeroReturnError, "closed", "{} closed the connection"),
    (socket.gaierror, "dns", "no address is known for {}"),
    (TimeoutError, "timeout", "{} does not answer"),
)
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


class Trouble(Exception):  # noqa: N818  what happened; what comes of it is the outbox's
    """Events could not be delivered, and will be tried again."""

    def __init__(
        self, reason: str, what: str, *, slow: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(what)
        self.reason = reason
        """One word: ``refused dns timeout closed unreachable tls unauthorized forbidden …``."""
        self.what = redact(what)
        """One line for a person, free of credentials."""
        self.slow = slow
        """Whether only somebody's hand mends it, so that trying often is in vain."""
        self.wait_s = wait_s
        """How long the receiver asked to be left alone."""


def trouble_of(error: Exception, where: str) -> Trouble:
    """What an error of a connection to ``where`` means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _CERTIFICATES.get(error.verify_code, f"is refused: {error.verify_message}")
        return Trouble("tls", f"the certificate of {where} {why}", slow=True)
    for kind, reason, what in _KINDS:
        if isinstance(error, kind):
            return Trouble(reason, what.format(where))
    if isinstance(error, ssl.SSLError):
        return Trouble("tls", f"no TLS with {where}: {error.reason or error}", slow=True)
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return Trouble("unreachable", f"there is no way to {where}")
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Trouble("error", f"{where}: {why}")
