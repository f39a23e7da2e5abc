"""`/v1/completions` as OpenAI's clients expect it. Tokens are the network's own, characters for most."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from secrets import token_hex
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.filling.blanks import MAX_VARIABLE, Blank, Blanked
from charlstm.filling.config import FillConfig
from charlstm.filling.fill import fill as fill_blanks
from charlstm.sampling.config import settings_for
from charlstm.sampling.prompts import fit_prompt
from charlstm.schemas import require
from charlstm.tokenizers import Tokenizer
from charlstm.web import asks
from charlstm.web.desk import Desk, Opened, blanks_reader
from charlstm.web.errors import to_json
from charlstm.web.models import Served, token_name
from charlstm.web.reading import Scored, rounded, texts_of
from charlstm.web.reply import STREAM, event
from charlstm.web.rows import batches
from charlstm.web.rules import RULES, settings_of
from charlstm.web.turns import Job

_LENGTH = 16
"""Tokens that are drawn unless it is said: OpenAI's own default."""
_MOST_PROMPTS = 64


def models(desk: Desk) -> dict[str, Any]:
    """The networks that are served, as OpenAI lists them."""
    return {"object": "list", "data": [model(desk, name) for name in desk.library.models]}


def model(desk: Desk, name: str) -> dict[str, Any]:
    """How OpenAI describes a network.

    Args:
        desk: the networks.
        name: its id.
    """
    return {"id": desk.library.find(name).id, "object": "model", "created": 0, "owned_by": "charlstm"}


def complete(desk: Desk, job: Job, body: bytes) -> bytes | None:
    """Continue prompts, score them, or fill what is between a prompt and a suffix.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Completion`.

    Returns:
        The answer; None if it has been sent as a stream.
    """
    asked = asks.read(asks.Completion, body)
    _check(asked)
    names = [share.model for share in asked.mix] if asked.mix else [asked.model]
    served = [desk.library.find(name) for name in names]
    if asked.suffix is None:
        opened = desk.open(asked, job)
        prompts = _prompts(asked, opened.tokenizer)
        parts = _continued(desk, opened, asked, prompts)
    else:
        prompts = _prompts(asked, served[0].engine.tokenizer)
        parts = _filled(served[0], job, asked, prompts)
    head = {
        "id": f"cmpl-{token_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": "+".join(each.id for each in served),
        "system_fingerprint": "fp_" + "_".join(each.fingerprint for each in served),
    }
    read, drawn = sum(len(prompt.ids) for prompt in prompts), 0
    if not asked.stream:
        choices = _merged(parts)
        drawn = sum(choice.tokens for choice in choices)
        best = _best(choices, asked.n or 1, len(prompts))
        return to_json({**head, "choices": [each.plain() for each in best], "usage": _usage(read, drawn)})
    wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
    head |= {"usage": None} if wants_usage else {}
    job.media_type = STREAM
    for part in parts:
        drawn += part.tokens
        job.send(event({**head, "choices": [part.plain()]}))
    if wants_usage:
        job.send(event({**head, "choices": [], "usage": _usage(read, drawn)}))
    job.send(b"data: [DONE]\n\n")
    return None


def _check(asked: asks.Completion) -> None:
    """Refuse what is not known here, and what excludes each other."""
    for name in ("frequency_penalty", "presence_penalty"):
        if getattr(asked, name):
            raise UsageError(f"`{name}={getattr(asked, name)}` is not known here", hint="Use `repetition_penalty`.")
    count, best_of = asked.n or 1, asked.best_of
    require("best_of", best_of, best_of is None or best_of >= count, f"at least `n={count}`")
    require("best_of", best_of, not asked.stream or best_of in (None, count), "left out of a stream")
    require("temperature", asked.temperature, (asked.temperature or 0) <= 2, "at most 2")
    if asked.suffix is not None:
        for name in ("mix", "logprobs", "echo", "logit_bias", "best_of", "stop", *RULES):
            require(name, getattr(asked, name), getattr(asked, name) in (None, False), "left out beside `suffix`")


class _Prompt(NamedTuple):
    text: str
    ids: NDArray[np.integer[Any]]


def _prompts(asked: asks.Completion, tokenizer: Tokenizer) -> list[_Prompt]:
    """The prompts of a request: one or several, as texts or as ids."""
    given = asked.prompt
    if isinstance(given, str | None):
        given = (given or "",)
    if given and all(isinstance(each, int) for each in given):
        given = (given,)  # type: ignore[assignment]
    prompts = []
    for each in given:
        if isinstance(each, int):
            raise UsageError("`prompt` must be one text, a list of texts, or a list of lists of ids")
        if isinstance(each, str):
            text, _ = fit_prompt(tokenizer, each, asked.unknown or "error")
            prompts.append(_Prompt(text, tokenizer.encode(text)))
        else:
            known = all(0 <= token < tokenizer.vocab_size for token in each)
            require("prompt", each, known, f"a text, or ids below {tokenizer.vocab_size}")
            prompts.append(_Prompt(tokenizer.decode(each), np.array(each, np.int64)))
    require("prompt", given, 1 <= len(prompts) <= _MOST_PROMPTS, f"at least one and at most {_MOST_PROMPTS}")
    characters = sum(len(prompt.text) for prompt in prompts)
    require("prompt", given, characters <= asks.MOST_CHARACTERS, f"of at most {asks.MOST_CHARACTERS:,} characters")
    return prompts


@dataclass
class _Part:
    """What is new of one of the texts of an answer."""

    index: int
    text: str
    logprobs: dict[str, list[Any]] | None = None
    finish_reason: str | None = None
    tokens: int = 0
    """Drawn ones."""
    nats: float = 0.0
    """Their loss."""

    def plain(self) -> dict[str, Any]:
        """As the client gets it."""
        return {name: getattr(self, name) for name in ("text", "index", "logprobs", "finish_reason")}


def _continued(desk: Desk, opened: Opened, asked: asks.Completion, prompts: list[_Prompt]) -> Iterator[_Part]:
    rows = asked.best_of or asked.n or 1
    length = _LENGTH if asked.max_tokens is None else asked.max_tokens
    settings = {**asked.settings(), "length": max(length, 1), "stop": asked.stop or ()}
    config, bias = settings_for(opened.network.writing, **settings), _bias(asked.logit_bias, opened.model.vocab_size)
    echoed = sum(len(prompt.ids) for prompt in prompts) if asked.echo else 0
    size, most = rows * (echoed + length * len(prompts)), asks.MOST_CHARACTERS + asks.LONGEST
    opened.job.tokens = rows * length * len(prompts) * settings_of(asked).texts_for_each
    require("max_tokens", length, size <= most, f"less: an answer has {most:,} tokens at most, and this one {size:,}")
    for number, prompt in enumerate(prompts):
        indices = range(number * rows, (number + 1) * rows)
        if asked.echo:
            _, scored = opened.reader.read(prompt.ids)
            logprobs = _logprobs(opened, asked.logprobs, scored, texts_of(opened.tokenizer, prompt.ids), 0)
            yield from (_Part(index, prompt.text, logprobs) for index in indices)
        if not length:
            yield from (_Part(index, "", None, "length") for index in indices)
            continue
        at = [len(prompt.text) if asked.echo else 0] * rows
        kept = desk.rules_of(opened.network, asked, prompt.text, opened.job)
        fragments = opened.draw(prompt.ids, config, rows, kept=kept, bias=bias)
        for batch in chain.from_iterable(batches(opened.tokenizer, fragments, rows, singly=kept.in_bursts)):
            reason = batch.reason and ("length" if batch.reason == "length" else "stop")
            part = _Part(indices[batch.row], "".join(batch.texts), None, reason, len(batch.tokens))
            if batch.tokens and (asked.logprobs is not None or rows > (asked.n or 1)):
                scored = batch.scored(0.0 if bias is None else bias)
                part.nats = float(scored.nats.sum())
                part.logprobs = _logprobs(opened, asked.logprobs, scored, batch.texts, at[batch.row])
            at[batch.row] += len(part.text)
            yield part


def _filled(served: Served, job: Job, asked: asks.Completion, prompts: list[_Prompt]) -> Iterator[_Part]:
    require("prompt", asked.prompt, len(prompts) == 1, "one text beside `suffix`")
    require("max_tokens", asked.max_tokens, asked.max_tokens != 0, "at least 1 beside `suffix`")
    tokenizer = served.engine.tokenizer
    suffix, _ = fit_prompt(tokenizer, asked.suffix or "", asked.unknown or "error", where="suffix")
    longest = min(asked.max_tokens or _LENGTH, MAX_VARIABLE)
    config = FillConfig(asked.n or 1, asked.temperature or 0.0, seed=asked.seed)
    blanked = Blanked((prompts[0].text, suffix), (Blank(1, longest),))
    record = served.checkpoint.writing.record
    for index, answer in enumerate(fill_blanks(blanks_reader(served, job), tokenizer, blanked, config, record=record)):
        (text,) = answer.blanks
        yield _Part(index, text, None, "stop", len(tokenizer.encode(text)))


def _bias(given: dict[str, float] | None, vocab_size: int) -> NDArray[np.float64] | None:
    if not given:
        return None
    bias = np.zeros(vocab_size)
    for name, value in given.items():
        known = name.isascii() and name.isdecimal() and len(name) < 9 and int(name) < vocab_size
        require("logit_bias", name, known, f"of ids below {vocab_size}")
        bias[int(name)] = value
    return bias


def _logprobs(
    opened: Opened, count: int | None, scored: Scored, texts: list[str], at: int
) -> dict[str, list[Any]] | None:
    """The log-probabilities of some tokens, and of the likeliest ones at each place."""
    if count is None:
        return None

    def name_of(token: int) -> str:
        return token_name(opened.model, token, "bytes:")

    names, own = [*map(name_of, scored.ids.tolist())], [0.0 - nats for nats in rounded(scored.nats, 6)]
    likeliest, theirs = scored.likeliest[:, :count].tolist(), rounded(scored.likeliest_nats[:, :count], 6)
    top: list[dict[str, float] | None] = []
    for name, value, ids, losses in zip(names, own, likeliest, theirs, strict=True):
        others = {name_of(token): 0.0 - nats for token, nats in zip(ids, losses, strict=True)}
        top.append(None if math.isnan(value) else {**others, name: value})
    return {
        "tokens": names,
        "token_logprobs": [None if math.isnan(value) else value for value in own],
        "top_logprobs": top,
        "text_offset": [*accumulate(map(len, texts), initial=at)][:-1],
    }


def _merged(parts: Iterable[_Part]) -> list[_Part]:
    """The whole texts, in order."""
    choices: dict[int, _Part] = {}
    for part in parts:
        whole = choices.setdefault(part.index, _Part(part.index, ""))
        whole.text += part.text
        whole.finish_reason = part.finish_reason
        whole.tokens, whole.nats = whole.tokens + part.tokens, whole.nats + part.nats
        if part.logprobs is not None and whole.logprobs is not None:
            whole.logprobs = {name: whole.logprobs[name] + more for name, more in part.logprobs.items()}
        else:
            whole.logprobs = part.logprobs or whole.logprobs
    return [choices[index] for index in sorted(choices)]


def _best(choices: list[_Part], count: int, prompts: int) -> list[_Part]:
    """Of the texts of each prompt those that lose least a token, numbered anew."""
    rows = max(1, len(choices) // prompts)
    groups = [choices[begin : begin + rows] for begin in range(0, len(choices), rows)]
    if rows > count:
        groups = [sorted(group, key=lambda each: each.nats / max(each.tokens, 1))[:count] for group in groups]
    return [replace(each, index=index) for index, each in enumerate(chain.from_iterable(groups))]


def _usage(read: int, drawn: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}
