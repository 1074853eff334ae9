"""The plan: golden text for recipes and depths, the rules where dials usually fail, and memory that is said beforehand.

A changed rule or default shows as a difference in tests/plans/; `python tests/test_plan.py` writes them anew.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.errors import MemoryFitError, SettingsError
from coldframe.hardware import Hardware
from coldframe.plan import Plan, Reasoned, check_fits, make_plan, plan_from
from coldframe.settings import PlanSettings, load_settings

ROOT = Path(__file__).parents[1]
PLANS = Path(__file__).parent / "plans"
GIB = 1 << 30

MACHINES = {
    "laptop": Hardware(device="cpu", name="two cores", free_memory=4 * GIB, num_cores=2),
    "small-card": Hardware(
        device="cuda", name="a card", free_memory=int(7.3 * GIB), num_cores=8, bfloat16=True, compiles=True
    ),
    "middle-card": Hardware(
        device="cuda", name="a card", free_memory=int(11.2 * GIB), num_cores=8, bfloat16=True, compiles=True
    ),
    "large-card": Hardware(
        device="cuda", name="a card", free_memory=int(22.8 * GIB), num_cores=8, bfloat16=True, compiles=True
    ),
    "old-card": Hardware(device="cuda", name="an old card", free_memory=int(7.3 * GIB), num_cores=4),
}
RECIPES = {
    "tiny-cpu": "laptop", "own-text": "laptop", "books-to-chat": "laptop",
    "8gb": "small-card", "12gb": "middle-card", "24gb": "large-card",
}  # fmt: skip
DEPTHS = {1: "laptop", 2: "laptop", 4: "laptop", 6: "laptop", 8: "small-card", 12: "small-card", 20: "large-card"}


def golden_plans() -> dict[str, Reasoned]:
    """What stands in tests/plans/, by the file's name."""
    found = {}
    for recipe, machine in RECIPES.items():
        settings = load_settings(ROOT / "recipes" / f"{recipe}.toml")
        found[f"recipe-{recipe}-on-{machine}"] = make_plan(settings.plan, MACHINES[machine], seed=settings.train.seed)
    for depth, machine in DEPTHS.items():
        found[f"depth-{depth:02}-on-{machine}"] = make_plan(PlanSettings(depth=depth), MACHINES[machine])
    found["nothing-given-on-laptop"] = make_plan(PlanSettings(), MACHINES["laptop"])
    found["nothing-given-on-old-card"] = make_plan(PlanSettings(), MACHINES["old-card"])
    return found


def as_text(reasoned: Reasoned) -> str:
    """A plan, one value and its reason a line."""
    rows = reasoned.plan.as_dict()
    lines = [
        f"{name:<22} {_shown(value):>16}  {reasoned.reasons.get(name, '')}".rstrip() for name, value in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", golden_plans())
def test_golden(name: str) -> None:
    """Every number and reason, as when somebody last looked at it."""
    path = PLANS / f"{name}.txt"
    assert path.is_file(), "python tests/test_plan.py writes it"
    assert as_text(golden_plans()[name]) == path.read_text(encoding="utf-8")


def test_no_golden_plan_is_left_over() -> None:
    """Every file belongs to a recipe or depth above, and every recipe has one."""
    assert {path.stem for path in PLANS.glob("*.txt")} == set(golden_plans())
    assert {path.stem for path in (ROOT / "recipes").glob("*.toml")} == set(RECIPES)


def test_depth_twelve_is_the_reference() -> None:
    """12 layers, 768 wide, 6 heads of 128, vocabulary 32,768, context 2,048, 286M parameters."""
    plan = make_plan(PlanSettings(depth=12), MACHINES["small-card"]).plan
    assert (plan.num_layers, plan.width, plan.num_heads, plan.head_dim) == (12, 768, 6, 128)
    assert (plan.vocab_size, plan.context, round(plan.num_parameters / 1e6)) == (32768, 2048, 286)


@pytest.mark.parametrize("depth", [1, 2, 4, 6])
@pytest.mark.parametrize("num_tokens", [1e5, 1e6, 5e6])
def test_small_depths_and_budgets_get_many_steps(depth: int, num_tokens: float) -> None:
    """Where a dial made for large runs gives one huge batch: at a million tokens some hundred steps; light decay."""
    plan = make_plan(PlanSettings(depth=depth, num_tokens=num_tokens), MACHINES["laptop"]).plan
    assert plan.num_steps >= 100
    assert plan.total_batch_tokens <= 8192
    assert 0 <= plan.weight_decay <= 1
    assert plan.matrix_rate * plan.weight_decay * plan.num_steps <= 10 * (1 + 1e-9)  # what a weight forgets over a run
    assert abs(plan.total_tokens - num_tokens) <= plan.total_batch_tokens


@given(
    st.integers(1, 20),
    st.sampled_from(sorted(MACHINES)),
    st.floats(1e4, 1e10) | st.none(),
    st.integers(1, 8),
    st.sampled_from([None, 64, 100, 512, 2000]),
)
def test_any_plan_holds_together(
    depth: int, machine: str, num_tokens: float | None, ranks: int, context: int | None
) -> None:
    """Whatever is asked for: whole rows, whole micro-batches, whole heads, every number with a reason."""
    hardware = dataclasses.replace(MACHINES[machine], ranks=ranks)
    reasoned = make_plan(PlanSettings(depth=depth, num_tokens=num_tokens, context=context), hardware)
    plan = reasoned.plan
    assert plan.total_batch_tokens % (plan.context * ranks) == 0
    assert plan.batch_rows // ranks % plan.device_batch == 0
    assert plan.num_heads * plan.head_dim == plan.width
    assert plan.num_steps >= 1
    assert plan.total_tokens == plan.num_steps * plan.total_batch_tokens
    assert plan.peak_memory_bytes == reasoned.memory.total > 0
    assert plan.sizes.num_parameters == plan.num_parameters
    unexplained = set(plan.as_dict()) - set(reasoned.reasons)
    assert unexplained == set()
    assert plan_from(plan.as_dict()) == plan


@pytest.mark.parametrize("asked", [
    {"width": 2048}, {"device_batch": 16, "recompute": "off"}, {"device_batch": 32}, {"num_kv_heads": 2, "width": 3072},
], ids=str)  # fmt: skip
def test_what_would_fit_keeps_what_was_given(asked: dict[str, Any]) -> None:
    """The advice, followed word for word, leads to a plan that fits."""
    hardware = MACHINES["small-card"]
    settings = PlanSettings(depth=12, **asked)
    reasoned = make_plan(settings, hardware)
    assert not reasoned.plan.fits
    with pytest.raises(MemoryFitError) as caught:
        check_fits(reasoned, settings, hardware)
    advice = caught.value.advice
    left_out = re.findall(r"plan\.(device_batch|recompute|replicas)", advice)
    changes = {name: getattr(PlanSettings(), name) for name in left_out}
    changes |= {name: int(value) for name, value in re.findall(r"(?:--|plan\.)(depth|context)[ =](\d+)", advice)}
    assert changes, advice
    assert make_plan(dataclasses.replace(settings, **changes), hardware).plan.fits, advice


@pytest.mark.parametrize("depth", [4, 12, 20])
@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_what_does_not_fit_says_what_would(depth: int, machine: str) -> None:
    """A plan that fits stays within what is free; one that does not is refused with advice that then does fit."""
    hardware = dataclasses.replace(MACHINES[machine], free_memory=int(0.75 * GIB) + depth * (20 << 20))
    reasoned = make_plan(PlanSettings(depth=depth), hardware)
    if reasoned.plan.fits:
        assert reasoned.plan.peak_memory_bytes <= hardware.free_memory
        check_fits(reasoned, PlanSettings(depth=depth), hardware)
        return
    with pytest.raises(MemoryFitError) as caught:
        check_fits(reasoned, PlanSettings(depth=depth), hardware)
    words = caught.value.advice.split()
    if "--depth" in caught.value.advice:
        smaller = make_plan(PlanSettings(depth=int(words[-1].strip("()"))), hardware)
        assert smaller.plan.fits
    elif "plan.context" in caught.value.advice:
        shorter = make_plan(PlanSettings(depth=depth, context=int(words[3])), hardware)
        assert shorter.plan.fits
    else:
        assert "free some memory" in caught.value.advice


def test_more_memory_is_never_worse() -> None:
    """With more room a plan needs no more recomputation and no smaller micro-batch."""
    plans = [
        make_plan(PlanSettings(depth=12), dataclasses.replace(MACHINES["large-card"], free_memory=size * GIB)).plan
        for size in (5, 7, 9, 12, 16, 24, 40)
    ]
    for smaller, larger in zip(plans, plans[1:], strict=False):
        if smaller.fits:
            assert larger.fits
            assert (larger.recompute, -larger.device_batch) <= (smaller.recompute, -smaller.device_batch)
            assert larger.total_batch_tokens == smaller.total_batch_tokens


WRONG = {
    "depth": 0, "vocab_size": 100, "context": 8, "head_dim": 7, "num_kv_heads": 3, "window_pattern": "XL",
    "num_steps": 0, "num_tokens": -5.0, "total_batch_tokens": 777, "device_batch": 3, "warm_up": 1.5,
    "warm_down": -0.1, "threads": 0, "learning_rate": 0.0, "clip_norm": -1.0, "minutes": 0.0, "width": 0,
    "weight_decay": -1.0, "replicas": 3,
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_nonsense_is_refused(name: str) -> None:
    """A value that no run can have is refused, named, with what would do."""
    settings = PlanSettings(**{"depth": 4, name: WRONG[name]})  # type: ignore[arg-type]
    with pytest.raises(SettingsError) as caught:
        make_plan(settings, MACHINES["laptop"])
    assert caught.value.advice


@pytest.mark.parametrize(
    "machine, settings",
    [("laptop", {"dtype": "bfloat16"}), ("small-card", {"attention": "blocked"}), ("small-card", {"replicas": 2})],
)
def test_what_a_device_cannot_do_is_refused(machine: str, settings: dict[str, object]) -> None:
    """Before anything is prepared, by the setting's name."""
    with pytest.raises(SettingsError, match=f"plan.{next(iter(settings))}=") as caught:
        make_plan(PlanSettings(depth=4, **settings), MACHINES[machine])  # type: ignore[arg-type]
    assert caught.value.advice


@pytest.mark.parametrize("cores, rows, replicas", [(1, 8, 1), (2, 8, 2), (3, 8, 3), (5, 8, 4), (6, 8, 4), (32, 16, 8)])
def test_replicas(cores: int, rows: int, replicas: int) -> None:
    """As few as leave no thread with more rows than it must have, at most 8, and fewer where they do not fit."""
    settings = PlanSettings(depth=4, device_batch=rows, total_batch_tokens=rows * 512, context=512)
    roomy = Hardware(device="cpu", name="cores", free_memory=64 * GIB, num_cores=cores)
    plan = make_plan(settings, roomy).plan
    assert plan.replicas == replicas
    tight = dataclasses.replace(roomy, free_memory=plan.peak_memory_bytes)
    fewer = make_plan(settings, tight).plan
    assert fewer.replicas < replicas if replicas > 1 else fewer.recompute
    assert fewer.fits


def test_any_batch_is_planned_at_once() -> None:
    """How long it takes to find a micro-batch does not grow with the batch: this one has ten thousand million rows."""
    plan = make_plan(PlanSettings(depth=4, total_batch_tokens=512 << 33), MACHINES["laptop"]).plan
    assert plan.batch_rows > 10**9
    assert plan.batch_rows % plan.device_batch == 0


def test_a_batch_that_steps_choose_stays_sensible() -> None:
    """It grows with the steps up to what suits four times the dial's own horizon, and then says so."""
    own = make_plan(PlanSettings(depth=4), MACHINES["laptop"]).plan
    some, many, most = (
        make_plan(PlanSettings(depth=4, num_steps=steps), MACHINES["laptop"]) for steps in (5_000, 20_000, 10**9)
    )
    assert some.plan.total_batch_tokens == own.total_batch_tokens
    assert many.plan.total_batch_tokens == most.plan.total_batch_tokens == 2 * own.total_batch_tokens
    for reasoned, capped in ((some, False), (many, True), (most, True)):
        assert ("4 times the dial's own horizon" in reasoned.reasons["total_batch_tokens"]) is capped
    assert many.plan.matrix_rate < some.plan.matrix_rate  # a batch below what suits the horizon
    given = make_plan(PlanSettings(depth=4, num_steps=20_000, total_batch_tokens=65_536), MACHINES["laptop"])
    assert given.plan.total_batch_tokens == 65_536


@pytest.mark.parametrize("value", [10**9 + 1, int("9" * 400)], ids=["just", "far"])
def test_more_steps_than_anybody_means_are_refused(value: int) -> None:
    """In one line, however long the number; with a batch and without."""
    for batch in (None, 512):
        with pytest.raises(SettingsError, match=r"plan\.num_steps is too large") as caught:
            make_plan(PlanSettings(depth=4, num_steps=value, total_batch_tokens=batch), MACHINES["laptop"])
        assert "1,000,000,000" in caught.value.advice and len(str(caught.value)) < 120


@pytest.mark.parametrize("name", ["total_batch_tokens", "width", "num_kv_heads", "context", "vocab_size", "head_dim"])
def test_numbers_beyond_arithmetic_are_refused(name: str) -> None:
    """No OverflowError, whichever number it is."""
    with pytest.raises(SettingsError, match=f"plan.{name} is too large"):
        make_plan(PlanSettings(depth=4, num_steps=10, **{name: 512 * 10**400}), MACHINES["laptop"])  # type: ignore[arg-type]


def test_a_plan_is_frozen() -> None:
    """Nothing changes a plan after it was made."""
    plan: Plan = make_plan(PlanSettings(), MACHINES["laptop"]).plan
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.depth = 3  # type: ignore[misc]


if __name__ == "__main__":
    PLANS.mkdir(exist_ok=True)
    for old in PLANS.glob("*.txt"):
        old.unlink()
    for file_name, made in golden_plans().items():
        (PLANS / f"{file_name}.txt").write_text(as_text(made), encoding="utf-8")
    sys.stdout.write(f"{len(golden_plans())} plans written\n")
