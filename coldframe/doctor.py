"""What `coldframe doctor` does: looks at this machine and says what works, what is missing and what to type.

A check fails only when training cannot work like this. What is merely missing (a compiler, a GPU, an optional package)
passes, with advice. Packages are imported inside the checks that need them, so that one that is missing is found rather
than stumbled over.
"""

from __future__ import annotations

import dataclasses
import fcntl
import platform
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coldframe
from coldframe.errors import ColdframeError
from coldframe.settings import PageSettings, PlanSettings, TrainSettings

if TYPE_CHECKING:
    from coldframe.corpus.sources import Source
    from coldframe.hardware import Hardware
    from coldframe.model.memory import MemoryNeed

OLDEST_PYTHON = (3, 11)
#: What the core cannot do without, as Python imports it.
REQUIRED = ("torch", "numpy", "safetensors", "tyro", "tomli_w", "rich", "fastapi", "uvicorn", "rustbpe", "tiktoken",
            "xxhash", "orjson", "psutil")
#: What the core does without: package as pip knows it -> module, what it is for.
OPTIONAL = {
    "pyarrow": ("pyarrow", "reads .parquet files as a source: pip install pyarrow"),
    "nvidia-ml-py": ("pynvml", "reads an NVIDIA card's temperature, power and energy: pip install nvidia-ml-py"),
}
#: File systems on which SQLite's shared memory or the kernel's locks do not hold between processes or machines.
NETWORK_FILE_SYSTEMS = frozenset({
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "drvfs", "afs", "ceph", "lustre", "gpfs", "beegfs",
    "glusterfs", "orangefs", "ncpfs", "ocfs2", "gfs2", "davfs", "vboxsf", "prl_fs", "fuse.sshfs", "fuse.rclone",
    "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs2", "fuse.curlftpfs",
    "fuse.smbnetfs", "fuse.juicefs", "fuse.vmhgfs-fuse", "fuse.goofys", "fuse.blobfuse2",
})
#: The pages' chart library, beside explore/static/vendor.
VENDORED = ("uPlot.esm.js", "uPlot.min.css")
_DEPTHS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48)
_ON_THE_CPU = "train with --device cpu, or install a torch and a driver that know this card"
_ELSEWHERE = "keep runs on another disk: --runs FOLDER"
_INSTALL = "install coldframe's pinned requirements again (make demo does)"
_ROUND_TRIP = "A cold frame: 21 seedlings, naïve café, 霜, 🌱\n\n\t<|bos|> stays text.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorVerb:
    """Look at this machine: what it can do, what is missing, what to type."""

    runs: Path = Path("runs")
    """Folder of all runs; it need not exist yet."""
    json: bool = False
    """End with one line of JSON on standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one look found; `ok` is false only when training cannot work like this."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def examine(verb: DoctorVerb) -> dict[str, Any]:
    """Every check: {ok, checks: [{name, ok, detail, advice}]}."""
    checks = [check_python(), check_packages()]
    if all(check.ok for check in checks):
        checks.append(check_torch())
        checks += _machine_checks(verb.runs) if checks[-1].ok else []
    return {"ok": all(check.ok for check in checks), "checks": [dataclasses.asdict(check) for check in checks]}


def _machine_checks(runs: Path) -> list[Check]:
    """Everything that needs the required packages."""
    from coldframe.hardware import detect

    folder = nearest_folder(runs)
    try:
        hardware = detect()
        checks = [check_device(hardware)]
    except RuntimeError as error:  # a card that is there and does not answer
        hardware = detect("cpu")
        checks = [Check(name="device", ok=False, detail=_first_line(error), advice=_ON_THE_CPU)]
    checks += [check_memory(hardware), check_runs(runs), check_disk(folder, hardware), check_file_system(folder)]
    checks += [in_runs_folder("sqlite", folder, check_sqlite), in_runs_folder("lock", folder, check_lock)]
    return [
        *checks, check_compile(hardware), check_corpus(), check_tokenizer(), check_pages(), check_port(),
        check_host_name(socket.gethostname()), *(check_optional(package) for package in OPTIONAL),
    ]


def check_python() -> Check:
    """Whether this Python is new enough."""
    needed = ".".join(map(str, OLDEST_PYTHON))
    ok = sys.version_info >= OLDEST_PYTHON
    advice = "" if ok else f"coldframe needs Python {needed} or newer: make demo PYTHON=/path/to/python{needed}"
    return Check(name="python", ok=ok, detail=f"{platform.python_version()} ({sys.executable})", advice=advice)


def check_packages(required: Sequence[str] = REQUIRED) -> Check:
    """Whether the required packages are there; imports none of them."""
    missing = [name for name in required if find_spec(name) is None]
    if missing:
        return Check(name="packages", ok=False, detail=f"missing: {', '.join(missing)}", advice=_INSTALL)
    return Check(name="packages", ok=True, detail=f"all {len(required)} required packages are installed")


def check_torch() -> Check:
    """Whether torch can be imported, and what it was built for."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that the loader does not find
        return Check(name="torch", ok=False, detail=f"cannot be imported: {error}", advice=_INSTALL)
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU alone"
    advice = ""
    if not torch.version.cuda and shutil.which("nvidia-smi"):
        advice = "this machine seems to have an NVIDIA card: a torch built for CUDA would train on it"
    return Check(name="torch", ok=True, detail=f"{torch.__version__}, {built}", advice=advice)


def check_device(hardware: Hardware) -> Check:
    """What would train, and whether it really computes."""
    import torch

    if hardware.device == "cpu":
        kind = torch.backends.cpu.get_cpu_capability() + (" with bfloat16 products" if hardware.bfloat16 else "")
        detail = f"{hardware.name}, {hardware.num_cores} core(s), {kind}; no GPU"
        return Check(name="device", ok=True, detail=detail, advice=about_quota(hardware.num_cores))
    dtype = torch.bfloat16 if hardware.bfloat16 else torch.float32
    detail = f"{hardware.name}, {'bfloat16' if hardware.bfloat16 else 'float32 (no bfloat16)'}"
    try:
        ones = torch.ones(64, 64, dtype=dtype, device="cuda")
        works = bool((ones @ ones == 64).all())
    except RuntimeError as error:  # a driver that is too old, a card that this torch has no kernels for
        works, detail = False, f"{detail}: {_first_line(error)}"
    return Check(name="device", ok=works, detail=detail, advice="" if works else _ON_THE_CPU)


def about_quota(num_cores: int, limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> str:
    """What to do when a container may use fewer processors than it sees: threads would wait for each other."""
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        allowed = float(quota) / float(period)
    except (OSError, ValueError):  # no such limit, or "max"
        return ""
    if allowed >= num_cores:
        return ""
    return f"this container may use {allowed:g} of them: give --set plan.threads={max(1, int(allowed))}"


def _first_line(error: RuntimeError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_memory(hardware: Hardware) -> Check:
    """How much is free and which depth it is enough for."""
    from coldframe.plan import gib

    fitting = [depth for depth in _DEPTHS if _need(hardware, depth)[1]]
    where = "on the card" if hardware.device == "cuda" else "in the system"
    detail = f"{gib(hardware.free_memory)} free {where}"
    if not fitting:
        needed = gib(_need(hardware, 1)[0].total)
        return Check(name="memory", ok=False, detail=detail, advice=f"depth 1 needs {needed}: end other programs")
    usual = 12 if hardware.device == "cuda" else 4
    advice = "" if fitting[-1] >= usual else f"less than depth {usual} needs: give --depth {fitting[-1]}"
    return Check(name="memory", ok=True, detail=f"{detail}, enough for depth {fitting[-1]}", advice=advice)


def _need(hardware: Hardware, depth: int) -> tuple[MemoryNeed, bool]:
    """A depth's memory, and whether it fits here."""
    from coldframe.plan import make_plan

    reasoned = make_plan(PlanSettings(depth=depth), hardware)
    return reasoned.memory, reasoned.plan.fits


def check_runs(runs: Path) -> Check:
    """Whether the runs folder is one, or can become one."""
    folder = nearest_folder(runs)
    if folder == runs.absolute():
        return Check(name="runs folder", ok=True, detail=str(folder))
    in_the_way = folder / runs.absolute().relative_to(folder).parts[0]
    if in_the_way.exists():
        detail = f"{in_the_way} is a file"
        return Check(name="runs folder", ok=False, detail=detail, advice="name another folder: --runs FOLDER")
    return Check(name="runs folder", ok=True, detail=f"{runs.absolute()} does not exist yet; training makes it")


def check_disk(folder: Path, hardware: Hardware) -> Check:
    """Whether the checkpoints of a usual run have room where the runs are kept."""
    from coldframe.plan import gib

    free = shutil.disk_usage(folder).free
    detail = f"{gib(free)} free under {folder}"
    small, usual = (_run_bytes(_need(hardware, depth)[0]) for depth in (1, 12 if hardware.device == "cuda" else 4))
    if free < small:
        return Check(name="disk", ok=False, detail=detail, advice=f"free some space, or {_ELSEWHERE}")
    advice = "" if free >= usual else f"a run of the usual depth keeps {gib(usual)}: free some space, or {_ELSEWHERE}"
    return Check(name="disk", ok=True, detail=detail, advice=advice)


def _run_bytes(need: MemoryNeed) -> int:
    """What a run keeps: whole checkpoints, one more while it is written, the best weights, two published ones."""
    whole = TrainSettings().keep_last + 1
    return (whole + 3) * need.parameters + whole * need.optimizer


def nearest_folder(runs: Path) -> Path:
    """The runs folder, or what it would be made in."""
    path = runs.absolute()
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def check_file_system(folder: Path, mount_table: Path = Path("/proc/mounts")) -> Check:
    """Whether the runs folder is on a disk of this machine."""
    try:
        mounts = mount_table.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return Check(name="file system", ok=True, detail=f"not known here: there is no {mount_table}")
    kind, mount = file_system_of(folder, mounts)
    detail = f"{folder} is on {kind} ({mount})"
    if kind in NETWORK_FILE_SYSTEMS:
        advice = "SQLite's log and locks need a local disk: --runs FOLDER on one"
        return Check(name="file system", ok=False, detail=f"{detail}, which is not a local disk", advice=advice)
    return Check(name="file system", ok=True, detail=detail)


def file_system_of(folder: Path, mounts: str) -> tuple[str, str]:
    """The kind and mount point of the file system that holds a folder, from the text of /proc/mounts."""
    found = ("an unknown file system", "no mount point")
    longest = -1
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), parts[1])
        depth = len(Path(mount).parts)
        if folder.resolve().is_relative_to(mount) and depth >= longest:  # of two in one place the later one counts
            found, longest = (parts[2], mount), depth
    return found


def in_runs_folder(name: str, folder: Path, look: Callable[[Path], Check]) -> Check:
    """A check that writes, in a temporary folder where the runs are or would be."""
    try:
        with tempfile.TemporaryDirectory(prefix=".coldframe-doctor-", dir=folder) as scratch:
            return look(Path(scratch))
    except OSError as error:
        detail = f"cannot write under {folder}: {error.strerror or error}"
        return Check(name=name, ok=False, detail=detail, advice="keep runs where you may write: --runs FOLDER")


def check_sqlite(scratch: Path) -> Check:
    """Whether SQLite's write-ahead log works here: one connection writes, another reads meanwhile."""
    path = scratch / "check.db"
    try:
        writer, reader = sqlite3.connect(path, isolation_level=None), sqlite3.connect(path, isolation_level=None)
        try:
            mode = str(writer.execute("PRAGMA journal_mode=WAL").fetchone()[0])
            writer.execute("CREATE TABLE kept (number INTEGER)")
            writer.execute("INSERT INTO kept VALUES (1)")
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO kept VALUES (2)")
            seen = reader.execute("SELECT count(*) FROM kept").fetchone()[0]
            writer.execute("COMMIT")
        finally:
            writer.close()
            reader.close()
    except sqlite3.Error as error:
        return Check(name="sqlite", ok=False, detail=f"write-ahead log does not work: {error}", advice=_ELSEWHERE)
    if mode != "wal" or seen != 1:
        return Check(name="sqlite", ok=False, detail=f"no write-ahead log: journal mode is {mode}", advice=_ELSEWHERE)
    return Check(name="sqlite", ok=True, detail=f"{sqlite3.sqlite_version}, write-ahead log works")


def check_lock(scratch: Path) -> Check:
    """Whether a lock on a file keeps a second trainer out."""
    path = scratch / "check.lock"
    with open(path, "w", encoding="utf-8") as first, open(path, encoding="utf-8") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return Check(name="lock", ok=False, detail=f"files cannot be locked: {error.strerror}", advice=_ELSEWHERE)
        try:
            fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Check(name="lock", ok=True, detail="a lock on a file keeps others out")
    return Check(name="lock", ok=False, detail="a lock on a file does not keep others out", advice=_ELSEWHERE)


def check_host_name(name: str) -> Check:
    """Whether the machine's own name leads to an address: torchrun's processes find each other by it."""
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        detail = f"{name} leads to no address ({error.strerror or error})"
        advice = f"torchrun waits for it: add the line 127.0.1.1 {name} to /etc/hosts"
        return Check(name="host name", ok=True, detail=detail, advice=advice)
    return Check(name="host name", ok=True, detail=f"{name} leads to an address")


def check_compile(hardware: Hardware) -> Check:
    """Whether torch.compile has what it needs; training works without."""
    needs = "triton" if hardware.device == "cuda" else "a C++ compiler"
    if hardware.compiles:
        return Check(name="compile", ok=True, detail=f"{needs} is there")
    if hardware.device == "cuda":
        advice = "training works without, about a third slower; triton comes with torch for Linux"
    else:
        advice = "training works as fast without; for plan.compile=on: apt install g++"
    return Check(name="compile", ok=True, detail=f"{needs} is missing", advice=advice)


def check_corpus(sources: Sequence[Source] = ()) -> Check:
    """Which sources of the embedded corpus are there, with the text that is expected of them."""
    from coldframe.corpus.sources import EMBEDDED, open_source

    sources = sources or EMBEDDED
    there, num_bytes, missing = 0, 0, []
    for source in sources:
        try:
            num_bytes += open_source(source).num_bytes
            there += 1
        except ColdframeError as error:
            missing.append(f"{source.name}: {error.message}")
    detail = f"{there} of {len(sources)} embedded sources, {num_bytes / 1e6:.0f} MB of files"
    if not missing:
        return Check(name="corpus", ok=True, detail=detail)
    advice = f"{_INSTALL}, or train on text of your own"
    return Check(name="corpus", ok=True, detail=f"{detail}; {'; '.join(missing)}", advice=advice)


def check_tokenizer() -> Check:
    """Whether a tokenizer can be trained and gives back every byte."""
    from coldframe.tokens.tokenizer import SMALLEST, Tokenizer

    tokenizer = Tokenizer.train([_ROUND_TRIP], SMALLEST)
    if tokenizer.decode(tokenizer.encode(_ROUND_TRIP)) == _ROUND_TRIP:
        return Check(name="tokenizer", ok=True, detail="text to tokens and back, without loss")
    return Check(name="tokenizer", ok=False, detail="text changes on the way to tokens and back", advice=_INSTALL)


def check_pages() -> Check:
    """Whether the explorer's chart library is in the package."""
    vendor = Path(coldframe.__file__).parent / "explore" / "static" / "vendor"
    missing = [name for name in VENDORED if not (vendor / name).is_file()]
    if not missing:
        return Check(name="pages", ok=True, detail="the chart library is in the package")
    advice = "training works; for the pages' charts, build the package again: pip install -e . (it fetches them once)"
    return Check(name="pages", ok=True, detail=f"missing: {', '.join(missing)}", advice=advice)


def check_port(page: PageSettings = PageSettings()) -> Check:  # noqa: B008 (frozen)
    """Whether the explorer's port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((page.host, page.port))
        except OSError as error:
            detail = f"{page.host}:{page.port} cannot be had: {error.strerror}"
            advice = "perhaps an explorer is open there already; train --explore and explore --port 0 take a free one"
            return Check(name="port", ok=True, detail=detail, advice=advice)
    return Check(name="port", ok=True, detail=f"{page.host}:{page.port} is free for the explorer")


def check_optional(package: str) -> Check:
    """Whether an optional package is there."""
    module, purpose = OPTIONAL[package]
    if find_spec(module) is None:
        return Check(name=package, ok=True, detail="not installed; not needed", advice=purpose)
    try:
        return Check(name=package, ok=True, detail=metadata.version(package))
    except metadata.PackageNotFoundError:
        return Check(name=package, ok=True, detail="there, its version is not known")
