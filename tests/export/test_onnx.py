"""ONNX files: onnxruntime computes what torch does, for every kind of network, any batch and any length."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from charlstm.checkpoint.format import Checkpoint, convert
from charlstm.engine.load import torch_model
from charlstm.errors import UsageError
from charlstm.export import onnx_file as onnx_file_module
from charlstm.export.loss import bits_per_char
from charlstm.export.onnx_file import check_packages, onnx_file
from charlstm.export.onnx_graph import OPSET, state_parts
from charlstm.export.onnx_network import OnnxNetwork, largest_difference
from charlstm.nn.model import CharLM
from charlstm.nn.state import State
from charlstm.tokenizers import CharTokenizer, from_state
from tests.export.samples import KINDS, WRITING, checkpoint

LSTMS = [kind for kind, shape in KINDS.items() if shape.get("cell", "lstm") in ("lstm", "peephole")]
WINDOWS = (1, 9, 1, 70, 30)


class Session:
    """An ONNX file as any program would run it, with no help of ours."""

    def __init__(self, file: bytes) -> None:
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: each for each in self.session.get_inputs()}
        self.outputs = [each.name for each in self.session.get_outputs()]

    def empty_state(self, batch: int) -> dict[str, Any]:
        types = {
            "tensor(float)": np.float32,
            "tensor(int64)": np.int64,
            "tensor(int32)": np.int32,
            "tensor(bool)": bool,
        }
        state = {name: each for name, each in self.inputs.items() if name not in ("tokens", "frozen")}
        return {name: np.zeros((batch, *each.shape[1:]), types[each.type]) for name, each in state.items()}

    def run(self, tokens: Any, state: dict[str, Any], *, frozen: bool = False) -> tuple[Any, dict[str, Any]]:
        feed = {"tokens": tokens, **state} | ({"frozen": np.array(frozen)} if "frozen" in self.inputs else {})
        results = dict(zip(self.outputs, self.session.run(None, feed), strict=True))
        return results.pop("logits"), {name.removeprefix("next."): part for name, part in results.items()}


def windows(model: CharLM, rows: int) -> list[torch.Tensor]:
    """Random tokens, with masks where there are any; with few letters, so that n-grams come again."""
    generator = torch.Generator().manual_seed(1)
    most = 4 + bool(model.architecture.bidirectional) * (model.architecture.vocab_size - 3)
    return [torch.randint(0, most, (rows, time), generator=generator) for time in WINDOWS]


def frozen_in_the_end(state: State, number: int) -> State:
    return state._replace(frozen=number >= 3)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_logits_and_state_equal_torchs_in_windows_of_any_length(kind: str, rows: int) -> None:
    saved = checkpoint(KINDS[kind])
    model, session = torch_model(saved), Session(onnx_file(saved))
    wanted_state, state = model.empty_state(rows), session.empty_state(rows)
    assert list(state) == [name for name, _ in wanted_state.named_parts()]
    for number, ids in enumerate(windows(model, rows)):
        wanted_state = frozen_in_the_end(wanted_state, number)
        logits, state = session.run(ids.numpy(), state, frozen=wanted_state.frozen)
        wanted, wanted_state = model(ids, wanted_state)
        np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-5)
        for name, part in wanted_state.named_parts():
            assert state[name].dtype == part.numpy().dtype
            np.testing.assert_allclose(state[name], part.numpy(), atol=1e-5, rtol=2e-6)  # c may be large


@torch.inference_mode()
def test_a_memory_of_many_slots_is_found_again_after_hundreds_of_tokens() -> None:
    saved = checkpoint({"match_orders": (3, 6), "match_slots": 1 << 13, "ngram_order": 6, "ngram_buckets": 1 << 10})
    model, session = torch_model(saved), Session(onnx_file(saved))
    ids = torch.randint(0, 7, (1, 400), generator=torch.Generator().manual_seed(2)).repeat(1, 2)
    logits, _ = session.run(ids.numpy(), session.empty_state(1))
    np.testing.assert_allclose(logits, model(ids)[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_valid_and_has_only_standard_operators(kind: str) -> None:
    model = onnx.load_from_string(onnx_file(checkpoint(KINDS[kind])))
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert "layout" not in {attribute.name for node in model.graph.node for attribute in node.attribute}
    architecture = checkpoint(KINDS[kind]).architecture
    shapes = {each.name: [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim]
              for each in (*model.graph.input, *model.graph.output)}  # fmt: skip
    assert shapes.pop("tokens") == ["batch", "time"]
    assert shapes.pop("logits") == ["batch", "time", 7]
    shapes.pop("frozen", None)
    for part in state_parts(architecture):
        assert shapes.pop(part.name) == shapes.pop(f"next.{part.name}") == ["batch", *part.shape]
    assert not shapes


def test_the_same_network_gives_the_same_file() -> None:
    saved = checkpoint(KINDS["side inputs of an ensemble"])
    assert onnx_file(saved) == onnx_file(saved)
    assert onnx_file(saved, is_int8=True) == onnx_file(saved, is_int8=True)


def test_the_metadata_say_all_that_a_program_needs() -> None:
    saved = checkpoint(KINDS["n-grams"], CharTokenizer('ab"☃\ud800', unknown=True))
    model = onnx.load_from_string(onnx_file(saved, is_int8=True))
    found = {each.key: json.loads(each.value) for each in model.metadata_props}
    tokenizer = from_state(found["tokenizer"])
    assert tokenizer.decode(tokenizer.encode('"☃\ud800?')) == '"☃\ud800\ufffd'
    assert type(saved.architecture).from_settings(found["architecture"]) == saved.architecture
    assert found["writing"] == {**WRITING.to_plain(), "starts": list(WRITING.starts)}
    assert found["reading"] == {"newlines": "normalise", "begin": [0], "window": 8}
    assert found["weights"] == "int8"
    assert found["provenance"] == {
        "name": "mine", "corpus": "letters", "corpus_sha256": "5ea" * 20, "bits_per_char": 1.5
    }  # fmt: skip


# int8


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_int8_is_the_network_of_the_rounded_weights(kind: str) -> None:
    """To 1e-5 where float32 is computed with; an LSTM also rounds its activations, to 8 bits."""
    saved = checkpoint(KINDS[kind])
    model, session = torch_model(convert(saved, "int8")), Session(onnx_file(saved, is_int8=True))
    state, given = model.empty_state(2), session.empty_state(2)
    for number, ids in enumerate(windows(model, 2)):
        state = frozen_in_the_end(state, number)
        logits, given = session.run(ids.numpy(), given, frozen=state.frozen)
        wanted, state = model(ids, state)
        np.testing.assert_allclose(logits, wanted.numpy(), atol=0.05 if kind in LSTMS else 1e-5)


@torch.inference_mode()
def test_an_lstm_of_8_bits_does_not_overflow() -> None:
    """Large weights of one sign and full activations: sums of products that exceed 16 bits."""
    saved = checkpoint({"hidden_size": 64, "embedding_size": 64})
    rng = np.random.default_rng(0)
    tensors = {name: np.abs(tensor) if "weight_" in name else tensor for name, tensor in saved.tensors.items()}
    tensors["embedding.weight"] = rng.uniform(0.8, 1.0, (7, 64)).astype(np.float32)
    tensors["layers.0.weight_ih"] = rng.uniform(0.02, 0.04, (256, 64)).astype(np.float32)
    tensors["layers.0.weight_hh"] = rng.uniform(0.0, 0.02, (256, 64)).astype(np.float32)
    saved = Checkpoint("model", tensors, saved.run, saved.tokenizer, saved.provenance)
    model, session = torch_model(convert(saved, "int8")), Session(onnx_file(saved, is_int8=True))
    ids = torch.randint(0, 7, (1, 40), generator=torch.Generator().manual_seed(0))
    logits, _ = session.run(ids.numpy(), session.empty_state(1))
    np.testing.assert_allclose(logits, model(ids)[0].numpy(), atol=0.05)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole"])
def test_int8_takes_a_quarter(cell: str) -> None:
    saved = checkpoint({"cell": cell, "hidden_size": 128, "embedding_size": 64})
    assert len(onnx_file(saved, is_int8=True)) < 0.3 * len(onnx_file(saved))


# run in the place of a network


@pytest.mark.parametrize("kind", ["lstm", "match memory", "attention", "both sides, gru"])
def test_a_text_costs_the_same_as_in_torch(kind: str) -> None:
    saved = checkpoint(KINDS[kind])
    model = torch_model(saved)
    network = OnnxNetwork(onnx_file(saved), model)
    assert largest_difference(network, model) < 1e-5
    text = "abcde abc\n" * 40
    assert bits_per_char(network, saved, text) == pytest.approx(bits_per_char(model, saved, text), abs=1e-6)


def test_a_list_of_records_is_scored_record_by_record() -> None:
    saved = checkpoint(KINDS["n-grams"], records="lines")
    model = torch_model(saved)
    network = OnnxNetwork(onnx_file(saved), model)
    shuffled = bits_per_char(network, saved, "ab\nabcde\ncc\n")
    assert shuffled == pytest.approx(bits_per_char(model, saved, "cc\nab\nabcde\n"), abs=1e-6)


def test_a_difference_is_found() -> None:
    saved, other = checkpoint(KINDS["lstm"]), checkpoint(KINDS["lstm"])
    other.tensors["head.bias"][3] += 0.25
    assert largest_difference(OnnxNetwork(onnx_file(saved), torch_model(saved)), torch_model(other)) == pytest.approx(
        0.25, abs=1e-5
    )


# what cannot be


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_one_line(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file_module, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(UsageError, match=rf"needs the package {missing}, .*pip install onnx onnxruntime"):
        check_packages()


@pytest.mark.parametrize(("hidden", "is_int8", "fits"), [(12_000, False, False), (12_000, True, True)])
def test_a_network_beyond_two_gigabytes_is_refused(
    hidden: int, is_int8: bool, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = checkpoint(KINDS["lstm"])
    large = saved.run.replace(model=saved.architecture.replace(hidden_size=hidden, num_layers=1))
    huge = Checkpoint("model", {}, large, saved.tokenizer, saved.provenance)
    with pytest.raises(KeyError if fits else UsageError, match="embedding" if fits else "larger than 2 GB"):
        onnx_file(huge, is_int8=is_int8)
