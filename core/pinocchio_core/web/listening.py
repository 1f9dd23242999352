"""Listening sockets for an address, and how many connections to them a process can hold."""

import errno
import socket
from contextlib import suppress

from pinocchio_core.errors import SettingsError, StartupError
from pinocchio_core.service.access.sites import is_loopback
from pinocchio_core.settings import Address

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]  # the function that uses it asks first

CONNECTIONS = 1000
"""How many connections a process holds at most."""
BACKLOG = 1024
"""How many connections may wait to be accepted, where the system does not allow fewer."""


def bind(address: Address) -> list[socket.socket]:
    """Sockets for every address that the host stands for, IPv4 and IPv6; port 0 takes a free one for all.

    Raises:
        StartupError: nothing could be bound; the text says what to do.
    """
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, host in _resolve(address):
            if family == socket.AF_INET6 and not socket.has_ipv6:
                continue
            bound = _bind(family, (host, port))
            if bound is not None:
                sockets.append(bound)
                port = bound.getsockname()[1]
    except (OSError, UnicodeError) as error:  # a name that is none in DNS is a UnicodeError
        for bound in sockets:
            bound.close()
        raise _refused(address, error) from error
    if not sockets:
        raise StartupError(f"cannot listen on {address.url()}: no address of this machine fits")
    return sockets


def room_for_connections(others: int) -> int:
    """How many connections this process can hold beside `others`, the descriptors that it needs for something else.

    Its limit is raised for them where it may be. Of one that is too low, connections still get half.
    """
    limit = _raised_limit(CONNECTIONS + others)
    return min(CONNECTIONS, max(limit - others, limit // 2))


def _raised_limit(wanted: int) -> int:
    """How many descriptors this process may have open from now on, as far as that is not above `wanted`."""
    if resource is None:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed, possible = (wanted if limit == resource.RLIM_INFINITY else min(limit, wanted) for limit in (soft, hard))
    if allowed < possible:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
            return possible
    return allowed


def require_loopback(address: Address) -> None:
    """Raise SettingsError where other machines could reach the address; one that cannot be resolved is `bind`'s."""
    try:
        hosts = {host for _, host in _resolve(address)}
    except (OSError, UnicodeError):
        return
    outside = sorted(host for host in hosts if not is_loopback(host))
    if outside:
        raise SettingsError(
            f"--addr lets other machines in ({', '.join(outside)}), and without tokens anybody may write",
            next_step="name a file of tokens with --auth-tokens, listen on 127.0.0.1, or say --insecure-no-auth",
        )


def _resolve(address: Address) -> list[tuple[socket.AddressFamily, str]]:
    # as bytes where it can be, for Python loads its codec of international names, 0.3 MB, for every text
    host = address.host.encode() if address.host.isascii() else address.host
    found = socket.getaddrinfo(host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return sorted({(entry[0], str(entry[4][0])) for entry in found})


def _bind(family: int, where: tuple[str, int]) -> socket.socket | None:
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None  # the machine has no such family
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        if family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL:
            return None  # IPv6 is compiled in and switched off
        raise
    return bound


def _refused(address: Address, error: OSError | UnicodeError) -> StartupError:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        next_step = "stop the program that listens there, or choose another port with --addr"
    elif number == errno.EACCES:
        next_step = "choose a port above 1023 with --addr"
    else:
        next_step = "choose an address of this machine with --addr"
    reason = getattr(error, "strerror", None) or error
    return StartupError(f"cannot listen on {address.url()}: {reason}", next_step=next_step)
