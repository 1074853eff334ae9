"""Reports of corpora: kept by the verb, served as pages with their twins, refused under names that are none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.corpus.filters.rules import RULES
from coldframe.errors import UsageError
from coldframe.explore.pages import STATIC
from tests.explore.conftest import Served
from tests.explore.made import make_run
from tests.explore.reports import keep_report, make_corpus

Serve = Callable[..., Served]
ADVERSE = ("%2e%2e", "..%2f..%2fetc%2fpasswd", ".hidden", "a%00b", "a b", "x" * 65, "%3Cscript%3E")


def test_the_verb_keeps_a_report_that_the_explorer_serves(tmp_path: Path, runs: Path, serve: Serve) -> None:
    corpus = make_corpus(tmp_path)
    client = serve(runs).client
    assert client.get("/runs.json").json()["reports"] == []
    said = keep_report(corpus, runs, "library")
    assert said["page"] == "/corpus/library"
    assert client.get("/runs.json").json()["reports"] == ["library"]
    page, twin = client.get(str(said["page"])), client.get(f"{said['page']}.json")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert twin.headers["content-type"] == "application/json"
    assert twin.content == (runs / "corpus" / "reports" / "library.json").read_bytes()
    books, talk = twin.json()["sources"]
    assert books["documents_in"] == 6 and books["duplicates"] == 1 and talk["documents_kept"] == 2
    assert books["dropped"] == {"too-short": 1, "wrong-script": 1}
    assert [books, talk] == json.loads(json.dumps(said["sources"]))


def test_a_report_is_kept_only_under_a_plain_name(tmp_path: Path, runs: Path) -> None:
    for name in ("..", "a/b", "", "x.json", ".hidden", "x" * 65):
        with pytest.raises(UsageError, match="cannot be the name of a report"):
            keep_report(tmp_path / "nothing", runs, name)  # before anything is read
    assert not runs.exists()


def test_a_run_shows_what_became_of_its_text(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=5)
    client = serve(runs).client
    missing = client.get("/runs/a/corpus.json")
    assert missing.status_code == 404 and missing.json()["error"]["message"] == "run 'a' has no report of its corpus"
    assert client.get("/runs/a/corpus").status_code == 404 and client.get("/runs/a.json").json()["corpus"] is False
    folder.corpus_report.write_text('{"made": 1.5, "sources": []}')
    assert client.get("/runs/a/corpus.json").content == b'{"made": 1.5, "sources": []}'
    assert client.get("/runs/a/corpus").status_code == 200 and client.get("/runs/a.json").json()["corpus"] is True
    assert client.get("/runs/b/corpus.json").status_code == client.get("/runs/b/corpus").status_code == 404


def test_a_report_that_cannot_be_read_says_so(runs: Path, serve: Serve) -> None:
    folder = runs / "corpus" / "reports"
    folder.mkdir(parents=True)
    (folder / "half.json").write_text('{"made": 1')
    (folder / "other.json").write_text('["sources"]')
    (folder / "no name.json").write_text("{}")
    client = serve(runs).client
    assert client.get("/runs.json").json()["reports"] == ["half", "other"]
    for name, words in (("half", "is damaged"), ("other", "is no report of a corpus")):
        answer = client.get(f"/corpus/{name}.json")
        assert answer.status_code == 500 and words in answer.json()["error"]["message"]
        assert answer.json()["error"]["kind"] == "File"
    missing = client.get("/corpus/hafl.json")
    assert missing.status_code == 404 and "did you mean 'half'?" in missing.json()["error"]["advice"]
    assert client.get("/corpus/hafl").status_code == 404


@pytest.mark.parametrize("name", ADVERSE)
def test_a_name_cannot_climb(runs: Path, serve: Serve, name: str) -> None:
    """Nothing beside the reports is served, whatever the name."""
    make_run(runs, "a")
    (runs / "corpus" / "reports").mkdir(parents=True)
    (runs / "corpus" / "secret.json").write_text('{"sources": ["secret"]}')
    client = serve(runs).client
    for path in (f"/corpus/{name}.json", f"/corpus/{name}", f"/runs/{name}/corpus.json", f"/runs/{name}/corpus"):
        answer = client.get(path)
        assert answer.status_code in (400, 404) and "secret" not in answer.text, path
    assert client.get("/corpus/..%2fsecret.json").status_code in (400, 404)


def test_the_description_has_the_report_and_its_refusals(runs: Path, serve: Serve) -> None:
    described = serve(runs).client.get("/openapi.json").json()
    for path in ("/corpus/{name}.json", "/runs/{name}/corpus.json"):
        shape = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert shape == {"$ref": "#/components/schemas/CorpusAnswer"}
    assert {"unfiltered", "examples"} <= set(described["components"]["schemas"]["SourceReport"]["properties"])


def test_every_reason_is_put_in_words() -> None:
    """The page says of each reason that a rule may give what it means."""
    script = (STATIC / "js" / "reasons.js").read_text(encoding="utf-8")
    table = script[script.index("MEANINGS = {") : script.index("};")]
    told = set(re.findall(r'^  "([a-z-]+)": "', table, re.MULTILINE))
    others = {"duplicate", "near-duplicate", "contaminated"}  # given by the searches of the same names
    assert told == {rule.reason for rule in RULES} | others


def test_the_verb_says_where_the_page_is(tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from coldframe.cli import main

    corpus = make_corpus(tmp_path)
    words = ["corpus", "report", str(corpus), "--quiet", "--page", "mine", "--runs", str(runs)]
    assert main(words) == 0
    assert "as a page: /corpus/mine of the explorer" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["page"] == "/corpus/mine"
    assert main(["corpus", "report", str(corpus), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["page"] is None
