"""The same text at several values of a setting, as a page: the figures in a table, and the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from charlstm.inspect.matches import SHORTEST
from charlstm.inspect.sweep import Swept
from charlstm.report.blocks import Page, Section, Table, Text


def figures(swept: Swept, unit: str = "character") -> dict[str, str]:
    """What was measured of a text, as it is shown.

    Args:
        swept: the text.
        unit: what is counted.

    Returns:
        Each figure by its name; without those that could not be measured.
    """
    shown = {f"bits per {unit}": f"{swept.bits:.2f}", "repeated trigrams": f"{100 * swept.repeated:.0f} %"}
    if swept.copy is not None:
        shown["longest copy"] = f"{swept.copy:,}" if swept.copy else f"under {SHORTEST}"
    if swept.real_words is not None:
        shown["real words"] = f"{100 * swept.real_words:.0f} %"
    return shown


def sweep_page(
    swept: Sequence[Swept], setting: str, *, title: str, prompt: str = "", unit: str = "character", foot: str = ""
) -> Page:
    """Show texts at several values of a setting.

    Args:
        swept: the texts, at least one.
        setting: its name.
        title: what was drawn.
        prompt: before each text.
        unit: what is counted.
        foot: model and command.

    Returns:
        The page.
    """
    label = setting.replace("_", "-")
    rows = tuple((f"{each.value:g}", *figures(each, unit).values()) for each in swept)
    table = Table((label, *figures(swept[0], unit)), rows)
    about = "The same prompt and seed at each value. The bits are the network's own, at temperature 1."
    texts = (Section(f"{label} {each.value:g}", (Text(prompt + each.text, is_code=True),)) for each in swept)
    data = {"setting": setting, "prompt": prompt, "values": [asdict(each) for each in swept]}
    return Page("sweep", title, about, (Section("", (table,)), *texts), data, foot)
