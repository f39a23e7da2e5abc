"""Checkpoints: tensors, settings, tokenizer and provenance of a network in one file.

The names and shapes of a model's tensors are those of `nn.shapes.tensor_shapes`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint import container, int8
from charlstm.checkpoint.known import RECORDS, KnownRecords
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.upgrade import upgraded_config, upgraded_provenance, upgraded_tensors
from charlstm.checkpoint.words import WORDS, pack_words, unpack_words
from charlstm.checkpoint.writing import Writing
from charlstm.config import RunConfig
from charlstm.errors import ConfigError, CorruptError, IncompatibleError, UsageError
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import tensor_shapes
from charlstm.schemas import as_in_file
from charlstm.tokenizers import Tokenizer, from_state

FORMAT_VERSION = 2
KINDS = ("model", "resume")

StoredAs = Literal["float32", "float16", "int8"]
"""How the weights of a model can be stored; readers compute in float32 whatever it is."""

_UPGRADE = "Upgrade charlstm: pip install --upgrade charlstm."
_SECTIONS = ("config", "tokenizer", "provenance")
_OPTIONAL = ("writing",)
_FOREIGN = "Only networks that charlstm has trained can be read: weights alone do not say how to compute with them."


@dataclass(frozen=True)
class Checkpoint:
    """The content of one checkpoint file."""

    kind: str
    """``"model"``: everything that sampling needs; or ``"resume"``: everything that an exact resume needs."""
    tensors: dict[str, NDArray[Any]]
    run: RunConfig
    """The settings of the run."""
    tokenizer: dict[str, Any]
    """The state of the tokenizer, from `Tokenizer.to_state`."""
    provenance: Provenance
    cursor: dict[str, Any] = field(default_factory=dict)
    """In a resume file, the position of the run: see `training.snapshot.Cursor`."""
    sha256: str = ""
    """SHA-256 of the whole file; set by `read`."""
    writing: Writing = field(default_factory=Writing)
    """How it writes unless it is told otherwise."""
    words: tuple[str, ...] = ()
    """The words of the training text, sorted, so that a network can be made to write no others; in a resume file those
    of the network that the run began with."""
    records: KnownRecords = field(default_factory=KnownRecords)
    """The records of the training text, if it is a list of them."""
    is_int8: bool = False
    """Whether the file stores the matrices as 8-bit integers; ``tensors`` are float32 even so."""

    def __repr__(self) -> str:
        return f"<Checkpoint {self.run.name}: {self.kind}, {len(self.tensors)} tensors>"

    @property
    def architecture(self) -> Architecture:
        """The architecture of the network."""
        return self.run.model

    def load_tokenizer(self) -> Tokenizer:
        """Return the tokenizer; it is created once.

        Raises:
            CorruptError: its state is invalid.
        """
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return from_state(self.tokenizer)


@dataclass(frozen=True)
class Header:
    """A checkpoint without the values of its tensors, as lists of checkpoints show it."""

    kind: str
    run: RunConfig
    tokenizer: dict[str, Any]
    provenance: Provenance
    sha256: str
    """SHA-256 as stored in the file; not verified."""
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    """The type of each tensor, such as ``"F32"``, and its shape."""
    size: int
    """Size of the file in bytes."""
    writing: Writing = field(default_factory=Writing)
    """How it writes unless it is told otherwise."""
    packed: tuple[str, ...] = ()
    """The tensors stored as 8-bit integers with scales; the scales are not in ``tensors``."""

    @property
    def parameters(self) -> int:
        """The number of elements of all tensors."""
        return sum(math.prod(shape) for _, shape in self.tensors.values())

    def to_plain(self) -> dict[str, Any]:
        """Everything by name, ready for JSON."""
        plain = {"kind": self.kind, "config": self.run.to_plain(), "tokenizer": self.tokenizer}
        plain |= {"provenance": self.provenance.to_plain(), "writing": self.writing.to_plain(), "sha256": self.sha256}
        return {**plain, "tensors": self.tensors, "size": self.size}


def write(path: Path, checkpoint: Checkpoint) -> str:
    """Write a checkpoint atomically: the previous file stays until the new one is safely on the disk.

    Args:
        path: the file.
        checkpoint: its content.

    Returns:
        The file's SHA-256. The same checkpoint always gives the same file.

    Raises:
        StorageError: the disk is full or read-only, or permission is denied.
        ValueError: the tokenizer or the cursor contain a value that JSON cannot represent, such as NaN.
    """
    provenance = checkpoint.provenance.to_plain()
    if checkpoint.cursor:
        provenance["cursor"] = checkpoint.cursor
    sections = {"config": checkpoint.run.to_plain(), "tokenizer": checkpoint.tokenizer, "provenance": provenance}
    metadata = {"format": "charlstm", "version": str(FORMAT_VERSION), "kind": checkpoint.kind}
    # ASCII only, so that even a lone surrogate in an alphabet survives a round trip.
    if checkpoint.kind == "model":
        sections["writing"] = checkpoint.writing.to_plain()
    metadata |= {name: json.dumps(section, allow_nan=False) for name, section in sections.items()}
    tensors = int8.pack(checkpoint.tensors) if checkpoint.is_int8 else checkpoint.tensors
    if checkpoint.words:
        tensors = {**tensors, WORDS: pack_words(checkpoint.words)}
    if len(checkpoint.records):
        tensors = {**tensors, RECORDS: checkpoint.records.digests}
    return container.write(path, tensors, metadata)


def read(path: Path, kind: str | None = None) -> Checkpoint:
    """Read a checkpoint and check its SHA-256 and its settings.

    Args:
        path: the file.
        kind: the required kind, ``"model"`` or ``"resume"``; None accepts both.

    Returns:
        The checkpoint; its arrays are writable.

    Raises:
        NotFoundError: the file does not exist.
        CorruptError: the file is empty, truncated, changed by even one bit, or not a checkpoint.
        IncompatibleError: an incompatible version of charlstm wrote it, or it is of the other kind.
        StorageError: the file cannot be read.
    """
    with container.opened(path) as file:
        raw = container.read_header(file, path)
        actual_kind, version, sections = _identify(raw.metadata, path)
        if kind not in (None, actual_kind):
            raise IncompatibleError(
                f"a {actual_kind} file, where a {kind} file is needed",
                where=path,
                hint=f"Look for {kind}.safetensors beside it.",
            )
        if actual_kind == "resume" and version < FORMAT_VERSION:
            what = "an earlier charlstm began this run, and this one cannot resume it"
            raise IncompatibleError(what, where=path, hint="Begin a new run from the model beside it.")
        run, provenance, writing = _settings(sections, path), _provenance(sections, path), _writing(sections, path)
        stored = upgraded_tensors(version, container.read_tensors(file, raw, path))
        is_model = actual_kind == "model"
        words = unpack_words(stored.pop(WORDS)) if WORDS in stored else ()
        records = KnownRecords.from_tensor(stored.pop(RECORDS)) if is_model and RECORDS in stored else KnownRecords()
    tensors = int8.unpack(stored)
    cursor = sections["provenance"].get("cursor", {})
    sha256 = raw.metadata["sha256"]
    is_int8 = len(tensors) < len(stored)
    return Checkpoint(
        actual_kind, tensors, run, sections["tokenizer"], provenance, cursor, sha256, writing, words, records, is_int8
    )


def read_header(path: Path) -> Header:
    """Read everything but the tensors, without checking the SHA-256: fast even for a large file.

    Raises:
        NotFoundError, CorruptError, IncompatibleError, StorageError: as `read`.
    """
    with container.opened(path) as file:
        raw = container.read_header(file, path)
    kind, version, sections = _identify(raw.metadata, path)
    run, provenance, writing = _settings(sections, path), _provenance(sections, path), _writing(sections, path)
    stored = upgraded_tensors(version, raw.tensors)
    if kind == "model":
        for extra in (WORDS, RECORDS):
            stored.pop(extra, None)
    packed = tuple(int8.packed_names({name: (dtype == "I8", shape) for name, (dtype, shape) in stored.items()}))
    tensors, sha256 = int8.without_scales(stored, packed), raw.metadata.get("sha256", "")
    return Header(kind, run, sections["tokenizer"], provenance, sha256, tensors, raw.size, writing, packed)


def read_model_header(path: Path) -> Header:
    """Read the header of a model and check everything that `check_model` checks, but the values of the tensors.

    Raises:
        NotFoundError, CorruptError, IncompatibleError, StorageError: as `read` and `check_model`.
    """
    header = read_header(path)
    if header.kind == "model":
        layout = {
            name: (dtype.startswith(("F", "BF")) or name in header.packed, shape)
            for name, (dtype, shape) in header.tensors.items()
        }
        _check_layout(header.run.model, layout, path)
        _check_tokenizer(header.run.model, lambda: from_state(header.tokenizer), path)
    return header


def read_model(path: Path) -> Checkpoint:
    """Read a model and check it with `check_model`."""
    checkpoint = read(path, kind="model")
    check_model(checkpoint, path)
    return checkpoint


def verify(path: Path) -> Checkpoint:
    """Check every bit of a file, and the tensors and the tokenizer of a model.

    Raises:
        NotFoundError, CorruptError, IncompatibleError, StorageError: as `read` and `check_model`.
    """
    checkpoint = read(path)
    if checkpoint.kind == "model":
        check_model(checkpoint, path)
    return checkpoint


def check_model(checkpoint: Checkpoint, path: Path | str = "") -> None:
    """Check that a model has exactly the tensors of its architecture, all finite, and a tokenizer of the right size.

    Args:
        checkpoint: a checkpoint of the kind ``"model"``.
        path: the file it came from, for the error message.

    Raises:
        CorruptError: a tensor is missing, unexpected or not finite, or has the wrong shape; or the tokenizer has
            another size.
    """
    layout = {name: (tensor.dtype.kind == "f", tensor.shape) for name, tensor in checkpoint.tensors.items()}
    _check_layout(checkpoint.architecture, layout, path)
    for name, tensor in checkpoint.tensors.items():
        if not np.isfinite(tensor).all():
            raise CorruptError(f"tensor {name!r} holds numbers that are not finite", where=path)
    check_tokenizer(checkpoint, path)


def _check_layout(
    architecture: Architecture, layout: Mapping[str, tuple[bool, tuple[int, ...]]], path: Path | str
) -> None:
    """Check the tensors: by name whether each holds floating-point numbers, and its shape."""
    # Each layer has tensors: a corrupt number of layers must not cause a loop over a million of them.
    if architecture.num_layers > len(layout):
        raise CorruptError(f"its settings name {architecture.num_layers} layers, more than it holds", where=path)
    expected = dict(tensor_shapes(architecture))
    odd = sorted(expected.keys() ^ layout.keys())
    if odd:
        fault = "is missing" if odd[0] in expected else "does not belong to a model of these settings"
        raise CorruptError(f"tensor {odd[0]!r:.80} {fault}", where=path)
    for name, shape in expected.items():
        is_float, actual = layout[name]
        if actual != shape:
            raise CorruptError(f"tensor {name!r} has the shape {actual}, not {shape}", where=path)
        if not is_float:
            raise CorruptError(f"tensor {name!r} does not hold floating-point numbers", where=path)


def check_causal(checkpoint: Checkpoint, path: Path | str = "", *, lacking: str = "cannot write") -> None:
    """Check that a model is causal.

    Args:
        checkpoint: the model.
        path: the file it came from, for the error message.
        lacking: what the caller needs and a bidirectional network cannot do, for the error message.

    Raises:
        IncompatibleError: the model is bidirectional.
    """
    if checkpoint.architecture.bidirectional:
        raise IncompatibleError(
            f"this network is bidirectional: it fills blanks, and {lacking}",
            where=path,
            hint="Fill blanks with `charlstm fill`, or train a network without `bidirectional`.",
        )


def convert(checkpoint: Checkpoint, dtype: StoredAs) -> Checkpoint:
    """Convert the weights of a model to another type; readers compute in float32 anyway.

    Args:
        checkpoint: the checkpoint to convert; it is not changed.
        dtype: the new type.

    Returns:
        The converted checkpoint.

    Raises:
        UsageError: a weight is too large for ``dtype``.
    """
    if dtype == "int8":
        tensors = int8.unpack(int8.pack(checkpoint.tensors))
        return replace(checkpoint, tensors=tensors, sha256="", is_int8=True)
    tensors = dict(checkpoint.tensors)
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f":
            with np.errstate(over="ignore"):
                tensors[name] = tensor.astype(dtype)
            if not np.array_equal(np.isfinite(tensors[name]), np.isfinite(tensor)):
                raise UsageError(f"tensor {name!r} has weights too large for {dtype}", hint="Keep float32.")
    return replace(checkpoint, tensors=tensors, sha256="", is_int8=False)


def check_tokenizer(checkpoint: Checkpoint, path: Path | str = "") -> None:
    """Check that the tokenizer can be used and has the size that the settings say.

    Args:
        checkpoint: a model or a resume file.
        path: the file it came from, for the error message.

    Raises:
        CorruptError: it cannot, or has another.
    """
    _check_tokenizer(checkpoint.architecture, checkpoint.load_tokenizer, path)


def _check_tokenizer(architecture: Architecture, load: Callable[[], Tokenizer], path: Path | str) -> None:
    vocab_size = architecture.vocab_size
    try:
        actual_size = load().vocab_size
    except CorruptError as fault:
        raise CorruptError(fault.what, where=path) from fault
    if vocab_size != actual_size:
        raise CorruptError(f"its tokenizer has {actual_size} tokens, its settings say {vocab_size}", where=path)


def _settings(sections: dict[str, Any], path: Path) -> RunConfig:
    try:
        return RunConfig.from_plain(sections["config"])
    except ConfigError as fault:
        hint = "A newer charlstm may know them. `charlstm checkpoints verify` tells whether a file is damaged."
        raise IncompatibleError(
            f"settings that cannot be used: {as_in_file(fault.what)}", where=path, hint=hint
        ) from fault


def _provenance(sections: dict[str, Any], path: Path) -> Provenance:
    try:
        return Provenance.from_plain(sections["provenance"])
    except ConfigError as fault:
        raise CorruptError(f"its provenance cannot be read: {as_in_file(fault.what)}", where=path) from fault


def _writing(sections: dict[str, Any], path: Path) -> Writing:
    try:
        return Writing.from_plain(sections["writing"])
    except ConfigError as fault:
        raise CorruptError(f"its settings of writing cannot be read: {as_in_file(fault.what)}", where=path) from fault


def _writer(metadata: dict[str, str]) -> str:
    """Which charlstm wrote a file of a newer format, as far as it says so in a way that can be read."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        version = json.loads(metadata["provenance"])["charlstm"]
        if re.fullmatch(r"\d[\w.+-]{0,30}", version, re.ASCII):
            return f"charlstm {version}"
    return "a newer charlstm"


def _identify(metadata: dict[str, str], path: Path) -> tuple[str, int, dict[str, Any]]:
    """Return the kind, the format version and the JSON sections; raise unless they are a checkpoint's."""
    if metadata.get("format") != "charlstm":
        hint = "Its header was changed." if set(_SECTIONS) <= set(metadata) else _FOREIGN
        raise CorruptError("a safetensors file, but not one of charlstm's", where=path, hint=hint)
    number = metadata.get("version", "")
    if not (number.isascii() and number.isdigit()) or len(number) > 9 or int(number) < 1:
        raise CorruptError("its header cannot be read: no format version", where=path)
    version = int(number)
    if version > FORMAT_VERSION:
        what = f"written by {_writer(metadata)} (format {version}; this one reads {FORMAT_VERSION})"
        raise IncompatibleError(what, where=path, hint=_UPGRADE)
    sections: dict[str, Any] = {}
    try:
        for name in (*_SECTIONS, *_OPTIONAL):
            sections[name] = json.loads(metadata[name] if name in _SECTIONS else metadata.get(name, "{}"))
            if not isinstance(sections[name], dict):
                raise TypeError(name)
        if metadata["kind"] not in KINDS:
            raise ValueError("there is no such kind of file")
    except (KeyError, TypeError, ValueError, RecursionError) as fault:
        raise CorruptError("its header cannot be read: damaged, or incomplete", where=path) from fault
    sections["config"] = upgraded_config(version, sections["config"])
    sections["provenance"] = upgraded_provenance(version, sections["provenance"])
    return metadata["kind"], version, sections
