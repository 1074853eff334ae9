"""The sources of a run, made clean: read once, judged by the filters of their kind, and looked through for duplicates.

    <folder>/sources/<name>-<key>/      the documents of a source, with the filters' verdicts beside them
    <folder>/sets/<key>/<name>.jsonl    what of these sources together is there twice

No source is exempt: one that says why it shall not be filtered is read as it is, with a warning. A source of which
nothing is left is left out, with a warning; where that is all there is, it is read as it is, with a louder one: whoever
has nothing but verse, or a test of a few words, shall not be refused. A folder of documents that somebody ingested is
left as it is: its verdicts hold unless the recipe sets limits of its own. Text that holds what the model will be
measured on is left out, where that is said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.corpus import dedup as deduplicating
from coldframe.corpus import signatures
from coldframe.corpus.batches import Told, code_of, in_shares, key_of
from coldframe.corpus.contamination import find_contamination
from coldframe.corpus.dedup import deduplicate
from coldframe.corpus.filtering import attributes_of, filter_documents, kept_documents, open_corpus
from coldframe.corpus.filters import texts
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.ingest import fetched, ingest
from coldframe.corpus.report import SourceReport, report
from coldframe.corpus.sources import OpenedSource, Source, last_year, open_sources
from coldframe.corpus.store import DEDUP, DOCUMENTS, FILTER, IMPROVED, is_corpus, packed_bytes, read_manifest
from coldframe.corpus.teacher.verbs import CorpusScenes, write_scenes
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
    duplicates: dict[str, Path]
    """Source -> the file of verdicts on duplicates among these sources."""

    def report(self) -> list[SourceReport]:
        """What became of each source's text."""
        found = report(list(self.folders.values()), also=[self.duplicates.get(name) for name in self.folders])
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

    Whoever reads them does so within `alone`: another process may change what lies there when a source has changed.
    `context` is the number of tokens that the model sees at once, `against` what it will be measured on.

    Raises:
        SourceError: when a user's own source cannot be opened, or nothing of it is good text.
        CorpusError, TeacherError, DiskFullError: what was made stays, and the next call goes on from there.
    """
    found: dict[str, Path] = {}
    here = [_here(source, folder, progress) for source in sources]
    opened, skipped = open_sources(here)
    wanted = {source.name: source for source in opened}
    missing = list(skipped)
    dropped: dict[str, str] = {}

    def read(source: OpenedSource) -> None:
        name = source.name
        found[name], reasons = _documents(source, folder, context, against, processes, progress)
        dropped.pop(name, None)
        if reasons:
            dropped[name] = reasons

    def leave_out(name: str, why: str) -> None:
        _log.warning("source %s is left out: %s", name, why)
        missing.append((name, why))
        found.pop(name, None)

    for source in opened:
        try:
            read(source)
        except SourceError as error:
            if not source.source.is_embedded:
                raise
            leave_out(source.name, error.message)
    if dropped and len(dropped) == len(found):
        for name, reasons in list(dropped.items()):
            wanted[name] = _as_it_is(wanted[name], reasons)
            read(wanted[name])
    for name, reasons in list(dropped.items()):
        leave_out(name, f"the filters drop all of it ({reasons}); coldframe corpus report {found[name]} shows examples")
    if against:
        _search(found, against, processes, progress)
    duplicates = _duplicates(found, folder, processes, progress) if dedup else {}
    for name, path in list(found.items()):
        if next(kept_documents(path, _also(duplicates, name)), None) is None:
            leave_out(
                name, "all of it stands in other sources too, is what the model will be measured on, or was dropped"
            )
    if not found:
        raise SourceError(
            f"no text is left: {'; '.join(f'{name}: {why}' for name, why in missing)}",
            advice="give the sources other kinds, or limits of their own (docs/corpus.md)",
        )
    clean = []
    for name, path in found.items():
        fingerprint, num_bytes, reader = open_corpus(path, _also(duplicates, name))
        clean.append(dataclasses.replace(wanted[name], fingerprint=fingerprint, num_bytes=num_bytes, reader=reader))
    return Clean(opened=tuple(clean), skipped=tuple(missing), folders=found, duplicates=duplicates)


def _also(duplicates: dict[str, Path], name: str) -> list[Path]:
    return [duplicates[name]] if name in duplicates else []


def _as_it_is(source: OpenedSource, reasons: str) -> OpenedSource:
    """A source that is not filtered, since nothing would be left of it."""
    why = f"the filters would drop all of it ({reasons}), and there is nothing else to read"
    return dataclasses.replace(source, source=dataclasses.replace(source.source, unfiltered=why))


def _here(source: Source, folder: Path, progress: Progress) -> Source:
    """The source with its text on this machine: fetched from the hub, or asked of a teacher."""
    if source.scenes is None:
        return fetched(source, folder.parent / "datasets", functools.partial(progress, f"fetching {source.name}"))
    out = folder / "scenes" / f"{source.name}-{key_of(os.path.realpath(source.scenes))[:12]}"
    write_scenes(CorpusScenes(recipe=Path(source.scenes), out=out), progress)
    return dataclasses.replace(source, scenes=None, path=str(out))


def _documents(
    source: OpenedSource,
    folder: Path,
    context: int,
    against: Sequence[Path],
    processes: int,
    progress: Progress,
) -> tuple[Path, str]:
    """The folder of a source's documents, with the filters' verdicts, and for which reasons those drop all of it."""
    wanted = source.source
    given = Path(wanted.path or "").expanduser()
    workers = _workers(source.num_bytes, processes)
    criteria = Criteria(
        kind=wanted.kind, language=wanted.language, context=context,
        last_year=last_year(wanted.dates), limits=wanted.own_limits(),
    )  # fmt: skip
    is_made = wanted.path is not None and is_corpus(given) and wanted.dialogue is None
    where = os.path.realpath(given) if wanted.path is not None else [wanted.package, wanted.git, wanted.hub]
    part_of_hub = [wanted.subset, wanted.split, wanted.hub_files, wanted.revision, wanted.bytes]
    judged_by = None if wanted.unfiltered else dataclasses.asdict(criteria)
    searched = [os.path.realpath(path.expanduser()) for path in against]
    known_by = [wanted.record(), where, part_of_hub, judged_by, searched, source.fingerprint if is_made else ""]
    folder = folder / "sources" / f"{wanted.name}-{key_of(known_by)[:12]}"
    if is_made:
        is_judged = _link(given, folder, with_verdicts=not (wanted.limits or wanted.unfiltered))
    else:
        is_judged = False
        ingest(wanted, folder, processes=workers, progress=lambda done: progress(f"reading {wanted.name}", done))
    if wanted.unfiltered:
        _log.warning("source %s is NOT filtered: %s", wanted.name, wanted.unfiltered)
    if wanted.unfiltered or is_judged:
        return folder, ""
    tell = _teller(progress, f"filtering {wanted.name}", [folder])
    filtered = filter_documents(folder, criteria, processes=workers, told=tell)
    gone = filtered.documents_in - filtered.documents_kept
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in filtered.dropped.items())
    if gone:
        counts = f"{gone:,} of {filtered.documents_in:,}"
        _log.info("source %s: %s documents dropped: %s", wanted.name, counts, reasons)
    return folder, "" if filtered.documents_kept else reasons


def _link(corpus: Path, folder: Path, *, with_verdicts: bool) -> bool:
    """A folder of documents that was made before, at a place where this run's verdicts may stand beside them; whether
    the filters' verdicts that somebody gave it came along."""
    names = [DOCUMENTS, "manifest.json", *([IMPROVED] if (corpus / IMPROVED).exists() else [])]
    verdicts = [path.relative_to(corpus).as_posix() for path in attributes_of(corpus)]
    judged = (FILTER, DEDUP)  # what is there twice was found among what the filters kept
    names += [name for name in verdicts if with_verdicts or name not in judged]
    for name in names:
        if (folder / name).exists():
            continue  # its name says whose it is, to the byte
        beside = folder / f"{name}.new"
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        try:
            os.link(corpus / name, beside)
        except OSError:  # not every file system knows links
            shutil.copyfile(corpus / name, beside)
        beside.replace(folder / name)
    return with_verdicts and FILTER in verdicts


def _search(found: dict[str, Path], against: Sequence[Path], processes: int, progress: Progress) -> None:
    """Leave out what the model will be measured on."""
    folders = list(found.values())
    size = sum(read_manifest(folder).counts["bytes"] for folder in folders)
    tell = _teller(progress, "looking for evaluation text", folders)
    result = find_contamination(folders, against, processes=_workers(size, processes), told=tell)
    if result.dropped.total():
        sets = ", ".join(f"{count:,} pieces of {name}" for name, count in result.found.items() if count)
        _log.warning("%s documents hold what the model will be measured on (%s)", f"{result.dropped.total():,}", sets)


def _duplicates(found: dict[str, Path], folder: Path, processes: int, progress: Progress) -> dict[str, Path]:
    """The verdicts on duplicates among all sources, made unless these very documents were compared before."""
    known_by = [(name, open_corpus(path)[0]) for name, path in found.items()]
    home = folder / "sets" / key_of(known_by, code_of(deduplicating, signatures, texts))[:12]
    files = {name: home / f"{name}.jsonl" for name in found}
    done, folders = home / "done", list(found.values())
    if not done.exists():
        home.mkdir(parents=True, exist_ok=True)
        size = sum(read_manifest(path).counts["bytes"] for path in folders)
        tell = _teller(progress, "looking for duplicates", folders, times=2)
        result = deduplicate(folders, list(files.values()), processes=_workers(size, processes), told=tell)
        done.touch()
        if result.exact or result.near:
            _log.info("%s duplicates and %s near duplicates dropped", f"{result.exact:,}", f"{result.near:,}")
    return files


def _teller(progress: Progress, what: str, folders: Sequence[Path], times: int = 1) -> Told:
    return in_shares(functools.partial(progress, what), times * sum(packed_bytes(folder) for folder in folders))


def _workers(size: int, wanted: int) -> int:
    if wanted:
        return wanted
    return len(os.sched_getaffinity(0)) if size >= _LARGE else 1


@contextlib.contextmanager
def alone(folder: Path, progress: Progress = lambda what, done: None) -> Iterator[None]:
    """One process at a time makes clean text there and reads it: the next one finds what this one made."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "wb") as lock:
        waits = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waits:
                    _log.info("waiting for another process that prepares text in %s", folder)
                waits = True
                progress("waiting for another process", 0.0)  # who hears a stop there leaves
                time.sleep(0.2)
        yield
