"""What lists and comparisons show of a checkpoint, from its header alone: plain data, however odd the file.

A file from elsewhere may hold anything, so every value is taken only if it is of the type it should be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from charlstm.checkpoint.format import Header, read_header
from charlstm.checkpoint.run import RunEntry
from charlstm.errors import CharlstmError

LETTERS = {"F64": "float64", "F32": "float32", "F16": "float16"}


@dataclass(frozen=True)
class Summary:
    """One run in a list."""

    name: str
    path: str
    modified: float
    """Seconds since 1970."""
    size: int | None = None
    """Bytes of the model file."""
    shape: str | None = None
    """Layers × features, as ``"2×256"``."""
    parameters: int | None = None
    dtype: str | None = None
    val_loss: float | None = None
    """Nats per token."""
    bits_per_char: float | None = None
    """Bits per character of the validation text."""
    bits_per_byte: float | None = None
    """Bits per byte of the validation text; only of a model of bytes, whose data may have no characters."""
    step: int | None = None
    fault: str | None = None
    """Why it cannot be used; None for a whole one."""
    broken: bool = False
    """Whether there is a file, and it is a bad one; a run that has just begun has a fault, but is not broken."""


def summarise(entry: RunEntry) -> Summary:
    """One run in short; a broken one with the reason, never an error."""
    try:
        header = read_header(entry.model)
    except CharlstmError as error:
        fault = error.what if entry.has_model else "no model yet"
        return Summary(entry.name, str(entry.model), entry.modified, fault=fault, broken=entry.has_model)
    return Summary(
        name=entry.name,
        path=str(entry.model),
        modified=entry.modified,
        size=header.size,
        shape=shape_of(header),
        parameters=header.parameters,
        dtype=dtype_of(header),
        val_loss=header.provenance.val_loss,
        bits_per_char=header.provenance.bits_per_char,
        bits_per_byte=bits_per_byte(header.tokenizer.get("kind"), header.provenance.val_loss),
        step=header.provenance.step,
    )


def bits_per_byte(kind: Any, val_loss: Any) -> float | None:
    """Bits per byte of the validation text, for a model of bytes: one token is one byte there; None for others."""
    nats = number(val_loss)
    return None if kind != "byte" or nats is None else nats / math.log(2)


def shape_of(header: Header) -> str:
    """Layers × features, as ``"2×256"``; ``"2×256 bi"`` is bidirectional, ``"3 of 2×256"`` is an ensemble."""
    model = header.run.model
    bidirectional = " bi" if model.bidirectional else ""
    members = f"{model.ensemble} of " if model.ensemble > 1 else ""
    return f"{members}{model.num_layers}×{model.hidden_size}{bidirectional}"


def dtype_of(header: Header) -> str | None:
    """The type the weights are stored as; of several, all."""
    names = sorted({LETTERS[dtype] for dtype, _ in header.tensors.values() if dtype in LETTERS})
    return "+".join(names) or None


def number(value: Any) -> float | None:
    """The value if it is a finite number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e300 and math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """The value if it is a whole number, not negative."""
    return value if type(value) is int and value >= 0 else None


@dataclass(frozen=True)
class Comparison:
    """How two checkpoints differ."""

    settings: dict[str, tuple[Any, Any]]
    """Each setting that differs, as ``"model.hidden_size"``, with both values; None where there is none."""
    results: dict[str, tuple[Any, Any]]
    """Validation loss, size and the like, equal or not."""
    alphabet: tuple[str, str] | None
    """The characters only the first has, and only the second; None unless both have an alphabet."""
    same_tokenizer: bool
    same_file: bool
    """Whether both carry the same SHA-256."""


def compare(first: Header, second: Header) -> Comparison:
    """How two checkpoints differ, by their headers."""
    one, two = dict(_flat(first.run.to_plain())), dict(_flat(second.run.to_plain()))
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    results = {name: (value, _results(second)[name]) for name, value in _results(first).items()}
    return Comparison(
        settings={name: (one.get(name), two.get(name)) for name in names},
        results=results,
        alphabet=_alphabets(first, second),
        same_tokenizer=first.tokenizer == second.tokenizer,
        same_file=first.sha256 == second.sha256,
    )


def _results(header: Header) -> dict[str, Any]:
    return {
        "val_loss": header.provenance.val_loss,
        "bits_per_char": header.provenance.bits_per_char,
        "step": header.provenance.step,
        "tokens": header.provenance.tokens,
        "seconds": header.provenance.seconds,
        "parameters": header.parameters,
        "dtype": dtype_of(header),
        "size": header.size,
        "corpus": header.provenance.corpus.name or None,
    }


def _alphabets(first: Header, second: Header) -> tuple[str, str] | None:
    one, two = first.tokenizer.get("alphabet"), second.tokenizer.get("alphabet")
    if not isinstance(one, str) or not isinstance(two, str):
        return None
    return "".join(sorted(set(one) - set(two))), "".join(sorted(set(two) - set(one)))


def _flat(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings by full name: sections hold settings, and nothing lies deeper."""
    for section, values in settings.items():
        if isinstance(values, dict):
            yield from ((f"{section}.{name}", value) for name, value in values.items())
        else:
            yield section, values
