"""Files of earlier formats, read as if this version had written them."""

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
"""Settings of format 1 and their names in format 2."""

_TENSORS_IN_2 = {
    "ngrams.table.weight": "side_inputs.ngrams.weight",
    "recall.embedding.weight": "side_inputs.match.weight",
}


def upgraded_config(version: int, config: dict[str, Any]) -> dict[str, Any]:
    """A run's settings under today's names.

    Args:
        version: of the format they were written in.
        config: by section; what is no table is left for the check.
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
    """A provenance in today's words."""
    if version > 1 or provenance.get("weights") != "average":
        return provenance
    return {**provenance, "weights": "ema"}


def upgraded_tensors(version: int, tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors, or what is known of them, under today's names."""
    return tensors if version > 1 else {_TENSORS_IN_2.get(name, name): value for name, value in tensors.items()}
