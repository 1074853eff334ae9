"""What every test may use: a browser that reaches this machine only, and rules for tests that need a GPU or much time.

Fixtures: `chromium` (one headless browser for the whole session) and `open_page` (opens an address in a fresh profile;
a request to any other machine, or an error that a page's script does not catch, fails the test). Markers: `gpu`
(skipped with a reason where there is no CUDA device), `long` (`make check-long` runs these, `make test` does not).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from coldframe.threads import share_the_cores

share_the_cores()  # before torch is loaded: threads that spin while they wait starve the processes under test

import hypothesis
import pytest
import torch
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, sync_playwright

from tests.browser import launch

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WITHOUT_NETWORK = ("data", "blob", "about")
PAGE_TIMEOUT_MS = 10_000

# A property test is the same on every machine and in each run of `make test`; the long campaign looks for new examples.
# Deadlines are off: on two busy cores they measure the neighbours.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2_000, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how hard the property tests look."""
    hypothesis.settings.load_profile("long" if config.getoption("markexpr") == "long" else "suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that train in real processes go first: they take longest, and two workers then end at about one time."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/train/", "tests/test_story.py")))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a GPU where there is none, and say so."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless Chromium for all tests; that there is none is a failure, since `make test` installs one."""
    with sync_playwright() as playwright:
        browser, _path = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address in a fresh profile; what its pages ask of other machines, or do not catch, fails the test.

    `width` and `height` are those of the window; further options are those of Playwright's `new_context`.
    """
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def start(url: str, *, width: int = 1280, height: int = 800, **options: object) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        opened.append(context)
        context.set_default_timeout(PAGE_TIMEOUT_MS)
        watch(context, wrong)
        page = context.new_page()
        page.goto(url)
        return page

    yield start
    for context in opened:
        for page in context.pages:
            page.wait_for_timeout(0)  # lets events that are still on their way arrive
        context.close()
    assert wrong == []


def watch(context: BrowserContext, wrong: list[str]) -> None:
    """Write down what the pages of a profile must not do. Other machines are out of reach anyway (`tests.browser`)."""

    def note_address(url: str) -> None:
        if not is_local(url):
            wrong.append(f"asked another machine: {url}")

    def note_error(error: WebError) -> None:
        wrong.append(f"a script failed: {error.error}")

    def note_console(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text:
            wrong.append(said.text)

    context.on("request", lambda request: note_address(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: note_address(socket.url)))
    context.on("weberror", note_error)
    context.on("console", note_console)


def is_local(url: str) -> bool:
    """Whether an address stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme in WITHOUT_NETWORK or parts.hostname in LOOPBACK
