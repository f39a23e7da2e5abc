"""A process that reads one changed file after another, in little memory, and tells what went wrong.

``python -m tests.torture.hostile_child KIND FOLDER FIRST COUNT`` reads the changed files with these numbers. What is
wrong with one is printed as a line of JSON; the number it is at stands in ``FOLDER/at``, so that a crash of the
interpreter can be traced to a file. The last line says how many files were refused, and how many were used.

``python -m tests.torture.hostile_child KIND FOLDER one PLACE`` reads the file that comes on stdin.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.spelling import error_line
from charlstm.cli.views.terminal import say
from charlstm.errors import CharlstmError, OutOfMemoryError
from charlstm.events import Started, to_json
from charlstm.report.visible import visible
from tests.torture import mutations

if TYPE_CHECKING:
    from charlstm.config import DataConfig
    from charlstm.corpora.encode import Encoded

SECONDS = 2.0
"""Of this process's time, for each file."""
MEMORY = 200 << 20
"""Bytes beyond what the process has before the first file."""
LONGEST = 1500
"""Characters of an error, at most."""


class TooSlow(BaseException):
    """The time for one file is over; not caught by anything that reads files."""


class Kind:
    """A kind of file: its whole ones, how they are changed, and what is done with a changed one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def whole(self) -> Iterator[tuple[str, bytes]]:
        """Yield the files before any change, each with its name."""
        raise NotImplementedError

    def change(self, chance: random.Random, data: bytes) -> bytes:
        """Return a changed file."""
        return mutations.bytes_changed(chance, data)

    def use(self, path: Path) -> None:
        """Do what a person does with such a file."""
        raise NotImplementedError


def command(*words: str) -> str:
    """Run a command of charlstm; what it printed.

    Raises:
        CharlstmError: it failed with one.
    """
    from charlstm.cli import app

    out, said, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["charlstm", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            app.app(prog_name="charlstm", standalone_mode=False)
    finally:
        sys.argv = before
    check_printable(said.getvalue())
    return out.getvalue()


def put(path: Path, data: bytes) -> None:
    """Put a file in the place of another, which may still be mapped; its folder may be gone."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def check_printable(text: str) -> None:
    """Check that no character of a text can command a terminal."""
    odd = [character for character in text if character not in "\n\t" and visible(character) != character]
    odd += [character for character in text if unicodedata.category(character) == "Cs"]
    if odd:
        raise AssertionError(f"printed {odd[0]!r}")


def check_error(fault: CharlstmError) -> None:
    """Check that an error is one clear line."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        say(error_line(fault))
    line = said.getvalue()
    check_printable(line)
    if line.count("\n") != 1 or len(line) > LONGEST:
        raise AssertionError(f"an error of {len(line)} characters in {line.count(chr(10))} lines: {line[:200]!r}")


class Models(Kind):
    """Checkpoints of models."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        yield from self._samples()

    def _samples(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.folder.glob("whole-*.safetensors")):
            yield "model.safetensors", path.read_bytes()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        return mutations.checkpoint_changed(chance, data)

    def use(self, path: Path) -> None:
        from charlstm.checkpoint import format as checkpoint_format

        for look in (checkpoint_format.read_header, checkpoint_format.read_model_header):
            with contextlib.suppress(CharlstmError):
                look(path)
        checkpoint = checkpoint_format.read_model(path)
        try:
            use_model(checkpoint, path)
        except CharlstmError as fault:
            if fault.hint != OUT_OF_RANGE:
                raise AssertionError(f"passed its check, and then: {fault}") from fault
            raise


OUT_OF_RANGE = "The weights are damaged, or training diverged."


def use_model(checkpoint: Any, path: Path) -> None:
    """Write, fill, score and show."""
    from charlstm.api.model import Model

    model = Model(checkpoint)
    check_printable(command("checkpoints", "show", str(path)))
    text = "".join(model.tokenizer.decode([token]) for token in range(min(6, model.tokenizer.vocab_size)))
    text = "".join(character for character in text if not model.tokenizer.unknown_characters(character))
    if model.bidirectional:
        model.fill(f"{text}{{2}}", candidates=4, unknown="skip")
    else:
        written = model.generate(length=20, seed=1, stop=())
        assert isinstance(written, str)
    if text:
        model.score(text)


class Subwords(Models):
    """Models of subwords whose SentencePiece model is changed."""

    def _samples(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.folder.glob("whole-*subwords*.safetensors")):
            yield "model.safetensors", path.read_bytes()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        return mutations.sentencepiece_changed(chance, data)


class Resumes(Kind):
    """Resume files beside their models."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted((self.folder / "runs").glob("*/resume.safetensors")):
            yield f"runs/{path.parent.name}/resume.safetensors", path.read_bytes()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        return mutations.checkpoint_changed(chance, data)

    def use(self, path: Path) -> None:
        from charlstm.checkpoint import format as checkpoint_format
        from charlstm.events import StepDone, Stopped
        from charlstm.training.resume import resume

        step = 0
        with contextlib.suppress(CharlstmError, TypeError, KeyError, ValueError):
            step = int(checkpoint_format.read(path).cursor["step"])
        training = resume(path.parent, self.folder / "cache", {"max_steps": step + 2, "threads": 1})
        taken, reason = 0, ""
        for event in training.events():
            taken += isinstance(event, StepDone)
            reason = event.reason if isinstance(event, Stopped) else reason
        if taken < 2 and reason != "diverged":
            raise AssertionError(f"took {taken} steps and stopped: {reason}")


class Settings(Kind):
    """Settings files."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        from charlstm.config import SECTIONS, settings_in

        lines = ['name = "a"']
        for section in SECTIONS:
            lines.append(f"[{section}]")
            for setting in settings_in(section):
                value = setting.default
                if isinstance(value, (bool, int, float, str, tuple)):
                    value = list(value) if isinstance(value, tuple) else value
                    lines.append(f"{setting.name} = {json.dumps(value)}")
        yield "settings.toml", "\n".join(lines).encode()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        if chance.random() < 0.4:
            return mutations.bytes_changed(chance, data)
        return mutations.toml_changed(chance, data.decode()).encode("utf-8", "surrogatepass")

    def use(self, path: Path) -> None:
        from charlstm.config import RunConfig
        from charlstm.settings_file import read_settings, to_toml

        tables = read_settings(path)
        again = path.with_name("again.toml")
        again.write_text(to_toml(tables), "utf-8")
        if repr(read_settings(again)) != repr(tables):
            raise AssertionError("written and read again they are others")
        model = {"vocab_size": 5, **tables.get("model", {})}
        RunConfig.from_plain({**tables, "model": model})


class Metrics(Kind):
    """Records of a training."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted((self.folder / "runs").glob("*/metrics.jsonl")):
            yield f"runs/{path.parent.name}/metrics.jsonl", path.read_bytes()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        if chance.random() < 0.3:
            return mutations.bytes_changed(chance, data)
        return mutations.lines_changed(chance, data)

    def use(self, path: Path) -> None:
        from charlstm.inspect.history import read_history
        from charlstm.training.metrics_log import MetricsLog

        history = read_history(path)
        assert history.end.step >= 0 or history.end.step < 0
        content = path.read_bytes()
        form = (("--json",), ("--html", str(path.with_name("page.html"))), ())[len(content) % 3]
        printed = command("report", str(path.parent), "--cache", str(self.folder / "cache"), *form)
        check_printable(printed)
        if form == ("--json",):
            json.loads(printed, parse_constant=_no_number)
        with MetricsLog(path, 5):
            pass


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


class Catalogues(Kind):
    """Lists of what can be fetched."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        from charlstm.corpora import catalogue

        lines = Path(catalogue.__file__).with_name("classics.tsv").read_bytes().splitlines(keepends=True)
        yield "classics.tsv", b"".join(lines[:12])

    def change(self, chance: random.Random, data: bytes) -> bytes:
        if chance.random() < 0.3:
            return mutations.bytes_changed(chance, data)
        return mutations.cells_changed(chance, data, b"\t")

    def use(self, path: Path) -> None:
        from charlstm.corpora.catalogue import is_fetched, place, read_collection

        collection = read_collection(path)
        root = self.folder / "empty" / "corpora"
        for entry in collection.entries:
            assert entry.url.startswith("https://")
            where = Path(os.path.normpath(place(entry, self.folder / "empty")))
            assert where.is_relative_to(root), where
            assert not is_fetched(entry, self.folder / "empty")


class IdsCaches(Kind):
    """Encoded texts."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted((self.folder / "cache").glob("*/*.npy")):
            yield f"cache/{path.parent.name}/{path.name}", path.read_bytes()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        return mutations.npy_changed(chance, data)

    def use(self, path: Path) -> None:
        from charlstm.config import DataConfig
        from charlstm.corpora.encode import cached, encode
        from charlstm.corpora.sources import open_sources

        content = path.read_bytes()
        data = DataConfig(sources=(str(self.folder / "text.txt"),))
        corpus = open_sources(data.sources, cache=self.folder / "cache")
        encoded = encode(corpus, data, self.folder / "cache")
        self._look(encoded, data)
        put(path, content)
        again = cached(encoded.corpus_sha256, encoded.tokenizer, self.folder / "cache")
        if again is not None:
            self._look(again, data)

    def _look(self, encoded: Encoded, data: DataConfig) -> None:
        from charlstm.corpora.known_text import training_and_validation

        assert int(encoded.ids.max(initial=0)) < encoded.tokenizer.vocab_size
        encoded.effective_vocab_size()
        assert encoded.text_size(0, len(encoded.ids)).characters == len(encoded.ids)
        for part in training_and_validation(encoded, data):
            encoded.tokenizer.decode(part[:50].tolist())


class TokenizerCaches(Kind):
    """Stored tokenizers of subwords."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted((self.folder / "cache" / "tokenizers").glob("*.json")):
            yield f"cache/tokenizers/{path.name}", path.read_bytes()

    def change(self, chance: random.Random, data: bytes) -> bytes:
        return mutations.tokenizer_cache_changed(chance, data)

    def use(self, path: Path) -> None:
        from charlstm.corpora import fit_tokenizer

        found = fit_tokenizer._load(path)
        if found is None:
            raise CharlstmError("counts as missing")
        assert found.kind == "sentencepiece"
        found.decode(found.encode("one two\nthree").tolist())


class Corpora(Kind):
    """Texts, tables and compressed files."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        import bz2
        import gzip
        import lzma

        text = (self.folder / "text.txt").read_text("utf-8")[:1500]
        rows = [{"id": number, "title": line, "user": {"text": line}} for number, line in enumerate(text.split("\n"))]
        yield "a.txt", text.encode()
        yield "b.txt", text.encode("utf-16")
        yield "c.txt", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
        yield "a.csv", ("id,title\n" + "\n".join(f'{row["id"]},"{row["title"]}"' for row in rows)).encode()
        yield "b.tsv", ("id\ttitle\n" + "\n".join(f"{row['id']}\t{row['title']}" for row in rows)).encode()
        yield "a.json", json.dumps(rows).encode()
        yield "b.jsonl", "\n".join(map(json.dumps, rows)).encode()
        yield "a.txt.gz", gzip.compress(text.encode(), mtime=0)
        yield "a.txt.bz2", bz2.compress(text.encode())
        yield "a.txt.xz", lzma.compress(text.encode())

    def change(self, chance: random.Random, data: bytes) -> bytes:
        if data.startswith(b"\xfd7zXZ") and chance.random() < 0.2:
            return mutations.xz_with_dictionary(data, chance.randrange(41))
        if data.startswith((b"[{", b'{"')) and chance.random() < 0.6:
            return mutations.json_text_changed(chance, data)
        if data.startswith(b"id") and chance.random() < 0.5:
            return mutations.cells_changed(chance, data, b"," if b"," in data[:4] else b"\t")
        return mutations.bytes_changed(chance, data)

    def use(self, path: Path) -> None:
        from charlstm.config import DataConfig
        from charlstm.corpora.decode import Decoding
        from charlstm.corpora.encode import encode
        from charlstm.corpora.known_text import as_list
        from charlstm.corpora.lists import choose_records
        from charlstm.corpora.sources import open_sources

        way = path.stat().st_size % 4
        is_table = path.suffix in (".csv", ".tsv", ".json", ".jsonl")
        column = "user.text" if path.suffix.startswith(".json") and way % 2 else "title"
        decoding = Decoding(("utf-16", "auto", None, None)[way] if path.suffix == ".txt" else None)
        cache = self.folder / "texts"
        corpus = open_sources(
            [f"{path}:{column}" if is_table and way != 3 else str(path)], decoding=decoding, cache=cache
        )
        data = DataConfig(tokenizer="byte" if way == 2 else "char")
        records = choose_records(corpus).records
        encoded = encode(as_list(corpus, records, cache), data, cache)
        encoded.path.unlink()


class Searches(Kind):
    """Databases of searches."""

    def whole(self) -> Iterator[tuple[str, bytes]]:
        yield "search/study.sqlite", (self.folder / "study.sqlite").read_bytes()
        for name in ("trial-1", "trial-7"):
            (self.folder / "search" / name).mkdir(exist_ok=True)
            started = Started(name, 0, 1, 1, 1, "charlstm tune", "a machine")
            yield f"search/{name}/metrics.jsonl", to_json(started).encode() + b"\n"

    def change(self, chance: random.Random, data: bytes) -> bytes:
        if not data.startswith(b"SQLite"):
            return mutations.json_text_changed(chance, data) if chance.random() < 0.7 else b"[" * 100_000
        return mutations.sqlite_changed(chance, data, self.folder / "changing.sqlite")

    def use(self, path: Path) -> None:
        from charlstm.tuning.folder import SearchFolder
        from charlstm.tuning.study import open_study
        from tests.tuning.test_study import IDENTITY

        folder = SearchFolder(self.folder / "search")
        with folder.locked(), open_study(folder.path / "study.sqlite", IDENTITY) as study:
            study.identity.differences(IDENTITY, trial_time=1.0)
            study.requeue_unfinished()
            study.trials()
            study.best()
            number, _ = study.ask()
            study.is_hopeless(number, 3.0, 0.6)
            folder.remove_trials(study.search_id, keep=())


KINDS: dict[str, Callable[[Path], Kind]] = {
    "models": Models,
    "subwords": Subwords,
    "resumes": Resumes,
    "settings": Settings,
    "metrics": Metrics,
    "catalogues": Catalogues,
    "ids": IdsCaches,
    "tokenizers": TokenizerCaches,
    "corpora": Corpora,
    "searches": Searches,
}


def changed_file(kind: Kind, whole: list[tuple[str, bytes]], number: int) -> tuple[str, bytes]:
    """The changed file with a number, and its name."""
    name, data = whole[number % len(whole)]
    return name, kind.change(random.Random(f"{type(kind).__name__} {number}"), data)


def attempt(kind: Kind, path: Path, data: bytes, seconds: float = SECONDS) -> tuple[str, str]:
    """Read one changed file: how it ended, and what is wrong with that, if anything is."""
    put(path, data)
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        with limited_memory() if seconds == SECONDS else contextlib.nullcontext():
            kind.use(path)
        ended, wrong = "used", ""
    except CharlstmError as fault:
        signal.setitimer(signal.ITIMER_PROF, 0)
        ended, wrong = f"{type(fault).__name__}: {fault.what}", ""
        if isinstance(fault, OutOfMemoryError) and not isinstance(kind, Resumes):  # batches may truly be too large
            wrong = "out of memory: " + traceback.format_exc()
        try:
            check_error(fault)
        except AssertionError as unclear:
            wrong = str(unclear)
    except TooSlow:
        ended, wrong = "slow", "too slow: " + traceback.format_exc()
    except BaseException:
        ended, wrong = "fault", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    took = time.process_time() - began
    if not wrong and took > seconds:
        wrong = f"took {took:.1f} s"
    return ended, wrong


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Let this process have no more than `MEMORY` beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Reader:
    """Reads changed files, one after another.

    Args:
        name: the kind of file.
        folder: the folder of whole files, `hostile_samples.prepare`.
    """

    def __init__(self, name: str, folder: Path) -> None:
        def end_attempt(*_: object) -> None:
            raise TooSlow

        signal.signal(signal.SIGPROF, end_attempt)
        warnings.simplefilter("error")
        self.folder, self.kind = folder, KINDS[name](folder)
        self.whole = list(self.kind.whole())
        self._errors = os.open(folder / "stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(self._errors, 2)
        for place, data in self.whole:  # everything is loaded, and whole files are none to be refused
            how, wrong = attempt(self.kind, folder / place, data, 60.0)
            if wrong or how != "used":
                report(number=-1, file=place, wrong=wrong or how)

    def read(self, place: str, data: bytes) -> tuple[str, str]:
        """Read one file: how it ended, and what is wrong with that."""
        said = os.fstat(self._errors).st_size
        how, wrong = attempt(self.kind, self.folder / place, data)
        if not wrong and os.fstat(self._errors).st_size > said:
            wrong = "said on stderr: " + os.pread(self._errors, 500, said).decode(errors="replace")
        return how, wrong

    def put_back(self) -> None:
        """Put the whole files where they were."""
        for place, data in self.whole:
            put(self.folder / place, data)


def report(**values: object) -> None:
    """Print a line."""
    print(json.dumps(values), flush=True)


def main(name: str, folder: Path, first: int, count: int) -> None:
    """Read the files with these numbers."""
    reader, ended = Reader(name, folder), Counter[str]()
    at = os.open(folder / "at", os.O_RDWR | os.O_CREAT)
    for number in range(first, first + count):
        os.pwrite(at, f"{number:<20}".encode(), 0)
        place, data = changed_file(reader.kind, reader.whole, number)
        how, wrong = reader.read(place, data)
        ended[how.partition(":")[0]] += 1
        if wrong:
            report(number=number, file=place, wrong=wrong)
    reader.put_back()
    report(ended=ended)


def main_for_one(name: str, folder: Path, place: str) -> None:
    """Read one file, which comes on stdin."""
    data = sys.stdin.buffer.read()
    reader = Reader(name, folder)
    how, wrong = reader.read(place, data)
    reader.put_back()
    report(how=how, wrong=wrong)


if __name__ == "__main__":
    if sys.argv[3] == "one":
        main_for_one(sys.argv[1], Path(sys.argv[2]), sys.argv[4])
    else:
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
