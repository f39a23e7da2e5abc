"""Exported programs: the engine's logits, the sampler's texts, and nothing that a network does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.api.model import Model
from charlstm.checkpoint.format import Checkpoint, StoredAs, convert
from charlstm.checkpoint.provenance import CorpusProvenance
from charlstm.engine.load import load_engine
from charlstm.errors import UsageError
from charlstm.export import numpy_file
from charlstm.export.numpy_file import LARGEST_INSIDE, numpy_program, stored_as
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from charlstm.tokenizers.train_sentencepiece import train
from tests.export.programs import imported, program_of, write_program
from tests.export.samples import BIDIRECTIONAL, CAUSAL, KINDS, WRITING, checkpoint

IDS = np.random.default_rng(1).integers(0, 4, 80).tolist()
TEXT = "the naïve goose, the 日本 goose\tand the goose of Œdipus. " * 40 + "who wrote the goose?\n" * 20
TOKENIZERS = ("char", "char, unknown", "char, no newline", "byte", "unigram", "bpe")
SHORT_BLANKS = ("ab__e d", "__ab", "ab", "_")
RECORDS = {"one text": "", "lines": "\n", "paragraphs": "\n\n"}


@cache
def tokenizer_named(name: str) -> Tokenizer:
    """One of the tokenizers."""
    if name == "byte":
        return ByteTokenizer()
    if name.startswith("char"):
        alphabet = "ab☃'\"\\\ud800\u202ede" if name == "char, no newline" else "\n abcde"
        return CharTokenizer(alphabet, unknown=name == "char, unknown")
    return train([TEXT], model="bpe" if name == "bpe" else "unigram", vocab_size=285)


def with_tokenizer(name: str, shape: dict[str, Any] | None = None, record: str = "") -> Checkpoint:
    """A network with one of the tokenizers."""
    writing = WRITING.replace(record=record, longest_record=20 if record else 0)
    if name == "char, no newline":
        writing = writing.replace(starts=())
    return checkpoint(shape or {}, tokenizer_named(name), kind=name.split(",")[0], writing=writing)


# the same numbers


@pytest.mark.parametrize("kind", CAUSAL)
def test_its_logits_are_the_engines(kind: str, tmp_path: Path) -> None:
    saved = checkpoint(CAUSAL[kind])
    engine, program = load_engine(saved), program_of(tmp_path, saved)
    wanted_state, state = None, program.empty_state()
    for place, token in enumerate(IDS):
        if place < 50:
            state = program.remember(token, state) if hasattr(program, "remember") else state
        elif place == 50:
            wanted_state = engine.freeze(wanted_state)
        wanted, wanted_state = engine.step([token], wanted_state)
        logits, state = program.step(token, state)
        np.testing.assert_allclose(logits, wanted[0], atol=1e-5)
    assert hasattr(program, "remember") == bool(saved.architecture.enabled.get("match"))


@pytest.mark.parametrize("kind", BIDIRECTIONAL)
def test_its_logits_from_both_sides_are_the_engines(kind: str, tmp_path: Path) -> None:
    saved = checkpoint(BIDIRECTIONAL[kind])
    ids = [*IDS[:20], 7, 7, *IDS[20:40]]
    program, wanted = program_of(tmp_path, saved), load_engine(saved).logits(ids)
    states, future = program.empty_layers(), program.after_each(ids)
    for place, token in enumerate(ids):
        np.testing.assert_allclose(program.predict(states, future[place]), wanted[place], atol=1e-5)
        states = program.read_on("layers", token, states)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_its_weights_are_those_of_a_copy_of_the_same_type(dtype: StoredAs, beside: bool, tmp_path: Path) -> None:
    saved = checkpoint(KINDS["side inputs of an ensemble"])
    copied = convert(saved, dtype)
    weights = program_of(tmp_path, saved, dtype=dtype, beside=beside).weights()
    assert weights.keys() == saved.tensors.keys()
    for name, weight in weights.items():
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, copied.tensors[name].astype(np.float32))
    assert stored_as(copied) == dtype


# the same text


@pytest.mark.parametrize("kind", CAUSAL)
def test_it_writes_what_the_library_writes_with_the_same_seed(kind: str, tmp_path: Path) -> None:
    saved = checkpoint(CAUSAL[kind])
    program, model = program_of(tmp_path, saved), Model(saved)
    for prompt in ("", "a", "abcabcabcabc"):
        for settings in ({}, {"temperature": 1.3}, {"top_p": 0.6, "min_p": 0.2}, {"no_repeat": 1, "longest_run": 1}):
            wanted = model.generate(prompt, length=120, seed=3, **settings)
            assert program.write(prompt, 120, seed=3, **settings) == wanted


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_it_writes_so_with_every_tokenizer(name: str, record: str, tmp_path: Path) -> None:
    if record and tokenizer_named(name).unknown_characters(record):
        pytest.skip("no such list can be read")
    saved = with_tokenizer(name, record=record)
    program, model = program_of(tmp_path, saved), Model(saved)
    for seed in range(4):
        for prompt in ("", "ab"):
            assert program.write(prompt, 60, seed=seed) == model.generate(prompt, length=60, seed=seed)


def test_it_looks_as_far_back_for_repetitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = checkpoint(KINDS["lstm"])
    program = program_of(tmp_path, saved)
    whole = program.write("a", 400, seed=1, no_repeat=2)
    monkeypatch.setattr(program, "WINDOW", 8)
    monkeypatch.setattr("charlstm.sampling.repeats.WINDOW", 8)
    wanted = Model(saved).generate("a", length=400, seed=1, no_repeat=2)
    assert program.write("a", 400, seed=1, no_repeat=2) == wanted != whole


def test_temperature_zero_takes_the_likeliest(tmp_path: Path) -> None:
    saved = checkpoint(KINDS["lstm"])
    wanted = Model(saved).generate("ab", length=50, temperature=0)
    assert program_of(tmp_path, saved).write("ab", 50, temperature=0) == wanted


def test_the_unknown_symbol_is_never_written(tmp_path: Path) -> None:
    saved = with_tokenizer("char, unknown")
    saved.tensors["head.bias"][-1] += 50
    assert "\ufffd" not in program_of(tmp_path, saved).write("☃", 50, seed=1)


def test_texts_with_one_seed_differ_by_their_number(tmp_path: Path) -> None:
    program = program_of(tmp_path, checkpoint(KINDS["lstm"]))
    texts = {program.write("a", 50, seed=1, number=number) for number in range(5)}
    assert len(texts) == 5
    assert program.write("a", 50, seed=1, number=3) in texts


@pytest.mark.parametrize(("name", "text"), [
    pytest.param(name, text, marks=[] if name == "char" or text in SHORT_BLANKS else [pytest.mark.slow])
    for text in (*SHORT_BLANKS, "ab____", "a_b_e_d ____ a") for name in TOKENIZERS
])  # fmt: skip
def test_it_fills_blanks_as_the_library_does(name: str, text: str, tmp_path: Path) -> None:
    if tokenizer_named(name).unknown_characters(text.replace("_", "")):
        text = text.replace(" ", "☃")
    saved = with_tokenizer(name, BIDIRECTIONAL["both sides, lstm"])
    program = program_of(tmp_path, saved)
    if "_" in text:
        assert program.fill(text) == Model(saved).fill(text)[0].text
        return
    with pytest.raises(ValueError, match="has no blank"):
        program.fill(text)


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_a_blank_is_filled_from_a_window_of_training_at_most(reach: int, tmp_path: Path) -> None:
    saved = checkpoint(BIDIRECTIONAL["both sides, rnn"], seq_len=reach)
    program, model = program_of(tmp_path, saved), Model(saved)
    for before in ("abcde", "eab", "cc a"):
        for after in ("edcba", "b d", "\n\n"):
            text = f"{before}__{after}___ a"
            assert program.fill(text) == model.fill(text)[0].text


# tokens


PIECES = st.text(
    st.one_of(st.sampled_from([*sorted(set(TEXT)), "▁", "\t", "\r", "\udc80"]), st.characters(codec="utf-8"))
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("programs")
    names = {name: f"p{number}" for number, name in enumerate(TOKENIZERS)}
    return {name: program_of(folder, with_tokenizer(name), name=names[name]) for name in TOKENIZERS}


@given(data=st.data())
@pytest.mark.parametrize("name", TOKENIZERS)
def test_its_ids_are_the_tokenizers(programs: dict[str, Any], name: str, data: st.DataObject) -> None:
    tokenizer = tokenizer_named(name)
    text = data.draw(st.text("".join(getattr(tokenizer, "alphabet", ()))) if name.startswith("char") else PIECES)
    ids = programs[name].encode(text)
    assert ids == tokenizer.encode(text).tolist()
    assert programs[name].encode("") == []


@pytest.mark.parametrize("name", ["unigram", "bpe"])
def test_its_ids_of_a_long_text_are_the_tokenizers(programs: dict[str, Any], name: str) -> None:
    assert programs[name].encode(TEXT) == tokenizer_named(name).encode(TEXT).tolist()


def test_a_character_that_it_does_not_know_is_named(programs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not know the character '☃'"):
        programs["char"].write("ab☃")


# what is in it


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The programs of all kinds and tokenizers."""
    folder = tmp_path_factory.mktemp("sources")
    every = {kind: checkpoint(shape) for kind, shape in KINDS.items()}
    every |= {f"{name}, {text}": with_tokenizer(name, record=record) for name in TOKENIZERS
              for text, record in RECORDS.items()}  # fmt: skip
    every |= {f"fill, {name}": with_tokenizer(name, BIDIRECTIONAL["both sides, rnn"]) for name in TOKENIZERS}
    paths = {kind: write_program(folder, saved, f"p{number}") for number, (kind, saved) in enumerate(every.items())}
    return {str(folder): ""} | {kind: path.read_text("utf-8") for kind, path in paths.items()}


@pytest.mark.slow
def test_every_program_passes_ruffs_default_checks(sources: dict[str, str]) -> None:
    folder = next(iter(sources))
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_is_defined_and_not_used(sources: dict[str, str]) -> None:
    for kind, source in sources.items():
        tree = ast.parse(source)
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        defined |= {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
        defined |= {ast.unparse(node.target) for node in tree.body if isinstance(node, ast.AnnAssign)}
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert defined - read <= {"write", "fill"}, kind


def test_nothing_but_numpy_and_the_standard_library_is_imported(sources: dict[str, str]) -> None:
    for source in sources.values():
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {
            alias.name if isinstance(node, ast.Import) else str(node.module) for node in nodes for alias in node.names
        }
        assert {name.split(".")[0] for name in names} <= {"numpy", *sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("kind", "has", "has_not"),
    [
        ("lstm", ["lstm", "step", "write"], ["gru", "attend", "ngram_hash", "remember", "fill", "STACKS"]),
        ("gru", ["gru"], ["lstm", "rnn", "peephole"]),
        ("attention", ["attend", "softmax"], ["ngram_hash", "lstm"]),
        ("n-grams", ["ngram_embedding"], ["match_embedding", "remember", "softmax"]),
        ("match memory", ["match_embedding", "remember"], ["ngram_embedding"]),
        ("ensemble", ["STACKS", "peephole"], ["attend"]),
        ("both sides, rnn", ["fill", "rnn"], ["write", "step", "choose", "TEMPERATURE"]),
        ("byte, one text", ["whole_characters"], ["ALPHABET", "RECORD", "first_record"]),
        ("unigram, lines", ["best_pieces", "RECORD"], ["merged_pieces", "ALPHABET"]),
    ],
)  # fmt: skip
def test_it_has_what_the_network_needs_and_no_more(
    sources: dict[str, str], kind: str, has: list[str], has_not: list[str]
) -> None:
    tree = ast.parse(sources[kind])
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert set(has) <= names
    assert not set(has_not) & names


def test_its_lines_are_as_long_as_ours_and_no_longer(sources: dict[str, str]) -> None:
    for kind, source in sources.items():
        long = [line for line in source.splitlines() if len(line) > 120]
        assert all(line.startswith("ALPHABET = ") for line in long), kind


# on its own


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program where nothing of ours can be imported."""
    command = [sys.executable, "-I", path.name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=path.parent, check=False)


def test_it_runs_alone(tmp_path: Path) -> None:
    saved = checkpoint(KINDS["side inputs of an ensemble"])
    path = write_program(tmp_path, saved)
    told = run(path, "abc", "-n", "60", "-t", "0.8", "--seed", "1")
    assert told.stdout == "abc" + Model(saved).generate("abc", length=60, temperature=0.8, seed=1) + "\n"
    assert told.stderr == ""
    several = run(path, "-n", "9", "--seed", "1", "--count", "2").stdout
    program = imported(path)
    assert several == "".join(f"{program.write('', 9, seed=1, number=number)}\n" for number in range(2))
    shown = run(path, "--help").stdout
    assert "--temperature" in shown
    assert "None" not in shown


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    path = write_program(tmp_path, checkpoint(KINDS["lstm"]))
    script = f"{sys.executable} -I {path} -n 0 --seed 1 | head -c 5; echo $PIPESTATUS"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("0\n")
    assert done.stderr == ""


def test_it_fills_alone_with_its_weights_beside_it(tmp_path: Path) -> None:
    saved = checkpoint(BIDIRECTIONAL["both sides, lstm"])
    path = write_program(tmp_path, saved, beside=True)
    assert run(path, "ab__e").stdout == Model(saved).fill("ab__e")[0].text + "\n"


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("lstm", ["☃_"], "the network does not know the character '☃'"),
        ("lstm", ["a", "--min-p", "2"], "min_p is 1 at most"),
        ("lstm", ["a", "--seed", "-1"], "expected non-negative integer"),
        ("both sides, lstm", ["☃_"], "the network does not know the character '☃'"),
        ("both sides, lstm", ["a"], "the text has no blank: ____ stands for four tokens"),
    ],
)
def test_its_mistakes_are_one_line(kind: str, arguments: list[str], message: str, tmp_path: Path) -> None:
    told = run(write_program(tmp_path, checkpoint(KINDS[kind])), *arguments)
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1] == f"poet.py: error: {message}"
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("settings", [{"no_repeat": -1}, {"longest_run": -1}, {"top_p": 0}, {"temperature": -1}])
def test_settings_beyond_their_range_do_no_harm(settings: dict[str, Any], tmp_path: Path) -> None:
    assert len(program_of(tmp_path, checkpoint(KINDS["lstm"])).write("a", 30, **settings)) == 30


def test_a_list_of_names_gives_ten(tmp_path: Path) -> None:
    path = write_program(tmp_path, with_tokenizer("char", record="\n"))
    assert len(run(path, "--seed", "1").stdout.splitlines()) == 10


# odd networks


def test_no_name_can_break_the_program(tmp_path: Path) -> None:
    evil = 'x"""\nraise SystemExit\n\\'
    saved = checkpoint(KINDS["lstm"])
    provenance = saved.provenance.replace(corpus=CorpusProvenance(name=evil, sha256='"""'))
    saved = replace(saved, run=saved.run.replace(name=evil), provenance=provenance)
    (tmp_path / "poet.py").write_text(numpy_program(saved, evil, dtype="float32").source, "utf-8")
    assert len(imported(tmp_path / "poet.py").write("a", 10)) == 10


@pytest.mark.parametrize(("alphabet", "text"), [("The quick", "The "), ("абв", "")])
def test_its_example_can_be_typed(alphabet: str, text: str, tmp_path: Path) -> None:
    saved = checkpoint(KINDS["lstm"], CharTokenizer(alphabet), writing=WRITING.replace(starts=()))
    program = program_of(tmp_path, saved)
    assert f'python poet.py "{text}" -n 300 -t 0.8\n' in program.__doc__
    assert f'>>> poet.write("{text}", 300)\n' in program.__doc__
    assert len(program.write(text, 300)) == 300


def test_large_weights_are_put_beside_unless_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = checkpoint(KINDS["lstm"])
    assert LARGEST_INSIDE == 16 << 20
    assert numpy_program(saved, "poet", dtype="float32").beside is None
    monkeypatch.setattr(numpy_file, "LARGEST_INSIDE", 1000)
    assert numpy_program(saved, "poet", dtype="float32").beside is not None
    assert numpy_program(saved, "poet", dtype="float32", beside=False).beside is None


def test_the_same_network_gives_the_same_program() -> None:
    saved = checkpoint(KINDS["n-grams"])
    assert numpy_program(saved, "poet", dtype="int8") == numpy_program(saved, "poet", dtype="int8")


def test_weights_too_large_for_a_type_are_refused() -> None:
    saved = checkpoint(KINDS["lstm"])
    saved.tensors["head.bias"][0] = 1e6
    with pytest.raises(UsageError, match="too large for float16"):
        numpy_program(saved, "poet", dtype="float16")
