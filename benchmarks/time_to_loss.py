"""How fast does training learn, beside nanoGPT's recipe for a CPU, on the same text with the same threads?

Run: ``python -m benchmarks.time_to_loss FILE --nanogpt PATH [--threads 2]``

PATH is a checkout of nanoGPT; it is copied and its copy runs the command its README gives for a computer without a GPU
(4 layers, 128 wide, context 64, batch 12, 2,000 iterations), with its own split of the text: the last tenth is val.
Then ``charlstm train FILE`` runs with nothing but a budget and the same split (which it chooses itself for a text of
this size), once as long as nanoGPT took and once a tenth of that.
Seconds are those of the whole command, from its start to its end. Three losses, in nats per character of val:

- ``told``: what each program says itself while it runs (nanoGPT: an estimate from 20 random batches of windows of 64);
- ``windows``: every character of val, in windows from nothing: 64 for nanoGPT, which can hold no more, and 256 here;
- ``stateful``: read once in order with the state carried; nanoGPT has no state.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import charlstm
from benchmarks.machine import machine
from benchmarks.val_loss import windowed
from charlstm.checkpoint.format import read
from charlstm.engine.load import torch_model
from charlstm.evaluation.loss import evaluate

RECIPE = {
    "device": "cpu", "compile": False, "eval_iters": 20, "log_interval": 100, "block_size": 64, "batch_size": 12,
    "n_layer": 4, "n_head": 4, "n_embd": 128, "max_iters": 2000, "lr_decay_iters": 2000, "dropout": 0.0,
}  # fmt: skip
Curve = list[tuple[float, float]]
"""Seconds since the command began, and the loss told then."""


def nanogpt(checkout: Path, text: str, threads: int, folder: Path) -> tuple[Curve, float, float]:
    """Its curve, its seconds, and its exact loss over val in windows of its own length."""
    copy = folder / "nanogpt"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git"))
    alphabet = sorted(set(text))
    ids = np.array([alphabet.index(character) for character in text], np.uint16)
    train, val = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    data = copy / "data" / "shakespeare_char"
    data.mkdir(parents=True, exist_ok=True)
    train.tofile(data / "train.bin")
    val.tofile(data / "val.bin")
    (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(alphabet)}))
    command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py"]
    command += [f"--{name}={value}" for name, value in RECIPE.items()]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began, curve = time.monotonic(), []
    with subprocess.Popen(command, cwd=copy, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = re.match(r"step \d+: .* val loss ([\d.]+)", line)
            if told:
                curve.append((time.monotonic() - began, float(told[1])))
    if process.returncode:
        raise SystemExit(f"nanoGPT ended with {process.returncode}")
    seconds = time.monotonic() - began
    sys.path.insert(0, str(copy))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    saved = torch.load(copy / "out-shakespeare-char" / "ckpt.pt", weights_only=False)
    model = GPT(GPTConfig(**saved["model_args"]))
    model.load_state_dict(saved["model"])
    model.eval()
    return curve, seconds, _of_windows(model, val, 64)


@torch.no_grad()
def _of_windows(model: Any, ids: np.ndarray, window: int) -> float:
    """Nats per token of whole windows, every position averaged; what is left behind the last is shorter than one."""
    count = (len(ids) - 1) // window
    inputs = torch.from_numpy(ids[: count * window].astype(np.int64)).view(count, window)
    targets = torch.from_numpy(ids[1 : count * window + 1].astype(np.int64)).view(count, window)
    losses = [
        model(some, wanted)[1].item() * len(some)
        for some, wanted in zip(inputs.split(64), targets.split(64), strict=True)
    ]
    return float(sum(losses)) / count


def ours(file: Path, text: str, seconds: float, threads: int, folder: Path) -> dict[str, Any]:
    """A run whose whole command takes about so long; what it told, and its exact losses."""
    run = folder / f"run-{seconds:.0f}"
    # A start costs some seconds, which count: they are taken off the budget of training.
    budget = max(2.0, seconds - _start_up(file, threads, folder))
    command = [sys.executable, "-m", "charlstm", "train", str(file), "--max-time", f"{budget:.1f}s", "--json"]
    command += ["--val-fraction", "0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began, curve = time.monotonic(), []
    with subprocess.Popen(
        [*command, "--out", str(run)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "EvalDone":
                curve.append((time.monotonic() - began, event["val_loss"]))
    took = time.monotonic() - began
    ids = charlstm.load(run).tokenizer.encode(text)
    val = ids[int(0.9 * len(ids)) :]
    model = torch_model(read(run / "model.safetensors", kind="model"))
    losses = {"windows": windowed(model, val), "stateful": evaluate(model, val[1:], val[:1])}
    return {"curve": curve, "seconds": took, **losses}


def _start_up(file: Path, threads: int, folder: Path) -> float:
    """Seconds of a command that trains one step, with the text already in the cache."""
    run = folder / "start"
    command = [sys.executable, "-m", "charlstm", "train", str(file), "--max-steps", "1", "--preview", "0", "-q"]
    began = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run([*command, "--out", str(run), "--force"], env=environment, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    """Train both, print curves and a table, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--nanogpt", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    text = options.file.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        curve, seconds, exact = nanogpt(options.nanogpt, text, options.threads, folder)
        results: dict[str, dict[str, Any]] = {
            "nanoGPT": {"curve": curve, "seconds": seconds, "windows": exact},
            "charlstm, the same time": ours(options.file, text, seconds, options.threads, folder),
            "charlstm, a tenth of it": ours(options.file, text, seconds / 10, options.threads, folder),
        }
    for who, result in results.items():
        print(f"{who}: " + ", ".join(f"{loss:.3f} at {at:.0f} s" for at, loss in result["curve"]))
    print(f"{'':26}{'seconds':>9}{'windows':>9}{'stateful':>10}")
    for who, result in results.items():
        stateful = f"{result['stateful']:.4f}" if "stateful" in result else "-"
        print(f"{who:26}{result['seconds']:9.1f}{result['windows']:9.4f}{stateful:>10}")
    print(json.dumps({"benchmark": "time_to_loss", **results, "threads": options.threads, **machine()}))


if __name__ == "__main__":
    main()
