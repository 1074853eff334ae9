"""The two commands that a stranger types, on a fresh clone in a fresh environment: prints JSON.

    python benchmarks/fresh_clone.py [--repository .] [--folder DIR] [--targets test demo]

Clones into DIR, types `make test` and `make demo` there, and reads what they left: the seconds that each took and those
of its environment, pytest's own summary, and of the demo when its first loss was recorded after the environment stood.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any


def typed(clone: Path, target: str) -> dict[str, Any]:
    """Type a target of the Makefile in a clone, without this process's own environment of Python."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    installed = clone / ".venv" / "installed"
    before = installed.stat().st_mtime if installed.is_file() else None
    began = time.time()
    ended = subprocess.run(
        ["make", target], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found: dict[str, Any] = {"status": ended.returncode, "seconds": round(time.time() - began, 1)}
    stands = installed.stat().st_mtime if installed.is_file() else None
    if stands is not None and stands != before:
        found["environment_seconds"] = round(stands - began, 1)
    found["stood"] = max(began, stands or began)
    found["last_lines"] = ended.stdout.strip().splitlines()[-1 if ended.returncode == 0 else -20 :]
    return found


def demo_figures(clone: Path, stood: float) -> dict[str, Any]:
    """What the demo's own records say."""
    connection = sqlite3.connect(f"file:{clone / 'runs' / 'demo' / 'run.db'}?mode=ro", uri=True)
    try:
        first, steps, speed = connection.execute(
            "SELECT MIN(time), COUNT(*), AVG(tokens_per_second) FROM steps"
        ).fetchone()
        bpb = connection.execute(
            "SELECT value FROM evals WHERE metric = 'bits_per_byte' AND source = 'all' ORDER BY id DESC LIMIT 1"
        ).fetchone()
    finally:
        connection.close()
    return {
        "first_loss_seconds": round(first - stood, 1),
        "steps": steps,
        "mean_tokens_per_second": round(speed),
        "bits_per_byte": bpb and round(bpb[0], 4),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", default=".")
    parser.add_argument("--folder", type=Path, default=None, help="where to clone; a temporary folder unless given")
    parser.add_argument("--targets", nargs="+", choices=["test", "demo"], default=["test", "demo"])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fresh-", dir=arguments.folder))
    try:
        clone = folder / "coldframe"
        subprocess.run(["git", "clone", "--quiet", arguments.repository, str(clone)], check=True)
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = {"commit": commit.stdout.strip()}
        for target in arguments.targets:
            found[target] = typed(clone, target)
            stood = found[target].pop("stood")
            if target == "demo" and found[target]["status"] == 0:
                found[target] |= demo_figures(clone, stood)
        print(json.dumps(found))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
