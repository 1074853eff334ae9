"""run.toml: what a run was decided to be, written once at its start and changed only by explicit acts."""

from __future__ import annotations

import dataclasses
import os
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w

from coldframe.errors import ResumeError, SettingsError
from coldframe.hardware import Hardware
from coldframe.plan import Plan, Reasoned, make_plan, plan_from
from coldframe.run.durable import write_whole
from coldframe.run.environment import code_version, environment
from coldframe.run.paths import RunFolder
from coldframe.settings import SECTIONS, Given, PlanSettings, Settings, TrainSettings, settings_from

#: Settings that may change at a resume without touching what is learned.
_FREE = frozenset(
    {("train", item.name) for item in dataclasses.fields(TrainSettings) if item.name not in ("seed", "held_out")}
    | {("explore", "host"), ("explore", "port"), ("plan", "memory"), ("plan", "minutes"), ("corpus", "processes")}
)
#: Settings that the optimizer's state survives, but the promise of exactness does not.
_SOFT = frozenset(
    {
        "device",
        "device_batch",
        "threads",
        "replicas",
        "compile",
        "attention",
        "recompute",
        "dtype",
        "deterministic",
        "learning_rate",
        "weight_decay",
        "warm_up",
        "warm_down",
        "clip_norm",
        "total_batch_tokens",
    }
)
#: How a plan is computed: what another device decides anew.
_EXECUTION = (
    "device", "dtype", "orthogonal_dtype", "attention", "device_batch", "recompute", "compile", "threads", "replicas",
)  # fmt: skip
#: What the number of replicas hangs on: a compiled model has none, and no thread has two.
_DECIDES_REPLICAS = ("compile", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """From `step` on, the schedule's horizon is `num_steps`."""

    step: int
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """A run.toml, read."""

    plan: Plan
    reasons: Mapping[str, str]
    train: TrainSettings
    given: Given
    sources: tuple[Mapping[str, Any], ...]
    """The [[corpus.source]] tables as given; empty for the embedded corpus."""
    manifests: Mapping[str, str]
    """Source name -> manifest hash of its shards."""
    tokenizer_sha256: str
    created: float
    kind: str = "pretrain"
    """What it trains: so far always `pretrain`."""
    extensions: tuple[Extension, ...] = ()

    @property
    def num_steps(self) -> int:
        """The horizon in force now."""
        return self.extensions[-1].num_steps if self.extensions else self.plan.num_steps

    def horizon_at(self, step: int) -> int:
        """The horizon in force at a step: an extension does not reach back."""
        found = self.plan.num_steps
        for extension in self.extensions:
            if extension.step <= step:
                found = extension.num_steps
        return found


def write_run_file(
    folder: RunFolder, reasoned: Reasoned, settings: Settings, *, manifests: Mapping[str, str], tokenizer_sha256: str
) -> RunFile:
    """Write the run.toml of a new run."""
    run_file = RunFile(
        plan=reasoned.plan,
        reasons=reasoned.reasons,
        train=settings.train,
        given=settings.given,
        sources=settings.sources,
        manifests=manifests,
        tokenizer_sha256=tokenizer_sha256,
        created=time.time(),
    )
    save_run_file(folder, run_file)
    return run_file


def save_run_file(folder: RunFolder, run_file: RunFile) -> None:
    """Write a run.toml whole, as it stands in memory."""
    plan = run_file.plan.as_dict()
    if run_file.extensions:
        plan |= {"num_steps": run_file.num_steps, "total_tokens": run_file.num_steps * run_file.plan.total_batch_tokens}
    content = {
        "run": {
            "name": folder.name,
            "kind": run_file.kind,
            "created": run_file.created,
            "code_version": code_version(),
            "tokenizer_sha256": run_file.tokenizer_sha256,
            "planned_steps": run_file.plan.num_steps,
        },
        "plan": plan,
        "reasons": dict(run_file.reasons),
        "train": {**dataclasses.asdict(run_file.train), "sample_prompts": list(run_file.train.sample_prompts)},
        "manifests": dict(run_file.manifests),
        "given": {
            section: {key: _plain(value) for key, value in values.items() if value is not None}
            for section, values in run_file.given.items()
        },
        "corpus": {"source": _plain_sources(run_file.sources)},
        "extension": [dataclasses.asdict(extension) for extension in run_file.extensions],
        "environment": environment(),
    }
    write_whole(folder.plan_file, tomli_w.dumps(content).encode())


def read_run_file(folder: RunFolder) -> RunFile:
    """Read a run's run.toml.

    Raises:
        SettingsError: when it is not one.
    """
    try:
        content = tomllib.loads(folder.plan_file.read_text(encoding="utf-8"))
        extensions = tuple(Extension(**values) for values in content.get("extension", []))
        plan = {**content["plan"], "num_steps": content["run"]["planned_steps"]}
        plan["total_tokens"] = plan["num_steps"] * plan["total_batch_tokens"]
        train = {**content["train"], "sample_prompts": tuple(content["train"]["sample_prompts"])}
        return RunFile(
            plan=plan_from(plan),
            reasons=content["reasons"],
            train=TrainSettings(**train),
            given=settings_from(content["given"]).given,
            sources=tuple(content.get("corpus", {}).get("source", [])),
            manifests=content["manifests"],
            tokenizer_sha256=content["run"]["tokenizer_sha256"],
            created=content["run"]["created"],
            kind=content["run"].get("kind", "pretrain"),
            extensions=extensions,
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{os.fspath(folder.plan_file)} is not a run.toml: {error!r}",
            advice="restore it; a run cannot go on without it",
        ) from error


def apply_changes(run_file: RunFile, settings: Settings, hardware: Hardware) -> tuple[RunFile, dict[str, str]]:
    """The run file with a resume's given settings taken in, and what of it changed ({setting: "old -> new"}).

    What the run was started with may be said again: it changes nothing.

    Raises:
        ResumeError: for a change that would break the optimizer's state, unless `train.accept_changes` says so, and
            always for one that changes the model's shape, the sources or the number of ranks.
        SettingsError: for a value that no plan can have.
    """
    _check_ranks(run_file, hardware)
    if settings.sources and _plain_sources(settings.sources) != _plain_sources(run_file.sources):
        raise ResumeError(
            "run cannot be resumed with other sources than it was started with",
            advice="leave [[corpus.source]] out, or start a new run under another --run name",
        )
    changed, refused, broken = {}, [], []
    updated: Given = {section: dict(values) for section, values in run_file.given.items()}
    plan, train = run_file.plan, run_file.train
    for section, values in settings.given.items():
        for key, new in values.items():
            old = _in_force(run_file, section, key)
            said_before = new == run_file.given.get(section, {}).get(key)
            if (section, key) == ("train", "accept_changes") or new in (old, "auto") or said_before:
                continue
            changed[f"{section}.{key}"] = f"{old} -> {new}"
            updated.setdefault(section, {})[key] = new
            if section == "train" and (section, key) in _FREE:
                train = dataclasses.replace(train, **{key: new})
            elif (section, key) not in _FREE and section == "plan" and key in _SOFT:
                refused.append(f"{section}.{key} {changed[f'{section}.{key}']}")
                plan = _changed_plan(plan, key, old, new, hardware)
            elif (section, key) not in _FREE:
                broken.append(f"{section}.{key} {changed[f'{section}.{key}']}")
    if broken:
        advice = (
            "use coldframe extend for a longer run"
            if any("num_steps" in text for text in broken)
            else ("start a new run with these settings, under another --run name")
        )
        raise ResumeError(f"run cannot be resumed with {'; '.join(broken)}", advice=advice)
    if refused and not settings.train.accept_changes:
        raise ResumeError(
            f"resuming with {'; '.join(refused)} would not continue the same training",
            advice="leave it out, or add --set train.accept_changes=true to do it all the same",
        )
    return dataclasses.replace(run_file, plan=plan, train=train, given=updated), changed


def extended(run_file: RunFile, step: int, num_steps: int) -> RunFile:
    """The run file with a longer horizon from `step` on.

    Raises:
        ResumeError: when that is not longer.
    """
    if num_steps <= run_file.num_steps:
        raise ResumeError(
            f"extend to {num_steps:,} steps would not lengthen a schedule of {run_file.num_steps:,}",
            advice=f"give more than {run_file.num_steps:,} steps",
        )
    return dataclasses.replace(run_file, extensions=(*run_file.extensions, Extension(step=step, num_steps=num_steps)))


def _check_ranks(run_file: RunFile, hardware: Hardware) -> None:
    if run_file.plan.ranks != hardware.ranks:
        raise ResumeError(
            f"run was started on {run_file.plan.ranks} rank(s) and cannot go on on {hardware.ranks}",
            advice=f"torchrun --nproc-per-node {run_file.plan.ranks} -m coldframe train --run NAME"
            if run_file.plan.ranks > 1
            else "start it without torchrun",
        )


def _changed_plan(plan: Plan, key: str, old: Any, new: Any, hardware: Hardware) -> Plan:
    """The plan with one number as the dial gives it when it is asked for; which also refuses what makes no sense."""
    settings = PlanSettings(
        depth=plan.depth,
        context=plan.context,
        vocab_size=plan.vocab_size,
        total_batch_tokens=plan.total_batch_tokens,
        num_steps=plan.num_steps,
    )
    asked = make_plan(dataclasses.replace(settings, **{key: new}), hardware).plan
    if key == "learning_rate":  # the multiplier is in every rate already
        rates = {name: getattr(plan, name) * new / old for name in _plan_fields() if name.endswith("_rate")}
        return dataclasses.replace(plan, **{name: rate for name, rate in rates.items() if name != "final_rate"})
    names = _EXECUTION if key == "device" else (key, "replicas") if key in _DECIDES_REPLICAS else (key,)
    return dataclasses.replace(plan, **{name: getattr(asked, name) for name in names})


def _in_force(run_file: RunFile, section: str, key: str) -> Any:
    if section == "train":
        return getattr(run_file.train, key)
    if section == "plan" and key == "num_steps":
        return run_file.num_steps
    if section == "plan" and key in _plan_fields() and key not in ("compile", "recompute"):
        return getattr(run_file.plan, key)
    return run_file.given.get(section, {}).get(key, getattr(SECTIONS[section](), key))


def _plan_fields() -> set[str]:
    return {item.name for item in dataclasses.fields(Plan)}


def _plain_sources(sources: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: _plain(value) for key, value in source.items()} for source in sources]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
