"""A report as one HTML page without scripts or links; the picture is embedded."""

from __future__ import annotations

import base64
import html

from charlstm.report.data import Report
from charlstm.report.visible import visible

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2.5rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: .4rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .35rem .9rem .35rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
td:first-child { font-weight: 600; }
td.text { white-space: normal; text-align: left; vertical-align: top; min-width: 10rem; }
img { max-width: 100%; height: auto; }
li { margin: .35rem 0; }
.partial { background: #fff3cd; padding: .5rem .8rem; }
footer { margin-top: 2rem; color: #666; font-size: .85rem; }
""".strip()


def page(report: Report, picture: bytes | None) -> str:
    """The page as HTML.

    Args:
        report: what it shows; markup and control characters in its texts are made harmless.
        picture: a PNG of the charts, or None for a page without one.

    Returns:
        The whole document.
    """
    title = _escape(report.title)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<p>{_escape(report.question)}</p>",
    ]
    if report.partial:
        parts.append('<p class="partial">Stopped early: these are the results of the training done until then.</p>')
    parts += ["<h2>Findings</h2>", "<ul>"]
    parts += [f"<li>{_escape(sentence)}</li>" for sentence in report.findings]
    parts.append("</ul>")
    if picture is not None:
        source = base64.b64encode(picture).decode("ascii")
        parts.append(f'<p><img alt="Charts of the results" src="data:image/png;base64,{source}"></p>')
    parts += ["<h2>Results</h2>", *_table(report)]
    settings = " · ".join(f"{name.replace('_', ' ')} {_format(value)}" for name, value in report.settings.items())
    parts += [f"<footer>charlstm {_escape(report.name)} · {_escape(settings)}</footer>", "</body></html>", ""]
    return "\n".join(parts)


def _table(report: Report) -> list[str]:
    head = "".join(f"<th>{_escape(column)}</th>" for column in report.columns)
    cells = ['<td class="text">' if is_text else "<td>" for is_text in report.text_columns]
    rows = [
        "".join(f"{begin}{_escape(cell)}</td>" for begin, cell in zip(cells, row, strict=True)) for row in report.rows
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return [f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>']


def _escape(text: str) -> str:
    return html.escape(visible(text))


def _format(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
