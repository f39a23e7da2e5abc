"""How much better is it to begin from the starter than from random weights?

Run: ``python -m benchmarks.starts FILE [FILE …] [--max-time 60s] [--seeds 1 2] [--classics FOLDER]``

Each FILE is trained on twice for the same time, once from random weights and once from the starter, as ``charlstm
train`` does it by itself; the last tenth is for validation, and a list is read as one text. With several seeds the two
take turns, and each seed begins with the other one. The columns, in nats per token of the validation text, the state
carried through it:

- ``from nothing``, ``from the starter``;
- ``better by``: their difference;
- ``the choice loses``: how far what ``train`` would have chosen is behind the better of the two.

What the network that began from the starter writes by default, 8,000 characters from no prompt, is measured too, the
columns as in ``benchmarks.writing``. It has the starter's English: is it also the text's? The last row is the starter
itself, beside the words and passages of the last FILE.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import charlstm
from benchmarks import records
from benchmarks.runs import CHARLSTM, cache, validation_loss
from benchmarks.writing import figures_of, real_words, write
from charlstm.checkpoint.format import Checkpoint
from charlstm.corpora.sources import open_sources
from charlstm.training.plan.start import choose_start

STARTS = {"from nothing": "none", "from the starter": "starter"}
_WRITTEN = ("real words", "own rarer words", "own 5-grams", "in circles", "repeated trigrams")


def main() -> None:
    """Train from both, score, let write, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--max-time", default="60s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--classics", type=Path)
    parser.add_argument("--length", type=int, default=8000)
    options = parser.parse_args()
    record = records.begin("starts", options.seeds)
    lexicon = real_words(options.classics)
    starter = charlstm.load("starter")
    for file in options.files:
        compare(file, options, starter.checkpoint, lexicon, record)
    _add_writing(
        record, "the starter", [starter] * len(options.seeds), options.files[-1].read_text("utf-8"), lexicon, options
    )
    record.show()
    record.finish(options)


def compare(
    file: Path, options: argparse.Namespace, starter: Checkpoint, lexicon: set[str], record: records.Record
) -> None:
    """Train on one text from both starts, with every seed.

    Args:
        file: the text.
        options: the program's.
        starter: what one of the two begins from.
        lexicon: words that are real wherever they stand.
        record: what the figures are added to.
    """
    text, row = file.read_text("utf-8"), f"{file.name}, {options.max_time}"
    losses: dict[str, list[float]] = {name: [] for name in STARTS}
    trained: list[charlstm.Model] = []
    for number, seed in enumerate(options.seeds):
        for name in sorted(STARTS, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory() as folder:
                begin = ["--init-from", STARTS[name], "--max-time", options.max_time, "--seed", str(seed)]
                command = [*CHARLSTM, "train", str(file), *begin, "--val-fraction", "0.1", "--records", "none"]
                subprocess.run([*command, "--preview", "0", "-q", "--out", f"{folder}/run"], check=True)
                model, loss = validation_loss(Path(folder) / "run", text)
            losses[name].append(loss.stateful)
            trained += [model] if name == "from the starter" else []
    for name, values in losses.items():
        record.add(row, name, "nats", values)
    pairs = list(zip(*losses.values(), strict=True))
    chosen = int(choose_start(starter, open_sources([str(file)], cache=cache())).from_starter)
    record.add(row, "better by", "nats", [nothing - begun for nothing, begun in pairs])
    record.add(row, "the choice loses", "nats", [pair[chosen] - min(pair) for pair in pairs])
    _add_writing(record, row, trained, text, lexicon, options)


def _add_writing(
    record: records.Record,
    row: str,
    models: list[charlstm.Model],
    text: str,
    lexicon: set[str],
    options: argparse.Namespace,
) -> None:
    """Add the figures of what networks write by default, one for each seed."""
    seeded = zip(models, options.seeds, strict=True)
    written = [figures_of(write(model, options.length, seed, {}), text, lexicon) for model, seed in seeded]
    for name in _WRITTEN:
        record.add(row, name, "share", [figures[name] for figures in written])


if __name__ == "__main__":
    main()
