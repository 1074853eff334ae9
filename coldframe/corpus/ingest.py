"""Raw text becomes a folder of documents: read once, in parts, by several processes, with every loss listed."""

from __future__ import annotations

import codecs
import dataclasses
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from coldframe.corpus import commits, dialogue, documents, messages, reading, store
from coldframe.corpus.batches import Batch, Counts, Done, Made, Work, code_of, in_shares, key_of, run_batches
from coldframe.corpus.commits import BATCH, open_history, read_commits
from coldframe.corpus.dialogue.books import conversations
from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.filtering import kept_documents, open_corpus
from coldframe.corpus.hub.parts import Parts, read_dataset
from coldframe.corpus.hub.repository import amount, is_folder, open_repository
from coldframe.corpus.reading.entries import kind_of
from coldframe.corpus.reading.formats import laid_out
from coldframe.corpus.reading.layout import Layout, guess
from coldframe.corpus.reading.paths import open_files, place_of, read_file
from coldframe.corpus.reading.rows import lines_of
from coldframe.corpus.sources import Source
from coldframe.corpus.store import DOCUMENTS, Manifest, Stored, is_corpus, pack_documents, read_manifest, stored
from coldframe.errors import CorpusError, SourceError
from coldframe.run.durable import remove_abandoned, write_whole

_log = logging.getLogger("coldframe")
_BATCH = 1 << 21
"""Bytes on disk that one batch reads: whole files, or a range of a large one of JSON lines."""
_FILES = 500
_GUESS_ROWS = 50
_LINES = (".jsonl", ".ndjson")
EVERYTHING = 1 << 60
"""Examples that a quarantine keeps here: all."""


def ingest(
    source: Source, folder: Path, *, processes: int = 1, progress: Callable[[float], None] = lambda done: None
) -> Manifest:
    """Read a source into `folder`, as far as that has not been done; `progress` hears how much of it is, 0 to 1.

    Raises:
        SourceError: when nothing in it can be read.
        CorpusError: also when the folder holds another source.
        DiskFullError: what was read stays, and the next call goes on from there.
    """
    if is_corpus(folder) and (holds := read_manifest(folder).source["name"]) != source.name:
        raise CorpusError(
            f"{folder} holds the source {holds!r} already", advice="give another folder, or that name with --name"
        )
    if source.hub is not None:
        done, about = _of_hub(source, source.hub, folder, progress)
        return _described(source, folder, done, about)
    return fill(source, folder, list(batches_of(source)), read_batch, processes=processes, progress=progress)


def fill(
    source: Source,
    folder: Path,
    batches: Sequence[Batch],
    work: Work,
    *,
    processes: int = 1,
    progress: Callable[[float], None] = lambda done: None,
) -> Manifest:
    """Make the folder of these batches, each as `work` gives it; raises as `ingest`."""
    told = in_shares(progress, sum(batch.size for batch in batches))
    done = run_batches(
        batches, work, folder=folder, name="documents", files=[DOCUMENTS], processes=processes, told=told
    )
    return _described(source, folder, done, {})


def _described(source: Source, folder: Path, done: Done, about: dict[str, Any]) -> Manifest:
    """Write what a folder of documents is, `about` among it."""
    quarantined = tuple((note[1], note[2]) for note in done.notes if note[0] == "quarantined")
    if not done.counts["documents"]:
        said = f", the first of {len(quarantined):,}: {quarantined[0][0]}: {quarantined[0][1]}" if quarantined else ""
        raise SourceError(f"source {source.name!r} has no readable text{said}", advice="add text, or leave it out")
    layouts = {note[1]: note[2] for note in done.notes if note[0] == "layout"}
    parts = tuple(part[DOCUMENTS] for part in done.parts)
    manifest = Manifest(
        source=source.record() | {"why": source.why} | _unless_known(about, folder, parts),
        parts=parts,
        sizes=tuple(counts["documents"] for counts in done.counts_of_each),
        counts={name: done.counts[name] for name in ("documents", "bytes", "conversations")},
        quarantined=quarantined,
        layouts=dict(Counter(layouts.values())),
    )
    path, content = folder / "manifest.json", manifest.as_json()
    remove_abandoned(path)
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)
    return manifest


def fetched(source: Source, home: Path, progress: Callable[[float], None] = lambda done: None) -> Source:
    """The source with the text of its dataset on this machine, under `home`; any other source as it is.

    Text that was fetched whole is used again: when the hub and its cache have it no more, with a warning.

    Raises:
        SourceError, DependencyError: when it cannot be fetched; what was read stays, and the next call goes on.
    """
    if source.hub is None or is_folder(source.hub):
        return source
    asked = [source.hub, source.revision, dataclasses.astuple(source.wanted()), amount(source.bytes)]
    folder = home / source.name / key_of(asked, _as_json(source.layout()))[:12]
    try:
        known = ingest(dataclasses.replace(source, dialogue=None), folder, progress=progress)
    except SourceError as error:
        if not is_corpus(folder):
            raise
        known = read_manifest(folder)
        _log.warning("source %s: %s; what was fetched before is used", source.name, error.message)
    return dataclasses.replace(
        source, hub=None, path=str(folder), subset="", split="", hub_files="", revision="", bytes=None,
        origin=known.source["origin"],
    )  # fmt: skip


def read_batch(payload: dict[str, Any]) -> Made:
    """Read one batch: the work that `run_batches` gives to its processes."""
    quarantine = Quarantine(keep=EVERYTHING)
    layouts: dict[str, str] = {}
    if payload.get("hub"):
        found = list(read_dataset(payload, quarantine, lambda place, layout: layouts.update({place: str(layout)})))
    else:
        found = list(documents_of(payload, quarantine, layouts))
    kept = [stored(payload["source"], one) for one in found if isinstance(one, Document)]
    begins = (("next", one) for one in found if not isinstance(one, Document))  # where a dataset's next part begins
    return as_part(kept, (*begins, *read_notes(quarantine, layouts)), try_again=quarantine.try_again)


def as_part(kept: Sequence[Stored], notes: tuple[Any, ...], *, try_again: bool = False) -> Made:
    """A part of the documents file, with what is counted of it."""
    counts: Counts = Counter()
    for one in kept:
        counts["documents"] += 1
        counts["conversations"] += bool(one.document.messages)
        counts["bytes"] += len(one.document.text.encode())
    return Made({DOCUMENTS: pack_documents(kept)}, counts, notes, try_again)


def read_notes(quarantine: Quarantine, layouts: Mapping[str, str]) -> tuple[Any, ...]:
    """What is told of the reading of a batch: what was set aside, and how rows were understood."""
    notes = [("quarantined", *example) for example in quarantine.examples]
    return (*notes, *(("layout", place, layout) for place, layout in layouts.items()))


def documents_of(payload: dict[str, Any], quarantine: Quarantine, layouts: dict[str, str]) -> Iterator[Document]:
    """The documents of a batch, one at a time; `layouts` is told how the rows of each file were understood."""
    found = _texts_of(payload, quarantine, layouts)
    return found if payload["dialogue"] is None else conversations(found, payload["dialogue"], quarantine)


def _texts_of(payload: dict[str, Any], quarantine: Quarantine, layouts: dict[str, str]) -> Iterator[Document]:
    if payload.get("corpus"):
        part = range(payload["number"], payload["number"] + 1)
        yield from (one.document for one in kept_documents(Path(payload["corpus"]), parts=part))
        return
    if payload.get("package"):
        yield from open_package(payload["package"])[2](quarantine)
        return
    if payload.get("git"):
        yield from read_commits(payload["git"], payload["name"], payload["commits"], quarantine)
        return
    layout = Layout(**payload["layout"]) if payload["layout"] else None
    if "range" not in payload:
        for path, place in payload["files"]:
            yield from read_file(
                Path(path), place, layout, quarantine, lambda place, found: layouts.update({place: str(found)})
            )
        return
    [[path, place]], (start, end, first_line) = payload["files"], payload["range"]
    layouts[place] = str(layout)
    with Path(path).open("rb") as file:
        file.seek(start)
        rows = lines_of(io.BytesIO(file.read(end - start)), place, first_line, quarantine)
        assert layout is not None  # of a range it is always known
        yield from laid_out(rows, layout, quarantine)


def batches_of(source: Source) -> Iterator[Batch]:
    """The source's files in groups of some megabytes, and the ranges of large ones, in a fixed order."""
    code = code_of(reading, documents, messages, store, *([dialogue] if source.dialogue is not None else []))
    known_by = [source.name, source.kind, _as_json(source.layout()), source.dialogue, code]
    if source.package is not None:
        fingerprint, size, _ = open_package(source.package)
        yield Batch(key_of(*known_by, fingerprint), {**_payload(source), "package": source.package}, size)
        return
    if source.git is not None:
        yield from _commits(source, source.git, known_by)
        return
    assert source.path is not None  # it has one origin
    if is_corpus(Path(source.path)):
        fingerprint = open_corpus(Path(source.path))[0]  # of its verdicts too
        for number, (size, _) in enumerate(read_manifest(Path(source.path)).parts):
            at = {"corpus": source.path, "number": number}
            yield Batch(key_of(*known_by, fingerprint, number), {**_payload(source), **at}, size)
        return
    root, files, _ = open_files(source.path)
    group: list[tuple[Path, int, int]] = []
    for file in files:
        stat = file.stat()
        ending, packing = kind_of(file.name)
        if ending in _LINES and not packing and stat.st_size > 2 * _BATCH and not _is_utf16(file):
            yield from _grouped(source, root, group, known_by)
            group = []
            yield from _ranges(source, root, file, stat.st_mtime_ns, known_by)
            continue
        group.append((file, stat.st_size, stat.st_mtime_ns))
        if sum(size for _, size, _ in group) >= _BATCH or len(group) >= _FILES:
            yield from _grouped(source, root, group, known_by)
            group = []
    yield from _grouped(source, root, group, known_by)


def _payload(source: Source) -> dict[str, Any]:
    """What every batch of a source needs to know."""
    return {"source": source.name, "layout": _as_json(source.layout()), "dialogue": source.dialogue}


def _is_utf16(file: Path) -> bool:
    """Whether a file begins as UTF-16, of which no range can be read alone."""
    with file.open("rb") as content:
        return content.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _commits(source: Source, path: str, known_by: list[Any]) -> Iterator[Batch]:
    """A history in parts, the oldest first: when it grows, only the last of them is another."""
    history = open_history(path)
    code = code_of(commits)
    each = history.num_bytes / max(1, len(history.commits))
    for begin in range(0, len(history.commits), BATCH):
        part = history.commits[begin : begin + BATCH]
        payload = {**_payload(source), "git": history.path, "name": history.name, "commits": part}
        yield Batch(key_of(*known_by, code, history.name, part), payload, int(each * len(part)))


def _of_hub(source: Source, hub: str, folder: Path, progress: Callable[[float], None]) -> tuple[Done, dict[str, Any]]:
    """A dataset read part by part, and what is to be remembered of it: of which commit it is, how much was taken."""
    repository = open_repository(hub, source.revision, source.wanted(), is_limited=source.bytes is not None)
    _log.info("source %s: %s, %s, %d files", source.name, hub, repository.how, len(repository.files))
    parts = Parts(repository, amount(source.bytes), source.name, _as_json(source.layout()))
    done = run_batches(
        parts, read_batch, folder=folder, name="documents", files=[DOCUMENTS], heard=parts.heard,
        told=lambda size: progress(parts.done),
    )  # fmt: skip
    about = {
        "hub": {"dataset": hub, "commit": repository.commit, "files": repository.how, "bytes": amount(source.bytes)}
    }
    origin = f"{hub} at {repository.commit}" if repository.commit else ""
    return done, about | ({"origin": origin} if origin and not source.origin else {})


def _unless_known(about: dict[str, Any], folder: Path, parts: tuple[tuple[int, str], ...]) -> dict[str, Any]:
    """What is to be remembered of a dataset; of the same text at a later commit what it was known by before."""
    if about and is_corpus(folder):
        known = read_manifest(folder)
        if known.parts == parts and known.source.get("hub", {}).get("files") == about["hub"]["files"]:
            return {name: known.source[name] for name in about if name in known.source}
    return about


def _grouped(source: Source, root: Path, group: list[tuple[Path, int, int]], known_by: list[Any]) -> Iterator[Batch]:
    if not group:
        return
    places = [place_of(path, root) for path, _, _ in group]
    key = key_of(*known_by, [(place, size, time) for place, (_, size, time) in zip(places, group, strict=True)])
    payload = {
        **_payload(source),
        "files": [(str(path), place) for place, (path, _, _) in zip(places, group, strict=True)],
    }
    yield Batch(key, payload, sum(size for _, size, _ in group))


def _ranges(source: Source, root: Path, file: Path, time: int, known_by: list[Any]) -> Iterator[Batch]:
    """A large file of JSON lines in ranges that end with a line."""
    place = place_of(file, root)
    with file.open("rb") as content:
        head = io.BytesIO(content.read(_BATCH) + content.readline())
        layout = source.layout() or guess([row for _, row in lines_of(head, place, 1, Quarantine())][:_GUESS_ROWS])
        content.seek(0)
        start, line = 0, 1
        while block := content.read(_BATCH):
            block += content.readline()
            payload = {**_payload(source), "layout": _as_json(layout), "files": [(str(file), place)],
                       "range": (start, start + len(block), line)}  # fmt: skip
            key = key_of(*known_by, _as_json(layout), place, start, len(block), line, file.stat().st_size, time)
            yield Batch(key, payload, len(block))
            start, line = start + len(block), line + block.count(b"\n")


def _as_json(layout: Layout | None) -> dict[str, Any] | None:
    return None if layout is None else dataclasses.asdict(layout)
