"""From what a person types to a model to write with: one, or a mix of several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from charlstm.cli.load_model import Loaded, Writer, load
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.known import KnownRecords
    from charlstm.checkpoint.writing import Writing
    from charlstm.engine.mix import MixedEngine
    from charlstm.engine.products import Precision
    from charlstm.engine.protocol import TextModel


@dataclass(frozen=True)
class LoadedMix:
    """Several models that write together, and the files they were read from: a `Writer`."""

    parts: tuple[Loaded[TextModel], ...]
    model: MixedEngine

    @property
    def precision(self) -> Precision:
        """Of the products in the recurrent layers of any of them."""
        return "int8" if any(part.precision == "int8" for part in self.parts) else "fp32"

    @property
    def newlines(self) -> Literal["normalise", "keep"]:
        """What the training of the first did with CR LF."""
        return self.parts[0].newlines

    @property
    def writing(self) -> Writing:
        """How they write together."""
        from charlstm.checkpoint.writing import Writing

        return Writing.mixed([(part.writing, weight) for part, weight in self._weighted()])

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all training texts; none if those of one are not known."""
        several = [part.words for part in self.parts]
        return tuple(sorted(set().union(*several))) if all(several) else ()

    @property
    def records(self) -> KnownRecords:
        """The records of all training texts."""
        from charlstm.checkpoint.known import KnownRecords

        return KnownRecords.union(part.records for part in self.parts)

    @property
    def origin(self) -> dict[str, Any]:
        """Where they are from, and their weights, for JSON."""
        return {"mix": [{**part.origin, "weight": weight} for part, weight in self._weighted()]}

    @property
    def name(self) -> str:
        """Each with its share: ``70% starter (1.47 bits/character) + 30% my-1 (1.90 bits/character)``."""
        return " + ".join(f"{100 * weight:.3g}% {part.name}" for part, weight in self._weighted())

    def _weighted(self) -> list[tuple[Loaded[TextModel], float]]:
        return list(zip(self.parts, self.model.weights, strict=True))


def load_writer(
    reference: str | None,
    mix: str | None,
    root: Path,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision | None = "fp32",
) -> Writer:
    """Load a causal model to write with, or several.

    Args:
        reference: as `load` takes it.
        mix: networks and their weights, as `parse_mix` takes them; None loads the one of the reference.
        root: the folder of runs.
        device: ``cpu``, or as torch names it.
        threads: of a CPU; None measures which number is fastest.
        precision: of a CPU; None chooses int8 for wide networks where it is installed.

    Returns:
        The model, or the mix.

    Raises:
        NotFoundError, CheckpointError, StorageError: there is no such model, or it cannot be used.
        UsageError: there is no such device or precision here, both a reference and a mix are given, or they cannot be
            mixed.
    """
    if mix is None:
        return load(reference, root, device, threads, precision)
    if reference is not None:
        hint = "If it is a prompt, put --prompt before it."
        raise UsageError(f"--mix names all networks, so {reference!r} is one too many", hint=hint)
    weights = parse_mix(mix)
    parts = tuple(load(name, root, device, threads, precision) for name, _ in weights)
    from charlstm.engine.mix import MixedEngine

    return LoadedMix(parts, MixedEngine([(part.model, each) for part, (_, each) in zip(parts, weights, strict=True)]))


def parse_mix(text: str) -> list[tuple[str, float]]:
    """Parse networks and their weights as a person types them: ``starter:0.7,my-1:0.3``, or without any weight.

    Args:
        text: as typed.

    Returns:
        The name of each and its weight.

    Raises:
        UsageError: a name is missing, or some have a weight and some have none.
    """
    parts = [_name_and_weight(part.strip()) for part in text.split(",")]
    if not all(name for name, _ in parts):
        raise UsageError(f"--mix {text!r} has no name in one place", hint="Write it like starter:0.7,my-1:0.3.")
    without = [name for name, weight in parts if weight is None]
    if 0 < len(without) < len(parts):
        what = f"--mix gives {without[0]!r} no weight, and others one"
        raise UsageError(what, hint="Give each a weight, as in starter:0.7,my-1:0.3, or none.")
    return [(name, 1.0 if weight is None else weight) for name, weight in parts]


def _name_and_weight(part: str) -> tuple[str, float | None]:
    name, colon, number = part.rpartition(":")
    try:
        return (name, float(number)) if colon else (part, None)
    except ValueError:  # a colon of the name, as in C:\runs
        return part, None
