"""The `tokenizer.json` of the Hugging Face `tokenizers` package, written from a byte-pair vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Json = dict[str, object]


def tokenizer_json(tokens: Sequence[bytes], specials: Mapping[str, int], pattern: str) -> Json:
    """The file's content for the ordinary `tokens` (by id), the special ones and the splitting rule.

    Text that spells a special token becomes that token there: the format cannot forbid it.
    """
    characters = _byte_characters()
    names = ["".join(characters[byte] for byte in token) for token in tokens]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges = [_merged(token, ranks) for token in tokens if len(token) > 1]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(name, number) for name, number in specials.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {name: rank for rank, name in enumerate(names)},
            "merges": [["".join(characters[byte] for byte in part) for part in pair] for pair in merges],
        },
    }


def _added(name: str, number: int) -> Json:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": name, **flags}


def _byte_characters() -> list[str]:
    """GPT-2's printable stand-in for each byte: itself where it prints in Latin-1, else one from U+0100 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(256 + others.index(byte)) for byte in range(256)]


def _merged(token: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens of which `token` was made: what is left when all earlier merges have been done on its bytes."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda at: ranks.get(parts[at] + parts[at + 1], len(ranks)))
        assert ranks.get(parts[best] + parts[best + 1], len(ranks)) < ranks[token]
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]
