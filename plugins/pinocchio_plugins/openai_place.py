"""Where an engine's requests go, and whether the key goes along. Imports httpx2, as `openai_http` does.

One parser reads every URL here and sends the request in the end, so there is no second opinion about its origin.
"""

from dataclasses import dataclass, field
from typing import Final

import httpx2

from pinocchio_core.plugin import EngineFailed, EngineOptions
from pinocchio_plugins.openai_settings import SET_THE_KEY, Settings, setting

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
USER_AGENT: Final = "pinocchio-webchat"
MAX_MESSAGE: Final = 500
"""Characters of a text of others that ours repeats."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The URL of one engine's requests."""

    url: httpx2.URL
    base_url: str
    own: bool
    """Whether it is at the origin that the operator configured, which the key is for."""
    key: str = field(repr=False)

    def headers(self, settings: Settings) -> dict[str, str]:
        """The headers of each request."""
        headers = {
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": setting(settings, "ai-client", "user-agent") or USER_AGENT,
        }
        if organization := setting(settings, "ai-client", "organization"):
            headers["openai-organization"] = organization
        if self.key and self.own:
            headers["authorization"] = f"Bearer {self.key}"
        return headers

    def clean(self, text: str) -> str:
        """A text of the provider as it may be shown: on one line, without the key, and cut."""
        words = "".join(character if character.isprintable() else " " for character in text).split()
        line = " ".join(words)
        if self.key:
            line = line.replace(self.key, "(the key)")
        return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def place_of(settings: Settings, options: EngineOptions) -> Place:
    """Where the requests of an engine go.

    Raises:
        EngineFailed: a URL is not sound, the operator does not allow its origin, or the key cannot be sent.
    """
    own = _base(options.base_url or DEFAULT_BASE_URL)
    given = setting(settings, "openai-chat", "openai-base-url")
    base = _base(given) if given else own
    if base.origin != own.origin and base.origin not in set(_origins(options.allowed_origins)):
        origin = f"{base.scheme}://{base.netloc.decode('ascii')}"
        raise EngineFailed(
            f"the operator does not allow engines to use {origin}",
            next_step=f"start the server with --engine-allow-origin {origin}, or leave openai-base-url out",
        )
    key = (options.api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise EngineFailed("the API key has characters that no HTTP header can have", next_step=SET_THE_KEY)
    return Place(
        url=base.copy_with(raw_path=base.raw_path.rstrip(b"/") + b"/chat/completions"),
        base_url=str(base),
        own=base.origin == own.origin,
        key=key,
    )


def _base(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise EngineFailed("the base URL is not a URL", next_step=_GIVE) from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise EngineFailed("the base URL is not one of HTTP", next_step=_GIVE)
    if url.userinfo or url.fragment or b"?" in url.raw_path:
        raise EngineFailed("the base URL has a user, a query or a fragment", next_step=_GIVE)
    return url


def _origins(allowed: tuple[str, ...]) -> list[httpx2.Origin]:
    return [_base(origin).origin for origin in allowed]


_GIVE: Final = f"give one like {DEFAULT_BASE_URL}"
