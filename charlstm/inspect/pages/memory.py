"""The page of memory: how far back a network looks."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.inspect.gradients import gradient_reach
from charlstm.inspect.memory import WHOLE, Memory
from charlstm.report.blocks import Page, Section, Table, Text
from charlstm.report.charts import Chart, Curve

Figures: TypeAlias = NDArray[np.float64]


def memory_page(name: str, memory: Memory, *, foot: str = "") -> Page:
    """Show how the loss and the gradient depend on the distance.

    Args:
        name: of the network.
        memory: what was measured.
        foot: the last line of the page.

    Returns:
        The page.
    """
    cut, shuffled = (extra.mean(0) - memory.whole.mean() for extra in (memory.cut, memory.shuffled))
    x = [float(distance) for distance in memory.distances]
    errors = [memory.errors(extra) for extra in (memory.cut, memory.shuffled)]
    curves = (
        _with_error("earlier context missing", x, cut, errors[0], 0),
        _with_error("earlier words shuffled", x, shuffled, errors[1], 1),
    )
    distances = np.arange(1, len(memory.gradient) + 1)
    gradient = Curve.from_seeds("gradient", distances.astype(float).tolist(), [memory.gradient.tolist()], 2)
    rows = tuple(
        (f"{distance:,}", f"{a:+.3f} ± {e:.3f}", f"{b:+.3f} ± {f:.3f}", f"{memory.gradient[distance]:.2%}")
        for distance, a, b, e, f in zip(memory.distances, cut, shuffled, *errors, strict=True)
    )
    return Page(
        "memory",
        f"How far back {name} looks",
        f"The loss at {len(memory.whole)} places of the text, when only the last characters are as they were: what "
        f"stood before them is missing, or its words are in another order. With all {WHOLE} characters it is "
        f"{memory.whole.mean():.3f} bits per character.",
        (
            Section("", (
                *(Text(sentence) for sentence in _sentences(memory)),
                Chart(
                    "Bits lost without the earlier context", "characters that are as they were",
                    "bits per character", curves, log_x=True,
                ),
                Chart(
                    "Gradient of the prediction", "characters back, counting the last as 1",
                    "norm, 1 at the last character", (gradient,), log_x=True, log_y=True,
                ),
            )),
            Section("In numbers", (
                Table(
                    ("characters kept", "bits lost if the rest is missing", "if it is shuffled", "gradient"), rows,
                    "± is the standard error over the places.",
                ),
            )),
        ),
        {
            "model": name,
            "distances": list(memory.distances),
            "bits_lost_cut": cut.tolist(),
            "bits_lost_shuffled": shuffled.tolist(),
            "bits": float(memory.whole.mean()),
            "gradient": memory.gradient.tolist(),
        },
        foot,
    )  # fmt: skip


def _with_error(label: str, x: list[float], mean: Figures, error: Figures, color: int) -> Curve:
    return Curve(
        label, tuple(x), tuple(mean.tolist()), tuple((mean - error).tolist()), tuple((mean + error).tolist()), color
    )


def _sentences(memory: Memory) -> list[str]:
    sentences = []
    for extra, what in ((memory.cut, "is missing"), (memory.shuffled, "is in another order")):
        reach = memory.reach(extra)
        sentences.append(
            f"If everything before the last {_last(reach)} {what}, nothing measurable is lost."
            if reach is not None
            else f"Even if only what stands before the last {_last(memory.distances[-1])} {what}, something is lost."
        )
    sentences.append("A loss is measurable if it is more than a hundredth of a bit and more than two standard errors.")
    reach = gradient_reach(memory.gradient)
    sentences.append(f"The gradient falls below a hundredth of its value {reach + 1} characters back.")
    return sentences


def _last(distance: int) -> str:
    return "character" if distance == 1 else f"{distance} characters"
