"""Which files of a dataset's repository are read: by its card, its splits, or a pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldframe.corpus.reading.entries import kind_of
from coldframe.corpus.reading.formats import is_known, is_of_rows
from coldframe.corpus.reading.rows import NOT_YAML, yaml_values
from coldframe.errors import SourceError, did_you_mean

_FRONT = re.compile(r"---\r?\n(.*?\n)---\s*(?:\n|$)", re.DOTALL)
_NO_DATA = re.compile(r"(?:^|/)(?:dataset_infos?|dataset_dict|state|metadata_schema)\.json$", re.IGNORECASE)
_OF_DATA = (".txt", ".text")
_FIRST = ("train", "training")
"""The split that is read unless another is named."""
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A part of a dataset, as its card names it."""

    name: str
    is_default: bool
    splits: Mapping[str, tuple[str, ...]]
    """Split -> patterns of its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a source says of the files that it wants."""

    subset: str = ""
    split: str = ""
    files: str = ""


def chosen(names: Sequence[str], card: str, wanted: Wanted, dataset: str) -> tuple[list[str], str]:
    """The files to read, in a fixed order, and how they were chosen, for people.

    Raises:
        SourceError: when there are none, or nobody can tell which are meant.
    """
    known = sorted(name for name in names if _is_file(name))
    if wanted.files:
        found, how = _matching(known, (wanted.files,)), f"the files {wanted.files}"
        if not found:
            near = did_you_mean(wanted.files, known) if len(known) <= _SHOWN else f"it has {_some(known)}"
            raise SourceError(f"{dataset} has no file that can be read as {wanted.files!r}", advice=near)
        return found, how
    data = [name for name in known if _is_data(name)]
    if not data:
        held = ", ".join(sorted({kind_of(name)[0] or name for name in names})[:_SHOWN]) or "nothing"
        raise SourceError(
            f"{dataset} holds no data that can be read (it holds {held})",
            advice='some datasets are made by a script: try revision = "refs/convert/parquet"',
        )
    found, how = _by_card(data, configs_of(card), wanted, dataset) or _by_name(data, wanted, dataset)
    if not found:
        raise SourceError(f"{dataset}: {how} matches no file", advice=f"it has {_some(data)}; set hub_files")
    return found, how


def configs_of(card: str) -> list[Config]:
    """The configs that a card (README.md) names; none where it says nothing that can be understood."""
    match = _FRONT.match(card.removeprefix("\ufeff"))
    try:
        front = next(yaml_values(match[1]), None) if match else None
    except NOT_YAML:
        return []
    listed = front.get("configs") if isinstance(front, dict) else None
    found = []
    for item in listed if isinstance(listed, list) else []:
        splits = _splits(item) if isinstance(item, dict) else {}
        if splits:
            name = str(item.get("config_name") or "default")
            found.append(Config(name=name, is_default=item.get("default") is True or name == "default", splits=splits))
    return found


def _splits(item: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Split -> patterns, of the ways in which `data_files` may be written."""
    folder, files = item.get("data_dir"), item.get("data_files")
    prefix = f"{_plain(folder)}/" if isinstance(folder, str) and _plain(folder) else ""
    if files is None:
        return {"": (f"{prefix}**",)} if prefix else {}
    if isinstance(files, dict):
        files = [{"split": split, "path": path} for split, path in files.items()]
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(path, str) for path in files)):
        files = [{"split": _FIRST[0], "path": files}]
    found: dict[str, tuple[str, ...]] = {}
    for part in files if isinstance(files, list) else []:
        path = part.get("path") if isinstance(part, dict) else None
        paths = [path] if isinstance(path, str) else path if isinstance(path, list) else []
        patterns = tuple(prefix + _plain(path) for path in paths if isinstance(path, str))
        if patterns:
            split = str(part.get("split") or _FIRST[0])
            found[split] = (*found.get(split, ()), *patterns)
    return found


def _by_card(
    data: Sequence[str], configs: Sequence[Config], wanted: Wanted, dataset: str
) -> tuple[list[str], str] | None:
    """The files of the config and the split that are wanted; None of a card without configs."""
    if not configs:
        return None
    names = [config.name for config in configs]
    if wanted.subset:
        config = next((config for config in configs if config.name == wanted.subset), None)
        if config is None:
            raise SourceError(f"{dataset} has no subset {wanted.subset!r}", advice=did_you_mean(wanted.subset, names))
    else:
        config = next((config for config in configs if config.is_default), configs[0])
        if len(configs) > 1 and not config.is_default:
            raise SourceError(
                f"{dataset} has {len(configs)} subsets, and none is the usual one",
                advice=f"set subset to one of {_some(names)}",
            )
    patterns = config.splits.get(wanted.split or _FIRST[0], config.splits.get("" if not wanted.split else wanted.split))
    split = wanted.split or _FIRST[0]
    if list(config.splits) == [""]:
        found, how = _by_name(_matching(data, config.splits[""]), Wanted(split=wanted.split), dataset)
        return found, f"subset {config.name}, {how}"
    if patterns is None and not wanted.split:
        split = next(iter(config.splits))
        patterns = config.splits[split]
    if patterns is None:
        raise SourceError(
            f"the subset {config.name} of {dataset} has no split {split!r}", advice=did_you_mean(split, config.splits)
        )
    return _matching(data, patterns), f"subset {config.name}, split {split}"


def _by_name(data: Sequence[str], wanted: Wanted, dataset: str) -> tuple[list[str], str]:
    """The files whose names say the subset (a folder) and the split that are wanted, else `train`, else all."""
    how = []
    if wanted.subset:
        data = [name for name in data if wanted.subset in name.split("/")[:-1]]
        how.append(f"folder {wanted.subset}")
    if wanted.split:
        data = [name for name in data if _says(name, wanted.split)]
        how.append(f"files of {wanted.split}")
    elif train := [name for name in data if any(_says(name, word) for word in _FIRST)]:
        if len(train) < len(data):
            how.append("files of train")
        data = train
    return list(data), ", ".join(how) or "all data files"


def _says(name: str, split: str) -> bool:
    return re.search(rf"(?:^|[^a-zA-Z0-9]){re.escape(split)}(?:[^a-zA-Z0-9]|$)", name) is not None


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    rules = [_as_rule(pattern) for pattern in patterns]
    return [name for name in names if any(rule.fullmatch(name) for rule in rules)]


def _as_rule(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stand for letters of one name, `**` for folders too, `[...]` for one of some letters."""
    rule = ""
    for part in re.findall(r"\*\*/|\*\*|\*|\?|\[[^]/]+\]|.", _plain(pattern), re.DOTALL):
        if part.startswith("[") and len(part) > 1:
            inside = (
                part[1:-1]
                .replace("\\", "\\\\")
                .replace("[", "\\[")
                .replace("&", "\\&")
                .replace("~", "\\~")
                .replace("|", "\\|")
            )
            rule += f"[{'^' + inside[1:] if inside[0] == '!' else inside}]"
        else:
            rule += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part) or re.escape(part)
    try:
        return re.compile(rule, re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern))


def _plain(pattern: str) -> str:
    return pattern.removeprefix("./").strip("/")


def _is_file(name: str) -> bool:
    return is_known(kind_of(name)[0]) and not any(part.startswith(".") for part in name.split("/"))


def _is_data(name: str) -> bool:
    """Whether a file is data and not what explains it."""
    ending = kind_of(name)[0]
    if ending in _OF_DATA:
        return not re.search(
            r"(?:^|/)(?:license|licence|readme|notice|requirements|citation)[^/]*$", name, re.IGNORECASE
        )
    return is_of_rows(ending) and ending not in (".yaml", ".yml") and not _NO_DATA.search(name)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
