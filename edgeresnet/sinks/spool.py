"""Events that wait for their receiver, bounded, over restarts and power cuts."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import suppress
from itertools import islice
from typing import Literal

from edgeresnet.core.errors import EdgeError
from edgeresnet.core.secrets import redact
from edgeresnet.core.status import SinkStatus
from edgeresnet.sinks.losses import Losses
from edgeresnet.sinks.spool_file import Event, SpoolFile

GROUP_S, GROUP = 0.2, 100
"""An event older than this, or the oldest of so many, is on its way to the disk."""
MEMORY_BYTES = 8 << 20
"""What may wait in memory while the disk is full, broken or slow."""
_RETRY_S = 1.0
_CLOSE_S = 2.0
_ROOM_AGAIN = 0.9

_log = logging.getLogger("edgeresnet")


class Spool:
    """A queue on disk: :meth:`put` from one thread, the rest from another, :meth:`status` from any.

    Of what is not delivered, a power cut or SIGKILL loses at most the events of the last 0.2 s
    (or 100 of them) plus the time of one commit: older ones are on the disk, synchronised. Events
    delivered sooner never reach the disk. What had been delivered shortly before is delivered
    again, with the same id.

    ``limit_bytes`` bounds the events' own bytes; the file is about a third larger, and its free
    pages are used again. When it is full, the oldest events make room, or with ``reject_new`` the
    new ones stay out. While the disk fails, events wait in memory, at most 8 MiB of them.
    """

    def __init__(
        self, name: str, limit_bytes: int, full: Literal["drop_oldest", "reject_new"]
    ) -> None:
        self._file = SpoolFile(name)
        self.uid = self._file.uid
        """Of this spool alone; stays over restarts."""
        self._limit, self._reject = limit_bytes, full == "reject_new"
        # _disk is held over reading and writing the file, _changed for the moment of a count;
        # whoever takes both takes _disk first
        self._disk, self._changed = threading.RLock(), threading.Condition(threading.Lock())
        self._tail: dict[int, Event] = {}  # not on disk
        self._tail_bytes = 0
        self._out: set[int] = set()  # taken, and neither done nor put back
        self._taken_to = 0
        self._gone: set[int] = set()  # on disk, and no longer waiting
        self._gone_since = self._retry_at = 0.0
        self._stored, self._stored_bytes, self._stored_to = self._file.totals()
        self._next = self._stored_to + 1
        self._accepted, self._delivered = self._stored, 0
        self._dropped: dict[str, int] = {}
        self._losses = Losses()
        self._fault = ""
        self._ending = self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"spool-{name[:9]}", daemon=True)
        self._thread.start()

    def put(self, event_id: str, source: str, body: bytes) -> None:
        """Accept an event; never waits for the disk."""
        with self._changed:
            self._accepted += 1
            held = self._stored_bytes + self._tail_bytes + len(body)
            memory = min(MEMORY_BYTES, 2 * self._limit)
            full = held > self._limit or self._tail_bytes + len(body) > memory
            reason = "disk" if self._fault and held <= self._limit else "spool_full"
            reason = "closed" if self._closed else reason
            if self._closed or len(body) > self._limit or (self._reject and full):
                self._lose(event_id, reason)
                return
            self._tail[self._next] = Event(self._next, event_id, source, body, time.monotonic())
            self._tail_bytes += len(body)
            self._next += 1
            while self._tail_bytes > memory:
                oldest = next(iter(self._tail.values()))
                self._leave(oldest.seq, len(oldest.body))
                self._lose(oldest.event_id, reason)
            self._changed.notify_all()

    def take(self, most: int) -> list[Event]:
        """The next events in order, at most ``most``; each once, until it is put back."""
        with self._disk:
            if self._closed:
                return []
            after = self._taken_to
            events = self._read(after, most) if after < self._stored_to else []
            with self._changed:
                after = events[-1].seq if events else after
                fresh = (event for event in self._tail.values() if event.seq > after)
                events += islice(fresh, most - len(events))
                self._out.update(event.seq for event in events)
                self._taken_to = events[-1].seq if events else self._taken_to
        return events

    def wait(self, timeout_s: float) -> None:
        """Return when there is something to take, or after ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stored + len(self._tail) > len(self._out)
                    and self._next - 1 > self._taken_to
                    and not self._fault
                ),
                timeout_s,
            )

    def put_back(self) -> None:
        """Have all that was taken and is not done taken again, in the same order."""
        with self._changed:
            self._out.clear()
            self._taken_to = 0

    def done(self, event: Event, *, dropped: str = "") -> None:
        """The event is delivered, or will never be, for the reason ``dropped``."""
        with self._changed:
            if event.seq not in self._out or self._closed:
                return  # it had to make room meanwhile, and was counted then
            self._leave(event.seq, len(event.body))
            if dropped:
                self._dropped[dropped] = self._dropped.get(dropped, 0) + 1
            else:
                self._delivered += 1
            self._changed.notify_all()

    def status(self, name: str) -> SinkStatus:
        """What became of all events so far; failing while the disk does.

        Accepted are the events that were put and those that an earlier run had left.
        """
        with self._changed:
            return SinkStatus(
                name,
                "failing" if self._fault else "ok",
                self._fault,
                self._accepted,
                self._delivered,
                self._stored + len(self._tail),
                dict(self._dropped),
            )

    def close(self) -> None:
        """Write what is in memory; a second time does nothing."""
        with self._changed:
            if self._ending:
                return
            self._ending = self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive() or not self._disk.acquire(timeout=_CLOSE_S):
            _log.error("spool %s: the disk does not answer; left behind", self._file.path)
            return
        try:
            self._commit()
            with self._changed:
                for event in list(self._tail.values()):
                    self._leave(event.seq, len(event.body))
                    self._lose(event.event_id, "disk")
            self._say(last=True)
            with suppress(sqlite3.Error):
                self._file.close()
        finally:
            self._disk.release()

    # the rest: counting, with _changed held

    def _leave(self, seq: int, size: int) -> None:
        self._out.discard(seq)
        if self._tail.pop(seq, None) is not None:
            self._tail_bytes -= size
            return
        self._stored -= 1
        self._stored_bytes -= size
        if not self._gone:
            self._gone_since = time.monotonic()
        self._gone.add(seq)

    def _lose(self, event_id: str, reason: str) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + 1
        self._losses.add(reason, event_id)
        self._changed.notify_all()

    # the disk, with _disk held

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._ending and (due_s := self._due_s()) != 0:
                    self._changed.wait(due_s)
                if self._ending:
                    return
            self._commit()
            self._say()

    def _due_s(self) -> float | None:
        """Seconds until there is something to do; None: not until something comes."""
        if self._losses.news:
            return 0
        if not self._tail and not self._gone:
            return None
        now = time.monotonic()
        if self._fault:
            return max(0, self._retry_at - now)
        if len(self._tail) >= GROUP or len(self._gone) >= GROUP:
            return 0
        since = next(iter(self._tail.values())).since if self._tail else now
        return max(0, min(since, self._gone_since if self._gone else now) + GROUP_S - now)

    def _commit(self) -> None:
        with self._disk:
            with self._changed:
                fresh, gone = list(self._tail.values()), list(self._gone)
                surplus = self._stored_bytes + self._tail_bytes - self._limit
            if not fresh and not gone:
                return
            try:
                oldest, skipped = self._file.exchange(fresh, gone, 0 if self._reject else surplus)
            except sqlite3.Error as error:
                self._failed(error)
                return
            with self._changed:
                fault, self._fault = self._fault, ""
                self._settle(gone, oldest, fresh[:skipped], fresh[skipped:])
        if fault:
            _log.warning("spool %s: the disk takes events again", self._file.path)

    def _read(self, after: int, most: int) -> list[Event]:
        """Stored events; none where the disk cannot be read, so that the newer ones still go."""
        try:
            return self._file.read(after, most, self._gone)  # which only whoever takes adds to
        except sqlite3.Error as error:
            self._failed(error)
            return []

    def _failed(self, error: sqlite3.Error) -> None:
        """Go on in memory; a file that turns out to be broken is left for a new one."""
        fault = redact(f"disk: {error}")
        if type(error) in (sqlite3.DatabaseError, sqlite3.ProgrammingError):  # broken, not refused
            try:
                self._file.renew(str(error))
            except EdgeError as caught:
                fault = caught.what
            else:
                fault = ""
            with self._changed:
                self._out -= {seq for seq in self._out if seq not in self._tail}
                self._dropped["corrupt"] = self._dropped.get("corrupt", 0) + self._stored
                self._stored = self._stored_bytes = 0
                self._gone.clear()
        with self._changed:
            self._fault, said = fault, bool(self._fault)
            self._retry_at = time.monotonic() + _RETRY_S
        if fault and not said:
            _log.error("spool %s: %s; events wait in memory", self._file.path, fault)

    def _say(self, *, last: bool = False) -> None:
        with self._changed:
            room = self._stored_bytes + self._tail_bytes < _ROOM_AGAIN * self._limit
            over = {"spool_full": room or last, "disk": last or not self._fault}
            lines = self._losses.lines({reason for reason, ended in over.items() if ended})
        for line in lines:
            _log.warning("spool %s: %s", self._file.path, line)

    def _settle(
        self,
        gone: list[int],
        oldest: list[tuple[int, str, int]],
        skipped: list[Event],
        kept: list[Event],
    ) -> None:
        """Count what a commit did; meanwhile events may have been done or have made room."""
        self._gone.difference_update(gone)
        for seq, event_id, size in oldest:
            if seq not in self._gone:
                self._leave(seq, size)
                self._lose(event_id, "spool_full")
            self._gone.discard(seq)
        for event in skipped:
            if event.seq in self._tail:
                self._leave(event.seq, len(event.body))
                self._lose(event.event_id, "spool_full")
        for event in kept:
            self._stored_to = event.seq
            if self._tail.pop(event.seq, None) is None:
                self._gone.add(event.seq)
                continue
            self._tail_bytes -= len(event.body)
            self._stored += 1
            self._stored_bytes += len(event.body)
        self._gone_since = time.monotonic()
