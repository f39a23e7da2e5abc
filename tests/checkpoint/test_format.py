"""What goes in comes out, and whatever is not as it was written is found and told in one line."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save

from charlstm.checkpoint import container
from charlstm.checkpoint.format import Checkpoint, check_model, convert, read, read_header, verify, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import RunConfig, TrainConfig
from charlstm.errors import CharlstmError, CorruptError, IncompatibleError, NotFoundError, UsageError
from charlstm.tokenizers import CharTokenizer
from tests.checkpoint_samples import file_of, metadata, model, signed
from tests.networks import architecture

text = st.text(st.characters(), max_size=8)  # every code point, half a surrogate pair too
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
settings = st.dictionaries(text, plain, max_size=4)
dtypes = st.sampled_from([np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.uint64, np.bool_])
tensors = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
        lambda name: name != "__metadata__"
    ),
    dtypes.flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=4,
)
runs = st.builds(
    lambda name, vocab, dropout, lr: RunConfig(
        name=name, model=architecture(vocab_size=vocab, dropout=dropout), train=TrainConfig(lr=lr)
    ),
    text,
    st.integers(1, 1 << 21),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1e6, exclude_min=True),
)
provenances = st.builds(
    Provenance, note=text, command=text, step=st.none() | st.integers(0, 2**62), val_loss=st.none() | st.floats(0, 99)
)
checkpoints = st.builds(
    Checkpoint, st.sampled_from(["model", "resume"]), tensors, runs, settings, provenances, settings
)


def failure(path: Path, kind: str | None = None) -> str:
    """The one line that reading this file ends with."""
    with pytest.raises(CharlstmError) as caught:
        read(path, kind)
    assert caught.value.exit_code in {3, 4}
    line = str(caught.value)
    assert str(path) in line
    assert "\n" not in line
    return line


def same(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


@given(checkpoint=checkpoints)
def test_load_after_save_is_identity(tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoint) -> None:
    path = tmp_path_factory.getbasetemp() / "identity.safetensors"
    sha256 = write(path, checkpoint)
    found = read(path, kind=checkpoint.kind)
    assert replace(found, tensors={}) == replace(checkpoint, tensors={}, sha256=sha256)
    assert found.tensors.keys() == checkpoint.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        assert same(found.tensors[name], tensor)
        assert found.tensors[name].flags.writeable  # torch.from_numpy warns of any other
    header = read_header(path)
    assert (header.run, header.provenance, header.sha256) == (found.run, found.provenance, sha256)
    assert header.parameters == sum(tensor.size for tensor in checkpoint.tensors.values())
    # The safetensors library, to which our header is anybody's, reads the same.
    for name, tensor in load_file(path).items():
        assert same(tensor, checkpoint.tensors[name])


def test_any_order_in_memory_gives_the_same_values(tmp_path: Path) -> None:
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    odd = {"turned": plain.T.copy().T, "strided": np.repeat(plain, 2, 1)[:, ::2], "big": plain.astype(">f4")}
    write(tmp_path / "odd", replace(model(), tensors=odd))
    for tensor in load_file(tmp_path / "odd").values():
        assert same(tensor, plain)


def test_the_same_checkpoint_is_the_same_file(tmp_path: Path) -> None:
    checkpoint = model()
    turned = replace(checkpoint, tensors=dict(reversed(checkpoint.tensors.items())))
    assert write(tmp_path / "one", checkpoint) == write(tmp_path / "two", turned)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_file_is_what_the_description_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sha256 = write(path, replace(model(), tensors={"b": np.ones(3, np.uint8), "a": np.ones((2, 2), np.float32)}))
    data = path.read_bytes()
    assert hashlib.sha256(data.replace(sha256.encode(), b"0" * 64)).hexdigest() == sha256
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0  # so that the widest types come to lie on their own multiples
    assert header["a"] == {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    assert header["b"] == {"dtype": "U8", "shape": [3], "data_offsets": [16, 19]}
    assert {name: header["__metadata__"][name] for name in ("format", "version", "kind")} == {
        "format": "charlstm",
        "version": "2",
        "kind": "model",
    }
    with safetensors.safe_open(path, framework="numpy") as other:
        assert other.metadata() == header["__metadata__"]


def test_a_digest_in_the_text_is_not_taken_for_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    trap = {'"sha256":"' + "0" * 64 + '"': '"sha256":"' + "0" * 64, "sha256": "0" * 64}
    write(path, replace(model(), cursor=trap, tokenizer=trap))
    assert (read(path).cursor, read(path).tokenizer) == (trap, trap)


def test_what_json_cannot_hold_is_never_half_written(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            write(tmp_path / "file", model(val_loss=value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.slow)], ids=["one of each byte", "all"])
def test_every_flipped_bit_is_found(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "file"
    write(path, model(hidden=1))
    whole = path.read_bytes()
    tried = 0
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(whole):
            for bit in range(place, place + bits):
                file.seek(place)
                file.write(bytes((byte ^ 1 << bit % 8,)))
                with pytest.raises(CharlstmError):
                    read(path)
                with contextlib.suppress(CharlstmError):  # no digest is computed here, but no other error may come out
                    read_header(path)
                tried += 1
            file.seek(place)
            file.write(bytes((byte,)))
    assert tried == bits * len(whole)
    assert read(path).sha256  # and put back as it was, it reads again


def test_every_length_of_a_cut_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path, model())
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        line = failure(path)
        assert "empty" in line if not length else "cut short" in line
        with pytest.raises(CorruptError):
            read_header(path)  # a list need not compute a digest to see it


def test_a_file_that_is_too_long_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path, model())
    with path.open("ab") as file:
        file.write(b"\0")
    assert "changed" in failure(path)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weights": [1.0]}, protocol=2))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("new.pt", zipped()),
        ("old.pth", pickle.dumps([1, 2, 3], protocol=2)),
        ("renamed.safetensors", zipped()),
        ("renamed-too.safetensors", pickle.dumps([1], protocol=4)),
        ("lm_lstm_epoch50.t7", b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\r\0\0\0nn.Sequential"),
    ],
)
def test_pickles_of_other_programs(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    line = failure(tmp_path / name)
    assert "a pickle of another program; charlstm reads only model.safetensors, and never runs code from a file" in line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"Once upon a time there was a text.", "not a charlstm checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not a charlstm checkpoint"),
        (bytes(8), "cut short"),
        ((2**63).to_bytes(8, "little") + b"{", "cut short"),
        ((2**64 - 1).to_bytes(8, "little") + b"{" + bytes(99), "cut short"),
        (bytes(8) + b"{", "header cannot be read"),
        (file_of(b'{"\xff\xfe": 1}'), "header cannot be read"),
        (file_of(b"{" + b'"a":{' * 100_000), "header cannot be read"),
        (file_of(b"{} trailing"), "header cannot be read"),
        (file_of({"__metadata__": [1]}), "header cannot be read"),
        (file_of({"__metadata__": {"format": 1}}), "header cannot be read"),
        (file_of({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)), "header cannot be read"),
        (
            file_of({"w": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 4]}}, bytes(4)),
            "header cannot be read",
        ),
        (file_of({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, bytes(4)), "header cannot be read"),
        (file_of({}), "a safetensors file, but not one of charlstm's"),
        (save({"w": np.ones(3, np.float32)}, {"format": "pt"}), "a safetensors file, but not one of charlstm's"),
        (
            file_of({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
            "a safetensors file, but not one of charlstm's",
        ),
        (signed({"__metadata__": metadata(version="")}), "no format version"),
        (signed({"__metadata__": metadata(version="0")}), "no format version"),
        (signed({"__metadata__": metadata(version="²")}), "no format version"),
        (signed({"__metadata__": metadata(version="9" * 9999)}), "no format version"),
        (signed({"__metadata__": metadata(kind="poem")}), "header cannot be read"),
        (signed({"__metadata__": metadata(config="[]")}), "header cannot be read"),
        (signed({"__metadata__": metadata(config="{")}), "header cannot be read"),
        (signed({"__metadata__": metadata(provenance="[" * 100_000)}), "header cannot be read"),
        (signed({"__metadata__": {"format": "charlstm", "version": "1"}}), "header cannot be read"),
        (file_of({"__metadata__": metadata(sha256="")}), "its SHA-256 does not fit"),
        (
            signed({"__metadata__": metadata(), "w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}, bytes(4)),
            "its tensors cannot be read",
        ),
        (
            signed(
                {"__metadata__": metadata(), "w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)
            ),
            "its tensors cannot be read",
        ),
        (
            signed({"__metadata__": metadata(), "w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8)),
            "its tensors cannot be read",
        ),
    ],
)
def test_foreign_and_broken_files(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    assert words in failure(path)


@pytest.mark.parametrize(
    ("header", "hint"),
    [({}, "Only networks that charlstm has trained"), (metadata(format="x"), "Its header was changed.")],
)
def test_another_programs_file_and_a_changed_header_are_told_apart(
    tmp_path: Path, header: dict[str, str], hint: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(signed({"__metadata__": header}))
    with pytest.raises(CorruptError) as fault:
        read(path)
    assert fault.value.hint.startswith(hint)


def test_a_hand_made_file_reads(tmp_path: Path) -> None:
    # The writer of the tests above does make readable files: it is the faults that are refused.
    path = tmp_path / "model.safetensors"
    path.write_bytes(
        signed({"__metadata__": metadata(), "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0\0\x80?")
    )
    assert read(path).tensors == {"w": np.float32([1])}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "U8", "BF16", "?"]) | json_values,
        "shape": st.lists(st.integers(-1, 2**70), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(-9, 40), min_size=2, max_size=2) | json_values,
    }
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "__metadata__": st.builds(
            lambda changes: metadata(**changes),
            st.dictionaries(st.sampled_from(sorted(metadata())), json_values | st.just("{}"), max_size=2),
        )
        | json_values,
        "w": entries | json_values,
        "v": entries,
    },
)


@given(header=headers, data=st.binary(max_size=40))
def test_a_forged_header_with_a_valid_digest_raises_only_our_errors(
    tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any], data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "lying.safetensors"
    path.write_bytes(signed(header, data))
    for check in (read, read_header, verify):
        with contextlib.suppress(CharlstmError):
            check(path)


@given(
    header=st.binary(max_size=60), length=st.integers(0, 2**64 - 1) | st.integers(0, 80), data=st.binary(max_size=20)
)
def test_noise_raises_only_our_errors(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, length: int, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header + data)
    failure(path)


def test_a_newer_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(signed({"__metadata__": metadata(version="3", sections="something new")}))
    line = failure(path)
    assert "newer charlstm (format 3; this one reads 2)" in line
    assert "Upgrade charlstm" in line
    with pytest.raises(IncompatibleError):
        read_header(path)


@pytest.mark.parametrize(
    ("provenance", "writer"),
    [
        ('{"charlstm": "0.9.1"}', "written by charlstm 0.9.1 (format 3"),
        ('{"charlstm": "9\\u001b[31m"}', "written by a newer charlstm (format 3"),
        ('{"charlstm": 7}', "written by a newer charlstm (format 3"),
        ("[" * 100_000, "written by a newer charlstm (format 3"),
    ],
)
def test_a_newer_file_says_which_version_wrote_it(tmp_path: Path, provenance: str, writer: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(signed({"__metadata__": metadata(version="3", provenance=provenance)}))
    assert writer in failure(path)


def test_the_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    write(path, replace(model(), kind="resume"))
    assert read(path, kind="resume").kind == "resume"
    with pytest.raises(IncompatibleError, match=r"a resume file, where a model file is needed.*model\.safetensors"):
        read(path, kind="model")


def test_paths_that_are_not_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read(tmp_path / "none")
    with pytest.raises(NotFoundError, match="no such file"):
        read(Path(f"{tmp_path}/zero\0byte"))
    with pytest.raises(NotFoundError, match="a folder"):
        read(tmp_path)
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(NotFoundError):
        read(tmp_path / "plain" / "below")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert "not a plain file" in failure(path)


@given(
    vocab=st.integers(1, 9),
    embedding=st.integers(1, 5),
    hidden=st.integers(1, 5),
    layers=st.integers(1, 4),
    skip=st.booleans(),
)
def test_shapes_are_those_of_torch(vocab: int, embedding: int, hidden: int, layers: int, skip: bool) -> None:
    from torch import nn

    tensors = {"embedding.weight": nn.Embedding(vocab, embedding).weight}
    for layer in range(layers):
        below = embedding if layer == 0 else hidden + embedding * skip
        one = nn.LSTM(below, hidden)
        tensors |= {
            f"layers.{layer}.weight_ih": one.weight_ih_l0,
            f"layers.{layer}.weight_hh": one.weight_hh_l0,
            f"layers.{layer}.bias": one.bias_ih_l0,
        }
    head = nn.Linear(hidden * (layers if skip else 1), vocab)
    tensors |= {"head.weight": head.weight, "head.bias": head.bias}
    sizes = {
        "vocab_size": vocab,
        "embedding_size": embedding,
        "hidden_size": hidden,
        "num_layers": layers,
        "skip_connections": skip,
    }
    tokenizer = CharTokenizer("abcdefghi"[:vocab])
    arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    run = RunConfig(name="", model=architecture(**sizes))
    checkpoint = Checkpoint("model", arrays, run, tokenizer.to_state(), Provenance())
    check_model(checkpoint)
    for name, tensor in checkpoint.tensors.items():
        shapeless = replace(checkpoint, tensors={**checkpoint.tensors, name: tensor[..., None]})
        with pytest.raises(CorruptError) as caught:
            check_model(shapeless, "here")
        assert str(caught.value) == f"here: tensor {name!r} has the shape {(*tensor.shape, 1)}, not {tensor.shape}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    checkpoint = model()
    checkpoint.tensors["layers.0.weight_hh"][3, 1] = value
    write(tmp_path / "file", checkpoint)
    assert read(tmp_path / "file").sha256  # the bits are right: the file is as it was written
    with pytest.raises(CorruptError, match=r"'layers\.0\.weight_hh' holds numbers that are not finite"):
        verify(tmp_path / "file")


def test_tensors_too_few_too_many_and_of_the_wrong_type() -> None:
    whole = model()
    few = {name: tensor for name, tensor in whole.tensors.items() if name != "head.bias"}
    for tensors, words in (
        (few, "'head.bias' is missing"),
        ({**whole.tensors, "extra": np.ones(1)}, "'extra' does not belong"),
        (
            {**whole.tensors, "head.bias": np.ones(len(whole.tokenizer["alphabet"]), np.int64)},
            "'head.bias' does not hold floating-point",
        ),
    ):
        with pytest.raises(CorruptError, match=words):
            check_model(replace(whole, tensors=tensors))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 0}, "hidden_size=0 must be a whole number of at least 1"),
        ({"hidden_size": True}, "hidden_size=True must be a whole number"),
        ({"hidden_size": 4.0}, "hidden_size=4.0 must be a whole number"),
        ({"vocab_size": "7"}, "vocab_size='7' must be a whole number"),
        ({"embedding_size": None}, "embedding_size=None must be a whole number"),
        ({"cell": "mogrifier"}, "cell='mogrifier' must be one of rnn, lstm, gru, peephole"),
        ({"cell": ["lstm"]}, "cell=.* must be one of"),
        ({"skip_connections": 1}, "skip_connections=1 must be true or false"),
        ({"bidirectional": 1}, "bidirectional=1 must be true or false"),
        ({"attention_window": 10**12}, "attention_window=1000000000000 must be"),
        ({"ensemble": 10**12}, "ensemble=1000000000000 must be a whole number of at most 16"),
        ({"ngram_order": 10**12}, "ngram_order=1000000000000"),
        ({"match_orders": 3}, "match_orders=3 must be a list"),
        ({"match_orders": [3, 99]}, "match_orders=.* must be a whole number of at most 16"),
        ({"match_orders": [3], "match_slots": 10**9}, "match_slots=1000000000 must be"),
        ({"warp": 9}, "there is no setting 'warp'"),
    ],
)
def test_invalid_settings(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    config = model().run.to_plain()
    config["model"] |= changes
    (tmp_path / "file").write_bytes(signed({"__metadata__": metadata(config=json.dumps(config))}))
    for reading in (read, read_header):
        with pytest.raises(IncompatibleError, match=words):
            reading(tmp_path / "file")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "vocab_size is missing"),
        ({"model": 3}, "model=3 must be a table"),
        ({"model": {"vocab_size": 7}, "data": {"seq_len": "8"}}, "seq_len='8'"),
        ({"model": {"vocab_size": 7}, "data": []}, "data=.* must be a table"),
        ({"model": {"vocab_size": 7}, "name": 4}, "name=4 must be a text"),
        ({"model": {"vocab_size": 7, "bidirectional": True}}, "bidirectional needs windows='shuffled'"),
    ],
)
def test_invalid_sections(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    (tmp_path / "file").write_bytes(signed({"__metadata__": metadata(config=json.dumps(config))}))
    with pytest.raises(IncompatibleError, match=words):
        read(tmp_path / "file")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_layers": 200}, "more than it holds"),
        ({"attention_window": 2}, "'attention.key' is missing"),
        ({"ensemble": 2}, "'layers_2.0.bias' is missing"),
        ({"ngram_order": 2, "ngram_buckets": 9}, "'side_inputs.ngrams.weight' is missing"),
        ({"match_orders": [3], "match_slots": 9}, "'side_inputs.match.weight' is missing"),
        ({"cell": "gru"}, "'layers.0.bias_n' is missing"),
    ],
)
def test_settings_that_ask_for_other_tensors(changes: dict[str, Any], words: str) -> None:
    whole = model()
    with pytest.raises(CorruptError, match=words):
        check_model(replace(whole, run=whole.run.replace(model=whole.architecture.replace(**changes))))


def test_verify_looks_at_the_tokenizer_too(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, model())
    assert verify(path).sha256 == read_header(path).sha256
    write(path, replace(model(), tokenizer={"kind": "char", "alphabet": "ab", "unknown": False}))
    with pytest.raises(CorruptError, match="its tokenizer has 2 tokens, its settings say 7"):
        verify(path)
    write(path, replace(model(), tokenizer={"kind": "runes"}))
    with pytest.raises(CorruptError, match="its tokenizer cannot be read"):
        verify(path)


def test_half_size_is_near_and_only_floats_are_halved(tmp_path: Path) -> None:
    whole = model(hidden=16)
    whole.tensors["counts"] = np.arange(3)
    half = convert(whole, "float16")
    assert write(tmp_path / "whole", whole) != write(tmp_path / "half", half)
    assert same(half.tensors["counts"], whole.tensors["counts"])
    for name, tensor in whole.tensors.items():
        if name != "counts":
            assert half.tensors[name].dtype == np.float16
            # float16 keeps 11 significant bits above 2**-14.
            np.testing.assert_allclose(half.tensors[name].astype(np.float64), tensor, rtol=2**-11, atol=2**-25)
    back = convert(half, "float32")
    assert all(
        same(back.tensors[name], half.tensors[name].astype(np.float32)) for name in back.tensors if name != "counts"
    )
    sizes = [sum(tensor.nbytes for tensor in each.tensors.values()) - 24 for each in (whole, half)]
    assert sizes[0] == 2 * sizes[1]


def test_weights_too_large_for_half_size() -> None:
    whole = model()
    whole.tensors["head.bias"][0] = 70_000.0
    with pytest.raises(UsageError, match=r"'head\.bias' has weights too large for float16"):
        convert(whole, "float16")


def test_reading_imports_nothing_heavy() -> None:
    code = """
import sys
import charlstm.checkpoint.format, charlstm.checkpoint.store, charlstm.checkpoint.container
heavy = {"torch", "pydantic", "filelock", "typer", "rich", "tqdm", "sentencepiece"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_file_replaced_while_it_is_read_is_read_whole(tmp_path: Path) -> None:
    # What was opened stays what it was: the writer gives the name to another file.
    path = tmp_path / "file"
    first = write(path, model(seed=1))
    with container.opened(path) as file:
        header = container.read_header(file, path)
        write(path, model(seed=2))
        found = container.read_tensors(file, header, path)
    assert header.metadata["sha256"] == first
    assert all(same(found[name], tensor) for name, tensor in model(seed=1).tensors.items())
