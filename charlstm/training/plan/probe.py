"""What this machine can do, measured in about a second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from charlstm.errors import UsageError
from charlstm.nn.device import parse_device

Precision = Literal["fp32", "bf16", "fp16"]

_HIDDEN, _BATCH, _TIME = 256, 16, 64
_SECONDS = 0.25
"""Of each measurement."""


@dataclass(frozen=True)
class Machine:
    """What the automatic settings need to know of a machine."""

    device: str
    """As torch names it."""
    precision: Precision
    """The fastest that works."""
    flops: float
    """Floating-point operations a second that training a mid-sized LSTM reaches in that precision."""
    memory: int
    """Bytes of memory free for training; of the GPU where there is one."""
    reason: str
    """How that was found, in plain words."""


def probe(device: str | None = None, precision: Precision | None = None, threads: int | None = None) -> Machine:
    """Measure the machine.

    Args:
        device: measure this device; None takes a GPU where there is one.
        precision: measure only this precision; None tries those that may be fastest.
        threads: of a CPU, that training will have; None leaves it the choice.

    Raises:
        UsageError: there is no such device, or the precision cannot be used on it.
    """
    device = device or best_device()
    kind = parse_device(device).type
    tried: tuple[Precision, ...] = {"cuda": ("fp16",), "mps": ("fp32",)}.get(kind, ("fp32", "bf16"))  # type: ignore[assignment]
    speeds = {name: _speed(device, name, threads) for name in ((precision,) if precision else tried)}
    best = max(speeds, key=lambda name: speeds[name])
    if not speeds[best]:
        raise UsageError(
            f"{best} does not work on {device} here", hint="Leave `precision` out, or use `precision='fp32'`."
        )
    told = ", ".join(
        f"{name} {rate / 1e9:.0f} GFLOP/s" if rate else f"{name} not supported" for name, rate in speeds.items()
    )
    return Machine(device, best, max(speeds[best], 1e9), _free_memory(device), f"measured: {told}")


def best_device() -> str:
    """A CUDA GPU, else the CPU: Apple's GPUs know no sparse gradients, so no n-grams, and are taken when asked for."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _speed(device: str, precision: Precision, threads: int | None) -> float:
    """Operations a second of training a 1×256 LSTM; 0 where it cannot run.

    On a CPU, unless the number of threads is given, the better of all and half of them: training chooses between them
    too, and on a busy machine all of them can be many times slower (`charlstm.cpu`).
    """
    kind = torch.device(device).type
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    # A generator of its own: measuring must not disturb the run's random numbers.
    inputs = torch.randn(_TIME, _BATCH, _HIDDEN, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.random.fork_rng(devices=[]):
        model = nn.LSTM(_HIDDEN, _HIDDEN).to(device)

    def step() -> float:
        began = time.perf_counter()
        with torch.autocast(kind, dtype, enabled=precision != "fp32"):
            outputs, _ = model(inputs)
        outputs.float().sum().backward()
        if kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

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
