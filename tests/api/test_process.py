"""No call of the library leaves the caller's process changed."""

import contextlib
import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

import charlstm

SMALL = {"hidden_size": 8, "ngram_order": 0, "max_steps": 3, "threads": 1, "device": "cpu", "precision": "fp32"}


def snapshot():
    """Everything of a process that a library could change behind its caller's back."""
    _, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch defaults": (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()),
        "torch modes": (
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.mkldnn.enabled,
            torch.is_autocast_enabled("cpu"),
            torch.is_inference_mode_enabled(),
        ),
        "torch generator": torch.random.get_rng_state().tolist(),
        "numpy generator": (keys.tolist(), position, has_gauss, gauss),
        "numpy modes": (np.geterr(), np.get_printoptions()),
        "random": random.getstate(),
        "BLAS threads": [(each["filepath"], each["num_threads"]) for each in threadpool_info()],
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "logging": (
            logging.root.level,
            list(logging.root.handlers),
            logging.root.manager.disable,
            {
                name: (logger.level, list(logger.handlers), logger.propagate)
                for name, logger in logging.root.manager.loggerDict.items()
                if isinstance(logger, logging.Logger)
            },
        ),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.getrecursionlimit()),
        "places": (os.getcwd(), list(sys.path)),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "threads": set(threading.enumerate()),
    }


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A text, where its runs and caches go, and two threads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").write_text("one two three four five six seven\n" * 60)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # not the one that training is given here
    yield {"root": tmp_path / "runs", "cache": tmp_path / "cache"}
    torch.set_num_threads(threads)


def actions(places):
    """What a user does, by name."""
    model = charlstm.load("starter")
    return {
        "load": lambda: charlstm.load("starter"),
        "generate": lambda: model.generate("TOBIN:", length=50),
        "read": lambda: model.read("The "),
        "fill": lambda: model.fill("The s__ was rising.", temperature=0.5),
        "score": lambda: model.score("A boat."),
        "score_dynamic": lambda: model.score_dynamic("A boat, and a tide.", segment=4),
        "to_torch": model.to_torch,
        "train": lambda: list(charlstm.train("my.txt", **places, **SMALL)),
        "an abandoned training": lambda: next(iter(charlstm.train("my.txt", **places, **SMALL))),
        "an abandoned training in a step": lambda: [
            event for event, _ in zip(charlstm.train("my.txt", **places, **SMALL), range(3), strict=False)
        ],
        "fit": lambda: charlstm.fit("my.txt", **places, **SMALL),
        "a mistake": lambda: charlstm.train("nothing.txt", **places),
        "an interrupt": lambda: charlstm.fit(
            "my.txt", **places, **SMALL, progress=lambda event: signal.raise_signal(signal.SIGINT)
        ),
    }


@pytest.mark.slow
def test_no_call_changes_the_process(places, monkeypatch):
    monkeypatch.setattr("charlstm.training.memory.keep_freed_memory", lambda: pytest.fail("changes the allocator"))
    for name, action in actions(places).items():
        for _ in range(2):  # the first call imports what it needs, and that is allowed to add loggers
            before = snapshot()
            with contextlib.suppress(charlstm.CharlstmError, KeyboardInterrupt):
                action()
            after = snapshot()
        gc.collect()
        for part in before:
            assert after[part] == before[part], f"{name} changes: {part}"


def test_importing_changes_nothing_but_modules(tmp_path):
    """In a new process, where no test has imported anything yet."""
    import subprocess

    script = """
import locale, random, signal, sys, warnings
import numpy, torch, sympy  # torch imports sympy when it first needs it, and that adds a filter of warnings

def state():
    return (
        torch.get_num_threads(), torch.random.get_rng_state().tolist(), random.getstate(), list(warnings.filters),
        {n: signal.getsignal(n) for n in signal.valid_signals()}, locale.setlocale(locale.LC_ALL), list(sys.path),
    )

before = state()
import charlstm
for name in charlstm.__all__:
    getattr(charlstm, name)
charlstm.load('starter').score('A boat.')
assert state() == before
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=100)
