"""What do the default filters cost when a network writes?

Run: ``python -m benchmarks.filters [MODEL] [--rounds 9]``

MODEL is ``starter`` unless another one is named. It writes 2,500 characters from no prompt, with the settings that are
stored with it, without some of them, and without any: one short block of each in turn. The figures are characters per
second, on as many threads as NumPy takes by itself.
"""

from __future__ import annotations

import itertools
import statistics
import time
from functools import partial
from typing import Any

import charlstm
from benchmarks import records
from benchmarks.timing import interleaved
from charlstm.cli.load_model import NO_FILTER

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "any repeats": {"no_repeat": 0},
    "also any runs": {"no_repeat": 0, "longest_run": 0},
    "no filter": NO_FILTER,
}
_CHARACTERS = 2500


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    record = records.begin("filters")
    model, seeds = charlstm.load(options.model), itertools.count(1)
    speeds = interleaved(
        {name: partial(speed, model, seeds, keywords) for name, keywords in SETTINGS.items()}, options.rounds
    )
    for name, values in speeds.items():
        record.add(options.model, name, "characters per second", values)
    record.show()
    for name, values in speeds.items():
        ratios = [theirs / default for theirs, default in zip(values, speeds["default"], strict=True)]
        print(f"{name:24}{statistics.median(ratios):6.3f} times the default")
    record.finish(options)


def speed(model: charlstm.Model, seeds: itertools.count[int], keywords: dict[str, Any]) -> float:
    """Characters per second of one block; its text differs from those of all other blocks."""
    start = time.perf_counter()
    model.generate(length=_CHARACTERS, seed=next(seeds), **keywords)
    return _CHARACTERS / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
