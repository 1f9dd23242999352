"""Profiles in files that build on others: planned and applied in one go, and served."""

import pytest

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.errors import FilesRefused, PlanOutdated
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.files.applying import Applying
from pinocchio_core.service.files.filed import FiledRegistries
from pinocchio_core.service.files.plans import Planner
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp

PROFILES = "/api/chat/profiles"
LEAVES = """\
slug: leaves
profiles:
  leaf:
    runtime:
      extends: [{slug: middle}, {registry: roots, slug: root}]
  middle:
    runtime: {extends: [{registry: roots, slug: root}], system_prompt: "Middle."}
"""
ROOTS = """\
slug: roots
profiles:
  root: {runtime: {system_prompt: "Root.", tools: [a]}}
"""


@pytest.fixture
def folder(app, tmp_path):
    (tmp_path / "leaves.yaml").write_text(LEAVES)
    (tmp_path / "roots.yaml").write_text(ROOTS)

    def plan(*, prune=False):
        validation = Validation(app.program.host)
        files = sorted(tmp_path.glob("*.yaml"))
        return Planner(app.program.store, validation).plan(FiledRegistries(validation).read(files), prune=prune)

    return plan


def apply(app, plan):
    Applying(app.program.store, app.program.host, actor="cli:me").apply(plan)


def refused(plan, **how):
    with pytest.raises(FilesRefused) as error:
        plan(**how)
    return [problem.reason for problem in error.value.problems]


def prompt(app, slug="leaf", registry="leaves"):
    return app.post(f"{PROFILES}/{slug}/resolve?registry={registry}", {}).json["runtime"]["system_prompt"]


def test_bases_and_leaves_come_in_one_go_whatever_their_order(app, folder):
    apply(app, folder())
    assert prompt(app) == "Middle."
    assert folder().steps == []


def test_an_export_carries_what_profiles_build_on(app, folder, tmp_path):
    apply(app, folder())
    document = app.get(f"{PROFILES}/leaf?registry=leaves").json
    assert document["runtime"] == {"extends": [{"slug": "middle"}, {"registry": "roots", "slug": "root"}]}


def test_a_circle_over_two_files_is_refused_with_its_way(folder, tmp_path):
    (tmp_path / "roots.yaml").write_text(
        "slug: roots\nprofiles:\n  root: {runtime: {extends: [{registry: leaves, slug: leaf}]}}\n"
    )
    assert "goes round in a circle: roots/root → leaves/leaf → leaves/middle → roots/root" in refused(folder)


def test_files_do_not_break_what_builds_on_their_profiles(app, folder, tmp_path):
    apply(app, folder())
    app.post(PROFILES, {"slug": "outside", "runtime": {"extends": [{"registry": "roots", "slug": "root"}]}})
    (tmp_path / "roots.yaml").write_text(ROOTS.replace("root:", "other:"))
    (tmp_path / "leaves.yaml").write_text("slug: leaves\nprofiles: {leaf: {}}\n")
    assert refused(folder, prune=True) == ['delete of "root" would break profile "default/outside"']


def test_a_plan_is_outdated_where_what_it_builds_on_has_moved(app, folder, tmp_path):
    (tmp_path / "roots.yaml").unlink()
    app.post("/api/chat/registries", {"slug": "roots"})
    app.post(PROFILES, {"slug": "root", "registry": "roots"})
    plan = folder()
    app.patch(f"{PROFILES}/root?registry=roots", {"description": "other"})
    with pytest.raises(PlanOutdated, match="what these profiles build on"):
        apply(app, plan)
    assert app.get(f"{PROFILES}/leaf?registry=leaves").status == 404


@pytest.fixture
def served(shipped, tmp_path):
    """Start an app that serves these texts as one folder."""
    programs = []

    def start(**texts):
        (tmp_path / "served").mkdir()
        for name, text in texts.items():
            (tmp_path / "served" / f"{name}.yaml").write_text(text)
        files = sorted((tmp_path / "served").glob("*.yaml"))
        program = assemble(
            Host(given_plugins(shipped)),
            dsn_of_path(str(tmp_path / "profiles.db")),
            default_registry="default",
            more=More(sources=files),
        )
        programs.append(program)
        return TestApp(program)

    yield start
    for program in programs:
        program.close()


BOTH = """\
slug: served
profiles:
  leaf: {runtime: {extends: [{slug: root}]}}
  root: {runtime: {system_prompt: "Root."}}
"""


def test_served_profiles_build_on_one_another_and_those_of_the_database_on_them(served):
    app = served(both=BOTH)
    assert prompt(app, registry="served") == "Root."
    on_it = {"slug": "on-it", "runtime": {"extends": [{"registry": "served", "slug": "leaf"}]}}
    assert app.post(PROFILES, on_it).status == 201
    assert prompt(app, "on-it", "default") == "Root."


def test_served_profiles_do_not_build_on_those_of_the_database(served):
    with pytest.raises(FilesRefused, match='registry not found: "default"'):
        served(both=BOTH.replace("{slug: root}", "{registry: default, slug: default}"))
