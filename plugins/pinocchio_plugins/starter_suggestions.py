"""Questions that a chat page may offer before the first message: an extension that is no middleware's config."""

from collections.abc import Iterator
from typing import Any, Final

from pinocchio_core.plugin import ExtensionSchema, hookimpl

KEY: Final = "webchat.starter_suggestions@v1"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "string"}, "default": []}},
    "required": ["items"],
    "additionalProperties": False,
}


@hookimpl
def pinocchio_extension_schemas() -> Iterator[ExtensionSchema]:
    """The schema of `{"items": [string]}`; the server stores it, the page reads it."""
    yield ExtensionSchema(KEY, SCHEMA)
