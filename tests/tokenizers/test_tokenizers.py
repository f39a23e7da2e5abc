"""The laws of all tokenizers: exact round trips, ids and text independent of the pieces, state saved and restored."""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.errors import CorruptError, TextError, UnknownCharacter, UsageError
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer, from_state, narrowest
from charlstm.tokenizers.sentencepiece import SentencePieceTokenizer
from charlstm.tokenizers.train_sentencepiece import SMALLEST_VOCAB_SIZE, sample_runs, train

VERSE = (
    "The owl and the cat went down to the sea,\n\tthe owl and the cat,\n  and   they said: “What a day…”\n"
    "<s><unk><0x41><pad> 漢字 é e\u0301 😀 ▁▁ the owl, the cat; the sea, the sea!\n"
    + "".join(
        f"The {bird} {verb} to the sea.\n" for bird in ("owl", "rook", "gull") for verb in ("sang", "flew", "wrote")
    )
) * 20
TRAPS = ["\n", "\t", "\0", " ", "   ", "▁", "▅", "\ufeff", "\ufffd", "\uffff", "e\u0301", "\u0301", "😀", "👩‍👩‍👧"]
TRAPS += [
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<0x41>",
    "<0xZZ>",
    " \u2047 ",
    "\r\n",
    "\x85",
    "\u2028",
    "the owl",
    "ﬁ",
    "Å",
]

ANY_TEXT = st.one_of(
    st.text(),
    st.text("ab \n\t▁<0x41>"),
    st.lists(st.one_of(st.sampled_from(TRAPS), st.text(max_size=3)), max_size=12).map("".join),
)
KINDS = ["char", "char with unknown", "byte", "unigram", "bpe"]


@cache
def tokenizer(kind: str) -> Tokenizer:
    if kind == "byte":
        return ByteTokenizer()
    if kind in ("unigram", "bpe"):
        return train(VERSE.splitlines(), model=kind)  # type: ignore[arg-type]
    return CharTokenizer.fit(Counter(VERSE), min_count=41 if "unknown" in kind else 1)


def known(kind: str, text: str) -> str:
    """The text without characters outside the alphabet."""
    unknown = tokenizer(kind).unknown_characters(text)
    return "".join(character for character in text if character not in unknown)


def pieces(text: Any, data: Any) -> list[Any]:
    """A text cut at random places."""
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8).map(sorted))
    return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY_TEXT)
@example(text="")
@example(text="".join(TRAPS))
@example(text="".join(map(chr, range(0x300))))
def test_decoding_restores_the_text_exactly(kind: str, text: str) -> None:
    text = known(kind, text)
    ids = tokenizer(kind).encode(text)
    assert tokenizer(kind).decode(ids) == text
    assert ids.dtype == narrowest(tokenizer(kind).vocab_size)
    assert (ids < tokenizer(kind).vocab_size).all()
    assert tokenizer(kind).unknown_id not in ids.tolist()


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY_TEXT)
def test_the_bytes_of_the_ids_are_those_of_the_text(kind: str, text: str) -> None:
    text = known(kind, text)
    ids = tokenizer(kind).encode(text).tolist()
    assert b"".join(map(tokenizer(kind).token_bytes, ids)) == text.encode()


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY_TEXT, data=st.data())
def test_ids_do_not_depend_on_the_pieces(kind: str, text: str, data: Any) -> None:
    text = known(kind, text)
    encoder = tokenizer(kind).encoder()
    ids = [encoder.push(piece) for piece in pieces(text, data)]
    ids.append(encoder.flush())
    assert np.concatenate(ids).tolist() == tokenizer(kind).encode(text).tolist()
    assert not len(encoder.flush())


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@given(lengths=st.lists(st.sampled_from([0, 1, 4095, 4096, 4097, 9000]), min_size=1, max_size=4), data=st.data())
@settings(max_examples=25)
def test_ids_of_long_lines_do_not_depend_on_the_pieces(kind: str, lengths: list[int], data: Any) -> None:
    text = "\n".join(("the owl and ▁ the sea " * 500)[:length] for length in lengths)
    encoder = tokenizer(kind).encoder()
    ids = [encoder.push(piece) for piece in pieces(text, data)]
    ids.append(encoder.flush())
    assert np.concatenate(ids).tolist() == tokenizer(kind).encode(text).tolist()
    assert tokenizer(kind).decode(np.concatenate(ids)) == text


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_the_streaming_decoder_agrees_with_decode(kind: str, data: Any) -> None:
    # Any ids at all, including halves of characters.
    size = tokenizer(kind).vocab_size
    ids = data.draw(st.lists(st.one_of(st.integers(0, size - 1), st.integers(0, min(size, 260) - 1)), max_size=40))
    decoder = tokenizer(kind).decoder()
    for _ in range(2):  # a flush resets it
        text = "".join([*map(decoder.push, ids), decoder.flush()])
        assert text == tokenizer(kind).decode(ids)


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY_TEXT)
@settings(max_examples=30)
def test_state_is_plain_json_and_complete(kind: str, text: str) -> None:
    original = tokenizer(kind)
    restored = from_state(json.loads(json.dumps(original.to_state())))
    assert isinstance(restored, Tokenizer)
    assert (restored.kind, restored.vocab_size, restored.unknown_id) == (
        original.kind,
        original.vocab_size,
        original.unknown_id,
    )
    text = known(kind, text)
    assert restored.encode(text).tolist() == original.encode(text).tolist()
    tokens = range(original.vocab_size)
    assert restored.decode(tokens) == original.decode(tokens)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"kind": "word"},
        {"kind": "char"},
        {"kind": "char", "alphabet": 5, "unknown": False},
        {"kind": "sentencepiece"},
        {"kind": "sentencepiece", "model": "no base64 at all!"},
        {"kind": "sentencepiece", "model": "bm8gbW9kZWw="},
    ],
)
def test_an_invalid_state_is_a_corrupt_file(state: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CorruptError):
        from_state(state)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_every_id_has_bytes(kind: str) -> None:
    mine = tokenizer(kind)
    for token in range(mine.vocab_size):
        assert mine.token_bytes(token)
        if token == mine.unknown_id:
            assert mine.token_bytes(token).decode() == "\ufffd"


# ---- characters -------------------------------------------------------------------------------------------------


def test_a_character_outside_the_alphabet_is_reported_with_its_position() -> None:
    with pytest.raises(UnknownCharacter) as caught:
        CharTokenizer("abc").encode("abéc")
    assert (caught.value.character, caught.value.offset) == ("é", 2)


@given(text=st.text(st.characters()), alphabet=st.sets(st.characters(), min_size=1))
def test_the_unknown_symbol_stands_for_all_other_characters(text: str, alphabet: set[str]) -> None:
    mine = CharTokenizer(sorted(alphabet), unknown=True)
    expected = [sorted(alphabet).index(c) if c in alphabet else len(alphabet) for c in text]
    assert mine.encode(text).tolist() == expected
    assert mine.unknown_characters(text) == list(dict.fromkeys(c for c in text if c not in alphabet))


def test_an_alphabet_grows_at_its_end() -> None:
    old = CharTokenizer("bd")
    new = old.grown("adz")
    assert new.alphabet == ("b", "d", "a", "z")
    assert new.encode("bd").tolist() == old.encode("bd").tolist()
    assert new.unknown_id is None
    assert old.grown("adz", unknown=True).unknown_id == CharTokenizer("bd", unknown=True).grown("az").unknown_id == 4


@given(st.sets(st.characters()), st.sets(st.characters()), st.booleans(), st.booleans())
def test_ids_are_found_in_another_tokenizer(old: set[str], new: set[str], first: bool, second: bool) -> None:
    other, mine = CharTokenizer(sorted(old), unknown=first), CharTokenizer(sorted(new, reverse=True), unknown=second)
    ids = mine.ids_in(other).tolist()
    assert len(ids) == mine.vocab_size
    for token, found in enumerate(ids):
        if token == mine.unknown_id:
            assert found == (other.unknown_id if first else -1)
        elif found < 0:
            assert mine.alphabet[token] not in other.alphabet
        else:
            assert other.alphabet[found] == mine.alphabet[token]


def test_growing_a_large_alphabet_takes_linear_time() -> None:
    alphabet = list(map(chr, range(0x10000, 0x10000 + 50_000)))
    start = time.perf_counter()
    old = CharTokenizer(alphabet[::2])
    grown = old.grown(alphabet)
    ids = grown.ids_in(old)
    assert time.perf_counter() - start < 2  # a search of the alphabet for every character took 18 seconds
    assert ids.tolist() == [*range(25_000), *[-1] * 25_000]


# ---- bytes ------------------------------------------------------------------------------------------------------


@given(data=st.binary())
def test_bytes_that_are_not_utf8_have_ids_too(data: bytes) -> None:
    assert ByteTokenizer().encode(data.decode("utf-8", "surrogateescape")).tolist() == list(data)


# ---- pieces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_training_is_deterministic_and_silent(kind: Any, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (train(VERSE.splitlines(), model=kind, vocab_size=280).to_state() for _ in range(2))
    assert first == second
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_pieces_are_longer_than_characters(kind: Any) -> None:
    assert len(tokenizer(kind).encode(VERSE)) < 0.7 * len(VERSE)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("size", [260, 261, 270, 300])
def test_an_explicit_vocabulary_is_exact(kind: Any, size: int) -> None:
    mine = train(VERSE.splitlines(), model=kind, vocab_size=size)
    assert mine.vocab_size == size
    assert mine.decode(mine.encode(VERSE)) == VERSE


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_vocabulary_too_large_is_refused_naming_the_largest_that_works(kind: Any) -> None:
    with pytest.raises(UsageError) as caught:
        train(VERSE.splitlines(), model=kind, vocab_size=100_000)
    largest = int(caught.value.hint.rstrip(".").split()[-1])
    assert train(VERSE.splitlines(), model=kind, vocab_size=largest).vocab_size == largest
    with pytest.raises(UsageError):
        train(VERSE.splitlines(), model=kind, vocab_size=largest + 1)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("size", [1, 259])
def test_a_vocabulary_too_small_is_refused_naming_the_smallest(kind: Any, size: int) -> None:
    with pytest.raises(UsageError, match=str(SMALLEST_VOCAB_SIZE)):
        train(VERSE.splitlines(), model=kind, vocab_size=size)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        " ",
        "a",
        "\t",
        "▁",
        "▅▅ ▅",
        "\0",
        "a" * 10_000,
        "<unk><s><0x41>" * 30,
        "\udc80\udcff",
        "漢",
        "  \n " * 99,
    ],
)
def test_any_text_has_a_tokenizer(kind: Any, text: str) -> None:
    mine = train(text.splitlines(keepends=True), model=kind)
    assert mine.decode(mine.encode("What ▁else?\n")) == "What ▁else?\n"
    assert mine.vocab_size >= SMALLEST_VOCAB_SIZE
    assert train(text.splitlines(), model=kind, vocab_size=SMALLEST_VOCAB_SIZE).vocab_size == SMALLEST_VOCAB_SIZE


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@given(text=ANY_TEXT, size=st.integers(260, 320))
@settings(max_examples=40, deadline=None)
def test_small_texts_give_a_vocabulary_or_the_size_of_one(kind: Any, text: str, size: int) -> None:
    try:
        assert train([text], model=kind, vocab_size=size).vocab_size == size
    except UsageError as fault:
        largest = int(fault.hint.rstrip(".").split()[-1])
        assert largest < size
        assert train([text], model=kind, vocab_size=largest).vocab_size == largest
    mine = train([text], model=kind)
    assert mine.decode(mine.encode(text)) == text


def test_more_characters_than_the_vocabulary_holds_are_written_in_bytes() -> None:
    text = "".join(map(chr, range(0x4E00, 0x5600))) + "漢字" * 2000
    mine = train([text], vocab_size=400)
    assert mine.vocab_size == 400
    assert mine.decode(mine.encode(text)) == text
    assert len(mine.encode("漢字漢字")) <= 4


def test_a_long_text_is_sampled_evenly() -> None:
    runs = sample_runs(f"{number:06d}\n" for number in range(1_000_000))
    numbers = [int(run) for run in runs]
    assert 2_500_000 <= sum(map(len, runs)) <= 5_000_000
    assert len({second - first for first, second in pairwise(numbers)}) == 1
    assert numbers[-1] > 999_990


def test_bytes_that_are_not_utf8_are_pieces_of_one_byte() -> None:
    mine = tokenizer("bpe")
    ids = mine.encode("the \udc80\udcff owl").tolist()
    assert b"".join(map(mine.token_bytes, ids)) == b"the \x80\xff owl"


def test_half_a_surrogate_pair_is_refused() -> None:
    mine = tokenizer("unigram")
    with pytest.raises(UnknownCharacter) as caught:
        mine.encode("ab\ud800")
    assert (caught.value.character, caught.value.offset) == ("\ud800", 2)
    assert mine.unknown_characters("a\ud800b\udfff\ud800") == ["\ud800", "\udfff"]


def test_sentencepiece_is_a_tokenizer() -> None:
    assert isinstance(tokenizer("unigram"), SentencePieceTokenizer)
    assert tokenizer("unigram").unknown_id == 0


def test_a_min_count_that_no_character_reaches_is_refused():
    with pytest.raises(TextError, match="no character occurs 9 times"):
        CharTokenizer.fit({"a": 3, "b": 8}, min_count=9)
    assert CharTokenizer.fit({}, min_count=9).vocab_size == 0
