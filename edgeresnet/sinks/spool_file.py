"""The file under a spool: this process's alone, and proved before it is trusted."""

from __future__ import annotations

import fcntl
import getpass
import logging
import os
import sqlite3
import uuid
from collections.abc import Container, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edgeresnet.core.errors import DeviceError, EdgeError, UsageError
from edgeresnet.core.files import whole_file

SCHEMA = 1
_APPLICATION = 0x45524E53
_KEPT = 3
"""Broken files that are kept; older ones make room."""
_WAL_BYTES = 4 << 20
_TABLES = (
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, event_id TEXT, source TEXT, body BLOB)",
    "CREATE TABLE meta (uid TEXT NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)

_log = logging.getLogger("edgeresnet")


@dataclass(frozen=True)
class Event:
    """One event in its place in the order."""

    seq: int
    event_id: str
    source: str
    body: bytes = field(repr=False)
    since: float = 0.0
    """Monotonic time at which it came."""


class _Broken(Exception):  # noqa: N818  what was found, not yet an error of anyone
    pass


def state_folder() -> Path:
    """Where this program keeps its state: the folder systemd gives, else the user's own."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".local/state") / "edgeresnet"


class SpoolFile:
    """An SQLite database that one process has for itself, in a folder that only its user enters.

    A file that is broken is moved aside and a new one begun; a file of a newer schema, or one that
    another process has, is a usage error; a folder that cannot be written is a device error.
    """

    def __init__(self, name: str) -> None:
        folder = _own_folder(state_folder() / "spool")
        self.path = folder / f"{name}.spool"
        self._lock = _locked(folder / f"{name}.lock", name)
        try:
            self.connection, self.uid = self._open()
        except BaseException:
            os.close(self._lock)
            raise

    def totals(self) -> tuple[int, int, int]:
        """How many events, how many bytes of them, and the last one's place."""
        query = "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(seq), 0) FROM events"
        count, size, last = self.connection.execute(query).fetchone()
        return count, size, last

    def read(self, after: int, most: int, gone: Container[int]) -> list[Event]:
        """The first events after the place ``after`` that are not ``gone``."""
        query = "SELECT seq, event_id, source, body FROM events WHERE seq > ? ORDER BY seq"
        events: list[Event] = []
        with closing(self.connection.execute(query, (after,))) as rows:
            while len(events) < most and (row := rows.fetchone()) is not None:
                if row[0] not in gone:
                    events.append(Event(*row))
        return events

    def exchange(
        self, fresh: list[Event], gone: Iterable[int], surplus: int
    ) -> tuple[list[tuple[int, str, int]], int]:
        """Write what came and delete what left, all or nothing.

        The oldest stored events go until ``surplus`` bytes are free, then the oldest fresh ones:
        which of the former (place, id, size), and how many of the latter.
        """
        oldest: list[tuple[int, str, int]] = []
        skipped = 0
        run, run_each = self.connection.execute, self.connection.executemany
        run("BEGIN IMMEDIATE")
        try:
            run_each("DELETE FROM events WHERE seq = ?", ((seq,) for seq in gone))
            query = "SELECT seq, event_id, length(body) FROM events ORDER BY seq"
            with closing(run(query)) as rows:
                while surplus > 0 and (row := rows.fetchone()) is not None:
                    oldest.append(row)
                    surplus -= row[2]
            run_each("DELETE FROM events WHERE seq = ?", ((seq,) for seq, _, _ in oldest))
            while surplus > 0 and skipped < len(fresh):
                surplus -= len(fresh[skipped].body)
                skipped += 1
            run_each(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)",
                ((one.seq, one.event_id, one.source, one.body) for one in fresh[skipped:]),
            )
            run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                run("ROLLBACK")
            raise
        return oldest, skipped

    def renew(self, why: str) -> None:
        """Begin anew, since the file has turned out to be broken while in use."""
        self.connection.close()
        self._move_aside(why)
        self.connection, _ = self._open()

    def close(self) -> None:
        """Close the file and let others have it."""
        try:
            self.connection.close()
        finally:
            os.close(self._lock)

    def _open(self) -> tuple[sqlite3.Connection, str]:
        try:
            if self.path.exists() or _beside(self.path, "-wal").exists():
                try:
                    return _checked(self.path)
                except _Broken as broken:
                    self._move_aside(str(broken))
            with whole_file(self.path) as new:
                _create(new)
            return _checked(self.path)
        except (OSError, sqlite3.Error) as error:
            raise _refused(self.path, error) from error

    def _move_aside(self, why: str) -> None:
        time = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = _beside(self.path, f".corrupt-{time}")
        for ending in ("", "-wal", "-journal"):
            if (found := _beside(self.path, ending)).exists():
                found.replace(_beside(aside, ending))
        _log.error(
            "spool %s is broken (%s): a new one is begun, the old one is kept as %s",
            *(self.path, why, aside.name),
        )
        times = sorted(
            {
                path.name.removesuffix("-wal").removesuffix("-journal")
                for path in self.path.parent.glob(f"{self.path.name}.corrupt-*")
            }
        )
        for name in times[:-_KEPT]:
            for ending in ("", "-wal", "-journal"):
                self.path.with_name(name + ending).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _own_folder(folder: Path) -> Path:
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)  # whatever the umask, or an earlier hand, made of it
    except OSError as error:
        raise _refused(folder, error) from error
    return folder


def _refused(path: Path, error: Exception) -> EdgeError:
    why = getattr(error, "strerror", None) or str(error)
    return DeviceError(
        f"cannot keep a spool at {path}: {why}",
        hint=f"set XDG_STATE_HOME to a folder that {getpass.getuser()} may write, on a disk with "
        "room",
    )


def _locked(path: Path, name: str) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        os.fchmod(handle, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UsageError(
            f"another run uses the spool {name}",
            hint="give this one a spool of its own: add ?spool=NAME to the sink",
        ) from error
    except BaseException:
        os.close(handle)
        raise
    return handle


def _create(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES (?)", (uuid.uuid4().hex,))


def _checked(path: Path) -> tuple[sqlite3.Connection, str]:
    """The database, opened and proved to be whole, with its own id."""
    if not path.exists():
        raise _Broken("only its journal is left")
    if path.stat().st_size == 0:  # SQLite would take it for a new one
        raise _Broken("it is empty")
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        return connection, _proved(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            raise _Broken(str(error)) from error
        raise


def _proved(connection: sqlite3.Connection, path: Path) -> str:
    run = connection.execute
    run("PRAGMA locking_mode = EXCLUSIVE")  # without the shared memory that nobody shares
    if run("PRAGMA application_id").fetchone() != (_APPLICATION,):
        raise _Broken("it is no spool")
    (version,) = run("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise UsageError(
            f"spool {path} is of schema {version}, this edgeresnet knows {SCHEMA}",
            hint="update edgeresnet, or add ?spool=NAME to the sink",
        )
    if version != SCHEMA:
        raise _Broken(f"it is of schema {version}")
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = FULL")
    run(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    found = run("PRAGMA quick_check(1)").fetchone()
    if found != ("ok",):
        raise _Broken(str(found[0]))
    tables = {name for (name,) in run("SELECT name FROM sqlite_master")}
    if not tables >= {"events", "meta"}:
        raise _Broken("it lacks a table")
    uid = run("SELECT uid FROM meta").fetchone()
    if uid is None:
        raise _Broken("it has no id")
    return str(uid[0])
