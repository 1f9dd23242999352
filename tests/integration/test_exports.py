"""Exports beside servers that write: all that is in one is of one moment."""

from pinocchio_core.cli.exporting import load
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.store import Store

PROFILES = "/api/chat/profiles"


class Overtaken(Store):
    """Somebody writes after the registries were read, and before the profiles are."""

    meanwhile = staticmethod(list)

    def list_profiles(self, *wanted):
        self.meanwhile()
        return super().list_profiles(*wanted)


def test_an_export_is_of_one_moment_and_keeps_nobody_from_writing(opened, shipped, tmp_path):
    path = tmp_path / "profiles.db"
    with opened(path, *shipped) as app:
        reading = Overtaken(open_database(parse_dsn(f"file:{path}?mode=ro")).database)

        def move_and_delete():
            assert app.post(f"{PROFILES}/agent/default").status == 200
            assert app.delete(f"{PROFILES}/default").status == 204

        reading.meanwhile = move_and_delete
        try:
            (loaded,) = load(reading, "default")
            reading.meanwhile = list
            (later,) = load(reading, None)
        finally:
            reading.close()
    for each, default, slugs in ((loaded, "default", ["agent", "default"]), (later, "agent", ["agent"])):
        assert each.registry.default_profile_slug == default
        assert sorted(profile.slug for profile in each.profiles) == slugs
