"""The operator's file of webhooks: what is read from it, and what is said of entries that are wrong."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pinocchio_core.errors import SettingsError
from pinocchio_core.service.changes.endpoints import Endpoint, read_endpoints

SECRET = "0123456789abcdef-secret"  # noqa: S105  of nobody
GOOD = {"name": "ci", "url": "https://ci.example/hook?x=1", "secret": SECRET}


def written(folder: Path, *entries: Any, mode: int = 0o600, name: str = "hooks.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"webhooks": entries}))
    path.chmod(mode)
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "hooks.toml"
    path.write_text(
        f'[[webhooks]]\nname = "ci"\nurl = "https://ci.example/hook?x=1"\nsecret = "{SECRET}"\n'
        'registries = ["Team"]\nops = ["create"]\ntimeout_s = 2\nstart = "beginning"\ngive_up_h = 1\n'
    )
    path.chmod(0o600)
    assert read_endpoints(path) == (
        Endpoint(
            name="ci",
            url="https://ci.example/hook?x=1",
            secret=SECRET.encode(),
            registries=frozenset({"team"}),
            ops=frozenset({"create"}),
            timeout_s=2,
            from_beginning=True,
            give_up_s=3600,
        ),
    )
    more = {"registries": ["team"], "ops": ["create"], "timeout_s": 2, "start": "beginning", "give_up_h": 1}
    assert read_endpoints(written(tmp_path, GOOD | more)) == read_endpoints(path)


def test_secrets_may_be_in_base64_or_in_files_of_their_own(tmp_path: Path) -> None:
    encoded = "whsec_" + base64.b64encode(b"\xff" * 24).decode()
    file = tmp_path / "secret"
    file.write_text(f"{encoded}\n")
    file.chmod(0o600)
    path = written(tmp_path, GOOD | {"secret": encoded}, {"name": "b", "url": GOOD["url"], "secret_file": "secret"})
    assert [each.secret for each in read_endpoints(path)] == [b"\xff" * 24] * 2
    path = written(tmp_path, {"name": "b", "url": GOOD["url"], "secret_file": "secret"}, mode=0o644)
    assert len(read_endpoints(path)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"url": "ftp://x/"}, "http:// or https://"),
        ({"url": "https:///x"}, "a host"),
        ({"url": "http://user:pass@x/"}, "user or a password"),
        ({"url": "http://x/\r\nX: y"}, "characters"),
        ({"url": "http://x:99999/"}, "Port"),
        ({"url": "http://[::1/"}, "IPv6"),
        ({"secret": "short"}, "shorter than 16"),
        ({"secret": "whsec_!!!"}, "base64"),
        ({"secret": None}, "either `secret` or `secret_file`"),
        ({"secret_file": "also"}, "either `secret` or `secret_file`"),
        ({"secret": None, "secret_file": "missing"}, "cannot be read"),
        ({"registries": ["a b"]}, "registry"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 31}, "timeout_s"),
        ({"start": "yesterday"}, "start"),
        ({"ulr": "x"}, "ulr"),
    ],
)
def test_an_entry_that_is_wrong_is_named_and_no_secret_is_told(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    wrong = {name: value for name, value in (GOOD | {"name": "wrong"} | change).items() if value is not None}
    with pytest.raises(SettingsError) as caught:
        read_endpoints(written(tmp_path, GOOD, wrong))
    assert f'webhooks[1] "{wrong["name"]}": ' in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_all_entries_that_are_wrong_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_endpoints(written(tmp_path, GOOD, GOOD, {"name": "x"}, 7))
    text = str(caught.value)
    assert 'webhooks[1] "ci": another one has its name' in text
    assert 'webhooks[2] "x": ' in text
    assert "webhooks[3]: " in text


def test_a_file_whose_secrets_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"others can read the secret in .*hooks\.json; run chmod 600"):
        read_endpoints(written(tmp_path, GOOD, mode=0o640))


@pytest.mark.parametrize("text", ["", "[", "webhooks = 1", "other = 1", '[[webhooks]]\n[more]\nx = "y"'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hooks.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"--webhooks .*hooks\.toml"):
        read_endpoints(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_endpoints(tmp_path / "none.toml")
