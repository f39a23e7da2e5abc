"""The bundled corpus: it matches its README, and compresses too badly to be made from templates."""

import hashlib
import lzma
import re

from charlstm.paths import corpora_folder

README = (corpora_folder() / "README.md").read_text("utf-8")
FILES = sorted(corpora_folder().glob("*.txt"))


def test_every_file_is_in_the_table_with_its_size_and_hash():
    rows = dict(re.findall(r"\| `(\S+\.txt)` \| ([\d,]+) \|", README))
    hashes = dict(re.findall(r"\| `(\S+\.txt)` \|.*`([0-9a-f]{64})` \|", README))
    assert set(rows) == set(hashes) == {path.name for path in FILES}
    for path in FILES:
        content = path.read_bytes()
        assert int(rows[path.name].replace(",", "")) == len(content)
        assert hashes[path.name] == hashlib.sha256(content).hexdigest()


def test_it_is_large_plain_ascii_and_hard_to_compress():
    whole = b"".join(path.read_bytes() for path in FILES)
    assert len(whole) >= 200_000
    whole.decode("ascii")
    assert b"\r" not in whole
    assert b"\t" not in whole
    packed = lzma.compress(whole, preset=9 | lzma.PRESET_EXTREME)
    assert 8 * len(packed) / len(whole) >= 2.5


def test_nothing_that_a_young_network_repeats_without_end():
    # At a low temperature it would write the blanks of a table, or a rule of dashes, for ever.
    for path in FILES:
        text = path.read_text("ascii")
        assert not re.search(r"(.)\1{8}", text), path.name
        assert not re.search(r"\S {3,}\S", text), f"{path.name} has columns padded with blanks"
        assert not re.search(r" $", text, re.MULTILINE), path.name


def test_no_long_passage_occurs_twice():
    whole = b"".join(path.read_bytes() for path in FILES)
    earlier, length = set(), 60
    repeated = 0
    for place in range(0, len(whole) - length):
        piece = whole[place : place + length]
        repeated += piece in earlier
        if place % 4 == 0:
            earlier.add(piece)
    assert repeated == 0


def test_all_brackets_are_closed():
    for path in FILES:
        text = path.read_text("ascii")
        assert text.count("[") == text.count("]"), path.name
        # "1)" numbers a step in a list; all other brackets come in pairs.
        closing = text.count(")") - len(re.findall(r"(?m)^ *\d+\)", text))
        assert text.count("(") == closing, path.name
