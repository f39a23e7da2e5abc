"""The search for units: scores against their definitions, a planted unit found, none where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charlstm.errors import UsageError
from charlstm.inspect.hypotheses import HYPOTHESES, own_hypothesis
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import trace
from charlstm.inspect.units import Unit, find_units, labels_of, scores, snippets, strength, unit_values
from charlstm.nn.model import CharLM
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.networks import architecture

BY_NAME = {hypothesis.name: hypothesis for hypothesis in HYPOTHESES}


def auc(values, label):
    """The share of pairs, one with the property and one without, that the value orders right."""
    have, lack = values[label == 1], values[label == 0]
    return np.mean([(a > b) + (a == b) / 2 for a in have for b in lack])


def test_the_scores_are_the_auc_and_the_rank_correlation():
    rng = np.random.default_rng(1)
    bins = rng.integers(0, 6, (60, 300)).astype(np.uint8)  # many ties
    labels = np.stack([rng.integers(0, 2, 60), rng.integers(0, 4, 60)]).astype(np.float32)
    got, _ = scores(bins, labels, np.array([False, True]))
    for unit in range(0, 300, 17):
        assert got[0, unit] == pytest.approx(auc(bins[:, unit].astype(int), labels[0]), abs=1e-4)
        ranks = [np.array([np.mean([*range((x < v).sum() + 1, (x <= v).sum() + 1)]) for v in x])
                 for x in (bins[:, unit].astype(int), labels[1])]  # fmt: skip
        assert got[1, unit] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-4)


def test_chance_is_the_best_of_all_units_with_any_shift():
    rng = np.random.default_rng(2)
    bins, label = rng.integers(0, 256, (200, 40)).astype(np.uint8), (rng.random(200) < 0.3).astype(np.float32)
    shifts = np.array([50, 90, 130])
    _, chance = scores(bins, label[None], np.array([False]), shifts)
    every = [auc(bins[:, unit].astype(int), np.roll(label, shift)) for unit in range(40) for shift in shifts]
    assert chance[0] == pytest.approx(max(every, key=lambda value: abs(value - 0.5)), abs=1e-4)


def subject_of(text, model=None):
    tokenizer = CharTokenizer("".join(sorted(set(text))))
    torch.manual_seed(1)
    shape = architecture(vocab_size=tokenizer.vocab_size, hidden_size=12, num_layers=1, embedding_size=8)
    return Subject("net", (model or CharLM(shape)).eval(), tokenizer, tokenizer.encode(text))


def planted(text, character_high, character_low):
    """A network of which unit 5 is high from one character on, until another comes."""
    subject = subject_of(text)
    layer = subject.model.layers[0]
    with torch.no_grad():
        subject.model.embedding.weight.zero_()
        high, low = (int(subject.tokenizer.encode(character)[0]) for character in (character_high, character_low))
        subject.model.embedding.weight[high, 0] = subject.model.embedding.weight[low, 1] = 1
        h = 12
        for weight in layer.weights[:2]:
            for gate in range(4):
                weight[gate * h + 5] = 0
        layer.bias[[gate * h + 5 for gate in range(4)]] = torch.tensor([-9.0, 9.0, 0.0, 9.0])  # i f g o
        layer.weight_ih[5, :2] = 18  # both characters open the input gate
        layer.weight_ih[2 * h + 5, 0], layer.weight_ih[2 * h + 5, 1] = 9, -9
        layer.weight_ih[h + 5, :2] = -18  # and shut the forget gate
    return subject


@pytest.fixture(scope="module")
def quoted():
    rng = np.random.default_rng(7)
    words = lambda n: " ".join("".join(rng.choice(list("abcde"), rng.integers(2, 6))) for _ in range(n))  # noqa: E731
    return " ".join(f"{words(rng.integers(1, 6))} “{words(rng.integers(1, 6))}” " for _ in range(60))


def test_a_planted_unit_is_found(quoted):
    subject = planted(quoted, "“", "”")
    findings = {finding.hypothesis.name: finding for finding in find_units(subject, HYPOTHESES)}
    found = findings["inside double quotes"]
    assert found.unit.number == 5
    assert found.value > 0.99
    assert found.sign == 1
    assert found.stands_out
    assert strength(found.chance, graded=False) < 0.6


def test_a_property_that_no_unit_can_know_does_not_stand_out(quoted):
    """The labels of a random text, where a unit that was tried on one half must not look good on the other."""
    subject = subject_of(quoted)
    rng = np.random.default_rng(9)
    noise = [
        type(HYPOTHESES[0])(f"noise {number}", False, lambda text: (rng.random(len(text)) < 0.3).astype("f4"))
        for number in range(20)
    ]
    findings = find_units(subject, noise)
    assert len(findings) == 20
    assert sum(finding.stands_out for finding in findings) <= 1


def test_a_property_that_the_text_lacks_is_left_out(quoted):
    assert find_units(subject_of("abc " * 20), HYPOTHESES[:3]) == ()
    names = {finding.hypothesis.name for finding in find_units(subject_of(quoted), HYPOTHESES)}
    assert "inside a number" not in names
    assert "capital letter" not in names


def test_the_values_of_a_unit_are_those_of_the_trace(quoted):
    subject = subject_of(quoted[:700])
    traced = trace(subject.model, subject.ids).layers["layers"][0]
    values = unit_values(subject, [Unit("layers", 0, "c", 3), Unit("layers", 0, "h", 4)])
    np.testing.assert_allclose(values[:, 0], np.tanh(traced.parts["c"][:, 3]), atol=1e-6)
    np.testing.assert_allclose(values[:, 1], traced.parts["h"][:, 4], atol=1e-6)


def test_a_byte_inside_a_character_has_the_label_of_the_character_before():
    text = "aé1"
    tokenizer = ByteTokenizer()
    torch.manual_seed(1)
    model = CharLM(architecture(vocab_size=256, hidden_size=4, num_layers=1, embedding_size=4)).eval()
    subject = Subject("net", model, tokenizer, tokenizer.encode(text))
    assert "".join(subject.tokens) == text
    assert labels_of(subject, BY_NAME["inside a number"]).tolist() == [0, 0, 0, 1]
    assert labels_of(subject, BY_NAME["vowel"]).tolist() == [1, 1, 1, 0]


def test_telling_passages_are_apart_and_where_the_unit_moves():
    values = np.zeros(1000, np.float32)
    values[300:340:2] = values[800:840:2] = 1
    tokens = [*("a quick word " * 77)[:1000]]
    chosen = [*snippets(tokens, values, count=2, length=50)]
    assert all(begin < end <= 1000 for begin, end in chosen)
    assert [any(begin <= at < end for begin, end in chosen) for at in (320, 820)] == [True, True]
    assert all(tokens[begin - 1] == tokens[end] == " " for begin, end in chosen)
    of_one_word = [*snippets("a" * 1000, values, count=2, length=50)]
    assert [end - begin for begin, end in of_one_word] == [50, 50]


@pytest.mark.parametrize(
    ("name", "text", "inside"),
    [
        ("inside double quotes", 'a "bc" d "e', "..xxx....xx"),
        ("inside double quotes", "“a” b", "xx..."),
        ("inside single quotes", "it's 'so' no", ".....xxx...."),
        ("inside brackets", "a (b [c]) d", "..xxxxxx..."),
        ("first letter of a word", "it's so, 2x", "x....x....x"),
        ("capital letter", "AbC é É", "x.x...x"),
        ("inside a number", "a12 b3", ".xx..x"),
        ("vowel", "hello é", ".x..x.x"),
        ("line that names a speaker", "KING LEAR:\nSo\nA:\nNo: x", "xxxxxxxxxx....xx......"),
        ("between words", "a b\nc", ".x.x."),
    ],
)
def test_the_properties_of_yes_and_no(name, text, inside):
    label = BY_NAME[name].label(text)
    assert "".join("x" if value else "." for value in label) == inside


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("characters since the line began", "ab\ncd", [1, 2, 0, 1, 2]),
        ("characters since the word began", "ab it's", [1, 2, 0, 1, 2, 3, 4]),
        ("characters since the sentence began", "Ab. c", [0, 1, 1, 2, 0]),
        ("indentation of the line", "a\n  b\n", [0, 0, 1, 2, 2, 2]),
    ],
)
def test_the_graded_properties(name, text, expected):
    assert BY_NAME[name].label(text).tolist() == expected


def test_a_quotation_left_open_ends_with_its_paragraph():
    label = BY_NAME["inside double quotes"].label('"a\n\nb')
    assert label[1] == 1
    assert label[-1] == 0


def test_all_fourteen_have_a_value_for_each_character():
    text = 'He said: "I\'m (not) 60."\n\n  And so on' * 3
    assert len(HYPOTHESES) == 14
    for hypothesis in HYPOTHESES:
        for part in (text, "", "a", "\n"):
            assert hypothesis.label(part).shape == (len(part),), hypothesis.name


def test_a_regular_expression_of_ones_own():
    assert own_hypothesis("b+").label("abba").tolist() == [0, 1, 1, 0]
    with pytest.raises(UsageError, match="no regular expression"):
        own_hypothesis("(")
