"""``import charlstm`` as its page says: load, generate, score, train; nothing heavy until it is needed."""

import math
import subprocess
import sys

import numpy as np
import pytest

import charlstm
from charlstm.errors import ConfigError, NotFoundError, UnknownCharacter, UsageError
from charlstm.events import Started, Stopped


@pytest.fixture(scope="module")
def starter():
    return charlstm.load("starter")


def test_the_public_names_are_these():
    assert sorted(charlstm.__all__) == ["CharlstmError", "Filling", "Model", "Score", "__version__", "load", "train"]
    for name in charlstm.__all__:
        assert getattr(charlstm, name) is not None
    with pytest.raises(AttributeError):
        charlstm.nothing  # noqa: B018


def test_importing_costs_nothing():
    script = "import sys, charlstm; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


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


def test_mistakes_are_ours_to_tell(starter, tmp_path):
    with pytest.raises(UnknownCharacter, match="é"):
        starter.generate("café", length=3)
    assert starter.generate("café", length=3, unknown="map", seed=1)
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
    with pytest.raises(ConfigError, match="hiden"):
        list(charlstm.train(hiden_size=3))


def test_training_is_an_iterator_of_events(tmp_path):
    (tmp_path / "my.txt").write_text("one two three four five six seven\n" * 60)
    told = list(
        charlstm.train(
            tmp_path / "my.txt",
            root=tmp_path / "runs",
            cache=tmp_path / "cache",
            name="mine",
            max_steps=4,
            hidden_size=8,
            preview=0,
        )
    )
    assert isinstance(told[0], Started)
    assert isinstance(told[-1], Stopped)
    model = charlstm.load("mine", root=tmp_path / "runs")
    assert repr(model) == "<charlstm.Model mine: 1×8 lstm>"
    assert len(model.generate(length=12, seed=1)) == 12
