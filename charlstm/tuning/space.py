"""Which settings a search varies, and in which range around the defaults. No optuna: plain numbers.

Seven settings: an hour has room for about thirty trials, and with more settings most would never be varied twice.
Width, learning rate, batch size and sequence length are given in octaves from the default, so that position 0 is the
default itself. The ranges are narrow, because the default follows from measurements: in ranges twice as wide (1/4 to 4,
dropout 0 to 0.6) the first trials on `english` were 0.2 to 1.5 nats worse than it, and taught the sampler nothing about
the settings near it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from charlstm.config import RunConfig, section_of

Values = dict[str, Any]
"""Settings by name: ``{"hidden_size": 256, "lr": 0.01}``."""
Positions = dict[str, float]
"""A trial's position on each axis, by the setting's name: the numbers that optuna works with."""


@dataclass(frozen=True)
class Axis:
    """One setting that a search varies."""

    name: str
    default: float
    low: float
    """The lowest position."""
    high: float
    """The highest position."""
    step: float | None = None
    """The distance between positions; None allows any."""
    octaves: bool = True
    """Whether positions are octaves from the default (-1 is half of it) and not the setting's values."""
    multiple: int = 1
    """Integer settings other than the default are rounded to a multiple of this."""

    @property
    def start(self) -> float:
        """The position of the default."""
        return 0.0 if self.octaves else float(self.default)

    def value(self, position: float) -> float:
        """Return the setting at a position; at `start` exactly the default."""
        if position == self.start:
            return self.default
        value = self.default * 2**position if self.octaves else position
        if isinstance(self.default, int):
            return max(self.multiple, self.multiple * round(value / self.multiple))
        return float(f"{value:.2g}")


def axes(run: RunConfig, fixed: Iterable[str] = ()) -> tuple[Axis, ...]:
    """Return the axes of a search.

    Args:
        run: the default settings for the text and a trial's time.
        fixed: names of settings that are not varied.
    """
    model, data, train = run.model, run.data, run.train
    sides = model.enabled.values()
    dropouts = tuple(_probability(side.dropout_setting, side.dropout) for side in sides if side.dropout_setting)
    candidates = (
        # A vector unit processes 16 numbers at once: widths in between would cost as much and hold less.
        Axis("hidden_size", model.hidden_size, -1.5, 1, step=0.5, multiple=16),
        Axis("num_layers", model.num_layers, max(1, model.num_layers - 1), model.num_layers + 1, step=1, octaves=False),
        Axis("lr", train.lr, -1.5, 1.5),
        _probability("dropout", model.dropout),
        # With a table of embeddings, what keeps the network from memorising them matters more than DropConnect.
        *(dropouts or (_probability("weight_drop", model.weight_drop),)),
        Axis("batch_size", data.batch_size, -1, 1, step=1),
        Axis("seq_len", data.seq_len, -1, 1, step=1),
    )
    return tuple(axis for axis in candidates if axis.name not in set(fixed))


def _probability(name: str, default: float) -> Axis:
    return Axis(name, default, max(0.0, default - 0.25), min(0.95, default + 0.25), octaves=False)


def start(space: Iterable[Axis]) -> Positions:
    """Return the position of the default settings."""
    return {axis.name: axis.start for axis in space}


def values(space: Iterable[Axis], positions: Mapping[str, float]) -> Values:
    """Return the settings at a position on each axis.

    Args:
        space: the axes.
        positions: by the setting's name.
    """
    return {axis.name: axis.value(positions[axis.name]) for axis in space}


def changed(space: Iterable[Axis], settings: Mapping[str, Any]) -> Values:
    """Return those settings that differ from the default.

    Args:
        space: the axes.
        settings: a value for each axis, by name.
    """
    return {axis.name: settings[axis.name] for axis in space if settings[axis.name] != axis.default}


def by_section(settings: Mapping[str, Any]) -> dict[str, Values]:
    """Return settings by section and name, as `training.prepare.prepare` and a settings file take them."""
    tables: dict[str, Values] = {}
    for name, value in settings.items():
        tables.setdefault(section_of(name) or "", {})[name] = value
    return tables
