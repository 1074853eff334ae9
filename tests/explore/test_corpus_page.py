"""The page of a corpus in a real browser: the answer, the evidence, what curation found; by keyboard, in any width."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from coldframe.corpus.report import SourceReport, save_report
from tests.explore.conftest import Served
from tests.explore.made import make_run
from tests.explore.reports import HOSTILE, LONG, RIGHT_TO_LEFT, change_report, curation, keep_report, make_corpus

Serve = Callable[..., Served]
OpenPage = Callable[..., Page]

NARROW, WIDE = 390, 1440


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corpus for all tests: making it takes as long as looking at it."""
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def test_it_says_the_answer_first_then_the_sources_and_why(
    corpus: Path, runs: Path, serve: Serve, open_page: OpenPage
) -> None:
    keep_report(corpus, runs, "library")
    page = open_page(f"{serve(runs).url}/", width=WIDE)
    page.locator("#reports").get_by_role("link", name="library").click()
    expect(page.locator("#sentence")).to_have_text("5 of 8 documents are good text; 1 is there twice.")
    assert page.locator("#sentence").get_attribute("class") == "sentence well"
    row = page.locator("#sources tbody tr").first
    assert row.locator("td").all_inner_texts() == [
        "books", "prose", "CC0", "6", "3", "3 50%", "1", "0", "0.00", "–", "–", "–",
    ]  # fmt: skip
    assert row.locator(".stack").get_attribute("aria-label") == (
        "50% kept, 17% wrong-script, 17% too-short, 17% duplicates"
    )
    expect(page.locator("#dropped .voice").first).to_be_hidden()
    row.get_by_role("link", name="books").click()
    fold = page.locator("#left-out-0")
    expect(fold).to_contain_text("too-short 1 17% · too few words")
    expect(fold).to_contain_text("ends here.")
    expect(fold.locator(".where").first).to_have_text("other.txt")
    expect(fold).to_contain_text("duplicates 1 17% · there twice or nearly so; the first is kept")
    for section in ("topics", "quality", "styles", "balance", "gaps", "proposals"):
        expect(page.locator(f"#{section}")).to_be_hidden()


def test_a_run_leads_to_its_corpus_and_back(corpus: Path, runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "bare", steps=3)
    folder = make_run(runs, "a", steps=3)
    keep_report(corpus, runs, "library")
    folder.corpus_report.write_bytes((runs / "corpus" / "reports" / "library.json").read_bytes())
    url = serve(runs).url
    page = open_page(f"{url}/runs/a")
    page.locator("nav").get_by_role("link", name="Corpus").click()
    expect(page.locator("#sentence")).to_contain_text("5 of 8 documents")
    page.locator("nav").get_by_role("link", name="Run").click()
    expect(page.locator("#sentence")).to_contain_text("Stopped at step")
    page.goto(f"{url}/runs/bare")
    expect(page.locator("#figures")).to_contain_text("3 of 200")
    expect(page.locator("#corpus")).to_be_hidden()
    page.goto(f"{url}/runs/bare/corpus")
    expect(page.locator("#sentence")).to_have_text("Run 'bare' has no report of its corpus.")
    page.goto(f"{url}/corpus/nothing")
    expect(page.locator("#sentence")).to_contain_text("No report 'nothing'")
    expect(page.locator("#notice")).to_contain_text("known: library")
    expect(page.locator("#report")).to_be_hidden()


def test_what_was_not_filtered_and_what_is_nearly_gone_is_loud(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    def source(name: str, kept: int, unfiltered: str = "") -> SourceReport:
        return SourceReport(
            name=name, kind="prose", licence="CC0", documents_in=1000, bytes_in=10**6, documents_kept=kept,
            bytes_kept=kept * 1000, quarantined=0, dropped={"list-like": 1000 - kept} if kept < 1000 else {},
            duplicates=0, tokens=None, quality=None, epochs_planned=None, examples={}, unfiltered=unfiltered,
        )  # fmt: skip

    def report(name: str, *sources: SourceReport) -> None:
        path = runs / "corpus" / "reports" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_report(path, sources)

    report("exempt", source("poems", 1000, "verse breaks the rules"), source("lists", 400), source("rest", 1000))
    report("gone", source("gone", 0), source("rest", 1000))
    report("nothing")
    url = serve(runs).url
    page = open_page(f"{url}/corpus/exempt")
    sentence = page.locator("#sentence")
    expect(sentence).to_have_text(re.compile(r"^2,400 of 3,000 .* Not filtered: poems\. Mostly left out: lists\.$"))
    assert sentence.get_attribute("class") == "sentence watch"
    expect(page.locator("#exempt")).to_have_text("not filtered: poemsverse breaks the rules")
    page.goto(f"{url}/corpus/gone")
    expect(sentence).to_have_text("1,000 of 2,000 documents are good text. Nothing is left of: gone.")
    assert sentence.get_attribute("class") == "sentence critical"
    page.goto(f"{url}/corpus/nothing")
    expect(sentence).to_have_text("This report speaks of no source.")


def test_what_curation_found(corpus: Path, runs: Path, serve: Serve, open_page: OpenPage) -> None:
    keep_report(corpus, runs, "library")
    change_report(runs, "library", curation=curation())
    page = open_page(f"{serve(runs).url}/corpus/library", width=WIDE)
    expect(page.locator("#topics-note")).to_contain_text("1,234 passages looked at; as varied as 2.6 topics")
    assert page.locator(".bubble").count() == 3
    expect(page.locator(".legend")).to_contain_text("books")
    sizes = page.locator(".bubble circle").evaluate_all("all => all.map(one => Number(one.getAttribute('r')) ** 2)")
    assert sizes[0] / sizes[1] == pytest.approx(5 / 3, rel=0.01) and sizes[0] / sizes[2] == pytest.approx(2.5, rel=0.01)
    colours = page.locator(".bubble circle").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert colours[0] == colours[2] != colours[1]
    for one, other in ((0, 1), (0, 2), (1, 2)):  # two that lie in one place stand side by side
        assert page.evaluate(_APART, [one, other]) > 0
    expect(page.locator("#quality tbody tr").first).to_have_text("books6140 to 80")
    assert page.locator("#quality .track").first.get_attribute("aria-label") == "61, eight of ten between 40 and 80"
    expect(page.locator("#sources tbody tr").first.locator("td").last).to_have_text("61")
    expect(page.locator("#styles")).to_contain_text("words per sentence")
    expect(page.locator("#balance tbody tr").first).to_have_text("books50%20% to 60%45%4.32k1.50")
    expect(page.locator("#gaps")).to_contain_text("3 found, 40 wanted")
    expect(page.locator("#proposals")).to_contain_text(
        "1. add task (dialogue): about 2.9M tokens, 2.1 epochs: fills answers that ask back"
    )
    expect(page.locator("#proposals .command")).to_have_text(
        [
            'coldframe corpus curate ... --accept 1 --recipe own.toml --why "..."',
            "coldframe corpus curate ... --candidate FOLDER",
        ]
    )
    page.get_by_text("The same as a table").click()
    expect(page.locator("#topics tbody tr").first).to_have_text("garden, glass, rain50%90%10%")


_APART = """([one, other]) => {
    const read = circle => ["cx", "cy", "r"].map(name => Number(circle.getAttribute(name)));
    const at = [...document.querySelectorAll(".bubble circle")].map(read), a = at[one], b = at[other];
    return Math.hypot(a[0] - b[0], a[1] - b[1]) - a[2] - b[2];
}"""


def test_everything_is_reached_by_keyboard(corpus: Path, runs: Path, serve: Serve, open_page: OpenPage) -> None:
    keep_report(corpus, runs, "library")
    change_report(runs, "library", curation=curation())
    page = open_page(f"{serve(runs).url}/corpus/library")
    page.wait_for_selector(".bubble")
    page.keyboard.press("s")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_contain_text("too-short")
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    expect(page.locator("#left-out-0 .voice").first).to_be_visible()
    page.keyboard.press("o")
    expect(page.locator("#left-out-0 .voice").first).to_be_hidden()
    page.keyboard.press("m")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#topic h3")).to_have_text("fire, warm, house")
    assert (page.evaluate("document.activeElement.getAttribute('aria-label')") or "").startswith(
        "fire, warm, house; 30% of the sample, most of it from talk, 80%"
    )
    page.keyboard.press("End")
    expect(page.locator("#topic h3")).to_have_text("ship, captain")
    assert page.locator(".bubble[tabindex='0']").count() == 1
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("map of topics")


def test_hostile_text_stays_text_and_breaks_nothing(
    corpus: Path, runs: Path, serve: Serve, open_page: OpenPage
) -> None:
    keep_report(corpus, runs, "library")
    words = f"{HOSTILE} {RIGHT_TO_LEFT} {'x' * 10_000} {LONG}"
    change_report(
        runs, "library",
        source={"name": words, "licence": words, "kind": HOSTILE, "unfiltered": words,
                "dropped": {words: 1, "constructor": 2}, "examples": {words: [[words, words]]}},
        curation=curation(words, (words, "constructor")),
    )  # fmt: skip
    page = open_page(f"{serve(runs).url}/corpus/library", width=WIDE)
    page.wait_for_selector(".bubble")
    page.keyboard.press("o")
    for section in ("exempt", "sources", "dropped", "topic", "quality", "styles", "balance", "gaps", "proposals"):
        expect(page.locator(f"#{section}")).to_contain_text("<img src=x onerror='window.hacked=1'>")
    for width in (NARROW, 900, WIDE):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        assert page.evaluate("document.documentElement.scrollHeight") < 12_000, width
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, #tip img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_scrolls_sideways_in_either_theme(
    corpus: Path, runs: Path, serve: Serve, open_page: OpenPage, scheme: str
) -> None:
    keep_report(corpus, runs, "library")
    change_report(runs, "library", curation=curation())
    page = open_page(f"{serve(runs).url}/corpus/library", width=NARROW, color_scheme=scheme)
    page.wait_for_selector(".bubble")
    page.keyboard.press("o")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == {"light": "rgb(248, 248, 244)", "dark": "rgb(16, 21, 22)"}[scheme]
    for width in (360, NARROW, 768, 1100, WIDE, 2560):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        inside = page.evaluate("document.querySelector('.canvas svg').getBoundingClientRect().right")
        assert inside <= width
