"""Datasets of the Hugging Face hub: read over HTTP from a server process, from the hub's cache, and from a folder."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.hub import parts
from coldframe.corpus.hub.choosing import Wanted, chosen, configs_of
from coldframe.corpus.hub.repository import amount
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import Source, open_source
from coldframe.corpus.store import read_manifest
from coldframe.errors import DependencyError, SettingsError, SourceError

SERVER = Path(__file__).with_name("hub_server.py")
CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: "data/test-*"
- config_name: small
  data_files: "sample/*/*.jsonl"
---
# Box
"""


def parquet(path: Path, texts: list[str], group: int = 100, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, **columns}), path, row_group_size=group)


def said(begin: int, end: int, length: int = 60) -> list[str]:
    return [f"Text number {number} says what it has to say.".ljust(length, ".") for number in range(begin, end)]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A dataset's repository."""
    root = tmp_path / "hub" / "me" / "box"
    parquet(root / "data" / "train-00000-of-00002.parquet", said(0, 300))
    parquet(root / "data" / "train-00001-of-00002.parquet", said(300, 500))
    parquet(root / "data" / "test-00000-of-00001.parquet", said(500, 520))
    lines = "".join(json.dumps({"text": text}) + "\n" for text in said(600, 640))
    (root / "sample" / "a").mkdir(parents=True)
    (root / "sample" / "a" / "x.jsonl").write_text(lines)
    (root / "README.md").write_text(CARD)
    (root / ".gitattributes").write_text("*.parquet filter=lfs\n")
    return root


@pytest.fixture
def server(box: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """(its folder, the environment in which it is the hub)."""
    root = box.parents[1]
    with subprocess.Popen([sys.executable, str(SERVER), str(root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        env = {"HF_ENDPOINT": address, "HF_HOME": str(root.parent / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        yield root, {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | env
        process.kill()


def coldframe(env: dict[str, str], *words: object) -> tuple[dict[str, Any], str]:
    """(the JSON, what a person is told) of a verb in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "coldframe", *map(str, words), "--json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer, done.stderr


def texts(folder: Path) -> list[str]:
    return [one.document.text for one in kept_documents(folder)]


def read(hub: Path, **words: Any) -> tuple[list[str], dict[str, str]]:
    source = open_source(Source(name="box", kind="prose", hub=str(hub), **words))
    quarantine = Quarantine()
    return [document.text for document in source.documents(quarantine)], dict(quarantine.examples)


def asked(root: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (root / "asked.jsonl").read_text().splitlines()]


# --- over the network -------------------------------------------------------------------------------------------------


def test_a_dataset_by_name(server, tmp_path: Path) -> None:
    root, env = server
    out = tmp_path / "out"
    answer, told = coldframe(env | {"HF_TOKEN": "hf_x"}, "corpus", "ingest", "me/box", "--hub", "--out", out)
    assert answer["sources"][0]["documents"] == 500, answer
    assert (answer["sources"][0]["name"], answer["sources"][0]["quarantined"]) == ("box", 0)
    assert texts(out) == said(0, 500)
    assert "subset default, split train" in told
    record = read_manifest(out).source
    assert len(record["hub"]["commit"]) == 40
    assert record["origin"] == f"me/box at {record['hub']['commit']}"
    seen = asked(root)
    assert {one["token"] for one in seen} == {"Bearer hf_x"}
    fetched = [one for one in seen if one["path"].endswith(".parquet")]
    assert fetched and all(one["range"] for one in fetched)
    assert not (tmp_path / "home" / "hub").exists()
    (root / "me" / "box" / "README.md").write_text(CARD + "More.\n")  # another commit, the same text
    again, _ = coldframe(env, "corpus", "ingest", "me/box", "--hub", "--out", out)
    assert again["sources"][0]["documents"] == 500
    assert read_manifest(out).source == record
    assert not [one for one in asked(root)[len(seen) :] if one["path"].endswith(".parquet")]


def test_so_much_text_and_no_more_is_fetched(server, tmp_path: Path) -> None:
    root, env = server
    big = root / "me" / "big"
    for number in range(3):
        parquet(big / f"train-{number}.parquet", said(number * 1000, number * 1000 + 1000, 3000), group=50)
    words = ("corpus", "ingest", "me/big", "--hub", "--out", tmp_path / "out", "--bytes", "600KB")
    answer, _ = coldframe(env, *words)
    assert answer["sources"][0]["documents"] == 200
    assert {one["path"].rpartition("/")[2] for one in asked(root) if "/resolve/" in one["path"]} == {"train-0.parquet"}


@pytest.mark.parametrize("trouble", [{"status": 503, "times": 1}, {"short": True, "times": 2}])
def test_trouble_that_passes(server, tmp_path: Path, trouble: dict[str, object]) -> None:
    root, env = server
    (root / "trouble.json").write_text(json.dumps({"data/train-00001-of-00002.parquet": trouble}))
    answer, _ = coldframe(env, "corpus", "ingest", "me/box", "--hub", "--out", tmp_path / "out")
    assert answer["sources"][0]["documents"] == 500


def test_trouble_that_stays_is_one_line_and_what_was_read_stays(server, tmp_path: Path) -> None:
    root, env = server
    out = tmp_path / "out"
    name = "data/train-00001-of-00002.parquet"
    (root / "trouble.json").write_text(json.dumps({name: {"short": True}}))
    answer, told = coldframe(env, "corpus", "ingest", "me/box", "--hub", "--out", out)
    assert f"me/box: {name} cannot be fetched: " in answer["error"]["message"]
    assert len([line for line in told.splitlines() if line.startswith("coldframe: ")]) == 1
    assert len((out / ".documents.partial.journal").read_text().splitlines()) == 1
    (root / "trouble.json").unlink()
    before = len(asked(root))
    answer, _ = coldframe(env, "corpus", "ingest", "me/box", "--hub", "--out", out)
    assert answer["sources"][0]["documents"] == 500
    assert texts(out) == said(0, 500)
    assert not [one for one in asked(root)[before:] if "train-00000" in one["path"]]


def test_what_is_not_there_is_one_line(server, tmp_path: Path) -> None:
    root, env = server
    (root / "me" / "gated").mkdir()
    (root / "me" / "gated" / ".gated").touch()
    (root / "me" / "pictures").mkdir()
    (root / "me" / "pictures" / "a.png").write_bytes(b"x")
    for words, said_ in [
        (["me/nothing"], "the hub knows no dataset 'me/nothing' that is open to you"),
        (["me/box", "--revision", "v9"], "has no revision 'v9'"),
        (["me/gated"], "the dataset me/gated is gated"),
        (["me/box", "--subset", "smal"], "has no subset 'smal'"),
        (["me/box", "--split", "dev"], "has no split 'dev'"),
        (["me/box", "--hub-files", "data/2024/*"], "has no file that can be read as 'data/2024/*'"),
        (["me/pictures"], "holds no data that can be read (it holds .png)"),
    ]:
        answer, _ = coldframe(env, "corpus", "ingest", *words, "--hub", "--out", tmp_path / "out")
        assert said_ in answer["error"]["message"]
        assert answer["error"]["advice"]


def test_without_a_network_the_cache_is_read(server, tmp_path: Path, box: Path) -> None:
    root, env = server
    commit = "a" * 40
    cache = tmp_path / "home" / "hub" / "datasets--me--box"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    (cache / "blobs").mkdir()
    for path in box.rglob("*"):
        if path.is_file():
            at = cache / "snapshots" / commit / path.relative_to(box)
            at.parent.mkdir(parents=True, exist_ok=True)
            (cache / "blobs" / path.name).write_bytes(path.read_bytes())
            at.symlink_to(cache / "blobs" / path.name)
    for number, more in enumerate([{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]):
        out = tmp_path / f"out{number}"
        answer, _ = coldframe(env | more, "corpus", "ingest", "me/box", "--hub", "--out", out)
        assert answer["sources"][0]["documents"] == 500, answer
        assert read_manifest(out).source["hub"]["commit"] == commit
    offline = env | {"HF_HUB_OFFLINE": "1"}
    (cache / "snapshots" / commit / "data" / "train-00001-of-00002.parquet").unlink()
    answer, _ = coldframe(offline, "corpus", "ingest", "me/box", "--hub", "--out", tmp_path / "part")
    assert "the cache holds 1 of 2 files of me/box" in answer["error"]["message"]
    answer, _ = coldframe(offline, "corpus", "ingest", "me/other", "--hub", "--out", tmp_path / "other")
    assert "HF_HUB_OFFLINE is set, and me/other at main is not in" in answer["error"]["message"]
    assert not (root / "asked.jsonl").exists()


PREPARE = """
import json, sys
from pathlib import Path
from coldframe.corpus.cleaning import open_clean
from coldframe.corpus.sources import Source
from coldframe.tokens.prepare import prepare
runs = Path(sys.argv[1])
box = Source(name="box", kind="prose", hub="me/box", unfiltered="numbered lines, to be counted")
clean = open_clean([box], runs / "corpus", context=128, dedup=False)
done = prepare(clean.opened, clean.skipped, folder=runs, vocab_size=300)
print(json.dumps([done.sources[0].num_documents, done.reports[0].reused, done.tokenizer.sha256]))
"""


def test_a_run_fetches_its_text_once(server, tmp_path: Path) -> None:
    root, env = server

    def prepared(more: dict[str, str]) -> list[Any]:
        words = [sys.executable, "-c", PREPARE, str(tmp_path / "runs")]
        done = subprocess.run(words, env=env | more, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    documents, reused, tokenizer = prepared({})
    assert documents > 400 and not reused
    before = len(asked(root))
    assert prepared({}) == [documents, True, tokenizer]
    assert not [one for one in asked(root)[before:] if one["path"].endswith(".parquet")]
    assert prepared({"HF_HUB_OFFLINE": "1"}) == [documents, True, tokenizer]


# --- a folder ---------------------------------------------------------------------------------------------------------


def test_a_folder_like_a_dataset(box: Path) -> None:
    assert read(box)[0] == said(0, 500)
    assert read(box, split="test")[0] == said(500, 520)
    assert read(box, subset="small")[0] == said(600, 640)
    assert read(box, hub_files="**/train-00001*")[0] == said(300, 500)
    assert read(box, bytes=6000)[0] == said(0, 100)
    first = open_source(Source(name="box", kind="prose", hub=str(box))).fingerprint
    assert open_source(Source(name="box", kind="prose", hub=str(box), bytes=6000)).fingerprint != first


def test_packed_rows_and_other_formats(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) + "\n" for text in said(0, 40)]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(lines[:10]).encode()))
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress("".join(lines[10:20]).encode()))
    (tmp_path / "c.csv").write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(said(20, 30))))
    (tmp_path / "d.json").write_text(json.dumps([{"text": text} for text in said(30, 40)]))
    (tmp_path / "dataset_infos.json").write_text('{"default": {"description": "none of the text"}}')
    (tmp_path / "LICENSE.txt").write_text("A licence.")
    assert read(tmp_path) == (said(0, 40), {})


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz"])
def test_many_parts_killed_anywhere_give_the_same(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_PART", 1000)
    rows = said(0, 130) + [" ", ""] + said(130, 200)
    if kind == "parquet":
        parquet(tmp_path / "hub" / "train.parquet", rows, group=37)
    else:
        (tmp_path / "hub").mkdir()
        lines = "".join(json.dumps({"text": text}) + "\n" for text in rows) + "broken\n"
        (tmp_path / "hub" / "train.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    source = Source(name="box", kind="prose", hub=str(tmp_path / "hub"))
    whole = ingest(source, tmp_path / "whole")
    assert texts(tmp_path / "whole") == said(0, 200)
    assert len(whole.parts) == 12
    assert len(whole.quarantined) == (2 if kind == "parquet" else 3)
    real = parts.read_dataset
    for stop in (0, 1, 5, 11):
        count = 0

        def dying(*words: Any, stop: int = stop) -> Any:
            nonlocal count
            count += 1
            if count > stop:
                raise SourceError("gone")
            return real(*words)

        monkeypatch.setattr("coldframe.corpus.ingest.read_dataset", dying)
        with pytest.raises(SourceError, match="gone"):
            ingest(source, tmp_path / f"{stop}")
        monkeypatch.setattr("coldframe.corpus.ingest.read_dataset", real)
        parts._Stream._kept.clear()  # as in a new process
        assert ingest(source, tmp_path / f"{stop}") == whole
    limited = Source(name="box", kind="prose", hub=str(tmp_path / "hub"), bytes=2500)
    assert ingest(limited, tmp_path / "limited").counts["documents"] == 42
    assert texts(tmp_path / "limited") == said(0, 42)


def test_pictures_and_nested_columns(tmp_path: Path) -> None:
    picture = {"bytes": b"\x89PNG" * 1000, "path": "a.png"}
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    parquet(tmp_path / "train.parquet", [""] * 3, image=[picture] * 3, messages=[turns] * 3, score=[[0.1, 0.2]] * 3)
    source = open_source(Source(name="box", kind="chat", hub=str(tmp_path)))
    found = list(source.documents(Quarantine()))
    assert [message.content for message in found[0].messages] == ["Why?", "Because."]
    parquet(tmp_path / "train.parquet", said(0, 3), image=[picture] * 3)
    assert read(tmp_path)[0] == said(0, 3)
    table = pyarrow.table({"image": [picture] * 3, "label": [1] * 3})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    documents, bad = read(tmp_path)
    assert (documents, bad) == ([], {"train.parquet": "has no column that can hold text (it has image, label)"})


def test_damaged_files_cost_what_is_in_them(server, tmp_path: Path, box: Path) -> None:
    root, env = server
    first, second = (box / "data" / f"train-0000{number}-of-00002.parquet" for number in range(2))
    first.write_bytes(first.read_bytes()[:2000])
    content = bytearray(second.read_bytes())
    content[100:400] = b"\0" * 300
    second.write_bytes(content)
    parquet(box / "data" / "train-00002.parquet", said(0, 9))
    answer, _ = coldframe(env, "corpus", "ingest", "me/box", "--hub", "--out", tmp_path / "out")
    found = answer["sources"][0]
    assert (found["documents"], found["quarantined"]) == (9, 2)
    assert {place for place, _ in found["examples"]} == {
        first.relative_to(box).as_posix(),
        second.relative_to(box).as_posix(),
    }


# --- what is chosen ---------------------------------------------------------------------------------------------------

NAMES = ["README.md", "data/train-0.parquet", "data/test-0.parquet", "en/train.jsonl", "en/dev.jsonl", "de/train.jsonl"]


@pytest.mark.parametrize(
    ("names", "card", "wanted", "found"),
    [
        (NAMES, "", Wanted(), [1, 3, 5]),
        (NAMES, "", Wanted(subset="en"), [3]),
        (NAMES, "", Wanted(subset="en", split="dev"), [4]),
        (NAMES, "", Wanted(files="e?/*.jsonl"), [3, 4]),
        (NAMES, "", Wanted(files="**/*n.jsonl"), [3, 5]),
        (NAMES, "", Wanted(files="./de/[a-t]*"), [5]),
        (NAMES, "---\nconfigs: [oh\n---\n", Wanted(), [1, 3, 5]),
        (NAMES, "---\nconfigs: 3\n---\n", Wanted(), [1, 3, 5]),
        (NAMES, "---\nconfigs:\n- config_name: x\n  data_dir: en\n---\n", Wanted(), [3]),
        (NAMES, "---\nconfigs:\n- config_name: x\n  data_dir: en\n---\n", Wanted(split="dev"), [4]),
        (NAMES, "---\nconfigs:\n- config_name: x\n  data_files: {dev: [en/dev.jsonl]}\n---\n", Wanted(), [4]),
        (NAMES, "---\nconfigs:\n- data_files: ['de/*', '**/test-*']\n---\n", Wanted(), [2, 5]),
        (["a.parquet", "b.parquet"], "", Wanted(), [0, 1]),
        (["constraint.parquet", "b.parquet"], "", Wanted(), [0, 1]),
    ],
)
def test_which_files(names: list[str], card: str, wanted: Wanted, found: list[int]) -> None:
    assert chosen(names, card, wanted, "me/box")[0] == sorted(names[number] for number in found)


@pytest.mark.parametrize(
    ("names", "card", "wanted", "words"),
    [
        ([], "", Wanted(), "holds no data that can be read .it holds nothing"),
        (["a.py"], "", Wanted(), "it holds .py"),
        (NAMES, "", Wanted(files="../../etc/*"), "no file that can be read as"),
        (NAMES, "", Wanted(files="[z"), "no file that can be read as"),
        (NAMES, "", Wanted(subset="fr"), "folder fr matches no file"),
        (NAMES, "", Wanted(split="validation"), "files of validation matches no file"),
        (NAMES, "---\nconfigs:\n- {config_name: a, data_dir: en}\n- {config_name: b, data_dir: de}\n---\n", Wanted(),
         "has 2 subsets, and none is the usual one"),
        (NAMES, "---\nconfigs:\n- {config_name: a, data_files: nowhere/*}\n---\n", Wanted(), "matches no file"),
    ],
)  # fmt: skip
def test_which_files_cannot_be_told(names: list[str], card: str, wanted: Wanted, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        chosen(names, card, wanted, "me/box")
    assert caught.value.advice


def test_a_card_of_strangers_is_harmless() -> None:
    for front in ("a: &a [*a]\n", "[" * 10_000, "&a {x: &b [1,2], y: *c}\n", "configs: [{data_files: [{split: 3}]}]\n"):
        assert configs_of(f"---\n{front}\n---\n") == []


@pytest.mark.parametrize(
    ("words", "said_"),
    [
        ({"hub": "../../etc"}, None),
        ({"hub": "me/../box"}, "no dataset's name"),
        ({"hub": "me"}, "no dataset's name"),
        ({"hub": "me/.."}, "no dataset's name"),
        ({"hub": "me/box/data"}, "no dataset's name"),
        ({"hub": "me/box@main"}, "no dataset's name"),
        ({"hub": "me/box", "revision": "../x"}, "the revision '../x'"),
        ({"hub": "me/box", "bytes": "many"}, "bytes is 'many'"),
        ({"hub": "me/box", "bytes": 0}, "bytes is 0"),
        ({"hub": "me/box", "hub_files": "*", "split": "train"}, "hub_files and a subset or split"),
        ({"path": "x", "bytes": "2GB"}, "has bytes, and no hub"),
        ({"path": "x", "hub": "me/box"}, "one of them"),
    ],
)
def test_settings_that_make_no_sense(words: dict[str, Any], said_: str | None) -> None:
    if said_ is None:
        assert Source(name="box", kind="prose", **words).hub
        return
    with pytest.raises(SettingsError, match=said_):
        Source(name="box", kind="prose", **words)


def test_amounts() -> None:
    assert [amount(value) for value in (5, "5", "2GB", "1.5 MB", "1GiB", "3k")] == [
        5, 5, 2_000_000_000, 1_500_000, 1 << 30, 3000
    ]  # fmt: skip


def test_too_much_is_refused_with_its_size(tmp_path: Path) -> None:
    with (tmp_path / "train.jsonl").open("wb") as file:
        file.truncate(21_000_000_000)  # no block of it is on the disk
    with pytest.raises(SourceError, match=r"all data files, 1 files, are 21.0 GB") as caught:
        open_source(Source(name="box", kind="prose", hub=str(tmp_path)))
    assert 'bytes = "2GB"' in caught.value.advice
    assert open_source(Source(name="box", kind="prose", hub=str(tmp_path), bytes="1GB")).num_bytes == 10**9


def test_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DependencyError, match="needs huggingface_hub"):
        open_source(Source(name="box", kind="prose", hub="me/box"))
