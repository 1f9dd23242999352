"""The things this program is about: frozen values and pure functions, no I/O."""
