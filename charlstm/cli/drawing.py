"""What ``charlstm sample`` draws: texts or records of one model or mix, with all that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from charlstm.cli.load_model import Writer

if TYPE_CHECKING:
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.guides import Guide
    from charlstm.sampling.records import Drawn
    from charlstm.sampling.rules.rhymes import Rhymes
    from charlstm.sampling.sampler import Fragment


@dataclass(frozen=True)
class Drawing:
    """What is drawn."""

    loaded: Writer
    prompt: str
    config: SampleConfig
    count: int
    guide: Guide | None
    particles: int
    rhymes: Rhymes | None
    scored: bool
    """Whether log-probabilities are computed."""
    draw: Callable[[], Iterator[Fragment]] | None = None
    """What draws a way that was chosen; None draws the texts themselves."""

    def each(self, config: SampleConfig) -> Iterator[tuple[str, Sequence[Fragment]]]:
        """Draw whole texts with other settings."""
        drawing, writing = replace(self, config=config), self.loaded.writing
        if writing.record:
            for record in drawing.records(new_only=False):
                yield record.text.removeprefix(self.prompt) + writing.record, record.fragments
            return
        for _, row in groupby(drawing.texts(raw=False), key=lambda fragment: fragment.row):
            fragments = tuple(row)
            yield "".join(fragment.text for fragment in fragments), fragments

    def texts(self, *, raw: bool) -> Iterator[Fragment]:
        """Draw texts, one after the other."""
        if self.draw is not None:
            return self.draw()
        from charlstm.sampling.prompts import prompt_ids
        from charlstm.sampling.sampler import in_order
        from charlstm.sampling.sampler import sample as draw

        model, writing = self.loaded.model, self.loaded.writing
        fragments = draw(
            model,
            prompt_ids(model.tokenizer, self.prompt, writing.record),
            self.config,
            rows=self.count,
            starts=writing.starts,
            guide=self.guide,
            particles=self.particles,
            rhymes=self.rhymes,
            with_log_probabilities=self.scored,
            raw=raw,
        )
        return in_order(fragments, self.count)

    def records(self, *, new_only: bool) -> Iterator[Drawn]:
        """Draw records."""
        from charlstm.sampling.records import draw_records

        return draw_records(
            self.loaded.model,
            self.loaded.writing,
            self.loaded.records,
            self.config,
            self.count,
            prompt=self.prompt,
            new_only=new_only,
            guide=self.guide,
            particles=self.particles,
            with_log_probabilities=self.scored,
        )
