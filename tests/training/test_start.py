"""What a run begins from: the starter for English prose, random weights for everything else."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.references import read_starter
from charlstm.config import RunConfig
from charlstm.corpora.read import Corpus
from charlstm.corpora.sources import open_sources
from charlstm.engine.network import Engine
from charlstm.engine.softmax import log_softmax
from charlstm.errors import ConfigError
from charlstm.nn.model import CharLM
from charlstm.tokenizers.byte import ByteTokenizer
from charlstm.training.finetune import new_tokens
from charlstm.training.plan import start
from charlstm.training.plan.rules import Choices, budget, fine_tuning, passes
from charlstm.training.plan.start import bits_of, choose_start, may_start_from_another, start_from
from charlstm.training.prepare import prepare
from tests.checkpoint_samples import model
from tests.fake_checkpoints import make_checkpoint
from tests.networks import architecture

GERMAN = (
    "Der alte Fährmann stand am Ufer und sah dem Nebel zu, der langsam über den Fluss zog. Niemand hatte ihn gerufen, "
    "und doch wartete er. „Heute kommt keiner mehr“, sagte er schließlich und band das Boot fest.\n\n"
)
ABC = "X:1\nT:The Road\nM:6/8\nK:Dmaj\n|:A2d fdf|ede B2A|FAF AFA|B3 E2F|A2d fdf|ede BAF|E2A cBc|d3 d2z:|\n\n"
TABLE = "id,name,price,stock\n" + "".join(f"{n},item-{n:03d},{n * 7 % 97}.{n % 10}9,{n * 13 % 50}\n" for n in range(60))


@pytest.fixture(scope="module")
def starter() -> Checkpoint:
    found = read_starter()
    assert found is not None
    return found


def corpus(tmp_path: Path, text: str) -> Corpus:
    (tmp_path / "text.txt").write_text(text, "utf-8")
    return open_sources([str(tmp_path / "text.txt")], cache=tmp_path)


@pytest.mark.parametrize("name", ["english", "english/letters", "english/stories", "english/play-comedy"])
def test_english_begins_from_the_starter(starter: Checkpoint, tmp_path: Path, name: str) -> None:
    start = choose_start(starter, open_sources([name], cache=tmp_path))
    assert start.from_starter
    assert "bits per character" in start.reason


@pytest.mark.parametrize(
    "text", [GERMAN * 20, ABC * 30, TABLE, "甲乙丙丁" * 500, "\x01\x02" * 500, Path(__file__).read_text()]
)
def test_other_texts_begin_from_nothing(starter: Checkpoint, tmp_path: Path, text: str) -> None:
    start = choose_start(starter, corpus(tmp_path, text))
    assert not start.from_starter
    assert "bits per character" in start.reason


@pytest.mark.slow
def test_much_text_and_much_time_teach_a_fresh_network_more(starter: Checkpoint, tmp_path: Path) -> None:
    much = corpus(tmp_path, "It was a dark and stormy night, and nobody came. " * 420_000)
    assert choose_start(starter, much).from_starter
    assert choose_start(starter, much, 7200).from_starter
    long = choose_start(starter, much, 7201)
    assert (long.from_starter, long.reason) == (False, "text and time are enough to teach a network of its own")
    assert choose_start(starter, corpus(tmp_path, "It was a dark and stormy night. " * 1000), 86_400).from_starter


@pytest.mark.parametrize(
    ("tokens", "bits", "decay"),
    [(1_000, 0.0, 100.0), (45_000, 0.0, 30.0), (45_000, 1.3, 30.0), (100_000, 1.4, 9.8), (1_000_000, 1.4, 3.0),
     (1_000, 2.4, 33.0), (45_000, 2.4, 10.0), (45_000, 2.9, 5.8), (100_000, 2.9, 1.9), (1_000_000, 2.9, 1.1),
     (1_000_000, 1.9, 3.0)],
)  # fmt: skip
def test_a_longer_and_a_stranger_text_is_held_less_to_the_start(tokens: int, bits: float, decay: float) -> None:
    model, train = Choices({"dropout": 0.4}), Choices({})
    fine_tuning(model, train, tokens, bits, 5.0, 300)
    assert train.values["weight_decay"] == decay
    assert model.values["dropout"] == 0.4  # what is asked for stays


@pytest.mark.parametrize(
    ("tokens", "fresh", "begun"),
    [(500, 123, 123), (4_000, 16, 36), (9_000, 12, 35), (20_000, 12, 16), (45_000, 12, 12)],
)
def test_a_short_text_is_read_more_often_by_a_network_that_was_trained_before(
    tokens: int, fresh: int, begun: int
) -> None:
    for is_begun, most in ((False, fresh), (True, begun)):
        train = Choices({"max_time": 1e6})
        budget(train)
        notes = passes(train, 1e4, 1024, tokens, bidirectional=False, begun=is_begun)
        assert train.values["epochs"] == most
        assert f"after {most} passes" in notes[0]


@pytest.mark.parametrize(("read", "dropout"), [(0.3, 0.15), (12, 0.15), (24, 0.25), (36, 0.3), (400, 0.3)])
def test_the_more_passes_the_more_dropout(read: float, dropout: float) -> None:
    model = Choices({})
    fine_tuning(model, Choices({}), 10_000, 1.4, read, 300)
    assert model.values["dropout"] == dropout


@pytest.mark.parametrize(
    ("steps", "bits", "lr", "warmup"),
    [
        (45, 1.4, 4.5e-4, 0.4),
        (45, 2.4, 3e-3, 0.4),
        (300, 1.4, 3e-3, 0.2),
        (1000, 1.4, 3e-3, 0.06),
        (9000, 1.4, 3e-3, 0.03),
    ],
)
def test_few_steps_are_small_ones(steps: int, bits: float, lr: float, warmup: float) -> None:
    train = Choices({})
    fine_tuning(Choices({}), train, 100_000, bits, 1.0, steps)
    assert (train.values["lr"], train.values["warmup"]) == (pytest.approx(lr), warmup)


def test_bits_are_those_of_the_starter_and_unknown_characters_cost_a_lot(starter: Checkpoint) -> None:
    text = "She opened the window, and looked at the sea. The sea, the sea, the sea!"
    engine = Engine.from_checkpoint(starter)
    ids, state, nats = engine.tokenizer.encode("\n" + text), engine.freeze(engine.empty_state(1)), 0.0
    for token, following in pairwise(ids.tolist()):
        logits, state = engine.step([token], state)
        nats -= log_softmax(logits)[0, following]
    assert bits_of(starter, [text]) == pytest.approx(nats / len(text) / math.log(2), abs=1e-4)
    mixed = bits_of(starter, [text + "猫" * len(text)])
    assert mixed == pytest.approx((bits_of(starter, [text]) + math.log2(1e6)) / 2)
    assert bits_of(starter, []) == math.inf


def test_any_network_is_asked_how_well_it_reads_a_text() -> None:
    without_line_ends = model("abc")
    engine = Engine.from_checkpoint(without_line_ends)
    state, nats = engine.freeze(engine.empty_state(1)), 0.0
    for token, following in pairwise([0, 1, 2, 0, 1]):
        logits, state = engine.step([token], state)
        nats -= log_softmax(logits)[0, following]
    assert bits_of(without_line_ends, ["abcab"]) == pytest.approx(nats / 5 / math.log(2), abs=1e-4)
    assert bits_of(without_line_ends, ["a"]) == 0.0  # nothing to predict


def test_a_network_that_reads_from_both_sides_predicts_what_it_is_not_shown() -> None:
    torch.manual_seed(1)
    network = CharLM(architecture(vocab_size=7, embedding_size=3, hidden_size=5, bidirectional=True)).eval()
    run = RunConfig(name="both", model=network.architecture)
    tokenizer = {"kind": "char", "alphabet": "\nabcdef", "unknown": False}
    both = Checkpoint("model", network.to_tensors(), run, tokenizer, Provenance())
    ids, nats = torch.tensor([1, 5, 2, 2, 6, 3]), 0.0
    for place, token in enumerate(ids.tolist()):
        hidden = ids.clone()
        hidden[place] = (token + 1) % 7
        logits, _ = network(hidden[None])
        nats -= float(logits.detach()[0, place].log_softmax(-1)[token])
    assert bits_of(both, ["aebbfc"]) == pytest.approx(nats / 6 / math.log(2), abs=1e-4)


def test_what_is_read_as_bytes_may_be_no_text(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(range(256)) * 9)
    of_bytes = make_checkpoint(tmp_path / "bytes.safetensors", ByteTokenizer())
    assert start_from(of_bytes, open_sources([str(tmp_path / "disk.img")], cache=tmp_path)).bits == 0.0


def test_a_setting_that_contradicts_the_network_is_told_of_before_the_text_is_read(
    starter: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(range(256)) * 9)
    given = {"data": {"sources": (str(tmp_path / "disk.img"),), "tokenizer": "byte"}}
    with pytest.raises(ConfigError, match="`tokenizer` is char in the checkpoint to start from, not byte"):
        prepare(given, tmp_path / "cache", init=starter)


@pytest.mark.parametrize(
    ("given", "may"),
    [
        ({}, True),
        ({"model": {"dropout": 0.5, "ngram_dropout": 0.1}, "train": {"max_time": 5.0, "lr": 1e-3}}, True),
        ({"data": {"tokenizer": "char", "seq_len": 32}}, True),
        ({"model": {"hidden_size": 512}}, False),
        ({"model": {"cell": "gru"}}, False),
        ({"model": {"bidirectional": True}}, False),
        ({"model": {"match_orders": (4,)}}, False),
        ({"data": {"tokenizer": "byte"}}, False),
        ({"data": {"min_count": 3}}, False),
        ({"data": {"windows": "shuffled"}}, False),
    ],
)
def test_who_asks_for_another_network_gets_it(given: dict[str, dict[str, object]], may: bool) -> None:
    assert may_start_from_another(given) is may


def test_a_prepared_run_has_the_starters_network_and_the_texts_new_characters(
    starter: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prose.txt"
    line = "“The lamp was lit,” said the baker, “and the ferryman said nothing.”\n"
    path.write_text(line * 200 + "Zoë: ☃\n" + line * 40, "utf-8")
    given = {"data": {"sources": (str(path),)}, "train": {"max_steps": 3, "device": "cpu", "precision": "fp32"}}
    prepared = prepare(given, tmp_path / "cache", starter=lambda: starter)
    assert prepared.start.from_starter
    assert prepared.init is starter
    assert prepared.plan.run.model.hidden_size == starter.architecture.hidden_size
    assert prepared.plan.run.train.decay_to_start
    added = new_tokens(starter, prepared.encoded.tokenizer)
    assert prepared.encoded.tokenizer.decode(added) == "ë☃"
    assert new_tokens(starter, starter.load_tokenizer()).size == 0
    asked_for = prepare(given, tmp_path / "cache", init=starter)
    assert asked_for.plan.run.train.weight_decay == prepared.plan.run.train.weight_decay < 100
    assert asked_for.start.bits == prepared.start.bits
    assert not asked_for.start.reason  # nobody need be told
    other = prepare(given, tmp_path / "cache")
    assert (other.init, other.start.reason) == (None, "")
    assert not other.plan.run.train.decay_to_start
    assert np.isclose(other.plan.run.train.weight_decay, 0.3)


def test_pieces_of_any_lengths_are_read_side_by_side_as_one_after_the_other(starter: Checkpoint) -> None:
    pieces = ["The tide was out.\n" * 9, "It was", "A line of this text, and another one.\n" * 30, "x"]
    alone = sum(bits_of(starter, [piece]) * len(piece) for piece in pieces) / sum(map(len, pieces))
    assert bits_of(starter, pieces) == pytest.approx(alone, abs=1e-4)


def test_on_a_busy_machine_one_core_reads_the_pieces_and_the_number_of_threads_comes_back(
    monkeypatch: pytest.MonkeyPatch, starter: Checkpoint
) -> None:
    used: list[int] = []

    def loss(*_: object) -> float:
        used.append(torch.get_num_threads())
        return 1.0

    monkeypatch.setattr(start, "idle_cores", lambda: 1)
    monkeypatch.setattr(start, "_frozen_loss", loss)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        bits_of(starter, ["some text"])
        assert (used, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
