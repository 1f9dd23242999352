"""The store as servers use it, against a model of dictionaries: two here and one that gets killed, on one file.

After every step both stores here have to show exactly what the model says: profiles, their versions and defaults, the
whole history with every document in it, labels; and the registry's version moves with every change and never otherwise.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from fuzz_model import Model, Request, content_of, text_of
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pinocchio_core.bootstrap import assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.copies.checks import inspect_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp

EXAMPLES, STEPS = 25, 40
CHILD = Path(__file__).with_name("store_child.py")
REGISTRIES = ("default", "team")
HISTORY = "SELECT registry_slug, slug, version, op, payload_json FROM profile_revisions WHERE slug != '' ORDER BY seq"

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
contents = st.fixed_dictionaries(
    {},
    optional={
        "display_name": st.just("") | texts,
        "description": st.just("") | texts,
        "runtime": st.just({}) | st.builds(dict, system_prompt=texts),
        "extensions": st.just({}) | st.dictionaries(st.sampled_from(["a.b@v1", "a.c@v2"]), json_values, max_size=2),
        "metadata": st.builds(lambda tag: {"tags": [tag]}, texts),
    },
)
names = {"registry": st.sampled_from(REGISTRIES), "slug": st.sampled_from(["x", "y", "z"])}
OPS = ("create", "create", "patch", "patch", "replace", "delete", "set_default", "restore", "label", "unlabel")


@st.composite
def requests(draw, ops=OPS, *, may_be_dry=True):
    op = draw(st.sampled_from(ops))
    sent = draw(contents) if op in ("create", "patch", "replace") else {}
    if op == "create" and draw(st.booleans()):
        sent["set_default"] = True
    return Request(
        op,
        **{name: draw(values) for name, values in names.items()},
        sent=sent,
        version=draw(st.integers(1, 6)) if op in ("restore", "label") else 0,
        label=draw(st.sampled_from(["live", "next"])) if "label" in op else "",
        # that of a default is the registry's, which other tests look at
        expected=0 if op == "set_default" else draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
        dry_run=may_be_dry and draw(st.integers(0, 5)) == 0,
        force=op == "delete" and draw(st.booleans()),
    )


bursts = st.lists(requests(may_be_dry=False), min_size=2, max_size=12)


class Process:
    """A server's store in a process of its own."""

    def __init__(self, spawner, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(spawner)
        self._lines = self._socket.makefile("rw")
        self._pid = self.ask(str(path))

    def ask(self, what):
        """The first answer to a line."""
        self._lines.write(json.dumps(what) + "\n")
        self._lines.flush()
        return self._answer()

    def kill_after(self, first, count):
        """Kill it some answers later than the first; returns all that it gave."""
        answers = [first]
        while len(answers) < count and (answer := self._answer()) is not None:
            answers.append(answer)
        os.kill(self._pid, signal.SIGKILL)
        while (answer := self._answer()) is not None:
            answers.append(answer)
        self.end()
        return answers

    def _answer(self):
        line = self._lines.readline()
        return json.loads(line) if line.endswith("\n") else None

    def end(self):
        """Kill it, if that was not done."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        assert not self._lines.readline()
        self._lines.close()
        self._socket.close()


class Stores(RuleBasedStateMachine):
    def __init__(self, spawner):
        super().__init__()
        self.spawner = spawner
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "profiles.db"
        self.programs = [None, None]
        self.child = None
        self.model = Model(REGISTRIES)
        self.versions = dict.fromkeys(REGISTRIES, (0, None))
        """registry → its version, and what was there when it had that."""

    @initialize()
    def begin(self):
        for which in (0, 1):
            self._open(which)
        assert self._app(0).post("/api/chat/registries", {"slug": "team"}).status == 201
        assert self._app(0).get("/api/chat/profiles").json == []

    def _open(self, which):
        dsn = dsn_of_path(str(self.path))
        self.programs[which] = assemble(Host(given_plugins([])), dsn, default_registry="default")

    def _app(self, which):
        return TestApp(self.programs[which])

    @rule(which=st.sampled_from([0, 1]), request=requests())
    def change(self, which, request):
        answer = self._app(which).request(*request.as_http())
        assert answer.status == self.model.status_of(request), answer.body

    @rule(
        which=st.sampled_from([0, 1]),
        wanted=st.lists(requests(OPS[:7], may_be_dry=False), min_size=1, max_size=4),
        dry=st.booleans(),
    )
    def change_many(self, which, wanted, dry):
        wanted = list({(each.registry, each.slug): each for each in wanted if not each.force}.values())
        if not wanted:
            return
        query = "?dry_run=true" if dry else ""
        answer = self._app(which).post(f"/api/chat/batch{query}", {"writes": [each.in_batch() for each in wanted]})
        succeeds = self.model.batch_succeeds(wanted, dry_run=dry)
        assert answer.status in ([200] if succeeds else [404, 409]), answer.body

    @rule(which=st.sampled_from([0, 1]), request=requests(OPS[:7], may_be_dry=False))
    def give_up_in_the_middle(self, which, request):
        """A transaction that does not come to its end, with whatever it has written."""
        store = self.programs[which].store
        with suppress(KeyboardInterrupt), store.write():
            store.database.run("DELETE FROM profiles WHERE slug = ?", (request.slug,))
            store.database.run("UPDATE profile_registries SET version = version + 7")
            raise KeyboardInterrupt

    @rule(which=st.sampled_from([0, 1]))
    def reopen(self, which):
        self.programs[which].close()
        self._open(which)

    @rule(which=st.sampled_from([0, 1]))
    def checkpoint(self, which):
        self.programs[which].store.database.checkpoint(wait_ms=5000)

    @rule(request=requests())
    def change_elsewhere(self, request):
        status, document = self._child().ask([request.as_http()])
        assert status == self.model.status_of(request), document

    @rule(burst=bursts, count=st.integers(1, 12))
    def kill_between(self, burst, count):
        """What was answered is there; of what was not, the one that ran may be there as a whole."""
        first = self._child().ask([each.as_http() for each in burst])
        answers = self.child.kill_after(first, min(count, len(burst)))
        self.child = None
        for request, (status, document) in zip(burst, answers, strict=False):
            assert status == self.model.status_of(request), document
        if len(answers) < len(burst) and self._seen(0) != self._expected():
            self.model.status_of(burst[len(answers)])

    @rule()
    def kill_inside(self):
        """A transaction whose process is killed has never been."""
        assert self._child().ask("inside") == "inside"
        self.child.end()
        self.child = None

    def _child(self):
        self.child = self.child or Process(self.spawner, self.path)
        return self.child

    @precondition(lambda self: all(self.programs))
    @invariant()
    def stores_show_what_the_model_says(self):
        expected = self._expected()
        for which in (0, 1):
            assert self._seen(which) == expected
        for registry in REGISTRIES:
            self._look_at_version(registry)

    def _look_at_version(self, registry):
        history = {key: len(entries) for key, entries in self.model.history.items() if key[0] == registry}
        now = (history, self.model.choices[registry])
        version = self._app(1).get(f"/api/chat/registries/{registry}").json["metadata"]["version"]
        version_before, before = self.versions[registry]
        assert version == version_before if now == before else version > version_before
        self.versions[registry] = (version, now)

    def _expected(self):
        profiles = {key: (version, text_of(content)) for key, (version, content) in self.model.profiles.items()}
        history = {
            key: [(version, op, None if content is None else text_of(content)) for version, op, content in entries]
            for key, entries in self.model.history.items()
        }
        return {
            "profiles": profiles,
            "history": history,
            "defaults": dict(self.model.defaults),
            "labels": dict(self.model.labels),
        }

    def _seen(self, which):
        seen = {"profiles": {}, "history": {}, "defaults": {}, "labels": {}}
        for registry in REGISTRIES:
            self._look_at_registry(self._app(which), registry, seen)
        for registry, slug, version, op, payload in self.programs[which].store.database.rows(HISTORY):
            content = None if payload is None else text_of(stored_content(json.loads(payload)))
            seen["history"].setdefault((registry, slug), []).append((version, op, content))
        return seen

    def _look_at_registry(self, app, registry, seen):
        query = f"?registry={registry}"
        listed = app.get(f"/api/chat/profiles{query}").json
        slugs = [item["slug"] for item in listed]
        told = app.get(f"/api/chat/registries/{registry}").json
        assert told["profile_count"] == len(slugs)
        assert slugs == sorted(slugs)
        seen["defaults"][registry] = told.get("default_profile_slug")
        for slug, item in zip(slugs, listed, strict=True):
            document = app.get(f"/api/chat/profiles/{slug}{query}").json
            assert item_of(document) == item
            assert document["is_default"] == (slug == told.get("default_profile_slug"))
            seen["profiles"][registry, slug] = (document["metadata"]["version"], text_of(stored_content(document)))
            for label in app.get(f"/api/chat/profiles/{slug}/labels{query}").json:
                seen["labels"][registry, slug, label["label"]] = label["version"]

    def teardown(self):
        if self.child:
            self.child.end()
        for program in filter(None, self.programs):
            program.close()
        if all(self.programs):
            assert inspect_database(self.path).problems == ()
        self.folder.cleanup()


def stored_content(document):
    """What a client can say of a stored document."""
    tags = document["metadata"].get("tags")
    return content_of(document | {"metadata": {"tags": tags} if tags else {}})


def item_of(document):
    """What a list shows of a document."""
    kept = {name: document[name] for name in ("slug", "display_name", "description", "extensions") if name in document}
    prompt = document["runtime"].get("system_prompt")
    kept |= {"default_prompt": prompt} if prompt is not None else {}
    return kept | {"is_default": document["is_default"], "version": document["metadata"]["version"]}


@pytest.fixture(scope="module")
def spawner():
    """The socket at which a connection starts a process."""
    with tempfile.TemporaryDirectory() as folder:  # whose path is short enough for one
        path = f"{folder}/spawner"
        process = subprocess.Popen([sys.executable, CHILD, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "listens\n"
        yield path
        process.kill()
        process.wait()
        process.stdout.close()


def test_store_is_what_the_model_says(budget, spawner):
    for number in budget.seeds():
        chosen = settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),  # examples are slow, because processes are
        )
        run_state_machine_as_test(seed(number)(lambda: Stores(spawner)), settings=chosen)
        budget.tell(f"{EXAMPLES} databases with up to {STEPS} changes each")
