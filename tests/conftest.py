"""What every test may use: a browser that reaches this machine only, and the rules for tests that need a GPU or much time.

Fixtures: `chromium` (a fresh browser profile; a request to any other machine, or an uncaught error in a page, fails the
test) and `page` (an empty page of it). Markers: `gpu` (skipped by name without a CUDA device), `long` (`make check-long`).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import hypothesis
import pytest
import torch
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, WebError, WebSocket, sync_playwright

from tests import browser as browsers

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WITHOUT_NETWORK = ("data", "blob", "about")
PAGE_TIMEOUT_MS = 15_000

# A property test is the same on every machine and in every run of `make test`; the long campaign looks for new examples.
# Deadlines are off: on two busy cores they measure the neighbours.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2_000, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how hard the property tests look."""
    hypothesis.settings.load_profile("long" if config.getoption("markexpr") == "long" else "suite")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a GPU where there is none, and say so."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    """Playwright, started once for all tests that show pages."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium_browser(playwright_driver: Playwright) -> Iterator[Browser]:
    """One headless Chromium for all tests; no Chromium is a failure, since `make test` installs one."""
    browser, _path = browsers.launch(playwright_driver)
    yield browser
    browser.close()


@pytest.fixture
def chromium(chromium_browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile: no cookies, no storage. What its pages ask of other machines, or do not catch, fails the test."""
    context = chromium_browser.new_context()
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    abroad: list[str] = []
    uncaught: list[str] = []

    def note_address(url: str) -> None:
        if not is_local(url):
            abroad.append(url)

    def note_request(request: Request) -> None:
        note_address(request.url)

    def note_socket(socket: WebSocket) -> None:
        note_address(socket.url)

    def note_error(error: WebError) -> None:
        uncaught.append(str(error.error))

    context.on("request", note_request)
    context.on("weberror", note_error)
    context.on("page", lambda page: page.on("websocket", note_socket))
    yield context
    for page in context.pages:
        page.wait_for_timeout(0)    # lets events that are still on their way arrive
    context.close()
    assert not abroad, f"a page asked another machine for {abroad}"
    assert not uncaught, f"a page did not catch {uncaught}"


@pytest.fixture
def page(chromium: BrowserContext) -> Page:
    """An empty page of a fresh profile."""
    return chromium.new_page()


def is_local(url: str) -> bool:
    """Whether an address stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme in WITHOUT_NETWORK or parts.hostname in LOOPBACK
