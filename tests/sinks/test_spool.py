import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.sinks import spool as module
from edgeresnet.sinks.spool import GROUP, Spool
from edgeresnet.sinks.spool_file import state_folder

pytestmark = pytest.mark.usefixtures("nothing_left")

MEGABYTE = 1_000_000
CHILD = """
import sys, time
from edgeresnet.sinks.spool import Spool

spool = Spool("s", 1_000_000, "drop_oldest")
for index in range(100_000):
    spool.put(f"id-{index}", "camera", b"x" * 50)
    with spool._changed:
        stored = spool._stored_to
    print(stored, flush=True)
    time.sleep(0.001)
"""


@contextmanager
def spool(limit=MEGABYTE, full="drop_oldest", name="s"):
    with closing(Spool(name, limit, full)) as one:
        yield one


def fill(one, count, first=0, size=50):
    for index in range(first, first + count):
        one.put(f"id-{index}", "camera", f"{index}".encode().rjust(size))


def ids(events):
    return [event.event_id for event in events]


def named(*numbers):
    return [f"id-{number}" for number in numbers]


def books(one):
    status = one.status("s")
    assert status.accepted == status.delivered + status.waiting + sum(status.dropped.values())
    return status.accepted, status.delivered, status.waiting, status.dropped


def stored(state, name="s"):
    with closing(sqlite3.connect(state / f"{name}.spool")) as connection:
        return [row[0] for row in connection.execute("SELECT event_id FROM events ORDER BY seq")]


def test_what_waits_is_there_for_the_next_run_in_order_and_with_its_ids(state):
    with spool() as one:
        fill(one, 250)
        for event in one.take(3):
            one.done(event)
        assert books(one) == (250, 3, 247, {})
    with spool() as one:
        assert books(one) == (247, 0, 247, {})
        fill(one, 2, first=250)
        events = one.take(1000)
        assert ids(events) == named(*range(3, 252))
        assert (events[0].source, events[0].body.strip()) == ("camera", b"3")


def test_the_state_of_a_closed_spool_is_still_told():
    with spool() as one:
        fill(one, 5)
    assert books(one) == (5, 0, 5, {})
    one.put("late", "camera", b"x")
    assert books(one) == (6, 0, 5, {"closed": 1})
    assert one.take(1) == []


def test_an_event_is_taken_once_until_it_is_put_back():
    with spool() as one:
        fill(one, 5)
        assert ids(one.take(2)) == named(0, 1)
        assert ids(one.take(9)) == named(2, 3, 4)
        assert one.take(9) == []
        one.put_back()
        (first,) = one.take(1)
        one.done(first)
        one.done(first)
        one.put_back()
        assert ids(one.take(9)) == named(1, 2, 3, 4)
        assert books(one) == (5, 1, 4, {})


def test_events_come_from_the_disk_and_from_memory_in_one_order(until, state):
    with spool() as one:
        fill(one, GROUP)
        until(lambda: one._stored == GROUP)
        fill(one, 3, first=GROUP)
        taken = ids(one.take(GROUP - 1)) + ids(one.take(1)) + ids(one.take(10))
        assert taken == named(*range(GROUP + 3))


def test_what_is_delivered_at_once_is_never_written():
    with spool() as one:
        before = one._file.connection.total_changes
        for index in range(20):
            fill(one, 1, first=index)
            (event,) = one.take(1)
            one.done(event)
        time.sleep(2 * module.GROUP_S)
        assert one._file.connection.total_changes == before
        assert books(one) == (20, 20, 0, {})


def test_what_is_not_is_on_the_disk_soon(until):
    with spool() as one:
        fill(one, 1)
        until(lambda: one._stored == 1)


def test_one_who_waits_is_woken():
    with spool() as one:
        began = time.monotonic()
        threading.Timer(0.1, fill, (one, 1)).start()
        one.wait(30)
        assert time.monotonic() - began < 15
        assert len(one.take(1)) == 1
        one.wait(0.01)


def test_the_oldest_make_room_in_a_full_spool(said, until, state):
    with spool(limit=1000) as one:
        for index in range(0, 60, 10):
            fill(one, 10, first=index)
            until(lambda: not one._tail)
        assert books(one) == (60, 0, 20, {"spool_full": 40})
        assert ids(one.take(99)) == named(*range(40, 60))
    assert "spool_full: events are lost from id-0 on" in said()
    assert "spool_full: 40 events were lost, from id-0 to id-39" in said()
    assert said().count("spool_full") == 2


def test_the_new_ones_stay_out_of_a_full_spool_that_rejects_them(said):
    with spool(limit=1000, full="reject_new") as one:
        fill(one, 60)
        assert books(one) == (60, 0, 20, {"spool_full": 40})
        assert ids(one.take(99)) == named(*range(20))
    assert "40 events were lost, from id-20 to id-59" in said()


def test_what_made_room_while_it_was_on_its_way_is_counted_once(until):
    with spool(limit=1000) as one:
        fill(one, 20)
        until(lambda: not one._tail)
        events = one.take(20)
        fill(one, 20, first=20)
        until(lambda: not one._tail)
        for event in events:
            one.done(event)
        assert books(one) == (40, 0, 20, {"spool_full": 20})


def test_an_event_that_can_never_fit_is_dropped():
    with spool(limit=10) as one:
        fill(one, 1, size=50)
        assert books(one) == (1, 0, 0, {"spool_full": 1})


def test_a_file_does_not_grow_beyond_its_events(state):
    with spool(limit=200_000) as one:
        for index in range(60):
            fill(one, 100, first=100 * index, size=500)
            one._commit()
        size = sum(path.stat().st_size for path in state.iterdir())
        assert size < 6_000_000  # the journal is begun anew after 4 MiB
    assert (state / "s.spool").stat().st_size < 2 * 200_000
    with spool() as one:
        assert books(one)[2] == 400


def test_the_books_are_exact_while_all_work_at_once():
    over = threading.Event()
    wrong = []

    def deliver(one):
        while not over.is_set():
            for number, event in enumerate(one.take(7)):
                if number % 3:
                    one.done(event, dropped="rejected" if number % 2 else "")
            one.put_back()

    def check(one):
        while not over.is_set():
            try:
                books(one)
            except AssertionError as error:
                wrong.append(error)

    with spool(limit=20_000) as one:
        threads = [threading.Thread(target=work, args=(one,)) for work in (deliver, check, check)]
        for thread in threads:
            thread.start()
        for index in range(40):
            fill(one, 50, first=50 * index)
            time.sleep(0.005)
        over.set()
        for thread in threads:
            thread.join()
        assert books(one)[0] == 2000
    assert not wrong
    left = books(one)[2]
    with spool(limit=20_000) as one:
        assert books(one)[2] == left  # what the file says is what the books said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"\0" * 8192, "file is not a database", id="all NUL"),
        pytest.param(b"\0" * 100, "file is not a database", id="few NUL"),
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 8192, "", id="a head only"),
        pytest.param(b"<html>", "file is not a database", id="another file"),
    ],
)
def test_a_broken_file_is_kept_aside_and_said(content, why, said, state):
    state.mkdir(parents=True)
    (state / "s.spool").write_bytes(content)
    with spool() as one:
        fill(one, 1)
    (aside,) = state.glob("s.spool.corrupt-*")
    assert aside.read_bytes() == content
    assert f"is broken ({why}" in said()
    assert aside.name in said()
    assert stored(state) == named(0)


def test_a_torn_file_is_kept_aside_with_its_journal(said, state):
    with spool(limit=10 * MEGABYTE) as one:
        fill(one, 2000, size=500)
    whole = (state / "s.spool").read_bytes()
    (state / "s.spool").write_bytes(whole[: len(whole) // 2])
    (state / "s.spool-wal").write_bytes(b"\0" * 100)
    with spool() as one:
        assert books(one) == (0, 0, 0, {})
    assert "is broken" in said()
    assert len(list(state.glob("s.spool.corrupt-*"))) >= 1


def test_a_journal_alone_is_no_empty_spool(said, state):
    state.mkdir(parents=True)
    (state / "s.spool-wal").write_bytes(b"events")
    with spool():
        pass
    assert "only its journal is left" in said()
    assert [path.read_bytes() for path in state.glob("*.corrupt-*-wal")] == [b"events"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("PRAGMA user_version = 0", "it is of schema 0"),
        ("PRAGMA application_id = 7", "it is no spool"),
        ("DELETE FROM meta", "it has no id"),
        ("DROP TABLE events", "it lacks a table"),
    ],
)
def test_another_database_is_kept_aside(change, why, said, state):
    with spool() as one:
        fill(one, 1)
    with closing(sqlite3.connect(state / "s.spool")) as connection, connection:
        connection.execute(change)
    with spool() as one:
        assert books(one)[0] == 0
    assert why in said()
    assert list(state.glob("s.spool.corrupt-*"))


def test_a_newer_spool_is_refused_by_name_and_left_alone(state):
    with spool() as one:
        fill(one, 1)
    with closing(sqlite3.connect(state / "s.spool")) as connection, connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(UsageError, match=r"s\.spool is of schema 2, this edgeresnet knows 1"):
        Spool("s", MEGABYTE, "drop_oldest")
    assert stored(state) == named(0)


def test_only_the_newest_broken_files_are_kept(state):
    for index in range(5):
        state.mkdir(parents=True, exist_ok=True)
        (state / "s.spool").write_bytes(b"%d" % index)
        with spool():
            pass
    kept = sorted(state.glob("s.spool.corrupt-*"))
    assert [path.read_bytes() for path in kept] == [b"2", b"3", b"4"]


def test_a_spool_is_of_one_run_only():
    with spool(), pytest.raises(UsageError, match="another run uses the spool s") as caught:
        Spool("s", MEGABYTE, "drop_oldest")
    assert "?spool=NAME" in caught.value.hint
    with spool(), spool(name="other"):
        pass


def test_nobody_else_may_read_it_whatever_the_umask(state):
    before = os.umask(0)
    try:
        with spool() as one:
            fill(one, GROUP)
            one._commit()
            modes = {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    state.chmod(0o755)
    with spool():
        assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_the_folder_is_that_of_the_service_or_else_the_users(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    assert state_folder() == Path("/var/lib/a")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert state_folder() == Path("/x/edgeresnet")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert state_folder() == Path("/home/me/.local/state/edgeresnet")


def test_a_folder_that_cannot_be_is_a_device_error_that_names_it(state):
    state.parent.parent.mkdir()
    state.parent.write_text("a file")
    with pytest.raises(DeviceError, match="cannot keep a spool at") as caught:
        Spool("s", MEGABYTE, "drop_oldest")
    assert "XDG_STATE_HOME" in caught.value.hint


def full_disk(one, *, pages=1):
    """SQLite's own way to say that there is no room."""
    one._file.connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_told_and_events_wait_in_memory(said, until, monkeypatch):
    monkeypatch.setattr(module, "_RETRY_S", 0.05)
    with spool() as one:
        full_disk(one)
        fill(one, 200)
        until(lambda: one.status("s").state == "failing")
        assert "full" in one.status("s").reason
        (first,) = one.take(1)
        one.done(first)
        assert books(one) == (200, 1, 199, {})
        full_disk(one, pages=10_000)
        until(lambda: one.status("s").state == "ok")
        assert "the disk takes events again" in said()
    assert books(one) == (200, 1, 199, {})
    with spool() as one:
        assert ids(one.take(999)) == named(*range(1, 200))


@pytest.mark.parametrize("full", ["drop_oldest", "reject_new"])
def test_memory_is_bounded_while_the_disk_is_full(full, said, until, monkeypatch):
    monkeypatch.setattr(module, "MEMORY_BYTES", 5000)
    with spool(full=full) as one:
        full_disk(one)
        fill(one, 5, size=1000)
        until(lambda: one.status("s").state == "failing")
        fill(one, 15, first=5, size=1000)
        assert books(one) == (20, 0, 5, {"disk": 15})
        kept = range(5) if full == "reject_new" else range(15, 20)
        assert ids(one.take(999)) == named(*kept)
    assert books(one) == (20, 0, 0, {"disk": 20})  # the disk was still full at the end
    assert "disk: 20 events were lost" in said()


def test_a_file_that_breaks_in_use_is_kept_aside_and_its_events_counted(said, until, state):
    with spool() as one:
        fill(one, 10)
        until(lambda: one._stored == 10)
        taken = one.take(2)

        def broken(*_):
            del one._file.exchange
            raise sqlite3.DatabaseError("database disk image is malformed")

        one._file.exchange = broken
        fill(one, 5, first=10)
        until(lambda: one._stored == 5)
        for event in taken:
            one.done(event)
        assert books(one) == (15, 0, 5, {"corrupt": 10})
        assert ids(one.take(99)) == named(*range(10, 15))
    assert "malformed" in said()
    assert list(state.glob("s.spool.corrupt-*"))


def test_a_disk_that_cannot_be_read_does_not_hold_back_what_is_in_memory(until):
    with spool() as one:
        fill(one, GROUP)
        until(lambda: one._stored == GROUP)

        def unreadable(*_):
            raise sqlite3.OperationalError("disk I/O error")

        one._file.read = unreadable
        fill(one, 1, first=GROUP)
        assert ids(one.take(5)) in (named(GROUP), [])
        assert "disk I/O error" in one.status("s").reason
        del one._file.read


def test_what_was_committed_survives_sigkill(state, until):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with child:
        lines = []
        for line in child.stdout:
            lines.append(int(line))
            if lines[-1] >= 300:
                break
        os.kill(child.pid, signal.SIGKILL)
        lines += [int(line) for line in child.stdout if line.endswith("\n")]
    with spool() as one:
        found = ids(one.take(100_000))
    assert found == named(*range(len(found)))
    assert len(found) >= max(lines)
