"""Where configs of middlewares may be sent, and the one place in which they are stored."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pinocchio_core.domain.configs import SentUse, canonical_slot, slot_clashes, stored_form
from pinocchio_core.domain.profile import MiddlewareUse


def key_of(name: str) -> str:
    return f"middleware.{name}_config@v1"


def holds_configs(key: str) -> bool:
    return key.startswith("middleware.")


def sent(name: str, use_id: str | None = None, config: str | None = None) -> SentUse:
    return (
        SentUse(name=name, id=use_id) if config is None else SentUse(name=name, id=use_id, config=Raw(config.encode()))
    )


def stored(uses: list[SentUse], extensions: dict[str, str] | None = None) -> dict[str, str]:
    """The stored extensions, as text."""
    raw = {key: Raw(value.encode()) for key, value in (extensions or {}).items()}
    return {
        key: bytes(value).decode()
        for key, value in stored_form(uses, raw, key_of=key_of, holds_configs=holds_configs)[1].items()
    }


def instances(extensions: dict[str, str], name: str = "m") -> dict[str, Any]:
    return dict(json.loads(extensions[key_of(name)])["instances"])


def test_an_inline_config_is_stored_as_an_instance() -> None:
    uses, extensions = stored_form(
        [sent("m", "a", '{"x":1}'), sent("m", None, '{"x":2}')], {}, key_of=key_of, holds_configs=holds_configs
    )
    assert uses == (MiddlewareUse(name="m", id="a"), MiddlewareUse(name="m"))
    assert {key: json.loads(bytes(value)) for key, value in extensions.items()} == {
        key_of("m"): {"instances": {"id:a": {"x": 1}, "default": {"x": 2}}}
    }


def test_an_inline_config_wins_over_the_one_in_the_extension_and_leaves_the_others() -> None:
    extension = '{"instances":{"id:a":{"x":"extension"},"id:b":{"x":"kept"}}}'
    extensions = stored([sent("m", "a", '{"x":"inline"}')], {key_of("m"): extension})
    assert instances(extensions) == {"id:a": {"x": "inline"}, "id:b": {"x": "kept"}}


@pytest.mark.parametrize("config", ["{}", "[]", "5", '"x"', "false"])
def test_every_inline_config_but_null_is_stored_as_it_was_sent(config: str) -> None:
    assert instances(stored([sent("m", "a", config)])) == {"id:a": json.loads(config)}


def test_null_as_inline_config_counts_as_none() -> None:
    assert stored([sent("m", "a", "null")]) == {}
    extension = '{"instances": {"id:a": {"x": 1}}}'
    assert stored([sent("m", "a", "null")], {key_of("m"): extension}) == {key_of("m"): extension}


def test_a_use_without_any_config_makes_no_extension() -> None:
    assert stored([sent("m", "a"), sent("n")]) == {}


@pytest.mark.parametrize("slot", ["index:0", "index:7", "index:007"])
def test_a_slot_by_position_is_stored_as_default(slot: str) -> None:
    assert instances(stored([sent("m")], {key_of("m"): f'{{"instances":{{"{slot}":{{"x":1}}}}}}'})) == {
        "default": {"x": 1}
    }


def test_slots_of_middlewares_that_no_use_has_are_made_canonical_too() -> None:
    assert instances(stored([], {key_of("m"): '{"instances":{"index:0":1}}'})) == {"default": 1}


@pytest.mark.parametrize(
    ("slot", "canonical"),
    [
        ("default", "default"),
        ("index:0", "default"),
        ("index:x", "index:x"),
        ("index:-1", "index:-1"),
        ("index:", "index:"),
        ("id:a", "id:a"),
        ("id: a ", "id:a"),
        ("id:", "default"),
        ("id:  ", "default"),
        ("id:a:b", "id:a:b"),
        ("other", "other"),
        ("", ""),
    ],
)
def test_canonical_slot_gives_what_is_stored(slot: str, canonical: str) -> None:
    assert canonical_slot(slot) == canonical
    assert canonical_slot(canonical) == canonical


def test_slot_clashes_names_the_slots_that_would_become_one() -> None:
    assert slot_clashes(["index:0", "id:a", "default", "id: a", "id:b"]) == [
        ("default", ["index:0", "default"]),
        ("id:a", ["id:a", "id: a"]),
    ]
    assert slot_clashes(["default", "id:default", "id:a"]) == []


def test_ids_and_names_are_trimmed() -> None:
    uses, extensions = stored_form([sent(" m ", " a ", "{}")], {}, key_of=key_of, holds_configs=holds_configs)
    assert uses == (MiddlewareUse(name="m", id="a"),)
    assert list(json.loads(bytes(extensions[key_of("m")]))["instances"]) == ["id:a"]


def test_extensions_that_need_no_change_stay_the_bytes_they_are() -> None:
    untouched = {
        "acme.unknown@v3": '{ "x":\t[1, 1.0, 1e2, {"y": null}], "x2": "\\u00e9" }',
        key_of("m"): '{ "instances" : { "id:a" : { "n" : 1.50 } } }',
        key_of("unused"): '{"instances": {}}',
    }
    assert stored([sent("m", "a")], untouched) == untouched


def test_an_instance_that_is_not_renamed_keeps_its_bytes_beside_one_that_is() -> None:
    extension = '{"instances": {"index:0": {"n": 1.50}, "id:b": {"n":  1e2}}}'
    (text,) = stored([], {key_of("m"): extension}).values()
    assert '{"n": 1.50}' in text
    assert '{"n":  1e2}' in text


def test_an_extension_that_is_not_known_to_hold_configs_stays_the_bytes_it_is() -> None:
    unknown = {key_of("missing"): '{"instances": {"index:0": 1}, "x": []}', "middleware.odd@v1": "5"}
    raw = {key: Raw(value.encode()) for key, value in unknown.items()}
    _, kept = stored_form([sent("missing")], raw, key_of=key_of, holds_configs=lambda _: False)
    assert {key: bytes(value).decode() for key, value in kept.items()} == unknown


def test_other_members_of_a_config_extension_are_kept() -> None:
    extension = '{"note": "mine", "instances": {}}'
    assert json.loads(stored([sent("m", "a", "{}")], {key_of("m"): extension})[key_of("m")])["note"] == "mine"


def test_the_mappings_that_were_given_stay_as_they_are() -> None:
    given_extensions = {key_of("m"): Raw(b'{"instances":{"index:0":1}}')}
    stored_form([sent("m", None, "2")], given_extensions, key_of=key_of, holds_configs=holds_configs)
    assert bytes(given_extensions[key_of("m")]) == b'{"instances":{"index:0":1}}'


names = st.sampled_from(["m", "n"])
ids = st.none() | st.sampled_from(["a", "b", "c"])
slots = st.sampled_from(["default", "id:a", "id:b", "id:zz", "elsewhere"])
config = st.one_of(
    st.none(),
    st.integers(),
    st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False), max_size=2),
)


@given(
    st.dictionaries(
        st.tuples(names, ids), st.one_of(st.none(), config.filter(lambda value: value is not None)), max_size=5
    ),
    st.dictionaries(names, st.dictionaries(slots, config, max_size=4), max_size=2),
)
@settings(max_examples=150, deadline=None)
def test_no_config_is_lost_and_none_appears(
    inline: dict[tuple[str, str | None], Any], extensions: dict[str, dict[str, Any]]
) -> None:
    uses = [
        sent(name, use_id, None if value is None else json.dumps(value)) for (name, use_id), value in inline.items()
    ]
    texts = {key_of(name): json.dumps({"instances": each}) for name, each in extensions.items()}
    expected = {(key_of(name), slot): value for name, each in extensions.items() for slot, value in each.items()}
    expected |= {
        (key_of(name), f"id:{use_id}" if use_id else "default"): value
        for (name, use_id), value in inline.items()
        if value is not None
    }
    found = stored(uses, texts)
    assert expected == {
        (key, slot): value for key, text in found.items() for slot, value in json.loads(text)["instances"].items()
    }
    again = stored([sent(name, use_id) for name, use_id in inline], found)
    assert again == found


def test_inline_tells_no_config_from_null_and_from_empty() -> None:
    decode = msgspec.json.Decoder(SentUse).decode
    assert decode(b'{"name":"m"}').inline is None
    assert decode(b'{"name":"m","config":null}').inline is None
    assert bytes(decode(b'{"name":"m","config":{ }}').inline or b"") == b"{ }"
