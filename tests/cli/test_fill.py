"""``charlstm fill`` as people use it, with networks of both kinds, trained from the command line."""

import io
import json
import math
import re
import shlex
import shutil
import sys

import pytest

import charlstm
from charlstm.cli.run_training import with_blank
from charlstm.nn.device import parse_device
from charlstm.tokenizers import CharTokenizer
from charlstm.training.plan import probe
from tests.command_line import Cli
from tests.fake_checkpoints import make_checkpoint

LINES = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog met on the mat"]
TEXT = "\n".join(LINES * 40) + "\n"
SMALL = ["--max-steps", "60", "--hidden-size", "32", "--batch-size", "8", "--preview", "0", "--device", "cpu", "-q"]


def command_line(folder, monkeypatch, capsys):
    machine = probe.Machine("cpu", "fp32", 5e10, 8 << 30, "made up")
    monkeypatch.setattr(probe, "probe", lambda device, *_: parse_device(device or "cpu") and machine)
    return Cli(folder, monkeypatch, capsys)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a causal run, ``on``, and a bidirectional one, ``both``."""
    folder = tmp_path_factory.mktemp("fill")
    (folder / "pets.txt").write_text(TEXT)
    machine = probe.Machine("cpu", "fp32", 5e10, 8 << 30, "made up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "probe", lambda *_: machine)
        for name, more in (("on", {}), ("both", {"bidirectional": True})):
            settings = {"max_steps": 60, "hidden_size": 32, "batch_size": 8, "seq_len": 32, "preview": 0, **more}
            places = {"root": folder / "checkpoints", "cache": folder / "cache", "name": name}
            list(charlstm.train(folder / "pets.txt", **places, **settings))
    shutil.copytree(folder / "checkpoints/on", folder / "checkpoints/off-1")
    return folder


@pytest.fixture
def cli(runs, monkeypatch, capsys):
    return command_line(runs, monkeypatch, capsys)


@pytest.mark.parametrize("run", ["on", "both"])
def test_a_blank_is_filled_and_the_text_is_all_of_stdout(cli, run):
    done = cli("fill", run, "the cat s_t on the mat")
    assert (done.code, done.out) == (0, "the cat sat on the mat\n")
    assert run in done.err
    assert ("both sides seen" in done.err) == (run == "both")


@pytest.mark.parametrize("run", ["on", "both"])
def test_several_answers_come_with_their_probabilities_the_likeliest_first(cli, run):
    done = cli("fill", run, "the ___ sat {2} the ___", "-n", "4")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert len(set(lines)) == 4
    shares = [line.split("%")[0].strip("< ") for line in lines]
    assert [int(share) for share in shares] == sorted(map(int, shares), reverse=True)
    assert lines[0].endswith(("sat on the mat", "sat on the log"))


def test_json_holds_the_fillings_and_all_settings(cli):
    done = cli("fill", "on", "the {3} sat", "-n", "2", "--json", "--seed", "3", "-t", "0.5")
    first, second = map(json.loads, done.out.splitlines())
    assert first["text"] == f"the {first['blanks'][0]} sat"
    assert 1 >= first["probability"] >= second["probability"] > 0
    assert (first["seed"], first["temperature"], len(first["sha256"])) == (3, 0.5, 64)


def test_a_seed_repeats_a_draw_and_is_reported(cli):
    first = cli("fill", "on", "the {2-8} sat", "-t", "1.5", "-n", "3", "--seed", "5")
    assert first == cli("fill", "on", "the {2-8} sat", "-t", "1.5", "-n", "3", "--seed", "5")
    assert "seed 5" in first.err
    assert first.out != cli("fill", "on", "the {2-8} sat", "-t", "1.5", "-n", "3", "--seed", "6").out
    assert "seed" not in cli("fill", "on", "the ___ sat").err


def test_half_a_surrogate_pair_is_printed_as_a_question_mark(cli):
    make_checkpoint(cli.folder / "odd/model.safetensors", CharTokenizer("\ud800a"), favour={0: 90.0})
    for more in ([], ["-n", "2"]):
        done = cli("fill", "odd", "a_a", *more)
        assert done.code == 0, done.err
        assert "a?a\n" in done.out


def test_the_text_may_come_from_a_pipe_with_line_ends_of_any_kind(cli, monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the cat s_t on the mat\r\na cat and a d_g met\r\n"))
    )
    done = cli("fill", "both", "-")
    assert (done.code, done.out) == (0, "the cat sat on the mat\na cat and a dog met\n")


def test_without_a_checkpoint_the_newest_run_fills(cli):
    assert "both" in cli("fill", "the ___ sat").err


def test_without_a_checkpoint_the_newest_run_that_can_writes(cli, monkeypatch, tmp_path):
    for command in ("sample", "write"):
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        done = cli(command, "--length", "5")
        assert done.code == 0, done.err
        passed_over, describes = done.err.splitlines()[:2]
        assert passed_over == "passed over, since what fills blanks cannot write: both"
        assert describes.startswith(("checkpoints/on (", "checkpoints/off-1 ("))
    shutil.copytree("checkpoints/both", tmp_path / "only" / "both")
    done = cli("sample", "--length", "5", "--root", str(tmp_path / "only"))
    assert done.err.splitlines()[0].endswith("cannot write: both")
    assert done.err.splitlines()[1].startswith("the starter (1.")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["on", "the cat"], 2, "no blank"),
        (["the cat"], 2, "no blank"),
        (["on", "the {9-2} cat"], 2, "{9-2}"),
        (["on", "two ___", "words"], 2, "in quotes"),
        ([], 2, "there is no text to fill. Try"),
        (["on"], 2, "on is a run, and the text is missing"),
        (["off-1"], 2, "off-1 is a run, and the text is missing"),
        (["nothing", "the ___"], 4, "nothing"),
        (["on", "the ___ é"], 2, "é"),
        (["on", "the ___", "-n", "0"], 2, "-n 0 must be"),
        (["on", "the ___", "-t", "-1"], 2, "--temperature -1 must be"),
        (["on", "the ___", "--seed", "-1"], 2, "--seed -1 must be from 0 to 18446744073709551615"),
        (["on", "the ___", "-t", "1", "--seed", str(2**64)], 2, "must be from 0 to 18446744073709551615"),
        (["on", "the {" + "9" * 5000 + "}"], 2, "no such blank: {999"),
        (["on", "the ___", "--unknown", "guess"], 2, "--unknown"),
    ],
)
def test_every_mistake_is_one_line(cli, words, code, message):
    done = cli("fill", *words)
    assert done.code == code
    assert done.out == ""
    assert message in done.err
    assert done.err.count("\n") == 1


def test_unknown_characters_can_be_mapped(cli):
    done = cli("fill", "on", "thé ___ sat", "--unknown", "map")
    assert done.code == 0
    assert done.out.startswith("thé ")
    assert "text: 'é'" in done.err
    assert "read as 'e'" in done.err


@pytest.mark.parametrize("command", ["sample", "write"])
def test_a_bidirectional_network_cannot_write_and_says_so(cli, command):
    done = cli(command, "both")
    assert done.code == 3
    assert "cannot write" in done.err
    assert "charlstm fill" in done.err
    assert cli("lab", "gradient", "both").code == 3


def test_a_bidirectional_run_is_scored_listed_verified_and_resumed(cli):
    score = json.loads(cli("eval", "both", "pets.txt", "--json").out)
    assert score["tokens"] == len(TEXT)
    assert 0 < score["nats_per_token"] < json.loads(cli("eval", "on", "pets.txt", "--json").out)["nats_per_token"]
    assert score["compressors_bits_per_byte"] == {}
    shown = cli("eval", "both", "pets.txt")
    assert "both sides" in shown.err
    assert "gzip" not in shown.out
    assert "1×32 bi" in cli("checkpoints", "list").out
    assert cli("checkpoints", "verify", "both").code == 0
    resumed = cli("train", "--resume", "both", "--max-steps", "64")
    assert resumed.code == 0, resumed.err
    example = shlex.split(re.search("with: (.*)", resumed.err)[1])
    assert example[:3] == ["charlstm", "fill", "both"]
    assert cli(*example[1:]).code == 0


@pytest.mark.parametrize(
    ("passage", "typed"),
    [
        ("short\nthe longer line\n", "'the lon_er line'"),
        ("it's {odd}\nits even\n", "'its _ven'"),
        ("\0\1\ufffd\n", "_"),
        ("", "_"),
    ],
)
def test_the_gap_that_is_shown_can_be_typed(passage, typed):
    assert with_blank(passage) == typed


def test_fine_tuning_a_bidirectional_run_keeps_the_mask_and_grows_the_alphabet(cli):
    (cli.folder / "new.txt").write_text("the bird and the zebra: ünder\n" * 40)
    more = ["--max-steps", "2", "--preview", "0", "-q"]
    assert cli("train", "new.txt", "--init-from", "both", "-n", "tuned", *more).code == 0
    assert cli("fill", "tuned", "the b_rd").code == 0
    for run in ("on", "starter"):
        refused = cli("train", "new.txt", "--init-from", run, "--bidirectional", *more)
        assert refused.code == 2
        assert "bidirectional" in refused.err
    cli("checkpoints", "rm", "tuned", "--yes")


def test_settings_that_exclude_bidirectional_are_an_error_before_anything_is_read(cli):
    for more, message in ((["--attention"], "looks back only"), (["--windows", "stateful"], "shuffled")):
        done = cli("train", "pets.txt", "--bidirectional", *more, *SMALL)
        assert done.code == 2
        assert message in done.err


def test_models_of_bytes_and_word_pieces_fill_too(cli):
    for kind in ("byte", "unigram"):
        vocab = ["--vocab-size", "270"] if kind == "unigram" else []
        assert cli("train", "pets.txt", "--tokenizer", kind, *vocab, *SMALL, "-n", kind).code == 0
        done = cli("fill", kind, "the {1-4} sat on the mat", "-n", "3")
        assert done.code == 0, done.err
        assert len(done.out.splitlines()) == 3
        cli("checkpoints", "rm", kind, "--yes")


def test_a_preview_shows_filled_blanks(cli):
    more = ["--max-steps", "20", "--preview", "80", "-n", "shown", "--force", "--device", "cpu"]
    done = cli("train", "pets.txt", "--bidirectional", "--hidden-size", "16", "--seq-len", "32", *more)
    assert done.code == 0
    assert "[" in done.err.split("step 20: val")[1]
    cli("checkpoints", "rm", "shown", "--yes")


def test_the_bits_of_a_bidirectional_run_are_labelled(cli):
    err = cli("fill", "both", "the c_t").err
    assert "bits/character, both sides seen)" in err
    assert math.isfinite(float(err.split("(")[1].split()[0]))


def test_too_few_answers_are_reported(cli):
    done = cli("fill", "on", "the _ sat", "-n", "100")
    assert done.code == 0
    assert len(done.out.splitlines()) < 100
    assert f"there are only {len(done.out.splitlines())} different answers" in done.err
