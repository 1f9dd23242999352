"""The child process of `pinocchio plugins check --with`: what the plugins of its environment have against databases.

`python -m pinocchio_core.cli.preflight ANSWER MAIN DATABASE…` writes a `Preflight` as JSON to the file ANSWER; whatever
plugins print goes elsewhere. Plugins are told of the database MAIN, empty for none.
"""

import sys
from pathlib import Path

import msgspec

from pinocchio_core.cli.stores import told
from pinocchio_core.errors import PinocchioError
from pinocchio_core.host.host import Host
from pinocchio_core.service.upgrades.preflight import looked_at
from pinocchio_core.settings import plugin_selection


def main(answer: str, database: str, *databases: str) -> None:
    """Look at the databases and write the answer; a failure of our own ends with one line."""
    try:
        host = Host(selection=plugin_selection())
        with told(host, Path(database) if database else None):
            found = looked_at(host, map(Path, databases))
    except PinocchioError as error:
        sys.exit(str(error))
    Path(answer).write_bytes(msgspec.json.encode(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
