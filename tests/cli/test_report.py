"""`charlstm report`, and the page that training leaves: it is there after every end, and never in the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from charlstm.checkpoint.run import METRICS, REPORT, RESUME
from charlstm.cli import reporting
from charlstm.nn.device import describe
from charlstm.training.plan import probe
from tests.command_line import Cli

TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 60
SMALL = ["--max-steps", "20", "--hidden-size", "8", "--num-layers", "1", "--seed", "3", "--device", "cpu",
         "--init-from", "none", "--preview", "20"]  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    machine = probe.Machine("cpu", "fp32", 5e10, 8 << 30, "made up")
    monkeypatch.setattr(probe, "probe", lambda *_: machine)
    (tmp_path / "my.txt").write_text(TEXT)
    return Cli(tmp_path, monkeypatch, capsys)


def page_of(cli: Cli, name: str = "my-1") -> str:
    return (cli.folder / "checkpoints" / name / REPORT).read_text("utf-8")


def test_training_leaves_a_page_and_says_where(cli: Cli) -> None:
    shown = cli("train", "my.txt", *SMALL)
    assert shown.code == 0
    assert f"How it went: checkpoints/my-1/{REPORT}\n" in shown.err
    page = page_of(cli)
    for part in ("Training run my-1", "bits per character", "gzip", "order 2", "charlstm train my.txt --max-steps 20",
                 "charlstm train --resume my-1 --max-steps 40",
                 f"Trained on {describe(torch.device('cpu'))}; "):  # fmt: skip
        assert part in page
    best = json.loads(cli("checkpoints", "show", "my-1", "--json").out)["provenance"]["bits_per_char"]
    assert f"At best it needs {best:.3f} bits per character" in page


@pytest.mark.parametrize("options", [("-q",), ("--json",)])
def test_who_asks_for_less_is_not_told(cli: Cli, options: tuple[str, ...]) -> None:
    assert "How it went" not in cli("train", "my.txt", *SMALL, *options).err
    assert page_of(cli)


def test_no_page_where_none_is_wanted(cli: Cli) -> None:
    shown = cli("train", "my.txt", *SMALL, "--no-report")
    assert "How it went" not in shown.err
    assert not (cli.folder / "checkpoints/my-1" / REPORT).exists()


def test_a_resumed_run_has_a_new_page(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL)
    before = page_of(cli)
    assert cli("train", "--resume", "my-1", "--max-steps", "40").code == 0
    page = page_of(cli)
    assert page != before
    assert "charlstm train --resume my-1 --max-steps 40\n" in page or "--resume my-1 --max-steps 40</pre>" in page
    assert "charlstm train --resume my-1 --max-steps 80" in page
    assert "after 40 steps" in page
    assert cli("train", "--resume", "my-1").code == 0
    assert page_of(cli) == page, "nothing was trained, so nothing is new"


def test_a_page_that_cannot_be_written_fails_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr("charlstm.report.page.html_page", broken)
    shown = cli("train", "my.txt", *SMALL)
    assert shown.code == 0
    assert "no report was written: no luck\n" in shown.err
    assert "done: checkpoints/my-1" in shown.err
    assert "It read the text" in shown.err


def test_a_folder_in_its_place_fails_nothing(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL, "--no-report")
    (cli.folder / "checkpoints/my-1" / REPORT).mkdir()
    shown = cli("train", "--resume", "my-1", "--max-steps", "25")
    assert shown.code == 0
    assert "no report was written" in shown.err


def test_a_run_that_diverged_has_its_page_and_its_exit_code(cli: Cli) -> None:
    diverging = ["--max-steps", "400", "--lr", "1e20", "--grad-clip", "1e30", "--eval-every", "1"]
    shown = cli("train", "my.txt", *SMALL, *diverging, "--optimizer", "adamw")
    assert shown.code == 7
    assert "no report" not in shown.err
    assert f"How it went: checkpoints/my-1/{REPORT}\n" in shown.err
    assert shown.err.splitlines()[-1].startswith("charlstm: "), "the error comes last"
    page = page_of(cli)
    assert re.search(r"It diverged after \d+ steps?: .*; what was saved before it is kept\.", page)
    assert "A lower --lr or a lower --grad-clip helps." in page
    assert "--resume" not in page, "it would diverge again"


def test_a_run_that_saved_nothing_leaves_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    diverging = ["--max-steps", "400", "--lr", "1e25", "--grad-clip", "1e30", "--optimizer", "adamw"]
    assert cli("train", "my.txt", *SMALL, *diverging).code == 7
    assert not (cli.folder / "checkpoints/my-1" / REPORT).exists()


def test_there_is_a_page_without_previews_or_validation(cli: Cli) -> None:
    assert cli("train", "my.txt", *SMALL, "--preview", "0", "--val-fraction", "0").code == 0
    page = page_of(cli)
    assert "not measured" in page
    assert "Watch it learn" not in page
    shown = cli("report", "my-1")
    assert (shown.code, "not measured" in shown.out) == (0, True)


def test_a_network_that_reads_both_sides_is_compared_with_no_compressor(cli: Cli) -> None:
    assert cli("train", "my.txt", *SMALL, "--bidirectional").code == 0
    assert reporting._BOTH_SIDES in page_of(cli)
    assert reporting._BOTH_SIDES in cli("report").out


def test_what_there_is_no_time_for_is_left_to_the_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_SECONDS", -1.0)
    cli("train", "my.txt", *SMALL)
    assert "gzip" not in page_of(cli)
    assert "gzip" in cli("report", "my-1").out


def test_the_page_takes_no_more_than_a_second(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    took = []

    def timed(training: object) -> Path | None:
        begun = time.process_time()
        page = reporting_leave(training)
        took.append(time.process_time() - begun)
        return page

    reporting_leave = reporting.leave_report
    monkeypatch.setattr(reporting, "leave_report", timed)
    cli("train", "my.txt", *SMALL)
    assert took[0] < 1.0


def test_the_command_shows_the_newest_run_or_those_named(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL, "--name", "a b")
    cli("train", "my.txt", *SMALL, "--name", "c", "--hidden-size", "12")
    assert cli("report").out.startswith("Training run c\n")
    both = cli("report", "a b", "checkpoints/c", "--html", "both.html")
    assert both.out.startswith("Training runs a b, c\n")
    assert re.search(r"model\.hidden_size +8 +12\n", both.out)
    assert "written: both.html" in both.err
    assert "charlstm train --resume &#x27;a b&#x27;" in (cli.folder / "both.html").read_text()
    once = cli("report", "c", "c", "latest")
    assert once.out.startswith("Training run c\n")


def test_every_number_for_a_program(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL, "--eval-every", "5")
    (run,) = json.loads(cli("report", "--json").out)["runs"]
    lines = [json.loads(line) for line in (cli.folder / "checkpoints/my-1" / METRICS).read_text().splitlines()]
    recorded = [{k: v for k, v in line.items() if k != "event"} for line in lines if line["event"] == "EvalDone"]
    assert run["evaluations"] == recorded
    assert [each["step"] for each in recorded] == [5, 10, 15, 20]
    assert run["previews"][-1]["text"] == [line for line in lines if line["event"] == "Preview"][-1]["text"]
    assert set(run["baselines"]) == {"order 2", "gzip", "xz"}


def test_a_run_of_an_older_version_and_one_whose_text_is_gone_have_a_page(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL)
    metrics = cli.folder / "checkpoints/my-1" / METRICS
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    for line in lines:
        line.pop("command", None)
        line.pop("machine", None)
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines if line["event"] != "Preview"))
    (cli.folder / "my.txt").unlink()
    for file in (cli.folder / "cache").rglob("*.npy"):
        file.unlink()
    shown = cli("report")
    assert shown.code == 0
    assert "its text cannot be read" in shown.out
    metrics.unlink()
    assert "No record of its training" in cli("report").out
    assert cli("report", "starter").code == 0


def test_mistakes_are_one_line(cli: Cli) -> None:
    (cli.folder / "empty").mkdir()
    for words, code in ((["nothing"], 4), (["empty"], 4), (["starter", "--html", "no/such/x.html"], 2)):
        shown = cli("report", *words)
        assert shown.code == code, shown
        assert shown.err.count("\n") == 1


def test_the_report_loads_no_torch(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL)
    script = (
        "import sys\nfrom charlstm.cli.app import main\nsys.argv = ['charlstm', 'report', 'my-1']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60, cwd=cli.folder)


def test_a_run_is_replaced_and_removed_with_its_page(cli: Cli) -> None:
    cli("train", "my.txt", *SMALL)
    folder = cli.folder / "checkpoints/my-1"
    assert cli("train", "my.txt", *SMALL, "--name", "my-1", "--force", "--no-report").code == 0
    assert not (folder / REPORT).exists(), "the page of another run"
    cli("train", "my.txt", *SMALL, "--name", "my-1", "--force")
    assert (folder / REPORT).exists()
    assert (folder / RESUME).exists()
    assert cli("checkpoints", "rm", "my-1", "--yes").code == 0
    assert not folder.exists()
