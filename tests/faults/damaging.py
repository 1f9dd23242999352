"""Damages copies of a database in ways that a seed decides, and tries each in this process; prints a line of JSON each.

`python damaging.py SOUND FOLDER FIRST END`: a process of its own, so that a change that makes it hang ends only that.
"""

import faulthandler
import json
import logging
import random
import sqlite3
import sys
import threading
import traceback
from contextlib import closing
from pathlib import Path

import pinocchio_agentmode
from pinocchio_core.bootstrap import assemble
from pinocchio_core.errors import PinocchioError
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp
from pinocchio_plugins import starter_profile, starter_suggestions
from pinocchio_plugins.sqlite import SqlitePlugin

SEED = "pinocchio damaged files"
DEADLINE_S = 60
PAGE = 4096
LEAF = 13
"""The first byte of a page that has rows."""
KINDS = ("anywhere", "anywhere", "anywhere", "first page", "page headers", "row numbers", "truncated")
PROFILES, REGISTRIES = "/api/chat/profiles", "/api/chat/registries"


def damaged(sound, number):
    """The bytes of a database with damage of this number, and what was done to them."""
    if number == 0:
        place = last_profile(sound)
        return sound[:place] + b"\x01" + sound[place + 1 :], "the last profile has the row number of the first"
    rng = random.Random(f"{SEED} {number}")  # noqa: S311  no secret
    data, kind = bytearray(sound), rng.choice(KINDS)
    if kind == "truncated":
        size = rng.choice((rng.randrange(1, len(data)), rng.randrange(1, len(data) // PAGE) * PAGE))
        return bytes(data[:size]), f"truncated to {size}"
    places = []
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(data))
        if kind == "first page":  # the settings of the file and its schema
            place %= PAGE
        elif kind == "page headers":  # where a page says what it is and where its rows are
            place = place // PAGE * PAGE + rng.randrange(128)
        elif kind == "row numbers":  # so that rows seem to be in another order
            place = row_number(data, rng)
        data[place] ^= rng.randrange(1, 256)
        places.append(place)
    return bytes(data), f"{kind} at {sorted(places)}"


def row_number(data, rng):
    """Where the number of a random row is."""
    page = rng.choice([start for start in range(PAGE, len(data), PAGE) if data[start] == LEAF and data[start + 4]])
    return place_of_number(data, page, rng.randrange(data[page + 4]))


def last_profile(data):
    """Where the number of the last row of the table of profiles is."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(data[:18] + b"\x01\x01" + data[20:])  # in memory there is no write-ahead log
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'profiles'").fetchone()[0]
    page = (root - 1) * PAGE
    while data[page] != LEAF:
        page = (int.from_bytes(data[page + 8 : page + 12], "big") - 1) * PAGE
    return place_of_number(data, page, data[page + 4] - 1)


def place_of_number(data, page, row):
    pointer = page + 8 + 2 * row
    place = page + int.from_bytes(data[pointer : pointer + 2], "big")
    while data[place] & 0x80:  # before it is the row's length, of one byte or more
        place += 1
    return place + 1


class Faults(logging.Handler):
    """What nobody expected: logged with a traceback or as an error, or raised in a thread."""

    def __init__(self):
        super().__init__()
        self.seen = []
        logging.getLogger().addHandler(self)
        threading.excepthook = lambda raised: self.seen.append("".join(traceback.format_exception(raised.exc_value)))

    def emit(self, record):
        if record.exc_info or record.levelno >= logging.ERROR:
            self.seen.append(self.format(record))


class Trial:
    """One damaged file, asked everything that is to be asked of it."""

    def __init__(self, app, known):
        self.app, self.known = app, known
        self.statuses, self.problems = [], []

    def ask(self, method, path, document=None):
        answer = self.app.request(method, path, document)
        self.statuses.append(answer.status)
        refused = answer.status >= 400
        as_problem = answer.headers["content-type"] == "application/problem+json"
        if answer.status == 500 or (refused and path != "/readyz" and not as_problem):
            self.problems.append(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    def run(self):
        """Ask; returns what came of it."""
        whole = True
        for name, registry in self.known.items():
            whole &= self.ask("GET", f"{REGISTRIES}/{name}").status == 200
            listed = self.ask("GET", f"{PROFILES}?registry={name}")
            items = listed.json if listed.status == 200 else []
            whole &= [item.get("slug") for item in items] == sorted(registry)
            for slug, stored in registry.items():
                whole &= self._is_whole(self.ask("GET", f"{PROFILES}/{slug}?registry={name}"), slug, stored)
        whole &= self.ask("GET", REGISTRIES).status == 200
        self.ask("GET", f"{PROFILES}?q=p&limit=7")
        self.ask("GET", "/readyz")
        made = {self.ask("POST", PROFILES, {"slug": "made-after"}).status}
        made.add(self.ask("PATCH", f"{PROFILES}/default", {"description": "changed after"}).status)
        try:
            self.app.program.health.scan()
        except PinocchioError:
            whole = False
        if not whole:
            return "served in part"
        return "served whole" if made <= {200, 201} else "read whole, not written"

    def _is_whole(self, answer, slug, stored):
        if answer.status != 200:
            return False
        found = {name: value for name, value in answer.json.items() if name != "is_default"}
        if found != stored:
            self.problems.append(f"{slug} is served as if it were sound: {answer.body[:300]!r}")
        return True


def tried(host, path, known):
    """What comes of a file: the outcome, what is wrong with it, and what was said."""
    try:
        program = assemble(host, dsn_of_path(str(path)), default_registry="default")
    except PinocchioError as error:
        return "refused", [], type(error).__name__
    trial = Trial(TestApp(program), known)
    try:
        outcome = trial.run()
    finally:
        program.close()
    return outcome, trial.problems, " ".join(map(str, sorted(set(trial.statuses))))


def main(sound, folder, first, end):
    host = Host(given_plugins((SqlitePlugin, starter_profile, starter_suggestions, pinocchio_agentmode)))
    data, known = Path(sound).read_bytes(), json.loads(Path(f"{sound}.json").read_text())
    faults = Faults()
    for number in range(int(first), int(end)):
        faulthandler.dump_traceback_later(DEADLINE_S, exit=True)
        path = Path(folder) / f"{number}/profiles.db"
        path.parent.mkdir()
        content, what = damaged(data, number)
        path.write_bytes(content)
        path.chmod(0o600)
        faults.seen.clear()
        try:
            outcome, problems, said = tried(host, path, known)
        except BaseException:  # noqa: BLE001  whatever it is, it is what the test is about
            outcome, problems, said = "raised", [traceback.format_exc()], ""
        problems = problems + faults.seen
        print(json.dumps([number, what, outcome, said, problems]), flush=True)  # noqa: T201  read by the test
        faulthandler.cancel_dump_traceback_later()
        for each in path.parent.iterdir():
            each.unlink()
        path.parent.rmdir()


if __name__ == "__main__":
    main(*sys.argv[1:])
