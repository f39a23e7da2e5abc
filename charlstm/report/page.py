"""A page of blocks as one HTML file: no scripts, no links, readable on a small screen, in the dark and on paper.

The content security policy in its head forbids everything but its own styles and pictures; all texts are escaped, and
their control characters made visible.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, groupby
from typing import Any

from charlstm.report import raster, svg
from charlstm.report.blocks import Block, Boxes, Frames, HeatMap, Page, Points, Shaded, Strip, Table, Text
from charlstm.report.boxes import Cell, end_of, label_of, lay_out, path_of, widths
from charlstm.report.charts import Bars, Chart
from charlstm.report.scales import Scale, Shade
from charlstm.report.visible import cell_of, sign_of, visible

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: CanvasText; background: Canvas; max-width: 62rem;
  margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: .4rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
figure { margin: 1rem 0 1.4rem; }
figcaption, .caption, footer { font-size: .88rem; }
.caption, footer { opacity: .7; }
figcaption b { font-size: .95rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #8886; }
td.text { white-space: normal; text-align: left; vertical-align: top; min-width: 10rem; font: inherit; }
.bars { display: grid; grid-template-columns: minmax(8rem, 22rem) 1fr; gap: .25rem .8rem; align-items: center; }
.bars b { display: block; height: .8rem; background: #2f6fb5; }
.bars span { display: grid; grid-template-columns: 1fr auto; gap: .5rem; align-items: center; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
pre, .text, .strip, .keys label { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { font-size: .88rem; line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; margin: .6rem 0; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .95rem; line-height: 1.7; }
.text mark { background: none; color: inherit; border-bottom: 2.5px solid #d6604d; }
.strip { font-size: .8rem; line-height: 1.3; }
.strip span { display: inline-block; text-align: center; min-width: 1.2em; vertical-align: top; margin-bottom: .6rem; }
.strip b, .strip i { display: block; font-style: normal; padding: 0 1px; }
.strip b { font-size: 1rem; }
.boxes { font: 1.05rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre;
  width: max-content; }
.boxes div { height: 1.5em; }
.boxes b, .boxes span { display: inline-block; height: 1.5em; overflow: hidden; vertical-align: top; }
.boxes b { font-weight: 400; padding-right: .3ch; box-sizing: content-box; }
.boxes span { text-align: center; }
.boxes .first { box-shadow: inset 0 1px Canvas; }
.legend { font-size: .82rem; margin-top: .3rem; }
.legend span { padding: .1rem .45rem; display: inline-block; }
.map { display: block; }
.map text { font: 10px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: CanvasText;
  text-anchor: middle; }
.points { width: 100%; max-width: 46rem; }
.points text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: CanvasText;
  text-anchor: middle; }
.points line { stroke: #8886; stroke-width: 1; }
.charts { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; }
.charts > * { flex: 1 1 20rem; min-width: 0; }
.halo { stroke: Canvas; }
fieldset { border: 1px solid #8886; border-radius: 6px; padding: .8rem 1rem; margin: 1rem 0; display: flex;
  flex-wrap: wrap; align-items: center; }
legend { font-weight: 600; padding: 0 .4rem; }
fieldset > input { position: absolute; opacity: 0; width: 1px; height: 1px; }
fieldset > label { order: 1; min-width: 1.05em; padding: .1rem .12rem; text-align: center; border-radius: 3px;
  cursor: pointer; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
fieldset > input:checked + label { background: #2f6fb5; color: #fff; }
fieldset > input:focus-visible + label { outline: 2px solid CanvasText; outline-offset: 1px; }
fieldset > .frame { order: 2; display: none; flex-basis: 100%; min-width: 0; padding-top: .7rem; }
fieldset > input:checked + label + .frame { display: block; }
fieldset > .hint { order: 1; flex-basis: 100%; }
li { margin: .35rem 0; }
footer { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: .6rem; }
@media print { body { max-width: none; margin: 0; } fieldset > label, .hint { display: none; }
  fieldset > .frame { display: block; } }
""".strip()
_COLUMN, _ROW = 10, 3
"""Units of an SVG's width for a column of a heat map, and of its height for a row."""
_PLANE = 720, 480
"""Units of a plane's width and height."""
_BOX_LINES, _BEFORE = 36, 24
"""Lines of nested boxes, and columns of the text before them, at most."""
_HIGHEST = 420
"""Units of the height of a heat map, at most."""


def html_page(page: Page) -> str:
    """Draw a page as HTML.

    Args:
        page: what it shows; markup and control characters in its texts are made harmless.

    Returns:
        The whole document.
    """
    title, numbers = _escape(page.title), count()
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<p>{_escape(page.about)}</p>",
    ]
    for section in page.sections:
        parts += [f"<h2>{_escape(section.heading)}</h2>"] if section.heading else []
        parts += _blocks(section.blocks, numbers)
    parts += [f"<footer>{_escape(page.foot)}</footer>", "</body></html>", ""]
    return "\n".join(parts)


def _blocks(blocks: tuple[Block, ...], numbers: Iterator[int]) -> Iterator[str]:
    """Each block as HTML; charts that follow each other stand side by side."""
    for is_chart, group in groupby(blocks, lambda block: isinstance(block, Chart)):
        drawn = [_DRAW[type(block)](block, numbers) for block in group]
        yield f'<div class="charts">{"".join(drawn)}</div>' if is_chart else "\n".join(drawn)


def _text(block: Text, numbers: Iterator[int]) -> str:
    if block.is_code:
        return f"<pre>{_escape(block.text)}</pre>"
    return f"<p>{_escape(block.text)}</p>"


def _table(block: Table, numbers: Iterator[int]) -> str:
    head = "".join(f"<th>{_escape(column)}</th>" for column in block.columns)
    begin = ['<td class="text">' if is_text else "<td>" for is_text in block.text_columns]
    rows = ["".join(f"{cell}{_escape(text)}</td>" for cell, text in zip(begin, row, strict=True)) for row in block.rows]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return table + _caption(block.caption)


def _chart(block: Chart, numbers: Iterator[int]) -> str:
    return f"<figure>{svg.chart(block)}</figure>"


def _bars(block: Bars, numbers: Iterator[int]) -> str:
    rows = "".join(
        f'<div>{_escape(label)}</div><span><i><b style="width:{value:.1%}"></b></i>{_escape(note)}</span>'
        for label, value, note in zip(block.labels, block.values, block.notes, strict=True)
    )
    return (
        f"<figure><figcaption><b>{_escape(block.title)}</b></figcaption>"
        f'<div class="bars">{rows}</div>{_caption(block.x_label)}</figure>'
    )


def _heat_map(block: HeatMap, numbers: Iterator[int]) -> str:
    rows, columns = block.values.shape
    height = min(_HIGHEST, rows * (14 if block.rows else _ROW))
    left = 8 * max(map(len, block.rows), default=0)
    picture = base64.b64encode(raster.png(block.values, block.scale)).decode("ascii")
    names = "".join(
        f'<text x="0" y="{height * (row + 0.7) / rows:g}" style="text-anchor:start">{_escape(name)}</text>'
        for row, name in enumerate(block.rows)
    )
    letters = "".join(
        f'<text x="{left + _COLUMN * (column + 0.5):g}" y="{height + 12}">{html.escape(cell_of(character))}</text>'
        for column, character in enumerate(block.columns)
    )
    width = left + _COLUMN * columns
    image = (
        f'<image href="data:image/png;base64,{picture}" x="{left}" width="{width - left}" height="{height}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    )
    return (
        f"<figure><figcaption><b>{_escape(block.title)}</b></figcaption>"
        f'<div class="scroll"><svg class="map" role="img" aria-label="{_escape(block.title)}" width="{width}" '
        f'height="{height + 16}" viewBox="0 0 {width} {height + 16}">{image}{names}{letters}</svg></div>'
        f"{_legend(block.scale)}{_caption(block.caption)}</figure>"
    )


def _shaded(block: Shaded, numbers: Iterator[int]) -> str:
    def look(numbered: tuple[int, tuple[str, float]]) -> tuple[Shade | None, bool]:
        number, (_, value) = numbered
        return None if value != value else block.scale.shade_of(value), number in block.marks

    parts = []
    for (shade, marked), group in groupby(enumerate(block.pieces), look):
        text = _span("".join(piece for _, (piece, _) in group), shade)
        parts.append(f"<mark>{text}</mark>" if marked else text)
    return (
        f"<figure><figcaption><b>{_escape(block.title)}</b></figcaption>"
        f'<div class="text">{"".join(parts)}</div>{_legend(block.scale)}{_caption(block.caption)}</figure>'
    )


def _strip(block: Strip, numbers: Iterator[int]) -> str:
    columns = []
    for character, value, guesses in zip(block.characters, block.values, block.guesses, strict=True):
        shade = block.scale.shade_of(value)
        style = f' style="background:{shade.background};color:{shade.color}"' if shade.background else ""
        below = "".join(
            f'<i style="opacity:{0.25 + 0.75 * share**0.5:.2f}" title="{_escape(sign_of(guess))} {share:.1%}">'
            f"{html.escape(cell_of(guess))}</i>"
            for guess, share in guesses
        )
        columns.append(f"<span><b{style}>{html.escape(cell_of(character))}</b>{below}</span>")
        columns += ["<br>"] if character.endswith("\n") else []
    return (
        f"<figure><figcaption><b>{_escape(block.title)}</b></figcaption>"
        f'<div class="strip">{"".join(columns)}</div>{_legend(block.scale)}{_caption(block.caption)}</figure>'
    )


def _points(block: Points, numbers: Iterator[int]) -> str:
    width, height = _PLANE
    xs = [20 + (width - 40) * share for share in _shares(block.x)]
    ys = [20 + (height - 40) * (1 - share) for share in _shares(block.y)]
    lines = "".join(
        f'<line x1="{xs[a]:.1f}" y1="{ys[a]:.1f}" x2="{xs[b]:.1f}" y2="{ys[b]:.1f}"/>' for a, b in block.pairs
    )
    labels = "".join(
        f'<text x="{x:.1f}" y="{y + 4:.1f}">{_escape(label)}</text>'
        for label, x, y in zip(block.labels, xs, ys, strict=True)
    )
    return (
        f"<figure><figcaption><b>{_escape(block.title)}</b></figcaption>"
        f'<svg class="points" role="img" aria-label="{_escape(block.title)}" viewBox="0 0 {width} {height}">'
        f"{lines}{labels}</svg>{_caption(block.caption)}</figure>"
    )


def _shares(values: tuple[float, ...]) -> list[float]:
    """Values as shares of the way from the lowest to the highest."""
    low = min(values)
    return [(value - low) / ((max(values) - low) or 1) for value in values]


def _boxes(block: Boxes, numbers: Iterator[int]) -> str:
    """Each line of the drawing as a line of spans of fixed widths, which tell their path under the pointer."""
    drawing = lay_out(block, _BOX_LINES)
    across = widths(block, drawing)
    before = end_of(block.before, _BEFORE)
    lines = []
    for number, cells in enumerate(drawing.lines):
        beside = f'<b style="width:{len(before)}ch">{_escape(before) if number == drawing.before else ""}</b>'
        lines.append(f"<div>{beside}{''.join(map(partial(_box_cell, block), cells, across))}</div>")
    return (
        f"<figure><figcaption><b>{_escape(block.title)}</b></figcaption>"
        f'<div class="scroll"><div class="boxes">{"".join(lines)}</div></div>'
        f"{_legend(block.scale)}{_caption(block.caption)}</figure>"
    )


def _box_cell(block: Boxes, cell: Cell, width: int) -> str:
    style = f"width:{width}ch"
    if cell.shade.background:
        style += f";background:{cell.shade.background};color:{cell.shade.color}"
    title = _escape(f"{label_of(path_of(block, cell.box))} {block.shares[cell.box]:.1%}")
    begins = ' class="first"' if cell.first else ""
    label = _escape(label_of(block.labels[cell.box])) if cell.part == "label" else ""
    return f'<span{begins} style="{style}" title="{title}">{label}</span>'


def _frames(block: Frames, numbers: Iterator[int]) -> str:
    """Radio buttons, whose group a browser moves through with ← and →; each is followed by its label and frame."""
    group = next(numbers)
    parts = [f"<fieldset><legend>{_escape(block.title)}</legend>"]
    for place, (label, frame) in enumerate(zip(block.labels, block.frames, strict=True)):
        button = f"f{group}-{place}"
        checked = " checked" if place == block.first else ""
        parts.append(
            f'<input type="radio" name="f{group}" id="{button}"{checked}>'
            f'<label for="{button}">{html.escape(sign_of(label))}</label><div class="frame">'
        )
        parts += [*_blocks(frame, numbers), "</div>"]
    hint = '<div class="caption hint">Choose one, then move with ← and →.</div>'
    return "\n".join([*parts, hint, "</fieldset>"])


_DRAW: dict[type[Any], Callable[[Any, Iterator[int]], str]] = {
    Text: _text,
    Table: _table,
    Chart: _chart,
    Bars: _bars,
    HeatMap: _heat_map,
    Shaded: _shaded,
    Strip: _strip,
    Points: _points,
    Boxes: _boxes,
    Frames: _frames,
}


def _legend(scale: Scale) -> str:
    """The shades with their labels; those without a label stand beside each other, as a ramp."""
    spans = "".join(_span(label or "\u00a0", shade) for label, shade in zip(scale.labels, scale.shades, strict=True))
    return f'<div class="legend">{_escape(scale.unit)}: {spans}</div>'


def _caption(text: str) -> str:
    return f'<div class="caption">{_escape(text)}</div>' if text else ""


def _span(text: str, shade: Shade | None) -> str:
    if shade is None or not shade.background:
        return f"<span>{_escape(text)}</span>"
    return f'<span style="background:{shade.background};color:{shade.color}">{_escape(text)}</span>'


def _escape(text: str) -> str:
    return html.escape(visible(text))
