"""How much is measured: in full, or in a minute or two."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peers:
    """How much of that beside the peers."""

    rounds: int
    starts: int
    sample_s: float
    group_s: float
    sizes: tuple[int, ...]
    """Profiles of the databases; the largest is the database with the most profiles of all groups."""
    clients: tuple[int, ...] = (1, 8, 64)
    processes: tuple[int, ...] = (1, 2)
    base: int = 1000


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    sample_s: float
    starts: int
    many: int
    """Profiles in the largest database."""
    large: int
    """Profiles in the database that is backed up."""
    upkeep_s: float
    """How long writers write around its backup."""
    group_s: float
    """After this time a group of rounds begins no further one."""
    revisions: int
    """In the database with the long history."""
    changes: int
    """What listeners hear of, at least."""
    files: int
    peers: Peers


FULL = Size(
    rounds=9,
    sample_s=0.8,
    starts=11,
    many=100_000,
    large=12_000,
    upkeep_s=3.0,
    group_s=110,
    revisions=1_000_000,
    changes=5000,
    files=10_000,
    peers=Peers(
        rounds=5,
        starts=5,
        sample_s=0.6,
        group_s=200,
        sizes=(10, 1000, 10_000, 100_000),
    ),
)
QUICK = Size(
    rounds=3,
    sample_s=0.3,
    starts=3,
    many=10_000,
    large=4000,
    upkeep_s=1.5,
    group_s=8,
    revisions=100_000,
    changes=1000,
    files=1000,
    peers=Peers(rounds=1, starts=1, sample_s=0.15, group_s=12, sizes=(10, 1000)),
)
