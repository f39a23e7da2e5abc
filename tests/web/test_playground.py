"""What the page asks for, compared with the library's own answers."""

from __future__ import annotations

import json
import math
import re
import struct
import time
from typing import Any

import numpy as np
import pytest

from charlstm.api.model import Model
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.writing import Writing
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.network import Engine
from charlstm.errors import NotFoundError
from charlstm.inspect.hypotheses import HYPOTHESES
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import trace
from charlstm.inspect.units import find_units, unit_values
from charlstm.nn.shapes import CELLS
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.rules.rhymes import last_word, split_rhyme
from charlstm.sampling.sampler import sample
from charlstm.web.models import Served
from tests.web.running import ALPHABET, Running, running, served, served_bytes, slow

COLUMNS = {"texts", "ids", "nats", "ranks", "entropy", "alternatives"}


def rows_of(events: list[tuple[str, Any]], rows: int) -> list[list[dict[str, Any]]]:
    """The ``text`` events of each row; and see that the events are in order and whole."""
    assert [name for name, _ in events[:1]] == ["start"]
    found: list[list[dict[str, Any]]] = [[] for _ in range(rows)]
    ended = set()
    for name, data in events[1:]:
        assert name in ("text", "end")
        assert data["row"] not in ended
        if name == "end":
            ended.add(data["row"])
        else:
            assert {len(data[column]) for column in COLUMNS} == {len(data["texts"])}
            found[data["row"]].append(data)
    assert ended == set(range(rows))
    return found


def text_of(row: list[dict[str, Any]]) -> str:
    return "".join(text for data in row for text in data["texts"])


def test_models_say_what_they_are(server: Running) -> None:
    answer = server.ask("GET", "/api/models").json()
    small, _, of_bytes, both = answer["models"]
    assert (answer["v"], answer["default"]) == (1, "small")
    assert (small["kind"], small["vocabulary"], small["unknown"]) == ("char", list(ALPHABET), None)
    assert small["architecture"]["hidden_size"] == 12
    assert set(small["writing"]) == {"temperature", "top_p", "min_p", "no_repeat", "longest_run", "record"}
    assert of_bytes["vocabulary"][65] == "A"
    assert of_bytes["vocabulary"][0xE9] == "\\xe9"
    assert [each["bidirectional"] for each in (small, both)] == [False, True]
    assert small["rules"] == of_bytes["rules"] == ["match", "starts", "max_line", "particles"]  # without words
    assert both["rules"] == []


def test_a_score_is_the_librarys(server: Running) -> None:
    text = "abc fed\ncab"
    answer = server.post("/api/score", text=text)
    model = Model(served().checkpoint)
    reading = model.read(text)
    assert set(answer) == {*COLUMNS, "at", "next"}
    assert "".join(answer["texts"]) == text
    assert answer["nats"][0] is None
    np.testing.assert_allclose(answer["nats"][1:], model.trace(text).nats, atol=1e-4)
    probabilities = {ALPHABET[token]: math.exp(-nats) for token, nats in enumerate(answer["next"]["nats"])}
    for character, probability in reading.probabilities:
        assert probabilities[character] == pytest.approx(probability, abs=1e-4)
    entropy = -sum(share * math.log(share) for _, share in reading.probabilities)
    assert answer["next"]["entropy"] == pytest.approx(entropy, abs=1e-3)


def test_without_a_text_only_what_may_come_is_told(server: Running) -> None:
    answer = server.post("/api/score", text="")
    assert answer["texts"] == answer["nats"] == []
    after_newline = server.post("/api/score", text="\n")["next"]
    assert answer["next"] == after_newline


def test_bytes_add_their_character_when_it_is_whole(server: Running) -> None:
    answer = server.post("/api/score", text="né", model="bytes")
    assert answer["texts"] == ["n", "", "é"]
    assert len(answer["next"]["nats"]) == 256


@pytest.mark.parametrize(("text", "model"), [("abc fed" * 20, "small"), ("né漢n", "bytes"), ("abc fed", "both")])
def test_only_new_tokens_are_told_if_that_is_asked_for(server: Running, text: str, model: str) -> None:
    whole = server.post("/api/score", text=text, model=model)
    assert whole["at"] == 0
    for begin in (*range(len(text) + 1), 10**9):
        part = server.post("/api/score", text=text, model=model, **{"from": begin})
        assert "".join(part["texts"]) == text[begin:]
        assert part["at"] == min(begin, len(text))
        assert part["next"] == whole["next"]
        for column in COLUMNS:
            assert part[column] == (whole[column][-len(part[column]) :] if part[column] else [])


def test_a_score_of_a_network_that_reads_both_ways_has_nothing_next(server: Running) -> None:
    answer = server.post("/api/score", text="abc fed", model="both")
    assert answer["next"] is None
    assert None not in answer["nats"]
    assert server.post("/api/score", text="", model="both")["texts"] == []
    refused = server.ask("POST", "/api/generate", {"text": "abc", "model": "both"})
    assert (refused.status, refused.json()["error"]["code"]) == (400, "incompatible")


def test_of_a_large_vocabulary_the_likeliest_are_told() -> None:
    alphabet = "\n" + "".join(map(chr, range(0x4E00, 0x4E00 + 2500)))
    small = served(vocab_size=len(alphabet))
    tokenizer = {"kind": "char", "alphabet": alphabet, "unknown": False}
    checkpoint = Checkpoint(
        "model", small.checkpoint.tensors, small.checkpoint.run, tokenizer, small.checkpoint.provenance
    )
    with running(Served("large", checkpoint, load_engine(checkpoint))) as server:
        following = server.post("/api/score", text=alphabet[7:90])["next"]
    assert set(following) == {"top", "entropy"}
    nats = [nats for _, nats in following["top"]]
    assert len(nats) == 256
    assert nats == sorted(nats)


# ---- drawn text -----------------------------------------------------------------------------------------------------


def test_drawn_text_is_the_samplers_and_its_scores_those_of_the_text(server: Running) -> None:
    settings: dict[str, Any] = {"temperature": 1.3, "top_k": 6, "min_p": 0.01, "no_repeat": 0, "longest_run": 3}
    events = server.events(text="abc ", length=150, seed=5, rows=2, **settings)
    rows = rows_of(events, 2)
    engine = served().engine
    config = SampleConfig(length=150, seed=5, **settings)
    expected = ["", ""]
    for fragment in sample(engine, engine.tokenizer.encode("abc ").tolist(), config, rows=2):  # type: ignore[arg-type]
        expected[fragment.row] += fragment.text
    assert [text_of(row) for row in rows] == expected
    assert events[0][1] == {"v": 1, "seed": 5, "from": 4, "rows": 2}
    for row in rows:
        at = 4
        for data in row:
            assert data["at"] == at
            at += len("".join(data["texts"]))
        scored = server.post("/api/score", text="abc " + text_of(row))
        for column in ("nats", "entropy"):
            drawn = [value for data in row for value in data[column]]
            np.testing.assert_allclose(drawn, scored[column][4:], atol=2e-4)
        assert [each for data in row for each in data["ids"]] == scored["ids"][4:]
    ends = [data for name, data in events if name == "end"]
    nats = sum(value for data in rows[ends[0]["row"]] for value in data["nats"])
    assert ends[0]["bits_per_char"] == pytest.approx(nats / math.log(2) / 150, abs=1e-3)
    assert [(end["reason"], end["tokens"]) for end in ends] == [("length", 150)] * 2


def test_a_seed_is_told_and_gives_the_same_text_again(server: Running) -> None:
    first = server.events(text="abc", length=80)
    seed = first[0][1]["seed"]
    again = server.events(text="abc", length=80, seed=seed)
    assert text_of(rows_of(first, 1)[0]) == text_of(rows_of(again, 1)[0])
    assert 0 <= seed < 2**32, "a whole number of JavaScript"
    other = server.events(text="abc", length=80, seed=seed + 1)
    assert text_of(rows_of(other, 1)[0]) != text_of(rows_of(first, 1)[0])


def test_without_a_text_it_begins_where_texts_begin(server: Running) -> None:
    assert len(text_of(rows_of(server.events(length=30, seed=1), 1)[0])) == 30


def test_a_stop_text_ends_a_row_and_is_not_shown(server: Running) -> None:
    whole = text_of(rows_of(server.events(text="abc", length=200, seed=3), 1)[0])
    stop = whole[50:53]
    events = server.events(text="abc", length=200, seed=3, stop=[stop, "never this"])
    (row,) = rows_of(events, 1)
    assert text_of(row) == whole[: whole.index(stop)]
    assert events[-1][1]["reason"] == "stop"
    assert events[-1][1]["tokens"] == whole.index(stop), "the tokens of the stop text are not counted"


def test_lines_end_a_row_and_belong_to_it(server: Running) -> None:
    events = server.events(text="abc", length=2000, seed=3, lines=2)
    text = text_of(rows_of(events, 1)[0])
    assert text.count("\n") == 2
    assert text.endswith("\n")
    assert events[-1][1]["reason"] == "lines"


def test_of_bytes_no_half_character_is_sent(server: Running) -> None:
    events = server.events(text="né", length=300, seed=2, model="bytes", temperature=2)
    (row,) = rows_of(events, 1)
    ids = [each for data in row for each in data["ids"]]
    assert text_of(row) == bytes(ids).decode("utf-8", "replace")
    assert len(ids) >= 300


def test_a_list_writes_its_record_to_the_end() -> None:
    plain = served()
    checkpoint = Checkpoint("model", plain.checkpoint.tensors, plain.checkpoint.run, plain.checkpoint.tokenizer,
                            plain.checkpoint.provenance, writing=Writing(record="\n", min_p=0))  # fmt: skip
    with running(Served("list", checkpoint, load_engine(checkpoint))) as server:
        events = server.events(text="abc\nfe", length=2000, seed=1)
        text = text_of(rows_of(events, 1)[0])
        assert text.endswith("\n")
        assert text.count("\n") == 1
        assert events[-1][1]["reason"] == "stop"
        alone = text_of(rows_of(server.events(text="fe", length=2000, seed=1), 1)[0])
        assert text == alone, "records before it change nothing"
        begun = text_of(rows_of(server.events(text="abc\n", length=2000, seed=1), 1)[0])
        assert begun == text_of(rows_of(server.events(text="", length=2000, seed=1), 1)[0])


def test_a_unit_is_held_while_text_is_drawn(server: Running) -> None:
    ask = {"text": "abc", "length": 30, "seed": 4}
    hold = {"stack": "layers", "layer": 1, "part": "c", "unit": 3, "value": 8.0}
    events = server.events(**ask, hold=hold)
    (row,) = rows_of(events, 1)
    engine = served().engine
    assert isinstance(engine, Engine)
    state, logits, losses = None, np.empty(0), []
    for number, token in enumerate(engine.tokenizer.encode("abc" + text_of(row)).tolist()):
        if number > 2:
            losses.append(np.logaddexp.reduce(logits[0].astype(float)) - logits[0, token])
        logits, state = engine.step([token], state)
        if number > 2:  # the text before is read with nothing held
            layers = [[[part.copy() for part in layer] for layer in stack] for stack in state.layers]
            layers[0][1][CELLS["lstm"].states.index("c")][3] = 8.0
            state = state._replace(layers=tuple(tuple(map(tuple, stack)) for stack in layers))
    np.testing.assert_allclose([nats for data in row for nats in data["nats"]], losses, atol=2e-4)
    free = [nats for data in rows_of(server.events(**ask), 1)[0] for nats in data["nats"]]
    assert not np.allclose(free, losses, atol=1e-3)
    for wrong, word in (
        ({"unit": 12}, "below 12"), ({"layer": 2}, "below 2"), ({"part": "x"}, "h, c"), ({"stack": "no"}, "layers"),
    ):  # fmt: skip
        answer = server.ask("POST", "/api/generate", {**ask, "hold": hold | wrong})
        assert answer.status == 400
        assert word in answer.json()["error"]["message"]


def test_a_mix_is_between_its_networks(server: Running) -> None:
    def following(**ask: Any) -> Any:
        return np.array(server.post("/api/score", text="abc fed", **ask)["next"]["nats"])

    one, other = following(model="small"), following(model="other")
    alone = following(mix=[{"model": "small", "weight": 2}, {"model": "other", "weight": 0}])
    np.testing.assert_allclose(alone, one, atol=2e-4)
    mixed = -0.25 * one - 0.75 * other
    mixed -= math.log(np.exp(mixed).sum())
    half = following(mix=[{"model": "small", "weight": 0.25}, {"model": "other", "weight": 0.75}])
    np.testing.assert_allclose(half, -mixed, atol=2e-4)
    events = server.events(
        text="abc", length=40, seed=1, mix=[{"model": "small", "weight": 1}, {"model": "other", "weight": 1}]
    )
    assert len(text_of(rows_of(events, 1)[0])) == 40
    hold = {"layer": 0, "part": "c", "unit": 3, "value": 8.0}
    refused = server.ask("POST", "/api/generate", {"mix": [{"model": "small", "weight": 1}], "hold": hold})
    assert refused.status == 400


def test_the_speed_is_kept(server: Running) -> None:
    began = time.monotonic()
    events = server.events(text="abc", length=6, speed=20)
    assert 0.2 <= time.monotonic() - began < 5
    assert [name for name, _ in events] == ["start", *["text"] * 6, "end"]
    began = time.monotonic()
    server.events(text="abc", length=6, speed=20, rows=3)
    assert 0.2 <= time.monotonic() - began < 0.85, "each row at this speed"


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 0}, {"rows": 5}, {"length": 0}, {"length": 5001}, {"temperature": -1}, {"top_p": 0}, {"top_p": 1.5},
     {"min_p": 2}, {"seed": -1}, {"seed": 2**64}, {"stop": [""]}, {"stop": "a"}, {"stop": ["a"] * 17}, {"speed": 0},
     {"repetition_penalty": 0}, {"longest_run": -1}, {"text": "a" * 65_537}, {"words": True}],
)  # fmt: skip
def test_what_is_out_of_range_is_an_error_before_anything_is_sent(server: Running, wrong: dict[str, Any]) -> None:
    answer = server.ask("POST", "/api/generate", {"text": "abc", "length": 5, **wrong})
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["message"]


def test_rules_are_kept() -> None:
    small = served()
    read = []

    def training_ids() -> Any:
        read.append(1)
        return small.engine.tokenizer.encode("abc fed cab head\n" * 60)

    known = Checkpoint("model", small.checkpoint.tensors, small.checkpoint.run, small.checkpoint.tokenizer,
                       small.checkpoint.provenance, words=("abc", "fed", "head"))  # fmt: skip
    with running(Served("small", known, small.engine, training_ids=training_ids), served("other")) as server:
        offered = server.ask("GET", "/api/models").json()["models"][0]["rules"]
        assert {"match", "starts", "max_line", "words", "no_copy"} <= set(offered)

        def draw(length: int = 200, **rules: Any) -> tuple[str, str]:
            events = server.events(text="abc ", length=length, seed=1, min_p=0, **rules)
            return text_of(rows_of(events, 1)[0]), events[-1][1]["reason"]

        text, reason = draw(match="(fed|cab)( head){2,3}")
        assert re.fullmatch("(fed|cab)( head){2,3}", text)
        assert reason == "rule"
        text, _ = draw(starts="a,bc")
        assert re.fullmatch(r"a[^\n]*\nbc[^\n]*\n?", text)
        assert draw(starts=["a", "bc"])[0] == text
        text, _ = draw(400, max_line=9)
        assert max(map(len, ("abc " + text).split("\n"))) == 9
        text, _ = draw(400, words=True)
        assert set(text.split()) <= {"abc", "fed", "head"}
        assert set(draw(400, words=["cab"])[0].split()) == {"cab"}
        for _ in range(2):
            text, _ = draw(500, no_copy=20, temperature=0.5)
            whole = "abc fed cab head\n" * 60
            assert not any(text[begin : begin + 20] in whole for begin in range(len(text) - 19))
        assert read == [1], "the training text is read once"
        answer = server.post("/v1/completions", prompt="abc ", match="fe+d", max_tokens=300)
        assert re.fullmatch("fe+d", answer["choices"][0]["text"])
        assert answer["choices"][0]["finish_reason"] == "stop"
        mix = [{"model": "small", "weight": 1}, {"model": "other", "weight": 1}]
        assert re.fullmatch("fe+d", text_of(rows_of(server.events(mix=mix, text="abc", match="fe+d"), 1)[0]))
        for wrong, word in (
            ({"match": "("}, "match"), ({"match": "xyz"}, "'x'"), ({"max_line": 5000}, "max_line"),
            ({"no_copy": 5}, "no_copy"), ({"mix": mix, "no_copy": 30}, "training text"),
            ({"mix": mix, "words": True}, "words"), ({"starts": "x"}, "starts"),
        ):  # fmt: skip
            refused = server.ask("POST", "/api/generate", {"text": "abc", **wrong})
            assert refused.status == 400, wrong
            assert word in refused.json()["error"]["message"]


def rhyming_network() -> Served:
    small = served()
    known = Checkpoint("model", small.checkpoint.tensors, small.checkpoint.run, small.checkpoint.tokenizer,
                       small.checkpoint.provenance, words=("bad", "cad", "fed", "bed", "head"))  # fmt: skip
    return Served("small", known, small.engine)


def test_lines_rhyme_in_pairs_and_keep_the_other_rules() -> None:
    with running(rhyming_network(), served("other"), served_bytes()) as server:
        events = server.events(text="abc ", lines=4, length=2000, seed=1, rhyme=True, max_line=30, rows=2)
        for row in rows_of(events, 2):
            assert all(len(data["texts"]) == 1 for data in row), "a pair comes at once, and nothing of it waits"
            lines = text_of(row).splitlines()
            assert len(lines) == 4
            for first, second in zip(lines[::2], lines[1::2], strict=True):
                assert split_rhyme(last_word(first))[1] == split_rhyme(last_word(second))[1] != ""
                assert last_word(first) != last_word(second) in ("bad", "cad", "fed", "bed")
                assert len(first) + 4 * (first == lines[0]) <= 30
            nats = [value for data in row for value in data["nats"]]
            whole = "abc " + text_of(row)
            assert nats == pytest.approx(server.post("/api/score", text=whole)["nats"][4:], abs=2e-4)
        assert text_of(rows_of(server.events(text="abc ", lines=2, length=900, seed=1, rhyme=True, particles=1), 1)[0])
        for wrong, message in (
            ({"rhyme": True, "model": "bytes"}, "`rhyme` is for a network of characters"),
            ({"rhyme": True, "model": "other"}, "knows no words that could rhyme"),
            ({"rhyme": True, "words": ["bab"], "starts": "a,x"}, "line 2 of starts: character 'x' (U+0078)"),
            ({"particles": 4}, "`particles=4` is for a text under a rule"),
            ({"particles": 65, "match": "a*"}, "particles"),
            ({"particles": 0, "match": "a*"}, "particles"),
            ({"rhyme": "yes"}, "rhyme"),
            ({"match": "cab[^x]x", "particles": 3}, "match: character 'x' (U+0078) at position 7"),
            ({"match": "[abc]{20}", "max_line": 9}, "`match` and `max_line` together: nothing can follow '"),
        ):
            refused = server.ask("POST", "/api/generate", {"text": "abc ", **wrong})
            assert refused.status == 400, wrong
            error = refused.json()["error"]
            assert message in error["message"]
            if "(U+" in message:
                assert error["param"] == ("starts" if "starts" in wrong else "match")


def test_particles_are_scored_as_one_text_and_come_before_it_is_known_to_its_end(server: Running) -> None:
    asked = {"text": "abc", "match": "(ab|cd|ca|dd)*", "length": 300, "seed": 3, "particles": 4}
    events = server.events(**asked)
    (row,) = rows_of(events, 1)
    assert re.fullmatch("(ab|cd|ca|dd)*", text_of(row))
    assert len(text_of(row)) == 300
    nats = [value for data in row for value in data["nats"]]
    assert nats == pytest.approx(server.post("/api/score", text="abc" + text_of(row))["nats"][3:], abs=2e-4)
    alone = {name: value for name, value in asked.items() if name != "particles"}
    assert text_of(rows_of(server.events(**alone), 1)[0]) != text_of(row)


# ---- the other views ------------------------------------------------------------------------------------------------


def test_the_fan_is_a_tree_of_probabilities(server: Running) -> None:
    nodes = server.post("/api/fan", text="abc", depth=3, least=0.01)["nodes"]
    scored = server.post("/api/score", text="abc")["next"]["nats"]
    below = [0.0] * len(nodes)
    for place, (parent, token, probability) in enumerate(nodes):
        assert -1 <= parent < place
        if parent < 0:
            assert probability == pytest.approx(math.exp(-scored[token]), abs=1e-4)
        else:
            below[parent] += probability
        assert probability >= 0.01
    assert all(sum_ <= nodes[place][2] + 1e-5 for place, sum_ in enumerate(below))
    assert len(server.post("/api/fan", text="abc", most=5, least=0.001)["nodes"]) == 5


def test_a_trace_is_that_of_inspect_in_bytes(server: Running) -> None:
    text = "abc fed cab\n" * 30
    data = server.post("/api/trace", text=text, **{"from": 250, "to": 270})
    (length,) = struct.unpack("<I", data[:4])
    header = json.loads(data[4 : 4 + length])
    assert header == {
        "v": 1, "tokens": 20, "parts": ["i", "f", "g", "o", "c", "h"], "units": 12,
        "scale": [[0, 1], [0, 1], [-1, 1], [0, 1], [-1, 1], [-1, 1]],
    }  # fmt: skip
    planes = np.frombuffer(data[4 + length :], np.uint8).reshape(6, 20, 12)
    small = served().checkpoint
    traced = trace(torch_model(small), small.load_tokenizer().encode(text[:270])).layers["layers"][0]
    for plane, name, (low, high) in zip(planes, header["parts"], header["scale"], strict=True):
        values = traced.parts[name][250:270]
        values = np.tanh(values) if name == "c" else values
        np.testing.assert_allclose(low + plane / 255 * (high - low), values, atol=(high - low) / 255)


@pytest.mark.parametrize(
    "wrong",
    [{"to": 5}, {"to": 40}, {"from": 7, "to": 7}, {"from": 8, "to": 7}, {"stack": "layers_2"}, {"layer": 2},
     {"from": -1}, {"text": "", "to": 1}],
)  # fmt: skip
def test_a_trace_of_what_is_not_there_is_refused(server: Running, wrong: dict[str, Any]) -> None:
    ask = {"text": "abc fed", "from": 5, "to": 7, **wrong}
    assert server.ask("POST", "/api/trace", ask).status == 400


def test_a_network_that_reads_both_ways_is_traced_as_one_window_so_not_a_long_one(server: Running) -> None:
    refused = server.ask("POST", "/api/trace", {"text": "a" * 2001, "model": "both", "to": 5})
    assert (refused.status, refused.json()["error"]["param"]) == (400, "text")


def test_both_stacks_of_a_network_that_reads_both_ways_are_traced(server: Running) -> None:
    for stack in ("layers", "backwards"):
        data = server.post("/api/trace", text="abc fed", model="both", stack=stack, to=7)
        assert len(data) == 4 + struct.unpack("<I", data[:4])[0] + 6 * 7 * 12


@pytest.mark.parametrize("name", ["small", "both"])
def test_blanks_are_filled_as_the_library_fills_them(server: Running, name: str) -> None:
    answers = server.post("/api/fill", text="abc ___ fed", model=name, count=3)["answers"]
    model = Model(server.desk.library.find(name).checkpoint)
    expected = model.fill("abc ___ fed", count=3)
    assert [(each["text"], tuple(each["blanks"])) for each in answers] == [
        (each.text, each.blanks) for each in expected
    ]
    for each, other in zip(answers, expected, strict=True):
        assert each["nats"] == pytest.approx(-math.log(other.probability), abs=1e-4)
    for text, word in (("abc", "no blank"), ("xyz ___", "alphabet"), ("a {9-3}", "no such blank")):
        refused = server.ask("POST", "/api/fill", {"text": text, "model": name})
        assert refused.status == 400
        assert word in refused.json()["error"]["message"]


def test_units_are_those_of_inspect_and_found_once(server: Running) -> None:
    answer = server.post("/api/units")
    one = served()
    text = one.own_text()
    subject = Subject("small", torch_model(one.checkpoint), one.engine.tokenizer, one.engine.tokenizer.encode(text))
    findings = {finding.hypothesis.name: finding for finding in find_units(subject, HYPOTHESES)}
    assert {each["label"] for each in answer["units"]} == set(findings)
    for each in answer["units"]:
        finding = findings[each["label"]]
        unit = finding.unit
        assert (each["stack"], each["layer"], each["part"], each["unit"]) == (
            unit.stack,
            unit.layer,
            unit.part,
            unit.number,
        )
        assert (each["value"], each["sign"]) == (round(finding.value, 4), finding.sign)
        low, high = np.quantile(unit_values(subject, [unit]), (0.02, 0.98))
        ends = np.tanh([each["low"], each["high"]]) if unit.part == "c" else [each["low"], each["high"]]
        np.testing.assert_allclose(ends, [low, high], atol=1e-3)
    assert server.post("/api/units") == answer
    assert list(server.desk.units) == ["small"]


def test_a_network_without_its_text_says_so() -> None:
    def gone() -> str:
        raise NotFoundError("the text is not here any more", where="small")

    small = served()
    with running(Served("small", small.checkpoint, small.engine, gone)) as server:
        for _ in range(2):
            assert server.post("/api/units") == {"units": [], "why": "small: the text is not here any more"}


@pytest.mark.parametrize("ours", [False, True])
def test_what_goes_wrong_within_a_stream_is_its_last_event(ours: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A network that diverged is the network's fault; anything else is a bug, which the terminal tells in full."""
    small = slow(seconds=0)
    step, engine = small.engine.step, small.engine  # type: ignore[union-attr]

    def broken(tokens: Any, state: Any) -> Any:
        logits, after = step(tokens, state)
        if engine.steps > 20 and ours:  # type: ignore[union-attr]
            raise KeyError("a bug")
        return (logits * np.inf if engine.steps > 20 else logits), after  # type: ignore[union-attr]

    engine.step = broken  # type: ignore[union-attr, method-assign, assignment]
    with running(small) as server:
        events = server.events(text="abc", length=100)
        assert [name for name, _ in events][-1] == "error"
        assert ("its terminal says more" if ours else "not finite") in events[-1][1]["error"]["message"]
        assert ("a bug" in caplog.text) == ours
        again = server.ask("POST", "/api/score", {"text": "abc" * 30})
        assert (again.status, again.headers["x-should-retry"]) == (500, "false")
