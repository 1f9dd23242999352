"""Which requests a server's loop answers itself, without handing them to a thread.

To hand a request over and to have the answer sent from elsewhere costs several times what it takes to read a profile,
above all where both threads run on cores of their own and pass the interpreter's lock to and fro. What is answered at
once is read from memory or by a short statement; where that would wait or take long, a thread does it after all
(`store.sqlite.blocking`).
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

ROUTES: Final = (
    "/api/chat/profiles/{slug}",
    "/api/chat/profiles",
    "/api/chat/schemas/middlewares",
    "/api/chat/schemas/engines",
    "/api/chat/schemas/extensions",
    "/api/chat/plugins",
)
"""Those whose GET and HEAD are answered so."""


class Request(Protocol):
    """What is known of a request before it is answered."""

    command: str
    path: str


Rule = Callable[[Request], bool]
"""Whether a request is answered at once."""


def nothing(request: Request) -> bool:
    """Leave everything to threads."""
    del request
    return False


def rule(root: str) -> Rule:
    """The rule for an app under the prefix `root`."""
    paths = "|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route)) for route in ROUTES)
    is_one = re.compile(f"{re.escape(root)}(?:{paths})/?").fullmatch

    def is_answered_at_once(request: Request) -> bool:
        return request.command in ("GET", "HEAD") and is_one(request.path) is not None

    return is_answered_at_once
