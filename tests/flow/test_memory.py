import ctypes
import platform

import pytest

from edgeresnet.flow import memory


class Library:
    """Notes what it is told."""

    def __init__(self):
        self.told = []
        self.mallopt = lambda *option: self.told.append(option)


@pytest.mark.parametrize(("library", "told"), [("glibc", 2), ("musl", 0), ("", 0)])
def test_only_glibc_is_told_to_keep_freed_memory(monkeypatch, library, told):
    fake = Library()
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, "1"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: fake)
    memory.keep_freed_memory()
    assert len(fake.told) == told


def test_a_c_library_without_the_function_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    memory.keep_freed_memory()


def test_the_limits_are_such_that_frames_stay_below_them(monkeypatch):
    fake = Library()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: fake)
    memory.keep_freed_memory()
    assert min(value for _, value in fake.told) >= 3840 * 2160 * 3
