"""Whole files or none, under failures of every kind and with writers really killed; locks between processes."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlstm.errors import StorageError, UsageError
from charlstm.files import check_folder_of, locked, make_folder, storage_error, temporary_for, write_atomically

CHECKOUT = Path(__file__).parent.parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and permissions of POSIX")

# Writes a file of one letter and a given size, over and over: A, B, A, B ...
WRITER = """
import sys
from pathlib import Path
from charlstm.files import write_atomically
path, size = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while True:
    for letter in (b"A", b"B"):
        write_atomically(path, (letter * (size // 8) for _ in range(8)))
"""

# Writes half of a file, reports that, and waits for a line before the other half.
HALFWAY = """
import sys
from pathlib import Path
from charlstm.files import write_atomically
def pieces():
    yield b"x" * 100_000
    print("halfway", flush=True)
    sys.stdin.readline()
    yield b"y" * 100_000
write_atomically(Path(sys.argv[1]), pieces())
"""


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize("data", [b"whole", bytearray(b"whole"), memoryview(b"whole"), [b"wh", b"", b"ole"]])
def test_writes_the_data_and_leaves_nothing_else(tmp_path: Path, data: object) -> None:
    path = tmp_path / "a b ü"
    path.write_bytes(b"older and longer")
    write_atomically(path, data)  # type: ignore[arg-type]
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a b ü"]


def test_a_failure_halfway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def pieces() -> Iterator[bytes]:
        yield b"new" * 100_000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, pieces())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", b"1")
    (tmp_path / "plain").write_bytes(b"1")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"(no space left|quota is used up).*run the same command again") as caught:
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_a_write_cut_off_by_the_system(tmp_path: Path) -> None:
    # A limit on the size of files fails the write itself in the middle, as a full disk does.
    code = """
import resource, signal, sys
from pathlib import Path
from charlstm.files import write_atomically
from charlstm.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    write_atomically(Path(sys.argv[1]), (b"n" * 100_000 for _ in range(5)))
except StorageError as fault:
    print(fault)
"""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert "cannot be written: the file exceeds the size limit" in done.stdout
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write anywhere")
    try:
        with pytest.raises(StorageError, match="no permission"):
            write_atomically(tmp_path / "file", b"new")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.EIO, os.strerror(errno.EIO).lower()),
    ],
)
def test_other_errors_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=words):
        write_atomically(tmp_path / "file", b"new")


def test_impossible_paths(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_bytes(b"")
    for path in (tmp_path / "no" / "file", tmp_path / "folder", tmp_path / "plain" / "file", tmp_path / ("n" * 300)):
        with pytest.raises(StorageError) as caught:
            write_atomically(path, b"new")
        assert str(path) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["folder", "plain"]


def test_an_unknown_error_keeps_the_message_of_the_system() -> None:
    assert str(storage_error(Path("x"), OSError("odd"), "cannot be read")) == "x: cannot be read: odd"


@posix
def test_the_reason_told_is_the_true_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    reasons = {
        tmp_path / "none" / "x": (UsageError, "its folder does not exist. mkdir -p .*none"),
        file / "x": (UsageError, "part of its path is a file, not a folder"),
        file / "more" / "x": (UsageError, "part of its path is a file, not a folder"),
        Path("/dev/null/x"): (UsageError, "part of its path is a file, not a folder"),
        tmp_path / ("a" * 300) / "x": (StorageError, "the name is too long"),
    }
    for path, (kind, reason) in reasons.items():
        with pytest.raises(kind, match=reason):
            check_folder_of(path)
    check_folder_of(tmp_path / "x")


@pytest.mark.skipif(sys.platform != "linux", reason="a folder into which nobody can put a file")
def test_a_folder_that_takes_no_files_exists() -> None:
    with pytest.raises(StorageError, match=r"/proc/x.html: cannot be written: nothing can be put into its folder\. Ch"):
        write_atomically(Path("/proc/x.html"), b"")


def test_temporary_names() -> None:
    assert temporary_for(".model.safetensors.123.0a1b2c3d.tmp") == "model.safetensors"
    for other in ("model.safetensors", ".model.safetensors.tmp", ".a.b.0a1b2c3d.tmp", ".a.1.0A1B2C3D.tmp"):
        assert temporary_for(other) is None


@posix
def test_a_killed_writers_leftover_is_removed_and_a_living_ones_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    killed, living = start(HALFWAY, path), start(HALFWAY, path)
    try:
        assert len(os.listdir(tmp_path)) == 2
        stop(killed)
        write_atomically(path, b"between")
        left = set(os.listdir(tmp_path)) - {"file"}
        assert [name.split(".")[2] for name in left] == [str(living.pid)]
        living.communicate(b"\n")
        assert living.returncode == 0
    finally:
        stop(living)
    assert path.read_bytes() == b"x" * 100_000 + b"y" * 100_000
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_in_a_container_the_next_process_has_the_same_id(tmp_path: Path) -> None:
    leftover = tmp_path / f".file.{os.getpid()}.01234567.tmp"
    for name in (leftover.name, f".other.{os.getpid()}.01234567.tmp", ".file.1.tmp"):
        (tmp_path / name).write_bytes(b"half")
    write_atomically(tmp_path / "file", b"new")
    assert not leftover.exists()
    assert len(os.listdir(tmp_path)) == 3  # a temporary file of another target stays


# Locks

HOLDER = """
import sys
from pathlib import Path
from charlstm.errors import UsageError
from charlstm.files import locked
with locked(Path(sys.argv[1]), UsageError("busy")):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_lock_is_held_by_one_process_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = start(HOLDER, path)
    try:
        with pytest.raises(UsageError, match="busy"), locked(path, UsageError("busy")):
            pass
    finally:
        stop(holder)
    with locked(path, UsageError("busy")):
        pass
    with pytest.raises(StorageError, match="cannot be locked"), locked(path / "file", UsageError("busy")):
        pass


def test_a_block_that_fails_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyboardInterrupt), locked(path, UsageError("busy")):
        raise KeyboardInterrupt
    with locked(path, UsageError("busy")), pytest.raises(UsageError, match="busy"), locked(path, UsageError("busy")):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "c"):
        with pytest.raises(StorageError, match="cannot be created"):
            make_folder(folder)


def kill_at_random_moments(folder: Path, rounds: int) -> None:
    path, size = folder / "file", 1 << 20
    for seed in range(rounds):
        process = start(WRITER, path, size)
        moment = time.monotonic() + random.Random(seed).uniform(0, 0.08)
        while time.monotonic() < moment:
            if path.exists():
                content = path.read_bytes()
                assert (len(content), set(content[:: 1 << 10])) in ((size, {65}), (size, {66}))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if path.exists():
            assert path.read_bytes() in (b"A" * size, b"B" * size)
    write_atomically(path, b"last")
    assert os.listdir(folder) == ["file"]


@posix
def test_sigkill_never_shows_half_a_file(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, rounds=6)


@posix
@pytest.mark.slow
def test_sigkill_never_shows_half_a_file_however_often(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, rounds=100)


@pytest.mark.skipif(os.name == "nt", reason="pipes and links of POSIX")
def test_a_link_is_followed_and_a_pipe_is_left_as_it_is(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="no file"):
        write_atomically(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()
