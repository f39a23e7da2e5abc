"""The settings that a trial trains with, and those that are written down as the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charlstm.config import SECTIONS, RunConfig
from charlstm.settings_file import to_toml
from charlstm.training.plan.merge import Given, merge
from charlstm.tuning.events import Trial
from charlstm.tuning.folder import SETTINGS_HEADER
from charlstm.tuning.space import by_section

_TRIAL_ONLY = {"max_time", "max_steps", "epochs", "eval_every", "save_every", "preview", "threads", "sources"}
"""Settings of a trial alone, or better chosen from the time that a longer training has."""
_NEVER = 1e6
"""Seconds between saves of what a resume needs: a trial is never resumed."""


def trial_settings(
    run: RunConfig, fixed: Given, varied: Mapping[str, Any], *, seconds: float, threads: int | None
) -> dict[str, dict[str, Any]]:
    """Return a trial's settings by section; those left open are chosen to match the others.

    Args:
        run: the default settings.
        fixed: the settings that the user fixed, by section; they include the sources.
        varied: the trial's own, by name.
        seconds: of training.
        threads: CPU threads; None leaves them open.
    """
    base: dict[str, dict[str, Any]] = {
        "model": {"ensemble": run.model.ensemble},  # fixed: a given width alone would be taken to mean one network
        "data": {"val_fraction": run.data.val_fraction},
        "train": {
            "max_time": seconds,
            "device": run.train.device,
            "precision": run.train.precision,
            "save_every": _NEVER,
            "preview": 0,
            "threads": threads,
        },
    }
    return merge(base, fixed, by_section(varied))


def best_settings(run: RunConfig, fixed: Given, best: Trial, *, trials: int, seconds: float) -> str:
    """Return the settings of the best trial as TOML.

    It holds only what was searched for or fixed: all else is better chosen from the time that a longer training has.

    Args:
        run: the default settings.
        fixed: the settings that the user fixed, by section.
        best: the best trial, which finished.
        trials: the number of trials it was the best of.
        seconds: of training of each.
    """
    names = {"cell", "ensemble", "embedding_size", "optimizer", "val_fraction"} | set(best.settings)
    default = run.to_plain()
    chosen = {section: {k: v for k, v in default[section].items() if k in names} for section in SECTIONS}
    kept = {section: {k: v for k, v in values.items() if k not in _TRIAL_ONLY} for section, values in fixed.items()}
    header = (
        f"{SETTINGS_HEADER}: the best of {trials} trials of {seconds:g} s of training each.\n"
        f"# {best.loss:.4f} nats per token on the validation text, by which it was chosen.\n"
    )
    return header + to_toml(merge(chosen, kept, by_section(best.settings)))
