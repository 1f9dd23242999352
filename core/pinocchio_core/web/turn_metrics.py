"""What is counted and timed of chat turns, for Prometheus; labels are names of engines and states alone."""

import math
from collections.abc import Iterator
from typing import Final

from pinocchio_core.errors import PinocchioError
from pinocchio_core.service.chats.admission import Admission
from pinocchio_core.service.chats.turn_times import TurnFigures
from pinocchio_core.store.tables.conversations import ConversationStore
from pinocchio_core.web.counting import AnyFamily, Counts, Family, Times, TimesFamily, single

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_ENGINE: Final = ("engine",)


class TurnMetrics:
    """All that is counted of the turns of one app."""

    def __init__(self, admission: Admission, conversations: ConversationStore) -> None:
        self._admission = admission
        self._conversations = conversations
        self._turns, self._tool_calls, self._tokens = Counts(), Counts(), Counts()
        self._took, self._first = Times(_BUCKETS_S), Times(_BUCKETS_S)

    def observe(self, turn: TurnFigures) -> None:
        """Count a turn that has ended."""
        self._turns.add(turn.engine, turn.status)
        self._took.observe(turn.took_s, turn.engine)
        if turn.first_event_s is not None:
            self._first.observe(turn.first_event_s, turn.engine)
        self._tool_calls.add(turn.engine, by=turn.tool_calls)
        for kind, count in turn.tokens.items():
            self._tokens.add(turn.engine, kind.removesuffix("_tokens"), by=count)

    def families(self) -> Iterator[AnyFamily]:
        """What a scrape shows of it."""
        text = "Chat turns that ended, by what became of them."
        yield Family("counter", "pinocchio_turns", text, self._turns.total().items(), labels=(*_ENGINE, "status"))
        for name, text, times in (
            ("pinocchio_turn_duration_seconds", "From admission to the end of turns, waiting included.", self._took),
            (
                "pinocchio_turn_first_event_seconds",
                "From admission to the engine's first text or call of a tool.",
                self._first,
            ),
        ):
            yield TimesFamily(name, text, times.total().items(), labels=_ENGINE, bounds_s=times.bounds_s)
        calls = self._tool_calls.total().items()
        yield Family("counter", "pinocchio_turn_tool_calls", "Calls of tools in turns.", calls, labels=_ENGINE)
        text = "Tokens, where the engine counts them."
        yield Family("counter", "pinocchio_turn_tokens", text, self._tokens.total().items(), labels=(*_ENGINE, "kind"))
        running = self._admission.running
        waiting = max(0, self._admission.running_or_waiting - running)
        yield single("gauge", "pinocchio_turns_running", "Turns that run.", running)
        yield single("gauge", "pinocchio_turns_waiting", "Turns that wait for the one before.", waiting)
        yield single("gauge", "pinocchio_conversations", "Conversations that are kept.", self._conversation_count())

    def _conversation_count(self) -> float:
        try:
            return self._conversations.count()
        except PinocchioError:
            return math.nan
