"""Rows of JSON lines, JSON and YAML: a damaged one costs itself."""

from __future__ import annotations

import json

import pytest

from coldframe.corpus.reading import rows
from tests.corpus.reading.files import json_lines, read_bytes, texts

ROWS = [{"text": f"row {number}", "tags": [{"text": "no row"}, {"text": "nor this"}]} for number in range(6)]
ALL = [row["text"] for row in ROWS]


def listed(**options):
    return json.dumps(ROWS, **options)


@pytest.mark.parametrize(
    "content",
    [
        listed(),
        listed(indent=2),
        "\ufeff" + listed(),
        json.dumps({"data": ROWS, "version": 1}),
        json.dumps(dict(zip("abcdef", ROWS, strict=True))),
        json_lines(*ROWS),
        "\n" + json_lines(*ROWS),
    ],
)
def test_json_in_every_shape(tmp_path, content):
    assert texts(tmp_path, "a.json", content) == ALL


def test_values_that_only_some_readers_take(tmp_path):
    assert texts(tmp_path, "a.json", '{"data": [{"text": "one", "score": NaN}]}') == ["one"]
    assert texts(tmp_path, "b.json", r'[{"text": "one \ud83d"}, {"text": "two"}]') == ["one ", "two"]


@pytest.mark.parametrize("damage", [('"row 2"', '"row 2'), ('"row 2"', "row 2")])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_damaged_element_costs_itself(tmp_path, damage, indent):
    documents, bad = read_bytes(tmp_path, "a.json", listed(indent=indent).replace(*damage))
    assert [document.text for document in documents] == [text for text in ALL if text != "row 2"]
    assert list(bad) == ["a.json[2]"]


def test_bad_bytes_in_a_list_cost_their_element(tmp_path):
    documents, bad = read_bytes(tmp_path, "a.json", listed().encode().replace(b"row 2", b"row \xff2"))
    assert [document.text for document in documents] == [text for text in ALL if text != "row 2"]
    assert bad == {"a.json[2]": "holds bytes that are not UTF-8"}


def test_a_bracket_in_the_middle_does_not_end_a_list(tmp_path):
    documents, bad = read_bytes(tmp_path, "a.json", listed().replace('}, {"text": "row 3"', '}], {"text": "row 3"'))
    assert [document.text for document in documents] == ALL
    assert list(bad) == ["a.json[3]"]


@pytest.mark.parametrize("cut", [-1, -2, -30, 60])
def test_a_list_that_is_cut(tmp_path, cut):
    documents, bad = read_bytes(tmp_path, "a.json", listed()[:cut])
    assert [document.text for document in documents] == ALL[: len(documents)]
    assert bad


def test_a_long_list_is_read_in_pieces(tmp_path, monkeypatch):
    for name, size in {"_WHOLE": 100, "_CHUNK": 7, "LONGEST": 300}.items():
        monkeypatch.setattr(rows, name, size)
    assert texts(tmp_path, "a.json", listed(indent=2)) == ALL
    assert texts(tmp_path, "b.json", json_lines(*ROWS)) == ALL
    long = listed().replace('"row 2"', '"' + "x" * 5000)
    documents, bad = read_bytes(tmp_path, "c.json", long)
    assert [document.text for document in documents] == [text for text in ALL if text != "row 2"]
    assert list(bad) == ["c.json[2]"]


def test_a_line_that_is_no_row_for_its_length(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LONGEST", 100)
    content = json_lines({"text": "one"}, {"text": "x" * 1000}, {"text": "three"})
    documents, bad = read_bytes(tmp_path, "a.jsonl", content)
    assert [document.place for document in documents] == ["a.jsonl:1", "a.jsonl:3"]
    assert list(bad) == ["a.jsonl:2"]


def test_deep_json(tmp_path):
    deep = "[" * 900 + "]" * 900
    documents, bad = read_bytes(tmp_path, "a.json", f'[{{"text": {deep}}}, {{"text": "fine"}}]')
    assert [document.text for document in documents] == ["fine"]
    assert list(bad) == ["a.json[0]"]
    for content in ("[" * 100_000, '{"a":' * 100_000):
        assert not read_bytes(tmp_path, "b.json", content)[0]
        assert read_bytes(tmp_path, "b.json", content)[1]


def test_yaml(tmp_path):
    assert texts(tmp_path, "a.yaml", "- text: one\n- text: two\n") == ["one", "two"]
    assert texts(tmp_path, "b.yml", "text: one\n---\ntext: two\n---\n") == ["one", "two"]
    assert texts(tmp_path, "c.yaml", "1: {text: one}\n2: {text: two}\n3: {text: three}\n") == ["one", "two", "three"]
    assert texts(tmp_path, "d.yaml", "base: &b {text: one}\nrows:\n- *b\n- <<: *b\n  id: 3\n") == ["one", "one"]


def test_a_dictionary_of_many_words_in_yaml_is_no_bomb(tmp_path):
    assert len(texts(tmp_path, "a.yaml", "".join(f"w{number}: {{text: x}}\n" for number in range(11_000)))) == 11_000


def test_the_documents_before_a_damaged_one_are_read(tmp_path):
    documents, bad = read_bytes(tmp_path, "a.yaml", "text: one\n---\ntext: [two\n---\ntext: three\n")
    assert [document.text for document in documents] == ["one"]
    assert "is not YAML" in bad["a.yaml"]


ALIASES = "".join(f"- text: &a{n} [{', '.join([f'*a{n - 1}' if n else 'lol'] * 10)}]\n" for n in range(12))
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "content",
    [
        ALIASES,
        MERGES,
        "a: &a {x: 1}\nb: {<<: [" + "*a, " * 1000 + "]}",
        "- &a [*a]\n- text: &b [*b]\n",
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000 + "x",
        "".join(" " * n + "- a:\n" for n in range(1000)),
        *(f"- text: {value}" for value in ("!!int ''", "!!bool no!", "!!timestamp soon", "!!binary é", "!mine x")),
    ],
)
@pytest.mark.timeout(20)
def test_yaml_that_is_a_bomb_or_nonsense(tmp_path, content):
    documents, bad = read_bytes(tmp_path, "a.yaml", content)
    assert not documents
    assert bad["a.yaml"].startswith("is not YAML: ")
