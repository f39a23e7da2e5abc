"""Filling, against every possible filling scored one by one."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

import charlstm
from charlstm.errors import UnknownCharacter, UsageError
from charlstm.filling.blanks import Blank, Blanked, parse
from charlstm.filling.config import FillConfig
from charlstm.filling.fill import fill, fit_text, preview
from charlstm.filling.readers import CausalReader, MaskedReader, reader_of
from charlstm.nn.model import CharLM
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_models import Markov, cycle, random_markov
from tests.networks import architecture, bidirectional_engine_for, engine_for

ALL = 100_000
"""Enough candidates for every filling."""


def log_softmax(row):
    row = np.asarray(row, np.float64)
    return row - math.log(np.exp(row - row.max()).sum()) - row.max()


def nats_of(model, text, start):
    """The log-probability of a text from its character ``start`` on, one step after the other."""
    ids = model.tokenizer.encode(text).tolist()
    state, total = None, 0.0
    for place, token in enumerate(ids[:-1], 1):
        logits, state = model.step(np.array([token]), state)
        if place >= start:
            total += log_softmax(logits[0])[ids[place]]
    return total


def posterior(model, blanked, alphabet):
    """Every filling and its exact share, by scoring every whole text."""
    spans = [range(blank.shortest, blank.longest + 1) for blank in blanked.blanks]
    start = len(blanked.texts[0])
    nats = {}
    for lengths in itertools.product(*spans):
        for filling in itertools.product(*(map("".join, itertools.product(alphabet, repeat=n)) for n in lengths)):
            nats[filling] = nats_of(model, blanked.filled(filling), start)
    total = np.logaddexp.reduce(list(nats.values()))
    return {filling: math.exp(value - total) for filling, value in nats.items()}


def recurrent(alphabet, seed=0):
    """A network whose memory reaches back, so that what stands far to the right matters."""
    torch.manual_seed(seed)
    model = CharLM(architecture(vocab_size=len(alphabet), embedding_size=4, hidden_size=8, num_layers=2))
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.8)
    tokenizer = CharTokenizer(alphabet)
    return engine_for(model, tokenizer)


@pytest.mark.parametrize(
    "text",
    ["ab__ca", "c_ab", "a{1-3}bc", "ab_c_a", "a{1-2}b{0}c".replace("{0}", "{1-2}"), "bc" * 12 + "__" + "ac" * 20],
)
@pytest.mark.parametrize("make", [recurrent, random_markov])
def test_a_causal_network_gives_the_exact_posterior(make, text):
    model = make("abc")
    want = posterior(model, parse(text), "abc")
    got = fill(CausalReader(model), model.tokenizer, parse(text), FillConfig(count=ALL, candidates=ALL))
    assert {filling.blanks for filling in got} == want.keys()
    for filling in got:
        assert filling.probability == pytest.approx(want[filling.blanks], abs=1e-6)
        assert filling.text == parse(text).filled(filling.blanks)
    shares = [filling.probability for filling in got]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("text", ["_ab", "c_ab"])
def test_a_text_of_a_list_is_read_after_the_end_of_another(text):
    model = recurrent("abc\n")
    every = FillConfig(count=ALL, candidates=ALL)
    got = fill(CausalReader(model), model.tokenizer, parse(text), every, record="\n")
    after_one = fill(CausalReader(model), model.tokenizer, parse("\n" + text), every)
    assert [filling.blanks for filling in got] == [filling.blanks for filling in after_one]
    assert [filling.probability for filling in got] == pytest.approx([other.probability for other in after_one])


def test_few_candidates_find_the_best_of_many():
    model = recurrent("abc", seed=3)
    text = parse("cab____bca")
    want = posterior(model, text, "abc")
    (best,) = fill(CausalReader(model), model.tokenizer, text, FillConfig(candidates=20))
    assert want[best.blanks] == max(want.values())


def test_the_right_side_decides_what_the_left_leaves_open():
    # After a comes b or c, equally likely; after b always d, after c always e.
    table = np.full((5, 5), -20.0)
    for before, after in ("ab", "ac", "bd", "ce", "da", "ea"):
        table["abcde".index(before), "abcde".index(after)] = 0.0
    model = Markov(table)
    for text, answer in (("a_d", "b"), ("a_e", "c"), ("a{1-2}ea_d", ("c", "b"))):
        (best,) = fill(CausalReader(model), model.tokenizer, parse(text), FillConfig())
        assert best.blanks == tuple(answer)
        assert best.probability > 0.99


def share_of(model, text, temperature, runs=1500, **more):
    """How often each filling comes first."""
    config = [FillConfig(temperature=temperature, candidates=ALL, seed=seed, **more) for seed in range(runs)]
    firsts = (fill(CausalReader(model), model.tokenizer, parse(text), one)[0].blanks for one in config)
    return {blanks: number / runs for blanks, number in Counter(firsts).items()}


def test_draws_have_the_frequencies_of_the_posterior():
    model = random_markov("abc", spread=1.0)
    want = posterior(model, parse("a{1-2}b"), "abc")
    got = share_of(model, "a{1-2}b", 1.0)
    for filling, probability in want.items():
        assert got.get(filling, 0) == pytest.approx(probability, abs=4 * math.sqrt(probability / 1500))


def test_temperature_sharpens_and_flattens_the_draw():
    model = random_markov("abcd", spread=1.0)
    exact = posterior(model, parse("a_b"), "abcd")
    for temperature in (0.5, 2.0):
        # One character: both the proposal and the score of the right side are divided by the temperature.
        powers = {filling: probability ** (1 / temperature) for filling, probability in exact.items()}
        got = share_of(model, "a_b", temperature)
        for filling, power in powers.items():
            probability = power / sum(powers.values())
            assert got.get(filling, 0) == pytest.approx(probability, abs=4 * math.sqrt(probability / 1500))


def test_several_draws_are_different_and_a_seed_repeats_them():
    model = random_markov("abcdef")
    config = FillConfig(count=6, temperature=1.5, seed=4)
    first = fill(CausalReader(model), model.tokenizer, parse("a__b"), config)
    assert first == fill(CausalReader(model), model.tokenizer, parse("a__b"), config)
    assert len({filling.blanks for filling in first}) == 6
    other = fill(CausalReader(model), model.tokenizer, parse("a__b"), FillConfig(count=6, temperature=1.5, seed=5))
    assert first != other


def test_neither_the_unknown_symbol_nor_a_newline_fills_a_blank():
    model = random_markov("a\nb", unknown=True)
    every = FillConfig(count=ALL, candidates=ALL)
    assert {filling.blanks[0] for filling in fill(CausalReader(model), model.tokenizer, parse("a_b"), every)} == {
        "a",
        "b",
    }
    every = FillConfig(count=ALL, candidates=ALL, newlines=True)
    found = {filling.blanks[0] for filling in fill(CausalReader(model), model.tokenizer, parse("a_b"), every)}
    assert found == {"a", "b", "\n"}
    lines = cycle("\n")
    with pytest.raises(UsageError, match="may stand in a blank"):
        fill(CausalReader(lines), lines.tokenizer, parse("\n_"), FillConfig())


def test_a_blank_at_the_end_ends_a_word():
    # After a comes b or c; after b comes d, after c a full stop.
    alphabet = "abcd."
    table = np.full((5, 5), -20.0)
    for before, after, logit in (("a", "b", 1.0), ("a", "c", 0.0), ("b", "d", 0.0), ("c", ".", 0.0)):
        table[alphabet.index(before), alphabet.index(after)] = logit
    model = Markov(table, CharTokenizer(alphabet))
    tokenizer = model.tokenizer
    (best,) = fill(CausalReader(model), tokenizer, parse("a_"), FillConfig())
    assert best.blanks == ("c",)
    (best,) = fill(CausalReader(model), tokenizer, parse("a_d"), FillConfig())
    assert best.blanks == ("b",)


def test_an_empty_left_side_starts_after_a_newline():
    model = random_markov("\nab")
    found = fill(CausalReader(model), model.tokenizer, parse("_b"), FillConfig(count=2))
    want = posterior(model, Blanked(("\n", "b"), (Blank(1, 1),)), "ab")
    assert {filling.blanks: pytest.approx(filling.probability) for filling in found} == want


def bidirectional(alphabet, layers=1, seed=0, seq_len=64, **more):
    torch.manual_seed(seed)
    shape = {"vocab_size": len(alphabet), "embedding_size": 4, "hidden_size": 8, "num_layers": layers, **more}
    model = CharLM(architecture(bidirectional=True, **shape)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.8)
    tokenizer = CharTokenizer(alphabet)
    return model, bidirectional_engine_for(model, seq_len, tokenizer)


def chain(model, tokenizer, before, masked, after):
    """log p of masked characters, one after the other, each by the torch model from the whole text."""
    mask, total = tokenizer.vocab_size, 0.0
    truth = tokenizer.encode(masked).tolist()
    for k, token in enumerate(truth):
        ids = [*tokenizer.encode(before).tolist(), *truth[:k], *[mask] * (len(truth) - k)]
        place = len(ids) - (len(truth) - k)
        ids += tokenizer.encode(after).tolist()
        logits = model(torch.tensor([ids]))[0][0, place].detach().numpy()
        total += log_softmax(logits)[token]
    return total


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bidirectional_network_gives_the_product_of_its_predictions(layers):
    model, engine = bidirectional("abc", layers, skip_connections=layers == 2)
    blanked = parse("abca__cb")
    got = fill(MaskedReader(engine), engine.tokenizer, blanked, FillConfig(count=ALL, candidates=ALL))
    assert len(got) == 9
    for filling in got:
        want = chain(model, engine.tokenizer, "abca", filling.blanks[0], "cb")
        assert filling.probability == pytest.approx(math.exp(want), rel=1e-4)


def test_a_variable_length_is_scored_by_the_eight_characters_after_it():
    model, engine = bidirectional("abc")
    right = "cbaabcabcb"
    got = fill(MaskedReader(engine), engine.tokenizer, parse("ab{1-3}" + right), FillConfig(count=ALL, candidates=ALL))
    nats = {
        filling.blanks[0]: chain(model, engine.tokenizer, "ab", filling.blanks[0] + right[:8], right[8:])
        - chain(model, engine.tokenizer, "ab", "", "")
        for filling in got
    }
    assert len(nats) == 3 + 9 + 27
    total = np.logaddexp.reduce(list(nats.values()))
    for filling in got:
        assert filling.probability == pytest.approx(math.exp(nats[filling.blanks[0]] - total), rel=1e-3)


def test_later_blanks_are_masked_while_earlier_ones_are_filled():
    model, engine = bidirectional("abc")
    tokenizer = engine.tokenizer
    got = fill(MaskedReader(engine), tokenizer, parse("ab_ca__b"), FillConfig(count=ALL, candidates=ALL))
    mask = tokenizer.vocab_size
    assert len(got) == 27
    for filling in got:
        first, second = filling.blanks
        ids = [0, 1, mask, 2, 0, mask, mask, 1]
        logits = model(torch.tensor([ids]))[0][0, 2].detach().numpy()
        want = log_softmax(logits)["abc".index(first)] + chain(model, tokenizer, f"ab{first}ca", second, "b")
        assert filling.probability == pytest.approx(math.exp(want), rel=1e-4)


def test_neither_side_reaches_farther_than_a_window():
    _, engine = bidirectional("abc", seq_len=6)
    far, near = "ababab", "caabcb"
    one = fill(MaskedReader(engine), engine.tokenizer, parse(far + near + "__" + near + far), FillConfig(count=9))
    other = fill(MaskedReader(engine), engine.tokenizer, parse(near + "__" + near), FillConfig(count=9))
    for first, second in zip(one, other, strict=True):
        assert first.blanks == second.blanks
        assert first.probability == pytest.approx(second.probability)


def test_each_kind_of_engine_has_its_reader():
    _, both = bidirectional("abc")
    assert isinstance(reader_of(both), MaskedReader)
    assert isinstance(reader_of(recurrent("abc")), CausalReader)


def test_unknown_characters_are_read_as_others_and_stay_in_the_answer():
    model = random_markov("caf e")
    with pytest.raises(UnknownCharacter, match=r"^text: character 'é'.* position 5 "):
        fit_text(model.tokenizer, "caf_ é _")
    with pytest.raises(UnknownCharacter, match=r"'3'.* position 6 "):
        fit_text(model.tokenizer, "a{1-3}3")
    for unknown, read_as in (("map", "cafe _ cafe"), ("skip", "caf _ caf")):
        typed, read, notes = fit_text(model.tokenizer, "café _ café", unknown)
        assert read == parse(read_as)
        assert len(notes) == 1
        assert "2 times" in notes[0]
        (got,) = fill(CausalReader(model), model.tokenizer, read, FillConfig(), shown=typed)
        assert got.text == f"café {got.blanks[0]} café"


def test_a_long_right_side_is_read_only_as_far_as_it_makes_a_difference():
    # Only the last token decides what follows: from the second token after a blank on, nothing differs.
    model = random_markov("abc")
    far = "ab" * 5000
    found = fill(CausalReader(model), model.tokenizer, parse(f"a_{far}_{far}"), FillConfig(count=9))
    assert len(model.steps) < 12_000, "one candidate reads for all"
    assert sum(len(step) for step in model.steps) < 12_000 + 3 * 9 * 100
    near = fill(CausalReader(model), model.tokenizer, parse(f"a_{far[:200]}_{far[:200]}"), FillConfig(count=9))
    for one, other in zip(found, near, strict=True):
        assert one.blanks == other.blanks
        assert one.probability == pytest.approx(other.probability)


def test_whole_characters_are_preferred_to_stray_bytes():
    random = np.random.default_rng(0)
    table = random.normal(size=(256, 256)) * 0.01
    table[:, 0xC3] += 5  # half of an é, and what would complete it is as unlikely as all else
    table[:, ord("x")] += 4
    model = Markov(table, ByteTokenizer())
    (best,) = fill(CausalReader(model), model.tokenizer, parse("a_b"), FillConfig())
    assert best.blanks == ("x",)


def test_a_preview_shows_a_passage_with_its_fillings():
    model = cycle("abcdefg")
    ids = model.tokenizer.encode("abcdefg" * 10).tolist()
    assert (
        preview(CausalReader(model), model.tokenizer, ids)
        == "abcdefg" * 4 + "[abcd]efg" + "abcdefg" * 3 + "[abcd]efg" + "abcdefg"
    )
    assert preview(CausalReader(model), model.tokenizer, ids[:5]) == "abcde"


def test_the_library_fills_blanks():
    starter = charlstm.load("starter")
    (best,) = starter.fill("The lamp w_s lit, and the ferryman said nothing.")
    assert best.blanks == ("a",)
    answers = starter.fill("She {2-5} the door.", count=4)
    assert len({answer.text for answer in answers}) == 4
    assert all(answer.text.startswith("She ") and answer.text.endswith(" the door.") for answer in answers)
    with pytest.raises(UsageError, match="no blank"):
        starter.fill("nothing to do")
