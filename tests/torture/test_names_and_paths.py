"""Names that were made to lead elsewhere: nothing outside the root is read as a run, written or removed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from charlstm.checkpoint.run import MODEL
from charlstm.checkpoint.store import Store
from tests import checkpoint_samples
from tests.torture.small_runs import prepare, run, train_command

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links of POSIX")

PARTS = ("..", ".", "", "outside", "~", "$HOME", "victim", "con", "nul", "a:b", "é", "\u202e", "\n", "\x1b[2J", "*")
NAMES = sorted({
    *(f"{a}/{b}" for a in PARTS for b in PARTS[:9]),
    *("../outside", "../../outside", "/etc/passwd", "/", "//", "\\..\\outside", "..\\outside", "%2e%2e/outside"),
    *("a" * 300, "é" * 200, "a" * 255 + ".safetensors", " ", "  lead", "trail ", "-x", "--force", "-"),
    *("a\tb", "a\rb", "a\nb", "a\0b", "\x7f", "\x9b31m", "\u2028", "\ufeff", "\u200b"),
    *("CON", "PRN", "AUX", "NUL", "COM1", "LPT1.txt", "latest", "english", "link", "loop", "starter", "auto"),
    *("a/b", "a//b", "./a", "a/.", "a/..", ".hidden", "...", "....", "a.", "STARTER"),
    *("out?put", "a|b", "a<b", "a>b", 'a"b', "a'b", "a;rm -rf b", "$(touch pwned)", "`touch pwned`"),
    *("\ud800", "a\udcffb", "../outside/model.safetensors", "outside", "file:///etc/passwd", "https://example.org/a"),
})  # fmt: skip


def print_of(folder: Path) -> dict[str, str]:
    """What is in a folder, without what is in the root: for each file its digest, for each link its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(("checkpoints", "cache")):
            continue
        kind = f"link to {os.readlink(path)}" if path.is_symlink() else "folder"
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else kind
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A root with a run and with links that lead out of it, beside a folder that is nobody's business."""
    folder = prepare(tmp_path / "here")
    checkpoint_samples.run(Store(folder / "outside"), "victim")
    (folder / "outside" / "precious.txt").write_text("precious")
    checkpoint_samples.run(Store(folder / "checkpoints"), "mine")
    (folder / "checkpoints" / "link").symlink_to(folder / "outside" / "victim")
    (folder / "checkpoints" / "loop").symlink_to("loop")
    return folder


def test_there_are_enough_names() -> None:
    assert len(NAMES) >= 180


COMMANDS = {
    "rm": lambda name: ["checkpoints", "rm", "--yes", "--", name],
    "train": lambda name: [*train_command("", 2)[:2], f"--name={name}", *train_command("", 2)[4:]],
    "train anew": lambda name: [*train_command("", 2)[:2], f"--name={name}", *train_command("", 2)[4:], "--force"],
    "resume": lambda name: ["train", f"--resume={name}", "--max-steps", "3", "-q"],
    "copy from": lambda name: ["checkpoints", "copy", "--force", "--", name, "checkpoints/copied"],
    "prune": lambda name: ["checkpoints", "prune", "--keep", "1", "--yes"],
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_outside_the_root_is_touched(place, monkeypatch, capsys, command):
    before = print_of(place)
    names = {"prune": [""], "train anew": NAMES[::4]}.get(command, NAMES)
    for name in names:
        if "\0" in name:
            continue  # which no command line can hold
        code, said = run(place, COMMANDS[command](name), monkeypatch, capsys)
        assert "Traceback" not in said, (name, said)
        assert code in (0, 2, 3, 4, 6), (name, said)
        assert said.count("\n") < 12, (name, said)
        assert not any(character < " " and character != "\n" for character in said), (name, said)
        assert print_of(place) == before, name
    assert (place / "outside" / "victim" / MODEL).exists()


def test_a_folder_with_a_persons_own_files_is_never_removed(place, monkeypatch, capsys):
    own = place / "checkpoints" / "mine" / "notes.txt"
    own.write_text("mine")
    for words in (COMMANDS["rm"]("mine"), COMMANDS["train anew"]("mine"), COMMANDS["prune"]("")):
        run(place, words, monkeypatch, capsys)
        assert own.read_text() == "mine"
    assert (place / "checkpoints" / "mine" / MODEL).exists()
