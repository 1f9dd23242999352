"""How messages write where a value is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_core.domain import paths


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ((), ""),
        (("slug",), "slug"),
        (("runtime", "middlewares", 0, "name"), "runtime.middlewares[0].name"),
        (
            ("extensions", "middleware.x_config@v1", "instances", "id:a"),
            'extensions["middleware.x_config@v1"].instances["id:a"]',
        ),
        ((0, 1), "[0][1]"),
        (("a", ""), 'a[""]'),
        (("a", "0"), 'a["0"]'),
        (("step-1", "_x"), "step-1._x"),
        (("a", "b\n"), 'a["b\\u000a"]'),
        (("\ud800",), '["\\ud800"]'),
    ],
)
def test_of_writes_a_path_as_people_do(steps: tuple[str | int, ...], path: str) -> None:
    assert paths.of(steps) == path


def test_join_goes_on_from_a_path() -> None:
    assert paths.join("runtime.middlewares[2]", "config", "a b", 1) == 'runtime.middlewares[2].config["a b"][1]'
    assert paths.join("", "a") == "a"


@given(
    st.lists(
        st.one_of(st.text(alphabet=st.characters(exclude_categories=()), max_size=8), st.integers(0, 9)), max_size=5
    )
)
@settings(max_examples=200, deadline=None)
def test_of_is_printable_and_storable_whatever_the_keys(steps: list[str | int]) -> None:
    path = paths.of(steps)
    assert path.encode().decode() == path
    assert path.isprintable()


def test_of_cuts_a_key_that_is_too_long_for_a_message() -> None:
    """Every problem carries its path, so one long key is written as often as there are problems below it."""
    assert len(paths.of(["k" * 10_000, "a"])) < 200
