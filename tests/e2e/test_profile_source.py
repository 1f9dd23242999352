"""`web-chat --profile-source`: several workers serve the same files, and what these say after they were changed."""

PROFILES = "/api/chat/profiles"
TEAM = "slug: team\nprofiles:\n  agent: {description: first}\n"


def test_workers_serve_files_and_their_changes_alike(serving, until, tmp_path):
    (tmp_path / "team.yaml").write_text(TEAM)
    with serving(tmp_path, "--profile-source", "team.yaml", "--workers", "2") as server:
        server.wait_for_log("files team.yaml: team")

        seen = set()

        def descriptions():
            asked = [server.request("GET", f"{PROFILES}/agent?registry=team") for _ in range(12)]
            seen.update((answer.json["description"], answer.headers["etag"]) for answer in asked)
            return {answer.json["description"] for answer in asked}

        assert descriptions() == {"first"}
        (tmp_path / "team.yaml").write_text(TEAM.replace("first", "second"))
        until(lambda: descriptions() == {"second"})
        descriptions()
        assert len(seen) == 2, "the same content has the same entity tag at every worker"


def test_files_that_cannot_be_served_stop_the_start(run, tmp_path):
    (tmp_path / "team.yaml").write_text("slug: team\nprofiles:\n  agent: {descripton: x}\n")
    ran = run(tmp_path, "web-chat", "--addr", "127.0.0.1:0", "--profile-source", "team.yaml")

    assert ran.returncode == 1
    assert "team.yaml:3: profiles.agent.descripton: unknown field" in ran.stderr
    assert "Traceback" not in ran.stderr
