"""Setting up says in one line what is missing and what to type, and does nothing twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("setup", "pyproject.toml", "constraints.txt", "hatch_build.py", "package-lock.json", "Makefile")
PROGRAMS = ("sh", "sed", "cat", "tr", "cksum", "dirname", "rm", "id", "make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What setting up reads, in a folder of its own."""
    for name in NEEDED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, tmp_path / name)
    return tmp_path


@pytest.fixture
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with what every Debian has, and no Python, no apt-get."""
    folder = tmp_path_factory.mktemp("bin")
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def set_up(checkout: Path, path: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    """Run `make environment` with this PATH alone."""
    environment = {"PATH": str(path), "PYTHON": python}
    command = ["make", "--no-print-directory", "environment"]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_no_python(checkout: Path, bare_path: Path) -> None:
    """No Python at all: what was looked for, and what to install."""
    done = set_up(checkout, bare_path)
    assert done.returncode != 0
    said = done.stderr.splitlines()[0]
    assert "no Python 3.11 or newer found" in said
    assert "sudo apt-get install python3 python3-venv" in said


def test_named_python_is_too_old(checkout: Path, bare_path: Path) -> None:
    """The Python that was named is the only one tried, and is named in the answer."""
    old = bare_path / "oldpython"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = set_up(checkout, bare_path, python=str(old))
    assert done.returncode != 0
    assert f"looked for {old}" in done.stderr
    assert not (checkout / ".venv").exists()


def test_python_without_venv(checkout: Path, bare_path: Path) -> None:
    """A Python that cannot make environments, and no apt-get to mend it: one line, and no half-made environment."""
    python = bare_path / "python3"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *print*) echo python3.11-venv;; esac\n')
    python.chmod(0o755)
    done = set_up(checkout, bare_path)
    assert done.returncode != 0
    assert "cannot make environments" in done.stderr.splitlines()[0]
    assert not (checkout / ".venv").exists()


def test_ready_environment_is_left_alone() -> None:
    """In the environment that the suite runs in, setting up once more does nothing and says nothing."""
    if not (ROOT / ".venv" / "installed").exists():
        pytest.skip("the suite does not run from an environment that setup/environment.sh made")
    before = (ROOT / ".venv" / "installed").stat().st_mtime_ns
    command = ["sh", "setup/environment.sh", "test"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (ROOT / ".venv" / "installed").stat().st_mtime_ns == before
