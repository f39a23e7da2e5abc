"""Which records a network has read, as digests: enough to tell what is new, too little to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CorruptError

RECORDS = "records"
"""The name of the tensor."""


@dataclass(frozen=True, eq=False)
class KnownRecords:
    """A set of texts. One in 2³² / size of all other texts is taken for one of them."""

    digests: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    """Sorted, (records,)."""

    @classmethod
    def of(cls, records: Iterable[str]) -> KnownRecords:
        """The set of these texts."""
        return cls(np.unique(np.fromiter(map(_digest, records), np.uint32)))

    @classmethod
    def union(cls, several: Iterable[KnownRecords]) -> KnownRecords:
        """The set of the texts of several sets."""
        return cls(np.unique(np.concatenate([cls().digests, *(each.digests for each in several)])))

    @classmethod
    def from_tensor(cls, tensor: NDArray[Any]) -> KnownRecords:
        """Undo the storing of ``digests``.

        Raises:
            CorruptError: it is something else.
        """
        if tensor.dtype != np.uint32 or tensor.ndim != 1 or (tensor[1:] <= tensor[:-1]).any():
            raise CorruptError("its list of records cannot be read")
        return cls(tensor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownRecords) and np.array_equal(self.digests, other.digests)

    def __len__(self) -> int:
        return len(self.digests)

    def __contains__(self, text: str) -> bool:
        digest = np.uint32(_digest(text))
        place = int(np.searchsorted(self.digests, digest))
        return place < len(self.digests) and bool(self.digests[place] == digest)


def _digest(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "little")
