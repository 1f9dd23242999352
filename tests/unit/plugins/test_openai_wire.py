"""Blocks as messages, and bodies as documents."""

from collections.abc import Mapping
from typing import Any

import pytest

from pinocchio_core.plugin import Block, BlockKind, EngineFailed, ToolDefinition
from pinocchio_plugins import openai_wire
from pinocchio_plugins.openai_wire import documents, messages, tools


def call(call_id: str, arguments: Mapping[str, Any] | None = None) -> Block:
    return Block(kind=BlockKind.TOOL_CALL, tool="add", call_id=call_id, arguments=arguments)


def result(call_id: str, text: str) -> Block:
    return Block(kind=BlockKind.TOOL_RESULT, tool="add", call_id=call_id, text=text)


def said(text: str) -> Block:
    return Block(kind=BlockKind.ASSISTANT, text=text)


def user(text: str) -> Block:
    return Block(kind=BlockKind.USER, text=text)


def brief(blocks: list[Block]) -> list[tuple[Any, ...]]:
    """Role, text and call ids of each message."""
    return [
        (
            message["role"],
            message["content"],
            *(called["id"] for called in message.get("tool_calls", ())),
            *([message["tool_call_id"]] if "tool_call_id" in message else []),
        )
        for message in messages(blocks)
    ]


def test_each_kind_of_block_has_its_message() -> None:
    blocks = [
        Block(kind=BlockKind.SYSTEM, text="be brief"),
        user("1+1?"),
        said("Let me see."),
        call("a", {"x": [1, 1]}),
        result("a", "2"),
        said("2"),
    ]
    function = {"name": "add", "arguments": '{"x": [1, 1]}'}
    assert messages(blocks) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "1+1?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "2"},
        {"role": "assistant", "content": "2"},
    ]


def test_rounds_of_calls_stay_apart_even_with_the_same_ids() -> None:
    blocks = [
        call("a"),
        call("b"),
        result("b", "B"),
        result("a", "A"),
        call("a"),
        result("a", "A2"),
        said("x"),
        said("y"),
    ]
    assert brief(blocks) == [
        ("assistant", None, "a", "b"),
        ("tool", "A", "a"),
        ("tool", "B", "b"),
        ("assistant", None, "a"),
        ("tool", "A2", "a"),
        ("assistant", "x\n\ny"),
    ]


def test_results_follow_their_calls_whatever_is_in_between() -> None:
    assert brief([call("a"), user("mode"), result("a", "A")]) == [
        ("assistant", None, "a"),
        ("tool", "A", "a"),
        ("user", "mode"),
    ]


def test_a_call_without_a_result_and_a_result_without_a_call() -> None:
    assert brief([result("z", "Z"), call("a"), user("next")]) == [
        ("assistant", None, "a"),
        ("tool", "", "a"),
        ("user", "next"),
    ]


def test_empty_text_of_the_assistant_is_no_message() -> None:
    assert brief([user("a"), said(""), user("b")]) == [("user", "a"), ("user", "b")]


def test_tools_are_functions() -> None:
    tool = ToolDefinition("add", description="Adds.", arguments_schema={"type": "object"}, call=str)
    function = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
    assert tools([tool]) == [{"type": "function", "function": function}]


STREAM = b': hello\r\nevent: message\r\nid: 7\ndata: {"a":\ndata:  "\xc3\xa9"}\n\n\r\n\ndata:[DONE]\n\ndata: last'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_may_be_cut_anywhere(size: int) -> None:
    whole, found = documents(STREAM[at : at + size] for at in range(0, len(STREAM), size))
    assert not whole
    assert list(found) == ['{"a":\n "é"}', "[DONE]", "last"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_document_may_be_cut_anywhere(size: int) -> None:
    body = b' \n {"a": "\xc3\xa9"} \n'
    whole, found = documents(body[at : at + size] for at in range(0, len(body), size))
    assert whole
    assert [text.strip() for text in found] == ['{"a": "é"}']


@pytest.mark.parametrize("chunk", [b"{  ", b"data", b"data: x\n"])
def test_nothing_grows_without_bounds(monkeypatch: pytest.MonkeyPatch, chunk: bytes) -> None:
    monkeypatch.setattr(openai_wire, "MAX_EVENT_BYTES", 100)
    with pytest.raises(EngineFailed, match="more than 100 bytes in one piece"):
        list(documents([chunk] * 100)[1])
