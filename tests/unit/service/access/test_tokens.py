"""The file of tokens: who may own it, what a line may be, and that changing it loses nothing."""

import datetime as dt
import os
import threading

import pytest

from pinocchio_core.errors import SettingsError
from pinocchio_core.service.access.attempts import ADDRESSES, LIMIT, WINDOW_S, Attempts
from pinocchio_core.service.access.callers import PREFIX, Role, Token, digest_of, new_token, valid_name
from pinocchio_core.service.access.tokens import TokenFile, add_token, read_tokens, remove_token

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
GOOD = '{"name":"ann","role":"admin","sha256":"%s","created_at":"2026-01-01T00:00:00Z"}'
DIGEST = "0" * 64


def token(name, digest=DIGEST, role=Role.READER):
    return Token(name=name, role=role, sha256=digest, created_at=NOW)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "tokens"


def written(file, text, mode=0o600):
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def test_a_token_is_long_and_says_what_it_is():
    made = {new_token() for _ in range(100)}

    assert len(made) == 100
    assert all(each.startswith(PREFIX) and len(each) == len(PREFIX) + 43 for each in made)


def test_tokens_are_added_and_removed_and_what_people_wrote_stays(file):
    written(file, f"# ours\n\n{GOOD % DIGEST}\n  # more\n")
    add_token(file, token("bob", "1" * 64))
    remove_token(file, "ann")

    assert [each.name for each in read_tokens(file)] == ["bob"]
    assert file.read_text().startswith("# ours\n\n  # more\n{")
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_file_and_its_folder_are_made_for_their_owner_alone(file):
    previous = os.umask(0)
    try:
        add_token(file, token("ann"))
    finally:
        os.umask(previous)

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_tokens_that_are_added_at_one_time_are_all_there(file):
    threads = [
        threading.Thread(target=add_token, args=(file, token(f"t{number}", digest_of(str(number)))))
        for number in range(20)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert {each.name for each in read_tokens(file)} == {f"t{number}" for number in range(20)}


def test_a_link_stays_one(file, tmp_path):
    link = tmp_path / "link"
    add_token(file, token("ann"))
    link.symlink_to(file)
    remove_token(link, "ann")

    assert link.is_symlink()
    assert read_tokens(file) == []


def taken(file, each):
    remove_token(file, each.name)


@pytest.mark.parametrize(("name", "change"), [("ann", add_token), ("gone", taken)])
def test_what_cannot_be_changed_is_left_as_it_is(file, name, change):
    add_token(file, token("ann"))
    before = file.read_bytes()
    with pytest.raises(SettingsError, match=f'token "{name}"'):
        change(file, token(name, "1" * 64))

    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "malformed"),
        ("[]", "Expected `object`"),
        ("{}", "missing required field"),
        ((GOOD % DIGEST)[:-1] + ',"token":"planted"}', "unknown field `token`"),
        (GOOD % "planted", "sha256"),
        ((GOOD % DIGEST).replace("admin", "boss"), "role"),
        ((GOOD % DIGEST).replace("ann", "a\\nplanted"), "name"),
        ((GOOD % DIGEST).replace("00:00Z", "00:00"), "created_at"),
        ((GOOD % DIGEST)[:-1] + ',"registries":["Team"]}', "lower case"),
        ((GOOD % DIGEST)[:-1] + ',"registries":["a b"]}', "registry slug"),
        (GOOD % DIGEST + "\n" + (GOOD % ("1" * 64)), "of line 2 once more"),
        (GOOD % DIGEST + "\n" + (GOOD % DIGEST).replace("ann", "bob"), "of line 2 once more"),
        ("[" * 100_000, ""),
    ],
)
def test_a_line_that_is_none_is_named_and_not_shown(file, line, reason):
    number = 2 + line.count("\n")
    with pytest.raises(SettingsError) as refused:
        TokenFile(written(file, f"# first\n{line}\n"))

    assert f"{file}, line {number}: " in str(refused.value)
    assert reason in str(refused.value)
    assert "planted" not in str(refused.value)


def test_bytes_that_are_no_text_are_in_a_line(file):
    with pytest.raises(SettingsError, match="line 2: is not UTF-8"):
        TokenFile(written(file, b"# ok\n\xff\n"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_get_at_is_refused_with_the_command_that_closes_it(file, mode):
    with pytest.raises(SettingsError) as refused:
        TokenFile(written(file, "", mode))

    assert refused.value.next_step == f"chmod 600 {file}"


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(SettingsError, match="is no regular file of this user"):
            TokenFile(path)


def test_a_token_is_known_by_its_sha256_alone(file):
    secret = new_token()
    add_token(file, token("ann", digest_of(secret), Role.EDITOR))
    known = TokenFile(file)

    assert secret not in file.read_text()
    assert known.caller(secret).name == "ann"
    for other in ("", secret + " ", digest_of(secret), "\udcff", "x" * 100_000):
        assert known.caller(other) is None


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a\n", "\u00e4", "x" * 65, 'a"b'])
def test_names_of_tokens_can_be_shown_anywhere(name):
    assert not valid_name(name)


def test_attempts_are_counted_by_address_and_forgotten_after_a_while():
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    assert [attempts.failed("a") for _ in range(LIMIT)] == [None] * LIMIT

    now[0] = 10.5
    assert attempts.failed("a") == (50, True)
    assert attempts.failed("a") == (50, False)
    assert attempts.failed("b") is None
    now[0] = WINDOW_S
    assert attempts.failed("a") is None


def test_attempts_of_very_many_addresses_take_no_more_memory():
    attempts = Attempts()
    for number in range(2 * ADDRESSES):
        attempts.failed(str(number))

    assert len(attempts._known) == ADDRESSES
