"""Other programs, run as their own scripts run them: char-rnn.pytorch and nanoGPT, from checkouts never written to."""

from __future__ import annotations

import importlib.util
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.plain_lstm import ALPHABET, SEQ_LEN
from benchmarks.records import threads_environment
from benchmarks.runs import loss_in_windows

NANOGPT_CONTEXT = 64
NANOGPT_RECIPE = {
    "device": "cpu", "compile": False, "eval_iters": 20, "log_interval": 100, "block_size": NANOGPT_CONTEXT,
    "batch_size": 12, "n_layer": 4, "n_head": 4, "n_embd": 128, "max_iters": 2000, "lr_decay_iters": 2000,
    "dropout": 0.0,
}  # fmt: skip
"""The command that nanoGPT's README gives for a computer without a GPU."""

Curve = list[tuple[float, float]]
"""Seconds since the command began, and the loss reported then."""


def module_of(checkout: Path, name: str) -> Any:
    """A module of a checkout, imported without putting the checkout on the import path.

    Args:
        checkout: the folder of the program.
        name: of the module, without ``.py``.
    """
    spec = importlib.util.spec_from_file_location(f"peer_{name}", checkout / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{checkout.name}: no module {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def char_rnn_training(checkout: Path, num_layers: int, hidden_size: int, batch_size: int) -> Callable[[], object]:
    """A training step of char-rnn.pytorch: its network, its Adam, stepped one character at a time as its train.py.

    Args:
        checkout: of char-rnn.pytorch.
        num_layers: LSTM layers.
        hidden_size: units per layer.
        batch_size: windows of `SEQ_LEN` characters at once.
    """
    vocab = len(ALPHABET)
    decoder = module_of(checkout, "model").CharRNN(vocab, hidden_size, vocab, model="lstm", n_layers=num_layers)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    ids = torch.randint(vocab, (batch_size, SEQ_LEN + 1))

    def step() -> None:
        state = decoder.init_hidden(batch_size)
        decoder.zero_grad()
        loss = torch.zeros(())
        for place in range(SEQ_LEN):
            output, state = decoder(ids[:, place], state)
            loss = loss + cross_entropy(output, ids[:, place + 1])
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def char_rnn_sampling(
    checkout: Path, num_layers: int, hidden_size: int, cell: str, threads: int, characters: int
) -> Callable[[], float]:
    """Characters per second of char-rnn.pytorch, stepped and drawn from as its generate.py does.

    Args:
        checkout: of char-rnn.pytorch.
        num_layers: recurrent layers.
        hidden_size: units per layer.
        cell: ``gru``; anything else is measured with its LSTM.
        threads: CPU threads.
        characters: to draw in a block.
    """
    vocab = len(ALPHABET)
    kind = "gru" if cell == "gru" else "lstm"
    decoder = module_of(checkout, "model").CharRNN(vocab, hidden_size, vocab, model=kind, n_layers=num_layers)

    def block() -> float:
        torch.set_num_threads(threads)
        state, token, text = decoder.init_hidden(1), torch.zeros(1, dtype=torch.long), ""
        start = time.perf_counter()
        for _ in range(characters):
            output, state = decoder(token, state)
            weights = output.data.view(-1).div(0.8).exp()
            character = ALPHABET[torch.multinomial(weights, 1)[0]]
            text += character
            token = torch.tensor([ALPHABET.index(character)])
        return characters / (time.perf_counter() - start)

    return block


def nanogpt_sampling(checkout: Path, threads: int, characters: int) -> Callable[[], float]:
    """Characters per second of nanoGPT's `generate`, for the network of its recipe for a CPU.

    Args:
        checkout: of nanoGPT.
        threads: CPU threads.
        characters: to draw in a block.
    """
    module = module_of(checkout, "model")
    sizes = {"block_size": NANOGPT_CONTEXT, "vocab_size": len(ALPHABET), "n_layer": 4, "n_head": 4, "n_embd": 128}
    model = module.GPT(module.GPTConfig(**sizes, dropout=0.0, bias=False)).eval()

    def block() -> float:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(torch.zeros(1, 1, dtype=torch.long), characters, temperature=0.8, top_k=200)
        return characters / (time.perf_counter() - start)

    return block


def train_nanogpt(checkout: Path, text: str, threads: int, folder: Path) -> tuple[Curve, float, float]:
    """Train nanoGPT's recipe for a CPU in a copy of its checkout.

    Args:
        checkout: of nanoGPT.
        text: its first nine tenths are learned, the last tenth is scored.
        threads: CPU threads.
        folder: for the copy.

    Returns:
        The losses it reported; the seconds of the whole command; its exact loss on the last tenth in windows of 64, in
        nats per character.
    """
    copy = folder / "nanogpt"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git"))
    val = _write_nanogpt_data(copy / "data" / "shakespeare_char", text)
    command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py"]
    command += [f"--{name}={value}" for name, value in NANOGPT_RECIPE.items()]
    began, curve = time.monotonic(), []
    environment = threads_environment(threads)
    with subprocess.Popen(command, cwd=copy, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            reported = re.match(r"step \d+: .* val loss ([\d.]+)", line)
            if reported:
                curve.append((time.monotonic() - began, float(reported[1])))
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"nanoGPT ended with exit code {process.returncode}")
    module = module_of(copy, "model")
    saved = torch.load(copy / "out-shakespeare-char" / "ckpt.pt", weights_only=False)
    model = module.GPT(module.GPTConfig(**saved["model_args"]))
    model.load_state_dict(saved["model"])
    model.eval()

    def window_loss(inputs: Tensor, targets: Tensor) -> float:
        return float(model(inputs, targets)[1].item()) * targets.numel()

    return curve, seconds, loss_in_windows(window_loss, val, NANOGPT_CONTEXT)


def _write_nanogpt_data(folder: Path, text: str) -> np.ndarray:
    """The text as nanoGPT's own preparation writes it; returns the ids of its last tenth."""
    alphabet = sorted(set(text))
    ids = np.array([alphabet.index(character) for character in text], np.uint16)
    train, val = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    folder.mkdir(parents=True, exist_ok=True)
    train.tofile(folder / "train.bin")
    val.tofile(folder / "val.bin")
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(alphabet)}))
    return val
