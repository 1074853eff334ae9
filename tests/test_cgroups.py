"""What a container or a job leaves: in files as the kernel writes them, and where possible in a real group."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldframe.cgroups import cpu_quota, memory_left

MIB = 2**20


def make(group: Path, **files: object) -> None:
    """A group's folder with files of these names (a double underscore stands for a dot)."""
    group.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (group / name.replace("__", ".")).write_text(f"{content}\n")


def test_no_groups_mean_no_limit(tmp_path: Path) -> None:
    assert memory_left(tmp_path / "none", tmp_path / "none") is None
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None


def test_version_2_the_tightest_group_holds_and_files_in_memory_are_not_used(tmp_path: Path) -> None:
    """As a batch job sees it: the job's group has a limit, the step's inside it has none of its own."""
    own = tmp_path / "own"
    own.write_text("0::/system.slice/job_7/step_0\n")
    make(tmp_path, cpu__stat="usage_usec 5")  # the root group has no limits
    job = tmp_path / "system.slice" / "job_7"
    stat = f"anon {300 * MIB}\ninactive_file {100 * MIB}\nactive_file {50 * MIB}\nslab_reclaimable {20 * MIB}"
    make(job, memory__max=1000 * MIB, memory__current=500 * MIB, memory__stat=stat, cpu__max="350000 100000")
    make(job / "step_0", memory__max="max", memory__current=400 * MIB, memory__stat=stat, cpu__max="max 100000")
    assert memory_left(tmp_path, own) == 670 * MIB
    assert cpu_quota(tmp_path, own) == 3.5
    make(job / "step_0", memory__max=450 * MIB, memory__stat="anon 1", cpu__max="50000 100000")
    assert memory_left(tmp_path, own) == 50 * MIB
    assert cpu_quota(tmp_path, own) == 0.5


def test_version_2_inside_a_container_the_root_is_its_group(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    make(tmp_path, memory__max=100 * MIB, memory__current=120 * MIB, memory__stat="anon 1", cpu__max="200000 100000")
    assert memory_left(tmp_path, own) == 0
    assert cpu_quota(tmp_path, own) == 2.0


def test_version_1_counts_the_groups_below_too(tmp_path: Path) -> None:
    """The container's path of the host is not visible inside; what is mounted is its own group."""
    own = tmp_path / "own"
    own.write_text("4:memory:/docker/4f2a\n2:cpu,cpuacct:/docker/4f2a\n0::/\n")
    stat = f"inactive_file {9 * MIB}\ntotal_inactive_file {30 * MIB}\ntotal_active_file {10 * MIB}"
    limit, used = {"memory__limit_in_bytes": 500 * MIB}, {"memory__usage_in_bytes": 200 * MIB}
    make(tmp_path / "memory", **limit, **used, memory__stat=stat)
    make(tmp_path / "cpu", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert memory_left(tmp_path, own) == 340 * MIB
    assert cpu_quota(tmp_path, own) is None
    make(tmp_path / "cpu", cpu__cfs_quota_us=150000)
    assert cpu_quota(tmp_path, own) == 1.5


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A group of 600 MiB and half a processor that the kernel itself enforces, version 1."""
    memory, cpu = (Path("/sys/fs/cgroup") / name / f"coldframe-test-{os.getpid()}" for name in ("memory", "cpu"))
    try:
        memory.mkdir()
        cpu.mkdir()
        (memory / "memory.limit_in_bytes").write_text(str(600 * MIB))
        (cpu / "cpu.cfs_quota_us").write_text("50000")
    except OSError as error:
        for folder in (memory, cpu):
            if folder.is_dir():
                folder.rmdir()
        pytest.skip(f"control groups of version 1 cannot be made here: {error}")
    yield memory
    for folder in (memory, cpu):
        folder.rmdir()


def test_a_process_in_a_real_group_sees_what_is_left(real_group: Path) -> None:
    told = (
        "import os, sys\n"
        "for group in sys.argv[1:]: open(f'{group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from coldframe.hardware import detect, num_cores\n"
        "print(detect('cpu').free_memory, num_cores())"
    )
    groups = [str(real_group), str(real_group).replace("/memory/", "/cpu/")]
    done = subprocess.run([sys.executable, "-c", told, *groups], capture_output=True, text=True, check=True)
    free, cores = map(int, done.stdout.split())
    assert 300 * MIB < free <= 600 * MIB and cores == 1
