"""What an operator may write in flags and variables, and what it means."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pinocchio_core.errors import SettingsError
from pinocchio_core.host.discovery import Candidate, Selection
from pinocchio_core.settings import (
    DEFAULT_ADDRESS,
    Address,
    parse_address,
    parse_registry,
    parse_root,
    parse_store,
    plugin_selection,
)
from pinocchio_core.settings.access import parse_access

hosts = st.sampled_from(["", "localhost", "127.0.0.1", "0.0.0.0", "example.org", "::1", "::", "fe80::1%eth0"])  # noqa: S104  parsed, not bound
addresses = st.builds(Address, host=hosts, port=st.integers(0, 65_535))


@given(addresses)
@settings(max_examples=100, deadline=None)
def test_parse_address_reads_every_address_as_people_write_it(address: Address) -> None:
    host = f"[{address.host}]" if ":" in address.host else address.host
    assert parse_address(f"{host}:{address.port}") == address
    assert parse_address(f" {host}:{address.port}\n") == address


@given(st.text(alphabet="[]:.0123456789ab \0\u0661", max_size=12) | st.text(max_size=12))
@settings(max_examples=200, deadline=None)
@example("[::1]:")
@example(":")
def test_parse_address_gives_a_port_or_says_how_to_write_it(text: str) -> None:
    try:
        address = parse_address(text)
    except SettingsError as error:
        assert str(error).startswith("--addr ")
        assert error.next_step == "write HOST:PORT, :PORT or [IPv6]:PORT"
    else:
        assert 0 <= address.port <= 65_535


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "localhost",
        "localhost:",
        "a:65536",
        "a:-1",
        "a:+1",
        "a:1_0",
        "a:http",
        "::1:8080",
        "::1",
        "http://a:80",
        "a:\u0661",
        "a:0x50",
    ],
)
def test_parse_address_refuses(text: str) -> None:
    with pytest.raises(SettingsError, match="is no address"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (DEFAULT_ADDRESS, "http://127.0.0.1:8080"),
        (":8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_has_an_url_to_click_on(text: str, url: str) -> None:
    assert parse_address(text).url() == url
    assert parse_address(text).url("/pinocchio") == url + "/pinocchio"


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", ""),
        ("/", ""),
        (" ", ""),
        ("pinocchio", "/pinocchio"),
        ("/a/b/", "/a/b"),
        ("//a//b", "/a/b"),
        ("/a-b_c.d", "/a-b_c.d"),
    ],
)
def test_parse_root_gives_a_prefix_with_a_slash_before_it_and_none_after(text: str, root: str) -> None:
    assert parse_root(text) == root


@pytest.mark.parametrize("text", ["a", "a.example.", "a_b-1", "127.0.0.1", "::1", "[::1]", "2001:DB8::80", " ::1:80 "])
def test_parse_access_takes_every_host_that_a_header_can_have(text: str) -> None:
    sites = parse_access(parse_address(DEFAULT_ADDRESS), None, [text], [], insecure=False).sites
    host = text.strip()
    assert sites.serve(f"[{host}]:80" if host.count(":") > 1 and host[0] != "[" else f"{host}:80")


@pytest.mark.parametrize(
    "text", ["", "a:80", "abc:80", "1.2.3.4:80", "a.example:80", "[::1]:80", "fe80::1%eth0", "...", ":", "a b", "*"]
)
def test_parse_access_refuses_what_no_host_is_called_and_ports(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--allow-host .* is no host") as caught:
        parse_access(parse_address(DEFAULT_ADDRESS), None, [text], [], insecure=False)
    assert caught.value.next_step == "write a name or an address without a port"


@pytest.mark.parametrize("text", ["/a b", "/..", "/a/./b", "/a?b", "/a#b", "/%2F", "/{a}", "/\u00e9", "/a\0", "/-"])
def test_parse_root_refuses_what_begins_no_path(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--root .* is no URL prefix"):
        parse_root(text)


@given(st.text(alphabet="/ab.-_ %?\u00e9", max_size=12))
@settings(max_examples=100, deadline=None)
def test_parse_root_takes_its_own_answer_as_it_is(text: str) -> None:
    try:
        root = parse_root(text)
    except SettingsError:
        return
    assert root == "" or (root.startswith("/") and not root.endswith("/"))
    assert parse_root(root) == root


def test_parse_registry_gives_a_slug_or_names_the_flag() -> None:
    assert parse_registry(" Team ") == "team"
    with pytest.raises(SettingsError, match=r'^--default-registry: invalid registry slug "a b"'):
        parse_registry("a b")


@pytest.mark.parametrize(
    ("environment", "selection"),
    [
        ({}, Selection()),
        ({"PINOCCHIO_LOAD_PLUGINS": ""}, Selection(distributions=())),
        ({"PINOCCHIO_LOAD_PLUGINS": " , "}, Selection(distributions=())),
        ({"PINOCCHIO_LOAD_PLUGINS": "acme, other ,"}, Selection(distributions=("acme", "other"))),
        ({"PINOCCHIO_BLOCK_PLUGINS": "sqlite"}, Selection(blocked=("sqlite",))),
        (
            {"PINOCCHIO_BLOCK_PLUGINS": "a,b", "PINOCCHIO_LOAD_PLUGINS": "c"},
            Selection(distributions=("c",), blocked=("a", "b")),
        ),
        ({"OTHER": "x"}, Selection()),
    ],
)
def test_plugin_selection_tells_unset_from_empty_from_a_list(environment: dict[str, str], selection: Selection) -> None:
    assert plugin_selection(environment) == selection


def test_plugin_selection_leaves_out_what_the_environment_does_not_want() -> None:
    def of(distribution: str, name: str) -> Candidate:
        return Candidate(name=name, target="t", distribution=distribution, version="1", load=lambda: None)

    built_in, acme = of("pinocchio-webchat", "sqlite"), of("acme", "shout")
    everything, nothing = plugin_selection({}), plugin_selection({"PINOCCHIO_LOAD_PLUGINS": ""})
    assert not everything.refusal(built_in)
    assert not everything.refusal(acme)
    assert not nothing.refusal(built_in)
    assert "built-ins only" in nothing.refusal(acme)
    assert "PINOCCHIO_BLOCK_PLUGINS" in plugin_selection({"PINOCCHIO_BLOCK_PLUGINS": "shout"}).refusal(acme)
    with pytest.raises(SettingsError, match="PINOCCHIO_LOAD_PLUGINS names distribution acne, which is not installed"):
        plugin_selection({"PINOCCHIO_LOAD_PLUGINS": "acne"}).check([built_in, acme])
    with pytest.raises(SettingsError, match="PINOCCHIO_BLOCK_PLUGINS names plugin shoot, which is not installed"):
        plugin_selection({"PINOCCHIO_BLOCK_PLUGINS": "shoot"}).check([built_in, acme])


def test_parse_store_lets_the_dsn_win_over_the_path(tmp_path: Path) -> None:
    dsn = parse_store(str(tmp_path / "path.db"), f"file:{tmp_path}/dsn.db?_busy_timeout=7")
    assert dsn.path == tmp_path / "dsn.db"
    assert dsn.busy_timeout_ms == 7


def test_parse_store_takes_the_path_where_there_is_no_dsn(tmp_path: Path) -> None:
    assert parse_store(str(tmp_path / "a.db"), None).path == tmp_path / "a.db"
    assert parse_store(str(tmp_path / "a.db"), "").path == tmp_path / "a.db"


def test_parse_store_falls_back_to_the_users_data_folder() -> None:
    path = parse_store(None, None).path
    assert path is not None
    assert path.is_absolute()
    assert (path.parent.name, path.name) == ("pinocchio", "profiles.db")


@pytest.mark.parametrize("path", ["", "  ", "a\0b"])
def test_parse_store_refuses_what_is_no_path(path: str) -> None:
    with pytest.raises(SettingsError, match=r"--profile-registry-db .* is no path") as caught:
        parse_store(path, None)
    assert caught.value.next_step == "name a file, for example ./data/profiles.db"
