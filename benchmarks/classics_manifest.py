"""Prints the manifest of the classics from a folder of the books as they are published.

    python -m benchmarks.classics_manifest FOLDER > charlstm/corpora/classics.tsv

To be run again when `charlstm.corpora.clean_markdown` changes: the manifest has the hash of every book before and after
it is cleaned.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from charlstm.corpora.clean_markdown import clean_markdown

HELD_OUT = (
    "Arthur Conan Doyle/The Adventure of the Speckled Band",
    "H.G. Wells/The Time Machine",
    "Jane Austen/Lady Susan",
    "Jane Austen/Northanger Abbey",
    "Joseph Conrad/Nostromo",
    "Oscar Wilde/The Importance of Being Earnest",
    "Robert Louis Stevenson/Treasure Island",
    "William Blake/Songs of Innocence and of Experience",
)
"""Books the starter has not read, chosen before anything was measured: novels of 180 KB to 1 MB, a tale, a play, verse
and letters."""


def main() -> None:
    """Print one line per book: its path, and bytes and SHA-256 of what is published and of the text made of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    print("path", "bytes", "sha256", "text_bytes", "text_sha256", "held_out", sep="\t")
    for path in sorted(folder.glob("*/*.md"), key=lambda path: path.relative_to(folder).parts):
        published = path.read_bytes()
        text = clean_markdown(published.decode()).encode()
        name = path.relative_to(folder).with_suffix("").as_posix()
        facts = (size_and_hash(published), size_and_hash(text))
        print(f"{name}.md", *facts, int(name in HELD_OUT), sep="\t")


def size_and_hash(data: bytes) -> str:
    """The length of data and its SHA-256, with a tab between."""
    return f"{len(data)}\t{hashlib.sha256(data).hexdigest()}"


if __name__ == "__main__":
    main()
