import subprocess
import sys
from bisect import bisect_left

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pinocchio_core.host import patterns

PARTS = [
    "[^",
    "[a-z]",
    "[9-0]",
    "a*",
    "**",
    "{2}",
    "{3,}",
    "{64,99}",
    "{100}",
    r"\d",
    r"\-",
    r"\b",
    r"\p{L}",
    "(?:",
    "(?=",
]


@given(
    st.one_of(
        st.from_regex(patterns._PLAIN, fullmatch=True),
        st.lists(st.sampled_from([*"ab.^$|()[]*+?{}\\,&~-", *PARTS])).map("".join),
    )
)
def test_re2_understands_every_pattern_that_is_taken_for_plain(pattern):
    assume(patterns._is_plain(pattern))
    assert patterns.matches(pattern, "") in (True, False)


@pytest.mark.parametrize("part", [".", "[^a]", "(a.?|b)*", r"\S"])
@pytest.mark.parametrize("repeats", ["", "{100}", "{2,99}", "{30,}"])
def test_re2_takes_the_largest_patterns_that_are_taken_for_plain(part, repeats):
    size = bisect_left(range(1, 6_000), 1, key=lambda n: not patterns._is_plain(f"({part * n}){repeats}"))
    assert size
    assert patterns.matches(f"({part * size}){repeats}", "a") in (True, False)


@pytest.mark.parametrize("pattern", ["^[!-~]([ -~]*[!-~])?$", "^[A-Za-z0-9_-]{1,64}$", r"^\d+(\.\d+)?$", "^a|b$", ""])
def test_plain_patterns_are_known_to_be_sound_without_the_engine(pattern):
    program = f"""
import sys
from pinocchio_core.host import patterns
assert patterns.fault_of({pattern!r}) == ""
assert "re2" not in sys.modules
assert patterns.matches({pattern!r}, "a1") in (True, False)
assert "re2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "pattern", ["(?=a)", r"(a)\1", "a++", "a{2000}", "(a{99}){99}", "(", "[z-a]", "a**", "(?P<n>a)\\b\\1"]
)
def test_what_the_engine_does_not_understand_is_never_plain(pattern):
    assert not patterns._is_plain(pattern)
    assert patterns.fault_of(pattern) != ""
