"""The operator's file of webhooks: who is told of which changes."""

import base64
import binascii
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from pinocchio_core.domain.slugs import parse_slug, shown
from pinocchio_core.errors import SettingsError
from pinocchio_core.store.tables.feed import Change

MAX_TIMEOUT_S: Final = 30
_SHORTEST_SECRET: Final = 16
_ENCODED: Final = "whsec_"
"""Before a secret in base64, as Standard Webhooks has it."""

_Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
_Op = Annotated[str, Meta(pattern="^[a-z_]+$")]


class Endpoint(Struct, frozen=True, kw_only=True):
    """One that is told of changes."""

    name: str
    url: str
    secret: bytes
    """What its messages are signed with."""
    registries: frozenset[str] | None
    """Only changes of these; `None` for all."""
    ops: frozenset[str] | None
    timeout_s: float
    from_beginning: bool
    """Whether it is told of all that was changed before it was known; else of what comes."""
    give_up_s: float
    """How long it may fail before nothing more is tried."""

    def wants(self, change: Change) -> bool:
        """Whether it is told of this one."""
        return (self.registries is None or change.registry in self.registries) and (
            self.ops is None or change.op in self.ops
        )


class _Entry(Struct, forbid_unknown_fields=True):
    name: _Name
    url: str
    secret: str | None = None
    secret_file: str | None = None
    registries: list[str] | None = None
    ops: list[_Op] | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)] = 10
    start: Literal["now", "beginning"] = "now"
    give_up_h: Annotated[float, Meta(gt=0, le=24 * 365)] = 72


def read_endpoints(path: Path) -> tuple[Endpoint, ...]:
    """The webhooks of a file in TOML (`[[webhooks]]`) or JSON (`{"webhooks": […]}`).

    Raises:
        SettingsError: it cannot be read, others can read secrets in it, or entries are wrong; all of them are named.
    """
    found = _entries(path)
    endpoints: list[Endpoint] = []
    problems: list[str] = []
    for number, entry in enumerate(found):
        label = entry.get("name") if isinstance(entry, dict) else None
        where = f"webhooks[{number}]" + (f" {shown(label)}" if isinstance(label, str) else "")
        try:
            endpoint = _endpoint(entry, path)
            if endpoint.name in [each.name for each in endpoints]:
                raise ValueError("another one has its name")  # noqa: TRY301  as what else is wrong with it
            endpoints.append(endpoint)
        except (ValueError, msgspec.MsgspecError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise SettingsError(f"--webhooks {path}: " + "; ".join(problems), next_step="correct these entries")
    return tuple(endpoints)


def _entries(path: Path) -> list[Any]:
    import tomllib  # few servers have such a file

    try:
        text = path.read_text(encoding="utf-8")
        document = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(
            f"--webhooks {path} cannot be read: {reason}", next_step="name a file in TOML, or in JSON with .json"
        ) from error
    entries = document.get("webhooks") if isinstance(document, dict) else None
    if not isinstance(entries, list) or set(document) != {"webhooks"}:
        raise SettingsError(
            f"--webhooks {path} has to have a list `webhooks` and nothing else", next_step="write [[webhooks]] tables"
        )
    return entries


def _endpoint(sent: Any, path: Path) -> Endpoint:
    entry = msgspec.convert(sent, _Entry)
    problems = list(_url_problems(entry.url))
    if problems:
        raise ValueError("; ".join(problems))
    registries = entry.registries
    return Endpoint(
        name=entry.name,
        url=entry.url,
        secret=_secret(entry, path),
        registries=None if registries is None else frozenset(parse_slug(each, what="registry") for each in registries),
        ops=None if entry.ops is None else frozenset(entry.ops),
        timeout_s=entry.timeout_s,
        from_beginning=entry.start == "beginning",
        give_up_s=entry.give_up_h * 3600,
    )


def _url_problems(url: str) -> Iterator[str]:
    if not re.fullmatch(r"[\x21-\x7e]+", url):
        yield "its url has characters that none may have"
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield "its url must begin with http:// or https:// and a host"
    elif parts.username is not None or parts.password is not None:
        yield "its url has a user or a password in it; messages are signed with the secret instead"
    elif parts.port == 0:
        yield "its url has port 0"


def _secret(entry: _Entry, path: Path) -> bytes:
    if (entry.secret is None) == (entry.secret_file is None):
        raise ValueError("either `secret` or `secret_file` is needed")
    source = path if entry.secret is not None else path.parent / (entry.secret_file or "")
    try:
        if stat.S_IMODE(source.stat().st_mode) & 0o077:
            raise ValueError(f"others can read the secret in {source}; run chmod 600 on it")
        text = entry.secret or source.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{source} cannot be read: {error.strerror}") from error
    try:
        secret = (
            base64.b64decode(text.removeprefix(_ENCODED), validate=True) if text.startswith(_ENCODED) else text.encode()
        )
    except binascii.Error:
        raise ValueError(f"its secret begins with {_ENCODED} and is no base64") from None
    if len(secret) < _SHORTEST_SECRET:
        raise ValueError(f"its secret is shorter than {_SHORTEST_SECRET} bytes")
    return secret
