"""Chat turns, and the conversations that they make."""

import falcon

from pinocchio_core.domain.slugs import trim
from pinocchio_core.domain.turns import Event
from pinocchio_core.errors import TurnCancelled
from pinocchio_core.service.chats.chat import ChatService
from pinocchio_core.service.chats.conversations import ConversationService
from pinocchio_core.service.chats.turn_requests import ChatTarget
from pinocchio_core.service.defaults import chosen_from
from pinocchio_core.web import codec
from pinocchio_core.web.errors import problem_for
from pinocchio_core.web.events import HEARTBEAT, TurnEvents
from pinocchio_core.web.outlets import OutletStream
from pinocchio_core.web.resources import Resource
from pinocchio_core.web.resources.defaults import COOKIE

EVENTS = "text/event-stream"
LISTED = 100


class ChatResource(Resource):
    """`/chat` and `/chat/{slug}`."""

    def __init__(self, chat: ChatService, *, default_registry: str) -> None:
        self._chat = chat
        self._default_registry = default_registry

    def on_post(self, req: falcon.Request, resp: falcon.Response, slug: str | None = None) -> None:
        """Run one turn; answer at its end, or as events while it runs."""
        ready = self._chat.prepare(self._target(req, slug), codec.body_of(req))
        as_events = ready.stream or EVENTS in (req.get_header("Accept") or "").lower()
        place = self._chat.admit(ready, holds_thread=not as_events)
        if not as_events:
            listener = Listener(req.env.get("waitress.client_disconnected"))
            codec.send_json(resp, self._chat.run(ready, place, listener))
            return
        request_id = req.context.request_id
        events = TurnEvents(
            lambda emit: self._chat.run(ready, place, emit), lambda error: problem_for(error, request_id)
        )
        resp.content_type = EVENTS
        resp.set_header("Cache-Control", "no-store")
        resp.stream = OutletStream(req.env, events.send, heartbeat=HEARTBEAT, unused=place.leave)

    def _target(self, req: falcon.Request, slug: str | None) -> ChatTarget:
        cookies = req.get_cookie_values(COOKIE)
        keys = (req.get_header(name) for name in ("Idempotency-Key", "X-Idempotency-Key"))
        return ChatTarget(
            target=codec.reference_of(req, slug),
            profile=codec.query(req, "profile"),
            runtime=codec.query(req, "runtime"),
            cookie=chosen_from(cookies[0], self._default_registry) if cookies else None,
            caller=codec.caller_of(req),
            idempotency_key=next((key for key in keys if key and trim(key)), None),
        )


class ConversationsResource(Resource):
    """`/api/chat/conversations` and one of them."""

    def __init__(self, conversations: ConversationService) -> None:
        self._conversations = conversations

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Those that were changed last, of who asks."""
        codec.send_json(resp, self._conversations.recent(LISTED, codec.caller_of(req)))
        resp.set_header("Cache-Control", "no-store")

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, conv_id: str) -> None:
        """One with its turns, the oldest first."""
        codec.send_json(resp, self._conversations.one(conv_id, codec.caller_of(req)))
        resp.set_header("Cache-Control", "no-store")

    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, conv_id: str) -> None:
        """Remove one with all its turns."""
        self._conversations.delete(conv_id, codec.caller_of(req))
        resp.status = falcon.HTTP_204


class Listener:
    """Nobody hears of what happens on the way; but who waits for the answer may go."""

    def __init__(self, gone: object) -> None:
        self._gone = gone

    def __call__(self, event: Event) -> None:
        """Raise TurnCancelled where the client has gone."""
        del event
        if callable(self._gone) and self._gone():
            raise TurnCancelled
