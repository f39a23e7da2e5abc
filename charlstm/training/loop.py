"""The training loop: consumes batches, yields events, and writes files that a kill at any moment leaves intact."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import torch

from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.run import METRICS
from charlstm.config import BUDGETS, RunConfig
from charlstm.corpora.encode import frequencies
from charlstm.cpu import AdaptiveThreads
from charlstm.engine.network import Engine
from charlstm.errors import CheckpointError, DivergedError
from charlstm.evaluation.baselines import baselines
from charlstm.evaluation.loss import bits_per_char
from charlstm.evaluation.objective import objective_of
from charlstm.evaluation.writing import known_words
from charlstm.events import CheckpointSaved, EvalDone, Event, Notice, Preview, Started, StepDone, Stopped
from charlstm.nn.device import describe, parse_device
from charlstm.nn.model import CharLM
from charlstm.nn.state import State
from charlstm.sampling.choose_min_p import LEAST_BEGUN, choose_min_p
from charlstm.training import snapshot
from charlstm.training.batches import Batch, make_batches
from charlstm.training.beginning import ALONE, NEW, Beginning, Session, TrainingText
from charlstm.training.diagnosis import diagnose
from charlstm.training.distributed import SyncedStep
from charlstm.training.extracts import extract
from charlstm.training.memory import translate_oom
from charlstm.training.metrics_log import MetricsLog
from charlstm.training.optim.ema import WeightEMA
from charlstm.training.optim.schedule import schedule
from charlstm.training.outcome import Outcome, unigram_loss
from charlstm.training.rollback import LastGood
from charlstm.training.saving import RunFiles
from charlstm.training.snapshot import Cursor, TrainState
from charlstm.training.step import TrainStep
from charlstm.training.timetable import Timetable
from charlstm.training.validation import Validation
from charlstm.training.weight_variant import WeightVariant, use_weights

_UNSEEN = 20_000
"""Tokens of unseen text that a network's writing is compared with."""
_LOSS_MEMORY = 0.98
"""Decay of the running mean of the training loss, per step."""
_Reason = Literal["finished", "interrupted", "early", "diverged"]


class Training:
    """Trains one run from its current position to the end of its budget.

    Args:
        run: all settings.
        text: the text, encoded and split.
        folder: the folder for the run's files.
        beginning: where the run comes from.
        session: how it is trained this time. All ranks yield the same events; rank 0 writes files.
    """

    def __init__(
        self,
        run: RunConfig,
        text: TrainingText,
        folder: Path,
        beginning: Beginning = NEW,
        session: Session = ALONE,
    ) -> None:
        ranks = session.ranks
        ranks.check(run)
        self.run, self.ranks, self.folder, self.tokenizer = run, ranks, folder, text.tokenizer
        self._train_ids, self._val_ids, self._val_characters = text.train_ids, text.val_ids, text.val_characters
        self._notice, self._write_preview = beginning.notice, session.write_preview
        self._command, self._load_engine = session.command, session.load_engine
        self._fine_tuned = bool(beginning.provenance.init_from)
        records = run.data.records if run.data.lists_records else None
        extracts = extract(text.train_ids, text.val_ids, text.tokenizer, records=records)
        self._known_words = known_words([" ".join((*extracts.words, *beginning.known_words))])
        self._files = RunFiles(folder, run, text.tokenizer, beginning, extracts)
        config, device = run.train, parse_device(ranks.device(run.train.device))
        self._machine = describe(device)
        # Separate generators: a run neither depends on other users of random numbers nor affects them.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = CharLM(run.model)
        if beginning.weights is None:
            model.init_output_bias(frequencies(text.train_ids, run.model.vocab_size))
        else:
            model.load_tensors(beginning.weights)
        self.model = model.to(device)
        self._generator = torch.Generator(device).manual_seed(config.seed)
        self._train_step = TrainStep(
            self.model, config, generator=self._generator, ranks=ranks, new_tokens=beginning.new_tokens
        )
        self._ema = WeightEMA(self.model, config.ema_decay) if config.ema_decay else None
        objective = objective_of(run, text.tokenizer)
        self._validation = Validation(objective, text.val_ids, text.train_ids, self._train_step.autocast)
        self._batches = make_batches(text.train_ids, run.data, config.seed, objective, run.model.reach)
        self._states: list[State | None] = [None] * self._batches.groups
        self._last_good: LastGood | None = None
        self._last_batch: Batch | None = None
        self.cursor = Cursor()
        if beginning.resume is not None:
            self.cursor = Cursor.from_json(beginning.resume.cursor)
            snapshot.restore(beginning.resume.tensors, self._train_state(self._states))
            self._states = [ranks.shard(state) for state in self._states]
        spent = 0.0 if session.begun is None else ranks.broadcast_value(time.monotonic() - session.begun)
        self._times = Timetable(config, self._batches.passes, self.cursor, spent=spent, agree=ranks.broadcast_value)
        self.cursor.evaluated_share = min(self.cursor.evaluated_share, self._share)

    def events(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train until the budget ends, and write ``metrics.jsonl``.

        Args:
            stop: called after every step; when it returns True, the run is saved and training ends.

        Yields:
            `Started` first, `Stopped` last, and one `StepDone` for each step.

        Raises:
            StorageError: a file cannot be written; its previous version is intact.
            OutOfMemoryError: the machine has too little memory.
        """
        ending = self._ending_if_finished()
        if ending is not None:
            yield from itertools.chain(self._introduction(), ending)
            return
        writes = self.ranks.is_rank_zero
        with MetricsLog(self.folder / METRICS, self.cursor.step) if writes else nullcontext() as log:
            with translate_oom():
                for event in itertools.chain(self._introduction(), self._train(stop)):
                    notice = log.write(event) if log is not None else None
                    yield event
                    if notice is not None and not isinstance(event, Stopped):
                        yield notice

    def passage(self, length: int) -> str:
        """Return the beginning of the validation text, or of the training text if there is none.

        Args:
            length: its length in tokens.
        """
        return self.tokenizer.decode(self._passage(length))

    def outcome(self) -> Outcome:
        """Return what the run has come to so far."""
        cursor, bits, by_frequency = self.cursor, None, None
        if cursor.best_val_loss is not None:
            size = len(self._val_ids), self._val_characters
            by_frequency = unigram_loss(self._train_ids, self._val_ids, self.run.model.vocab_size)
            if self.tokenizer.kind == "byte":  # what is no text may have no characters
                size = len(self._val_ids), len(self._val_ids)
            bits, by_frequency = (bits_per_char(loss, *size) for loss in (cursor.best_val_loss, by_frequency))
        return Outcome(cursor.tokens / len(self._train_ids), self._seconds, bits, by_frequency)

    def baselines(self, is_late: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Return what the validation text costs without a network; nothing for a network that reads both sides.

        Args:
            is_late: as `evaluation.baselines.baselines`.

        Returns:
            Bits per character, or per byte for a model of bytes, by name.
        """
        if self.run.model.bidirectional:
            return {}
        return baselines(self._train_ids, self._val_ids, self.tokenizer, is_late=is_late)

    def save_resume(self) -> CheckpointSaved:
        """Write ``resume.safetensors``: everything for an exact resume, with any number of ranks.

        Raises:
            DivergedError: the next step would not have a finite loss, so that nothing could be resumed.
        """
        if self._last_batch is not None:
            carried = None if self._batches.shuffled else self._states[self._last_batch.group]
            if self.ranks.broadcast_value(self._train_step.has_diverged(self._last_batch, carried)):
                raise DivergedError(f"the weights are out of range at step {self.cursor.step}")
        self.cursor.seconds, self.cursor.reserve = self._seconds, self._times.reserve
        state = self._train_state([self.ranks.gather_rows(state) for state in self._states])
        return self.ranks.on_rank_zero(lambda: self._files.save_resume(snapshot.capture(state), self.cursor))

    def _introduction(self) -> Iterator[Event]:
        step = self.cursor.step
        sizes = self.model.parameter_count(), len(self._train_ids), len(self._val_ids)
        yield Started(self.run.name, step, *sizes, command=self._command, machine=self._machine)
        if self._notice:
            yield Notice(step, self._notice)
        if step and self._share >= 1.0:
            budgets = ((name, getattr(self.run.train, name)) for name in BUDGETS)
            given = ", ".join(f"`{name}={value:g}`" for name, value in budgets if value is not None)
            yield Notice(step, f"The budget is used up ({given}); a larger one continues.")

    def _ending_if_finished(self) -> tuple[Event, ...] | None:
        """Return the last events of a run that has already finished, which changes nothing; None if it has not."""
        cursor = self.cursor
        if cursor.evaluated != cursor.step:
            return None
        if self._share >= 1.0:
            return (Stopped(cursor.step, "finished", cursor.best_val_loss, self._seconds),)
        if not self._out_of_patience():
            return None
        text = (
            f"It stopped early, after {cursor.stale_evals} evaluations without progress; "
            "a new run can begin from its weights."
        )
        return Notice(cursor.step, text), Stopped(cursor.step, "early", cursor.best_val_loss, self._seconds)

    def _train(self, stop: Callable[[], bool]) -> Iterator[Event]:
        self.model.train()
        config = self.run.train
        # With several ranks a step also waits for the others, so its time does not show which threads are faster.
        adapt = self.ranks.world_size == 1 and not config.threads and config.max_time is not None
        initial_threads = torch.get_num_threads()
        torch.set_num_threads(config.threads or initial_threads)
        threads = AdaptiveThreads(torch.get_num_threads(), torch.set_num_threads, enabled=adapt)
        try:
            yield from self._until_it_converges(stop, threads)
        finally:
            torch.set_num_threads(initial_threads)

    def _until_it_converges(self, stop: Callable[[], bool], threads: AdaptiveThreads) -> Iterator[Event]:
        """Train; after a divergence from the last good state again, if it may be gone back to."""
        while True:
            self._keep_good_state()
            try:
                yield from self._steps(stop, threads)
                return
            except DivergedError as fault:
                went_back = self._went_back(fault.what)
                if went_back is None:
                    yield self._diverged(fault.what)
                    return
                yield went_back

    def _keep_good_state(self) -> None:
        if self.run.train.on_divergence == "rollback":
            self._last_good = None  # never two copies at a time
            self._last_good = LastGood.of(self._train_state(self._states), self.cursor)

    def _went_back(self, what: str) -> Notice | None:
        """Go back to the last good state and return what is to be said; None if that is not wanted, or not any more."""
        if self._last_good is None:
            return None
        self.cursor.seconds = self._seconds
        cursor = self._last_good.go_back(self._train_state(self._states), self.cursor)
        if cursor is None:
            return None
        self.cursor, self._last_batch = cursor, None
        lr = cursor.lr_scale * self.run.train.lr
        return Notice(cursor.step, f"{what}. Back at step {cursor.step:,} with a peak learning rate of {lr:.3g}.")

    def _steps(self, stop: Callable[[], bool], threads: AdaptiveThreads) -> Iterator[Event]:
        cursor, last_save = self.cursor, time.monotonic()
        reason = yield from self._judge(stop)  # a signal may have ended the previous session before an evaluation
        for batch in self._batches.start_from(cursor.epoch, cursor.index):
            if reason is not None or self._share >= 1.0:
                break
            save_due = time.monotonic() - last_save >= self._times.save_interval
            done, synced = self._step(batch, stop, save_due, threads)
            yield done
            _check_finite(done)
            reason = "interrupted" if synced.stop else (yield from self._judge(stop))
            if synced.save and reason is None:
                with self._times.doing("save"):
                    yield self.save_resume()
                    self._keep_good_state()
                last_save = time.monotonic()
        yield from self._end(reason or "finished", stop)

    def _judge(self, stop: Callable[[], bool]) -> Generator[Event, None, _Reason | None]:
        """Evaluate or write a preview where one is due; return why training ends here, or None if it continues."""
        # A network that was trained before may be better than after any step.
        before_first_step = self._fine_tuned and bool(len(self._val_ids))
        if self._times.evaluation_due(self.cursor, before_first_step=before_first_step):
            with self._times.doing("evaluation"):
                complete = yield from self._evaluate(stop)
            if not complete:
                return "interrupted"
        elif self._wants_previews() and self._times.preview_due(self.cursor):
            with self._times.doing("preview"):
                yield from self._preview()
        return "early" if self._out_of_patience() else None

    def _step(
        self, batch: Batch, stop: Callable[[], bool], save_due: bool, threads: AdaptiveThreads
    ) -> tuple[StepDone, SyncedStep]:
        """Take one step, combine its result with that of the other ranks, and advance the cursor."""
        share, start, self._last_batch = self._share, time.perf_counter(), batch
        if not self.cursor.step:
            self._times.start_schedule(self.cursor)
        rate = schedule(self._times.schedule_share(self.cursor), self.run.train.warmup)
        lr = self.cursor.lr_scale * self.run.train.lr * rate
        carried = None if self._batches.shuffled else self._states[batch.group]
        result = self._train_step(batch, carried, lr)
        if not self._batches.shuffled:
            self._states[batch.group] = result.state
        elapsed = time.perf_counter() - start
        synced = self.ranks.sync_step(result.loss, elapsed, stop(), save_due)
        threads.after_step(elapsed)
        self._count(batch, synced)
        cursor, seconds = self.cursor, self._seconds
        return StepDone(cursor.step, share, synced.loss, lr, result.grad_norm, cursor.tokens, seconds), synced

    def _count(self, batch: Batch, synced: SyncedStep) -> None:
        cursor = self.cursor
        cursor.step += 1
        cursor.epoch, cursor.index = batch.epoch, batch.index + 1
        cursor.tokens += batch.tokens
        self._times.clock.add_step(synced.seconds)
        mean = _LOSS_MEMORY * cursor.train_loss + (1 - _LOSS_MEMORY) * synced.loss
        cursor.train_loss = synced.loss if cursor.step == 1 else mean
        if self._ema is not None:
            self._ema.update(cursor.step)

    def _end(self, reason: _Reason, stop: Callable[[], bool]) -> Iterator[Event]:
        unscored = self.cursor.best_val_loss is None
        due = self.cursor.evaluated != self.cursor.step and (reason == "finished" or (reason == "early" and unscored))
        complete = due and (yield from self._evaluate(stop))
        if due and not complete:
            reason = "interrupted"
        if unscored and not complete:
            yield self._save_model(self._unscored(), None, None)
        yield self.save_resume()
        if reason != "interrupted":
            self.ranks.on_rank_zero(lambda: self._choose_min_p(stop))
            losses = self.cursor.eval_losses
            text = diagnose(
                self.cursor.train_loss,
                losses,
                self.cursor.tokens,
                len(self._train_ids),
                fine_tuned=self._fine_tuned,
                start_loss=losses[0] if self._fine_tuned and losses else None,
            )
            if text:
                yield Notice(self.cursor.step, text)
        yield Stopped(self.cursor.step, reason, self.cursor.best_val_loss, self._seconds)

    def _choose_min_p(self, stop: Callable[[], bool]) -> None:
        """Measure with which min-p the saved model writes best, and store it."""
        if self.run.model.bidirectional or self.run.data.lists_records or not len(self._val_ids):
            return
        unseen = self.tokenizer.decode(self._val_ids[:_UNSEEN].tolist())
        deadline = time.monotonic() + self._times.writing_seconds

        def choose(saved: Checkpoint) -> float | None:
            engine = self._load_engine(saved)
            assert isinstance(engine, Engine)
            return choose_min_p(
                engine,
                saved.writing,
                self._known_words,
                unseen,
                seed=self.run.train.seed,
                stop=lambda: stop() or time.monotonic() > deadline,
                least=LEAST_BEGUN if self._fine_tuned else 0.0,
            )

        self._files.set_min_p(choose)

    def _diverged(self, what: str) -> Stopped:
        saved = "what was saved before it is kept" if self._files.exist else "it came before the first checkpoint"
        return Stopped(self.cursor.step, "diverged", self.cursor.best_val_loss, self._seconds, f"{what}; {saved}")

    def _evaluate(self, stop: Callable[[], bool]) -> Generator[Event, None, bool]:
        """Score the validation text with the better of last and averaged weights; save the model if it is the best.

        Returns:
            Whether the evaluation is complete; ``stop`` gives it up.
        """
        cursor = self.cursor
        self.ranks.broadcast_weights(self.model)
        if not len(self._val_ids):
            cursor.evaluated, cursor.evaluated_share = cursor.step, self._share
            yield self._save_model(self._unscored(), None, None)
            yield from self._preview()
            return True
        ema = self._ema if cursor.step else None  # of no step there is no average
        chosen = self.ranks.on_rank_zero(
            lambda: self._validation.choose(
                self.model, ema, stop, tokens=cursor.val_tokens, seconds=self._times.validation_seconds
            )
        )
        if chosen is None:
            return False
        variant, val_loss, cursor.val_tokens = chosen
        cursor.evaluated, cursor.evaluated_share = cursor.step, self._share
        if not math.isfinite(val_loss):
            raise DivergedError(f"the validation loss is {val_loss} at step {cursor.step}")
        # Of a text in which characters are spread evenly over the tokens.
        characters = round(self._val_characters * cursor.val_tokens / len(self._val_ids))
        bits = bits_per_char(val_loss, cursor.val_tokens, characters)
        best = cursor.best_val_loss is None or val_loss < cursor.best_val_loss
        cursor.eval_losses += (val_loss,)
        cursor.stale_evals = 0 if best else cursor.stale_evals + 1
        if best:
            cursor.best_val_loss = val_loss
        train_loss = cursor.train_loss if cursor.step else None
        yield EvalDone(cursor.step, train_loss, val_loss, bits, variant.weights, best, self._seconds)
        if best:
            yield self._save_model(variant, val_loss, bits)
        yield from self._preview()
        return True

    def _unscored(self) -> WeightVariant:
        """Return the weights to save without a validation text: the average, once training has been evaluated."""
        return WeightVariant("ema" if self._ema and self.cursor.evaluated >= 0 else "last")

    def _save_model(self, variant: WeightVariant, val_loss: float | None, bits: float | None) -> CheckpointSaved:
        self.cursor.seconds = self._seconds
        with use_weights(variant, self.model, self._ema):
            tensors = self.model.to_tensors() if self.ranks.is_rank_zero else {}
        return self.ranks.on_rank_zero(lambda: self._files.save_model(tensors, self.cursor, variant, val_loss, bits))

    def _wants_previews(self) -> bool:
        return self.run.train.preview > 0 and self._write_preview is not None

    def _preview(self) -> Iterator[Event]:
        write = self._write_preview
        if write is None or not self._wants_previews() or self._times.too_early_for_preview(self.cursor):
            return
        self._times.previewed(self.cursor)
        passage = self._passage(self.run.train.preview)

        def text() -> tuple[str, str]:
            try:
                return write(self._files.checkpoint(self.model.to_tensors(), self.cursor), passage), ""
            except CheckpointError as fault:  # no file is read here: the weights are out of range
                return "", fault.what

        sample, failure = self.ranks.on_rank_zero(text)
        if failure:
            raise DivergedError(f"{failure} at step {self.cursor.step}")
        yield Preview(self.cursor.step, sample)

    def _passage(self, length: int) -> list[int]:
        ids: list[int] = (self._val_ids if len(self._val_ids) else self._train_ids)[:length].tolist()
        return ids

    def _out_of_patience(self) -> bool:
        return bool(self.run.train.patience) and self.cursor.stale_evals >= self.run.train.patience

    @property
    def _share(self) -> float:
        """The share of the budget that is used."""
        return self._times.share(self.cursor)

    @property
    def _seconds(self) -> float:
        """Seconds of training over all sessions."""
        return self._times.clock.seconds

    def _train_state(self, states: list[State | None]) -> TrainState:
        return TrainState(self._train_step, self._ema, states, self._generator, self.run.data.batch_size)


def _check_finite(done: StepDone) -> None:
    if not (math.isfinite(done.loss) and math.isfinite(done.grad_norm)):
        raise DivergedError(
            f"the loss is {done.loss} at step {done.step} "
            f"(learning rate {done.lr:.3g}, gradient norm {done.grad_norm:.3g})"
        )
