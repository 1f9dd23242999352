"""The extension schema that is no middleware's config."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pinocchio_plugins import starter_suggestions

RECORDED = {
    "additionalProperties": False,
    "properties": {"items": {"default": [], "items": {"type": "string"}, "type": "array"}},
    "required": ["items"],
    "type": "object",
}


def test_schema_is_the_recorded_one() -> None:
    (schema,) = starter_suggestions.pinocchio_extension_schemas()
    assert (schema.key, schema.schema) == ("webchat.starter_suggestions@v1", RECORDED)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ({"items": []}, True),
        ({"items": ["What can you do?"]}, True),
        ({}, False),
        ({"items": [1]}, False),
        ({"items": "one"}, False),
        ({"items": [], "title": "x"}, False),
        (None, False),
    ],
)
def test_schema_takes_lists_of_strings_only(value: Any, valid: bool) -> None:
    (schema,) = starter_suggestions.pinocchio_extension_schemas()
    Draft202012Validator.check_schema(schema.schema)
    assert Draft202012Validator(schema.schema).is_valid(value) is valid
