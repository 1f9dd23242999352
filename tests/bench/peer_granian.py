"""Our own app as a WSGI callable for another server; BENCH_DATABASE names the file."""

import atexit
import os

from databases import REGISTRY

from pinocchio_core.bootstrap import assemble
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path

_program = assemble(Host(), dsn_of_path(os.environ["BENCH_DATABASE"]), default_registry=REGISTRY)
atexit.register(_program.close)
app = _program.app
