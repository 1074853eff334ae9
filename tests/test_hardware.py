"""What this machine is: cards by their names, cores and memory shared by the ranks on it."""

from __future__ import annotations

import pytest

from coldframe.hardware import detect, peak_flops_of


@pytest.mark.parametrize("name, teraflops", [
    ("NVIDIA H200", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA A100-SXM4-80GB", 312),
    ("NVIDIA GeForce RTX 3060", 25), ("NVIDIA GeForce RTX 3070 Ti", 43), ("NVIDIA GeForce RTX 4090", 165),
    ("NVIDIA L4", 121), ("NVIDIA L40S", 362),
])  # fmt: skip
def test_a_card_in_the_table(name: str, teraflops: float) -> None:
    """By its own name, however the vendor dresses it."""
    assert peak_flops_of(name) == teraflops * 1e12


@pytest.mark.parametrize("name", [
    "NVIDIA RTX A1000", "NVIDIA L40", "NVIDIA GeForce RTX 4060 Ti", "NVIDIA GeForce RTX 4090 Laptop GPU",
    "NVIDIA GeForce RTX 4070 Ti SUPER", "NVIDIA GeForce RTX 4090 D", "Tesla T4",
])  # fmt: skip
def test_a_card_that_is_not(name: str) -> None:
    """A sister's figure would make a utilisation that is not true: not measured is better."""
    assert peak_flops_of(name) is None


def test_ranks_share_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on one CPU have half of its cores (but one at least) and half of its memory each."""
    alone = detect("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    shared = detect("cpu")
    assert shared.ranks == 2
    assert shared.num_cores == max(1, alone.num_cores // 2)
    assert 0.3 * alone.free_memory < shared.free_memory < 0.7 * alone.free_memory
