"""The cache of encoded texts: what is long unused goes, what is in use works on, nothing else is touched."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from charlstm.cli.commands import corpora as module
from charlstm.config import DataConfig
from charlstm.corpora.cache_cleanup import KEPT, Entry, entries, remove
from charlstm.corpora.encode import Encoded, cached, encode
from charlstm.corpora.sources import open_sources
from charlstm.files import write_atomically


def encoded(cache: Path, text: str, tokenizer: str = "char") -> Encoded:
    file = cache.parent / "text.txt"
    file.write_text(text)
    config = DataConfig(tokenizer=tokenizer)  # type: ignore[arg-type]
    return encode(open_sources([str(file)], cache=cache), config, cache)


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_what_was_not_used_for_thirty_days_goes_when_another_comes(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old, young = encoded(cache, "an old text"), encoded(cache, "a younger one")
    age(old.path, KEPT + 60)
    age(young.path, KEPT - 60)
    corpus = cache / "corpora" / "fetched.txt"
    corpus.parent.mkdir()
    corpus.write_text("fetched")
    age(corpus, 10 * KEPT)
    encoded(cache, "a younger one")
    assert old.path.exists(), "nothing new came"
    new = encoded(cache, "the newest")
    assert [path.exists() for path in (old.path, young.path, new.path, corpus)] == [False, True, True, True]


def test_use_is_noted_so_that_what_is_used_stays(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    used = encoded(cache, "a text of pieces, a text of pieces " * 60, "bpe")
    tokenizer = next((cache / "tokenizers").iterdir())
    for path in (used.path, tokenizer):
        age(path, KEPT + 60)
    assert cached(used.corpus_sha256, used.tokenizer, cache) is not None
    encoded(cache, "a text of pieces, a text of pieces " * 60, "bpe")
    encoded(cache, "the newest")
    assert used.path.exists()
    assert tokenizer.exists()


@pytest.mark.skipif(os.name == "nt", reason="there a mapped file cannot be removed, and stays")
def test_a_training_that_runs_keeps_its_ids(tmp_path: Path) -> None:
    text = "in use all the time " * 1000
    running = encoded(tmp_path / "cache", text)
    assert [entry.path for entry in remove(entries(tmp_path / "cache"))] == [running.path]
    assert running.tokenizer.decode(running.ids) == text
    assert np.array_equal(encoded(tmp_path / "cache", text).ids, running.ids)


def test_what_cannot_be_removed_stays_and_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert list(remove([Entry(tmp_path / "folder", 1, 0.0), Entry(tmp_path / "gone", 1, 0.0)])) == []


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(module.app, ["clean", *arguments])
    assert result.exception is None, result.output
    return result.stdout, result.stderr


def test_clean_lists_what_goes_and_what_it_frees(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old, young = encoded(cache, "x" * 2872), encoded(cache, "an" * 500)
    age(old.path, 3 * 86400)
    place = ("--cache", str(cache))
    out, err = run("--dry-run", *place)
    assert (out.count("\n"), err) == (2, "2 files would go, 4.13 kB to free\n")
    out, err = run("--unused", "2d", "--json", *place)
    assert [each["path"] for each in json.loads(out)] == [str(old.path)]
    assert "1 file removed, 3 kB freed" in err
    assert not old.path.exists()
    out, err = run(*place)
    assert out.startswith(f"encoded/{young.path.name[:12]}")
    assert "1.13 kB" in out
    assert not young.path.exists()
    assert run(*place) == ("", "0 files removed, 0 B freed\n")
    assert run("--cache", str(tmp_path / "nowhere"))[1] == "0 files removed, 0 B freed\n"


def test_what_is_being_written_stays_and_what_a_killed_writer_left_goes(tmp_path: Path) -> None:
    folder = tmp_path / "encoded"
    folder.mkdir()
    kept = []

    def blocks() -> Iterator[bytes]:
        yield b"the first"
        kept.extend(list(remove(entries(tmp_path))))
        yield b" and the second"

    left = folder / ".text.npy.999999999.0123abcd.tmp"
    left.write_bytes(b"half")
    write_atomically(folder / "text2.npy", blocks())
    assert [entry.path for entry in kept] == [left]
    assert (folder / "text2.npy").read_bytes() == b"the first and the second"
