"""Registries in files: found in either layout, checked like requests, every problem with file, line and path."""

import os

import pytest

from pinocchio_core.errors import FilesRefused
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.files.filed import FiledRegistries


@pytest.fixture
def read(app):
    """Read files and folders as the plugins of the runbook see them."""
    return FiledRegistries(Validation(app.program.host)).read


@pytest.fixture
def refused(read, tmp_path):
    """What is wrong with files, each as text without their folder."""

    def check(*given):
        with pytest.raises(FilesRefused) as error:
            read(given)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in error.value.problems]

    return check


def test_file_of_a_registry_and_folder_of_one_mean_the_same(read, tmp_path):
    (tmp_path / "team.yaml").write_text(
        "slug: Team\ndefault_profile_slug: b\nprofiles:\n  a: {description: A}\n  b: {description: B}\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "_registry.yml").write_text("slug: team\ndefault_profile_slug: b\n")
    (folder / "a.yaml").write_text("description: A\n")
    (folder / "B.json").write_text('{"slug": "b", "description": "B"}')
    (folder / "README.md").write_text("not read")
    (folder / ".hidden.yaml").write_text("not: read")

    (one,), (other,) = read([tmp_path / "team.yaml"]), read([folder])

    assert (one.slug, one.request.default_profile_slug) == ("team", "b")
    assert (one.slug, one.request.default_profile_slug) == (other.slug, other.request.default_profile_slug)
    drafts = [{slug: each.draft for slug, each in registry.profiles.items()} for registry in (one, other)]
    assert drafts[0] == drafts[1]


def test_folder_of_registries_has_files_and_folders(read, tmp_path):
    (tmp_path / "one.yaml").write_text("slug: one\nprofiles: {}\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/_registry.yaml").write_text("slug: two\n")
    (tmp_path / "docs").mkdir()

    assert [registry.slug for registry in read([tmp_path])] == ["one", "two"]


def test_problems_have_file_line_and_path(refused, tmp_path):
    (tmp_path / "team.yaml").write_text(
        "slug: team\nprofiles:\n  agent:\n    runtime:\n      system_promt: x\n"
        "      middlewares:\n        - name: nothere\n  b:\n    expected_version: 3\n    registry: other\n"
    )

    typo, nothere, registry, version = refused(tmp_path / "team.yaml")
    assert typo == 'team.yaml:5: profiles.agent.runtime.system_promt: unknown field; did you mean "system_prompt"?'
    assert nothere.startswith("team.yaml:7: profiles.agent.runtime.middlewares[0].name: unknown middleware")
    assert registry == 'team.yaml:10: profiles.b.registry: is "other", and the profile is in "team"'
    assert version.startswith("team.yaml:9: profiles.b.expected_version: belongs to requests")


def test_registry_has_no_other_fields_than_over_http(refused, tmp_path):
    (tmp_path / "team.yaml").write_text("slug: team\ncolour: red\nprofiles: {}\n")

    (unknown,) = refused(tmp_path / "team.yaml")
    assert unknown.startswith("team.yaml:2: colour: unknown field")


def test_two_files_of_one_slug_are_both_named(refused, tmp_path):
    (tmp_path / "_registry.yaml").write_text("slug: team\n")
    (tmp_path / "a.yaml").write_text("{}")
    (tmp_path / "a.yml").write_text("{}")

    assert refused(tmp_path) == ['a.yml:1: the profile "a" is in a.yaml too']


def test_slugs_that_differ_only_in_case_are_one(refused, tmp_path):
    (tmp_path / "team.yaml").write_text("slug: team\nprofiles:\n  agent: {x: 1}\n  Agent: {}\n")

    assert refused(tmp_path / "team.yaml")[1] == (
        'team.yaml:4: profiles.Agent: the profile "agent" is in team.yaml under profiles.agent too'
    )


def test_name_of_a_file_and_its_slug_must_agree(refused, tmp_path):
    (tmp_path / "_registry.yaml").write_text("slug: team\n")
    (tmp_path / "a.yaml").write_text("description: x\nslug: b\n")
    (tmp_path / "not a slug.yaml").write_text("{}")

    assert refused(tmp_path)[0] == 'a.yaml:2: slug: is "b", and its file says "a"'
    assert "invalid profile slug" in refused(tmp_path)[1]


def test_one_registry_in_two_files_is_refused_naming_both(refused, tmp_path):
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("slug: team\nprofiles: {}\n")

    assert refused(tmp_path) == ['two.yaml:1: slug: the registry "team" is described in one.yaml too']


def test_what_is_no_registry_says_so(refused, tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "empty.yml").write_text("")
    (tmp_path / "profile.yaml").write_text("slug: team\nruntime: {}\n")
    (tmp_path / "word.json").write_text('"word"')
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "inside").mkdir()

    told = refused(tmp_path, tmp_path / "inside")
    assert [line.partition(":")[0] for line in told if "runtime" not in line] == [
        "empty.yml",
        "list.yaml",
        "pipe.yaml",
        "profile.yaml",
        "word.json",
        "inside",
    ]
    assert any(
        "profiles: is missing; and a folder with a file for each profile needs a _registry.yaml" in x for x in told
    )


def test_folder_with_two_registry_files_is_refused(refused, tmp_path):
    (tmp_path / "_registry.yaml").write_text("slug: a\n")
    (tmp_path / "_registry.json").write_text('{"slug": "b"}')

    assert refused(tmp_path) == ["_registry.yaml: says what _registry.json says too; keep one of the two"]


def test_profile_that_is_too_large_for_a_request_is_too_large_in_a_file(refused, tmp_path):
    (tmp_path / "team.yaml").write_text(f"slug: team\nprofiles:\n  a:\n    description: {'x' * 1024 * 1024}\n")

    assert refused(tmp_path / "team.yaml") == ["team.yaml:3: profiles.a: is larger than 1048576 bytes"]


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_profile_may_be_as_deep_in_a_file_as_in_a_request(read, refused, tmp_path, suffix):
    path = tmp_path / f"team.{suffix}"

    def write(depth):
        value = "[" * depth + "]" * depth
        path.write_text(f'{{"slug": "team", "profiles": {{"a": {{"extensions": {{"acme.x@v1": {value}}}}}}}}}')

    write(62)
    (registry,) = read([path])
    assert "a" in registry.profiles
    write(63)
    assert "is nested more than 64 deep" in refused(path)[0]
