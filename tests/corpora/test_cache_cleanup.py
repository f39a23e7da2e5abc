"""The cache of encoded texts: unused files go, files in use work on, and nobody else's file is ever touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from charlstm.cli.commands import corpora as module
from charlstm.config import DataConfig
from charlstm.corpora import ids_cache
from charlstm.corpora.cache_cleanup import MAX_IDLE, CachedFile, cached_files, remove
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


def test_a_file_unused_for_thirty_days_is_removed_when_another_is_written(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old, young = encoded(cache, "an old text"), encoded(cache, "a younger one")
    age(old.path, MAX_IDLE + 60)
    age(young.path, MAX_IDLE - 60)
    corpus = cache / "corpora" / "fetched.txt"
    corpus.parent.mkdir()
    corpus.write_text("fetched")
    age(corpus, 10 * MAX_IDLE)
    encoded(cache, "a younger one")
    assert old.path.exists(), "nothing was written"
    new = encoded(cache, "the newest")
    assert [path.exists() for path in (old.path, young.path, new.path, corpus)] == [False, True, True, True]


def test_a_file_that_is_used_stays(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    used = encoded(cache, "a text of pieces, a text of pieces " * 60, "bpe")
    tokenizer = next((cache / "tokenizers").iterdir())
    for path in (used.path, tokenizer):
        age(path, MAX_IDLE + 60)
    assert cached(used.corpus_sha256, used.tokenizer, cache) is not None
    encoded(cache, "a text of pieces, a text of pieces " * 60, "bpe")
    encoded(cache, "the newest")
    assert used.path.exists()
    assert tokenizer.exists()


@pytest.mark.skipif(os.name == "nt", reason="a mapped file cannot be removed there")
@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_a_running_training_keeps_its_ids(tmp_path: Path, tokenizer: str) -> None:
    text = "in use all the time " * 1000
    running = encoded(tmp_path / "cache", text, tokenizer)
    assert running.path in [file.path for file in remove(cached_files(tmp_path / "cache"))]
    assert not running.path.exists()
    assert running.tokenizer.decode(running.ids) == text
    assert running.text_size(0, len(running.ids)).characters == len(text)
    assert np.array_equal(encoded(tmp_path / "cache", text, tokenizer).ids, running.ids)


@pytest.mark.skipif(os.name == "nt", reason="a mapped file cannot be removed there")
@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_ids_removed_between_writing_and_loading_are_encoded_again(
    tmp_path: Path, tokenizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writings = []

    def write_and_lose(path: Path, data: object) -> None:
        write_atomically(path, data)  # type: ignore[arg-type]
        if path.suffix == ".npy":
            writings.append(path)
            if len(writings) < 4:
                list(remove(cached_files(tmp_path / "cache")))

    monkeypatch.setattr(ids_cache, "write_atomically", write_and_lose)
    text = "gone before it is read\n" * 100
    result = encoded(tmp_path / "cache", text, tokenizer)
    assert len(writings) == 4
    assert result.tokenizer.decode(result.ids) == text


CLEANER = """
import sys
from pathlib import Path
from charlstm.corpora.cache_cleanup import cached_files, remove
print("ready", flush=True)
while True:
    for file in remove(cached_files(Path(sys.argv[1]))):
        pass
"""


@pytest.mark.skipif(os.name == "nt", reason="a mapped file cannot be removed there")
def test_encoding_while_another_process_cleans_up(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", CLEANER, str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as cleaner:
        assert cleaner.stdout is not None
        cleaner.stdout.readline()
        try:
            for number in range(30):
                text = f"text number {number}, " * 50
                result = encoded(cache, text)
                assert result.tokenizer.decode(result.ids) == text
                assert result.text_size(0, len(result.ids)).characters == len(text)
                loaded = cached(result.corpus_sha256, result.tokenizer, cache)
                assert loaded is None or loaded.characters == len(text)
        finally:
            cleaner.kill()


def test_a_file_that_cannot_be_removed_stays_and_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert list(remove([CachedFile(tmp_path / "folder", 1, 0.0), CachedFile(tmp_path / "gone", 1, 0.0)])) == []


def test_only_files_that_charlstm_wrote_are_removed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ours = [encoded(cache, "a text of pieces " * 60, "bpe").path, *(cache / "tokenizers").iterdir()]
    name, others = "0" * 64, []
    foreign = {
        "encoded/notes.txt": b"mine",
        "encoded/weights.npy": ours[0].read_bytes(),
        f"encoded/{name}.npy": b"only the name is like ours",
        f"encoded/{name}.json": ours[1].read_bytes(),
        f"encoded/.{name}.npy.999999999.0123abcd.tmp": b"not a half-written file of ours",
        "encoded/.other.npy.999999999.0123abcd.tmp": b"",
        "tokenizers/tokenizer.json": ours[1].read_bytes(),
        f"tokenizers/{name}.json": b'{"kind": "something else"}',
        f"corpora/{name}.npy": ours[0].read_bytes(),
        f"{name}.npy": ours[0].read_bytes(),
    }
    for place, content in foreign.items():
        path = cache / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        age(path, 10 * MAX_IDLE)
        others.append(path)
    link = cache / "encoded" / f"{'1' * 64}.npy"
    link.symlink_to(tmp_path / "text.txt")
    assert {file.path for file in remove(cached_files(cache))} == set(ours)
    encoded(cache, "the newest")
    assert all(path.exists() for path in (*others, link))


def test_a_file_being_written_stays_and_a_killed_writers_goes(tmp_path: Path) -> None:
    folder = tmp_path / "encoded"
    folder.mkdir()
    header, removed = b"\x93NUMPY\x01\x00", []

    def blocks() -> Iterator[bytes]:
        yield header
        removed.extend(list(remove(cached_files(tmp_path))))
        yield b" and the rest"

    left = [folder / f".{'a' * 64}.npy.999999999.0123abc{number}.tmp" for number in range(3)]
    for path, content in zip(left, (b"", header[:4], header + b"half"), strict=True):
        path.write_bytes(content)
    write_atomically(folder / f"{'b' * 64}.npy", blocks())
    assert {file.path for file in removed} == set(left)
    assert (folder / f"{'b' * 64}.npy").read_bytes() == header + b" and the rest"


def run(*arguments: str, answer: str | None = None) -> tuple[str, str]:
    result = CliRunner().invoke(module.app, ["clean", *arguments], input=answer)
    assert result.exception is None, result.output
    return result.stdout, result.stderr


def test_a_file_is_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "my.txt"
    path.write_text("mine")
    fault = CliRunner().invoke(module.app, ["clean", "--cache", str(path)]).exception
    assert str(fault) == f"{path}: not a folder. Name the cache folder: --cache FOLDER."
    assert path.read_text() == "mine"


def test_clean_lists_what_it_removes_and_how_much(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old, young = encoded(cache, "x" * 2840), encoded(cache, "an" * 500)
    age(old.path, 3 * 86400)
    place = ("--cache", str(cache))
    out, err = run("--dry-run", *place)
    assert (out.count("\n"), err) == (2, f"would remove 2 files (4.16 kB) from {cache}\n")
    out, err = run("--unused", "2d", "--json", *place)
    assert [each["path"] for each in json.loads(out)] == [str(old.path)]
    assert f"removed 1 file (3 kB) from {cache}" in err
    assert not old.path.exists()
    out, err = run(*place)
    assert out.startswith(f"encoded/{young.path.name[:12]}")
    assert "1.16 kB" in out
    assert not young.path.exists()
    assert run(*place) == ("", f"removed 0 files (0 B) from {cache}\n")
    assert run("--cache", str(tmp_path / "nowhere"))[1] == f"removed 0 files (0 B) from {tmp_path / 'nowhere'}\n"


def test_clean_asks_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    path = encoded(cache, "a text").path
    monkeypatch.setattr("charlstm.cli.commands.corpora.is_terminal", lambda stream: True)
    for answer in ("n\n", "\n"):
        err = run("--cache", str(cache), answer=answer)[1]
        assert f"Remove 1 file (166 B) from the cache in {cache}?" in err
        assert err.endswith("nothing removed\n")
    assert "Remove" not in run("--dry-run", "--cache", str(cache))[1]
    assert path.exists()
    assert "Remove" not in run("--unused", "1d", "--cache", str(cache))[1], "there is nothing to ask about"
    assert run("--cache", str(cache), answer="y\n")[1].endswith(f"removed 1 file (166 B) from {cache}\n")
    assert not path.exists()
    path = encoded(cache, "a text").path
    assert "Remove" not in run("--yes", "--cache", str(cache))[1]
    assert not path.exists()
