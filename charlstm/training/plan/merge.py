"""Merges settings from several sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Given = Mapping[str, Mapping[str, Any]]
"""Explicit settings by section: ``{"model": {"hidden_size": 256}}``; all others are chosen automatically."""


def merge(*layers: Given) -> dict[str, dict[str, Any]]:
    """Merge settings in order of increasing precedence: the value of a later layer wins; None counts as missing."""
    merged: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "train": {}}
    for layer in layers:
        for section, values in layer.items():
            merged[section] |= {name: value for name, value in values.items() if value is not None}
    return merged
