"""Units with the names of what they follow, as a page shows them and lets a person hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from charlstm.inspect.hypotheses import HYPOTHESES
from charlstm.inspect.subject import Subject
from charlstm.inspect.units import Progress, find_units, surest_first, unit_values

_ENDS = (0.02, 0.98)
"""The quantiles of a unit's values that are the ends of its slider."""
_LARGEST = 1 - 1e-6
"""A tanh of c beyond it is taken for it, so that c can be told from it."""


def named_units(subject: Subject, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Find the units that follow something.

    Args:
        subject: the network, and a text of some thousand tokens.
        progress: as in `units.scores`.

    Returns:
        For each its place (stack, layer, part, unit), the label of what it follows, how well (value and chance: the
        AUC, of a graded property the rank correlation; sign), and between which values it usually is (low, high: of c
        itself, not through tanh); the surest first.
    """
    findings = surest_first(find_units(subject, HYPOTHESES, progress=progress))
    found = [finding.unit for finding in findings]
    values = np.clip(unit_values(subject, found), -_LARGEST, _LARGEST) if found else np.empty((1, 0))
    named = []
    for finding, unit, each in zip(findings, found, values.T, strict=True):
        low, high = np.quantile(np.arctanh(each) if unit.part == "c" else each, _ENDS)
        named.append({
            "stack": unit.stack, "layer": unit.layer, "part": unit.part, "unit": unit.number,
            "label": finding.hypothesis.name, "value": round(finding.value, 4), "chance": round(finding.chance, 4),
            "graded": finding.hypothesis.graded, "sign": finding.sign,
            "low": round(float(low), 4), "high": round(float(high), 4),
        })  # fmt: skip
    return named
