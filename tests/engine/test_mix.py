"""Networks mixed while they write: against the formula, and against each network alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine.mix import MixedEngine
from charlstm.errors import IncompatibleError, UsageError
from charlstm.nn.model import CharLM
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.generate import generate, row_generators
from charlstm.sampling.position import prefill
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from charlstm.tokenizers.train_sentencepiece import train
from tests.engine.test_state import SHAPES, moves
from tests.fake_models import Markov, random_markov
from tests.networks import architecture, bidirectional_engine_for, engine_for, torch_backend_for

SIZE = {"vocab_size": 4, "embedding_size": 3, "hidden_size": 5, "num_layers": 2}


def network(seed=0, **shape):
    torch.manual_seed(seed)
    return CharLM(architecture(**SIZE | shape)).eval()


def probabilities(logits):
    """Of one row of logits, by id."""
    weights = [math.exp(logit - max(logits)) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def by_character(model, before):
    """The probability of each character after another one, by a model alone."""
    row = model.table[model.tokenizer.encode(before)[0]].tolist()
    return dict(zip([*model.tokenizer.alphabet, "�"], probabilities(row), strict=False))


def mixed_by_hand(models, weights, before):
    """The formula of the module, character by character."""
    alone = [by_character(model, before) for model in models]
    unnormalised = {}
    for character in sorted(set().union(*alone)):
        heard = [(w / sum(weights), p[character]) for w, p in zip(weights, alone, strict=True) if character in p]
        share = sum(w for w, _ in heard)
        unnormalised[character] = share * math.prod(p ** (w / share) for w, p in heard) if share else 0.0
    return {character: value / sum(unnormalised.values()) for character, value in unnormalised.items()}


def mixed(models, weights, before):
    """The probability of each character after another one, by the mix."""
    both = MixedEngine(list(zip(models, weights, strict=True)))
    logits, _ = both.step(both.tokenizer.encode(before), None)
    assert logits.shape == (1, both.vocab_size)
    return dict(zip([*both.tokenizer.alphabet, "�"], probabilities(logits[0].tolist()), strict=False))


@pytest.mark.parametrize("weights", [(0.7, 0.3), (7, 3), (1, 1), (1, 0), (0, 5), (1e-9, 1)])
@pytest.mark.parametrize("alphabets", [("abcd", "abcd"), ("abcd", "cbe"), ("ba", "bxyz")])
@pytest.mark.parametrize("unknown", [False, True])
def test_the_mix_is_the_formula(alphabets, weights, unknown):
    models = [random_markov(alphabets[0], 1), random_markov(alphabets[1], 2, unknown=unknown)]
    assert mixed(models, weights, "b") == pytest.approx(mixed_by_hand(models, weights, "b"), abs=1e-9)


def test_networks_without_a_common_character_are_heard_as_their_weights_say():
    models = [random_markov("ab", 1), random_markov("αβ", 2)]
    both = MixedEngine([(models[0], 3), (models[1], 1)])
    logits, _ = both.step(both.tokenizer.encode("a"), None)
    shares = dict(zip(both.tokenizer.alphabet, probabilities(logits[0].tolist()), strict=True))
    assert shares["a"] + shares["b"] == pytest.approx(0.75)
    assert shares["a"] == pytest.approx(0.75 * by_character(models[0], "a")["a"])


weights_of_three = st.tuples(*[st.floats(0, 100, allow_subnormal=False)] * 3).filter(any)


@given(weights_of_three, st.permutations(range(3)), st.floats(0.5, 2))
def test_neither_the_order_of_the_networks_nor_the_sum_of_the_weights_matters(weights, order, factor):
    models = [random_markov("abc", 1), random_markov("bcd", 2, unknown=True), random_markov("bxab", 3)]
    once = mixed(models, weights, "b")
    again = mixed([models[k] for k in order], [factor * weights[k] for k in order], "b")
    assert again == pytest.approx(once, abs=1e-9)
    assert list(again) == list(once)
    assert sum(once.values()) == pytest.approx(1)


@given(weights_of_three)
def test_a_network_mixed_with_itself_is_itself(weights):
    model = random_markov("bac", 4, unknown=True)
    itself = MixedEngine([(model, weight) for weight in weights])
    assert itself.tokenizer.to_state() == model.tokenizer.to_state()
    logits, _ = itself.step([2, 0, 3], None)
    alone, _ = model.step([2, 0, 3], None)
    for row, other in zip(logits.tolist(), alone.tolist(), strict=True):
        assert probabilities(row) == pytest.approx(probabilities(other), abs=1e-9)
    config = SampleConfig(length=40, seed=5, min_p=0.05, no_repeat=6)
    written = ["".join(part.text for part in sample(each, [0], config)) for each in (model, itself)]
    assert written[0] == written[1]


def test_the_weights_change_from_step_to_step():
    one, other = (engine_for(network(seed)) for seed in (1, 2))
    both = MixedEngine([(one, 1), (other, 0)])
    assert both.weights == (1, 0)
    _, state = both.step([1], None)
    for weights in ((0.25, 0.75), (3, 1), (0, 1)):
        with_others = both.weighted(weights)
        fresh = MixedEngine([(one, weights[0]), (other, weights[1])])
        assert with_others.weights == fresh.weights == pytest.approx([weight / sum(weights) for weight in weights])
        assert np.array_equal(with_others.step([2], state)[0], fresh.step([2], state)[0])
        assert np.array_equal(with_others.logits(state), fresh.step([1], None)[0])
    alone, _ = one.step([2], one.step([1], None)[1])
    np.testing.assert_allclose(both.step([2], state)[0], alone - np.logaddexp.reduce(alone[0]), atol=1e-6)
    assert both.weights == (1, 0)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15, deadline=None)
@given(moves)
def test_rows_moved_about_continue_as_each_text_alone_does(shape, steps):
    models = network(1, **SHAPES[shape]), network(2, cell="gru", num_layers=1)
    both = MixedEngine([(engine_for(models[0]), 2), (torch_backend_for(models[1]), 1)])
    texts = [[1]]
    _, state = both.step(np.array([1]), None)
    for move, value in steps:
        if move == "step":
            tokens = [value.randrange(4) for _ in texts]
            _, state = both.step(np.array(tokens), state)
            texts = [[*text, token] for text, token in zip(texts, tokens, strict=True)]
        elif move == "expand" and len(texts) == 1:
            state, texts = both.expand(state, value), texts * value
        elif move == "select":
            rows = [row % len(texts) for row in value]
            state, texts = both.select(state, rows), [texts[row] for row in rows]
        elif move == "join":
            rows = [row % len(texts) for row in value]
            state = both.join([state, *(both.select(state, [row]) for row in rows)])
            texts = [*texts, *(texts[row] for row in rows)]
    logits, after = both.step(np.full(len(texts), 2), state)
    assert np.array_equal(both.logits(after), logits)
    for rows, end in ((both.logits(state), []), (logits, [2])):
        for row, text in zip(rows, texts, strict=True):
            ids = torch.tensor([[*text, *end]])
            alone = [model(ids)[0][0, -1].log_softmax(0).detach().numpy() for model in models]
            np.testing.assert_allclose(row, (2 * alone[0] + alone[1]) / 3, atol=1e-5)


def test_frozen_memories_store_nothing_of_what_is_written():
    model = network(0, match_orders=(2, 3), match_slots=50)
    both = MixedEngine([(engine_for(model), 1), (engine_for(network(1)), 1)])
    prompt = [0, 1, 2, 0, 1, 3, 0, 1]
    for draw in generate(both, prefill(both, prompt), SampleConfig(length=30), row_generators(1, 2)):
        slots = [memories["match"] for memories in draw.position.state[0].state.side]
    before = prefill(both, prompt).state
    assert slots == [before[0].state.side[0]["match"]] * 2
    thawed = both.freeze(both.freeze(before), False)
    _, after = both.step([3], thawed)
    assert after[0].state.side[0] != before[0].state.side[0]


def test_a_network_reads_the_nearest_character_that_it_knows():
    fed = []
    plain, other = Markov(np.zeros((5, 5)), CharTokenizer("e\n -X")), random_markov("éÉ—☃ eX\n-", 1)
    with_unknown = Markov(np.zeros((3, 3)), CharTokenizer("ab", unknown=True))
    without = Markov(np.zeros((2, 2)), CharTokenizer("ab"))
    both = MixedEngine([(each, 1) for each in (plain, other, with_unknown, without)])
    for model in (plain, with_unknown, without):
        fed.append(model.steps)
    for text in ("é—☃", "ébX"):
        both.step(both.tokenizer.encode(text), None)
    assert "".join(plain.tokenizer.decode(ids) for ids in fed[0]) == "e- e X"
    assert "".join(with_unknown.tokenizer.decode(ids) for ids in fed[1]) == "����b�"
    assert "".join(without.tokenizer.decode(ids) for ids in fed[2]) == "aaaaba"


def test_a_character_that_no_network_with_a_weight_knows_is_never_drawn():
    models = random_markov("ab", 1), random_markov("abcdefgh", 2)
    both = MixedEngine([(models[0], 1), (models[1], 0)])
    config = SampleConfig(length=300, temperature=1000.0, seed=1)
    text = "".join(part.text for part in sample(both, [0], config))
    assert set(text) == {"a", "b"}


def test_networks_of_bytes_are_mixed():
    bytes_of = [Markov(np.random.default_rng(seed).normal(size=(256, 256)), ByteTokenizer()) for seed in (1, 2)]
    logits, _ = MixedEngine([(bytes_of[0], 1), (bytes_of[1], 3)]).step([65], None)
    alone = [np.log(probabilities(model.table[65].tolist())) for model in bytes_of]
    np.testing.assert_allclose(logits[0], (alone[0] + 3 * alone[1]) / 4)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (lambda: [], UsageError, "a mix needs a network"),
        (lambda: [(random_markov("ab"), -1)], UsageError, "the weight -1 of a mix must be 0 or more"),
        (lambda: [(random_markov("ab"), math.nan)], UsageError, "the weight nan of a mix must be 0 or more"),
        (lambda: [(random_markov("ab"), math.inf)], UsageError, "the weight inf of a mix must be 0 or more"),
        (lambda: [(random_markov("ab"), 0), (random_markov("ab"), 0)], UsageError, "all weights of the mix are 0"),
        (
            lambda: [(random_markov("ab"), 1), (Markov(np.zeros((256, 256)), ByteTokenizer()), 1)],
            UsageError,
            "network 2 of the mix reads bytes, and the first one characters",
        ),
        (
            lambda: [(random_markov("ab"), 1), (bidirectional_engine_for(network(bidirectional=True), 8), 1)],
            IncompatibleError,
            "network 2 of the mix reads both ways",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused(parts, error, message):
    with pytest.raises(error, match=message):
        MixedEngine(parts())


@pytest.mark.parametrize(
    ("weights", "shares"), [((1e308, 1e308), (0.5, 0.5)), ((5e-324, 0), (1, 0)), ((3, 1), (0.75, 0.25))]
)
def test_weights_of_any_size_add_up_to_one(weights, shares):
    assert MixedEngine([(random_markov("ab"), weight) for weight in weights]).weights == shares


def test_networks_of_subwords_are_mixed_if_they_have_the_same():
    words, others = (train([line] * 30, model="bpe") for line in ("the owl sang the song", "two gulls flew away"))
    size = min(words.vocab_size, others.vocab_size)
    assert words.to_state() != others.to_state()
    tables = [np.random.default_rng(seed).normal(size=(words.vocab_size,) * 2) for seed in (1, 2)]
    one, other = (Markov(table, words) for table in tables)
    logits, _ = MixedEngine([(one, 1), (other, 1)]).step([7], None)
    alone = [np.log(probabilities(model.table[7].tolist())) for model in (one, other)]
    np.testing.assert_allclose(logits[0], sum(alone) / 2)
    with pytest.raises(UsageError, match="network 2 of the mix has other subwords"):
        MixedEngine([(one, 1), (Markov(np.zeros((size, size)), others), 1)])


def test_other_weights_have_to_be_as_many():
    both = MixedEngine([(random_markov("ab"), 1), (random_markov("ab"), 1)])
    with pytest.raises(UsageError, match="a mix of 2 needs 2 weights, not 3"):
        both.weighted((1, 2, 3))


def test_a_text_is_not_taken_for_a_list_of_ids():
    with pytest.raises(UsageError, match="not a text"):
        MixedEngine([(random_markov("ab"), 1)]).step("a", None)
