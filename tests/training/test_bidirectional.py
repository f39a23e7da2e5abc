"""Bidirectional networks: against loops, torch's own modules, its halves, the engine, and itself resumed."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.api.model import Model
from charlstm.checkpoint.format import check_causal, check_model, read, verify
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.config import DataConfig
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine
from charlstm.errors import ConfigError, CorruptError, IncompatibleError
from charlstm.evaluation.objective import Masked
from charlstm.events import EvalDone, Preview, StepDone, Stopped
from charlstm.nn.masking import mask_spans
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS, parameter_count
from charlstm.nn.state import State
from charlstm.training.batches import TbpttBatches
from tests.networks import architecture, bidirectional_engine_for
from tests.nn.test_model import Loops
from tests.training.test_training import ALPHABET, losses, run_through, same, training, weights

shapes = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(1, 9),
        "embedding_size": st.integers(1, 5),
        "hidden_size": st.integers(1, 7),
        "num_layers": st.integers(1, 3),
        "cell": st.sampled_from(sorted(CELLS)),
        "skip_connections": st.booleans(),
        "bidirectional": st.just(True),
    }
)


def model_of(shape, seed=0, **more):
    torch.manual_seed(seed)
    model = CharLM(architecture(**shape, **more)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.7)
    return model


def by_loops(model, ids):
    """One row's logits, unit by unit, from the equations: each token from what was read up to it and down to it."""
    config = model.architecture
    tensors = {name: weight.detach().double().numpy() for name, weight in model.state_dict().items()}
    embedded = [tensors["embedding.weight"][token].tolist() for token in ids]

    def through(stack, inputs):
        """Of each place, what the head reads of a stack that has read up to and with it."""
        outputs, below = [[] for _ in inputs], inputs
        for k in range(config.num_layers):
            cell = CELLS[config.cell]
            layer = [tensors[f"{stack}.{k}.{name}"].tolist() for name in cell.tensors]
            state, above = [[0.0] * config.hidden_size for _ in cell.states], []
            for t, x in enumerate(below):
                state = getattr(Loops(), config.cell)(x, *state, *layer)
                above.append(state[0])
                outputs[t] = outputs[t] + state[0] if config.skip_connections else state[0]
            below = [h + (inputs[t] if config.skip_connections else []) for t, h in enumerate(above)]
        return outputs

    past, future = through("layers", embedded), through("backwards", embedded[::-1])[::-1]
    nothing = [0.0] * len(past[0])
    logits = []
    for t in range(len(ids)):
        before = past[t - 1] if t else nothing
        after = future[t + 1] if t + 1 < len(ids) else nothing
        merged = np.tanh(tensors["merge.weight"] @ np.array(before + after) + tensors["merge.bias"])
        logits.append(tensors["head.weight"] @ merged + tensors["head.bias"])
    return np.array(logits)


@given(shapes, st.integers(1, 3), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_logits_equal_loops_written_from_the_equations(shape, batch, time):
    model = model_of(shape).double()
    ids = np.random.default_rng(1).integers(shape["vocab_size"] + 1, size=(batch, time))  # the mask among them
    logits, _ = model(torch.from_numpy(ids))
    assert logits.shape == (batch, time, shape["vocab_size"])
    for row, want in zip(logits.detach().numpy(), ids, strict=True):
        np.testing.assert_allclose(row, by_loops(model, want), atol=1e-10)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_one_layer_equals_torchs_bidirectional_module(cell):
    model = model_of({"vocab_size": 6, "hidden_size": 5, "num_layers": 1, "cell": cell, "bidirectional": True}).double()
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    theirs = kind(model.architecture.embedding_size, 5, bidirectional=True).double()
    with torch.no_grad():
        for stack, end in ((model.layers, "l0"), (model.backwards, "l0_reverse")):
            for name in ("weight_ih", "weight_hh"):
                getattr(theirs, f"{name}_{end}").copy_(getattr(stack[0], name))
            getattr(theirs, f"bias_ih_{end}").copy_(stack[0].bias)
            getattr(theirs, f"bias_hh_{end}").zero_()
            if cell == "gru":
                getattr(theirs, f"bias_hh_{end}")[10:] = stack[0].bias_n
    ids = torch.randint(7, (2, 8))
    past, future = theirs(model.embedding(ids.t()))[0].chunk(2, -1)
    nothing = torch.zeros(1, 2, 5, dtype=torch.float64)
    features = torch.cat((torch.cat((nothing, past[:-1])), torch.cat((future[1:], nothing))), -1)
    want = model.head(model.merge(features).tanh()).transpose(0, 1)
    torch.testing.assert_close(model(ids)[0], want, atol=1e-10, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_right(cell):
    shape = {
        "vocab_size": 3,
        "embedding_size": 2,
        "hidden_size": 2,
        "num_layers": 2,
        "cell": cell,
        "skip_connections": True,
    }
    model = model_of(shape, bidirectional=True).double()
    names, learning = zip(*model.named_parameters(), strict=True)
    ids = torch.tensor([[0, 3, 2], [3, 1, 0]])

    def logits(*weights):
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (ids,))[0]

    assert torch.autograd.gradcheck(logits, learning)


@given(shapes, st.integers(1, 3), st.integers(2, 7), st.data())
@settings(max_examples=40, deadline=None)
def test_half_windows_with_both_states_carried_equal_the_whole(shape, batch, time, data):
    model = model_of(shape)
    ids = torch.from_numpy(np.random.default_rng(0).integers(shape["vocab_size"] + 1, size=(batch, time)))
    cut = data.draw(st.integers(1, time - 1))
    whole, ends = model(ids)
    # What the left half gives on to the right depends on the left alone, and the other way round.
    zeros = ends.map(torch.zeros_like).layers
    to_right = model(ids[:, :cut])[1].layers[0]
    to_left = model(ids[:, cut:])[1].layers[1]
    left, left_ends = model(ids[:, :cut], State((zeros[0], to_left)))
    right, right_ends = model(ids[:, cut:], State((to_right, zeros[1])))
    torch.testing.assert_close(torch.cat((left, right), 1), whole, atol=1e-5, rtol=1e-5)
    got = State((right_ends.layers[0], left_ends.layers[1]))
    for (name, part), (_, want) in zip(got.named_parts(), ends.named_parts(), strict=True):
        torch.testing.assert_close(part, want, atol=1e-5, rtol=1e-5, msg=name)


@given(shapes, st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_the_engine_gives_the_models_logits(shape, time):
    model = model_of(shape)
    vocab = shape["vocab_size"]
    ids = np.random.default_rng(1).integers(vocab + 1, size=time)
    engine = bidirectional_engine_for(model, reach=5)
    want = model(torch.from_numpy(ids)[None])[0][0].detach().numpy()
    np.testing.assert_allclose(engine.logits(ids), want, atol=1e-5, rtol=1e-5)
    if time > 1:  # several rows at once, each its own past, the same future
        rows = [engine.begin(ids[:1].tolist()), engine.begin([vocab])]
        layout = engine.layout([-1, *ids[1:4].tolist()])
        found = engine.predict(engine.join(rows), layout, 0)
        for row, alone in zip(found, rows, strict=True):
            np.testing.assert_allclose(row, engine.predict(alone, layout, 0)[0], atol=1e-6)


def test_no_token_sees_itself_and_each_sees_all_others():
    model = model_of({"vocab_size": 5, "hidden_size": 6, "num_layers": 2, "bidirectional": True})
    embedded = model.embedding(torch.tensor([[0, 1, 2, 3, 4]])).detach().requires_grad_()
    model.embedding.forward = lambda ids: embedded.transpose(0, 1)
    logits, _ = model(torch.tensor([[0, 1, 2, 3, 4]]))
    for place in range(5):
        (gradient,) = torch.autograd.grad(logits[0, place].sum(), embedded, retain_graph=True)
        seen = [other for other in range(5) if gradient[0, other].abs().sum() > 0]
        assert seen == [other for other in range(5) if other != place]


def test_the_weights_are_counted_and_the_mask_has_a_row_of_its_own():
    config = architecture(vocab_size=7, hidden_size=4, num_layers=2, bidirectional=True)
    model = CharLM(config)
    assert model.embedding.weight.shape[0] == 8
    assert model.parameter_count() == parameter_count(config)


def test_excluded_combinations_raise(tmp_path):
    with pytest.raises(ConfigError, match="attention looks back only"):
        architecture(vocab_size=3, bidirectional=True, attention_window=4)
    with pytest.raises(ConfigError, match="needs `windows='shuffled'`"):
        training(tmp_path / "a", model={"bidirectional": True})
    import charlstm

    (tmp_path / "my.txt").write_text("one two three four five six seven\n" * 60)
    settings = {"bidirectional": True, "max_steps": 1, "root": tmp_path, "cache": tmp_path / "cache"}
    with pytest.raises(ConfigError, match="shuffled"):
        list(charlstm.train(tmp_path / "my.txt", windows="stateful", **settings))
    with pytest.raises(ConfigError, match="attention"):
        list(charlstm.train(tmp_path / "my.txt", attention_window=9, **settings))


# ---- what is hidden ------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 300))
def test_masks_are_spans_and_reproducible(seed, rows, time):
    hidden = mask_spans(np.random.default_rng(seed), rows, time)
    assert hidden.shape == (rows, time)
    assert hidden.any()
    np.testing.assert_array_equal(hidden, mask_spans(np.random.default_rng(seed), rows, time))


def test_a_quarter_of_all_tokens_is_masked_in_spans_of_every_length():
    hidden = mask_spans(np.random.default_rng(0), 400, 200)
    assert hidden.mean() == pytest.approx(0.25, abs=0.03)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hidden[:, 20:180].ravel(), [0]))))
    lengths = edges[1::2] - edges[::2]
    assert {1, 2, 3, 5, 8, 12} <= set(lengths.tolist())
    # Any place is as likely to be hidden: the first as much as the middle.
    assert hidden[:, 0].mean() == pytest.approx(0.25, abs=0.08)


def test_batches_mask_their_targets_and_continue_exactly_from_a_cursor():
    config = DataConfig(windows="shuffled", batch_size=3, seq_len=20)
    made = TbpttBatches(np.arange(500, dtype=np.uint32), config, seed=1, objective=Masked(mask_id=999, seq_len=20))
    straight = list(islice(made.start_from(0, 0), 9))
    for window in straight:
        masked = window.inputs == 999
        assert masked.any()
        assert torch.equal(window.inputs[~masked], window.targets[~masked])
        assert torch.equal((window.targets[:, :1] + torch.arange(20)) % 500, window.targets)
        assert window.reset_mask.all()
    again = next(made.start_from(straight[5].epoch, straight[5].index))
    assert torch.equal(again.inputs, straight[5].inputs)
    assert not torch.equal(straight[0].inputs == 999, straight[1].inputs == 999)


# ---- a run ---------------------------------------------------------------------------------------------------------

BOTH = {"model": {"bidirectional": True, "dropout": 0.1, "weight_drop": 0.1}, "data": {"windows": "shuffled"}}


@pytest.mark.parametrize("cell", CELLS)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, cell):
    more = {**BOTH, "model": {**BOTH["model"], "cell": cell}}
    whole = training(tmp_path / "whole", **more)
    straight = losses(run_through(whole))
    first = training(tmp_path / "cut", **more)
    begun = losses(run_through(first, stop_after=13))
    second = training(tmp_path / "cut", resume=read(tmp_path / "cut" / RESUME, "resume"), **more)
    assert begun + losses(run_through(second)) == straight
    assert same(weights(second), weights(whole))


def test_a_run_learns_previews_fillings_and_saves_a_model_that_fills(tmp_path):
    run = training(
        tmp_path / "both",
        model={"bidirectional": True, "hidden_size": 24, "num_layers": 1, "dropout": 0},
        data={"windows": "shuffled", "seq_len": 24, "batch_size": 8},
        train={"max_steps": 150, "eval_every": 150, "preview": 60, "lr": 0.02},
    )
    told = run_through(run)
    assert isinstance(told[-1], Stopped)
    assert np.mean([event.loss for event in told if isinstance(event, StepDone)][-10:]) < 1.3
    (evaluated,) = (event for event in told if isinstance(event, EvalDone))
    assert evaluated.val_loss < 1.3
    *_, shown = (event.text for event in told if isinstance(event, Preview))
    assert shown.count("[") == shown.count("]") == 2
    path = tmp_path / "both" / MODEL
    checkpoint = verify(path)
    engine = load_engine(checkpoint)
    model = Model(checkpoint)
    assert isinstance(engine, BidirectionalEngine)
    # A letter is followed by the next or the one after it: of "b_d" only c fits, of "b__f" c and d fit best with d.
    assert model.fill("aceg_bdfh")[0].blanks[0] in ALPHABET
    assert model.fill("gacegb_dfhbd")[0].blanks == ("c",)
    assert model.score("abcdefghab").nats.mean() < model.score("aeaeaeaeae").nats.mean()
    with pytest.raises(IncompatibleError, match="cannot write"):
        model.generate("a", length=3)
    with pytest.raises(IncompatibleError, match="charlstm fill"):
        check_causal(checkpoint)


def test_a_checkpoint_without_one_direction_raises(tmp_path):
    run_through(training(tmp_path / "both", train={"max_steps": 2}, **BOTH))
    checkpoint = read(tmp_path / "both" / MODEL)
    check_model(checkpoint)
    del checkpoint.tensors["backwards.0.bias"]
    with pytest.raises(CorruptError, match=r"backwards\.0\.bias"):
        check_model(checkpoint)
