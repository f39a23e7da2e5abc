"""Text to ids on disk: the same ids however the text arrives, never stale, never partial, in constant memory."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
import tracemalloc
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from charlstm.config import DataConfig
from charlstm.corpora.chunks import evenly, recut
from charlstm.corpora.count import CharacterCounter, byte_counts
from charlstm.corpora.decode import Decoding
from charlstm.corpora.encode import cached, encode, fit_tokenizer, frequencies, split
from charlstm.corpora.read import Corpus, FilePart
from charlstm.corpora.sources import open_sources
from charlstm.corpora.text_size import text_size
from charlstm.errors import CharlstmError, StorageError, TextError, UnknownCharacter
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer, narrowest, train_sentencepiece

LAW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
TEXT = st.text(st.one_of(st.sampled_from("abc \n“é漢😀"), st.characters(exclude_categories=["Cs"])), min_size=1).filter(
    lambda text: "\0" not in text and "\r" not in text and "\ufeff" not in text
)
CUTS = st.lists(st.integers(1, 9), max_size=40)


@dataclass
class Changing:
    """A part whose content differs each time it is read, in given blocks; an exception among them is raised."""

    contents: list[list[Any]]
    name: str = "part"
    encoding: str | None = None
    reads: int = field(default=0)

    @property
    def size(self) -> int:
        return sum(len(block) for block in self.contents[0])

    def blocks(self, block: int = 0) -> Iterator[bytes]:
        content = self.contents[min(self.reads, len(self.contents) - 1)]
        self.reads += 1
        for piece in content:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


def blocks(data: bytes, cuts: list[int]) -> list[bytes]:
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    return [block for block in [*pieces, data] if block]


def corpus_of(data: bytes, cuts: list[int] | None = None) -> Corpus:
    return Corpus("made", (Changing([blocks(data, cuts or [])]),))


@LAW
@given(TEXT, CUTS, st.integers(1, 3))
def test_ids_are_those_of_the_whole_text(tmp_path: Path, text: str, cuts: list[int], min_count: int) -> None:
    assume(max(Counter(text).values()) >= min_count)
    whole = CharTokenizer.fit(Counter(text), min_count=min_count)
    encoded = encode(corpus_of(text.encode(), cuts), DataConfig(min_count=min_count), tmp_path / str(min_count))
    assert encoded.ids.dtype == narrowest(whole.vocab_size)
    assert encoded.ids.tolist() == whole.encode(text).tolist()
    assert encoded.tokenizer.to_state() == whole.to_state()
    assert (encoded.characters, encoded.bytes) == (len(text), len(text.encode()))
    assert encoded.corpus_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert encoded.provenance() == {
        "name": "made",
        "sha256": encoded.corpus_sha256,
        "characters": len(text),
        "bytes": len(text.encode()),
        "fingerprint": "",
    }
    assert not encoded.ids.flags.writeable
    assert isinstance(encoded.ids, np.memmap)


@LAW
@given(st.binary(min_size=1), CUTS)
def test_the_byte_tokenizer_encodes_any_bytes_unchanged(tmp_path: Path, data: bytes, cuts: list[int]) -> None:
    encoded = encode(corpus_of(data, cuts), DataConfig(tokenizer="byte"), tmp_path)
    assert encoded.ids.tobytes() == data
    assert encoded.corpus_sha256 == hashlib.sha256(data).hexdigest()
    assert encoded.bytes == len(data)
    assert encoded.characters == sum(not 0x80 <= byte < 0xC0 for byte in data)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sentencepiece_is_trained_once_and_restores_the_text(
    tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the owl and the cat went down to the sea\n\tand then they came back again — so they say\n" * 30
    data = DataConfig(tokenizer=kind, vocab_size=280)
    encoded = encode(corpus_of(text.encode()), data, tmp_path)
    assert encoded.tokenizer.vocab_size == 280
    assert encoded.tokenizer.decode(encoded.ids.tolist()) == text
    monkeypatch.setattr(train_sentencepiece, "train", None)
    again = encode(corpus_of(text.encode(), [3, 5, 100]), data, tmp_path)
    assert (again.ids == encoded.ids).all()
    assert fit_tokenizer(corpus_of(text.encode()), data, tmp_path).to_state() == encoded.tokenizer.to_state()
    (stored,) = (tmp_path / "tokenizers").iterdir()
    monkeypatch.undo()
    right = stored.read_bytes()
    letter = right.replace(b"A", b"B", 1)  # of the model: it can still be read
    for damage in (b"", b"{}", b'{"kind": "sentencepiece", "model": "AAAA"}', b"\xff", letter, b"[" * 5000):
        stored.write_bytes(damage)
        assert (encode(corpus_of(text.encode()), data, tmp_path).ids == encoded.ids).all()
        assert stored.read_bytes() == right
    counted = encoded.text_size(0, len(encoded.ids))
    assert (counted.characters, counted.bytes) == (len(text), len(text.encode()))


def test_a_changed_file_of_equal_time_and_size_is_encoded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abcabc")
    os.utime(path, ns=(10**18, 10**18))
    first = encode(open_sources([str(path)], cache=tmp_path), DataConfig(), tmp_path)
    path.write_text("cbacba")
    os.utime(path, ns=(10**18, 10**18))
    second = encode(open_sources([str(path)], cache=tmp_path), DataConfig(), tmp_path)
    assert (first.ids.tolist(), second.ids.tolist()) == ([0, 1, 2] * 2, [2, 1, 0] * 2)


def test_settings_that_change_the_ids_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("é\r\nbb".encode("utf-16"))
    paths = set()
    for encoding, newlines, data in [
        (None, "normalise", DataConfig()),
        (None, "keep", DataConfig()),
        ("utf-16-be", "normalise", DataConfig()),
        ("latin-1", "normalise", DataConfig()),
        (None, "normalise", DataConfig(tokenizer="byte")),
        (None, "normalise", DataConfig(min_count=2)),
    ]:
        corpus = open_sources([str(path)], decoding=Decoding(encoding, newlines), cache=tmp_path)  # type: ignore[arg-type]
        paths.add(encode(corpus, data, tmp_path).path)
    assert len(paths) == 6


def test_what_is_cached_is_not_written_again(tmp_path: Path) -> None:
    first = encode(corpus_of(b"some text"), DataConfig(), tmp_path)
    made = first.path.stat()
    part = Changing([[b"some text"], [AssertionError("read twice")]])
    again = encode(Corpus("other name", (part,)), DataConfig(), tmp_path)
    assert again.path.stat().st_ino == made.st_ino
    assert again.provenance() == {**first.provenance(), "name": "other name"}


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_a_damaged_cache_file_is_written_again(tmp_path: Path, kind: Any) -> None:
    text = b"to be or not to be, that is the question\n" * 40
    data = DataConfig(tokenizer=kind)
    encoded = encode(corpus_of(text), data, tmp_path)
    path, right = encoded.path, encoded.path.read_bytes()
    del encoded
    gc.collect()
    for wrong in [b"", b"\x93NUMPY", right[:-1], right + b"x", right[:100], b"x" * len(right), right[128:]]:
        path.write_bytes(wrong)
        assert encode(corpus_of(text), data, tmp_path).path.read_bytes() == right
    for place in [*range(0, 128, 7), *range(128, len(right), 97), len(right) - 1]:  # header, ids, digest
        path.write_bytes(right[:place] + bytes([right[place] ^ 1]) + right[place + 1 :])
        assert encode(corpus_of(text), data, tmp_path).path.read_bytes() == right


def test_numpy_opens_the_file(tmp_path: Path) -> None:
    encoded = encode(corpus_of("漢字é".encode() * 3), DataConfig(), tmp_path)
    assert np.load(encoded.path).tolist() == encoded.ids.tolist()
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    assert encode(corpus_of(many.encode()), DataConfig(), tmp_path).ids.dtype == np.uint16


def test_a_text_that_changes_while_it_is_read(tmp_path: Path) -> None:
    for second in ([b"first te"], [b"first texT"], [b"first text, and more"], []):
        for kind in ("char", "byte"):
            corpus = Corpus("log", (Changing([[b"first text"], second]),))
            with pytest.raises(CharlstmError) as caught:
                encode(corpus, DataConfig(tokenizer=kind), tmp_path)  # type: ignore[arg-type]
            # A character that is new since the first pass is reported before the end is reached.
            assert isinstance(caught.value, TextError | UnknownCharacter)
            assert caught.value.where == "log"
    assert not list((tmp_path / "encoded").iterdir())


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_encoding_leaves_nothing(tmp_path: Path, fault: BaseException) -> None:
    corpus = Corpus("log", (Changing([[b"some ", b"text"], [b"some ", fault]]),))
    with pytest.raises(type(fault)):
        encode(corpus, DataConfig(), tmp_path)
    assert not list((tmp_path / "encoded").iterdir())


def test_an_unknown_character_is_reported_with_its_position_in_the_text(tmp_path: Path) -> None:
    text = "ab" * 50 + "ü" + "ab"
    with pytest.raises(UnknownCharacter, match=r"made: character 'ü' .* at position 100 .*made from another text"):
        encode(corpus_of(text.encode(), [7, 30, 30]), DataConfig(), tmp_path, tokenizer=CharTokenizer("ab"))
    mapped = encode(
        corpus_of(text.encode(), [7, 30]), DataConfig(), tmp_path, tokenizer=CharTokenizer("ab", unknown=True)
    )
    assert mapped.ids.tolist() == [0, 1] * 50 + [2] + [0, 1]


def test_an_encoded_text_is_found_without_its_source(tmp_path: Path) -> None:
    for kind in ("char", "byte", "bpe"):
        text = "über den Wolken muß die Freiheit\n" * 40
        encoded = encode(corpus_of(text.encode()), DataConfig(tokenizer=kind), tmp_path)  # type: ignore[arg-type]
        loaded = cached(encoded.corpus_sha256, encoded.tokenizer, tmp_path)
        assert loaded is not None
        assert loaded.ids.tolist() == encoded.ids.tolist()
        assert {**loaded.provenance(), "name": "made"} == encoded.provenance()
        assert cached("0" * 64, encoded.tokenizer, tmp_path) is None
        encoded.path.unlink()
        assert cached(encoded.corpus_sha256, encoded.tokenizer, tmp_path) is None


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        encode(corpus_of(b"text"), DataConfig(), tmp_path / "file")
    with pytest.raises(StorageError):
        open_sources(["unicode:names"], cache=tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
@pytest.mark.parametrize("source", ["big.txt", "-"])
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_full_disk(tmp_path: Path, source: str, kind: str) -> None:
    (tmp_path / "big.txt").write_text("the owl and the cat\n" * 100_000)
    body = f"""
import resource, sys
from pathlib import Path
from charlstm.config import DataConfig
from charlstm.corpora.encode import encode
from charlstm.corpora.sources import open_sources
from charlstm.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    corpus = open_sources(["{source}"], stdin=sys.stdin.buffer, cache=Path("cache"))
    encode(corpus, DataConfig(tokenizer="{kind}"), Path("cache"))
except StorageError as fault:
    print("caught:", fault)
"""
    with (tmp_path / "big.txt").open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-c", body], capture_output=True, text=True, cwd=tmp_path, stdin=stdin, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
    assert done.stdout.startswith("caught: "), done.stderr
    assert "the file exceeds the size limit" in done.stdout
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".json"]


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    line = "Some “quoted” words, naïve and plain — twice over.\n".encode()
    peaks = []
    for size in (8, 32):
        path = tmp_path / f"{size}.txt"
        path.write_bytes(line * (size * 1_000_000 // len(line)))
        tracemalloc.start()
        encode(open_sources([str(path)], cache=tmp_path), DataConfig(), tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1
    assert peaks[1] < 32


def test_progress_covers_both_passes(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    path = tmp_path / "a.txt"
    path.write_text("text\n" * 1_000_000)
    corpus = open_sources([str(path)], cache=tmp_path)
    encode(corpus, DataConfig(), tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (10_000_000, 10_000_000)


@given(st.lists(st.integers(0, 9)))
def test_tokens_are_counted(ids: list[int]) -> None:
    assert frequencies(np.array(ids, np.uint8), 12).tolist() == [ids.count(token) for token in range(12)]


def test_the_tokens_of_a_long_text_are_counted_in_an_even_sample() -> None:
    counts = frequencies(np.repeat(np.arange(4, dtype=np.uint8), 1_000_000), 5)
    assert counts.sum() == 1 << 20
    assert counts / counts.sum() == pytest.approx([0.25] * 4 + [0], abs=0.01)


@pytest.mark.parametrize(("text", "size"), [("a" * 100, 1), ("ab" * 50, 2), ("abc" * 400 + "漢字😀", 3)])
def test_rare_tokens_do_not_count_in_the_effective_vocabulary(tmp_path: Path, text: str, size: int) -> None:
    assert encode(corpus_of(text.encode()), DataConfig(), tmp_path).effective_vocab_size() == size


@given(st.integers(0, 5000), st.floats(0, 0.99))
@example(60, 0.1)
@example(1, 0.5)
@example(1_115_394, 0.1)
def test_the_parts_join_to_the_text(tokens: int, val_fraction: float) -> None:
    ids = np.arange(tokens, dtype=np.uint16)
    train, val = split(ids, val_fraction)
    assert np.concatenate((train, val)).tolist() == ids.tolist()
    assert -1e-6 <= len(val) - tokens * val_fraction < 1 + 1e-6  # rounded up to whole tokens
    assert all(np.shares_memory(part, ids) for part in (train, val) if len(part))


@LAW
@given(TEXT, st.data())
def test_sizes_of_slices_add_up_to_the_text(tmp_path: Path, text: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["char", "byte"]))
    encoded = encode(corpus_of(text.encode()), DataConfig(tokenizer=kind), tmp_path)  # type: ignore[arg-type]
    cut = data.draw(st.integers(0, len(encoded.ids)))
    first, second = encoded.text_size(0, cut), encoded.text_size(cut, len(encoded.ids))
    assert first.characters + second.characters == len(text)
    assert first.bytes + second.bytes == len(text.encode())
    if kind == "char":
        assert (first.characters, first.bytes) == (cut, len(text[:cut].encode()))


def test_size_of_the_unknown_symbol() -> None:
    tokenizer = CharTokenizer("a", unknown=True)
    counted = text_size(tokenizer, [np.array([0, 1, 1], np.uint8), np.array([0], np.uint8)])
    assert (counted.characters, counted.bytes) == (4, 8)


@given(st.lists(st.text(st.one_of(st.sampled_from("abc\n"), st.characters())), max_size=6))
def test_characters_are_counted(chunks: list[str]) -> None:
    counter = CharacterCounter()
    for chunk in chunks:
        counter.push(chunk)
    assert counter.counts() == dict(sorted(Counter("".join(chunks)).items()))


@given(st.binary(), st.sampled_from([1, 300, 10_001]))
def test_bytes_are_counted(data: bytes, times: int) -> None:
    data *= times
    assert {byte: n for byte, n in enumerate(byte_counts(data).tolist()) if n} == Counter(data)


@given(st.lists(st.text("ab", max_size=7), max_size=12), st.integers(1, 9))
def test_pieces_are_recut_and_spread_evenly(chunks: list[str], size: int) -> None:
    text = "".join(chunks)
    pieces = list(recut(chunks, size))
    assert "".join(pieces) == text
    assert all(len(piece) == size for piece in pieces[:-1])


def test_a_share_of_a_text_is_spread_evenly() -> None:
    text = "".join(chr(0x4E00 + index // 16384) for index in range(16384 * 100))
    taken = ["".join(sorted(set(piece))) for piece in evenly([text[:777], text[777:]], 0.25)]
    assert len(taken) == 25
    assert {ord(second) - ord(first) for first, second in pairwise(taken)} == {4}
    assert list(evenly(["ab", "c"], 1.5)) == ["ab", "c"]


# ---- CharTokenizer's fast path --------------------------------------------------------------------------------


@given(st.text(), st.text(), st.booleans())
@example("abc", "abd", False)
@example("".join(map(chr, range(256))), "\0\x7f\x80\xff", True)
@example("".join(map(chr, range(255, -1, -1))), "\0\x01\x7f", False)
@example("".join(map(chr, range(300, -1, -1))), "\0ab", True)
def test_char_ids_are_those_of_a_dictionary(alphabet: str, text: str, unknown: bool) -> None:
    tokenizer = CharTokenizer(dict.fromkeys(alphabet), unknown=unknown)
    table = {character: index for index, character in enumerate(dict.fromkeys(alphabet))}
    strange = [index for index, character in enumerate(text) if character not in table]
    if strange and not unknown:
        with pytest.raises(UnknownCharacter) as caught:
            tokenizer.encode(text)
        assert (caught.value.character, caught.value.offset) == (text[strange[0]], strange[0])
        return
    ids = tokenizer.encode(text)
    assert ids.tolist() == [table.get(character, len(table)) for character in text]
    assert ids.dtype == narrowest(tokenizer.vocab_size)
    assert ids.flags.writeable


@pytest.mark.slow
def test_every_character_of_unicode(tmp_path: Path) -> None:
    left_out = "\r\ufeff"  # which becomes a line feed, and a byte order mark
    text = "".join(c for c in map(chr, range(1, 0x110000)) if unicodedata.category(c) != "Cs" and c not in left_out)
    path = tmp_path / "all.txt"
    path.write_text("x" + text, "utf-8")
    encoded = encode(open_sources([str(path)], cache=tmp_path), DataConfig(), tmp_path)
    assert encoded.ids.dtype == np.uint32
    assert (encoded.ids[1:] == np.arange(len(text))).all()


@pytest.mark.slow
def test_peak_memory_of_a_process_on_a_large_file(tmp_path: Path) -> None:
    body = """
import resource, sys
from pathlib import Path
from charlstm.config import DataConfig
from charlstm.corpora.encode import encode
from charlstm.corpora.sources import open_sources
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encoded = encode(open_sources([sys.argv[1]], cache=Path("cache")), DataConfig(), Path("cache"))
encoded.text_size(0, len(encoded.ids))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    path = tmp_path / "large.txt"
    with path.open("w") as file:
        for _ in range(300):
            file.write("Words, words, words: a million bytes of them.\n" * 21_739)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", body, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert int(done.stdout) / 1024 < 60


def test_a_given_tokenizer_is_used(tmp_path: Path) -> None:
    for tokenizer in (CharTokenizer("cba\n"), ByteTokenizer()):
        assert isinstance(tokenizer, Tokenizer)
        encoded = encode(corpus_of(b"abc\nabc\n"), DataConfig(), tmp_path, tokenizer=tokenizer)
        assert encoded.tokenizer is tokenizer
        assert encoded.ids.tolist() == tokenizer.encode("abc\nabc\n").tolist()


def test_a_part_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    assert list(FilePart.open(path).blocks(4)) == [b"0123", b"4567", b"89"]
