"""What is drawn, gathered for an answer: every character is told, each with a token."""

import pytest

from charlstm.sampling.fragments import Fragment
from charlstm.tokenizers import ByteTokenizer
from charlstm.web.rows import batches


@pytest.mark.parametrize(
    "data",
    [b"ab", b"a\xe2\x82\xac", b"a\xe2\x82\xe2", b"\xe2", b"\xe2\x82", b"\xff\xe2\xe2", b"\xc3\xa9\xc3"],
    ids=repr,
)
def test_bytes_that_end_inside_a_character_are_told_with_a_token(data):
    decoder, fragments = ByteTokenizer().decoder(), []
    for place, byte in enumerate(data, 1):
        text, last = decoder.push(byte), place == len(data)
        text += decoder.flush() if last else ""
        fragments.append(Fragment(0, text, byte, -1.0, "length" if last else None))
    told = [batch for drawn in batches(ByteTokenizer(), iter(fragments), 1) for batch in drawn]
    assert "".join(text for batch in told for text in batch.texts) == data.decode("utf-8", "replace")
    assert [token.id for batch in told for token in batch.tokens] == list(data)
    assert told[-1].reason == "length"
