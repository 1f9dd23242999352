"""The value of a YAML block that a model wrote: bounded, without aliases, and never more than data."""

import logging
from typing import Any, Final

import yaml

MAX_BLOCK_BYTES: Final = 16 * 1024

_log = logging.getLogger(__name__)


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, which can make a short text expand without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read here")
        return super().compose_node(parent, index)


def document_in(block: str) -> Any:
    """The block's value; `None` for one that cannot be read, which is logged without its content."""
    size = len(block.encode(errors="replace"))
    if size > MAX_BLOCK_BYTES:
        _log.info("a YAML block of %d bytes was ignored: the limit is %d", size, MAX_BLOCK_BYTES)
        return None
    try:
        return yaml.load(block, Loader=_Loader)  # noqa: S506  # a subclass of SafeLoader
    # Malformed scalars with a tag, such as `!!int ""`, raise more than YAMLError.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        _log.info("a YAML block of %d bytes was ignored: %s", size, type(error).__name__)
        return None
