"""Servers that are killed while clients write."""

import signal

ROUNDS = 50
CLIENTS = 8


def test_killed_under_writers_a_server_loses_nothing_that_it_acknowledged(
    serving, writing, history, until, figure, rng, tmp_path
):
    """The descriptions that a killed server did not answer may be there or not, but never in part."""
    path, acknowledged, lost = tmp_path / "data/profiles.db", 0, []
    for number in range(ROUNDS):
        with writing(f"r{number}") as writers, serving(tmp_path) as server:
            writers.start(server, CLIENTS)
            enough = rng.randrange(1, 120)
            until(lambda: len(writers.acknowledged) >= enough)  # noqa: B023  asked before the next round
            server.signal(signal.SIGKILL)
            server.wait()
            writers.join()
        found = history(path)
        lost += found.lost(writers)
        acknowledged += len(writers.acknowledged)
    assert lost == []
    figure(
        f"kill -9 at random moments under {CLIENTS} writers, {ROUNDS} rounds",
        f"{acknowledged:,} acknowledged writes, lost {len(lost)}, half written 0,"
        f" {len(found.revisions):,} revisions agree with {len(found.profiles):,} profiles",
    )


def test_killed_beside_others_a_server_keeps_nobody_from_writing(serving, writing, history, until, figure, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    path = tmp_path / "profiles.db"
    shared = {"PINOCCHIO_PROFILE_REGISTRY_DB": path}
    rounds = 5
    with writing("survivor") as staying, serving(folders[0], **shared) as survivor:
        staying.start(survivor, 4)
        for number in range(rounds):
            with writing(f"victim{number}") as writers, serving(folders[1], **shared) as victim:
                writers.start(victim, 4)
                until(lambda: len(writers.acknowledged) >= 40)
                victim.signal(signal.SIGKILL)
                victim.wait()
                writers.join()
            before = len(staying.acknowledged)
            until(lambda: len(staying.acknowledged) >= before + 40)  # noqa: B023  as above
            assert history(path).lost(writers) == []
        staying.stop.set()
        staying.join()
    assert history(path).lost(staying) == []
    assert staying.refused == set()
    figure(
        f"one of two servers killed under load, {rounds} times",
        f"lost 0, the other refused 0 of {len(staying.acknowledged):,} writes",
    )
