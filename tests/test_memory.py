"""The memory that a training keeps."""

import ctypes
from types import SimpleNamespace

import pytest

from charlstm.training.memory import keep_freed_memory


def test_glibc_is_told_to_keep_what_is_freed(monkeypatch):
    told = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=told.__setitem__))
    keep_freed_memory()
    assert told == {-3: 1 << 30, -1: (1 << 31) - 1}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


@pytest.mark.parametrize("fault", [TypeError, OSError])
def test_where_there_is_no_c_library_nothing_happens(monkeypatch, fault):
    def none(name):
        raise fault

    monkeypatch.setattr(ctypes, "CDLL", none)
    keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()
