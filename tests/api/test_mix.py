"""``charlstm.mix``: several networks that write together, from Python."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import charlstm
from charlstm.checkpoint.writing import Writing
from charlstm.corpora.words import find_words
from charlstm.engine.mix import MixedEngine
from charlstm.sampling.config import settings_for
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_checkpoints import ALPHABET, make_checkpoint


@pytest.fixture
def models(tmp_path):
    """Two networks, the second of other characters, too."""
    return [
        charlstm.Model(make_checkpoint(tmp_path / f"{seed}.safetensors", CharTokenizer(alphabet), seed=seed))
        for seed, alphabet in enumerate((ALPHABET, ALPHABET + "αβ"))
    ]


def test_it_writes_what_the_engine_writes(models):
    mixed = charlstm.mix(*models, weights=(3, 1))
    assert mixed.weights == (0.75, 0.25)
    assert repr(mixed) == "<charlstm.Mix: 0.75 fake + 0.25 fake>"
    engine = MixedEngine([(models[0].writer, 3), (models[1].writer, 1)])
    config = settings_for(Writing(), length=50, seed=4)
    expected = "".join(part.text for part in sample(engine, engine.tokenizer.encode("The "), config))
    assert mixed.generate("The ", length=50, seed=4) == expected
    assert "".join(mixed.stream("The ", length=50, seed=4)) == expected


def test_equal_weights_unless_others_are_given(models):
    assert charlstm.mix(*models).weights == (0.5, 0.5)
    alone = models[0].generate("The ", length=40, seed=1)
    assert charlstm.mix(models[0], models[0]).generate("The ", length=40, seed=1) == alone
    mixed = charlstm.mix(*models)
    assert mixed.weighted(1, 0).next("The ") == [(text, pytest.approx(share)) for text, share in models[0].next("The ")]
    assert mixed.weights == (0.5, 0.5)


def test_networks_are_named_as_for_load(models, tmp_path):
    paths = [tmp_path / "0.safetensors", str(tmp_path / "1.safetensors")]
    assert charlstm.mix(*paths).next("The ") == charlstm.mix(*models).next("The ")
    with pytest.raises(charlstm.NotFoundError):
        charlstm.mix(models[0], "no such run", root=tmp_path)


def test_the_next_token_by_the_formula(models):
    mixed = charlstm.mix(*models, weights=(0.25, 0.75))
    alone = [dict(model.next("The ", top=99)) for model in models]
    together = {
        character: math.exp(0.25 * math.log(alone[0][character]) + 0.75 * math.log(share))
        if character in alone[0] else 0.75 * share
        for character, share in alone[1].items()
    }  # fmt: skip
    total = sum(together.values())
    expected = sorted(together.items(), key=lambda item: -item[1])[:6]
    assert mixed.next("The ", top=6) == [(character, pytest.approx(share / total)) for character, share in expected]


def test_the_score_is_that_of_the_mixed_probabilities(models):
    text = "The boat. αβ The sea."
    mixed = charlstm.mix(*models, weights=(1, 2))
    score = mixed.score(text)
    expected = [
        -math.log(dict(mixed.next("\n" + text[:place], top=99))[character]) for place, character in enumerate(text)
    ]
    np.testing.assert_allclose(score.nats, expected, rtol=1e-4)
    assert score.method.exact
    alone = charlstm.mix(models[1]).score(text)
    np.testing.assert_allclose(alone.nats, models[1].score(text).nats, atol=1e-4)


def test_a_long_text_is_scored_piece_by_piece(models, monkeypatch):
    text = "The sea and the boat. " * 9
    whole = charlstm.mix(*models).score(text)
    monkeypatch.setattr("charlstm.evaluation.stepping._PIECE", 7)
    assert np.array_equal(charlstm.mix(*models).score(text).nats, whole.nats)


def test_it_writes_as_the_one_with_the_largest_weight_does(models):
    other = charlstm.Model(replace(models[1].checkpoint, writing=Writing(temperature=0.1, min_p=0.5)))
    mixed = charlstm.mix(models[0], other, weights=(1, 2))
    assert mixed.writing.temperature == 0.1
    assert mixed.weighted(2, 1).writing.temperature == 1.0
    given = mixed.weighted(2, 1).generate(length=40, seed=1, temperature=0.1, min_p=0.5)
    own = mixed.weighted(2, 1).generate(length=40, seed=1)
    assert given != own


def test_words_of_all_training_texts(models):
    several = [
        charlstm.Model(replace(model.checkpoint, words=words))
        for model, words in zip(models, [("and", "boat"), ("sea",)], strict=True)
    ]
    text = charlstm.mix(*several).generate(length=300, seed=1, temperature=2.0, words=True)
    assert {word.lower() for word in find_words(text)} == {"and", "boat", "sea"}
    with pytest.raises(charlstm.UsageError, match="knows no words"):
        charlstm.mix(several[0], models[1]).generate(words=True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda models: charlstm.mix(), charlstm.UsageError, "a mix needs a network"),
        (lambda models: charlstm.mix(*models, weights=(1,)), charlstm.UsageError, "needs 2 weights, not 1"),
        (lambda models: charlstm.mix(*models, weights=(1, -1)), charlstm.UsageError, "must be 0 or more"),
        (lambda models: charlstm.mix(*models, weights=(1, "a")), charlstm.UsageError, "`weights='a'`"),
        (lambda models: charlstm.mix(*models).weighted(1, 2, 3), charlstm.UsageError, "needs 2 weights, not 3"),
        (lambda models: charlstm.mix(*models, wieghts=(1, 2)), charlstm.ConfigError, "did you mean weights"),
        (lambda models: charlstm.mix(*models).generate("漢"), charlstm.UnknownCharacter, "漢"),
        (lambda models: charlstm.mix(*models).generate(length=0), charlstm.UsageError, "never ends"),
        (lambda models: charlstm.mix(*models).generate(3), charlstm.UsageError, "must be a text"),
        (lambda models: charlstm.mix(*models).score(""), charlstm.UsageError, "the text is empty"),
        (lambda models: charlstm.mix(*models).score("漢"), charlstm.UnknownCharacter, "漢"),
        (lambda models: charlstm.mix(*models).next("a", top=0), charlstm.UsageError, "top"),
    ],
)
def test_a_mistake_is_one_line(models, call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(models)
    assert "\n" not in str(caught.value)


def test_bytes_and_characters_cannot_be_mixed(models, tmp_path):
    of_bytes = charlstm.Model(make_checkpoint(tmp_path / "bytes.safetensors", ByteTokenizer()))
    with pytest.raises(charlstm.UsageError, match="reads bytes"):
        charlstm.mix(models[0], of_bytes)
