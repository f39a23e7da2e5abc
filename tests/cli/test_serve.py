"""``charlstm serve``: which networks it finds, what it prints, and how it fails. The server is tested in tests/web."""

from __future__ import annotations

import socket
import sys
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from charlstm.checkpoint.store import Store
from charlstm.cli.load_model import read_model
from charlstm.web import server as server_module
from charlstm.web.guard import Guard
from charlstm.web.server import Server
from tests.checkpoint_samples import model, run
from tests.command_line import Cli, Result
from tests.trained_checkpoints import prose, trained_on


class Started:
    """What a server was started with, instead of a server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.servers: list[dict[str, Any]] = []
        init = Server.__init__

        def note(server: Any, desk: Any, access: Any, *more: Any) -> None:
            self.servers.append({"desk": desk, "access": access})
            init(server, desk, access, *more)

        def run_not(server: Any, sockets: list[socket.socket]) -> None:
            self.servers[-1]["port"] = sockets[0].getsockname()[1]
            assert isinstance(server.config.app, Guard)
            sockets[0].close()

        monkeypatch.setattr(Server, "__init__", note)
        monkeypatch.setattr(Server, "run", run_not)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(monkeypatch)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


def serve(cli: Cli, *arguments: str) -> Result:
    result = cli("serve", *arguments, "--port", "0")
    assert (result.code, result.err) == (0, "")
    return result


def test_without_a_name_the_newest_run_and_the_starter_are_served(cli: Cli, started: Started, tmp_path: Path) -> None:
    alone = serve(cli)
    store = Store(tmp_path / "checkpoints")
    run(store, "old", modified=1000)
    run(store, "new", modified=2000)
    both = serve(cli)
    ports = [each["port"] for each in started.servers]
    assert alone.out == f"http://127.0.0.1:{ports[0]}/ serves starter; Ctrl-C ends it\n"
    assert both.out == f"http://127.0.0.1:{ports[1]}/ serves new and starter; Ctrl-C ends it\n"
    library = started.servers[1]["desk"].library
    assert list(library.models) == ["new", "starter"]
    assert library.default == "new"


def test_networks_are_called_as_their_folders_and_files_are(cli: Cli, started: Started, tmp_path: Path) -> None:
    from charlstm.checkpoint.format import write

    store = Store(tmp_path / "checkpoints")
    file = run(store, "mine")
    run(store, "other")
    (tmp_path / "elsewhere").mkdir()
    for path in (tmp_path / "mine.safetensors", tmp_path / "elsewhere" / "mine.safetensors"):
        write(path, model())
    names = ["mine", "other", "mine", str(file), "./mine.safetensors", "elsewhere/mine.safetensors", "starter"]
    serve(cli, *names)
    assert list(started.servers[0]["desk"].library.models) == ["mine", "other", "mine-2", "mine-3", "starter"]


def test_only_a_server_for_other_machines_has_a_token_unless_it_is_given_one(cli: Cli, started: Started) -> None:
    loopback, wide, given = serve(cli), serve(cli, "--host", "0.0.0.0"), serve(cli, "--token", "abc-123")
    first, second, third = (each["access"] for each in started.servers)
    assert first.token == ""
    assert f"localhost:{started.servers[0]['port']}" in first.hosts
    assert "#" not in loopback.out
    assert len(second.token) > 20
    assert second.hosts == frozenset()
    address = f"http://{socket.gethostname()}:{started.servers[1]['port']}/#token={second.token}"
    assert wide.out.startswith(f"{address} serves ")  # what other machines can open
    assert third.token == "abc-123"
    assert "/#token=abc-123 serves" in given.out
    again = serve(cli, "--host", "0.0.0.0")
    assert second.token not in again.out


def test_a_token_may_come_from_the_environment(cli: Cli, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLSTM_TOKEN", "from-there")
    serve(cli)
    assert started.servers[0]["access"].token == "from-there"


def test_pages_elsewhere_are_named_with_or_without_a_slash(cli: Cli, started: Started) -> None:
    serve(cli, "--allow-origin", "https://one.example/", "--allow-origin", "http://localhost:3000")
    assert started.servers[0]["access"].origins == {"https://one.example", "http://localhost:3000"}


def test_the_page_is_shown_in_a_browser_that_is_not_waited_for(
    cli: Cli, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    out = serve(cli, "--open").out
    assert shown == [out.split()[0]]


def test_the_text_of_units_and_of_copies_is_found(cli: Cli, started: Started, tmp_path: Path) -> None:
    text = prose(30_000)
    trained_on(tmp_path, text.encode())
    serve(cli, "my-1")
    served = started.servers[0]["desk"].library.find("my-1")
    assert served.own_text() in text
    assert len(served.own_text()) > 1000
    assert len(served.training_ids()) == len(text)
    (tmp_path / "book.txt").unlink()
    for folder in (tmp_path / "cache").iterdir():
        for file in folder.iterdir() if folder.is_dir() else ():
            file.unlink()
    from charlstm.errors import NotFoundError

    for gone in (served.own_text, served.training_ids):
        with pytest.raises(NotFoundError) as caught:
            gone()
        assert "--" not in str(caught.value)
        assert "`source" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody"], 4, "no run, folder or file 'nobody'"),
        (["starter", "nobody"], 4, "no run, folder or file 'nobody'"),
        (["starter", "--port", "70000"], 2, "65535"),
        (["starter", "--port", "web"], 2, "valid integer"),
        (["starter", "--host", "999.1.1.1"], 2, "--host 999.1.1.1 is no address of this machine"),
        (["starter", "--host", "no-such-host.invalid"], 2, "is no address of this machine"),
        (["starter", "--token", "two words"], 2, "--token must be"),
        (["starter", "--token", "schlüssel"], 2, "--token must be"),
        (["starter", "--token", ""], 2, "--token must be"),
        (["starter", "--modle"], 2, "--modle"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Cli, started: Started, arguments: list[str], code: int, words: str) -> None:
    result = cli("serve", *arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert result.err.count("\n") == 1
    assert not started.servers


def test_a_broken_file_is_an_error_of_that_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no network")
    result = cli("serve", "broken.safetensors")
    assert result.code == 3
    assert "broken.safetensors" in result.err


def test_a_port_that_is_taken_is_said_with_another(cli: Cli, started: Started) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = cli("serve", "starter", "--port", str(port))
    assert result.code == 2
    assert result.err.startswith(f"charlstm: port {port} is taken by another program. Choose another, such as --port ")
    assert not started.servers


def test_a_port_of_the_system_needs_permission(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(server_module.socket, "create_server", refuse)
    result = cli("serve", "starter", "--port", "80")
    assert (result.code, result.err) == (6, "charlstm: no permission to use port 80. Choose one above 1023.\n")


def test_the_starters_units_are_looked_for_in_text_that_it_has_not_read(cli: Cli, tmp_path: Path) -> None:
    from charlstm.cli.reading import own_text

    path, checkpoint = read_model("starter", tmp_path)
    text, _ = own_text(checkpoint, path, 20_000, tmp_path, hint="")
    assert not checkpoint.load_tokenizer().unknown_characters(text)
    assert len(text) > 10_000


@pytest.mark.skipif(sys.platform == "win32", reason="no IPv6 there in CI")
def test_ipv6_is_an_address_like_any_other(cli: Cli, started: Started) -> None:
    out = serve(cli, "--host", "::1").out
    port = started.servers[0]["port"]
    assert out.startswith(f"http://[::1]:{port}/ serves")
    assert f"[::1]:{port}" in started.servers[0]["access"].hosts
