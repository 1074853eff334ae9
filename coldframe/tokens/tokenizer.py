"""The tokenizer: byte pairs learned by rustbpe, run by tiktoken, kept as one JSON file that checks itself.

The vocabulary is the 256 bytes, then the learned tokens in the order in which they were learned, then the special
tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import rustbpe
import tiktoken

from coldframe.errors import SettingsError, TokenizerError
from coldframe.run.durable import write_whole
from coldframe.tokens import huggingface
from coldframe.tokens.sentences import CLAUSE_MARKS, CLOSERS, CLOSING, ends_sentence

PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
"""How text is split before bytes are paired: GPT-4's rule (cl100k_base), with at most 2 digits together."""
SPECIALS = ("<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|call|>", "<|result|>", "<|done|>")
"""A document's start; who speaks; the end of a turn; a tool's call, its result and the result's end."""
SMALLEST = 256 + len(SPECIALS)
LARGEST = 1 << 24
_FORMAT, _VERSION = "coldframe tokenizer", 1
# The splitting rule backtracks over white space and gives up after some 500,000 characters of it; no real text has so
# much.
_LONG_BLANK = re.compile(r"(\s{100000})")
_TRAINING_SLICE = 100_000
_NO_BOUNDARY, CLAUSE, LINE, SENTENCE, PARAGRAPH = range(5)
_log = logging.getLogger("coldframe")


class Tokenizer:
    """Text to token ids and back, without loss; safe to share between threads."""

    __slots__ = ("_encoding", "_tokens", "bos", "boundary", "sha256", "specials", "token_bytes", "vocab_size")

    def __init__(self, tokens: Sequence[bytes]) -> None:
        """`tokens` are the ordinary tokens' bytes, by id; raises TokenizerError when they are not a vocabulary."""
        self._tokens = tuple(tokens)
        ranks = {token: rank for rank, token in enumerate(self._tokens)}
        if len(ranks) != len(self._tokens) or any(bytes([byte]) not in ranks for byte in range(256)):
            raise TokenizerError(
                "the vocabulary repeats a token or lacks one of the 256 bytes", advice="train the tokenizer again"
            )
        self.specials: dict[str, int] = {name: len(ranks) + number for number, name in enumerate(SPECIALS)}
        self.bos: int = self.specials["<|bos|>"]
        self.vocab_size: int = len(ranks) + len(SPECIALS)
        self.sha256: str = _digest(self._record())
        self._encoding = tiktoken.Encoding(
            f"coldframe-{self.sha256[:12]}", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=self.specials
        )
        self.token_bytes = np.array([*map(len, self._tokens), *[0] * len(SPECIALS)], np.int32)
        """np.int32[vocab_size]: how many bytes of UTF-8 text each token stands for, 0 for special tokens."""
        self.boundary = _boundaries(self._tokens, self.specials)
        """np.uint8[vocab_size]: what ends after each token: 0 nothing, 1 clause, 2 line, 3 sentence, 4 paragraph."""

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Learns `vocab_size` tokens, special ones included; from too little text fewer, and says so."""
        check_vocab_size(vocab_size)
        trainer = rustbpe.Tokenizer()
        trainer.train_from_iterator(_slices(texts), vocab_size - len(SPECIALS), pattern=PATTERN)
        ranked = sorted((rank, bytes(token)) for token, rank in trainer.get_mergeable_ranks())
        tokenizer = cls([token for _, token in ranked])
        if tokenizer.vocab_size < vocab_size:
            _log.warning(
                "the text is enough for a vocabulary of %d tokens only, not the %d asked for",
                tokenizer.vocab_size,
                vocab_size,
            )
        return tokenizer

    def truncated(self, vocab_size: int) -> Tokenizer:
        """The tokenizer that training for fewer tokens would have given: what was learned first, and no more."""
        check_vocab_size(vocab_size)
        return Tokenizer(self._tokens[: vocab_size - len(SPECIALS)])

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Reads and checks a saved tokenizer; raises TokenizerError."""
        again = "train it again with: coldframe tokenizer train"
        try:
            record = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise TokenizerError(f"there is no tokenizer at {path}", advice=f"check the path, or {again}") from error
        except (OSError, ValueError) as error:
            raise TokenizerError(f"the tokenizer {path} cannot be read: {error}", advice=again) from error
        if not isinstance(record, dict) or record.get("format") != _FORMAT:
            raise TokenizerError(
                f"{path} is not a coldframe tokenizer", advice=f"name a tokenizer.json that coldframe wrote, or {again}"
            )
        if record.get("version") != _VERSION:
            raise TokenizerError(
                f"the tokenizer {path} has version {record.get('version')}, this coldframe reads {_VERSION}",
                advice=again,
            )
        expected, found = record.pop("sha256", None), _digest(record)
        if expected != found:
            raise TokenizerError(
                f"the tokenizer {path} was altered: expected sha256 {expected}, found {found}", advice=again
            )
        tokenizer = cls([base64.b64decode(token) for token in record["tokens"]])
        if tokenizer.sha256 != found:
            raise TokenizerError(f"the tokenizer {path} splits text or numbers its tokens in another way", advice=again)
        return tokenizer

    def save(self, path: Path) -> None:
        """Writes the tokenizer as one JSON file, whole or not at all."""
        record = {**self._record(), "sha256": self.sha256}
        write_whole(path, json.dumps(record, indent=1, ensure_ascii=False).encode() + b"\n")

    def export_hf(self, path: Path) -> None:
        """Writes a `tokenizer.json` that encodes ordinary text in the same way with Hugging Face's `tokenizers`."""
        record = huggingface.tokenizer_json(self._tokens, self.specials, PATTERN)
        write_whole(path, json.dumps(record, indent=1, ensure_ascii=False).encode() + b"\n")

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; what looks like a special token in it stays ordinary text."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> np.ndarray:
        """The ids of `text` as np.uint32[num_tokens]."""
        return encoded(self._encoding, text)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of the ids, a special token's being its name; raises TokenizerError for an unknown id."""
        try:
            return self._encoding.decode_bytes([int(token) for token in ids])
        except (KeyError, OverflowError) as error:
            raise TokenizerError(
                f"an id is outside the vocabulary of {self.vocab_size}: {error}",
                advice="use the tokenizer that the run was trained with",
            ) from error

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are no whole character become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def _record(self) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "pattern": PATTERN,
            "vocab_size": self.vocab_size,
            "specials": self.specials,
            "tokens": [base64.b64encode(token).decode() for token in self._tokens],
        }


def encoded(encoding: tiktoken.Encoding, text: str) -> np.ndarray:
    """The ids of `text` as np.uint32[num_tokens]; what looks like a special token in it stays ordinary text."""
    try:
        ids: np.ndarray = encoding.encode_to_numpy(text, disallowed_special=())
    except UnicodeEncodeError:
        return encoded(encoding, text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except ValueError:
        return np.concatenate(
            [encoding.encode_to_numpy(piece, disallowed_special=()) for piece in _LONG_BLANK.split(text) if piece]
        )
    return ids


def check_vocab_size(vocab_size: int) -> None:
    """Refuse a number of tokens that no vocabulary can have.

    Raises:
        SettingsError: with how many there must be.
    """
    if not SMALLEST <= vocab_size <= LARGEST:
        raise SettingsError(
            f"a vocabulary of {vocab_size} is too {'small' if vocab_size < SMALLEST else 'large'}",
            advice=f"ask for {SMALLEST} (256 bytes and {len(SPECIALS)} special tokens) to {LARGEST:,}",
        )


def _digest(record: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _slices(texts: Iterable[str]) -> Iterator[str]:
    """The texts in slices, because rustbpe stops the whole process on very long runs of white space."""
    for text in texts:
        for start in range(0, len(text), _TRAINING_SLICE):
            yield text[start : start + _TRAINING_SLICE]


def _boundaries(tokens: Sequence[bytes], specials: dict[str, int]) -> np.ndarray:
    table = [_boundary(token.decode("utf-8", "replace")) for token in tokens] + [_NO_BOUNDARY] * len(specials)
    table[specials["<|end|>"]] = PARAGRAPH
    return np.array(table, np.uint8)


def _boundary(text: str) -> int:
    """What ends after a token with this text, as far as the token alone can tell.

    A space belongs to the token that follows it, so only line ends and marks are seen; ".", "3." and "e.g." look alike.
    The end of a line alone says little: books are wrapped within their sentences.
    """
    body = text.rstrip()
    new_lines = text.count("\n", len(body))
    if new_lines > 1:
        return PARAGRAPH
    if ends_sentence(body):
        return SENTENCE
    if new_lines:
        return LINE
    if body.rstrip(CLOSERS).endswith(CLAUSE_MARKS) or text != body:
        return CLAUSE
    return CLAUSE if body and set(body) <= set(CLOSING) else _NO_BOUNDARY
