"""What somebody may have meant who wrote a name that nobody knows."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, `None` where none is much like it."""
    import difflib  # most processes never have to guess

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)
