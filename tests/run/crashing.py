"""A disk that loses power: which states it may be in after a crash, by what was flushed and what was not.

`JournalDisk` does everything for real and keeps beside it a small model of what is safe. A file's bytes are safe once
the file was flushed, a name (made, renamed, removed) once its folder was. After a crash, each name that is not safe may
or may not have happened, and bytes that are not safe may be whole, missing, cut off or garbage.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from coldframe.run.checkpoints import Disk


@dataclass(eq=False)
class File:
    """A file's bytes: as read now, and as they stand on the disk for good."""

    now: bytes
    safe: bytes | None = None

    def survivors(self) -> list[bytes]:
        """What may be in it after a crash."""
        if self.safe == self.now:
            return [self.now]
        garbage = bytes(255 - byte for byte in self.now)
        return [self.now, self.now[: len(self.now) // 2], garbage, self.safe or b""]


@dataclass(eq=False)
class Folder:
    """A folder's names: as they are now, as they stand for good, and the changes between the two, in order."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, str]] = field(default_factory=list)
    made: dict[str, list[File | Folder]] = field(default_factory=dict)

    def survivors(self) -> list[dict[str, File | Folder]]:
        """Which names may stand in it after a crash."""
        found = []
        for happened in _subsets(len(self.pending)):
            made = {name: iter(nodes) for name, nodes in self.made.items()}
            names = dict(self.safe)
            for (old, new), did in zip(self.pending, happened, strict=True):
                node = next(made[new]) if old == "" else None
                if not did:
                    continue
                if node is not None:
                    names[new] = node
                elif new == "":
                    names.pop(old, None)
                elif old in names:
                    names[new] = names.pop(old)
            if names not in found:
                found.append(names)
        return found


def _subsets(count: int) -> list[tuple[bool, ...]]:
    """Which of the unsafe changes happened: every choice of a few; of many, each beginning and all but each one."""
    if count <= 3:
        return list(itertools.product((False, True), repeat=count))
    beginnings = [tuple(i < stop for i in range(count)) for stop in range(count + 1)]
    return beginnings + [tuple(i != left_out for i in range(count)) for left_out in range(count)]


class JournalDisk(Disk):
    """Does what a disk does in `root`; lists after each act, and amid those not atomic, what a crash may leave."""

    def __init__(self, root: Path) -> None:
        self.root, self.acts = root, 0
        self.tree = _scan(root)
        self.states: list[dict[str, bytes]] = []
        self._seen: set[int] = set()
        self._note()

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        super().make_folder(path)
        self._link(path, Folder())
        self._done()

    def write(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write a file; a crash amid it leaves a part, which is among what an unflushed file may hold anyway."""
        super().write(path, write)
        parent, now = self._folder(path.parent), path.read_bytes()
        known = parent.now.get(path.name)
        if isinstance(known, File):
            known.now = now
        else:
            self._link(path, File(now))
        self._done()

    def flush(self, path: Path) -> None:
        """Make a file's bytes or a folder's names safe."""
        if path.is_dir():
            folder = self._folder(path)
            folder.safe, folder.pending, folder.made = dict(folder.now), [], {}
        else:
            file = self._folder(path.parent).now[path.name]
            assert isinstance(file, File)
            file.safe = file.now
        self._done()

    def rename(self, old: Path, new: Path) -> None:
        """Change a name within a folder."""
        super().rename(old, new)
        assert old.parent == new.parent
        folder = self._folder(old.parent)
        folder.now[new.name] = folder.now.pop(old.name)
        folder.pending.append((old.name, new.name))
        self._done()

    def remove(self, path: Path) -> None:
        """Delete a file, or a folder's files one by one and then the folder."""
        if path.is_dir():
            for inner in sorted(path.iterdir(), reverse=True):
                self._unlink(inner)
        self._unlink(path)
        super().remove(path)
        self._done()

    def _link(self, path: Path, node: File | Folder) -> None:
        folder = self._folder(path.parent)
        folder.now[path.name] = node
        folder.pending.append(("", path.name))
        folder.made.setdefault(path.name, []).append(node)

    def _unlink(self, path: Path) -> None:
        folder = self._folder(path.parent)
        del folder.now[path.name]
        folder.pending.append((path.name, ""))
        self._note()

    def _folder(self, path: Path) -> Folder:
        node: File | Folder = self.tree
        for part in path.relative_to(self.root).parts:
            assert isinstance(node, Folder)
            node = node.now[part]
        assert isinstance(node, Folder)
        return node

    def _done(self) -> None:
        self.acts += 1
        self._note()

    def _note(self) -> None:
        for state in _survivors(self.tree, ""):
            key = hash(frozenset(state.items()))
            if key not in self._seen:
                self._seen.add(key)
                self.states.append(state)


class FailingDisk(Disk):
    """Fails at its n-th act with an error of the system's, as a full or dying disk does."""

    def __init__(self, fail_at: int, error: int) -> None:
        self.left, self.error = fail_at, error

    def _act(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(self.error, "made to fail")

    def make_folder(self, path: Path) -> None:
        """Make a folder, or fail."""
        self._act()
        super().make_folder(path)

    def write(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write a file; failing leaves a part of it."""
        write(path)
        try:
            self._act()
        except OSError:
            path.write_bytes(path.read_bytes()[:10])
            raise

    def flush(self, path: Path) -> None:
        """Flush, or fail."""
        self._act()

    def rename(self, old: Path, new: Path) -> None:
        """Rename, or fail."""
        self._act()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        """Remove, or fail."""
        self._act()
        super().remove(path)


def put(state: dict[str, bytes], root: Path) -> None:
    """Make a folder hold exactly what a crash left."""
    for name, content in state.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _scan(root: Path) -> Folder:
    folder = Folder()
    for path in root.iterdir():
        content = path.read_bytes() if path.is_file() else b""
        folder.now[path.name] = _scan(path) if path.is_dir() else File(content, content)
    folder.safe = dict(folder.now)
    return folder


def _survivors(folder: Folder, prefix: str) -> Iterator[dict[str, bytes]]:
    """Every combination of what may be left, as {path: bytes}; a folder's path ends with a slash."""
    for names in folder.survivors():
        choices: list[list[dict[str, bytes]]] = []
        for name, node in names.items():
            path = f"{prefix}{name}"
            if isinstance(node, File):
                choices.append([{path: content} for content in node.survivors()])
            else:
                choices.append([{f"{path}/": b"", **inner} for inner in _survivors(node, f"{path}/")])
        for combination in itertools.product(*choices):
            yield {path: content for part in combination for path, content in part.items()}
