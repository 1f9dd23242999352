"""What a profile may say to the engine `openai`, and the fields of a request that it comes to."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pinocchio_core.plugin import EngineFailed

Settings = Mapping[str, Any]
"""Section → field → value, valid under `SCHEMA`."""

DEFAULT_TIMEOUT_S: Final = 60
SET_THE_KEY: Final = "set PINOCCHIO_ENGINE_API_KEY for the server, or name a file with the key by --engine-api-key-file"
_TEMPERATURE: Final = {"type": "number", "minimum": 0, "maximum": 2}
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}
_TOKENS: Final = {"type": "integer", "minimum": 1}
_STOP: Final = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 4}
_PENALTY: Final = {"type": "number", "minimum": -2, "maximum": 2}
_HEADER: Final = {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": 200}


def _section(title: str, properties: dict[str, Any], *, own: bool = False) -> dict[str, Any]:
    """A section; one that is not this engine's `own` may have fields of other engines in it."""
    return {"title": title, "type": "object", "properties": properties, "additionalProperties": not own}


SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OpenAI-compatible",
    "description": "Settings of an engine that speaks the chat completions of OpenAI; sections of others may be there.",
    "type": "object",
    "properties": {
        "ai-chat": _section(
            "Chat",
            {
                "ai-engine": {"type": "string", "minLength": 1, "description": "The model."},
                "ai-api-type": {"type": "string", "description": "The engine, by its name."},
                "ai-temperature": _TEMPERATURE,
                "ai-top-p": _SHARE,
                "ai-max-response-tokens": _TOKENS,
                "ai-stop": _STOP,
                "ai-structured-output-mode": {"enum": ["off", "json_schema"]},
                "ai-structured-output-name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                "ai-structured-output-schema": {
                    "type": ["object", "string"],
                    "description": "The JSON Schema of the answer, as an object or as its text.",
                },
                "ai-structured-output-strict": {"type": "boolean"},
            },
        ),
        "ai-client": _section(
            "HTTP client",
            {
                "timeout": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 3600,
                    "default": DEFAULT_TIMEOUT_S,
                    "description": "Seconds to wait for the first byte and between bytes; a turn takes ten times as"
                    " long at most.",
                },
                "organization": _HEADER,
                "user-agent": _HEADER,
            },
        ),
        "ai-inference": _section(
            "Inference; wins over the section ai-chat",
            {
                "inference-seed": {"type": "integer"},
                "inference-temperature": _TEMPERATURE,
                "inference-top-p": _SHARE,
                "inference-max-response-tokens": _TOKENS,
                "inference-stop": _STOP,
                "inference-reasoning-effort": {"type": "string", "minLength": 1, "maxLength": 40},
            },
        ),
        "openai-chat": _section(
            "OpenAI",
            {
                "openai-base-url": {
                    "type": "string",
                    "minLength": 1,
                    "description": "An origin other than the server's own must be allowed with --engine-allow-origin.",
                },
                "openai-api-key": {"type": "string", "x-secret": True},
                "openai-n": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 128,
                    "description": "Answers to ask for; the first is used.",
                },
                "openai-presence-penalty": _PENALTY,
                "openai-frequency-penalty": _PENALTY,
                "openai-logit-bias": {
                    "type": "object",
                    "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
                },
                "openai-parallel-tool-calls": {"type": "boolean", "description": "Used where tools are offered."},
                "openai-stream-include-usage": {"type": "boolean", "default": True},
            },
            own=True,
        ),
    },
}

_FIELDS: Final = (
    ("ai-chat", "ai-temperature", "temperature"),
    ("ai-chat", "ai-top-p", "top_p"),
    ("ai-chat", "ai-max-response-tokens", "max_tokens"),
    ("ai-chat", "ai-stop", "stop"),
    ("ai-inference", "inference-seed", "seed"),
    ("ai-inference", "inference-temperature", "temperature"),
    ("ai-inference", "inference-top-p", "top_p"),
    ("ai-inference", "inference-max-response-tokens", "max_tokens"),
    ("ai-inference", "inference-stop", "stop"),
    ("ai-inference", "inference-reasoning-effort", "reasoning_effort"),
    ("openai-chat", "openai-n", "n"),
    ("openai-chat", "openai-presence-penalty", "presence_penalty"),
    ("openai-chat", "openai-frequency-penalty", "frequency_penalty"),
    ("openai-chat", "openai-logit-bias", "logit_bias"),
    ("openai-chat", "openai-parallel-tool-calls", "parallel_tool_calls"),
)
"""Section, field, and the request's name for it; later ones win."""

_REASONING_MODELS: Final = ("o1", "o3", "o4", "gpt-5")
"""What names of models begin with that refuse `max_tokens`."""


def setting(settings: Settings, section: str, name: str) -> Any:
    """The value of a field, `None` where it is not set."""
    return (settings.get(section) or {}).get(name)


def fields_of_request(settings: Settings, *, model: str) -> dict[str, Any]:
    """The request apart from messages and tools.

    Raises:
        EngineFailed: the structured output cannot be asked for as it is described.
    """
    fields: dict[str, Any] = {"model": model, "stream": True}
    if setting(settings, "openai-chat", "openai-stream-include-usage") is not False:
        fields["stream_options"] = {"include_usage": True}
    for section, name, field in _FIELDS:
        value = setting(settings, section, name)
        if value is not None:
            fields[field] = value
    if not fields.get("stop", True):
        del fields["stop"]  # an empty list switches off what ai-chat says; providers refuse to get one
    if "max_tokens" in fields and ("reasoning_effort" in fields or model.startswith(_REASONING_MODELS)):
        fields["max_completion_tokens"] = fields.pop("max_tokens")
    if setting(settings, "ai-chat", "ai-structured-output-mode") == "json_schema":
        fields["response_format"] = {"type": "json_schema", "json_schema": _structure(settings)}
    return fields


def _structure(settings: Settings) -> dict[str, Any]:
    schema = setting(settings, "ai-chat", "ai-structured-output-schema")
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            schema = None
    if not isinstance(schema, Mapping):
        raise EngineFailed(
            "the structured output has no schema that is a JSON object",
            next_step="set ai-structured-output-schema in the section ai-chat to a JSON Schema,"
            " or ai-structured-output-mode to off",
        )
    strict = setting(settings, "ai-chat", "ai-structured-output-strict")
    return {
        "name": setting(settings, "ai-chat", "ai-structured-output-name") or "answer",
        "schema": schema,
        "strict": strict is not False,
    }
