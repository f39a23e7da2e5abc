"""What comes of a minute with texts of many kinds, now and in an earlier version?

Run: ``python -m benchmarks.kinds FILE [FILE …] [--max-time 60s] [--classics FOLDER] [--checkout FOLDER]``

Each FILE is trained on with nothing but the budget, and the network writes as ``charlstm sample`` does by default,
8,000 characters for each seed; whole texts, if it has read a list of them. The columns are those of
``benchmarks.writing``, beside the loss on the validation text that the run itself reports. The record keeps the
beginning of what was written.

``--checkout`` names a clone of this repository: its version trains and writes, by the same commands.

Note: the loss of names.txt cannot be compared with that of the version before, which kept the last tenth of a list for
validation and no whole texts from all of it. Neither is the time quite the same: with a minute for code.txt that
version took 66 seconds and 1,024 steps, this one 62.5 seconds and 890 steps, as the budget holds for the whole command.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import charlstm
from benchmarks import records
from benchmarks.records import ROOT
from benchmarks.writing import figures_of, real_words
from charlstm.evaluation.writing import words_of

_WRITTEN = ("real words", "own 5-grams", "in circles", "repeated trigrams", "longest run")
_SHOWN = 400
"""Characters of the writing that the record keeps."""
_FEWEST_WORDS = 200
"""A text with fewer has no words to speak of: tables, tunes, languages that do not separate them."""


def main() -> None:
    """Train on each text, let write, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--max-time", default="60s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--classics", type=Path)
    parser.add_argument("--length", type=int, default=8000)
    parser.add_argument("--checkout", type=Path, default=ROOT)
    options = parser.parse_args()
    record = records.begin("kinds", options.seeds)
    lexicon = real_words(options.classics)
    earlier = "" if options.checkout == ROOT else f", at {records.commit(options.checkout)}"
    samples = record.details["samples"] = {}
    for file in options.files:
        row = f"{file.name}, {options.max_time}{earlier}"
        samples[row] = measure_kind(file, row, options, lexicon, record)[:_SHOWN]
        print(f"{row}\n\n{samples[row]}\n")
    record.show()
    record.finish(options)


def measure_kind(file: Path, row: str, options: argparse.Namespace, lexicon: set[str], record: records.Record) -> str:
    """Train on one text, and add the figures of the network and of what it writes.

    Args:
        file: the text.
        row: of the table.
        options: the program's.
        lexicon: words that are real wherever they stand.
        record: what the figures are added to.

    Returns:
        What the network wrote with the first seed.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        charlstm_there(options, "train", str(file.resolve()), "--max-time", options.max_time, "-q", "--out", str(run))
        trained = charlstm.load(run).checkpoint
        listed = ["-n", str(options.length // 10)] if trained.writing.record else []
        length = [*listed, "--length", str(options.length)]
        written = [
            charlstm_there(options, "sample", str(run), *length, "--seed", str(seed))[: options.length]
            for seed in options.seeds
        ]
    if trained.provenance.bits_per_char is not None:
        record.add(row, "loss", "bits per character", trained.provenance.bits_per_char)
    source = file.read_text("utf-8")
    figures = [figures_of(text, source, lexicon) for text in written]
    wordless = len(words_of(source)) < _FEWEST_WORDS
    for name in _WRITTEN:
        if not wordless or name in ("own 5-grams", "in circles", "longest run"):
            record.add(row, name, "characters" if name == "longest run" else "share", [each[name] for each in figures])
    return written[0]


def charlstm_there(options: argparse.Namespace, *arguments: str) -> str:
    """Run a command of the version in the checkout; return what it printed.

    Args:
        options: the program's.
        arguments: after ``charlstm``.
    """
    command = [sys.executable, "-m", "charlstm", *arguments]  # Python imports from the working folder first
    return subprocess.run(command, cwd=options.checkout, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
