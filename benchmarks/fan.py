"""How long does the fan of futures take: every likely way in which a text can go on?

Run: ``python -m benchmarks.fan [MODEL] [--rounds 9] [--depth 24] [--least 0.002]``

MODEL is ``starter`` unless another one is named. A row is the end of a text: within a word, between two words, after
an opening quotation mark, before a paragraph. The text itself has been read before; measured is `sampling.fan.fan`
alone, in milliseconds, with as many threads as there are cores and with one. ``nodes`` is how many ways it found.
"""

from __future__ import annotations

import time
from functools import partial

import charlstm
from benchmarks import records
from benchmarks.timing import interleaved
from charlstm.cpu import cores
from charlstm.engine.auto_threads import blas_threads
from charlstm.sampling.fan import FanNode, fan
from charlstm.sampling.position import Position, prefill

TEXTS = {
    "within a word": "He had never seen such a th",
    "between two words": "The tide was ",
    "after a quotation mark": 'She shook her head. "',
    "before a paragraph": "And so they parted.\n\n",
}


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--depth", type=int, default=24)
    parser.add_argument("--least", type=float, default=0.002)
    options = parser.parse_args()
    record = records.begin("fan")
    model = charlstm.load(options.model)

    def grown(position: Position) -> list[FanNode]:
        return fan(model.writer, position, depth=options.depth, least=options.least)

    def milliseconds(position: Position, threads: int) -> float:
        blas_threads().use(threads)
        start = time.perf_counter()
        grown(position)
        return 1000 * (time.perf_counter() - start)

    for place, text in TEXTS.items():
        row = f"{options.model}, {place}"
        position = prefill(model.writer, model.tokenizer.encode(text))
        record.add(row, "nodes", "nodes", len(grown(position)))
        threads = {f"{count} thread{'s' if count > 1 else ''}": count for count in dict.fromkeys((cores(), 1))}
        runs = {name: partial(milliseconds, position, count) for name, count in threads.items()}
        for name, values in interleaved(runs, options.rounds).items():
            record.add(row, name, "milliseconds", values)
    record.show()
    record.finish(options)


if __name__ == "__main__":
    main()
