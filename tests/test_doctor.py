"""The doctor: looks at this machine for real, and at made-up ones where this one has nothing wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from coldframe import doctor
from coldframe.corpus.sources import EMBEDDED
from coldframe.doctor import Check, DoctorVerb, examine
from coldframe.hardware import Hardware
from coldframe.plan import make_plan
from coldframe.settings import PageSettings, PlanSettings

CPU = Hardware(device="cpu", name="a processor", free_memory=8 << 30, num_cores=2)
CARD = Hardware(device="cuda", name="a card", free_memory=8 << 30, num_cores=8, bfloat16=True, compiles=True)

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/eva/my\\040disk xfs rw 0 0
//nas/share /mnt/nas cifs rw 0 0
C:\\134 /mnt/c 9p rw 0 0
eva@far:/ /mnt/far fuse.sshfs rw 0 0
tmpfs /mnt/twice tmpfs rw 0 0
server:/other /mnt/twice nfs rw 0 0
"""


def test_this_machine_passes(tmp_path: Path) -> None:
    """A machine that runs this suite can train; the fields are those that programs rely on."""
    found = examine(DoctorVerb(runs=tmp_path / "runs" / "deeper"))
    assert found["ok"], [check for check in found["checks"] if not check["ok"]]
    assert all(set(check) == {"name", "ok", "detail", "advice"} for check in found["checks"])
    names = [check["name"] for check in found["checks"]]
    assert len(set(names)) == len(names)
    assert {"python", "torch", "device", "memory", "disk", "file system", "sqlite", "lock", "compile", "corpus",
            "tokenizer", "pages", "port", "host name"} <= set(names)
    assert list(tmp_path.iterdir()) == [], "the doctor leaves nothing behind, not even the runs folder"


def test_command_line(tmp_path: Path) -> None:
    """`coldframe doctor --json` ends with one JSON object and status 0."""
    done = subprocess.run([sys.executable, "-m", "coldframe", "doctor", "--json", "--runs", str(tmp_path)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["ok"] is True


def test_command_line_where_nothing_works() -> None:
    """A check that fails makes the exit status 1, and the checks are still all there."""
    done = subprocess.run([sys.executable, "-m", "coldframe", "doctor", "--json", "--runs", "/proc/runs"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ok"] is False
    failing = {check["name"] for check in found["checks"] if not check["ok"]}
    assert {"sqlite", "lock"} <= failing
    assert all(check["advice"] for check in found["checks"] if not check["ok"])


@pytest.mark.parametrize(("folder", "kind", "mount"), [
    ("/var/lib", "ext4", "/"),
    ("/home/eva/runs", "nfs4", "/home"),
    ("/home/eva/my disk/runs", "xfs", "/home/eva/my disk"),
    ("/homework", "ext4", "/"),
    ("/mnt/far/runs", "fuse.sshfs", "/mnt/far"),
    ("/mnt/twice", "nfs", "/mnt/twice"),
])
def test_file_system_of(folder: str, kind: str, mount: str) -> None:
    """The deepest mount point holds a folder, and of two in one place the later one."""
    assert doctor.file_system_of(Path(folder), MOUNTS) == (kind, mount)


@pytest.mark.parametrize(("folder", "ok"), [
    ("/var/lib", True), ("/home/eva/runs", False), ("/home/eva/my disk/runs", True), ("/mnt/nas/runs", False),
    ("/mnt/c/runs", False), ("/mnt/far", False),
])
def test_network_folders_are_refused(folder: str, ok: bool, tmp_path: Path) -> None:
    """A database and a lock need a disk of this machine."""
    table = tmp_path / "mounts"
    table.write_text(MOUNTS)
    check = doctor.check_file_system(Path(folder), table)
    assert check.ok is ok
    assert ok or "--runs" in check.advice


def test_without_a_mount_table(tmp_path: Path) -> None:
    """Another system's mounts are not known, and that is said."""
    check = doctor.check_file_system(tmp_path, tmp_path / "nothing")
    assert check.ok and "not known" in check.detail


def test_where_nothing_can_be_written() -> None:
    """A folder that takes no files fails both checks that write."""
    for look in (doctor.check_sqlite, doctor.check_lock):
        check = doctor.in_runs_folder("it", Path("/proc"), look)
        assert not check.ok
        assert "/proc" in check.detail and "--runs" in check.advice


def test_a_name_that_leads_nowhere_is_no_failure_but_is_said() -> None:
    """Only torchrun needs it; names under .invalid never resolve (RFC 2606)."""
    assert doctor.check_host_name("localhost").advice == ""
    check = doctor.check_host_name("seedling.invalid")
    assert check.ok and "seedling.invalid" in check.detail and "/etc/hosts" in check.advice


def test_nearest_folder(tmp_path: Path) -> None:
    """A runs folder that does not exist is judged by where it would be made."""
    assert doctor.nearest_folder(tmp_path / "a" / "b") == tmp_path
    assert doctor.nearest_folder(tmp_path) == tmp_path
    (tmp_path / "file").touch()
    assert doctor.nearest_folder(tmp_path / "file") == tmp_path


def test_runs_folder(tmp_path: Path) -> None:
    """A file where the folder should be is said to be in the way."""
    (tmp_path / "file").touch()
    assert doctor.check_runs(tmp_path).ok
    assert "training makes it" in doctor.check_runs(tmp_path / "a" / "b").detail
    for runs in (tmp_path / "file", tmp_path / "file" / "deeper"):
        check = doctor.check_runs(runs)
        assert not check.ok and check.detail == f"{tmp_path / 'file'} is a file"


@pytest.mark.parametrize(("text", "threads"), [
    ("200000 100000", "2"), ("50000 100000", "1"), ("max 100000", ""), ("1600000 100000", ""), ("", ""),
])
def test_quota(text: str, threads: str, tmp_path: Path) -> None:
    """A container that may use fewer processors than it sees should be told so."""
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    advice = doctor.about_quota(8, limit)
    assert advice.endswith(f"plan.threads={threads}") if threads else advice == ""
    assert doctor.about_quota(8, tmp_path / "nothing") == ""


def test_packages() -> None:
    """A required package that is missing fails, by name; the rest is not looked at then."""
    check = doctor.check_packages(("json", "no_such_package_here"))
    assert not check.ok
    assert check.detail == "missing: no_such_package_here"
    assert doctor.check_packages(("json", "sqlite3")).ok


def test_memory() -> None:
    """Too little for any model fails; too little for the usual one is advised about."""

    def least(depth: int) -> int:
        """What a depth takes at the very least: where nothing fits, the plan is the smallest one."""
        return make_plan(PlanSettings(depth=depth), with_memory(1)).memory.total

    def with_memory(free: int) -> Hardware:
        return Hardware(device="cpu", name="a processor", free_memory=free, num_cores=2)

    found = [doctor.check_memory(with_memory(free)) for free in (least(1) // 2, (least(1) + least(4)) // 2, 64 << 30)]
    assert [(check.ok, bool(check.advice)) for check in found] == [(False, True), (True, True), (True, False)], found


def test_compiler() -> None:
    """Training needs none: a missing one is advice."""
    for hardware in (CPU, CARD):
        without = Hardware(device=hardware.device, name="", free_memory=1, num_cores=1, compiles=False)
        check = doctor.check_compile(without)
        assert check.ok and "missing" in check.detail and check.advice
    assert doctor.check_compile(CARD) == Check(name="compile", ok=True, detail="triton is there")


def test_disk(tmp_path: Path) -> None:
    """The free space is what the folder's disk has."""
    check = doctor.check_disk(tmp_path, CPU)
    assert check.ok and str(tmp_path) in check.detail


def test_missing_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded source that this machine lacks is named; training on one's own text still works."""
    monkeypatch.setitem(sys.modules, "bible", None)  # Python's own way of saying that a module cannot be imported
    check = doctor.check_corpus(EMBEDDED[:2])
    assert check.ok
    assert check.detail.startswith("1 of 2 embedded sources") and "king-james" in check.detail
    assert check.advice


def test_port() -> None:
    """A port in use is no failure: there is another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = PageSettings(port=taken.getsockname()[1])
        check = doctor.check_port(page)
        assert check.ok and "cannot be had" in check.detail and check.advice
    assert "free" in doctor.check_port(page).detail


def test_optional_packages() -> None:
    """What is there is shown with its version."""
    assert doctor.check_optional("pyarrow").advice == ""
    assert all(doctor.check_optional(name).ok for name in doctor.OPTIONAL)


@pytest.mark.gpu
def test_card() -> None:
    """A card multiplies."""
    from coldframe.hardware import detect

    assert doctor.check_device(detect("cuda")).ok
