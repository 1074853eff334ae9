"""A Git repository on disk as text: each commit's message is a document, the oldest first.

The order is git's topological one, reversed: what a merge brought in stands just before the merge. So commits that are
added on top of a history come behind all that were there, and what was read of those stays as it is.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from coldframe.corpus.documents import Document, Quarantine, Reader, clean_text
from coldframe.corpus.reading.entries import shown
from coldframe.errors import DependencyError, SourceError

_VERSION = 1
"""Raised when the same history gives other documents."""
BATCH = 2000
"""Commits that are read at once."""
_SHOWN = 10
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
              "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE")  # fmt: skip
"""What would make git read another repository than the one that is named: set while a hook of it runs."""
_PEOPLE = re.compile(
    r"([ \t>*#-]*)(?:"
    r"(?:[A-Za-z]+-)*(?:[A-Za-z]*(?:ed|en)|found|made|built|off)-by:[ \t]*\S.*|[A-Za-z][\w-]*-(?:by|of):.*@.*"
    r"|(?:Reviewed|Pulled|Approved|Tested|Signed off|Co-authored) by:.*"
    r"|(?:Reviewers?|Subscribers|Change-Id|git-svn-id|Differential Revision|\w*RevId):.*"
    r"|(?:Cc|To|From|Author|Committer|Thanks-to):.*[<@].*)",
    re.IGNORECASE,
)
"""A line that names people, or the numbers of a tool; also in the middle, where a message was made of several."""
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The commits of a repository that have a message of their own: merges are left out."""

    path: str
    name: str
    """The repository's folder."""
    head: str
    """Hash of the newest commit."""
    commits: tuple[str, ...]
    """Hashes, the oldest first."""
    num_bytes: int
    """Bytes of the commits: their messages and as much again of names and dates."""


def open_history(path: str) -> History:
    """The history of the repository in this folder, as far as its HEAD knows it.

    Raises:
        SourceError: when there is no repository, nothing in it, or not all of it.
        DependencyError: when there is no git.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        what = "is a file, not a repository" if root.exists() else "is not there"
        raise SourceError(f"{root} {what}", advice="give the folder of a Git repository")
    asked = _git(root, "rev-parse", "--git-dir")
    if asked.returncode:
        said = _last_line(asked.stderr)
        if "dubious ownership" in said:
            trust = f"if you trust it: git config --global --add safe.directory {os.path.abspath(root)}"
            raise SourceError(f"the repository {root} belongs to somebody else, so git does not read it", advice=trust)
        why = f": git says: {said}" if "not a git repository" not in said else ""
        raise SourceError(
            f"{root} is not a Git repository{why}", advice="give the folder that holds .git, or a bare one"
        )
    found = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if found.returncode:
        refs = _git(root, "symbolic-ref", "--quiet", "HEAD").stdout.decode("utf-8", "replace").strip()
        if refs and _git(root, "rev-parse", "--verify", "--quiet", refs).returncode:
            raise SourceError(
                f"the repository {root} has no commits at {refs}", advice="check out a branch that has some"
            )
        raise _broken(root, "HEAD is no commit that is there")
    listed = _git(root, "rev-list", "--topo-order", "--reverse", "--no-merges", "HEAD")
    if listed.returncode:
        raise _broken(root, _last_line(listed.stderr))
    commits = listed.stdout.split()
    sizes = _git(root, "cat-file", "--batch-check=%(objectsize)", given=listed.stdout)
    if sizes.returncode or b"missing" in sizes.stdout:
        raise _broken(root, _last_line(sizes.stderr or sizes.stdout))
    return History(
        path=os.path.abspath(root),
        name=_name(root),
        head=found.stdout.decode().strip(),
        commits=tuple(commit.decode() for commit in commits),
        num_bytes=sum(map(int, sizes.stdout.split())),
    )


def open_commits(path: str) -> tuple[str, int, Reader]:
    """(fingerprint, bytes of commits, reader) of a repository's messages; raises as `open_history`."""
    history = open_history(path)

    def reader(quarantine: Quarantine) -> Iterator[Document]:
        return read_commits(history.path, history.name, history.commits, quarantine)

    known_by = f"git {_VERSION} {history.name} {history.head} {len(history.commits)}"  # a shallow one may be deepened
    return xxhash.xxh3_128_hexdigest(known_by.encode()), history.num_bytes, reader


def read_commits(path: str, name: str, commits: Sequence[str], quarantine: Quarantine) -> Iterator[Document]:
    """The messages of these commits, in this order; those without one are left out.

    Raises:
        SourceError: when git cannot read one of them.
    """
    for begin in range(0, len(commits), BATCH):
        for commit, message in _messages(Path(path), commits[begin : begin + BATCH]):
            place = f"{name}@{commit[:_SHOWN]}"
            try:
                text = without_people(clean_text(message.decode("utf-8")))
            except UnicodeDecodeError as error:
                wrong = message[error.start]
                quarantine.add(place, f"byte 0x{wrong:02x} is not UTF-8, and the commit does not say what it is")
                continue
            if text:
                yield Document(text=text + "\n", place=place)


def without_people(message: str) -> str:
    """A message without the lines that say who wrote, reviewed or reported it, and the marks that tools leave."""
    kept, indent = list[str](), -1
    for line in message.split("\n"):
        found = _PEOPLE.fullmatch(line)
        if found:
            indent = len(found[1])
        elif indent < 0 or not line.strip() or len(line) - len(line.lstrip(" \t")) <= indent:  # no more of that line
            indent = -1
            kept.append(line.rstrip())
    return _EMPTY_LINES.sub("\n\n", "\n".join(kept)).strip()


def _messages(root: Path, commits: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """(commit, message in UTF-8 as far as git can make it) of each, in order."""
    read = _git(
        root, "log", "--no-walk=unsorted", "--stdin", "-z", "--format=%H%x00%B", "--encoding=UTF-8",
        "--no-show-signature", "--no-patch", "--no-notes", "--no-color", "--no-mailmap",
        given="".join(f"{commit}\n" for commit in commits).encode(),
    )  # fmt: skip
    pieces = read.stdout.split(b"\0")
    found = [piece.decode("ascii", "replace") for piece in pieces[:-1:2]]
    if read.returncode or found != list(commits):
        raise _broken(root, _last_line(read.stderr) or f"it gave {len(found):,} of {len(commits):,} commits")
    yield from zip(found, pieces[1::2], strict=True)


def _git(root: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git on exactly this repository, whatever the place and the settings that it is run from.

    Raises:
        DependencyError: when there is no git.
    """
    above = os.path.dirname(os.path.realpath(root))
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    environment |= {
        "LC_ALL": "C",
        "GIT_CEILING_DIRECTORIES": above,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
    }
    command = ["git", "--no-pager", "--no-replace-objects", "-C", str(root), *words]
    try:
        return subprocess.run(command, input=given, capture_output=True, env=environment, check=False)
    except FileNotFoundError as error:
        raise DependencyError(
            "reading a repository needs the program git, which is not installed", advice="on Debian: apt install git"
        ) from error


def _broken(root: Path, said: str) -> SourceError:
    return SourceError(
        f"git cannot read the history of {root}: {said or 'it does not say why'}",
        advice="git fsck says what is missing; fetch it, or clone the repository again",
    )


def _last_line(said: bytes) -> str:
    """What git said last, without its own mark."""
    lines = [line.strip() for line in clean_text(said.decode("utf-8", "replace")).split("\n") if line.strip()]
    lines = [line for line in lines if line.startswith("fatal: ")] or lines
    return lines[-1].removeprefix("fatal: ").removeprefix("error: ")[:300] if lines else ""


def _name(root: Path) -> str:
    """How a repository's commits are named: by its folder."""
    path = Path(os.path.realpath(root))
    name = path.parent.name if path.name == ".git" else path.name
    return shown(name.removesuffix(".git") or "repository")
