"""Writes profiles by the way of every request, and notes each write as it is acknowledged: `power_writer.py DSN ACKS`.

Opens the database, writes, closes it, and begins again. In every second round the write-ahead log is emptied now and
then, as the keeper does when writes pause; in the others it is left to SQLite, which writes over it from the start.
"""

import os
import random
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.writing.seeding import fill
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author

ROUNDS = 4
WRITES = 120
AUTHOR = Author(actor="power", source="test")
REGISTRY = "default"
_encode = msgspec.json.encode


class Writer:
    """Creates, changes and deletes profiles."""

    def __init__(self, service, acks):
        self.service = service
        self.acks = acks
        self.rng = random.Random("power")  # noqa: S311  no secret
        self.slugs = []
        self.made = 0

    def write(self):
        """One write, acknowledged when this returns."""
        choice = self.rng.random()
        if choice < 0.3 or not self.slugs:
            self.made += 1
            slug = f"p{self.made}-{os.getpid()}"
            body = _encode({"slug": slug, "runtime": {"system_prompt": self._text()}})
            self._note(slug, self.service.write("create", Target(), body, author=AUTHOR).row.payload)
            self.slugs.append(slug)
        elif choice < 0.95:
            slug = self.rng.choice([*self.slugs, "default"])
            body = _encode({"description": self._text(1000), "runtime": {"system_prompt": self._text()}})
            self._note(slug, self.service.write("update", Target(slug=slug), body, author=AUTHOR).row.payload)
        else:
            slug = self.slugs.pop(self.rng.randrange(len(self.slugs)))
            self.service.write("delete", Target(slug=slug), author=AUTHOR)
            self._note(slug, b"null")

    def _text(self, longest=20_000):
        return self.rng.randbytes(self.rng.choice((20, 200, longest // 2))).hex()

    def _note(self, slug, document):
        os.write(self.acks, _encode([slug, msgspec.Raw(document)]) + b"\n")


def main(dsn, acks):
    host, writer = Host(), None
    for number in range(ROUNDS):
        database = open_database(parse_dsn(dsn)).database
        with closing(database):
            store = Store(database)
            fill(store, host, registry=REGISTRY, strict=True)
            service = ProfileWrites(store, host, RowHealth(store, Validation(host)), default_registry=REGISTRY)
            writer = writer or Writer(service, acks)
            writer.service = service
            for _ in range(WRITES):
                writer.write()
                if number % 2 and writer.rng.random() < 0.1:
                    database.checkpoint(wait_ms=100)


if __name__ == "__main__":
    with Path(sys.argv[2]).open("ab", buffering=0) as file:
        main(sys.argv[1], file.fileno())
