"""The sources of a run, made clean: read once, judged by the filters of their kind, and looked through for duplicates.

    <folder>/sources/<name>-<key>/      the documents of a source, with the filters' verdicts beside them
    <folder>/sets/<key>/<name>.jsonl    what of these sources together is there twice

No source is exempt: one that says why it shall not be filtered is read as it is, with a warning. A folder of documents
that somebody ingested is judged where it lies, unless it already is; its verdicts stand. Text that holds what the
model will be measured on is left out, where that is said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.corpus.batches import key_of
from coldframe.corpus.contamination import find_contamination
from coldframe.corpus.dedup import deduplicate
from coldframe.corpus.filtering import filter_documents, open_corpus
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.ingest import ingest
from coldframe.corpus.report import SourceReport, report
from coldframe.corpus.sources import OpenedSource, Source, last_year, open_sources
from coldframe.corpus.store import FILTER, is_corpus, read_manifest
from coldframe.errors import SourceError

Progress = Callable[[str, float], None]
_LARGE = 32 << 20
"""Bytes from which on several processes are worth their start."""
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Sources ready to be read, and what became of each."""

    opened: tuple[OpenedSource, ...]
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of embedded sources that this machine lacks."""
    folders: dict[str, Path]
    """Where the documents of each source lie."""
    duplicates: dict[Path, Path]
    """Folder of documents -> the file of verdicts on duplicates among these sources."""

    def report(self) -> list[SourceReport]:
        """What became of each source's text."""
        found = report(list(self.folders.values()), also=self.duplicates)
        why = {source.name: source.source.unfiltered for source in self.opened}
        return [
            dataclasses.replace(line, name=name, unfiltered=why[name])
            for line, name in zip(found, self.folders, strict=True)
        ]


def open_clean(
    sources: Sequence[Source],
    folder: Path,
    *,
    context: int,
    dedup: bool = True,
    against: Sequence[Path] = (),
    processes: int = 0,
    progress: Progress = lambda what, done: None,
) -> Clean:
    """Sources as `open_sources` gives them, of which only what is good text is read; made once, and then found again.

    `context` is the number of tokens that the model sees at once, `against` what it will be measured on.

    Raises:
        SourceError: when a user's own source cannot be opened, or nothing of it is good text.
        CorpusError, DiskFullError: what was made stays, and the next call goes on from there.
    """
    opened, skipped = open_sources(sources)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    missing = list(skipped)
    with _alone(folder):
        for source in opened:
            try:
                found[source.name] = _documents(source, folder, context, against, processes, progress)
            except SourceError as error:
                if source.source.package is None:
                    raise
                _log.warning("source %s is skipped: %s", source.name, error)
                missing.append((source.name, error.message))
        if against:
            _search(found, against, processes, progress)
        duplicates = _duplicates(found, folder, processes, progress) if dedup else {}
    clean = [
        _opened(source, found[source.name], duplicates.get(found[source.name]))
        for source in opened
        if source.name in found
    ]
    return Clean(opened=tuple(clean), skipped=tuple(missing), folders=found, duplicates=duplicates)


def _documents(
    source: OpenedSource, folder: Path, context: int, against: Sequence[Path], processes: int, progress: Progress
) -> Path:
    """The folder of a source's documents, with the filters' verdicts."""
    wanted = source.source
    given = Path(wanted.path or "").expanduser()
    workers = _workers(source.num_bytes, processes)
    criteria = Criteria(
        kind=wanted.kind, language=wanted.language, context=context,
        last_year=last_year(wanted.dates), limits=wanted.own_limits(),
    )  # fmt: skip
    if wanted.path is not None and is_corpus(given):
        folder = given
    else:
        where = os.path.realpath(given) if wanted.path is not None else wanted.package
        judged_by = None if wanted.unfiltered else dataclasses.asdict(criteria)
        searched = [os.path.realpath(path.expanduser()) for path in against]
        folder = folder / "sources" / f"{wanted.name}-{key_of(wanted.record(), where, judged_by, searched)[:12]}"
        ingest(wanted, folder, processes=workers, progress=lambda done: progress(f"reading {wanted.name}", done))
    if wanted.unfiltered:
        _log.warning("source %s is NOT filtered: %s", wanted.name, wanted.unfiltered)
        return folder
    if folder == given and (folder / FILTER).exists():
        return folder
    tell = _teller(progress, f"filtering {wanted.name}", [folder])
    filtered = filter_documents(folder, criteria, processes=workers, told=tell)
    gone = filtered.documents_in - filtered.documents_kept
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in filtered.dropped.items())
    if not filtered.documents_kept:
        raise SourceError(
            f"the filters drop all {gone:,} documents of source {wanted.name!r} ({reasons})",
            advice=f"coldframe corpus report {folder} shows examples; give it another kind, limits of its own, "
            "or say in `unfiltered` why it shall be read as it is",
        )
    if gone:
        _log.info(
            "source %s: %s of %s documents dropped: %s", wanted.name, f"{gone:,}", f"{filtered.documents_in:,}", reasons
        )
    return folder


def _search(found: dict[str, Path], against: Sequence[Path], processes: int, progress: Progress) -> None:
    """Leave out what the model will be measured on."""
    folders = list(found.values())
    size = sum(read_manifest(folder).counts["bytes"] for folder in folders)
    tell = _teller(progress, "looking for evaluation text", folders)
    result = find_contamination(folders, against, processes=_workers(size, processes), told=tell)
    if result.dropped.total():
        sets = ", ".join(f"{count:,} pieces of {name}" for name, count in result.found.items() if count)
        _log.warning("%s documents hold what the model will be measured on (%s)", f"{result.dropped.total():,}", sets)


def _duplicates(found: dict[str, Path], folder: Path, processes: int, progress: Progress) -> dict[Path, Path]:
    """The verdicts on duplicates among all sources, made unless these very documents were compared before."""
    known_by = [(name, open_corpus(path)[0]) for name, path in found.items()]
    home = folder / "sets" / key_of(known_by)[:12]
    files = {path: home / f"{name}.jsonl" for name, path in found.items()}
    done = home / "done"
    if not done.exists():
        home.mkdir(parents=True, exist_ok=True)
        sizes = sum(read_manifest(path).counts["bytes"] for path in found.values())
        result = deduplicate(
            list(files),
            list(files.values()),
            processes=_workers(sizes, processes),
            told=_teller(progress, "looking for duplicates", list(files), times=2),
        )
        done.touch()
        if result.exact or result.near:
            _log.info("%s duplicates and %s near duplicates dropped", f"{result.exact:,}", f"{result.near:,}")
    return files


def _opened(source: OpenedSource, folder: Path, duplicates: Path | None) -> OpenedSource:
    fingerprint, num_bytes, reader = open_corpus(folder, [duplicates] if duplicates else [])
    return dataclasses.replace(source, fingerprint=fingerprint, num_bytes=num_bytes, reader=reader)


def _teller(progress: Progress, what: str, folders: Sequence[Path], times: int = 1) -> Callable[[int], None]:
    """Turns bytes that are done into shares."""
    whole = times * sum(size for folder in folders for size, _ in read_manifest(folder).parts)
    done = 0

    def told(size: int) -> None:
        nonlocal done
        done += size
        progress(what, min(1.0, done / max(1, whole)))

    return told


def _workers(size: int, wanted: int) -> int:
    if wanted:
        return wanted
    return len(os.sched_getaffinity(0)) if size >= _LARGE else 1


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: a second run that prepares the same finds what the first one made."""
    with open(folder / ".lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("waiting for another process that prepares text in %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
