"""What the command line says when it cannot start: one clear line, what to do next, an exit code, no traceback."""

import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

SOUND = "from pinocchio_core.plugin import hookimpl\n"


@pytest.fixture
def refused(run, tmp_path):
    """Run `pinocchio web-chat`, which must refuse to start with an exit code; returns what it says."""

    def check(exit_code, *options, **variables):
        database = {} if any("registry-d" in str(option) for option in options) else {"db": tmp_path / "unused.db"}
        own = {"PINOCCHIO_ADDR": "127.0.0.1:0", "PINOCCHIO_PROFILE_REGISTRY_DB": database.get("db")}
        ran = run(tmp_path, "web-chat", *options, **(own | variables))

        assert ran.returncode == exit_code, ran.stderr
        assert ran.stdout == ""
        assert "Traceback" not in ran.stderr
        assert ran.stderr.startswith(("pinocchio: ", "Usage: "))
        return ran.stderr

    return check


def says(text, first, next_step):
    """Check the two lines of a refusal: what is wrong, then what to do."""
    lines = text.splitlines()
    assert len(lines) == 2, text
    assert first in lines[0]
    assert lines[1].startswith("  → ")
    assert next_step in lines[1]


# where to listen


def test_port_that_is_taken(refused):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = refused(1, "--addr", f"127.0.0.1:{port}")

    says(text, f"cannot listen on http://127.0.0.1:{port}", "--addr")


def test_address_of_another_machine(refused):
    text = refused(1, "--addr", "192.0.2.1:0", "--insecure-no-auth")
    says(text, "cannot listen on http://192.0.2.1:0", "an address of this machine")


@pytest.mark.parametrize("addr", [":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_without_tokens_only_this_machine_is_let_in(refused, tmp_path, addr):
    says(refused(2, "--addr", addr), "--addr lets other machines in (", "--auth-tokens")
    assert list(tmp_path.iterdir()) == []


def test_tokens_that_others_can_read(refused, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o644)
    tokens.chmod(0o644)
    says(refused(2, "--auth-tokens", tokens), "has permissions 0644", f"chmod 600 {tokens}")


def test_tokens_with_a_line_that_is_none(refused, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text('# mine\n\n{"name": "ann", "token": "planted"}\n')
    text = refused(2, "--auth-tokens", tokens)
    says(text, f"{tokens}, line 3: ", "pinocchio tokens create")
    assert "planted" not in text


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--cors-origin", "*"), '--cors-origin "*" is no origin'),
        (("--cors-origin", "https://a.example/path"), "is no origin"),
        (("--allow-host", "a.example:80"), "is no host"),
        (("--allow-host", "a:80"), '--allow-host "a:80" is no host'),
        (("--allow-host", "*"), "is no host"),
        (("--auth-tokens", "gone"), "cannot be read"),
        (("--auth-tokens", "gone", "--insecure-no-auth"), "exclude each other"),
    ],
)
def test_access_that_makes_no_sense(refused, options, what):
    assert what in refused(2, *options)


def test_host_that_does_not_exist(refused):
    says(refused(1, "--addr", "no-such-host.invalid:0"), "cannot listen on http://no-such-host.invalid:0", "--addr")


@pytest.mark.parametrize("addr", ["8080", "::1:80"])
def test_addr_that_is_no_address(refused, addr):
    says(refused(2, "--addr", addr), f'--addr "{addr}"', "HOST:PORT")


def test_host_name_that_cannot_be_one(refused):
    says(refused(1, "--addr", f"{'a' * 70}.x:0"), "cannot listen on", "--addr")


@pytest.mark.parametrize("root", ["/{x}", "/.."])
def test_root_that_is_no_prefix(refused, root):
    says(refused(2, "--root", root), f'--root "{root}"', "/pinocchio")


# which database


def test_file_where_a_folder_should_be(refused, tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file/profiles.db"

    says(refused(1, "--profile-registry-db", path), f"cannot open the database {path}", "path")


def test_folder_instead_of_a_file(refused, tmp_path):
    says(refused(1, "--profile-registry-db", tmp_path), f"{tmp_path} is a folder", "name a file")


def test_file_that_is_no_database(refused, tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, this is not a database, and it is long enough to be looked at as one.\n" * 20)
    before = path.read_bytes()

    says(refused(1, "--profile-registry-db", path), f"cannot open the database {path}", "backup")
    assert path.read_bytes() == before


def make_database(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


def test_database_of_a_newer_version(refused, serving, tmp_path):
    with serving(tmp_path):
        pass
    path = tmp_path / "data/profiles.db"
    before = make_database(path, "PRAGMA user_version = 99")

    says(refused(1, "--profile-registry-db", path), "newer version of this program (layout 99", "not touched")
    assert path.read_bytes() == before


@pytest.mark.parametrize("statement", ["PRAGMA application_id = 42", "CREATE TABLE songs (title TEXT)"])
def test_database_of_another_program(refused, tmp_path, statement):
    path = tmp_path / "songs.db"
    before = make_database(path, "CREATE TABLE tracks (title TEXT)", statement)

    says(refused(1, "--profile-registry-db", path), f"{path} is a database of another program", "not touched")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("songs")] == ["songs.db"]


@pytest.mark.parametrize(
    ("dsn", "first", "next_step"),
    [
        ("file:x.db?_jurnal_mode=WAL", 'unknown DSN parameter "_jurnal_mode"; did you mean _journal_mode?', "known: "),
        ("file:x.db?_journal_mode=WALL", 'DSN parameter _journal_mode is "WALL"', "one of "),
        ("postgresql://localhost/x", "postgresql", "SQLite"),
    ],
)
def test_dsn_that_is_wrong(refused, tmp_path, dsn, first, next_step):
    says(refused(2, "--profile-registry-dsn", dsn), first, next_step)
    assert not (tmp_path / "x.db").exists()


def test_database_that_must_exist_and_does_not(refused, tmp_path):
    says(refused(1, "--profile-registry-dsn", "file:x.db?mode=rw"), "there is no database at", "path")
    assert not (tmp_path / "x.db").exists()


# the other options


@pytest.mark.parametrize("slug", ["", "a b"])
def test_default_registry_that_is_no_slug(refused, slug):
    says(refused(2, "--default-registry", slug), "--default-registry", "default")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threads", "0"),
        ("--log-format", "xml"),
        ("--plugin-errors", "no"),
    ],
)
def test_value_that_an_option_does_not_take(refused, option, value):
    text = refused(2, option, value)

    assert f"Invalid value for '{option}'" in text
    assert value in text
    assert "--help" in text


def test_misspelt_option_is_answered_with_the_nearest(refused):
    text = refused(2, "--thread", "4")

    assert "Did you mean" in text
    assert "--threads" in text


# plugins


@pytest.mark.parametrize(
    ("variable", "known"), [("PINOCCHIO_LOAD_PLUGINS", "pinocchio-webchat"), ("PINOCCHIO_BLOCK_PLUGINS", "agentmode")]
)
def test_plugin_choice_that_names_what_is_not_installed(refused, variable, known):
    text = refused(2, **{variable: "acme-missing"})

    says(text, f"{variable} names", known)
    assert "acme-missing" in text


def test_broken_plugins_are_all_named_before_the_port_opens(refused, distribution, tmp_path):
    site = distribution(tmp_path / "site", "acme_import", "raise ImportError('the drum is missing')\n")
    distribution(site, "acme_hook", f"{SOUND}@hookimpl\ndef pinocchio_startupp(info): ...\n")
    distribution(site, "acme_start", f"{SOUND}@hookimpl\ndef pinocchio_startup(info): raise OSError('no drum')\n")
    text = refused(1, PYTHONPATH=site)

    assert "acme_import (acme_import 1.5)  ImportError: the drum is missing" in text
    assert "did you mean 'pinocchio_startup'?" in text
    assert "--plugin-errors=warn" in text.splitlines()[-1]
    assert not (tmp_path / "unused.db").exists()


def test_plugin_that_fails_at_startup_is_named(refused, distribution, tmp_path):
    site = distribution(tmp_path / "site", "acme_start", f"{SOUND}@hookimpl\ndef pinocchio_startup(info): 1 / 0\n")
    text = refused(1, PYTHONPATH=site)

    assert re.search(r"acme_start \(acme_start 1\.5\) .*ZeroDivisionError", text)


def test_broken_plugin_is_left_out_on_request(serving, distribution, tmp_path):
    site = distribution(tmp_path / "site", "acme_import", "raise ImportError('the drum is missing')\n")
    with serving(tmp_path, "--plugin-errors", "warn", PYTHONPATH=site) as server:
        ready = server.request("GET", "/readyz")

        assert ready.status == 503
        assert "the drum is missing" in ready.json["reasons"][0]
        assert server.request("GET", "/api/chat/profiles").status == 200
        server.wait_for_log(r"WARNING pinocchio  plugin import_failed +acme_import \(acme_import 1\.5\)")


def test_webhooks_that_are_wrong_are_named(refused, tmp_path):
    path = tmp_path / "hooks.toml"
    path.write_text('[[webhooks]]\nname = "ci"\nurl = "ftp://x/"\nsecret = "0123456789abcdef"\n')
    says(refused(2, "--webhooks", path), 'webhooks[0] "ci": its url must begin with http://', "correct these entries")


def test_webhooks_of_a_database_that_cannot_be_written(refused, tmp_path):
    dsn = f"file:{tmp_path}/x.db?mode=ro"
    text = refused(2, "--webhooks", tmp_path / "none.toml", "--profile-registry-dsn", dsn)
    says(text, "--webhooks needs a database that can be written", "leave out --webhooks")


# how it is started


def test_the_package_is_the_command_too(run, tmp_path):
    command = [sys.executable, "-m", "pinocchio_core", "--version"]
    says_version = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert says_version == run(tmp_path, "--version").stdout
