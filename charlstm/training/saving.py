"""The files of a run, written whole or not at all."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.config import RunConfig
from charlstm.errors import DivergedError
from charlstm.events import CheckpointSaved
from charlstm.tokenizers import Tokenizer
from charlstm.training.snapshot import Cursor
from charlstm.training.weight_variant import WeightVariant

Arrays = dict[str, NDArray[Any]]


class RunFiles:
    """Writes ``model.safetensors`` and ``resume.safetensors``; numbers that are not finite never replace finite ones.

    Args:
        folder: of the run.
        run: all settings.
        tokenizer: of the run.
        provenance: where the run comes from; what training knows is added.
    """

    def __init__(self, folder: Path, run: RunConfig, tokenizer: Tokenizer, provenance: Provenance) -> None:
        self._folder, self._run, self._tokenizer, self._provenance = folder, run, tokenizer, provenance

    @property
    def exist(self) -> bool:
        """Whether either file is there."""
        return any((self._folder / name).exists() for name in (MODEL, RESUME))

    def checkpoint(self, tensors: Arrays, cursor: Cursor) -> Checkpoint:
        """The network as a checkpoint that has not been written.

        Args:
            tensors: its weights.
            cursor: where training stands.
        """
        return Checkpoint("model", tensors, self._run, self._tokenizer.to_state(), self._now(cursor))

    def save_model(
        self, tensors: Arrays, cursor: Cursor, variant: WeightVariant, val_loss: float | None, bits: float | None
    ) -> CheckpointSaved:
        """Write all that sampling, scoring and sharing need.

        Args:
            tensors: the weights.
            cursor: where training stands.
            variant: which of the weights they are.
            val_loss: nats per token, or None without a validation text.
            bits: the same in bits per character.

        Raises:
            DivergedError: a weight is not finite.
            StorageError: the file cannot be written.
        """
        known = {"val_loss": val_loss, "bits_per_char": bits, **dataclasses.asdict(variant)}
        checkpoint = self.checkpoint(tensors, cursor)
        return self._write(MODEL, dataclasses.replace(checkpoint, provenance=checkpoint.provenance.replace(**known)))

    def save_resume(self, arrays: Arrays, cursor: Cursor) -> CheckpointSaved:
        """Write all that an exact resume needs.

        Args:
            arrays: of `snapshot.capture`.
            cursor: where training stands.

        Raises:
            DivergedError: a number is not finite.
            StorageError: the file cannot be written.
        """
        checkpoint = dataclasses.replace(self.checkpoint(arrays, cursor), kind="resume", cursor=cursor.to_json())
        return self._write(RESUME, checkpoint)

    def _write(self, name: str, checkpoint: Checkpoint) -> CheckpointSaved:
        for tensor, array in checkpoint.tensors.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergedError(f"{tensor} holds numbers that are not finite")
        path = self._folder / name
        checkpoint_format.write(path, checkpoint)
        return CheckpointSaved(checkpoint.provenance.step or 0, str(path), "model" if name == MODEL else "resume")

    def _now(self, cursor: Cursor) -> Provenance:
        return self._provenance.replace(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            step=cursor.step,
            tokens=cursor.tokens,
            seconds=round(cursor.seconds, 3),
            torch=str(torch.__version__),
        )
