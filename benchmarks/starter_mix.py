"""Writes the text that the starter is trained on, from the fetched classics and the bundled corpus.

    charlstm corpora fetch classics
    python -m benchmarks.starter_mix FILE

A network that is to be fine-tuned on anybody's English must know more forms of it than the classics have: in them all
quotes are plain, and a paragraph is a line. So of every three books one gets typographic quotes and dashes, and of
every four one is wrapped at 60 to 78 columns; a digest of its name decides which. The bundled corpus, with its plays,
verse, letters and recipes, stands in the text three times, without its last eighth: what ``charlstm train english``
validates on stays unread. Rare characters are written in ASCII.

The books held out are not in it; the first quarter of each is its end, for validation. The share of that end is
printed: ``val_fraction`` of the preset ``starter``.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from benchmarks.runs import cache
from charlstm.corpora.catalogue import Entry, bundled, find, place
from charlstm.corpora.encode import train_size
from charlstm.corpora.sources import open_sources

KEPT = frozenset("‘’“”—–…éèêàâçöñæ£°")
"""Characters besides ASCII that the starter knows."""
_COPIES_OF_ENGLISH = 3
_ENGLISH_READ = 0.88


def main() -> None:
    """Write the text and print the share of its end that is for validation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    target: Path = parser.parse_args().target
    books = {entry.name: place(entry, cache()) for entry in open_classics()}
    held_out = [entry.name for entry in find("classics/held-out").entries]
    train = [formed(name, read(path)) for name, path in sorted(books.items(), key=digest_of) if name not in held_out]
    english = "".join(path.read_text("utf-8") for path in bundled().values())
    for copy in range(1, _COPIES_OF_ENGLISH + 1):
        train.insert(copy * len(train) // (_COPIES_OF_ENGLISH + 1), english[: int(_ENGLISH_READ * len(english))])
    val = [text[: len(text) // 4] for text in (read(books[name]) for name in held_out)]
    train_text, val_text = joined(train) + "\n", joined(val)
    target.write_text(train_text + val_text, "utf-8", newline="\n")
    size = len(train_text) + len(val_text)
    share = len(val_text) / size
    assert train_size(size, share) == len(train_text)
    print(f"{size:,} characters, val_fraction {share!r}")


def open_classics() -> Iterator[Entry]:
    """The books, whose files are checked."""
    open_sources(["classics"], cache=cache())
    yield from find("classics").entries


def digest_of(named: tuple[str, Path]) -> bytes:
    """A digest of a book's name: a shuffled order, always the same."""
    return hashlib.sha256(named[0].encode()).digest()


def read(path: Path) -> str:
    """A book in the characters that the starter knows."""
    text = path.read_text("utf-8")
    odd = {c for c in set(text) if not (c == "\n" or " " <= c <= "~" or c in KEPT)}
    return text.translate({ord(c): unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode() for c in odd})


def formed(name: str, text: str) -> str:
    """A book in the form that its name decides."""
    digest = hashlib.sha256(f"form of {name}".encode()).digest()
    if digest[0] % 3 == 0:
        text = typographic(text)
    return wrapped(text, 60 + digest[2] % 19) if digest[1] % 4 == 0 else text


def typographic(text: str) -> str:
    """A text with curved quotes and long dashes."""
    text = re.sub(r"(^|[\s(\[—-])\"", r"\1“", text, flags=re.MULTILINE).replace('"', "”")
    text = re.sub(r"(^|[\s(\[—“-])'", r"\1‘", text, flags=re.MULTILINE).replace("'", "’")
    return re.sub(r"(?<=[\w,.;!?’”])\s?--\s?(?=[\w“‘’”])", "—", text)


def wrapped(text: str, width: int) -> str:
    """A text whose long lines are broken between words; indented lines are verse, and stay."""
    lines: list[str] = []
    for line in text.split("\n"):
        long = len(line) > width and not line.startswith(" ")
        pieces = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) if long else [line]
        lines.extend(pieces)
    return "\n".join(lines)


def joined(texts: list[str]) -> str:
    """Texts with an empty line between two."""
    return "\n\n".join(text.strip("\n") for text in texts) + "\n"


if __name__ == "__main__":
    main()
