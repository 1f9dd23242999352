"""Which plugins are found, and which of them the operator wants."""

import itertools
from pathlib import Path

import pytest

from pinocchio_core.errors import SettingsError
from pinocchio_core.host.discovery import BUILT_IN, Candidate, given_plugins, installed_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.host.records import PluginStatus
from pinocchio_core.settings import plugin_selection

NUMBERS = itertools.count()
HOOK = "from pinocchio_core.plugin import hookimpl\n@hookimpl\ndef pinocchio_shutdown(): pass\n"


def candidate(name, distribution):
    return Candidate(name=name, target=name, distribution=distribution, version="1.0", load=object)


OURS = candidate("sqlite", BUILT_IN)
SHOUT = candidate("shout", "acme-shout")
WHISPER = candidate("whisper", "acme-whisper")


def wanted(environment):
    selection = plugin_selection(environment)
    selection.check([OURS, SHOUT, WHISPER])
    return [each.name for each in (OURS, SHOUT, WHISPER) if not selection.refusal(each)]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with one entry; its module has a name of its own, which is returned."""

    def installing(distribution, *, entry="x", version="1.0", code=HOOK, metadata=None, entries=None) -> str:
        number = next(NUMBERS)
        module = f"fake_plugin_{number}"
        folder = tmp_path / str(number)
        information = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        information.mkdir(parents=True)
        (folder / f"{module}.py").write_text(code)
        default = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (information / "METADATA").write_text(default if metadata is None else metadata)
        lines = entries(module) if entries else [f"{entry} = {module}"]
        (information / "entry_points.txt").write_text("\n".join(["[pinocchio.plugins]", *lines, ""]))
        monkeypatch.syspath_prepend(str(folder))
        return module

    return installing


def test_selection_of_an_unset_variable_is_everything():
    assert wanted({}) == ["sqlite", "shout", "whisper"]


@pytest.mark.parametrize("text", ["", "  ", ","])
def test_selection_of_an_empty_variable_is_the_built_in_plugins(text):
    assert wanted({"PINOCCHIO_LOAD_PLUGINS": text}) == ["sqlite"]


@pytest.mark.parametrize("text", ["acme-shout", " acme-shout , ", "acme-shout,acme-shout"])
def test_selection_of_a_list_is_these_distributions_alone(text):
    assert wanted({"PINOCCHIO_LOAD_PLUGINS": text}) == ["shout"]


def test_selection_of_a_list_has_the_built_in_plugins_where_they_are_named():
    assert wanted({"PINOCCHIO_LOAD_PLUGINS": f"acme-whisper,{BUILT_IN}"}) == ["sqlite", "whisper"]


def test_selection_leaves_out_blocked_plugins_also_built_in_ones():
    assert wanted({"PINOCCHIO_BLOCK_PLUGINS": "sqlite, whisper"}) == ["shout"]


def test_selection_blocks_a_plugin_whose_distribution_is_asked_for():
    assert wanted({"PINOCCHIO_LOAD_PLUGINS": "acme-shout", "PINOCCHIO_BLOCK_PLUGINS": "shout"}) == []


@pytest.mark.parametrize(
    ("variable", "sent", "says", "known"),
    [
        (
            "PINOCCHIO_LOAD_PLUGINS",
            "acme-shuot",
            "names distribution acme-shuot",
            f"acme-shout, acme-whisper, {BUILT_IN}",
        ),
        ("PINOCCHIO_LOAD_PLUGINS", "shout", "names distribution shout", f"acme-shout, acme-whisper, {BUILT_IN}"),
        ("PINOCCHIO_BLOCK_PLUGINS", "b,a,sqlite", "names plugin a, b", "shout, sqlite, whisper"),
    ],
)
def test_selection_of_an_unknown_name_is_an_error_that_lists_the_known_ones(variable, sent, says, known):
    with pytest.raises(SettingsError) as error:
        wanted({variable: sent})

    assert str(error.value) == f"{variable} {says}, which is not installed"
    assert error.value.next_step == f"known: {known}"


def test_host_refuses_an_unknown_name_before_it_loads_anything(install):
    install("acme-loud", code="raise AssertionError('was imported')")

    with pytest.raises(SettingsError, match="names plugin nobody, which is not installed"):
        Host(selection=plugin_selection({"PINOCCHIO_BLOCK_PLUGINS": "nobody"}))


def test_installed_plugins_are_found_with_their_distribution_and_version(install):
    module = install("acme-shout", entry="shout", version="2.3")

    (found,) = [each for each in installed_plugins() if each.distribution == "acme-shout"]

    assert (found.name, found.target, found.version) == ("shout", module, "2.3")
    assert found.load().__name__ == module


def test_installed_plugins_have_one_order_whatever_the_path(install):
    install("acme-b", entry="two")
    install("acme-a", entries=lambda module: [f"zwei = {module}", f"eins = {module}"])

    found = [(each.distribution, each.name) for each in installed_plugins()]

    assert found == sorted(found)
    assert [each for each in found if each[0].startswith("acme")] == [
        ("acme-a", "eins"),
        ("acme-a", "zwei"),
        ("acme-b", "two"),
    ]


def test_installed_plugins_count_an_entry_that_is_seen_twice_once(install):
    install("acme-twice", entries=lambda module: [f"twice = {module}", f"twice = {module}"])

    host = Host()

    (record,) = [each for each in host.records if each.distribution == "acme-twice"]
    assert record.status is PluginStatus.ACTIVE


def test_installed_plugins_take_two_distributions_with_one_entry_name_for_a_conflict(install):
    install("acme-a", entry="same", version="1.1")
    install("acme-b", entry="same", version="2.2")

    first, second = (each for each in Host().records if each.name == "same")

    assert (first.distribution, first.status) == ("acme-a", PluginStatus.ACTIVE)
    assert (second.distribution, second.status) == ("acme-b", PluginStatus.CONFLICT)
    assert second.detail == 'the name "same" is already taken by acme-a 1.1'


def test_installed_plugins_of_a_half_removed_distribution_do_not_hide_the_others(install):
    # what an interrupted uninstall leaves behind: entries without a name and a version
    install("acme-half", entry="half", metadata="")
    install("acme-whole", entry="whole")

    assert {"half", "whole"} <= {each.name for each in installed_plugins()}


def test_selection_says_why_a_plugin_is_left_out(install):
    install("acme-shout", entry="shout")
    selection = plugin_selection({"PINOCCHIO_LOAD_PLUGINS": "", "PINOCCHIO_BLOCK_PLUGINS": "sqlite"})

    records = {each.name: each for each in Host(selection=selection).records}

    assert records["shout"].status is records["sqlite"].status is PluginStatus.BLOCKED
    assert records["shout"].detail == "its distribution is not among PINOCCHIO_LOAD_PLUGINS (built-ins only)"
    assert records["sqlite"].detail == "named in PINOCCHIO_BLOCK_PLUGINS"
    assert not any(each.failed for each in records.values())


def test_given_plugins_are_named_by_their_module_or_class():
    class Own:
        pass

    assert [each.name for each in given_plugins([Path, Own, Own(), pytest])] == ["Path", "Own", "Own", "pytest"]
