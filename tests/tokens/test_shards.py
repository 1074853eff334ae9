"""Shards: what is written is read back, and nothing half-written or damaged is believed."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coldframe
from coldframe.errors import DiskFullError, ShardError, SourceError
from coldframe.tokens.shard_writer import ShardWriter
from coldframe.tokens.shards import MANIFEST, TokenSource, files_of, token_dtype
from tests.limits import files_no_larger_than

RECORD = {"name": "made-up", "kind": "prose", "licence": "none", "origin": "a test", "fields": [], "language": "en"}


def documents(tokenizer, make_text, count=12):
    return [np.array([tokenizer.bos, *tokenizer.encode(make_text(seed, 10 + seed))]) for seed in range(count)]


def write(folder, tokenizer, texts, held=(), shard_tokens=1 << 26, masks=None):
    masks = masks or [None] * len(texts)
    with ShardWriter(folder, RECORD, tokenizer, shard_tokens=shard_tokens) as writer:
        for ids, mask in zip(texts, masks, strict=True):
            writer.add(ids, mask)
        for ids in held:
            writer.add_validation(ids)
        return writer.finish()


@pytest.fixture
def whole(tmp_path, tokenizer, make_text):
    """A set of three shards with validation, and its folder."""
    texts = documents(tokenizer, make_text)
    size = sum(map(len, texts[:10]))
    return write(tmp_path, tokenizer, texts[:10], texts[10:], shard_tokens=size // 3)


def test_what_is_written_is_read_back(whole, tokenizer, make_text):
    texts = documents(tokenizer, make_text)
    source = TokenSource.open(whole, verify=True)
    assert (source.name, source.kind, source.bos) == ("made-up", "prose", tokenizer.bos)
    assert (source.tokenizer_sha256, source.vocab_size) == (tokenizer.sha256, tokenizer.vocab_size)
    assert np.array_equal(source.boundary, tokenizer.boundary)
    assert len(source.manifest["train"]["shards"]) == 3
    joined = np.concatenate(texts[:10])
    assert np.array_equal(source.read(0, source.num_tokens), joined)
    assert source.read(0, 5).dtype == np.uint16
    assert source.document_offsets.tolist() == [0, *np.cumsum([len(ids) for ids in texts[:10]])]
    assert source.document_offsets.dtype == np.int64
    assert (source.read(0, source.num_tokens)[source.document_offsets[:-1]] == tokenizer.bos).all()
    assert source.num_bytes == sum(len(make_text(seed, 10 + seed).encode()) for seed in range(10))
    assert source.read_mask(0, 10) is None
    assert source.read(7, 7).shape == (0,)
    held = list(source.validation.documents())
    assert [tokenizer.decode(document.ids[1:]) for document in held] == [
        make_text(seed, 10 + seed) for seed in (10, 11)
    ]
    assert [document.num_bytes for document in held] == [len(make_text(seed, 10 + seed).encode()) for seed in (10, 11)]
    assert source.validation.num_bytes == sum(document.num_bytes for document in held)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ends=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_any_stretch_over_several_files(whole, tokenizer, make_text, ends):
    source = TokenSource.open(whole)
    start, stop = sorted(int(end * source.num_tokens) for end in ends)
    joined = np.concatenate(documents(tokenizer, make_text)[:10])
    assert np.array_equal(source.read(start, stop), joined[start:stop])


def test_reading_out_of_range_is_our_bug(whole):
    source = TokenSource.open(whole)
    with pytest.raises(AssertionError):
        source.read(0, source.num_tokens + 1)


def test_masks_where_some_documents_have_none(tmp_path, tokenizer, make_text):
    texts = documents(tokenizer, make_text, 4)
    mask = np.arange(len(texts[1])) % 2
    path = write(tmp_path, tokenizer, texts, shard_tokens=len(texts[0]) + len(texts[1]), masks=[None, mask, None, None])
    source = TokenSource.open(path, verify=True)
    expected = np.concatenate([np.ones(len(texts[0])), mask, np.ones(len(texts[2]) + len(texts[3]))])
    assert np.array_equal(source.read_mask(0, source.num_tokens), expected)
    assert source.read_mask(0, 1).dtype == np.uint8


def test_a_large_vocabulary_takes_four_bytes():
    assert token_dtype(1 << 16) == np.dtype("<u2")
    assert token_dtype((1 << 16) + 1) == np.dtype("<u4")


def test_the_same_text_gives_the_same_set(tmp_path, tokenizer, make_text):
    texts = documents(tokenizer, make_text)
    first = write(tmp_path / "a", tokenizer, texts)
    second = write(tmp_path / "b", tokenizer, texts)
    assert first.name == second.name
    assert write(tmp_path / "a", tokenizer, texts) == first
    assert [path.name for path in (tmp_path / "a").iterdir()] == [first.name]
    assert write(tmp_path / "a", tokenizer, texts[:-1]).name != first.name


def test_a_source_without_text(tmp_path, tokenizer):
    with pytest.raises(SourceError, match="'made-up' has no text to train on"):
        write(tmp_path, tokenizer, [])
    assert not list(tmp_path.iterdir())


def test_many_threads_read_at_once(whole, tokenizer, make_text):
    source = TokenSource.open(whole)
    joined = np.concatenate(documents(tokenizer, make_text)[:10])
    starts = list(range(0, source.num_tokens - 50, 37))
    with ThreadPoolExecutor(8) as pool:
        for start, ids in zip(starts, pool.map(lambda start: source.read(start, start + 50), starts * 1), strict=True):
            assert np.array_equal(ids, joined[start : start + 50])


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_file_cut_anywhere_is_noticed(whole):
    manifest = TokenSource.open(whole).manifest
    for file in [{"name": MANIFEST}, *files_of(manifest)]:
        path = whole / file["name"]
        data = path.read_bytes()
        for length in {0, 1, len(data) // 2, len(data) - 2, len(data) - 1} - {len(data)}:
            if path.name == MANIFEST and data[:length] == data.rstrip():
                continue  # only the last line end is gone
            path.write_bytes(data[:length])
            with pytest.raises(ShardError, match=path.name) as caught:
                TokenSource.open(whole)
            assert "delete the folder and start again to rebuild it" in str(caught.value)
        path.write_bytes(data)
    TokenSource.open(whole, verify=True)


def test_every_cut_of_one_manifest_is_noticed(tmp_path, tokenizer, make_text):
    folder = write(tmp_path, tokenizer, documents(tokenizer, make_text, 2))
    path = folder / MANIFEST
    data = path.read_bytes()
    for length in range(len(data.rstrip())):
        path.write_bytes(data[:length])
        with pytest.raises(ShardError):
            TokenSource.open(folder)


def test_a_flipped_byte_is_noticed(whole):
    manifest = TokenSource.open(whole).manifest
    for file in files_of(manifest):
        path = whole / file["name"]
        data = path.read_bytes()
        for at in {0, len(data) // 3, len(data) - 1}:
            path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
            with pytest.raises(ShardError, match=f"corrupt shard: file .*{path.name}, expected xxh3_128"):
                TokenSource.open(whole, verify=True)
        path.write_bytes(data)


def test_a_changed_manifest_is_noticed(whole):
    path = whole / MANIFEST
    path.write_text(path.read_text().replace('"num_documents": 10', '"num_documents": 11'))
    with pytest.raises(ShardError, match="expected manifest hash"):
        TokenSource.open(whole)


def test_missing_files(whole):
    (whole / "tokens-00001.bin").unlink()
    with pytest.raises(ShardError, match="tokens-00001.bin cannot be read"):
        TokenSource.open(whole)
    (whole / MANIFEST).unlink()
    with pytest.raises(ShardError, match=r"no whole set of shards: manifest.json is missing"):
        TokenSource.open(whole)


def test_a_damaged_set_is_replaced_by_writing_it_again(tmp_path, tokenizer, make_text):
    texts = documents(tokenizer, make_text)
    path = write(tmp_path, tokenizer, texts)
    (path / "tokens-00000.bin").write_bytes(b"")
    assert write(tmp_path, tokenizer, texts) == path
    TokenSource.open(path, verify=True)
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


# --- a writer that does not get to the end ---------------------------------------------------------------------------


def test_an_error_while_writing_leaves_nothing(tmp_path, tokenizer, make_text):
    with pytest.raises(KeyError), ShardWriter(tmp_path, RECORD, tokenizer) as writer:
        writer.add(documents(tokenizer, make_text)[0])
        raise KeyError("the reader failed")
    assert not list(tmp_path.iterdir())


WRITE = textwrap.dedent("""
    import sys
    from pathlib import Path
    import numpy as np
    from coldframe.tokens.shard_writer import ShardWriter
    from coldframe.tokens.tokenizer import Tokenizer
    tokenizer = Tokenizer.load(Path(sys.argv[1]))
    ids = np.array([tokenizer.bos, *tokenizer.encode("The frame stood open. " * 50)])
    writer = ShardWriter(Path(sys.argv[2]), {"name": "made-up", "kind": "prose"}, tokenizer, shard_tokens=5000)
    print("begun", flush=True)
    while True:
        writer.add(ids)
""")


def start_writer(tmp_path, tokenizer):
    tokenizer.save(tmp_path / "tokenizer.json")
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path / "tokenizer.json"), str(tmp_path / "shards")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(coldframe.__file__).parents[1])},
    )


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2])
def test_a_killed_writer_leaves_nothing_that_is_believed(tmp_path, tokenizer, make_text, seconds):
    with start_writer(tmp_path, tokenizer) as process:
        assert process.stdout.readline() == "begun\n"
        threading.Event().wait(seconds)
        process.send_signal(signal.SIGKILL)
    left = list((tmp_path / "shards").iterdir())
    assert [path.name.startswith(".writing-") for path in left] == [True]
    with pytest.raises(ShardError, match="no whole set"):
        TokenSource.open(left[0])
    # The next writer goes about its work, and clears away what the dead one left.
    path = write(tmp_path / "shards", tokenizer, documents(tokenizer, make_text))
    assert [other.name for other in (tmp_path / "shards").iterdir()] == [path.name]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, tokenizer, make_text):
    texts = documents(tokenizer, make_text) * 40
    with files_no_larger_than(10_000), pytest.raises(DiskFullError, match="no room left to write") as caught:
        write(tmp_path, tokenizer, texts)
    assert "free some space" in caught.value.advice
    assert not list(tmp_path.iterdir())


def test_a_really_full_file_system(tmp_path, tokenizer, make_text):
    """The real ENOSPC, on a small tmpfs where mounting one is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        with pytest.raises(DiskFullError):
            write(disk, tokenizer, documents(tokenizer, make_text) * 40)
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
