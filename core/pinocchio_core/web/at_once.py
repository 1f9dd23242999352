"""Which requests a server's loop answers itself, without handing them to a thread.

To hand a request over and to have the answer sent from elsewhere costs several times what it takes to read a profile,
above all where both threads run on cores of their own and pass the interpreter's lock to and fro. What is answered at
once is read from memory or by a short statement; where that would wait or take long, a thread does it after all
(`store.sqlite.blocking`).
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

READS: Final = (
    "/api/chat/profiles/{slug}",
    "/api/chat/profiles",
    "/api/chat/schemas/middlewares",
    "/api/chat/schemas/engines",
    "/api/chat/schemas/extensions",
    "/api/chat/plugins",
)
"""Routes whose GET and HEAD are answered so."""
POSTS: Final = ("/api/chat/profiles/{slug}/resolve",)
"""Routes whose POST is, where its body is short."""
SHORT_BODY_BYTES: Final = 8 * 1024


class Request(Protocol):
    """What is known of a request before it is answered."""

    command: str
    path: str
    content_length: int
    chunked: bool


Rule = Callable[[Request], bool]
"""Whether a request is answered at once."""


def nothing(request: Request) -> bool:
    """Leave everything to threads."""
    del request
    return False


def rule(root: str) -> Rule:
    """The rule for an app under the prefix `root`."""
    is_read, is_post = _matcher(root, READS), _matcher(root, POSTS)

    def is_answered_at_once(request: Request) -> bool:
        if request.command in ("GET", "HEAD"):
            return is_read(request.path) is not None
        is_short = request.content_length <= SHORT_BODY_BYTES and not request.chunked
        return request.command == "POST" and is_short and is_post(request.path) is not None

    return is_answered_at_once


def _matcher(root: str, routes: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    paths = "|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route)) for route in routes)
    return re.compile(f"{re.escape(root)}(?:{paths})/?").fullmatch
