"""Whose turn it is: a newcomer's at once, and nobody's once nobody waits for the answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from charlstm.errors import UsageError
from charlstm.web import turns as module
from charlstm.web.turns import Busy, Closing, Job, Part, Turns


def in_a_loop(scene: Callable[[Turns], Awaitable[Any]]) -> Any:
    """Play a scene with turns of its own, and see that all threads end."""

    async def play() -> Any:
        turns = Turns()
        try:
            return await asyncio.wait_for(scene(turns), 60)
        finally:
            turns.close()
            while len(turns):
                await asyncio.sleep(0.01)

    return asyncio.run(play())


def step(job: Job, seconds: float = 0.002) -> None:
    """A step of a network: it computes, and nothing else of ours runs meanwhile."""
    job.breathe()
    time.sleep(seconds)


async def parts_of(parts: asyncio.Queue[Part]) -> list[Part]:
    """All parts of an answer, without its end."""
    found = []
    while (part := await parts.get()) is not None:
        found.append(part)
    return found


def test_one_computes_at_a_time() -> None:
    inside: list[int] = []
    most = []

    def work(job: Job) -> bytes:
        for _ in range(40):
            job.breathe()
            inside.append(job.number)
            most.append(len(inside))
            time.sleep(0.0005)
            inside.pop()
        return b"done"

    async def scene(turns: Turns) -> list[list[Part]]:
        queues: list[asyncio.Queue[Part]] = [asyncio.Queue() for _ in range(5)]
        for queue in queues:
            turns.begin(work, queue.put_nowait)
        return [await parts_of(queue) for queue in queues]

    assert in_a_loop(scene) == [[b"done"]] * 5
    assert max(most) == 1


def test_who_has_had_least_goes_first() -> None:
    """Long requests are under way; a short one that comes later is through long before them."""
    ended = []

    def work(steps: int) -> Callable[[Job], None]:
        def run(job: Job) -> None:
            for _ in range(steps):
                step(job)
            ended.append(steps)

        return run

    async def scene(turns: Turns) -> float:
        waiting: list[asyncio.Queue[Part]] = [asyncio.Queue() for _ in range(7)]
        for queue in waiting[:-1]:
            turns.begin(work(200), queue.put_nowait)
        await asyncio.sleep(0.3)
        began = time.perf_counter()
        turns.begin(work(10), waiting[-1].put_nowait)
        await parts_of(waiting[-1])
        seconds = time.perf_counter() - began
        for queue in waiting[:-1]:
            await parts_of(queue)
        return seconds

    seconds = in_a_loop(scene)
    assert ended == [10] + [200] * 6
    assert seconds < 0.4, "ten steps of its own, and the rest of a turn; the others need 2.4 s"


def test_who_asks_for_little_goes_before_many_that_come_with_it_and_ask_for_much() -> None:
    ended = []

    def work(tokens: int, steps: int) -> Callable[[Job], None]:
        def run(job: Job) -> None:
            job.tokens = tokens
            for _ in range(steps):
                step(job)
            ended.append(tokens)

        return run

    async def scene(turns: Turns) -> None:
        queues: list[asyncio.Queue[Part]] = [asyncio.Queue() for _ in range(9)]
        for queue in queues[:-1]:
            turns.begin(work(20_000, 40), queue.put_nowait)
        turns.begin(work(16, 20), queues[-1].put_nowait)
        for queue in queues:
            await parts_of(queue)

    in_a_loop(scene)
    assert ended == [16] + [20_000] * 8


def test_equals_share() -> None:
    """Of two that began together neither is far ahead at any time."""
    counts = [0, 0]
    apart = []

    def work(which: int) -> Callable[[Job], None]:
        def run(job: Job) -> None:
            for _ in range(100):
                step(job, 0.001)
                counts[which] += 1
                apart.append(abs(counts[0] - counts[1]))

        return run

    async def scene(turns: Turns) -> None:
        queues: list[asyncio.Queue[Part]] = [asyncio.Queue() for _ in range(2)]
        for which, queue in enumerate(queues):
            turns.begin(work(which), queue.put_nowait)
        for queue in queues:
            await parts_of(queue)

    in_a_loop(scene)
    assert counts == [100, 100]
    assert max(apart[:-20]) < 50


def test_a_job_that_is_stopped_takes_no_further_step() -> None:
    steps = 0

    def work(job: Job) -> None:
        nonlocal steps
        while True:
            step(job)
            steps += 1

    async def scene(turns: Turns) -> None:
        parts: asyncio.Queue[Part] = asyncio.Queue()
        job = turns.begin(work, parts.put_nowait)
        await asyncio.sleep(0.05)
        turns.stop(job)
        before = steps
        assert await parts_of(parts) == []
        assert steps <= before + 1
        assert len(turns) == 0

    in_a_loop(scene)


def test_one_that_waits_for_its_turn_is_stopped_too() -> None:
    begun = threading.Event()

    def holds(job: Job) -> None:
        job.breathe()
        begun.set()
        time.sleep(0.5)

    async def scene(turns: Turns) -> float:
        first: asyncio.Queue[Part] = asyncio.Queue()
        second: asyncio.Queue[Part] = asyncio.Queue()
        turns.begin(holds, first.put_nowait)
        await asyncio.to_thread(begun.wait)
        job = turns.begin(step, second.put_nowait)  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        began = time.perf_counter()
        turns.stop(job)
        await parts_of(second)
        seconds = time.perf_counter() - began
        await parts_of(first)
        third: asyncio.Queue[Part] = asyncio.Queue()
        turns.begin(lambda job: job.breathe() or b"its turn", third.put_nowait)  # type: ignore[func-returns-value]
        assert await parts_of(third) == [b"its turn"]
        return seconds

    assert in_a_loop(scene) < 0.3


def test_what_waits_for_a_lock_lets_others_compute_and_can_be_stopped() -> None:
    lock = threading.Lock()

    def waits(job: Job) -> bytes:
        job.breathe()
        with job.holding(lock):
            return b"held"

    async def scene(turns: Turns) -> None:
        queues: list[asyncio.Queue[Part]] = [asyncio.Queue() for _ in range(3)]
        with lock:
            first, second = (turns.begin(waits, queue.put_nowait) for queue in queues[:2])
            await asyncio.sleep(0.05)
            turns.begin(lambda job: job.breathe() or b"computed", queues[2].put_nowait)  # type: ignore[func-returns-value]
            assert await parts_of(queues[2]) == [b"computed"]
            turns.stop(first)
            assert await parts_of(queues[0]) == []
        assert await parts_of(queues[1]) == [b"held"]
        assert not second.stopped

    in_a_loop(scene)


def test_there_are_only_so_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES", 3)
    go = threading.Event()

    async def scene(turns: Turns) -> None:
        queues: list[asyncio.Queue[Part]] = [asyncio.Queue() for _ in range(4)]
        for queue in queues[:3]:
            turns.begin(lambda job: go.wait() and b"", queue.put_nowait)
        with pytest.raises(Busy, match="3 requests are under way"):
            turns.begin(lambda job: b"", queues[3].put_nowait)
        go.set()
        for queue in queues[:3]:
            await parts_of(queue)
        turns.begin(lambda job: b"now", queues[3].put_nowait)
        assert await parts_of(queues[3]) == [b"now"]

    in_a_loop(scene)


def test_an_error_is_part_of_the_answer_and_frees_the_place() -> None:
    def fails(job: Job) -> None:
        job.breathe()
        job.send(b"before")
        raise KeyError("ours")

    async def scene(turns: Turns) -> None:
        parts: asyncio.Queue[Part] = asyncio.Queue()
        turns.begin(fails, parts.put_nowait)
        before, fault = await parts_of(parts)
        assert before == b"before"
        assert isinstance(fault, KeyError)
        assert len(turns) == 0

    in_a_loop(scene)


def test_nobody_computes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.05)

    def work(job: Job) -> None:
        while True:
            step(job)

    async def scene(turns: Turns) -> list[Part]:
        parts: asyncio.Queue[Part] = asyncio.Queue()
        turns.begin(work, parts.put_nowait)
        return await parts_of(parts)

    (fault,) = in_a_loop(scene)
    assert isinstance(fault, UsageError)
    assert "Ask for less" in str(fault)


def test_after_the_end_nothing_begins_and_all_that_runs_is_told() -> None:
    async def scene(turns: Turns) -> None:
        parts: asyncio.Queue[Part] = asyncio.Queue()

        def work(job: Job) -> None:
            while True:
                step(job)

        turns.begin(work, parts.put_nowait)
        await asyncio.sleep(0.02)
        turns.close()
        (fault,) = await parts_of(parts)
        assert isinstance(fault, Closing)
        with pytest.raises(Closing):
            turns.begin(work, parts.put_nowait)

    in_a_loop(scene)
