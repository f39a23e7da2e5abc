"""``charlstm sample`` as people use it: through `main`, in real processes, on a real terminal."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.format import read_model, write
from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.cli import app
from charlstm.cli.views.stream import Output
from charlstm.corpora.words import find_words
from charlstm.engine.auto_threads import AutoThreadsEngine
from charlstm.engine.load import load_engine
from charlstm.engine.network import Engine
from charlstm.sampling.config import SampleConfig, settings_for
from charlstm.sampling.records import draw_records
from charlstm.sampling.rules.rhymes import last_word, split_rhyme
from charlstm.sampling.sampler import Fragment, in_order, sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_checkpoints import make_checkpoint

COMMAND = [sys.executable, "-m", "charlstm", "sample"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_checkpoint(tmp_path / "runs" / "plain-1" / "model.safetensors")
    return tmp_path / "runs"


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Ran]:
    """Runs ``charlstm`` in this process, as its entry point does."""

    def call(*arguments: str, stdin: bytes = b"", command: str = "sample") -> Ran:
        from charlstm.cli.app import main

        monkeypatch.setattr(sys, "argv", ["charlstm", command, *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setenv("CHARLSTM_CHECKPOINTS", str(root))
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsysbinary.readouterr()
        return Ran(int(left.value.code or 0), out.decode("utf-8", "surrogateescape"), err.decode())

    return call


# ---- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "0"), "-n 0 must be 1 to 10,000"),
        (("-n", "1000000000"), "-n 1000000000 must be 1 to 10,000"),
        (("--threads", "9" * 30), "must be 1 to 4096"),
        (("--threads", "0"), "--threads 0 must be 1 to 4096"),
    ],
)
def test_numbers_without_measure_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["charlstm", "sample", "starter", *arguments])
    assert app._run() == 2
    assert message in capsys.readouterr().err


def test_a_seed_repeats_a_text_and_is_reported(run: Any) -> None:
    first, second = (run("--seed", "5", "--length", "120") for _ in range(2))
    assert first.code == 0
    assert first.out == second.out
    assert len(first.out) == 120
    assert "plain-1" in first.err
    assert "1.50 bits/character" in first.err
    assert "seed 5" in first.err
    assert len(first.err.splitlines()) == 1


def test_a_root_without_runs_reports_that_the_starter_writes(run: Any, tmp_path: Path) -> None:
    ran = run("--root", str(tmp_path / "empty"), "--length", "20")
    assert ran.code == 0
    assert f"no runs in {tmp_path / 'empty'} yet: this is the starter" in ran.err.replace("\n", " ")
    assert "this is the starter" not in run("--length", "20").err


def test_it_writes_what_the_library_writes(run: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read

    engine = Engine.from_checkpoint(read(root / "plain-1" / "model.safetensors"))
    config = SampleConfig(length=50, temperature=0.6, top_k=9, min_p=0.1, seed=3)
    text = "".join(part.text for part in sample(engine, engine.tokenizer.encode("Hi:"), config))
    ran = run("--prompt", "Hi:", "--length", "50", "-t", "0.6", "--top-k", "9", "--seed", "3")
    assert ran.out == "Hi:" + text


def test_a_network_writes_as_it_was_found_best_unless_told_otherwise(run: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read, write

    path = root / "plain-1" / "model.safetensors"
    as_before = run("--seed", "1", "--length", "80")
    write(path, replace(read(path), writing=Writing(temperature=0.1, top_p=0.5, starts=("Once.\n", "Twice.\n"))))
    own = run("--seed", "1", "--length", "80")
    assert own.out != as_before.out
    explicit = run("--seed", "1", "--length", "80", "-t", "0.1", "--top-p", "0.5", "--min-p", "0")
    assert explicit.out == own.out
    with_prompt = run("--seed", "1", "--length", "80", "-p", "Hi", "--unfiltered")
    neutral = run("--seed", "1", "--length", "80", "-p", "Hi", "-t", "1", "--top-p", "1", "--min-p", "0")
    assert with_prompt.out == neutral.out
    both = run("--unfiltered", "-t", "0.5")
    assert (both.code, "--unfiltered and --temperature exclude each other" in both.err) == (2, True)


def test_words_of_the_training_text_and_texts_that_end_with_one(run: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read, write

    refused = run("--words")
    assert (refused.code, "this network knows no words" in refused.err) == (2, True)
    missing = run("--words-of", "none.txt")
    assert (missing.code, missing.err.strip()) == (4, "charlstm: none.txt: no such word list file")
    path = root / "plain-1" / "model.safetensors"
    write(path, replace(read(path), words=("and", "boat", "the")))
    text = run("--seed", "1", "--length", "300", "--words", "-p", "the ", "-t", "2").out
    assert set(find_words(text)) <= {"and", "boat", "the", "And", "Boat", "The"}
    assert len(find_words(text)) > 10
    ended = run("--seed", "1", "--length", "0", "--words", "--stop-after", "at").out
    assert ended.endswith("at")
    assert ended.count("at") == 1


def test_rules_are_kept_together_or_the_reason_is_told(run: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read, write

    path = root / "plain-1" / "model.safetensors"
    write(path, replace(read(path), words=("and", "band", "hand", "sea", "tea", "flea", "plea", "me", "he", "be")))
    common = ("--seed", "1", "-p", "the ", "--no-echo")
    acrostic = run(*common, "--starts", "s,F", "--max-line", "20", "--words", "--json")
    (line,) = acrostic.out.splitlines()
    told = json.loads(line)
    assert told["finish_reason"] in ("rule", "length")
    first, second, *rest = told["text"].split("\n")
    assert (first[:1], second[:1], rest in ([], [""])) == ("s", "F", True)
    assert max(len("the " + first), len(second)) <= 20
    assert told["starts"] == ["s", "F"]
    rhyming = run(*common, "--rhyme", "--lines", "2", "--max-line", "30", "--words", "-t", "0.8", "-n", "2", "--json")
    for line in rhyming.out.splitlines():
        told = json.loads(line)
        assert told["rhyme"] is True
        one, other = (last_word(each.rstrip(".,;:!?")) for each in told["text"].splitlines())
        assert split_rhyme(one)[1] == split_rhyme(other)[1] != ""
        assert max(map(len, ("the " + told["text"]).splitlines())) <= 30
        assert all(math.isfinite(token["log_probability"]) for token in told["tokens"])
    for refused, message in (
        (("--starts", ""), '--starts needs at least one beginning of a line. Give some: --starts "S,E,A".'),
        (("--starts", "a,漢"), "line 2 of starts: character '漢' (U+6F22) at position 0 is not in the alphabet"),
        (("--match", "ab漢"), "match: character '漢' (U+6F22) at position 2 is not in the alphabet"),
        (("--match", ""), "no text but the empty one matches --match"),
        (("--match", "(?i)a"), "--match has a group of an unknown kind, or a flag, at position 0"),
        (
            ("--match", "a{40}", "--max-line", "20"),
            "--match and --max-line together: nothing can follow 'aaaaaa",
        ),
        (("--words", "--match", "(sea|qx) "), None),
        (("--words", "--match", "qx"), "--match and --words together: nothing can follow ''"),
        (("--rhyme", "--ways", "2"), "--ways and --pick are for sentences, and --rhyme writes pairs of lines"),
        (("--particles", "9"), "--particles 9 is for a text under a rule"),
        (("--rhyme", "--lines", "2", "--match", "(a|b)+"), "no pair of lines that rhyme was found in 10 tries."),
    ):
        ran = run(*common, *refused)
        assert ran.code == (2 if message else 0), refused
        assert (message or "") in ran.err.replace("\n", " ")


def test_a_random_seed_is_reported_and_repeats_the_text(run: Any) -> None:
    first = run("--length", "60")
    seed = first.err.split("seed ")[1].strip()
    assert run("--length", "60", "--seed", seed).out == first.out
    assert run("--length", "60").out != first.out


def test_the_prompt_is_printed_unless_it_is_not_wanted(run: Any) -> None:
    with_prompt = run("--prompt", "Once", "--seed", "1", "--length", "9").out
    without = run("--prompt", "Once", "--seed", "1", "--length", "9", "--no-echo").out
    assert with_prompt == "Once" + without
    assert len(without) == 9


def test_a_prompt_may_come_from_a_file_a_pipe_or_an_old_option(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes("\ufeffNow\r\nthen".encode())
    options = ("--seed", "1", "--length", "20")
    expected = run("--prompt", "Now\nthen", *options).out
    assert run("--prompt-file", str(file), *options).out == expected
    assert run("--prompt-file", "-", *options, stdin=b"Now\nthen").out == expected
    assert run("--prompt", "-", *options, stdin=b"Now\nthen").out == expected
    for old in ("--primetext", "--prime", "--start"):
        assert run(old, "Now\nthen", *options).out == expected


def test_generate_is_another_name(run: Any) -> None:
    options = ("--seed", "1", "--length", "20")
    assert run(*options, command="generate").out == run(*options).out


def test_lines_end_it_without_a_length(run: Any) -> None:
    ran = run("--lines", "12", "--seed", "2")
    assert ran.out.count("\n") == 12
    assert ran.out.endswith("\n")
    assert len(ran.out) > 500  # the default length, which lines put out of force


def test_a_model_that_never_ends_a_line_is_cut(run: Any, root: Path) -> None:
    make_checkpoint(root / "lost" / "model.safetensors", favour={1: 40.0})  # blanks for ever
    ran = run("lost", "--lines", "2", "--seed", "2", "-t", "0.5")
    assert ran.code == 0
    assert len(ran.out) == 2000
    assert "without 2 line ends" in ran.err.splitlines()[-1]
    assert run("lost", "--lines", "2", "--length", "7").err.count("\n") == 1


def test_a_stop_text_is_not_printed(run: Any) -> None:
    whole = run("--seed", "4", "--length", "300").out
    stop = whole[100:103]
    assert run("--seed", "4", "--length", "300", "--stop", stop, "--stop", "never").out == whole[: whole.index(stop)]


def test_threads_go_to_the_engine(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []
    used = AutoThreadsEngine.__init__

    def noted(self: AutoThreadsEngine, *given: Any) -> None:
        requested.append(given[-1])
        used(self, *given)

    monkeypatch.setattr(AutoThreadsEngine, "__init__", noted)
    words = ("plain-1", "--length", "5", "--seed", "1")
    assert run(*words).out == run(*words, "--threads", "1").out
    assert requested == [None, 1]


def test_greedy_needs_no_seed(run: Any) -> None:
    assert run("-t", "0", "--length", "40").out == run("-t", "0", "--length", "40").out


@pytest.mark.parametrize("greedy", [("-t", "0"), ("--top-k", "1")])
def test_several_greedy_texts_are_the_same_and_it_says_so(run: Any, greedy: tuple[str, str]) -> None:
    ran = run("-n", "2", "--length", "20", *greedy)
    first, second = parts(ran.out, 2)
    assert first == second
    assert "all 2 texts will be the same" in ran.err
    assert "the same" not in run("--length", "20", *greedy).err
    assert "the same" not in run("-n", "2", "--length", "20").err


def test_a_run_may_have_a_space_in_its_name(run: Any, root: Path) -> None:
    make_checkpoint(root / "my run" / "model.safetensors")
    assert run("my run", "--length", "5").code == 0


# ---- several ----------------------------------------------------------------------------------------------------


def parts(out: str, count: int) -> list[str]:
    texts = []
    for number in range(1, count + 1):
        mark = f"=== {number} of {count} ===\n"
        assert out.startswith(mark)
        out = out[len(mark) :]
        text, following, rest = out.partition(f"=== {number + 1} of {count} ===\n")
        texts.append(text)
        out = following + rest
    return texts


def test_several_texts_come_one_after_the_other(run: Any) -> None:
    ran = run("-n", "3", "--seed", "6", "--length", "40", "--prompt", "So ")
    texts = parts(ran.out, 3)
    assert len(set(texts)) == 3
    assert all(text.startswith("So ") and text.endswith("\n") for text in texts)
    assert run("--seed", "6", "--length", "40", "--prompt", "So ").out == texts[0].removesuffix("\n")


def test_the_first_texts_are_the_same_however_many_there_are(run: Any) -> None:
    few = parts(run("-n", "4", "--seed", "6", "--length", "30").out, 4)
    many = parts(run("-n", "12", "--seed", "6", "--length", "30").out, 12)
    assert many[:4] == few


@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    data=st.data(),
)
def test_rows_are_put_in_order_and_none_waits_longer_than_necessary(lengths: list[int], data: Any) -> None:
    fragments = [
        Fragment(row, f"{row}:{step}", 0, math.nan, "length" if step == length else None)
        for step in range(1, max(lengths) + 1)
        for row, length in enumerate(lengths)
        if step <= length
    ]
    drawn = 0

    def draw() -> Iterator[Fragment]:
        nonlocal drawn
        for fragment in fragments:
            drawn += 1
            yield fragment

    expected = sorted(fragments, key=lambda fragment: fragment.row)
    for place, fragment in enumerate(in_order(draw(), len(lengths))):
        assert fragment == expected[place]
        # Everything up to it had to be drawn, and nothing else.
        assert drawn == 1 + max(fragments.index(before) for before in expected[: place + 1])


# ---- json -------------------------------------------------------------------------------------------------------


def test_json_holds_everything_about_each_text(run: Any, root: Path) -> None:
    ran = run("--json", "-n", "2", "--seed", "9", "--length", "25", "--prompt", "Hi", "--top-p", "0.9", "-t", "0.5")
    objects = [json.loads(line) for line in ran.out.splitlines()]
    plain = parts(
        run(
            "-n", "2", "--seed", "9", "--length", "25", "--no-echo", "--top-p", "0.9", "-t", "0.5", "--prompt", "Hi"
        ).out,
        2,
    )
    assert [each["text"] for each in objects] == [text.removesuffix("\n") for text in plain]
    assert [each["sample"] for each in objects] == [1, 2]
    for each in objects:
        assert each["text"] == "".join(token["text"] for token in each["tokens"])
        assert all(token["log_probability"] < 0 for token in each["tokens"])
        known = {"prompt": "Hi", "seed": 9, "temperature": 0.5, "top_p": 0.9, "length": 25, "finish_reason": "length"}
        assert known.items() <= each.items()
        assert each["checkpoint"].endswith("model.safetensors")
        assert len(each["sha256"]) == 64


def test_json_log_probabilities_are_the_models_own(run: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read

    text = json.loads(run("--json", "--seed", "1", "--length", "12", "--prompt", "A", "-t", "0.2").out)
    engine = Engine.from_checkpoint(read(root / "plain-1" / "model.safetensors"))
    state, token = None, int(engine.tokenizer.encode("A")[0])
    for drawn in text["tokens"]:
        logits, state = engine.step(np.array([token]), state)
        row = logits[0].astype(float)
        token = drawn["id"]
        assert drawn["log_probability"] == pytest.approx(row[token] - np.log(np.exp(row).sum()), abs=1e-5)


def test_json_is_ascii_whatever_is_drawn(run: Any, root: Path) -> None:
    alphabet = "\x1b\x9b\u202eé漢"
    make_checkpoint(root / "odd" / "model.safetensors", CharTokenizer(alphabet))
    ran = run("odd", "--json", "--seed", "1", "--length", "30")
    assert ran.out.isascii()
    assert "\x1b" not in ran.out
    assert set(json.loads(ran.out)["text"]) <= set(alphabet)


# ---- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 4, "nowhere"),
        (("--prompt", "café"), 2, "LATIN SMALL LETTER E WITH ACUTE"),
        (("--prompt", "a", "--prompt-file", "b"), 2, "--prompt-file"),
        (("--prompt", "a", "--prime", "b"), 2, "more than once"),
        (("--prompt-file", "missing.txt"), 4, "missing.txt"),
        (("--prompt-file", "."), 2, "a folder"),
        (("--temperature", "-1"), 2, "temperature"),
        (("--temperature", "nan"), 2, "temperature"),
        (("--temperature", "warm"), 2, "temperature"),
        (("--top-p", "0"), 2, "top-p"),
        (("--length", "-5"), 2, "--length -5 must be"),
        (("--top-p", "1.5"), 2, "--top-p 1.5 must be above 0"),
        (("--repetition-penalty", "0"), 2, "--repetition-penalty 0 must be"),
        (("--seed", "-1"), 2, "--seed -1 must be from 0 to 18446744073709551615"),
        (("--seed", str(2**64)), 2, "must be from 0 to 18446744073709551615"),
        (("-n", "0"), 2, "-n 0 must be"),
        (("-n", "2", "--length", "0"), 2, "-n needs texts that end"),
        (("--json", "--length", "0"), 2, "--json needs texts that end"),
        (("plain-1", "Once upon"), 2, "charlstm sample plain-1 --prompt 'Once upon'"),
        (("plain-1", "Once", "upon"), 2, "charlstm sample plain-1 --prompt 'Once upon'"),
        (("Once upon",), 4, "put --prompt before it"),
        (("--stop", ""), 2, "--stop '' must be a text of at least one character"),
        (("--raw",), 2, "not trained on bytes"),
        (("--stop", "\\n"), 2, "newline"),
        (("--unknown", "guess"), 2, "guess"),
        (("--device", "warp-drive"), 2, "warp-drive"),
        (("--device", "cuda:77"), 2, "cuda"),
    ],
)
def test_a_mistake_is_one_line_and_a_code(run: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    ran = run(*arguments)
    assert ran.code == code
    assert ran.out == ""
    assert words.lower() in ran.err.lower()
    assert len(ran.err.strip().splitlines()) == 1


def test_a_prompt_that_is_not_text_reports_which_byte(run: Any) -> None:
    ran = run("--prompt", "-", stdin=b"abc\xff")
    assert ran.code == 2
    assert "the prompt" in ran.err
    assert re.search(r"\b3\b", ran.err)


def test_a_hint_names_only_options_of_this_command(run: Any, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r")
    ran = run("--prompt-file", str(tmp_path / "image.png")).err
    assert "UTF-8" in ran
    assert "--tokenizer" not in ran
    assert "--encoding" not in ran
    assert "--unknown skip" in run("--prompt", "é").err


def test_a_prompt_for_bytes_may_be_any_bytes(run: Any, root: Path) -> None:
    make_checkpoint(root / "bytes" / "model.safetensors", ByteTokenizer())
    ran = run("bytes", "--prompt", "-", "--length", "5", stdin=b"abc\xff\r\n\0")
    assert ran.code == 0
    assert ran.out.encode("utf-8", "surrogateescape").startswith(b"abc\xff\r\n\0")


def test_raw_bytes_are_written_as_they_are_drawn(run: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A model that favours continuation bytes and 0xFF, so that almost nothing it draws is UTF-8.
    make_checkpoint(root / "disk" / "model.safetensors", ByteTokenizer(), favour=dict.fromkeys(range(128, 256), 9.0))
    drawn = ("disk", "--length", "200", "--seed", "3", "--prompt", "-")
    ran = json.loads(run(*drawn, "--json", stdin=b"a\xff").out)
    octets = b"a\xff" + bytes(token["id"] for token in ran["tokens"][:200])  # without those that end a character
    assert run(*drawn, "--raw", stdin=b"a\xff").out.encode("utf-8", "surrogateescape") == octets
    assert "\ufffd" in run(*drawn, stdin=b"a\xff").out
    assert run(*drawn, "--raw", "--json").code == run(*drawn, "--raw", "-n", "2").code == 2
    monkeypatch.setattr("charlstm.cli.commands.sample.is_terminal", lambda stream: True)
    refused = run("disk", "--raw")
    assert (refused.code, refused.out) == (2, "")
    assert "--raw > FILE" in refused.err


def test_lines_need_a_newline(run: Any, root: Path) -> None:
    make_checkpoint(root / "flat" / "model.safetensors", CharTokenizer("ab "))
    assert run("flat", "--lines", "2").code == 2
    assert run("flat", "--length", "30").code == 0


def test_unknown_characters_are_mapped_or_left_out_and_reported(run: Any) -> None:
    mapped = run("--prompt", "“café…”", "--unknown", "map", "--length", "3")
    assert mapped.out.startswith("''cafe...''")
    assert len(mapped.err.splitlines()) == 5
    assert run("--prompt", "café", "--unknown", "skip", "--length", "3").out.startswith("caf")


def test_a_flipped_bit_is_one_line(run: Any, root: Path) -> None:
    file = root / "plain-1" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-20] ^= 4
    file.write_bytes(data)
    ran = run()
    assert ran.code == 3
    assert len(ran.err.strip().splitlines()) == 1


# ---- real processes ---------------------------------------------------------------------------------------------


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "CHARLSTM_CHECKPOINTS": str(root), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_it_imports_neither_torch_nor_other_slow_modules(root: Path) -> None:
    script = "import sys; from charlstm.cli.app import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, "sample", "--length", "5", "--seed", "1"],
        capture_output=True, env=environment(root), text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert "numpy" in loaded
    assert not {"torch", "sentencepiece", "rich.console", "tqdm"} & loaded


def test_a_closed_pipe_ends_it_quietly(root: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--length", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(root)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(100)) == 100
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(20) == 0
    assert len(errors.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_endless_text_with_130(root: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--length", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(root)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(200)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        errors = process.stderr.read().decode()
        assert process.wait(20) == 130
    assert rest.endswith(b"\n")
    assert "Traceback" not in errors


def on_a_terminal(arguments: list[str], root: Path, columns: int = 80) -> str:
    """Run the command on a terminal; return its stdout."""
    import pty

    controller, terminal = pty.openpty()
    variables = {**environment(root), "COLUMNS": str(columns)}
    with subprocess.Popen([*COMMAND, *arguments], stdout=terminal, stderr=subprocess.DEVNULL, env=variables):
        os.close(terminal)
        screen = b""
        while True:
            try:
                block = os.read(controller, 65536)
            except OSError:  # how Linux reports that the other end is closed
                break
            if not block:
                break
            screen += block
    os.close(controller)
    return screen.decode().replace("\r\n", "\n")


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_is_shown_control_characters_and_a_pipe_gets_them(root: Path) -> None:
    alphabet = "ab\n\t\x1b\x07\x7f\x9b\u202e\u2066"
    make_checkpoint(root / "wild" / "model.safetensors", CharTokenizer(alphabet))
    arguments = ["wild", "--seed", "3", "--length", "200", "-t", "2"]
    piped = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=environment(root), check=True
    ).stdout.decode()
    assert set(piped) == set(alphabet)
    screen = on_a_terminal(arguments, root, columns=2000)
    assert not set(screen) & set("\x1b\x07\x7f\x9b\u202e\u2066")
    shown = {"\x1b": "␛", "\x07": "␇", "\x7f": "␡", "\x9b": "<U+009B>", "\u202e": "<U+202E>", "\u2066": "<U+2066>"}
    expected = "".join(shown.get(character, character) for character in piped)
    lines = [line.rstrip() for line in expected.expandtabs(8).split("\n")]
    assert screen.rstrip() == "\n".join(lines).rstrip()


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
@pytest.mark.parametrize("columns", [40, 60])
def test_a_terminal_folds_between_words_and_a_pipe_gets_the_text(root: Path, columns: int) -> None:
    arguments = ["starter", "--seed", "3", "--length", "600", "--prompt", "The boat"]
    piped = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=environment(root), check=True
    ).stdout.decode()
    screen = on_a_terminal(arguments, root, columns)
    assert screen.split() == piped.split(), "a word was cut, or lost"
    assert max(map(len, screen.split("\n"))) < columns
    assert all(line == line.rstrip() for line in screen.split("\n"))
    assert re.findall(r"\n{2,}", screen.rstrip()) == re.findall(r"\n{2,}", piped.rstrip()), "its paragraphs stay"
    assert "\x1b" not in screen


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminals_last_line_is_ended_and_texts_are_separated(root: Path) -> None:
    assert on_a_terminal(["--seed", "1", "--length", "20", "-t", "0.1"], root).endswith("\n")
    assert "── 2 of 2 ─" in on_a_terminal(["-n", "2", "--seed", "1", "--length", "20"], root)


# ---- output -----------------------------------------------------------------------------------------------------


class Stream(io.StringIO):
    """Records every flush."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal
        self.flushed: list[str] = []

    def isatty(self) -> bool:
        return self.terminal

    def flush(self) -> None:
        self.flushed.append(self.getvalue())


@pytest.mark.parametrize("terminal", [True, False])
def test_the_first_text_is_written_at_once_and_later_text_in_blocks(terminal: bool) -> None:
    stream = Stream(terminal)
    output = Output(stream)
    for _ in range(1000):
        output.write("x ")
    assert stream.flushed[0].rstrip() == "x"
    assert len(stream.flushed) < 20
    time.sleep(0.25)
    output.write("y ")
    assert stream.flushed[-1].split()[-2:] == ["x", "y"]


def test_a_word_waits_for_its_end_on_a_terminal_and_the_end_of_the_line_is_one() -> None:
    stream = Stream(True)
    output = Output(stream)
    output.write("one tw")
    assert stream.getvalue() == "one"
    output.write("o")
    output.end_line()
    assert stream.getvalue() == "one two\n"


def test_a_line_is_ended_once() -> None:
    stream = Stream(False)
    output = Output(stream)
    output.end_line()
    output.write("a")
    output.end_line()
    output.end_line()
    output.write("b\n")
    output.end_line()
    output.flush()
    assert stream.getvalue() == "a\nb\n"


def test_half_a_surrogate_pair_does_not_stop_it() -> None:
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, "utf-8", "surrogateescape"))
    output.write("a\ud800b")
    output.write("\udcff")
    output.flush()
    assert raw.getvalue() == b"a?b\xff"
    output.write("\udcfe\udfff")
    output.flush()
    assert raw.getvalue() == b"a?b\xff\xfe?", "a byte beside it stays a byte"


# ---- records ----------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(root: Path) -> list[str]:
    """A network that has read a list, and two of the texts that it draws, which it is told that it has read."""
    path = root / "names-1" / "model.safetensors"
    saved = read_model(root / "plain-1" / "model.safetensors")
    writing = Writing(temperature=1.0, record="\n", longest_record=20)
    drawn = draw_records(load_engine(saved), writing, KnownRecords(), settings_for(writing, length=0, seed=1), 10)
    texts = [record.text for record in drawn]
    path.parent.mkdir()
    write(path, replace(saved, writing=writing, records=KnownRecords.of(texts[:2])))
    return texts


def test_a_list_is_drawn_whole_and_new_ones_come_first(run: Callable[..., Ran], listed: list[str]) -> None:
    ran = run("names-1", "--seed", "1")
    assert ran.out.split("\n") == [*listed[2:], *listed[:2], ""]
    assert "8 of 10 are new; the last 2 stand in the text that the model has read" in ran.err


def test_new_leaves_out_what_the_network_has_read(run: Callable[..., Ran], listed: list[str]) -> None:
    ran = run("names-1", "--seed", "1", "-n", "5", "--new")
    assert len(set(ran.out.splitlines())) == 5
    assert not set(ran.out.splitlines()) & set(listed[:2])
    assert "read" not in ran.err
    assert run("plain-1", "--new").code == 2


def test_a_list_as_json_says_what_is_new(run: Callable[..., Ran], listed: list[str]) -> None:
    lines = [json.loads(line) for line in run("names-1", "--seed", "1", "--json").out.splitlines()]
    assert [line["sample"] for line in lines] == list(range(1, 11))
    assert [line["new"] for line in lines] == [True] * 8 + [False] * 2
    assert [line["text"] for line in lines] == [*listed[2:], *listed[:2]]
    assert all(token["log_probability"] < 0 for token in lines[0]["tokens"])


def test_too_few_are_told(run: Callable[..., Ran], listed: list[str]) -> None:
    ran = run("names-1", "--seed", "1", "--length", "1", "-n", "3")
    assert ran.code == 0
    assert "of fewer than 1 tokens" in ran.err


# ---- precision --------------------------------------------------------------------------------------------------


def test_the_precision_is_told(run: Any) -> None:
    pytest.importorskip("numkong")
    ran = run("--precision", "int8", "--seed", "5", "--length", "60")
    assert (ran.code, len(ran.out)) == (0, 60)
    assert "in int8, seed 5" in ran.err
    told = [json.loads(run("--precision", each, "--json", "--length", "5").out) for each in ("int8", "fp32")]
    assert [each["precision"] for each in told] == ["int8", "fp32"]
    assert "in fp32" not in run("--precision", "fp32", "--length", "5").err


def test_int8_is_for_a_cpu(run: Any) -> None:
    pytest.importorskip("numkong")
    ran = run("--precision", "int8", "--device", "cuda")
    assert ran.code == 2
    assert "--precision int8 is for a CPU" in ran.err
