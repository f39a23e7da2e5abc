"""The lab's tasks and how they are marked, against lines read as text and against machines that recall and count."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from charlstm.corpora import synthetic
from charlstm.lab import bakeoff
from charlstm.lab import counting as count
from charlstm.lab import long_range as gap
from charlstm.lab.side_by_side import Rules
from charlstm.lab.tasks import NOTHING, Count, Recall
from charlstm.lab.texts import Text
from charlstm.report import plots as draw
from tests.command_line import Cli


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    return Cli(tmp_path, monkeypatch, capsys)


class Machine(nn.Module):
    """A network's outside around a function from the ids read so far to the id that follows."""

    def __init__(self, say, vocab_size):
        super().__init__()
        self.say, self.vocab_size = say, vocab_size

    def forward(self, inputs, state=None):
        said = [[self.say(row[: t + 1]) for t in range(len(row))] for row in inputs.tolist()]
        return nn.functional.one_hot(torch.tensor(said), self.vocab_size).float(), state


# ---- recall -------------------------------------------------------------------------------------------------------


def text_of(task, row):
    return "".join(("abcdefghijkl"[: task.letters] + "!?")[token] for token in row)


@pytest.mark.parametrize("length", [0, 1, 17])
def test_a_line_of_recall_holds_the_fact_the_gap_and_the_answer(length):
    task = Recall(letters=5, lead=3)
    leads = set()
    for seed in range(40):
        for row in task.lines(np.random.default_rng(seed), length, 4):
            found = re.fullmatch(r"([a-e]*)!([a-e])([a-e]*)\?([a-e])", text_of(task, row))
            assert found is not None
            assert len(found[3]) == length
            assert found[2] == found[4]
            leads.add(len(found[1]))
    assert leads == {0, 1, 2, 3}


def test_gaps_learned_are_as_frequent_in_every_octave_and_never_longer_than_said():
    task = Recall(longest=63, lead=0)
    windows = task.windows(1)
    gaps = [next(windows).inputs.shape[1] - 3 for _ in range(3000)]
    assert (min(gaps), max(gaps)) == (1, 63)
    octaves = np.bincount(np.log2(gaps).astype(int), minlength=6)
    assert np.all(np.abs(octaves - 500) < 100)


def test_who_knows_the_fact_has_all_right_and_who_guesses_an_eighth():
    task = Recall()
    knows = Machine(lambda read: read[read.index(8) + 1] if 8 in read[:-1] else 0, task.vocab_size)
    guesses = Machine(lambda read: 3, task.vocab_size)
    assert gap.recall(knows, task, 20) == 1.0
    assert gap.recall(guesses, task, 20) == pytest.approx(1 / 8, abs=0.07)


def test_recall_ends_before_the_first_gap_that_fails():
    shares = [1.0, 0.95, 0.9, 0.89, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert gap.limit(shares) == 4
    assert gap.limit([0.5] * 10) == 0
    assert gap.limit([1.0] * 10) == 512


# ---- counting -----------------------------------------------------------------------------------------------------


def test_counting_learns_all_of_every_line_and_nothing_behind_it():
    task = Count(longest=4, batch_size=50)
    window = next(task.windows(3))
    seen = set()
    for inputs, targets in zip(window.inputs.tolist(), window.targets.tolist(), strict=True):
        learned = "".join("\nab"[token] for token in targets if token != NOTHING)
        n = learned.count("a")
        assert learned == "a" * n + "b" * n + "\n"
        assert inputs[: 2 * n + 1] == [0, *targets[: 2 * n]]
        assert all(token == NOTHING for token in targets[2 * n + 1 :])
        seen.add(n)
    assert seen == {1, 2, 3, 4}
    assert bool(window.reset_mask.all())


def counter(most):
    """Counts, but no further than ``most``."""
    return Machine(lambda read: 0 if read.count(2) >= min(read.count(1), most) else 2, 3)


def test_what_is_written_is_what_a_counter_would_write():
    task = Count()
    assert count.written(counter(1000), task, 12) == list(range(1, 13))
    assert count.written(counter(5), task, 8) == [1, 2, 3, 4, 5, 5, 5, 5]
    assert count.written(Machine(lambda read: 2, 3), task, 5) == [55] * 5, "it never ends"
    assert count.written(Machine(lambda read: 1, 3), task, 3) == [0, 0, 0], "an a behind b is not of the language"


def test_counting_ends_before_the_first_mistake():
    assert count.limit([1, 2, 3, 5, 5]) == 3
    assert count.limit([2]) == 0
    assert count.limit([1, 2]) == 2


# ---- the commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gap", "count"])
def test_from_the_command_line(cli, name):
    result = cli(
        "lab", name, "--cells", "rnn,lstm", "--seeds", "2", "--max-time", "1s", "--parameters", "200", "--json"
    )
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert [row[0] for row in told["rows"]] == ["rnn", "lstm"]
    assert all(len(row) == len(told["columns"]) for row in told["rows"])
    assert told["settings"]["seconds_each"] == 0.25
    assert any(re.match(r"(Held|Did not hold|Not decided): the lstm", sentence) for sentence in told["findings"])
    names = {path.name for path in cli.folder.joinpath("lab").iterdir()}
    assert names == {f"{name}.{ending}" for ending in ("csv", "json", "html", "png")}


def test_bake_off_tells_losses_that_fall_and_never_below_the_true_entropy(cli):
    source = "synthetic:markov,order=1,alphabet=3,size=30000"
    entropy = synthetic.parse(source)[1].entropy_rate()
    options = "--cells", "rnn,gru", "--seeds", "1", "--max-time", "3s", "--parameters", "600,300"
    result = cli("lab", "bake-off", source, *options, "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    time, read, weights = told["charts"]
    for curve in time["curves"]:
        assert len(curve["x"]) == 8
        assert curve["mean"][-1] < curve["mean"][0]
        assert min(curve["mean"]) > entropy - 0.03, "3,000 characters may be a little easier than the mean"
    assert read["curves"][0]["x"] == sorted(read["curves"][0]["x"])
    assert [len(curve["x"]) for curve in weights["curves"]] == [2, 2]
    for _, _, count_of_weights, _, loss, bits in told["rows"]:
        assert abs(int(count_of_weights) - 450) < 250
        assert float(bits) == pytest.approx(float(loss) / math.log(2), abs=2e-3)


@pytest.mark.parametrize("turns", [1, 3, 5])
def test_a_bake_off_stopped_in_its_first_turns_tells_of_those_who_had_one(turns):
    ids = np.arange(4000) % 3
    text = Text("abc", 3, ids[:3000].astype(np.uint8), ids[3000:].astype(np.uint8))
    asked = iter(range(100))
    rules = Rules(("rnn", "gru"), seeds=1, seconds=60.0)
    *_, report = bakeoff.run(text, rules, [100, 200, 300], lambda: next(asked) >= turns - 1)
    assert report.partial
    assert [row[0] for row in report.rows] == ["rnn", "gru", "rnn", "gru", "rnn"][:turns]
    assert len(report.findings) == (1 if turns >= 4 else 0)
    assert draw.png(report).startswith(b"\x89PNG")


@pytest.mark.parametrize(("options", "told"), [(["--parameters", "many"], "many"), (["--cells", ""], "--cells")])
def test_mistakes_of_the_bake_off_are_one_line(cli, options, told):
    result = cli("lab", "bake-off", "english", *options)
    assert result.code == 2
    assert told in result.err
    assert result.err.count("\n") == 1


def test_a_text_too_short_to_compare_on_is_refused(cli):
    cli.folder.joinpath("short.txt").write_text("too short\n")
    result = cli("lab", "bake-off", "short.txt")
    assert result.code == 2
    assert "too few" in result.err
