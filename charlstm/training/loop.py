"""The training loop: windows in, events out, and files that a kill at any moment leaves whole."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch.nn import functional

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.store import METRICS, MODEL, RESUME
from charlstm.config import BUDGETS, RunConfig
from charlstm.corpora.encode import frequencies
from charlstm.cpu import Threads
from charlstm.engine import BidirectionalEngine, Engine
from charlstm.evaluation.calibration import calibrate
from charlstm.evaluation.loss import bits_per_char, evaluate
from charlstm.evaluation.masked import evaluate_cloze
from charlstm.events import CheckpointSaved, EvalDone, Event, Notice, Preview, Started, StepDone, Stopped
from charlstm.filling import fill as filling
from charlstm.nn.device import parse_device
from charlstm.nn.model import CharLM, State, detach, reset_rows
from charlstm.nn.parameters import dense_weights, tables
from charlstm.sampling import sampler as sampling
from charlstm.tokenizers import Tokenizer
from charlstm.training import snapshot
from charlstm.training.batches import Window, Windows
from charlstm.training.budget import Clock, progress
from charlstm.training.diagnosis import diagnose
from charlstm.training.distributed import SINGLE_PROCESS, Ranks, SyncedStep
from charlstm.training.memory import translate_oom
from charlstm.training.metrics_log import MetricsLog
from charlstm.training.optim.build import make_optimizers
from charlstm.training.optim.ema import Average
from charlstm.training.optim.schedule import schedule
from charlstm.training.snapshot import Cursor
from charlstm.training.weight_variant import Candidate, standing

EVAL_STREAMS = 32
"""Parallel streams of the validation text, each warmed up on what stands before it."""

_CALIBRATED = 1000
"""Tokens of validation text below which no temperature is fitted."""

_PREVIEW_EVERY = 0.1
"""Share of the budget after which something is shown, evaluated or not; what a network writes sooner is blanks."""
_NEARLY_OVER = 0.97
"""Share of the budget from which on the evaluation at its end is near enough."""
_LOSS_MEMORY = 0.98
_Reason = Literal["finished", "interrupted", "early", "diverged"]


class Training:
    """One run, from wherever it stands to the end of its budget.

    Args:
        run: all settings.
        tokenizer: turns the text into ids; goes into the checkpoint.
        train_ids: the training tokens, (tokens,), memory-mapped or not; at least 2.
        val_ids: the validation tokens, the contiguous part after them; may be empty.
        val_characters: characters the validation tokens stand for, to give bits per character.
        folder: where the run's files are written.
        provenance: what the checkpoint should tell of its origin, besides what training knows.
        weights: weights to begin with, by a checkpoint's names; None draws them from the seed.
        resume: a ``resume`` checkpoint to go on from.
        notice: what a person should know before the first step, if anything.
        ranks: this process among those that train together. All of them tell the same events; only the first writes.
    """

    def __init__(
        self,
        run: RunConfig,
        tokenizer: Tokenizer,
        train_ids: NDArray[Any],
        val_ids: NDArray[Any],
        val_characters: int,
        folder: Path,
        *,
        provenance: dict[str, Any] | None = None,
        weights: dict[str, NDArray[Any]] | None = None,
        resume: Checkpoint | None = None,
        notice: str = "",
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        ranks.check(run)
        self.run = run
        self.ranks = ranks
        self.tokenizer = tokenizer
        self.folder = folder
        self._train_ids, self._val_ids, self._val_characters = train_ids, val_ids, val_characters
        self._provenance = provenance or {}
        self._notice = notice
        config = run.train
        self.device = parse_device(ranks.device(config.device))
        # Generators of its own: nothing else that draws random numbers can change a run, nor a run anything else.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = CharLM(run.model)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        if weights is None:
            model.begin_with(frequencies(train_ids, run.model.vocab_size))
        else:
            model.load_tensors(weights)
        self.model = model.to(self.device)
        self._called = ranks.wrap(self.model)  # before anything copies weights: from here on they are rank 0's
        self.optimizers = make_optimizers(self.model, config)
        self.average = Average(self.model, config.average) if config.average else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.windows = Windows(
            train_ids, run.data, config.seed, mask=run.model.vocab_size if run.model.bidirectional else None
        )
        self.states: list[State | None] = [None] * self.windows.groups
        self.cursor = Cursor()
        if resume is not None:
            self.cursor = Cursor.from_json(resume.provenance["cursor"])
            snapshot.give_back(resume.tensors, self._moving(self.states))
            self.states = [ranks.shard(state) for state in self.states]
        self._clock = Clock(self.cursor.seconds)
        self._shown = self._progress()

    def events(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train until the budget ends, and tell what happens; ``metrics.jsonl`` is written alongside.

        Args:
            stop: asked after every step; once it says True, everything is saved and training ends.

        Yields:
            `Started` first, `Stopped` last, and one `StepDone` a step between.

        Raises:
            StorageError: a file cannot be written; what was last whole still is.
            OutOfMemoryError: the machine has not enough memory.
        """
        over = self._over()
        if over is not None:
            yield from itertools.chain(self._greeting(), over)
            return
        writes = self.ranks.is_rank_zero
        with MetricsLog(self.folder / METRICS, self.cursor.step) if writes else nullcontext() as log:
            with translate_oom():
                for event in itertools.chain(self._greeting(), self._train(stop)):
                    notice = log.write(event) if log is not None else None
                    yield event
                    if notice is not None and not isinstance(event, Stopped):
                        yield notice

    def _greeting(self) -> Iterator[Event]:
        step = self.cursor.step
        yield Started(self.run.name, step, self.model.parameter_count(), len(self._train_ids), len(self._val_ids))
        if self._notice:
            yield Notice(step, self._notice)

    def _over(self) -> tuple[Event, Event] | None:
        """What to tell of a run that has ended already, and is left as it is; None while there is something to do."""
        cursor = self.cursor
        if cursor.evaluated != cursor.step:
            return None
        reason: _Reason = "finished"
        budgets = ((name, getattr(self.run.train, name)) for name in BUDGETS)
        given = ", ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in budgets if value is not None)
        text = f"The budget is used up ({given}); a larger one goes on."
        if self._progress() < 1.0:
            if not self._out_of_patience():
                return None
            reason = "early"
            text = (
                f"It stopped early, {cursor.stale_evals} tests without progress; --init-from begins a new run from it."
            )
        return Notice(cursor.step, text), Stopped(cursor.step, reason, cursor.best_val_loss, self._clock.seconds)

    def _train(self, stop: Callable[[], bool]) -> Iterator[Event]:
        self.model.train()
        config = self.run.train
        # What a step takes says nothing of this machine's threads while it waits for others.
        adapt = self.ranks.world_size == 1 and not config.threads and config.max_time is not None
        before = torch.get_num_threads()
        torch.set_num_threads(config.threads or before)
        try:
            yield from self._steps(stop, Threads(torch.get_num_threads(), torch.set_num_threads, adapt=adapt))
        finally:
            torch.set_num_threads(before)

    def _steps(self, stop: Callable[[], bool], threads: Threads) -> Iterator[Event]:
        cursor, config = self.cursor, self.run.train
        last_save = time.monotonic()
        reason: _Reason = "finished"
        for window in self.windows.start_from(cursor.epoch, cursor.index):
            if self._progress() >= 1.0:
                break
            began = time.perf_counter()
            done = self._step(window)
            taken = time.perf_counter() - began
            due = time.monotonic() - last_save >= config.save_every
            done, agreed = self._agreed(done, taken, stop(), due)
            threads.after_step(taken)
            yield done
            if not (math.isfinite(done.loss) and math.isfinite(done.grad_norm)):
                yield self._diverged(done)
                return
            began = time.perf_counter()
            early = self._progress() < _NEARLY_OVER
            evaluated = early and cursor.step % config.eval_every == 0
            previewed = early and not evaluated and self._preview_due()
            if evaluated:
                yield from self._evaluate()
            elif previewed:
                yield from self._preview()
            if agreed.stop:
                reason = "interrupted"
                break
            if self._out_of_patience():
                reason = "early"
                break
            if agreed.save:
                yield self.save_resume()
                last_save = time.monotonic()
            if evaluated or previewed or agreed.save:
                self._clock.add(self.ranks.broadcast_value(time.perf_counter() - began))
        yield from self._end(reason)

    def _agreed(self, done: StepDone, taken: float, stop: bool, due: bool) -> tuple[StepDone, SyncedStep]:
        """Make a step's loss, its time and what was asked for known to all ranks, and count it."""
        agreed = self.ranks.sync_step(done.loss, taken, stop, due)
        self._clock.add_step(agreed.seconds)
        mean = self.cursor.train_loss
        self.cursor.train_loss = (
            agreed.loss if done.step == 1 else _LOSS_MEMORY * mean + (1 - _LOSS_MEMORY) * agreed.loss
        )
        return dataclasses.replace(done, loss=agreed.loss), agreed

    def _end(self, reason: _Reason) -> Iterator[Event]:
        if reason == "finished" or (reason == "early" and self.cursor.best_val_loss is None):
            yield from self._evaluate()
        elif self.cursor.best_val_loss is None:
            yield self.save_model(self._unscored(), None, None)
        yield self.save_resume()
        yield from self._diagnosis(reason)
        yield Stopped(self.cursor.step, reason, self.cursor.best_val_loss, self._clock.seconds)

    def _moving(self, states: list[State | None]) -> snapshot.Moving:
        return snapshot.Moving(self.model, self.optimizers, self.average, states, self.generator, self.scaler)

    def _progress(self) -> float:
        epochs = self.cursor.epoch + self.cursor.index / self.windows.per_epoch
        return progress(self.run.train, seconds=self._clock.seconds, steps=self.cursor.step, epochs=epochs)

    def _autocast(self) -> AbstractContextManager[Any]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.run.train.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, kinds[self.run.train.precision])

    def _step(self, window: Window) -> StepDone:
        """One step of the optimizer, and the one place where the carried state is detached.

        The gradient is that of all ranks; the loss it tells is still that of this rank's rows.
        """
        config, cursor = self.run.train, self.cursor
        share = self._progress()
        lr = config.lr * schedule(share, config.warmup)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
        batch = len(window.inputs)
        rows = self.ranks.rows(batch)
        inputs, targets = window.inputs[rows].to(self.device), window.targets[rows].to(self.device)
        state = None if self.windows.shuffled else self.states[window.group]
        if state is not None and window.fresh.any():
            state = reset_rows(state, window.fresh[rows].to(self.device))
        with self._autocast():
            logits, state = self._called(inputs, state, self.generator, (rows.start, batch))
        targets = targets.repeat(self.run.model.ensemble, 1)  # each network is asked alone
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        torch.autograd.backward(self.scaler.scale(loss))
        self.ranks.average_sparse(tables(self.model))
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)  # type: ignore[arg-type]  # a Rule has all that it asks for
        norm = torch.nn.utils.clip_grad_norm_(dense_weights(self.model), config.grad_clip)
        nats, grad_norm = loss.item(), norm.item()
        scaled = self.scaler.is_enabled()
        if math.isfinite(nats) and (scaled or math.isfinite(grad_norm)):
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)  # type: ignore[arg-type]
            self.scaler.update()
        self.model.zero_grad(set_to_none=True)
        if not self.windows.shuffled:
            self.states[window.group] = detach(state)
        cursor.step += 1
        cursor.epoch, cursor.index = window.epoch, window.index + 1
        cursor.tokens += window.targets.numel()
        if self.average is not None:
            self.average.update(cursor.step)
        # Under loss scaling a gradient that overflows is met every so often; the step is skipped, nothing is lost.
        shown = config.grad_clip if scaled and not math.isfinite(grad_norm) else grad_norm
        return StepDone(cursor.step, share, nats, lr, shown, cursor.tokens, self._clock.seconds)

    def _evaluate(self) -> Iterator[Event]:
        """Score all of the validation text with the better of last and average weights; keep the best of all."""
        cursor = self.cursor
        cursor.evaluated = cursor.step
        self.ranks.broadcast_weights(self.model)
        if not len(self._val_ids):
            yield self.save_model(self._unscored(), None, None)
            yield from self._preview()
            return
        candidate, val_loss = self.ranks.on_rank_zero(self._val_loss)
        bits = bits_per_char(val_loss, len(self._val_ids), self._val_characters)
        best = cursor.best_val_loss is None or val_loss < cursor.best_val_loss
        cursor.eval_losses += (val_loss,)
        cursor.stale_evals = 0 if best else cursor.stale_evals + 1
        if best:
            cursor.best_val_loss = val_loss
        yield EvalDone(cursor.step, cursor.train_loss, val_loss, bits, candidate.weights, best, self._clock.seconds)
        if best:
            yield self.save_model(candidate, val_loss, bits)
        yield from self._preview()

    def _unscored(self) -> Candidate:
        """What is saved where no validation text chooses: the average, once it is one of enough steps."""
        return Candidate("average" if self.average and self.cursor.evaluated >= 0 else "last")

    def _val_loss(self) -> tuple[Candidate, float]:
        """The better of last and average weights, and the temperature, by the first eighth; and the loss of it all."""
        glimpse = self._val_ids[: max(1, len(self._val_ids) // 8)]
        kinds: tuple[Literal["last", "average"], ...] = ("last",) if self.average is None else ("last", "average")
        found = []
        for kind in kinds:
            with standing(Candidate(kind), self.model, self.average):
                loss, temperature = self._glimpse(glimpse)
            found.append((loss, Candidate(kind, temperature)))
        best = min(reversed(found), key=lambda pair: pair[0])[1]
        with standing(best, self.model, self.average):
            return best, self._score(self._val_ids)

    def _glimpse(self, ids: NDArray[Any]) -> tuple[float, float]:
        """The loss of a few tokens, and the temperature that fits them if they are enough to tell."""
        if self.run.model.bidirectional or len(ids) < _CALIBRATED:
            return self._score(ids), 1.0
        return calibrate(self.model, ids, self._context(), streams=EVAL_STREAMS, autocast=self._autocast())

    def _score(self, ids: NDArray[Any]) -> float:
        if self.run.model.bidirectional:
            return evaluate_cloze(self.model, ids, self.run.data.seq_len, self._autocast())
        return evaluate(self.model, ids, self._context(), streams=EVAL_STREAMS, autocast=self._autocast())

    def _context(self) -> NDArray[Any]:
        return self._train_ids[-EVAL_STREAMS * 16 :]

    def _preview_due(self) -> bool:
        return self.run.train.preview > 0 and self._progress() >= self._shown + _PREVIEW_EVERY

    def _preview(self) -> Iterator[Event]:
        length = self.run.train.preview
        if not length or self._progress() < _PREVIEW_EVERY:
            return
        self._shown = self._progress()
        yield Preview(self.cursor.step, self.ranks.on_rank_zero(lambda: self._proof(length)))

    def passage(self, length: int) -> str:
        """The first tokens of the validation text, or of all there is where there is none."""
        return self.tokenizer.decode(self._passage(length))

    def _passage(self, length: int) -> list[int]:
        ids: list[int] = (self._val_ids if len(self._val_ids) else self._train_ids)[:length].tolist()
        return ids

    def _proof(self, length: int) -> str:
        parts = self.model.to_tensors(), self._config(), self.tokenizer.to_state()
        if self.run.model.bidirectional:
            return filling.preview(BidirectionalEngine(*parts), self.tokenizer, self._passage(length))
        return sampling.preview(Engine(*parts), length, seed=self.run.train.seed)

    def _out_of_patience(self) -> bool:
        return bool(self.run.train.patience) and self.cursor.stale_evals >= self.run.train.patience

    def _diverged(self, done: StepDone) -> Stopped:
        kept = any((self.folder / name).exists() for name in (MODEL, RESUME))
        message = (
            f"the loss is {done.loss} at step {done.step} (learning rate {done.lr:.3g}, gradient norm "
            f"{done.grad_norm:.3g}); "
            + ("what was saved before it is kept" if kept else "it came before the first checkpoint")
        )
        return Stopped(done.step, "diverged", self.cursor.best_val_loss, self._clock.seconds, message)

    def _diagnosis(self, reason: _Reason) -> Iterator[Event]:
        if reason == "interrupted":
            return
        text = diagnose(self.cursor.train_loss, self.cursor.eval_losses, self.cursor.tokens, len(self._train_ids))
        if text:
            yield Notice(self.cursor.step, text)

    def save_model(self, candidate: Candidate, val_loss: float | None, bits: float | None) -> CheckpointSaved:
        """Write ``model.safetensors``: all that sampling, scoring and sharing need."""
        about = {"val_loss": val_loss, "bits_per_char": bits, **dataclasses.asdict(candidate)}
        return self.ranks.on_rank_zero(lambda: self._save(MODEL, "model", self._tensors(candidate), about))

    def _tensors(self, candidate: Candidate) -> dict[str, NDArray[Any]]:
        with standing(candidate, self.model, self.average):
            return self.model.to_tensors()

    def save_resume(self) -> CheckpointSaved:
        """Write ``resume.safetensors``: all that an exact resume needs, with any number of ranks."""
        self.cursor.seconds = self._clock.seconds
        moving = self._moving([self.ranks.gather_rows(state) for state in self.states])
        about = {"cursor": self.cursor.to_json()}
        return self.ranks.on_rank_zero(lambda: self._save(RESUME, "resume", snapshot.take(moving), about))

    def _save(
        self, name: str, kind: Literal["model", "resume"], tensors: dict[str, NDArray[Any]], about: dict[str, Any]
    ) -> CheckpointSaved:
        cursor = self.cursor
        provenance = {
            **self._provenance,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "step": cursor.step,
            "tokens": cursor.tokens,
            "seconds": round(self._clock.seconds, 3),
            "torch": torch.__version__,
            **about,
        }
        path = self.folder / name
        checkpoint_format.write(path, Checkpoint(kind, tensors, self._config(), self.tokenizer.to_state(), provenance))
        return CheckpointSaved(cursor.step, str(path), kind)

    def _config(self) -> dict[str, Any]:
        return self.run.model_dump(mode="json")
