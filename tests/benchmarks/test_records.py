"""What a record holds: figures with units, the commit, the command without folders; appended, and read back."""

import argparse
import json
import subprocess

import pytest

from benchmarks import records
from benchmarks.records import Figure, Record


def record(**fields):
    return Record(
        **{"benchmark": "toy", "date": "2026-01-02", "commit": "abc1234", "machine": {}, "command": "toy"} | fields
    )


def options(keep=True):
    return argparse.Namespace(record=keep)


def test_records_are_appended_one_per_line_and_read_back_oldest_first(tmp_path, capsys):
    for date, value in (("2026-01-03T10:00:00Z", 2.0), ("2026-01-02", 1.0)):
        made = record(date=date)
        made.add("2×256", "speed", "characters per second", [value, value + 0.5])
        made.finish(options(), tmp_path)
    lines = (tmp_path / "toy.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["date"] for line in lines] == ["2026-01-03T10:00:00Z", "2026-01-02"]
    assert capsys.readouterr().out.splitlines() == lines
    first, second = records.load("toy", tmp_path)
    assert first.date == "2026-01-02"
    assert first.figures == [Figure("2×256", "speed", "characters per second", (1.0, 1.5))]
    assert second.figures[0].values == (2.0, 2.5)


def test_no_record_is_written_when_it_is_left_out(tmp_path, capsys):
    record().finish(options(keep=False), tmp_path)
    assert json.loads(capsys.readouterr().out)["benchmark"] == "toy"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused(value):
    made = record()
    made.add("row", "loss", "nats per token", value)
    with pytest.raises(ValueError, match="JSON"):
        made.to_json()


def test_the_command_names_files_without_their_folders():
    typed = ["/data/books/a b.txt", "--nanogpt=/src/nanoGPT", "--folder", "/tmp/", "python:docs", "--budgets", "30s,2m"]
    assert records.command_line("toy", typed) == (
        "python -m benchmarks.toy 'a b.txt' --nanogpt=nanoGPT --folder tmp python:docs --budgets 30s,2m"
    )


def test_options_of_train_stand_after_two_dashes():
    assert records.split_train_options(["f", "--max-time", "9s", "--", "--seed", "2"]) == (
        ["f", "--max-time", "9s"], ["--seed", "2"],
    )  # fmt: skip
    assert records.split_train_options(["f"]) == (["f"], [])


def test_the_commit_has_a_plus_where_the_code_differs(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert records.commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")
    head = git("rev-parse", "--short=7", "HEAD")
    assert records.commit(tmp_path) == head
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "toy.jsonl").write_text("{}\n")
    (tmp_path / "NOTES.md").write_text("words\n")
    assert records.commit(tmp_path) == head  # neither is measured
    (tmp_path / "code.py").write_text("2\n")
    assert records.commit(tmp_path) == head + "+"


def test_the_machine_has_no_name_and_no_path():
    machine = records.machine()
    assert machine["cores"] >= 1
    assert isinstance(machine["bf16"], bool)
    assert machine["torch"]
    import socket

    text = json.dumps(machine)
    assert socket.gethostname() not in text
    assert "/" not in text
