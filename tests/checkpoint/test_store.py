"""The folder of runs: names that stay in it, numbers two processes cannot share, removal that cannot escape it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import filelock
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.names import clean_name, name_fault
from charlstm.checkpoint.references import find_model, find_resumable
from charlstm.checkpoint.run import LOCK, METRICS, MODEL, RESUME
from charlstm.checkpoint.store import Store
from charlstm.errors import NotFoundError, StorageError, UsageError
from tests.checkpoint_samples import run_folder

CHECKOUT = Path(__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="links and permissions of POSIX")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "checkpoints")


# Names


@pytest.mark.parametrize(
    "name", ["a", "english-1", "My run", "v1.2_b", "Über", "日本語", "हिन्दी", "x" * 100, "console", "²"]
)
def test_allowed_names(store: Store, name: str) -> None:
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
def test_names_that_are_not_allowed(store: Store, name: str) -> None:
    for call in (store.folder, lambda name: store.create(name, "", True), store.remove):
        with pytest.raises(UsageError) as caught:
            call(name)
        assert "\n" not in str(caught.value)
    assert not store.root.exists()


@given(st.text(st.characters(), max_size=150))
def test_any_text_becomes_the_beginning_of_an_allowed_name(text: str) -> None:
    assert name_fault(f"{clean_name(text)}-123456789") is None
    text = unicodedata.normalize("NFC", text)
    if name_fault(text) is None and len(text.encode()) <= 90:
        assert clean_name(text).rstrip("-").replace("_", "-") == text.rstrip(".- ").replace("_", "-")


@pytest.mark.parametrize(("text", "name"), [("books-1", "books_1"), ("a-b-12", "a-b_12"), ("b2", "b2"), ("-7", "7")])
def test_a_text_that_is_named_like_a_run_does_not_make_a_run_of_a_run(text: str, name: str) -> None:
    assert clean_name(text) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_an_allowed_name_never_leads_out_of_the_root(text: str) -> None:
    root = Path("/some/root")
    if name_fault(text) is None:
        assert Path(os.path.normpath(root / text)).parent == root


# Creating


def test_numbers_go_up(store: Store) -> None:
    assert [store.create(None, "english", False).name for _ in range(3)] == ["english-1", "english-2", "english-3"]
    store.remove("english-2")
    assert store.create(None, "english", False).name == "english-4"  # not 2: a number never comes to mean another run
    assert store.create(None, "english-4", False).name == "english_4-1"
    assert store.create(None, "../../etc/passwd", False).parent == store.root
    assert store.create(None, "", False).name == "run-1"


def test_an_existing_run_is_replaced_only_with_force(store: Store) -> None:
    folder = run_folder(store, "mine", MODEL, RESUME, METRICS)
    with pytest.raises(UsageError, match=r"there is a run 'mine' already.*`force`"):
        store.create("mine", "", False)
    assert sorted(os.listdir(folder)) == sorted([METRICS, MODEL, RESUME])
    assert store.create("mine", "", True) == folder
    assert set(os.listdir(folder)) - {".lock"} == {MODEL}  # the old model, until a new one takes its place
    assert store.create("new", "", True).is_dir()


def test_a_letter_may_be_typed_as_one_character_or_as_two(store: Store) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    folder = store.create(decomposed, "", False)
    assert folder.name == composed
    for name in (composed, decomposed):
        assert store.folder(name) == folder
        with pytest.raises(UsageError, match="already"):
            store.create(name, "", False)
    folder.rename(store.root / decomposed)  # as an older version, or another system, spelled it
    assert store.folder(composed).name == decomposed
    store.remove(composed)
    assert store.folder_names() == []
    assert store.create(None, decomposed, False).name == f"{composed}-1"


def test_whether_a_name_is_free_can_be_checked_beforehand(store: Store) -> None:
    store.check_free("mine")
    assert not store.root.exists()  # checking creates nothing
    store.create("mine", "", False)
    for name, words in {"mine": "there is a run 'mine' already", "a/b": "cannot be a run's name"}.items():
        with pytest.raises(UsageError, match=words):
            store.check_free(name)


def test_force_does_not_take_over_what_is_not_a_run(store: Store) -> None:
    folder = run_folder(store, "thesis", "chapter-1.tex", RESUME)
    with pytest.raises(UsageError, match=r"chapter-1\.tex"):
        store.create("thesis", "", True)
    assert sorted(os.listdir(folder)) == ["chapter-1.tex", RESUME]
    (store.root / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="a file, not a run's folder"):
        store.create("file", "", True)


def test_a_root_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"cannot be (created|read)"):
            Store(root).create(None, "english", False)
        with pytest.raises(StorageError, match="cannot be read"):
            Store(root).runs()
    assert Store(tmp_path / "nowhere").runs() == []


CREATOR = """
import sys
import unicodedata
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
    """The names that three processes get which start at the same moment."""
    command = [sys.executable, "-c", CREATOR, str(root), name, str(each)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
    racers = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for racer in racers:
        racer.stdout.readline()
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    return [line for racer in racers for line in racer.communicate()[0].split()]


def test_several_processes_get_different_numbers(tmp_path: Path) -> None:
    names = race(tmp_path, "", 30)
    assert set(names) == {f"english-{number}" for number in range(1, 91)}
    assert len(names) == 90


def test_of_several_processes_one_gets_the_name(tmp_path: Path) -> None:
    assert sorted(race(tmp_path, "mine", 1)) == ["mine", "taken", "taken"]


# Locks

HOLDER = """
import sys
import unicodedata
from pathlib import Path
from charlstm.checkpoint.store import Store
with Store(Path(sys.argv[1])).lock(Path(sys.argv[1]) / sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""

REMOVER = """
import sys
import unicodedata
import filelock
from charlstm.checkpoint.store import Store

release = filelock.FileLock.release

def release_and_wait(lock, force=False):
    release(lock, force)
    if pause:
        print("released", flush=True)
        sys.stdin.readline()

pause = False
store = Store(sys.argv[1])
store.check_removable(sys.argv[2])
filelock.FileLock.release = release_and_wait
store.check_removable = lambda name: store.root / name
pause = True
store.remove(sys.argv[2])
"""


def test_a_run_in_training_is_left_alone(store: Store) -> None:
    folder = run_folder(store, "busy", MODEL, RESUME)
    command = [sys.executable, "-c", HOLDER, str(store.root), "busy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for call in (
            lambda: store.lock(folder).__enter__(),
            lambda: store.remove("busy"),
            lambda: store.check_removable("busy"),
            lambda: store.create("busy", "", True),
        ):
            with pytest.raises(UsageError, match="another charlstm is training this run"):
                call()
        assert set(os.listdir(folder)) == {MODEL, RESUME, ".lock"}
        holder.kill()
    with store.lock(folder):  # a killed process holds no lock
        pass
    store.remove("busy")
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_run_being_removed_cannot_be_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, removed = run_folder(store, "run", MODEL), []

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
    folder = run_folder(store, "run")
    for _ in range(2):
        with store.lock(folder), pytest.raises(UsageError), store.lock(folder):
            pass
    with pytest.raises(NotFoundError, match="no such folder"), store.lock(store.root / "nowhere"):
        pass
    assert os.listdir(store.root) == ["run"]


@posix
def test_the_lock_is_removed_while_it_is_held(store: Store) -> None:
    # It was released first: another process could take the lock that was unlinked next, and a third one a new one.
    folder = run_folder(store, "gone", MODEL)
    command = [sys.executable, "-c", REMOVER, str(store.root), "gone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT) as remover:
        assert remover.stdout is not None
        assert remover.stdout.readline() == b"released\n"
        with pytest.raises(NotFoundError, match="no such folder"), store.lock(folder):
            pass
        remover.communicate(b"\n")
    assert remover.returncode == 0
    assert not folder.exists()


@posix
def test_a_lock_whose_run_was_removed_meanwhile_is_not_granted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(store, "gone")
    acquire = filelock.FileLock.acquire

    def acquire_too_late(lock: filelock.FileLock, *args: object, **settings: object) -> None:
        acquire(lock, *args, **settings)  # type: ignore[arg-type]
        (folder / ".lock").unlink()
        folder.rmdir()

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire_too_late)
    with pytest.raises(NotFoundError, match="just removed"), store.lock(folder):
        pytest.fail("nobody may train here")


# Listing


def test_runs_are_listed_newest_first_among_other_files(store: Store, tmp_path: Path) -> None:
    for name, when in {"b": 3_000, "a": 3_000, "c": 5_000}.items():
        run_folder(store, name, MODEL, modified=when)
    run_folder(store, "starts", RESUME, ".model.safetensors.1.01234567.tmp")
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
    assert find_model(store, "by hand!") == store.root / "by hand!" / MODEL
    store.remove("by hand!")
    assert not (store.root / "by hand!").exists()


# Removal


def test_a_run_is_removed_with_all_its_files(store: Store) -> None:
    run_folder(store, "gone", MODEL, RESUME, METRICS, ".lock", ".resume.safetensors.123.01234567.tmp")
    run_folder(store, "empty")
    run_folder(store, "kept", MODEL)
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
def test_of_a_link_only_the_link_is_removed(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / MODEL).write_bytes(b"precious")
    store.root.mkdir()
    (store.root / "link").symlink_to(outside, target_is_directory=True)
    (store.root / "broken").symlink_to(tmp_path / "nowhere")
    assert [entry.name for entry in store.runs()] == ["link"]
    store.remove("link")
    store.remove("broken")
    run_folder(store, "run")
    (store.root / "run" / MODEL).symlink_to(outside / MODEL)
    store.remove("run")
    assert os.listdir(store.root) == []
    assert (outside / MODEL).read_bytes() == b"precious"


@posix
def test_a_new_run_of_a_links_name_takes_the_links_place(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (MODEL, RESUME, METRICS):
        (outside / name).write_bytes(b"precious")
    store.root.mkdir()
    (store.root / "link").symlink_to(outside, target_is_directory=True)
    for refused in (lambda: store.can_resume("link"), lambda: find_resumable(store, "link")):
        with pytest.raises(UsageError, match=f"is a link to {outside}"):
            refused()
    with pytest.raises(NotFoundError, match="no run to resume"):
        find_resumable(store, "latest")
    assert find_resumable(store, str(outside)) == outside
    folder = store.create("link", "", force=True)
    assert not folder.is_symlink()
    assert os.listdir(folder) == []
    assert {(outside / name).read_bytes() for name in (MODEL, RESUME, METRICS)} == {b"precious"}


def test_a_folder_that_no_run_may_replace_is_named_at_once(store: Store) -> None:
    (store.root / "mine" / METRICS).mkdir(parents=True)
    for force in (False, True):
        with pytest.raises(UsageError, match=f"holds '{METRICS}', which is not a file of a run"):
            store.create("mine", "", force)


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO, errno.ENOSYS, errno.EACCES])
def test_a_disk_without_locks_is_told_as_such_and_leaves_no_folder_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    import fcntl

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    folder = store.create("new", "")
    (folder / LOCK).touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="cannot be locked"), store.lock(folder):
        pass
    store.remove_if_unsaved(folder)
    assert not folder.exists()


@posix
def test_the_root_may_be_a_link(store: Store, tmp_path: Path) -> None:
    run_folder(store, "run", MODEL)
    (tmp_path / "link").symlink_to(store.root, target_is_directory=True)
    Store(tmp_path / "link").remove("run")
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("other", ["notes.txt", "model.safetensors.bak", ".hidden"])
def test_files_that_are_not_a_runs_are_never_removed(store: Store, other: str) -> None:
    folder = run_folder(store, "mixed", MODEL, other)
    with pytest.raises(UsageError, match="not a file of a run"):
        store.remove("mixed")
    assert sorted(os.listdir(folder)) == sorted([MODEL, other])


def test_a_folder_with_a_files_name_is_not_entered(store: Store) -> None:
    folder = run_folder(store, "odd", MODEL)
    (folder / METRICS).mkdir()
    (folder / METRICS / "precious").write_bytes(b"")
    with pytest.raises(UsageError):
        store.remove("odd")
    assert (folder / METRICS / "precious").exists()


@posix
def test_a_folder_without_permission_is_an_error(store: Store) -> None:
    folder = run_folder(store, "closed", MODEL)
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("root may remove anything")
    try:
        with pytest.raises(StorageError, match="no permission"):
            store.remove("closed")
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("name", ["latest", "Starter", "auto"])
def test_reserved_words_are_not_names(name: str) -> None:
    assert "reserved word" in (name_fault(name) or "")
