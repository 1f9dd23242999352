"""Configs under other versions of their schema: what is carried over, and what stops it."""

import math
import threading
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec
import pytest
from msgspec import Raw, structs

from pinocchio_core.domain.profile import OPEN_POLICY, Base, Metadata, MiddlewareUse, Profile, Runtime
from pinocchio_core.plugin import MiddlewareDefinition, hookimpl
from pinocchio_core.service.upgrades.config_migration import ConfigMigration
from pinocchio_core.testing import make_host

METADATA = Metadata(version=1, created_at_ms=0, updated_at_ms=0, created_by="", updated_by="", source="")


def catalog_of(migrate_config, *, version=3, schema=None):
    class Plugin:
        @hookimpl
        def pinocchio_middleware_definitions(self):
            yield MiddlewareDefinition(
                "shout", schema or {}, lambda config: None, version=version, migrate_config=migrate_config
            )

    return make_host(Plugin()).catalog


def profile_of(*uses, **instances):
    """A profile with these uses; `v1={"default": {…}}` is an extension of that version."""
    extensions = {
        f"middleware.shout_config@{version}": Raw(msgspec.json.encode({"instances": configs}))
        for version, configs in instances.items()
    }
    runtime = Runtime(middlewares=tuple(MiddlewareUse(name="shout", id=use) for use in uses or (None,)))
    return Profile(
        registry="r", slug="a", runtime=runtime, policy=OPEN_POLICY, metadata=METADATA, extensions=extensions
    )


def renamed(config, from_version):
    return {"ending": config.pop("mark"), "from": from_version}


def extensions_of(migrated):
    return {key: msgspec.json.decode(raw) for key, raw in migrated.profile.extensions.items()}


def test_config_goes_to_the_key_of_the_installed_version():
    found = ConfigMigration(catalog_of(renamed)).of(profile_of(v2={"default": {"mark": "!"}, "id:b": {"mark": "?"}}))

    assert extensions_of(found) == {
        "middleware.shout_config@v3": {
            "instances": {"default": {"ending": "!", "from": 2}, "id:b": {"ending": "?", "from": 2}}
        }
    }
    assert (found.reason, found.failures, found.left_behind) == ("config of shout v2 → v3", (), ())
    assert found.replaced == ("middleware.shout_config@v2",)


def test_migrated_profile_is_left_alone():
    migration = ConfigMigration(catalog_of(renamed))
    once = migration.of(profile_of(v1={"default": {"mark": "!"}})).profile

    assert migration.of(once).profile is once
    assert migration.of(once).reason == ""


def test_newer_configs_win_over_those_of_older_versions():
    profile = profile_of(
        v1={"default": {"mark": "1"}, "id:old": {"mark": "1"}},
        v2={"default": {"mark": "2"}, "id:new": {"mark": "2"}},
        v3={"id:new": {"ending": "3"}},
    )

    found = ConfigMigration(catalog_of(renamed)).of(profile)

    assert extensions_of(found)["middleware.shout_config@v3"]["instances"] == {
        "id:new": {"ending": "3"},
        "default": {"ending": "2", "from": 2},
        "id:old": {"ending": "1", "from": 1},
    }
    assert list(found.profile.extensions) == ["middleware.shout_config@v3"]
    assert found.reason == "config of shout v2 → v3, config of shout v1 → v3"


def raising(config, from_version):
    raise LookupError("no such thing")


class Own(BaseException):
    """What a plugin may raise that is no Exception."""


def endless():
    made = {}
    made["in"] = made
    return made


def leaving(error):
    def migrate_config(config, from_version):
        raise error

    return migrate_config


@pytest.mark.parametrize(
    ("migrate_config", "says"),
    [
        (raising, "migrate_config of shout raised LookupError: no such thing"),
        (lambda config, from_version: None, "migrate_config of shout returned NoneType, which is no JSON object"),
        (lambda config, from_version: [config], "returned list, which is no JSON object"),
        (lambda config, from_version: {"x": object()}, "returned object at x, which is no JSON"),
        (lambda config, from_version: {"x": [b"?"]}, "returned bytes at x[0], which is no JSON"),
        (lambda config, from_version: {"x": {"!"}}, "returned set at x, which is no JSON"),
        (lambda config, from_version: {"x": datetime(2026, 1, 1, tzinfo=UTC)}, "returned datetime at x, which"),
        (lambda config, from_version: {"x": {"y": math.nan}}, "returned nan at x.y, which is no number of JSON"),
        (lambda config, from_version: {"x": 10**400}, "returned an integer of more than 64 bits at x"),
        (lambda config, from_version: {1: "x"}, "returned an object with a key that is no text but int"),
        (lambda config, from_version: {"x": "\ud83d"}, "returned text that is not valid Unicode"),
        (lambda config, from_version: endless(), "returned an object that is nested too deep, or in itself"),
        (lambda config: config, "raised TypeError"),
        (leaving(Own("mine")), "migrate_config of shout raised Own: mine"),
        (leaving(KeyboardInterrupt()), "migrate_config of shout raised KeyboardInterrupt"),
        (leaving(ValueError("half \ud83d")), r"raised ValueError: half \ud83d"),
    ],
)
def test_function_that_fails_changes_nothing(migrate_config, says):
    profile = profile_of(v1={"default": {"mark": "!"}})

    found = ConfigMigration(catalog_of(migrate_config)).of(profile)

    assert found.profile is profile
    assert (found.reason, found.changes) == ("", ())
    (problem,) = found.failures
    assert problem.field == 'extensions["middleware.shout_config@v1"].instances.default'
    assert says in problem.reason


def test_one_config_that_fails_keeps_the_others_of_its_profile_back():
    profile = profile_of(v1={"default": {"mark": "!"}, "id:b": {}})

    found = ConfigMigration(catalog_of(renamed)).of(profile)

    assert found.profile is profile
    assert [problem.field.rpartition(".instances")[2] for problem in found.failures] == ['["id:b"]']


def test_function_that_hangs_is_given_up_and_not_asked_again():
    end, calls = threading.Event(), []

    def hanging(config, from_version):
        calls.append(config)
        end.wait(60)

    migration = ConfigMigration(catalog_of(hanging), limit_s=0.05)
    try:
        first, second = (migration.of(profile_of(v1={"default": {"mark": mark}})) for mark in "!?")
    finally:
        end.set()

    assert "did not return within 0.05 s" in first.failures[0].reason
    assert "was not asked again" in second.failures[0].reason
    assert calls == [{"mark": "!"}]


def test_objects_and_lists_of_all_kinds_are_json():
    def made(config, from_version):
        return MappingProxyType({"in": MappingProxyType({"list": (1, None, True, 0.5)})})

    found = ConfigMigration(catalog_of(made)).of(profile_of(v1={"default": {}}))

    assert extensions_of(found)["middleware.shout_config@v3"]["instances"] == {
        "default": {"in": {"list": [1, None, True, 0.5]}}
    }


def test_function_that_changes_its_argument_does_not_hide_what_it_changes():
    def changing(config, from_version):
        config["in"]["mark"] += "?"
        return config

    def making(config, from_version):
        return {"in": {"mark": config["in"]["mark"] + "?"}}

    profile = profile_of(v1={"default": {"in": {"mark": "!"}}})
    in_place, anew = (ConfigMigration(catalog_of(each)).of(profile) for each in (changing, making))

    assert in_place.changes == anew.changes
    assert in_place.changes[-1] | {"path": ""} == {"op": "replace", "path": "", "value": "!?"}


def test_empty_object_is_a_config():
    found = ConfigMigration(catalog_of(lambda config, from_version: {})).of(profile_of(v1={"default": {"mark": "!"}}))

    assert extensions_of(found) == {"middleware.shout_config@v3": {"instances": {"default": {}}}}


@pytest.mark.parametrize(
    ("version", "why"), [(3, "does not read it and has no migrate_config"), (1, "it is for a newer one")]
)
def test_config_that_nobody_carries_over_is_left_behind(version, why):
    profile = profile_of(None, v2={"default": {"mark": "!"}, "id:unused": {"mark": "?"}})

    found = ConfigMigration(catalog_of(None, version=version)).of(profile)

    assert found.profile is profile
    (problem,) = found.left_behind
    assert problem.field == 'extensions["middleware.shout_config@v2"].instances.default'
    assert why in problem.reason


def test_config_that_is_there_in_the_installed_version_is_not_left_behind():
    profile = profile_of(v2={"default": {"mark": "!"}}, v3={"default": {"ending": "!"}})

    assert ConfigMigration(catalog_of(None)).of(profile).left_behind == ()


def test_changes_are_told_without_secrets_and_without_what_was_there_before():
    schema = {"properties": {"password": {"type": "string", "x-secret": True}, "user": {}}}

    def up(config, from_version):
        return {"password": config["pass"], "user": config["user"].upper()}

    found = ConfigMigration(catalog_of(up, schema=schema)).of(
        profile_of(v1={"default": {"pass": "hunter2", "user": "ann"}})
    )

    place = "/extensions/middleware.shout_config@v3"
    assert list(found.changes) == [
        {"op": "move", "from": "/extensions/middleware.shout_config@v1", "path": place},
        {"op": "remove", "path": f"{place}/instances/default/pass"},
        {"op": "replace", "path": f"{place}/instances/default/user", "value": "ANN"},
        {"op": "add", "path": f"{place}/instances/default/password", "value": "(secret)"},
    ]


@pytest.mark.parametrize("value", [None, 1, {}, {"instances": 5}])
def test_extension_that_holds_no_configs_comes_to_none(value):
    profile = msgspec.structs.replace(
        profile_of(), extensions={"middleware.shout_config@v1": Raw(msgspec.json.encode(value))}
    )

    found = ConfigMigration(catalog_of(renamed)).of(profile)

    assert extensions_of(found) == {"middleware.shout_config@v3": {"instances": {}}}


def test_migrate_config_has_to_be_callable():
    from pinocchio_core.errors import PluginsFailed

    with pytest.raises(PluginsFailed, match="migrate_config must be callable"):
        catalog_of("no function")


def test_config_of_a_profile_that_builds_on_others_may_be_a_part_of_one():
    catalog = catalog_of(
        renamed, schema={"type": "object", "required": ["loud"], "properties": {"from": {"maximum": 2}}}
    )
    alone = profile_of(v2={"default": {"mark": "!"}})
    stacked = structs.replace(alone, runtime=structs.replace(alone.runtime, extends=(Base(slug="b"),)))

    assert [problem.reason for problem in ConfigMigration(catalog).of(alone).failures] == [
        'missing required property "loud"'
    ]
    assert ConfigMigration(catalog).of(stacked).reason == "config of shout v2 → v3"
