"""How many blanks in a text it has never seen does a network fill exactly as they were?

Run: ``python -m benchmarks.cloze TEXT RUN [RUN …] [--blanks 300] [--lengths 1,3,8] [--shown 10]``

The blanks are cut from the text's last tenth, which no run may have learnt from (of more than two million characters
less is kept for validation, unless by ``--val-fraction 0.1``), always at the same places, a hundred
characters seen on each side; every run, of either kind, gets the same ones and gives its likeliest answer. A share's
standard error is at most 0.03 at 300 blanks. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import charlstm
from benchmarks.machine import machine
from charlstm.filling.blanks import Blank, Blanked
from charlstm.filling.config import FillConfig
from charlstm.filling.fill import fill
from charlstm.filling.readers import reader_of

SIDE = 100


def blanks_of(text: str, count: int, length: int) -> list[tuple[Blanked, str]]:
    """Blanks of a length at random places of a text, each with what stood there."""
    found = []
    for begin in np.random.default_rng(length).integers(SIDE, len(text) - SIDE - length, count).tolist():
        end = begin + length
        sides = text[begin - SIDE : begin], text[end : end + SIDE]
        found.append((Blanked(sides, (Blank(length, length),)), text[begin:end]))
    return found


def main() -> None:
    """Fill, print shares and some blanks, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--blanks", type=int, default=300)
    parser.add_argument("--lengths", default="1,3,8")
    parser.add_argument("--shown", type=int, default=10)
    options = parser.parse_args()
    text = options.text.read_text("utf-8")
    held_out = text[-len(text) // 10 :]
    models = {run: charlstm.load(run) for run in options.runs}
    results: dict[str, dict[str, float]] = {run: {} for run in models}
    for length in map(int, options.lengths.split(",")):
        blanks = blanks_of(held_out, options.blanks, length)
        answers = {}
        for run, model in models.items():
            began = time.perf_counter()
            reader, config = reader_of(model.engine), FillConfig(newlines=True)
            answers[run] = [fill(reader, model.tokenizer, blanked, config)[0].blanks[0] for blanked, _ in blanks]
            share = sum(answer == truth for answer, (_, truth) in zip(answers[run], blanks, strict=True)) / len(blanks)
            each = 1e3 * (time.perf_counter() - began) / len(blanks)
            results[run][str(length)] = share
            print(f"{length} characters, {run}: {share:.1%} exactly recovered, {each:.0f} ms each", flush=True)
        for number in range(options.shown):
            (left, right), truth = blanks[number][0].texts, blanks[number][1]
            print("  ", repr(f"{left[-25:]}[{truth}]{right[:25]}"), *(repr(answers[run][number]) for run in models))
    print(json.dumps({"benchmark": "cloze", "recovered": results, "blanks": options.blanks, **machine()}))


if __name__ == "__main__":
    main()
