"""What `coldframe tokenizer train` and `eval` give back."""

import json

import pytest

from coldframe.errors import SourceError, TokenizerError
from coldframe.tokens.tokenizer import Tokenizer
from coldframe.tokens.verbs import TokenizerEval, TokenizerTrain, evaluate_tokenizer, train_tokenizer


@pytest.fixture
def books(tmp_path, make_text):
    paths = []
    for folder in ("a", "b"):
        path = tmp_path / folder / "books"
        path.mkdir(parents=True)
        (path / "one.txt").write_text(make_text(len(paths), 300))
        paths.append(path)
    return tuple(paths)


def test_train_then_eval(tmp_path, books):
    out = tmp_path / "made" / "tokenizer.json"
    trained = train_tokenizer(TokenizerTrain(paths=books, vocab_size=400, out=out, huggingface=tmp_path / "hf.json"))
    assert trained["path"] == str(out)
    assert trained["vocab_size"] == 400
    assert trained["sha256"] == Tokenizer.load(out).sha256
    assert set(trained["bytes_per_token"]) == {"books", "books-2"}
    assert json.loads((tmp_path / "hf.json").read_text())["model"]["type"] == "BPE"
    measured = evaluate_tokenizer(TokenizerEval(tokenizer=out, paths=books))
    assert measured["bytes_per_token"] == trained["bytes_per_token"]
    assert measured["num_bytes"] / measured["num_tokens"] > 2
    assert measured["megabytes_per_second"] > 0
    json.dumps([trained, measured])


def test_errors_are_plain(tmp_path):
    with pytest.raises(SourceError, match="there is nothing at"):
        train_tokenizer(TokenizerTrain(paths=(tmp_path / "nowhere",)))
    with pytest.raises(TokenizerError, match="there is no tokenizer"):
        evaluate_tokenizer(TokenizerEval(tokenizer=tmp_path / "nowhere.json"))
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(SourceError, match="has no text"):
        train_tokenizer(TokenizerTrain(paths=(tmp_path / "empty.jsonl",), vocab_size=300, out=tmp_path / "t.json"))
