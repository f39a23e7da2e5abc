"""``charlstm train`` as a person uses it: options, messages, files on disk, exit codes."""

import dataclasses
import io
import json
import os
import re
import signal
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from rich.console import Console

from charlstm import events
from charlstm.checkpoint import format as checkpoint_format
from charlstm.cli import options
from charlstm.cli.views import plan
from charlstm.errors import UsageError
from charlstm.nn.device import parse_device
from charlstm.tokenizers import from_state
from charlstm.training import prepare as preparing
from charlstm.training.plan import probe
from charlstm.training.resume import resume
from tests.command_line import Cli, start

SMALL = [
    "--max-steps",
    "6",
    "--hidden-size",
    "8",
    "--num-layers",
    "1",
    "--preview",
    "20",
    "--seed",
    "3",
    "--device",
    "cpu",
]
TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 30


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    # The probe has a test of its own; here the machine is always the same.
    machine = probe.Machine("cpu", "fp32", 5e10, 8 << 30, "made up")
    monkeypatch.setattr(probe, "probe", lambda device, *_: parse_device(device or "cpu") and machine)
    (tmp_path / "my.txt").write_text(TEXT)
    return Cli(tmp_path, monkeypatch, capsys)


def test_train_then_sample(cli):
    done = cli("train", "my.txt", *SMALL)
    assert done.code == 0, done.err
    assert done.out == ""
    assert f"{len(TEXT) / 1000:.3g} k characters" in done.err
    assert "charlstm sample my-1" in done.err
    assert {path.name for path in (cli.folder / "checkpoints/my-1").iterdir()} >= {
        "model.safetensors",
        "resume.safetensors",
        "metrics.jsonl",
    }
    sampled = cli("sample", "--length", "20", "--seed", "1")
    assert sampled.code == 0
    assert "my-1" in sampled.err
    assert len(sampled.out) == 20
    assert set(sampled.out) <= set(TEXT)


def test_the_second_run_gets_the_next_number(cli):
    for _ in range(2):
        assert cli("train", "my.txt", *SMALL, "-q").code == 0
    assert sorted(path.name for path in (cli.folder / "checkpoints").iterdir()) == ["my-1", "my-2"]


@pytest.mark.parametrize("name", ["with space", "日本語", "a.b-c_d"])
def test_names_of_every_kind(cli, name):
    done = cli("train", "my.txt", *SMALL, "--name", name)
    assert done.code == 0, done.err
    assert cli("sample", name, "--length", "5").code == 0
    again = cli("train", "my.txt", *SMALL, "--name", name)
    assert again.code == 2
    assert "already" in again.err
    assert cli("train", "my.txt", *SMALL, "--name", name, "--force").code == 0


def test_out_is_the_runs_folder(cli):
    assert cli("train", "my.txt", *SMALL, "--out", "else where/run").code == 0
    assert (cli.folder / "else where/run/model.safetensors").exists()
    assert not (cli.folder / "checkpoints").exists()
    assert cli("train", "my.txt", *SMALL, "--out", "else where/run").code == 2


def test_dry_run_shows_everything_and_writes_nothing(cli):
    shown = cli("train", "my.txt", "--dry-run")
    assert shown.code == 0, shown.err
    for word in ("parameters", "memory", "steps", "time", "model.safetensors", "hidden_size", "lr", "5 minutes"):
        assert word in shown.out
    assert not (cli.folder / "checkpoints").exists()


@pytest.mark.parametrize("width", [40, 80])
def test_the_plan_fits_the_terminal_without_breaking_words(cli, monkeypatch, width):
    out = io.StringIO()
    monkeypatch.setattr("charlstm.training.rehearsal.measure", lambda *_: 123_000_000)
    wide = cli("train", "my.txt", "--dry-run", "--name", "run").out
    monkeypatch.setattr(plan, "stdout_console", lambda: Console(file=out, width=width, color_system=None))
    assert cli("train", "my.txt", "--dry-run", "--name", "run").code == 0
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert out.getvalue().split() == wide.split()
    rows = len(wide.splitlines())
    assert len(lines) < (2.0 if width == 40 else 1.3) * rows, "a column is only a word or two wide"


def test_json_is_one_event_per_line(cli):
    done = cli("train", "my.txt", *SMALL, "--json")
    told = [events.from_json(line) for line in done.out.splitlines()]
    assert isinstance(told[0], events.Started)
    assert isinstance(told[-1], events.Stopped)
    assert sum(isinstance(event, events.StepDone) for event in told) == 6


@pytest.mark.parametrize(
    "text",
    [
        "ab",
        "x" * 60,
        "天地玄黃宇宙洪荒日月盈昃辰宿列張\n" * 20,
        "emoji 🎉🇫🇷👩‍👩‍👧 and e\u0301\n" * 20,
        "windows\r\nlines\r\n" * 20,
        "\x00\x1b[31m control\n" * 20,
    ],
    ids=["two characters", "60 bytes", "chinese", "emoji", "windows", "control"],
)
def test_any_text_trains_and_samples(cli, text):
    (cli.folder / "odd.txt").write_bytes(text.encode())
    done = cli("train", "odd.txt", *SMALL, "--name", "odd")
    if "\x00" in text:
        assert done.code == 2
        assert "--tokenizer byte takes any file" in done.err
        done = cli("train", "odd.txt", *SMALL, "--name", "odd", "--tokenizer", "byte")
    assert done.code == 0, done.err
    assert cli("sample", "odd", "--length", "30").code == 0


@pytest.mark.parametrize("kind", ["byte", "unigram", "bpe"])
def test_every_tokenizer(cli, kind):
    vocab = () if kind == "byte" else ("--vocab-size", "280")
    done = cli("train", "my.txt", *SMALL, "--tokenizer", kind, *vocab, "--name", kind)
    assert done.code == 0, done.err
    assert cli("sample", kind, "--length", "10").code == 0


@pytest.mark.parametrize(
    ("network", "told"),
    [
        *((["--cell", cell], cell) for cell in ("rnn", "gru", "peephole")),
        (["--attention"], "attention_window 256"),
        (["--ensemble", "3"], "3 of 1×"),
    ],
)
def test_every_network_trains_resumes_writes_and_scores(cli, network, told):
    assert cli("train", "my.txt", *SMALL, *network, "--max-steps", "4", "-q").code == 0
    gone_on = cli("train", "--resume", "my-1", "--max-steps", "8")
    assert gone_on.code == 0, gone_on.err
    text = cli("sample", "my-1", "--length", "30", "--seed", "1")
    assert (text.code, len(text.out.rstrip("\n"))) == (0, 30)
    assert cli("eval", "my-1", "my.txt", "--json").code == 0
    shown = cli("checkpoints", "show", "my-1").out
    assert told in " ".join(shown.split())


def test_for_a_model_of_bytes_every_unit_is_bytes(cli):
    octets = bytes(range(256)) * 150
    (cli.folder / "disk.img").write_bytes(octets)
    done = cli("train", "disk.img", *SMALL, "--tokenizer", "byte", "--name", "disk")
    assert "38.4 k bytes" in done.err
    bits = checkpoint_format.read(cli.folder / "checkpoints/disk/model.safetensors").provenance.val_loss / np.log(2)
    assert f"{bits:.3f} bits/byte" in done.err
    shown = cli("checkpoints", "show", "disk").out
    assert re.search(rf"bits/byte +{bits:.4f}", shown)
    listed = cli("checkpoints", "list").out
    assert f"{bits:.3f}/byte" in listed
    assert f"({bits:.2f} bits/byte)" in cli("sample", "disk", "--length", "2").err
    (cli.folder / "a.txt").write_text("some text")
    scored = cli("eval", "disk", "a.txt").out
    assert "bits per byte" in scored
    for said in (done.err, scored):
        assert "char" not in said.replace("charlstm", "")
    assert "bits/char" not in shown
    assert json.loads(cli("checkpoints", "list", "--json").out)[0]["bits_per_byte"] == pytest.approx(bits)


def test_subword_models_are_scored_per_character(cli):
    text = "the ferryman and the ferryman's boat, and the ferryman's goose\n" * 60
    (cli.folder / "boat.txt").write_text(text)
    done = cli("train", "boat.txt", *SMALL, "--tokenizer", "bpe", "--json", "--name", "pieces")
    told = [events.from_json(line) for line in done.out.splitlines()]
    started, evaluated = told[0], next(event for event in told if isinstance(event, events.EvalDone))
    tokenizer = from_state(checkpoint_format.read(cli.folder / "checkpoints/pieces/model.safetensors").tokenizer)
    ids = tokenizer.encode(text)
    assert len(ids) < len(text) == len(tokenizer.decode(ids))
    characters = len(tokenizer.decode(ids[-started.val_tokens :]))
    nats = evaluated.val_loss * started.val_tokens
    assert evaluated.bits_per_char == pytest.approx(nats / np.log(2) / characters)
    assert f"{evaluated.bits_per_char:.2f} bits/character" in cli("sample", "pieces", "--length", "2").err


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["nowhere.txt"], 4, "nowhere.txt"),
        (["empty.txt"], 2, "empty"),
        (["one.txt"], 2, "too short"),
        (["latin.txt"], 2, "use --encoding cp1252"),
        (["my.txt", "--preset", "huge"], 4, "tiny"),
        (["my.txt", "--config", "none.toml"], 4, "none.toml"),
        (["my.txt", "--max-time", "soon"], 2, "90s, 5m"),
        (["my.txt", "--max-time", "0"], 2, "length of time"),
        (["my.txt", "--hidden-size", "-4"], 2, "--hidden-size -4"),
        (["my.txt", "--hidden-size", "many"], 2, "--hidden-size"),
        (["my.txt", "--hidden-size", "0"], 2, "--hidden-size 0 must be a whole number of at least 1"),
        (["my.txt", "--lr", "0"], 2, "--lr 0 must be a number above 0"),
        (["my.txt", "--max-time", ""], 2, "length of time"),
        (["my.txt", "--dropout", "1.5"], 2, "dropout"),
        (["my.txt", "--no-such-option"], 2, "--no-such-option"),
        (["my.txt", "--name", "a/b"], 2, "a/b"),
        (["my.txt", "--name", ".."], 2, ".."),
        (["my.txt", "--name", "latest"], 2, "latest"),
        (["my.txt", "--name", "a", "--out", "b"], 2, "--out"),
        (["my.txt", "--tokenizer", "words"], 2, "tokenizer"),
        (["my.txt", "--hidden-size", "60000"], 5, "GB"),
        (["my.txt", "--init-from", "nothing"], 4, "nothing"),
        (["--resume", "nothing"], 4, "nothing"),
        (["my.txt", "--device", "toaster"], 2, "toaster"),
    ],
)
def test_every_mistake_is_one_line_and_leaves_no_files(cli, args, code, told):
    (cli.folder / "empty.txt").write_bytes(b"")
    (cli.folder / "one.txt").write_bytes(b"x")
    (cli.folder / "latin.txt").write_bytes("déjà vu, café ".encode("latin-1") * 20)
    done = cli("train", *args)
    assert done.code == code, done.err
    assert told in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert not (cli.folder / "checkpoints").exists()


def test_several_sources_and_stdin(cli, monkeypatch):
    (cli.folder / "more").mkdir()
    (cli.folder / "more/a.txt").write_text(TEXT)
    assert cli("train", "my.txt", "more", "m*.txt", *SMALL).code == 0

    class Pipe:
        buffer = io.BytesIO(TEXT.encode())

    monkeypatch.setattr("sys.stdin", Pipe)
    assert cli("train", "-", *SMALL).code == 0
    empty = cli("train", "-", *SMALL)
    assert (empty.code, empty.err) == (2, "charlstm: standard input: empty, so there is nothing to read\n")
    assert (cli.folder / "checkpoints/stdin-1").is_dir()


def test_a_run_that_saved_nothing_leaves_no_folder(cli):
    assert cli("train", "my.txt", *SMALL, "--lr", "1e38", "--grad-clip", "1e30", "--max-steps", "50", "-q").code == 7
    assert list((cli.folder / "checkpoints").iterdir()) == []


def test_a_damaged_model_is_written_again_when_the_run_is_resumed(cli):
    assert cli("train", "my.txt", *SMALL).code == 0
    model = cli.folder / "checkpoints/my-1/model.safetensors"
    model.write_bytes(model.read_bytes()[:-100])
    assert cli("sample", "my-1", "--length", "5").code == 3
    assert cli("train", "--resume", "my-1").code == 0
    assert cli("sample", "my-1", "--length", "5").code == 0


def test_a_used_up_budget_is_reported(cli):
    assert cli("train", "my.txt", *SMALL).code == 0
    assert "used up" in cli("train", "--resume", "my-1").err


def test_ctrl_c_before_the_first_step_keeps_the_run(cli, monkeypatch):
    from charlstm.training import prepare as preparing

    begin = preparing.begin

    def interrupted(*args, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return begin(*args, **options)

    monkeypatch.setattr(preparing, "begin", interrupted)
    done = cli("train", "my.txt", *SMALL)
    assert done.code == 130
    assert "charlstm train --resume my-1" in done.err
    assert cli("train", "--resume", "my-1").code == 0


def test_a_run_is_resumed_and_says_where(cli):
    assert cli("train", "my.txt", *SMALL).code == 0
    on = cli("train", "--resume", "my-1", "--max-steps", "9")
    assert on.code == 0, on.err
    assert "after step 6" in on.err
    assert checkpoint_format.read(cli.folder / "checkpoints/my-1/resume.safetensors").provenance.step == 9
    refused = cli("train", "--resume", "my-1", "--lr", "0.1")
    assert refused.code == 2
    assert "--lr" in refused.err


def test_verify_looks_inside_a_resume_file(cli):
    cli("train", "my.txt", *SMALL)
    path = cli.folder / "checkpoints" / "my-1" / "resume.safetensors"
    assert cli("checkpoints", "verify", "my-1").code == 0
    saved = checkpoint_format.read(path)
    saved.tensors["generator"].fill(7)
    checkpoint_format.write(path, saved)
    for command in (("checkpoints", "verify", "my-1"), ("train", "--resume", "my-1", "--max-steps", "9")):
        done = cli(*command)
        assert done.code == 3
        assert "random generator cannot be used" in (done.out + done.err).replace("\n", " ")


def test_where_the_cache_cannot_be_another_place_is_advised_and_that_works(cli):
    """A home folder that cannot be written, or something else where the cache should be: nobody has chosen it."""
    (cli.folder / "cache").write_text("a file")
    refused = cli("train", "my.txt", *SMALL, "-q")
    assert refused.code == 6
    assert " ".join(refused.err.split()).endswith("The cache can be in another folder: --cache.")
    assert cli("train", "my.txt", *SMALL, "-q", "--cache", "elsewhere").code == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["sampel"], "No such command 'sampel'. Did you mean 'sample'? See: charlstm --help"),
        (["serve", "--port", "99999"], "it must be less than or equal to 65535. See: charlstm serve --help"),
        (["sample", "--length", "x"], "it must be a valid integer. See: charlstm sample --help"),
    ],
)
def test_what_the_parser_refuses_is_a_sentence(cli, typed, told):
    refused = cli(*typed)
    assert refused.code == 2
    assert " ".join(refused.err.split()).endswith(told)


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_without_its_resume_file_a_run_is_still_something_to_begin_with(cli, damage):
    """What the error advises is typed as it stands there."""
    assert cli("train", "my.txt", *SMALL, "-q").code == 0
    path = cli.folder / "checkpoints" / "my-1" / "resume.safetensors"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-9] if damage == "cut" else whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    refused = cli("train", "--resume", "my-1", "--max-steps", "9")
    assert refused.code == (4 if damage == "missing" else 3)
    advised = re.search(r"A new run with (--init-from \S+) begins with its weights\.$", refused.err.strip())
    begun = cli("train", "my.txt", *advised[1].split(), "--max-steps", "2", "-q")
    assert (begun.code, (cli.folder / "checkpoints" / "my-2" / "model.safetensors").exists()) == (0, True)
    (cli.folder / "checkpoints" / "my-1" / "model.safetensors").unlink()
    assert "--init-from" not in cli("train", "--resume", "my-1", "--max-steps", "9").err


def test_a_run_is_not_resumed_on_a_changed_text(cli):
    assert cli("train", "my.txt", *SMALL).code == 0
    (cli.folder / "my.txt").write_text(TEXT.replace("fox", "cat"))
    for path in (cli.folder / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    refused = cli("train", "--resume", "my-1", "--max-steps", "9")
    assert refused.code == 2
    assert "no longer" in refused.err
    (cli.folder / "my.txt").write_text(TEXT + "é")
    assert "no longer" in cli("train", "--resume", "my-1", "--max-steps", "9").err, "nor one with a new character"


def test_the_text_may_change_or_vanish_while_it_is_in_the_cache_which_is_reported(cli):
    def told(steps):
        done = cli("train", "--resume", "my-1", "--max-steps", str(steps))
        assert done.code == 0, done.err
        return [line for line in done.err.splitlines() if "as it was" in line]

    assert cli("train", "my.txt", *SMALL).code == 0
    assert told(7) == []
    (cli.folder / "my.txt").write_text(TEXT.replace("fox", "cat"))
    assert told(8) == ["my.txt: changed since this run began; the run continues with the text as it was."]
    (cli.folder / "my.txt").unlink()
    assert len(told(9)) == 1
    (cli.folder / "my.txt").write_text(TEXT)
    assert told(10) == []


def test_fine_tuning_grows_the_alphabet_and_keeps_the_weights_of_known_characters(cli):
    assert cli("train", "my.txt", *SMALL).code == 0
    (cli.folder / "new.txt").write_text("façade naïve ünder 42\n" * 40)
    done = cli("train", "new.txt", "--init-from", "my-1", "--max-steps", "1", "--lr", "1e-9", "--average", "0", "-q")
    assert done.code == 0, done.err
    old = checkpoint_format.read(cli.folder / "checkpoints/my-1/model.safetensors")
    new = checkpoint_format.read(cli.folder / "checkpoints/new-1/model.safetensors")
    assert (old.provenance.init_from, new.provenance.init_from) == ("", f"my-1 {old.sha256}")
    assert cli("train", "--resume", "new-1", "--max-steps", "2", "-q").code == 0
    resumed = checkpoint_format.read(cli.folder / "checkpoints/new-1/resume.safetensors")
    assert resumed.provenance.init_from == new.provenance.init_from
    assert resumed.words == old.words != new.words, "words that it knew before are still real"
    before, after = old.tokenizer["alphabet"], new.tokenizer["alphabet"]
    assert set(after) == set(before) | set("façade naïve ünder 42\n")
    for character in before:
        np.testing.assert_allclose(
            new.tensors["embedding.weight"][after.index(character)],
            old.tensors["embedding.weight"][before.index(character)],
            atol=1e-6,
        )
    recalled = [
        saved.tensors["side_inputs.match.weight"].reshape(2, 1 + len(alphabet), -1)
        for saved, alphabet in ((old, before), (new, after))
    ]
    assert recalled[0].any()
    places = [0, *(1 + after.index(character) for character in before)]
    np.testing.assert_allclose(recalled[1][:, places], recalled[0], atol=1e-6)
    refused = cli("train", "new.txt", "--init-from", "my-1", "--hidden-size", "16", "--max-steps", "1")
    assert refused.code == 2
    assert "--hidden-size is 8" in refused.err


def test_fine_tuning_can_learn_an_unknown_symbol(cli):
    assert cli("train", "my.txt", *SMALL).code == 0
    (cli.folder / "new.txt").write_text(TEXT + "é")
    done = cli("train", "new.txt", "--init-from", "my-1", "--min-count", "3", "--max-steps", "1", "-q")
    assert done.code == 0, done.err
    new = checkpoint_format.read(cli.folder / "checkpoints/new-1/model.safetensors")
    assert new.tokenizer["unknown"]
    assert "é" not in new.tokenizer["alphabet"]
    again = cli("train", "new.txt", "--init-from", "new-1", "--max-steps", "1", "-q", "--name", "again")
    assert again.code == 0, again.err


def test_fine_tuning_keeps_the_ngram_table_but_not_its_dropout(cli):
    assert cli("train", "my.txt", *SMALL, "--ngram-order", "4", "--ngram-dropout", "0.2").code == 0
    (cli.folder / "new.txt").write_text("façade naïve ünder 42\n" * 40)
    tuned = ("--init-from", "my-1", "--max-steps", "1", "--lr", "1e-9", "--average", "0", "-q")
    assert cli("train", "new.txt", *tuned, "--ngram-dropout", "0.3").code == 0
    old, new = (
        checkpoint_format.read(cli.folder / f"checkpoints/{name}/model.safetensors") for name in ("my-1", "new-1")
    )
    assert (new.architecture.settings()["ngram_order"], new.architecture.settings()["ngram_dropout"]) == (4, 0.3)
    table = old.tensors["side_inputs.ngrams.weight"]
    assert table.any()
    np.testing.assert_allclose(new.tensors["side_inputs.ngrams.weight"], table, atol=1e-6)


def test_options_override_the_file_which_overrides_the_preset(cli):
    (cli.folder / "run.toml").write_text("[model]\nhidden_size = 24\nnum_layers = 2\n[train]\nmax_steps = 5\n")
    shown = cli("train", "my.txt", "--preset", "small", "--config", "run.toml", "--num-layers", "3", "--dry-run")
    assert shown.code == 0, shown.err
    lines = {line.split()[0]: line.split()[1] for line in shown.out.splitlines() if line.startswith("model.")}
    assert (lines["model.hidden_size"], lines["model.num_layers"], lines["model.embedding_size"]) == ("24", "3", "64")


def test_other_programs_names_of_options_work_but_are_not_shown(cli):
    shown = cli("train", "my.txt", "--rnn-size", "24", "--seq-length", "9", "--learning-rate", "0.5", "--dry-run")
    assert shown.code == 0, shown.err
    lines = {line.split()[0]: line.split()[1] for line in shown.out.splitlines() if "." in line.split(" ")[0]}
    assert (lines["model.hidden_size"], lines["data.seq_len"], lines["train.lr"]) == ("24", "9", "0.5")
    assert "--rnn-size" not in cli("train", "--help").out


def test_divergence_has_its_own_exit_code(cli):
    done = cli("train", "my.txt", *SMALL, "--lr", "1e38", "--max-steps", "50", "--grad-clip", "1e30", "--quiet")
    assert done.code == 7
    assert "learning rate" in done.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400)]
)
def test_durations(text, seconds):
    assert options.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5x", "m", "-5m", "5m3", "0", "five", "1h 30"])
def test_invalid_durations(text):
    with pytest.raises(UsageError):
        options.seconds(text)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_says_how_to_resume_and_that_works(cli, tmp_path, number, code):
    (tmp_path / "my.txt").write_text(TEXT)
    process = start(
        "train", "my.txt", "--epochs", "1e6", "--hidden-size", "8", "--json", "--threads", "1", folder=tmp_path
    )
    for line in process.stdout:
        if '"StepDone"' in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "charlstm train --resume my-1" in err
    assert json.loads(out.splitlines()[-1])["reason"] == "interrupted"
    again = cli("train", "--resume", "my-1", "--max-time", "1s", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out.splitlines()[0])["step"] >= 1


def test_a_setting_that_changes_nothing_may_be_repeated(cli):
    assert cli("train", "my.txt", *SMALL, "--max-steps", "3", "-q").code == 0
    again = cli("train", "my.txt", *SMALL, "--resume", "my-1", "--max-steps", "5", "-q")
    assert again.code == 0, again.err
    refused = cli("train", "my.txt", *SMALL, "--seed", "9", "--resume", "my-1", "--max-steps", "7")
    assert refused.code == 2
    assert "--seed cannot be changed" in refused.err


def test_only_budget_and_device_may_change_on_resume(cli):
    assert cli("train", "my.txt", *SMALL, "--max-steps", "3", "-q").code == 0
    more = cli("train", "--resume", "my-1", "--max-steps", "5", "--threads", "1", "--precision", "bf16", "-q")
    assert more.code == 0, more.err
    kept = checkpoint_format.read(cli.folder / "checkpoints/my-1/resume.safetensors")
    assert kept.provenance.step == 5
    assert kept.run.train.threads == 1
    assert kept.run.train.precision == "fp32"  # that of the fake machine
    for args, told in ((("--device", "toaster"), "toaster"), (("--threads", "0"), "--threads 0 must be"),
                       (("--force",), "cannot be changed")):  # fmt: skip
        refused = cli("train", "--resume", "my-1", *args)
        assert (refused.code, refused.err.count("\n")) == (2, 1), refused.err
        assert told in refused.err


def test_a_resume_without_a_name_is_one_line(cli):
    for others in (("--max-time", "50s"), ("-q",)):
        refused = cli("train", "--resume", *others)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "--resume needs a run's name" in refused.err


def test_a_run_is_resumed_without_its_device(cli):
    assert cli("train", "my.txt", *SMALL, "-q").code == 0
    path = cli.folder / "checkpoints/my-1/resume.safetensors"
    saved = checkpoint_format.read(path)
    train = msgspec.structs.replace(saved.run.train, device="cuda", precision="fp16")
    saved = dataclasses.replace(saved, run=saved.run.replace(train=train))
    saved.tensors["generator"] = np.zeros(16, np.uint8)  # a GPU's has another size
    checkpoint_format.write(path, saved)
    there = cli("train", "--resume", "my-1", "--max-steps", "9")
    assert (there.code, there.err.count("\n")) == (2, 1)
    assert "--device cpu" in there.err
    here = cli("train", "--resume", "my-1", "--max-steps", "9", "--device", "cpu", "-q")
    assert here.code == 0, here.err
    assert checkpoint_format.read(path).provenance.step == 9


def rewrite_settings(path, change):
    """Write a checkpoint with settings that no charlstm would write, and the right digest."""
    saved = checkpoint_format.read(path)
    settings = saved.run.to_plain()
    change(settings)
    run = SimpleNamespace(to_plain=lambda: settings)
    checkpoint_format.write(path, dataclasses.replace(saved, run=run))


def test_unknown_settings_in_a_checkpoint_are_one_line(cli):
    assert cli("train", "my.txt", *SMALL, "-q").code == 0
    for name in ("model", "resume"):
        path = cli.folder / f"checkpoints/my-1/{name}.safetensors"
        rewrite_settings(path, lambda settings: settings["model"].update(warp=9))
    for args in ("--resume my-1", "my.txt --init-from my-1", "my.txt --resume auto --name my-1"):
        refused = cli("train", *args.split())
        assert (refused.code, refused.err.count("\n")) == (3, 1), refused.err
        assert "warp'" in refused.err
    scored = cli("eval", "my-1", "my.txt")
    assert (scored.code, scored.err.count("\n")) == (3, 1), scored.err


def test_after_a_kill_a_worse_model_does_not_replace_the_saved_one(cli):
    given = {
        "model": {"hidden_size": 8, "num_layers": 1},
        "data": {"sources": ("my.txt",)},
        "train": {"max_steps": 12, "eval_every": 4, "preview": 0, "threads": 1, "device": "cpu", "precision": "fp32"},
    }
    folder, cache = cli.folder / "run", cli.folder / "cache"
    folder.mkdir()
    steps = iter([False, True])
    list(preparing.begin(preparing.prepare(given, cache), folder).events(lambda: next(steps)))
    early = (folder / "resume.safetensors").read_bytes()  # of step 2; nothing was scored yet
    list(resume(folder, cache, {}).events())
    model = folder / "model.safetensors"
    best, whole = model.read_bytes(), checkpoint_format.read(model)
    assert whole.provenance.val_loss is not None
    (folder / "resume.safetensors").write_bytes(early)
    told = list(resume(folder, cache, {}).events(lambda: True))
    assert told[-1].reason == "interrupted"
    assert model.read_bytes() == best
    told = list(resume(folder, cache, {}).events())
    again = checkpoint_format.read(model)
    assert told[-1].best_val_loss == again.provenance.val_loss == whole.provenance.val_loss
    assert again.provenance.step == whole.provenance.step


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_run_with_no_step_left_ends_normally_on_a_terminal(tmp_path):
    import pty

    (tmp_path / "my.txt").write_text(TEXT)
    first = start("train", "my.txt", *SMALL[2:], "--max-steps", "100000000", "--json", folder=tmp_path)
    steps = 0
    while steps < 3:
        steps += '"StepDone"' in first.stdout.readline()
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    leader, follower = pty.openpty()
    again = start("train", "--resume", "my-1", "--max-steps", "1", folder=tmp_path, stdout=follower, stderr=follower)
    os.close(follower)
    assert again.wait(60) == 0, os.read(leader, 10000)
    os.close(leader)


def test_a_resume_reads_a_text_again_only_if_its_files_have_changed(cli, monkeypatch):
    from charlstm.corpora.read import Corpus

    assert cli("train", "my.txt", *SMALL, "-q").code == 0
    hashed, sha256 = [], Corpus.sha256
    monkeypatch.setattr(Corpus, "sha256", lambda self, **view: hashed.append(1) or sha256(self, **view))
    assert cli("train", "--resume", "my-1", "--max-steps", "7", "-q").code == 0
    assert not hashed
    (cli.folder / "my.txt").touch()
    done = cli("train", "--resume", "my-1", "--max-steps", "8")
    assert (done.code, len(hashed)) == (0, 1)
    assert "changed" not in done.err
    (cli.folder / "my.txt").write_text(TEXT + "more")
    done = cli("train", "--resume", "my-1", "--max-steps", "9")
    assert "my.txt: changed since this run began" in done.err
