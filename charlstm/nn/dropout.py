"""Dropout masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DropoutRng:
    """The generator of dropout masks, and the rows of the batch that this process computes.

    A mask is always drawn for the whole batch, so that a row has the same mask whatever the number of processes.

    Args:
        generator: the random generator; None is torch's global one.
        first_row: index of this process's first row in the batch.
        batch_size: rows of the whole batch; 0 means that this process has all of them.
    """

    generator: torch.Generator | None = None
    first_row: int = 0
    batch_size: int = 0

    def mask(self, like: Tensor, shape: Sequence[int], rate: float, *, batch_dim: int | None = None) -> Tensor:
        """Draw a dropout mask: 0 with probability ``rate``, else 1 / (1 - rate), so that the mean is 1.

        Args:
            like: a tensor with the device and type that the mask is to have.
            shape: the shape of the mask, for this process's rows.
            rate: the probability of dropping an element, in [0, 1).
            batch_dim: the batch axis of the mask, or None if all rows share it.

        Returns:
            The mask, of the given shape.
        """
        whole = list(shape)
        if batch_dim is not None and self.batch_size:
            whole[batch_dim] = self.batch_size
        # Always in fp32: bf16 random numbers have 256 values in [0, 1), so that a rate of 0.1 would be 0.1016.
        drawn = torch.rand(whole, dtype=torch.float32, device=like.device, generator=self.generator)
        if batch_dim is not None and self.batch_size:
            drawn = drawn.narrow(batch_dim, self.first_row, shape[batch_dim])
        return ((drawn >= rate) / (1.0 - rate)).to(like.dtype)
