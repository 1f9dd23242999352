"""Who may do what: roles, tokens, and who sends a request."""

import re
import secrets
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

PREFIX: Final = "pinocchio_"
"""How every token begins, so that people and scanners see what it is."""
_BYTES: Final = 32
_NAME: Final = r"^[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?$"


class Role(StrEnum):
    """What the holder of a token may do; each role may do what those before it may."""

    READER = "reader"
    """Read, resolve and chat."""
    EDITOR = "editor"
    """Write profiles too."""
    ADMIN = "admin"
    """Everything."""


Moment = Annotated[datetime, Meta(tz=True)]


class Token(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a token; never the token."""

    name: Annotated[str, Meta(pattern=_NAME)]
    role: Role
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """Of the token, in hexadecimal."""
    registries: tuple[str, ...] | None = None
    """The registries that it is limited to, `None` for all."""
    created_at: Moment
    expires_at: Moment | None = None

    def caller(self) -> "Caller":
        """Who sends it."""
        limit = None if self.registries is None else frozenset(self.registries)
        return Caller(name=self.name, role=self.role, registries=limit)


class Caller(Struct, frozen=True, kw_only=True):
    """Who sends a request."""

    name: str | None = None
    """Of the token; `None` where there is none."""
    role: Role | None
    """`None` for somebody who sent no token where tokens are needed."""
    registries: frozenset[str] | None = None
    """The only registries that exist for this caller, `None` for all."""

    @property
    def admin(self) -> bool:
        """Whether that is an administrator, of all registries or of some."""
        return self.role is Role.ADMIN

    def owns(self, owner: str | None) -> bool:
        """Whether a conversation of `owner` is this caller's to see; administrators of all registries see every one."""
        return (self.admin and self.registries is None) or (owner is not None and owner == self.name)


ANYBODY: Final = Caller(role=Role.ADMIN)
"""Everybody, where no tokens are configured."""
NOBODY: Final = Caller(role=None)
"""Who sent no token where tokens are needed."""


def new_token() -> str:
    """A token nobody has had before, of 256 bits."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(token: str) -> str:
    """SHA-256 of a token, in hexadecimal."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


def valid_name(name: str) -> bool:
    """Whether a token may have this name, which is shown in logs and kept with what its holder writes."""
    return re.fullmatch(_NAME, name) is not None


def line_of(token: Token) -> bytes:
    """A token's line in a file of tokens."""
    return msgspec.json.encode(token)
