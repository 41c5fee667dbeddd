import asyncio
import gc
import time
import weakref

import numpy as np
import pytest

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks.web import newest as newest_module
from edgeresnet.sinks.web.newest import MOST_SOURCES, Newest
from edgeresnet.sinks.web.picture import Look

CAT = Classification((Label(1, "tabby", 0.9),))


def frame(index=0, source="door", size=(20, 30), region=None):
    return Frame(np.zeros((*size, 3), np.uint8), index, time.monotonic_ns(), source, region=region)


@pytest.fixture
def newest():
    kept = Newest()
    yield kept
    kept.close()


@pytest.fixture
def made(monkeypatch):
    """Indices of the frames that were encoded."""
    indices, make = [], newest_module.make_picture

    def noting(given, *arguments, **options):
        indices.append(given.index)
        return make(given, *arguments, **options)

    monkeypatch.setattr(newest_module, "make_picture", noting)
    return indices


def test_no_frame_but_the_newest_is_kept(newest):
    async def look():
        newest.attach(asyncio.get_running_loop())
        return await newest.picture("door", Look())

    old, new = frame(1), frame(2)
    gone, kept = weakref.ref(old), weakref.ref(new)
    newest.put(old, CAT)
    asyncio.run(look())
    newest.put(new, CAT)
    del old, new
    gc.collect()
    assert gone() is None
    assert kept() is not None
    newest.close()
    gc.collect()
    assert kept() is None


def test_a_picture_is_made_once_for_all_and_never_for_nobody(newest, made):
    async def look():
        newest.attach(asyncio.get_running_loop())
        many = await asyncio.gather(*(newest.picture("door", Look()) for _ in range(20)))
        again = await newest.picture("door", Look())
        return {id(one.jpeg) for one in (*many, again)}

    for index in range(5):
        newest.put(frame(index), CAT)
    assert len(asyncio.run(look())) == 1
    assert made == [4]


def test_who_waits_is_woken_by_another_thread(newest):
    async def wait():
        loop = asyncio.get_running_loop()
        newest.attach(loop)
        newest.put(frame(7), CAT)
        begin = time.monotonic()
        waiting = asyncio.ensure_future(newest.wait("door", 5, index=7))
        await asyncio.sleep(0.05)
        await loop.run_in_executor(None, newest.put, frame(8), CAT)
        return await waiting, time.monotonic() - begin

    came, seconds = asyncio.run(wait())
    assert came
    assert seconds < 3


def test_who_leaves_does_not_take_the_picture_from_the_others(newest):
    async def leave():
        newest.attach(asyncio.get_running_loop())
        first = asyncio.ensure_future(newest.picture("door", Look()))
        second = asyncio.ensure_future(newest.picture("door", Look()))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    newest.put(frame(3), CAT)
    assert asyncio.run(leave()).index == 3


def test_there_is_an_end_to_the_sources_that_are_kept(newest):
    for number in range(MOST_SOURCES + 6):
        newest.put(frame(0, f"s{number}"), CAT)
    assert len(list(newest.shots())) == MOST_SOURCES
    assert newest.ignored == 6


def test_what_comes_after_the_end_is_not_kept(newest):
    newest.close()
    newest.put(frame(), CAT)
    assert "door" not in newest
