"""Answers of servers that are compatible more or less."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinocchio_core.plugin import Block, BlockKind, EngineFailed, Turn
from pinocchio_plugins.openai_answer import MAX_CALLS, UNEXPLAINED, Answer, message_of
from pinocchio_plugins.openai_watch import Watch


def read(body: bytes) -> Answer:
    answer = Answer(Watch(Turn(), timeout_s=60))
    answer.read([body])
    return answer


def answered(message: dict[str, Any], **more: Any) -> list[Block]:
    document = {"choices": [{"message": message, **more}]}
    return list(read(json.dumps(document).encode()).blocks(model="m", turn_blocks=4))


def calls(*parts: Any) -> list[Block]:
    return answered({"tool_calls": list(parts)})


def part(name: str = "", arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


def test_content_may_come_in_parts_and_a_refusal_is_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, "x", {"type": "text", "text": "b"}]
    assert answered({"content": parts})[0].text == "ab"
    assert answered({"content": None, "refusal": "no"})[0].text == "no"


def test_only_the_first_of_several_choices_counts() -> None:
    choices = [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]
    (block,) = read(json.dumps({"choices": choices}).encode()).blocks(model="m", turn_blocks=0)
    assert block == Block(kind=BlockKind.ASSISTANT, text="a", metadata={"model": "m"})


def test_calls_without_ids_get_some() -> None:
    assert [(block.call_id, block.tool) for block in calls(part("f"), part("g"))] == [
        ("call_4_0", "f"),
        ("call_4_1", "g"),
    ]


def test_calls_without_an_index_are_told_by_name_or_id() -> None:
    found = calls(part("f", '{"a":', id="x"), part(arguments=" 1}"), part("g", "{}", id="y"))
    assert [(block.call_id, block.arguments) for block in found] == [("x", {"a": 1}), ("y", {})]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", {}), (" ", {}), ("{}", {}), (None, {}), ({"a": 1}, {"a": 1}), ('{"a": null}', {"a": None})],
)
def test_arguments(arguments: Any, expected: dict[str, Any]) -> None:
    (block,) = calls(part("f", arguments))
    assert (block.arguments, block.metadata) == (expected, {})


@pytest.mark.parametrize(
    "text", ["[1]", "null", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 100_000, "1" * 5000]
)
def test_arguments_that_are_no_object_are_kept_as_text(text: str) -> None:
    (block,) = calls(part("f", text))
    assert (block.arguments, block.metadata) == ({}, {"invalid_arguments": text})


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    body = b'{"choices": [{"message": {"content": "a\\ud83d b\\ud83d\\ude00"}}]}'
    assert next(read(body).blocks(model="m", turn_blocks=0)).text == "a\ufffd b😀"


def test_too_many_calls_are_refused() -> None:
    with pytest.raises(EngineFailed, match=f"more than {MAX_CALLS} tools"):
        calls(*(part("f", id=str(number)) for number in range(MAX_CALLS + 1)))


@pytest.mark.parametrize("count", [True, -1, 1.5, "7", None, 10**30])
def test_usage_that_is_no_number_is_ignored(count: Any) -> None:
    document = {"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": count, "completion_tokens": 2}}
    assert read(json.dumps(document).encode()).usage({"input_tokens": 1}) == {"input_tokens": 1, "output_tokens": 2}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "b"}, "b"),
        ({"message": "c"}, "c"),
        ({"detail": {"error": {"message": "d"}}}, "d"),
        ({"error": {"error": {"error": {"error": "deep"}}}}, UNEXPLAINED),
        ({"detail": [1]}, UNEXPLAINED),
        ({}, UNEXPLAINED),
        ([], UNEXPLAINED),
    ],
)
def test_where_messages_of_errors_are(document: Any, text: str) -> None:
    assert message_of(document) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FUNCTION = st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON})
CALL = st.fixed_dictionaries({}, optional={"id": JSON, "index": JSON, "function": FUNCTION | JSON})
DELTA = st.fixed_dictionaries(
    {}, optional={"content": JSON, "refusal": JSON, "tool_calls": st.lists(CALL | JSON) | JSON}
)
CHOICE = st.fixed_dictionaries({}, optional={"index": JSON, "delta": DELTA | JSON, "finish_reason": JSON})
CHUNK = st.fixed_dictionaries(
    {}, optional={"choices": st.lists(CHOICE | JSON, max_size=3) | JSON, "model": JSON, "usage": JSON, "error": JSON}
)


@given(st.lists(CHUNK | JSON, max_size=4))
def test_whatever_comes_is_an_answer_or_a_failure(documents: list[Any]) -> None:
    body = b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)
    try:
        answer = read(body + b"data: [DONE]\n\n")
    except EngineFailed:
        return
    for block in answer.blocks(model="m", turn_blocks=0):
        (block.text + block.tool + block.call_id + json.dumps(dict(block.metadata), ensure_ascii=False)).encode()
        json.dumps(block.arguments, ensure_ascii=False, allow_nan=False).encode()
    assert all(count >= 0 for count in answer.usage({}).values())


@given(st.binary(max_size=200))
def test_whatever_bytes_come_fail(body: bytes) -> None:
    with pytest.raises(EngineFailed):
        read(body)
