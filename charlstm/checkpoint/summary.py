"""What lists and comparisons show of a checkpoint, read from its header alone."""

from __future__ import annotations

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
    cell: str | None = None
    """The kind of cell, as ``"lstm"``."""
    bidirectional: bool = False
    text: str | None = None
    """The name of the text it was trained on."""
    scored_on: str | None = None
    """Identifies the validation text: scores compare only between models that have the same."""
    fault: str | None = None
    """Why it cannot be used; None for a whole one."""
    broken: bool = False
    """Whether its model file is a bad one; a run that has only just started has a fault, but is not broken."""


def summarise(entry: RunEntry) -> Summary:
    """Summarise a run; a broken one is no error, its summary gives the reason."""
    try:
        header = read_header(entry.model)
    except CharlstmError as error:
        fault = error.what if entry.has_model else "no model yet"
        return Summary(entry.name, str(entry.model), entry.modified, fault=fault, broken=entry.has_model)
    about, shape = header.provenance, header.run.model
    return Summary(
        name=entry.name,
        path=str(entry.model),
        modified=entry.modified,
        size=header.size,
        shape=shape_of(header),
        parameters=header.parameters,
        dtype=dtype_of(header),
        val_loss=about.val_loss,
        bits_per_char=about.bits_per_char,
        bits_per_byte=about.bits_per_byte(header.tokenizer.get("kind")),
        step=about.step,
        cell=shape.cell,
        bidirectional=shape.bidirectional,
        text=about.corpus.name or None,
        scored_on=_validation_text(header),
    )


def _validation_text(header: Header) -> str | None:
    """The text by its SHA-256, and how much of its end is for validation."""
    sha256 = header.provenance.corpus.sha256
    return f"{sha256}:{header.run.data.val_fraction}" if sha256 else None


def shape_of(header: Header) -> str:
    """Return layers × features, as ``"2×256"``; ``"2×256 bi"`` is bidirectional, ``"3 of 2×256"`` an ensemble."""
    shape = header.run.model
    bidirectional = " bi" if shape.bidirectional else ""
    ensemble = f"{shape.ensemble} of " if shape.ensemble > 1 else ""
    return f"{ensemble}{shape.num_layers}×{shape.hidden_size}{bidirectional}"


def dtype_of(header: Header) -> str | None:
    """Return the type of the stored weights; all types, if there are several."""
    if header.packed:
        return "int8"  # only the biases are not
    names = sorted({LETTERS[dtype] for dtype, _ in header.tensors.values() if dtype in LETTERS})
    return "+".join(names) or None


@dataclass(frozen=True)
class Comparison:
    """How two checkpoints differ."""

    settings: dict[str, tuple[Any, Any]]
    """Each setting that differs, as ``"model.hidden_size"``, with both values; None where one has no such setting."""
    results: dict[str, tuple[Any, Any]]
    """Validation loss, size and the like, equal or not."""
    alphabet: tuple[str, str] | None
    """The characters that only the first has, and only the second; None unless both have an alphabet."""
    same_tokenizer: bool
    same_file: bool
    """Whether both have the same SHA-256."""


def compare(first: Header, second: Header) -> Comparison:
    """Compare two checkpoints by their headers.

    Args:
        first: the header whose values come first in each pair.
        second: the other header.

    Returns:
        What differs, and the results of both.
    """
    one, two = flat_settings(first), flat_settings(second)
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


def flat_settings(header: Header) -> dict[str, Any]:
    """Return all settings by full name, as ``"model.hidden_size"``; nothing is nested deeper.

    Args:
        header: the checkpoint's.
    """
    settings: dict[str, Any] = {}
    for section, values in header.run.to_plain().items():
        named = {f"{section}.{name}": value for name, value in values.items()} if isinstance(values, dict) else None
        settings.update({section: values} if named is None else named)
    return settings
