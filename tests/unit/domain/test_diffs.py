"""Patches between documents: what they say, and that they lead from one to the other."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinocchio_core.domain.diffs import MAX_DEPTH, overlapping, patch_between, same_json

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text("ab/~", max_size=3)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=4),
    max_leaves=20,
)


def applied(document, patch):
    """RFC 6902, written down once more for these tests."""
    root = {"": copy.deepcopy(document)}
    for operation in patch:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")]
        holder = root
        for step in steps[:-1]:
            holder = holder[int(step) if isinstance(holder, list) else step]
        last = int(steps[-1]) if isinstance(holder, list) else steps[-1]
        if operation["op"] == "remove":
            del holder[last]
        elif operation["op"] == "add" and isinstance(holder, list):
            assert last <= len(holder)
            holder.insert(last, operation["value"])
        else:
            assert (operation["op"] == "replace") == (isinstance(holder, list) or last in holder)
            holder[last] = operation["value"]
    return root[""]


@given(DOCUMENTS, DOCUMENTS)
def test_the_patch_leads_from_one_document_to_the_other(before, after):
    patch = patch_between(before, after)
    assert same_json(applied(before, patch), after)
    assert (patch == []) == same_json(before, after)


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
        ({"a": 1}, {"a": 1.0}, [{"op": "replace", "path": "/a", "value": 1.0}]),
        ({"a/b": 1}, {"~": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "add", "path": "/~0", "value": 2}]),
        ([1, 2, 3], [2, 3], [{"op": "remove", "path": "/0"}]),
        ([1, 2, 3, 4], [1, 4], [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}]),
        ([1, 4], [1, 2, 3, 4], [{"op": "add", "path": "/1", "value": 2}, {"op": "add", "path": "/2", "value": 3}]),
        ([{"n": 1}, 5], [{"n": 2}, 5], [{"op": "replace", "path": "/0/n", "value": 2}]),
        ({"a": {}}, {"a": []}, [{"op": "replace", "path": "/a", "value": []}]),
        (1, 2, [{"op": "replace", "path": "", "value": 2}]),
    ],
)
def test_it_says_what_changed_and_no_more(before, after, patch):
    found = patch_between(before, after)
    assert found == patch
    assert [type(each.get("value")) for each in found] == [type(each.get("value")) for each in patch]


def test_nesting_beyond_the_limit_is_replaced_as_a_whole():
    def nested(value):
        for _ in range(MAX_DEPTH + 10):
            value = {"x": value}
        return value

    (operation,) = patch_between(nested(1), nested(2))
    assert operation["path"] == "/x" * MAX_DEPTH


def test_patches_overlap_where_one_changes_what_the_other_changes_or_a_part_of_it():
    ours = patch_between({"a": {"b": 1}, "c": 1, "cc": 1}, {"a": {"b": 2}, "c": 2, "cc": 1})
    theirs = patch_between({"a": {"b": 1}, "c": 1, "cc": 1}, {"c": 1, "cc": 2})
    assert overlapping(ours, theirs) == ["/a"]
    assert overlapping(ours, []) == []
