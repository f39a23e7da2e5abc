"""Settings from several places, in rising order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Given = Mapping[str, Mapping[str, Any]]
"""Settings made by hand, by section: ``{"model": {"hidden_size": 256}}``."""


def merge(*layers: Given) -> dict[str, dict[str, Any]]:
    """Settings in rising order: a later layer's value wins."""
    merged: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "train": {}}
    for layer in layers:
        for section, values in layer.items():
            merged[section] |= {name: value for name, value in values.items() if value is not None}
    return merged
