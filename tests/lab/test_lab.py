"""The lab: fair sizes and seconds, sentences that say no more than was measured, and what the command leaves behind."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer

from charlstm.cli.commands import lab as lab_commands
from charlstm.config import TrainConfig
from charlstm.errors import CharlstmError
from charlstm.lab import side_by_side as contest
from charlstm.lab.gradient import listens
from charlstm.lab.side_by_side import CELL_NAMES, Contestant, Rules, side_by_side, sized
from charlstm.nn.model import CharLM
from charlstm.report import page
from charlstm.report import plots as draw
from charlstm.report.data import Chart, Report, curve
from charlstm.report.findings import judge, spread
from charlstm.training.batches import Batch
from tests.command_line import Cli, start

TRAIN = TrainConfig(optimizer="adamw", lr=1e-2)


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    return Cli(tmp_path, monkeypatch, capsys)


def windows(seed=1):
    """Windows that say abab… without end."""
    ids = torch.arange(9).remainder(2).expand(2, 9)
    while True:
        yield Batch(ids[:, :-1], ids[:, 1:], torch.ones(2, dtype=torch.bool), 0, 0, 0)


# ---- fair ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [1, 900, 20_000])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_hidden_size_gives_the_nearest_count_of_weights(cell, parameters):
    config = sized(cell, parameters, 11, 5)
    counts = [
        CharLM(config.model_copy(update={"hidden_size": hidden})).parameter_count()
        for hidden in range(max(1, config.hidden_size - 3), config.hidden_size + 4)
    ]
    own = CharLM(config).parameter_count()
    assert abs(own - parameters) == min(abs(count - parameters) for count in counts)


def test_all_get_the_same_seconds_in_turns(monkeypatch):
    ticks = itertools.count()  # a clock on which every step takes 5 ms: how busy this machine is must not matter
    monkeypatch.setattr(contest, "time", SimpleNamespace(perf_counter=lambda: 0.005 * next(ticks)))
    ones = [Contestant(sized(cell, 300, 2, 2), 1, TRAIN, windows(), 0.7) for cell in CELL_NAMES]
    stages = [(event.share, [one.seconds for one in ones]) for event in side_by_side(ones)]
    shares = [share for share, _ in stages]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for _, seconds in stages:
        assert max(seconds) - min(seconds) < 0.31, "nobody is more than a turn ahead"
    assert all(0.7 <= one.seconds < 0.71 for one in ones)
    assert all(one.loss < 0.3 for one in ones), "abab… is learnt"
    assert all(one.characters == one.steps * 16 for one in ones)


def test_a_stop_ends_it_after_one_turn():
    ones = [Contestant(sized(cell, 300, 2, 2), 1, TRAIN, windows(), 60.0) for cell in ("rnn", "gru")]
    assert len(list(side_by_side(ones, lambda: True))) == 1


def test_the_same_seed_begins_with_the_same_weights_and_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    first, same, other = (Contestant(sized("gru", 300, 2, 2), seed, TRAIN, windows(), 1.0).model for seed in (1, 1, 2))
    assert torch.equal(first.head.weight, same.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "given", [{"cells": ("lstm", "elman")}, {"cells": ("rnn", "rnn")}, {"cells": ()}, {"seeds": 0}]
)
def test_rules_that_cannot_be_are_refused_in_one_line(given):
    with pytest.raises(CharlstmError) as fault:
        Rules(**given)
    assert "\n" not in str(fault.value)


# ---- no more than was measured ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("above", "below", "verdict", "basis"),
    [
        ([5, 6, 7], [2, 3, 4], "Held", "in all 3 seeds"),
        ([5, 6, 7], [2, 3, 5], "Not decided", "the seeds overlap"),
        ([1, 2, 3], [4, 5, 6], "Did not hold", "in all 3 seeds"),
        ([5], [2], "Held", "may be chance"),
        ([5], [5], "Not decided", "no difference"),
        ([5, 5], [5, 5], "Not decided", "no difference"),
    ],
)
def test_a_claim_holds_only_if_every_seed_of_one_beats_every_of_the_other(above, below, verdict, basis):
    sentence = judge("a is more than b", ("a", above), ("b", below), form="{:.0f}")
    assert sentence.startswith(f"{verdict}: a is more than b; a {np.mean(above):.0f}")
    assert basis in sentence


def test_the_spread_is_told_and_what_reached_the_end_of_what_was_measured():
    assert spread([8, 12, 16], "{:.0f}") == "12 (8 to 16)"
    assert spread([8, 8], "{:.0f}") == "8"
    assert spread([8, 100], "{:.0f}", 100) == "54+ (8 to 100+)"
    assert spread([100, 100], "{:.0f}", 100) == "100+"


def test_a_network_listens_until_the_gradient_first_falls_below_a_hundredth():
    assert listens(np.array([1.0, 0.5, 0.02, 0.005, 0.5])) == 2
    assert listens(np.array([4.0, 0.05, 0.04])) == 2
    assert listens(np.zeros(4)) == 3


# ---- what is left behind ------------------------------------------------------------------------------------------


def report(**changes):
    drawn = Chart(
        "a & b", "x", "y", (curve("lstm", [1, 2, 4], [[1, 2, 3], [3, 2, 1]], 1),), log_x=True, mark=2, level=2
    )
    values = {"name": "x", "title": "<T>", "question": "Q?", "columns": ("cell", "n"), "rows": (("lstm", "1,000"),)}
    return Report(**{**values, "charts": (drawn, drawn), "findings": ("a < b.",), "settings": {"seeds": 2}, **changes})


def test_a_curve_has_mean_and_spread_of_the_seeds():
    each = curve("lstm", [1, 2], [[1, 5], [3, 1]], 1)
    assert (each.mean, each.low, each.high) == ((2, 3), (1, 1), (3, 5))


def test_the_page_needs_nothing_else_and_escapes_what_it_shows():
    text = page.page(report(partial=True), b"\x89PNG")
    assert "&lt;T&gt;" in text
    assert "a &lt; b." in text
    assert "<T>" not in text
    assert "data:image/png;base64,iVBORw==" in text
    assert "Stopped early" in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "<img" not in page.page(report(), None)


def test_the_picture_is_a_png_and_the_table_a_spreadsheets():
    assert draw.png(report()).startswith(b"\x89PNG\r\n")
    assert report().to_csv() == 'cell,n\nlstm,"1,000"\n'


def test_gradient_of_fresh_cells_from_the_command_line(cli):
    text, few = ("--text", "synthetic:dyck,size=5000"), ("--max-time", "0.4s", "--parameters", "900")
    result = cli("lab", "gradient", "--cells", "rnn,gru", "--seeds", "2", *text, *few)
    assert result.code == 0, result.err
    assert re.search(r"^rnn +\d+ +[89]\d\d", result.out, re.M)
    assert result.out.count("gru") >= 3
    names = {path.name for path in cli.folder.joinpath("lab").iterdir()}
    assert names == {"gradient.csv", "gradient.json", "gradient.html", "gradient.png"}
    kept = json.loads(cli.folder.joinpath("lab", "gradient.json").read_text())
    first = {each["label"]: each for each in kept["charts"][0]["curves"]}
    assert first["rnn"]["mean"][0] == 1.0
    assert first["rnn"]["mean"][50] < first["gru"]["mean"][50] < 1.0


def test_gradient_of_a_checkpoint_as_json(cli):
    result = cli("lab", "gradient", "starter", "--seeds", "1", "--json", "--out", "here")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert told == json.loads(cli.folder.joinpath("here", "gradient.json").read_text())
    assert told["rows"][0][:2] == ["starter", "lstm"]


@pytest.mark.parametrize("option", [["--cells", "rnn"], ["--text", "my.txt"]])
def test_what_only_fresh_networks_take_is_refused_beside_a_checkpoint(cli, option):
    result = cli("lab", "gradient", "starter", *option)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert option[0] in result.err


def test_without_matplotlib_all_but_the_picture_is_there(cli, monkeypatch):
    monkeypatch.setattr(draw, "find_spec", lambda name: None)
    result = cli("lab", "gradient", "--cells", "rnn", "--seeds", "1", "--max-time", "0.1s", "--parameters", "300")
    assert result.code == 0, result.err
    assert "pip install matplotlib" in result.err
    assert {path.suffix for path in cli.folder.joinpath("lab").iterdir()} == {".csv", ".json", ".html"}


def test_ctrl_c_keeps_what_is_measured_and_says_that_it_is_partial(tmp_path):
    lab = start("lab", "gradient", "--cells", "rnn,gru", "--parameters", "500", "--max-time", "5m", folder=tmp_path)
    for line in lab.stderr:
        if "rnn" in line:
            break
    lab.send_signal(signal.SIGINT)
    out, err = lab.communicate(timeout=60)
    assert lab.returncode == 130, err
    assert "partial" in err
    assert re.search(r"^gru +\d+", out, re.M)
    assert json.loads((tmp_path / "lab" / "gradient.json").read_text())["partial"] is True


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--cells", "lstm,elman"], 2, "no cell 'elman'"),
        (["--seeds", "0"], 2, "seeds"),
        (["--max-time", "soon"], 2, "length of time"),
        (["--text", "nowhere.txt"], 4, "nowhere.txt"),
        (["no-such-run"], 4, "no-such-run"),
        (["--out", "a-file"], 6, "a-file"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(cli, options, code, told):
    cli.folder.joinpath("a-file").write_text("")
    result = cli("lab", "gradient", *options)
    assert result.code == code
    assert told in result.err
    assert result.err.count("\n") == 1
    assert not cli.folder.joinpath("lab").exists()


def test_every_example_can_be_typed():
    for command in lab_commands.app.registered_commands:
        examples = re.findall(r"^  charlstm lab (.*)$", command.epilog, re.M)
        assert len(examples) >= 3
        group = typer.main.get_group(lab_commands.app)
        for example in examples:
            name, *words = shlex.split(example)
            assert name == (command.name or command.callback.__name__)
            group.commands[name].make_context(name, words)


def test_its_help_loads_no_torch():
    script = (
        "import sys\nfrom charlstm.cli.app import main\nsys.argv = ['charlstm', 'lab', 'gradient', '--help']\n"
        "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)
