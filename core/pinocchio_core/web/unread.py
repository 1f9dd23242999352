"""How much of what was sent to a client it has not read yet, as far as the system says."""

import socket
import sys
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows does not say
    fcntl = None  # type: ignore[assignment]  # the function that uses it asks first


def held_by_system(connection: socket.socket) -> int:
    """How many bytes were sent and did not arrive yet; 0 where the system does not say, or it was just closed."""
    if fcntl is not None:
        import termios  # a quarter of a megabyte, for clients that most servers never meet

        with suppress(OSError, TypeError, ValueError):
            return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0
