"""What is kept because it was made from the same."""

from pinocchio_core.service.kept import MAX_KEPT, Kept


def test_it_is_made_once_for_a_key():
    kept, made = Kept(), []
    for key in ("a", "b", "a"):
        assert kept.get(key, lambda key=key: made.append(key) or key.upper()) == key.upper()
    assert made == ["a", "b"]


def test_what_was_not_used_for_longest_goes_first():
    kept, made = Kept(), []
    for key in (*range(MAX_KEPT), 0, "new", 0, 1):
        kept.get(key, lambda key=key: made.append(key))
    assert made == [*range(MAX_KEPT), "new", 1]


def test_what_could_not_be_made_is_tried_again():
    kept = Kept()
    for _ in range(2):
        try:
            kept.get("a", lambda: 1 / 0)
        except ZeroDivisionError:
            continue
        raise AssertionError
    assert kept.get("a", lambda: 1) == 1


def test_what_does_not_fit_is_made_each_time():
    kept, made = Kept(2, fits=lambda value: value < 2), []
    for key in (1, 2, 1, 2):
        assert kept.get(key, lambda key=key: made.append(key) or key) == key
    assert made == [1, 2, 2]
