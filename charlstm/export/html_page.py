"""Networks as one page of HTML, which opens from a disk and needs nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charlstm.checkpoint.format import Checkpoint, StoredAs, convert, write
from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.run import MODEL
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine
from charlstm.errors import UsageError
from charlstm.export.numpy_file import stored_as
from charlstm.page.site import Embedded, standalone_page
from charlstm.sampling.first_text import first_text

LARGEST = 64 << 20
"""Bytes of a page, at most: browsers stall on larger ones."""
MOST_NETWORKS = 4


@dataclass(frozen=True)
class Shared:
    """A network that goes into a page."""

    name: str
    checkpoint: Checkpoint
    units: Sequence[dict[str, Any]] = ()
    """Units with names, from `inspect.named_units`."""


def html_page(shared: Sequence[Shared], dtype: StoredAs) -> bytes:
    """Make the page.

    Args:
        shared: the networks, at most four; the first one is asked first.
        dtype: how their weights are stored.

    Returns:
        HTML.

    Raises:
        UsageError: there are too many networks, or the page would be too large.
    """
    if len(shared) > MOST_NETWORKS:
        raise UsageError(f"a page holds {MOST_NETWORKS} networks, and these are {len(shared)}")
    names = [each.name for each in shared]
    embedded = []
    for number, each in enumerate(shared):
        earlier = names[:number].count(each.name)
        name = f"{each.name} {earlier + 1}" if earlier else each.name
        facts = {
            "name": name,
            "bits_per_char": each.checkpoint.provenance.bits_per_char,
            "opening": each.checkpoint.writing.opening,
            "written": _written(each.checkpoint),
            "units": list(each.units),
        }
        embedded.append(Embedded(name, _file(each.checkpoint, dtype), facts))
    page = standalone_page(embedded).encode()
    if len(page) > LARGEST:
        what = f"the page would have {len(page) / 1e6:.0f} MB, more than browsers can open"
        raise UsageError(what, hint="Store the weights as int8, or leave a network out.")
    return page


def _written(checkpoint: Checkpoint) -> str:
    """What the page shows after the opening."""
    engine = load_engine(checkpoint)
    return "" if isinstance(engine, BidirectionalEngine) else first_text(engine, checkpoint.writing)


def _file(checkpoint: Checkpoint, dtype: StoredAs) -> bytes:
    """The file of a network, without what only the command line needs: which records its training text had."""
    small = replace(checkpoint, records=KnownRecords())
    stored = small if stored_as(small) == dtype else convert(small, dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        write(path, stored)
        return path.read_bytes()
