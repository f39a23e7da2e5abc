"""The end of a training: a sample that is whole, and one sentence with the run's own figures."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.format import read
from charlstm.cli.views import closing
from charlstm.cli.views.closing import sentence, whole_sentences
from charlstm.corpora.encode import split
from charlstm.sampling.fragments import Fragment
from charlstm.training.outcome import Outcome, unigram_loss
from tests.command_line import Cli

TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 60
SMALL = ["--max-steps", "20", "--hidden-size", "8", "--num-layers", "1", "--seed", "3", "--device", "cpu"]


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    (tmp_path / "my.txt").write_text(TEXT)
    return Cli(tmp_path, monkeypatch, capsys)


def test_a_run_ends_with_its_sample_and_its_sentence(cli: Cli) -> None:
    shown = cli("train", "my.txt", *SMALL, "--init-from", "none", "--lr", "1e-6").err
    _, rule, rest = shown.partition("=== my-1 writes ===\n")
    text, _, told = rest.rstrip("\n").rpartition("\n\n")
    assert rule
    drawn = cli("sample", "my-1", "--lines", "10", "--length", "600", "--seed", "3", "-n", "4", "--json").out
    texts = [json.loads(line) for line in drawn.splitlines()]
    nats = [np.mean([token["log_probability"] for token in each["tokens"]]) for each in texts]
    assert text == whole_sentences(texts[int(np.argmax(nats))]["text"]), "the same weights, the run's seed"
    passes = float(re.match(r"It read the text ([\d.]+) times in ", told)[1])
    tokens = read(cli.folder / "checkpoints/my-1/resume.safetensors", kind="resume").provenance.tokens
    assert passes == pytest.approx(tokens / int(len(TEXT) * 0.9), abs=0.05)
    assert told.endswith("and knows no more yet than how common each character is; more time helps.")


def test_the_sentence_compares_with_the_frequencies_of_the_characters(cli: Cli) -> None:
    told = cli("train", "my.txt", *SMALL, "--init-from", "none", "--max-steps", "60").err.splitlines()[-1]
    train, kept = TEXT[: len(TEXT) * 9 // 10], TEXT[len(TEXT) * 9 // 10 :]
    counts = Counter(train)
    bits = -sum(math.log2((counts[each] + 1) / (len(train) + len(set(TEXT)))) for each in kept) / len(kept)
    assert f"it would need {bits:.2f} bits, as if choosing between {2**bits:.0f}." in told
    best = read(cli.folder / "checkpoints/my-1/model.safetensors").provenance.bits_per_char
    assert f"it now needs {best:.2f} bits to guess the next character, as if choosing between {2**best:.1f}" in told


@pytest.mark.parametrize("options", [("-q",), ("--json",)])
def test_who_asks_for_less_gets_neither(cli: Cli, options: tuple[str, ...]) -> None:
    assert "It read" not in cli("train", "my.txt", *SMALL, *options).err


def test_a_run_that_had_no_step_left_has_learnt_nothing_new(cli: Cli) -> None:
    assert "It read" in cli("train", "my.txt", *SMALL).err
    again = cli("train", "--resume", "my-1").err
    assert "The budget is used up" in again
    assert "It read" not in again
    assert "writes" not in again


def test_a_network_that_fills_blanks_has_a_sentence_and_no_sample(cli: Cli) -> None:
    shown = cli("train", "my.txt", *SMALL, "--bidirectional").err
    assert "writes ===" not in shown
    assert shown.splitlines()[-1].startswith("It read the text")


def test_the_sentence_is_true_of_every_kind_of_run() -> None:
    told = sentence(Outcome(3.04, 60.0, 2.26, 4.48), "char")
    assert told == (
        "It read the text 3.0 times in 1 min: in the part of the text that was kept from it, it now needs 2.26 bits to "
        "guess the next character, as if choosing between 5; knowing only how common each character is, it would need "
        "4.48 bits, as if choosing between 22."
    )
    assert sentence(Outcome(0.4, 6.0, None, None), "char").startswith("It read 40 % of the text in 6 s; no part")
    assert sentence(Outcome(1.0, 6.0, 1.5, 4.0), "byte").startswith("It read the text once in 6 s: ")
    assert "guess the next byte, as if choosing between 2.8; knowing only how common each byte" in sentence(
        Outcome(12.3, 6.0, 1.5, 4.0), "byte"
    )
    assert "how common each piece of a word is" in sentence(Outcome(12.3, 6.0, 1.5, 4.0), "bpe")
    assert "to guess a missing character" in sentence(Outcome(2.0, 6.0, 1.5, 4.0), "char", bidirectional=True)
    assert "no more yet than how common" in sentence(Outcome(2.0, 6.0, 4.5, 4.0), "char")
    assert "no more yet than how common" in sentence(Outcome(2.0, 6.0, 0.9, 0.0), "char"), "a text of one letter"
    diverged = sentence(Outcome(2.0, 6.0, 45.7, 4.5), "char")
    assert diverged == (
        "It read the text 2.0 times in 6 s and guesses worse than by how common each character is: it diverged; a "
        "lower --lr helps."
    )
    assert "more time" in sentence(Outcome(2.0, 6.0, 8.0, 4.5), "byte"), "guessing blindly is 8 bits"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One.\nTwo and", "One."),
        ("A line that ends, in a way. It goes on to\nthe next", "A line that ends, in a way."),
        ("One. And many\nlines of a\nverse with\nout ano", "One. And many\nlines of a\nverse with"),
        ("Two\nOne. Six of them went", "Two\nOne."),
        ("\n\nOne. Two! And th", "One. Two!"),
        ('He said "No." And', 'He said "No."'),
        ("At 3.5 metres", "At 3.5 metres"),
        ("天地。玄黃", "天地。"),
        ("no end at all", "no end at all"),
        ("\n\n", ""),
        ("", ""),
    ],
)
def test_a_sample_ends_where_a_line_or_sentence_does(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole


def test_the_likeliest_text_is_none_that_was_over_at_once() -> None:
    def text(length: int, nats: float) -> list[Fragment]:
        return [Fragment(0, "a", 0, -nats, None)] * length

    lines, dull, odd = text(10, 0.1), text(200, 1.0), text(300, 1.5)
    assert closing._likeliest([lines, odd, dull, []]) is dull
    assert closing._likeliest([lines, text(9, 2.0)]) is lines, "there is none as long"


def test_the_loss_by_frequency_is_that_of_a_model_of_frequencies(tmp_path: Path) -> None:
    ids = np.random.default_rng(1).integers(0, 7, 1000) ** 2 % 7
    train, kept = split(ids, 0.3)
    nats = sum(-math.log((np.sum(train == token) + 1) / (len(train) + 7)) for token in kept) / len(kept)
    assert unigram_loss(train, kept, 7) == pytest.approx(nats)
