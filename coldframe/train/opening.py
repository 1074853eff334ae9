"""From a name and settings to a run that is ready to train: a new one planned and prepared, or an old one taken up."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coldframe.corpus.cleaning import alone, open_clean
from coldframe.corpus.report import SourceReport, save_report
from coldframe.corpus.sources import EMBEDDED, Source
from coldframe.errors import MemoryFitError, SettingsError, ShardError, TokenizerError
from coldframe.hardware import Hardware
from coldframe.mixture.stages import Stage
from coldframe.model.memory import memory_need
from coldframe.plan import Plan, Reasoned, check_fits, gib, make_plan
from coldframe.run.paths import RunFolder
from coldframe.settings import PlanSettings, Settings, check_field
from coldframe.tokens.prepare import prepare
from coldframe.tokens.shards import TokenSource
from coldframe.tokens.tokenizer import Tokenizer
from coldframe.train.allocator import give_back_memory
from coldframe.train.judging import check_prompts
from coldframe.train.mixing import check_shares, first_stage, tell_times_read, times_read
from coldframe.train.runfile import RunFile, apply_changes, read_run_file, save_run_file, write_run_file

#: Tokens per second to begin measuring with, where nothing is known yet.
_GUESSED_SPEED = {"cpu": 3000.0, "cuda": 100_000.0}
Progress = Callable[[str, float], None]
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run's decisions and its text, before any model is built."""

    folder: RunFolder
    run_file: RunFile
    tokenizer: Tokenizer
    sources: tuple[TokenSource, ...]
    first_stages: tuple[Mapping[str, Any], ...]
    """The stages of a run without any checkpoint."""
    changed: Mapping[str, str]
    """What a resume changed, setting by setting."""
    is_new: bool


def open_new(
    folder: RunFolder,
    settings: Settings,
    hardware: Hardware,
    progress: Progress,
    measure: Callable[[Reasoned], float] | None = None,
) -> Opened:
    """Prepare the text, derive the plan, write run.toml.

    `measure` gives the tokens per second of a plan, for a horizon in minutes.

    Raises:
        SourceError, TokenizerError, SettingsError, MemoryFitError, DiskFullError: before the run is written.
    """
    plan_settings = with_vocabulary(settings)
    reasoned = make_plan(plan_settings, hardware, seed=settings.train.seed)
    check_fits(reasoned, plan_settings, hardware)
    wanted = sources_of(settings.sources)
    check_shares(wanted)
    path = Path(settings.tokenizer.path) if settings.tokenizer.path else None
    with alone(folder.runs / "corpus", progress):
        clean = open_clean(
            wanted,
            folder.runs / "corpus",
            context=reasoned.plan.context,
            dedup=settings.corpus.dedup,
            against=[Path(path) for path in settings.corpus.against],
            processes=settings.corpus.processes,
            progress=progress,
        )
        prepared = prepare(
            clean.opened,
            clean.skipped,
            folder=folder.runs,
            vocab_size=None if path else reasoned.plan.vocab_size,
            tokenizer_path=path,
            held_out=settings.train.held_out,
            progress=progress,
        )
        lines = clean.report()
    give_back_memory(torch.device("cpu"))
    for name, reason in prepared.skipped:
        _log.warning("source %s is skipped: %s", name, reason)
    plan_settings = dataclasses.replace(settings.plan, vocab_size=prepared.tokenizer.vocab_size)
    reasoned = make_plan(plan_settings, hardware, seed=settings.train.seed)
    if settings.plan.vocab_size is None:
        reasoned = dataclasses.replace(reasoned, reasons={**reasoned.reasons, "vocab_size": "the tokenizer's"})
    if measure and settings.plan.minutes and not (settings.plan.num_steps or settings.plan.num_tokens):
        reasoned = _within_minutes(plan_settings, hardware, settings, measure)
    check_fits(reasoned, plan_settings, hardware)
    check_prompts(settings.train, prepared.tokenizer, reasoned.plan.context)
    stage = first_stage(prepared.sources, {source.name: source for source in wanted})
    tell_times_read(stage, prepared.sources, reasoned.plan)
    folder.create()
    shutil.copyfile(prepared.tokenizer_path, folder.tokenizer)
    save_report(folder.corpus_report, _reports(lines, prepared.sources, stage, reasoned.plan))
    run_file = write_run_file(
        folder,
        reasoned,
        settings,
        manifests={source.name: source.manifest_hash for source in prepared.sources},
        tokenizer_sha256=prepared.tokenizer.sha256,
    )
    return Opened(
        folder=folder,
        run_file=run_file,
        tokenizer=prepared.tokenizer,
        sources=prepared.sources,
        first_stages=(stage.as_json(),),
        changed={},
        is_new=True,
    )


def _reports(
    lines: Sequence[SourceReport], sources: Sequence[TokenSource], stage: Stage, plan: Plan
) -> list[SourceReport]:
    """What became of each source's text, with its tokens and how often the run will read them."""
    times = times_read(stage, sources, plan.num_steps * plan.total_batch_tokens)
    tokens = {source.name: source.num_tokens for source in sources}
    return [
        dataclasses.replace(line, tokens=tokens.get(line.name), epochs_planned=round(times.get(line.name, 0.0), 3))
        for line in lines
    ]


def with_vocabulary(settings: Settings) -> PlanSettings:
    """The plan's settings with the size that the tokenizer is known to have before any text is read.

    Raises:
        SettingsError: when two different sizes are given.
        TokenizerError: when the tokenizer that is given cannot be read.
    """
    path, size = settings.tokenizer.path, settings.tokenizer.vocab_size
    said = "tokenizer.vocab_size"
    if path:
        said, size = path, Tokenizer.load(Path(path)).vocab_size
    if size is None:
        return settings.plan
    if settings.plan.vocab_size not in (None, size):
        raise SettingsError(
            f"{said} has {size} tokens, plan.vocab_size is {settings.plan.vocab_size}",
            advice="leave plan.vocab_size out, or train a tokenizer of that size",
        )
    return dataclasses.replace(settings.plan, vocab_size=size)


def open_old(folder: RunFolder, settings: Settings, hardware: Hardware) -> Opened:
    """Take up a run as it was decided; reads no source text, only shards.

    Raises:
        ResumeError, SettingsError, TokenizerError, ShardError: when it cannot go on as it was.
    """
    stored = read_run_file(folder)
    run_file, changed = apply_changes(stored, settings, hardware)
    _check_memory(run_file, settings, hardware)
    tokenizer = load_tokenizer(folder, stored)
    sources = open_sources_of(folder, run_file, tokenizer)
    wanted = {source.name: source for source in sources_of(stored.sources)}
    stage = first_stage(sources, wanted)
    if changed:
        save_run_file(folder, run_file)
    return Opened(
        folder=folder,
        run_file=run_file,
        tokenizer=tokenizer,
        sources=sources,
        first_stages=(stage.as_json(),),
        changed=changed,
        is_new=False,
    )


def _check_memory(run_file: RunFile, settings: Settings, hardware: Hardware) -> None:
    """A run goes on as it was planned, so less memory than it needs is refused when it was asked for, else said.

    Raises:
        MemoryFitError: when plan.memory, given now, is less.
    """
    plan = run_file.plan  # its device batch may just have been changed, so the need is reckoned anew
    need = memory_need(
        plan.sizes,
        device=plan.device,
        device_batch=plan.device_batch,
        replicas=plan.replicas,
        value_bytes=2 if plan.dtype == "bfloat16" else 4,
        recompute=plan.recompute,
    ).total
    if need <= hardware.free_memory:
        return
    message = f"run needs {gib(need)} as it was planned, and {gib(hardware.free_memory)} are free"
    advice = "end other programs, or give it more"
    if plan.device_batch > 1:
        advice += "; --set plan.device_batch=1 --set train.accept_changes=true takes less"
    if settings.plan.memory:
        raise MemoryFitError(message, advice=advice)
    _log.warning("%s: memory may run out; %s", message, advice)


def load_tokenizer(folder: RunFolder, run_file: RunFile) -> Tokenizer:
    """The run's own tokenizer, which must be the one that it was trained with.

    Raises:
        TokenizerError: when it is missing, damaged or another one.
    """
    if not folder.tokenizer.is_file():
        raise TokenizerError(
            f"{folder.tokenizer} is missing",
            advice=f"copy it back from {folder.runs}/tokenizers/{run_file.tokenizer_sha256[:12]}/tokenizer.json",
        )
    tokenizer = Tokenizer.load(folder.tokenizer)
    if tokenizer.sha256 != run_file.tokenizer_sha256 or tokenizer.vocab_size != run_file.plan.vocab_size:
        raise TokenizerError(
            f"{folder.tokenizer} is not the tokenizer of this run (vocabulary {tokenizer.vocab_size}, "
            f"the model's {run_file.plan.vocab_size})",
            advice=f"the run was trained with the one whose sha256 begins with {run_file.tokenizer_sha256[:12]}",
        )
    return tokenizer


def open_sources_of(folder: RunFolder, run_file: RunFile, tokenizer: Tokenizer) -> tuple[TokenSource, ...]:
    """The shards that a run reads, by their manifests.

    Raises:
        ShardError: when one is missing or damaged.
    """
    root = folder.runs / "shards" / tokenizer.sha256[:12]
    found = []
    for name, manifest in run_file.manifests.items():
        path = root / name / manifest[:12]
        if not path.is_dir():
            raise ShardError(
                f"the shards of source {name!r} (manifest {manifest[:12]}) are not in {path}",
                advice="copy the shards folder along with the run, or prepare the same text again",
            )
        found.append(TokenSource.open(path, verify=True))
    return tuple(found)


def sources_of(tables: Sequence[Mapping[str, Any]]) -> list[Source]:
    """The sources that a recipe names; the embedded corpus when it names none."""
    return [_source(table) for table in tables] if tables else list(EMBEDDED)


def _source(table: Mapping[str, Any]) -> Source:
    """One [[corpus.source]] table.

    Raises:
        SettingsError: for an unknown key, a value of another type, or values that make no source.
    """
    values = dict(table)
    if isinstance(values.get("fields"), str):
        values["fields"] = [values["fields"]]
    page = "docs/data.md"
    values = {key: check_field(Source, "corpus.source", key, value, page=page) for key, value in values.items()}
    for key in ("name", "kind"):
        if key not in values:
            raise SettingsError(f"a [[corpus.source]] has no {key}", advice=f"give each source a {key}; see {page}")
    return Source(**values)


def _within_minutes(
    plan_settings: PlanSettings,
    hardware: Hardware,
    settings: Settings,
    measure: Callable[[Reasoned], float],
) -> Reasoned:
    """The plan whose horizon takes the wished minutes at the speed that this machine shows.

    The batch follows from the horizon and the speed from the batch, so a guess of the speed comes first, and what was
    measured is measured again when it changes the batch.
    """
    minutes = settings.plan.minutes
    assert minutes is not None

    def planned(speed: float) -> Reasoned:
        tokens = max(speed * 60 * minutes, 1.0)
        return make_plan(dataclasses.replace(plan_settings, num_tokens=tokens), hardware, seed=settings.train.seed)

    reasoned, measured_batch = planned(_GUESSED_SPEED[hardware.device]), 0
    for _ in range(2):
        if reasoned.plan.total_batch_tokens != measured_batch:
            measured_batch = reasoned.plan.total_batch_tokens
            speed = measure(reasoned)
            reasoned = planned(speed)
    why = f"{settings.plan.minutes:g} minutes at the {speed:,.0f} tokens/s measured before the start"
    return dataclasses.replace(reasoned, reasons={**reasoned.reasons, "num_steps": why})
