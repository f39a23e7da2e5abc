"""The report of an experiment as a page."""

from __future__ import annotations

from charlstm.report.blocks import Page, Section, Table, Text
from charlstm.report.data import Report


def experiment_page(report: Report) -> Page:
    """Arrange a report: findings first, then the charts and the table.

    Args:
        report: the result of an experiment.

    Returns:
        The page.
    """
    early = (Text("Stopped early: these are the results of the training done until then."),) if report.partial else ()
    findings = tuple(Text(sentence) for sentence in report.findings)
    settings = " · ".join(f"{name.replace('_', ' ')} {_format(value)}" for name, value in report.settings.items())
    return Page(
        report.name,
        report.title,
        report.question,
        (
            Section("Findings", (*early, *findings)),
            Section("Results", (*report.charts, Table(report.columns, report.rows))),
        ),
        report.to_json(),
        f"charlstm {report.name} · {settings}",
    )


def _format(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
