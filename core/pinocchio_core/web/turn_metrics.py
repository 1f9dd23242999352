"""What is counted and timed of chat turns, for Prometheus; labels are names of engines and states alone."""

import math
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pinocchio_core.errors import PinocchioError
from pinocchio_core.service.chats.admission import Admission
from pinocchio_core.service.chats.turn_times import TurnFigures
from pinocchio_core.store.tables.conversations import ConversationStore

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class TurnMetrics:
    """The collectors for turns of one app."""

    def __init__(self, admission: Admission, conversations: ConversationStore) -> None:
        self._admission = admission
        self._conversations = conversations
        self._turns = Counter(
            "pinocchio_turns", "Chat turns that ended, by what became of them.", ("engine", "status"), registry=None
        )
        self._took = Histogram(
            "pinocchio_turn_duration_seconds",
            "From admission to the end of turns, waiting included.",
            ("engine",),
            buckets=_BUCKETS_S,
            registry=None,
        )
        self._first = Histogram(
            "pinocchio_turn_first_event_seconds",
            "From admission to the engine's first text or call of a tool.",
            ("engine",),
            buckets=_BUCKETS_S,
            registry=None,
        )
        self._tool_calls = Counter("pinocchio_turn_tool_calls", "Calls of tools in turns.", ("engine",), registry=None)
        self._tokens = Counter(
            "pinocchio_turn_tokens", "Tokens, where the engine counts them.", ("engine", "kind"), registry=None
        )
        self._running = Gauge("pinocchio_turns_running", "Turns that run.", registry=None)
        self._running.set_function(lambda: admission.running)
        self._waiting = Gauge("pinocchio_turns_waiting", "Turns that wait for the one before.", registry=None)
        self._waiting.set_function(lambda: max(0, admission.running_or_waiting - admission.running))
        self._kept = Gauge("pinocchio_conversations", "Conversations that are kept.", registry=None)
        self._kept.set_function(self._conversation_count)

    def register(self, registry: CollectorRegistry) -> None:
        """Make all of them part of a scrape."""
        for collector in (self._turns, self._took, self._first, self._tool_calls, self._tokens):
            registry.register(collector)
        for gauge in (self._running, self._waiting, self._kept):
            registry.register(gauge)

    def observe(self, turn: TurnFigures) -> None:
        """Count a turn that has ended."""
        self._turns.labels(turn.engine, turn.status).inc()
        self._took.labels(turn.engine).observe(turn.took_s)
        if turn.first_event_s is not None:
            self._first.labels(turn.engine).observe(turn.first_event_s)
        self._tool_calls.labels(turn.engine).inc(turn.tool_calls)
        for kind, count in turn.tokens.items():
            self._tokens.labels(turn.engine, kind.removesuffix("_tokens")).inc(count)

    def _conversation_count(self) -> float:
        try:
            return self._conversations.count()
        except PinocchioError:
            return math.nan
