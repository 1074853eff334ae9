"""Writing shards: into a folder with a temporary name, each file fsynced, the manifest last, then one rename."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import xxhash

from coldframe.errors import ShardError, SourceError
from coldframe.run.durable import fsync_folder, is_abandoned, room_for, temporary_name, write_whole
from coldframe.tokens.shards import FORMAT, MANIFEST, VERSION, Array, TokenSource, manifest_hash, token_dtype
from coldframe.tokens.tokenizer import Tokenizer

SHARD_TOKENS = 1 << 26
"""A shard is closed after the document that brings it to so many tokens."""
_WRITING = ".writing"
_log = logging.getLogger("coldframe")


class ShardWriter:
    """Takes a source's tokenized documents one after the other; `finish` makes them a whole set of shards.

    Used in a `with`: leaving it without `finish` removes what was written. Raises DiskFullError.
    """

    def __init__(
        self,
        folder: Path,
        source: Mapping[str, Any],
        tokenizer: Tokenizer,
        *,
        held_out: float = 0.0,
        shard_tokens: int = SHARD_TOKENS,
    ) -> None:
        """`folder` is the source's own: the set becomes a folder in it, named by its manifest's hash.

        `source` is the record for the manifest (name, kind, licence, ...), `held_out` the share that was held out.
        """
        self._folder = folder
        self._temporary = folder / temporary_name(_WRITING)
        self._tokenizer = tokenizer
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "source": dict(source),
            "tokenizer": tokenizer.sha256,
            "vocab_size": tokenizer.vocab_size,
            "bos": tokenizer.bos,
            "held_out": held_out,
        }
        with room_for(self._temporary):
            (self._temporary / "validation").mkdir(parents=True)
        self._train = _Side(self._temporary, "", tokenizer, shard_tokens)
        self._validation = _Side(self._temporary, "validation/", tokenizer, shard_tokens)
        for other in folder.iterdir():
            if is_abandoned(other.name, _WRITING):
                shutil.rmtree(other, ignore_errors=True)

    def add(self, ids: Array, mask: Array | None = None) -> None:
        """Appends a document to the training side: its ids with BOS first, and a mask when not every token counts."""
        with room_for(self._temporary):
            self._train.add(ids, mask)

    def add_validation(self, ids: Array, mask: Array | None = None) -> None:
        """Appends a held-out document."""
        with room_for(self._temporary):
            self._validation.add(ids, mask)

    def finish(self) -> Path:
        """Makes the set whole and returns its folder; a set with the same content that is there already is kept
        instead.

        Raises SourceError when no document came for training, or none that has anything to learn.
        """
        name = self._head["source"]["name"]
        if self._train.is_empty:
            self.abort()
            raise SourceError(
                f"source {name!r} has no text to train on", advice="add text, name its fields, or leave it out"
            )
        if not self._train.has_targets:
            self.abort()
            raise SourceError(
                f"source {name!r} has nothing to learn: no conversation to train on has a message of the assistant",
                advice="only what the assistant says is learned: add its answers, name fields of plain text, "
                "or leave the source out",
            )
        with room_for(self._temporary):
            boundary = _File(self._temporary, "boundary.bin")
            boundary.write(self._tokenizer.boundary)
            manifest: dict[str, Any] = {
                **self._head,
                "boundary": boundary.close(),
                "train": self._train.close(),
                "validation": self._validation.close(),
            }
            manifest["manifest_hash"] = manifest_hash(manifest)
            fsync_folder(self._temporary / "validation")
            write_whole(self._temporary / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
            return self._put_in_place(self._folder / manifest["manifest_hash"][:12])

    def _put_in_place(self, target: Path) -> Path:
        try:
            self._temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
            if _is_whole(target):
                self.abort()
                return target
            damaged = target.with_name(temporary_name(_WRITING))
            _log.warning("the damaged shards in %s are replaced", target)
            target.rename(damaged)
            self._temporary.rename(target)
            shutil.rmtree(damaged, ignore_errors=True)
        fsync_folder(self._folder)
        return target

    def abort(self) -> None:
        """Removes what was written so far."""
        self._train.abort()
        self._validation.abort()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary.exists():
            self.abort()


class _File:
    """One file being written, hashed on the way."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._file: BinaryIO = (folder / name).open("wb")
        self._hash = xxhash.xxh3_128()
        self._bytes = 0

    def write(self, array: Array) -> None:
        data = np.ascontiguousarray(array).view(np.uint8).data
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)

    def close(self) -> dict[str, Any]:
        """The file's record in the manifest, once it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"name": self.name, "bytes": self._bytes, "xxh3_128": self._hash.hexdigest()}

    def abort(self) -> None:
        try:
            self._file.close()
        except OSError:
            # The rest of its buffer found no room either; the file is about to be removed.
            _log.debug("%s could not be flushed", self.name)


class _Side:
    """The training or the validation side, shard by shard."""

    def __init__(self, folder: Path, prefix: str, tokenizer: Tokenizer, shard_tokens: int) -> None:
        self._folder, self._prefix, self._tokenizer, self._shard_tokens = folder, prefix, tokenizer, shard_tokens
        self._dtype = token_dtype(tokenizer.vocab_size)
        self._shards: list[dict[str, Any]] = []
        self.num_tokens = self.num_documents = self.num_bytes = 0
        self.has_targets = False
        """Whether any token that came counts as a target."""
        self._tokens: _File | None = None
        self._mask: _File | None = None
        self._offsets, self._sizes = [0], list[int]()

    def add(self, ids: Array, mask: Array | None) -> None:
        assert len(ids) and ids[0] == self._tokenizer.bos, "a document starts with BOS"
        assert mask is None or len(mask) == len(ids), "a mask has one value a token"
        self.has_targets = self.has_targets or mask is None or bool(np.any(mask))
        if self._tokens is None:
            self._tokens = self._open("tokens")
        if mask is not None and self._mask is None:
            self._mask = self._open("mask")
            self._mask.write(np.ones(self._offsets[-1], np.uint8))
        if self._mask is not None:
            self._mask.write(np.ones(len(ids), np.uint8) if mask is None else np.asarray(mask, np.uint8))
        self._tokens.write(np.asarray(ids, self._dtype))
        self._offsets.append(self._offsets[-1] + len(ids))
        # Byte pairs lose nothing, so the tokens' lengths add up to the text's.
        self._sizes.append(int(self._tokenizer.token_bytes[ids].sum()))
        if self._offsets[-1] >= self._shard_tokens:
            self._close_shard()

    @property
    def is_empty(self) -> bool:
        """Whether no document has come yet."""
        return not self._shards and self._tokens is None

    def close(self) -> dict[str, Any]:
        """This side's record in the manifest."""
        if self._tokens is not None:
            self._close_shard()
        counts = {"num_tokens": self.num_tokens, "num_documents": self.num_documents, "num_bytes": self.num_bytes}
        return {**counts, "shards": self._shards}

    def abort(self) -> None:
        for file in (self._tokens, self._mask):
            if file is not None:
                file.abort()

    def _open(self, label: str) -> _File:
        return _File(self._folder, f"{self._prefix}{label}-{len(self._shards):05d}.bin")

    def _close_shard(self) -> None:
        assert self._tokens is not None
        documents, sizes = self._open("documents"), self._open("bytes")
        documents.write(np.array(self._offsets, "<i8"))
        sizes.write(np.array(self._sizes, "<i8"))
        self._shards.append(
            {
                "tokens": self._tokens.close(),
                "mask": self._mask.close() if self._mask else None,
                "documents": documents.close(),
                "bytes": sizes.close(),
            }
        )
        self.num_tokens += self._offsets[-1]
        self.num_documents += len(self._sizes)
        self.num_bytes += sum(self._sizes)
        self._tokens = self._mask = None
        self._offsets, self._sizes = [0], []


def _is_whole(folder: Path) -> bool:
    try:
        TokenSource.open(folder, verify=True)
    except ShardError:
        return False
    return True
