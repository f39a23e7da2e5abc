"""Compute devices by their torch names, checked for availability."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from charlstm.cpu import cores, processor
from charlstm.errors import UsageError
from charlstm.schemas import bad_value


def parse_device(name: str) -> torch.device:
    """Return the torch device of a name such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: the device does not exist, or not on this machine.
    """
    kind, _, number = name.partition(":") if isinstance(name, str) else ("", "", "")
    if kind not in ("cpu", "cuda", "mps") or (number and not re.fullmatch("[0-9]{1,4}", number)):
        what = f"no device {name!r:.60}" if isinstance(name, str) else bad_value("device", name, "a text")
        raise UsageError(what, hint="There are cpu, cuda, cuda:1 (and so on) and mps.")
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


@contextmanager
def without_values() -> Iterator[None]:
    """Let modules that are created here have the shapes of their parameters, without memory and initial values.

    The device ``meta`` alone is not enough: drawing values there changes nothing, but first loads torch's compiler,
    which takes two seconds.
    """
    with torch.device("meta"), _NothingDrawn():
        yield


class _NothingDrawn(TorchFunctionMode):
    """The functions of ``torch.nn.init`` leave their tensor as it is."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return func(*args, **given)
