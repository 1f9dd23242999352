import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinocchio_core.domain.references import MAX_VERSION, Reference, parse_label, parse_pin, parse_reference


@pytest.mark.parametrize(
    ("raw", "reference", "canonical"),
    [
        ("analyst", Reference("analyst"), "analyst"),
        (" Analyst ", Reference("analyst"), "analyst"),
        ("analyst@7", Reference("analyst", 7), "analyst@7"),
        ("Analyst @ Production", Reference("analyst", "production"), "analyst@production"),
        ("a@b-1_c", Reference("a", "b-1_c"), "a@b-1_c"),
        (f"a@{MAX_VERSION}", Reference("a", MAX_VERSION), f"a@{MAX_VERSION}"),
    ],
)
def test_a_reference_is_a_slug_with_perhaps_a_version_or_a_label(raw, reference, canonical):
    assert parse_reference(raw) == reference
    assert str(parse_reference(raw)) == canonical


@pytest.mark.parametrize(
    "raw",
    ["", "@", "a@", "@7", "a@0", "a@07", "a@-1", "a@1.0", "a@\u0667", "a@7@8", "a@b@c", "a@_x", "a@x.y", f"a@{2**63}"],
)
def test_what_is_no_reference_is_refused(raw):
    with pytest.raises(ValueError, match="invalid"):
        parse_reference(raw)


@pytest.mark.parametrize("raw", ["7", "1x", "", "-a", "a" * 64, "ä", "a b", "a@b"])
def test_what_could_be_a_version_is_no_label(raw):
    with pytest.raises(ValueError, match="invalid label"):
        parse_label(raw)


@given(st.text())
def test_a_pin_is_a_version_or_a_label_and_never_both(raw):
    try:
        pin = parse_pin(raw)
    except ValueError:
        return
    assert parse_pin(str(pin)) == pin
    if isinstance(pin, str):
        assert parse_label(pin) == pin
    else:
        with pytest.raises(ValueError, match="invalid label"):
            parse_label(str(pin))


def test_a_version_that_is_too_large_is_told_how_large_it_may_be():
    with pytest.raises(ValueError, match=f"from 1 to {MAX_VERSION}"):
        parse_pin(str(MAX_VERSION + 1))
