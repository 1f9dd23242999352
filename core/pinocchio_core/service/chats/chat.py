"""The use case of a chat turn: which profile, what it comes to, the chain and the engine, and what is kept of it."""

import hashlib
import logging
import math
import secrets
import time
from functools import partial
from typing import Any, Final

import msgspec

from pinocchio_core.domain.slugs import trim
from pinocchio_core.domain.turns import Block, BlockKind, Emit, Event, Turn
from pinocchio_core.errors import (
    ConversationBusy,
    IdempotencyMismatch,
    InvalidRequest,
    PinocchioError,
    Problem,
    TurnCancelled,
)
from pinocchio_core.host.host import Host
from pinocchio_core.service.chats.admission import ALIVE, LONGEST_WAIT_S, Place
from pinocchio_core.service.chats.chain import Chains
from pinocchio_core.service.chats.conversations import ConversationService
from pinocchio_core.service.chats.engines import EngineChoice, Engines
from pinocchio_core.service.chats.tools import with_tools
from pinocchio_core.service.chats.transcripts import added, earlier, reply_of
from pinocchio_core.service.chats.turn_requests import ChatTarget, Ready, TurnRules
from pinocchio_core.service.chats.turn_times import REPEATED, Observe, TurnClock
from pinocchio_core.service.checking.names import (
    conversation_problems,
    name_problem,
    reference_problems,
    registry_problems,
)
from pinocchio_core.service.checking.requests import ChatRequest
from pinocchio_core.service.checking.targets import Target, opened
from pinocchio_core.service.defaults import Choice, DefaultService
from pinocchio_core.service.resolving import ResolveService, overrides_of
from pinocchio_core.store.tables.conversations import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FOR_EVER,
    RUNNING,
    ConversationStore,
    StoredTurn,
    blocks_json,
)

MISSING_PROMPT: Final = "missing prompt"
ABANDONED_MS: Final = 15 * 60 * 1000
"""A turn that began so long ago and did not end is nobody's, also where its server lives: it could not be written."""
_LOOK_S: Final = 0.05
PRUNE_EVERY_S: Final = 60.0
"""How often to look for conversations that are not to be kept any longer, after a turn."""

log = logging.getLogger("pinocchio.chat")


class ChatService:
    """Runs turns of conversations."""

    def __init__(
        self,
        resolving: ResolveService,
        defaults: DefaultService,
        conversations: ConversationStore,
        host: Host,
        *,
        choice: EngineChoice,
        rules: TurnRules,
        observe: Observe,
    ) -> None:
        """`observe` hears of each turn that ended."""
        self._resolving = resolving
        self._defaults = defaults
        self.conversations = conversations
        self._own = ConversationService(conversations)
        self._host = host
        self._engines = Engines(host, choice)
        self._chains = Chains(host)
        self._rules = rules
        self._observe = observe
        self._pruned_at = -math.inf
        self._plugins = msgspec.json.encode({r.distribution: r.version for r in host.records}).decode()

    def prepare(self, where: ChatTarget, body: bytes) -> Ready:
        """Check a request, and resolve its profile; nothing is stored yet.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, OverrideRefused, RowUnreadable,
            ConversationNotFound.
        """
        tree, request, problems = opened(body, ChatRequest, where.target)
        problems += registry_problems("registry", tree.get("registry"))
        named = {"profile": tree.get("profile"), "query.profile": where.profile, "query.runtime": where.runtime}
        for field, text in named.items():
            problems += reference_problems(field, text) if isinstance(text, str) and trim(text) else ()
        problems += conversation_problems("conv_id", tree.get("conv_id"))
        for key in (where.idempotency_key, tree.get("idempotency_key")):
            problems += name_problem("idempotency_key", key)
        sent = (tree.get("prompt"), tree.get("text"))
        prompt = next((text for text in sent if isinstance(text, str) and trim(text)), "")
        if request is not None and not prompt:
            problems.append(Problem(field="prompt", reason=MISSING_PROMPT))
        if problems or request is None:
            raise InvalidRequest(problems)
        choice = self._chosen(where, request)
        overrides = overrides_of(request)
        resolved = self._resolving.resolve(choice.registry, choice.slug, overrides, registries=where.target.registries)
        engine = self._engines.check(resolved.step_settings)
        conv_id = trim(request.conv_id or "") or f"conv-{secrets.token_hex(8)}"
        self._own.require_own(conv_id, where.caller)
        said = msgspec.json.encode([prompt, choice.registry, choice.slug, overrides], order="sorted")
        return Ready(
            conv_id=conv_id,
            prompt=prompt,
            resolved=resolved,
            idempotency_key=trim(where.idempotency_key or request.idempotency_key or "") or None,
            request_sha256=hashlib.sha256(said).hexdigest(),
            stream=bool(request.stream),
            engine=engine,
            caller=where.caller,
        )

    def admit(self, ready: Ready, *, holds_thread: bool) -> Place:
        """The place in which a turn may run.

        Raises:
            ConversationBusy, TooManyTurns: there is none.
            IdempotencyMismatch: another request had its key, as is known already.
        """
        key = ready.idempotency_key
        known = self.conversations.by_key(ready.conv_id, key) if key else None
        if known and known.request_sha256 != ready.request_sha256:
            raise IdempotencyMismatch(ready.conv_id)
        return self._rules.admission.place_for(ready.conv_id, holds_thread=holds_thread)

    def run(self, ready: Ready, place: Place, emit: Emit) -> bytes:
        """Run a turn to its end; `emit` hears of everything on the way. The answer as JSON.

        Raises:
            IdempotencyMismatch, ConversationBusy, EngineFailed, MiddlewareFailed, TurnCancelled,
            StoreUnavailable.
        """
        clock = TurnClock(ready.engine, emit)
        with clock.running(self._observe):
            return self._run(ready, place, clock)

    def _run(self, ready: Ready, place: Place, clock: TurnClock) -> bytes:
        emit = clock.emit
        with place.turn(emit):
            stored = self._begin(ready, emit)
            if isinstance(stored, bytes):
                clock.status = REPEATED
                return stored
            user = Block(kind=BlockKind.USER, text=ready.prompt)
            try:
                turn = self._turn(ready, stored, user, emit)
                emit(Event(type="start", data=self._attribution(ready, stored)))
                handler = self._chains.around(
                    with_tools(self._engines.engine_of(ready.resolved.step_settings)), ready.resolved.middlewares
                )
                ended = handler(turn)
                blocks = added(ended, user)
                answer = msgspec.json.encode(self._answer(ready, stored, ended, blocks), enc_hook=str)
                kept = msgspec.Raw(answer)
                clock.usage = dict(ended.usage)
                self.conversations.end(stored, status=COMPLETED, blocks=blocks, answer=kept, state=ended.state)
            except BaseException as error:
                self._fail(stored, user, error)
                raise
            for event in ended.events:
                emit(event)
            self._prune()
            return answer

    def _prune(self) -> None:
        """Remove what is not to be kept any longer, now and then."""
        if self._rules.retention == FOR_EVER or time.monotonic() < self._pruned_at + PRUNE_EVERY_S:
            return
        self._pruned_at = time.monotonic()
        try:
            self.conversations.prune(self._rules.retention)
        except PinocchioError as error:  # the answer is stored, and its client gets it
            log.warning("old conversations stay for now: %s", error)

    def _chosen(self, where: ChatTarget, request: ChatRequest) -> Choice:
        registry = where.target.registry_slug(request.registry, self._resolving.default_registry)
        for named in (where.target.slug, request.profile, where.profile, where.runtime):
            if named is not None and trim(named):
                return Choice(registry, named)
        says_registry = bool(trim(request.registry or "") or where.target.registry)
        cookie = where.cookie
        if cookie and says_registry:
            cookie = Choice(registry, cookie.slug)
        return self._defaults.current(Target(registry=registry, registries=where.target.registries), cookie)

    def _begin(self, ready: Ready, emit: Emit) -> StoredTurn | bytes:
        """The turn, stored as running; or the stored answer where the same was asked before."""
        deadline = time.monotonic() + LONGEST_WAIT_S
        while (begun := self.conversations.database.group.run(partial(self._begun, ready))) is None:
            emit(ALIVE)  # another server runs a turn of this conversation
            if time.monotonic() > deadline:
                raise ConversationBusy(ready.conv_id)
            time.sleep(_LOOK_S)
        return begun

    def _begun(self, ready: Ready) -> StoredTurn | bytes | None:
        """As `_begin`, `None` while another turn of the conversation runs; inside a transaction."""
        self._own.require_own(ready.conv_id, ready.caller)
        running = self.conversations.running(ready.conv_id)
        if running is not None and not self._abandoned(running):
            return None
        known = ready.idempotency_key and self.conversations.by_key(ready.conv_id, ready.idempotency_key)
        if known and known.request_sha256 != ready.request_sha256:
            raise IdempotencyMismatch(ready.conv_id)
        if known and known.status == COMPLETED:
            return (known.answer_json or "").encode()
        return self.conversations.begin(self._new(ready), owner=ready.caller.name)

    def _abandoned(self, running: StoredTurn) -> bool:
        """Whether nobody runs that turn any more; it then counts as failed. Inside `Database.write`."""
        age_ms = self.conversations.now_ms() - running.started_at_ms
        if 0 <= age_ms < ABANDONED_MS and self.conversations.living.another(running.server_process):
            return False  # in this one it would be before us
        self.conversations.give_up(running)
        return True

    def _new(self, ready: Ready) -> StoredTurn:
        resolved = ready.resolved
        return StoredTurn(
            conv_id=ready.conv_id,
            number=0,
            turn_id=f"turn-{secrets.token_hex(8)}",
            status=RUNNING,
            idempotency_key=ready.idempotency_key,
            request_sha256=ready.request_sha256,
            registry=resolved.registry,
            profile=resolved.slug,
            runtime_key=resolved.runtime_key,
            profile_version=resolved.version,
            runtime_fingerprint=resolved.fingerprint,
            plugins_json=self._plugins,
            server_process=self.conversations.living.number,
            started_at_ms=self.conversations.now_ms(),
            blocks_json=blocks_json([Block(kind=BlockKind.USER, text=ready.prompt)]),
        )

    def _fail(self, stored: StoredTurn, user: Block, error: BaseException) -> None:
        status = CANCELLED if isinstance(error, TurnCancelled | GeneratorExit) else FAILED
        told = str(error) if isinstance(error, PinocchioError) else "an unexpected error"
        self.conversations.end(stored, status=status, blocks=[user], answer={"error": told})

    # what a turn is made of, and what comes of it

    def _turn(self, ready: Ready, stored: StoredTurn, user: Block, emit: Emit) -> Turn:
        resolved = ready.resolved
        before = self.conversations.before(stored, self._rules.history.turns)
        said = earlier([turn.blocks for turn in before], user, self._rules.history)
        prompt = [Block(kind=BlockKind.SYSTEM, text=resolved.system_prompt)] if resolved.system_prompt else []
        names = [use.name for use in resolved.middlewares if use.enabled]
        return Turn(
            blocks=(*prompt, *said, user),
            tools=tuple(self._host.catalog.tools[name] for name in resolved.tools),
            state=self.conversations.state(ready.conv_id),
            about={
                **self._attribution(ready, stored),
                "middlewares": names,
                "extensions": resolved.profile.other_extensions(),
            },
            emit=emit,
        )

    def _attribution(self, ready: Ready, stored: StoredTurn) -> dict[str, Any]:
        return {
            "conv_id": stored.conv_id,
            "turn_id": stored.turn_id,
            "inference_id": ready.inference_id,
            "idempotency_key": stored.idempotency_key,
            "profile": stored.profile,
            "registry": stored.registry,
            "runtime_key": stored.runtime_key,
            "profile_version": stored.profile_version,
            "runtime_fingerprint": stored.runtime_fingerprint,
        }

    def _answer(self, ready: Ready, stored: StoredTurn, ended: Turn, blocks: tuple[Block, ...]) -> dict[str, Any]:
        answer = {"status": COMPLETED, "reply": reply_of(blocks)} | self._attribution(ready, stored)
        if ended.usage:
            answer["usage"] = dict(ended.usage)
        if ended.events:
            answer["events"] = [{"type": event.type, "data": dict(event.data)} for event in ended.events]
        return answer
