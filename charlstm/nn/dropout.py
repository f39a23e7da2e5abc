"""Where dropout masks come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DropoutRng:
    """The generator of dropout masks, and which rows of a larger batch they are for.

    A mask is drawn for the whole batch even where several processes share it, so that a row has the same mask however
    many there are.

    Args:
        generator: None is torch's own.
        first_row: the number of this process's first row in the batch.
        batch_size: rows of the whole batch; 0 means that all of them are here.
    """

    generator: torch.Generator | None = None
    first_row: int = 0
    batch_size: int = 0

    def mask(self, like: Tensor, shape: Sequence[int], rate: float, *, batch_dim: int | None = None) -> Tensor:
        """A dropout mask: 0 with probability ``rate``, else 1 / (1 - rate), so that the mean is 1.

        Args:
            like: a tensor of the device and type that the mask is to have.
            shape: of the mask for the rows that are here.
            rate: in [0, 1).
            batch_dim: the axis of the batch, if the mask has one.
        """
        whole = list(shape)
        if batch_dim is not None and self.batch_size:
            whole[batch_dim] = self.batch_size
        # In fp32 whatever the type: bf16 has 256 numbers in [0, 1), so that a rate of 0.1 would be 0.1016.
        drawn = torch.rand(whole, dtype=torch.float32, device=like.device, generator=self.generator)
        if batch_dim is not None and self.batch_size:
            drawn = drawn.narrow(batch_dim, self.first_row, shape[batch_dim])
        return ((drawn >= rate) / (1.0 - rate)).to(like.dtype)
