"""Which hosts a server goes by, and the pages of which origins may use it from browsers.

A page anywhere can make a browser send requests here, under a name of its own that leads here (DNS rebinding) or
across origins. The first is told by the header Host, the second by Sec-Fetch-Site and Origin.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OWN: Final = frozenset({"same-origin", "none"})
"""What Sec-Fetch-Site says of a page of ours, and of a person who typed the address."""


class Sites:
    """The hosts and origins that are trusted."""

    def __init__(self, *, hosts: Iterable[str] | None, any_address: bool = False, origins: Iterable[str] = ()) -> None:
        """`hosts` are names and addresses without a port, beside those of this machine's own; `None` for any host.

        With `any_address` every host is known that is an IP address: no name leads a browser to it.
        `origins` are of pages that may read answers and write, such as `https://chat.example.org`.
        """
        self._hosts = None if hosts is None else LOOPBACK | frozenset(map(canonical_host, hosts))
        self._any_address = any_address
        self.origins = frozenset(origins)

    def serve(self, host: str | None) -> bool:
        """Whether the server goes by the host of a header Host."""
        if self._hosts is None:
            return True
        if not host:
            return False
        name, _, port = (host, "", "") if host[-1] == "]" or ":" not in host else host.rpartition(":")
        if port and not (port.isascii() and port.isdigit()):
            return False
        return name in self._hosts or self._go_by(name)

    def may_write(self, origin: str | None, site: str | None, host: str | None) -> bool:
        """Whether a request that may change something is not sent for a page of a site that is not trusted.

        `site` is Sec-Fetch-Site, which browsers send; a client that sends neither is no browser.
        """
        if origin in self.origins:
            return True
        if site is not None:
            return site in _OWN
        return origin is None or origin.partition("://")[2].lower() == (host or "").lower()

    def _go_by(self, name: str) -> bool:
        """Whether a host is known that is written in another way, or is an address."""
        if ":" in name and name[:1] != "[":
            return False
        canonical = canonical_host(name)
        if canonical in (self._hosts or ()):
            return True
        try:
            address = ipaddress.ip_address(canonical.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return (address.version == 6) == (name[0] == "[") and (self._any_address or address.is_loopback)


def canonical_host(name: str) -> str:
    """A host as it is compared: lower case, IPv6 in brackets, and without the dot that a whole name may end with."""
    name = name.lower().removesuffix(".")
    try:
        return f"[{ipaddress.IPv6Address(name.removeprefix('[').removesuffix(']'))}]"
    except ValueError:
        return name


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine reach an IP address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
