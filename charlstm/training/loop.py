"""The training loop: windows in, events out, and files that a kill at any moment leaves whole."""

from __future__ import annotations

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

from charlstm import filling, sampling
from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.store import METRICS, MODEL, RESUME
from charlstm.config import RunConfig
from charlstm.diagnosis import diagnose
from charlstm.engine import BidirectionalEngine, Engine
from charlstm.evaluate import bits_per_char, evaluate, evaluate_cloze
from charlstm.events import CheckpointSaved, EvalDone, Event, Notice, Preview, Started, StepDone, Stopped
from charlstm.nn.device import parse_device
from charlstm.nn.model import CharLM, State, detach, reset_rows
from charlstm.optim import Average, make_optimizer, schedule
from charlstm.tokenizers import Tokenizer
from charlstm.training import snapshot
from charlstm.training.budget import Clock, progress
from charlstm.training.journal import Journal
from charlstm.training.memory import telling_of_memory
from charlstm.training.snapshot import Cursor
from charlstm.training.threads import Threads
from charlstm.windows import Window, Windows

EVAL_STREAMS = 32
"""Parallel streams of the validation text, each warmed up on what stands before it."""

_FIRST_PREVIEW = 0.1
"""Share of the budget before which nothing is shown: what a network writes by then is one letter, or blanks."""
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
    ) -> None:
        self.run = run
        self.tokenizer = tokenizer
        self.folder = folder
        self._train_ids, self._val_ids, self._val_characters = train_ids, val_ids, val_characters
        self._provenance = provenance or {}
        self._notice = notice
        config = run.train
        if config.threads:
            torch.set_num_threads(config.threads)
        self.device = parse_device(config.device)
        # Generators of its own: nothing else that draws random numbers can change a run, nor a run anything else.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = CharLM(run.model)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        if weights is not None:
            model.load_tensors(weights)
        self.model = model.to(self.device)
        self.optimizer = make_optimizer(self.model, config)
        self.average = Average(self.model, config.average) if config.average else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.windows = Windows(
            train_ids, run.data, config.seed, mask=run.model.vocab_size if run.model.bidirectional else None
        )
        self.states: list[State | None] = [None] * self.windows.groups
        self.cursor = Cursor()
        if resume is not None:
            self.cursor = Cursor.from_json(resume.provenance["cursor"])
            snapshot.give_back(resume.tensors, self._moving())
        self._clock = Clock(self.cursor.seconds)

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
        with Journal(self.folder / METRICS, self.cursor.step) as journal, telling_of_memory():
            for event in self._train(stop):
                journal.write(event)
                yield event

    def _train(self, stop: Callable[[], bool]) -> Iterator[Event]:
        cursor = self.cursor
        yield Started(
            self.run.name, cursor.step, self.model.parameter_count(), len(self._train_ids), len(self._val_ids)
        )
        if self._notice:
            yield Notice(cursor.step, self._notice)
        if self._progress() >= 1.0 and cursor.evaluated == cursor.step:
            yield Notice(cursor.step, "The budget is used up; a larger --max-time, --max-steps or --epochs goes on.")
            yield Stopped(cursor.step, "finished", cursor.best_val_loss, self._clock.seconds)
            return
        self.model.train()
        config = self.run.train
        threads = Threads(adapt=not (config.threads or config.max_steps or config.epochs))
        last_save = time.monotonic()
        reason: _Reason = "finished"
        for window in self.windows.start_from(cursor.epoch, cursor.index):
            if self._progress() >= 1.0:
                break
            began = time.perf_counter()
            done = self._step(window)
            taken = time.perf_counter() - began
            self._clock.step(taken)
            threads.after_step(taken)
            yield done
            if not (math.isfinite(done.loss) and math.isfinite(done.grad_norm)):
                yield self._diverged(done)
                return
            began = time.perf_counter()
            if cursor.step % config.eval_every == 0 and self._progress() < 0.97:
                yield from self._evaluate()
            if stop():
                reason = "interrupted"
                break
            if self._out_of_patience():
                reason = "early"
                break
            if time.monotonic() - last_save >= config.save_every:
                yield self.save_resume()
                last_save = time.monotonic()
            self._clock.other(time.perf_counter() - began)
        threads.restore()
        yield from self._end(reason)

    def _end(self, reason: _Reason) -> Iterator[Event]:
        if reason == "finished":
            yield from self._evaluate()
        elif self.cursor.best_val_loss is None:
            yield self.save_model("last", None, None)
        yield self.save_resume()
        yield from self._diagnosis(reason)
        yield Stopped(self.cursor.step, reason, self.cursor.best_val_loss, self._clock.seconds)

    def _moving(self) -> snapshot.Moving:
        return snapshot.Moving(self.model, self.optimizer, self.average, self.states, self.generator, self.scaler)

    def _progress(self) -> float:
        epochs = self.cursor.epoch + self.cursor.index / self.windows.per_epoch
        return progress(self.run.train, seconds=self._clock.seconds, steps=self.cursor.step, epochs=epochs)

    def _autocast(self) -> AbstractContextManager[Any]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.run.train.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, kinds[self.run.train.precision])

    def _step(self, window: Window) -> StepDone:
        """One step of the optimizer, and the one place where the carried state is detached."""
        config, cursor = self.run.train, self.cursor
        share = self._progress()
        lr = config.lr * schedule(share, config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        inputs, targets = window.inputs.to(self.device), window.targets.to(self.device)
        state = None if self.windows.shuffled else self.states[window.group]
        if state is not None and window.fresh.any():
            state = reset_rows(state, window.fresh.to(self.device))
        with self._autocast():
            logits, state = self.model(inputs, state, self.generator)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip)
        nats, grad_norm = loss.item(), norm.item()
        scaled = self.scaler.is_enabled()
        if math.isfinite(nats) and (scaled or math.isfinite(grad_norm)):
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.states[window.group] = detach(state)
        cursor.step += 1
        cursor.epoch, cursor.index = window.epoch, window.index + 1
        cursor.tokens += targets.numel()
        cursor.train_loss = nats if cursor.step == 1 else _LOSS_MEMORY * cursor.train_loss + (1 - _LOSS_MEMORY) * nats
        if self.average is not None:
            self.average.update(cursor.step)
        # Under loss scaling a gradient that overflows is met every so often; the step is skipped, nothing is lost.
        shown = config.grad_clip if scaled and not math.isfinite(grad_norm) else grad_norm
        return StepDone(cursor.step, share, nats, lr, shown, cursor.tokens, self._clock.seconds)

    def _evaluate(self) -> Iterator[Event]:
        """Score all of the validation text with the better of last and average weights; keep the best of all."""
        cursor = self.cursor
        cursor.evaluated = cursor.step
        if not len(self._val_ids):
            yield self.save_model("average" if self.average else "last", None, None)
            yield from self._preview()
            return
        weights, val_loss = self._val_loss()
        bits = bits_per_char(val_loss, len(self._val_ids), self._val_characters)
        best = cursor.best_val_loss is None or val_loss < cursor.best_val_loss
        cursor.eval_losses += (val_loss,)
        cursor.stale_evals = 0 if best else cursor.stale_evals + 1
        if best:
            cursor.best_val_loss = val_loss
        yield EvalDone(cursor.step, cursor.train_loss, val_loss, bits, weights, best, self._clock.seconds)
        if best:
            yield self.save_model(weights, val_loss, bits)
        yield from self._preview()

    def _val_loss(self) -> tuple[Literal["last", "average"], float]:
        """Whether the last or the average weights are better on the first eighth, and those weights' full loss."""
        if self.average is None:
            return "last", self._score(self._val_ids)
        glimpse = self._val_ids[: max(1, len(self._val_ids) // 8)]
        last = self._score(glimpse)
        self.average.swap()
        try:
            if self._score(glimpse) <= last:
                return "average", self._score(self._val_ids)
        finally:
            self.average.swap()
        return "last", self._score(self._val_ids)

    def _score(self, ids: NDArray[Any]) -> float:
        if self.run.model.bidirectional:
            return evaluate_cloze(self.model, ids, self.run.data.seq_len, self._autocast())
        return evaluate(
            self.model, ids, self._train_ids[-EVAL_STREAMS * 16 :], streams=EVAL_STREAMS, autocast=self._autocast()
        )

    def _preview(self) -> Iterator[Event]:
        length = self.run.train.preview
        if not length or self._progress() < _FIRST_PREVIEW:
            return
        parts = self.model.to_tensors(), self._config(), self.tokenizer.to_state()
        if self.run.model.bidirectional:
            passage = self._val_ids if len(self._val_ids) else self._train_ids
            text = filling.preview(BidirectionalEngine(*parts), self.tokenizer, passage[:length].tolist())
        else:
            text = sampling.preview(Engine(*parts), length, seed=self.run.train.seed)
        yield Preview(self.cursor.step, text)

    def _out_of_patience(self) -> bool:
        return bool(self.run.train.patience) and self.cursor.stale_evals >= self.run.train.patience

    def _diverged(self, done: StepDone) -> Stopped:
        kept = self.cursor.best_val_loss is not None
        message = (
            f"the loss is {done.loss} at step {done.step} (learning rate {done.lr:.3g}, gradient norm "
            f"{done.grad_norm:.3g}); "
            + ("the best checkpoint before it is kept" if kept else "it came before the first checkpoint")
        )
        return Stopped(done.step, "diverged", self.cursor.best_val_loss, self._clock.seconds, message)

    def _diagnosis(self, reason: _Reason) -> Iterator[Event]:
        if reason == "interrupted":
            return
        text = diagnose(self.cursor.train_loss, self.cursor.eval_losses, self.cursor.tokens, len(self._train_ids))
        if text:
            yield Notice(self.cursor.step, text)

    def save_model(
        self, weights: Literal["last", "average"], val_loss: float | None, bits: float | None
    ) -> CheckpointSaved:
        """Write ``model.safetensors``: all that sampling, scoring and sharing need."""
        if weights == "average" and self.average is not None:
            self.average.swap()
            try:
                tensors = self.model.to_tensors()
            finally:
                self.average.swap()
        else:
            tensors = self.model.to_tensors()
        about = {"val_loss": val_loss, "bits_per_char": bits, "weights": weights}
        return self._save(MODEL, "model", tensors, about)

    def save_resume(self) -> CheckpointSaved:
        """Write ``resume.safetensors``: all that an exact resume needs."""
        self.cursor.seconds = self._clock.seconds
        tensors = snapshot.take(self._moving())
        return self._save(RESUME, "resume", tensors, {"cursor": self.cursor.to_json()})

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
