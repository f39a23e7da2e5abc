"""A score: its figures, its pieces, and what a notebook shows of it."""

import math
from html.parser import HTMLParser

import numpy as np
import pytest

from charlstm.evaluation.score import EncodedText, Method, Score, ScoreSummary, score_tokens, summarize
from charlstm.tokenizers import ByteTokenizer, CharTokenizer


def score_of(text, bits, tokenizer=None):
    tokenizer = tokenizer or CharTokenizer(sorted(set(text)))
    encoded = EncodedText(tokenizer.encode(text), len(text), len(text.encode("utf-8", "surrogatepass")))
    return Score(np.array(bits, np.float32) * np.float32(math.log(2)), encoded, tokenizer)


class Shown(HTMLParser):
    """The tags of a page with their attributes, its text, and the style that each character has."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.characters, self._styles = [], [], [""]
        self.feed(page)
        self.close()
        assert self._styles == [""], "every tag is closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *(name for name, _ in attributes)))
        self._styles.append(dict(attributes).get("style", ""))

    def handle_endtag(self, tag):
        self._styles.pop()

    def handle_data(self, data):
        self.characters += [(character, self._styles[-1]) for character in data]

    @property
    def text(self):
        return "".join(character for character, _ in self.characters)


def test_the_figures_follow_from_the_sum_of_bits():
    score = score_of("añb", [1, 2, 5])  # 8 bits, 3 characters, 4 bytes
    assert score.bits_per_char == pytest.approx(8 / 3)
    assert score.bits_per_byte == pytest.approx(2)
    assert score.nats_per_token == pytest.approx(8 / 3 * math.log(2))
    assert score.perplexity == pytest.approx(2 ** (8 / 3))
    assert (score.characters, score.bytes, score.tokens) == (3, 4, (b"a", "ñ".encode(), b"b"))
    assert repr(score) == "<charlstm.Score: 3 tokens, 2.667 bits per character>"


def test_windows_in_any_order_give_one_score():
    text = EncodedText(np.arange(3, dtype=np.uint8), 3, 3)
    losses = [(np.array([2]), np.float32([3.0])), (np.array([0, 1]), np.float32([1.0, 2.0]))]
    method = Method(32, "bf16")
    assert score_tokens(losses, text, ByteTokenizer(), method).nats.tolist() == [1, 2, 3]
    assert summarize(losses, text, method) == ScoreSummary(6.0, 3, 3, 3, method)
    assert score_tokens(losses, text, ByteTokenizer(), method).summary == summarize(losses, text, method)


def test_a_score_cannot_be_changed():
    score = score_of("ab", [1, 2])
    with pytest.raises(ValueError, match="read-only"):
        score.nats[0] = 0
    with pytest.raises(AttributeError):
        score.nats = np.zeros(2)


@pytest.mark.parametrize("nats", [math.inf, math.nan, 1e6])
def test_a_loss_that_is_huge_or_not_finite_has_figures_all_the_same(nats):
    summary = ScoreSummary(nats, 1, 1, 1, Method())
    assert summary.nats_per_token == pytest.approx(nats, nan_ok=True)
    assert summary.perplexity == pytest.approx(math.nan if math.isnan(nats) else math.inf, nan_ok=True)


def test_pieces_join_to_the_text_though_tokens_end_inside_characters():
    score = score_of("a漢é", range(6), ByteTokenizer())
    pieces = list(score.pieces())
    assert [text for text, _ in pieces] == ["a", "", "", "漢", "", "é"]
    assert [nats / math.log(2) for _, nats in pieces] == pytest.approx(range(6), abs=1e-6)
    cut = score_of("a漢"[:1] + "\udce6", [1, 2], ByteTokenizer())  # the first byte of a character, and no more
    assert "".join(text for text, _ in cut.pieces()) == "a\ufffd"


HOSTILE = "<script>alert(1)</script>&amp;\"'\x1b[31m\x00\u202e\u2066\x85\u200b\ud800<!-- ]]>"


def test_a_hostile_text_is_shown_not_obeyed():
    page = score_of(HOSTILE, [3 * (k % 4) for k in range(len(HOSTILE))])._repr_html_()
    shown = Shown(page)
    assert set(shown.tags) <= {("div",), ("div", "style"), ("span", "style")}
    signs = {c: f"<U+{ord(c):04X}>" for c in "\x1b\x00\u202e\u2066\x85\u200b\ud800"}
    assert shown.text.startswith("".join(signs.get(character, character) for character in HOSTILE))
    page.encode("utf-8")
    assert not set(signs) & set(page)


def test_shades_follow_surprisal_and_shaded_text_is_black_on_light():
    shown = Shown(score_of("abcdef", [0.5, 1.5, 3, 5, 7, 90])._repr_html_())
    styles = [style for _, style in shown.characters[:6]]
    assert "background" not in styles[0], "the colours of the page itself"
    assert len(set(styles)) == 6
    for style in styles[1:]:
        background = style.split("background:#")[1][:6]
        channels = [int(background[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert "color:#000" in style
        assert (luminance + 0.05) / 0.05 >= 7, "contrast of black text: WCAG 2, level AAA"
    for label in ("under 1 bit", "1 to 2", "2 to 4", "4 to 6", "6 to 8", "8 bits or more"):
        assert label in shown.text


def test_nan_has_the_shade_of_the_most_surprising():
    shown = Shown(score_of("ab", [math.nan, 90])._repr_html_())
    assert shown.characters[0][1] == shown.characters[1][1] != ""


def test_a_long_text_is_cut_and_says_so():
    page = score_of("ab" * 100_000, np.tile([1.5, 0.5], 100_000))._repr_html_()
    assert len(page) < 2_000_000
    assert "the rest is not shown" in page
    assert "the rest is not shown" not in score_of("ab" * 100, [0.5] * 200)._repr_html_()
