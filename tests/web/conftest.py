"""One server for many tests."""

from collections.abc import Iterator

import pytest

from tests.web.running import Running, running, served, served_bytes


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of four small networks: of characters, of another alphabet, of bytes, and one that reads both ways."""
    both = served("both", bidirectional=True)
    with running(served("small"), served("other", hidden_size=9), served_bytes(), both) as found:
        yield found
