"""Hooks of plugins while the program starts, serves and ends: who is told what, and whose fault is whose."""

import logging
from concurrent.futures import ThreadPoolExecutor

import click
import pytest

from pinocchio_core.domain.profile import OPEN_POLICY
from pinocchio_core.errors import HookFailed, PluginsFailed
from pinocchio_core.host.blame import Ended
from pinocchio_core.host.discovery import Candidate
from pinocchio_core.host.host import Host
from pinocchio_core.host.records import PluginStatus
from pinocchio_core.plugin import (
    Metadata,
    MiddlewareDefinition,
    Problem,
    Profile,
    ProfileChange,
    ProfileSeed,
    Runtime,
    StartupInfo,
    hookimpl,
)
from pinocchio_core.service.writing.seeding import check_seeds

METADATA = Metadata(version=1, created_at_ms=0, updated_at_ms=0, created_by="", updated_by="", source="")
PROFILE = Profile(registry="default", slug="a", runtime=Runtime(), policy=OPEN_POLICY, metadata=METADATA)
CHANGE = ProfileChange(op="create", registry="default", slug="a", version=1, actor="me", at_ms=0)
INFO = StartupInfo(version="9", default_registry="default")


def plugin(**hooks):
    """An object with these implementations of hooks, by the part of the name after `pinocchio_`."""
    made = type("Plugin", (), {})()
    for name, function in hooks.items():
        setattr(made, f"pinocchio_{name}", hookimpl(function, specname=f"pinocchio_{name}"))
    return made


def host_of(**plugins):
    return Host(
        [
            Candidate(name=name, target=name, distribution=f"acme-{name}", version="1.5", load=lambda each=each: each)
            for name, each in plugins.items()
        ]
    )


def raising(*_):
    raise LookupError("in the plugin")


def definitions(name="shout"):
    return lambda: [MiddlewareDefinition(name, {"type": "object"}, lambda config: lambda turn, handler: handler(turn))]


def test_validate_collects_the_problems_of_every_plugin():
    def short(profile):
        yield Problem(field="slug", reason=f"{profile.slug} is too short")

    host = host_of(
        one=plugin(validate_profile=short),
        silent=plugin(validate_profile=lambda: None),
        two=plugin(validate_profile=lambda: [Problem(field="x", reason="y")]),
    )

    assert [problem.reason for problem in host.validate(PROFILE)] == ["a is too short", "y"]


def half_way(profile):
    yield Problem(field="x", reason="y")
    raising()


@pytest.mark.parametrize("hook", [lambda profile: raising(), half_way, lambda profile: ["text"], lambda profile: 5])
def test_validate_that_fails_names_the_plugin(hook):
    host = host_of(good=plugin(validate_profile=lambda profile: None), bad=plugin(validate_profile=hook))

    with pytest.raises(HookFailed) as failed:
        host.validate(PROFILE)

    assert str(failed.value) == "plugin bad (acme-bad 1.5) failed in pinocchio_validate_profile; nothing was written"
    assert failed.value.next_step == "see the server's log, and report it to the authors of bad (acme-bad 1.5)"
    assert failed.value.__cause__.__traceback__  # for the log, which is written where requests are known


class Own(BaseException):
    """What a plugin may raise that is no Exception."""


@pytest.mark.parametrize("error", [SystemExit, Own, KeyboardInterrupt])
def test_validate_that_exits_ends_the_request_and_not_the_thread(error):
    def leave(profile):
        raise error

    host = host_of(bad=plugin(validate_profile=leave))
    with ThreadPoolExecutor(1) as thread, pytest.raises(HookFailed):
        thread.submit(host.validate, PROFILE).result()


@pytest.mark.parametrize("hook", ["bootstrap_profiles", "startup", "cli"])
def test_hook_that_raises_what_is_no_exception_fails_its_plugin(hook):
    def leave():
        raise Own("mine")

    host = host_of(bad=plugin(**{hook: leave}))
    host.extend_cli(click.Group())
    host.seeds()
    host.startup(INFO)

    assert f"pinocchio_{hook} raised Own: mine" in host.faults[0].detail


@pytest.mark.parametrize("ends", [Ended(15), KeyboardInterrupt()])
def test_signal_is_no_fault_of_the_plugin_that_was_asked(ends):
    def interrupted():
        def hook():
            raise ends

        return hook

    host = host_of(good=plugin(startup=interrupted(), validate_profile=interrupted(), shutdown=interrupted()))
    for call in (lambda: host.startup(INFO), lambda: host.validate(PROFILE), host.shutdown):
        with pytest.raises(type(ends)):
            call()
    assert host.faults == []


def test_problem_that_is_no_text_can_be_told_all_the_same():
    odd = Problem(field="a", reason="half \ud83d", expected="x")

    (problem,) = host_of(odd=plugin(validate_profile=lambda: [odd])).validate(PROFILE)

    assert problem == Problem(field="a", reason=r"half \ud83d", expected="x")


def test_changed_tells_every_plugin_though_one_raises(caplog):
    heard = []

    host_of(
        bad=plugin(profile_changed=lambda change: raising()),
        good=plugin(profile_changed=lambda change: heard.insert(0, change)),
    ).changed(CHANGE)

    assert heard == [CHANGE]
    (logged,) = caplog.records
    assert logged.levelno == logging.ERROR
    assert "plugin bad (acme-bad 1.5) failed in pinocchio_profile_changed" in logged.getMessage()
    assert "in the plugin" in caplog.text


def test_startup_that_raises_takes_what_the_plugin_contributes_out_of_the_catalog():
    told = []
    host = host_of(
        bad=plugin(middleware_definitions=definitions("bad"), startup=lambda info: raising()),
        good=plugin(middleware_definitions=definitions("good"), startup=lambda info: told.insert(0, info)),
    )
    assert set(host.catalog.middlewares) == {"bad", "good"}

    host.startup(INFO)

    assert told == [INFO]
    assert set(host.catalog.middlewares) == {"good"}
    assert set(host.catalog.extensions) == {"middleware.good_config@v1"}
    (record,) = host.faults
    assert (record.name, record.status) == ("bad", PluginStatus.CONTRIBUTION_FAILED)
    assert record.detail.startswith("pinocchio_startup raised LookupError: in the plugin (at ")
    assert [(each["name"], each["contributes"]["middlewares"]) for each in host.documents()] == [
        ("bad", []),
        ("good", ["good"]),
    ]


def test_startup_that_raises_keeps_the_plugin_out_of_later_hooks():
    told = []
    host = host_of(bad=plugin(startup=lambda info: raising(), shutdown=lambda: told.append("shutdown")))

    host.startup(INFO)
    host.shutdown()

    assert told == []


def test_shutdown_tells_every_plugin_though_one_raises(caplog):
    told = []
    host_of(bad=plugin(shutdown=raising), good=plugin(shutdown=lambda: told.append("good"))).shutdown()

    assert told == ["good"]
    assert "plugin bad (acme-bad 1.5) failed in pinocchio_shutdown" in caplog.text


def test_cli_that_raises_fails_the_plugin_and_leaves_the_others():
    def add(commands):
        commands.add_command(click.Command("greet"))

    group = click.Group()
    host = host_of(bad=plugin(cli=lambda commands: raising()), good=plugin(cli=add))
    host.extend_cli(group)

    assert list(group.commands) == ["greet"]
    assert [record.name for record in host.faults] == ["bad"]


def test_seeds_come_with_their_plugin():
    host = host_of(one=plugin(bootstrap_profiles=lambda: [ProfileSeed("a"), ProfileSeed("b")]))

    assert [(record.name, seed.slug) for record, seed in host.seeds()] == [("one", "a"), ("one", "b")]


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (raising, "pinocchio_bootstrap_profiles raised LookupError: in the plugin"),
        (lambda: [{"slug": "a"}], "pinocchio_bootstrap_profiles returned a dict where a ProfileSeed was due"),
        (lambda: [ProfileSeed("a b")], 'its profile "a b" is not sound: validation error (slug)'),
        (lambda: [ProfileSeed("a", document={"runtime": {"middlewares": [{"name": "x"}]}})], "unknown middleware"),
        (lambda: [ProfileSeed("a", document={"runtime": {"extends": [{"slug": "b"}]}})], "profiles that plugins bring"),
        (lambda: [ProfileSeed("a", document={"x": object()})], 'its profile "a" is not sound'),
        (lambda: [ProfileSeed("a", document=None)], 'its profile "a" is not sound'),
    ],
)
def test_seeds_that_are_not_sound_fail_their_plugin(hook, says):
    host = host_of(bad=plugin(bootstrap_profiles=hook), good=plugin(bootstrap_profiles=lambda: [ProfileSeed("g")]))

    check_seeds(host, registry="default")

    assert [record.name for record in host.faults] == ["bad"]
    assert says in host.faults[0].detail


def test_seeds_of_one_slug_name_both_plugins():
    def seeds():
        return [ProfileSeed("same")]

    host = host_of(one=plugin(bootstrap_profiles=seeds), two=plugin(bootstrap_profiles=seeds))
    check_seeds(host, registry="default")

    (record,) = host.faults
    assert record.detail == 'profile "same" comes from one (acme-one 1.5) and from two (acme-two 1.5)'


def test_two_faulty_seeds_are_one_fault_of_their_plugin():
    host = host_of(bad=plugin(bootstrap_profiles=lambda: [ProfileSeed("A B"), ProfileSeed("C D")]))

    check_seeds(host, registry="default")

    assert [(record.name, record.status) for record in host.records] == [("bad", PluginStatus.CONTRIBUTION_FAILED)]


def test_seed_that_a_plugin_cannot_check_fails_that_plugin():
    host = host_of(
        bad=plugin(validate_profile=lambda profile: raising()),
        good=plugin(bootstrap_profiles=lambda: [ProfileSeed("a")]),
    )

    check_seeds(host, registry="default")

    assert [record.name for record in host.faults] == ["bad"]


def test_require_sound_says_every_fault_in_a_line_of_its_own():
    host = host_of(a=plugin(), good=plugin(shutdown=lambda: None), b=plugin(tools=lambda: 5))

    with pytest.raises(PluginsFailed) as failed:
        host.require_sound()

    first, second = failed.value.faults
    assert "a (acme-a 1.5)  it implements no hook" in first
    assert "b (acme-b 1.5)" in second
    assert "pinocchio_tools returned int" in second
    assert "--plugin-errors=warn" in failed.value.next_step


def test_hosts_share_nothing():
    made = plugin(middleware_definitions=definitions(), startup=lambda info: raising())
    first, second = host_of(one=made), host_of(one=made)

    first.startup(INFO)

    assert not second.faults
    assert set(second.catalog.middlewares) == {"shout"}


def test_hooks_that_raise_give_their_slots_back():
    host = host_of(bad=plugin(validate_profile=lambda profile: raising()))
    host.allow_requests_in_hooks(1)

    for _ in range(3):
        with pytest.raises(HookFailed):
            host.validate(PROFILE)
