"""How soon the explorer's page of a long run is usable in a headless browser; prints JSON.

    python benchmarks/charts.py [--steps 100000] [--repeat 5]
    python benchmarks/charts.py --write FOLDER        only writes the run, to look at it with `coldframe explore`

The run is made up but written by the real recorder. Usable means: the loss is drawn and the page answers a key.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from coldframe.explore.serve import Explorer, Ready
from coldframe.explore.settings import ExploreSettings
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder, StepRow, Telemetry
from coldframe.run.schema import GROUPS

TOKENS_A_STEP = 8192
SECONDS_A_STEP = 3.5
SOURCES = {"scripture": 1.52, "stdlib-docstrings": 1.83, "language-topics": 2.04, "numpy-docstrings": 1.95}
PLAN = """
[plan]
depth = 4
width = 256
num_layers = 4
num_heads = 4
head_dim = 64
vocab_size = 8192
context = 512
num_parameters = 11534592
total_batch_tokens = 8192
device_batch = 8
num_steps = {steps}
total_tokens = {tokens}
learning_rate = 0.02
clip_norm = 1.0
peak_memory_bytes = 1288490188
fits = true

[plan.reasons]
depth = "asked for (--depth 4)"
width = "64 a layer, rounded up to whole heads"
head_dim = "64 below depth 8"
vocab_size = "a small vocabulary: at this depth the tables would outweigh the blocks"
context = "the sources' documents are short; longer rows would not be filled"
device_batch = "the most rows that fit beside the evaluation"
num_steps = "20 tokens a parameter, of 8,192 tokens a step"
peak_memory_bytes = "parameters, gradients, optimizer, activations and evaluation; measured by two probe steps"

[train]
checkpoint_every = 200
evaluate_every = 250
sample_every = 500
seed = 1
"""
PROMPTS = ("In the beginning", "Return the", "The river")
TEXTS = (
    " the the and of the of and the the in the the, and of the and the",
    " of the LORD, and the house of the children, which he said unto the king of the city.",
    " God made the garden, and planted it eastward; and the rain came upon the glass of the frame.",
    " God made two lights for the seedlings: the sun above, and the lamp that the gardener kept in the frost.",
)


def write_run(folder: RunFolder, steps: int, *, seed: int = 1) -> None:
    """Write a whole run of that many steps, with everything that a page shows."""
    folder.create()
    folder.plan_file.write_text(PLAN.format(steps=steps, tokens=steps * TOKENS_A_STEP), encoding="utf-8")
    recorder = Recorder(folder)
    recorder.begin_segment(
        start_step=0, reason="start", checkpoint=None, code_version="made up", environment={}, changed={}
    )
    recorder.stage(
        start_block=0,
        shares=dict.fromkeys(SOURCES, 0.25),
        sources=dict.fromkeys(SOURCES, "0" * 12),
        skip_blocks=[],
        by="plan",
        why="the shares that the recipe gives",
    )
    rng = random.Random(seed)
    recorder.steps(_rows(steps, rng))
    _happenings(recorder, steps, rng)
    recorder.step = steps
    recorder.heartbeat("done", "", Telemetry(memory_bytes=1_310_000_000, utilisation=0.97, mfu=0.41))
    recorder.close()
    _spread_times(folder, steps)


def _loss(step: int) -> float:
    return 2.6 + 6.4 * (1 + step / 120) ** -0.62


def _rows(steps: int, rng: random.Random) -> Iterator[StepRow]:
    warm, cool = max(1, steps // 50), max(1, steps // 5)
    for step in range(1, steps + 1):
        spike = 1.9 * math.exp(-(step % (steps // 3 + 1)) / 40) if step > steps // 3 else 0.0
        rate = 0.02 * min(1.0, step / warm, (steps - step + 1) / cool)
        norm = 0.55 * math.exp(rng.gauss(0, 0.22)) + 3 * spike + 4 * math.exp(-step / 60)
        speed = 2340 + rng.gauss(0, 35) - (420 if rng.random() < 0.01 else 0)
        yield StepRow(
            step=step,
            train_loss=_loss(step) + spike + rng.gauss(0, 0.09),
            learning_rate=rate,
            grad_norm=norm,
            clip_scale=min(1.0, 1.0 / norm),
            num_tokens=step * TOKENS_A_STEP,
            next_row=step * 16,
            seconds=TOKENS_A_STEP / speed,
            tokens_per_second=speed,
            grad_norms=dict.fromkeys(GROUPS, norm / 3),
            update_norms=dict.fromkeys(GROUPS, rate),
        )


def _happenings(recorder: Recorder, steps: int, rng: random.Random) -> None:
    for step in range(0, steps + 1, max(1, steps // 40)):
        recorder.step = step
        scores = {name: floor + 0.42 * (_loss(step) - 2.6) + rng.gauss(0, 0.008) for name, floor in SOURCES.items()}
        scores["all"] = sum(scores.values()) / len(scores)
        for name, value in scores.items():
            recorder.evaluation(
                suite="bpb",
                source=name,
                metric="bits_per_byte",
                value=value,
                low=value - 0.03,
                high=value + 0.03,
                n=64,
                detail={"context": 512, "stride": 256, "bytes": 181_203},
            )
    for index in range(12):
        recorder.step = index * steps // 12
        for prompt in PROMPTS:
            text = TEXTS[min(len(TEXTS) - 1, index * len(TEXTS) // 10)]
            loss = max(0.9, _loss(recorder.step) - 1.2 + rng.gauss(0, 0.1))
            recorder.sample(
                prompt=prompt,
                text=text,
                temperature=0.8,
                seed=index,
                num_tokens=len(text) // 4,
                loss=loss,
                perplexity=math.exp(loss),
            )
    recorder.step = steps // 3
    recorder.event(
        "spike",
        "loss rose by 1.9 within one step and came back within 120",
        level="warning",
        detail={"source": "language-topics"},
    )
    recorder.outcome(
        request="made-up-1",
        requested=time.time() - 2,
        verb="checkpoint",
        arguments={},
        by="user",
        why="before the weekend",
        outcome="applied",
        detail=f"step-{recorder.step:08d}",
    )
    for index in range(1, 13):
        recorder.step = index * steps // 12
        folder = f"step-{recorder.step:08d}"
        recorder.checkpoint(
            folder=folder,
            num_bytes=138_450_000,
            seconds=0.9,
            stall_seconds=0.12,
            weights_sha256=f"{index:064x}",
            reason="schedule",
            val_bpb=1.83 + 0.42 * (_loss(recorder.step) - 2.6),
        )
        if index < 10:
            recorder.checkpoint_contains(folder, "weights" if index % 3 == 0 else "nothing")


def _spread_times(folder: RunFolder, steps: int) -> None:
    """The rows were written within a second; give them the times that training would have taken."""
    begin = time.time() - steps * SECONDS_A_STEP
    connection = sqlite3.connect(folder.database)
    for table in ("steps", "evals", "samples", "events", "checkpoints"):
        connection.execute(f"UPDATE {table} SET time = ? + step * ?", (begin, SECONDS_A_STEP))
    connection.commit()
    connection.close()


def measure(ready: Ready, chromium: str, repeat: int) -> dict[str, object]:
    """Seconds until the loss is drawn and the page answers a key, and for zooming in; a new browser page each time.

    The first page also pays for the explorer's first reading of the run.
    """
    from playwright.sync_api import sync_playwright

    usable, zoomed, frames = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(repeat):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            began = time.perf_counter()
            page.goto(f"{ready.url}runs/big", wait_until="commit")
            page.wait_for_selector("#chart-loss[data-points]", state="attached")
            page.keyboard.press("?")
            page.wait_for_selector("dialog[open]")
            usable.append(time.perf_counter() - began)
            page.keyboard.press("Escape")
            page.focus("#chart-loss")
            began = time.perf_counter()
            page.evaluate("document.querySelector('#chart-loss').removeAttribute('data-points')")
            page.keyboard.press("+")
            page.wait_for_selector("#chart-loss[data-points]", state="attached")
            zoomed.append(time.perf_counter() - began)
            frames.append(page.evaluate(_FRAMES))
            page.context.close()
        browser.close()
    return {
        "first_usable_seconds": round(usable[0], 4),
        "usable_seconds": _figures(usable),
        "zoom_seconds": _figures(zoomed),
        "worst_cursor_frame_ms": _figures(frames),
    }


#: Moves the cursor over the loss chart for a second and gives the longest time between two frames.
_FRAMES = """async () => {
  const over = document.querySelector('#chart-loss .u-over'); const box = over.getBoundingClientRect();
  let worst = 0, last = performance.now(); const end = last + 1000; let x = 0;
  while (performance.now() < end) {
    const at = {clientX: box.left + (x += 7) % box.width, clientY: box.top + 50, bubbles: true};
    over.dispatchEvent(new MouseEvent('mousemove', at));
    await new Promise(requestAnimationFrame);
    const now = performance.now(); worst = Math.max(worst, now - last); last = now;
  }
  return worst;
}"""


def idle_cost(runs: Path, chromium: str, seconds: float) -> dict[str, float]:
    """Percent of one core that an open page costs while a run writes three steps a second: explorer, then browser.

    The explorer is a process of its own here, as in use, so that its time is not the writer's.
    """
    from playwright.sync_api import sync_playwright

    folder = RunFolder(runs / "live")
    write_run(folder, 2000)
    recorder = Recorder(folder)
    command = [sys.executable, "-m", "coldframe", "explore", "--runs", str(runs), "--port", "0", "--json", "--quiet"]
    explorer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert explorer.stdout is not None
    url = json.loads(explorer.stdout.readline())["url"]
    found: dict[str, float] = {}
    with TrainerLock(folder.lock).acquire(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}runs/live")
        page.wait_for_selector("#chart-loss[data-points]")
        processes = {"explorer": [psutil.Process(explorer.pid)], "browser": _browsers(psutil.Process())}
        before = {name: _cpu_seconds(group) for name, group in processes.items()}
        began, rng = time.perf_counter(), random.Random(2)
        for row in list(_rows(4000, rng))[2000:]:
            recorder.step = row.step
            recorder.steps([row])
            if row.step % 15 == 0:
                recorder.heartbeat("training", "", Telemetry(memory_bytes=10**9))
            page.wait_for_timeout(330)
            if time.perf_counter() - began > seconds:
                break
        spent = time.perf_counter() - began
        found = {
            name: round(100 * (_cpu_seconds(group) - before[name]) / spent, 2) for name, group in processes.items()
        }
        browser.close()
    recorder.close()
    explorer.terminate()
    explorer.wait()
    return found


def _browsers(parent: psutil.Process) -> list[psutil.Process]:
    return [child for child in parent.children(recursive=True) if "chrom" in child.name()]


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def _figures(values: list[float]) -> dict[str, float | int]:
    return {"median": round(statistics.median(values), 4), "max": round(max(values), 4), "n": len(values)}


def main() -> None:
    """Write a run, serve it, measure its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--write", type=Path, help="only write the run under this folder")
    asked = parser.parse_args()
    if asked.write:
        write_run(RunFolder(asked.write / "big"), asked.steps)
        return
    with tempfile.TemporaryDirectory() as runs:
        write_run(RunFolder(Path(runs) / "big"), asked.steps)
        explorer = Explorer(ExploreSettings(port=0, runs=runs))
        started = threading.Event()
        thread = threading.Thread(target=explorer.run_until_told, args=(lambda ready: started.set(),))
        thread.start()
        started.wait()
        try:
            figures = measure(explorer.ready, asked.chromium, asked.repeat)
            num_bytes = len(httpx.get(f"{explorer.ready.url}runs/big/metrics.bin?points=2000").content)
        finally:
            explorer.end()
            thread.join()
        idle = idle_cost(Path(runs), asked.chromium, asked.idle_seconds)
    print(
        json.dumps({"steps": asked.steps, "metrics_bytes": num_bytes, **figures, "open_page_percent_of_a_core": idle})
    )


if __name__ == "__main__":
    main()
