"""Measures the training speed and free memory of this machine, in about half a second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from charlstm.errors import UsageError
from charlstm.nn.device import parse_device
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.recurrence import RecurrentLayer

Precision = Literal["fp32", "bf16", "fp16"]

_HIDDEN, _BATCH, _TIME = 256, 16, 64
_SECONDS = 0.1
"""Duration of each measurement in seconds."""


@dataclass(frozen=True)
class Machine:
    """The facts about a machine that the automatic settings depend on."""

    device: str
    """Torch's name of the device."""
    precision: Precision
    """The fastest precision that works."""
    flops_per_second: float
    """Floating-point operations per second in the training of a mid-sized LSTM, in that precision."""
    free_memory: int
    """Free memory in bytes: of the GPU if training uses one."""
    precision_reason: str
    """Why this precision, in plain words: the measured speeds."""


def probe(device: str | None = None, precision: Precision | None = None, threads: int | None = None) -> Machine:
    """Measure this machine.

    Args:
        device: the device to measure; None prefers a CUDA GPU over the CPU.
        precision: the only precision to measure; None tries those that may be fastest.
        threads: the number of CPU threads that training will use; None if training chooses it.

    Returns:
        The machine, with the fastest precision.

    Raises:
        UsageError: the device does not exist, or does not support the precision.
    """
    device = device or best_device()
    kind = parse_device(device).type
    candidates: tuple[Precision, ...] = {"cuda": ("fp16",), "mps": ("fp32",)}.get(kind, ("fp32", "bf16"))  # type: ignore[assignment]
    speeds = {name: _speed(device, name, threads) for name in ((precision,) if precision else candidates)}
    if precision and not speeds[precision]:
        speeds[precision] = _speed(device, precision, threads, own=True)
    best = max(speeds, key=lambda name: speeds[name])
    if not speeds[best]:
        raise UsageError(
            f"{best} does not work on {device} here", hint="Leave `precision` out, or use `precision='fp32'`."
        )
    measured = ", ".join(
        f"{name} {rate / 1e9:.0f} GFLOP/s" if rate else f"{name} not supported" for name, rate in speeds.items()
    )
    return Machine(device, best, max(speeds[best], 1e9), _free_memory(device), f"measured: {measured}")


def best_device() -> str:
    """Return a CUDA GPU if there is one, else the CPU.

    An Apple GPU must be requested: without sparse gradients it cannot train n-gram embeddings.
    """
    return "cuda" if torch.cuda.is_available() else "cpu"


def _speed(device: str, precision: Precision, threads: int | None, *, own: bool = False) -> float:
    """Return the operations per second of training a 1×256 LSTM; 0 if the precision is not supported.

    With ``own`` it is our layer, which knows what oneDNN lacks; torch's own shows what is fast.

    On a CPU without a fixed number of threads, the better of all and half of the threads: training switches between the
    two as well, and on a busy machine using all can be many times slower (`charlstm.cpu`).
    """
    kind = torch.device(device).type
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    # A separate generator: the measurement must not change the random numbers of the run.
    inputs = torch.randn(_TIME, _BATCH, _HIDDEN, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.random.fork_rng(devices=[]):
        layer = (RecurrentLayer("lstm", _HIDDEN, _HIDDEN) if own else nn.LSTM(_HIDDEN, _HIDDEN)).to(device)
    more = (layer.empty_state(_BATCH), DropoutRng()) if isinstance(layer, RecurrentLayer) else ()

    def step() -> float:
        start = time.perf_counter()
        with torch.autocast(kind, dtype, enabled=precision != "fp32"):
            outputs, _ = layer(inputs, *more)
        outputs.float().sum().backward()
        if kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    most = torch.get_num_threads()
    counts = {threads} if threads else {max(1, most // 2), most} if kind == "cpu" else {most}
    medians = []
    try:
        for count in sorted(counts):
            torch.set_num_threads(count)
            step()
            times = [step()]
            while sum(times) < _SECONDS:
                times.append(step())
            medians.append(sorted(times)[len(times) // 2])
    except RuntimeError:  # oneDNN has no bf16 LSTM for this processor, or the GPU is too old
        return 0.0
    finally:
        torch.set_num_threads(most)
    return 6 * 4 * _HIDDEN * 2 * _HIDDEN * _BATCH * _TIME / min(medians)


def _free_memory(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        except (AttributeError, ValueError, OSError):  # Windows has no sysconf
            return 4 << 30
