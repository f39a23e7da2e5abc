"""``charlstm lab``: what its commands print, write and refuse, how they stop, and how their tables fit a terminal."""

from __future__ import annotations

import io
import json
import math
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import typer

from charlstm.cli.commands import lab as commands
from charlstm.cli.views.lab import present
from charlstm.cli.views.progress import view
from charlstm.cli.views.terminal import visible
from charlstm.corpora import synthetic
from charlstm.events import Notice
from charlstm.lab.progress import Progress
from charlstm.report import plots
from charlstm.report.experiment import Result
from charlstm.tokenizers import ByteTokenizer
from tests.command_line import Cli, start
from tests.fake_checkpoints import make_checkpoint

HOSTILE = "[red]n\x1b]0;t\x07\u202e\x9b5m"
"""A name with rich markup, a terminal escape, a bidirectional override and a C1 control."""


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    return Cli(tmp_path, monkeypatch, capsys)


# ---- the commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gap", "count"])
def test_gap_and_count(cli, name):
    few = ("--cells", "rnn,lstm", "--seeds", "2", "--max-time", "1s", "--parameters", "200")
    result = cli("lab", name, *few, "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert [row[0] for row in printed["rows"]] == ["rnn", "lstm"]
    assert all(len(row) == len(printed["columns"]) for row in printed["rows"])
    assert printed["settings"]["seconds_each"] == 0.25
    assert printed["settings"]["threads"] == 1
    assert re.match(r"Inconclusive: the lstm .*too short to tell", printed["findings"][-2])
    assert "needs 8 s" in printed["findings"][-1]
    names = {path.name for path in cli.folder.joinpath("lab").iterdir()}
    assert names == {f"{name}.{ending}" for ending in ("csv", "json", "html", "png")}


def test_the_losses_of_a_bake_off_fall_but_never_below_the_true_entropy(cli):
    source = "synthetic:markov,order=1,alphabet=3,size=30000"
    entropy = synthetic.parse(source)[1].entropy_rate()
    options = "--cells", "rnn,gru", "--seeds", "1", "--max-time", "3s", "--parameters", "600,300"
    result = cli("lab", "bake-off", source, *options, "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    by_time, by_characters, by_parameters = printed["charts"]
    for curve in by_time["curves"]:
        assert len(curve["x"]) == 8
        assert curve["mean"][-1] < curve["mean"][0]
        assert min(curve["mean"]) > entropy - 0.03, "3,000 characters may be a little easier than the mean"
    assert by_characters["curves"][0]["x"] == sorted(by_characters["curves"][0]["x"])
    assert [len(curve["x"]) for curve in by_parameters["curves"]] == [2, 2]
    for _, _, parameters, _, loss, bits in printed["rows"]:
        assert abs(int(parameters) - 450) < 250
        assert float(bits) == pytest.approx(float(loss) / math.log(2), abs=2e-3)


def test_gradient_compares_the_cells(cli):
    text, few = ("--text", "synthetic:dyck,size=5000"), ("--max-time", "0.4s", "--parameters", "900")
    result = cli("lab", "gradient", "--cells", "rnn,gru", "--seeds", "2", *text, *few)
    assert result.code == 0, result.err
    assert re.search(r"^rnn +\d+ +[89]\d\d", result.out, re.M)
    assert result.out.count("gru") >= 3
    names = {path.name for path in cli.folder.joinpath("lab").iterdir()}
    assert names == {"gradient.csv", "gradient.json", "gradient.html", "gradient.png"}
    report = json.loads(cli.folder.joinpath("lab", "gradient.json").read_text())
    untrained = {curve["label"]: curve["mean"] for curve in report["charts"][0]["curves"]}
    assert untrained["rnn"][0] == 1.0
    assert untrained["rnn"][50] < untrained["gru"][50] < 1.0


def test_gradient_of_a_checkpoint_as_json(cli):
    make_checkpoint(cli.folder / "m" / "model.safetensors")
    result = cli("lab", "gradient", "m/model.safetensors", "--seeds", "1", "--json", "--out", "here")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert printed == json.loads(cli.folder.joinpath("here", "gradient.json").read_text())
    assert [row[:2] for row in printed["rows"]] == [["fake", "lstm"], ["untrained", "lstm"]]


def test_the_distances_of_a_byte_model_are_bytes(cli):
    make_checkpoint(cli.folder / "m" / "model.safetensors", ByteTokenizer())
    result = cli("lab", "gradient", "m/model.safetensors", "--seeds", "1", "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert "the byte read k bytes before" in printed["question"]
    assert printed["charts"][0]["x_label"] == "distance k, bytes"
    assert "character" not in str(printed["findings"])


def test_claims(cli):
    result = cli("lab", "claims", "--only", "10,3", "--seeds", "1", "--max-time", "1s", "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert printed["columns"] == ["claim", "tested as", "figures", "verdict"]
    assert [row[0].split()[0] for row in printed["rows"]] == ["3a", "3b", "10a", "10b", "10c"]
    assert printed["settings"]["claims"] == [3, 10]
    assert printed["settings"]["threads"] == 1
    assert printed["settings"]["seconds_each"] == pytest.approx(1 / (2 + 2 * 0.2))
    assert printed["charts"][0]["notes"] == [row[3].split(":")[0] for row in printed["rows"]]
    names = {path.name for path in cli.folder.joinpath("lab").iterdir()}
    assert names == {f"claims.{ending}" for ending in ("csv", "json", "html", "png")}


@pytest.mark.parametrize(
    ("options", "seeds", "seconds"),
    [
        ((), 5, 2400),
        (("--quick",), 2, 270),
        (("--quick", "--seeds", "3"), 3, 270),
        (("--quick", "--max-time", "1m"), 2, 60),
    ],
)
def test_quick_is_two_seeds_and_four_and_a_half_minutes_unless_others_are_given(
    cli, monkeypatch, options, seeds, seconds
):
    called = []
    monkeypatch.setattr("charlstm.lab.claims.run", lambda *arguments: called.append(arguments) or iter([GAP]))
    assert cli("lab", "claims", *options).code == 0
    assert called[0][1:4] == (seeds, seconds, [])


def test_the_number_of_threads_is_restored(cli):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert cli("lab", "count", "--max-time", "0.1s", "--parameters", "100").code == 0
        assert torch.get_num_threads() == 3
        assert cli("lab", "count", "--max-time", "0.1s", "--out", "/dev/null/x").code == 6
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_without_matplotlib_everything_but_the_picture_is_written(cli, monkeypatch):
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    result = cli("lab", "gradient", "--cells", "rnn", "--seeds", "1", "--max-time", "0.1s", "--parameters", "300")
    assert result.code == 0, result.err
    assert "pip install matplotlib" in result.err
    assert {path.suffix for path in cli.folder.joinpath("lab").iterdir()} == {".csv", ".json", ".html"}


# ---- Ctrl-C -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_during_training_keeps_partial_results(tmp_path):
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


@pytest.mark.slow
def test_ctrl_c_leaves_the_claims_that_have_been_measured(tmp_path):
    lab = start("lab", "claims", "--only", "2,6,9", "--seeds", "1", "--max-time", "5m", folder=tmp_path)
    for line in lab.stderr:
        if "count: " in line and "LSTM" in line:
            break
    lab.send_signal(signal.SIGINT)
    out, err = lab.communicate(timeout=60)
    assert lab.returncode == 130, err
    assert "partial" in err
    assert re.search("^6a A GRU cannot count", out, re.M)
    assert "Not measured, as it was stopped before: 2, 9a, 9b." in out
    assert json.loads((tmp_path / "lab" / "claims.json").read_text())["partial"] is True


@pytest.mark.slow
def test_ctrl_c_while_a_checkpoint_is_measured_stops_at_once(tmp_path):
    lab = start("lab", "gradient", "starter", "--seeds", "1000", folder=tmp_path)
    progress = lab.stderr.readline()
    assert re.match(r" +\d+% measuring (starter|untrained network \d+ of 1000)", progress)
    lab.send_signal(signal.SIGINT)
    out, err = lab.communicate(timeout=20)  # all of it would take hours
    assert lab.returncode == 130, err
    assert "Traceback" not in err
    assert out == ""
    assert not list((tmp_path / "lab").iterdir())


# ---- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [["--cells", "rnn"], ["--text", "my.txt"]])
def test_options_of_a_comparison_are_refused_with_a_checkpoint(cli, option):
    result = cli("lab", "gradient", "starter", *option)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert option[0] in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gradient", "--cells", "lstm,elman"], 2, "no cell 'elman'"),
        (["gradient", "--seeds", "0"], 2, "seeds"),
        (["gradient", "--max-time", "soon"], 2, "length of time"),
        (["gradient", "--text", "nowhere.txt"], 4, "nowhere.txt"),
        (["gradient", "no-such-run"], 4, "no-such-run"),
        (["gradient", "--out", "a-file"], 6, "a-file"),
        (["bake-off", "english", "--parameters", "many"], 2, "many"),
        (["bake-off", "english", "--cells", ""], 2, "cells"),
        (["bake-off", "english", "--parameters", "0"], 2, "at least 1 parameter"),
        (["claims", "--only", "0"], 2, "--only 0: there is no such claim"),
        (["claims", "--only", "5,99"], 2, "--only 99: there is no such claim"),
        (["claims", "--only", "lstm"], 2, "'lstm' is not a list"),
        (["claims", "--seeds", "0"], 2, "seeds"),
        (["claims", "--max-time", "soon"], 2, "length of time"),
        (["claims", "--text", "nowhere.txt"], 4, "nowhere.txt"),
        (["claims", "--text", "short.txt"], 2, "short: 10 characters are too few"),
        (["bake-off", "short.txt"], 2, "short: 10 characters are too few"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(cli, arguments, code, message):
    cli.folder.joinpath("a-file").write_text("")
    cli.folder.joinpath("short.txt").write_text("too short\n")
    result = cli("lab", *arguments)
    assert result.code == code
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not cli.folder.joinpath("lab").exists()


# ---- what is shown ------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """Presents a report on a terminal of some columns and returns what it printed."""

    def show(report, columns, *, color=False):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        if not color:
            monkeypatch.setenv("NO_COLOR", "1")
        stdout, stderr = Terminal(), Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            patch.setattr(plots, "find_spec", lambda name: None)
            present(iter([Progress(0.5, report.title), report]), tmp_path, json_out=False)
        return stdout.getvalue(), stderr.getvalue()

    return show


GAP = Result(
    name="gap",
    title="Recall across a growing gap, by cell",
    question="",
    columns=("cell", "hidden", "parameters", "recalls up to", *(f"gap {2**k}" for k in range(10))),
    rows=tuple(
        (cell, "61", "4,970", "171+ (0 to 512+)", *(f"{90 - k}%" for k in range(10)))
        for cell in ("rnn", "lstm", "gru", "peephole")
    ),
    charts=(),
    findings=("Supported: the lstm recalls across longer gaps than the rnn.",),
)


CLAIMS = Result(
    name="claims",
    title="What tutorials say, tested",
    question="",
    columns=("claim", "tested as", "figures", "verdict"),
    rows=tuple(
        (
            f"{number} A claim that is as long as a sentence of a tutorial", f"statement {number} of quite some length",
            f"LSTM {number}.5 (1 to 2), RNN {number}.7 characters", f"Inconclusive: reason {number} of them all",
        )
        for number in range(5)
    ),
    charts=(),
    findings=("Inconclusive: 0, 1, 2, 3, 4.",),
)  # fmt: skip


def without_styles(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_every_value_of_a_wide_table_is_readable(terminal, columns, color):
    out, _ = terminal(GAP, columns, color=color)
    plain = without_styles(out)
    assert max(map(len, plain.splitlines())) <= columns
    assert "…" not in plain
    for value in {value for row in [GAP.columns[1:], *GAP.rows] for value in row}:
        count = sum(row.count(value) for row in GAP.rows)
        assert plain.count(value) >= max(count, 1)


@pytest.mark.parametrize("columns", [40, 80, 100])
def test_a_table_of_sentences_is_folded_between_words_with_each_value_beside_its_name(terminal, columns):
    out = without_styles(terminal(CLAIMS, columns)[0])
    assert max(map(len, out.splitlines())) <= columns
    words = " ".join(out.split())
    for row in CLAIMS.rows:
        named = [f"{name} {value}" for name, value in zip(CLAIMS.columns[1:], row[1:], strict=True)]
        assert " ".join([row[0], *named]) in words
    starts = {len(line) - len(line.lstrip()) for line in out.splitlines() if line.startswith("   ")}
    assert len(starts) <= 1, "what is folded stands below the beginning of the value"


def test_off_a_terminal_every_network_is_one_line(capsys, tmp_path):
    present(iter([GAP]), tmp_path, json_out=False)
    out = capsys.readouterr().out
    assert re.search(r"^gru +61 +4,970 +171\+ \(0 to 512\+\) +90%.* 81%$", out, re.M)


def hostile_report():
    return Result(HOSTILE, HOSTILE, HOSTILE, (HOSTILE, "n"), ((HOSTILE, HOSTILE),), (), (HOSTILE,))


@pytest.mark.parametrize("columns", [40, 200])
def test_a_hostile_name_is_shown_and_not_obeyed(terminal, columns, monkeypatch):
    report = hostile_report()
    out, err = terminal(Result(**{**vars(report), "name": "x"}), columns, color=True)
    for text in (without_styles(out), err):
        assert not set(text) & set("\x1b\x07\u202e\x9b")
    assert without_styles(out).count("[red]n") >= 4, "the title, two values and the finding"


def test_json_on_stdout_is_ascii(capsys, tmp_path):
    report = Result(**{**vars(hostile_report()), "name": "x"})
    present(iter([report]), tmp_path, json_out=True)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out)["title"] == HOSTILE


def test_a_checkpoint_with_a_hostile_name_is_measured_safely(cli):
    checkpoint = make_checkpoint(cli.folder / "m" / "model.safetensors")
    from charlstm.checkpoint.format import write

    checkpoint = replace(checkpoint, run=checkpoint.run.replace(name=HOSTILE))
    write(cli.folder / "m" / "model.safetensors", checkpoint)
    result = cli("lab", "gradient", "m/model.safetensors", "--seeds", "1")
    assert result.code == 0, result.err
    html = cli.folder.joinpath("lab", "gradient.html").read_text("utf-8")
    for text in (result.out, result.err, html):
        assert not set(text) & set("\x1b\x07\u202e\x9b")
    assert visible(HOSTILE) in result.out
    assert cli.folder.joinpath("lab", "gradient.png").exists()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_notice_of_training_cannot_command_the_terminal(monkeypatch, is_terminal):
    training = SimpleNamespace(
        tokenizer=SimpleNamespace(kind="char"), run=SimpleNamespace(train=SimpleNamespace(max_time=None))
    )
    stderr = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with view(training, quiet=False, json_lines=False) as shown:
        shown.show(Notice(0, f"a notice on {HOSTILE}"))
    printed = re.sub(r"\x1b\[(\d+A|[JK])", "", stderr.getvalue())  # the live view's own
    assert f"a notice on {visible(HOSTILE)}" in printed
    assert not set(printed) & set("\x1b\x07\u202e\x9b")


# ---- help ---------------------------------------------------------------------------------------------------------


def test_every_example_can_be_typed():
    for command in commands.app.registered_commands:
        examples = re.findall(r"^  charlstm lab (.*)$", command.epilog, re.M)
        assert len(examples) >= 3
        group = typer.main.get_group(commands.app)
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
