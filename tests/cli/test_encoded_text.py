"""A corpus as the ids of a model's tokenizer: the tokenizer's own ids, whatever the chunks, and what was replaced."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from charlstm.cli.compressors import bits_per_byte
from charlstm.cli.encoded_text import KnownText
from charlstm.corpora.read import BLOCK, Corpus, FilePart
from charlstm.errors import StorageError, TextError, UnknownCharacter
from charlstm.tokenizers import ByteTokenizer, CharTokenizer

LONG = "Ünder a boat.\n" * (BLOCK // 12)  # more than one chunk
ALPHABET = sorted(set(LONG) - {"Ü"} | {"u", "U"})


def known(folder, text, tokenizer, unknown="error"):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "text.txt").write_bytes(data)
    return KnownText(Corpus("text", (FilePart.open(folder / "text.txt"),)), tokenizer, unknown)


def ignore(done, total):
    pass


@pytest.mark.parametrize("tokenizer", [CharTokenizer(sorted(set(LONG))), ByteTokenizer()], ids=lambda each: each.kind)
def test_the_ids_are_the_tokenizers_and_progress_reaches_the_end(tmp_path, tokenizer):
    calls = []
    encoded = known(tmp_path, LONG, tokenizer).encode(tmp_path, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(encoded.ids, tokenizer.encode(LONG))
    assert (encoded.characters, encoded.bytes) == (len(LONG), len(LONG.encode()))
    assert len(calls) > 1
    assert calls == sorted(calls)
    assert calls[-1] == (len(LONG.encode()),) * 2
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"], "the temporary file has no name"
    with pytest.raises(ValueError, match="read-only"):
        encoded.ids[0] = 0


def test_bytes_that_are_no_text_keep_their_values(tmp_path):
    data = bytes(range(256)) + "é".encode()[:1]
    text = known(tmp_path, data, ByteTokenizer())
    encoded = text.encode(tmp_path, ignore)
    assert encoded.ids.tobytes() == data
    assert encoded.characters == len(data.decode("utf-8", "surrogateescape"))
    assert b"".join(text.utf8(ignore)) == data


def test_an_unknown_character_has_its_position_in_the_whole_text(tmp_path):
    text = known(tmp_path, "u" * (2 * BLOCK) + "é", CharTokenizer("u"))
    with pytest.raises(UnknownCharacter, match=f"text: character 'é' .* at position {2 * BLOCK} .* `unknown=.skip.`"):
        text.encode(tmp_path, ignore)


@pytest.mark.parametrize(("unknown", "replacement"), [("map", "U"), ("skip", "")])
def test_replaced_characters_are_counted_over_the_whole_text(tmp_path, unknown, replacement):
    tokenizer = CharTokenizer(ALPHABET)
    text = known(tmp_path, LONG + "漢", tokenizer, unknown)
    encoded = text.encode(tmp_path, ignore)
    np.testing.assert_array_equal(encoded.ids, tokenizer.encode(LONG.replace("Ü", replacement)))
    fates = ("read as 'U'", "left out, as nothing known is near it") if replacement else ("left out", "left out")
    notes = [
        f"'Ü' (U+00DC LATIN CAPITAL LETTER U WITH DIAERESIS), {LONG.count('Ü'):,} times: {fates[0]}",
        f"'漢' (U+6F22 CJK UNIFIED IDEOGRAPH-6F22), once: {fates[1]}",
    ]
    lost = 1 if replacement else LONG.count("Ü") + 1
    assert len(LONG) + 1 == 611_661
    share = "99.9 %" if replacement else "92.8 %"
    notes.append(f"the score is of {611_661 - lost:,} of 611,661 characters ({share})")
    assert text.notes() == notes
    assert b"".join(text.utf8(ignore)).decode() == LONG.replace("Ü", replacement)
    assert text.notes() == notes, "as of the last reading, not of both"


def test_many_replaced_characters_are_not_all_listed(tmp_path):
    text = known(tmp_path, "u" + "漢字東京大阪名古屋", CharTokenizer("u"), "skip")
    text.encode(tmp_path, ignore)
    assert len(text.notes()) == 8
    assert text.notes()[-2] == "and 3 more characters the same way"
    assert text.notes()[-1] == "the score is of 1 of 10 characters (10 %)"


def test_the_unknown_symbol_stands_for_what_nothing_is_like(tmp_path):
    tokenizer = CharTokenizer("u", unknown=True)
    text = known(tmp_path, "u漢", tokenizer, "map")
    assert text.encode(tmp_path, ignore).ids.tolist() == [0, 1]
    assert text.notes()[0].endswith("once: read as the unknown symbol")


def test_mistakes_are_one_of_our_errors(tmp_path):
    text = known(tmp_path, "漢", CharTokenizer("u"), "skip")
    with pytest.raises(TextError, match="no character of it is known"):
        text.encode(tmp_path, ignore)
    with pytest.raises(StorageError):
        known(tmp_path, "u", CharTokenizer("u")).encode(tmp_path / "text.txt" / "below", ignore)


def test_compressors_need_what_they_need_for_the_whole_text_at_once():
    data = LONG.encode()
    packed = {
        "gzip -9": gzip.compress(data, 9),
        "bzip2 -9": bz2.compress(data, 9),
        "xz -9e": lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    }
    chunks = (data[begin : begin + 10_007] for begin in range(0, len(data), 10_007))
    assert bits_per_byte(chunks) == pytest.approx({name: 8 * len(each) / len(data) for name, each in packed.items()})
