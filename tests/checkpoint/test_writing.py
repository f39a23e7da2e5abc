"""How a network writes by itself is stored with it, and a file without it has the defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.checkpoint.copying import copy
from charlstm.checkpoint.format import read, write
from charlstm.checkpoint.store import Store
from charlstm.checkpoint.writing import Writing
from charlstm.errors import ConfigError, CorruptError, UsageError
from charlstm.sampling.config import SampleConfig, settings_for
from tests.checkpoint_samples import metadata, model, signed

OWN = Writing(temperature=0.7, top_p=0.9, min_p=0.05, starts=("one.\n\n", "zwei “é”\n"))


def test_it_is_stored_with_the_network_and_copied(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path, replace(model(), writing=OWN))
    assert read(path).writing == OWN
    small = copy(Store(tmp_path), str(path), str(tmp_path / "small.safetensors"), dtype="int8")
    assert read(small).writing == OWN
    write(path, model())
    assert read(path).writing == Writing()


def test_a_file_of_before_has_the_defaults_and_a_newer_one_may_have_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for section, expected in {"{}": Writing(), '{"temperature": 0.5, "mood": "sad"}': Writing(temperature=0.5)}.items():
        path.write_bytes(signed({"__metadata__": metadata(writing=section)}))
        assert read(path).writing == expected
    path.write_bytes(signed({"__metadata__": metadata()}))
    assert read(path).writing == Writing()


@pytest.mark.parametrize("section", ['{"temperature": -1}', '{"top_p": 2}', '{"starts": 3}', "[]", "{"])
def test_a_damaged_section_is_one_line(tmp_path: Path, section: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(signed({"__metadata__": metadata(writing=section)}))
    with pytest.raises(CorruptError, match="cannot be read"):
        read(path)
    with pytest.raises(ConfigError):
        Writing.from_plain({"min_p": 3.0})


def test_what_is_given_goes_before_what_is_stored() -> None:
    config = settings_for(OWN, temperature=None, top_p=None, min_p=0.0, length=7)
    assert config == SampleConfig(length=7, temperature=0.7, top_p=0.9, min_p=0.0)
    assert settings_for(Writing()) == SampleConfig(min_p=0.1)
    with pytest.raises(UsageError, match="temperature"):
        settings_for(OWN, temperature=-1)


def test_several_write_as_the_heaviest_does() -> None:
    other = Writing(temperature=0.2, no_repeat=4, starts=("x",))
    assert Writing.mixed([(OWN, 0.3), (other, 0.7)]) == other
    assert Writing.mixed([(OWN, 5), (other, 5)]) == OWN


def test_several_write_records_if_all_do_and_end_them_alike() -> None:
    names, longer, paragraphs = (
        Writing(record=end, longest_record=size) for end, size in (("\n", 9), ("\n", 20), ("\n\n", 30))
    )
    assert Writing.mixed([(names, 2), (longer, 1)]) == names.replace(longest_record=20)
    assert Writing.mixed([(names, 2), (paragraphs, 1)]) == names.replace(record="", longest_record=0)
    assert Writing.mixed([(names, 2), (OWN, 1)]) == names.replace(record="", longest_record=0)
    assert Writing.mixed([(names, 1), (OWN, 2)]) == OWN
