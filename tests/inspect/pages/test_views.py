"""The pages of every view, of every kind of network: what they show is what was computed."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch

from charlstm.errors import UsageError
from charlstm.inspect.embeddings import compare_embeddings
from charlstm.inspect.futures import futures_of
from charlstm.inspect.pages.attention import attention_page, by_place
from charlstm.inspect.pages.embeddings import embeddings_page
from charlstm.inspect.pages.fan import fan_page
from charlstm.inspect.pages.gates import gates_page
from charlstm.inspect.pages.step import step_page
from charlstm.inspect.pages.surprise import surprise_page
from charlstm.inspect.pages.votes import votes_page
from charlstm.inspect.subject import Subject
from charlstm.inspect.surprise import nats_saved
from charlstm.inspect.trace import trace
from charlstm.report.blocks import Boxes, Frames, HeatMap, Points, Shaded, Text
from charlstm.report.charts import Bars, Chart
from charlstm.report.page import html_page
from charlstm.report.visible import sign_of
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import cycle, random_markov
from tests.inspect.test_trace import SHAPES, network

TEXT = "abc <i>\nabba"
ALPHABET = "\n <>abci"  # and the unknown one: nine tokens


def subject(name, text=TEXT):
    tokenizer = CharTokenizer(ALPHABET + "A")
    return Subject("net & <b>", network(**SHAPES[name]), tokenizer, tokenizer.encode(text))


def blocks(page, kind):
    return [block for section in page.sections for block in section.blocks if isinstance(block, kind)]


def check(page):
    """A page can be drawn, and its data are JSON."""
    json.dumps(page.data, allow_nan=False, default=lambda value: value.tolist())
    assert "net &amp; &lt;b&gt;" in html_page(page)
    return page


@pytest.mark.parametrize("name", SHAPES)
def test_gates_and_states_of_every_network(name):
    page, traced = check(gates_page(subject(name))), trace(subject(name).model, subject(name).ids)
    assert len(page.sections) == sum(map(len, traced.layers.values()))
    maps = blocks(page, HeatMap)
    for section, (stack, number) in zip(
        page.sections, [(stack, k) for stack, layers in traced.layers.items() for k in range(len(layers))], strict=True
    ):
        layer = traced.layers[stack][number]
        drawn = {block.title[0]: block for block in section.blocks if isinstance(block, HeatMap)}
        assert set(drawn) == {letter for letter in layer.parts if not letter.startswith("sum_")}
        for letter, block in drawn.items():
            assert block.columns == tuple(TEXT)
            values = np.tanh(layer.parts[letter]) if letter == "c" else layer.parts[letter]
            np.testing.assert_allclose(
                np.sort(np.abs(block.values).sum(1)), np.sort(np.abs(values).sum(0)), rtol=1e-4
            )  # the units, in some order
    assert len(maps) == sum(len(each.blocks) - 1 for each in page.sections) + (name == "rnn") * 2


@pytest.mark.parametrize("name", SHAPES)
def test_a_step_of_every_network(name):
    about = subject(name)
    page = check(step_page(about, 4, units=(2, 3)))
    (frames,) = blocks(page, Frames)
    assert frames.labels == tuple(TEXT)
    assert frames.first == 4
    assert len(page.data["steps"]) == len(TEXT)
    traced = trace(about.model, about.ids).layers["layers"][0]
    for place, step in enumerate(page.data["steps"]):
        for unit in (2, 3):
            for line in step["units"][unit]:
                assert line["value"] == pytest.approx(float(traced.parts[line["letter"]][place, unit]))
        assert sum(share for _, share in step["next"]) <= 1 + 1e-6


def test_losses_too_large_for_a_narrow_number_are_still_numbers():
    about = subject("side inputs")
    with torch.no_grad():
        about.model.head.bias.copy_(3e38 * (torch.arange(9) == 0))  # all but the first token are as good as impossible
    traced = trace(about.model, about.ids)
    check(surprise_page(about, traced, nats_saved(about, traced)))
    text = html_page(check(step_page(about, 4)))
    bits = float(traced.nats[4]) / math.log(2)
    assert bits > 4e38
    assert f"at 0.0%: {bits:.2f} bits" in text


def test_a_step_that_does_not_exist_is_refused():
    for arguments, message in [
        ({"at": 12}, "no character 12"), ({"at": -13}, "no character -13"), ({"at": 0, "layer": 1}, "no layer 2"),
        ({"at": 0, "stack": "layers_2"}, "no stack 'layers_2'"), ({"at": 0, "units": (8,)}, "no unit 8"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=message):
            step_page(subject("lstm"), **arguments)
    assert blocks(step_page(subject("lstm"), -1), Frames)[0].first == len(TEXT) - 1


@pytest.mark.parametrize("name", SHAPES)
def test_surprise_of_every_network(name):
    about = subject(name)
    traced = trace(about.model, about.ids)
    saved = nats_saved(about, traced)
    page = check(surprise_page(about, traced, saved))
    skipped = 0 if name == "bidirectional" else 1
    assert page.data["tokens"] == list(TEXT[skipped:])
    np.testing.assert_allclose(page.data["bits"], traced.nats / math.log(2), atol=1e-4)
    shaded = blocks(page, Shaded)
    assert len(shaded) == 3 + len(saved)
    assert all("".join(piece for piece, _ in block.pieces) == TEXT for block in shaded)


def test_what_a_side_input_saves_is_the_loss_without_its_table():
    about = subject("side inputs")
    traced = trace(about.model, about.ids)
    saved = nats_saved(about, traced)
    assert set(saved) == {"ngrams", "match"}
    for name, nats in saved.items():
        other = network(**SHAPES["side inputs"])
        with torch.no_grad():
            other.side_inputs[name].weight.zero_()
        np.testing.assert_allclose(nats, trace(other, about.ids).nats - traced.nats, atol=1e-5)
        assert np.abs(nats).max() > 0.01
    assert nats_saved(subject("lstm"), trace(subject("lstm").model, subject("lstm").ids)) == {}


def test_the_votes_are_the_members_own():
    page = check(votes_page(subject("ensemble")))
    traced = trace(subject("ensemble").model, subject("ensemble").ids)
    (map_,) = blocks(page, HeatMap)
    for member in range(3):
        for place, token in enumerate(traced.ids[1:]):
            probability = np.exp(traced.member_log_probs[member, place, token])
            assert map_.values[member, place] == pytest.approx(probability, rel=1e-5)
    with pytest.raises(UsageError, match="one network"):
        votes_page(subject("lstm"))


def test_attention_by_place():
    about = subject("attention")
    page = check(attention_page(about, 3))
    weights = by_place(trace(about.model, about.ids).attention)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    assert not np.triu(weights, 1).any()
    assert not np.tril(weights, -5).any()  # the window is 5
    (frames,) = blocks(page, Frames)
    assert frames.first == 3
    shown = [value for _, value in frames.frames[3][0].pieces]
    np.testing.assert_allclose(shown[:4], weights[3, :4])
    assert all(value != value for value in shown[4:])
    for place, (text, table) in enumerate(frames.frames):
        full = float(text.scale.labels[-1])
        assert weights[place].max() <= full  # the full colour of a frame is near its largest weight
        assert weights[place].max() > full * 0.39
        heaviest = np.argsort(-weights[place, : place + 1], kind="stable")[:5]
        assert [cells[0] for cells in table.rows] == [sign_of(TEXT[other]) for other in heaviest]
        assert table.rows[0][2] == f"{weights[place].max():.1%}"
    (chart,) = blocks(page, Chart)
    assert len(chart.curves[0].x) == 5
    (chart,) = blocks(attention_page(subject("attention", "abb"), 2), Chart)
    assert len(chart.curves[0].x) == 3  # nothing stands farther back in so short a text
    with pytest.raises(UsageError, match="no attention"):
        attention_page(subject("lstm"), 0)


def test_embeddings_by_their_cosines():
    about = subject("lstm")
    page = check(embeddings_page(about))
    weight = about.model.embedding.weight.detach().numpy()
    found = compare_embeddings(about.model, np.arange(9))
    for a in range(9):
        for b in range(9):
            cosine = weight[a] @ weight[b] / np.linalg.norm(weight[a]) / np.linalg.norm(weight[b])
            assert found.similarity[a, b] == pytest.approx(cosine, abs=1e-5)
    first = page.data["characters"][0]
    assert first["token"] in "ab"  # the most frequent ones
    cosines = [cosine for _, cosine in first["nearest"]]
    assert cosines == sorted(cosines, reverse=True)
    assert 0 < sum(found.explained) <= 1 + 1e-6
    spread = found.plane[:9].var(0)
    assert spread[0] >= spread[1]


def test_weights_whose_squares_overflow_are_compared_as_smaller_ones_are():
    about = subject("lstm")
    usual = compare_embeddings(about.model, np.arange(9))
    with torch.no_grad():
        about.model.embedding.weight *= 2.0**125
    large = compare_embeddings(about.model, np.arange(9))
    np.testing.assert_allclose(large.similarity, usual.similarity, atol=1e-6)
    np.testing.assert_allclose(np.abs(large.plane / 2.0**125), np.abs(usual.plane), atol=1e-6)
    np.testing.assert_allclose(large.explained, usual.explained, atol=1e-6)
    check(embeddings_page(about))


def test_a_line_joins_a_letter_with_its_capital():
    page = embeddings_page(subject("lstm", "abcA aA"))
    (points,) = blocks(page, Points)
    assert [{points.labels[a], points.labels[b]} for a, b in points.pairs] == [{"a", "A"}]
    assert re.search(r"<line ", html_page(page))


def test_the_boxes_of_a_fan_are_its_nodes():
    model = random_markov("ab <", 5)
    futures = futures_of(model, "ab", [0, 1], depth=5, least=0.01)
    page = check(fan_page("net & <b>", futures, 0.01))
    (boxes,) = blocks(page, Boxes)
    assert boxes.before == "ab"
    assert list(zip(boxes.parents, boxes.labels, boxes.shares, strict=True)) == [
        (parent, "ab <"[token], share) for parent, token, share in futures.nodes
    ]
    for node, told in zip(futures.nodes, page.data["nodes"], strict=True):
        assert told == {"parent": node.parent, "id": node.token, "text": "ab <"[node.token],
                        "probability": pytest.approx(node.probability, rel=1e-5)}  # fmt: skip
    (bars,) = blocks(page, Bars)
    assert bars.labels == tuple(word for word, _ in futures.words[:12])
    assert bars.values[0] == 1
    assert bars.values[1] == pytest.approx(futures.words[1][1] / futures.words[0][1])
    assert str(len(futures.nodes)) in page.about


def test_a_fan_without_words_or_without_boxes():
    page = check(fan_page("net & <b>", futures_of(cycle("1234"), "1", [0], depth=3, least=0.1), 0.1))
    assert len(blocks(page, Boxes)) == 1
    assert blocks(page, Bars) == []
    most = futures_of(random_markov("abcdef"), "a", [0], depth=9, least=1e-9)
    assert "The 2,000 likeliest ways" in check(fan_page("net & <b>", most, 1e-9)).about
    empty = check(fan_page("net & <b>", futures_of(random_markov("abcdef"), "a", [0], depth=3, least=1.0), 1.0))
    assert blocks(empty, Boxes) == []
    (text,) = blocks(empty, Text)
    assert "No character" in text.text
