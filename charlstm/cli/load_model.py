"""From what a person types to a loaded model and a prompt it can read: shared by sample, write and fill."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from charlstm.cli.options import DEFAULT_ROOT
from charlstm.cli.views.terminal import is_terminal, measured, say
from charlstm.errors import EncodingError, NotFoundError, StorageError, UsageError
from charlstm.paths import starter_folder

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.checkpoint.known import KnownRecords
    from charlstm.checkpoint.writing import Writing
    from charlstm.engine.products import Precision
    from charlstm.engine.protocol import TextModel
    from charlstm.tokenizers import Tokenizer


class HasTokenizer(Protocol):
    """A network with its tokenizer, whatever it can do."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer it was trained with."""


_Model = TypeVar("_Model", bound=HasTokenizer)
_Piece = TypeVar("_Piece", str, bytes)


@dataclass(frozen=True)
class Loaded(Generic[_Model]):
    """A model and the file it was read from."""

    path: Path
    checkpoint: Checkpoint
    model: _Model
    precision: Precision = "fp32"
    """Of the products in its recurrent layers."""

    @property
    def newlines(self) -> Literal["normalise", "keep"]:
        """What training did with CR LF, so that a prompt is read the same way."""
        return self.checkpoint.run.data.newlines

    @property
    def writing(self) -> Writing:
        """How it writes unless it is told otherwise."""
        return self.checkpoint.writing

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its training text."""
        return self.checkpoint.words

    @property
    def records(self) -> KnownRecords:
        """The records of its training text, if that is a list."""
        return self.checkpoint.records

    @property
    def origin(self) -> dict[str, Any]:
        """Where it is from, and how it computes, for JSON."""
        return {"checkpoint": str(self.path), "sha256": self.checkpoint.sha256, "precision": self.precision}

    @property
    def name(self) -> str:
        """Where it is, and how good it is: ``checkpoints/english-1 (1.92 bits/character)``."""
        provenance = self.checkpoint.provenance
        bits, unit = provenance.bits_per_byte(self.model.tokenizer.kind), "byte"
        if bits is None:
            bits, unit = provenance.bits_per_char, "character"
        sides = ", both sides seen" if self.checkpoint.architecture.bidirectional else ""
        quality = "" if bits is None else f" ({measured(bits, 2)} bits/{unit}{sides})"
        return f"{place_of(self.path)}{quality}"


def place_of(model: Path) -> str:
    """What messages call a model: ``the starter``, the folder of its run, or its file.

    Args:
        model: its file.
    """
    if model.parent == starter_folder():
        return "the starter"
    return str(model.parent if model.name == "model.safetensors" else model)


class Writer(Protocol):
    """A model to write with, and what it needs for that: `Loaded`, or `load_mix.LoadedMix`."""

    @property
    def model(self) -> TextModel:
        """The network, or several."""

    @property
    def precision(self) -> Precision:
        """See `Loaded`."""

    @property
    def newlines(self) -> Literal["normalise", "keep"]:
        """See `Loaded`."""

    @property
    def writing(self) -> Writing:
        """See `Loaded`."""

    @property
    def words(self) -> tuple[str, ...]:
        """See `Loaded`."""

    @property
    def records(self) -> KnownRecords:
        """See `Loaded`."""

    @property
    def origin(self) -> dict[str, Any]:
        """See `Loaded`."""

    @property
    def name(self) -> str:
        """See `Loaded`."""


def read_model(reference: str | None, root: Path, *, to_write: bool = False) -> tuple[Path, Checkpoint]:
    """Read and check the model file that a reference names.

    Args:
        reference: as `find_model` takes it.
        root: the folder of runs.
        to_write: whether a reference of None means the newest run that can write; those passed over are named.

    Returns:
        The path of the file, and what it holds.

    Raises:
        NotFoundError, CheckpointError, StorageError: there is no such model, or it cannot be used.
    """
    import numpy as np

    from charlstm.checkpoint import format as checkpoint_format
    from charlstm.checkpoint.references import find_model, find_writer
    from charlstm.checkpoint.store import Store

    np.seterr(over="ignore", invalid="ignore")  # of a network that diverged, an error says more than NumPy's warnings
    path, passed_over = find_writer(Store(root)) if reference is None and to_write else (None, [])
    path = path or find_model(Store(root), reference)
    if passed_over:
        say(f"passed over, since what fills blanks cannot write: {', '.join(passed_over)}")
    elif reference is None and path.parent == starter_folder() and root != DEFAULT_ROOT:
        say(f"no runs in {root} yet: this is the starter")
    return path, checkpoint_format.read_model(path)


def load(
    reference: str | None,
    root: Path,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision | None = "fp32",
) -> Loaded[TextModel]:
    """Load a causal model to write with: on a CPU in NumPy, so that torch is not imported.

    Args:
        reference: as `find_model` takes it, but None is the newest run that can write.
        root: the folder of runs.
        device: ``cpu``, or as torch names it.
        threads: of a CPU; None measures which number is fastest.
        precision: of a CPU; None chooses int8 for wide networks where it is installed.

    Returns:
        The model and its file.

    Raises:
        NotFoundError, CheckpointError, StorageError: there is no such model, or it cannot be used.
        UsageError: there is no such device or precision here.
    """
    from charlstm.checkpoint.format import check_causal

    try:
        path, checkpoint = read_model(reference, root, to_write=True)
    except NotFoundError as fault:
        if reference is not None and " " in reference:
            fault.hint = "If this is a prompt, put --prompt before it."
        raise
    check_causal(checkpoint, path)
    if device == "cpu":
        from charlstm.engine.auto_threads import AutoThreadsEngine
        from charlstm.engine.load import writing_precision

        precision = writing_precision(checkpoint.architecture, precision)
        engine = AutoThreadsEngine.from_checkpoint(checkpoint, threads, precision=precision)
        return Loaded(path, checkpoint, engine, precision)
    if precision == "int8":
        raise UsageError(f"--precision int8 is for a CPU, not for {device}", hint="Leave one of the two options out.")
    return Loaded(path, checkpoint, _torch_model(checkpoint, device))


def _torch_model(checkpoint: Checkpoint, device: str) -> TextModel:
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.engine.load import torch_model
    from charlstm.engine.torch_backend import TorchBackend
    from charlstm.nn.device import parse_device

    try:
        return TorchBackend(torch_model(checkpoint).to(parse_device(device)), checkpoint.load_tokenizer())
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        # Torch reports a missing device over many lines; the first sentence is enough.
        reason = re.split(r"[\n.]", str(fault))[0]
        raise UsageError(f"device {device!r} cannot be used here ({reason})", hint="cpu always can.") from fault


def one_of(*given: str | None, name: str) -> str | None:
    """Return the value of an option that has several names; None if it is not given.

    Args:
        given: the value under each name.
        name: of the option, for the message.

    Raises:
        UsageError: it is given under more than one.
    """
    values = [value for value in given if value is not None]
    if len(values) > 1:
        raise UsageError(f"{name} is given more than once")
    return values[0] if values else None


def prompt_text(
    text: str | None, file: Path | None, loaded: Loaded[Any] | Writer, what: str = "prompt", *, most: int | None = None
) -> str:
    """Return a prompt as typed, or read it from a file or standard input the way training reads a text.

    Args:
        text: as typed; ``-`` is standard input.
        file: the file to read instead; ``-`` is standard input.
        loaded: the model.
        what: the command's word for the prompt.
        most: characters, or bytes, after which no more of a file is read; None reads all of it.

    Raises:
        NotFoundError, StorageError, TextError: the file cannot be read, or not as text.
        UsageError: both a text and a file are given.
    """
    if text is not None and file is not None:
        both = "--prompt and --prompt-file" if what == "prompt" else f"a typed {what} and --file"
        raise UsageError(f"{both} exclude each other", hint="Leave one of them out.")
    if text == "-" or (file is not None and str(file) == "-"):
        if is_terminal(sys.stdin):
            say(f"type the {what}; Ctrl-D on a line of its own ends it")
        return _decoded(sys.stdin.buffer, f"the {what}", loaded, most)
    if file is None:
        return text or ""
    try:
        with file.open("rb") as opened:
            return _decoded(opened, str(file), loaded, most)
    except FileNotFoundError as fault:
        raise NotFoundError(f"no such {what} file", where=file) from fault
    except OSError as fault:
        if file.is_dir():  # checked only now: Windows reports a folder as "no permission"
            raise UsageError(f"is a folder, and the {what} has to be a file", where=file) from fault
        raise StorageError(f"cannot be read ({fault.strerror})", where=file) from fault


def _decoded(file: IO[bytes], name: str, loaded: Loaded[Any] | Writer, most: int | None) -> str:
    blocks = iter(lambda: file.read(_BLOCK), b"")
    if loaded.model.tokenizer.kind == "byte":
        return b"".join(_until(blocks, most)).decode("utf-8", "surrogateescape")
    from charlstm.corpora.decode import Decoding, TextDecoder

    decoder = TextDecoder(name, Decoding(newlines=loaded.newlines))
    with hints_without_encoding():
        return "".join(_until((text for text, _ in decoder.decode(blocks)), most))


_BLOCK = 1 << 18
"""Bytes of a file that are read at a time."""


def _until(pieces: Iterable[_Piece], most: int | None) -> Iterator[_Piece]:
    """The pieces up to the one that makes them ``most`` long, or all of them."""
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if most is not None and size >= most:
            return


@contextmanager
def hints_without_encoding() -> Iterator[None]:
    """Let no error of an encoding name the option for it: in a ``with`` block of a command that lacks it.

    Raises:
        EncodingError: as in the block, with another hint.
    """
    try:
        yield
    except EncodingError as fault:
        fault.hint = fault.facts
        raise


def fit_prompt(tokenizer: Tokenizer, text: str, unknown: str, what: str = "prompt") -> str:
    """Put a prompt into characters of the model's alphabet, and report what was replaced.

    Args:
        tokenizer: the model's.
        text: the prompt.
        unknown: what happens to other characters: ``error``, ``skip`` or ``map``.
        what: the command's word for the prompt.

    Returns:
        The prompt, in characters of the alphabet.

    Raises:
        UnknownCharacter: there is such a character, and it has to be an error.
        UsageError: ``unknown`` is none of the three.
    """
    from charlstm.sampling import prompts

    fitted, notes = prompts.fit_prompt(tokenizer, text, prompts.parse_unknown(unknown), where=what)
    for note in notes:
        say(f"{what}: {note}")
    return fitted


def reject_prompt_words(command: str, checkpoint: str | None, words: list[str]) -> None:
    """Check that no prompt was typed after the checkpoint.

    Args:
        command: what the person runs.
        checkpoint: the first word.
        words: those after it.

    Raises:
        UsageError: there are some.
    """
    if words:
        typed = shlex.join([checkpoint or "", "--prompt", " ".join(words)])
        raise UsageError("a prompt is given with --prompt", hint=f"Try: charlstm {command} {typed}")


def reject_filters(unfiltered: bool, **filters: float | None) -> dict[str, float | None]:
    """Return filters as they were given, or none at all with ``--unfiltered``.

    Args:
        unfiltered: whether that option was given.
        filters: by name, None or the default where not given.

    Returns:
        Keywords of `sampling.config.settings_for`.

    Raises:
        UsageError: ``--unfiltered`` and a filter are given.
    """
    if not unfiltered:
        return filters
    given = next((name for name, value in filters.items() if value not in (None, NO_FILTER[name])), None)
    if given is not None:
        option = "--" + given.replace("_", "-")
        raise UsageError(f"--unfiltered and {option} exclude each other", hint="Leave one of them out.")
    return dict(NO_FILTER)


NO_FILTER: dict[str, float | None] = {
    "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "no_repeat": 0,
    "longest_run": 0,
}  # fmt: skip
"""The settings that leave the network's distribution as it is."""


def seed_or_random(seed: int | None) -> int:
    """Return the seed given, or a random one short enough to type again."""
    if seed is not None:
        return seed
    from secrets import randbelow

    return randbelow(2**32)


def describe(loaded: Loaded[Any] | Writer, **facts: Any) -> str:
    """Describe a model in one line: ``checkpoints/english-1 (1.92 bits/character), in int8, seed 7``.

    Args:
        loaded: the model.
        facts: further facts, each a name and a value.
    """
    computed = [] if loaded.precision == "fp32" else [f"in {loaded.precision}"]
    return ", ".join([loaded.name, *computed, *(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())])
