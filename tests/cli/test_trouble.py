"""The command line in trouble: no stdin, Ctrl-C during imports, unreadable folders, full disks, closed terminals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from charlstm import events
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.cli.interrupts import load_torch
from charlstm.cli.streams import BestEffortStream
from charlstm.config import DataConfig, RunConfig
from charlstm.nn.shapes import tensor_shapes
from charlstm.tokenizers import CharTokenizer
from tests.command_line import Cli, start
from tests.fake_checkpoints import make_checkpoint
from tests.networks import architecture

TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 30
SMALL = ("--max-steps", "6", "--hidden-size", "8", "--num-layers", "1", "--preview", "0", "--device", "cpu")
on_posix = pytest.mark.skipif(os.name == "nt", reason="signals, shells and devices of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my.txt").write_text(TEXT)
    make_checkpoint(tmp_path / "checkpoints" / "plain-1" / "model.safetensors")
    return tmp_path


def command(folder: Path, *prefix: str, arguments: tuple[str, ...], **options) -> subprocess.CompletedProcess:
    """Run the command line as a process of its own, to its end."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = {**os.environ, "CHARLSTM_CACHE": str(folder / "cache")}
    environment.pop("CHARLSTM_CHECKPOINTS", None)
    line = [*prefix, *arguments] if prefix else [sys.executable, "-m", "charlstm", *arguments]
    return subprocess.run(line, cwd=folder, env=environment, text=True, timeout=100, check=False, **streams)


# ---- no stdin ---------------------------------------------------------------------------------------------------


@on_posix
@pytest.mark.parametrize(
    ("arguments", "code", "length", "message"),
    [
        (("sample", "--length", "20", "--seed", "1"), 0, 20, "seed 1"),
        (("sample", "--prompt", "-", "--length", "20"), 0, 20, "seed"),
        (("write", "--prompt", "Once"), 0, 4, "Enter lets"),
        (("train", "-", *SMALL), 2, 0, "standard input: empty"),
        (("corpora", "stats", "-"), 2, 0, "standard input: empty"),
        (("checkpoints", "rm", "plain-1"), 2, 0, "--yes"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_a_closed_stdin_counts_as_empty(folder, arguments, code, length, message):
    closed = ("sh", "-c", '"$0" -m charlstm "$@" <&-', sys.executable)
    done = command(folder, *closed, arguments=arguments, stdin=None)
    assert (done.returncode, len(done.stdout)) == (code, length), done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# ---- Ctrl-C while modules load ----------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys

wanted = sys.argv.pop(1)

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            print("importing", name, flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from charlstm.__main__ import main
main()
"""


@on_posix
@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        ("typer", ("sample",), ""),
        ("charlstm.cli.commands.train", ("train", "my.txt"), ""),
        ("numpy", ("sample",), ""),
        ("pydantic", ("train", "my.txt"), ""),
        ("torch", ("train", "my.txt"), "stopped before the first step: nothing has changed\n"),
        ("torch._C", ("train", "my.txt"), "stopped before the first step: nothing has changed\n"),
        ("torch._C", ("train", "my.txt", "-q"), ""),
        ("torch", ("eval", "plain-1", "my.txt", "--unknown", "skip"), ""),
    ],
)
def test_ctrl_c_while_modules_load_ends_quietly(folder, module, arguments, told):
    done = command(folder, sys.executable, "-c", INTERRUPTED, arguments=(module, *arguments))
    assert done.stdout == f"importing {module}\n", "the moment was missed"
    assert done.returncode == 130, done.stderr
    assert done.stderr == told
    assert not (folder / "checkpoints/my-1").exists()


@on_posix
def test_torch_is_loaded_completely_before_ctrl_c_takes_effect(monkeypatch):
    # In the middle of its C++ code a KeyboardInterrupt sometimes ended in "terminate called after throwing".
    loaded = []

    class Torch:
        def find_spec(self, name, path=None, target=None):
            if name == "torch":
                os.kill(os.getpid(), signal.SIGINT)
                loaded.append(name)

    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "meta_path", [Torch()])
    with pytest.raises(ModuleNotFoundError):
        load_torch()
    assert loaded == ["torch"], "the import was cut short"


# ---- folders that cannot be read --------------------------------------------------------------------------------


@on_posix
@pytest.mark.parametrize(
    "arguments", [("sample",), ("sample", "plain-1"), ("checkpoints", "list"), ("train", "my.txt", *SMALL)]
)
def test_a_root_that_cannot_be_read_is_one_line(folder, arguments):
    root = folder / "checkpoints"
    root.chmod(0)
    if os.access(root, os.R_OK):
        root.chmod(0o700)
        pytest.skip("this user may read everything")
    try:
        done = command(folder, arguments=(*arguments, "--root", str(root)))
    finally:
        root.chmod(0o700)
    assert done.returncode in (4, 6), done.stderr
    assert str(root) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# ---- messages that nobody receives -------------------------------------------------------------------------------


def trained(folder: Path) -> bool:
    return all((folder / f"checkpoints/my-1/{name}.safetensors").exists() for name in ("model", "resume"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_training_continues_when_the_disk_of_its_log_is_full(folder):
    with open("/dev/full", "w") as full:
        done = command(folder, arguments=("train", "my.txt", *SMALL), stderr=full)
    assert done.returncode == 0
    assert trained(folder)


@on_posix
def test_training_continues_when_nobody_reads_its_messages(folder):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = command(folder, arguments=("train", "my.txt", *SMALL), stderr=pipe)
    assert done.returncode == 0
    assert trained(folder)


@on_posix
def test_training_continues_with_stderr_closed(folder):
    closed = ("sh", "-c", '"$0" -m charlstm "$@" 2>&-', sys.executable)
    done = command(folder, *closed, arguments=("train", "my.txt", *SMALL))
    assert done.returncode == 0
    assert trained(folder)


@on_posix
@pytest.mark.parametrize("hangs_up", [True, False], ids=["with SIGHUP", "with SIGHUP ignored, as by nohup"])
def test_a_terminal_that_is_closed_in_training_costs_nothing(folder, hangs_up):
    import fcntl
    import pty
    import termios

    leader, follower = pty.openpty()

    def on_this_terminal():
        os.setsid()
        fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
        if not hangs_up:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    budget = ("--max-steps", "1000000") if hangs_up else ("--max-steps", "300")
    process = start(
        "train", "my.txt", *SMALL, *budget, "--eval-every", "20", folder=folder,
        stdin=follower, stdout=follower, stderr=follower, preexec_fn=on_this_terminal,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while b"validation " not in shown:
        shown += os.read(leader, 10_000)
    os.close(leader)
    assert process.wait(60) == (129 if hangs_up else 0)
    assert trained(folder)


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), ValueError("I/O operation on closed file")])
def test_a_stream_that_has_failed_takes_everything_and_keeps_its_properties(tmp_path, fault):
    with (tmp_path / "log").open("w") as file:
        stream = BestEffortStream(file)
        print("first", file=stream, flush=True)
        assert (stream.encoding, stream.isatty(), stream.fileno()) == (file.encoding, False, file.fileno())

        class Failing:
            fileno = file.fileno

            def write(self, *_):
                raise fault

            flush = write

        failing = BestEffortStream(Failing())
        assert failing.write("second") == 6
        failing.flush()
        stream.write("third")  # of the same descriptor, which is the null device now
    assert (tmp_path / "log").read_text() == "first\n"


# ---- full disks -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_training_continues_when_events_cannot_be_written_to_stdout(folder):
    with open("/dev/full", "w") as full:
        done = command(folder, arguments=("train", "my.txt", *SMALL, "--json"), stdout=full)
    assert "events can no longer be written" in done.stderr
    assert (folder / "checkpoints/my-1/model.safetensors").exists()
    assert done.returncode == 0, done.stderr


@on_posix
def test_a_disk_that_fills_during_training_is_one_line_after_complete_events(folder):
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))  # large enough for the text's ids, not for the network

    done = command(folder, arguments=("train", "my.txt", *SMALL, "--json"), preexec_fn=small_files)
    assert done.returncode == 6, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "safetensors: cannot be written" in done.stderr
    printed = [events.from_json(line) for line in done.stdout.splitlines()]
    assert isinstance(printed[0], events.Started)
    assert sum(isinstance(event, events.StepDone) for event in printed) == 6
    assert not (folder / "checkpoints/my-1").exists(), "nothing was saved, so nothing is left"


def test_after_a_full_disk_the_hint_names_resume_and_that_works(folder, monkeypatch, capsys):
    cli = Cli(folder, monkeypatch, capsys)
    assert cli("train", "my.txt", *SMALL).code == 0

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        done = cli("train", "--resume", "my-1", "--max-steps", "9", "--json")
    assert done.code == 6
    assert "no space left on the disk" in done.err
    assert done.err.strip().endswith("Once that is solved, continue with: charlstm train --resume my-1")
    assert all(json.loads(line) for line in done.out.splitlines())
    again = cli("train", "--resume", "my-1", "--max-steps", "9")
    assert again.code == 0, again.err
    assert "after step 6" in again.err


# ---- a network that diverged ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("bidirectional", [False, True], ids=["causal", "bidirectional"])
def test_weights_out_of_range_are_one_line_in_every_command(tmp_path: Path, bidirectional: bool) -> None:
    network = architecture(vocab_size=27, hidden_size=8, bidirectional=bidirectional)
    tokenizer = CharTokenizer(" abcdefghijklmnopqrstuvwxyz")
    data = DataConfig(windows="shuffled" if bidirectional else "stateful")
    huge = {name: np.full(shape, 3e38, np.float32) for name, shape in tensor_shapes(network)}
    run = RunConfig(name="x", model=network, data=data)
    (tmp_path / "checkpoints" / "x").mkdir(parents=True)
    file = tmp_path / "checkpoints" / "x" / "model.safetensors"
    write(file, Checkpoint("model", huge, run, tokenizer.to_state(), Provenance()))
    (tmp_path / "my.txt").write_text("the quick brown fox " * 20)
    writing = [] if bidirectional else [("sample", "x"), ("write", "x", "--prompt", "a"), ("lab", "gradient", "x")]
    exports = [("export", kind, "x", "-o", "x.out") for kind in ("html", "numpy", "onnx")]
    evals = (("eval", "x", "my.txt"), ("eval", "x", "my.txt", "--json"))
    for arguments in (*writing, ("fill", "x", "the_s"), *evals, *exports):
        done = command(tmp_path, arguments=arguments, input="\n", stdin=None)
        assert done.returncode == 3, arguments
        assert "Warning" not in done.stderr
        assert done.stderr.splitlines()[-1].endswith("not finite. The weights are damaged, or training diverged.")
        assert not (tmp_path / "x.out").exists()
