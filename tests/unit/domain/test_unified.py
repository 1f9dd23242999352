import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pinocchio_core.domain import unified
from pinocchio_core.domain.unified import lines_of, unified_diff

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_text_of_several_lines_is_compared_line_by_line():
    before, after = ({"prompt": f"One.\n{word}.\nThree.", "on": True} for word in ("Two", "Zwei"))

    assert unified_diff(before, after, names=("x@1", "x@2")).splitlines() == [
        "--- x@1",
        "+++ x@2",
        "@@ -1,7 +1,7 @@",
        " {",
        '   "prompt": |',
        "     One.",
        "-    Two.",
        "+    Zwei.",
        "     Three.",
        '   "on": true',
        " }",
    ]


def test_nothing_steers_the_terminal_of_who_reads_it():
    text = "\n".join(lines_of({"a\x1b": "\x1b[31m\nred\r\u202e", "b": "\x9b\u2028"}))

    assert text.isprintable() or text.replace("\n", "").isprintable()
    assert "\\u001b[31m" in text


def test_documents_with_too_many_different_lines_are_shown_whole():
    before, after = ([{"n": n} for n in range(start, start + unified.MAX_COMPARED)] for start in (0, 10**6))
    lines = unified_diff(before, after, names=("a", "b")).splitlines()

    removed, added = ([line[1:] for line in lines[2:] if line[0] == sign] for sign in "-+")
    assert removed == list(lines_of(before))[2:-2]
    assert added == list(lines_of(after))[2:-2]


@given(VALUES, VALUES)
def test_a_difference_is_shown_exactly_where_there_is_one(before, after):
    same = msgspec.json.encode(before) == msgspec.json.encode(after)

    assert (unified_diff(before, after, names=("a", "b")) == "") == same
