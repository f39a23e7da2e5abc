"""Dynamic evaluation: against a loop over single tokens, against the plain loss, and blind to later tokens."""

import math

import numpy as np
import pytest
import torch
from torch.func import functional_call

import charlstm
from charlstm.api.model import Model
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import DataConfig, RunConfig
from charlstm.errors import ConfigError, DivergedError, IncompatibleError, UsageError
from charlstm.evaluation.dynamic import DynamicConfig, dynamic_losses
from charlstm.evaluation.loss import causal_losses
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS
from charlstm.tokenizers import CharTokenizer
from tests.networks import architecture

SHAPE = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 8, "num_layers": 2}
NETWORKS = [
    *({"cell": cell} for cell in sorted(CELLS)),
    {"attention_window": 7},
    {"ngram_order": 4, "ngram_buckets": 30},
    {"match_orders": (2, 3), "match_slots": 30, "ngram_order": 3},
    {"skip_connections": True, "dropout": 0.5, "weight_drop": 0.5},
    {"ensemble": 3, "ngram_order": 3, "ngram_buckets": 30},
]
FAST = DynamicConfig(segment=6, lr=0.02, decay=0.05)
CONTEXT = np.array([3])


def dynamic_nats(model, ids, config):
    return np.concatenate([nats for _, nats in dynamic_losses(model, ids, CONTEXT, config)])


def random_model(**more):
    torch.manual_seed(0)
    model = CharLM(architecture(**SHAPE, **more)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)  # weights that start at zero must matter too
    return model


def random_ids(length=50, seed=1):
    return np.random.default_rng(seed).integers(5, size=length).astype(np.uint8)


def step_by_step(model, ids, config, before=CONTEXT[0]):
    """The nats of each token: one token at a time, weights in a dict, all gradients stored and averaged each time."""
    trained = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    table = "side_inputs.ngrams.weight"
    weights, past, nats, state = dict(trained), [], [], None
    text = [before, *map(int, ids)]
    for begin in range(0, len(ids), config.segment):
        leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        segment = []
        for k in range(begin, min(begin + config.segment, len(ids))):
            logits, state = functional_call(model, leaves, (torch.tensor([[text[k]]]), state))
            segment.append(logits[0, 0].logsumexp(0) - logits[0, 0, text[k + 1]])
        loss = sum(segment) / len(segment)
        past.append(dict(zip(leaves, torch.autograd.grad(loss, leaves.values()), strict=True)))
        if table in weights:
            read = torch.cat([g[table].coalesce().values() for g in past])
            column, last = read.pow(2).mean(0).sqrt(), past[-1][table].coalesce()
            rows, now = last.indices()[0], weights[table]
            moved = now[rows] - 10 * config.lr * last.values() / (column + 1e-8)
            moved += min(1, 100 * config.decay) * (trained[table] - now)[rows]
            weights[table] = now.index_copy(0, rows, moved)
        nats += torch.stack(segment).tolist()
        state = state.detach()
        dense = [name for name in weights if name != table]
        rms = {name: torch.stack([g[name] for g in past]).pow(2).mean(0).sqrt() for name in dense}
        mean = torch.cat([each.flatten() for each in rms.values()]).mean()
        for name in dense:
            weight = weights[name]
            way_back = torch.minimum(config.decay * rms[name] / mean, torch.ones(()))
            step = config.lr * past[-1][name] / (rms[name] + 1e-8)
            weights[name] = weight - step + way_back * (trained[name] - weight)
    return nats


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("config", [FAST, DynamicConfig(segment=1, lr=0.01, decay=0), DynamicConfig(segment=80)])
def test_it_equals_a_loop_over_single_tokens(network, config):
    model, ids = random_model(**network).eval(), random_ids()
    nats = dynamic_nats(model, ids, config)
    np.testing.assert_allclose(nats, step_by_step(model, ids, config), rtol=1e-5)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_learning_rate_of_0_gives_the_plain_loss(network):
    model, ids = random_model(**network), random_ids(300)
    learning = dynamic_nats(model, ids, DynamicConfig(lr=0))
    trained = np.concatenate([nats for _, nats in causal_losses(model, ids, CONTEXT)])
    np.testing.assert_allclose(learning, trained, rtol=1e-6)


@pytest.mark.parametrize(("network", "place"), [
    pytest.param(network, place, marks=[] if "ensemble" in network or (turn + number) % 3 == 0 else [pytest.mark.slow],
                 id=f"{place}-{network}")
    for turn, network in enumerate(NETWORKS)
    for number, place in enumerate([0, 5, 6, 30, 49])  # the first; the ends of two segments; inside one; the last
])  # fmt: skip
def test_a_later_character_never_changes_an_earlier_loss(network, place):
    model, ids = random_model(**network), random_ids()
    other = ids.copy()
    other[place] = (ids[place] + 1) % 5
    one, two = (dynamic_nats(model, text, FAST) for text in (ids, other))
    np.testing.assert_array_equal(one[:place], two[:place])
    assert one[place] != two[place]
    assert place == len(ids) - 1 or (one[place + 1 :] != two[place + 1 :]).all(), "everything after it depends on it"


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_network_itself_does_not_change(network):
    model = random_model(**network).train()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    dynamic_nats(model, random_ids(), FAST)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)


def test_it_learns_a_repeated_text_and_decay_forgets_it():
    model, ids = random_model(), np.tile(random_ids(10), 30)

    def last_third(lr, decay):
        config = DynamicConfig(segment=10, lr=lr, decay=decay)
        return dynamic_nats(model, ids, config)[-100:].mean()

    never, slowly, at_once = last_third(0.01, 0), last_third(0.01, 0.03), last_third(0.01, 1)
    assert never < slowly - 0.2 < at_once - 0.4 < last_third(0, 0) - 0.4


def test_without_error_nothing_is_learned():
    model = CharLM(architecture(vocab_size=1, hidden_size=4))
    losses = dynamic_losses(model, np.zeros(30, np.uint8), np.array([0]), DynamicConfig())
    np.testing.assert_array_equal(np.concatenate([nats for _, nats in losses]), np.zeros(30))


def test_segments_cover_every_token_once_in_order():
    segments = [places.tolist() for places, _ in dynamic_losses(random_model(), random_ids(50), CONTEXT, FAST)]
    assert segments == [list(range(begin, min(begin + FAST.segment, 50))) for begin in range(0, 50, FAST.segment)]


def test_divergence_is_one_line_that_names_the_remedy():
    with pytest.raises(DivergedError, match=r"after \d+ tokens.*finite number\. Use a lower learning rate\.$"):
        dynamic_nats(random_model(), random_ids(), DynamicConfig(segment=5, lr=1e38))


@pytest.mark.parametrize("wrong", [{"segment": 0}, {"lr": -1.0}, {"lr": math.nan}, {"lr": 1e300}, {"decay": 1.5}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        DynamicConfig(**wrong)


# ---- in the library -----------------------------------------------------------------------------------------------


def model_of(**shape):
    run = RunConfig(name="mine", model=architecture(**SHAPE, **shape), data=DataConfig(seq_len=8))
    tensors = random_model(**shape).float().to_tensors()
    return Model(Checkpoint("model", tensors, run, CharTokenizer("\nabcd").to_state(), Provenance()))


def test_the_library_scores_the_whole_text_after_a_newline():
    model = model_of()
    tensors = {name: tensor.copy() for name, tensor in model.checkpoint.tensors.items()}
    score = model.score_dynamic("abba\ncd" * 9, segment=4, lr=0.01)
    newline, *ids = map(int, model.tokenizer.encode("\n" + "abba\ncd" * 9))
    want = step_by_step(random_model().eval(), ids, DynamicConfig(segment=4, lr=0.01), newline)
    np.testing.assert_allclose(score.nats, want, rtol=1e-3)
    assert len(score.nats) == score.characters == 63
    assert b"".join(score.tokens).decode() == "abba\ncd" * 9
    assert model.score_dynamic("abba" * 9, lr=0).nats == pytest.approx(model.score("abba" * 9).nats, rel=1e-5)
    assert all(np.array_equal(tensor, tensors[name]) for name, tensor in model.checkpoint.tensors.items())


def test_the_starter_learns_from_a_repetitive_text():
    model, text = charlstm.load("starter"), "The heron ate 77 quinces; nobody minded.\n" * 12
    assert model.score_dynamic(text).bits_per_char < model.score(text).bits_per_char - 0.05


def test_mistakes_are_one_of_our_errors():
    with pytest.raises(UsageError, match="empty"):
        model_of().score_dynamic("")
    with pytest.raises(ConfigError, match="segment, lr, decay"):
        model_of().score_dynamic("ab", rate=1)
    both = model_of(bidirectional=True)
    with pytest.raises(IncompatibleError, match="no order in which to learn"):
        both.score_dynamic("ab")
