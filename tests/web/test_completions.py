"""OpenAI's interface, used by OpenAI's own client, and compared with the library's own answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest

from charlstm.api.model import Model
from charlstm.engine.load import load_engine
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import sample
from charlstm.web import turns
from tests.web.running import ALPHABET, Running, events_of, running, served


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="any", max_retries=0) as found:
        yield found


def drawn(prompt: str, rows: int = 1, **settings: Any) -> list[str]:
    """The sampler's own continuations."""
    engine = served().engine
    texts = [""] * rows
    config = SampleConfig(**{"min_p": 0.1, **settings})
    for fragment in sample(engine, engine.tokenizer.encode(prompt).tolist(), config, rows=rows):  # type: ignore[arg-type]
        texts[fragment.row] += fragment.text
    return texts


def losses(text: str) -> list[float]:
    """The log-probability of each character but the first, from the torch model."""
    nats: list[float] = Model(served().checkpoint).trace(text).nats.tolist()
    return [-each for each in nats]


def test_a_prompt_is_continued(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt="abc", max_tokens=40, seed=7)
    (choice,) = answer.choices
    assert choice.text == drawn("abc", length=40, seed=7)[0]
    assert (choice.finish_reason, choice.index, choice.logprobs) == ("length", 0, None)
    assert answer.object == "text_completion"
    assert answer.usage is not None
    assert answer.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 3,
        "completion_tokens": 40,
        "total_tokens": 43,
    }


def test_the_fingerprint_is_of_the_weights_and_of_how_they_are_computed_with(client: openai.OpenAI) -> None:
    pytest.importorskip("numkong")
    answer = client.completions.create(model="small", prompt="abc", max_tokens=1)
    here = served()
    in_int8 = replace(here, engine=load_engine(here.checkpoint, precision="int8"))
    assert answer.system_fingerprint == f"fp_{here.fingerprint}"
    assert in_int8.fingerprint == f"{here.fingerprint}-int8"


def test_unless_it_is_said_sixteen_tokens_are_drawn_as_the_network_writes(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt="abc", seed=7)
    assert answer.choices[0].text == drawn("abc", length=16, seed=7)[0]
    hot = client.completions.create(
        model="small", prompt="abc", seed=7, temperature=1.7, top_p=0.9, extra_body={"top_k": 5, "min_p": 0.02}
    )
    assert hot.choices[0].text == drawn("abc", length=16, seed=7, temperature=1.7, top_p=0.9, top_k=5, min_p=0.02)[0]


def test_a_seed_gives_the_same_text_twice(client: openai.OpenAI) -> None:
    texts = [
        client.completions.create(model="small", prompt="abc", max_tokens=60, seed=s).choices[0].text for s in (9, 9, 8)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_stream_is_the_same_text_in_parts(client: openai.OpenAI) -> None:
    chunks = [*client.completions.create(
        model="small", prompt="abc", max_tokens=300, seed=7, stream=True, stream_options={"include_usage": True}
    )]  # fmt: skip
    *parts, last = chunks
    assert len(parts) >= 2, "the first token comes alone"
    assert "".join(part.choices[0].text for part in parts) == drawn("abc", length=300, seed=7)[0]
    assert [part.choices[0].finish_reason for part in parts] == [None] * (len(parts) - 1) + ["length"]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 300
    assert {chunk.id for chunk in chunks} == {last.id}
    assert all(part.usage is None for part in parts)


def test_several_texts_are_streamed_side_by_side(client: openai.OpenAI) -> None:
    texts, reasons = ["", "", ""], {}
    for chunk in client.completions.create(model="small", prompt="abc", max_tokens=200, n=3, seed=7, stream=True):
        (choice,) = chunk.choices
        texts[choice.index] += choice.text
        if choice.finish_reason:
            reasons[choice.index] = choice.finish_reason
    assert texts == drawn("abc", 3, length=200, seed=7)
    assert reasons == dict.fromkeys(range(3), "length")
    whole = client.completions.create(model="small", prompt="abc", max_tokens=200, n=3, seed=7)
    assert [choice.text for choice in whole.choices] == texts


def test_several_prompts(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt=["abc", "fed", ""], max_tokens=20, n=2, seed=7)
    assert [choice.index for choice in answer.choices] == list(range(6))
    for begin, prompt in ((0, "abc"), (2, "fed")):
        assert [choice.text for choice in answer.choices[begin : begin + 2]] == drawn(prompt, 2, length=20, seed=7)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 6


def test_prompts_of_ids(client: openai.OpenAI) -> None:
    ids = [ALPHABET.index(character) for character in "abc"]
    one = client.completions.create(model="small", prompt=ids, max_tokens=20, seed=7, echo=True)
    two = client.completions.create(model="small", prompt=[ids, ids[::-1]], max_tokens=20, seed=7)
    assert one.choices[0].text == "abc" + drawn("abc", length=20, seed=7)[0]
    assert [choice.text for choice in two.choices] == [drawn(each, length=20, seed=7)[0] for each in ("abc", "cba")]


def test_a_stop_text_ends_it(client: openai.OpenAI) -> None:
    whole = drawn("abc", length=200, seed=7)[0]
    stop = whole[40:43]
    for given in (stop, [stop, "no"]):
        answer = client.completions.create(model="small", prompt="abc", max_tokens=200, seed=7, stop=given, logprobs=1)
        (choice,) = answer.choices
        assert (choice.text, choice.finish_reason) == (whole[: whole.index(stop)], "stop")
        assert choice.logprobs is not None
        assert "".join(choice.logprobs.tokens or []) == choice.text


def test_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt="abc", max_tokens=30, seed=7, logprobs=3, temperature=2)
    (choice,) = answer.choices
    found = choice.logprobs
    assert found is not None
    assert found.tokens == list(choice.text)
    assert found.text_offset == list(range(30))
    np.testing.assert_allclose(found.token_logprobs, losses("abc" + choice.text)[2:], atol=1e-5)  # type: ignore[arg-type]
    assert found.top_logprobs is not None
    for token, own, top in zip(found.tokens, found.token_logprobs or [], found.top_logprobs, strict=True):
        assert top[token] == own
        assert len(top) in (3, 4)
        assert (len(top) == 4) == (own < sorted(top.values())[-3])
        assert sum(map(math.exp, top.values())) <= 1 + 1e-5


def test_an_echo_without_new_tokens_scores_the_prompt(client: openai.OpenAI) -> None:
    text = "abc fed\ncab" * 20
    answer = client.completions.create(model="small", prompt=text, max_tokens=0, echo=True, logprobs=10)
    (choice,) = answer.choices
    found = choice.logprobs
    assert (choice.text, choice.finish_reason) == (text, "length")
    assert found is not None
    assert found.token_logprobs is not None
    assert found.top_logprobs is not None
    assert (found.token_logprobs[0], found.top_logprobs[0]) == (None, None)
    np.testing.assert_allclose(found.token_logprobs[1:], losses(text), atol=1e-5)
    assert all(sum(map(math.exp, top.values())) == pytest.approx(1, abs=1e-4) for top in found.top_logprobs[1:])
    assert found.text_offset == list(range(len(text)))


def test_an_echo_stands_before_what_is_drawn(client: openai.OpenAI) -> None:
    for stream in (False, True):
        answer: Any = client.completions.create(
            model="small", prompt="abc", max_tokens=5, echo=True, logprobs=0, seed=7, stream=stream
        )
        choices = [choice for chunk in (answer if stream else [answer]) for choice in chunk.choices]
        text = "".join(choice.text for choice in choices)
        assert text == "abc" + drawn("abc", length=5, seed=7)[0]
        parts = [choice.logprobs for choice in choices if choice.logprobs]
        assert [token for part in parts for token in part.tokens] == list(text)
        assert [offset for part in parts for offset in part.text_offset] == list(range(8))
        tops = [top for part in parts for top in part.top_logprobs]
        assert [top and len(top) for top in tops] == [None] + [1] * 7


def test_the_best_of_several_is_the_one_that_loses_least_a_token(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="small", prompt="abc", max_tokens=30, seed=7, n=2, best_of=6, temperature=2
    )
    texts = drawn("abc", 6, length=30, seed=7, temperature=2)
    ranked = sorted(texts, key=lambda text: -sum(losses("abc" + text)[2:]))
    assert [choice.text for choice in answer.choices] == ranked[:2]
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 180


def test_a_bias_bans_and_forces_tokens_and_is_no_part_of_the_scores(client: openai.OpenAI) -> None:
    banned = {str(ALPHABET.index(character)): -100 for character in "abcd"}
    for prompt in ("abc", ""):
        answer = client.completions.create(
            model="small", prompt=prompt, max_tokens=80, seed=7, logit_bias=banned, logprobs=2
        )
        (choice,) = answer.choices
        assert not set("abcd") & set(choice.text)
        if prompt:
            assert choice.logprobs is not None
            expected = losses(prompt + choice.text)[2:]
            np.testing.assert_allclose(choice.logprobs.token_logprobs, expected, atol=1e-5)  # type: ignore[arg-type]
    forced = client.completions.create(
        model="small", prompt="abc", max_tokens=9, logit_bias={"5": 100}, extra_body={"longest_run": 0}
    )
    assert forced.choices[0].text == ALPHABET[5] * 9


@pytest.mark.parametrize("name", ["small", "both"])
def test_what_stands_before_a_suffix_is_filled(client: openai.OpenAI, server: Running, name: str) -> None:
    answer = client.completions.create(model=name, prompt="abc ", suffix=" fed", max_tokens=4, n=3)
    expected = Model(server.desk.library.find(name).checkpoint).fill("abc {1-4} fed", count=3)
    assert [choice.text for choice in answer.choices] == [each.blanks[0] for each in expected]
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}
    stream = client.completions.create(model=name, prompt="abc ", suffix=" fed", max_tokens=4, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == expected[0].blanks[0]
    with pytest.raises(openai.BadRequestError, match="both ways"):
        client.completions.create(model="both", prompt="abc")


def test_of_bytes_tokens_have_names(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="bytes", prompt="né", max_tokens=0, echo=True, logprobs=2)
    found = answer.choices[0].logprobs
    assert answer.choices[0].text == "né"
    assert found is not None
    assert found.tokens == ["n", "bytes:\\xc3", "bytes:\\xa9"]
    assert found.text_offset == [0, 1, 1]


def test_a_mix_writes(client: openai.OpenAI) -> None:
    mix = [{"model": "small", "weight": 1}, {"model": "other", "weight": 1}]
    raw: Any = openai.NOT_GIVEN
    answer = client.completions.create(model=raw, prompt="abc", seed=1, max_tokens=30, extra_body={"mix": mix})
    assert answer.model == "small+other"
    assert len(answer.choices[0].text) == 30


def test_particles_and_their_scores(client: openai.OpenAI) -> None:
    def ask(prompt: str, **more: Any) -> Any:
        body = {"match": "(ab|cd|ca|dd)*", "particles": 4}
        return client.completions.create(
            model="small", prompt=prompt, seed=3, max_tokens=40, logprobs=2, extra_body=body, **more
        )

    whole = ask("abc").choices[0]
    assert re.fullmatch("(ab|cd|ca|dd)*", whole.text)
    parts = [part.choices[0] for part in ask("abc", stream=True)]
    assert "".join(part.text for part in parts) == whole.text
    assert all(len(part.text) <= 1 for part in parts)
    with pytest.raises(openai.BadRequestError, match=r"match: character 'z' \(U\+007A\) at position 2"):
        client.completions.create(model="small", prompt="abc", extra_body={"match": "abz", "particles": 2})
    echoed = client.completions.create(
        model="small", prompt="abc" + whole.text, echo=True, max_tokens=0, logprobs=2
    ).choices[0]  # fmt: skip
    assert whole.logprobs.token_logprobs == pytest.approx(echoed.logprobs.token_logprobs[3:], abs=1e-4)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too many": ({"n": 21}, "n"),
    "too much together": ({"max_tokens": 5000, "n": 15}, "max_tokens"),
    "too much echo": ({"prompt": "abc" * 3000, "echo": True, "n": 8}, "max_tokens"),
    "too long": ({"max_tokens": 5001}, "max_tokens"),
    "negative": ({"max_tokens": -1}, "max_tokens"),
    "hot": ({"temperature": 2.5}, "temperature"),
    "more log-probabilities": ({"logprobs": 21}, "logprobs"),
    "worse than several": ({"n": 3, "best_of": 2}, "best_of"),
    "best of a stream": ({"best_of": 2, "stream": True}, "best_of"),
    "penalty": ({"frequency_penalty": 0.5}, "frequency_penalty"),
    "other penalty": ({"presence_penalty": -0.5}, "presence_penalty"),
    "bias of a word": ({"logit_bias": {"cat": 1}}, "logit_bias"),
    "bias of a stranger": ({"logit_bias": {"10": 1}}, "logit_bias"),
    "bias beyond": ({"logit_bias": {"1": 101}}, "logit_bias"),
    "no prompt": ({"prompt": []}, "prompt"),
    "mixed prompts": ({"prompt": ["a", 1]}, "prompt"),
    "stranger in the prompt": ({"prompt": [[10]]}, "prompt"),
    "negative id": ({"prompt": [-1]}, "prompt"),
    "huge id": ({"prompt": [2**70]}, "prompt"),
    "many prompts": ({"prompt": ["a"] * 65}, "prompt"),
    "long prompts": ({"prompt": ["a" * 40_000] * 2}, "prompt"),
    "other alphabet": ({"prompt": "xyz"}, "prompt"),
    "suffix of another alphabet": ({"suffix": "xyz"}, "suffix"),
    "suffix and a rule": ({"suffix": "a", "match": "a*"}, "match"),
    "suffix and rhyme": ({"suffix": "a", "rhyme": True}, "rhyme"),
    "particles without a rule": ({"particles": 3}, "particles"),
    "many particles": ({"particles": 65, "max_line": 9}, "particles"),
    "impossible": ({"match": "abz"}, "match"),
    "impossible in a stream": ({"match": "abz", "particles": 2, "stream": True}, "match"),
    "suffix and echo": ({"suffix": "a", "echo": True}, "echo"),
    "suffix and nothing": ({"suffix": "a", "max_tokens": 0}, "max_tokens"),
    "suffix of two": ({"suffix": "a", "prompt": ["a", "b"]}, "prompt"),
    "unknown": ({"messages": []}, "messages"),
    "empty stop": ({"stop": ""}, "stop"),
    "stop of a number": ({"stop": 3}, "stop"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_the_clients_fault(client: openai.OpenAI, case: str) -> None:
    body, name = WRONG[case]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**{"model": "small", "prompt": "abc", "extra_body": body})  # type: ignore[call-overload]
    assert caught.value.param == name
    assert caught.value.type == "invalid_request_error"


def test_characters_outside_the_alphabet_are_refused_left_out_or_mapped(client: openai.OpenAI) -> None:
    for unknown, text in (("skip", "abc"), ("map", "abca")):
        answer = client.completions.create(
            model="small", prompt="abcA", max_tokens=0, echo=True, extra_body={"unknown": unknown}
        )
        assert answer.choices[0].text == text
    with pytest.raises(openai.BadRequestError, match='`unknown="map"` reads that instead'):
        client.completions.create(model="small", prompt="abcA", max_tokens=3)
    filled = client.completions.create(
        model="small", prompt="AbC", suffix="FED", max_tokens=2, extra_body={"unknown": "map"}
    )
    assert filled.choices[0].text


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["small", "other", "bytes", "both"]
    assert client.models.retrieve("small").id == "small"
    for ask in (lambda: client.models.retrieve("nobody"), lambda: client.completions.create(model="nobody", prompt="")):
        with pytest.raises(openai.NotFoundError, match="small, other"):
            ask()


def test_with_a_token_the_clients_key_is_the_token() -> None:
    with running(served(), token="secret") as server:
        for key, right in (("secret", True), ("guess", False)):
            with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key=key, max_retries=0) as client:
                if right:
                    assert client.completions.create(model="small", prompt="a", max_tokens=3).choices
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.completions.create(model="small", prompt="a", max_tokens=3)


def test_a_client_comes_again_when_there_was_no_place(monkeypatch: pytest.MonkeyPatch, server: Running) -> None:
    monkeypatch.setattr(turns, "PLACES", 0)
    refused = server.ask("POST", "/v1/completions", {"prompt": "a"})
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"]["code"] == "busy"
    answered: list[int] = []

    def watch(response: Any) -> None:
        answered.append(response.status_code)
        monkeypatch.setattr(turns, "PLACES", 64)

    with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="any") as client:
        client._client.event_hooks = {"response": [watch]}
        assert client.completions.create(model="small", prompt="a", max_tokens=3).choices
    assert answered == [503, 200]


def test_lm_evals_requests(server: Running) -> None:
    """The bodies that lm-eval's ``local-completions`` sends, and what it reads in the answers."""
    texts = ["abc fed", "cab fed ab"]
    body = {
        "model": "small",
        "prompt": texts,
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    answer = server.post("/v1/completions", **body)
    for choice, text, context in zip(answer["choices"], texts, (4, 5), strict=True):
        found = choice["logprobs"]
        expected = losses(text)[context - 1 :]
        own = found["token_logprobs"][context:-1]
        np.testing.assert_allclose(own, expected, atol=1e-5)
        greedy = all(
            value == max(top.values()) for value, top in zip(own, found["top_logprobs"][context:-1], strict=True)
        )
        assert greedy == all(math.exp(value) > 0.5 or value == max(top.values())
                             for value, top in zip(own, found["top_logprobs"][context:-1], strict=True))  # fmt: skip
        assert found["token_logprobs"][-1] == max(found["top_logprobs"][-1].values()), "temperature 0"
    ids = [[ALPHABET.index(character) for character in text] for text in texts]
    assert server.post("/v1/completions", **{**body, "prompt": ids})["choices"] == answer["choices"]
    drawing = {"model": "small", "prompt": texts, "max_tokens": 40, "temperature": 0, "stop": ["\n"], "seed": 1234}
    written = server.post("/v1/completions", **drawing)
    assert [choice["text"] for choice in written["choices"]] == [
        drawn(text, length=40, temperature=0, stop="\n")[0] for text in texts
    ]


def test_an_error_within_a_stream_reaches_the_client(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST", -1.0)
    with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="any", max_retries=0) as client:
        with pytest.raises(openai.APIError, match="Ask for less"):
            [*client.completions.create(model="small", prompt="abc", echo=True, max_tokens=2000, stream=True)]


def test_the_stream_is_server_sent_events(server: Running) -> None:
    answer = server.ask("POST", "/v1/completions", {"prompt": "abc", "stream": True, "max_tokens": 3})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    events = events_of(answer.body)
    assert {name for name, _ in events} == {""}
    assert all(
        data == "[DONE]" or set(data["choices"][0]) == {"text", "index", "logprobs", "finish_reason"}
        for _, data in events
    )
    assert json.loads(answer.body.split(b"\n")[0].removeprefix(b"data: "))["object"] == "text_completion"
