"""An explorer on a free port, and a browser that may talk to nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from coldframe.explore.serve import Explorer
from coldframe.explore.settings import ExploreSettings
from tests.browser import launch


class Served:
    """A running explorer and a client of it."""

    def __init__(self, runs: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.runs = runs
        self.explorer = Explorer(ExploreSettings(host=host, port=port, runs=str(runs)))
        ready = threading.Event()
        self._thread = threading.Thread(target=self.explorer.run_until_told, args=(lambda _: ready.set(),), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        self.port = self.explorer.ready.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def close(self) -> None:
        """End it; a test that leaves a stream open must not hang this."""
        self.client.close()
        self.explorer.end()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the explorer did not end"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for runs."""
    return tmp_path / "runs"


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serves a folder of runs; several may be served at once."""
    served: list[Served] = []

    def start(runs: Path, host: str = "127.0.0.1", port: int = 0) -> Served:
        served.append(Served(runs, host, port))
        return served[-1]

    yield start
    for one in served:
        one.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless browser for all tests of the pages."""
    with sync_playwright() as playwright:
        browser, _ = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages that fail the test when they ask anybody but this machine, or when a script of theirs fails."""
    opened, wrong = [], []

    def check(route: Route) -> None:
        if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
            route.continue_()
        else:
            wrong.append(f"asked {route.request.url}")
            route.abort()

    def start(url: str, *, width: int = 1280, height: int = 800, **options: object) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        opened.append(context)
        context.set_default_timeout(10_000)
        context.route("**/*", check)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"script failed: {error}"))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(url)
        return page

    yield start
    for context in opened:
        context.close()
    assert not wrong
