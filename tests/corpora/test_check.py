"""Statistics and checks against brute force, the standard library and planted problems."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import random
import re
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.corpora import repeats as module
from charlstm.corpora.check import Check, check, oddity, verdict
from charlstm.corpora.encode import train_size
from charlstm.corpora.repeats import WINDOW, Passages, hash_windows, leakage, repeats, window_hashes
from charlstm.corpora.sources import open_sources
from charlstm.corpora.stats import compressors, count_newlines, entropy, stats
from charlstm.errors import TextError
from charlstm.tokenizers.char import code_points


def checked(tmp_path: Path, text: str | bytes, **options: float) -> Check:
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return check(open_sources([str(path)], cache=tmp_path), **options)


def findings(result: Check) -> str:
    return "\n".join(finding.text for finding in result.findings)


def noise(size: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(string.ascii_lowercase + " \n", k=size))


# ---- repeated passages --------------------------------------------------------------------------------------------


def covered(text: str, begin: int, known_until: int | None) -> tuple[set[int], int]:
    """By brute force: the places from ``begin`` that are covered by windows which also occur earlier, and the longest
    passage that repeats one earlier passage. Earlier is anywhere before, or before ``known_until``.
    """
    places: set[int] = set()
    longest = 0
    for place in range(begin, len(text) - WINDOW + 1):
        window = text[place : place + WINDOW]
        limit = place + WINDOW - 1 if known_until is None else known_until
        if text.find(window, 0, limit) >= 0:
            places.update(range(place, place + WINDOW))
            length = WINDOW
            while (
                text.find(text[place : place + length + 1], 0, limit + (length + 1 - WINDOW) * (known_until is None))
                >= 0
            ):
                if place + length >= len(text):
                    break
                length += 1
            longest = max(longest, length)
    return places, longest


TILES = [noise(70, 1), noise(64, 2), noise(63, 3), noise(200, 4), "ab", "é漢😀" * 30, "x", "\n"]
TILED = st.lists(st.one_of(st.sampled_from(TILES), st.text("abc", max_size=5)), max_size=8).map("".join)


@settings(deadline=None)
@given(TILED, st.integers(1, 90))
@example(TILES[0] + "x" + TILES[0], 50)
@example("-" * 300, 10)
@example("", 1)
@example(TILES[3] + TILES[1] + TILES[3][:100] + TILES[2] + TILES[3][50:], 77)
def test_repeats_by_brute_force(text: str, cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", cut)
        hashed = hash_windows([text[:cut], text[cut:]], len(text))
    assert (hashed.characters, hashed.every) == (len(text), 1)
    places, longest = covered(text, 0, None)
    result = repeats(hashed)
    assert result.share * max(1, len(text)) == pytest.approx(len(places))
    assert result.longest <= longest
    if result.longest:
        assert text[result.at : result.at + result.longest] == text[result.earlier : result.earlier + result.longest]
        assert result.earlier < result.at


@settings(deadline=None)
@given(TILED, st.floats(0.05, 0.5))
@example(TILES[3] * 2, 0.5)
def test_leakage_by_brute_force(text: str, val_fraction: float) -> None:
    border = train_size(len(text), val_fraction)
    if border == len(text):
        return
    places, _ = covered(text, border, border)
    result = leakage(hash_windows([text], len(text)), border)
    assert result.share * (len(text) - border) == pytest.approx(len(places))
    if result.longest:
        assert text[result.at : result.at + result.longest] == text[result.earlier : result.earlier + result.longest]
        assert result.earlier + result.longest <= border <= result.at


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_planted_repetition_is_found_to_the_character(gap: int, length: int) -> None:
    copy = "<" + noise(length, 5)
    result = repeats(hash_windows(["(" + copy + ")" + noise(gap, 6) + "[" + copy + "]"], 2 * length + gap + 5))
    if length + 1 < WINDOW:
        assert result == Passages(0.0)
    else:
        assert (result.longest, result.at, result.earlier) == (length + 1, length + gap + 4, 1)


def test_a_sample_of_the_windows_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, copy = noise(600_000, 7), noise(200_000, 8)
    text = fresh[:300_000] + copy + fresh[300_000:] + copy
    monkeypatch.setattr(module, "MAX_HASHES", 50_000)
    hashed = hash_windows([text], len(text))
    assert hashed.every == 32
    assert len(hashed.hashes) == pytest.approx(len(text) / 32, rel=0.05)
    result = repeats(hashed)
    assert result.share == pytest.approx(0.2, abs=0.002)
    assert result.longest == pytest.approx(200_000, abs=2_000)
    assert abs(result.at - 800_000) < 2_000
    assert result.at - result.earlier == 500_000
    assert leakage(hashed, 900_000).share == pytest.approx(1.0, abs=0.01)
    assert leakage(hashed, 700_000).share == pytest.approx(2 / 3, abs=0.01)


@given(st.text("ab", min_size=WINDOW, max_size=200))
def test_equal_windows_and_no_others_have_equal_hashes(text: str) -> None:
    hashes = window_hashes(code_points(text)).tolist()
    assert len(hashes) == len(text) - WINDOW + 1
    pairs = {(hash_, text[place : place + WINDOW]) for place, hash_ in enumerate(hashes)}
    assert len(pairs) == len({hash_ for hash_, _ in pairs}) == len({window for _, window in pairs})


# ---- numbers ------------------------------------------------------------------------------------------------------


@given(st.lists(st.text("a\r\n", min_size=1), max_size=8))
def test_newlines_are_counted_however_the_text_is_cut(chunks: list[str]) -> None:
    kinds = Counter(re.findall("\r\n|\r|\n", "".join(chunks)))
    result = count_newlines(chunks)
    assert (result.lf, result.crlf, result.cr) == (kinds["\n"], kinds["\r\n"], kinds["\r"])


def test_compressors_agree_with_the_standard_library() -> None:
    text = "".join(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    data, result = text.encode(), compressors([text[:1000], text[1000:]])
    assert result["gzip"] == pytest.approx(8 * len(gzip.compress(data, 9)) / len(text), rel=0.002)
    assert result["bz2"] == pytest.approx(8 * len(bz2.compress(data, 9)) / len(text), rel=0.002)
    assert result["xz"] == pytest.approx(
        8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)) / len(text), rel=0.002
    )


def test_entropy_of_counts() -> None:
    assert entropy({"a": 8}) == 0
    assert entropy({"a": 1, "b": 1, "c": 2}) == pytest.approx(1.5)
    assert entropy(Counter(range(64))) == pytest.approx(6)  # type: ignore[arg-type]


def test_stats(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Größe\r\n".encode("utf-16"))
    (tmp_path / "b.txt").write_bytes("漢\n字".encode())
    corpus = open_sources([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")], cache=tmp_path)
    result = stats(corpus)
    text = "Größe\n漢\n字"
    assert (result.characters, result.bytes, result.size, result.lines, result.parts) == (
        9,
        len(text.encode()),
        23,
        2,
        2,
    )
    assert result.encodings == {"utf-16-le": 1, "utf-8": 1}
    assert result.alphabet == Counter(text)
    assert result.sha256 == corpus.sha256()
    assert (result.newlines.lf, result.newlines.crlf) == (1, 1)
    assert result.true_entropy is None
    recall = stats(open_sources(["synthetic:recall,gap=1,letters=4,size=5000"], cache=tmp_path))
    assert recall.true_entropy == pytest.approx(3 / 4)  # bits: two for the letter, one for the digit, in four
    assert all(bits >= 3 / 4 for bits in recall.compressors.values())
    (tmp_path / "mark.txt").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(TextError, match="empty"):
        stats(open_sources([str(tmp_path / "mark.txt")], cache=tmp_path))


# ---- findings -----------------------------------------------------------------------------------------------------


def test_a_clean_text_has_no_findings(tmp_path: Path) -> None:
    result = checked(tmp_path, noise(60_000, 1))
    assert result.findings == ()
    assert result.odd == ()
    assert result.verdict.startswith("Small")


def test_odd_characters_are_listed_with_their_first_position(tmp_path: Path) -> None:
    text = "line one\nline \u202etwo\x1b[0m\n\u00a0\u200b\ufffd x \u2028 \ue000 \u0378 \x1b\n"
    result = checked(tmp_path, text)
    kinds = {odd.character: odd.kind for odd in result.odd}
    assert kinds == {
        "\u202e": "bidi control",
        "\x1b": "control",
        "\u00a0": "space",
        "\u200b": "invisible",
        "\ufffd": "replacement",
        "\u2028": "line separator",
        "\ue000": "private use",
        "\u0378": "unassigned",
    }
    for odd in result.odd:
        assert text.index(odd.character) == odd.offset
        assert odd.line == text[: odd.offset].count("\n") + 1
        assert odd.count == text.count(odd.character)
    assert {odd.character: odd.name for odd in result.odd}["\u202e"] == "U+202E RIGHT-TO-LEFT OVERRIDE"
    assert {odd.character: odd.name for odd in result.odd}["\x1b"] == "U+001B"
    assert result.findings[0].grave
    assert "wrong encoding" in result.findings[0].text


def test_positions_are_those_in_the_whole_text(tmp_path: Path) -> None:
    text = "é\n" * 400_000 + "x\u200b"  # more than one block
    (odd,) = checked(tmp_path, text).odd
    assert (odd.offset, odd.line) == (800_001, 400_001)


@given(st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters="\ufffd"))
def test_letters_digits_and_signs_are_not_odd(character: str) -> None:
    assert oddity(character) is None


def test_garbled_denormal_rare_and_mixed(tmp_path: Path) -> None:
    text = noise(50_000, 2) + "\n"
    line = text.count("\n") + 1
    for times, message in ((1, "1 place like “Ã©” or “â€™”, in"), (10, "10 places like “Ã©” or “â€™”, first in")):
        result = findings(checked(tmp_path, text + "café ".encode().decode("cp1252") * times))
        assert f"{message} line {line:,}: UTF-8" in result
    assert "2 lines not in composed form" in findings(checked(tmp_path, text + "cafe\u0301\ncafé\nnai\u0308ve"))
    rare = checked(tmp_path, text + "ΩΩΣ")
    assert rare.rare == {"Ω": 2, "Σ": 1}
    assert "2 characters of 30 occur fewer than 10 times" in findings(rare)
    assert "CR LF" in findings(checked(tmp_path, text + "\r\n\r"))
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))
    assert "An alphabet of 3,000" in findings(checked(tmp_path, many))


def test_repetition_and_leakage_are_reported(tmp_path: Path) -> None:
    text, copy = noise(80_000, 3), noise(10_000, 4)
    result = checked(tmp_path, copy + text + copy)
    assert result.repeats.share == pytest.approx(0.1, abs=0.001)
    assert result.leakage is not None
    assert result.leakage.share == pytest.approx(1.0)
    assert "10.0% of the text repeats" in findings(result)
    assert "at character 90,000 and at 0" in findings(result)
    assert result.findings[0].grave
    assert "100.0% of the validation part" in result.findings[0].text
    assert checked(tmp_path, copy + text + copy, val_fraction=0.0).leakage is None


@pytest.mark.parametrize(
    "text", ["x", "to be or not to be, that is the question; whether ’tis nobler", "漢字" * 200_000]
)
def test_tiny_and_chinese(tmp_path: Path, text: str) -> None:
    result = checked(tmp_path, text)
    assert result.stats.characters == len(text)
    assert np.isfinite([result.stats.entropy, *result.stats.compressors.values(), result.repeats.share]).all()


def test_verdicts_follow_the_size() -> None:
    sizes = [1, 4_999, 5_000, 49_999, 50_000, 10**6, 10**7, 10**9]
    assert len(dict.fromkeys(map(verdict, sizes))) == 6
    assert verdict(60).startswith("Far too little")
    chosen = ("dropout", "network", "learning rate")  # they choose themselves
    assert not [size for size in sizes if any(setting in verdict(size) for setting in chosen)]
    assert math.isclose(train_size(60, 0.1), 54)
