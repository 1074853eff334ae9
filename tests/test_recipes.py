"""Every recipe can be followed: it loads, its sources make sense, its plan fits the machine that it is for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from coldframe.cli import main
from coldframe.hardware import Hardware, parse_bytes
from coldframe.plan import make_plan
from coldframe.settings import Settings, load_settings
from coldframe.train.opening import sources_of

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
CPU = Hardware(device="cpu", name="two cores", free_memory=4 << 30, num_cores=2, compiles=True)


def hardware_for(settings: Settings) -> Hardware:
    """The machine that a recipe is written for."""
    if settings.plan.device != "cuda":
        return CPU
    assert settings.plan.memory, "a recipe for a card says how much of its memory it takes"
    return Hardware(device="cuda", name="a card", free_memory=parse_bytes(settings.plan.memory), num_cores=8,
                    bfloat16=True, compiles=True)


def test_the_recipes_are_there() -> None:
    """Those that other pages name."""
    assert {"tiny-cpu", "8gb", "12gb", "24gb", "own-text"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_can_be_followed(recipe: Path) -> None:
    """Settings, sources and plan."""
    settings = load_settings(recipe)
    assert sources_of(settings.sources)
    plan = make_plan(settings.plan, hardware_for(settings), seed=settings.train.seed).plan
    assert plan.fits
    assert sum(float(source.get("share", 0)) for source in settings.sources) <= 1


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_what_the_plan_says(recipe: Path) -> None:
    """Parameters, tokens, layers and width in a recipe's comments are those of its plan."""
    text = recipe.read_text(encoding="utf-8")
    settings = load_settings(recipe)
    plan = make_plan(settings.plan, hardware_for(settings)).plan
    for million in re.findall(r"([\d.]+)[ -]million[ -]parameter", text):
        assert plan.num_parameters / 1e6 == pytest.approx(float(million), rel=0.01)
    for billion in re.findall(r"([\d.]+) billion tokens", text):
        assert plan.total_tokens / 1e9 == pytest.approx(float(billion), rel=0.03)
    for layers, width in re.findall(r"(\d+) layers, ([\d,]+) wide", text):
        assert (plan.num_layers, plan.width) == (int(layers), int(width.replace(",", "")))
    for step in re.findall(r"steps of ([\d,]+) tokens", text):
        assert plan.total_batch_tokens == int(step.replace(",", ""))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_explains_itself(recipe: Path) -> None:
    """It begins with what it is and how it is used, and every setting has its comment."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert f"--recipe recipes/{recipe.name}" in recipe.read_text(encoding="utf-8")
    assert [line for line in lines if re.match(r"[a-z_]+ = ", line) and "# " not in line] == []
    assert max(map(len, lines)) <= 130


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card of its own to plan for")
@pytest.mark.parametrize("name", ["8gb", "12gb", "24gb"])
def test_a_cards_recipe_can_be_planned_where_there_is_no_card(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On a laptop one can ask what would fit a card; training there is refused."""
    recipe = str(ROOT / "recipes" / f"{name}.toml")
    assert main(["plan", "--recipe", recipe, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (plan["device"], plan["fits"], plan["dtype"]) == ("cuda", True, "bfloat16")
    assert main(["plan", "--recipe", recipe, "--memory", "3GB", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not plan["fits"] and "would fit" in plan["reasons"]["fits"]


def test_demo_follows_a_recipe() -> None:
    """`make demo` names a recipe that is there, of eight to twelve minutes."""
    named = re.findall(r"recipes/([\w-]+\.toml)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert named
    for name in named:
        minutes = load_settings(ROOT / "recipes" / name).plan.minutes
        assert minutes and 7 <= minutes <= 11
