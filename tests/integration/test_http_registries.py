"""Registries themselves: a set of profiles with a default of its own."""

import pytest

REGISTRIES = "/api/chat/registries"
PROFILES = "/api/chat/profiles"


def test_registry_document_has_exactly_the_documented_fields(app):
    created = app.post(
        REGISTRIES, {"slug": " Team ", "display_name": "T", "description": "d", "metadata": {"tags": ["x"]}}
    )

    assert created.status == 201
    assert created.headers["location"] == f"{REGISTRIES}/team"
    document = created.json
    metadata = document.pop("metadata")
    assert document == {
        "slug": "team",
        "display_name": "T",
        "description": "d",
        "profile_count": 0,
        "is_default": False,
    }
    assert metadata == {
        "version": 1,
        "created_at_ms": metadata["created_at_ms"],
        "updated_at_ms": metadata["updated_at_ms"],
        "created_by": "anonymous@127.0.0.1",
        "updated_by": "anonymous@127.0.0.1",
        "source": "http-api",
        "tags": ["x"],
    }
    read = app.get(f"{REGISTRIES}/TEAM")
    assert (read.body, read.headers["etag"]) == (created.body, created.headers["etag"])


def test_registries_are_listed_by_slug(app):
    for slug in ("zoo", "alpha"):
        app.post(REGISTRIES, {"slug": slug})
    listed = app.get(REGISTRIES)

    assert [item["slug"] for item in listed.json] == ["alpha", "default", "zoo"]
    assert [item["is_default"] for item in listed.json] == [False, True, False]
    assert listed.json[1] == app.get(f"{REGISTRIES}/default").json


def test_default_registry_counts_its_profiles_and_names_its_default(app):
    document = app.get(f"{REGISTRIES}/default").json

    assert (document["default_profile_slug"], document["profile_count"]) == ("default", 2)


def test_registry_version_moves_with_every_write_to_it_or_to_its_profiles(app):
    def version():
        return app.get(f"{REGISTRIES}/default").json["metadata"]["version"]

    seen = [version()]
    for send in (
        lambda: app.post(PROFILES, {"slug": "x"}),
        lambda: app.patch(f"{PROFILES}/x", {"description": "d"}),
        lambda: app.post(f"{PROFILES}/x/default"),
        lambda: app.patch(f"{REGISTRIES}/default", {"description": "d"}),
        lambda: app.delete(f"{PROFILES}/agent"),
    ):
        assert send().status < 300
        seen.append(version())
    assert seen == sorted(set(seen))


def test_registry_patch_replaces_leaves_and_clears(app):
    app.post(REGISTRIES, {"slug": "team", "display_name": "T", "description": "d", "metadata": {"tags": ["x"]}})

    patched = app.patch(f"{REGISTRIES}/team", {"display_name": "", "description": None, "slug": "TEAM"})
    assert "display_name" not in patched.json
    assert patched.json["description"] == "d"
    assert patched.json["metadata"]["tags"] == ["x"]
    assert patched.json["metadata"]["version"] == 2
    assert "tags" not in app.patch(f"{REGISTRIES}/team", {"metadata": {"tags": []}}).json["metadata"]


def test_registry_patch_with_the_document_as_it_was_read_writes_nothing(app, nothing_written):
    for slug in ("default", "team"):
        app.post(REGISTRIES, {"slug": slug, "metadata": {"tags": ["x"]}})
        document = app.get(f"{REGISTRIES}/{slug}").json
        with nothing_written(app):
            assert app.patch(f"{REGISTRIES}/{slug}", document).json == document


def test_registry_patch_moves_the_default_to_a_profile_that_exists(app, expect_problem, nothing_written):
    with nothing_written(app):
        answer = app.patch(f"{REGISTRIES}/default", {"default_profile_slug": "nobody"})
        expect_problem(answer, 404, "profile not found")
    answer = app.patch(f"{REGISTRIES}/default", {"default_profile_slug": " AGENT "})
    assert answer.json["default_profile_slug"] == "agent"
    assert app.get(f"{PROFILES}/agent").json["is_default"] is True


def test_registry_slug_that_is_taken_is_a_conflict(app, expect_problem, nothing_written):
    app.post(REGISTRIES, {"slug": "team"})
    with nothing_written(app):
        problem = expect_problem(app.post(REGISTRIES, {"slug": "Team"}), 409, "already exists")
    assert 'registry "team"' in problem["detail"]


def test_registry_patch_cannot_rename(app, expect_problem):
    expect_problem(app.patch(f"{REGISTRIES}/default", {"slug": "other"}), 400, "validation error", "slug")


def test_empty_registry_can_be_deleted_and_made_again_with_later_versions(app, expect_problem):
    app.post(REGISTRIES, {"slug": "team"})
    deleted = app.delete(f"{REGISTRIES}/team?expected_version=1")

    assert (deleted.status, deleted.body) == (204, b"")
    expect_problem(app.get(f"{REGISTRIES}/team"), 404, "registry not found")
    assert app.post(REGISTRIES, {"slug": "team"}).json["metadata"]["version"] == 3


def test_registry_with_profiles_is_not_deleted(app, expect_problem, nothing_written):
    app.post(REGISTRIES, {"slug": "team"})
    app.post(PROFILES, {"slug": "x", "registry": "team"})
    with nothing_written(app):
        problem = expect_problem(app.delete(f"{REGISTRIES}/team"), 409, "in use")
    assert "delete its profiles first" in problem["next_step"]


def test_registry_that_the_server_falls_back_to_is_not_deleted(app, expect_problem, nothing_written):
    with nothing_written(app):
        problem = expect_problem(app.delete(f"{REGISTRIES}/default"), 409, "in use")
    assert "--default-registry" in problem["next_step"]


def test_registry_created_with_a_version_is_a_conflict(app, expect_problem, nothing_written):
    with nothing_written(app):
        expect_problem(app.post(REGISTRIES, {"slug": "team", "expected_version": 2}), 409, "version conflict")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "slug"),
        ({"slug": " "}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "x" * 129}, "slug"),
        ({"slug": 5}, "slug"),
        ({"slug": "x", "display_name": "a\0b"}, "display_name"),
        ({"slug": "x", "display_name": 5}, "display_name"),
        ({"slug": "x", "description": []}, "description"),
        ({"slug": "x", "default_profile_slug": "agent"}, "default_profile_slug"),
        ({"slug": "x", "metadata": 5}, "metadata"),
        ({"slug": "x", "metadata": {"tags": [5]}}, "metadata.tags[0]"),
        ({"slug": "x", "metadata": {"tags": [" "]}}, "metadata.tags[0]"),
        ({"slug": "x", "metadata": {"tag": ["a"]}}, "metadata.tag"),
        ({"slug": "x", "profiles": {}}, "profiles"),
        ({"slug": "x", "is_default": 1}, "is_default"),
        ({"slug": "x", "profile_count": "1"}, "profile_count"),
    ],
)
def test_registry_that_is_not_sound_is_refused(app, expect_problem, nothing_written, document, field):
    with nothing_written(app):
        expect_problem(app.post(REGISTRIES, document), 400, "validation error", field)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("slug", ["..", "a b", "-", "x" * 129, "\0"])
def test_registry_named_by_no_slug_is_refused(app, expect_problem, method, slug):
    document = {} if method == "PATCH" else None
    expect_problem(app.request(method, f"{REGISTRIES}/{slug}", document), 400, "validation error", "path.slug")


def test_tags_of_a_registry_are_names_as_those_of_a_profile_are(app):
    created = app.post(REGISTRIES, {"slug": "team", "metadata": {"tags": [" x ", "x"]}})

    assert created.json["metadata"]["tags"] == ["x"]
