"""Files that damage or malice has changed: one clear error each, in little time and memory, or they work.

The files are read in processes of their own, with a limit for their memory: also a crash of the interpreter is seen.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import lzma
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoint_samples import model
from tests.torture import hostile_samples, mutations
from tests.torture.hostile_child import KINDS

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory as Linux has them")

ROOT = Path(__file__).parents[2]
BATCH = 10_000
"""Files that one process reads."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole files of every kind."""
    folder = tmp_path_factory.mktemp("hostile") / "files"
    hostile_samples.prepare(folder)
    return folder


def run(program: str, *words: object, timeout: float, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program of this folder, with one thread."""
    command = [sys.executable, "-m", f"tests.torture.{program}", *map(str, words)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, input=data, capture_output=True, cwd=ROOT, env=environment, timeout=timeout)


def read_changed(folder: Path, kind: str, first: int, count: int) -> dict[str, int]:
    """Let a process read changed files; how many ended in which way."""
    done = run("hostile_child", kind, folder, first, count, timeout=300 + count)
    again = f"python -m tests.torture.hostile_child {kind} FOLDER NUMBER 1"
    assert done.returncode == 0, f"code {done.returncode} at {(folder / 'at').read_text()}: {again}"
    *faults, last = map(json.loads, done.stdout.splitlines())
    told = "\n".join(f"{fault['number']} ({fault['file']}): {fault['wrong']}" for fault in faults[:5])
    assert not faults, f"{len(faults)} files, of them\n{told}\n{again}"
    ended: dict[str, int] = last["ended"]
    return ended


def _kind(name: str, few: int, full: int, *, slow: bool = False):
    marks = [pytest.mark.rounds(few, full=full), pytest.mark.timeout(6 * 3600)]
    return pytest.param(name, marks=[*marks, pytest.mark.slow] if slow else marks, id=name)


@pytest.mark.parametrize(
    "kind",
    [
        _kind("settings", 4100, 200_000, slow=True),
        _kind("catalogues", 5000, 200_000),
        _kind("tokenizers", 4000, 120_000),
        _kind("corpora", 2500, 90_000, slow=True),
        _kind("ids", 800, 50_000, slow=True),
        _kind("models", 2400, 250_000, slow=True),
        _kind("subwords", 500, 40_000, slow=True),
        _kind("resumes", 300, 25_000, slow=True),
        _kind("metrics", 300, 20_000, slow=True),
        _kind("searches", 100, 5000, slow=True),
    ],
)
def test_only_clear_errors(folder: Path, kind: str, rounds: int) -> None:
    ended: dict[str, int] = {}
    for first in range(0, rounds, BATCH):
        for how, count in read_changed(folder, kind, first, min(BATCH, rounds - first)).items():
            ended[how] = ended.get(how, 0) + count
    assert sum(ended.values()) == rounds
    assert ended.get("used", 0) >= rounds / 100, "not only files that are refused at once"
    assert ended.get("used", 0) < rounds or kind in ("metrics", "ids"), "not only files that are whole"


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="Atheris has no wheel for this machine")
@pytest.mark.rounds(150, full=20_000)
@pytest.mark.timeout(6 * 3600)
@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_changes_that_lead_to_code_that_none_before_has_reached(
    folder: Path, tmp_path: Path, kind: str, rounds: int
) -> None:
    done = run("guided", kind, folder, rounds, timeout=300 + rounds)
    assert done.returncode == 0, (folder / "stderr").read_text()[-2000:]
    *faults, last = map(json.loads, done.stdout.splitlines())
    told = "\n".join(fault["wrong"] for fault in faults[:5])
    for number, fault in enumerate(faults):
        (tmp_path / str(number)).write_bytes(base64.b64decode(fault["data"]))
    again = f"python -m tests.torture.hostile_child {kind} FOLDER one PLACE < {tmp_path}/0"
    assert not faults, f"{len(faults)} files in {tmp_path}, of them\n{told}\n{again}"
    assert sum(last["ended"].values()) >= rounds
    assert last["reached"] > 0


def test_the_same_number_is_the_same_file_and_most_differ(folder: Path) -> None:
    data = mutations.Parts((folder / "whole-small.safetensors").read_bytes()).file()
    files = [[mutations.checkpoint_changed(random.Random(seed), data) for seed in range(300)] for _ in range(2)]
    assert files[0] == files[1]
    assert len(set(files[0])) > 250


def test_a_file_taken_apart_and_put_together_is_whole(folder: Path, tmp_path: Path) -> None:
    from charlstm.checkpoint.format import read_model

    (tmp_path / "file").write_bytes(mutations.Parts((folder / "whole-small.safetensors").read_bytes()).file())
    assert read_model(tmp_path / "file").tensors["head.bias"].tolist() == model().tensors["head.bias"].tolist()


def test_a_message_taken_apart_and_put_together_is_the_same(folder: Path) -> None:
    from base64 import b64decode

    state = mutations.Parts((folder / "whole-v2-lstm-bidirectional-subwords.safetensors").read_bytes()).sections
    message = b64decode(state["tokenizer"]["model"])
    assert mutations.build(mutations.parse(message)) == message


def refused(folder: Path, kind: str, place: str, data: bytes) -> str:
    """Let a process read one file, which it refuses; with which error."""
    done = run("hostile_child", kind, folder, "one", place, timeout=300, data=data)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert not last["wrong"], last["wrong"]
    return str(last["how"])


def _small(folder: Path) -> mutations.Parts:
    return mutations.Parts((folder / "whole-small.safetensors").read_bytes())


def _resume(folder: Path) -> mutations.Parts:
    return mutations.Parts((folder / "runs" / "carried" / "resume.safetensors").read_bytes())


def test_words_that_would_fill_the_memory(folder: Path) -> None:
    parts = _small(folder)
    packed = zlib.compress(b"\n" * (1 << 24), 9)
    parts.replace_tensor("words", packed, [len(packed)])
    assert "list of words" in refused(folder, "models", "model.safetensors", parts.file())


def test_weights_whose_products_are_no_numbers_any_more(folder: Path) -> None:
    parts = _small(folder)
    for name in ("embedding.weight", "layers.0.weight_ih", "layers.0.weight_hh", "head.weight"):
        parts.replace_tensor(name, np.full(len(parts.tensor(name)) // 4, 3e38, "<f4").tobytes())
    assert "not finite" in refused(folder, "models", "model.safetensors", parts.file())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("data", {"streams": 1 << 31, "batch_size": 1}, "settings that cannot be used"),
        ("model", {"num_layers": 256, "ensemble": 16}, "more than it holds"),
    ],
)
def test_a_resume_file_whose_settings_ask_for_more_than_it_holds(
    folder: Path, section: str, changes: dict[str, int], words: str
) -> None:
    parts = _resume(folder)
    parts.sections["config"][section] |= changes
    assert words in refused(folder, "resumes", "runs/carried/resume.safetensors", parts.file())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["state.0.recent", "state.0.side.match.0"])
def test_a_resume_file_with_numbers_of_no_tokens(folder: Path, name: str) -> None:
    parts = _resume(folder)
    content = parts.tensor(name)
    parts.replace_tensor(name, b"\xff\xff\x0f\0" + content[4:])
    assert "numbers of no tokens" in refused(folder, "resumes", "runs/carried/resume.safetensors", parts.file())


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("a.json", b'[{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "nested too deeply"),
        ("a.jsonl", b'{"title": ' + b"9" * 10_000 + b"}\n", "thousands of digits"),
        ("a.csv", b"a,b\n1,2\n", "no column 'title'"),
        ("a.txt.xz", mutations.xz_with_dictionary(lzma.compress(b"abc" * 99), 40), "more than 128 MB"),
        ("a.txt.xz", lzma.compress(b"abc" * 99)[:-20], "cut short"),
    ],
    ids=["depth", "digits", "column", "dictionary", "cut"],
)
def test_texts(folder: Path, place: str, content: bytes, words: str) -> None:
    if not place.endswith("xz"):
        content += b" " * (-len(content) % 4)  # by its size the column is chosen
    assert words in refused(folder, "corpora", place, content)
