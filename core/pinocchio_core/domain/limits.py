"""Bounds on what a request may hold; docs/http-api.md lists them, and a test compares the two."""

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 50_000
"""Values of all kinds in one document, counted at every level."""
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1

MAX_MIDDLEWARES = 100
MAX_TOOLS = 500
MAX_TAGS = 100
MAX_OVERRIDE_KEYS = 100
MAX_EXTENSIONS = 200
MAX_NAME_LENGTH = 128
"""Characters of an id, a tag, a tool name or an override key."""
MAX_DISPLAY_NAME_LENGTH = 256
MAX_EXTENDS = 16
"""Profiles that one builds on directly."""
MAX_STACK_DEPTH = 32
"""Profiles that build on one another, one after the other."""
MAX_STACK = 100
"""Profiles that one builds on in any way, and itself."""
MAX_BATCH = 100
"""Writes in one request for several."""
MAX_REASON_LENGTH = 500
"""Characters of the reason for a change."""
MAX_LABELS = 100
"""Labels of one profile."""
MAX_PAGE = 1000
"""Profiles or versions on one page of a list."""
