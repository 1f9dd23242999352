"""Where a server listens, and under which prefix."""

import socket

import pytest


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    ("addr", "shown", "reached"),
    [
        (":0", "http://localhost:", "127.0.0.1"),
        pytest.param(":0", "http://localhost:", "::1", marks=needs_ipv6),
        ("localhost:0", "http://localhost:", "localhost"),
        ("127.0.0.1:0", "http://127.0.0.1:", "127.0.0.1"),
        pytest.param("[::1]:0", "http://[::1]:", "::1", marks=needs_ipv6),
    ],
)
def test_addr_is_served_and_named_in_the_banner(serving, tmp_path, addr, shown, reached):
    anybody = ["--insecure-no-auth"] if addr == ":0" else []
    with serving(tmp_path, "--addr", addr, *anybody) as server:
        assert server.url == f"{shown}{server.port}"
        assert server.request("GET", "/healthz", host=reached).status == 200


@pytest.fixture(scope="module")
def prefixed(serving, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("root"), "--root", "team/pinocchio/") as server:
        yield server


def test_root_is_in_the_banner(prefixed):
    assert prefixed.url == f"http://127.0.0.1:{prefixed.port}/team/pinocchio"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/api/chat/profiles"])
def test_root_is_before_every_route_and_nothing_is_left_without(prefixed, problem, path):
    assert prefixed.request("GET", f"/team/pinocchio{path}").status == 200
    problem(prefixed.request("GET", path), 404)
    problem(prefixed.request("GET", f"/team/pinocchio-not{path}"), 404)


def test_root_is_in_the_links_that_answers_give(prefixed):
    created = prefixed.request("POST", "/team/pinocchio/api/chat/profiles", {"slug": "linked"})
    page = prefixed.request("GET", "/team/pinocchio/api/chat/profiles?limit=1")
    following = page.headers["Link"].partition(">")[0].removeprefix("<")

    assert prefixed.request("GET", created.headers["Location"]).json == created.json
    assert prefixed.request("GET", following).json[0]["slug"] > page.json[0]["slug"]
    assert prefixed.request("GET", "/team/pinocchio/openapi.json").json["servers"] == [{"url": "/team/pinocchio"}]


def test_root_is_in_the_location_of_a_registry_and_of_its_profiles(prefixed):
    base = "/team/pinocchio/api/chat"
    registry = prefixed.request("POST", f"{base}/registries", {"slug": "other"})
    assert prefixed.request("GET", registry.headers["Location"]).json == registry.json

    profile = prefixed.request("POST", f"{base}/profiles?registry=other", {"slug": "only"})
    assert prefixed.request("GET", profile.headers["Location"]).json == profile.json
