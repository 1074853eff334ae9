"""Commit messages as text, from repositories that git itself makes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from coldframe.corpus import commits, ingest
from coldframe.corpus.commits import open_commits, open_history, without_people
from coldframe.corpus.documents import Quarantine
from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.sources import Source, open_source
from coldframe.errors import DependencyError, SourceError
from tests.commands import Commands

WHO = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@x", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@x"}
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def git(root: Path, *words: str, given: bytes = b"", **more: str) -> str:
    """What git says in a folder; nothing of this machine's settings counts."""
    environment = os.environ | WHO | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"} | more
    done = subprocess.run(["git", *words], cwd=root, input=given, capture_output=True, env=environment, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "box"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "hash-object", "-t", "tree", "-w", "--stdin")
    return root


def commit(root: Path, message: str | bytes, *parents: str, on: str = "main", encoding: str = "UTF-8") -> str:
    """A commit with this message, on top of the branch unless its parents are given."""
    known = subprocess.run(["git", "rev-parse", "-q", "--verify", on], cwd=root, capture_output=True, check=False)
    parents = parents or ((known.stdout.decode().strip(),) if known.returncode == 0 else ())
    made = git(
        root, "-c", f"i18n.commitEncoding={encoding}", "commit-tree", EMPTY_TREE,
        *(word for parent in parents for word in ("-p", parent)),
        given=message if isinstance(message, bytes) else message.encode(),
    )  # fmt: skip
    git(root, "update-ref", f"refs/heads/{on}", made)
    return made


def read(root: Path) -> tuple[list[str], dict[str, str]]:
    quarantine = Quarantine()
    return [document.text for document in open_commits(str(root))[2](quarantine)], dict(quarantine.examples)


def test_each_message_is_a_document_the_oldest_first(repository: Path, tmp_path: Path) -> None:
    first = commit(repository, "Begin\n\nWith a body.\n\n    code\n")
    commit(repository, "", "HEAD")
    side = commit(repository, "Aside", first, on="side")
    merged = commit(repository, "Merge branch 'side'", git(repository, "rev-parse", "main"), side)
    last = commit(repository, "Ende gut: größer", merged)
    source = open_source(Source(name="log", kind="documentation", git=str(repository)))
    found = list(source.documents(Quarantine()))
    assert [document.text for document in found] == [
        "Begin\n\nWith a body.\n\n    code\n", "Aside\n", "Ende gut: größer\n"
    ]  # fmt: skip
    assert [document.place for document in found] == [f"box@{one[:10]}" for one in (first, side, last)]
    assert source.num_bytes > 100
    git(tmp_path, "clone", "-q", "--bare", str(repository), "box.git")
    bare = open_source(Source(name="log", kind="documentation", git=str(tmp_path / "box.git")))
    assert list(bare.documents(Quarantine())) == found
    assert bare.fingerprint == source.fingerprint
    commit(repository, "More")
    assert open_commits(str(repository))[0] != source.fingerprint


def test_a_history_that_grows_keeps_its_past(repository: Path) -> None:
    """Whatever is merged and however, as long as the branch goes on from where it was."""
    chance = random.Random(3)
    made = [commit(repository, "0")]
    before: tuple[str, ...] = ()
    for number in range(1, 60):
        tip = git(repository, "rev-parse", "main")
        kind = chance.randrange(4)
        if kind == 0:
            made.append(commit(repository, f"{number}", chance.choice(made), on=f"b{number}"))
        elif kind == 1:
            made.append(commit(repository, f"merge {number}", tip, *chance.sample(made, min(2, len(made)))))
        else:
            made.append(commit(repository, f"{number}", *chance.sample(made[-6:], 1), on=f"b{number}"))
            made.append(commit(repository, f"merge {number}", tip, made[-1]))
        now = open_history(str(repository)).commits
        assert now[: len(before)] == before
        before = now
    assert len(before) > 20


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Fix\n\nWhy.\n\nSigned-off-by: A <a@x>\nCo-authored-by: B <b@x>\nChange-Id: I1\n", "Fix\n\nWhy."),
        ("Fix\n\ngit-svn-id: http://x/trunk@3 uuid\n", "Fix"),
        ("Signed-off-by: A <a@x>", ""),
        ("* One\n\nAcked-by: A\n\n* Two\n\nCC: b@x\n\nReported-and-tested-by: A B\n <a@x>\n", "* One\n\n* Two"),
        ("Fix\n\nReviewed By: alice\n\nDifferential Revision: D12\n\nPulled By: b\n", "Fix"),
        ("Sort\n\nCaused by: java.lang.Error\norder-by: name\nCc: what it says\n", None),
        ("    One\n\n    Tested-by: A\n    * Two\n", "One\n\n    * Two"),
    ],
)
def test_lines_that_name_people_are_left_out(message: str, text: str | None) -> None:
    assert without_people(message) == (message.strip() if text is None else text)


def test_messages_in_other_encodings(repository: Path) -> None:
    commit(repository, "größer".encode("latin-1"), encoding="ISO-8859-1")
    lost = commit(repository, b"gr\xf6\xdfer", encoding="unheard-of")
    commit(repository, "last")
    texts, bad = read(repository)
    assert texts == ["größer\n", "last\n"]
    assert list(bad) == [f"box@{lost[:10]}"]
    assert "byte 0xf6 is not UTF-8" in bad[f"box@{lost[:10]}"]


def test_the_users_settings_do_not_matter(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commit(repository, "one")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    settings = tmp_path / "settings"
    settings.write_text("[log]\n showSignature = true\n[color]\n ui = always\n[i18n]\n logOutputEncoding = UTF-16\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert read(repository) == (["one\n"], {})


def break_(repository: Path, how: str) -> Path:
    """A repository in which something is wrong, or none."""
    if how == "gone":
        return repository / "nowhere"
    if how == "file":
        return repository / ".git" / "HEAD"
    if how == "folder":
        (repository / "docs").mkdir()
        return repository / "docs"
    if how == "plain":
        shutil.rmtree(repository / ".git")
    if how == "object missing":
        first = commit(repository, "one")
        commit(repository, "two")
        (repository / ".git" / "objects" / first[:2] / first[2:]).unlink()
    if how == "head missing":
        (repository / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    if how == "object damaged":
        first = commit(repository, "one")
        path = repository / ".git" / "objects" / first[:2] / first[2:]
        path.chmod(0o600)
        path.write_bytes(b"x" * 20)
    return repository


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("gone", "is not there"),
        ("file", "is a file, not a repository"),
        ("folder", "is not a Git repository"),
        ("plain", "is not a Git repository"),
        ("empty", "has no commits at refs/heads/main"),
        ("object missing", "git cannot read the history of"),
        ("head missing", "git cannot read the history of"),
        ("object damaged", "git cannot read the history of"),
    ],
)
def test_no_history_is_one_line(repository: Path, coldframe: Commands, tmp_path: Path, how: str, words: str) -> None:
    path = break_(repository, how)
    answer = coldframe("corpus", "ingest", path, "--git", "--out", tmp_path / "out", "--json")
    assert answer.status == 1
    assert words in answer.error["message"]
    assert answer.error["advice"]


def test_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="needs the program git"):
        open_commits(str(repository))


def test_commits_that_git_cannot_give_are_an_error(repository: Path) -> None:
    commit(repository, "one")
    with pytest.raises(SourceError, match="git cannot read the history"):
        list(commits.read_commits(str(repository), "box", ["1" * 40], Quarantine()))


def test_ingest_reads_only_what_is_new(
    repository: Path, coldframe: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BATCH", 5)
    for number in range(12):
        commit(repository, f"Commit number {number} says why it is there")
    words = ("corpus", "ingest", repository, "--git", "--kind", "documentation", "--processes", 1, "--json")
    answer = coldframe(*words, "--out", tmp_path / "out").json["sources"][0]
    assert (answer["name"], answer["documents"], answer["quarantined"]) == ("box", 12, 0)
    before = (tmp_path / "out" / ".documents.journal").read_bytes().splitlines()
    assert len(before) == 3
    for number in range(12, 16):
        commit(repository, f"Commit number {number} says why it is there")
    assert coldframe(*words, "--out", tmp_path / "out").json["sources"][0]["documents"] == 16
    after = (tmp_path / "out" / ".documents.journal").read_bytes().splitlines()
    assert after[:2] == before[:2]
    texts = [one.document.text for one in kept_documents(tmp_path / "out")]
    assert texts == [f"Commit number {number} says why it is there\n" for number in range(16)]
    judged = coldframe(
        "corpus", "filter", repository, "--git", "--kind", "documentation", "--out", tmp_path / "f", "--json"
    )
    assert judged.json["documents_in"] == 16


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a folder away")
def test_a_repository_of_somebody_else(repository: Path) -> None:
    commit(repository, "one")
    os.chown(repository, 12345, 12345)
    os.chown(repository / ".git", 12345, 12345)
    with pytest.raises(SourceError, match="belongs to somebody else") as caught:
        open_commits(str(repository))
    assert "safe.directory" in caught.value.advice
