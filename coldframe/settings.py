"""What a user may set: frozen sections, read from a recipe (TOML) and overridden one value at a time.

A section is a dataclass; a field's docstring is its documentation (docs/settings.md is checked against it). `None`
means "derived": the plan finds the value and says why.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from coldframe.errors import SettingsError, did_you_mean

Given = dict[str, dict[str, Any]]
#: A schedule longer than this is a slip of the hand.
MOST_STEPS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """[plan]: the dial, and every derived number for whoever wants to set it by hand."""

    depth: int | None = None
    """The one dial: layers of the model; everything else follows. 4 on a CPU, 12 on a GPU unless given."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU when there is one."""
    memory: str | None = None
    """Memory to stay within, such as 8GB; unless given, what is free."""
    num_steps: int | None = None
    """The schedule's whole horizon in optimizer steps."""
    num_tokens: float | None = None
    """The schedule's whole horizon in tokens, when num_steps is not given."""
    minutes: float | None = None
    """The schedule's whole horizon in minutes here, when neither of those is given; measured before step 1."""
    architecture: Literal["native", "plain"] = "native"
    """native is the full model; plain leaves out what other engines do not know."""
    width: int | None = None
    """Channels of the residual stream; 64 a layer, rounded up to whole heads."""
    head_dim: int | None = None
    """Channels of an attention head; 64 below depth 8, else 128."""
    num_kv_heads: int | None = None
    """Key/value heads; as many as query heads unless given (grouped-query attention when fewer)."""
    window_pattern: str | None = None
    """Per layer, L for the whole context or S for its last quarter, up to a whole 128; tiled; the last layer is L."""
    vocab_size: int | None = None
    """Tokens in the vocabulary."""
    context: int | None = None
    """Tokens that the model sees at once."""
    total_batch_tokens: int | None = None
    """Tokens of one optimizer step, over all micro-batches and ranks."""
    device_batch: int | None = None
    """Rows of one micro-batch on one device."""
    recompute: Literal["auto", "on", "off"] = "auto"
    """Compute activations again on the way back instead of keeping them: less memory, about a third more work."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the model computes in; the weights that learn are always float32."""
    attention: Literal["auto", "blocked", "fused"] = "auto"
    """Which attention to use; see docs/model.md."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether to compile the model before step 1."""
    threads: int | None = None
    """CPU threads of the trainer; all cores unless given."""
    replicas: int | None = None
    """On a CPU: threads that each take whole rows there and back; one more is one more set of gradients in memory."""
    deterministic: bool = False
    """On a GPU: only deterministic kernels, so that a resumed run is the same to the bit. A CPU always is."""
    learning_rate: float = 1.0
    """Multiplies every derived learning rate."""
    weight_decay: float | None = None
    """Decoupled decay of the weight matrices."""
    warm_up: float | None = None
    """Share of the horizon in which the rates rise."""
    warm_down: float | None = None
    """Share of the horizon, at its end, in which they fall."""
    clip_norm: float = 1.0
    """The global norm that gradients are clipped to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """[corpus]: how text is made ready, besides what each source says of itself."""

    dedup: bool = True
    """Leave out what is there twice, within sources and across them."""
    against: tuple[str, ...] = ()
    """Files or folders of what the model will be measured on: text that holds some of it is left out."""
    processes: int = 0
    """Processes that read and judge text; one a core for large sources unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """[tokenizer]: which tokenizer."""

    path: str | None = None
    """A tokenizer.json made by coldframe; without it, one is trained on the run's own sources."""
    vocab_size: int | None = None
    """The same as plan.vocab_size, for recipes that state it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """[train]: what happens around the steps. None of these changes what is learned, except the seed."""

    seed: int = 0
    """Decides the first weights and the order of reading."""
    checkpoint_every: int = 200
    """Steps between checkpoints; one is also written at the end, on SIGUSR1, SIGTERM, pause and stop."""
    keep_last: int = 2
    """Whole checkpoints to keep."""
    keep_every: int = 0
    """Keep the weights of every checkpoint whose step is a multiple of this; 0 keeps none for that reason."""
    keep_best: bool = True
    """Keep the weights with the lowest bits per byte."""
    evaluate_every: int = 200
    """Steps between measurements of bits per byte; 0 measures only at the end."""
    evaluate_bytes: int = 100_000
    """Raw bytes of held-out text to score per source."""
    sample_every: int = 100
    """Steps between samples; 0 takes none."""
    sample_tokens: int = 64
    """Tokens of a sample."""
    sample_prompts: tuple[str, ...] = ("The", "In the beginning", "What is", "She said")
    """What samples begin with."""
    sample_temperature: float = 0.8
    """Temperature of samples."""
    publish_seconds: float = 10.0
    """Shortest time between two publications of weights while somebody reads them."""
    held_out: float = 0.02
    """Share of each source's text that is kept from training for measuring."""
    accept_changes: bool = False
    """Resume although settings changed that the optimizer's state depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """[explore]: the page beside the run."""

    host: str = "127.0.0.1"
    """Address that the explorer listens on."""
    port: int = 8400
    """Port that the explorer listens on; where it is taken, or 0, a free one is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All sections, and what of them was actually given."""

    plan: PlanSettings = field(default_factory=PlanSettings)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    explore: PageSettings = field(default_factory=PageSettings)
    sources: tuple[Mapping[str, Any], ...] = ()
    """[[corpus.source]] tables as written; coldframe.corpus checks them. None means the embedded corpus."""
    given: Given = field(default_factory=dict)


SECTIONS: dict[str, type] = {
    "plan": PlanSettings,
    "corpus": CorpusSettings,
    "tokenizer": TokenizerSettings,
    "train": TrainSettings,
    "explore": PageSettings,
}


def load_settings(recipe: Path | None, overrides: Sequence[str] = (), flags: Given | None = None) -> Settings:
    """Read a recipe, then `section.key=value` overrides, then flags; the later wins.

    Raises:
        SettingsError: for a missing or broken file, an unknown section or key (with the nearest), or a wrong type.
    """
    tables = _read_recipe(recipe) if recipe else {}
    sources = _sources(tables.get("corpus", {}), recipe)
    for name, table in tables.items():
        if name not in SECTIONS or not isinstance(table, dict):
            raise SettingsError(f"{recipe}: unknown section [{name}]", advice=_instead(name, SECTIONS))
    given: Given = {name: dict(table) for name, table in tables.items()}
    if recipe and isinstance(against := given.get("corpus", {}).get("against"), list):
        given["corpus"]["against"] = [_from(recipe, path) if isinstance(path, str) else path for path in against]
    for text in overrides:
        section, key, value = parse_override(text)
        given.setdefault(section, {})[key] = value
    for section, values in (flags or {}).items():
        given.setdefault(section, {}).update(values)
    return settings_from(given, tuple(_rooted(source, recipe) for source in sources))


def settings_from(given: Given, sources: tuple[Mapping[str, Any], ...] = ()) -> Settings:
    """Settings from given values; the inverse of `Settings.given`."""
    for name in given:
        if name not in SECTIONS:
            raise SettingsError(f"unknown section [{name}]", advice=_instead(name, SECTIONS))
    checked = {name: {key: check(name, key, value) for key, value in table.items()} for name, table in given.items()}
    sections = {name: SECTIONS[name](**table) for name, table in checked.items()}
    return Settings(sources=sources, given={name: table for name, table in checked.items() if table}, **sections)


def parse_override(text: str) -> tuple[str, str, Any]:
    """`section.key=value`, the value as TOML (a bare word is a string)."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise SettingsError(
            f"--set {text!r} is not section.key=value", advice="for example --set train.sample_every=50"
        )
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return section, key, parsed


def check(section: str, key: str, value: Any) -> Any:
    """One value in its field's type.

    Raises:
        SettingsError: for an unknown section or key, or a value of another type.
    """
    if section not in SECTIONS:
        raise SettingsError(f"unknown section [{section}]", advice=_instead(section, SECTIONS))
    converted = check_field(SECTIONS[section], section, key, value, page="docs/settings.md")
    least, most = _LIMITS.get((section, key), (-math.inf, math.inf))
    if converted is not None and (section, key) in _LIMITS and not least <= converted <= most:
        allowed = f"from {least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
        raise SettingsError(f"{section}.{key} cannot be {value!r}", advice=f"use {allowed}")
    return converted


def check_field(of: type, table: str, key: str, value: Any, *, page: str) -> Any:
    """One value in the type of a dataclass's field; `table` is where it stands, `page` what explains it.

    Raises:
        SettingsError: for an unknown key (with the nearest), or a value of another type.
    """
    hints = get_type_hints(of)
    if key not in hints:
        raise SettingsError(f"[{table}] has no setting {key!r}", advice=_instead(key, hints, table=table))
    converted = _convert(hints[key], value)
    if converted is _WRONG:
        raise SettingsError(f"{table}.{key} cannot be {value!r}", advice=f"it is {_describe(hints[key])}; see {page}")
    return converted


def fields_of(section: type) -> tuple[str, ...]:
    """The names of a section's settings."""
    return tuple(item.name for item in dataclasses.fields(section))


TO_COME = ("corpus.source.cap", "corpus.source.floor", "corpus.source.hub", "phase")
"""What a later version is to read of a recipe; this one refuses it as any unknown name, and says so."""
_WRONG = object()
#: What numbers may be; those of [plan] are judged together, by the plan.
_LIMITS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("corpus", "processes"): (0, 1024),
    ("train", "seed"): (0, 2**63 - 1),
    ("train", "checkpoint_every"): (0, math.inf),
    ("train", "keep_last"): (1, math.inf),
    ("train", "keep_every"): (0, math.inf),
    ("train", "evaluate_every"): (0, math.inf),
    ("train", "evaluate_bytes"): (1, math.inf),
    ("train", "sample_every"): (0, math.inf),
    ("train", "sample_tokens"): (1, math.inf),
    ("train", "sample_temperature"): (0, 100),
    ("train", "publish_seconds"): (0, 1e9),
    ("train", "held_out"): (0, 0.9),
    ("explore", "port"): (0, 65535),
}


def _instead(name: str, known: Iterable[str], *, table: str = "") -> str:
    """What to do about an unknown name: wait for a later version, or take the nearest that is known."""
    if f"{table}.{name}".lstrip(".") in TO_COME:
        return f"{name} is to come with a later version; leave it out until then"
    return did_you_mean(name, known)


def _convert(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for option in get_args(hint):
            converted = _convert(option, value)
            if converted is not _WRONG:
                return converted
        return _WRONG
    if origin is Literal:
        return value if value in get_args(hint) else _WRONG
    if origin is tuple:
        ok = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return tuple(value) if ok else _WRONG
    if origin is Mapping:
        return value if isinstance(value, dict) else _WRONG
    if hint is type(None):
        return value if value is None else _WRONG
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, bool):
        return _WRONG
    return value if isinstance(value, hint) else _WRONG


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list of strings"
    if get_origin(hint) is Mapping:
        return "a table"
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    return names.get(hint, str(hint))


def _read_recipe(recipe: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(recipe.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"no recipe at {recipe}", advice="see recipes/ for examples") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{recipe} cannot be read: {error}", advice="mend the TOML and start again") from error


def _sources(corpus: object, recipe: Path | None) -> list[Mapping[str, Any]]:
    """The [[corpus.source]] tables of a recipe, taken out of [corpus]."""
    sources = corpus.pop("source", []) if isinstance(corpus, dict) else []
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise SettingsError(f"{recipe}: [[corpus.source]] is not a list of tables", advice="see docs/data.md")
    return sources


def _rooted(source: Mapping[str, Any], recipe: Path | None) -> Mapping[str, Any]:
    """A source's relative path is meant from the recipe's folder."""
    path = source.get("path")
    if recipe is None or not isinstance(path, str):
        return source
    return {**source, "path": _from(recipe, path)}


def _from(recipe: Path, path: str) -> str:
    """A path as it is meant from the recipe's folder."""
    return os.path.abspath(recipe.parent / os.path.expanduser(path))
