"""What is asked of a turn, and the rules under which turns run."""

import secrets

from msgspec import Struct, field

from pinocchio_core.service.access.callers import ANYBODY, Caller
from pinocchio_core.service.chats.admission import Admission
from pinocchio_core.service.chats.transcripts import DEFAULT_BOUNDS, HistoryBounds
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.defaults import Choice
from pinocchio_core.service.resolve import Resolved
from pinocchio_core.store.tables.conversations import FOR_EVER, Retention


class TurnRules(Struct, frozen=True, kw_only=True):
    """What the operator says of turns."""

    admission: Admission
    """Which may run."""
    history: HistoryBounds = DEFAULT_BOUNDS
    """How much of a conversation is sent to the engine."""
    retention: Retention = FOR_EVER
    """How long conversations are kept; looked after now and then, behind a turn."""


class ChatTarget(Struct, frozen=True, kw_only=True):
    """What a request says outside its body."""

    target: Target
    """The registry of the query; its slug is that of the path."""
    profile: str | None = None
    """From the query."""
    runtime: str | None = None
    """From the query, another name of `profile`, which wins."""
    cookie: Choice | None = None
    idempotency_key: str | None = None
    """From a header."""
    caller: Caller = ANYBODY
    """Who asks."""


class Ready(Struct, frozen=True, kw_only=True):
    """A turn that may begin: everything about it that could be wrong was found right."""

    conv_id: str
    prompt: str
    resolved: Resolved
    idempotency_key: str | None
    request_sha256: str
    stream: bool
    caller: Caller
    engine: str
    """The name of the one that will answer."""
    inference_id: str = field(default_factory=lambda: f"inf-{secrets.token_hex(8)}")
