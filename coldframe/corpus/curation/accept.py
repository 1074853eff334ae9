"""An accepted proposal becomes a source of a recipe, with the reason for it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path

import tomli_w

from coldframe.corpus.curation.proposals import Proposal
from coldframe.errors import SettingsError, UsageError
from coldframe.run.durable import write_whole


def accept(proposals: Sequence[Proposal], number: int, recipe: Path, why: str) -> str:
    """Write a proposal into a recipe, behind what stands there; gives the source's name.

    Raises:
        UsageError: when there is no such proposal, or it is text that was never read here.
        SettingsError: when the recipe is no TOML, or has a source of that name.
    """
    chosen = next((proposal for proposal in proposals if proposal.number == number), None)
    if chosen is None:
        known = f"there are {len(proposals)}" if proposals else "there are none"
        raise UsageError(f"there is no proposal {number}; {known}", advice="coldframe corpus curate lists them")
    if not chosen.measured:
        raise UsageError(
            f"{chosen.name} is only known by name and was never read here",
            advice=f"get some of it ({chosen.path}), ingest it, and name it with --candidate",
        )
    text = recipe.read_text(encoding="utf-8") if recipe.exists() else ""
    try:
        sources = tomllib.loads(text).get("corpus", {}).get("source", [])
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{recipe} cannot be read: {error}", advice="mend the TOML and start again") from error
    if any(source.get("name") == chosen.name for source in sources):
        raise SettingsError(f"{recipe} has a source {chosen.name!r} already", advice="nothing was written")
    table: dict[str, object] = {
        "name": chosen.name,
        "kind": chosen.kind,
        "path": os.path.relpath(os.path.abspath(chosen.path), os.path.abspath(recipe.parent)),
        "why": f"{why} ({chosen.fills})" if chosen.fills else why,
    }
    if chosen.dialogue is not None:
        table["dialogue"] = chosen.dialogue
    block = f"[[corpus.source]]\n{tomli_w.dumps(table).strip()}"
    joined = f"{text.rstrip()}\n\n{block}\n" if text.strip() else f"{block}\n"
    try:
        tomllib.loads(joined)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{recipe} has no room for a [[corpus.source]] behind what stands there: {error}",
            advice="write each of its sources as [[corpus.source]]; nothing was written",
        ) from error
    write_whole(recipe, joined.encode())
    return chosen.name
