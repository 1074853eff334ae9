"""A dataset's repository, wherever it lies: on the hub, in the hub's cache on this machine, or as a folder."""

from __future__ import annotations

import importlib
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, cast

from coldframe.corpus.hub.choosing import Wanted, chosen
from coldframe.errors import DependencyError, SettingsError, SourceError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./+-]{0,199}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_OF_SEVERAL = re.compile(r"(.*)-(\d{5})-of-(\d{5})(.*)")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", re.IGNORECASE)
_CARD = 1 << 20
_BLOCK = 1 << 22
"""Bytes that are fetched at once of a file that is read from its beginning to its end."""
_SMALL_BLOCK = 1 << 18
_TRIES = 3
MOST_UNASKED = 20_000_000_000
"""Bytes of files from which on a source has to say how much of them it wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a repository."""

    name: str
    size: int
    known_as: str
    """What changes when its content does: a hash, or of a folder's file its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A dataset at one commit, and the files of it that are wanted."""

    dataset: str
    """How it is called: owner/name, or the folder."""
    commit: str
    """Empty of a folder."""
    folder: str
    """Where it lies on this machine; empty when it is read over the network."""
    files: tuple[File, ...]
    how: str
    """How the files were chosen, for people."""

    @property
    def num_bytes(self) -> int:
        """Bytes of the files."""
        return sum(file.size for file in self.files)

    def opener(self, file: File) -> Callable[[], IO[bytes]]:
        """What opens a file as it stands there; it can be sought in."""
        if self.folder:
            return lambda: Path(self.folder, file.name).open("rb")
        path = f"datasets/{self.dataset}@{self.commit}/{file.name}"
        return partial(_fetched, path, file.size, f"{self.dataset}: {file.name}")


def is_folder(hub: str) -> bool:
    """Whether a source's `hub` is a folder rather than a dataset's name."""
    return hub.startswith(("/", "./", "../", "~")) or hub in (".", "..")


def check_names(name: str, hub: str, revision: str) -> None:
    """Raises SettingsError when no dataset or revision can be called so; `name` is the source's."""
    if not is_folder(hub) and (not _NAME.fullmatch(hub) or ".." in hub or "--" in hub or hub.endswith((".", ".git"))):
        raise SettingsError(
            f"source {name!r} has the hub {hub!r}, which is no dataset's name",
            advice="write owner/name as on the hub's page, or a folder with ./ or / before it",
        )
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise SettingsError(
            f"source {name!r} has the revision {revision!r}", advice="give a branch, a tag or a commit's hash"
        )


def amount(value: int | str | None) -> int | None:
    """Bytes as a source says them: 2000000000, "2GB" (10^9) or "2GiB" (2^30).

    Raises:
        SettingsError: for anything else.
    """
    if value is None:
        return None
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        value = int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2].upper() or " "))
    if not isinstance(value, int) or value <= 0:
        raise SettingsError(f"bytes is {value!r}", advice='give a number of bytes, or "2GB" or "500MB"')
    return value


def open_repository(hub: str, revision: str, wanted: Wanted, *, is_limited: bool) -> Repository:
    """The files that are wanted of a dataset: from the hub, or while that cannot be reached from its cache.

    Raises:
        SourceError: when there is no such dataset or file, or too much without a limit.
        DependencyError: when huggingface_hub is missing.
    """
    if is_folder(hub):
        folder = Path(hub).expanduser()
        if not folder.is_dir():
            raise SourceError(f"there is no folder {folder}", advice="a dataset on the hub is written owner/name")
        found = _of_folder(folder, hub, "", wanted)
    else:
        found = _of_hub(hub, revision or "main", wanted)
    if found.num_bytes > MOST_UNASKED and not is_limited:
        raise SourceError(
            f"{found.dataset}: {found.how}, {len(found.files):,} files, are {found.num_bytes / 1e9:,.1f} GB",
            advice='say how much of the text is wanted: bytes = "2GB"',
        )
    return found


def _of_folder(folder: Path, dataset: str, commit: str, wanted: Wanted) -> Repository:
    names = []
    for at, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [Path(at, name).relative_to(folder).as_posix() for name in files if Path(at, name).is_file()]
    card = folder / "README.md"
    text = card.read_bytes()[:_CARD].decode("utf-8", "replace") if "README.md" in names else ""
    picked, how = chosen(names, text, wanted, dataset)
    found = []
    for name in picked:
        stat = Path(folder, name).stat()
        blob = os.path.basename(os.path.realpath(folder / name)) if commit else str(stat.st_mtime_ns)
        found.append(File(name=name, size=stat.st_size, known_as=blob))
    return Repository(dataset=dataset, commit=commit, folder=str(folder.absolute()), files=tuple(found), how=how)


def _of_hub(dataset: str, revision: str, wanted: Wanted) -> Repository:
    hub = hub_module()
    errors = importlib.import_module("huggingface_hub.errors")
    if hub.constants.HF_HUB_OFFLINE:
        return _of_cache(dataset, revision, wanted, "HF_HUB_OFFLINE is set")
    try:
        commit = str(hub.HfApi().dataset_info(dataset, revision=revision).sha)
        root = f"datasets/{dataset}@{commit}"
        tree = _system().find(root, detail=True)
        files = {
            path.removeprefix(f"{root}/"): File(
                name=path.removeprefix(f"{root}/"), size=int(at["size"] or 0), known_as=_hash(at)
            )
            for path, at in tree.items()
        }
        card = ""
        if "README.md" in files:
            file = files["README.md"]
            with _fetched(f"{root}/README.md", file.size, f"{dataset}: README.md") as content:
                card = content.read(_CARD).decode("utf-8", "replace")
    except errors.GatedRepoError as error:
        raise SourceError(
            f"the dataset {dataset} is gated", advice="accept its terms on its page, then set HF_TOKEN to your token"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"the hub knows no dataset {dataset!r} that is open to you",
            advice="check the name; for one of your own that is private set HF_TOKEN",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(
            f"the dataset {dataset} has no revision {revision!r}", advice="leave it out for main"
        ) from error
    except network_errors() as error:
        return _of_cache(dataset, revision, wanted, f"{hub.constants.ENDPOINT} cannot be reached ({_short(error)})")
    picked, how = chosen(list(files), card, wanted, dataset)
    return Repository(dataset=dataset, commit=commit, folder="", files=tuple(files[name] for name in picked), how=how)


def _of_cache(dataset: str, revision: str, wanted: Wanted, why: str) -> Repository:
    """What an earlier download left on this machine."""
    home = Path(hub_module().constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"
    named = home / "refs" / revision
    commit = named.read_text().strip() if named.is_file() else revision
    folder = home / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not folder.is_dir():
        raise SourceError(
            f"{why}, and {dataset} at {revision} is not in {home.parent}",
            advice="try again when the network is there; what was read of it stays",
        )
    found = _of_folder(folder, dataset, commit, wanted)
    for file in found.files:
        part = _OF_SEVERAL.fullmatch(file.name)
        if part:
            there = [name.name for name in found.files if name.name.startswith(f"{part[1]}-")]
            if len(there) < int(part[3]):
                raise SourceError(
                    f"{why}, and the cache holds {len(there)} of {int(part[3])} files of {dataset}: {part[1]}",
                    advice=f"name one that is there with hub_files, such as {file.name!r}",
                )
    return found


def hub_module() -> Any:
    """The module huggingface_hub.

    Raises:
        DependencyError: when it is not installed.
    """
    try:
        importlib.import_module("huggingface_hub.constants")
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise DependencyError(
            "reading from the Hugging Face hub needs huggingface_hub, which is not installed",
            advice="type: pip install huggingface_hub",
        ) from error


@cache
def network_errors() -> tuple[type[Exception], ...]:
    """What asking the hub may raise: its own errors and those of what it asks with."""
    error = importlib.import_module("huggingface_hub.errors").HfHubHTTPError
    return (OSError, ValueError, *error.__bases__)


@cache
def _system() -> Any:
    return hub_module().HfFileSystem()


def _hash(at: dict[str, Any]) -> str:
    """A file's hash, which is also its name in the hub's cache."""
    lfs = at.get("lfs")
    return str((lfs["sha256"] if lfs else None) or at.get("blob_id") or "")


def _short(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0][:160] if said else type(error).__name__


def _fetched(path: str, size: int, place: str) -> IO[bytes]:
    block = _SMALL_BLOCK if path.endswith(".parquet") else _BLOCK
    return cast(IO[bytes], io.BufferedReader(_Fetched(path, size, place), block))


class _Fetched(io.RawIOBase):
    """A file on the hub, of which what is read is asked for. What the network loses is never taken for its end, nor for
    damage of the file."""

    def __init__(self, path: str, size: int, place: str) -> None:
        self._path, self._size, self._place, self._at = path, size, place, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = max(0, min(len(buffer), self._size - self._at))
        if size:
            buffer[:size] = self._range(self._at, self._at + size)
            self._at += size
        return size

    def _range(self, start: int, end: int) -> bytes:
        said = ""
        for _ in range(_TRIES):  # huggingface_hub itself tries again when the network or the hub fails
            try:
                with _system().open(self._path, "rb", cache_type="none", block_size=_BLOCK) as file:
                    file.seek(start)
                    content: bytes = file.read(end - start)
            except network_errors() as error:
                said = _short(error)
                break
            if len(content) == end - start:
                return content
            said = f"{len(content):,} bytes came of {end - start:,}"
        raise SourceError(
            f"{self._place} cannot be fetched: {said}", advice="what was read of it stays: type it again to go on"
        )
