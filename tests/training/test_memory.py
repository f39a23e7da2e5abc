"""The memory that a training keeps."""

import ctypes
from types import SimpleNamespace

import pytest

from charlstm.training.memory import keep_freed_memory

MMAP, TRIM = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


@pytest.mark.parametrize(
    ("largest", "taken"),
    [
        (1 << 40, {MMAP: 1 << 30, TRIM: (1 << 31) - 1}),
        (1 << 25, {MMAP: 1 << 25, TRIM: (1 << 31) - 1}),  # before 2.35
        (0, {}),  # a threshold of trimming alone would only end glibc's own raising of the other
    ],
)
def test_glibc_is_told_to_keep_what_is_freed(monkeypatch, largest, taken):
    told = {}

    def mallopt(parameter, value):
        if parameter == MMAP and value > largest:
            return 0
        told[parameter] = value
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    keep_freed_memory()
    assert told == taken


@pytest.mark.parametrize("fault", [TypeError, OSError])
def test_where_there_is_no_c_library_nothing_happens(monkeypatch, fault):
    def none(name):
        raise fault

    monkeypatch.setattr(ctypes, "CDLL", none)
    keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()
