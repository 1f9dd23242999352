"""Stores in processes of their own, to be killed: `store_child.py SOCKET` forks one for every connection.

The first line says which database. Every other is a list of requests `[method, path, document]`, each of which is
answered with a line `[status, document]` as soon as it is done; or `"inside"`, which stays in the middle of a
transaction that removes everything, and says so. The first answer is the process id.
"""

import json
import os
import signal
import socket
import sys
import time
from contextlib import closing

from pinocchio_core.bootstrap import assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp

LONGER_THAN_ANYONE_WAITS_S = 600


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("listens", flush=True)  # noqa: T201  it is what is waited for
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    serve(connection.makefile("rw"))
                    os._exit(0)


def serve(lines):
    def say(what):
        lines.write(json.dumps(what) + "\n")
        lines.flush()

    dsn = dsn_of_path(json.loads(lines.readline()))
    with closing(assemble(Host(given_plugins([])), dsn, default_registry="default")) as program:
        app = TestApp(program)
        say(os.getpid())
        for line in lines:
            requests = json.loads(line)
            if requests == "inside":
                stay_inside(program.store, say)
            for method, path, document in requests:
                answer = app.request(method, path, document)
                say([answer.status, json.loads(answer.body or b"null")])


def stay_inside(store, say):
    with store.write():
        store.database.run("DELETE FROM profiles")
        store.database.run("UPDATE profile_registries SET version = version + 1")
        say("inside")
        time.sleep(LONGER_THAN_ANYONE_WAITS_S)


if __name__ == "__main__":
    main()
