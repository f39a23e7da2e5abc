"""The page of units: which of them follow something, what they are for, and what the network writes with them held."""

from __future__ import annotations

from collections.abc import Sequence

from charlstm.inspect.subject import Subject
from charlstm.inspect.telling import Told
from charlstm.inspect.units import Finding, snippets
from charlstm.report.blocks import Block, Page, Section, Shaded, Table, Text
from charlstm.report.scales import signed

_VALUE = signed(1, "value of the unit")


def units_page(subject: Subject, told: Sequence[Told], left_out: Sequence[str], *, foot: str = "") -> Page:
    """Show for each property of a text the unit that follows it best.

    Args:
        subject: the network and the text.
        told: the findings, the surest first.
        left_out: the names of properties that the text hardly has.
        foot: the last line of the page.

    Returns:
        The page.
    """
    rows = tuple(
        (
            each.finding.hypothesis.name,
            str(each.finding.unit),
            _figure(each.finding, each.finding.value),
            _figure(each.finding, each.finding.chance),
            "yes" if each.finding.stands_out else "no",
            "–" if each.bits_lost is None else f"{each.bits_lost:+.4f}",
        )
        for each in told
    )
    caption = (
        "Each unit was chosen on the first half of the text; the figure is that of the second half. Chance is the best "
        "that any unit comes to there with the property shifted in time. AUC: 1 or 0 is perfect, 0.5 tells nothing; "
        "rank correlation (ρ): 1 or -1 is perfect, 0 tells nothing. Bits lost are per character, with the unit held "
        "at its mean; below 0 it reads better so. Of a unit, (c) is its cell state, (h) its hidden state."
    )
    if left_out:
        caption += f" Hardly in this text, so not searched: {', '.join(left_out)}."
    columns = ("property of the text", "unit", "follows it by", "by chance", "stands out", "bits lost")
    sections = [Section("", (Table(columns, rows, caption),))]
    sections += [Section(_heading(each), tuple(_blocks(subject, each))) for each in told if each.finding.stands_out]
    return Page(
        "units",
        f"Units of {subject.name} that follow something",
        f"{len(subject.ids):,} characters were read, and the values of all units compared with properties of the text.",
        tuple(sections),
        {"model": subject.name, "characters": len(subject.ids), "units": [_data(each) for each in told]},
        foot,
    )


def _heading(told: Told) -> str:
    unit = str(told.finding.unit)
    return f"{unit[0].upper()}{unit[1:]}: {told.finding.hypothesis.name}"


def _blocks(subject: Subject, told: Told) -> list[Block]:
    pieces: list[tuple[str, float]] = []
    for begin, end in snippets(subject.tokens, told.values):
        pieces.append(("… ", float("nan")))
        pieces += [(subject.tokens[place].replace("\n", "⏎"), float(told.values[place])) for place in range(begin, end)]
        pieces.append((" …\n", float("nan")))
    direction = "high" if told.finding.sign > 0 else "low"
    graded = told.finding.hypothesis.graded
    sentence = (
        f"It {'rises' if told.finding.sign > 0 else 'falls'} with the {told.finding.hypothesis.name}."
        if graded
        else f"It is {direction} where the text has this property: {told.finding.hypothesis.name}."
    )
    blocks: list[Block] = [Text(sentence), Shaded("Telling passages", tuple(pieces), _VALUE)]
    if told.high:
        blocks += [
            Text("Held high while the network writes:"), Text(told.high, is_code=True),
            Text("Held low:"), Text(told.low, is_code=True),
        ]  # fmt: skip
    return blocks


def _figure(finding: Finding, value: float) -> str:
    return f"ρ {value:+.2f}" if finding.hypothesis.graded else f"AUC {value:.3f}"


def _data(told: Told) -> dict[str, object]:
    finding = told.finding
    return {
        "property": finding.hypothesis.name,
        "stack": finding.unit.stack,
        "layer": finding.unit.layer + 1,
        "part": finding.unit.part,
        "unit": finding.unit.number,
        "measure": "rank correlation" if finding.hypothesis.graded else "auc",
        "chosen_on_first_half": round(finding.chosen, 5),
        "value": round(finding.value, 5),
        "chance": round(finding.chance, 5),
        "stands_out": finding.stands_out,
        "sign": finding.sign,
        "frequency": round(finding.frequency, 5),
        "bits_lost": told.bits_lost,
        "held_high": told.high,
        "held_low": told.low,
    }
