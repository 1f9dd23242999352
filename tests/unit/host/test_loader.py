"""Loading plugins: every one becomes active, or has a record that says why it is not."""

import sys
from types import ModuleType

import pluggy
import pytest

from pinocchio_core.host.blame import Ended
from pinocchio_core.host.discovery import Candidate, Selection
from pinocchio_core.host.loader import HOOKS, load_plugins
from pinocchio_core.host.records import PluginStatus
from pinocchio_core.plugin import hookimpl


def candidate(load, name="shout", distribution="acme-shout", version="1.2"):
    return Candidate(name=name, target="acme:thing", distribution=distribution, version=version, load=load)


def module(**functions):
    made = ModuleType("acme")
    for name, function in functions.items():
        setattr(made, name, function)
    return made


@hookimpl
def pinocchio_shutdown():
    pass


GOOD = module(pinocchio_shutdown=pinocchio_shutdown)


def outcome_of(load):
    """The record of a plugin that could not be loaded, while a sound one beside it was."""
    loaded, others = load_plugins([candidate(load), candidate(lambda: GOOD, name="good", distribution="acme-good")])
    assert [plugin.record.name for plugin in loaded] == ["good"]
    (record,) = others
    assert (record.name, record.distribution, record.version) == ("shout", "acme-shout", "1.2")
    assert record.failed
    return record


def refused(target):
    record = outcome_of(lambda: target)
    assert record.status is PluginStatus.REJECTED
    return record.detail


class Own(BaseException):
    """What a plugin may raise that is no Exception."""


def raising(error):
    def load():
        raise error

    return load


@pytest.mark.parametrize("target", [GOOD, type("Own", (), {"pinocchio_shutdown": staticmethod(pinocchio_shutdown)})()])
def test_loader_takes_modules_and_objects(target):
    loaded, others = load_plugins([candidate(lambda: target)])

    assert not others
    assert loaded[0].record.status is PluginStatus.ACTIVE
    assert loaded[0].record.hooks == ("pinocchio_shutdown",)


def test_loader_makes_an_object_of_a_class_for_each_program():
    class Own:
        @hookimpl
        def pinocchio_shutdown(self):
            return self

    objects = [load_plugins([candidate(lambda: Own)])[0][0].implementations["pinocchio_shutdown"] for _ in range(2)]

    first, second = (implementation.function() for implementation in objects)
    assert isinstance(first, Own)
    assert first is not second


def test_loader_takes_implementations_with_fewer_arguments():
    @hookimpl
    def pinocchio_validate_profile():
        return []

    loaded, others = load_plugins([candidate(lambda: module(pinocchio_validate_profile=pinocchio_validate_profile))])

    assert not others
    assert loaded[0].record.hooks == ("pinocchio_validate_profile",)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ModuleNotFoundError("No module named 'acme_gone'"), "ModuleNotFoundError: No module named 'acme_gone' (at "),
        (RuntimeError("no\nlicence  key"), "RuntimeError: no licence key (at "),
        (SystemExit(3), "SystemExit: 3 (at "),
        (Own("mine"), "Own: mine (at "),
        (ValueError("half \ud83d of \x1b[2J"), r"ValueError: half \ud83d of \u001b[2J (at "),
    ],
)
def test_loader_attributes_what_is_raised_at_import(error, says):
    record = outcome_of(raising(error))

    assert record.status is PluginStatus.IMPORT_FAILED
    assert record.detail.startswith(says)
    assert __file__ in record.detail


@pytest.mark.parametrize("error", [Ended(15), KeyboardInterrupt()])
def test_loader_attributes_no_signal(error):
    with pytest.raises(type(error)):
        load_plugins([candidate(raising(error))])


def test_loader_attributes_sys_exit_at_import():
    assert outcome_of(lambda: sys.exit("goodbye")).detail.startswith("SystemExit: goodbye (at ")


def test_loader_attributes_an_error_that_cannot_say_what_it_is():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    assert "Mute" in outcome_of(raising(Mute())).detail


def test_loader_attributes_a_class_that_cannot_be_made():
    class Own:
        def __init__(self):
            raise OSError("no such device")

    record = outcome_of(lambda: Own)

    assert record.status is PluginStatus.IMPORT_FAILED
    assert "OSError: no such device" in record.detail


def test_loader_refuses_arguments_that_the_hook_does_not_have():
    @hookimpl
    def pinocchio_startup(application):
        pass

    detail = refused(module(pinocchio_startup=pinocchio_startup))

    assert "pinocchio_startup" in detail
    assert "application" in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("pinocchio_middleware_definition", "pinocchio_middleware_definitions"),
        ("pinocchio_start_up", "pinocchio_startup"),
        ("pinocchio_profile_change", "pinocchio_profile_changed"),
    ],
)
def test_loader_refuses_a_misspelt_hook_and_names_the_nearest(name, near):
    @hookimpl
    def implementation():
        pass

    assert refused(module(**{name: implementation})) == f"unknown hook '{name}'; did you mean '{near}'?"


def test_loader_refuses_a_misspelt_hook_beside_sound_ones():
    detail = refused(module(pinocchio_shutdown=pinocchio_shutdown, pinocchio_tool=hookimpl(lambda: None)))

    assert detail == "unknown hook 'pinocchio_tool'; did you mean 'pinocchio_tools'?"


def test_loader_refuses_an_unknown_hook_that_is_like_none():
    assert refused(module(zzz=hookimpl(lambda: None))) == "unknown hook 'zzz'"


@pytest.mark.parametrize("kind", [{"wrapper": True}, {"hookwrapper": True}])
def test_loader_refuses_hook_wrappers(kind):
    @hookimpl(**kind)
    def pinocchio_shutdown():
        return (yield)

    detail = refused(module(pinocchio_shutdown=pinocchio_shutdown))

    assert detail == "pinocchio_shutdown is a hook wrapper; implement the hook itself"


@pytest.mark.parametrize("target", [module(), module(pinocchio_shutdown=lambda: None), None, 5])
def test_loader_refuses_what_implements_no_hook(target):
    assert refused(target) == "it implements no hook; mark implementations with @hookimpl of pinocchio_core.plugin"


def test_loader_refuses_a_marker_of_another_project():
    assert "implements no hook" in refused(module(pinocchio_shutdown=pluggy.HookimplMarker("pytest")(lambda: None)))


def test_loader_refuses_one_object_under_two_names():
    loaded, others = load_plugins([candidate(lambda: GOOD, name="one"), candidate(lambda: GOOD, name="two")])

    assert [plugin.record.name for plugin in loaded] == ["one"]
    assert (others[0].name, others[0].status) == ("two", PluginStatus.REJECTED)
    assert loaded[0].implementations["pinocchio_shutdown"].plugin is GOOD


def test_loader_gives_a_name_to_the_first_that_claims_it():
    both = [
        candidate(lambda: GOOD, distribution="acme-a", version="1.1"),
        candidate(raising(AssertionError("was imported")), distribution="acme-b"),
    ]

    loaded, others = load_plugins(both)

    assert [plugin.record.distribution for plugin in loaded] == ["acme-a"]
    assert (others[0].distribution, others[0].status) == ("acme-b", PluginStatus.CONFLICT)
    assert others[0].detail == 'the name "shout" is already taken by acme-a 1.1'


def test_loader_gives_a_name_to_the_second_where_the_first_is_broken():
    both = [candidate(raising(OSError()), distribution="acme-a"), candidate(lambda: GOOD, distribution="acme-b")]

    loaded, others = load_plugins(both)

    assert [plugin.record.distribution for plugin in loaded] == ["acme-b"]
    assert [record.status for record in others] == [PluginStatus.IMPORT_FAILED]


def test_loader_does_not_import_a_blocked_plugin():
    loaded, others = load_plugins([candidate(raising(AssertionError()))], Selection(blocked=("shout",)))

    assert not loaded
    assert (others[0].status, others[0].failed) == (PluginStatus.BLOCKED, False)


def test_loader_reports_every_fault_and_none_twice():
    candidates = [
        candidate(raising(OSError("x")), name="a"),
        candidate(module, name="b"),
        candidate(lambda: module(pinocchio_startup=hookimpl(lambda wrong: None)), name="c"),
        candidate(lambda: GOOD, name="d"),
    ]

    loaded, others = load_plugins(candidates)

    assert [plugin.record.name for plugin in loaded] == ["d"]
    assert [(record.name, record.status.value) for record in others] == [
        ("a", "import_failed"),
        ("b", "rejected"),
        ("c", "rejected"),
    ]


def test_record_line_names_status_plugin_distribution_version_and_reason():
    line = outcome_of(raising(OSError("broken"))).line()

    assert line.startswith("import_failed       shout (acme-shout 1.2)  OSError: broken")


def test_hooks_are_those_of_the_specifications():
    assert "pinocchio_middleware_definitions" in HOOKS
    assert len(HOOKS) == len(set(HOOKS)) == 10
