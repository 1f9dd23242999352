"""What a DSN or a path says, and that it opens the file it names."""

import os
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pinocchio_core.errors import SettingsError
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import DEFAULT_PARAMETERS, Dsn, dsn_of_path, parse_dsn
from pinocchio_core.store.sqlite.files import create_file

AWKWARD_NAMES = [
    "a?b.db",
    "a#b.db",
    "100%25.db",
    "a%3Fb.db",
    "two words.db",
    "\u00fc\u4e2d\U0001f600.db",
    "a&b=c;d.db",
    "a'b\".db",
]


def opens(dsn: Dsn, path: Path) -> bool:
    """Whether what is written through `dsn` lands in the file at `path`."""
    create_file(path)
    database = Database(dsn)
    try:
        with database.write():
            database.run("CREATE TABLE IF NOT EXISTS here (x)")
    finally:
        database.close()
    return path.stat().st_size > 0


def refused(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_dsn(text)
    return caught.value


@given(
    st.text(st.characters(exclude_categories=()), max_size=30)
    | st.builds("{}{}?{}={}".format, st.sampled_from(["", "file:", "file://", "x://"]), st.text(), st.text(), st.text())
)
@settings(max_examples=200, deadline=None)
@example("file:caf\udce9.db")
@example("\ud800")
@example("file:\ud800")
def test_parse_dsn_gives_a_dsn_or_says_what_is_wrong(text: str) -> None:
    try:
        dsn = parse_dsn(text)
    except SettingsError as error:
        assert str(error)
    else:
        assert dsn.path is None or dsn.path.is_absolute()
        assert dsn.uri.startswith("file:")


@given(st.text(st.characters(exclude_categories=()), max_size=30))
@settings(max_examples=200, deadline=None)
@example("~nobody-of-this-name/profiles.db")
@example("\ud800")
def test_dsn_of_path_gives_a_dsn_or_says_what_is_wrong(text: str) -> None:
    try:
        dsn = dsn_of_path(text)
    except SettingsError as error:
        assert "is no path" in str(error)
    else:
        assert dsn.uri.startswith("file:")


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_path_opens_the_very_file_it_names(tmp_path: Path, name: str) -> None:
    assert opens(dsn_of_path(str(tmp_path / name)), tmp_path / name)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_quoted_dsn_opens_the_very_file_it_names(tmp_path: Path, name: str) -> None:
    assert opens(parse_dsn(f"file:{quote(str(tmp_path / name))}?_fk=1"), tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="file names of other systems are text")
def test_names_that_are_not_utf_8_open_too(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.db")
    assert opens(dsn_of_path(name), Path(name))
    assert opens(parse_dsn(f"file:{tmp_path}/caf%e8.db"), Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe8.db")))
    assert parse_dsn(f"file:{name}").path == Path(name)


def test_a_path_that_begins_with_two_slashes_opens(tmp_path: Path) -> None:
    """As `$PREFIX/profiles.db` is written where PREFIX is `/`."""
    path = tmp_path / "profiles.db"
    assert opens(dsn_of_path(f"/{path}"), path)
    assert opens(parse_dsn(f"file:///{path}"), path)


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "file://localhost{}", "file://LOCALHOST{}", "{}"])
@pytest.mark.parametrize("parameters", ["", "?", "?_busy_timeout=7"])
def test_every_form_of_an_absolute_path_names_one_file(tmp_path: Path, form: str, parameters: str) -> None:
    dsn = parse_dsn(form.format(tmp_path / "a.db") + parameters)
    assert dsn.path == tmp_path / "a.db"
    assert dsn.busy_timeout_ms == (7 if "7" in parameters else 5000)


@pytest.mark.parametrize("form", ["file:data/a.db", "file:./data/a.db", "data/a.db", "./data/a.db?"])
def test_relative_paths_are_of_the_folder_the_program_started_in(form: str) -> None:
    assert parse_dsn(form).path == Path.cwd() / "data" / "a.db"
    assert dsn_of_path("data/a.db").path == Path.cwd() / "data" / "a.db"


def test_a_path_under_the_users_home_may_begin_with_a_tilde() -> None:
    assert dsn_of_path("~/a.db").path == Path.home() / "a.db"


def test_a_path_stands_for_the_dsn_of_the_runbook(tmp_path: Path) -> None:
    path = tmp_path / "profiles.db"
    assert dsn_of_path(str(path)) == parse_dsn(f"file:{path}?{DEFAULT_PARAMETERS}")
    assert DEFAULT_PARAMETERS == "_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=on"


def test_a_dsn_that_says_nothing_is_as_safe_as_a_path() -> None:
    safe = {"journal_mode": "WAL", "synchronous": "FULL", "foreign_keys": 1, "trusted_schema": 0}
    assert parse_dsn("file:a.db").pragmas == safe
    assert dsn_of_path("a.db").pragmas == safe
    assert parse_dsn("file:a.db?_sync=NORMAL&_journal=DELETE").pragmas == safe | {
        "synchronous": "NORMAL",
        "journal_mode": "DELETE",
    }


@pytest.mark.parametrize(
    ("parameter", "pragma", "value"),
    [
        ("_journal_mode=wal", "journal_mode", "WAL"),
        ("_journal=Delete", "journal_mode", "DELETE"),
        ("_journal_mode=TRUNCATE", "journal_mode", "TRUNCATE"),
        ("_foreign_keys=on", "foreign_keys", 1),
        ("_fk=false", "foreign_keys", 0),
        ("_foreign_keys=YES", "foreign_keys", 1),
        ("_synchronous=1", "synchronous", "NORMAL"),
        ("_sync=extra", "synchronous", "EXTRA"),
        ("_cache_size=-2000", "cache_size", -2000),
        ("_secure_delete=fast", "secure_delete", "FAST"),
        ("_secure_delete=default", "secure_delete", 0),
        ("_auto_vacuum=2", "auto_vacuum", "INCREMENTAL"),
        ("_vacuum=full", "auto_vacuum", "FULL"),
        ("_query_only=1", "query_only", 1),
    ],
)
def test_parse_dsn_reads_every_parameter_and_its_short_form(parameter: str, pragma: str, value: str | int) -> None:
    assert parse_dsn(f"file:a.db?{parameter}").pragmas[pragma] == value


@pytest.mark.parametrize(("name", "expected"), [("_busy_timeout", 250), ("_timeout", 250)])
def test_parse_dsn_reads_the_busy_timeout(name: str, expected: int) -> None:
    assert parse_dsn(f"file:a.db?{name}=250").busy_timeout_ms == expected


@pytest.mark.parametrize("value", ["immediate", "deferred", "EXCLUSIVE"])
def test_every_write_begins_immediate_whatever_txlock_says(value: str) -> None:
    assert parse_dsn(f"file:a.db?_txlock={value}") == parse_dsn("file:a.db")


@pytest.mark.parametrize(
    ("parameter", "own", "read_only"),
    [
        ("mode=ro", {"mode": "ro"}, True),
        ("mode=RW", {"mode": "rw"}, False),
        ("mode=rwc", {"mode": "rwc"}, False),
        ("cache=shared", {"cache": "shared"}, False),
        ("immutable=yes", {"immutable": "1"}, True),
        ("immutable=0", {"immutable": "0"}, False),
        ("_query_only=on", {}, True),
    ],
)
def test_parse_dsn_keeps_sqlites_own_parameters(parameter: str, own: dict[str, str], read_only: bool) -> None:
    dsn = parse_dsn(f"file:a.db?{parameter}")
    assert dsn.uri_parameters == own
    assert dsn.read_only is read_only


@pytest.mark.parametrize("text", [":memory:", "file::memory:", "file::memory:?_fk=1", "file:x?mode=memory"])
def test_a_database_in_memory_has_no_path(text: str) -> None:
    assert parse_dsn(text).path is None
    assert dsn_of_path(":memory:").path is None
    assert str(parse_dsn(text)) == "memory (nothing is kept)"


@pytest.mark.parametrize(
    ("parameter", "nearest"),
    [
        ("_journal_mod=WAL", "_journal_mode"),
        ("_busytimeout=1", "_busy_timeout"),
        ("_foreign_key=1", "_foreign_keys"),
        ("Mode=ro", "mode"),
    ],
)
def test_parse_dsn_names_an_unknown_parameter_and_the_nearest(parameter: str, nearest: str) -> None:
    error = refused(f"file:a.db?{parameter}")
    name = parameter.partition("=")[0]
    assert str(error) == f'unknown DSN parameter "{name}"; did you mean {nearest}?'
    assert error.next_step is not None
    assert nearest in error.next_step


def test_parse_dsn_lists_the_parameters_where_none_is_near() -> None:
    error = refused("file:a.db?xyzzy=1")
    assert str(error) == 'unknown DSN parameter "xyzzy"'
    assert "_journal_mode" in str(error.next_step)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("_journal_mode=fast", "one of delete, truncate, persist, memory, wal, off"),
        ("_busy_timeout=5s", "an integer from 0 to 600000"),
        ("_busy_timeout=-1", "an integer from 0 to 600000"),
        ("_timeout=", "an integer from 0 to 600000"),
        ("_busy_timeout=600001", "an integer from 0 to 600000"),
        ("_busy_timeout=\u0661", "an integer from 0 to 600000"),
        ("_foreign_keys=maybe", "one of 1, yes, true, on, 0, no, false, off"),
        ("_synchronous=4", "one of off, normal, full, extra, 0, 1, 2, 3"),
        ("_cache_size=big", "an integer from -2147483648 to 2147483647"),
        ("_txlock=later", "one of immediate, deferred, exclusive"),
        ("mode=rx", "one of ro, rw, rwc, memory"),
        ("cache=mine", "one of shared, private"),
        ("immutable=2", "one of 1, yes"),
        ("_fk", "one of 1, yes"),
    ],
)
def test_parse_dsn_names_a_bad_value_and_what_may_stand_there(parameter: str, expected: str) -> None:
    error = refused(f"file:a.db?{parameter}")
    name, _, value = parameter.partition("=")
    assert str(error) == f'DSN parameter {name} is "{value}"'
    assert str(error.next_step).startswith(f"give it {expected}")


def test_parse_dsn_refuses_a_parameter_with_two_values() -> None:
    assert str(refused("file:a.db?_fk=1&_foreign_keys=0")) == 'the DSN gives _foreign_keys twice, as "1" and "0"'
    assert parse_dsn("file:a.db?_fk=1&_foreign_keys=1").pragmas["foreign_keys"] == 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "mysql", "mariadb", "PostgreSQL"])
def test_parse_dsn_says_which_engines_it_does_not_open(scheme: str) -> None:
    error = refused(f"{scheme}://user:secret@host/db")
    assert scheme.lower() in str(error)
    assert "secret" not in f"{error}{error.next_step}"
    assert "SQLite" in str(error.next_step)


@pytest.mark.parametrize("text", ["", "file:", "?", "file:?_fk=1", "  ", "file:%00", "a\0b", "file:%20"])
def test_parse_dsn_refuses_a_dsn_without_a_file(text: str) -> None:
    assert "the DSN names no file" in str(refused(text))


def test_parse_dsn_refuses_files_of_other_hosts() -> None:
    assert 'the host "server"' in str(refused("file://server/a.db"))


@pytest.mark.parametrize(
    "text", ["file::memory:?mode=ro", ":memory:?_query_only=1", "file:x?mode=memory&_query_only=on"]
)
def test_a_database_in_memory_that_could_never_hold_anything_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="stays empty"):
        parse_dsn(text)
