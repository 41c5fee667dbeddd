"""A broker that breaks in the ways that a real one cannot be made to."""

import socket
import struct
import threading

CONNECT, CONNACK, PUBLISH, PUBACK, PINGREQ, PINGRESP = 1, 2, 3, 4, 12, 13
WITHIN_S = 15


class Gone(Exception):  # noqa: N818  no error: it is what clients do
    """The client closed the connection."""


class Connection:
    """One client, spoken to by a script."""

    def __init__(self, peer, stub):
        self._peer, self._stub = peer, stub
        self.version = 0
        self.pings = True

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self._peer.recv(count - len(data))
            if not part:
                raise Gone
            data += part
        return data

    def _length(self):
        value, shift = 0, 0
        while True:
            (byte,) = self._exactly(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def packet(self):
        """The next packet that is no ping: its kind, flags and body."""
        while True:
            (first,) = self._exactly(1)
            body = self._exactly(self._length())
            if first >> 4 != PINGREQ:
                return first >> 4, first & 15, body
            if self.pings:
                self.send(PINGRESP, b"")

    def send(self, kind, body, flags=0):
        length, rest = b"", len(body)
        while True:
            rest, low = divmod(rest, 128)
            length += bytes([low | (128 if rest else 0)])
            if not rest:
                break
        self._peer.sendall(bytes([kind << 4 | flags]) + length + body)

    def connected(self):
        """Read CONNECT, answer nothing."""
        kind, _, body = self.packet()
        assert kind == CONNECT
        self.version = body[6]

    def accept(self, code=0):
        """Read CONNECT and answer."""
        self.connected()
        self.send(CONNACK, bytes([0, code]) + (b"\0" if self.version == 5 else b""))

    def publish(self):
        """The next PUBLISH: its packet id; noted with topic and payload."""
        kind, _, body = self.packet()
        if kind != PUBLISH:
            raise Gone
        (length,) = struct.unpack("!H", body[:2])
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        (mid,) = struct.unpack("!H", rest[:2])
        rest = rest[2:]
        if self.version == 5:
            assert rest[0] < 128
            rest = rest[1 + rest[0] :]
        if not topic.endswith("status"):
            self._stub.events.append(bytes(rest))
        return mid

    def acknowledge(self, mid, code=0):
        self.send(PUBACK, struct.pack("!H", mid) + (bytes([code]) if code else b""))

    def obey(self):
        """Acknowledge all there is to come."""
        while True:
            self.acknowledge(self.publish())


class Stub:
    """Hands each connection to the next of ``scripts``; the last one serves all that follow."""

    def __init__(self, *scripts):
        self.events, self.connections, self.errors = [], 0, []
        self._scripts, self._peers, self._threads = list(scripts), [], []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="stub", daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._talk, args=(peer, script), daemon=True)
            self._peers.append(peer)
            self._threads.append(thread)
            thread.start()

    def _talk(self, peer, script):
        with peer:
            try:
                script(Connection(peer, self))
            except (Gone, OSError):
                pass
            except BaseException as error:  # noqa: BLE001  raised on the test's thread
                self.errors.append(error)

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(WITHIN_S)
        for peer in self._peers:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(WITHIN_S)
        assert not self.errors, self.errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def silent(connection):
    """Take all and answer nothing."""
    connection.connected()
    connection.packet()
