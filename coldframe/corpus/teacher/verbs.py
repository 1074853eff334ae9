"""What `coldframe corpus scenes` does."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from coldframe.corpus.teacher.answers import Answers
from coldframe.corpus.teacher.asking import Asked, ask_all
from coldframe.corpus.teacher.endpoint import httpx_module
from coldframe.corpus.teacher.folders import Written, check_folder, write_folder
from coldframe.corpus.teacher.ledger import Ledger
from coldframe.corpus.teacher.rewrites import rewrite_tasks
from coldframe.corpus.teacher.scenes import scene_tasks
from coldframe.corpus.teacher.settings import TeacherRecipe, key_of, load_teacher
from coldframe.corpus.teacher.tasks import Task
from coldframe.errors import CorpusError

Progress = Callable[[str, float], None]
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusScenes:
    """Ask a teacher model for scenes and for questions in modern words, within a budget."""

    recipe: Positional[Path]
    """A recipe with [teacher] and what is wanted of it."""
    out: Path
    """The folder of documents to write; what was answered and what it cost is kept there."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


def write_scenes(verb: CorpusScenes, progress: Progress = lambda what, done: None) -> dict[str, Any]:
    """Ask for what is not answered yet, and write the folder.

    Raises:
        TeacherError: when the endpoint cannot be used; what was answered is in the folder all the same.
        CorpusError: when another process is at the same folder, or it holds something else.
    """
    recipe = load_teacher(verb.recipe)
    key = key_of(recipe.teacher)
    httpx_module()
    tasks = list(tasks_of(recipe))
    check_folder(verb.out)
    with _alone(verb.out), Ledger(verb.out, recipe.teacher) as ledger, Answers(verb.out) as answers:
        cached = sum(answers.get(task.request) is not None for task in tasks)
        distinct = len({task.request.key for task in tasks})  # the same question may stand there twice

        def told(answered: int) -> None:
            progress("asking the teacher", answered / max(1, distinct))

        asked = Asked(refused=frozenset(), no_room_for=None, error=None)
        try:
            asked = _run(ask_all([task.request for task in tasks], recipe.teacher, key, ledger, answers, told))
        finally:  # Ctrl-C too: what is answered is written
            written = write_folder(verb.out, tasks, answers, asked.refused, recipe.teacher)
        if asked.error is not None:
            raise asked.error
        if asked.no_room_for is not None:
            _log.warning(
                "the budget has no room for the next request, which may cost %s tokens (%.6g in money): %s of %s "
                "documents are written; raise teacher.budget_tokens or budget_money and start again: only what is "
                "missing is asked",
                f"{asked.no_room_for.tokens:,}",
                asked.no_room_for.money,
                f"{written.documents:,}",
                f"{len(tasks):,}",
            )
        return _result(written, ledger, cached) | {
            "stopped_by_budget": asked.no_room_for is not None,
            "output": str(verb.out),
            "examples": written.examples,
        }


def _run(asking: Coroutine[Any, Any, Asked]) -> Asked:
    """Run to the end; in a thread of its own where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asking)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asking).result()


def tasks_of(recipe: TeacherRecipe) -> Iterator[Task]:
    """All that a recipe asks for, in the order in which it stands there: scenes, then rewrites."""
    for scene in recipe.scenes:
        yield from scene_tasks(recipe.teacher, scene)
    for rewrite in recipe.rewrites:
        yield from rewrite_tasks(recipe.teacher, rewrite)


def _result(written: Written, ledger: Ledger, cached: int) -> dict[str, Any]:
    return {
        "scenes": written.scenes,
        "rewrites": written.rewrites,
        "documents": written.documents,
        "kept": written.kept,
        "dropped": written.dropped,
        "requests": ledger.requests,
        "cached": cached,
        "tokens_in": ledger.session.tokens_in,
        "tokens_out": ledger.session.tokens_out,
        "cost": round(ledger.session.money, 9),
        "budget_left": ledger.left(),
    }


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """For as long as the block lasts, nobody else spends this folder's budget."""
    (folder / "teacher").mkdir(parents=True, exist_ok=True)
    with (folder / "teacher" / ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusError(
                f"another process is at work in {folder}", advice="wait for it, or give another folder"
            ) from None
        yield
