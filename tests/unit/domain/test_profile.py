"""Documents of profiles: written, read back, compared."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from pinocchio_core.domain.profile import (
    OPEN_POLICY,
    Metadata,
    MiddlewareUse,
    Policy,
    Profile,
    Registry,
    RegistryMetadata,
    Runtime,
    canonical_json,
    decode_profile,
    encode_document,
    same_content,
    slot_of,
)

METADATA = Metadata(version=3, created_at_ms=1, updated_at_ms=2, created_by="ann", updated_by="bob", source="http")
PLAIN = Profile(registry="default", slug="a", runtime=Runtime(), policy=OPEN_POLICY, metadata=METADATA)

text = st.text(max_size=8)
texts = st.lists(text, max_size=3).map(tuple)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        text,
    ),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(text, below, max_size=3),
    max_leaves=5,
)
uses = st.builds(MiddlewareUse, name=text, id=st.none() | text, enabled=st.none() | st.booleans())
profiles = st.builds(
    Profile,
    registry=text,
    slug=text,
    display_name=st.none() | text,
    description=st.none() | text,
    runtime=st.builds(
        Runtime,
        system_prompt=st.none() | text,
        middlewares=st.none() | st.lists(uses, max_size=3).map(tuple),
        tools=st.none() | texts,
        step_settings_patch=st.none()
        | st.dictionaries(text, st.dictionaries(text, json_values, max_size=2), max_size=2),
    ),
    policy=st.builds(
        Policy,
        allow_overrides=st.booleans(),
        read_only=st.booleans(),
        allowed_override_keys=st.none() | texts,
        denied_override_keys=st.none() | texts,
    ),
    metadata=st.builds(
        Metadata,
        version=st.integers(1, 2**63 - 1),
        created_at_ms=st.integers(0, 2**60),
        updated_at_ms=st.integers(0, 2**60),
        created_by=text,
        updated_by=text,
        source=text,
        tags=st.none() | texts,
    ),
)


def with_extension(value: str, key: str = "acme.x@v1") -> Profile:
    return structs.replace(PLAIN, extensions={key: Raw(value.encode())})


def with_settings(value: Any) -> Profile:
    return structs.replace(PLAIN, runtime=Runtime(step_settings_patch={"chat": {"field": value}}))


@given(profiles)
@settings(max_examples=80, deadline=None)
def test_a_profile_comes_back_from_its_document_as_it_was(profile: Profile) -> None:
    assert decode_profile(encode_document(profile)) == profile


@given(json_values, st.sampled_from([None, 1, "\t"]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_an_extension_keeps_the_bytes_that_were_sent(value: Any, indent: Any, ascii_only: bool) -> None:
    sent = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = encode_document(with_extension(sent))
    assert sent.encode() in document
    again = decode_profile(document)
    assert bytes(again.extensions["acme.x@v1"]) == sent.encode()
    assert encode_document(again) == document


def test_a_document_leaves_out_what_has_no_value() -> None:
    assert json.loads(encode_document(PLAIN)) == {
        "registry": "default",
        "slug": "a",
        "runtime": {},
        "policy": {"allow_overrides": False, "read_only": False},
        "metadata": {
            "version": 3,
            "created_at_ms": 1,
            "updated_at_ms": 2,
            "created_by": "ann",
            "updated_by": "bob",
            "source": "http",
        },
    }


def test_a_registry_is_written_without_its_profiles() -> None:
    metadata = RegistryMetadata(created_at_ms=1, created_by="ann", updated_by="bob", source="http")
    assert json.loads(encode_document(Registry(slug="default", default_profile_slug="a", metadata=metadata))) == {
        "slug": "default",
        "default_profile_slug": "a",
        "metadata": {"created_at_ms": 1, "created_by": "ann", "updated_by": "bob", "source": "http"},
    }


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"{}", b'{"slug": 5}', b"\xff", encode_document(PLAIN)[:-1] + b',"x":1}']
)
def test_decode_profile_refuses_what_is_no_profile(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_profile(payload)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":[1,2]}', '{ "b" : [1, 2],\n "a" : 1 }'),
        ('{"a":{"x":1,"y":2}}', '{"a":{"y":2,"x":1}}'),
        ('"\\u0061"', '"a"'),
    ],
)
def test_same_content_is_blind_to_white_space_and_the_order_of_keys(one: str, other: str) -> None:
    assert canonical_json(one.encode()) == canonical_json(other.encode())
    assert same_content(with_extension(one), with_extension(other))


@pytest.mark.parametrize("one", ["1", "1.0", "true", '"1"', "[1]", "null", "false", "0", "{}", '"true"'])
@pytest.mark.parametrize("other", ["1", "1.0", "true", '"1"', "[1]", "null", "false", "0", "{}", '"true"'])
def test_same_content_tells_types_apart(one: str, other: str) -> None:
    """In Python 1 == 1.0 == True; in a stored document they are three values."""
    assert same_content(with_extension(one), with_extension(other)) is (one == other)
    assert same_content(with_settings(json.loads(one)), with_settings(json.loads(other))) is (one == other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12345678901234567.89", "12345678901234567.91", False),
        ("0.1", "0.1000000000000000055511151231257827", False),
        ("1e-400", "2e-400", False),
        ("-0.0", "0.0", False),
        (f"1e-{'9' * 30}", f"1e-{'9' * 29}8", False),
        ("1.5", "1.50", True),
        ("150.0", "1.5E+2", True),
        (f"1e-{'9' * 30}", f" 1e-{'9' * 30} ", True),
    ],
)
def test_same_content_compares_numbers_exactly(one: str, other: str, same: bool) -> None:
    assert same_content(with_extension(f'{{"x":[{one}]}}'), with_extension(f'{{"x": [{other}]}}')) is same


def test_same_content_sees_every_field_that_a_client_can_change() -> None:
    changes: list[dict[str, Any]] = [
        {"display_name": "A"},
        {"description": "d"},
        {"runtime": Runtime(system_prompt="p")},
        {"runtime": Runtime(middlewares=(MiddlewareUse(name="m"),))},
        {"runtime": Runtime(tools=("t",))},
        {"policy": Policy(allow_overrides=True, read_only=False)},
        {"policy": Policy(allow_overrides=False, read_only=False, allowed_override_keys=())},
        {"metadata": structs.replace(METADATA, tags=("t",))},
        {"extensions": {"acme.x@v1": Raw(b"null")}},
    ]
    for change in changes:
        assert not same_content(PLAIN, structs.replace(PLAIN, **change)), change


def test_same_content_does_not_look_at_what_the_server_writes() -> None:
    later = structs.replace(
        METADATA, version=9, created_at_ms=7, updated_at_ms=8, created_by="x", updated_by="y", source="z"
    )
    assert same_content(PLAIN, structs.replace(PLAIN, metadata=later))


def test_same_content_tells_keys_of_extensions_apart() -> None:
    assert not same_content(with_extension("1", "a.b@v1"), with_extension("1", "a.b@v2"))
    assert not same_content(with_extension("1"), PLAIN)


@pytest.mark.parametrize(
    ("use_id", "slot"), [(None, "default"), ("", "default"), ("a", "id:a"), ("default", "id:default")]
)
def test_slot_of_tells_uses_with_an_id_from_the_one_without(use_id: str | None, slot: str) -> None:
    assert slot_of(use_id) == slot
    assert MiddlewareUse(name="m", id=use_id).slot == slot


def test_config_of_finds_the_config_of_each_use() -> None:
    stored = '{"instances":{"id:a":{"x":1},"default":{"x":2}}}'
    profile = with_extension(stored, "middleware.m_config@v1")
    assert profile.config_of(MiddlewareUse(name="m", id="a")) == {"x": 1}
    assert profile.config_of(MiddlewareUse(name="m")) == {"x": 2}
    assert profile.config_of(MiddlewareUse(name="m", id="b")) == {}
    assert profile.config_of(MiddlewareUse(name="other")) == {}
    assert profile.config_of(MiddlewareUse(name="m"), version=2) == {}


@pytest.mark.parametrize("value", ["null", "[]", "{}", '{"instances":5}', '{"instances":{"default":5}}'])
def test_config_of_is_empty_where_nothing_sound_is_stored(value: str) -> None:
    assert with_extension(value, "middleware.m_config@v1").config_of(MiddlewareUse(name="m")) == {}


def test_extension_is_none_where_the_profile_has_none() -> None:
    assert PLAIN.extension("acme.x@v1") is None
    assert with_extension('{"a":[1]}').extension("acme.x@v1") == {"a": [1]}
