"""What a server that waits for its first request has loaded: its memory is mostly the code of modules."""

import re

PROFILES = "/api/chat/profiles"
NOT_NEEDED_YET = {
    "re2": "the first pattern that is matched",
    "prometheus_client": "the first scrape",
    "yaml": "files of profiles",
    "ruamel.yaml": "files of profiles that are written",
    "httpx2": "the first turn of the engine openai",
    "tomllib": "the operator's files",
    "termios": "the first client that reads slowly",
    "difflib": "the first name to guess at",
    "pinocchio_core.cli.workers": "several workers",
    "pinocchio_core.service.access.tokens": "tokens",
    "pinocchio_core.service.changes.webhooks": "webhooks",
    "pinocchio_core.service.upkeep.scheduled": "backups",
    "pinocchio_core.store.layouts.legacy": "databases of the original program",
}


def names_loaded_by(server):
    return set(re.findall(r"^import time:.*\| +(\S+)$", server.log, re.MULTILINE))


def test_a_server_loads_what_it_needs_when_it_needs_it(serving, tmp_path):
    with serving(tmp_path, PYTHONPROFILEIMPORTTIME="1") as server:
        assert server.request("GET", f"{PROFILES}/default").status == 200
        server.wait_for_log(r"\| +pinocchio_core\.web\.server\n")
        assert not names_loaded_by(server) & NOT_NEEDED_YET.keys()

        assert server.request("GET", "/metrics").status == 200
        assert server.request("POST", PROFILES, {"slugg": "x"}).status == 400
        server.stop()
    assert names_loaded_by(server) & NOT_NEEDED_YET.keys() == {"prometheus_client", "difflib"}
