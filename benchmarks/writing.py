"""How good is what a network writes, at several settings of sampling?

Run: ``python -m benchmarks.writing MODEL TEXT [--classics FOLDER] [--length 8000] [--seeds 1 2 3]``

MODEL is a run, a file or ``starter``; TEXT is what it was trained on. For each setting and seed the network writes
LENGTH characters, from no prompt. ``default`` is with what is stored with it; in every other setting what is not named
is off. The columns:

- ``real words``: share of its words of three letters or more that are in TEXT, or three times in the classics (the
  folder that ``charlstm corpora fetch classics`` makes);
- ``own words``: share of them that are in TEXT, those that are not among its 500 commonest counted alone as
  ``own rarer words``: does it write like this text, or like English in general?
- ``own 5-grams``: share of its passages of five characters that are in TEXT;
- ``in circles``: share of its characters that end a passage of 20 or more that was written before, also where there
  are no words: names, tunes, tables;
- ``repeated trigrams``, ``distinct 4-grams``, ``longest copy``, ``longest run``: see `charlstm.evaluation.writing`;
- ``bits``: bits per character under a second network, if ``--judge`` names one.

The first row is TEXT itself: the mean of as many pieces of the same length, evenly spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import charlstm
from benchmarks import records
from charlstm.cli.load_model import NO_FILTER
from charlstm.evaluation.writing import known_words, longest_copy, measure, words_of
from charlstm.sampling.repeats import Repeats

SETTINGS = ("default", "-t 0.5", "-t 0.8", "-t 1.0", "-t 0.8 --top-p 0.9")
"""Options of ``charlstm sample``; ``default`` is none of them."""

_COMMON = 500
"""Words that any text of a language shares with any other."""
_PASSAGE = 5
"""Characters of the passages that a network shares with its text if it writes in the text's style."""
_CIRCLE = 20
"""Characters of a passage that is said again on purpose, or by going in circles."""
_KEYWORDS = {
    "-t": "temperature",
    "--top-p": "top_p",
    "--min-p": "min_p",
    "--no-repeat": "no_repeat",
    "--longest-run": "longest_run",
    "--repetition-penalty": "repetition_penalty",
}
_WHOLE = ("--no-repeat", "--longest-run")


def main() -> None:
    """Write, measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("text", type=Path)
    parser.add_argument("--classics", type=Path)
    parser.add_argument("--length", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--settings", nargs="+", default=SETTINGS)
    parser.add_argument("--judge")
    options = parser.parse_args()
    record = records.begin("writing", options.seeds)
    source = options.text.read_text("utf-8")
    lexicon = real_words(options.classics)
    judge = charlstm.load(options.judge) if options.judge else None
    model = charlstm.load(options.model)
    pieces = list(spread(source, options.length, len(options.seeds)))
    _add(record, f"{options.text.name} itself", pieces, "", source, lexicon, judge)
    for setting in options.settings:
        keywords = {} if setting == "default" else typed(setting)
        written = [write(model, options.length, seed, keywords) for seed in options.seeds]
        _add(record, f"{Path(options.model).name}, {setting}", written, source, source, lexicon, judge)
    record.show()
    record.finish(options)


def typed(setting: str) -> dict[str, Any]:
    """The keywords of `Model.generate` for options as they are typed; every other filter is off."""
    words = setting.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return NO_FILTER | {_KEYWORDS[option]: (int if option in _WHOLE else float)(value) for option, value in pairs}


def write(model: charlstm.Model, length: int, seed: int, keywords: dict[str, Any]) -> str:
    """Let a network write so many characters; if it has read a list, as many of its texts as that takes."""
    end = model.checkpoint.writing.record
    if not end:
        return model.generate(length=length, seed=seed, **keywords)
    count, written = 32, ""
    while len(written) < length and count <= length:
        written = end.join(model.records(count, seed=seed, **keywords))
        count *= 2
    return written[:length]


def in_circles(text: str, least: int = _CIRCLE) -> float:
    """The share of characters at whose end a passage of ``least`` or more is said again."""
    repeats, count = Repeats(1), 0
    for character in text:
        repeats.push(np.array([ord(character)]))
        count += int(repeats.longest()[0] >= least)
    return count / max(1, len(text))


def spread(text: str, length: int, count: int) -> Iterator[str]:
    """Pieces of a text, evenly spread over it; the whole text if it is no longer than one."""
    last = max(0, len(text) - length)
    for number in range(count):
        start = last * number // max(1, count - 1)
        yield text[start : start + length]


def real_words(folder: Path | None) -> set[str]:
    """The words that occur three times in the texts of a folder; none without a folder.

    Raises:
        SystemExit: there is no text in it, so that every word would count as none.
    """
    if folder is None:
        return set()
    paths = sorted(folder.rglob("*.txt"))
    if not paths:
        raise SystemExit(f"no .txt in {folder}: name the folder that `charlstm corpora fetch classics` prints")
    return known_words((path.read_text("utf-8") for path in paths), least=3)


def figures_of(text: str, source: str, lexicon: set[str]) -> dict[str, float]:
    """The figures of a written text that need no second network.

    Args:
        text: what was written.
        source: what the network was trained on.
        lexicon: words that are real though they may not be in it.

    Returns:
        The figures, by the names of their columns.
    """
    own = Counter(words_of(source))
    common = {word for word, _ in own.most_common(_COMMON)}
    found = measure([text], own.keys() | lexicon)
    rarer = [word for word in words_of(text) if len(word) > 2 and word not in common]
    passages = {source[start : start + _PASSAGE] for start in range(len(source) - _PASSAGE + 1)}
    written = [text[start : start + _PASSAGE] for start in range(len(text) - _PASSAGE + 1)]
    return {
        "real words": found.real_words,
        "own words": measure([text], own).real_words,
        "own rarer words": sum(word in own for word in rarer) / max(1, len(rarer)),
        "own 5-grams": sum(passage in passages for passage in written) / max(1, len(written)),
        "in circles": in_circles(text),
        "repeated trigrams": found.repeated_trigrams,
        "distinct 4-grams": found.distinct_4grams,
        "longest run": found.longest_run,
    }


def _add(
    record: records.Record,
    row: str,
    written: Iterable[str],
    copied_from: str,
    source: str,
    lexicon: set[str],
    judge: charlstm.Model | None,
) -> None:
    """Add the figures of one setting: a value for each seed."""
    columns: dict[str, list[float]] = {}
    for text in written:
        values = figures_of(text, source, lexicon)
        if copied_from:
            values["longest copy"] = len(longest_copy(text, copied_from))
        if judge is not None:
            known = "".join(c for c in text if not judge.tokenizer.unknown_characters(c))
            values["bits"] = judge.score(known).bits_per_char
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    units = {"longest copy": "characters", "longest run": "characters", "bits": "bits per character"}
    for name, several in columns.items():
        record.add(row, name, units.get(name, "share"), several)


if __name__ == "__main__":
    main()
