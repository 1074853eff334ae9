"""The pages by keyboard alone, on a phone and on a wall, in the dark, and with little motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.explore.conftest import Served
from tests.explore.made import make_run

Serve = Callable[..., Served]
OpenPage = Callable[..., Page]

DRAWN = "#chart-loss[data-points]"


def focused(page: Page) -> str:
    """Where the keyboard is: id, or text, or tag."""
    return str(
        page.evaluate(
            "(() => { const at = document.activeElement; return at.id || at.textContent.trim() || at.tagName; })()"
        )
    )


def test_everything_is_reached_by_keyboard(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", steps=100)
    page = open_page(f"{serve(runs).url}/")
    expect(page.locator("#rows")).to_contain_text("Stopped at step 100")
    page.keyboard.press("/")
    assert focused(page) == "a"
    page.keyboard.press("Enter")
    page.wait_for_selector(DRAWN)
    reached = set()
    for _ in range(70):
        page.keyboard.press("Tab")
        reached.add(focused(page))
    assert {
        "theme",
        "help",
        "chart-loss",
        "chart-bpb",
        "chart-speed",
        "sample-slider",
        "say",
        "send",
        "log",
        "steps",
        "tokens",
        "Resume",
        "100 of 200",
    } <= reached


def test_charts_numbers_and_tables_answer_to_keys(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", steps=100)
    page = open_page(f"{serve(runs).url}/runs/a")
    page.wait_for_selector(DRAWN)
    page.focus("#chart-loss")
    page.keyboard.press("Home")
    readout = page.locator("#chart-loss").locator("xpath=..").locator(".readout")
    expect(readout).to_contain_text("7.877")
    page.keyboard.press("Shift+ArrowRight")
    expect(readout).to_contain_text("at 11")
    expect(page.locator("#said")).to_contain_text("at 11")
    page.keyboard.press("+")
    expect(page.locator("#resolution")).to_contain_text("in view")
    page.keyboard.press("0")
    expect(page.locator("#zoom-reset")).to_be_hidden()
    page.locator("#figures .figure").nth(1).focus()
    expect(page.locator("#tip")).to_contain_text("mean cross-entropy")
    expect(page.locator("#tip")).to_contain_text("coldframe train --run a")
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()
    page.locator("#plan td").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "32"


def test_shortcuts_are_listed_and_work(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", steps=100)
    page = open_page(f"{serve(runs).url}/runs/a")
    page.wait_for_selector(DRAWN)
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("pause or resume")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(page.get_by_role("button", name="tokens")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("/")
    assert focused(page) == "say"
    page.keyboard.type("x?t")  # typing is typing
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert page.input_value("#say") == "x?t"


def test_dark_follows_the_system_and_a_choice_is_kept(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", steps=10)
    page = open_page(f"{serve(runs).url}/runs/a", color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(ground) == "rgb(16, 21, 22)"
    page.get_by_role("button", name="Switch to light colours").click()
    assert page.evaluate(ground) == "rgb(248, 248, 244)"
    page.reload()
    assert page.evaluate(ground) == "rgb(248, 248, 244)"


def test_no_width_scrolls_sideways(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a-run-with-a-long-name-that-somebody-typed-in-one-go", steps=60)
    url = serve(runs).url
    page = open_page(f"{url}/")
    for path in ("/", "/runs/a-run-with-a-long-name-that-somebody-typed-in-one-go"):
        page.goto(url + path)
        page.wait_for_selector(DRAWN if path != "/" else "#rows tr")
        for width in (360, 768, 1440, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_little_motion_and_paper(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", steps=60)
    page = open_page(f"{serve(runs).url}/runs/a", reduced_motion="reduce")
    page.wait_for_selector(DRAWN)
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(media="print")
    expect(page.locator("#talk")).to_be_hidden()
    expect(page.locator("#plan")).to_be_visible()
