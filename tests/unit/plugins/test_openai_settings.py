"""Settings of profiles, and the fields of requests that they come to."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pinocchio_core.host.screening import fault_of
from pinocchio_core.plugin import EngineFailed
from pinocchio_plugins.openai_settings import SCHEMA, fields_of_request

ALWAYS = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}


def fields(model: str = "m", **sections: dict[str, Any]) -> dict[str, Any]:
    settings = {name.replace("_", "-"): section for name, section in sections.items()}
    assert Draft202012Validator(SCHEMA).is_valid(settings)
    return fields_of_request(settings, model=model)


def test_the_schema_may_be_used() -> None:
    assert fault_of(SCHEMA) == ""


def test_every_field_has_its_place_in_the_request() -> None:
    assert fields() == ALWAYS
    chat = {
        "ai-engine": "m",
        "ai-api-type": "openai",
        "ai-temperature": 0,
        "ai-top-p": 0.5,
        "ai-max-response-tokens": 10,
        "ai-stop": ["a"],
        "ai-structured-output-mode": "off",
    }
    assert fields(ai_chat=chat) == {**ALWAYS, "temperature": 0, "top_p": 0.5, "max_tokens": 10, "stop": ["a"]}
    openai = {
        "openai-base-url": "https://example.com/v1",
        "openai-n": 2,
        "openai-presence-penalty": -1,
        "openai-frequency-penalty": 1,
        "openai-logit-bias": {"50256": -100},
        "openai-parallel-tool-calls": False,
        "openai-stream-include-usage": False,
    }
    assert fields(openai_chat=openai, ai_client={"timeout": 1.5, "organization": "o"}) == {
        "model": "m",
        "stream": True,
        "n": 2,
        "presence_penalty": -1,
        "frequency_penalty": 1,
        "logit_bias": {"50256": -100},
        "parallel_tool_calls": False,
    }


def test_inference_wins_over_chat() -> None:
    chat = {"ai-temperature": 1, "ai-top-p": 1, "ai-max-response-tokens": 10, "ai-stop": ["a"]}
    inference = {
        "inference-seed": 7,
        "inference-temperature": 0,
        "inference-top-p": 0.1,
        "inference-max-response-tokens": 20,
        "inference-stop": ["b", "c"],
    }
    assert fields(ai_chat=chat, ai_inference=inference) == {
        **ALWAYS,
        "seed": 7,
        "temperature": 0,
        "top_p": 0.1,
        "max_tokens": 20,
        "stop": ["b", "c"],
    }
    assert "stop" not in fields(ai_chat=chat, ai_inference={"inference-stop": []})


@pytest.mark.parametrize(
    ("model", "inference", "name"),
    [
        ("gpt-4o", {}, "max_tokens"),
        ("gpt-5-mini", {}, "max_completion_tokens"),
        ("o3", {}, "max_completion_tokens"),
        ("m", {"inference-reasoning-effort": "low"}, "max_completion_tokens"),
    ],
)
def test_reasoning_models_have_another_name_for_the_bound(model: str, inference: dict[str, Any], name: str) -> None:
    asked = fields(model, ai_chat={"ai-max-response-tokens": 9}, ai_inference=inference)
    assert {key: value for key, value in asked.items() if key.startswith("max_")} == {name: 9}


@pytest.mark.parametrize("as_text", [True, False])
def test_structured_output_asks_for_a_json_schema(as_text: bool) -> None:
    schema: Any = {"type": "object"}
    given = json.dumps(schema) if as_text else schema
    chat = {"ai-structured-output-mode": "json_schema", "ai-structured-output-schema": given}
    assert fields(ai_chat=chat)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    chat |= {"ai-structured-output-name": "thing", "ai-structured-output-strict": False}
    assert fields(ai_chat=chat)["response_format"]["json_schema"] == {
        "name": "thing",
        "schema": schema,
        "strict": False,
    }


@pytest.mark.parametrize("given", [{}, {"ai-structured-output-schema": "{"}, {"ai-structured-output-schema": "[1]"}])
def test_structured_output_without_a_schema_fails(given: dict[str, Any]) -> None:
    with pytest.raises(EngineFailed) as raised:
        fields(ai_chat={"ai-structured-output-mode": "json_schema", **given})
    assert "ai-structured-output-schema" in (raised.value.next_step or "")


@pytest.mark.parametrize(
    "settings",
    [
        {"ai-chat": {"ai-temperature": 2.1}},
        {"ai-chat": {"ai-top-p": -0.1}},
        {"ai-chat": {"ai-max-response-tokens": 0}},
        {"ai-chat": {"ai-stop": ["a", "b", "c", "d", "e"]}},
        {"ai-chat": {"ai-engine": ""}},
        {"openai-chat": {"openai-temperature": 1}},
        {"ai-client": {"timeout": 0}},
        {"ai-client": {"user-agent": "a\nb: c"}},
        {"ai-client": {"organization": " a"}},
        {"ai-inference": {"inference-seed": 1.5}},
        {"openai-chat": {"openai-logit-bias": {"1": 101}}},
        {"openai-chat": []},
    ],
)
def test_what_the_schema_refuses(settings: dict[str, Any]) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(settings)


def test_sections_of_others_pass_and_the_key_is_marked_as_a_secret() -> None:
    assert Draft202012Validator(SCHEMA).is_valid({"claude-chat": {"claude-top-k": 1}})
    assert SCHEMA["properties"]["openai-chat"]["properties"]["openai-api-key"]["x-secret"] is True
