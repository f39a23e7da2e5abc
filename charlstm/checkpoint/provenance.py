"""The provenance of a checkpoint: what made it, from which text, and how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError
from charlstm.schemas import Schema, bad_value, parse, to_plain

Count = Annotated[int, Meta(ge=0, le=1 << 62)]
Amount = Annotated[float, Meta(ge=0, le=1e300)]


class CorpusProvenance(Schema, frozen=True, kw_only=True):
    """The text a network was trained on."""

    name: str = ""
    sha256: str = ""
    characters: Count | None = None
    """None for bytes that are not text."""
    bytes: Count | None = None
    fingerprint: str = ""
    """`corpora.read.Corpus.fingerprint`: unchanged files need not be read to be known again."""


class Provenance(Schema, frozen=True, kw_only=True):
    """The origin of the weights, and their score."""

    charlstm: str = ""
    """The version of charlstm that trained them."""
    torch: str = ""
    """The version of PyTorch."""
    command: str = ""
    """The command line, as typed."""
    created: str = ""
    """Time of writing: ISO 8601, UTC."""
    corpus: CorpusProvenance = CorpusProvenance()
    init_from: str = ""
    """The checkpoint whose weights training began with: its name and SHA-256; empty for random weights."""
    step: Count | None = None
    """Optimizer steps."""
    tokens: Count | None = None
    """Training tokens processed, over all passes."""
    seconds: Amount | None = None
    """Seconds of training."""
    val_loss: Amount | None = None
    """Nats per token on the validation text; None without one."""
    bits_per_char: Amount | None = None
    """Bits per character on the validation text; None without one."""
    weights: str = ""
    """``last`` for the weights of the last step, ``ema`` for their moving average."""
    temperature: Amount | None = None
    """The temperature fitted by calibration; the stored head is already divided by it."""
    search: str = ""
    """In a trial of `charlstm tune`: the search it belongs to."""
    trial: Count | None = None
    """The number of the trial in its search."""
    note: str = ""
    """A note added when the file was copied."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Provenance:
        """Create a provenance from plain values; unknown names, which a newer version may have added, are ignored.

        Raises:
            ConfigError: a value of the wrong type, or a number that cannot be.
        """
        known = {name: value for name, value in values.items() if name in cls.__struct_fields__}
        corpus = known.get("corpus", {})
        if not isinstance(corpus, Mapping):
            raise ConfigError(bad_value("corpus", corpus, "a table"))
        about = {name: value for name, value in corpus.items() if name in CorpusProvenance.__struct_fields__}
        return parse(cls, {**known, "corpus": about})

    def to_plain(self) -> dict[str, Any]:
        """Return the known values by name, ready for JSON."""
        return {name: value for name, value in to_plain(self).items() if value not in (None, "")}

    def bits_per_byte(self, tokenizer: object) -> float | None:
        """Bits per byte on the validation text of a model of bytes, where one token is one byte; else None.

        Args:
            tokenizer: the kind of tokenizer.
        """
        return None if tokenizer != "byte" or self.val_loss is None else self.val_loss / math.log(2)

    def replace(self, **changes: Any) -> Provenance:
        """Return a copy with some values changed."""
        return msgspec.structs.replace(self, **changes)
