"""The description of the interfaces says what the server does: field by field, and by many random requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from msgspec import Meta
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from charlstm.web import app, asks
from tests.web.running import Running, running, served, served_bytes

DESCRIPTION: dict[str, Any] = json.loads((Path(app.__file__).parent / "openapi.json").read_text("utf-8"))
KINDS: dict[str, type[msgspec.Struct]] = {
    "/api/score": asks.Score,
    "/api/generate": asks.Generate,
    "/api/fan": asks.Fan,
    "/api/trace": asks.Trace,
    "/api/fill": asks.Fill,
    "/api/units": asks.Units,
    "/v1/completions": asks.Completion,
}
BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum",
          "min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}  # fmt: skip


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its reference."""
    while "$ref" in schema:
        named = schema["$ref"].rpartition("/")[2]
        schema = {**DESCRIPTION["components"]["schemas"][named], **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def body_of(path: str) -> dict[str, Any]:
    found: dict[str, Any] = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return found


def test_every_path_is_described_and_every_described_path_is_there(server: Running) -> None:
    assert server.ask("GET", "/openapi.json").json() == DESCRIPTION
    described = {(path, method) for path, methods in DESCRIPTION["paths"].items() for method in methods}
    told = {"/health", "/api/models", "/v1/models", "/v1/models/{model}"}
    assert described == {(path, "post") for path in app.COMPUTED} | {(path, "get") for path in told}
    for path in told:
        assert server.ask("GET", path.format(model="small")).status == 200


@pytest.mark.parametrize("path", KINDS)
def test_the_fields_of_a_request_are_described_with_their_ranges(path: str) -> None:
    kind, schema = KINDS[path], body_of(path)
    assert schema["additionalProperties"] is False
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    assert set(schema["properties"]) == set(fields)
    assert set(schema.get("required", ())) == {name for name, field in fields.items() if field.required}
    hints = get_type_hints(kind, include_extras=True)
    for name, field in fields.items():
        described, annotation = resolved(schema["properties"][name]), hints[field.name]
        if "default" in described and field.default not in (None, msgspec.NODEFAULT):
            assert described["default"] == field.default
        metas = [meta for meta in _metas(annotation) if name not in ("prompt", "stop", "mix", "logit_bias")]
        for meta in metas:
            for bound, keyword in BOUNDS.items():
                value = getattr(meta, bound)
                keywords = (keyword,) if isinstance(keyword, str) else keyword
                if value is not None:
                    assert value in [described.get(each) for each in keywords], (name, bound)


def _metas(annotation: Any) -> Iterator[Meta]:
    for each in (annotation, *get_args(annotation)):
        if hasattr(each, "__metadata__"):
            yield from (meta for meta in each.__metadata__ if isinstance(meta, Meta))
        elif get_origin(each) is None and isinstance(each, Meta):
            yield each


# ---- random requests ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server whose network reads any text."""
    of_bytes = served_bytes("small")
    object.__setattr__(of_bytes, "own_text", lambda: 'The sea was calm. "So it was," said he.\n' * 30)
    with running(of_bytes, served("other"), served("both", bidirectional=True)) as server:
        yield f"http://{server.host}"


REFUSED = {"negative_data_rejection": {"expected-statuses": [400, 404, 413, 415]}}
api = schemathesis.openapi.from_dict(DESCRIPTION, config=SchemathesisConfig.from_dict({"checks": REFUSED}))
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@api.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_the_answer_is_as_described(case: Any, address: str) -> None:
    if isinstance(case.body, dict):  # what is allowed and long is made short
        for name, most in (
            ("length", 30),
            ("max_tokens", 12),
            ("best_of", 3),
            ("n", 3),
            ("candidates", 5),
            ("depth", 3),
        ):
            value, described = case.body.get(name), resolved(body_of(case.path)["properties"].get(name, {}))
            if isinstance(value, int) and most < value <= described.get("maximum", 0):
                case.body[name] = most
        speed = case.body.get("speed")
        if isinstance(speed, float | int) and 0.1 <= speed < 100:
            case.body["speed"] = 1000
    case.call_and_validate(base_url=address, checks=CHECKS)
