"""One more side input is one class and one line of a table: this one is made here, and everything works with it."""

from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch
from msgspec import Meta

import charlstm
from charlstm.checkpoint.format import read, read_model
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.torch_backend import TorchBackend
from charlstm.events import StepDone, Stopped
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.nn.side_inputs.base import SideInput
from charlstm.training import prepare
from charlstm.training.resume import resume


class PlaceInLine(SideInput, frozen=True, kw_only=True):
    """How many tokens have been read since the last token 0, up to a limit."""

    name: ClassVar[str] = "place"

    place_limit: Annotated[int, Meta(ge=0, le=1000, description="Places told apart; 0: off.")] = 0

    enabled = property(lambda self: self.place_limit > 0)
    history = property(lambda self: 1)
    rows_per_token = property(lambda self: 1)

    def table_rows(self, vocab_size: int) -> int:
        return self.place_limit

    def empty_memory(self, batch: int, device: torch.device) -> Any:
        return (torch.zeros(batch, 1, dtype=torch.int64, device=device),)

    def window_rows(self, history: Any, memory: Any, vocab_size: int, *, frozen: bool = False) -> Any:
        (place,) = memory
        rows = []
        for number in history.numbers[:, -history.time :].unbind(1):
            place = torch.where(number[:, None] == 1, 0, (place + 1).clamp(max=self.place_limit - 1))
            rows.append(place)
        return torch.stack(rows, 1), (place,)

    def empty_step_memory(self) -> int:
        return 0

    def step_rows(self, history: Any, memory: int, vocab_size: int, *, frozen: bool = False) -> Any:
        place = 0 if history.numbers[0] == 1 else min(memory + 1, self.place_limit - 1)
        return [place], place


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(SIDE_INPUTS, "place", PlaceInLine)


SHAPE = {
    "hidden_size": 8,
    "embedding_size": 6,
    "num_layers": 1,
    "place_limit": 9,
    "ngram_order": 2,
    "ngram_buckets": 64,
}
HOW = {"batch_size": 2, "seq_len": 8, "streams": 4, "preview": 0, "device": "cpu", "precision": "fp32", "seed": 3}


def losses(events):
    return [event.loss for event in events if isinstance(event, StepDone)]


def trained(tmp_path, text="one line\nanother line\nand one more\n" * 20, name="toy", **settings):
    (tmp_path / "text.txt").write_text(text)
    how = {**SHAPE, **HOW, "max_steps": 12, **settings}
    return list(charlstm.train(tmp_path / "text.txt", name=name, root=tmp_path, cache=tmp_path / "cache", **how))


def test_it_trains_and_saves_its_settings_and_its_table(tmp_path):
    events = trained(tmp_path)
    assert isinstance(events[-1], Stopped)
    checkpoint = read_model(tmp_path / "toy" / "model.safetensors")
    assert checkpoint.architecture.settings()["place_limit"] == 9
    table = checkpoint.tensors["side_inputs.place.weight"]
    assert table.shape == (9, 6)
    assert np.abs(table).max() > 0, "it has learnt"


def test_the_numpy_engine_and_torch_give_equal_logits(tmp_path):
    trained(tmp_path)
    checkpoint = read_model(tmp_path / "toy" / "model.safetensors")
    engine = load_engine(checkpoint)
    backend = TorchBackend(torch_model(checkpoint), checkpoint.load_tokenizer())
    ids = engine.tokenizer.encode("one line\nand another\n")
    of_engine, of_torch = None, None
    for token in ids:
        step = np.array([token, (token + 1) % engine.vocab_size])
        ours, of_engine = engine.step(step, of_engine)
        theirs, of_torch = backend.step(step, of_torch)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert charlstm.load("toy", root=tmp_path).generate("one", length=20, seed=1)


def test_it_resumes_bit_for_bit(tmp_path):
    (tmp_path / "text.txt").write_text("one line\nanother line\nand one more\n" * 20)
    given = {
        "model": SHAPE,
        "data": {"sources": [str(tmp_path / "text.txt")], "batch_size": 2, "seq_len": 8, "streams": 4},
        "train": {"max_steps": 12, "preview": 0, "device": "cpu", "precision": "fp32", "seed": 3},
    }
    prepared = prepare.prepare(given, tmp_path / "cache")
    folders = [tmp_path / name for name in ("whole", "halves")]
    for folder in folders:
        folder.mkdir()
    whole = losses(prepare.begin(prepared, folders[0]).events())
    asked = iter([False] * 4 + [True])
    first = losses(prepare.begin(prepared, folders[1]).events(lambda: next(asked)))
    second = losses(resume(folders[1], tmp_path / "cache", {}).events())
    assert first + second == whole
    one, other = (read(folder / "resume.safetensors") for folder in folders)
    assert one.tensors.keys() == other.tensors.keys()
    assert "state.0.side.place.0" in one.tensors
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_it_is_fine_tuned_on_an_extended_alphabet(tmp_path):
    trained(tmp_path)
    before = read_model(tmp_path / "toy" / "model.safetensors")
    (tmp_path / "new.txt").write_text("ONE LINE\nÄNOTHER\n" * 40)
    given = {"data": {"sources": [str(tmp_path / "new.txt")], "batch_size": 2}, "train": {"max_steps": 3, "preview": 0}}
    prepared = prepare.prepare(given, tmp_path / "cache", init=before)
    training = prepare.begin(prepared, tmp_path)
    weights = training.model.to_tensors()
    assert training.run.model.vocab_size > before.architecture.vocab_size
    np.testing.assert_array_equal(
        weights["side_inputs.place.weight"], before.tensors["side_inputs.place.weight"].astype(np.float32)
    )
    assert np.isfinite(losses(training.events())).all()
