"""``webhook:https://HOST/PATH``: events posted as JSON, one a request or in batches.

In the query ``auth`` (a reference to a bearer token), ``batch``, ``ca``, ``every``, ``spool``,
``spool_mb`` and ``full`` are ours; all else is the receiver's and stays in the URL. Any 2xx is
delivered; 401, 403, 404 and redirects are somebody's mistake in the settings, and tried again now
and then; of the others 4xx but 408, 425 and 429 mean that the event will never be taken.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

import aiohttp
from pydantic import Field
from yarl import URL

from edgeresnet import __version__
from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import parse
from edgeresnet.core.secrets import Secret, secret_from
from edgeresnet.sinks import Terms
from edgeresnet.sinks.options import Options, is_here, split_place, split_query, spool_name, tls
from edgeresnet.sinks.outbox import Outbox, outbox
from edgeresnet.sinks.spool_file import Event
from edgeresnet.sinks.trouble import Trouble, trouble_of

ANSWER_S = 5.0
"""For a whole request, from the name of the host to the end of the reply."""
_REPLY_BYTES = 64 << 10
_LONGEST_S = 300.0
_SAID_S = 60.0
_TICK_S = 0.1
_AGAIN = frozenset({408, 425, 429})
_MISTAKES = {401: "unauthorized", 403: "forbidden", 404: "not-found"}
_SHAPE = "webhook:https://HOST/PATH"
_PASSWORDS = ("pass", "pwd", "token", "secret", "auth", "key", "sig")
_TOKEN_LENGTH = 20

_log = logging.getLogger("edgeresnet")


class WebhookOptions(Options):
    """And those of a receiver."""

    batch: int = Field(1, ge=1, le=10_000)


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str = ""
    date: str = ""


class Receiver:
    """A carrier. Uses an event loop of its own, which turns only while there is a request."""

    def __init__(
        self, url: URL, batch: int, token: Secret | None, context: ssl.SSLContext | None
    ) -> None:
        self._url, self._batch, self._token, self._context = url, batch, token, context
        self.name = f"{url.scheme}://{url.raw_authority}"
        self._alone = 0
        """Of a batch that was rejected, how many are still to be judged one by one."""
        self._said: dict[int, float] = {}

    def work(self, box: Outbox) -> None:
        """Post until the box is over."""
        with closing(asyncio.new_event_loop()) as loop:
            session = loop.run_until_complete(self._session())
            try:
                self._deliver(loop, session, box)
            finally:
                loop.run_until_complete(_finish(session))

    async def _session(self) -> aiohttp.ClientSession:
        headers = {"User-Agent": f"edgeresnet/{__version__}", "Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=self._context or True),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
        )

    def _deliver(
        self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession, box: Outbox
    ) -> None:
        while not box.over:
            events = box.take(1 if self._alone else self._batch)
            if not events:
                box.wait()
                continue
            answer = loop.run_until_complete(self._post(session, events, box))
            if 200 <= answer.status < 300:
                for event in events:
                    box.delivered(event)
            elif not 400 <= answer.status < 500 or answer.status in {*_AGAIN, *_MISTAKES}:
                raise self._refused(answer)
            elif len(events) > 1:  # one of them may be at fault for all
                self._alone = len(events)
                box.put_back()
                continue
            else:
                self._reject(answer.status, events[0], box)
            self._alone = max(0, self._alone - len(events))

    async def _post(
        self, session: aiohttp.ClientSession, events: list[Event], box: Outbox
    ) -> _Answer:
        """One request, given up after its time, or when the run has no more."""
        answers: list[_Answer] = []
        await asyncio.sleep(0)  # see first that the receiver has closed the last connection
        task = asyncio.ensure_future(self._exchange(session, events, answers))
        until = time.monotonic() + ANSWER_S
        while not task.done() and time.monotonic() < until and box.left_s > 0:
            await asyncio.wait({task}, timeout=_TICK_S)
        task.cancel()
        (error,) = await asyncio.gather(task, return_exceptions=True)
        if answers:  # whatever became of the rest of the reply
            return answers[0]
        if isinstance(error, (asyncio.CancelledError, asyncio.TimeoutError)):
            raise Trouble("timeout", f"{self.name} does not answer within {ANSWER_S:g} s")
        assert isinstance(error, Exception)
        raise self._trouble(error) from error

    async def _exchange(
        self, session: aiohttp.ClientSession, events: list[Event], answers: list[_Answer]
    ) -> None:
        body, key = events[0].body, events[0].event_id
        if self._batch > 1:
            body = b"[" + b",".join(event.body for event in events) + b"]"
            if len(events) > 1:  # the same events, the same key
                key = f"{key}..{events[-1].event_id}:{len(events)}"
        async with session.post(
            self._url, data=body, headers={"Idempotency-Key": key}, allow_redirects=False
        ) as reply:
            found = reply.headers
            answers.append(
                _Answer(reply.status, found.get("Retry-After", ""), found.get("Date", ""))
            )
            left = _REPLY_BYTES  # a connection with more than that to read is not used again
            while left > 0 and (part := await reply.content.read(left)):
                left -= len(part)

    def _trouble(self, error: Exception) -> Trouble:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return trouble_of(error.certificate_error, self.name)
        if isinstance(error, aiohttp.ClientConnectorError):  # of DNS too
            return trouble_of(error.os_error, self.name)
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return Trouble("closed", f"{self.name} closed the connection")
        return trouble_of(error, self.name)

    def _refused(self, answer: _Answer) -> Trouble:
        """What an answer means that is neither a yes nor a no."""
        status = answer.status
        if status in _MISTAKES:
            return Trouble(_MISTAKES[status], f"{self.name} answers {status}", slow=True)
        if 300 <= status < 400:
            return Trouble("redirect", f"{self.name} answers {status}: not followed", slow=True)
        wait_s = _wait_s(answer) if status in {429, 503} else None
        word = "busy" if status in _AGAIN else "error"
        return Trouble(word, f"{self.name} answers {status}", wait_s=wait_s)

    def _reject(self, status: int, event: Event, box: Outbox) -> None:
        box.rejected(event)
        now = time.monotonic()
        if now - self._said.get(status, -_SAID_S) >= _SAID_S:
            self._said[status] = now
            _log.warning(
                "sink %s: answers %d: event %s is dropped", self.name, status, event.event_id
            )


async def _finish(session: aiohttp.ClientSession) -> None:
    await session.close()
    for _ in range(3):  # TLS connections take turns of the loop to close
        await asyncio.sleep(0)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _wait_s(answer: _Answer) -> float | None:
    """What ``Retry-After`` asks for: seconds, or a date, by the receiver's own clock."""
    asked = answer.retry_after.strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST_S)
    until = _moment(asked)
    if until is None:
        return None
    now = _moment(answer.date) or datetime.now(timezone.utc)
    return min(max((until - now).total_seconds(), 0), _LONGEST_S)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _know_secrets(path: str, query: str) -> None:
    """Let no message show what in a URL looks like a token."""
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if value and any(word in key.lower() for word in _PASSWORDS):
            Secret(unquote(value))
    for level in path.split("/"):
        kinds = {(c.isdigit(), c.isalpha()) for c in level}
        if len(level) >= _TOKEN_LENGTH and {(True, False), (False, True)} <= kinds:
            Secret(level)


@contextmanager
def open_place(place: str, terms: Terms) -> Generator[Outbox]:
    """Open a whole URL, of ``http:`` or ``https:``."""
    what = "sink webhook"
    if urlsplit(place).scheme not in {"http", "https"}:
        raise UsageError(f"{what}: the address is no URL of the web", hint=_SHAPE)
    parts = split_place(place, _SHAPE)
    given, theirs = split_query(parts.query, what, WebhookOptions.model_fields)
    options: WebhookOptions = parse(WebhookOptions, given, what, UsageError)
    _know_secrets(parts.path, theirs)
    token = secret_from(options.auth, f"{what}: auth") if options.auth else None
    if token is not None and not (token.reveal().isascii() and token.reveal().isprintable()):
        raise UsageError(f"{what}: auth: the token has characters that no header carries")
    if parts.scheme == "http" and options.ca is not None:
        raise UsageError(f"{what}: ca is for TLS", hint=_SHAPE)
    text = parts._replace(query=theirs, fragment="").geturl()
    receiver = Receiver(
        URL(text, encoded=text.isascii()),
        options.batch,
        token,
        tls(options, what) if parts.scheme == "https" else None,
    )
    if token is not None and parts.scheme == "http" and not is_here(str(parts.hostname)):
        _log.warning("sink %s: THE TOKEN IS SENT IN THE CLEAR; use https:", receiver.name)
    with outbox(receiver, terms.model, spool_name(options, "webhook", text), options) as box:
        yield box
