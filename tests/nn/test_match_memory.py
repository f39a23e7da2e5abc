"""What followed the last time: by the definition, in whole windows and step by step, carried along and forgotten."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import ModelConfig
from charlstm.nn.model import CharLM, reset_rows
from charlstm.nn.side_inputs.hashing import hashes_of
from charlstm.nn.side_inputs.match import nothing_read, recall
from charlstm.nn.side_inputs.match_entries import entry_of, number_in, place_of

CPU = torch.device("cpu")


def by_the_docstring(text, orders, rows):
    """f_n(t) for each token of a text of ids, from the equations, one after the other."""
    numbers = [0] * 16 + [token + 1 for token in text]
    memories = {order: {} for order in orders}
    found = []
    for t in range(16, len(numbers)):
        then, now = (hashes_of(numbers[end - 15 : end + 1][::-1]) for end in (t - 1, t))
        for n in orders:
            memories[n][then[n - 2] % rows] = (then[n - 2] // rows % 1024, numbers[t])
        entries = [memories[n].get(now[n - 2] % rows, (None, 0)) for n in orders]
        found.append(
            [
                number if tag == now[n - 2] // rows % 1024 else 0
                for n, (tag, number) in zip(orders, entries, strict=True)
            ]
        )
    return found


texts = st.lists(st.integers(0, 2), min_size=1, max_size=150)
some_orders = st.lists(st.integers(2, 5), min_size=1, max_size=3, unique=True)


@given(texts, some_orders, st.sampled_from([1, 2, 7, 64, 8192]))
def test_whole_windows_find_what_the_equations_find_one_by_one(text, orders, rows):
    found, _ = recall(torch.tensor([text]), nothing_read(1, orders, rows, CPU), orders)
    assert found[0].tolist() == by_the_docstring(text, orders, rows)


def test_a_name_that_was_read_once_is_known_from_its_third_letter():
    text = "enter PETRUCHIO, and then PETRUCHIO speaks"
    found, _ = recall(torch.tensor([[ord(c) for c in text]]), nothing_read(1, (3,), 8192, CPU), (3,))
    again = text.rindex("PETRUCHIO")
    told = "".join(chr(number - 1) for number in found[0, again + 2 : again + 8, 0].tolist())
    assert told == "RUCHIO"
    assert not found[0, :10].any(), "nothing has been read twice there"


@given(texts, st.data())
def test_a_text_read_in_two_windows_is_recalled_as_in_one(text, data):
    text = [*text, 1]
    ids, orders, cut = torch.tensor([text]), (2, 4), data.draw(st.integers(1, len(text) - 1))
    whole, end = recall(ids, nothing_read(1, orders, 16, CPU), orders)
    first, between = recall(ids[:, :cut], nothing_read(1, orders, 16, CPU), orders)
    kept = [part.clone() for part in between]
    second, after = recall(ids[:, cut:], between, orders)
    assert torch.equal(torch.cat((first, second), 1), whole)
    assert all(map(torch.equal, after, end))
    assert all(map(torch.equal, between, kept)), "a state that was returned is never written to again"


def test_rows_recall_only_themselves():
    ids = torch.randint(4, (3, 100))
    whole, _ = recall(ids, nothing_read(3, (2, 3), 32, CPU), (2, 3))
    for row in range(3):
        alone, _ = recall(ids[row : row + 1], nothing_read(1, (2, 3), 32, CPU), (2, 3))
        assert torch.equal(alone[0], whole[row])


@given(st.integers(0, 2**31 - 1), st.integers(1, 0x10FFFF + 1), st.integers(1, 1 << 20))
def test_an_entry_fits_31_bits_and_tells_its_number_to_its_own_n_gram(hashed, number, rows):
    entry = entry_of(hashed, number, rows)
    assert 0 <= entry < 2**31
    assert 0 <= place_of(hashed, rows) < rows
    assert number_in(entry, hashed, rows) == number
    assert place_of(hashed + rows, rows) == place_of(hashed, rows)
    assert number_in(entry, hashed + rows, rows) == 0, "another n-gram of the same place"


def test_a_network_begins_as_if_it_had_none_and_learns_from_it():
    shape = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 4, "num_layers": 1}
    torch.manual_seed(0)
    plain, model = CharLM(ModelConfig(**shape)), CharLM(ModelConfig(**shape, recall=(2,), recall_rows=20))
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    ids = torch.tensor([[1, 2, 3, 1, 2, 0, 1]])
    logits, _ = model(ids)
    torch.testing.assert_close(logits, plain(ids)[0])
    logits.square().sum().backward()
    moved = model.recall.embedding.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert moved == [0, 3 + 1], "where nothing was known, and where 1 2 had been followed by 3"


def test_a_state_reset_forgets_what_was_read():
    torch.manual_seed(0)
    model = CharLM(ModelConfig(vocab_size=3, hidden_size=4, num_layers=1, recall=(2, 3), recall_rows=20)).eval()
    torch.nn.init.normal_(model.recall.embedding.weight)
    ids = torch.randint(3, (2, 30))
    _, state = model(ids)
    again, _ = model(ids, reset_rows(state, torch.tensor([True, False])))
    torch.testing.assert_close(again[0], model(ids)[0][0])
    torch.testing.assert_close(again[1], model(ids, state)[0][1])
    assert not torch.equal(again[1], model(ids)[0][1])
