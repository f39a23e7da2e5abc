"""The result of an experiment as plain values, and the page that shows it."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field
from typing import Any

from charlstm.report.blocks import Page, Section, Table, Text
from charlstm.report.charts import Bars, Chart


@dataclass(frozen=True)
class Result:
    """The complete result of an experiment."""

    name: str
    title: str
    question: str
    """What is asked and how it is measured, in a few sentences."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    charts: tuple[Chart | Bars, ...]
    findings: tuple[str, ...]
    """Plain sentences that claim no more than was measured."""
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    """What was measured, as values that JSON can hold, where the table has only their ranges."""
    partial: bool = False
    """Whether the experiment was stopped before its time was used up."""

    def to_json(self) -> dict[str, Any]:
        """The result as values that JSON can hold."""
        return asdict(self)

    def to_csv(self) -> str:
        """The table as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def experiment_page(result: Result) -> Page:
    """Arrange a result: findings first, then the charts and the table.

    Args:
        result: of an experiment.

    Returns:
        The page.
    """
    early = (Text("Stopped early: these are the results of the training done until then."),) if result.partial else ()
    findings = tuple(Text(sentence) for sentence in result.findings)
    settings = " · ".join(f"{name.replace('_', ' ')} {_format(value)}" for name, value in result.settings.items())
    return Page(
        result.name,
        result.title,
        result.question,
        (
            Section("Findings", (*early, *findings)),
            Section("Results", (*result.charts, Table(result.columns, result.rows))),
        ),
        result.to_json(),
        f"charlstm {result.name} · {settings}",
    )


def _format(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
