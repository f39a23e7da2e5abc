"""What `import charlstm` offers: the names, what they cost, and the keywords that completion and checkers see."""

import ast
import dataclasses
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import charlstm
from charlstm.api.model import Model
from charlstm.api.settings import Settings
from charlstm.config import all_settings
from charlstm.evaluation.dynamic import DynamicConfig
from charlstm.sampling.rules.from_settings import RuleSettings
from tests.api import settings_block

PUBLIC = """
    Architecture CharlstmError CheckpointError CheckpointSaved ConfigError CorruptError DataConfig DivergedError
    DynamicConfig EvalDone Event FillConfig Filling HiddenState IncompatibleError LostRankError Mix Model NotFoundError
    Notice OutOfMemoryError Preview Provenance Reading RunConfig SampleConfig Score Settings Started StepDone Stopped
    StorageError TextError Trace TrainConfig UnknownCharacter UsageError __version__ fit load mix train
"""


def test_the_public_names_are_these():
    assert sorted(charlstm.__all__) == sorted(PUBLIC.split()) == dir(charlstm)
    for name in charlstm.__all__:
        assert getattr(charlstm, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        charlstm.nothing  # noqa: B018


def test_type_checkers_see_the_same_names_in_the_same_places():
    tree = ast.parse(Path(charlstm.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    homes = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert homes.keys() == set(charlstm.__all__) - {"__version__"}
    for name, module in homes.items():
        assert getattr(sys.modules[module], name) is getattr(charlstm, name)


def test_the_package_is_marked_as_typed():
    assert Path(charlstm.__file__).with_name("py.typed").exists()


def test_importing_costs_nothing():
    script = (
        "import sys, charlstm\n"
        "assert not {'torch', 'numpy', 'msgspec', 'tqdm', 'rich', 'typer'} & set(sys.modules)\n"
        "charlstm.load, charlstm.Model\n"
        "assert not {'torch', 'tqdm', 'rich', 'typer'} & set(sys.modules)\n"
        "charlstm.fit, charlstm.train\n"
        "assert not {'torch', 'tqdm', 'rich', 'typer'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("method", "config", "others"),
    [
        ("generate", charlstm.SampleConfig, {"prompt", "unknown", "source"}),
        ("stream", charlstm.SampleConfig, {"prompt", "unknown", "source"}),
        ("fill", charlstm.FillConfig, {"text", "unknown"}),
        ("score_dynamic", DynamicConfig, {"text", "device", "progress"}),
    ],
)
def test_keywords_are_the_fields_of_the_config_with_their_types_and_defaults(method, config, others):
    parameters = dict(inspect.signature(getattr(Model, method)).parameters)
    assert others | {"self"} <= parameters.keys()
    keywords = {
        name: (each.annotation, each.default) for name, each in parameters.items() if name not in {*others, "self"}
    }
    expected = {field.name: (field.type, field.default) for field in dataclasses.fields(config)}
    if config is charlstm.SampleConfig:
        expected |= {field.name: (field.type, field.default) for field in dataclasses.fields(RuleSettings)}
        # not given: what was found best for the network
        expected |= dict.fromkeys(("temperature", "top_p", "min_p"), ("float | None", None)) | {
            "no_repeat": ("int | None", None),
            "longest_run": ("int | None", None),
        }
    assert keywords == expected


@pytest.mark.parametrize("method", ["generate", "stream", "next"])
def test_a_mix_takes_what_a_model_takes(method):
    assert inspect.signature(getattr(charlstm.Mix, method)) == inspect.signature(getattr(Model, method))


def test_the_settings_of_train_and_fit_are_those_of_the_schemas():
    assert settings_block.current() == settings_block.block(), "python -m tests.api.settings_block writes it anew"
    assert set(Settings.__annotations__) == set(all_settings()) - {"sources"}


@pytest.mark.parametrize("function", [charlstm.train, charlstm.fit])
def test_completion_shows_every_setting(function):
    parameters = inspect.signature(function).parameters
    for name, kind in Settings.__annotations__.items():
        assert parameters[name].annotation == kind.__forward_arg__
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["max_time"].annotation == "float | str | None"
    assert parameters["sources"].kind is inspect.Parameter.VAR_POSITIONAL
    assert {"name", "root", "cache", "force"} <= parameters.keys()
    assert "settings" not in parameters
    assert "hidden_size" in inspect.getdoc(function)


def test_every_public_type_can_be_resolved_from_its_annotations():
    assert typing.get_type_hints(Settings)["max_time"] == float | str | None
    assert typing.get_type_hints(charlstm.load)["return"] is charlstm.Model
