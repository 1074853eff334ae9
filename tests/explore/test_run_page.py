"""A run's page in a real browser: the answer, the charts, the steering, and what it says when something is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from coldframe.run.record import Recorder
from tests.explore.conftest import Served
from tests.explore.made import Trainer, make_run, step_row

Serve = Callable[..., Served]
OpenPage = Callable[..., Page]

DRAWN = "#chart-loss[data-points]"
#: What a hostile text would do if any of it were taken for markup.
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>\"'>&amp;"


def points(page: Page) -> int:
    return int(page.locator("#chart-loss").get_attribute("data-points") or 0)


def test_it_says_the_answer_first_and_follows_the_run(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=120)
    with Trainer(folder, pace=0.1) as trainer:
        page = open_page(f"{serve(runs).url}/runs/a")
        expect(page.locator("#sentence")).to_contain_text(
            re.compile(r"Training\. Loss 3\.\d\d, falling \(.*200 tokens/s")
        )
        page.wait_for_selector(DRAWN)
        before = points(page)
        expect(page.locator("#line")).to_have_text("live")
        trainer.act = lambda recorder: (
            recorder.event("note", "something new"),
            recorder.sample(
                prompt="The garden",
                text=" is greener.",
                temperature=0.8,
                seed=2,
                num_tokens=3,
                loss=1.5,
                perplexity=4.5,
            ),
        )[0]
        expect(page.locator("#events")).to_contain_text("something new")
        expect(page.locator("#sample-list")).to_contain_text("is greener.")
        page.wait_for_function(f"Number(document.querySelector('#chart-loss').dataset.points) > {before}")
        expect(page.locator("#chart-bpb").locator("xpath=..")).to_contain_text("books 2.100")
        expect(page.locator("#plan")).to_contain_text("asked for")


def test_a_zoom_and_what_is_being_read_stay_when_data_arrives(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=150)
    recorder = Recorder(folder)
    page = open_page(f"{serve(runs).url}/runs/a")
    page.wait_for_selector(DRAWN)
    box = page.locator("#chart-loss .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.locator("#resolution")).to_contain_text(re.compile(r"^\d\d steps in view"))
    zoomed = page.locator("#resolution").inner_text()
    page.locator("#events td").first.focus()
    recorder.step = 160
    recorder.steps(step_row(step) for step in range(151, 161))
    recorder.event("note", "while you read")
    expect(page.locator("#figures")).to_contain_text("160 of 200")
    expect(page.locator("#events .fresh")).to_have_text("1 new")
    assert page.locator("#resolution").inner_text() == zoomed
    assert "while you read" not in page.locator("#events").inner_text()
    page.locator("#events .fresh").click()
    expect(page.locator("#events")).to_contain_text("while you read")
    page.locator("#chart-loss .u-over").dblclick()
    expect(page.locator("#resolution")).to_contain_text("160 steps;")
    recorder.close()


def test_a_step_trained_anew_is_drawn_anew(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=100)
    page = open_page(f"{serve(runs).url}/runs/a")
    page.wait_for_selector(DRAWN)
    recorder = Recorder(folder)
    recorder.begin_segment(
        start_step=50, reason="resume", checkpoint="step-00000050", code_version="0", environment={}, changed={}
    )
    recorder.steps(step_row(step, loss=7.5) for step in range(51, 101))
    recorder.close()
    expect(page.locator("#chart-loss").locator("xpath=..")).to_contain_text("7.500")
    assert points(page) == 100


def test_requests_tell_what_really_happened(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=20)
    page = None
    with Trainer(folder, pace=0.05) as trainer:
        page = open_page(f"{serve(runs).url}/runs/a")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#outcome")).to_contain_text("pause: applied at step")
        expect(page.locator("#sentence")).to_contain_text("Paused at step")
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#outcome")).to_contain_text("resume: applied")
        trainer.answers = False
        page.get_by_role("button", name="Checkpoint", exact=True).click()
        expect(page.locator("#requests")).to_contain_text("waiting")
        expect(page.locator("#outcome")).to_contain_text("pending; the trainer takes it at its next safe point")
        trainer.answers = True
        expect(page.locator("#outcome")).to_contain_text("checkpoint: applied")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_label("Why").fill("enough")
        page.locator("dialog[open]").get_by_role("button", name="Stop").click()
        expect(page.locator("#outcome")).to_contain_text("stop: applied")
        expect(page.locator("#requests")).to_contain_text("why: enough")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator("#sentence")).to_contain_text("Stopped at step")


def test_what_is_not_there_yet_is_said_in_words(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", status=None)
    make_run(runs, "died", steps=30, status="training")
    url = serve(runs).url
    page = open_page(f"{url}/runs/a")
    expect(page.locator("#sentence")).to_have_text("Planned, not started: coldframe train --run a.")
    for words in (
        "No steps yet",
        "Not measured yet",
        "No samples yet: the first are written at step 50",
        "Nothing out of the ordinary",
        "No checkpoint yet",
        "no weights yet",
    ):
        expect(page.locator("main")).to_contain_text(words)
    page.goto(f"{url}/runs/died")
    expect(page.locator("#sentence")).to_contain_text("The trainer died at step 30")
    page.goto(f"{url}/runs/dyed")
    expect(page.locator("#sentence")).to_contain_text("No run 'dyed'")
    expect(page.locator("#notice")).to_contain_text("did you mean 'died'?")


def test_without_the_chart_library_the_rest_still_serves(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_run(runs, "a", steps=30)
    page = open_page("about:blank")
    page.route("**/vendor/*", lambda route: route.fulfill(status=404))
    page.goto(f"{serve(runs).url}/runs/a")
    expect(page.locator("#notice")).to_contain_text("uPlot is not installed")
    expect(page.locator("#sample-list")).to_contain_text("grows under glass")


def test_a_lost_explorer_is_told_and_found_again(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=30)
    first = serve(runs)
    page = open_page(f"{first.url}/runs/a")
    expect(page.locator("#line")).to_have_text("live")
    port = first.port
    first.close()
    expect(page.locator("#line")).to_contain_text("disconnected")
    recorder = Recorder(folder)
    recorder.steps([step_row(31)])
    recorder.event("note", "while nobody served")
    recorder.close()
    serve(runs, port=port)
    expect(page.locator("#line")).to_have_text("live")
    expect(page.locator("#events")).to_contain_text("while nobody served")
    assert page.locator("#events tbody tr").count() == 2


def test_text_of_models_and_files_is_only_ever_text(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=30)
    plan = folder.plan_file.read_text()
    folder.plan_file.write_text(plan.replace('"asked for"', f"'''{HOSTILE}'''"))
    recorder = Recorder(folder)
    recorder.step = 30
    recorder.sample(prompt=HOSTILE, text=HOSTILE, temperature=0.8, seed=1, num_tokens=5, loss=math.nan, perplexity=None)
    recorder.event(HOSTILE, HOSTILE, level="error", detail={HOSTILE: HOSTILE})
    recorder.stage(
        start_block=0, shares={HOSTILE: 1.0}, sources={HOSTILE: HOSTILE}, skip_blocks=[], by="user", why=HOSTILE
    )
    recorder.evaluation(
        suite="bpb", source=HOSTILE, metric="bits_per_byte", value=2.0, low=None, high=None, n=1, detail={}
    )
    recorder.outcome(
        request="1", requested=0, verb=HOSTILE, arguments={}, by=HOSTILE, why=HOSTILE, outcome="refused", detail=HOSTILE
    )
    recorder.checkpoint(
        folder=HOSTILE, num_bytes=1, seconds=1, stall_seconds=0, weights_sha256=HOSTILE, reason=HOSTILE, val_bpb=None
    )
    recorder.close()
    page = open_page(f"{serve(runs).url}/runs/a")
    page.wait_for_selector(DRAWN)
    for section in ("#sample-list", "#events", "#stages", "#plan", "#requests", "#checkpoints", "#plots"):
        expect(page.locator(section)).to_contain_text("<img src=x onerror='window.hacked=1'>")
    page.locator("#events tbody tr:first-child td:last-child").focus()
    expect(page.locator("#tip")).to_contain_text("<script>")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, #tip img").count() == 0


@pytest.mark.parametrize("axis", ["tokens", "hours"])
def test_the_axes_are_exchangeable(runs: Path, serve: Serve, open_page: OpenPage, axis: str) -> None:
    make_run(runs, "a", steps=100)
    page = open_page(f"{serve(runs).url}/runs/a")
    page.wait_for_selector(DRAWN)
    page.get_by_role("button", name=axis).click()
    readout = page.locator("#chart-loss").locator("xpath=..").locator(".readout")
    expect(readout).to_contain_text({"tokens": "at 10k tokens", "hours": "at 0.0139 hours"}[axis])
