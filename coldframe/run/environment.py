"""What a run was made with: code version, packages, machine; recorded with every segment."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import coldframe

_PACKAGES = ("torch", "numpy", "safetensors", "tiktoken", "rustbpe")


def code_version() -> str:
    """coldframe's version, the hash of its source files and, in a git checkout, the commit."""
    root = Path(coldframe.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(file.read_bytes())
    commit = _git_commit(root)
    return f"{coldframe.__version__}+source.{digest.hexdigest()[:12]}" + (f".git.{commit}" if commit else "")


def environment() -> dict[str, str]:
    """Versions and machine, as plain strings."""
    found = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git_commit(root: Path) -> str:
    if not (root.parent / ".git").exists():  # an installed package inside somebody else's repository is not a checkout
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or "unknown"
    return platform.processor() or "unknown"
