"""One class for each kind of thing that has a URL; each method is one request to one use case."""

from typing import Any


class Resource:
    """Answers HEAD wherever it answers GET, as RFC 9110, section 9.1, asks."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, responder in list(vars(cls).items()):
            if name.startswith("on_get"):
                setattr(cls, name.replace("on_get", "on_head", 1), responder)
