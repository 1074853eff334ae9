"""Answers become a folder of documents, with where each comes from beside it."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from coldframe.corpus.documents import Document
from coldframe.corpus.filtering import filter_documents, judged_documents
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.sources import Source, plain_names
from coldframe.corpus.store import (
    DEDUP,
    DOCUMENTS,
    TEACHER,
    Manifest,
    Stored,
    as_lines,
    is_corpus,
    pack_documents,
    stored,
)
from coldframe.corpus.teacher.answers import Answers
from coldframe.corpus.teacher.ledger import LEDGER
from coldframe.corpus.teacher.settings import TeacherSettings, host_of
from coldframe.corpus.teacher.tasks import Judged, Task
from coldframe.errors import CorpusError
from coldframe.run.durable import write_whole

_log = logging.getLogger("coldframe")
_KIND = "dialogue"
_PART = 1000
"""Documents in a part: what is filtered at once, and not again when more are added."""
_EXAMPLES = 2


@dataclass(slots=True)
class Written:
    """What a folder holds now."""

    documents: int = 0
    kept: int = 0
    scenes: int = 0
    rewrites: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


def check_folder(folder: Path) -> None:
    """Raise CorpusError where somebody else's documents stand."""
    if is_corpus(folder) and not (folder / LEDGER).parent.is_dir():
        raise CorpusError(f"{folder} holds documents that no teacher wrote", advice="give another --out")


def write_folder(
    folder: Path, tasks: Sequence[Task], answers: Answers, refused: Collection[str], teacher: TeacherSettings
) -> Written:
    """Write what is answered so far, in the order of the tasks, and judge it by the filters.

    The same answers give the same bytes, however often and in which order they were asked for.
    """
    made = list(_made(plain_names([folder])[0], tasks, answers, refused))
    if not made and not is_corpus(folder):
        return Written()
    source = Source(
        name=plain_names([folder])[0], kind=_KIND, path=str(folder), language=teacher.language, licence=teacher.licence,
        origin=f"the model {teacher.model} at {host_of(teacher.url)}",
    )  # fmt: skip
    groups = [made[start : start + _PART] for start in range(0, len(made), _PART)]
    parts = [pack_documents(one for _, one, _ in group) for group in groups]
    manifest = Manifest(
        source=source.record() | {"why": source.why},
        parts=tuple((len(part), xxhash.xxh3_64_hexdigest(part)) for part in parts),
        sizes=tuple(len(group) for group in groups),
        counts={
            "documents": len(made),
            "bytes": sum(len(one.document.text.encode()) for _, one, _ in made),
            "conversations": sum(bool(one.document.messages) for _, one, _ in made),
        },
    )
    changed = _put(folder / DOCUMENTS, b"".join(parts))
    changed |= _put(folder / TEACHER, as_lines(line for _, _, line in made))
    _put(folder / "manifest.json", manifest.as_json())
    if changed and (folder / DEDUP).exists():
        (folder / DEDUP).unlink()
        _log.warning("the documents in %s changed: look for duplicates again (coldframe corpus dedup)", folder)
    filter_documents(folder, Criteria(kind=_KIND, language=teacher.language))
    return _counted(folder, [task for task, _, _ in made])


def _made(
    name: str, tasks: Iterable[Task], answers: Answers, refused: Collection[str]
) -> Iterable[tuple[Task, Stored, dict[str, Any]]]:
    """Each task that has an answer, its document, and what is said of that."""
    for task in tasks:
        answer = answers.get(task.request)
        if answer is not None:
            judged = task.judge(answer)
            cost = dataclasses.asdict(answer)
            del cost["key"], cost["text"]  # which stand there as prompt and as the document
        elif task.request.key in refused:
            judged, cost = Judged("", (), "refused-request", {}), dict[str, Any]()
        else:
            continue
        one = stored(name, Document(text=judged.text, place=task.place, messages=judged.messages))
        body = task.request.body
        features = {"task": task.kind, "name": task.name, "model": body["model"], "seed": body["seed"],
                    "prompt": task.request.key} | cost | judged.facts | task.facts  # fmt: skip
        yield task, one, {"id": one.id, "keep": not judged.reason, "reason": judged.reason, "features": features}


def _put(path: Path, data: bytes) -> bool:
    """Write a file, unless that stands there already; whether it was written."""
    if path.exists() and path.read_bytes() == data:
        return False
    write_whole(path, data)
    return True


def _counted(folder: Path, tasks: Sequence[Task]) -> Written:
    found, dropped = Written(), Counter[str]()
    examples: dict[str, list[dict[str, Any]]] = {"rewrite": [], "scene": []}
    for task, (one, said) in zip(tasks, judged_documents(folder), strict=True):
        found.documents += 1
        found.scenes += task.kind == "scene"
        found.rewrites += task.kind == "rewrite"
        reason = next((line["reason"] for line in said if not line["keep"]), None)
        if reason is not None:
            dropped[reason] += 1
            continue
        found.kept += 1
        if len(examples[task.kind]) < _EXAMPLES:
            shown: dict[str, Any] = {"place": one.document.place}
            if task.kind == "rewrite":
                shown["original"] = task.facts["original"]["question"]
            shown["turns"] = [message.content for message in one.document.messages]
            examples[task.kind].append(shown)
    found.dropped = dict(dropped.most_common())
    found.examples = [*examples["rewrite"], *examples["scene"]][:_EXAMPLES]
    return found
