"""docs/chat.md has the bounds of the middleware `sqlite` as they are."""

import json
import re
from pathlib import Path

from pinocchio_core.testing import make_app
from pinocchio_plugins.sqlite import SCHEMA, SqlitePlugin
from pinocchio_plugins.sqlite_connection import MAX_QUERY_BYTES
from pinocchio_plugins.sqlite_query import CEILING, Limits
from pinocchio_plugins.sqlite_tool import TOOL_NAME

PAGE = (Path(__file__).parents[2] / "docs/chat.md").read_text(encoding="utf-8")
SECTION = PAGE.split("### A database to query")[1].split("\n## ")[0]


def test_bounds_of_queries_are_documented_with_default_and_most():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", SECTION, re.MULTILINE)

    assert {name: int(default) for name, default, _ in rows} == vars(Limits())
    assert {name: int(most) for name, _, most in rows} == vars(CEILING)
    assert set(SCHEMA["properties"]) == {"dsn", *(row[0] for row in rows)}
    assert f"`{TOOL_NAME}`" in SECTION
    assert f"{MAX_QUERY_BYTES // 1024} KiB" in SECTION


def test_profile_that_queries_a_database_is_one(tmp_path):
    document = json.loads(re.search(r"^```json\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)[1])
    config = document["runtime"]["middlewares"][0]["config"]
    config["dsn"] = str(tmp_path / config["dsn"])
    with make_app(SqlitePlugin(roots=[tmp_path / "reports"])) as app:
        assert app.post("/api/chat/profiles", document).status == 201
