"""What a container, a batch job or a service leaves this process of the machine: Linux control groups, version 2 or 1.

Every group from the process's own up to the root may set a limit, and the tightest one holds. Inside a container the
path that /proc/self/cgroup names may not be visible, but the container's own group stands at the root of what is.
The files: https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class _Memory:
    """Names of one version's files."""

    controller: str
    limit: str
    used: str
    reclaimable: Sequence[str]
    """What counts as used but is given back on demand: files in memory, and the kernel's own caches."""


_MEMORY = (
    _Memory("", "memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    _Memory("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)


def memory_left(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes that the tightest memory limit still leaves, never below 0; None without a limit."""
    left = [_left(group, names) for names in _MEMORY for group in _groups(names.controller, root, own)]
    return min((max(0, num_bytes) for num_bytes in left if num_bytes is not None), default=None)


def cpu_quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Processors' worth of time that the tightest quota pays for; None without one."""
    quotas = [_quota(_words(group / "cpu.max")) for group in _groups("", root, own)]
    for group in _groups("cpu", root, own):
        quotas.append(_quota(_words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us")))
    return min((quota for quota in quotas if quota is not None), default=None)


def _groups(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """This process's group and those above it, for a controller of version 1, or "" for version 2."""
    mount = root / controller
    yield mount
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            inside = Path(path.strip("/"))
            yield from (mount / part for part in (inside, *inside.parents) if part != Path())


def _left(group: Path, names: _Memory) -> int | None:
    limit, used = _words(group / names.limit), _words(group / names.used)
    if not limit or not used or limit == ["max"]:
        return None
    stat = dict(line.split() for line in _text(group / "memory.stat").splitlines())
    return int(limit[0]) - int(used[0]) + sum(int(stat.get(name, 0)) for name in names.reclaimable)


def _quota(words: list[str]) -> float | None:
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    return int(words[0]) / int(words[1])


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    """The file's text; empty where there is none, as outside of Linux and where the version is another."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
