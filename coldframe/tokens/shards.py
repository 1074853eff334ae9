"""Shards: one source's tokens on disk, immutable, checked, and read at any place without loading them.

    <source>/<manifest hash[:12]>/
        manifest.json            what follows, with sizes and hashes; written last
        boundary.bin             uint8 a token of the vocabulary: what ends after it (see tokenizer.py)
        tokens-00000.bin         uint16 token ids (uint32 for a vocabulary above 65,536), one document after the other
        documents-00000.bin      int64: where in this shard each document starts, and at last the number of its tokens
        mask-00000.bin           uint8 a token, only where some tokens do not count as targets: 1 counts
        validation/...           the same for the documents that are held out

All numbers are little-endian. A document starts with the BOS token and never spans two shards.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from coldframe.errors import ShardError

FORMAT, VERSION = "coldframe shards", 2
MANIFEST = "manifest.json"
REBUILD = "delete the folder and start again to rebuild it"
_BLOCK = 1 << 22
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedDocument:
    """One document as read back from shards."""

    ids: Array
    """Token ids [num_tokens], BOS first."""
    num_bytes: int
    """Raw UTF-8 bytes of its text, special tokens not counted."""
    mask: Array | None
    """np.uint8[num_tokens], 1 where the token counts as a target; None when all do."""


class Tokens:
    """The documents of one side of a source (training or validation), as one row of tokens; reads are thread-safe."""

    __slots__ = (
        "_masks",
        "_starts",
        "_tokens",
        "document_bytes",
        "document_offsets",
        "num_bytes",
        "num_documents",
        "num_tokens",
    )

    def __init__(self, folder: Path, record: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
        self.num_tokens: int = record["num_tokens"]
        self.num_documents: int = record["num_documents"]
        self.num_bytes: int = record["num_bytes"]
        self._tokens = [_map(folder, shard["tokens"], dtype) for shard in record["shards"]]
        self._masks = [
            _map(folder, shard["mask"], np.dtype(np.uint8)) if shard["mask"] else None for shard in record["shards"]
        ]
        offsets = [_map(folder, shard["documents"], np.dtype("<i8")) for shard in record["shards"]]
        sizes = [_map(folder, shard["bytes"], np.dtype("<i8")) for shard in record["shards"]]
        self._starts = [0, *np.cumsum([len(tokens) for tokens in self._tokens]).tolist()]
        inner = [part[:-1] + start for part, start in zip(offsets, self._starts, strict=False)]
        self.document_offsets: npt.NDArray[np.int64] = np.concatenate([*inner, [self._starts[-1]]]).astype(np.int64)
        """np.int64[num_documents + 1]: document d is the tokens from offset d to offset d + 1."""
        self.document_bytes: npt.NDArray[np.int64] = np.concatenate([*sizes, []]).astype(np.int64)
        """np.int64[num_documents]: raw UTF-8 bytes of each document's text."""
        if self._starts[-1] != self.num_tokens or len(self.document_offsets) != self.num_documents + 1:
            raise ShardError(f"the shards in {folder} do not hold what their manifest says", advice=REBUILD)

    def read(self, start: int, stop: int) -> Array:
        """A copy of the tokens [start, stop), over as many shard files as that takes."""
        return self._read(self._tokens, start, stop)

    def read_mask(self, start: int, stop: int) -> Array | None:
        """np.uint8: 1 for each token of [start, stop) that counts as a target; None when all do."""
        if not any(mask is not None for mask in self._masks):
            return None
        full = zip(self._masks, self._tokens, strict=True)
        return self._read(
            [np.broadcast_to(np.uint8(1), len(tokens)) if mask is None else mask for mask, tokens in full], start, stop
        )

    def documents(self) -> Iterator[TokenizedDocument]:
        """Every document in order."""
        for number in range(self.num_documents):
            yield self.document(number)

    def document(self, number: int) -> TokenizedDocument:
        """Document `number`, from 0."""
        start, stop = self.document_offsets[number : number + 2].tolist()
        return TokenizedDocument(
            ids=self.read(start, stop), num_bytes=int(self.document_bytes[number]), mask=self.read_mask(start, stop)
        )

    def _read(self, files: list[Array], start: int, stop: int) -> Array:
        assert 0 <= start <= stop <= self.num_tokens, f"tokens {start} to {stop} of {self.num_tokens}"
        at = max(0, bisect.bisect_right(self._starts, start, hi=len(files)) - 1)
        parts = []
        while start < stop:
            begin, end = self._starts[at : at + 2]
            parts.append(files[at][start - begin : min(stop, end) - begin])
            start, at = min(stop, end), at + 1
        if not parts:
            return np.empty(0, files[0].dtype if files else np.uint16)
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)


class TokenSource:
    """One source's shards: its training tokens, and in `validation` the documents that are held out."""

    __slots__ = (
        "bos",
        "boundary",
        "document_offsets",
        "folder",
        "manifest",
        "manifest_hash",
        "name",
        "num_bytes",
        "num_documents",
        "num_tokens",
        "tokenizer_sha256",
        "train",
        "validation",
        "vocab_size",
    )

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Use `open`, which checks the folder first."""
        self.folder = folder
        self.manifest = manifest
        self.manifest_hash: str = manifest["manifest_hash"]
        self.name: str = manifest["source"]["name"]
        self.tokenizer_sha256: str = manifest["tokenizer"]
        self.vocab_size: int = manifest["vocab_size"]
        self.bos: int = manifest["bos"]
        self.boundary: npt.NDArray[np.uint8] = _map(folder, manifest["boundary"], np.dtype(np.uint8))
        dtype = token_dtype(self.vocab_size)
        self.train = Tokens(folder, manifest["train"], dtype)
        self.validation = Tokens(folder, manifest["validation"], dtype)
        self.num_tokens = self.train.num_tokens
        self.num_documents = self.train.num_documents
        self.num_bytes = self.train.num_bytes
        self.document_offsets = self.train.document_offsets

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> TokenSource:
        """Opens a whole set of shards; sizes are always checked, hashes too with `verify`. Raises ShardError."""
        manifest = read_manifest(folder)
        for file in files_of(manifest):
            _check_file(folder, file, verify)
        return cls(folder, manifest)

    @property
    def kind(self) -> str:
        """What the text is like: one of corpus.sources.KINDS."""
        return str(self.manifest["source"]["kind"])

    def read(self, start: int, stop: int) -> Array:
        """A copy of the training tokens [start, stop), in the shards' own type (uint16 or uint32)."""
        return self.train.read(start, stop)

    def read_mask(self, start: int, stop: int) -> Array | None:
        """np.uint8: 1 for each training token of [start, stop) that counts as a target; None when all do."""
        return self.train.read_mask(start, stop)


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The type of a token id on disk."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """xxh3_128 of the manifest's canonical JSON, its own hash left out: what a set of shards is known by."""
    rest = {key: value for key, value in manifest.items() if key != "manifest_hash"}
    return xxhash.xxh3_128_hexdigest(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's manifest, checked against its own hash; raises ShardError."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ShardError(f"{folder} holds no whole set of shards: {MANIFEST} is missing", advice=REBUILD) from error
    except (OSError, ValueError) as error:
        raise ShardError(f"corrupt shard: {path} cannot be read: {error}", advice=REBUILD) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ShardError(f"corrupt shard: {path} is not a manifest of shards", advice=REBUILD)
    expected, found = manifest.get("manifest_hash"), manifest_hash(manifest)
    if expected != found:
        raise ShardError(f"corrupt shard: {path}: expected manifest hash {expected}, found {found}", advice=REBUILD)
    if manifest["version"] != VERSION:
        raise ShardError(
            f"the shards in {folder} have version {manifest['version']}, this coldframe reads {VERSION}", advice=REBUILD
        )
    return manifest


def files_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every file's record {name, bytes, xxh3_128} in the manifest."""
    shards = [*manifest["train"]["shards"], *manifest["validation"]["shards"]]
    return [manifest["boundary"], *(file for shard in shards for file in shard.values() if file)]


def _check_file(folder: Path, file: Mapping[str, Any], verify: bool) -> None:
    path = folder / file["name"]
    try:
        size = path.stat().st_size
        if size != file["bytes"]:
            raise ShardError(
                f"corrupt shard: file {path}, expected {file['bytes']} bytes, found {size}", advice=REBUILD
            )
        if not verify:
            return
        found = xxhash.xxh3_128()
        with path.open("rb") as opened:
            while block := opened.read(_BLOCK):
                found.update(block)
    except OSError as error:
        raise ShardError(f"corrupt shard: file {path} cannot be read: {error.strerror}", advice=REBUILD) from error
    if found.hexdigest() != file["xxh3_128"]:
        raise ShardError(
            f"corrupt shard: file {path}, expected xxh3_128 {file['xxh3_128']}, found {found.hexdigest()}",
            advice=REBUILD,
        )


def _map(folder: Path, file: Mapping[str, Any], dtype: np.dtype[Any]) -> Array:
    """The file as a read-only array; a plain view, because indexing np.memmap itself is slow."""
    return np.asarray(np.memmap(folder / file["name"], dtype=dtype, mode="r"))
