"""Who may come in to a server, and with which token a client goes to one."""

import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from pinocchio_core.domain.slugs import shown
from pinocchio_core.errors import SettingsError
from pinocchio_core.service.access.sites import Sites
from pinocchio_core.settings import Address

TOKEN_VARIABLE = "PINOCCHIO_TOKEN"  # noqa: S105  where a token is, not one

_HOST = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\.?")
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*)(?::([0-9]{1,5}))?/?")


class Access(Struct, frozen=True, kw_only=True):
    """Who may come in."""

    sites: Sites
    tokens: Path | None = None
    """The file of tokens; `None` to let everybody in."""
    insecure: bool = False
    """Whether everybody may come in from other machines too."""


IN_PROCESS: Final = Access(sites=Sites(hosts=None))
"""For an app that is called in its own process, where no browser comes in."""
THIS_MACHINE: Final = Access(sites=Sites(hosts=()))
"""For a server on the loopback address."""


def parse_access(
    address: Address, tokens: Path | None, hosts: Sequence[str], origins: Sequence[str], *, insecure: bool
) -> Access:
    """Who may come in to a server at an address.

    Raises:
        SettingsError: a host or an origin is none, or tokens are given to a server that is to let everybody in.
    """
    if tokens and insecure:
        raise SettingsError(
            "--insecure-no-auth and --auth-tokens exclude each other", next_step="leave out --insecure-no-auth"
        )
    named = [address.host, *map(_parsed_host, hosts)]
    sites = Sites(
        hosts=[host for host in named if host],
        any_address=address.host in ("", "0.0.0.0", "::"),  # noqa: S104  asked, not bound
        origins=map(_parsed_origin, origins),
    )
    return Access(sites=sites, tokens=tokens.expanduser().absolute() if tokens else None, insecure=insecure)


def parse_token(file: Path | None) -> str | None:
    """The token to send to a server: that in the file, else that in the environment; `None` where there is none.

    Raises:
        SettingsError: the file cannot be read, or no header can have what is in it.
    """
    token = os.environ.get(TOKEN_VARIABLE) or ""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"--token-file {file} cannot be read", next_step="name a file with the token in it"
            ) from error
    token = token.strip()
    if not all("!" <= char <= "~" for char in token):
        raise SettingsError("the token has characters that no token has", next_step="see pinocchio tokens create")
    return token or None


def _parsed_host(text: str) -> str:
    host = text.strip().removeprefix("[").removesuffix("]")
    if not (_is_ipv6(host) if ":" in host else _HOST.fullmatch(host)):
        raise SettingsError(
            f"--allow-host {shown(text)} is no host", next_step="write a name or an address without a port"
        )
    return host


def _is_ipv6(text: str) -> bool:
    """Whether a text is an address that a header Host can have, so without a zone."""
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _parsed_origin(text: str) -> str:
    """An origin as browsers send it, without the port that its scheme has anyway."""
    found = _ORIGIN.fullmatch(text.strip().lower())
    if found is None:
        raise SettingsError(
            f"--cors-origin {shown(text)} is no origin", next_step="write for example https://chat.example.org"
        )
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != {"http": "80", "https": "443"}[scheme] else "")
