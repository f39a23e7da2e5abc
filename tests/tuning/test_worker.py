"""The process of a trial: what it trains, what it sends, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from queue import Queue

import pytest

from charlstm.checkpoint.format import read_header
from charlstm.checkpoint.store import Store
from charlstm.errors import UsageError
from charlstm.events import EvalDone, Started, StepDone, Stopped
from charlstm.tuning import trial_process, worker
from charlstm.tuning.protocol import TrialError, TrialSpec, decode, decode_spec, encode
from charlstm.tuning.trial_process import TrialProcess, process_group_options, worker_command
from tests.fake_worker import TEXT


@pytest.fixture
def trial(tmp_path, machine):
    """A trial of a tiny network that would take very long."""
    tmp_path.joinpath("my.txt").write_text(TEXT)
    settings = {
        "model": {"hidden_size": 8, "embedding_size": 8, "num_layers": 1},
        "data": {"sources": [str(tmp_path / "my.txt")]},
        "train": {"max_time": 1e6, "precision": "fp32", "device": "cpu", "preview": 0, "eval_every": 2},
    }
    return TrialSpec("trial-5", str(tmp_path), str(tmp_path / "cache"), settings, {"search": "id", "trial": 5})


def messages(output):
    return [decode(line) for line in output.splitlines()]


def test_a_line_holds_any_message_and_any_file_name():
    spec = TrialSpec("trial-1", "a b/ü\udc80\n", "c", {"train": {"lr": 0.1}}, {"trial": 1})
    for message in (spec, TrialError("line\nbreak", 5), Started("x", 0, 1, 2, 3)):
        line = encode(message)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert (decode_spec(line) if message is spec else decode(line)) == message


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"event": "Other"}', b'{"event": "TrialError"}', b"\xff\n"])
def test_another_line_is_no_message(line):
    with pytest.raises(ValueError):  # noqa: PT011 - any
        decode(line)
    with pytest.raises(UsageError, match="TrialSpec"):
        decode_spec(line)


def test_a_worker_sends_its_events_but_for_steps_and_saves_what_it_records(trial):
    trial.settings["train"] |= {"max_time": None, "max_steps": 3}
    reader, writer = os.pipe()  # stays open
    output = io.BytesIO()
    with open(reader, "rb", buffering=0) as stdin, open(writer, "wb", buffering=0) as search:
        search.write(encode(trial))
        assert worker.main(stdin, output) == 0
        search.close()
    sent = messages(output.getvalue())
    assert isinstance(sent[0], Started)
    assert any(isinstance(message, EvalDone) for message in sent)
    assert not any(isinstance(message, StepDone) for message in sent)
    assert isinstance(sent[-1], Stopped)
    assert (sent[-1].reason, sent[-1].step) == ("finished", 3)
    provenance = read_header(Path(trial.root, "trial-5", "model.safetensors")).provenance.to_plain()
    assert (provenance["search"], provenance["trial"]) == ("id", 5)


def test_when_standard_input_ends_the_worker_saves_and_ends(trial):
    output = io.BytesIO()
    assert worker.main(io.BytesIO(encode(trial)), output) == 0
    assert messages(output.getvalue())[-1].reason == "interrupted"
    assert Path(trial.root, "trial-5", "resume.safetensors").is_file()


def test_a_worker_whose_output_nobody_reads_saves_and_ends(trial):
    class Broken(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as stdin, open(writer, "wb", buffering=0) as search:
        search.write(encode(trial))
        assert worker.main(stdin, Broken()) == 0
        search.close()
    assert Path(trial.root, "trial-5", "resume.safetensors").is_file()


@pytest.mark.parametrize(
    ("section", "change", "code"),
    [("train", {"lr": -1.0}, 2), ("data", {"sources": ["nowhere.txt"]}, 4), ("model", {"hidden_size": 60_000}, 5)],
)
def test_what_training_refuses_comes_as_its_one_line(trial, section, change, code):
    trial.settings[section] |= change
    output = io.BytesIO()
    assert worker.main(io.BytesIO(encode(trial)), output) == code
    (error,) = messages(output.getvalue())
    assert isinstance(error, TrialError)
    assert error.exit_code == code
    assert not Path(trial.root, "trial-5").exists()


def test_ctrl_c_reaches_no_worker():
    assert process_group_options("win32") == {"creationflags": 0x200}, "CREATE_NEW_PROCESS_GROUP of the Windows API"
    assert process_group_options("linux") == process_group_options("darwin") == {"start_new_session": True}


@pytest.mark.skipif(os.name == "nt", reason="sessions of POSIX")
def test_a_worker_has_a_session_of_its_own(trial, monkeypatch):
    script = "import os; open('session', 'w').write(str(os.getsid(0)))"
    monkeypatch.setattr(trial_process, "worker_command", lambda: [sys.executable, "-c", script])
    monkeypatch.chdir(trial.root)
    inbox = Queue()
    process = TrialProcess(5, trial, inbox)
    assert inbox.get(timeout=60) == (5, None)
    assert process.failure(process.end()) == "ended before an evaluation"
    assert int(Path("session").read_text()) != os.getsid(0)


@pytest.mark.slow
def test_a_real_worker_stops_and_saves_when_its_search_lets_go(trial):
    process = subprocess.Popen(worker_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(encode(trial))
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["event"] == "Started"
    output, errors = process.communicate(timeout=60)  # closes its standard input
    assert process.returncode == 0, errors
    assert messages(output)[-1].reason == "interrupted"
    assert Path(trial.root, "trial-5", "resume.safetensors").is_file()
    with Store(trial.root).lock(Path(trial.root, "trial-5")):
        pass
