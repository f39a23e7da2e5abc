"""What a search may use, replace and remove in its folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from charlstm.errors import UsageError
from charlstm.events import Started, to_json
from charlstm.tuning.folder import SearchFolder
from tests.fake_checkpoints import make_checkpoint
from tests.fake_worker import GOOD
from tests.tuning.test_search import done, run_search


def contents(folder):
    """Every file and folder below, with the bytes of files."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_folder_that_holds_something_else_is_left_as_it_is(spec):
    spec.folder.mkdir()
    spec.folder.joinpath("trial-base.toml").write_text("[train]\n")
    before = contents(spec.folder)
    with pytest.raises(UsageError, match="not empty"):
        run_search(spec, 1)
    assert contents(spec.folder) == before


def test_a_settings_file_of_the_user_is_not_replaced(spec, fake_worker):
    fake_worker(GOOD)
    run_search(spec, 1)
    spec.folder.joinpath("best.toml").write_text("# mine\n")
    with pytest.raises(UsageError, match="not written by a search"):
        run_search(spec, 2)
    assert spec.folder.joinpath("best.toml").read_text() == "# mine\n"


def test_only_the_search_s_own_trials_are_removed(spec, fake_worker, tmp_path):
    fake_worker(GOOD)
    run_search(spec, 1)
    run_search(replace(spec, folder=tmp_path / "other"), 1)
    own = ("trial-90", "trial-91", "trial-92", "trial-93", "trial-94", "trial-95", "trial-1")
    make_checkpoint(spec.folder / "trial-90" / "model.safetensors")  # a training of the user
    for name in own[1:]:
        spec.folder.joinpath(name).mkdir()
    spec.folder.joinpath("trial-91/metrics.jsonl").write_text("not of a training\n")
    spec.folder.joinpath("trial-92/model.safetensors").write_bytes(b"damaged")
    spec.folder.joinpath("trial-93/notes.txt").write_text("mine")
    other = tmp_path / "other/trial-0/model.safetensors"  # the best of another search, put here
    spec.folder.joinpath("trial-94/model.safetensors").write_bytes(other.read_bytes())
    spec.folder.joinpath("trial-95").rmdir()
    spec.folder.joinpath("trial-95").symlink_to(spec.folder / "trial-0")
    spec.folder.joinpath("trial-96.toml").write_text("[train]\n")
    spec.folder.joinpath("trial-best").mkdir()
    before = contents(spec.folder)
    trials = done(run_search(spec, 3))
    assert not {f"trial-{trial.number}" for trial in trials} & set(own), "a folder of the user is not a trial's"
    after = contents(spec.folder)
    names = {*own, "trial-96.toml", "trial-best"}
    mine = [path for path in before if path.relative_to(spec.folder).parts[0] in names]
    assert len(mine) >= len(names)
    assert {path: after.get(path, "gone") for path in mine} == {path: before[path] for path in mine}


def test_a_run_that_was_killed_before_its_first_save_is_removed(tmp_path):
    for name, run in (("trial-3", "trial-3"), ("trial-4", "english-1")):
        tmp_path.joinpath(name).mkdir()
        tmp_path.joinpath(name, ".lock").touch()
        tmp_path.joinpath(name, "metrics.jsonl").write_text(to_json(Started(run, 0, 9, 9, 9)) + "\n")
    SearchFolder(tmp_path).remove_trials("id", keep=[])
    assert [path.name for path in tmp_path.iterdir()] == ["trial-4"]


def test_one_process_at_a_time(spec, fake_worker):
    fake_worker(GOOD)
    with SearchFolder(spec.folder).locked(), pytest.raises(UsageError, match="another charlstm is searching here"):
        run_search(spec, 1)
