"""Two processes that share each batch train as one: the same losses and files, and any number of them can resume."""

import dataclasses

import numpy as np
import pytest
import torch

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.config import DataConfig, RunConfig, TrainConfig
from charlstm.errors import ConfigError, StorageError, UsageError
from charlstm.events import EvalDone, Stopped
from charlstm.nn.model import CharLM
from charlstm.nn.parameters import sparse_tables
from charlstm.nn.state import State
from charlstm.training.distributed import SINGLE_PROCESS, LostRankError, Ranks, SharedError, translate_comm_errors
from tests.networks import architecture
from tests.ranks import events_of, in_two_processes, train_all
from tests.training.test_training import losses, run_through, training

# AdamW, whose losses differ only as the gradients do. SOAP turns the last bit of a gradient into 1e-2 in forty such
# steps, in one process as in two: its steps are as large in directions in which the gradient is only rounding.
ADAMW = {"optimizer": "adamw"}
KINDS = {
    "stateful": {"train": ADAMW, "model": {"dropout": 0.0}},
    "shuffled": {"train": ADAMW, "model": {"dropout": 0.0}, "data": {"windows": "shuffled"}},
    "dropped": {"train": ADAMW, "model": {"dropout": 0.3, "weight_drop": 0.2}, "data": {"reset_prob": 0.3}},
    "peephole": {"train": ADAMW, "model": {"cell": "peephole"}},
    "gru": {"train": ADAMW, "model": {"cell": "gru"}},
    "attention": {"train": ADAMW, "model": {"attention_window": 5}},
    "ngrams": {"train": ADAMW, "model": {"ngram_order": 4, "ngram_buckets": 60, "ngram_dropout": 0.3}},
    "match_orders": {"train": ADAMW, "model": {"match_orders": (2, 3), "match_slots": 40}},
    "ensemble": {"train": ADAMW, "model": {"ensemble": 2, "dropout": 0.3, "ngram_order": 3, "ngram_buckets": 50}},
    "both-ways": {"train": ADAMW, "model": {"bidirectional": True}, "data": {"windows": "shuffled"}},
    "soap": {"train": {"optimizer": "soap", "max_steps": 3}},
    "early": {"train": {**ADAMW, "patience": 1, "eval_every": 1, "lr": 0.5}},
}
CUT = 13
"""Steps after which a run is stopped, to be resumed with another number of processes."""
MOVED = {
    "model": {"dropout": 0.2, "attention_window": 5, "ngram_order": 3, "ngram_buckets": 50, "match_orders": (3,)},
    "train": ADAMW,
}


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory):
    """All of these trainings by two processes, and one of them started by one."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "rank0").mkdir()
    run_through(training(folder / "rank0" / "one-then-two", **MOVED), CUT)
    jobs = {name: (settings, None, False) for name, settings in KINDS.items()}
    jobs["one-then-two"] = (MOVED, None, True)
    jobs["two-then-one"] = (MOVED, CUT, False)
    in_two_processes(train_all, folder, jobs)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_two_processes_have_the_losses_of_one(trained_by_two, tmp_path, name):
    alone = run_through(training(tmp_path / name, **KINDS[name]))
    together = events_of(trained_by_two, name)
    assert [type(event) for event in together] == [type(event) for event in alone]
    np.testing.assert_allclose(losses(together), losses(alone), rtol=1e-4 if name == "soap" else 2e-5)
    measured = [[event.val_loss for event in events if isinstance(event, EvalDone)] for events in (together, alone)]
    np.testing.assert_allclose(*measured, rtol=1e-2 if name == "soap" else 2e-5)
    assert together[-1].reason == alone[-1].reason == ("early" if name == "early" else "finished")


@pytest.mark.parametrize("name", KINDS)
def test_all_ranks_yield_the_same_events_and_only_rank_zero_writes(trained_by_two, name):
    first, second = ([_without_path(event) for event in events_of(trained_by_two, name, rank)] for rank in (0, 1))
    assert first == second
    written = {path.name for path in (trained_by_two / "rank0" / name).iterdir()}
    assert written == {MODEL, RESUME, METRICS}
    assert list((trained_by_two / "rank1" / name).iterdir()) == []


def test_a_run_is_resumed_by_another_number_of_processes(trained_by_two, tmp_path):
    uninterrupted = losses(run_through(training(tmp_path / "whole", **MOVED)))
    np.testing.assert_allclose(losses(events_of(trained_by_two, "one-then-two")), uninterrupted[CUT:], rtol=2e-5)
    begun = events_of(trained_by_two, "two-then-one")
    assert isinstance(begun[-1], Stopped)
    assert begun[-1].reason == "interrupted"
    saved = checkpoint_format.read(trained_by_two / "rank0/two-then-one" / RESUME)
    states = [tensor for name, tensor in saved.tensors.items() if name.startswith("state.0")]
    assert {len(tensor) for tensor in states} == {4}, "the rows of both"
    after = losses(run_through(training(tmp_path / "after", **MOVED, resume=saved)))
    np.testing.assert_allclose(losses(begun) + after, uninterrupted, rtol=2e-5)


def _without_path(event):
    return dataclasses.replace(event, path="") if hasattr(event, "path") else event


def _average(ranks):
    torch.manual_seed(ranks.rank)
    model = CharLM(architecture(vocab_size=5, hidden_size=4, num_layers=1, ngram_order=3, ngram_buckets=20))
    torch.nn.init.normal_(model.side_inputs["ngrams"].weight)
    called = ranks.wrap(model)
    assert "side_inputs.ngrams.weight" in called.parameters_to_ignore
    ids = torch.randint(5, (2, 6), generator=torch.Generator().manual_seed(0))
    called(ids[ranks.rank : ranks.rank + 1])[0].square().mean().backward()
    ranks.average_sparse([table.weight for table in sparse_tables(model)])
    mine = {name: weight.grad.to_dense() for name, weight in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    model(ids)[0].square().mean().backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(mine[name], weight.grad.to_dense(), msg=name)


@pytest.mark.slow
def test_collectives_and_the_averages_of_sparse_gradients_which_nccl_cannot_add(tmp_path):
    in_two_processes(_average_and_share, str(tmp_path))


def _average_and_share(ranks, folder):
    _average(ranks)
    _share(ranks, folder)


def _share(ranks, folder):
    assert ranks.broadcast_value(ranks.rank) == 0
    assert ranks.local_first(lambda: ranks.rank) == ranks.rank
    agreed = ranks.sync_step(1.0 + ranks.rank, 5.0 + ranks.rank, stop=ranks.rank == 1, save=ranks.rank == 1)
    assert agreed == (1.5, 5.0, True, False)

    def fails():
        raise StorageError("full", where=folder)

    def fails_on_the_second():
        if ranks.rank:
            fails()

    with pytest.raises(StorageError if ranks.is_rank_zero else SharedError, match="full") as raised:
        ranks.on_rank_zero(fails)
    assert raised.value.exit_code == 6
    with pytest.raises(Exception, match=r"process 1 on .*full") as raised:
        ranks.local_first(fails_on_the_second)
    assert isinstance(raised.value, SharedError) != ranks.is_rank_zero
    assert raised.value.exit_code == 6
    h, there = torch.arange(6.0).view(3, 2) + 10 * ranks.rank, torch.tensor([ranks.rank == 1] * 3)
    state = State((((h,),),), attention=(there,))
    whole = ranks.gather_rows(state)
    assert whole.layers[0][0][0].tolist() == [[0, 1], [2, 3], [4, 5], [10, 11], [12, 13], [14, 15]]
    assert whole.attention[0].tolist() == [False] * 3 + [True] * 3
    for (_, mine), (_, back) in zip(state.named_parts(), ranks.shard(whole).named_parts(), strict=True):
        assert torch.equal(mine, back)
    layer = torch.nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.fill_(ranks.rank)
    ranks.broadcast_weights(layer)
    assert layer.weight.sum() == 0
    ranks.barrier()


def test_the_ranks_share_a_batch_without_rest_and_each_has_its_device():
    run = RunConfig(name="a", model=architecture(vocab_size=2), data=DataConfig(batch_size=16))
    for world in (1, 2, 4, 16):
        shares = [Ranks(rank, world).rows(16) for rank in range(world)]
        assert [row for share in shares for row in range(16)[share]] == list(range(16))
        Ranks(0, world).check(run)
    with pytest.raises(ConfigError, match=r"batch of 16 does not divide by 3 processes.*`batch_size=15`"):
        Ranks(0, 3).check(run)
    assert Ranks(5, 8, 1).device("cuda") == "cuda:1"
    assert Ranks(5, 8, 1).device("cpu") == "cpu"
    assert SINGLE_PROCESS.device("cuda:3") == "cuda:3"
    for device in ("mps", "cuda:1"):
        one = run.replace(train=TrainConfig(device=device))
        with pytest.raises(UsageError, match="cannot share"):
            Ranks(0, 2).check(one)


@pytest.mark.parametrize(
    "text",
    ["[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1", "NCCL communicator was aborted"],
)
def test_a_lost_rank_is_its_own_error_and_others_pass_through(text):
    with pytest.raises(LostRankError, match="`resume='auto'`"), translate_comm_errors():
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="shapes"), translate_comm_errors():
        raise RuntimeError("shapes do not match")
