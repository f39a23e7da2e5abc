"""What is done again and again takes no more memory, files and threads for it: steps, loads, requests, samples, scores.

Memory is what the system says the process holds, once what was freed has been given back. A single figure moves by some
megabytes for no reason, so that it is taken again and again, and the slope of the line through all of it counts.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import charlstm
from benchmarks.big_text import write_text
from benchmarks.runs import TRAIN
from charlstm.events import StepDone
from tests.api.networks import ALPHABET, random_model
from tests.command_line import start
from tests.fake_checkpoints import make_checkpoint
from tests.torture.processes import give_back_freed_memory, highest_memory, open_files, resident_memory, threads
from tests.training.test_training import training
from tests.web.running import Answer, read_answer, request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="figures are read from /proc")

SAMPLES = 50
"""Figures that the line is put through."""
AT_MOST = 20e6
"""Bytes by which memory may grow, over all rounds."""


class Watch:
    """What a process holds, seen after each round.

    Args:
        rounds: how many there will be. The first fifth warms up: caches fill, and the allocator finds its size.
        pid: the process.
    """

    def __init__(self, rounds: int, pid: int | str = "self") -> None:
        self._pid, self._warm, self._every = pid, rounds // 5, max(1, rounds * 4 // 5 // SAMPLES)
        self._round, self._memory, self._held = 0, list[tuple[int, int]](), list[tuple[int, int]]()

    def after_round(self) -> None:
        self._round += 1
        if self._round > self._warm and self._round % self._every == 0:
            if self._pid == "self":
                give_back_freed_memory()
            self._memory.append((self._round, resident_memory(self._pid)))
            self._held.append(self._fewest_held())

    def _fewest_held(self) -> tuple[int, int]:
        """Open files and threads. Another process may not have closed a connection yet when its answer has come."""
        looks = []
        for _ in range(1 if self._pid == "self" else 5):
            looks.append((open_files(self._pid), threads(self._pid)))
            time.sleep(0.01)
        files, running = zip(*looks, strict=True)
        return min(files), min(running)

    @property
    def growth(self) -> float:
        """Bytes of memory that all rounds after the warm-up together took and did not give back."""
        rounds, memory = np.array(self._memory, float).T
        return float(np.polyfit(rounds, memory, 1)[0] * (rounds[-1] - rounds[0]))

    def check(self) -> None:
        assert len(self._memory) >= SAMPLES
        assert self.growth < AT_MOST, [memory >> 20 for _, memory in self._memory]
        half = len(self._held) // 2
        before, after = (tuple(map(min, zip(*held, strict=True))) for held in (self._held[:half], self._held[half:]))
        assert after == before, f"open files and threads: {before}, then {after}"


def repeat(rounds: int, do: Callable[[int], object], pid: int | str = "self") -> None:
    """Do something with the number of each round, and check what the process holds."""
    watch = Watch(rounds, pid)
    for number in range(rounds):
        do(number)
        watch.after_round()
    watch.check()


# ---- what the watch sees --------------------------------------------------------------------------------------------


def test_a_leak_of_memory_is_seen() -> None:
    """In a process that has freed some 400 MB before, as one that has run many tests has."""
    kept: list[bytes] = []
    freed = [bytes(range(256)) * 400 for _ in range(4000)]
    freed_last = bytes(range(256)) * 400  # what is in use behind it keeps the C library from giving it back by itself
    del freed
    with pytest.raises(AssertionError, match=r"\["):
        repeat(600, lambda number: kept.append(bytes(range(256)) * 400))
    assert freed_last
    assert kept


def test_a_file_that_stays_open_is_seen(tmp_path: Path) -> None:
    kept = []
    (tmp_path / "file").touch()
    with pytest.raises(AssertionError, match="open files"):
        repeat(200, lambda number: kept.append((tmp_path / "file").open()))
    for file in kept:
        file.close()


# ---- what is done again and again -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(50_000)
@pytest.mark.rounds(3000, full=1_000_000)
def test_steps_of_training(tmp_path: Path, rounds: int) -> None:
    """With an evaluation after each hundredth, and a save after each half second."""
    settings = {"max_steps": rounds, "eval_every": 100, "save_every": 0.5, "lr": 1e-3}
    trained, watch = training(tmp_path / "run", train=settings), Watch(rounds)
    for event in trained.events():
        if isinstance(event, StepDone):
            watch.after_round()
    watch.check()


@pytest.mark.timeout(50_000)
@pytest.mark.rounds(500, full=100_000)
def test_loads_of_a_model(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "model.safetensors"
    make_checkpoint(path, hidden=64)
    repeat(rounds, lambda number: charlstm.load(path).generate("The", length=1, seed=number))


@pytest.mark.timeout(50_000)
@pytest.mark.rounds(500, full=100_000)
def test_samples(rounds: int) -> None:
    """Each of its own seed and prompt; every fifth keeps rules."""
    model = random_model()

    def draw(number: int) -> None:
        rules = {"match": f"[abc ]{{{number % 50 + 20}}}"} if number % 5 == 0 else {}
        assert model.generate(some_text(number), length=20, seed=number, **rules)

    repeat(rounds, draw)


@pytest.mark.timeout(50_000)
@pytest.mark.rounds(500, full=100_000)
def test_scores(rounds: int) -> None:
    model = random_model()
    repeat(rounds, lambda number: model.score(some_text(number) * 3))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The process and the port of a server with a small network, which has no text."""
    make_checkpoint(tmp_path / "checkpoints" / "small" / "model.safetensors")
    with start("serve", "small", "--port", "0", folder=tmp_path) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline().split()[0].rstrip("/").rpartition(":")[2])
        process.terminate()


@pytest.mark.slow
@pytest.mark.timeout(50_000)
@pytest.mark.rounds(500, full=86_400)
def test_requests_to_a_server(server: tuple[int, int], rounds: int) -> None:
    """One a second for 24 hours, as a person makes them who types, draws, fills blanks and looks into it."""
    pid, port = server
    asked = (
        lambda text, seed: ("/api/score", {"text": text}),
        lambda text, seed: ("/api/generate", {"text": text, "length": 20, "seed": seed, "rows": 2}),
        lambda text, seed: ("/v1/completions", {"prompt": text, "max_tokens": 10, "stream": bool(seed % 2)}),
        lambda text, seed: ("/api/fan", {"text": text, "depth": 4}),
        lambda text, seed: ("/api/fill", {"text": f"{text}___ {text}", "count": 2}),
        lambda text, seed: ("/api/trace", {"text": text, "from": 0, "to": len(text)}),
        lambda text, seed: ("/api/score", {"text": text, "unheard": "of"}),
        lambda text, seed: ("/api/generate", {"text": text, "match": f"[ab]{{{seed % 900 + 1}}}", "length": 3}),
    )

    def ask(number: int) -> None:
        seed = number % (rounds // 5)  # what was read is remembered, up to a limit: so all of it comes in the warm-up
        path, body = asked[number % len(asked)](some_text(seed), seed)
        assert post(port, path, body).status == (400 if "unheard" in body else 200)

    repeat(rounds, ask, pid)


def post(port: int, path: str, body: object) -> Answer:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(request(f"127.0.0.1:{port}", "POST", path, body, None))
        return read_answer(connection)


def some_text(seed: int) -> str:
    """Another text for each seed, of 10 to 60 characters that every network here knows."""
    chance = random.Random(seed)
    return "".join(chance.choices(ALPHABET[1:], k=chance.randint(10, 60)))


# ---- a large text ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(50_000)
@pytest.mark.rounds(50, full=10_000)
def test_a_large_text_trains_in_little_memory(tmp_path: Path, rounds: int) -> None:
    """A round is a megabyte of text. ``benchmarks/big_text.py`` says what the same takes with more or less of it."""
    if shutil.disk_usage(tmp_path).free < 3e6 * rounds:
        pytest.skip("the disk has no room for the text and its ids")
    text = tmp_path / "big.txt"
    write_text(text, rounds * 1_000_000)
    out = str(tmp_path / "run")
    plain = ("--device", "cpu", "--threads", "1", "--init-from", "none", "--json")
    command = [*TRAIN, str(text), "--max-time", "20s", "--out", out, *plain]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "CHARLSTM_CACHE": str(tmp_path / "cache"), "PYTHONPATH": path}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    highest = highest_memory(process)
    assert process.returncode == 0
    assert 200 < highest < 600
