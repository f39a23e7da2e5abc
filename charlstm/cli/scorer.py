"""A model and a text on the disk, scored with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from charlstm.checkpoint.format import Checkpoint
from charlstm.cli.load_model import place_of
from charlstm.cli.views.terminal import is_terminal
from charlstm.cpu import AdaptiveThreads
from charlstm.engine.load import torch_model
from charlstm.evaluation.dynamic import DynamicConfig, dynamic_losses
from charlstm.evaluation.method import choose_method, text_losses
from charlstm.evaluation.objective import objective_of
from charlstm.evaluation.score import EncodedText, Losses, Method, Score, ScoreSummary, score_tokens, summarize
from charlstm.sampling.prompts import bos_ids
from charlstm.tokenizers import Tokenizer
from charlstm.training.plan.probe import best_device


class Scorer:
    """A model on its device and a text, to be scored as trained, or while learning.

    Args:
        saved: the model.
        text: encoded with ``tokenizer``.
        tokenizer: of the model.
        device: as torch names it; None is a CUDA GPU if there is one, else the CPU.
        exact: read the text in order and in fp32, whatever its length.

    Raises:
        UsageError: there is no such device here.
    """

    def __init__(
        self, saved: Checkpoint, text: EncodedText, tokenizer: Tokenizer, device: str | None, *, exact: bool
    ) -> None:
        self._device = device or best_device()
        self._model = torch_model(saved, self._device)
        self._text, self._tokenizer = text, tokenizer
        self._objective = objective_of(saved.run, tokenizer)
        self._context = np.array(bos_ids(tokenizer))
        self._method = choose_method(self._objective, self._model, text.ids, self._context, exact=exact)

    def trained(self, *, by_token: bool) -> Score | ScoreSummary:
        """The score by the network as it was trained; ``by_token`` stores the loss of each token."""
        losses = text_losses(self._objective, self._model, self._text.ids, self._context, self._method)
        return self._collect("scoring", losses, self._method, by_token)

    def dynamic(self, config: DynamicConfig, *, by_token: bool) -> Score | ScoreSummary:
        """The score by a copy that learns from the text.

        Args:
            config: how it learns.
            by_token: store the loss of each token.

        Raises:
            DivergedError: the loss is no longer a finite number.
        """
        losses = dynamic_losses(self._model, self._text.ids, self._context, config)
        return self._collect("learning", losses, Method(), by_token)

    def description(self, path: Path) -> str:
        """One line: the model, and how and where it scored.

        Args:
            path: of the model.
        """
        where = place_of(path)
        method = self._method
        if not self._objective.has_order:
            return f"{where}: each token given those on both sides, in {method.precision}, on {self._device}"
        order = "in order" if method.streams == 1 else f"in {method.streams} parallel streams"
        remark = "exact" if method.exact else "--exact reads it in order, in fp32"
        return f"{where}: {order}, in {method.precision}, on {self._device} ({remark})"

    def _collect(self, action: str, losses: Losses, method: Method, by_token: bool) -> Score | ScoreSummary:
        with _progress(action, len(self._text.ids), losses) as shown:
            if by_token:
                return score_tokens(shown, self._text, self._tokenizer, method)
            return summarize(shown, self._text, method)


@contextmanager
def _progress(action: str, tokens: int, losses: Losses) -> Iterator[Losses]:
    """The same losses, with a progress bar, and with fewer threads while other programs want the cores."""
    most = torch.get_num_threads()
    threads = AdaptiveThreads(most, torch.set_num_threads)

    def counted() -> Losses:
        last = time.monotonic()
        for positions, values in losses:
            yield positions, values
            bar.update(len(positions))
            now = time.monotonic()
            threads.after_step((now - last) / len(positions))
            last = now

    with tqdm(
        total=tokens, desc=action, unit="tok", unit_scale=True, delay=1.0, leave=False, file=sys.stderr,
        disable=not is_terminal(sys.stderr), dynamic_ncols=True,
    ) as bar:  # fmt: skip
        try:
            yield counted()
        finally:
            torch.set_num_threads(most)
