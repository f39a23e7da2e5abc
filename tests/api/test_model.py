"""A loaded model: it writes, fills, scores, and lets itself be looked into."""

import math

import numpy as np
import pytest

import charlstm
from charlstm.errors import ConfigError, IncompatibleError, NotFoundError, UnknownCharacter, UsageError
from tests.api.networks import random_model


@pytest.fixture(scope="module")
def starter():
    return charlstm.load("starter")


def test_generating_is_repeatable_and_streams_the_same(starter):
    text = starter.generate("TOBIN:", length=80, seed=5)
    assert len(text) == 80
    assert text == starter.generate("TOBIN:", length=80, seed=5)
    assert text == "".join(starter.stream("TOBIN:", length=80, seed=5))
    assert text != starter.generate("TOBIN:", length=80, seed=6)


def test_the_starter_has_learnt_english(starter):
    assert starter.score("The lamp was lit, and the ferryman said nothing.\n").bits_per_char < 3
    assert starter.score("xq zvk jjw qpz ftt wxk, bn vvq zzx qqj hgf dsa").bits_per_char > 5


def test_a_score_is_the_sum_of_its_steps(starter):
    text = "A boat, (and a tide) at 4."
    score = starter.score(text)
    state = None
    total = 0.0
    token = starter.tokenizer.encode("\n")[0]
    for following in starter.tokenizer.encode(text):
        logits, state = starter.engine.step(np.array([token]), state)
        row = logits[0].astype(float)
        total += math.log(np.exp(row).sum()) - row[following]
        token = following
    assert score.nats.sum() == pytest.approx(total, rel=1e-4)
    assert score.bits_per_char == pytest.approx(total / math.log(2) / len(text), rel=1e-4)
    assert b"".join(score.tokens).decode() == text
    assert score.perplexity == pytest.approx(math.exp(total / len(text)), rel=1e-4)


def test_scoring_makes_the_module_once_and_draws_nothing(monkeypatch):
    import torch

    from charlstm.engine.load import torch_model

    made = []
    monkeypatch.setattr("charlstm.api.model.torch_model", lambda *args: made.append(args) or torch_model(*args))
    model = charlstm.load("starter")
    generator = torch.random.get_rng_state()
    first = model.score("A boat.")
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert model.score("A boat.").nats.tolist() == first.nats.tolist()
    model.score_dynamic("A boat.", lr=0.01)
    assert len(made) == 1
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert model.score("A boat.").nats.tolist() == first.nats.tolist(), "a copy learned, not the model"


def test_progress_counts_every_token_once(starter):
    done = []
    starter.score("A boat.\n" * 100, progress=done.append)
    assert sum(done) == 800
    done.clear()
    starter.score_dynamic("A boat.\n" * 5, progress=done.append)
    assert done == [20, 20]


def test_one_stop_text_need_not_be_in_a_tuple(starter):
    whole = starter.generate("TOBIN:", length=200, seed=1)
    stop = whole[100:104]
    assert starter.generate("TOBIN:", length=200, seed=1, stop=stop) == whole[: whole.index(stop)]


def test_every_mistake_is_a_charlstm_error(starter, tmp_path):
    with pytest.raises(UnknownCharacter, match="ě"):
        starter.generate("cafě", length=3)
    assert starter.generate("cafě", length=3, unknown="map", seed=1)
    with pytest.raises(UsageError):
        starter.score("")
    with pytest.raises(UsageError, match="never ends"):
        starter.generate(length=0)
    for setting, value in (("length", 2.5), ("top_k", 1.5), ("lines", "2"), ("seed", 0.5)):
        with pytest.raises(UsageError, match="whole number"):
            starter.generate(**{setting: value})
    with pytest.raises(ConfigError, match="did you mean temperature"):
        starter.generate(tempreture=1)
    with pytest.raises(NotFoundError):
        charlstm.load("nothing", root=tmp_path)


def test_arguments_are_checked_at_the_call(starter):
    for call in (
        lambda: starter.stream(temperature=-1),
        lambda: starter.stream("cafě"),
        lambda: starter.stream(5),
        lambda: starter.stream(stop=5),
        lambda: starter.stream(unknown="perhaps"),
        lambda: starter.fill("a _", count=0),
        lambda: starter.fill(None),
        lambda: starter.score(b"bytes"),
        lambda: starter.score_dynamic("a", segment="3"),
        lambda: starter.score_dynamic("a", lr="fast"),
        lambda: starter.next("a", top=0),
        lambda: starter.read(7),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(ConfigError, match="did you mean temperature"):
        starter.stream(temprature=1)
    with pytest.raises(ConfigError, match="did you mean segment"):
        starter.score_dynamic("a", segmen=1)
    with pytest.raises(ConfigError, match="did you mean root"):
        charlstm.load("starter", roots="here")


def test_int8_is_asked_for_and_writes_nearly_the_same(starter):
    for precision in ("int4", None, 8, ["int8"]):
        with pytest.raises(UsageError, match="fp32 or int8"):
            charlstm.load("starter", precision=precision)
    pytest.importorskip("numkong")
    near = charlstm.load("starter", precision="int8")
    apart = np.abs(near.read("The tide was").logits - starter.read("The tide was").logits)
    assert 0 < apart.max() < 0.2
    assert len(near.generate(length=20, seed=1)) == 20


def test_reading_gives_the_distribution_and_the_named_states(starter):
    import torch

    text = "The ferry"
    reading = starter.read(text)
    module = starter.to_torch()
    with torch.no_grad():
        logits, state = module(torch.tensor(starter.tokenizer.encode(text).astype(int))[None], None)
    shares = torch.softmax(logits[0, -1].double(), -1).numpy()
    assert reading.logits == pytest.approx(logits[0, -1].numpy(), abs=1e-4)
    assert sum(share for _, share in reading.probabilities) == pytest.approx(1)
    for token, share in reading.probabilities:
        assert share == pytest.approx(shares[starter.tokenizer.encode(token)[0]], abs=1e-5)
    assert [share for _, share in reading.probabilities] == sorted(shares_of(reading), reverse=True)
    assert [layer.name for layer in reading.state] == [f"layers.{k}" for k in range(starter.architecture.num_layers)]
    for layer, (h, c) in zip(reading.state, state.layers[0], strict=True):
        assert layer.h == pytest.approx(h[0].numpy(), abs=1e-5)
        assert layer.c == pytest.approx(c[0].numpy(), abs=1e-5)
    assert starter.next(text, top=3) == list(reading.probabilities[:3])
    assert starter.next("") == starter.next("\n"), "an empty text is read as a prompt is"


def shares_of(reading):
    return [share for _, share in reading.probabilities]


def test_what_a_reading_holds_cannot_be_written_to(starter):
    reading = starter.read("The ")
    for array in (reading.logits, reading.state[0].h, reading.state[0].c):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_states_of_an_ensemble_and_of_a_cell_without_a_cell_state():
    ensemble = random_model(ensemble=2, num_layers=2, cell="gru").read("abc")
    assert [layer.name for layer in ensemble.state] == ["layers.0", "layers.1", "layers_2.0", "layers_2.1"]
    assert all(layer.c is None and layer.h.shape == (12,) for layer in ensemble.state)
    names = random_model(ensemble=2).checkpoint.tensors
    assert all(f"{layer.name}.weight_hh" in names for layer in random_model(ensemble=2).read("a").state)


def test_a_bidirectional_network_fills_and_has_no_next_token():
    model = random_model(bidirectional=True)
    assert model.fill("ab_d")[0].text[:2] == "ab"
    for call in (lambda: model.read("ab"), lambda: model.next("ab"), lambda: model.stream("ab")):
        with pytest.raises(IncompatibleError, match="bidirectional"):
            call()


def test_a_text_is_no_list_of_token_ids(starter):
    with pytest.raises(UsageError, match="token ids, not a text"):
        starter.engine.step("The ", None)
    with pytest.raises(UsageError, match="list of token ids"):
        starter.engine.step([[1, 2]], None)
    with pytest.raises(UsageError, match="list of token ids"):
        starter.engine.step(["T"], None)
    with pytest.raises(UsageError, match="token ids, not a text"):
        random_model(bidirectional=True).engine.logits("123")
    token = int(starter.tokenizer.encode("T")[0])
    logits, _ = starter.engine.step([token, token], None)
    assert np.array_equal(logits[0], logits[1])


def test_what_is_saved_loads_and_nothing_is_overwritten_unasked(starter, tmp_path):
    path = starter.save(tmp_path / "new" / "mine.safetensors")
    assert path == tmp_path / "new" / "mine.safetensors"
    again = charlstm.load(path)
    assert again.generate("TOBIN:", length=40, seed=1) == starter.generate("TOBIN:", length=40, seed=1)
    assert (again.provenance, again.architecture) == (starter.provenance, starter.architecture)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        random_model().save(path)
    assert path.read_bytes() == before
    random_model().save(path, force=True)
    assert charlstm.load(path).architecture.hidden_size == 12
    folder = starter.save(tmp_path / "folder").parent
    assert charlstm.load(folder).architecture == starter.architecture
    with pytest.raises(UsageError, match="exists already"):
        starter.save(folder)


def test_the_torch_module_is_a_copy(starter):
    import torch

    before = starter.next("The ")
    score = starter.score("The tide").nats_per_token
    module = starter.to_torch("cpu")
    assert not module.training
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert starter.next("The ") == before
    assert starter.score("The tide").nats_per_token == score
    with pytest.raises(UsageError):
        starter.to_torch("abacus")


def test_reprs_are_one_short_line(starter):
    reading = starter.read("The tide was out, and the ferryman said ")
    shown = [starter, starter.checkpoint, reading, *reading.state, starter.architecture, starter.score("A boat")]
    for each in shown:
        assert len(repr(each)) < 300
        assert "\n" not in repr(each)
    assert repr(reading).startswith("<charlstm.Reading of '…")
    assert repr(reading.state[0]) == f"<charlstm.HiddenState layers.0: h, c of {starter.architecture.hidden_size}>"


def test_a_trace_has_the_losses_of_the_score(starter):
    text = "The tide was out.\n"
    trace = starter.trace(text)
    after_newline = starter.trace("\n" + text).nats  # where a score begins
    np.testing.assert_allclose(after_newline, starter.score(text).nats, atol=1e-5)
    assert trace.layers["layers"][1].parts["c"].shape == (18, 512)
    with pytest.raises(UnknownCharacter):
        starter.trace("☃")
    with pytest.raises(UsageError, match="empty"):
        starter.trace("")
