"""Records are scored each by itself: the sum over all is that of single texts, whatever stands beside them."""

import numpy as np
import pytest

from charlstm.config import RunConfig
from charlstm.evaluation.loss import causal_losses
from charlstm.evaluation.objective import Causal, Records, objective_of
from charlstm.tokenizers import CharTokenizer
from tests.evaluation.test_loss import random_model

END = 0
NETWORKS = [{}, {"match_orders": (2, 3), "match_slots": 30}, {"ngram_order": 3, "ngram_buckets": 40}]


def records(count, longest, seed=0):
    random = np.random.default_rng(seed)
    return [np.append(random.integers(1, 5, random.integers(1, longest)), END).astype(np.uint8) for _ in range(count)]


def losses_of(objective, model, ids):
    nats = np.full(len(ids), np.nan, np.float32)
    for positions, values in objective.losses(model, ids, np.array([END]), None, 1):
        assert np.isnan(nats[positions]).all()
        nats[positions] = values
    return nats


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize(("count", "longest"), [(150, 9), (3, 600)])
def test_each_record_is_scored_as_the_first_of_any_text(network, count, longest):
    model, texts = random_model(1, **network), records(count, longest)
    expected = [nats for text in texts for _, nats in causal_losses(model, text, np.array([END]))]
    found = losses_of(Records((END,)), model, np.concatenate(texts))
    np.testing.assert_allclose(found, np.concatenate(expected), atol=2e-6)
    assert Records((END,)).validate(model, np.concatenate(texts), np.array([END]), None) == pytest.approx(
        float(found.mean()), abs=1e-6
    )


def test_the_temperature_is_fitted_on_the_same_losses():
    model, ids = random_model(1), np.concatenate(records(400, 9))
    objective = Records((END,))
    loss, temperature = objective.calibrate(model, ids, np.array([END]), None)
    assert loss == pytest.approx(objective.validate(model, ids, np.array([END]), None), abs=1e-6)
    assert temperature != 1


def test_a_record_without_an_end_is_scored_too():
    model, ids = random_model(1), np.array([1, 2, END, 3, 4], np.uint8)
    assert np.isfinite(losses_of(Records((END,)), model, ids)).all()


def test_the_objective_of_a_list_knows_its_end():
    tokenizer = CharTokenizer("ab%\n")
    run = {"name": "x", "model": {"vocab_size": 4}}
    listed = objective_of(RunConfig.from_plain({**run, "data": {"records": "%"}}), tokenizer)
    assert isinstance(listed, Records)
    assert tokenizer.decode(listed.terminator) == "\n%\n"
    assert type(objective_of(RunConfig.from_plain(run), tokenizer)) is Causal
