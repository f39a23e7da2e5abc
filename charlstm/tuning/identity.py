"""What makes two sessions one search: trials of another text, time or share of the machine cannot be compared."""

from __future__ import annotations

import json
from typing import Annotated, Any

from msgspec import Meta

from charlstm.config import RunConfig
from charlstm.schemas import Schema
from charlstm.training.plan.merge import Given, merge


class SearchIdentity(Schema, frozen=True, kw_only=True):
    """What a search was started with, as its study stores it."""

    text: str
    """SHA-256 of the corpus."""
    given: dict[str, dict[str, Any]]
    """The settings that stay fixed, by section, without the sources: the text counts, not its name."""
    seed: int
    """Of the proposals."""
    trial_time: Annotated[float, Meta(gt=0)]
    """Seconds of training of each trial."""
    jobs: int | None = None
    """Trials that run in parallel; searches of older versions did not store it."""
    defaults: dict[str, Any]
    """As `RunConfig.to_plain` gives them. They stay: measured again, the machine may seem faster or slower."""

    @property
    def run(self) -> RunConfig:
        """The default settings.

        Raises:
            ConfigError: they cannot be.
        """
        return RunConfig.from_plain(self.defaults)

    @property
    def fixed(self) -> set[str]:
        """The names of the settings that are not varied."""
        return {name for values in self.given.values() for name in values}

    def differences(self, other: SearchIdentity, *, trial_time: float | None) -> list[str]:
        """Return in which respects another session would not be this search.

        Args:
            other: what that session was started with.
            trial_time: the trial time it requests, in seconds; None accepts this search's.
        """
        checks = {
            "another text": self.text != other.text,
            "other fixed settings": self.given != other.given,
            f"seed {self.seed}": self.seed != other.seed,
            f"a trial time of {self.trial_time:g} s": trial_time not in (None, self.trial_time),
            f"{self.jobs} parallel trials (jobs)": self.jobs not in (None, other.jobs),
        }
        return [what for what, differs in checks.items() if differs]


def fixed_settings(given: Given) -> dict[str, dict[str, Any]]:
    """Return the settings of a user as `SearchIdentity.given` holds them: plain JSON, without the sources."""
    plain: dict[str, dict[str, Any]] = json.loads(json.dumps(merge(given)))
    plain["data"].pop("sources", None)
    return plain
