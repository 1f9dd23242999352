"""What of a conversation is sent to the engine."""

import pytest

from pinocchio_core.domain.turns import Block, BlockKind
from pinocchio_core.service.chats.transcripts import HistoryBounds, earlier

MESSAGE = Block(kind=BlockKind.USER, text="12345")


def said(number, text="12345"):
    return [Block(kind=BlockKind.USER, text=f"{number}"), Block(kind=BlockKind.ASSISTANT, text=text)]


def texts(before, **bounds):
    return [block.text for block in earlier(before, MESSAGE, HistoryBounds(**bounds))]


def test_the_newest_turns_are_sent_the_oldest_first():
    turns = [said(1), said(2), said(3)]
    assert texts(turns, turns=3) == ["1", "12345", "2", "12345", "3", "12345"]
    assert texts(turns, turns=2) == ["2", "12345", "3", "12345"]
    assert texts(turns, turns=0) == []


@pytest.mark.parametrize(
    ("characters", "sent"), [(17, ["2", "3"]), (16, ["3"]), (11, ["3"]), (10, []), (5, []), (4, []), (0, [])]
)
def test_so_many_characters_are_sent_the_message_counted_in(characters, sent):
    turns = [said(1, "a" * 1000), said(2), said(3)]
    assert texts(turns, characters=characters)[::2] == sent


def test_a_turn_that_does_not_fit_hides_those_before_it():
    assert texts([said(1), said(2, "a" * 100), said(3)], characters=50)[::2] == ["3"]


def test_calls_stay_with_their_results_and_count_with_their_arguments():
    call = Block(kind=BlockKind.TOOL_CALL, tool="t", call_id="c", arguments={"a": "123"})
    result = Block(kind=BlockKind.TOOL_RESULT, tool="t", call_id="c", text="12")
    whole = [Block(kind=BlockKind.USER, text="1"), call, result, Block(kind=BlockKind.ASSISTANT, text="2")]
    size = 5 + 1 + len('{"a":"123"}') + 2 + 1
    assert earlier([whole], MESSAGE, HistoryBounds(characters=size)) == tuple(whole)
    assert earlier([whole], MESSAGE, HistoryBounds(characters=size - 1)) == ()
