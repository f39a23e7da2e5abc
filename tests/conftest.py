"""What all tests share: one thread, since two that wait for each other on a busy machine are slower than one."""

import torch

torch.set_num_threads(1)
