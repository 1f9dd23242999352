"""Database files with flipped bytes or cut short: refused in words, or served as far as they are sound; no crash."""

import collections
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

FILES = 1000
BATCH = 50
REAL = (49, 135, 190, 806, 998)
"""Schema, row numbers, history, an index, and a page that leads nowhere."""
PROFILES = "/api/chat/profiles"
HELPER = Path(__file__).with_name("damaging.py")


@pytest.fixture(scope="module")
def damaging():
    """The helper as a module, for what it does to a file."""
    names = {"__name__": "damaging"}
    exec(compile(HELPER.read_text(), HELPER, "exec"), names)  # noqa: S102  our own file
    return names


@pytest.fixture(scope="module")
def sound(serving, tmp_path_factory):
    """A complete database file with 2 registries, 52 profiles and their history; what they hold lies beside it."""
    folder = tmp_path_factory.mktemp("sound")
    known = {}
    with serving(folder) as server:
        assert server.request("POST", "/api/chat/registries", {"slug": "team"}).status == 201
        for number in range(50):
            registry, slug = ("default", "team")[number % 2], f"p-{number:02}"
            sent = {"slug": slug, "registry": registry, "runtime": {"system_prompt": f"You are {slug}. " * 5 * number}}
            assert server.request("POST", PROFILES, sent | {"metadata": {"tags": ["t"]}}).status == 201
            for change in range(number % 4):
                changed = {"description": f"{slug} changed {change}"}
                assert server.request("PATCH", f"{PROFILES}/{slug}?registry={registry}", changed).status == 200
        for registry in ("default", "team"):
            for item in server.request("GET", f"{PROFILES}?registry={registry}").json:
                document = server.request("GET", f"{PROFILES}/{item['slug']}?registry={registry}").json
                del document["is_default"]
                known.setdefault(registry, {})[item["slug"]] = document
        assert server.stop() == 0
    path = folder / "data/profiles.db"
    Path(f"{path}.json").write_text(json.dumps(known))
    return path


def batch(first, end, sound, folder, environment):
    command = [sys.executable, HELPER, sound, folder, str(first), str(end)]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300, check=False
    )


def test_no_damaged_file_crashes_hangs_or_is_served_wrong(sound, damaging, environment, figure, tmp_path):
    print(f"random seed {damaging['SEED']!r}")  # noqa: T201  pytest shows it with a failure
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(lambda first: batch(first, first + BATCH, sound, tmp_path, environment), range(0, FILES, BATCH))
        )
    failed = [each.stderr[-3000:] for each in done if each.returncode or "Traceback" in each.stderr]
    tried = [json.loads(line) for each in done for line in each.stdout.splitlines()]
    wrong = [(number, what, problems) for number, what, _, _, problems in tried if problems]
    assert failed == []
    assert wrong == [], f"{len(wrong)} of {FILES}"
    assert len(tried) == FILES
    outcomes = collections.Counter(outcome for _, _, outcome, _, _ in tried)
    assert outcomes.keys() >= {"served whole", "served in part", "refused"}
    figure(
        f"{FILES:,} files with flipped bytes or cut short",
        ", ".join(f"{outcomes[name]} {name}" for name in sorted(outcomes)) + "; 500 or crashed 0, served wrong 0",
    )


@pytest.mark.parametrize("number", REAL)
def test_real_server_does_with_a_damaged_file_what_was_found(
    sound, damaging, environment, serving, run, problem, tmp_path, number
):
    (line,) = batch(number, number + 1, sound, tmp_path, environment).stdout.splitlines()
    outcome = json.loads(line)[2]
    path = tmp_path / "damaged.db"
    path.write_bytes(damaging["damaged"](sound.read_bytes(), number)[0])
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": path, "PINOCCHIO_ADDR": "127.0.0.1:0"}
    if outcome == "refused":
        refused = run(tmp_path, "web-chat", **where)
        assert refused.returncode == 1
        said, next_step = refused.stderr.splitlines()
        assert said.startswith("pinocchio: ")
        assert next_step.startswith("  → ")
        return
    with serving(tmp_path, **where) as server:
        assert server.request("GET", "/healthz").status == 200
        read = [server.request("GET", f"{PROFILES}{rest}") for rest in ("", "?registry=team", "/default", "/p-00")]
        written = [server.request("POST", PROFILES, {"slug": f"made-{each}"}) for each in range(3)]
        for answer in read + written:
            if answer.status not in (200, 201):
                assert problem(answer, answer.status)["status"] in (404, 409, 503)
        assert server.stop() == 0
