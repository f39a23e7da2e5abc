"""The match memory against its definition, in whole windows, carried and reset."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlstm.nn.model import CharLM
from charlstm.nn.side_inputs.base import WindowHistory
from charlstm.nn.side_inputs.hashing import ngram_hashes
from charlstm.nn.side_inputs.match import MatchMemory
from tests.networks import architecture

CPU = torch.device("cpu")
VOCAB = 0x110000


def match_of(orders, slots):
    return MatchMemory(match_orders=tuple(orders), match_slots=slots)


def start(match, batch=1):
    return torch.zeros(batch, match.history, dtype=torch.int64), match.empty_memory(batch, CPU)


def looked_up(match, ids, recent, memory):
    """The numbers f_n at each token, (B, T, K), and what is carried on."""
    numbers, time = torch.cat((recent, ids + 1), 1), ids.shape[1]
    rows, memory = match.window_rows(WindowHistory(numbers, time), memory, VOCAB)
    return rows - torch.arange(len(match.match_orders)) * (VOCAB + 1), numbers[:, time:], memory


def by_the_docstring(text, orders, slots):
    """f_n(t) for each token of a text of ids, from the equations, one after the other."""
    numbers = [0] * 16 + [token + 1 for token in text]
    memories = {order: {} for order in orders}
    found = []
    for t in range(16, len(numbers)):
        then, now = (list(ngram_hashes(numbers[end - 15 : end + 1][::-1])) for end in (t - 1, t))
        for n in orders:
            memories[n][then[n - 2] % slots] = (then[n - 2] // slots % 1024, numbers[t])
        entries = [memories[n].get(now[n - 2] % slots, (None, 0)) for n in orders]
        found.append(
            [
                number if tag == now[n - 2] // slots % 1024 else 0
                for n, (tag, number) in zip(orders, entries, strict=True)
            ]
        )
    return found


texts = st.lists(st.integers(0, 2), min_size=1, max_size=150)
some_orders = st.lists(st.integers(2, 5), min_size=1, max_size=3, unique=True)


@given(texts, some_orders, st.sampled_from([1, 2, 7, 64, 8192]))
def test_windows_equal_a_loop_over_the_equations(text, orders, slots):
    match = match_of(orders, slots)
    found, _, _ = looked_up(match, torch.tensor([text]), *start(match))
    assert found[0].tolist() == by_the_docstring(text, orders, slots)


def test_a_word_read_once_is_predicted_from_its_third_letter():
    text, match = "enter PETRUCHIO, and then PETRUCHIO speaks", match_of((3,), 8192)
    found, _, _ = looked_up(match, torch.tensor([[ord(c) for c in text]]), *start(match))
    again = text.rindex("PETRUCHIO")
    predicted = "".join(chr(number - 1) for number in found[0, again + 2 : again + 8, 0].tolist())
    assert predicted == "RUCHIO"
    assert not found[0, :10].any(), "nothing has been read twice there"


@given(texts, st.data())
def test_two_windows_with_carried_memory_equal_one(text, data):
    text, match = [*text, 1], match_of((2, 4), 16)
    ids, cut = torch.tensor([text]), data.draw(st.integers(1, len(text)))
    whole, recent_at_end, (slots_at_end,) = looked_up(match, ids, *start(match))
    first, recent, memory = looked_up(match, ids[:, :cut], *start(match))
    kept = memory[0].clone()
    if cut < len(text):
        second, recent, (slots,) = looked_up(match, ids[:, cut:], recent, memory)
        assert torch.equal(torch.cat((first, second), 1), whole)
        assert torch.equal(slots, slots_at_end)
    assert torch.equal(recent, recent_at_end)
    assert torch.equal(memory[0], kept), "a memory that was returned is never written to again"


def test_rows_of_a_batch_have_separate_memories():
    ids, match = torch.randint(4, (3, 100)), match_of((2, 3), 32)
    whole, _, _ = looked_up(match, ids, *start(match, 3))
    for row in range(3):
        alone, _, _ = looked_up(match, ids[row : row + 1], *start(match))
        assert torch.equal(alone[0], whole[row])


@given(st.integers(0, 2**31 - 1), st.integers(1, 0x10FFFF + 1), st.integers(1, 1 << 20))
def test_a_slot_fits_31_bits_and_matches_only_its_own_n_gram(hashed, number, slots):
    match = match_of((2,), slots)
    slot = match.slot(hashed, number)
    assert 0 <= slot < 2**31
    assert match.number(slot, hashed) == number
    assert match.number(slot, hashed + slots) == 0, "another n-gram of the same slot"


def test_the_initial_network_ignores_it_and_training_uses_it():
    shape = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 4, "num_layers": 1}
    torch.manual_seed(0)
    plain, model = CharLM(architecture(**shape)), CharLM(architecture(**shape, match_orders=(2,), match_slots=20))
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    ids = torch.tensor([[1, 2, 3, 1, 2, 0, 1]])
    logits, _ = model(ids)
    torch.testing.assert_close(logits, plain(ids)[0])
    logits.square().sum().backward()
    moved = model.side_inputs["match"].weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert moved == [0, 3 + 1], "where nothing was known, and where 1 2 had been followed by 3"


def test_a_state_reset_empties_the_memory():
    torch.manual_seed(0)
    model = CharLM(architecture(vocab_size=3, hidden_size=4, num_layers=1, match_orders=(2, 3), match_slots=20)).eval()
    torch.nn.init.normal_(model.side_inputs["match"].weight)
    ids = torch.randint(3, (2, 30))
    _, state = model(ids)
    again, _ = model(ids, state.reset(torch.tensor([True, False])))
    torch.testing.assert_close(again[0], model(ids)[0][0])
    torch.testing.assert_close(again[1], model(ids, state)[0][1])
    assert not torch.equal(again[1], model(ids)[0][1])


def test_a_table_is_remapped_to_a_new_vocabulary_order_by_order():
    match, table = match_of((2, 3), 8), np.arange(2 * 4 * 1, dtype=np.float32)[:, None]  # V = 3, E = 1
    remapped = match.remap_table(table, np.array([2, -1, 0, 1]), 3)
    assert remapped[:, 0].tolist() == [0, 3, 2, 1, 2, 4, 7, 6, 5, 6]


@given(texts, texts, some_orders, st.sampled_from([1, 2, 7, 64, 8192]))
def test_what_is_only_remembered_is_what_reading_leaves(first, second, orders, slots):
    match = match_of(orders, slots)
    _, recent, memory = looked_up(match, torch.tensor([first]), *start(match))
    numbers = torch.cat((recent, torch.tensor([second]) + 1), 1)
    _, _, (read,) = looked_up(match, torch.tensor([second]), recent, memory)
    (remembered,) = match.remember(WindowHistory(numbers, len(second)), memory)
    assert torch.equal(remembered, read)


def test_a_network_remembers_with_its_side_inputs_only():
    torch.manual_seed(0)
    sizes = {"vocab_size": 3, "hidden_size": 4, "num_layers": 1, "match_orders": (2, 3), "match_slots": 20}
    model = CharLM(architecture(**sizes, ngram_order=4)).eval()
    ids = torch.randint(3, (2, 30))
    remembered, read, empty = (
        dict(state.named_parts()) for state in (model.remember(ids), model(ids)[1], model.empty_state(2))
    )
    for name, part in remembered.items():
        assert torch.equal(part, (empty if name.startswith("layers") else read)[name]), name
