"""What all tests share."""

import os
import signal

import pytest
from hypothesis import settings

# One thread, also of the commands that tests start: two that wait for each other on a busy machine are slower than one.
# Said before anything imports torch.
os.environ["OMP_NUM_THREADS"] = "1"
# Where a test wants two threads all the same, one that waits for the other sleeps and leaves it the core.
os.environ["OMP_WAIT_POLICY"] = "passive"

# Texts are those of a machine without numkong.
os.environ["CHARLSTM_PRECISION"] = "fp32"

# A slow machine is no bug of the code.
settings.register_profile("charlstm", deadline=None)
settings.load_profile("charlstm")

# A background job of a script is started with Ctrl-C ignored, one under nohup with SIGHUP; and so would be every
# command that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="tests of tests/torture at their full size: hours")
