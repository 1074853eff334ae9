"""The browser that tests use: it works, it runs the vendored chart library, and it notices a request to another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import Error as PlaywrightError

from tests.conftest import is_local

VENDOR = Path(__file__).parents[1] / "coldframe" / "explore" / "static" / "vendor"

pytest_plugins = ["pytester"]


def test_chart_library_is_a_module_that_draws(page: Page) -> None:
    """The vendored file works by `import` alone, with no bundler, and draws a curve."""
    page.set_content("<div id=chart></div>")
    page.evaluate(
        """async source => {
            const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
            const {default: Plot} = await import(url);
            const options = {width: 300, height: 200, series: [{}, {stroke: 'red'}]};
            new Plot(options, [[1, 2, 3], [3, 1, 2]], document.getElementById('chart'));
        }""",
        (VENDOR / "uPlot.esm.js").read_text(),
    )
    assert page.locator("#chart canvas").count() == 1


def test_another_machine_cannot_be_reached(chromium_browser: object, chromium: BrowserContext) -> None:
    """The browser resolves no name but this machine's, so that a page under test leaks nothing even before it fails."""
    page = chromium.browser.new_page()  # type: ignore[union-attr]  # not the guarded profile: the request is on purpose
    with pytest.raises(PlaywrightError, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://coldframe.invalid/")
    page.close()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8400/runs", True),
        ("http://localhost:8400/", True),
        ("http://[::1]:8400/", True),
        ("data:text/plain,x", True),
        ("ws://127.0.0.1:1/", True),
        ("http://127.0.0.1.example.org/", False),
        ("https://example.org/localhost", False),
        ("http://192.168.0.1/", False),
    ],
)
def test_what_counts_as_this_machine(url: str, local: bool) -> None:
    """An address that only looks local is not."""
    assert is_local(url) is local
