"""``charlstm export`` as a person uses it: the files, what is said about them, and one line for every mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from charlstm.checkpoint.format import convert, write
from charlstm.export import onnx_file
from charlstm.tokenizers import CharTokenizer
from tests.command_line import Cli
from tests.export.samples import BIDIRECTIONAL, KINDS, WRITING, checkpoint

TEXT = "abcde abc\n" * 60


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    (tmp_path / "text.txt").write_text(TEXT)
    run = tmp_path / "checkpoints" / "my-1"
    run.mkdir(parents=True)
    saved = checkpoint(KINDS["side inputs of an ensemble"])
    write(run / "model.safetensors", saved)
    write(tmp_path / "small.safetensors", convert(saved, "int8"))
    write(tmp_path / "both.safetensors", checkpoint(BIDIRECTIONAL["both sides, lstm"]))
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("onnx",), "my-1.onnx"),
        (("onnx", "my-1", "-o", "a.onnx"), "a.onnx"),
        (("onnx", "both.safetensors"), "both.onnx"),
        (("numpy",), "my_1.py"),
        (("numpy", "small.safetensors"), "small.py"),
        (("numpy", "both.safetensors", "-o", "fill.py"), "fill.py"),
    ],
)
def test_a_file_is_written_under_the_networks_name_or_that_given(
    cli: Cli, arguments: tuple[str, ...], file: str
) -> None:
    before = set(cli.folder.iterdir())
    told = cli("export", *arguments)
    assert told.code == 0, told.err
    assert told.out == ""
    assert f"written: {file} (" in told.err
    assert {path.name for path in set(cli.folder.iterdir()) - before} == {file}
    if file.endswith(".onnx"):
        assert onnxruntime.InferenceSession(cli.folder / file, providers=["CPUExecutionProvider"]).get_outputs()
        assert float(told.err.split("differ from torch's by ")[1].split()[0]) < 1e-5


def test_an_exported_program_writes_what_sample_writes(cli: Cli) -> None:
    cli("export", "numpy", "my-1", "-o", "poet.py")
    command = [sys.executable, "-I", "poet.py", "abc", "-n", "80", "--seed", "7"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cli.folder)
    assert told.stdout == cli("sample", "my-1", "--prompt", "abc", "--length", "80", "--seed", "7").out + "\n"


@pytest.mark.parametrize("kind", [("onnx", "--int8"), ("numpy", "--dtype", "int8"), ("numpy", "--dtype", "float16")])
def test_what_other_weights_cost_is_measured_and_said(cli: Cli, kind: tuple[str, ...]) -> None:
    told = cli("export", kind[0], "my-1", "-o", "x", *kind[1:], "--text", "text.txt")
    assert told.code == 0, told.err
    line = told.err.splitlines()[0]
    assert line.startswith("int8 costs" if "int8" in line else "float16 costs")
    assert line.endswith("on 600 characters of text.txt")
    after, before = map(float, re.findall(r"(\d\.\d{4})(?: instead|,)", line))
    scored = json.loads(cli("eval", "my-1", "text.txt", "--json").out)
    assert before == pytest.approx(scored["bits_per_char"], abs=1e-3)
    assert after == pytest.approx(before, abs=0.1)
    if "costs nothing" not in line:
        assert float(line.split("costs ")[1].split()[0]) == pytest.approx(after - before, abs=1.1e-4)


def test_weights_stored_as_they_are_cost_nothing_and_load_no_torch(cli: Cli) -> None:
    script = (
        "import sys\n"
        "from charlstm.cli.app import main\n"
        "sys.argv = ['charlstm', 'export', 'numpy', 'small.safetensors', '--weights', 'beside']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'sentencepiece'} & set(sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=cli.folder)
    assert [line.split(" (")[0] for line in told.stderr.splitlines()] == ["written: small.npz", "written: small.py"]


@pytest.mark.parametrize("kind", ["onnx", "numpy"])
def test_nothing_is_replaced_unless_that_is_asked_for(cli: Cli, kind: str) -> None:
    target = cli.folder / "there"
    target.write_text("mine")
    refused = cli("export", kind, "my-1", "-o", "there")
    assert (refused.code, target.read_text()) == (2, "mine")
    assert refused.err == "charlstm: there: exists already. Choose another place, or add --force to replace it.\n"
    assert cli("export", kind, "my-1", "-o", "there", "--force").code == 0
    assert target.stat().st_size > 1000


def test_weights_beside_a_program_replace_nothing_either(cli: Cli) -> None:
    (cli.folder / "poet.npz").write_text("mine")
    refused = cli("export", "numpy", "my-1", "-o", "poet.py", "--weights", "beside")
    assert refused.code == 2
    assert "poet.npz: exists already" in refused.err
    assert not (cli.folder / "poet.py").exists()
    assert cli("export", "numpy", "my-1", "-o", "poet.py", "--weights", "beside", "--force").code == 0
    assert (cli.folder / "poet.npz").stat().st_size > 1000


def test_a_run_is_measured_on_what_it_was_validated_on(cli: Cli) -> None:
    trained = cli(
        "train", "text.txt", "--max-steps", "2", "--hidden-size", "8", "--init-from", "none", "-q", "--name", "new"
    )
    assert trained.code == 0, trained.err
    told = cli("export", "numpy", "new", "--dtype", "int8")
    assert told.code == 0, told.err
    assert "of what it was validated on" in told.err.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("onnx", "none"), 4, "none"),
        (("onnx", "my-1", "-o", "no such/x"), 2, "mkdir -p 'no such'"),
        (("onnx", "my-1", "-o", "checkpoints"), 2, "is a folder"),
        (("onnx", "my-1", "-o", "-"), 2, "is standard output"),
        (("numpy", "my-1", "-o", 300 * "x"), 6, "the name is too long"),
        (("numpy", "my-1", "-o", "x.npz", "--weights", "beside"), 2, "End it with .py"),
        (("numpy", "my-1", "-o", "numpy.py"), 2, "would hide the module numpy"),
        (("numpy", "my-1", "-o", "random.py"), 2, "Choose another one with --output"),
        (("onnx", "my-1", "--text", "text.txt"), 2, "or add --int8"),
        (("numpy", "my-1", "--text", "text.txt"), 2, "or add --dtype"),
        (("onnx", "my-1", "--int8"), 2, "is not here any more. Name one: --text FILE"),
        (("onnx", "my-1", "--int8", "--text", "none.txt"), 4, "no such text file"),
        (("numpy", "my-1", "--dtype", "int8", "--text", "odd.txt"), 2, "☃"),
        (("numpy", "my-1", "--dtype", "int8", "--text", "odd.txt", "--unknown", "skip"), 2, "no character of it"),
        (("numpy", "my-1", "--dtype", "int8", "--text", "empty.txt"), 2, "the text is empty"),
        (("numpy", "my-1", "--dtype", "int4"), 2, "int4"),
        (("onnx", "text.txt"), 3, "not a charlstm checkpoint"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_gets_one_line(cli: Cli, arguments: tuple[str, ...], code: int, message: str) -> None:
    (cli.folder / "odd.txt").write_text("☃☃")
    (cli.folder / "empty.txt").write_text("")
    before = set(cli.folder.iterdir())
    told = cli("export", *arguments)
    assert told.code == code, told.err
    assert message in told.err
    assert len(told.err.strip().splitlines()) == 1 + ("skip" in arguments)  # it says what it left out
    assert set(cli.folder.iterdir()) - before <= {cli.folder / "cache"}


def test_a_missing_package_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    told = cli("export", "onnx", "my-1")
    assert told.code == 2
    assert told.err == (
        "charlstm: an ONNX file needs the package onnx, which is not installed. pip install onnx onnxruntime\n"
    )


def test_the_examples_of_the_page_run(cli: Cli) -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    numpy_code, onnx_code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    saved = checkpoint(KINDS["match memory"], CharTokenizer("".join(sorted(set("The quick fox")))))
    write(cli.folder / "starter.safetensors", replace(saved, writing=WRITING.replace(starts=())))
    assert cli("export", "numpy", "starter.safetensors", "-o", "poet.py").code == 0
    assert cli("export", "onnx", "starter.safetensors").code == 0
    for code, written in ((numpy_code, 500), (onnx_code, 4 + 200 + 1)):
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cli.folder, check=True)
        assert len(told.stdout) == written


@pytest.mark.parametrize("kind", ["onnx", "numpy"])
def test_help_has_examples(cli: Cli, kind: str) -> None:
    assert f"charlstm export {kind} my-1 -o" in cli("export", kind, "--help").out
