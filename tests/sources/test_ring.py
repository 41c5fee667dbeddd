"""Frames through shared memory, both ends in one process."""

import gc
import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from edgeresnet.sources.ring import SLOTS, Reader, Writer


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield Reader(ours), Writer(theirs)


def send(writer, value, shape=(4, 6, 3)):
    place = writer.slot(shape)
    if place is None:
        return False
    place[1][:] = value
    writer.send(place[0], 1000 + value)
    return True


def receive(reader):
    """The next frame; the memory it lies in may come first."""
    while (message := reader.receive()) is None:
        pass
    return message


def test_a_frame_arrives_as_it_was_written_with_its_time(ends):
    reader, writer = ends
    for value in range(3):
        send(writer, value)
        pixels, captured_ns = receive(reader)
        assert pixels.shape == (4, 6, 3)
        assert pixels.flags.c_contiguous
        assert pixels.min() == pixels.max() == value
        assert captured_ns == 1000 + value


def test_a_frame_keeps_its_slot_until_nobody_refers_to_it(ends):
    reader, writer = ends
    kept = []
    for value in range(SLOTS):
        assert send(writer, value)
        kept.append(receive(reader)[0])
    assert not send(writer, 99)
    assert [pixels[0, 0, 0] for pixels in kept] == list(range(SLOTS))
    part = kept.pop(3)[1:2, ::2]  # a view of a view
    reader.give_back()
    assert not send(writer, 99)
    assert part.max() == 3
    del part
    reader.give_back()
    assert send(writer, 99)
    assert not send(writer, 99)


def test_memory_is_touched_for_as_many_frames_as_are_held(ends):
    reader, writer = ends
    used = set()
    for value in range(3 * SLOTS):
        number, _ = writer.slot((4, 6, 3))
        used.add(number)
        writer.send(number, value)
        pixels, _ = receive(reader)
        del pixels
        reader.give_back()
    assert len(used) == 1


def test_a_change_of_size_leaves_the_frames_before_it_alone(ends):
    reader, writer = ends
    send(writer, 1)
    before, _ = receive(reader)
    send(writer, 2, (8, 10, 3))
    after, _ = receive(reader)
    assert (before.shape, after.shape) == ((4, 6, 3), (8, 10, 3))
    del before
    reader.give_back()  # of the ring before: means nothing to the new one
    for value in range(SLOTS - 1):
        assert send(writer, value, (8, 10, 3))
    assert not send(writer, 0, (8, 10, 3))
    assert after.min() == 2


def test_a_frame_outlives_the_link(ends):
    reader, writer = ends
    send(writer, 5)
    pixels, _ = receive(reader)
    reader._link.close()
    writer._link.close()
    del reader, writer
    gc.collect()
    assert pixels.min() == 5


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_open(ends):
    reader, writer = ends
    before = open_files()
    for size in range(1, 30):
        send(writer, 1, (size, 4, 3))
        receive(reader)
    assert open_files() <= before + 4  # mappings keep one each at both ends


def test_what_is_said_arrives_and_the_end_is_an_end(ends):
    reader, writer = ends
    writer.say(fault="refused", what="…")
    assert reader.receive() == {"fault": "refused", "what": "…"}
    writer._link.close()
    with pytest.raises(EOFError):
        reader.receive()


def test_a_parent_that_is_gone_ends_the_child(ends):
    reader, writer = ends
    reader._link.close()
    with pytest.raises(SystemExit):
        writer.slot((4, 6, 3))


@pytest.mark.parametrize(
    "message",
    [
        b"X",
        b"F123",
        b"J{",
        b"M" + json.dumps({"shape": [4, 6, 3], "generation": 0}).encode(),
        b"M" + json.dumps({"shape": [0, 6, 3], "generation": 0}).encode(),
        b"F" + bytes(17),
    ],
)
def test_nonsense_of_a_child_is_an_error_and_never_memory(ends, message):
    reader, writer = ends
    writer._link.send(message)
    with pytest.raises(ValueError):  # noqa: PT011  json's is one too
        reader.receive()


def test_less_memory_than_was_said_is_refused(ends):
    reader, writer = ends
    file = os.memfd_create("small")
    os.ftruncate(file, 100)
    head = json.dumps({"shape": [4, 6, 3], "generation": 0}).encode()
    socket.send_fds(writer._link, [b"M" + head], [file])
    os.close(file)
    with pytest.raises(ValueError, match="less memory"):
        reader.receive()


def test_the_pixels_may_be_written_to(ends):
    reader, writer = ends
    send(writer, 1)
    pixels, _ = receive(reader)
    pixels += np.uint8(1)
    assert pixels.max() == 2
