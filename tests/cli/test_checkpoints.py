"""``charlstm checkpoints`` as a person uses it: tables wide and narrow, JSON, questions, exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from charlstm.checkpoint.format import read, read_header, write
from charlstm.checkpoint.provenance import CorpusProvenance
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.run import MODEL, RESUME, RunEntry
from charlstm.checkpoint.store import Store
from charlstm.checkpoint.summary import Summary, summarise
from charlstm.checkpoint.summary import compare as compare_headers
from charlstm.cli.commands.checkpoints import app
from charlstm.cli.views import checkpoints as tables
from charlstm.errors import CharlstmError, CheckpointError, NotFoundError, UsageError
from tests.checkpoint_samples import metadata, model, run, signed

CHECKOUT = Path(__file__).parents[2]
EVIL = "\x1b[2J\x9b31m\u202ered[bold]"
BITS = {"english-1": 2.5, "english-2": 2.1, "english-3": 2.3}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Three valid runs, the third the newest, one that is broken and one without a model."""
    monkeypatch.setenv("CHARLSTM_CHECKPOINTS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "runs")
    for number, (name, bits) in enumerate(BITS.items()):
        corpus = {"name": "english", "sha256": "5ea"}
        run(store, name, modified=1000.0 + number, bits_per_char=bits, hidden=4 + number, note=EVIL, corpus=corpus)
    cut = run(store, "cut", modified=900)
    os.truncate(cut, 300)
    os.utime(cut, (900, 900))
    (store.create("begun", "", False) / RESUME).write_bytes(b"")
    return store


def ask(*arguments: str, code: int = 0, **settings: Any) -> Any:
    """Run a command; its errors are raised as the root of the command line would receive them."""
    result = CliRunner().invoke(app, list(arguments), **settings)
    if isinstance(result.exception, CharlstmError):
        raise result.exception
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


# list


def test_list_shows_every_run_newest_first(store: Store) -> None:
    lines = ask("list").stdout.splitlines()
    columns = ["run", "shape", "cell", "params", "bits/char", "steps", "size", "age", "text"]
    assert re.split(r" {2,}", lines[0].strip()) == columns
    rows = {line.split()[0]: line.split() for line in lines[2:] if line.strip()}
    assert list(rows)[:5] == ["begun", "english-3", "english-2", "english-1", "cut"]
    parameters = str(read_header(find_model(store, "english-2")).parameters)
    assert rows["english-2"][1:6] == ["1×5", "lstm", parameters, "2.100", "1,200"]
    assert rows["english-2"][-1] == "english"
    assert rows["begun"][1] == "new"
    assert rows["cut"][1] == "broken"
    assert "cut: cut short after 300 bytes" in lines


def test_list_as_json_has_the_same_content(store: Store) -> None:
    runs = json.loads(ask("list", "--json").stdout)
    assert [each["name"] for each in runs] == ["begun", "english-3", "english-2", "english-1", "cut"]
    assert runs[1]["modified"] == "1970-01-01T00:16:42+00:00"
    assert runs[1]["size"] == find_model(store, "english-3").stat().st_size
    assert [each["bits_per_char"] for each in runs[1:4]] == [2.3, 2.1, 2.5]
    assert runs[1]["parameters"] == sum(tensor.size for tensor in read(find_model(store, "english-3")).tensors.values())
    assert [each["fault"] for each in runs] == ["no model yet", None, None, None, "cut short after 300 bytes"]


def test_list_does_not_read_the_tensors(store: Store) -> None:
    # A hole of 3 GB in place of the weights: hashing them would take seconds, reading the header takes none.
    path = store.create("huge", "", False) / MODEL
    header = {"__metadata__": metadata(), "w": {"dtype": "U8", "shape": [3 << 30], "data_offsets": [0, 3 << 30]}}
    path.write_bytes(signed(header))
    os.truncate(path, path.stat().st_size + (3 << 30))
    assert re.search(r"huge .*3\.22 G .*3\.22 GB", ask("list").stdout)


@pytest.mark.parametrize("arguments", [["list"], ["verify"]])
def test_an_empty_store_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    result = ask(*arguments, "--root", str(tmp_path / "none"))
    assert result.stdout == ""
    assert "no runs in" in result.stderr
    assert "charlstm train" in result.stderr
    assert json.loads(ask(*arguments, "--json", "--root", str(tmp_path / "none")).stdout) == []


@pytest.mark.parametrize("provenance", [{"step": "many", "val_loss": [], "bits_per_char": True}, {"step": -1}, {}])
@pytest.mark.parametrize("settings", [{}, {"model": 3}, {"model": {"num_layers": "x", "hidden_size": 10**400}}])
def test_no_content_of_a_file_stops_a_list(store: Store, provenance: dict[str, Any], settings: dict[str, Any]) -> None:
    path = store.create(f"odd{len(store.runs())}", "", False) / MODEL
    odd = SimpleNamespace(to_plain=lambda: settings)
    about = SimpleNamespace(to_plain=lambda: provenance)
    write(path, replace(model(), provenance=about, run=odd, tensors={}, tokenizer={"alphabet": 7}))
    for arguments in (["list"], ["list", "--json"]):
        assert "odd" in ask(*arguments).stdout
    for arguments in (["show", str(path)], ["compare", str(path), "english-1"]):
        with pytest.raises(CheckpointError, match="settings that cannot be used"):
            ask(*arguments)


@pytest.mark.parametrize("depth", [15, 450])
def test_a_value_nested_deep_is_shown_or_refused(store: Store, depth: int) -> None:
    deep: Any = []
    for _ in range(depth):
        deep = {"a": [deep]}
    write(Path("deep.safetensors"), replace(model(), tokenizer={**model().tokenizer, "more": deep}))
    for arguments in (["show", "deep.safetensors"], ["show", "deep.safetensors", "--json"], ["list"]):
        assert ask(*arguments).stdout


def test_a_note_of_megabytes_is_cut(store: Store) -> None:
    write(Path("long.safetensors"), model(note="x" * 5_000_000))
    shown = ask("show", "long.safetensors").stdout
    assert "5,000,000 characters" in shown.replace("\n", "")
    assert len(shown) < 100_000


# widths and terminals


def drawn(width: int, draw: Any, *arguments: Any, colour: bool = False) -> str:
    file = io.StringIO()
    draw(Console(file=file, width=width, highlight=False, force_terminal=colour, no_color=not colour), *arguments)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_everything_fits_the_terminal_and_nothing_is_lost(store: Store, width: int) -> None:
    summaries = [summarise(entry) for entry in store.runs()]
    wide = Summary("x" * 100, "", 0.0, 10**12, "12×2048", 10**9, "float32", 1.0, 1.234, 99_999_999)
    headers = [read_header(find_model(store, name)) for name in ("english-1", "english-2")]
    for text, words in (
        (drawn(width, tables.draw_list, [*summaries, wide]), ["english-1", "2.500", "broken", "12×2048", "x" * 9]),
        (drawn(width, tables.draw_show, tables.show_rows(headers[0], "/a/b")), ["/a/b", "val loss", "1.5000"]),
        (
            drawn(width, tables.draw_comparison, compare_headers(*headers), "english-1", "english-2"),
            ["2.5000", "2.1000"],
        ),
    ):
        for line in text.splitlines():
            assert len(line.rstrip()) <= width or line.startswith("cut: ")  # a path or reason is to be copied
        for word in words:
            assert word in text


def test_no_colour_where_it_is_switched_off(store: Store) -> None:
    summaries = [summarise(entry) for entry in store.runs()]
    assert "\x1b" not in drawn(80, tables.draw_list, summaries)
    assert "\x1b[1;31m" in drawn(80, tables.draw_list, summaries, colour=True)
    environment = {**os.environ, "NO_COLOR": "1", "CHARLSTM_CHECKPOINTS": str(store.root)}
    code = "from charlstm.cli.commands.checkpoints import app; app()"
    listed = subprocess.run(
        [sys.executable, "-c", code, "list"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
    )
    assert "broken" in listed.stdout
    assert "\x1b" not in listed.stdout


def test_control_characters_and_markup_in_a_file_are_shown_not_obeyed(store: Store) -> None:
    folder = store.root / "folder \x1b[2J[red]"
    folder.mkdir()
    write(folder / MODEL, model(command=EVIL, note=EVIL, corpus=CorpusProvenance(name=EVIL)))
    for arguments in (["list"], ["show", str(folder)], ["verify", str(folder)], ["compare", "english-1", str(folder)]):
        for text in (ask(*arguments).stdout, ask(*arguments, "--json").stdout if arguments != ["list"] else ""):
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[bold]" in ask("show", str(folder)).stdout
    assert "[2J[red]" in ask("list").stdout


# show, compare, verify


def test_show_has_everything_with_units(store: Store) -> None:
    text = ask("show", "english-1").stdout
    for words in (
        "1×4, ",
        "float32",
        "1.5000 nats/token",
        "bits/char",
        "2.5000",
        "1,200",
        "1 min 1 s",
        r"7 characters",
        "\\n",
    ):
        assert words in text
    assert read_header(find_model(store, "english-1")).sha256 in text
    assert str(find_model(store, "english-3")) in ask("show").stdout  # the newest
    shown = json.loads(ask("show", "english-1", "--json").stdout)
    assert shown["config"] == json.loads(json.dumps(model().run.to_plain()))
    assert shown["tokenizer"] == model().tokenizer
    assert shown["tensors"]["head.bias"] == ["F32", [7]]
    with pytest.raises(NotFoundError, match="english-1"):
        ask("show", "englsh-1")


def test_compare_has_settings_results_and_alphabet(store: Store) -> None:
    write(Path("other.safetensors"), model("\n abcdx", hidden=4, val_loss=None))
    found = json.loads(ask("compare", "english-2", "other.safetensors", "--json").stdout)
    assert found["settings"] == {"model.hidden_size": [5, 4]}
    assert found["results"]["bits_per_char"] == [2.1, 2.164]
    assert found["results"]["val_loss"] == [1.5, None]
    assert found["alphabet"] == ["é", "x"]
    text = ask("compare", "english-2", "other.safetensors").stdout
    assert "Only english-2 has: é" in text
    assert "Only other.safetensors has: x" in text
    assert "The files are identical." in ask("compare", "english-1", "runs/english-1").stdout
    every_byte = model("".join(map(chr, range(256))))
    write(Path("bytes.safetensors"), replace(every_byte, tokenizer={"kind": "byte"}))
    assert "The tokenizers are different." in ask("compare", "english-1", "bytes.safetensors").stdout


@pytest.mark.parametrize(
    "lie",
    [
        {"tokenizer": {"kind": "byte"}},
        {"tokenizer": {}},
        {"tokenizer": {"kind": "char", "alphabet": "\n abcd", "unknown": 1}},
        {"tokenizer": {"kind": "char", "alphabet": "aaaaaaa", "unknown": False}},
        {"tensors": {}},
    ],
)
def test_a_model_that_lies_is_refused_by_every_command(store: Store, lie: dict[str, Any]) -> None:
    write(Path("liar.safetensors"), replace(model(), **lie))
    for arguments in (["show"], ["verify"], ["compare", "english-1"], ["copy"]):
        command, *others = arguments
        target = ["new"] if command == "copy" else []
        if command == "verify":
            assert "bad" in ask(command, "liar.safetensors", code=3).stdout
            continue
        with pytest.raises(CheckpointError):
            ask(command, *others, "liar.safetensors", *target)
    assert not (store.root / "new").exists()


def test_verify_names_each_bad_file(store: Store) -> None:
    data = bytearray(find_model(store, "english-2").read_bytes())
    data[-1] ^= 1
    find_model(store, "english-2").write_bytes(data)
    (store.root / "english-3" / RESUME).write_bytes(b"half")
    result = ask("verify", code=3)
    verdicts = {tuple(line.split()[:2]) for line in result.stdout.splitlines()}
    assert verdicts == {
        ("ok", str(store.root / "english-1" / MODEL)),
        ("bad", f"{store.root / 'english-2' / MODEL}:"),
        ("ok", str(store.root / "english-3" / MODEL)),
        ("bad", f"{store.root / 'english-3' / RESUME}:"),
        ("bad", f"{store.root / 'begun' / RESUME}:"),
        ("bad", f"{store.root / 'cut' / MODEL}:"),
    }
    assert result.stderr.startswith("4 of 6 files cannot be used: ")
    found = json.loads(ask("verify", "english-1", "cut", "--json", code=3).stdout)
    assert [each["ok"] for each in found] == [True, False]
    assert ask("verify", "english-1").stdout.split() == ["ok", str(find_model(store, "english-1"))]
    with pytest.raises(NotFoundError):
        ask("verify", "english-1", "nothing")


# copy, rm, prune


def test_copy_writes_a_smaller_valid_file(store: Store) -> None:
    result = ask("copy", "english-1", "half.safetensors", "--dtype", "float16", "--note", "to share")
    assert "half.safetensors" in result.stderr
    assert read(Path("half.safetensors")).provenance.note == "to share"
    assert ask("verify", "half.safetensors").stdout.startswith("ok")
    with pytest.raises(UsageError, match="`force`"):
        ask("copy", "english-1", "half.safetensors")
    ask("copy", "english-1", "half.safetensors", "--force")
    ask("copy", "english-1", "x", "--dtype", "float8", code=2)


def test_rm_asks_only_on_a_terminal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--yes") as caught:
        ask("rm", "english-1")
    assert caught.value.exit_code == 2
    monkeypatch.setattr("charlstm.cli.commands.checkpoints.is_terminal", lambda stream: True)
    for answer in ("n\n", "\n"):
        assert "nothing removed" in ask("rm", "english-1", input=answer).stderr
    assert (store.root / "english-1").exists()
    assert "Remove english-1, cut" in ask("rm", "english-1", "cut", "english-1", input="y\n").stderr
    assert {entry.name for entry in store.runs()} == {"english-2", "english-3", "begun"}


def test_rm_removes_all_or_none(store: Store) -> None:
    for wrong, error in (
        ("nothing", NotFoundError),
        ("../runs/cut", UsageError),
        (str(store.root / "cut"), UsageError),
    ):
        with pytest.raises(error):
            ask("rm", "english-1", wrong, "--yes")
    assert len(store.runs()) == 5
    assert ask("rm", "english-1", "begun", "-y").stderr.splitlines() == ["removed english-1", "removed begun"]


@pytest.mark.parametrize(
    ("by", "keep", "gone"),
    [
        ("newest", 1, ["english-2", "english-1"]),
        ("newest", 2, ["english-1"]),
        ("val-loss", 1, ["english-3", "english-1"]),
        ("val-loss", 2, ["english-1"]),
        ("newest", 3, []),
    ],
)
def test_prune_keeps_the_newest_or_the_best(store: Store, by: str, keep: int, gone: list[str]) -> None:
    assert ask("prune", "--keep", str(keep), "--by", by, "--dry-run").stdout.split() == gone
    assert len(store.runs()) == 5
    if gone:
        with pytest.raises(UsageError, match="--yes"):
            ask("prune", "--keep", str(keep), "--by", by)
    ask("prune", "--keep", str(keep), "--by", by, "--yes")
    assert {entry.name for entry in store.runs()} == {*BITS, "cut", "begun"} - set(gone)


def test_prune_leaves_what_is_in_training_or_has_other_files(store: Store) -> None:
    (store.root / "english-1" / "notes.txt").write_text("mine")
    with store.lock(store.root / "english-2"):
        result = ask("prune", "--keep", "1", "--yes")
    assert "another charlstm is training this run" in result.stderr
    assert "notes.txt" in result.stderr
    assert len(store.runs()) == 5


def test_prune_does_not_stop_at_a_run_whose_training_begins_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, resumed = Store.check_removable, []

    def check_and_resume(self: Store, name: str) -> Path:
        if resumed:  # `remove` checks again; the first check was the list's
            return check(self, name)
        folder = check(self, name)
        if name == "english-1":
            resumed.append(store.lock(store.root / "english-2"))
            resumed[0].__enter__()
        return folder

    monkeypatch.setattr(Store, "check_removable", check_and_resume)
    result = ask("prune", "--keep", "1", "--yes")
    resumed[0].__exit__(None, None, None)
    assert "english-2: another charlstm is training this run" in result.stderr
    assert "removed english-1" in result.stderr
    assert {entry.name for entry in store.runs()} == {"english-3", "english-2", "cut", "begun"}


def test_prune_keeps_at_least_one(store: Store) -> None:
    ask("prune", "--keep", "0", code=2)


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--yes",)])
def test_prune_says_when_there_is_nothing_to_remove(store: Store, words: tuple[str, ...]) -> None:
    result = ask("prune", "--keep", "9", *words)
    assert (result.stdout, "nothing to remove from" in result.stderr) == ("", True)


# help


def test_every_help_page_has_examples_of_its_command(store: Store) -> None:
    for command in ("list", "show", "verify", "compare", "copy", "rm", "prune"):
        text = ask(command, "--help").stdout
        lines = text[text.index("Examples:") :].splitlines()[1:]
        assert lines
        assert all(line.strip().startswith(f"charlstm checkpoints {command}") for line in lines if line.strip())
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_a_real_terminal_is_asked(store: Store) -> None:
    import pty

    leader, follower = pty.openpty()
    code = "from charlstm.cli.commands.checkpoints import app; app()"
    try:
        with subprocess.Popen(
            [sys.executable, "-c", code, "rm", "english-1"], cwd=CHECKOUT, stdin=follower, stderr=subprocess.PIPE
        ) as process:
            os.write(leader, b"y\n")
            _, said = process.communicate(timeout=60)
    finally:
        os.close(leader)
        os.close(follower)
    assert b"Remove english-1 from" in said
    assert not (store.root / "english-1").exists()


def test_a_run_removed_while_it_is_listed_is_shown_as_missing(store: Store) -> None:
    entry = next(entry for entry in store.runs() if entry.name == "english-1")
    store.remove("english-1")
    assert isinstance(entry, RunEntry)
    assert summarise(entry).fault == "no such file"
