"""Changes to files such as damage or malice make: of bytes, of JSON, of the parts of a checkpoint, of protocol buffers.

All are drawn from a `random.Random`, so that the same seed makes the same file.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import random
import sqlite3
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

DIGITS = b"0" * 64
DIGEST_KEY = b'"sha256":"'

TEXTS = (
    "",
    "\0",
    "\x1b[2J\x1b]0;title\x07",
    "a\rb\nc",
    "\x9b31m",
    "\u202eevil",
    "\ud800",
    "\udcff",
    "\u2028",
    "💥",
    "../../x",
    "/etc/passwd",
    "nan",
    "`lr=1`",
    "--force",
    "%s{0}$HOME",
    "é" * 50,
    "x" * 5000,
    "\x1b" * 300,
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    255,
    256,
    4097,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64,
    2**70,
    -(2**63),
    10**400,
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    -1.0,
    1e-320,
    1e38,
    1e300,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
)
FLOATS = (float("nan"), float("inf"), float("-inf"), 3e38, -3e38, 1e30, 1e-45, 0.0, -0.0, 1.0, -1e9)
_TWICE = "\0twice"
"""Behind a name in a dictionary: the name stands there a second time."""


def hostile_value(chance: random.Random) -> Any:
    """A value that nobody expects."""
    return chance.choice((
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice(TEXTS),
        lambda: chance.choice((True, False, None)),
        lambda: chance.choice(([], {}, [[]], [None], {"": None}, {"a": {"b": []}}, [0] * 3, ["a", 1])),
        lambda: nested(chance.choice((5, 99, 3000, 100_000)), chance.random() < 0.5),
        lambda: [chance.choice(NUMBERS) for _ in range(chance.randint(0, 5))],
    ))()  # fmt: skip


class Raw:
    """A piece of JSON text as it stands."""

    def __init__(self, text: str) -> None:
        self.text = text


def nested(depth: int, lists: bool) -> Raw:
    """Lists in lists, or tables in tables."""
    return Raw("[" * depth + "]" * depth if lists else '{"a":' * depth + "1" + "}" * depth)


def dumps(value: Any, **options: Any) -> str:
    """JSON of a value, in which names may stand twice and pieces are raw."""
    raw: list[str] = []

    def plain(piece: Raw) -> str:
        raw.append(piece.text)
        return f"\0raw{len(raw) - 1}\0"

    text = json.dumps(value, default=plain, **options).replace(json.dumps(_TWICE)[1:-1], "")
    for number, piece in enumerate(raw):
        text = text.replace(json.dumps(f"\0raw{number}\0"), piece)
    return text


def changed(chance: random.Random, value: Any) -> Any:
    """A copy of plain values with one change, somewhere: types, depths, names, numbers."""
    root = [copy.deepcopy(value)]
    holder: Any = root
    key: Any = 0
    while isinstance(holder[key], (dict, list)) and holder[key] and chance.random() < 0.8:
        holder = holder[key]
        key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    _change_at(chance, holder, key)
    return root[0]


def _change_at(chance: random.Random, holder: Any, key: Any) -> None:
    inner = holder[key]
    choice = chance.randrange(8)
    if choice == 0 and isinstance(holder, dict):
        del holder[key]
    elif choice == 1 and isinstance(holder, dict):
        name = chance.choice((chance.choice(TEXTS), str(key) + "x", str(key).upper(), str(key)[1:]))
        holder[name] = holder.pop(key)
    elif choice == 2 and isinstance(holder, dict):
        holder[f"{key}{_TWICE}"] = chance.choice((inner, hostile_value(chance)))
    elif choice == 3 and isinstance(inner, dict):
        inner[chance.choice(TEXTS)] = hostile_value(chance)
    elif choice == 4 and isinstance(inner, list) and inner:
        inner.extend(inner[: chance.randint(1, len(inner))])
    elif choice == 5 and isinstance(inner, str):
        holder[key] = text_changed(chance, inner)
    elif choice == 6 and isinstance(inner, (int, float)) and not isinstance(inner, bool):
        holder[key] = chance.choice((inner + 1, inner - 1, -inner, inner * 2, float(inner), bool(inner), str(inner)))
    else:
        holder[key] = hostile_value(chance)


def text_changed(chance: random.Random, text: str) -> str:
    """A text with something put in, taken out or said again."""
    place, length = chance.randint(0, len(text)), chance.randint(0, 8)
    what = chance.choice((chance.choice(TEXTS), "", text[place : place + length] * 2, text))
    return text[:place] + what + text[place + length :]


def bytes_changed(chance: random.Random, data: bytes) -> bytes:
    """Bytes with flips, a cut, an insertion or a repeat."""
    changed = bytearray(data)
    place = chance.randint(0, len(data))
    length = min(len(data) - place, chance.choice((1, 2, 4, 8, 64, 1000)))
    choice = chance.randrange(6)
    if choice == 0:
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            if changed:
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif choice == 1:
        del changed[place:]
    elif choice == 2:
        del changed[place : place + length]
    elif choice == 3:
        new = (chance.randbytes(8), b"\0" * 16, b"\xff" * 8, b"\n", b'"', b"\x1b[31m", b"\xed\xa0\x80", b"[" * 20_000)
        changed[place:place] = chance.choice(new)
    elif choice == 4:
        changed[place:place] = data[place : place + length] * chance.choice((1, 2, 100))
    else:
        changed[place : place + length] = chance.choice((b"\0", b"\xff", b"9", b"-", b"\x7f")) * length
    return bytes(changed)


class Parts:
    """A checkpoint taken apart: its sections as plain values, its tensors as bytes; `file` puts it together.

    Args:
        data: the file.
    """

    def __init__(self, data: bytes) -> None:
        start = 8 + int.from_bytes(data[:8], "little")
        self.entries: dict[str, Any] = json.loads(data[8:start])
        self.metadata: dict[str, Any] = self.entries.pop("__metadata__")
        self.sections = {
            name: json.loads(self.metadata[name])
            for name in ("config", "tokenizer", "provenance", "writing")
            if name in self.metadata
        }
        self.data = data[start:]

    def tensor(self, name: str) -> bytes:
        """The bytes of a tensor."""
        begin, end = self.entries[name]["data_offsets"]
        return self.data[begin:end]

    def replace_tensor(self, name: str, content: bytes, shape: list[int] | None = None) -> None:
        """Give a tensor other bytes, also more or fewer of them."""
        begin, end = self.entries[name]["data_offsets"]
        self.data = self.data[:begin] + content + self.data[end:]
        shift = len(content) - (end - begin)
        for entry in self.entries.values():
            entry["data_offsets"] = [place + shift * (place >= end) for place in entry["data_offsets"]]
        self.entries[name]["data_offsets"] = [begin, begin + len(content)]
        if shape is not None:
            self.entries[name]["shape"] = shape

    def file(self, sign: bool = True) -> bytes:
        """The file; with the right digest, unless the one it had is to stay."""
        metadata: Any = dict(self.metadata) if isinstance(self.metadata, dict) else self.metadata
        if isinstance(metadata, dict):
            for name, section in self.sections.items():
                if isinstance(metadata.get(name), str):
                    metadata[name] = dumps(section)
            if sign and isinstance(metadata.get("sha256"), str):
                metadata["sha256"] = DIGITS.decode()
        whole = {"__metadata__": metadata, **self.entries} if isinstance(self.entries, dict) else self.entries
        text = dumps(whole, separators=(",", ":"))
        header = text.encode("utf-8", "surrogatepass")
        header += b" " * (-len(header) % 8)
        data = len(header).to_bytes(8, "little") + header + self.data
        return resigned(data) if sign else data


def resigned(data: bytes) -> bytes:
    """A file with the digest that fits its bytes, where it has a place for one."""
    start = 8 + int.from_bytes(data[:8], "little")
    place = data.find(DIGEST_KEY, 8, start)
    if place < 0:
        return data
    place += len(DIGEST_KEY)
    blank = data[:place] + DIGITS + data[place + 64 :]
    return blank[:place] + hashlib.sha256(blank).hexdigest().encode() + blank[place + 64 :]


def checkpoint_changed(chance: random.Random, data: bytes) -> bytes:
    """A checkpoint with one to three changes of any kind; mostly with the right digest."""
    sign = chance.random() < 0.8
    if chance.random() < 0.15:
        damaged = bytes_changed(chance, data)
        return resigned(damaged) if sign else damaged
    parts = Parts(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        try:
            chance.choice(_CHANGES)(chance, parts)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            break  # what an earlier change left cannot be changed again
    return parts.file(sign)


def _change_section(chance: random.Random, parts: Parts) -> None:
    name = chance.choice([*parts.sections, "config", "config"])
    parts.sections[name] = changed(chance, parts.sections[name])


def _change_entries(chance: random.Random, parts: Parts) -> None:
    parts.entries = changed(chance, parts.entries)


def _change_entry(chance: random.Random, parts: Parts) -> None:
    entry = parts.entries[chance.choice(list(parts.entries))]
    what = chance.choice(("dtype", "shape", "data_offsets"))
    if what == "dtype":
        entry[what] = chance.choice(("F16", "BF16", "F64", "I8", "U8", "BOOL", "F8_E4M3", "C64", "I64", "f32", "F4"))
    elif what == "shape":
        entry[what] = chance.choice((
            entry[what][::-1], [1, *entry[what]], entry[what][1:], [2**62, 4], [0, *entry[what]], [2**40] * 5, [-1],
        ))  # fmt: skip
    else:
        entry[what] = chance.choice(([0, 0], [0, 2**63], entry[what][::-1], [0, len(parts.data)], [2**64, 2**65]))


def _change_metadata(chance: random.Random, parts: Parts) -> None:
    name = chance.choice(list(parts.metadata))
    if name in parts.sections and chance.random() < 0.5:
        del parts.sections[name]
        parts.metadata[name] = text_changed(chance, parts.metadata[name])
    else:
        parts.metadata = changed(chance, parts.metadata)


def _change_values(chance: random.Random, parts: Parts) -> None:
    import numpy as np

    types = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "i1", "U16": "<u2", "U8": "u1", "I64": "<i8", "U32": "<u4"}
    name = chance.choice(list(parts.entries))
    values = np.frombuffer(parts.tensor(name), types.get(parts.entries[name]["dtype"], "u1")).copy()
    if not len(values):
        return
    places = slice(None) if chance.random() < 0.2 else [chance.randrange(len(values)) for _ in range(3)]
    with np.errstate(all="ignore"):
        if values.dtype.kind == "f":
            values[places] = np.float64(chance.choice(FLOATS)).astype(values.dtype)
        else:
            values[places] = np.frombuffer(chance.randbytes(values.itemsize), values.dtype)[0]
    parts.replace_tensor(name, values.tobytes())


def _resize(chance: random.Random, parts: Parts) -> None:
    name = chance.choice(list(parts.entries))
    rows = chance.choice((0, 1, 2, 3, 1000))
    shape, content = parts.entries[name]["shape"], parts.tensor(name)
    row = content[: len(content) // max(1, shape[0])]
    parts.replace_tensor(name, row * rows, [rows, *shape[1:]])


def _remove_or_add(chance: random.Random, parts: Parts) -> None:
    name = chance.choice(list(parts.entries))
    content, shape, dtype = parts.tensor(name), parts.entries[name]["shape"], parts.entries[name]["dtype"]
    if chance.random() < 0.5:
        parts.replace_tensor(name, b"")
        del parts.entries[name]
        return
    other = chance.choice((name + ".scale", "words", "records", "layers.9.bias", chance.choice(TEXTS)))
    size = len(parts.data)
    parts.data += content
    parts.entries[other] = {"dtype": dtype, "shape": shape, "data_offsets": [size, size + len(content)]}


def _pack_words(chance: random.Random, parts: Parts) -> None:
    """A list of words that is small and becomes large, or holds what is no word."""
    packed = _packed_words()[chance.randrange(len(_packed_words()))]
    packed = chance.choice((packed, packed[:-3], packed + b"more", packed[:5] + b"\0" + packed[6:]))
    if "words" not in parts.entries:
        size = len(parts.data)
        parts.entries["words"] = {"dtype": "U8", "shape": [0], "data_offsets": [size, size]}
    parts.replace_tensor("words", packed, [len(packed)])


@cache
def _packed_words() -> list[bytes]:
    texts = (
        b"\n" * (1 << 24), b"a\n" * (1 << 23), b"b\na", b"a\na\na", b"\x1b[2J\na", b"\xff\xfe", b"x" * (1 << 25), b"",
        b"\n".join(b"%05x" % number for number in range(1 << 20)),
    )  # fmt: skip
    return [zlib.compress(text, 1) for text in texts]


def _change_sizes(chance: random.Random, parts: Parts) -> None:
    """Other sizes of a network in the settings."""
    model = parts.sections["config"]["model"]
    name = chance.choice(list(model))
    model[name] = chance.choice((0, 1, 2, 3, 16, 256, 4096, 65536, 1 << 21, 1 << 31, True, 1.0, [3], [3, 16]))


def _change_data(chance: random.Random, parts: Parts) -> None:
    """Other numbers in the settings of batches and of training."""
    section = parts.sections["config"][chance.choice(("data", "train"))]
    numbers = [name for name, value in section.items() if isinstance(value, (int, float, type(None)))]
    section[chance.choice(numbers)] = chance.choice(
        (1, 2, 3, 1000, 1 << 20, 1 << 31, 1e-9, 1e-38, 1e38, 0.999999, None)
    )


def _change_sentencepiece(chance: random.Random, parts: Parts) -> None:
    tokenizer = parts.sections["tokenizer"]
    if tokenizer.get("kind") == "sentencepiece":
        model = base64.b64decode(tokenizer["model"])
        tokenizer["model"] = base64.b64encode(message_changed(chance, model)).decode()


_CHANGES: tuple[Callable[[random.Random, Parts], None], ...] = (
    _change_section,
    _change_section,
    _change_section,
    _change_entries,
    _change_entry,
    _change_metadata,
    _change_values,
    _change_values,
    _resize,
    _remove_or_add,
    _change_sizes,
    _change_data,
    _change_sentencepiece,
    lambda chance, parts: _pack_words(chance, parts) if chance.random() < 0.1 else _change_values(chance, parts),
)


def sentencepiece_changed(chance: random.Random, data: bytes) -> bytes:
    """A checkpoint whose digest is right and whose SentencePiece model is not."""
    parts = Parts(data)
    for _ in range(chance.choice((1, 1, 2))):
        _change_sentencepiece(chance, parts)
    return parts.file()


Fields = list[tuple[int, int, Any]]
"""Of a message: number, wire type, and the number or the bytes."""


def message_changed(chance: random.Random, data: bytes) -> bytes:
    """A protocol buffer with one field changed, dropped, repeated or moved, at any depth; or with damaged bytes."""
    if chance.random() < 0.25:
        return bytes_changed(chance, data)
    try:
        fields = parse(data)
    except (IndexError, ValueError):
        return bytes_changed(chance, data)
    if not fields:
        return bytes_changed(chance, data)
    # Of the many pieces only as many are looked at as of all the rest.
    rare = [place for place, field in enumerate(fields) if field[0] != 1] or list(range(len(fields)))
    place = chance.choice(rare) if chance.random() < 0.5 else chance.randrange(len(fields))
    choice = chance.randrange(8)
    if choice == 0:
        del fields[place]
    elif choice == 1:
        fields[place:place] = [fields[place]] * chance.choice((1, 2, 300))
    elif choice == 2:
        other = chance.randrange(len(fields))
        fields[place], fields[other] = fields[other], fields[place]
    else:
        fields[place] = _field_changed(chance, *fields[place])
    return build(fields)


def _field_changed(chance: random.Random, number: int, wire: int, value: Any) -> tuple[int, int, Any]:
    if chance.random() < 0.2:
        return chance.choice((1, 2, 3, 4, 5, 10, 36, 40, 41, 1000)), wire, value
    if wire == 0:
        return number, wire, chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 2**31 - 1, 2**32, 2**63, 2**64 - 1))
    if wire == 5:
        return number, wire, struct.pack("<f", chance.choice(FLOATS))
    if wire == 2 and value and chance.random() < 0.75:
        return number, wire, message_changed(chance, value)
    new = (b"", b"\0", b"\xff" * 9, b"<0x41>", b"<0xZZ>", "\u2581".encode(), b"\n", b"a" * 70_000, b"\x1b[31m")
    return number, wire, chance.choice((*new, value * 2)) if wire == 2 else value


def parse(data: bytes) -> Fields:
    """The fields of a message."""
    fields, place = [], 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        value: Any
        if wire == 0:
            value, place = _varint(data, place)
        else:
            length, place = _varint(data, place) if wire == 2 else ({1: 8, 5: 4}[wire] if wire in (1, 5) else -1, place)
            if length < 0 or place + length > len(data):
                raise ValueError("no message")
            value, place = data[place : place + length], place + length
        fields.append((tag >> 3, wire, value))
    return fields


def build(fields: Fields) -> bytes:
    """The message of fields."""
    data = bytearray()
    for number, wire, value in fields:
        data += _as_varint(number << 3 | wire)
        if wire == 0:
            data += _as_varint(value)
        else:
            data += (_as_varint(len(value)) if wire == 2 else b"") + value
    return bytes(data)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _as_varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)


TOML_VALUES = (
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1",
    "0",
    "1.0",
    "16.0",
    "true",
    "false",
    '""',
    '"1"',
    "[]",
    "[[]]",
    "[1, true]",
    "[1.0]",
    "{}",
    "{a = 1}",
    "1979-05-27",
    "07:32:00",
    "9" * 5000,
    "9" * 19,
    "0x" + "f" * 300,
    "1_0",
    "[" * 500 + "]" * 500,
    '"\\u001b[31m\\u202e"',
    '"a\\nb\\u0000"',
    "'`seed=1`'",
    '"' + "x" * 3000 + '"',
    "{a.b.c.d = 1}",
)
TOML_NAMES = ('"\\u001b[31m"', "seeds", "a.b", '""', "'`lr`'", '"\\u202e"', "x" * 900, "a." * 120 + "a", "vocab_size")


def toml_changed(chance: random.Random, text: str) -> str:
    """Settings with other values, names and sections."""
    lines = text.split("\n")
    for _ in range(chance.choice((1, 1, 2))):
        place = chance.randrange(len(lines))
        name, equals, value = lines[place].partition(" = ")
        choice = chance.randrange(6)
        if choice == 0:
            lines[place:place] = [lines[place]]
        elif choice == 1:
            lines[place] = chance.choice(("[model]", "[[model]]", "[a]", "[model.a]", f"[{chance.choice(TOML_NAMES)}]"))
        elif choice == 2 and equals:
            lines[place] = f"{chance.choice(TOML_NAMES)} = {value}"
        elif choice == 3:
            lines[place] = text_changed(chance, lines[place])
        elif equals:
            lines[place] = f"{name} = {chance.choice(TOML_VALUES)}"
    return "\n".join(lines)


def json_text_changed(chance: random.Random, data: bytes) -> bytes:
    """JSON, or lines of it, with a change of values, names or depths."""
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    try:
        value = changed(chance, json.loads(lines[place]))
    except (ValueError, RecursionError):
        return bytes_changed(chance, data)
    lines[place] = dumps(value, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")
    return b"\n".join(lines)


def lines_changed(chance: random.Random, data: bytes) -> bytes:
    """Lines of JSON: some changed, moved or said again."""
    for _ in range(chance.choice((1, 2, 4, 12))):
        lines = data.split(b"\n")
        place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        choice = chance.randrange(5)
        if choice == 0:
            lines[place], lines[other] = lines[other], lines[place]
        elif choice == 1:
            lines[place:place] = [lines[other]] * chance.choice((1, 3, 50))
        elif choice == 2:
            del lines[place]
        data = b"\n".join(lines)
        data = json_text_changed(chance, data) if choice > 2 else data
    return data


def cells_changed(chance: random.Random, data: bytes, delimiter: bytes) -> bytes:
    """A table with other cells."""
    lines = data.split(b"\n")
    for _ in range(chance.choice((1, 1, 3))):
        place = chance.randrange(len(lines)) if chance.random() < 0.8 else 0
        cells = lines[place].split(delimiter)
        column = chance.randrange(len(cells))
        number, text = str(chance.choice(NUMBERS)), chance.choice(TEXTS)
        new = (
            number,
            text,
            '"',
            '"' + "x" * 200_000,
            "../../../etc/x.md",
            "/abs/x.md",
            "a/../../b.md",
            "9" * 5000,
            "²",
        )
        choice = chance.randrange(5)
        if choice == 0:
            del cells[column]
        elif choice == 1:
            cells[column:column] = cells[column : column + 1]
        else:
            cells[column] = chance.choice(new).encode("utf-8", "surrogatepass")
        lines[place] = delimiter.join(cells)
    return b"\n".join(lines)


def npy_changed(chance: random.Random, data: bytes) -> bytes:
    """A file of the cache of encoded texts, mostly with the right digest behind it."""
    content = data[:-32]
    choice = chance.randrange(6)
    length = len(content) - 128
    if choice == 0:
        content = bytes_changed(chance, content)
    elif choice < 4:
        descr = chance.choice((
            "'|u1'", "'<u2'", "'>u4'", "'<f8'", "'|O'", "'|V1'", "'|S1'", "'<U1'", "'|b1'", "'<c16'", "'<M8[s]'",
            "[('a', '|u1')]", "('|u1', (2,))", "'|u1, |u1'", "1", "None", "'|u0'", "'|i1'", "('O', {})", "'junk'",
        ))  # fmt: skip
        shape = chance.choice((
            f"({length},)", f"({length // 2},)", "()", f"({length},1)", f"(1,{length})", "(-1,)", "(2**60,)",
            f"({2**60},)", f"({2**63},)", f"({2**64}, {2**64})", "(0,)", f"({length},0)", "(1.5,)", "[1]", "(True,)",
            "(" * 90 + ")" * 90, "('a',)", f"({length + 1},)", "9" * 5000,
        ))  # fmt: skip
        fortran = chance.choice(("False", "True", "0", "None"))
        header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
        if chance.random() < 0.2:
            header = bytes_changed(chance, header)
        if chance.random() < 0.3:
            header = header.ljust(117) + b"\n"
        version = chance.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x01\x00", b"\x09\x00"))
        size = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little", signed=False)
        content = b"\x93NUMPY" + version + size + header + content[128:]
    else:
        ids = bytearray(content)
        for _ in range(chance.choice((1, 9))):
            ids[chance.randrange(128, len(ids))] = chance.choice((0, 1, 20, 127, 200, 255))
        content = bytes(ids)
    if chance.random() < 0.1:
        return content + data[-32:]
    return content + hashlib.sha256(content).digest()


def tokenizer_cache_changed(chance: random.Random, data: bytes) -> bytes:
    """A stored tokenizer, mostly with the right digest behind it."""
    state, _, digest = data.partition(b"\n")
    choice = chance.randrange(4)
    if choice == 0:
        state = bytes_changed(chance, state)
    elif choice == 1:
        state = json_text_changed(chance, state)
    else:
        values = json.loads(state)
        values["model"] = base64.b64encode(message_changed(chance, base64.b64decode(values["model"]))).decode()
        state = json.dumps(values).encode()
    return state + b"\n" + (digest if chance.random() < 0.1 else hashlib.sha256(state).hexdigest().encode())


def xz_with_dictionary(data: bytes, size: int) -> bytes:
    """A file of xz whose header asks for another size of the dictionary: 40 is 4 GiB."""
    header = bytearray(data[12 : 12 + (data[12] + 1) * 4])
    header[4] = size
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")
    return data[:12] + bytes(header) + data[12 + len(header) :]


def sqlite_changed(chance: random.Random, data: bytes, path: Path) -> bytes:
    """A database with a damaged page, or with other values in it.

    Args:
        chance: what is drawn from.
        data: the file.
        path: a place where it can be changed.
    """
    if chance.random() < 0.4:
        return bytes_changed(chance, data)
    path.write_bytes(data)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(chance.choice((1, 1, 2, 3))):
            table = chance.choice([*tables, "trials", "trial_user_attributes", "study_user_attributes", "trial_params"])
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
            if not columns:
                continue
            column = chance.choice(columns)
            with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeError):
                _change_table(chance, database, table, column)
        database.commit()
    return path.read_bytes()


def _change_table(chance: random.Random, database: sqlite3.Connection, table: str, column: str) -> None:
    rows = [row for (row,) in database.execute(f'SELECT rowid FROM "{table}"')]
    row = chance.choice(rows) if rows else 0
    choice = chance.randrange(8)
    if choice == 0:
        database.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (row,))
    elif choice == 1:
        database.execute(f'DROP TABLE "{table}"')
    elif choice == 2:
        database.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
    elif choice == 3:
        (old,) = database.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (row,)).fetchone() or (None,)
        new = old
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            new = dumps(changed(chance, json.loads(old)))
        database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (new, row))
    else:
        text = chance.choice((*TEXTS, "[" * 5000, '{"a":' * 3000, "NaN", "1e999"))
        new = chance.choice((chance.choice(NUMBERS), text, None, chance.randbytes(9), b"", 1e308, -5))
        database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (new, row))
