"""Writes the files of a run atomically."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.config import RunConfig
from charlstm.errors import DivergedError
from charlstm.events import CheckpointSaved
from charlstm.tokenizers import Tokenizer
from charlstm.training.beginning import Beginning
from charlstm.training.extracts import Extracts
from charlstm.training.snapshot import Cursor
from charlstm.training.weight_variant import WeightVariant

Arrays = dict[str, NDArray[Any]]


class RunFiles:
    """Writes ``model.safetensors`` and ``resume.safetensors``; it never replaces them by files with NaN or infinity.

    Args:
        folder: the folder of the run.
        run: all settings.
        tokenizer: the tokenizer of the run.
        beginning: where the run comes from; the progress of training is added.
        extracts: what the models keep of the training text.

    Attributes:
        writing: how models that are saved from now on write.
    """

    def __init__(
        self,
        folder: Path,
        run: RunConfig,
        tokenizer: Tokenizer,
        beginning: Beginning,
        extracts: Extracts,
    ) -> None:
        self._folder, self._run, self._tokenizer, self._beginning = folder, run, tokenizer, beginning
        self.writing, self._extracts = extracts.writing, extracts

    @property
    def exist(self) -> bool:
        """Whether either file exists."""
        return any((self._folder / name).exists() for name in (MODEL, RESUME))

    def checkpoint(self, tensors: Arrays, cursor: Cursor) -> Checkpoint:
        """Create a model checkpoint without writing it.

        Args:
            tensors: the weights, by name.
            cursor: the position of the run.

        Returns:
            The checkpoint.
        """
        provenance, tokenizer = self._current_provenance(cursor), self._tokenizer.to_state()
        return Checkpoint(
            "model",
            tensors,
            self._run,
            tokenizer,
            provenance,
            writing=self.writing,
            words=self._extracts.words,
            records=self._extracts.records,
        )

    def set_min_p(self, choose: Callable[[Checkpoint], float | None]) -> None:
        """Store the min-p with which the saved model writes best.

        Args:
            choose: finds it; None leaves the model as it is.

        Raises:
            StorageError: the file cannot be written.
        """
        path = self._folder / MODEL
        if not path.exists():  # somebody has removed it
            return
        saved = checkpoint_format.read_model(path)
        min_p = choose(saved)
        if min_p is not None:
            self.writing = self.writing.replace(min_p=min_p)
            checkpoint_format.write(path, dataclasses.replace(saved, writing=self.writing))

    def save_model(
        self, tensors: Arrays, cursor: Cursor, variant: WeightVariant, val_loss: float | None, bits: float | None
    ) -> CheckpointSaved:
        """Write everything that sampling, scoring and sharing need.

        Args:
            tensors: the weights, by name.
            cursor: the position of the run.
            variant: which variant of the weights they are.
            val_loss: validation loss in nats per token; None without a validation text.
            bits: the same in bits per character.

        Returns:
            The event.

        Raises:
            DivergedError: a weight is not finite.
            StorageError: the file cannot be written.
        """
        score = {"val_loss": val_loss, "bits_per_char": bits, **dataclasses.asdict(variant)}
        checkpoint = self.checkpoint(tensors, cursor)
        return self._write(MODEL, dataclasses.replace(checkpoint, provenance=checkpoint.provenance.replace(**score)))

    def save_resume(self, arrays: Arrays, cursor: Cursor) -> CheckpointSaved:
        """Write everything that an exact resume needs.

        Args:
            arrays: from `snapshot.capture`.
            cursor: the position of the run.

        Returns:
            The event.

        Raises:
            DivergedError: a number is not finite.
            StorageError: the file cannot be written.
        """
        as_resume: dict[str, Any] = {
            "kind": "resume",
            "cursor": cursor.to_json(),
            "words": tuple(self._beginning.known_words),
            "records": KnownRecords(),
        }
        return self._write(RESUME, dataclasses.replace(self.checkpoint(arrays, cursor), **as_resume))

    def _write(self, name: str, checkpoint: Checkpoint) -> CheckpointSaved:
        for tensor, array in checkpoint.tensors.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergedError(f"{tensor} holds numbers that are not finite at step {checkpoint.provenance.step}")
        path = self._folder / name
        checkpoint_format.write(path, checkpoint)
        return CheckpointSaved(checkpoint.provenance.step or 0, str(path), "model" if name == MODEL else "resume")

    def _current_provenance(self, cursor: Cursor) -> Provenance:
        return self._beginning.provenance.replace(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            step=cursor.step,
            tokens=cursor.tokens,
            seconds=round(cursor.seconds, 3),
            torch=str(torch.__version__),
        )
