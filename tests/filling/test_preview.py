"""The preview of a training: other random numbers at every step, and the same text for the same step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from charlstm.filling.preview import write_preview
from charlstm.sampling.config import MAX_SEED
from tests.fake_checkpoints import make_checkpoint


def test_each_step_has_its_own_random_numbers(tmp_path: Path) -> None:
    saved = make_checkpoint(tmp_path / "model.safetensors")

    def at(step: int | None) -> str:
        return write_preview(replace(saved, provenance=saved.provenance.replace(step=step)), [])

    assert len({at(None), at(1), at(2), at(3)}) == 4
    assert at(7) == at(7)
    assert at(MAX_SEED // 2)
