"""Training: the same run is the same run, whatever is looked at, interrupted or resumed on the way."""

import dataclasses
import json
import math
import time

import numpy as np
import pytest
import torch

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.config import RunConfig
from charlstm.engine.load import torch_model
from charlstm.engine.network import Engine
from charlstm.errors import CorruptError, StorageError
from charlstm.evaluation.loss import evaluate
from charlstm.evaluation.windows import STREAMS
from charlstm.events import CheckpointSaved, EvalDone, Notice, Preview, Started, StepDone, Stopped, from_json, to_json
from charlstm.filling.preview import write_preview
from charlstm.tokenizers import CharTokenizer
from charlstm.training.beginning import Beginning, Session, TrainingText
from charlstm.training.distributed import SINGLE_PROCESS
from charlstm.training.loop import Training
from charlstm.training.snapshot import verify

ALPHABET = "abcdefgh"


def ids_of(length, seed=0):
    """A text in which each letter is followed by one of two."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 3, size=length)
    return (np.cumsum(steps) % len(ALPHABET)).astype(np.uint8)


def training(
    folder,
    *,
    train=None,
    data=None,
    model=None,
    val=True,
    resume=None,
    length=2000,
    ranks=SINGLE_PROCESS,
    begun=None,
    new_tokens=(),
    begin_with=None,
):
    folder.mkdir(exist_ok=True)
    shape = {"vocab_size": 8, "embedding_size": 4, "hidden_size": 12, "num_layers": 2, "dropout": 0.1}
    run = RunConfig.from_plain(
        {
            "name": folder.name,
            "model": {**shape, **(model or {})},
            "data": {"batch_size": 4, "seq_len": 8, "streams": 8, **(data or {})},
            "train": {"max_steps": 30, "eval_every": 10, "preview": 0, "lr": 0.01, **(train or {})},
        }
    )
    ids = ids_of(length)
    val_ids = ids_of(400, seed=1) if val else ids[:0]
    text = TrainingText(CharTokenizer(ALPHABET), ids, val_ids, len(val_ids))
    beginning = Beginning(resume=resume, new_tokens=new_tokens)
    if begin_with is not None:
        beginning = Beginning(Provenance(init_from="another run"), begin_with.tensors)
    return Training(run, text, folder, beginning, Session(ranks, write_preview, begun))


def weights(trained):
    return {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}


def run_through(trained, stop_after=math.inf, stop_after_windows=math.inf):
    """All events, with a signal to stop during a step, or during a window of an evaluation; both count from 1."""
    passes = {"step": 0, "window": 0}

    def count(model, *_):
        passes["step" if model.training else "window"] += 1

    with trained.model.register_forward_hook(count):
        return list(trained.events(lambda: passes["step"] >= stop_after or passes["window"] >= stop_after_windows))


def losses(events):
    return [event.loss for event in events if isinstance(event, StepDone)]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(tmp_path):
    first = run_through(training(tmp_path / "a"))
    again = run_through(training(tmp_path / "b"))
    other = run_through(training(tmp_path / "c", train={"seed": 2}))
    assert losses(first) == losses(again)
    assert losses(first) != losses(other)


def test_a_network_that_training_makes_worse_is_kept_as_it_was(tmp_path):
    run_through(training(tmp_path / "before"))
    before = checkpoint_format.read(tmp_path / "before" / MODEL)
    worse = training(tmp_path / "after", begin_with=before, train={"lr": 3.0})
    events = run_through(worse)
    evaluations = [event for event in events if isinstance(event, EvalDone)]
    assert [(event.step, event.train_loss is None, event.best) for event in evaluations] == [
        (0, True, True), (10, False, False), (20, False, False), (30, False, False),
    ]  # fmt: skip
    assert evaluations[0].val_loss == pytest.approx(before.provenance.val_loss, abs=0.01)
    after = checkpoint_format.read(tmp_path / "after" / MODEL)
    assert after.provenance.step == 0
    for name in ("layers.0.weight_hh", "embedding.weight"):
        np.testing.assert_array_equal(after.tensors[name], before.tensors[name])
    assert any(isinstance(event, Notice) and event.text.startswith("Nothing was gained") for event in events)


def test_a_run_that_begins_from_another_resumes_exactly_from_before_its_first_step(tmp_path):
    run_through(training(tmp_path / "before"))
    before = checkpoint_format.read(tmp_path / "before" / MODEL)
    whole = training(tmp_path / "whole", begin_with=before)
    run_through(whole)
    events = run_through(training(tmp_path / "half", begin_with=before), stop_after_windows=1)
    assert not any(isinstance(event, EvalDone | StepDone) for event in events)
    resumed = training(tmp_path / "half", resume=checkpoint_format.read(tmp_path / "half" / RESUME), begin_with=None)
    run_through(resumed)
    assert same(weights(whole), weights(resumed))


def test_events_start_and_stop_and_are_in_the_metrics_log(tmp_path):
    trained = training(tmp_path / "a", train={"preview": 20})
    events = run_through(trained)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "finished"
    assert sum(isinstance(event, StepDone) for event in events) == 30
    assert [event.step for event in events if isinstance(event, EvalDone)] == [10, 20, 30]
    assert all(len(event.text) == 20 for event in events if isinstance(event, Preview))
    kept = [from_json(line) for line in (tmp_path / "a" / METRICS).read_text().splitlines()]
    assert [event for event in events if not isinstance(event, StepDone)] == [
        event for event in kept if not isinstance(event, StepDone)
    ]


def test_evaluations_and_previews_do_not_change_the_losses(tmp_path):
    plain, watched = (
        training(tmp_path / "a", train={"eval_every": 1000}),
        training(tmp_path / "b", train={"preview": 30}),
    )
    assert losses(run_through(plain)) == losses(run_through(watched))
    assert same(weights(plain), weights(watched))


def test_there_is_no_preview_at_the_beginning(tmp_path):
    events = run_through(training(tmp_path, train={"preview": 20, "eval_every": 1, "max_steps": 20}))
    assert [event.step for event in events if isinstance(event, EvalDone)][:2] == [1, 2]
    assert [event.step for event in events if isinstance(event, Preview)][:2] == [2, 3]


def test_previews_do_not_depend_on_the_interval_of_evaluations(tmp_path):
    events = run_through(training(tmp_path, train={"preview": 20, "eval_every": 1000, "max_steps": 100}))
    assert [event.step for event in events if isinstance(event, EvalDone)] == [100]
    shown = [event.step for event in events if isinstance(event, Preview)]
    assert (shown[0], shown[-1]) == (10, 100)
    assert max(np.diff(shown)) <= 11
    assert min(np.diff(shown)) >= 4


@pytest.mark.parametrize(
    ("kind", "cut", "cell", "optimizer"),
    [
        *((kind, cut, "lstm", "soap") for kind in ("stateful", "shuffled") for cut in (1, 7, 10, 29)),
        *(("stateful", 12, cell, "soap") for cell in ("rnn", "gru", "peephole")),
        ("stateful", 12, "lstm", "adamw"),
        ("stateful", 12, "attention", "soap"),
        ("stateful", 12, "ngrams", "soap"),
        ("stateful", 12, "ngrams and attention", "adamw"),
        ("stateful", 12, "all that looks back", "soap"),
        ("stateful", 12, "ensemble", "soap"),
        ("stateful", 12, "decay to the start", "soap"),
        ("stateful", 12, "decay to the start", "adamw"),
    ],
)
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, kind, cut, cell, optimizer):
    networks = {
        "attention": {"attention_window": 5},
        "ngrams": {"ngram_order": 3, "ngram_buckets": 50, "ngram_dropout": 0.3},
        "ensemble": {"ensemble": 2, "ngram_order": 3, "ngram_buckets": 50, "match_orders": (2, 3)},
        "ngrams and attention": {"attention_window": 5, "ngram_order": 4, "ngram_buckets": 50},
        "decay to the start": {"ngram_order": 3, "ngram_buckets": 50},
        "all that looks back": {"attention_window": 5, "ngram_order": 4, "ngram_buckets": 50, "match_orders": (2, 3)},
    }
    network = networks.get(cell) or {"cell": cell}
    train = {"optimizer": optimizer, "weight_decay": 0.5, "decay_to_start": cell == "decay to the start"}
    more = {"data": {"windows": kind}, "model": {"weight_drop": 0.2, **network}, "train": train}
    whole = training(tmp_path / "whole", **more, new_tokens=(2, 5))
    whole_events = run_through(whole)
    first = training(tmp_path / "cut", **more, new_tokens=(2, 5))
    first_events = run_through(first, stop_after=cut)
    assert first_events[-1].reason == "interrupted"
    saved = checkpoint_format.read(tmp_path / "cut" / RESUME, kind="resume")
    second = training(tmp_path / "cut", **more, resume=saved)
    second_events = run_through(second)
    assert losses(first_events) + losses(second_events) == losses(whole_events)
    assert same(weights(whole), weights(second))
    assert same(whole._ema.weights, second._ema.weights)

    def measured(events):
        timeless = (dataclasses.replace(event, seconds=0.0) for event in events if isinstance(event, EvalDone))
        return list(timeless)

    assert measured(whole_events) == measured(first_events) + measured(second_events)
    one, other = (checkpoint_format.read(tmp_path / name / MODEL) for name in ("whole", "cut"))
    for name in one.tensors:
        np.testing.assert_array_equal(one.tensors[name], other.tensors[name])


def scores(events):
    return [event for event in events if isinstance(event, EvalDone)]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_an_evaluation_is_given_up_on_a_signal_and_comes_first_after_a_resume(tmp_path, share):
    whole = training(tmp_path / "whole")
    passes = []
    with whole.model.register_forward_hook(lambda model, *_: passes.append(model.training)):
        want = scores(run_through(whole))
    windows = passes.count(False)
    first = training(tmp_path / "cut")
    begun = run_through(first, stop_after_windows=1 + round(share * (windows - 2)))
    assert begun[-1].reason == "interrupted"
    assert (tmp_path / "cut" / MODEL).exists(), "a run that was interrupted can write"
    saved = checkpoint_format.read(tmp_path / "cut" / RESUME)
    second = training(tmp_path / "cut", resume=saved)
    done = run_through(second)
    found = [*scores(begun), *scores(done)]
    assert [(event.step, event.val_loss, event.best) for event in found] == [
        (event.step, event.val_loss, event.best) for event in want
    ]
    assert len(scores(begun)) < len(want)
    assert done[-1].reason == "finished"
    assert any(isinstance(event, Notice) and "used up" in event.text for event in done) == (share == 1.0)
    assert same(weights(whole), weights(second))


def test_the_saved_model_is_calibrated_and_training_continues_uncalibrated(tmp_path, monkeypatch):
    plain = training(tmp_path / "plain")
    plain_events = run_through(plain)
    monkeypatch.setattr("charlstm.evaluation.objective._CALIBRATED", 1)
    fitted = training(tmp_path / "fitted")
    events = run_through(fitted)
    assert losses(events) == losses(plain_events)
    assert same(weights(fitted), weights(plain))
    one, other = (checkpoint_format.read(tmp_path / name / MODEL) for name in ("plain", "fitted"))
    assert one.provenance.temperature == 1 != other.provenance.temperature
    np.testing.assert_allclose(
        other.tensors["head.weight"] * other.provenance.temperature, one.tensors["head.weight"], rtol=1e-5
    )
    served = evaluate(torch_model(other), ids_of(400, seed=1), ids_of(2000)[-512:], streams=STREAMS)
    assert served == pytest.approx(other.provenance.val_loss, abs=1e-6)
    assert served == events[-1].best_val_loss


def test_the_metrics_log_of_a_killed_session_is_truncated_on_resume(tmp_path):
    first = training(tmp_path / "a")
    run_through(first, stop_after=12)
    journal = tmp_path / "a" / METRICS
    with journal.open("a") as lines:
        lines.write(json.dumps({"event": "Preview", "step": 20, "text": "from a future that was lost"}) + "\n")
        lines.write('{"event": "Prev')
    told = Preview(0, "Zeile\u2028noch eine\x85 und \ud800")  # line ends to Python, half a pair: not to JSON
    journal.write_text(to_json(told) + "\n" + journal.read_text())
    assert from_json(journal.read_text().splitlines()[0]) == told
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    run_through(training(tmp_path / "a", resume=saved))
    steps = [json.loads(line).get("step", 0) for line in journal.read_text().splitlines()]
    assert "lost" not in journal.read_text()
    assert from_json(journal.read_text().splitlines()[0]) == told
    assert steps == sorted(steps)


def test_the_saved_model_has_its_recorded_loss(tmp_path):
    trained = training(tmp_path / "a", train={"max_steps": 60})
    events = run_through(trained)
    best = min(event.val_loss for event in events if isinstance(event, EvalDone))
    kept = checkpoint_format.read(tmp_path / "a" / MODEL, kind="model")
    assert kept.provenance.val_loss == best == events[-1].best_val_loss
    # Read in one stream from a cold start it must be nearly the same.
    score = evaluate(torch_model(kept), ids_of(400, seed=1), np.array([0]))
    assert score == pytest.approx(best, abs=0.02)


def test_it_reaches_the_entropy_of_a_known_source(tmp_path):
    """Each letter is followed by one of two, equally likely: ln 2 nats remain, and no model can do better."""
    trained = training(
        tmp_path / "a",
        length=20_000,
        model={"num_layers": 1, "hidden_size": 24, "dropout": 0.0},
        data={"batch_size": 16, "seq_len": 16, "streams": 16},
        train={"max_steps": 400, "eval_every": 400, "lr": 0.02},
    )
    events = run_through(trained)
    assert events[-1].best_val_loss == pytest.approx(math.log(2), abs=0.03)
    assert events[-1].best_val_loss > math.log(2) - 0.03


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_model(tmp_path):
    trained = training(tmp_path / "a")
    steps = trained.events()
    for event in steps:
        if isinstance(event, CheckpointSaved):
            break
    good = (tmp_path / "a" / MODEL).read_bytes()
    with torch.no_grad():
        trained.model.head.bias[0] = math.nan
    last = list(steps)[-1]
    assert last.reason == "diverged"
    assert "learning rate" in last.message
    assert "gradient norm" in last.message
    assert (tmp_path / "a" / MODEL).read_bytes() == good
    assert "is kept" in last.message


def test_the_number_of_threads_is_restored(tmp_path):
    before = torch.get_num_threads()
    for event in training(tmp_path / "a", train={"threads": before + 1, "max_steps": 3}).events():
        if isinstance(event, StepDone):
            assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_loss_that_is_not_finite_is_null_in_json():
    line = to_json(StepDone(1, 0.5, math.nan, 0.1, math.inf, 10, 1.0))
    assert json.loads(line)["loss"] is None
    assert json.loads(line)["grad_norm"] is None


def test_a_finished_run_that_is_resumed_says_so_and_changes_nothing(tmp_path):
    run_through(training(tmp_path / "a"))
    before = (tmp_path / "a" / MODEL).read_bytes()
    again = training(tmp_path / "a", resume=checkpoint_format.read(tmp_path / "a" / RESUME))
    told = run_through(again)
    assert [type(event) for event in told] == [Started, Notice, Stopped]
    assert "`max_steps=30`" in told[1].text
    assert (tmp_path / "a" / MODEL).read_bytes() == before


def test_early_stopping_keeps_the_best(tmp_path):
    # Noise cannot be learnt: validation soon only gets worse.
    trained = training(
        tmp_path / "a", train={"max_steps": 4000, "patience": 2, "lr": 0.05}, length=60, model={"dropout": 0.0}
    )
    trained._validation.ids[:] = np.random.default_rng(5).integers(8, size=400)
    events = run_through(trained)
    assert events[-1].reason == "early"
    measured = [event.val_loss for event in events if isinstance(event, EvalDone)]
    assert events[-1].best_val_loss == min(measured)
    assert min(measured) < min(measured[-2:])


def test_without_validation_the_last_model_is_kept(tmp_path):
    events = run_through(training(tmp_path / "a", val=False))
    assert events[-1].best_val_loss is None
    assert checkpoint_format.read(tmp_path / "a" / MODEL).provenance.val_loss is None


def test_interrupted_before_the_first_evaluation_there_is_a_model(tmp_path):
    run_through(training(tmp_path / "a"), stop_after=3)
    kept = checkpoint_format.read(tmp_path / "a" / MODEL, kind="model")
    assert Engine.from_checkpoint(kept).step(np.array([0]), None)[0].shape == (1, 8)


def test_without_validation_an_interruption_saves_the_average_as_the_end_does(tmp_path):
    trained = training(tmp_path / "a", val=False)
    run_through(trained, stop_after=15)  # between the evaluations at 10 and 20
    kept = checkpoint_format.read(tmp_path / "a" / MODEL)
    assert kept.provenance.weights == "ema"
    assert not np.array_equal(kept.tensors["head.weight"], trained.model.state_dict()["head.weight"].numpy())


def test_a_run_out_of_patience_whose_model_was_lost_scores_what_it_saves_in_its_place(tmp_path):
    settings = {"max_steps": 100, "eval_every": 1, "patience": 2, "lr": 0.5}
    assert run_through(training(tmp_path / "a", train=settings))[-1].reason == "early"
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    saved.cursor.update({"best_val_loss": None, "evaluated": -1})  # as `resume` does where the model is missing
    events = run_through(training(tmp_path / "b", train={**settings, "eval_every": 100}, resume=saved))
    assert events[-1].reason == "early"
    assert checkpoint_format.read(tmp_path / "b" / MODEL).provenance.val_loss == events[-1].best_val_loss


def test_windows_in_any_order_carry_and_save_no_state(tmp_path):
    run_through(training(tmp_path / "a", data={"windows": "shuffled"}))
    assert not [name for name in checkpoint_format.read(tmp_path / "a" / RESUME).tensors if name.startswith("state")]


def test_closing_the_events_restores_the_number_of_threads(tmp_path):
    before = torch.get_num_threads()
    events = training(tmp_path / "a", train={"threads": before + 1}).events()
    while not isinstance(next(events), StepDone):
        pass
    assert torch.get_num_threads() == before + 1
    events.close()
    assert torch.get_num_threads() == before


def test_a_time_budget_ends_near_its_time(tmp_path):
    events = run_through(training(tmp_path / "a", train={"max_steps": None, "max_time": 0.5, "eval_every": 10**6}))
    assert 0.45 <= events[-1].seconds < 1.5
    rates = [event.lr for event in events if isinstance(event, StepDone)]
    assert rates[-1] < 0.05 * max(rates), "the schedule has come down to its end"


def test_the_evaluation_before_the_first_step_cuts_nothing_off_the_warm_up(tmp_path, monkeypatch):
    run_through(training(tmp_path / "before"))
    before = checkpoint_format.read(tmp_path / "before" / MODEL)
    budget = {"max_steps": None, "max_time": 2.0, "eval_every": 10**6, "warmup": 0.5}
    trained = training(tmp_path / "after", begin_with=before, train=budget)
    choose = trained._validation.choose

    def slow(*args, **options):
        time.sleep(0.5)
        return choose(*args, **options)

    monkeypatch.setattr(trained._validation, "choose", slow)
    steps = [event for event in run_through(trained) if isinstance(event, StepDone)]
    assert steps[0].progress > 0.2
    assert trained.cursor.first_share == steps[0].progress
    assert steps[0].lr == pytest.approx(0.01 * 0.01), "the first step is as small as any first one"
    assert steps[-1].lr < 0.05 * 0.01
    saved = checkpoint_format.read(tmp_path / "after" / RESUME)
    assert saved.cursor["first_share"] == trained.cursor.first_share


def test_a_full_disk_raises_and_the_previous_file_stays(tmp_path, monkeypatch):
    run_through(training(tmp_path / "a"))
    before = (tmp_path / "a" / MODEL).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        run_through(training(tmp_path / "a"))
    assert (tmp_path / "a" / MODEL).read_bytes() == before


def test_a_validation_loss_that_is_not_finite_is_a_divergence_too(tmp_path, monkeypatch):
    run_through(training(tmp_path / "a", train={"max_steps": 10}))
    good = [(tmp_path / "a" / name).read_bytes() for name in (MODEL, RESUME)]
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    monkeypatch.setattr("charlstm.evaluation.objective.evaluate", lambda *_, **__: math.nan)
    events = run_through(training(tmp_path / "a", resume=saved))
    assert events[-1].reason == "diverged"
    assert "the validation loss is nan at step 20" in events[-1].message
    assert [(tmp_path / "a" / name).read_bytes() for name in (MODEL, RESUME)] == good


def test_a_preview_by_weights_out_of_range_is_a_divergence_and_warns_of_nothing(tmp_path, recwarn):
    run = training(tmp_path / "a", train={"max_steps": 20, "eval_every": 1000, "preview": 20})
    events = []
    for event in run.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 2:  # a preview is next
            with torch.no_grad():
                run.model.head.weight.fill_(math.inf)
    assert events[-1].reason == "diverged"
    assert "the network's logits are not finite at step 2" in events[-1].message
    assert not recwarn.list


def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    trained = training(tmp_path / "a", train={"save_every": 1e-9, "eval_every": 1000})
    steps = trained.events()
    for event in steps:
        if isinstance(event, CheckpointSaved):
            break
    good = (tmp_path / "a" / RESUME).read_bytes()
    with torch.no_grad():  # as if a step had made it so: the loss has not shown it yet
        next(trained.model.parameters())[7:] = math.inf
    last = list(steps)[-1]
    assert last.reason == "diverged"
    assert (tmp_path / "a" / RESUME).read_bytes() == good


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adamw"}, {"precision": "bf16"}])
def test_weights_that_no_step_can_follow_are_not_saved(tmp_path, settings):
    trained = training(tmp_path / "a", train={"lr": 1e20, "eval_every": 1000, "save_every": 1e-9, **settings})
    events = run_through(trained)
    assert events[-1].reason == "diverged"
    assert not (tmp_path / "a" / RESUME).exists()


def test_an_average_that_is_not_finite_never_beats_the_last_weights(tmp_path):
    trained = training(tmp_path / "a")
    for weight in trained._ema.weights.values():
        weight.fill_(math.nan)
    chosen = trained._validation.choose(trained.model, trained._ema)
    assert chosen.variant.weights == "last"
    assert math.isfinite(chosen.loss)


@pytest.mark.parametrize(("each_takes", "evaluations"), [(0, 20), (10, 6), (60, 1)])
def test_evaluations_come_by_share_of_a_time_budget_and_take_little_of_it(
    tmp_path, monkeypatch, each_takes, evaluations
):
    """A budget of 2,000 seconds and steps of 2, however many were planned; an evaluation takes so many seconds."""
    now = [0.0]
    trained = training(tmp_path / "a", train={"max_steps": None, "max_time": 2000.0, "eval_every": None})
    choose = trained._validation.choose

    def take_long(*args, **options):
        now[0] += each_takes
        return choose(*args, **options)

    monkeypatch.setattr(trained._validation, "choose", take_long)
    clock = trained._times.clock
    monkeypatch.setattr("charlstm.training.timetable.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(clock, "add_step", lambda elapsed: clock.add(2.0))
    events = run_through(trained)
    assert events[-1].reason == "finished"
    assert abs(len(scores(events)) - 1 - evaluations) <= 1
    assert events[-1].seconds <= 2000.0, "the last evaluation is within the budget"
    assert each_takes == 60 or events[-1].seconds > 1900.0


def test_the_time_before_training_is_part_of_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr("charlstm.training.loop.time.monotonic", lambda: 100.0)
    budget = {"max_steps": None, "max_time": 1.0}
    begun = training(tmp_path / "a", train=budget, begun=99.6)
    begun._times.clock.seconds = 0.3
    assert begun._share == pytest.approx(0.3 / (1.0 - 0.4 - 0.03)), "some is left to choose how to write"
    late = training(tmp_path / "b", train=budget, begun=40.0)
    late._times.clock.seconds = 0.25
    assert late._share == pytest.approx(0.5), "half of it is left to train in any case"


def test_a_run_that_has_used_up_its_time_is_finished_whenever_it_is_resumed(tmp_path):
    budget = {"max_steps": None, "max_time": 1.0}
    ended = run_through(training(tmp_path / "a", train=budget, begun=time.monotonic() - 0.4))
    assert ended[-1].seconds < 0.65
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    again = run_through(training(tmp_path / "a", train=budget, resume=saved, begun=time.monotonic()))
    assert not losses(again)
    assert again[-1].reason == "finished"
    longer = run_through(training(tmp_path / "a", train={**budget, "max_time": 1.5}, resume=saved))
    assert losses(longer)


def test_no_more_is_validated_than_there_is_time_for(tmp_path, monkeypatch):
    monkeypatch.setattr("charlstm.training.validation._FEWEST", 40)
    trained = training(tmp_path / "a")
    validation = trained._validation
    whole = validation.choose(trained.model, None)
    assert whole.tokens == 400
    hurried = validation.choose(trained.model, None, seconds=1e-9)
    assert hurried.tokens == 40
    again = validation.choose(trained.model, None, tokens=40)
    assert (again.tokens, again.loss) == (40, hurried.loss)
    assert hurried.loss != whole.loss


def test_saving_at_every_step_changes_nothing(tmp_path):
    plain = run_through(training(tmp_path / "a"))
    often = run_through(training(tmp_path / "b", train={"save_every": 1e-9}))
    assert losses(plain) == losses(often)
    assert sum(isinstance(event, CheckpointSaved) for event in often) > 25


def test_the_first_step_moves_the_weights(tmp_path):
    trained = training(tmp_path / "a", train={"max_steps": 100})
    before = weights(trained)
    first = next(event for event in trained.events() if isinstance(event, StepDone))
    assert first.lr > 0
    assert not same(before, weights(trained))


def test_the_last_step_is_evaluated_once(tmp_path):
    events = run_through(training(tmp_path / "a", train={"patience": 1, "eval_every": 10, "lr": 1e-12}))
    steps = [event.step for event in events if isinstance(event, EvalDone)]
    assert len(steps) == len(set(steps))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("model.head.bias"), "'model.head.bias' is missing"),
        (lambda arrays: arrays.update(extra=np.ones(2)), "'extra' does not belong"),
        (lambda arrays: arrays.update({"ema.head.bias": np.ones(9, np.float32)}), "not as this run has it"),
        (lambda arrays: arrays.update({"model.head.bias": np.ones(8, np.int64)}), "not as this run has it"),
        (lambda arrays: arrays.update({"state.0.layers.0.0.h": np.ones((1, 12), np.float32)}), "not as this run"),
        (lambda arrays: arrays.update({"state.9.layers.0.0.h": np.ones((4, 12), np.float32)}), "does not belong"),
        (lambda arrays: arrays.update({"optimizer.head.weight.m": np.ones((1, 1), np.float32)}), "not as this run"),
        (lambda arrays: arrays["model.head.bias"].fill(np.nan), "not finite"),
        (lambda arrays: arrays.pop("optimizer.head.weight.q"), "'optimizer.head.weight.q' is missing"),
        (lambda arrays: arrays.pop("state.0.layers.0.0.h"), "'state.0.layers.0.0.h' is missing"),
        (lambda arrays: arrays["optimizer.head.weight.step"].fill(-3), "numbers below 0"),
        (lambda arrays: arrays["optimizer.head.bias.v"].fill(-1), "numbers below 0"),
        (lambda arrays: arrays["generator"].fill(7), "random generator"),
        (lambda arrays: arrays.update(generator=np.ones(3, np.uint8)), "random generator"),
    ],
)
def test_a_resume_file_with_other_insides_is_refused_before_anything_is_changed(tmp_path, change, words):
    run_through(training(tmp_path / "a"), stop_after=5)
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    verify(saved)
    change(saved.tensors)
    with pytest.raises(CorruptError, match=words):
        training(tmp_path / "a", resume=saved)
    with pytest.raises(CorruptError, match=words):
        verify(saved)


@pytest.mark.parametrize(
    "value",
    [{"step": 2**70}, {"step": "7"}, {"seconds": -1.0}, {"eval_losses": 3}, {"best_val_loss": math.nan}, {"index": {}}],
)
def test_an_invalid_cursor_raises(tmp_path, value):
    run_through(training(tmp_path / "a"), stop_after=5)
    saved = checkpoint_format.read(tmp_path / "a" / RESUME)
    saved.cursor.update(value)
    with pytest.raises(CorruptError, match="position of the run"):
        training(tmp_path / "a", resume=saved)
    with pytest.raises(CorruptError, match="position of the run"):
        verify(saved)


@pytest.mark.parametrize("cursor", ["x", 5, None, []])
def test_a_cursor_that_is_no_table_is_refused(tmp_path, cursor):
    run_through(training(tmp_path / "a"), stop_after=5)
    saved = dataclasses.replace(checkpoint_format.read(tmp_path / "a" / RESUME), cursor=cursor)
    with pytest.raises(CorruptError, match="position of the run"):
        verify(saved)
