"""The browser that tests use: it runs the vendored chart library, and reaches and excuses no other machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from tests.conftest import is_local, watch

VENDOR = Path(__file__).parents[2] / "coldframe" / "explore" / "static" / "vendor"


def test_chart_library_is_a_module_that_draws(open_page: Callable[..., Page]) -> None:
    """The vendored file works by `import` alone, with no bundler, and draws a curve."""
    page = open_page("about:blank")
    page.set_content("<div id=chart></div>")
    page.evaluate(
        """async source => {
            const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
            const {default: Plot} = await import(url);
            const options = {width: 300, height: 200, series: [{}, {stroke: 'red'}]};
            new Plot(options, [[1, 2, 3], [3, 1, 2]], document.getElementById('chart'));
        }""",
        (VENDOR / "uPlot.esm.js").read_text(encoding="utf-8"),
    )
    assert page.locator("#chart canvas").count() == 1


def test_another_machine_is_out_of_reach_and_noticed(chromium: Browser) -> None:
    """The browser resolves no name but this machine's, and the attempt is written down; an uncaught error is too."""
    context = chromium.new_context()
    wrong: list[str] = []
    watch(context, wrong)
    page = context.new_page()
    with context.expect_event("weberror"):
        page.set_content("<script>setTimeout(() => { throw new Error('unforeseen') })</script>")
    with pytest.raises(PlaywrightError, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://coldframe.invalid/")
    context.close()
    assert wrong == ["a script failed: unforeseen", "asked another machine: http://coldframe.invalid/"]


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
