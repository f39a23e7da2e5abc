"""What the page asks for: scores, drawn text, the fan of futures, traces, filled blanks, units."""

from __future__ import annotations

import math
import struct
import time
from secrets import randbelow
from typing import Any

import numpy as np

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine
from charlstm.engine.protocol import TextModel
from charlstm.engine.softmax import log_softmax
from charlstm.errors import NotFoundError, UsageError
from charlstm.filling.config import FillConfig
from charlstm.filling.fill import fill as fill_blanks
from charlstm.filling.fill import fit_text
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import CELLS
from charlstm.sampling.config import settings_for
from charlstm.sampling.prompts import banned_ids
from charlstm.schemas import require
from charlstm.web import asks
from charlstm.web.desk import Desk, Opened, blanks_reader, ids_of, no_choice
from charlstm.web.errors import to_json
from charlstm.web.models import Served
from charlstm.web.reading import read_both_ways, rounded, score, texts_of
from charlstm.web.reply import STREAM, event
from charlstm.web.rows import Batch, batches
from charlstm.web.turns import Job, Stopped

_ALL, _MOST_NEXT = 2048, 256
"""A distribution is sent whole up to so many tokens, else its likeliest ones."""
_MOST_TRACED = 2000
_PARTS = {"rnn": ("h",), "gru": ("r", "z", "n", "h")}
_LSTM_PARTS = ("i", "f", "g", "o", "c", "h")
_TINY = 1e-300


def models(desk: Desk) -> dict[str, Any]:
    """The networks that are served."""
    library = desk.library
    return {"v": 1, "default": library.default, "models": [each.describe() for each in library.models.values()]}


def score_text(desk: Desk, job: Job, body: bytes) -> bytes:
    """Score a text token by token, and tell what may come next.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Score`.

    Returns:
        The answer.
    """
    asked = asks.read(asks.Score, body)
    if asked.mix is None and isinstance(engine := desk.library.find(asked.model).engine, BidirectionalEngine):
        ids = ids_of(engine.tokenizer, asked.text)
        scored = read_both_ways(engine, ids, job)
        return to_json({**scored.columns_from(asked.begin, texts_of(engine.tokenizer, ids)), "next": None})
    opened = desk.open(asked, job)
    ids = ids_of(opened.tokenizer, asked.text)
    position, scored = opened.read(ids)
    losses, vocab_size = -log_softmax(position.logits)[0], opened.model.vocab_size
    following: dict[str, Any] = {"entropy": rounded(score(position.logits, [0]).entropy)[0]}
    if vocab_size <= _ALL:
        following["nats"] = rounded(losses)
    else:
        likeliest = np.argsort(losses, kind="stable")[:_MOST_NEXT]
        following["top"] = [*map(list, zip(likeliest.tolist(), rounded(losses[likeliest]), strict=True))]
    return to_json({**scored.columns_from(asked.begin, texts_of(opened.tokenizer, ids)), "next": following})


def generate(desk: Desk, job: Job, body: bytes) -> None:
    """Continue a text, as a stream of events.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Generate`.
    """
    asked = asks.read(asks.Generate, body)
    opened = desk.open(asked, job)
    text, seed = asked.text, randbelow(1 << 32) if asked.seed is None else asked.seed
    ids, record = ids_of(opened.tokenizer, text), opened.network.writing.record
    ends = {"stop": asked.stop, "stop_after": (record,) if record else ()}  # the page shows where a record ends
    settings = {**asked.settings(), "length": asked.length, "seed": seed, **ends}
    config = settings_for(opened.network.writing.replace(record=""), **settings)
    model, kept = _held(opened, asked), desk.rules_of(opened.network, asked, text, job)
    job.tokens = asked.rows * asked.length * kept.particles
    job.media_type, job.pause = STREAM, 1 / (asked.speed * asked.rows) if asked.speed else 0.0
    rows = [_Row(number, len(text)) for number in range(asked.rows)]
    job.send(event({"v": 1, "seed": seed, "from": len(text), "rows": asked.rows}, "start"))
    fragments = opened.draw(ids, config, asked.rows, kept=kept, model=model)
    singly = kept.in_bursts or asked.speed is not None
    try:
        for drawn in batches(opened.tokenizer, fragments, asked.rows, singly=singly):
            job.send(b"".join(rows[batch.row].events(batch) for batch in drawn))
    except Stopped:
        job.send(b"".join(row.end("stopped") for row in rows if not row.ended))


class _Row:
    """One drawn text, as events.

    Args:
        number: of the row.
        at: characters of the text before it.
    """

    def __init__(self, number: int, at: int) -> None:
        self.ended = False
        self._number, self._begin, self._at = number, at, at
        self._tokens, self._nats, self._began = 0, 0.0, time.perf_counter()

    def events(self, batch: Batch) -> bytes:
        """The events of a batch."""
        events = b""
        if batch.tokens:
            scored = batch.scored()
            events = event({"row": self._number, "at": self._at, **scored.columns(batch.texts)}, "text")
            self._at += sum(map(len, batch.texts))
            self._tokens += len(batch.tokens)
            self._nats += float(scored.nats.sum())
        return events + self.end(batch.reason) if batch.reason else events

    def end(self, reason: str) -> bytes:
        """The event of its end."""
        self.ended = True
        characters = self._at - self._begin
        bits = round(self._nats / math.log(2) / characters, 4) if characters else None
        milliseconds = round(1000 * (time.perf_counter() - self._began))
        facts = {"row": self._number, "reason": reason, "tokens": self._tokens, "bits_per_char": bits}
        return event({**facts, "ms": milliseconds}, "end")


def _held(opened: Opened, asked: asks.Generate) -> TextModel | None:
    """The network with a unit held, if that is asked for."""
    hold, engine = asked.hold, opened.network.model
    if hold is None:
        return None
    if not isinstance(engine, Engine):
        raise UsageError("`hold` is of one network, not of a mix")
    shape = engine.architecture
    _check_place(shape, hold.stack, hold.layer)
    states = CELLS[shape.cell].states
    require("hold", hold.part, hold.part in states, f"of a part among {', '.join(states)}")
    require("hold", hold.unit, hold.unit < shape.hidden_size, f"of a unit below {shape.hidden_size}")
    from charlstm.inspect.hold import HeldEngine, Hold
    from charlstm.inspect.units import Unit

    return HeldEngine(engine, [Hold(Unit(hold.stack, hold.layer, hold.part, hold.unit), hold.value)])


def _check_place(shape: Architecture, stack: str, layer: int) -> None:
    require("stack", stack, stack in shape.stacks, f"one of {', '.join(shape.stacks)}")
    require("layer", layer, layer < shape.num_layers, f"below {shape.num_layers}")


def fan_out(desk: Desk, job: Job, body: bytes) -> bytes:
    """The likeliest futures of a text, as a tree.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Fan`.

    Returns:
        The answer.
    """
    from charlstm.sampling.fan import fan

    asked = asks.read(asks.Fan, body)
    opened = desk.open(asked, job)
    position, _ = opened.read(ids_of(opened.tokenizer, asked.text))
    banned = banned_ids(opened.tokenizer)
    nodes = fan(opened.model, position, depth=asked.depth, least=asked.least, most=asked.most, banned=banned)
    return to_json({"nodes": [[node.parent, node.token, round(node.probability, 6)] for node in nodes]})


def trace(desk: Desk, job: Job, body: bytes) -> bytes:
    """What each unit of a layer did at each token of a part of a text, a byte a value.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Trace`.

    Returns:
        The length of a header in four bytes, the header in JSON, and the values, (part, token, unit).
    """
    asked = asks.read(asks.Trace, body)
    served = desk.library.find(asked.model)
    ids, shape = ids_of(served.engine.tokenizer, asked.text), served.checkpoint.architecture
    _check_place(shape, asked.stack, asked.layer)
    require("to", asked.end, asked.begin < asked.end <= len(ids), f"above `from`, and at most {len(ids)}")
    whole = shape.bidirectional  # it is read, and kept, as one window
    longest = len(ids) if whole else asked.end - asked.begin
    require("text" if whole else "to", longest, longest <= _MOST_TRACED, f"of at most {_MOST_TRACED:,} tokens")
    from charlstm.inspect.gates import GATES  # imports torch, so not before it is needed
    from charlstm.inspect.trace import trace_windows

    model, at = served.torch_model, 0
    cut = ids if whole else ids[: asked.end]
    names, gates = _PARTS.get(shape.cell, _LSTM_PARTS), GATES[shape.cell]
    planes: list[list[Any]] = [[] for _ in names]
    job.breathe()
    for traced in trace_windows(model, cut):
        job.breathe()
        window = slice(max(0, asked.begin - at), max(0, asked.end - at))
        at += len(traced.ids)
        for plane, name in zip(planes, names, strict=True):
            values = traced.layers[asked.stack][asked.layer].parts[name][window]
            values = np.tanh(values) if name == "c" else values
            plane.append(np.rint(np.clip(values if name in gates else (values + 1) / 2, 0, 1) * 255).astype(np.uint8))
    scale = [[0, 1] if name in gates else [-1, 1] for name in names]
    tokens = asked.end - asked.begin
    header = to_json({"v": 1, "tokens": tokens, "parts": names, "units": shape.hidden_size, "scale": scale})
    job.media_type = "application/octet-stream"
    return struct.pack("<I", len(header)) + header + b"".join(np.concatenate(plane).tobytes() for plane in planes)


def fill(desk: Desk, job: Job, body: bytes) -> bytes:
    """Fill the blanks of a text.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Fill`.

    Returns:
        The answers, the likeliest first.
    """
    asked = asks.read(asks.Fill, body)
    served = desk.library.find(asked.model)
    tokenizer, record = served.engine.tokenizer, served.checkpoint.writing.record
    with no_choice():
        typed, known, _ = fit_text(tokenizer, asked.text)
    config = FillConfig(asked.count, asked.temperature, asked.candidates, asked.newlines, asked.seed)
    answers = fill_blanks(blanks_reader(served, job), tokenizer, known, config, shown=typed, record=record)
    losses = rounded(-np.log([max(each.probability, _TINY) for each in answers]))
    return to_json({"answers": [
        {"text": each.text, "blanks": each.blanks, "nats": nats} for each, nats in zip(answers, losses, strict=True)
    ]})  # fmt: skip


def units(desk: Desk, job: Job, body: bytes) -> bytes:
    """The units of a network that follow something, the surest first, computed once; or why none could be looked for.

    Args:
        desk: the networks.
        job: the request.
        body: an `asks.Units`.

    Returns:
        The answer.
    """
    served = desk.library.find(asks.read(asks.Units, body).model)
    with job.holding(served.lock):
        if served.id not in desk.units:
            try:
                desk.units[served.id] = to_json({"units": _find_units(served)})
            except NotFoundError as fault:  # the training text, which may come back
                return to_json({"units": [], "why": str(fault)})
    return desk.units[served.id]


def _find_units(served: Served) -> list[dict[str, Any]]:
    from charlstm.inspect.named_units import named_units
    from charlstm.inspect.subject import Subject

    tokenizer = served.engine.tokenizer
    return named_units(Subject(served.id, served.torch_model, tokenizer, ids_of(tokenizer, served.own_text())))
