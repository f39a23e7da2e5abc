"""What a search varies, and how far, around the settings that `choose` would take. No optuna: plain numbers.

Seven settings: an hour has room for about thirty trials, and with more settings than that most of them would never be
moved twice. Width, rate and cuts are steps on a ladder from the default, so that position 0 is the default itself. All
stay near it: the default was read off measurements, and in ranges twice as wide (1/4 to 4, dropout 0 to 0.6) the first
trials on `english` were 0.2 to 1.5 nats worse than it, and taught the sampler nothing of what lies near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from charlstm.config import RunConfig, section_of

Values = dict[str, Any]
"""Settings by name: ``{"hidden_size": 256, "lr": 0.01}``."""
Positions = dict[str, float]
"""Where on each axis a trial stands, by the setting's name: what optuna knows of it."""


@dataclass(frozen=True)
class Axis:
    """One setting a search varies."""

    name: str
    default: float
    low: float
    """The lowest position: octaves from the default (-1 is half of it), or else the setting's value."""
    high: float
    step: float | None = None
    """Positions lie this far apart; None allows any between."""
    octaves: bool = True
    multiple: int = 1
    """Whole numbers other than the default are rounded to a multiple of this."""

    @property
    def start(self) -> float:
        """The position of the default."""
        return 0.0 if self.octaves else float(self.default)

    def value(self, position: float) -> float:
        """The setting at a position; at `start` exactly the default."""
        if position == self.start:
            return self.default
        value = self.default * 2**position if self.octaves else position
        if isinstance(self.default, int):
            return max(self.multiple, self.multiple * round(value / self.multiple))
        return float(f"{value:.2g}")


def axes(run: RunConfig, fixed: Iterable[str] = ()) -> tuple[Axis, ...]:
    """The axes around a run's settings.

    Args:
        run: the default choice for the text and a trial's time.
        fixed: settings made by hand; they are not varied.
    """
    model, data, train = run.model, run.data, run.train
    sides = model.enabled.values()
    dropouts = tuple(_share(side.dropout_setting, side.dropout) for side in sides if side.dropout_setting)
    every = (
        # A vector unit takes 16 numbers at once: widths between would cost as much and hold less.
        Axis("hidden_size", model.hidden_size, -1.5, 1, step=0.5, multiple=16),
        Axis("num_layers", model.num_layers, max(1, model.num_layers - 1), model.num_layers + 1, step=1, octaves=False),
        Axis("lr", train.lr, -1.5, 1.5),
        _share("dropout", model.dropout),
        # Where a table is looked up, what keeps it from being learnt by heart matters more than weight-drop.
        *(dropouts or (_share("weight_drop", model.weight_drop),)),
        Axis("batch_size", data.batch_size, -1, 1, step=1),
        Axis("seq_len", data.seq_len, -1, 1, step=1),
    )
    return tuple(axis for axis in every if axis.name not in set(fixed))


def _share(name: str, default: float) -> Axis:
    return Axis(name, default, max(0.0, default - 0.25), min(0.95, default + 0.25), octaves=False)


def start(space: Iterable[Axis]) -> Positions:
    """Where the default stands."""
    return {axis.name: axis.start for axis in space}


def values(space: Iterable[Axis], positions: Mapping[str, float]) -> Values:
    """The settings at the positions of a trial."""
    return {axis.name: axis.value(positions[axis.name]) for axis in space}


def changed(space: Iterable[Axis], settings: Mapping[str, Any]) -> Values:
    """Those of a trial's settings that are not the default's."""
    return {axis.name: settings[axis.name] for axis in space if settings[axis.name] != axis.default}


def by_section(settings: Mapping[str, Any]) -> dict[str, Values]:
    """Settings by name as `runs.prepare` and a settings file take them."""
    tables: dict[str, Values] = {}
    for name, value in settings.items():
        tables.setdefault(section_of(name) or "", {})[name] = value
    return tables
