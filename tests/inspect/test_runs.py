"""Runs on disk, whole and not, and what several have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from charlstm.checkpoint.format import write
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.errors import NotFoundError
from charlstm.events import Started, to_json
from charlstm.inspect.runs import RunRecord, common_settings, differing_settings, read_run
from tests.checkpoint_samples import model


def a_run(folder: Path, **shape) -> RunRecord:
    folder.mkdir()
    write(folder / MODEL, model(**shape))
    return read_run(folder)


def test_settings_are_either_common_or_differ(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / name, hidden=hidden) for name, hidden in (("a", 4), ("b", 8), ("c", 4))]
    different, common = differing_settings(runs), common_settings(runs)
    assert different == {"model.hidden_size": (4, 8, 4)}
    assert not different.keys() & common.keys()
    assert different.keys() | common.keys() == runs[0].settings.keys() - {"name"}
    plain = model(hidden=4).run.to_plain()
    assert common["train.lr"] == plain["train"]["lr"]
    assert differing_settings(runs[:1]) == {}


def test_a_run_is_known_by_whatever_is_left_of_it(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotFoundError, match="no record of a training"):
        read_run(empty)
    (empty / METRICS).write_text(to_json(Started("empty", 0, 1, 2, 3)))
    only_events = read_run(empty)
    assert (only_events.name, only_events.header, only_events.settings) == ("empty", None, {})
    assert only_events.history.sessions[0].parameters == 1
    (empty / MODEL).write_bytes(b"damaged")
    assert read_run(empty).header is None
    whole = a_run(tmp_path / "whole")
    assert whole.header is not None
    assert whole.history.sessions == ()
    (tmp_path / "whole" / MODEL).rename(tmp_path / "whole" / "other")
    with pytest.raises(NotFoundError):
        read_run(tmp_path / "whole")
    write(tmp_path / "whole" / RESUME, dataclasses.replace(model(), kind="resume"))
    assert read_run(tmp_path / "whole").header.kind == "resume"


def test_runs_of_which_one_has_no_settings_differ_in_all(tmp_path: Path) -> None:
    whole = a_run(tmp_path / "a")
    unknown = dataclasses.replace(whole, header=None)
    assert differing_settings([whole, unknown])["model.hidden_size"] == (4, None)
    assert common_settings([unknown]) == {}


def test_a_model_of_bytes_is_spoken_of_in_bytes(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a")
    assert run.unit == "character"
    header = dataclasses.replace(run.header, tokenizer={"kind": "byte"})
    assert dataclasses.replace(run, header=header).unit == "byte"
