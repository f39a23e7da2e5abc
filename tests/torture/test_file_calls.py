"""Whatever call about a file fails, and however: one line, the right exit code, and nothing that was there is lost."""

from __future__ import annotations

import shutil
from itertools import cycle, islice
from pathlib import Path

import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.errors import StorageError
from tests.checkpoint_samples import model
from tests.torture.file_calls import FAULTS, Call, FileCalls
from tests.torture.small_runs import prepare, run, train_command

COMMANDS = {
    "a new run": train_command("new", 10),
    "a run begun anew": train_command("old", 10, "--force"),
    "a run that goes on": ["train", "--resume", "old", "--max-steps", "15", "-q"],
    "a copy": ["checkpoints", "copy", "old", "there/copy.safetensors"],
    "a removal": ["checkpoints", "rm", "old", "--yes"],
    "a cleanup": ["checkpoints", "prune", "--keep", "1", "--yes"],
    "a text cleaned from the cache": ["corpora", "clean", "--yes"],
    "a table": ["checkpoints", "list"],
    "a score": ["eval", "old", "text.txt", "--json"],
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, a cache, and what a killed writer left behind."""
    folder = prepare(tmp_path_factory.mktemp("begun") / "here")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("older", "old"):
            assert run(folder, train_command(name, 10), patch, _Silent())[0] == 0
    (folder / "checkpoints" / "old" / f".{MODEL}.999999.01234567.tmp").write_bytes(b"left over")
    return folder


class _Silent:
    """Stands in for pytest's capture where nothing is read."""

    err = ""

    def readouterr(self) -> _Silent:
        return self


def copied(begun: Path, folder: Path) -> Path:
    shutil.copytree(begun, folder)
    return folder


def verified(folder: Path) -> set[str]:
    """The files of runs that are there, all of them whole."""
    files = [file for name in (MODEL, RESUME) for file in folder.glob(f"checkpoints/*/{name}")]
    for file in files:
        checkpoint_format.verify(file)
    return {str(file.relative_to(folder)) for file in files}


def sites(folder: Path, words: list[str], monkeypatch, capsys) -> dict[str, int]:
    """The number of the first call from each line of the package, in a run in which nothing fails."""
    calls = FileCalls(folder)
    with calls.watched():
        code, said = run(folder, words, monkeypatch, capsys)
    assert code == 0, said
    found: dict[str, int] = {}
    for number, call in enumerate(calls.made):
        found.setdefault(call.site, number)
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.rounds(1, full=len(FAULTS))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_call_that_fails_is_one_line_and_costs_nothing(begun, tmp_path, monkeypatch, capsys, name, rounds, request):
    words, tried = COMMANDS[name], 0
    first = sites(copied(begun, tmp_path / "counted"), words, monkeypatch, capsys)
    assert len(first) > 2
    keeps = name not in ("a removal", "a cleanup", "a run begun anew")
    for place, (site, number) in enumerate(first.items()):
        for fault, make in islice(cycle(FAULTS.items()), place, place + rounds):
            tried += 1
            folder = copied(begun, tmp_path / "tried")
            before = verified(folder)

            def act(at: int, call: Call, number=number, make=make) -> None:
                if at == number:
                    raise make()

            with FileCalls(folder, act).watched():
                code, said = run(folder, words, monkeypatch, capsys)
            where = f"{name}: {fault} at {site}: exit {code}: {said}"
            assert code in ((0, 130) if fault == "interrupt" else (0, 6)), where
            assert "Traceback" not in said, where
            if code == 6:
                errors = [line for line in said.splitlines() if line.startswith("charlstm: ")]
                assert len(errors) == 1, where
                assert any(place in errors[0] for place in (str(folder), "checkpoints", ".txt", "there")), where
            after = verified(folder)
            assert after >= before or not keeps, where
            if name in ("a new run", "a run that goes on"):
                again = [*words, "--force"] if name == "a new run" else words
                code, said = run(folder, again, monkeypatch, capsys)
                assert code == 0, f"{where}\nand then: {said}"
                left = [file.name for file in folder.glob("checkpoints/*/.*.tmp") if file.parent.name in words]
                assert not left, where
            shutil.rmtree(folder)
    request.node.user_properties[:] = [("rounds", tried)]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_of_a_save_may_fail(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    old, new = model(hidden=8), model(hidden=8, seed=1)
    before = checkpoint_format.write(folder / MODEL, old)
    counted = FileCalls(tmp_path)
    with counted.watched():
        after = checkpoint_format.write(folder / MODEL, new)
    for failing in range(len(counted.made)):
        checkpoint_format.write(folder / MODEL, old)

        def act(number: int, call: Call, failing=failing) -> None:
            if number == failing:
                raise FAULTS[fault]()

        outcome = None
        with FileCalls(tmp_path, act).watched():
            try:
                checkpoint_format.write(folder / MODEL, new)
            except (StorageError, KeyboardInterrupt) as raised:
                outcome = raised
        call = counted.made[failing]
        assert checkpoint_format.verify(folder / MODEL).sha256 in (before, after), call
        if isinstance(outcome, StorageError):
            assert outcome.exit_code == 6
            assert str(folder / MODEL) in str(outcome), call
        assert outcome is None or (fault == "interrupt") == isinstance(outcome, KeyboardInterrupt)
        checkpoint_format.write(folder / MODEL, new)
        assert [file.name for file in folder.iterdir()] == [MODEL], "the next save leaves nothing behind"
