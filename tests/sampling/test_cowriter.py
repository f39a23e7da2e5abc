"""Writing together with a model: no token is fed to the network twice, and a seed repeats a whole session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import UnknownCharacter, UsageError
from charlstm.nn.model import CharLM
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.cowriter import CoWriter
from charlstm.sampling.draft import at_line_end, at_word_end
from charlstm.sampling.position import prefill
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_models import Markov, cycle, random_markov
from tests.networks import architecture, engine_for

ALPHABET = "ab c\nd"
CONFIG = SampleConfig(length=6, temperature=1.0, seed=1)


def writer(config: SampleConfig = CONFIG) -> tuple[CoWriter, Markov]:
    model = random_markov(ALPHABET)
    return CoWriter(model, config), model


def draw(co: CoWriter, is_complete: Any = None) -> str:
    return "".join(co.extend(is_complete))


def new_steps(model: Markov) -> list[int]:
    """The number of tokens in each step since the last call."""
    sizes = [len(step) for step in model.steps]
    model.steps.clear()
    return sizes


def test_a_piece_ends_with_a_word() -> None:
    co = CoWriter(cycle("abcdefgh ij"), replace(CONFIG, temperature=0))
    co.add("a")
    assert draw(co) == "bcdefgh "
    assert draw(co) == "ijabcdefgh "
    assert co.text == "abcdefgh ijabcdefgh "


def test_a_word_or_line_without_end_is_cut() -> None:
    co = CoWriter(cycle("abc"), replace(CONFIG, temperature=0))
    assert len(draw(co)) == 46
    assert len(draw(co, at_line_end)) == 1000


def test_a_line_is_drawn_to_its_end() -> None:
    co = CoWriter(cycle("abcdef\n"), replace(CONFIG, temperature=0))
    co.add("abc")
    assert draw(co, at_line_end) == "def\n"


def test_the_network_is_fed_every_token_once() -> None:
    co, model = writer()
    co.add("ab cd")
    assert new_steps(model) == [1] * 5
    first = draw(co)
    assert new_steps(model) == [1] * len(first)
    choices = co.propose(3)
    assert new_steps(model) == [3] * max(len(piece.ids) for piece in choices)
    co.choose(1)
    co.undo()
    co.undo()
    co.redo()
    assert new_steps(model) == []
    co.add("a")
    assert new_steps(model) == [1]
    again = draw(co)
    assert new_steps(model) == [1] * len(again)


def test_the_network_has_been_fed_the_text_and_nothing_else() -> None:
    co, _ = writer()
    co.add("ab ")
    draw(co)
    co.propose(4)
    co.choose(2)
    co.undo()
    co.propose(2)
    co.choose(0)
    state = co.pieces[-1].position.state
    assert co.tokenizer.decode(state[0]) == co.text


def test_an_empty_text_starts_after_an_unseen_newline_that_is_fed_once() -> None:
    co, model = writer()
    draw(co)
    assert model.steps[0] == [model.tokenizer.encode("\n")[0]]
    co.undo()
    new_steps(model)
    drawn = draw(co)
    assert new_steps(model) == [1] * len(drawn)
    assert co.text == drawn


def test_texts_added_in_parts_give_the_position_of_the_whole() -> None:
    co, model = writer()
    co.add("ab")
    co.add(" c")
    one = prefill(model, model.tokenizer.encode("ab c"))
    assert np.array_equal(co.pieces[-1].position.logits, one.logits)


def test_undo_and_redo_reach_every_piece() -> None:
    co, _ = writer()
    texts = [co.text]
    for _ in range(4):
        draw(co)
        texts.append(co.text)
    for text in reversed(texts[:-1]):
        assert co.undo() is not None
        assert co.text == text
    assert co.undo() is None
    for text in texts[1:]:
        assert co.redo() is not None
        assert co.text == text
    assert co.redo() is None
    co.undo()
    co.add("a")
    assert co.redo() is None


def test_a_second_draw_differs_and_a_seed_repeats_the_session() -> None:
    def session() -> list[str]:
        co, _ = writer()
        texts = []
        for _ in range(4):
            texts.append(draw(co))
            co.undo()
        return texts

    assert session() == session()
    assert len(set(session())) == 4


def test_alternatives_change_nothing_until_one_is_chosen() -> None:
    co, _ = writer()
    co.add("ab")
    choices = co.propose(4)
    assert co.text == "ab"
    assert len({piece.text for piece in choices}) > 1
    chosen = co.choose(3)
    assert co.text == "ab" + chosen.text
    assert co.choices == []
    with pytest.raises(IndexError):
        co.choose(0)


def test_every_other_change_drops_the_alternatives() -> None:
    for act in (lambda co: co.add("a"), lambda co: co.undo(), draw):
        co, _ = writer()
        co.add("ab")
        co.propose(2)
        act(co)
        assert co.choices == []


def test_closing_early_keeps_the_text_drawn_so_far() -> None:
    co, model = writer(replace(CONFIG, length=100))
    fragments = co.extend()
    drawn = [next(fragments) for _ in range(5)]
    fragments.close()
    assert co.text == "".join(drawn)
    assert len(model.steps) == 1 + 5
    assert co.pieces[-1].position.state[0][1:] == tuple(model.tokenizer.encode(co.text))


def test_alternatives_end_where_they_are_stopped() -> None:
    co, model = writer(replace(CONFIG, length=100))
    stops = iter([False] * 5 + [True])
    pieces = co.propose(2, stop=lambda: next(stops))
    assert [len(piece.text) for piece in pieces] == [3, 3]
    co.choose(1)
    assert co.text == pieces[1].text
    assert co.pieces[-1].position.state[0][1:] == tuple(model.tokenizer.encode(co.text))


def test_an_unknown_character_adds_nothing() -> None:
    co, _ = writer()
    with pytest.raises(UnknownCharacter):
        co.add("abé")
    assert co.text == ""
    assert co.add("áb", "map") != []
    assert co.text == "ab"


def test_wrong_arguments_are_errors_at_the_call() -> None:
    co, model = writer()
    with pytest.raises(UsageError, match=r"^`count=0` must be 1 or more"):
        co.propose(0)
    with pytest.raises(UsageError, match="every token is banned"):
        CoWriter(random_markov("", unknown=True), CONFIG)
    assert model.steps == []


def test_a_new_setting_applies_from_the_next_piece_on() -> None:
    co, model = writer()
    co.config = replace(co.config, temperature=0.0)
    co.add("a")
    drawn = draw(co)
    greedy = [int(row.argmax()) for row in model.table]
    for before, after in zip("a" + drawn, drawn, strict=False):
        assert model.tokenizer.encode(after)[0] == greedy[model.tokenizer.encode(before)[0]]


def test_the_repetition_penalty_applies_to_the_last_64_tokens_across_pieces() -> None:
    co, model = writer(replace(CONFIG, temperature=0, repetition_penalty=4.0, length=8))
    for _ in range(30):
        co.add("ab ")
    co.add("cd")
    text = co.tokenizer.encode(co.text).tolist()
    drawn = co.tokenizer.encode(draw(co)).tolist()
    for token in drawn:
        row = model.table[text[-1]].astype(float)
        for recent in set(text[-64:]):
            row[recent] = row[recent] / 4 if row[recent] > 0 else row[recent] * 4
        assert token == row.argmax()
        text.append(token)


@given(seed=st.integers(0, 500))
@settings(max_examples=30)
def test_pieces_are_whole_characters(seed: int) -> None:
    # Leading bytes and their followers, mostly: characters of two, three and four bytes.
    lead, follow = [0xC3, 0xE4, 0xF0], [0x90, 0xA0, 0xB8]
    table = np.full((256, 256), -30.0)
    table[:, [32, 97, *lead]] = 0
    for byte in lead + follow:
        table[byte, follow] = 5
    co = CoWriter(Markov(table, ByteTokenizer()), SampleConfig(length=3, temperature=1.0, seed=seed))
    for _ in range(3):
        draw(co)
        for piece in co.propose(3):
            assert piece.text == bytes(piece.ids).decode("utf-8", "replace")
    assert co.text == b"".join(bytes(piece.ids) for piece in co.pieces).decode("utf-8", "replace")


def test_a_piece_is_complete_at_the_end_of_a_word_or_line() -> None:
    texts = ("ab ", "abc", "ab", "a b,")
    assert [at_word_end(3)(text, len(text)) for text in texts] == [True, False, False, True]
    assert [at_line_end(text, len(text)) for text in ("ab", "ab\n")] == [False, True]


# ---- lists ------------------------------------------------------------------------------------------------------


def list_writer(record: str = "\n") -> CoWriter:
    """A network that carries a state, so that what it has read before a record would change what it writes."""
    torch.manual_seed(3)
    model = CharLM(architecture(vocab_size=5, hidden_size=16, embedding_size=8, num_layers=1))
    with torch.no_grad():
        model.head.weight.mul_(4)
    engine = engine_for(model.eval(), CharTokenizer("\nabcd"))
    return CoWriter(engine, replace(CONFIG, length=4), record=record)


def proposals(co: CoWriter) -> list[str]:
    return [piece.text for piece in co.propose(6)]


def test_a_list_goes_on_with_a_record_as_if_it_were_the_first() -> None:
    first, later, one_text = list_writer(), list_writer(), list_writer(record="")
    later.add("dcba\nab\n")
    one_text.add("dcba\nab\n")
    expected = proposals(first)
    assert proposals(later) == expected != proposals(one_text)
    assert all(text.endswith("\n") and text.count("\n") == 1 for text in expected)
    first.add("ca")
    later.add("ca")
    assert proposals(later) == proposals(first), "also after its beginning"
    for co in (first, later):
        draw(co)
    assert first.text == later.text.removeprefix("dcba\nab\n")
    assert first.text.endswith("\n")
    assert proposals(later) == proposals(first), "and after what was drawn"


def test_a_piece_of_a_record_ends_with_it_even_if_its_end_is_half_typed() -> None:
    co = list_writer(record="\n\n")
    co.add("ab\n")
    pieces = proposals(co)
    assert all((co.text + text).endswith("\n\n") for text in pieces)
    assert all((co.text + text).count("\n\n") == 1 for text in pieces)
