"""A power cut at any moment of a save leaves the old file or the new one, never a third state.

The calls of a save are recorded. A disk is simulated that was cut off after any of them: of what had not been flushed
each block of 512 bytes and each change of a folder may have arrived or not, whatever came later.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import MODEL
from tests.checkpoint_samples import model
from tests.torture.file_calls import Call, FileCalls

BLOCK = 512


@dataclass
class File:
    """What a file holds: flushed bytes, and writes that have not been flushed, with their offsets."""

    flushed: bytes = b""
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return max([len(self.flushed), *(offset + len(data) for offset, data in self.writes)])

    def flush(self) -> None:
        self.flushed, self.writes = self._with(lambda: True), []

    def after_the_cut(self, chance: random.Random) -> bytes:
        """The bytes that a machine finds when it starts again."""
        size = chance.choice([self.size, chance.randint(len(self.flushed), self.size)])
        return self._with(lambda: chance.random() < 0.5)[:size]

    def _with(self, arrived) -> bytes:
        content = bytearray(self.flushed.ljust(self.size, b"\0"))
        for offset, data in self.writes:
            for begin in range(0, len(data), BLOCK):
                if arrived():
                    block = data[begin : begin + BLOCK]
                    content[offset + begin : offset + begin + len(block)] = block
        return bytes(content)


class Disk:
    """A folder as the calls of a save leave it."""

    def __init__(self, names: dict[str, bytes]) -> None:
        self.files = {name: File(data) for name, data in names.items()}  # as the running system sees them
        self.kept = dict(self.files)  # as the flushed folder has them
        self.changes: list[tuple[str, File | None]] = []  # of the folder, not flushed: a name's new file, or none

    def do(self, call: Call) -> None:
        name, target = Path(call.path).name, Path(call.target).name
        if call.kind == "create" and name not in self.files:
            self._change(name, File())
        elif call.kind == "write":
            self.files[name].writes.append((self.files[name].size, call.data))
        elif call.kind == "fsync" and name in self.files:
            self.files[name].flush()
        elif call.kind == "fsync":
            self.kept, self.changes = dict(self.files), []
        elif call.kind == "rename":
            self._change(target, self.files[name])
            self._change(name, None)
        elif call.kind == "unlink":
            self._change(name, None)

    def _change(self, name: str, file: File | None) -> None:
        self.changes.append((name, file))
        if file is None:
            self.files.pop(name, None)
        else:
            self.files[name] = file

    def after_the_cut(self, chance: random.Random) -> dict[str, bytes]:
        names: dict[str, File | None] = dict(self.kept)
        for name, file in self.changes:
            if chance.random() < 0.5:
                names[name] = file
        return {name: file.after_the_cut(chance) for name, file in names.items() if file is not None}


def save_recorded(folder: Path) -> tuple[dict[str, bytes], list[Call]]:
    """The folder before a save, with what a killed writer left there, and the calls of the save."""
    folder.mkdir()
    checkpoint_format.write(folder / MODEL, model(hidden=24))
    (folder / f".{MODEL}.999999.01234567.tmp").write_bytes(b"left over" * 100)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    calls = FileCalls(folder.parent)
    with calls.watched():
        checkpoint_format.write(folder / MODEL, model(hidden=24, seed=1))
    return before, calls.made


def states(before: dict[str, bytes], calls: list[Call], each: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """What a machine may find after a cut behind each call, in so many variants."""
    for done in range(len(calls) + 1):
        disk = Disk(before)
        for call in calls[:done]:
            disk.do(call)
        for seed in range(each):
            yield done, disk.after_the_cut(random.Random(1000 * done + seed))


@pytest.mark.rounds(150, full=4000)
def test_a_power_cut_leaves_the_old_file_or_the_new_one(tmp_path: Path, rounds: int) -> None:
    before, calls = save_recorded(tmp_path / "run")
    new = (tmp_path / "run" / MODEL).read_bytes()
    assert {call.kind for call in calls} >= {"create", "write", "fsync", "rename", "unlink"}
    found, place = set(), tmp_path / MODEL
    for done, names in states(before, calls, rounds):
        content = names[MODEL]
        assert content in (before[MODEL], new), f"a third state, after call {done}: {calls[done - 1]}"
        if content not in found:
            place.write_bytes(content)
            checkpoint_format.verify(place)
            found.add(content)
        if done == len(calls):
            assert content == new, "a save that has returned is safe"
    assert len(found) == 2


def test_the_simulated_disk_loses_what_is_not_flushed(tmp_path: Path) -> None:
    before, calls = save_recorded(tmp_path / "run")
    careless = [call for call in calls if call.kind != "fsync"]
    contents = {names[MODEL] for _, names in states(before, careless, 40)}
    assert len(contents) > 2, "without flushing there are third states, and the simulation finds them"
