"""A real broker as a child, certificates for it, and somebody who listens."""

import os
import shutil
import socket
import subprocess
import threading
import time

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

ABSENT = "mosquitto is not installed"
WITHIN_S = 15
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def is_installed():
    return shutil.which("mosquitto", path=_PATH) is not None


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


class Mosquitto:
    """Starts and stops on one port; ``users`` has passwords, ``tls`` is (certificate, key)."""

    def __init__(self, folder, *, users=None, tls=None, acl="", persistent=False):
        self.port = free_port()
        folder.mkdir(parents=True)
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if users else 'true'}",
            f"persistence {'true' if persistent else 'false'}",
            f"persistence_location {folder}/",
            "max_queued_messages 100000",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            lines.append("user root")  # it could not read the folder otherwise
        if users:
            (folder / "users").touch(mode=0o600)
            for name, password in users.items():
                tool = shutil.which("mosquitto_passwd", path=_PATH)
                command = [tool, "-b", str(folder / "users"), name, password]
                subprocess.run(command, check=True, capture_output=True)
            lines.append(f"password_file {folder}/users")
        if acl:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            lines.append(f"acl_file {folder}/acl")
        if tls:
            lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        self._log = folder / "log"
        self._command = [shutil.which("mosquitto", path=_PATH), "-c", str(folder / "conf")]
        (folder / "conf").write_text("\n".join(lines) + "\n")
        self._child = None

    def start(self):
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            assert self._child.poll() is None, self._log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError(self._log.read_text())

    def stop(self):
        if self._child is not None:
            self._child.terminate()
            self._child.wait(WITHIN_S)
            self._child = None

    def log(self):
        return self._log.read_text()


class Listener:
    """Keeps what it hears under all topics; with a name, the broker keeps for it what it misses."""

    def __init__(self, port, *, name=""):
        heard, subscribed = [], threading.Event()
        self.heard = heard
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=not name)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _client, _data, message: heard.append(
            (message.topic, bytes(message.payload), message.retain)
        )
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert subscribed.wait(WITHIN_S)
        self._client = client  # which does not know this object, and so ends with it

    def events(self):
        return [payload for topic, payload, _ in self.heard if not topic.endswith("status")]

    def states(self):
        return [payload.decode() for topic, payload, _ in self.heard if topic.endswith("status")]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
        self._client = None


def certificate(folder, name, *, host="127.0.0.1", days=2, authority=None):
    """Certificate and key of ``host`` (an address or a name), by ``authority`` or by itself.

    With ``days`` of -1 it expired yesterday.
    """
    made, key, request, extensions = (
        folder / f"{name}.{ending}" for ending in ("pem", "key", "csr", "ext")
    )
    kind = "IP" if host[0].isdigit() else "DNS"
    extensions.write_text(
        f"subjectAltName={kind}:{host}\n" if authority else "basicConstraints=critical,CA:TRUE\n"
    )
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", key, "-out", request, "-subj", f"/CN={name}"),
    )
    signer = ("-CA", authority[0], "-CAkey", authority[1]) if authority else ("-signkey", key)
    number = ("-set_serial", abs(hash(name)) % 10**9 + 1)
    _openssl(
        *("x509", "-req", "-in", request, "-out", made, "-extfile", extensions),
        *(*signer, *number, "-days", days),
    )
    return made, key


def _openssl(*arguments):
    done = subprocess.run(
        ["openssl", *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
