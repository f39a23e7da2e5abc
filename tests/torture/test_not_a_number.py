"""NaN or infinity wherever it arises: training stops at its last good checkpoint, or goes back and halves the rate."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.events import Notice, StepDone, Stopped, from_json
from charlstm.training.loop import Training
from tests.torture.small_runs import prepare, run, train_command
from tests.training.test_training import training

AT_STEP = 12
PLACES = ("loss", "gradient", "weight", "validation", "average")
NOT_FINITE = (math.nan, math.inf, -math.inf)


def strike(trained: Training, place: str, value: float, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Let a value that is not finite arise in a training, at `AT_STEP`, so many times."""
    left = [times]

    def due() -> bool:
        if trained.cursor.step + 1 < AT_STEP or not left[0]:
            return False
        left[0] -= 1
        return True

    takes = {"validation": _in_validation, "average": _in_average}
    takes.get(place, partial(_in_step, place))(trained, value, due, monkeypatch)


def _in_step(place: str, trained: Training, value: float, due, monkeypatch: pytest.MonkeyPatch) -> None:
    step = trained._train_step
    take = type(step).__call__

    def struck(self, batch, state, lr):
        result = take(step, batch, state, lr)
        if not due():
            return result
        if place == "weight":
            with torch.no_grad():
                next(iter(trained.model.parameters())).view(-1)[0] = value
            return result
        return result._replace(**{"loss" if place == "loss" else "grad_norm": value})

    monkeypatch.setattr(type(step), "__call__", struck)


def _in_validation(trained: Training, value: float, due, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = trained._validation.choose

    def judged(*args, **options):
        variant, loss, tokens = choose(*args, **options)
        return variant, value if due() else loss, tokens

    monkeypatch.setattr(trained._validation, "choose", judged)


def _in_average(trained: Training, value: float, due, monkeypatch: pytest.MonkeyPatch) -> None:
    update = trained._ema.update

    def averaged(step: int) -> None:
        update(step)
        if due():
            next(iter(trained._ema.weights.values())).view(-1)[0] = value

    monkeypatch.setattr(trained._ema, "update", averaged)


def check_files(folder: Path) -> None:
    """Both files of a run are whole, and hold finite numbers only."""
    for name in (MODEL, RESUME):
        if (folder / name).exists():
            for tensor in checkpoint_format.verify(folder / name).tensors.values():
                assert tensor.dtype.kind != "f" or np.isfinite(tensor).all()


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("place", PLACES)
def test_it_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, place, value):
    trained = training(tmp_path / "a", train={"save_every": 1e-9, "max_steps": 40})
    strike(trained, place, value, monkeypatch)
    events = list(trained.events())
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason == "diverged"
    assert "step" in stopped.message
    if place in ("loss", "gradient"):
        assert all(words in stopped.message for words in (f"step {AT_STEP}", "learning rate", "gradient norm"))
    assert (tmp_path / "a" / MODEL).exists()
    check_files(tmp_path / "a")


@pytest.mark.parametrize("optimizer", ["soap", "adamw"])
@pytest.mark.parametrize("place", ["loss", "gradient", "weight", "validation"])
def test_it_goes_back_and_halves_the_rate(tmp_path, monkeypatch, place, optimizer):
    settings = {"save_every": 1e-9, "max_steps": 40, "on_divergence": "rollback", "optimizer": optimizer}
    trained = training(tmp_path / "a", train=settings)
    strike(trained, place, math.nan, monkeypatch)
    events = list(trained.events())
    assert events[-1].reason == "finished"
    assert trained.cursor.step == 40
    (back,) = [event for event in events if isinstance(event, Notice) and "Back at step" in event.text]
    assert back.step < AT_STEP + 10
    assert trained.cursor.lr_scale == 0.5
    after = [event for event in events[events.index(back) :] if isinstance(event, StepDone)]
    assert after[0].step == back.step + 1
    assert max(event.lr for event in after) <= 0.5 * 0.01
    check_files(tmp_path / "a")
    steps = [event.step for event in logged(tmp_path / "a")]
    assert steps == sorted(steps), "what was taken back is not in the log"


def logged(folder: Path):
    return [from_json(line) for line in (folder / METRICS).read_text().splitlines()]


def test_the_state_that_it_goes_back_to_is_the_saved_one_to_the_bit(tmp_path, monkeypatch):
    settings = {"save_every": 1e-9, "max_steps": AT_STEP, "on_divergence": "rollback"}
    trained = training(tmp_path / "a", train={**settings, "eval_every": 100})
    strike(trained, "weight", math.nan, monkeypatch)
    notice = None
    for event in trained.events():
        if isinstance(event, Notice) and "Back at" in event.text:
            notice = event
            saved = checkpoint_format.read(tmp_path / "a" / RESUME)
            assert saved.cursor["step"] == event.step
            for name, tensor in trained.model.state_dict().items():
                np.testing.assert_array_equal(tensor.numpy(), saved.tensors[f"model.{name}"])
            for name, tensor in trained._ema.weights.items():
                np.testing.assert_array_equal(tensor.numpy(), saved.tensors[f"ema.{name}"])
    assert notice is not None


def test_a_training_that_diverges_at_every_rate_ends(tmp_path, monkeypatch):
    trained = training(tmp_path / "a", train={"max_steps": 20, "on_divergence": "rollback"})
    strike(trained, "loss", math.nan, monkeypatch, times=1000)
    events = list(trained.events())
    assert events[-1].reason == "diverged"
    assert trained.cursor.lr_scale == 2.0**-10


def test_the_rate_stays_halved_when_the_run_is_resumed(tmp_path, monkeypatch):
    settings = {"save_every": 1e-9, "max_steps": 40, "on_divergence": "rollback"}
    trained = training(tmp_path / "a", train=settings)
    strike(trained, "loss", math.nan, monkeypatch)
    seen: list[StepDone] = []
    for event in trained.events(lambda: len(seen) > 20):
        seen.extend([event] if isinstance(event, StepDone) else [])
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    resumed = training(tmp_path / "a", train=settings, resume=saved)
    assert resumed.cursor.lr_scale == 0.5


@pytest.mark.slow
def test_on_the_command_line_the_exit_code_is_7_and_the_run_goes_on_from_its_last_save(tmp_path, monkeypatch, capsys):
    folder = prepare(tmp_path / "here")
    words = train_command("wild", 60, "--save-every", "0.001s", "--lr", "1e30", "--warmup", "0")
    code, said = run(folder, words, monkeypatch, capsys)
    assert code == 7, said
    assert "Traceback" not in said
    check_files(folder / "checkpoints" / "wild")
    words = train_command("tame", 60, "--lr", "1e30", "--warmup", "0", "--on-divergence", "rollback")
    code, said = run(folder, words, monkeypatch, capsys)
    assert code == 7, "ten halvings of 1e30 are not enough"
    assert said.count("charlstm: ") == 1
