"""What each side input saves: the loss of each token without it, less the loss with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import Trace, trace


def nats_saved(subject: Subject, traced: Trace) -> dict[str, NDArray[np.float64]]:
    """Read a text once more for each side input, with nothing added by it.

    Args:
        subject: the network and the text.
        traced: its trace.

    Returns:
        For each side input the nats that it saves at each token predicted; below 0 where it misleads.
    """
    saved = {}
    for name, module in subject.model.side_inputs.items():
        with _silenced(module):
            saved[name] = trace(subject.model, subject.ids).nats - traced.nats
    return saved


@contextmanager
def _silenced(module: nn.Module) -> Iterator[None]:
    """Let a module put out zeros."""

    def zeros(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        return torch.zeros_like(output)

    hook = module.register_forward_hook(zeros)
    try:
        yield
    finally:
        hook.remove()
