"""Layers of documents, one over the other."""

from pinocchio_core.domain.merging import Layer, leaves, merged


def layers(*values):
    return [Layer(f"l{number}", "", value) for number, value in enumerate(values)]


def test_objects_merge_by_key_and_everything_else_replaces():
    assert merged(layers({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "e": None})) == {
        "a": {"b": 1, "c": [3]},
        "d": 1,
        "e": None,
    }
    assert merged(layers({"a": 1}, [1])) == [1]
    assert merged(layers([1], {"a": 1})) == {"a": 1}
    assert merged([]) is None


def test_nothing_that_is_merged_is_changed():
    lower, upper = {"a": {"b": 1}}, {"a": {"c": 2}}
    merged(layers(lower, upper))
    assert (lower, upper) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_each_leaf_has_what_wrote_it_the_lowest_first():
    found = {leaf.pointer: leaf for leaf in leaves(layers({"a": 1, "o": {"x": 1}}, {"o": {"y": []}}, {"a": 2}), ("m",))}
    assert {pointer: leaf.value for pointer, leaf in found.items()} == {"/m/a": 2, "/m/o/x": 1, "/m/o/y": []}
    assert [(layer.source, layer.value) for layer in found["/m/a"].written_by] == [("l0", 1), ("l2", 2)]
    assert [layer.source for layer in found["/m/o/y"].written_by] == ["l1"]


def test_what_was_replaced_as_a_whole_did_not_write_a_member():
    (leaf,) = leaves(layers({"o": {"x": 1}}, {"o": 5}, {"o": {"x": 2}}))
    assert (leaf.pointer, leaf.value, [each.source for each in leaf.written_by]) == ("/o/x", 2, ["l2"])


def test_keys_are_escaped_in_pointers():
    assert [leaf.pointer for leaf in leaves(layers({"a/b": {"c~d": 1}}))] == ["/a~1b/c~0d"]


def test_what_is_nested_too_deep_to_be_merged_replaces():
    deep = {"end": 1}
    for _ in range(100):
        deep = {"x": deep}
    assert merged(layers(deep, deep)) == deep
    assert len(list(leaves(layers(deep)))) == 1
