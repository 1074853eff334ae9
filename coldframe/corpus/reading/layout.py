"""What the fields of a row mean: which of them are the text, the turns, the question and its answer.

A source may say so; else it is guessed from its first rows by the names that people use and by what stands there, and
the guess is shown before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldframe.corpus.documents import Document, clean_text
from coldframe.corpus.reading.labelled import asked_in, is_labelled, turns_of
from coldframe.corpus.reading.pages import without_tags
from coldframe.corpus.reading.turns import TURNS, checked, keys_of, messages_of, pair_of, text_of, turns_of_pairs
from coldframe.errors import SettingsError, did_you_mean

QUESTION = ("instruction", "prompt", "question", "query", "input", "user", "human", "q", "problem", "request")
ANSWER = ("output", "response", "answer", "completion", "reply", "assistant", "bot", "a", "solution", "target")
_MORE = ("input", "context")
"""Fields that belong to a question beside its main one."""
TITLE = ("title", "subject", "headline", "name", "word", "lemma", "term", "members", "heading")
TEXT = ("text", "content", "body", "doc", "document", "article", "story", "markdown", "passage", "description",
        "definition", "gloss", "abstract", "summary", "message", "utterance", "sentence", "example")  # fmt: skip
_OF_PAIRS = ("instances", "pairs", "exchanges", "qa", "qas", "data", "rounds")
"""Names under which a list of exchanges may stand, beside those of turns."""
_BEFORE_PAIRS = ("instruction", "context", "passage", "story", "article")
"""Fields beside such a list that belong to its first question."""
_NUMBERED = re.compile(r"(.*?)(\d{1,9})$")
_MOST_FIELDS = 1_000_000
_FEWEST_COLUMNS = 4
"""Numbered columns from which on they are taken for turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a source's rows hold: one of text, turns, answer and columns is set, or none: then all of a row's text."""

    text: tuple[str, ...] = ()
    """Fields that make the text, joined by an empty line."""
    turns: str = ""
    """The field that holds a list of turns, or of exchanges, or a text with a label before each turn."""
    role: str = ""
    """In a turn, who speaks."""
    said: str = ""
    """In a turn, what is said."""
    question: tuple[str, ...] = ()
    """Fields that make what the user says."""
    answer: str = ""
    """What the assistant says: a text, a message, or (as of a preference) messages."""
    system: str = ""
    """What the system says first."""
    columns: tuple[str, ...] = ()
    """Fields that are a turn each, user and assistant in turn."""
    good: str = ""
    """In a table of rated conversations, the field that is false where the answer was bad."""
    guessed: bool = False
    """Whether nobody said so."""

    def __str__(self) -> str:
        if self.turns:
            said = f"turns in {self.turns!r}" + (f" ({self.role}: {self.said})" if self.role else "")
            return said + (f", then {self.answer!r}" if self.answer else "")
        if self.answer:
            before = f"{self.system!r} (system), " if self.system else ""
            return f"{before}{' + '.join(map(repr, self.question))} (user), {self.answer!r} (assistant)"
        if self.columns:
            return f"a turn in each of {self.columns[0]!r} to {self.columns[-1]!r}"
        return "text in " + " + ".join(map(repr, self.text)) if self.text else "all text of a row"

    def document(self, row: object, place: str) -> Document:
        """The document in a row.

        Raises:
            ValueError: with what is wrong with the row.
        """
        if self.good and isinstance(row, Mapping) and row.get(self.good) is False:
            raise ValueError(f"its answer was rated bad ({self.good}: false)")
        if isinstance(row, str):
            text = clean_text(row)
            messages: tuple[Any, ...] = ()
        elif (self.turns or self.answer or self.columns) and not self._is_text_only(row):
            messages = self._messages(row)
            text = "\n\n".join(message.content for message in messages)
        else:
            messages = ()
            text = "\n\n".join(self._texts(row))
        if not text.strip() and not messages:
            raise ValueError("is empty")
        return Document(text=text, place=place, messages=messages)

    def _is_text_only(self, row: object) -> bool:
        """Whether a row of a table of conversations, where nobody said so, is none but has a text."""
        if not self.guessed or not self.turns or not isinstance(row, Mapping):
            return False
        turns = row.get(self.turns)
        return turns_of(turns) is None if isinstance(turns, str) and turns else not turns and bool(row.get("text"))

    def _texts(self, row: object) -> list[str]:
        names = self.text or (("text",) if self.turns else ())
        if not names:
            return list(_leaves(row))
        row = _fields(row)
        if self.turns and row.get(self.turns):
            names = (self.turns,)
        found = []
        for name in names:
            try:
                found.append(without_tags(text_of(row.get(name) if row.get(name) is not None else "")))
            except ValueError as error:
                raise ValueError(f"the field {name!r} {error}") from error
        if not any(text.strip() for text in found):
            held = ", ".join(map(str, list(row)[:8])) or "nothing"
            raise ValueError(f"has no text in {' + '.join(map(repr, names))} (it has {held})")
        return [text for text in found if text.strip()]

    def _messages(self, row: object) -> tuple[Any, ...]:
        if isinstance(row, Sequence) and any(keys_of(value) or pair_of(value) for value in row):
            return self._listed(row, "")
        if isinstance(row, Sequence):
            return checked(_alternating([text_of(value) for value in row]))
        row = _fields(row)
        if self.columns:
            return checked(_alternating([text_of(row[name]) for name in self.columns if row.get(name)]))
        if self.turns:
            turns = row.get(self.turns)
            if isinstance(turns, str) and (found := turns_of(turns)):
                return checked([turn for turn in found if turn["content"]])
            if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
                raise ValueError(f"has no list of turns in {self.turns!r}")
            last = row.get(self.answer) if self.answer else None
            turns = [*turns, last] if last else turns
            first = "\n\n".join(text_of(row[name]) for name in self.question if row.get(name))
            return self._listed(turns, first)
        return self._pair(row)

    def _listed(self, turns: Sequence[object], first: str) -> tuple[Any, ...]:
        """A list of turns; `first` is asked before them."""
        if all(isinstance(turn, str) for turn in turns):
            return checked(_alternating([clean_text(str(turn)) for turn in turns]))
        if not self.role and any(map(pair_of, turns)):
            return checked(turns_of_pairs(turns, first))
        role, said = self._keys(turns)
        return messages_of(turns, role, said)

    def _keys(self, turns: Sequence[object]) -> tuple[str, str]:
        if self.role and self.said:
            return self.role, self.said
        found = next(filter(None, map(keys_of, turns)), None)
        if found is None:
            raise ValueError(f"has turns in {self.turns!r} of which nobody can tell who speaks")
        return found

    def _pair(self, row: Mapping[Any, Any]) -> tuple[Any, ...]:
        """The question and its answer; of a preference the chosen answer, which may hold the whole conversation."""
        answer = row.get(self.answer)
        if isinstance(answer, Sequence) and not isinstance(answer, str) and answer and keys_of(answer[0]):
            role, said = keys_of(answer[0]) or ("", "")
            chosen = messages_of(answer, role, said)
            if any(message.role == "user" for message in chosen):
                return chosen
            answer = "\n".join(message.content for message in chosen if message.role == "assistant")
        if isinstance(answer, Mapping):
            answer = answer.get((keys_of(answer) or ("", "content"))[1])
        if answer is None or not text_of(answer).strip():
            raise ValueError(f"has no answer in {self.answer!r}")
        asked = [text_of(row[name]) for name in self.question if row.get(name)]
        if not any(text.strip() for text in asked):
            raise ValueError(f"has no question in {' + '.join(map(repr, self.question))}")
        items = [{"role": "system", "content": text_of(row[self.system])}] if row.get(self.system) else []
        before = asked_in(asked[0]) if len(asked) == 1 else None
        if before:
            return checked([*items, *before, {"role": "assistant", "content": text_of(answer)}])
        items.append({"role": "user", "content": "\n\n".join(text for text in asked if text.strip())})
        return checked([*items, {"role": "assistant", "content": text_of(answer)}])


def given(settings: Mapping[str, Any]) -> Layout:
    """The layout that a source's table says.

    Raises:
        SettingsError: for a word that is not one of a layout, or words that do not go together.
    """
    known = {"text", "turns", "role", "said", "question", "answer", "system", "columns", "good"}
    for name, value in settings.items():
        if name not in known:
            raise SettingsError(f"a mapping has no {name!r}", advice=did_you_mean(name, sorted(known)))
        lists = name in ("text", "question", "columns")
        good = isinstance(value, str) or (lists and isinstance(value, list | tuple) and all(map(_is_text, value)))
        if not good:
            raise SettingsError(f"mapping.{name} is {value!r}", advice="give a field's name" + ", or several" * lists)
    words: dict[str, Any] = {
        name: (value,) if name in ("text", "question", "columns") and isinstance(value, str) else value
        for name, value in settings.items()
    }
    words = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
    layout = Layout(**words)
    ways = [bool(layout.text), bool(layout.turns), bool(layout.answer) and not layout.turns, bool(layout.columns)]
    if sum(ways) != 1 or (layout.answer and not layout.turns and not layout.question):
        raise SettingsError(
            f"a mapping of {', '.join(settings) or 'nothing'} does not say what the text is",
            advice="give text, or turns (with role and said), or question and answer, or columns",
        )
    return layout


def guess(rows: Sequence[object]) -> Layout:
    """What these rows, the first of a source, seem to hold."""
    table = [row for row in rows if isinstance(row, Mapping)]
    if not table:
        return Layout(columns=("1", "2"), guessed=True) if _are_lists(rows) else Layout(guessed=True)
    names = list(dict.fromkeys(str(name) for row in table for name in row))
    if names == [str(number) for number in range(1, len(names) + 1)]:  # a table that names no columns
        wordy = _of_words(table, names)
        return Layout(columns=wordy, guessed=True) if len(wordy) > 1 else Layout(text=tuple(names), guessed=True)
    by_name = {name.lower(): name for name in names}
    turns = _turns(table, names)
    chosen = by_name.get("chosen") if any(row.get("rejected") is not None for row in table) else None
    good = next((name for name in names if name.lower() == "label" and _is_rating(table, name)), "")
    if turns:
        role, said = next((found for row in table for found in [_of_list(row.get(turns))] if found), ("", ""))
        first = [by_name[name] for name in _BEFORE_PAIRS if turns.lower() in _OF_PAIRS and name in by_name]
        return Layout(
            turns=turns, role=role, said=said, question=tuple(first), answer=chosen or "", good=good, guessed=True
        )
    answers = [by_name[name] for name in ANSWER if name in by_name and _is_said(table, by_name[name])]
    answer = chosen or next(iter(answers), None)
    question = [by_name[name] for name in QUESTION if name in by_name and by_name[name] != answer]
    if answer and question:
        more = [by_name[name] for name in _MORE if name in by_name and by_name[name] not in (question[0], answer)]
        system = by_name.get("system") or by_name.get("system_prompt") or ""
        return Layout(question=(question[0], *more), answer=answer, system=system, good=good, guessed=True)
    columns = _numbered(names)
    labelled = [chosen] if chosen else [by_name[name] for name in (*TEXT, *QUESTION, *TURNS) if name in by_name]
    whole = next((name for name in labelled if is_labelled([row.get(name) for row in table])), "")
    if whole:
        return Layout(turns=whole, good=good, guessed=True)
    if columns:
        return Layout(columns=columns, guessed=True)
    return Layout(text=_text_fields(table, by_name), guessed=True)


def _text_fields(table: Sequence[Mapping[Any, Any]], by_name: Mapping[str, str]) -> tuple[str, ...]:
    """The fields that usually hold a text and its title; none where there is no such field: then all text is taken."""
    titles = [by_name[name] for name in TITLE if name in by_name]
    texts = [by_name[name] for name in TEXT if name in by_name and _is_said(table, by_name[name])]
    if not texts and titles and _is_said(table, titles[0]):  # a text that not each row has
        texts = [by_name[name] for name in TEXT if any(isinstance(row.get(by_name.get(name)), str) for row in table)]
    if texts:
        examples = [by_name[name] for name in ("example", "examples") if by_name.get(name) not in (None, *texts[:1])]
        return (*titles[:1], texts[0], *examples[:1])
    return ()


def _turns(table: Sequence[Mapping[Any, Any]], names: Sequence[str]) -> str:
    """The field that holds turns, the likeliest name first."""
    order = [name for usual in TURNS for name in names if name.lower() == usual]
    order += [name for name in names if name not in order and any(usual in name.lower() for usual in TURNS[:3])]
    order += [name for name in names if name.lower() in _OF_PAIRS]
    for name in order:
        values = [row[name] for row in table if row.get(name)]
        if values and all(isinstance(value, list) for value in values) and any(map(_are_turns, values)):
            return name
    return ""


def _are_turns(value: object) -> bool:
    return _of_list(value) is not None or (isinstance(value, list) and any(map(pair_of, value)))


def _of_words(table: Sequence[Mapping[Any, Any]], names: Sequence[str]) -> tuple[str, ...]:
    """The columns that mostly hold several words."""
    return tuple(name for name in names if sum(" " in str(row.get(name)).strip() for row in table) * 2 >= len(table))


def _of_list(value: object) -> tuple[str, str] | None:
    return next(filter(None, map(keys_of, value)), None) if isinstance(value, list) else None


def _is_rating(table: Sequence[Mapping[Any, Any]], name: str) -> bool:
    """Whether a field says yes or no in every row."""
    return all(isinstance(row.get(name), bool) for row in table)


def _is_said(table: Sequence[Mapping[Any, Any]], name: str) -> bool:
    """Whether a field holds text in most rows."""
    values = [row.get(name) for row in table]
    return sum(isinstance(value, str | bytes | list | Mapping) and bool(value) for value in values) * 2 >= len(values)


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Columns that differ in a number alone, in the order of their numbers."""
    series: dict[str, dict[int, str]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            series.setdefault(match[1], {})[int(match[2])] = name
    longest = max(series.values(), key=len, default={})
    return tuple(longest[number] for number in sorted(longest)) if len(longest) >= _FEWEST_COLUMNS else ()


def _alternating(said: Sequence[str]) -> list[dict[str, Any]]:
    said = [text for text in said if text.strip()]
    if len(said) < 2:
        raise ValueError("is not a conversation: fewer than two turns say anything")
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(said)]


def _are_lists(rows: Sequence[object]) -> bool:
    return bool(rows) and sum(isinstance(row, list) for row in rows) * 2 > len(rows)


def _fields(row: object) -> Mapping[Any, Any]:
    if not isinstance(row, Mapping):
        raise ValueError(f"is {type(row).__name__}, not an object with fields")
    return row


def _leaves(row: object) -> Iterator[str]:
    """All text in a row, whatever its depth; names of fields stand before what they hold, as headings."""
    waiting: list[tuple[str, object]] = [("", row)]
    looked_at = 0
    while waiting:
        name, value = waiting.pop()
        looked_at += 1
        if looked_at > _MOST_FIELDS:  # a few lines of YAML can stand for a billion
            raise ValueError(f"holds more than {_MOST_FIELDS:,} fields")
        if isinstance(value, Mapping):
            if name:
                yield name
            waiting += [(clean_text(str(key)), part) for key, part in reversed(list(value.items()))]
        elif isinstance(value, list):
            waiting += [(name, part) for part in reversed(value)]
        elif isinstance(value, str) and clean_text(value).strip():
            text = without_tags(clean_text(value))
            yield f"{name}: {text}" if name and name.lower() not in TEXT else text


def _is_text(value: object) -> bool:
    return isinstance(value, str)
