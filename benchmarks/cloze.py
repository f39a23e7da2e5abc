"""How many blanks in unseen text does a network fill exactly as they were?

Run: ``python -m benchmarks.cloze TEXT RUN [RUN …] [--blanks 300] [--lengths 1,3,8] [--shown 10]``

The blanks are cut from the last tenth of the text, from which no run may have learned (train with
``--val-fraction 0.1`` on a text of more than two million characters), always at the same places and with a hundred
characters of context on each side. Every run, causal or bidirectional, gets the same blanks and gives its likeliest
answer. The standard error of a share is at most 0.03 at 300 blanks. The last line is the record of the run as JSON.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import charlstm
from benchmarks import records
from charlstm.filling.blanks import Blank, Blanked
from charlstm.filling.config import FillConfig
from charlstm.filling.fill import fill
from charlstm.filling.readers import reader_of

CONTEXT = 100
"""Characters on each side of a blank."""


def cut_blanks(text: str, count: int, length: int) -> list[tuple[Blanked, str]]:
    """Cut blanks at random places.

    Args:
        text: to cut from; the same text gives the same blanks.
        count: of blanks.
        length: of each, in characters.

    Returns:
        Each blank between its contexts, and the characters that were cut out.
    """
    blanks = []
    for begin in np.random.default_rng(length).integers(CONTEXT, len(text) - CONTEXT - length, count).tolist():
        end = begin + length
        sides = text[begin - CONTEXT : begin], text[end : end + CONTEXT]
        blanks.append((Blanked(sides, (Blank(length, length),)), text[begin:end]))
    return blanks


def main() -> None:
    """Fill, print shares and some blanks, record."""
    parser = records.parser(__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--blanks", type=int, default=300)
    parser.add_argument("--lengths", default="1,3,8")
    parser.add_argument("--shown", type=int, default=10)
    options = parser.parse_args()
    record = records.begin("cloze")
    text = options.text.read_text("utf-8")
    held_out = text[-len(text) // 10 :]
    models = {run: charlstm.load(run) for run in options.runs}
    for length in map(int, options.lengths.split(",")):
        blanks = cut_blanks(held_out, options.blanks, length)
        answers = {}
        for run, model in models.items():
            began = time.perf_counter()
            reader, config = reader_of(model.engine), FillConfig(newlines=True)
            answers[run] = [fill(reader, model.tokenizer, blanked, config)[0].blanks[0] for blanked, _ in blanks]
            share = sum(answer == truth for answer, (_, truth) in zip(answers[run], blanks, strict=True)) / len(blanks)
            milliseconds = 1e3 * (time.perf_counter() - began) / len(blanks)
            row = f"{length} character{'s' * (length > 1)}, {Path(run).name}"
            record.add(row, "recovered exactly", "share of blanks", share)
            record.add(row, "time", "milliseconds per blank", milliseconds)
            print(f"{row}: {share:.1%} recovered exactly, {milliseconds:.0f} ms per blank", flush=True)
        for number in range(options.shown):
            (left, right), truth = blanks[number][0].texts, blanks[number][1]
            print("  ", repr(f"{left[-25:]}[{truth}]{right[:25]}"), *(repr(answers[run][number]) for run in models))
    record.finish(options)


if __name__ == "__main__":
    main()
