"""The command line as plugins and servers find it."""

import subprocess
import sys

import click
import pytest

from pinocchio_core.cli.main import MODULES, build
from pinocchio_core.testing import make_host

STARTED = """
import sys
from pinocchio_core.cli.main import build
from pinocchio_core.host.host import Host
assert build(Host()).commands["web-chat"].params
print(*sys.modules)
"""


@pytest.mark.parametrize("needless", ["pinocchio_core.cli.chat", "pinocchio_core.cli.profiles", "yaml", "httpx2"])
def test_a_server_starts_without_what_only_other_commands_need(needless):
    said = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    modules = said.stdout.split()
    assert "pinocchio_core.cli.web_chat" in modules
    assert needless not in modules


def test_every_command_is_found_by_its_name_and_can_be_replaced_and_removed():
    commands = build(make_host()).commands
    assert sorted(commands) == sorted(MODULES)
    assert {name: command.name for name, command in commands.items()} == {name: name for name in MODULES}
    assert commands["chat"] is commands["chat"]
    commands["chat"] = click.Command("chat")
    assert commands["chat"].params == []
    del commands["chat"]
    assert "chat" not in commands


def test_what_is_added_to_a_command_stays_in_one_command_line():
    one, other = build(make_host()).commands["chat"], build(make_host()).commands["chat"]
    one.params.append(click.Option(["--more"]))
    assert len(one.params) == len(other.params) + 1
