"""From what a person types to a model ready to write and a prompt it can read: shared by ``sample`` and ``write``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from charlstm.cli.options import DEFAULT_ROOT
from charlstm.cli.views.terminal import is_terminal, say
from charlstm.errors import NotFoundError, StorageError, TextError, UsageError
from charlstm.paths import starter_folder

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.engine.protocol import TextModel
    from charlstm.sampling.prompts import Unknown
    from charlstm.tokenizers import Tokenizer

_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Loaded(Generic[_Model]):
    """A model, and the file it came from."""

    path: Path
    checkpoint: Checkpoint
    model: _Model
    """What has at least a tokenizer."""

    @property
    def newlines(self) -> Literal["normalise", "keep"]:
        """What training did with CR LF, so that a prompt is read the same way."""
        keeps = self.checkpoint.config.get("data", {}).get("newlines") == "keep"
        return "keep" if keeps else "normalise"


def read_model(reference: str | None, root: Path) -> tuple[Path, Checkpoint]:
    """The checkpoint of a reference, checked.

    Raises:
        NotFoundError, CheckpointError, StorageError: there is no such model, or it cannot be used.
    """
    from charlstm.checkpoint.format import check_model, read
    from charlstm.checkpoint.references import find_model
    from charlstm.checkpoint.store import Store

    path = find_model(Store(root), reference)
    if reference is None and path.parent == starter_folder() and root != DEFAULT_ROOT:
        say(f"no runs in {root} yet: this is the starter")
    checkpoint = read(path, kind="model")
    check_model(checkpoint, path)
    return path, checkpoint


def load(reference: str | None, root: Path, device: str = "cpu", threads: int | None = None) -> Loaded[TextModel]:
    """The model of a reference: on a CPU in NumPy, so that torch is not imported.

    Args:
        reference: as `find_model` takes it.
        root: the folder of runs.
        device: ``cpu``, or as torch names it.
        threads: on a CPU; None finds out.

    Raises:
        NotFoundError, CheckpointError, StorageError: there is no such model, or it cannot be used.
        UsageError: there is no such device here.
    """
    from charlstm.checkpoint.format import check_writes_on

    path, checkpoint = read_model(reference, root)
    check_writes_on(checkpoint, path)
    if device == "cpu":
        from charlstm.engine.auto_threads import PacedEngine

        return Loaded(path, checkpoint, PacedEngine.from_checkpoint(checkpoint, threads))
    return Loaded(path, checkpoint, _torch_model(checkpoint, device))


def _torch_model(checkpoint: Checkpoint, device: str) -> TextModel:
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.engine.torch_backend import TorchBackend

    try:
        return TorchBackend.from_checkpoint(checkpoint, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        # Torch's words for "no such device" run over many lines; its first sentence says it.
        reason = re.split(r"[\n.]", str(fault))[0]
        raise UsageError(f"device {device!r} cannot be used here ({reason})", hint="cpu always can.") from fault


def one_of(*given: str | None, name: str) -> str | None:
    """The one value given under an option's several names.

    Raises:
        UsageError: more than one.
    """
    values = [value for value in given if value is not None]
    if len(values) > 1:
        raise UsageError(f"{name} is given more than once")
    return values[0] if values else None


def prompt_text(text: str | None, file: Path | None, loaded: Loaded[Any], what: str = "prompt") -> str:
    """The prompt as it was typed, or from a file or standard input (``-``), read as training reads a text.

    Args:
        text: as it was typed, ``-`` for standard input.
        file: where it stands, if that was given.
        loaded: the model that is to read it.
        what: the command's word for it.

    Raises:
        NotFoundError, StorageError, TextError: the file cannot be read, or not as text.
        UsageError: a prompt and a file.
    """
    if text is not None and file is not None:
        raise UsageError("--prompt and --prompt-file are both given")
    if text == "-" or (file is not None and str(file) == "-"):
        if is_terminal(sys.stdin):
            say(f"type the {what}; Ctrl-D on a line of its own ends it")
        return _decoded(sys.stdin.buffer.read(), f"the {what}", loaded)
    if file is None:
        return text or ""
    try:
        return _decoded(file.read_bytes(), str(file), loaded)
    except FileNotFoundError as fault:
        raise NotFoundError("no such prompt file", where=file) from fault
    except OSError as fault:
        if file.is_dir():  # asked only now: Windows calls it "no permission"
            raise UsageError("a folder, where a file with the prompt is wanted", where=file) from fault
        raise StorageError(f"cannot be read ({fault.strerror})", where=file) from fault


def _decoded(data: bytes, name: str, loaded: Loaded[Any]) -> str:
    if loaded.model.tokenizer.kind == "byte":
        return data.decode("utf-8", "surrogateescape")
    from charlstm.corpora.decode import Decoder

    try:
        return "".join(text for text, _ in Decoder(name, None, loaded.newlines).decode([data]))
    except TextError as fault:
        fault.hint = "It has to be text in UTF-8."  # the corpus's hints name options there are not here
        raise


def fitted_prompt(tokenizer: Tokenizer, text: str, unknown: str) -> str:
    """The prompt in characters the model knows; says what was changed.

    Raises:
        UnknownCharacter: it has others, and they are neither to be skipped nor mapped.
        UsageError: ``unknown`` is none of the three.
    """
    from charlstm.sampling.prompts import fit_prompt

    fitted, notes = fit_prompt(tokenizer, text, unknown_choice(unknown, "--unknown"), remedy="--unknown {}")
    for note in notes:
        say(f"prompt: {note}")
    return fitted


def unknown_choice(value: str, name: str) -> Unknown:
    """What to do with characters the model does not know, as it was typed.

    Raises:
        UsageError: it is none of the three.
    """
    if value not in ("error", "skip", "map"):
        raise UsageError(f"{name} {value}: it is error, skip or map")
    return cast("Unknown", value)


def told_seed(seed: int | None) -> int:
    """The seed given, or a random one short enough to be typed again."""
    if seed is not None:
        return seed
    from secrets import randbelow

    return randbelow(2**32)


def describe(loaded: Loaded[Any], **facts: Any) -> str:
    """Which checkpoint, and what else is worth a line: ``checkpoints/english-1 (1.92 bits/character), seed 7``."""
    from charlstm.checkpoint.summary import bits_per_byte, number

    path, provenance = loaded.path, loaded.checkpoint.provenance
    bits, unit = bits_per_byte(loaded.model.tokenizer.kind, provenance.get("val_loss")), "byte"
    if bits is None:
        bits, unit = number(provenance.get("bits_per_char")), "character"
    sides = ", both sides seen" if loaded.checkpoint.config["model"].get("bidirectional") else ""
    quality = "" if bits is None else f" ({bits:.2f} bits/{unit}{sides})"
    where = path.parent if path.name == "model.safetensors" else path
    return ", ".join([f"{where}{quality}", *(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())])
