"""The folder of runs: names that stay inside it, numbers two terminals cannot share, and removal that cannot escape."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.names import cleaned, name_fault
from charlstm.checkpoint.store import METRICS, MODEL, RESUME, Store
from charlstm.errors import NotFoundError, StorageError, UsageError
from tests.checkpoint_samples import run

CHECKOUT = Path(__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="links and permissions of POSIX")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    starter = tmp_path / "shipped" / "starter"
    starter.mkdir(parents=True)
    (starter / MODEL).write_bytes(b"the starter")
    monkeypatch.setattr("charlstm.checkpoint.store.starter_folder", lambda: starter)
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "checkpoints")


def begin(store: Store, name: str, *files: str, modified: float | None = None) -> Path:
    """A run's folder with files of these names in it."""
    folder = store.create(name, "", False)
    for file in files:
        (folder / file).write_bytes(b"x")
        if modified is not None:
            os.utime(folder / file, (modified, modified))
    return folder


# Names


@pytest.mark.parametrize(
    "name", ["a", "english-1", "My run", "v1.2_b", "Über", "日本語", "हिन्दी", "x" * 100, "console", "²"]
)
def test_names_that_can_be(store: Store, name: str) -> None:
    assert store.folder(name) == store.root / name
    assert store.create(name, "", False).is_dir()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "...",
            ".hidden",
            "-rf",
            " a",
            "a ",
            "a.",
            "a/b",
            "a\\b",
            "/etc",
            "../a",
            "a\0",
            "a\n",
            "a\x1b[1m",
        ),
        *("C:", "a*", "a?", "a|b", "~", "$HOME", "a\u202eb", "😀", "x" * 101, "日" * 90, "\ud800"),
        *("con", "NUL", "aux.txt", "Com1", "lpt9.a.b", "prn .x", "latest", "starter", "Latest", "STARTER"),
    ],
)
def test_names_that_cannot_be(store: Store, name: str) -> None:
    for ask in (store.folder, lambda name: store.create(name, "", True), store.remove):
        with pytest.raises(UsageError) as caught:
            ask(name)
        assert "\n" not in str(caught.value)
    assert not store.root.exists()


@given(st.text(st.characters(), max_size=150))
def test_any_text_becomes_the_beginning_of_a_name(text: str) -> None:
    assert name_fault(f"{cleaned(text)}-123456789") is None
    if name_fault(text) is None and len(text.encode()) <= 90:
        assert cleaned(text).rstrip("-") == text.rstrip(".- ")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_name_that_can_be_never_leaves_the_root(text: str) -> None:
    root = Path("/some/root")
    if name_fault(text) is None:
        assert Path(os.path.normpath(root / text)).parent == root


# Making


def test_numbers_go_up(store: Store) -> None:
    assert [store.create(None, "english", False).name for _ in range(3)] == ["english-1", "english-2", "english-3"]
    store.remove("english-2")
    assert store.create(None, "english", False).name == "english-4"  # not 2: a number never comes to mean another run
    assert store.create(None, "english-4", False).name == "english-4-1"
    assert store.create(None, "../../etc/passwd", False).parent == store.root
    assert store.create(None, "", False).name == "run-1"


def test_an_existing_run_is_never_overwritten_unasked(store: Store) -> None:
    folder = begin(store, "mine", MODEL, RESUME, METRICS)
    with pytest.raises(UsageError, match=r"there is a run 'mine' already.*--force"):
        store.create("mine", "", False)
    assert sorted(os.listdir(folder)) == sorted([METRICS, MODEL, RESUME])
    assert store.create("mine", "", True) == folder
    assert set(os.listdir(folder)) - {".lock"} == {MODEL}  # the old model, until a new one takes its place
    assert store.create("new", "", True).is_dir()


def test_a_name_can_be_asked_for_beforehand(store: Store) -> None:
    store.check_free("mine")
    assert not store.root.exists()  # asking makes nothing
    store.create("mine", "", False)
    for name, words in {"mine": "there is a run 'mine' already", "a/b": "cannot be a run's name"}.items():
        with pytest.raises(UsageError, match=words):
            store.check_free(name)


def test_force_does_not_take_over_what_is_no_run(store: Store) -> None:
    folder = begin(store, "thesis", "chapter-1.tex", RESUME)
    with pytest.raises(UsageError, match=r"chapter-1\.tex"):
        store.create("thesis", "", True)
    assert sorted(os.listdir(folder)) == ["chapter-1.tex", RESUME]
    (store.root / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="a file, not a run's folder"):
        store.create("file", "", True)


def test_a_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"cannot be (made|read)"):
            Store(root).create(None, "english", False)
        with pytest.raises(StorageError, match="cannot be read"):
            Store(root).runs()
    assert Store(tmp_path / "nowhere").runs() == []


CREATOR = """
import sys
from pathlib import Path
from charlstm.checkpoint.store import Store
from charlstm.errors import UsageError
name = sys.argv[2] or None
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    try:
        print(Store(Path(sys.argv[1])).create(name, "english", False).name)
    except UsageError:
        print("taken")
"""


def race(root: Path, name: str, each: int) -> list[str]:
    """What three processes that begin at the same moment get."""
    command = [sys.executable, "-c", CREATOR, str(root), name, str(each)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
    racers = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for racer in racers:
        racer.stdout.readline()
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    return [line for racer in racers for line in racer.communicate()[0].split()]


def test_two_terminals_get_different_numbers(tmp_path: Path) -> None:
    names = race(tmp_path, "", 30)
    assert set(names) == {f"english-{number}" for number in range(1, 91)}
    assert len(names) == 90


def test_of_two_terminals_one_gets_the_name(tmp_path: Path) -> None:
    assert sorted(race(tmp_path, "mine", 1)) == ["mine", "taken", "taken"]


# Locks

HOLDER = """
import sys
from pathlib import Path
from charlstm.checkpoint.store import Store
with Store(Path(sys.argv[1])).lock(Path(sys.argv[1]) / sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_run_in_training_is_left_alone(store: Store) -> None:
    folder = begin(store, "busy", MODEL, RESUME)
    command = [sys.executable, "-c", HOLDER, str(store.root), "busy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for ask in (
            lambda: store.lock(folder).__enter__(),
            lambda: store.remove("busy"),
            lambda: store.check_removable("busy"),
            lambda: store.create("busy", "", True),
        ):
            with pytest.raises(UsageError, match="another charlstm is training this run"):
                ask()
        assert set(os.listdir(folder)) == {MODEL, RESUME, ".lock"}
        holder.kill()
    with store.lock(folder):  # a killed process holds nothing
        pass
    store.remove("busy")
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_run_being_removed_cannot_be_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, removed = begin(store, "run", MODEL), []

    def unlink(file: Path, missing_ok: bool = False) -> None:
        with pytest.raises(UsageError, match="another charlstm"), store.lock(folder):
            pass
        os.unlink(file)
        removed.append(file.name)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        store.remove("run")
    assert removed == [MODEL, ".lock"]
    assert not folder.exists()


def test_a_lock_ends_with_its_block(store: Store) -> None:
    folder = begin(store, "run")
    for _ in range(2):
        with store.lock(folder), pytest.raises(UsageError), store.lock(folder):
            pass
    with pytest.raises(NotFoundError, match="no such folder"), store.lock(store.root / "nowhere"):
        pass
    assert os.listdir(store.root) == ["run"]


# Finding


def test_every_way_to_name_a_model(store: Store, tmp_path: Path) -> None:
    old = begin(store, "old", MODEL, modified=1_000) / MODEL
    new = begin(store, "new run", MODEL, modified=2_000) / MODEL
    begin(store, "newer but without a model", RESUME)
    starter = tmp_path / "shipped" / "starter" / MODEL
    (tmp_path / "loose.bin").write_bytes(b"")
    for reference, path in {
        None: new,
        "latest": new,
        "old": old,
        "new run": new,
        "starter": starter,
        str(store.root / "old"): old,
        "checkpoints/old/": Path("checkpoints/old") / MODEL,
        str(old): old,
        "shipped/starter": Path("shipped/starter") / MODEL,
        "loose.bin": Path("loose.bin"),
    }.items():
        assert store.find(reference) == path
        assert store.find(reference).is_file()


def test_a_runs_name_wins_over_a_file_here(store: Store, tmp_path: Path) -> None:
    model = begin(store, "play", MODEL) / MODEL
    (tmp_path / "play").write_bytes(b"")
    assert store.find("play") == model
    assert store.find("./play") == Path("play")


def test_without_runs_the_starter_writes(store: Store, tmp_path: Path) -> None:
    starter = tmp_path / "shipped" / "starter" / MODEL
    assert store.find(None) == starter
    begin(store, "begun")
    assert store.find(None) == starter
    with pytest.raises(NotFoundError, match=r"no trained runs yet.*charlstm train"):
        store.find("latest")
    starter.unlink()
    for reference in (None, "starter"):
        with pytest.raises(NotFoundError, match="no starter"):
            store.find(reference)


def test_what_is_not_there_is_told_with_names_that_are_near(store: Store) -> None:
    for name in ("english-1", "english-2", "Shakespeare", "zzz"):
        begin(store, name, MODEL)
    for reference, near in {"englsh-1": "english-1", "shakespear": "Shakespeare", "ENGLISH-2": "english-2"}.items():
        with pytest.raises(NotFoundError, match=f"Did you mean .*{near}.*charlstm checkpoints list") as caught:
            store.find(reference)
        assert "zzz" not in str(caught.value)
    for reference in ("", "no/such/folder", "..\0", "x" * 5000, "."):
        with pytest.raises(NotFoundError):
            store.find(reference)


def test_a_run_without_a_model_says_what_to_do(store: Store) -> None:
    begin(store, "begun", RESUME)
    with pytest.raises(NotFoundError, match=r"no model\.safetensors in it.*--resume"):
        store.find("begun")


def test_what_can_go_on(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no run to go on with.*charlstm train"):
        store.resumable("latest")
    for name, when in {"first": 1_000, "second": 3_000, "third": 2_000}.items():
        begin(store, name, RESUME, modified=when)
    begin(store, "copied", MODEL)
    assert store.resumable("latest") == store.root / "second"
    assert store.resumable("first") == store.root / "first"
    assert store.resumable("checkpoints/third") == Path("checkpoints/third")
    with pytest.raises(NotFoundError, match=r"no resume\.safetensors in it"):
        store.resumable("copied")
    with pytest.raises(NotFoundError, match="Did you mean third"):
        store.resumable("thrid")


def test_runs_are_listed_newest_first_whatever_lies_about(store: Store, tmp_path: Path) -> None:
    for name, when in {"b": 3_000, "a": 3_000, "c": 5_000}.items():
        begin(store, name, MODEL, modified=when)
    begin(store, "starts", RESUME, ".model.safetensors.1.01234567.tmp")
    (store.root / "by hand!").mkdir()
    (store.root / "by hand!" / MODEL).write_bytes(b"broken")
    os.utime(store.root / "by hand!" / MODEL, (1_000, 1_000))
    (store.root / "starter").mkdir()
    (store.root / "starter" / MODEL).write_bytes(b"")
    (store.root / "plots").mkdir()
    (store.root / "plots" / "loss.png").write_bytes(b"")
    (store.root / ".cache").mkdir()
    (store.root / "note.txt").write_bytes(b"")
    runs = store.runs()
    assert [(entry.name, entry.has_model) for entry in runs] == [
        ("starts", False),
        ("c", True),
        ("a", True),
        ("b", True),
        ("by hand!", True),
    ]
    assert runs[1].modified == 5_000
    assert store.find("by hand!") == store.root / "by hand!" / MODEL
    store.remove("by hand!")
    assert not (store.root / "by hand!").exists()


# Removal


def test_a_run_goes_with_all_its_files(store: Store) -> None:
    begin(store, "gone", MODEL, RESUME, METRICS, ".lock", ".resume.safetensors.123.01234567.tmp")
    begin(store, "empty")
    begin(store, "kept", MODEL)
    store.remove("gone")
    store.remove("empty")
    assert os.listdir(store.root) == ["kept"]
    with pytest.raises(NotFoundError, match="no run"):
        store.remove("gone")


@pytest.mark.parametrize("escape", ["..", ".", "../outside", "checkpoints/../../outside", "", "starter", "latest"])
def test_removal_never_leaves_the_root(store: Store, tmp_path: Path, escape: str) -> None:
    outside = tmp_path / "outside"
    for folder in (outside, store.root / "starter", store.root / "inner" / "nested"):
        folder.mkdir(parents=True)
        (folder / MODEL).write_bytes(b"precious")
    for name in (escape, str(outside), "inner/nested", "inner"):
        with pytest.raises((UsageError, NotFoundError)):
            store.remove(name)
    for folder in (outside, store.root / "starter", store.root / "inner" / "nested"):
        assert (folder / MODEL).read_bytes() == b"precious"


@posix
def test_of_a_link_only_the_link_goes(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / MODEL).write_bytes(b"precious")
    store.root.mkdir()
    (store.root / "link").symlink_to(outside, target_is_directory=True)
    (store.root / "broken").symlink_to(tmp_path / "nowhere")
    assert [entry.name for entry in store.runs()] == ["link"]
    store.remove("link")
    store.remove("broken")
    begin(store, "run")
    (store.root / "run" / MODEL).symlink_to(outside / MODEL)
    store.remove("run")
    assert os.listdir(store.root) == []
    assert (outside / MODEL).read_bytes() == b"precious"


@posix
def test_a_root_that_is_a_link_is_a_root(store: Store, tmp_path: Path) -> None:
    begin(store, "run", MODEL)
    (tmp_path / "link").symlink_to(store.root, target_is_directory=True)
    Store(tmp_path / "link").remove("run")
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("other", ["notes.txt", "model.safetensors.bak", ".hidden"])
def test_what_no_training_wrote_is_never_removed(store: Store, other: str) -> None:
    folder = begin(store, "mixed", MODEL, other)
    with pytest.raises(UsageError, match="which no training wrote"):
        store.remove("mixed")
    assert sorted(os.listdir(folder)) == sorted([MODEL, other])


def test_a_folder_with_a_files_name_is_not_walked_into(store: Store) -> None:
    folder = begin(store, "odd", MODEL)
    (folder / METRICS).mkdir()
    (folder / METRICS / "precious").write_bytes(b"")
    with pytest.raises(UsageError):
        store.remove("odd")
    assert (folder / METRICS / "precious").exists()


@posix
def test_a_closed_folder_is_told(store: Store) -> None:
    folder = begin(store, "closed", MODEL)
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("root may remove anything")
    try:
        with pytest.raises(StorageError, match="no permission"):
            store.remove("closed")
    finally:
        folder.chmod(0o700)


def test_a_real_run_is_found(store: Store) -> None:
    path = run(store, "real", modified=9_000)
    assert store.runs()[0].model == store.find("real") == path


@pytest.mark.parametrize("name", ["latest", "Starter", "auto"])
def test_a_word_with_a_meaning_is_no_name(name: str) -> None:
    assert "meaning" in (name_fault(name) or "")
