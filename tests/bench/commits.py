"""The limit of writes: `commits.py DATABASE SECONDS` updates one row in one transaction after the other.

Journal in WAL mode, synchronous=FULL, a payload of the size the row has. Prints commits and seconds as JSON.
"""

import json
import sqlite3
import sys
import time

WARM_UP_S = 0.2


def commits(path: str, seconds: float) -> dict[str, float]:
    """How many commits in how many seconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    registry, slug, payload = connection.execute(
        "SELECT registry_slug, slug, payload_json FROM profiles ORDER BY slug DESC LIMIT 1"
    ).fetchone()

    def run(for_s: float) -> dict[str, float]:
        done, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < for_s:
            text = f"{done:016d}{payload[16:]}"
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE profiles SET payload_json = ? WHERE registry_slug = ? AND slug = ?", (text, registry, slug)
            )
            connection.execute("COMMIT")
            done += 1
        return {"commits": done, "seconds": elapsed}

    run(WARM_UP_S)
    return run(seconds)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(commits(sys.argv[1], float(sys.argv[2]))))
