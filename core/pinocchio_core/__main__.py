"""`pinocchio`, and `python -m pinocchio_core`."""

import gc
from typing import Final

_OBJECTS: Final = 20_000


def main() -> None:
    """The entry point of the command."""
    usual = gc.get_threshold()
    # most of what modules are made of stays: to look for garbage after each 700 objects takes as long as 50 modules
    gc.set_threshold(_OBJECTS)
    from pinocchio_core.cli.main import run

    run(garbage=usual)


if __name__ == "__main__":
    main()
