"""Where a checkpoint comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from charlstm.errors import ConfigError
from charlstm.schemas import Schema, bad_value, parse, to_plain


class CorpusProvenance(Schema, frozen=True, kw_only=True):
    """The text a network was trained on."""

    name: str = ""
    sha256: str = ""
    characters: int | None = None
    """None for a file of bytes that are no text."""
    bytes: int | None = None
    fingerprint: str = ""
    """`corpora.read.Corpus.fingerprint`: unchanged files need not be read to be known again."""


class Provenance(Schema, frozen=True, kw_only=True):
    """Where weights come from, and how good they are."""

    charlstm: str = ""
    """The version that trained them."""
    torch: str = ""
    """The version of PyTorch."""
    command: str = ""
    """As it was typed."""
    created: str = ""
    """When the file was written: ISO 8601, UTC."""
    corpus: CorpusProvenance = CorpusProvenance()
    step: int | None = None
    """Steps of the optimizer."""
    tokens: int | None = None
    """Tokens trained on, each as often as it was read."""
    seconds: float | None = None
    """Of training."""
    val_loss: float | None = None
    """Nats per token of the validation text; None where there was none."""
    bits_per_char: float | None = None
    """Bits per character of the validation text."""
    weights: str = ""
    """``last`` or ``ema``: which of the weights these are."""
    temperature: float | None = None
    """What the logits were divided by so that probabilities are as sure as they may be; it is part of the weights."""
    search: str = ""
    """Of a trial of `charlstm tune`: which search it belongs to."""
    trial: int | None = None
    """Its number there."""
    note: str = ""
    """What whoever copied the file wrote about it."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Provenance:
        """Check plain values and make a provenance of them; names that a newer version may have added are left out.

        Raises:
            ConfigError: a value of the wrong type.
        """
        known = {name: value for name, value in values.items() if name in cls.__struct_fields__}
        corpus = known.get("corpus", {})
        if not isinstance(corpus, Mapping):
            raise ConfigError(bad_value("corpus", corpus, "a table"))
        about = {name: value for name, value in corpus.items() if name in CorpusProvenance.__struct_fields__}
        return parse(cls, {**known, "corpus": about})

    def to_plain(self) -> dict[str, Any]:
        """What is known, by name, ready for JSON."""
        return {name: value for name, value in to_plain(self).items() if value not in (None, "")}

    def replace(self, **changes: Any) -> Provenance:
        """The same with some values changed."""
        return msgspec.structs.replace(self, **changes)
