"""Tokenizers, filters, repetition, scores and blanks in JavaScript against those in Python."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.format import write
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.mix import MixedEngine
from charlstm.filling.blanks import parse
from charlstm.filling.config import FillConfig
from charlstm.filling.fill import fill
from charlstm.filling.readers import reader_of
from charlstm.inspect.trace import trace
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.fan import fan
from charlstm.sampling.filters import apply_filters
from charlstm.sampling.position import prefill
from charlstm.sampling.repeats import Repeats
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from charlstm.tokenizers.equivalent import known_form
from charlstm.tokenizers.train_sentencepiece import train
from tests.page.node import evaluate, needs_node
from tests.page.test_engine import checkpoint

pytestmark = needs_node

CORPUS = (Path(__file__).parents[2] / "corpora" / "stories.txt").read_text("utf-8")
TEXTS = [
    "",
    "The miller's wife had three loaves.\n\nShe sold two.",
    "  blanks \t tabs\n",
    "naïve café — “quotes” … 😀👩‍👩‍👧 שלום 中文",
    "\u2581 a piece of its own \u2581\u2581",
    CORPUS[1000:9000],
]


def tokenizers():
    yield CharTokenizer(sorted(set("".join(TEXTS))))
    yield CharTokenizer("abc \n", unknown=True)
    yield ByteTokenizer()
    for model in ("unigram", "bpe"):
        yield train([CORPUS], model=model, vocab_size=500)


def test_texts_are_encoded_and_decoded_as_in_python():
    script = """
    const { tokenizerOf } = await import(`${page}/engine/tokenizers.js`);
    console.log(JSON.stringify(given.states.map((state) => {
      const tokenizer = tokenizerOf(state);
      const texts = given.texts.map((text) => {
        const ids = tokenizer.encode(text);
        const decoder = tokenizer.decoder();
        return { ids, text: ids.map((id) => decoder.push(id)).join("") + decoder.flush() };
      });
      return { size: tokenizer.vocabSize, unknown: tokenizer.unknown, texts };
    })));
    """
    known = list(tokenizers())
    answers = evaluate(script, {"states": [each.to_state() for each in known], "texts": TEXTS})
    for tokenizer, answer in zip(known, answers, strict=True):
        assert answer["size"] == tokenizer.vocab_size
        assert answer["unknown"] == tokenizer.unknown_id
        for text, ours in zip(TEXTS, answer["texts"], strict=True):
            ids = tokenizer.encode(text).tolist()
            assert ours["ids"] == ids, (tokenizer.kind, text[:40])
            assert ours["text"] == tokenizer.decode(ids)


def test_text_is_in_the_canonical_form_that_an_alphabet_knows():
    letters, rng = list("aée\u0301\u0323각\u1100\u1161\u11a8x\n"), np.random.default_rng(1)
    cases = [
        (sorted(set(rng.choice(letters, rng.integers(1, 12)))), "".join(rng.choice(letters, rng.integers(1, 20))))
        for _ in range(2000)
    ]
    script = """
    const { knownForm } = await import(`${page}/engine/equivalent.js`);
    const known = ([alphabet, text]) => knownForm(Array.from(text), new Set(alphabet)).join("");
    console.log(JSON.stringify(given.map(known)));
    """
    answers = evaluate(script, cases)
    assert answers == [known_form(CharTokenizer(alphabet), text) for alphabet, text in cases]
    assert sum(answer != text for answer, (_, text) in zip(answers, cases, strict=True)) > 50


def test_bytes_wait_until_they_are_a_character_and_others_are_replaced():
    script = """
    const { tokenizerOf } = await import(`${page}/engine/tokenizers.js`);
    const decoder = tokenizerOf({ kind: "byte" }).decoder();
    console.log(JSON.stringify([...given.map((id) => decoder.push(id)), decoder.flush()]));
    """
    assert evaluate(script, [0xC3, 0xA9, 0x61, 0xFF, 0x62, 0xE2, 0x82]) == [
        "",
        "é",
        "a",
        "\ufffd",
        "b",
        "",
        "",
        "\ufffd",
    ]


def test_an_unknown_character_is_named_with_its_place():
    script = """
    const { tokenizerOf } = await import(`${page}/engine/tokenizers.js`);
    try { tokenizerOf({ kind: "char", alphabet: "a😀", unknown: false }).encode("a😀b"); }
    catch (fault) { console.log(JSON.stringify([fault.character, fault.at, fault.message])); }
    """
    assert evaluate(script) == ["b", 2, '"b" is not in this network\'s alphabet (character 3)']


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.7},
        {"temperature": 0.0},
        {"top_k": 3},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"repetition_penalty": 1.4},
        {"repetition_penalty": 0.8, "top_k": 6, "top_p": 0.8, "min_p": 0.05, "temperature": 1.5},
    ],
    ids=str,
)
def test_filters_leave_what_they_leave_in_python(settings):
    random = np.random.default_rng(3)
    logits, recent = random.normal(0, 2, (6, 12)), random.integers(0, 12, (6, 5))
    logits[0, 3] = logits[0, 7]
    script = """
    const { filter, NO_FILTER } = await import(`${page}/engine/filters.js`);
    console.log(JSON.stringify(given.logits.map((row, k) => {
      const logits = Float64Array.from(row);
      filter(logits, { ...NO_FILTER, ...given.settings }, given.recent[k]);
      return [...logits].map((logit) => logit === -Infinity ? null : logit);
    })));
    """
    ours = evaluate(script, {"logits": logits.tolist(), "recent": recent.tolist(), "settings": settings})
    ours = [[-math.inf if logit is None else logit for logit in row] for row in ours]
    np.testing.assert_allclose(ours, apply_filters(logits, SampleConfig(**settings), recent, ()), atol=1e-12)


def test_repetition_is_penalised_as_in_python():
    random = np.random.default_rng(4)
    ids = [*random.integers(0, 4, 300).tolist(), *[2] * 6, *random.integers(0, 4, 100).tolist(), *[1] * 3]
    logits = random.normal(0, 1, (len(ids), 4))
    script = """
    const { Repeats } = await import(`${page}/engine/repeats.js`);
    const repeats = new Repeats(given.ids.slice(0, 100));
    console.log(JSON.stringify(given.ids.slice(100).map((id, k) => {
      repeats.push(id);
      const logits = Float64Array.from(given.logits[k]);
      repeats.penalise(logits, 3);
      repeats.endRun(logits, 3);
      return [...logits].map((logit) => logit === -Infinity ? null : logit);
    })));
    """
    ours = evaluate(script, {"ids": ids, "logits": logits.tolist()})
    repeats = Repeats(1, ids[:100])
    for row, token, before in zip(ours, ids[100:], logits, strict=False):
        repeats.push(np.array([token]))
        want = repeats.without_longer_runs(repeats.penalised(before[None], 3), 3)[0]
        np.testing.assert_allclose([-math.inf if logit is None else logit for logit in row], want, atol=1e-12)


def test_tokens_are_drawn_as_often_as_they_are_likely_and_a_seed_repeats_them():
    script = """
    const { draw } = await import(`${page}/engine/filters.js`);
    const { random } = await import(`${page}/engine/random.js`);
    const logits = Float64Array.from(given.map(Math.log));
    const uniform = random(7), again = random(7), other = random(7, 1);
    const drawn = Array.from({ length: 20000 }, () => draw(logits, uniform));
    const same = Array.from({ length: 100 }, () => draw(logits, again));
    console.log(JSON.stringify({ drawn, same, other: Array.from({ length: 100 }, () => draw(logits, other)) }));
    """
    shares = [0.5, 0.3, 0.15, 0.05]
    answer = evaluate(script, shares)
    counts = Counter(answer["drawn"])
    for token, share in enumerate(shares):
        deviation = math.sqrt(share * (1 - share) / 20000)
        assert abs(counts[token] / 20000 - share) < 5 * deviation
    assert answer["same"] == answer["drawn"][:100] != answer["other"]


@pytest.mark.parametrize("network", [{}, {"bidirectional": True, "num_layers": 2}], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("text", ["ab__cd.e", "a{1-3}cd\nef___ab", "ab c__", "{2}abc"])
def test_blanks_are_filled_as_in_python(network, text, tmp_path):
    saved = checkpoint(**network)
    write(tmp_path / "model.safetensors", saved)
    script = """
    const { readCheckpoint } = await import(`${page}/engine/checkpoint.js`);
    const { Network } = await import(`${page}/engine/network.js`);
    const { BidirectionalNetwork } = await import(`${page}/engine/bidirectional.js`);
    const { tokenizerOf } = await import(`${page}/engine/tokenizers.js`);
    const { fill } = await import(`${page}/engine/fill.js`);
    const checkpoint = readCheckpoint(fileOf(given.file));
    const Kind = checkpoint.architecture.bidirectional ? BidirectionalNetwork : Network;
    const filling = fill(new Kind(checkpoint), tokenizerOf(checkpoint.tokenizer), given.text, 4, 40);
    let step = filling.next();
    while (!step.done) step = filling.next();
    console.log(JSON.stringify(step.value));
    """
    ours = evaluate(script, {"file": str(tmp_path / "model.safetensors"), "text": text})
    tokenizer = saved.load_tokenizer()
    theirs = fill(reader_of(load_engine(saved)), tokenizer, parse(text), FillConfig(count=4, candidates=40))
    assert [each["blanks"] for each in ours] == [list(each.blanks) for each in theirs]
    assert [each["text"] for each in ours] == [each.text for each in theirs]
    np.testing.assert_allclose([each["share"] for each in ours], [each.probability for each in theirs], atol=1e-4)


def test_a_text_is_scored_as_in_python_wherever_scoring_begins(tmp_path):
    saved = checkpoint(ngram_order=3, ngram_buckets=50, match_orders=(2, 3), match_slots=64)
    write(tmp_path / "model.safetensors", saved)
    text = "abc dé\nfgh abc abc. 😀abc\n" * 8
    script = """
    const { Player } = await import(`${page}/engine/player.js`);
    const player = new Player([{ id: "mine", file: fileOf(given.file), facts: {} }]);
    const signal = new AbortController().signal;
    const whole = await player.score({ text: given.text }, signal);
    const parts = [];
    for (const from of [0, 1, 31, 32, 33, 100, 199, 200, 999]) {
      parts.push(await player.score({ text: given.text, from }, signal));
    }
    console.log(JSON.stringify({ whole, parts }));
    """
    answer = evaluate(script, {"file": str(tmp_path / "model.safetensors"), "text": text})
    whole = answer["whole"]
    assert "".join(whole["texts"]) == text
    nats = trace(torch_model(saved), saved.load_tokenizer().encode(text)).nats
    np.testing.assert_allclose(whole["nats"][1:], nats, atol=1e-4)
    assert whole["nats"][0] is None
    for part in answer["parts"]:
        begin = part["at"]
        assert part["ids"] == whole["ids"][begin:]
        assert part["nats"] == whole["nats"][begin:]
        assert part["next"] == whole["next"]
    for nats, rank, alternatives, token in zip(
        whole["nats"][1:], whole["ranks"][1:], whole["alternatives"][1:], whole["ids"][1:], strict=True
    ):
        assert len(alternatives) == 8
        assert [loss for _, loss in alternatives] == sorted(loss for _, loss in alternatives)
        if rank < 8:
            assert alternatives[rank] == [token, nats]


def test_networks_are_mixed_as_in_python(tmp_path):
    saved = [
        checkpoint(ngram_order=2, ngram_buckets=30),
        replace(
            checkpoint(vocab_size=8, cell="gru"),
            tokenizer=CharTokenizer("\n abdxy", unknown=True).to_state(),
        ),
    ]
    for number, each in enumerate(saved):
        write(tmp_path / f"{number}.safetensors", each)
    script = """
    const { Player } = await import(`${page}/engine/player.js`);
    const player = new Player(given.files.map((path, k) => ({ id: String(k), file: fileOf(path), facts: {} })));
    const signal = new AbortController().signal;
    const answers = [];
    for (const weights of given.weights) {
      const mix = weights.map((weight, k) => ({ model: String(k), weight }));
      answers.push(await player.score({ mix, text: given.text }, signal));
    }
    const { network } = player.asked({ mix: [{ model: "0", weight: 1 }, { model: "1", weight: 1 }] });
    console.log(JSON.stringify({ answers, vocabulary: network.vocabulary }));
    """
    text, weights = "ab dx\nyé abba", [[0.7, 0.3], [1, 0], [0, 1]]
    files = [str(tmp_path / f"{number}.safetensors") for number in range(2)]
    ours = evaluate(script, {"files": files, "weights": weights, "text": text})
    engines = [load_engine(each) for each in saved]
    for shares, answer in zip(weights, ours["answers"], strict=True):
        mixed = MixedEngine(list(zip(engines, shares, strict=True)))
        known = [mixed.tokenizer.decode((token,)) for token in range(mixed.vocab_size)]
        state, logits = None, None
        for token in mixed.tokenizer.encode(text).tolist():
            logits, state = mixed.step([token], state)
        shifted = logits[0] - logits[0].max()
        nats = np.log(np.exp(shifted).sum()) - shifted
        for character, loss in zip(ours["vocabulary"], answer["next"]["nats"], strict=True):
            assert min(nats[known.index(character)], 9999) == pytest.approx(min(loss, 9999), abs=1e-4)


@pytest.mark.parametrize(
    "limits",
    [
        {"depth": 3, "least": 1e-4, "most": 5000},
        {"depth": 6, "least": 0.002, "most": 40},
        {"depth": 1, "least": 0.9, "most": 5},
    ],
)
def test_the_fan_is_that_of_python(limits, tmp_path):
    for name, network in {
        "plain": {"num_layers": 2, "skip_connections": True},
        "side": {"ngram_order": 3, "ngram_buckets": 50, "match_orders": (2,), "match_slots": 100, "ensemble": 2},
        "attention": {"attention_window": 4},
    }.items():
        saved = checkpoint(**network)
        path = tmp_path / f"{name}.safetensors"
        write(path, saved)
        script = """
        const { Player } = await import(`${page}/engine/player.js`);
        const player = new Player([{ id: "a", file: fileOf(given.file), facts: {} }]);
        const request = { model: "a", text: given.text, ...given.limits };
        console.log(JSON.stringify((await player.fan(request, new AbortController().signal)).nodes));
        """
        text = "abad.cab"
        nodes = evaluate(script, {"file": str(path), "text": text, "limits": limits})
        engine = load_engine(saved)
        expected = fan(engine, prefill(engine, saved.load_tokenizer().encode(text)), **limits)
        assert [(parent, token) for parent, token, _ in nodes] == [(parent, token) for parent, token, _ in expected]
        np.testing.assert_allclose([node[2] for node in nodes], [node.probability for node in expected], rtol=1e-4)


def test_texts_read_after_one_another_are_read_as_by_themselves(tmp_path):
    write(
        tmp_path / "model.safetensors", checkpoint(ngram_order=3, ngram_buckets=50, match_orders=(2,), match_slots=99)
    )
    script = """
    const { readCheckpoint } = await import(`${page}/engine/checkpoint.js`);
    const { Network } = await import(`${page}/engine/network.js`);
    const { Reader } = await import(`${page}/engine/reader.js`);
    const network = new Network(readCheckpoint(fileOf(given.file)));
    const reader = new Reader(network);
    let steps = 0;
    const { step } = network;
    const read = (one, ids, from) => [...one.read(ids, from)].map(({ logits }) => [...logits]);
    const answers = given.asked.map(([ids, from]) => [read(reader, ids, from), read(new Reader(network), ids, from)]);
    network.step = (token, state) => { steps++; return step.call(network, token, state); };
    const [ids] = given.asked.at(-1);
    const again = [...reader.after(ids).logits];
    const known = steps;
    reader.after([...ids, 1]);
    console.log(JSON.stringify({ answers, again, known, one: steps - known }));
    """
    ids = [int(token) for token in np.random.default_rng(3).integers(0, 13, 70)]
    asked = [
        (ids[:40], 0), (ids[:41], 40), (ids[:41], 41), (ids[:70], 41), ([*ids[:40], 2], 40), (ids[:3], 1),
        (ids[:70], 69),
    ]  # fmt: skip
    found = evaluate(script, {"file": str(tmp_path / "model.safetensors"), "asked": asked})
    assert [len(ours) for ours, _ in found["answers"]] == [len(ids) - from_ for ids, from_ in asked]
    for ours, alone in found["answers"]:
        assert ours == alone
    assert found["again"] == found["answers"][-1][0][-1]
    assert (found["known"], found["one"]) == (0, 1)
