"""Rewrites: the question of a conversation in modern words, beside the answer, which stays word for word."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from functools import partial

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.messages import Message
from coldframe.corpus.reading.paths import open_path
from coldframe.corpus.teacher.answers import Answer, request_of, seed_of
from coldframe.corpus.teacher.faults import borrows, refuses, repeats, words
from coldframe.corpus.teacher.settings import RewriteSettings, TeacherSettings
from coldframe.corpus.teacher.tasks import Judged, Task, spoken
from coldframe.errors import SourceError

_log = logging.getLogger("coldframe")
_ASK = "Say this in plain modern English, as somebody would say it today. Give only the new words."
_EXAMPLES = (
    ("Pray, whither goest thou at so late an hour?", "Where are you going so late?"),
    ("I should be much obliged if you would make known to me the hour.", "Could you tell me what time it is?"),
)
"""Without them small models explain what they should rewrite."""
_ANNOUNCED = re.compile(
    r"\W*(?:sure|certainly|of course|here(?:['’]s| is| are)|rewritten|modern(?: english)?|"
    r"in (?:plain )?modern (?:english|words)|new words|question|q|user)\b[^\n:]{0,80}:\s*",
    re.IGNORECASE,
)
_ANSWERED = re.compile(r"\n\s*\W{0,3}(?:answer|a|b|assistant|reply|response)\W{0,3}:\s*(.*)", re.IGNORECASE | re.DOTALL)


def rewrite_tasks(teacher: TeacherSettings, rewrite: RewriteSettings) -> Iterator[Task]:
    """The first `count` pairs of a question and its answer.

    Raises:
        SourceError: when there is none.
    """
    pairs = itertools.islice(_pairs(rewrite.path), rewrite.count)
    found = False
    for place, question, answer in pairs:
        found = True
        ask = f"{_ASK} {rewrite.instructions.strip()}".strip()
        messages = [turn for old, new in _EXAMPLES for turn in (("user", f"{ask}\n\n{old}"), ("assistant", new))]
        yield Task(
            kind="rewrite",
            name=rewrite.name,
            place=f"{rewrite.name}: {place}",
            request=request_of(
                teacher.model, [*messages, ("user", f"{ask}\n\n{question}")],
                temperature=teacher.temperature, max_tokens=teacher.max_tokens, seed=seed_of("rewrite", question),
            ),
            facts={"original": {"question": question, "answer": answer}},
            judge=partial(judge_rewrite, question=question, answer=answer),
        )  # fmt: skip
    if not found and rewrite.count:
        raise SourceError(
            f"{rewrite.path} holds no question with an answer",
            advice="coldframe corpus dialogue takes conversations out of books; coldframe corpus sources shows files",
        )


def judge_rewrite(found: Answer, question: str, answer: str) -> Judged:
    """The pair with its new question, and what is wrong with that."""
    text = (
        _ANNOUNCED.sub("", spoken(found.text), count=1) if _is_announced(found.text, question) else spoken(found.text)
    )
    answered = _ANSWERED.search(text)
    new = _unquoted((text[: answered.start()] if answered else text).strip())
    if not new:
        reason = "empty"
    elif refuses(new, question) or found.finish == "content_filter":
        reason = "refusal"
    elif answered and words(answered[1]) != words(answer):
        reason = "changed-answer"
    elif found.finish == "length":
        reason = "cut-off"
    elif words(new) == words(question):
        reason = "unchanged"
    elif repeats([new]):
        reason = "repeats-itself"
    elif borrows(new, itertools.chain(*_EXAMPLES), question):
        reason = "example-again"
    else:
        reason = ""
    messages = (Message(role="user", content=new), Message(role="assistant", content=answer))
    return Judged(f"{new}\n\n{answer}", messages, reason, {})


def _is_announced(text: str, question: str) -> bool:
    """Whether a rewrite begins by saying what it is ("Here it is in modern English:"), which the original does not."""
    return bool(_ANNOUNCED.match(spoken(text))) and not _ANNOUNCED.match(question)


def _unquoted(text: str) -> str:
    for left, right in ('""', "“”"):
        inner = text[1:-1]
        if len(text) > 1 and text[0] == left and text[-1] == right and left not in inner and right not in inner:
            return inner.strip()
    return text


def _pairs(path: str) -> Iterator[tuple[str, str, str]]:
    """(place, question, answer): each user's turn that the assistant's follows."""
    _, _, reader, _ = open_path(path, None)
    quarantine = Quarantine()
    for document in reader(quarantine):
        yield from _pairs_of(document)
    if quarantine.count:
        _log.warning("%s: %s", path, quarantine)


def _pairs_of(document: Document) -> Iterator[tuple[str, str, str]]:
    for number, (one, two) in enumerate(itertools.pairwise(document.messages), 1):
        if (one.role, two.role) == ("user", "assistant") and two.call is None and one.content.strip():
            yield f"{document.place}, turn {number}", one.content, two.content
