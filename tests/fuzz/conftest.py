"""What the fuzzers share: how long they may take, and seeds that can be had again."""

import importlib.util
import random
import sys
import time
from pathlib import Path

import pytest

LONG_S = 600
"""How long each fuzzer goes on with ever new seeds when asked for the long form."""


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_load("fuzz_model", Path(__file__).with_name("store_model.py"))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help=f"fuzz for {LONG_S} seconds each, with seeds of their own")
    parser.addoption("--seed", type=int, help="the first seed; fixed without --long, else told and never the same")


class Budget:
    """Which seeds a fuzzer is to try."""

    def __init__(self, first, seconds):
        self.seed = first
        self._seconds = seconds

    def seeds(self):
        """The fixed one alone, or new ones until the time is up."""
        deadline = None if self._seconds is None else time.monotonic() + self._seconds
        yield self.seed
        while deadline is not None and time.monotonic() < deadline:
            self.seed += 1
            yield self.seed

    def tell(self, text):
        """Say how far it is, for a run that fails, and for one with `-s`."""
        print(f"\nseed {self.seed}: {text}")  # noqa: T201  pytest keeps it


@pytest.fixture
def budget(request):
    """The seeds to try; a failure can be had again with `--seed`."""
    is_long, first = request.config.getoption("--long"), request.config.getoption("--seed")
    if first is None:
        first = random.SystemRandom().randrange(10**9) if is_long else 1
    return Budget(first, LONG_S if is_long else None)
