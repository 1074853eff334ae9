"""Who may talk to the explorer, and what leaves it with every answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from coldframe.explore.security import MAX_BODY_BYTES, _host_is_ours, _own_names
from coldframe.explore.settings import LOOPBACK_HOSTS
from tests.explore.conftest import Served
from tests.explore.made import make_run

Serve = Callable[..., Served]


def test_only_our_own_names_are_answered(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    for host, status in (
        ("localhost:8400", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("[", 421),
    ):
        assert client.get("/runs.json", headers={"host": host}).status_code == status, host


def test_another_page_may_not_act(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=3)
    served = serve(runs)

    def post(**headers: str) -> int:
        return served.client.post("/runs/a/requests", json={"verb": "pause"}, headers=headers).status_code

    assert post() == post(origin=served.url) == 409  # let through, and refused by the run, which nobody trains
    for wrong in ("https://evil.example", "null", "http://[", f"http://127.0.0.1:{served.port + 1}"):
        assert post(origin=wrong) == 403
    assert post(**{"sec-fetch-site": "cross-site"}) == 403
    assert (
        served.client.post(
            "/runs/a/requests", content=b'{"verb":"pause"}', headers={"content-type": "text/plain"}
        ).status_code
        == 422
    )


def test_every_answer_carries_the_strict_headers(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    for path in ("/", "/runs.json", "/runs/none", "/static/style.css", "/nothing", "/stream"):
        with client.stream("GET", path) as answer:
            policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert (
            answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
        )


def test_a_long_body_is_refused_however_it_comes(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    body = b"x" * (MAX_BODY_BYTES + 1)
    said = client.post("/runs/a/chat", content=body, headers={"content-type": "application/json"})
    dripped = client.post(
        "/runs/a/chat", content=iter([body[:100_000]] * 3), headers={"content-type": "application/json"}
    )
    assert said.status_code == dripped.status_code == 413
    assert "at most" in said.text and "at most" in dripped.text


def test_elsewhere_a_token_is_needed_and_moves_into_a_cookie(runs: Path, serve: Serve) -> None:
    served = serve(runs, host="0.0.0.0")
    address, token = served.explorer.ready.url.split("?token=")
    assert address.endswith(f":{served.port}/") and len(token) >= 32
    with httpx.Client(base_url=served.url) as visitor:
        refused = visitor.get("/runs.json")
        assert refused.status_code == 401 and "token" in refused.json()["error"]["message"]
        assert visitor.get("/runs.json?token=wrong").status_code == 401
        assert visitor.get("/runs.json", headers={"authorization": f"Bearer {token}"}).status_code == 200
        moved = visitor.get(f"/runs?token={token}&x=1")
        assert moved.status_code == 303 and moved.headers["location"] == "/runs?x=1"
        assert "HttpOnly" in moved.headers["set-cookie"] and "samesite=lax" in moved.headers["set-cookie"].lower()
        assert visitor.get("/runs.json").status_code == 200
        held = moved.headers["set-cookie"].partition(";")[0]
    for others in ('pref={"a":1}', "x=a b", "other/one=1", "a,b=1"):  # of other servers on this machine
        answer = httpx.get(f"{served.url}/runs.json", headers={"cookie": f"{others}; {held}"})
        assert answer.status_code == 200, others


def test_a_token_in_the_address_redirects_only_a_look_and_only_to_ourselves(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=3)
    served = serve(runs, host="0.0.0.0")
    token = served.explorer.ready.url.split("?token=")[1]
    asked = served.client.post(f"/runs/a/requests?token={token}", json={"verb": "pause"})
    assert asked.status_code == 409 and asked.json()["outcome"] == "refused"  # by the run, which nobody trains
    for path in ("//evil.example/x", "///evil.example/x", "/%2fevil.example/x", "/\\evil.example/x"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:  # a client would mend the path
            line.sendall(f"GET {path}?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            with line.makefile() as answer:
                lines = answer.read().splitlines()
        [location] = [line.split()[1] for line in lines if line.lower().startswith("location:")]
        assert lines[0].split()[1] == "303" and urljoin("http://ours/", location).startswith("http://ours/"), path
        assert location.startswith(("/evil", "/%5Cevil")), path


def test_it_answers_to_the_name_that_it_was_given() -> None:
    names = _own_names("Box.example.org")
    assert _host_is_ours("box.example.org:8400", names, remote=True)
    assert _host_is_ours(f"{socket.gethostname()}:8400", names, remote=True)
    assert not _host_is_ours("elsewhere.example.org:8400", names, remote=True)
    assert not _host_is_ours("192.0.2.1:8400", LOOPBACK_HOSTS, remote=False)


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", ".hidden", "a%00b", "shards", "a b", "x" * 65]
)
def test_a_name_cannot_climb_out(runs: Path, serve: Serve, name: str) -> None:
    make_run(runs, "a")
    (runs.parent / "run.toml").write_text("secret = 1")
    client = serve(runs).client
    for path in (f"/runs/{name}.json", f"/runs/{name}/plan.json"):
        answer = client.get(path)
        assert answer.status_code in (400, 404), path
        assert "secret" not in answer.text and answer.json()["error"]["advice"]


def test_static_files_do_not_climb_out(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404
