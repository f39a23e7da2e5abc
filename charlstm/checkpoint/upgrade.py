"""Converts the content of files in earlier formats to the current one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RENAMED_IN_2 = {
    "model": {
        "skip": "skip_connections",
        "ngram_rows": "ngram_buckets",
        "recall": "match_orders",
        "recall_rows": "match_slots",
    },
    "data": {"state_reset": "reset_prob"},
    "train": {"average": "ema_decay"},
}
"""Names of settings in format 1 → in format 2, by section."""

_TENSORS_IN_2 = {
    "ngrams.table.weight": "side_inputs.ngrams.weight",
    "recall.embedding.weight": "side_inputs.match.weight",
}


def upgraded_config(version: int, config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run under their current names.

    Args:
        version: the format version they were written in.
        config: the settings by section; a section that is not a table is left to the later check.

    Returns:
        The settings by section.
    """
    if version > 1:
        return config
    config = dict(config)
    for section, names in _RENAMED_IN_2.items():
        if isinstance(config.get(section), Mapping):
            config[section] = {names.get(name, name): value for name, value in config[section].items()}
    if isinstance(config.get("train"), dict) and isinstance(config.get("model"), dict):
        decay = config["train"].pop("ngram_decay", None)
        if decay is not None:
            config["model"]["ngram_decay"] = decay
    return config


def upgraded_provenance(version: int, provenance: dict[str, Any]) -> dict[str, Any]:
    """Return a provenance with its current values.

    Args:
        version: the format version it was written in.
        provenance: plain values by name.

    Returns:
        Plain values by name.
    """
    if version > 1 or provenance.get("weights") != "average":
        return provenance
    return {**provenance, "weights": "ema"}


def upgraded_tensors(version: int, tensors: dict[str, Any]) -> dict[str, Any]:
    """Return tensors, or their descriptions, under their current names.

    Args:
        version: the format version they were written in.
        tensors: by name.

    Returns:
        The same values, by their current names.
    """
    return tensors if version > 1 else {_TENSORS_IN_2.get(name, name): value for name, value in tensors.items()}
