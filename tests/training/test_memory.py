"""The memory that a training process keeps."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

import charlstm
from charlstm.cli import app
from charlstm.errors import OutOfMemoryError
from charlstm.training import loop
from charlstm.training.memory import keep_freed_memory
from tests.training.test_training import run_through, training

MMAP, TRIM = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


@pytest.mark.parametrize(
    ("largest", "taken"),
    [
        (1 << 40, {MMAP: 1 << 30, TRIM: (1 << 31) - 1}),
        (1 << 25, {MMAP: 1 << 25, TRIM: (1 << 31) - 1}),  # before 2.35
        (0, {}),  # a threshold of trimming alone would only end glibc's own raising of the other
    ],
)
def test_glibc_keeps_what_is_freed(monkeypatch, largest, taken):
    thresholds = {}

    def mallopt(parameter, value):
        if parameter == MMAP and value > largest:
            return 0
        thresholds[parameter] = value
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    keep_freed_memory()
    assert thresholds == taken


@pytest.mark.parametrize("fault", [TypeError, OSError])
def test_where_there_is_no_c_library_nothing_happens(monkeypatch, fault):
    def none(name):
        raise fault

    monkeypatch.setattr(ctypes, "CDLL", none)
    keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()


def test_the_command_line_changes_the_allocator_of_its_process_and_the_library_does_not(tmp_path, monkeypatch):
    thresholds = []
    libc = SimpleNamespace(mallopt=lambda parameter, value: thresholds.append(parameter) or 1)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, *_: libc)
    run_through(training(tmp_path / "library"))
    assert thresholds == []
    (tmp_path / "my.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 30)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    command = ["train", "my.txt", "--max-steps", "1", "--hidden-size", "8", "--device", "cpu", "--precision", "fp32"]
    monkeypatch.setattr(sys, "argv", ["charlstm", *command, "-q"])
    assert app._run() == 0
    assert set(thresholds) == {MMAP, TRIM}


def test_a_network_that_does_not_fit_is_out_of_memory(tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    (tmp_path / "my.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 30)
    monkeypatch.setattr(loop, "CharLM", refuse)
    with pytest.raises(OutOfMemoryError, match="what was saved is kept"):
        charlstm.train(tmp_path / "my.txt", root=tmp_path / "runs", cache=tmp_path / "cache", max_steps=1, device="cpu")
    assert not any((tmp_path / "runs").glob("*"))
