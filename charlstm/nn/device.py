"""Compute devices by their torch names, checked for availability."""

from __future__ import annotations

import torch

from charlstm.cpu import cores, processor
from charlstm.errors import UsageError


def parse_device(name: str) -> torch.device:
    """Return the torch device of a name such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: the device does not exist, or not on this machine.
    """
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise UsageError(f"no device {name!r}", hint="There are cpu, cuda, cuda:1 (and so on) and mps.")
    if kind == "cuda" and not torch.cuda.is_available():
        hint = "The README explains how to install it; `device='cpu'` works everywhere."
        raise UsageError("no CUDA GPU that this build of torch can use", hint=hint)
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(f"no device {name!r}", hint=f"The last of the GPUs is cuda:{torch.cuda.device_count() - 1}.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("no Apple GPU that torch can use", hint="`device='cpu'` works everywhere.")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return what computes on a device, for a person: ``2 cores of AMD EPYC``, or the name of a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"the GPU of {processor()}"
    count = cores()
    return f"{count} core{'s' * (count != 1)} of {processor()}"
