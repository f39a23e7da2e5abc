"""What all tests share."""

import os

from hypothesis import settings

# One thread, also of the commands that tests start: two that wait for each other on a busy machine are slower than one.
# Said before anything imports torch.
os.environ["OMP_NUM_THREADS"] = "1"

# A slow machine is no bug of the code.
settings.register_profile("charlstm", deadline=None)
settings.load_profile("charlstm")
