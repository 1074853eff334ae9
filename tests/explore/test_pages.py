"""Every page has its data at the same address, and every refusal has the one shape."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from fastapi.routing import APIRoute

from coldframe.explore import chat, corpora, pages, requests, streams
from coldframe.explore.pages import STATIC
from tests.explore.conftest import Served
from tests.explore.made import make_run

Serve = Callable[..., Served]


def test_the_list_and_its_twin(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    assert client.get("/runs.json").json()["runs"] == []
    assert client.get("/runs.json").json()["reports"] == []
    make_run(runs, "a", steps=40)
    make_run(runs, "b", status=None)
    page = client.get("/.json").json()
    rows = {row["summary"]["name"]: row for row in page["runs"]}
    assert list(rows) == ["a", "b"] and rows["a"]["summary"]["val_bpb"]["value"] == 2.25
    assert rows["a"]["sparkline"][0] == [1, 7.8765] and rows["b"]["sparkline"] == []
    assert "text/html" in client.get("/").headers["content-type"]


def test_a_damaged_run_does_not_hide_the_others(runs: Path, serve: Serve) -> None:
    for name in ("good", "no-toml", "no-database", "gone"):
        make_run(runs, name, steps=5)
    (runs / "no-toml" / "run.toml").write_text("= what")
    for file in (runs / "no-database").glob("run.db*"):
        file.write_bytes(b"junk " * 1000)
    (runs / "old.json").mkdir()
    (runs / "old.json" / "run.toml").write_text("")
    served = serve(runs)
    rows = {row["summary"]["name"]: row["summary"] for row in served.client.get("/runs.json").json()["runs"]}
    assert list(rows) == ["gone", "good", "no-database", "no-toml"]
    assert rows["good"]["state"] == "idle" and rows["good"]["step"] == 5
    for name in ("no-toml", "no-database"):
        assert rows[name]["state"] == "critical" and rows[name]["sentence"].startswith("Cannot be read: ")
    for page, status, kind in (("no-toml", 400, "Settings"), ("no-database", 500, "File")):
        for part in (".json", "/plan.json", "/chat.json"):
            answer = served.client.get(f"/runs/{page}{part}")
            if answer.status_code != 200:
                error = answer.json()["error"]
                assert (answer.status_code, error["kind"]) == (status, kind) and "bug" not in error["advice"]
    shutil.rmtree(runs / "gone")
    assert len(served.client.get("/runs.json").json()["runs"]) == 3
    held = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_open(number)]
    assert not [path for path in held if str(runs / "gone") in path]


def _is_open(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


def test_a_run_and_its_twin(runs: Path, serve: Serve) -> None:
    make_run(runs, "first.frost", steps=40)
    client = serve(runs).client
    assert client.get("/runs/first.frost").status_code == 200 and client.get("/runs/c").status_code == 404
    page = client.get("/runs/first.frost.json").json()
    assert page["summary"]["step"] == 40 and page["counts"]["steps"] == 40 and page["clip_norm"] == 1.0
    assert page["quantities"]["train_loss"]["unit"] == "nats/token"
    missing = client.get("/runs/first-frost.json")
    assert missing.status_code == 404 and "did you mean 'first.frost'" in missing.json()["error"]["advice"]


def test_tables_are_read_with_a_cursor(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=40)
    client = serve(runs).client
    first = client.get("/runs/a/evals.json?limit=2").json()
    assert [row["source"] for row in first["rows"]] == ["books", "docs"] and first["more"]
    rest = client.get(f"/runs/a/evals.json?after={first['cursor']}").json()
    assert [row["source"] for row in rest["rows"]] == ["all"] and not rest["more"]
    newest = client.get("/runs/a/evals.json?limit=1&newest=true").json()
    assert newest["rows"][0]["source"] == "all" and newest["rows"][0]["detail"] == {}
    assert client.get("/runs/a/segments.json").json()["cursor"] == 1
    assert client.get("/runs/a/secrets.json").status_code == 422
    assert client.get("/runs/a/evals.json?limit=0").json()["error"]["kind"] == "Usage"


def test_curves_come_as_json_and_as_bytes(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=40)
    client = serve(runs).client
    found = client.get("/runs/a/metrics.json?columns=train_loss&from=11&to=20").json()
    assert found["num_steps"] == 10 and found["axes"]["step"][0] == 11
    assert client.get("/runs/a/metrics.bin").headers["content-type"] == "application/octet-stream"
    wrong = client.get("/runs/a/metrics.json?columns=nothing")
    assert wrong.status_code == 400 and "known" in wrong.json()["error"]["advice"]


def test_the_plan_gives_each_value_its_reason(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", status=None)
    rows = {row["name"]: row for row in serve(runs).client.get("/runs/a/plan.json").json()["rows"]}
    assert rows["num_steps"] == {"table": "plan", "name": "num_steps", "value": 200, "reason": "asked for"}
    assert rows["checkpoint_every"]["table"] == "train" and "reasons" not in rows


def test_the_description_names_every_route_and_loads_nothing_from_elsewhere(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    paths = client.get("/openapi.json").json()["paths"]
    routers = (streams.router, requests.router, chat.router, corpora.router, pages.router)
    served = {
        route.path
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    }
    assert served == paths.keys() and "/runs/{name}/requests" in paths
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    for file in STATIC.rglob("*"):
        if file.suffix in (".html", ".js", ".css") and "vendor" not in file.parts:
            assert set(re.findall(r"https?://[^\s\"')]+", file.read_text())) <= {"http://www.w3.org/2000/svg"}, file


def test_the_description_names_every_refusal(runs: Path, serve: Serve) -> None:
    """The statuses that any route may answer with, each in the one shape of errors."""
    described = serve(runs).client.get("/openapi.json").json()
    shape = {"$ref": "#/components/schemas/ErrorAnswer"}
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            for status in ("400", "401", "403", "404", "413", "421", "422", "500", "507"):
                answer = route["responses"][status]
                assert answer["content"]["application/json"]["schema"] == shape, (method, path, status)
                assert answer["description"]
    assert set(described["components"]["schemas"]["ErrorAnswer"]["properties"]) == {"error"}


def test_pages_hold_no_script_or_style_of_their_own() -> None:
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>", text), page
    for script in (STATIC / "js").glob("*.js"):
        text = script.read_text()
        assert len(text.splitlines()) <= 300, f"{script} is longer than 300 lines"
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            script
        )
