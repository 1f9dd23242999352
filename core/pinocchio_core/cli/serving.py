"""A server inside a command, for as long as that needs one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import structs

from pinocchio_core.bootstrap import NOTHING_MORE, More, assemble
from pinocchio_core.host.host import Host
from pinocchio_core.settings import Address
from pinocchio_core.settings.access import THIS_MACHINE
from pinocchio_core.store.sqlite.dsn import Dsn
from pinocchio_core.web import at_once
from pinocchio_core.web.listening import bind
from pinocchio_core.web.server import Server

_THREADS = 2


@contextmanager
def served(host: Host, dsn: Dsn, registry: str, more: More = NOTHING_MORE) -> Iterator[str]:
    """The URL of a server on a free port of this machine's own address; plugins at fault are left out."""
    more = structs.replace(more, access=THIS_MACHINE)
    program = assemble(host, dsn, default_registry=registry, strict=False, more=more)
    try:
        sockets = bind(Address(host="127.0.0.1", port=0))
        server = Server(program.app, sockets, threads=_THREADS, rule=at_once.rule(""))
        thread = threading.Thread(target=server.run, name="server")
        port = sockets[0].getsockname()[1]
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop()
            thread.join()
    finally:
        program.close()
