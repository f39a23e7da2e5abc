"""What all tests share."""

import torch
from hypothesis import settings

# One thread: two that wait for each other on a busy machine are slower than one.
torch.set_num_threads(1)

# A slow machine is no bug of the code.
settings.register_profile("charlstm", deadline=None)
settings.load_profile("charlstm")
