"""How well does the starter predict books that it has not read?

Run: ``charlstm corpora fetch classics``, then ``python -m benchmarks.held_out [MODEL]``

MODEL is ``starter`` unless another one is named. Each of the eight books that `benchmarks.starter_mix` leaves out is
read from its first character to its last, the state carried through it, in the characters that the starter knows. The
figures are nats per character; ``all`` is the mean over the characters of all books.
"""

from __future__ import annotations

from benchmarks import records
from benchmarks.runs import cache
from benchmarks.starter_mix import open_classics, read
from charlstm import load
from charlstm.corpora.catalogue import find, place
from charlstm.engine.load import torch_model
from charlstm.evaluation.loss import evaluate


def main() -> None:
    """Score each book, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    options = parser.parse_args()
    record = records.begin("held_out")
    list(open_classics())  # their files are checked
    checkpoint = load(options.model).checkpoint
    model, tokenizer = torch_model(checkpoint), checkpoint.load_tokenizer()
    nats = characters = 0.0
    for entry in find("classics/held-out").entries:
        ids = tokenizer.encode(read(place(entry, cache())))
        loss, scored = evaluate(model, ids[1:], ids[:1]), len(ids) - 1
        record.add(entry.name, options.model, "nats per character", loss)
        nats, characters = nats + loss * scored, characters + scored
    record.add("all", options.model, "nats per character", nats / characters)
    record.show()
    record.finish(options)


if __name__ == "__main__":
    main()
