"""How many rounds a test takes: few in CI, many with ``--full``."""

import pytest


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a test does what it does, from its mark ``rounds(ci, full=…)``."""
    mark = request.node.get_closest_marker("rounds")
    number = mark.kwargs["full"] if request.config.getoption("--full") else mark.args[0]
    request.node.user_properties.append(("rounds", number))
    return int(number)
