"""Devices by their torch names, refused in plain words when they are not there."""

from __future__ import annotations

import torch

from charlstm.errors import UsageError


def parse_device(name: str) -> torch.device:
    """The torch device of a name like ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: there is no such device, or not on this machine.
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
