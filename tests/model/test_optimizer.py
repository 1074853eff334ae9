"""The optimizer: AdamW as torch's, Muon's orthogonal updates, computing apart from applying, and its state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from coldframe.model.optimizer import Optimizer, Rates
from coldframe.model.orthogonal import orthogonalise
from coldframe.model.schedule import StepRates
from coldframe.model.sizes import sizes_of_depth
from coldframe.model.transformer import Transformer

RATES = Rates(
    embedding=0.03, value_embedding=0.02, head=0.01, matrix=0.02, scalar=0.005, weight_decay=0.1,
    table_weight_decay=0.2, beta1=0.8, beta2=0.95, matrix_beta2=0.9,
)  # fmt: skip
STEP = StepRates(learning_rate=0.5, momentum=0.9, weight_decay=1.0)


def model() -> Transformer:
    """Two layers, with value embeddings and gates."""
    made = Transformer(sizes_of_depth(2, vocab_size=300, context=16), backend="blocked")
    made.initialise(3)
    return made


def give_gradients(made: Transformer, seed: int) -> None:
    """Random gradients everywhere."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adamw_is_torchs() -> None:
    """Tables, gates and scalars move as torch.optim.AdamW moves them, over several steps, clip included."""
    ours, theirs = model(), model()
    optimizer = Optimizer(ours, RATES)
    tables = {m.name: m for m in optimizer.members if m.group not in ("attention", "mlp")}
    assert {"embedding", "head", "stream_scale", "layers.1.value_gate", "value_embeddings.1"} <= set(tables)
    parameters = dict(theirs.named_parameters())
    reference = torch.optim.AdamW(
        [
            {"params": [parameters[name]], "lr": member.rate * STEP.learning_rate, "weight_decay": member.weight_decay}
            for name, member in tables.items()
        ],
        betas=(RATES.beta1, RATES.beta2),
        eps=1e-10,
    )
    for step in range(5):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        for name in tables:
            parameters[name].grad = parameters[name].grad.mul(0.7)  # type: ignore[union-attr]
        optimizer.compute(STEP, 0.7)
        optimizer.apply()
        reference.step()
    for name, parameter in ours.named_parameters():
        if name in tables:
            torch.testing.assert_close(parameter, parameters[name], atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows, columns", [(32, 32), (32, 128), (128, 32), (48, 64), (7, 100)])
def test_orthogonal_matrices(rows: int, columns: int, dtype: torch.dtype) -> None:
    """Singular values over a range of 1:30 are evened, by either path (the Gram matrix's at 1:2 and beyond)."""
    matrices, exact = with_values(torch.logspace(-1.5, 0, min(rows, columns)), rows, columns)
    found = orthogonalise(matrices, dtype)
    assert found.dtype == torch.float32
    assert found.shape == matrices.shape
    for wanted, after in zip(exact, found.double(), strict=True):
        values = torch.linalg.svdvals(after)
        assert float(values.max() / values.min()) < 1.6 / 0.4
        assert float(after.norm()) == pytest.approx(min(rows, columns) ** 0.5, rel=1e-4)
        assert float((wanted * after).sum() / (wanted.norm() * after.norm())) > 0.9


def with_values(values: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Three matrices of these singular values, and the nearest orthogonal one of each (float64)."""
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(3, rows, columns, generator=generator, dtype=torch.float64)
    left, _, right = torch.linalg.svd(random, full_matrices=False)
    return (left * values.double() @ right).float(), left @ right


def test_both_paths_are_one_polynomial() -> None:
    """At 1:4, through the small Gram matrix or directly: the same within float32."""
    from coldframe.model.orthogonal import _by_gram, _directly

    x = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(1)).double()
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01)
    torch.testing.assert_close(_by_gram(x), _directly(x), atol=1e-9, rtol=1e-7)


def test_ill_conditioned_and_zero_matrices() -> None:
    """A gradient of rank one or none at all gives something finite."""
    rank_one = torch.outer(torch.arange(1.0, 9), torch.arange(1.0, 17)).unsqueeze(0)
    for matrix in (rank_one, torch.zeros(1, 8, 16), rank_one * 1e-20, rank_one * 1e15):
        assert bool(torch.isfinite(orthogonalise(matrix, torch.float32)).all())


def test_muon_by_its_definition() -> None:
    """One matrix, written out: Nesterov momentum, orthogonalised, rows evened, decay only where signs agree."""
    made = model()
    optimizer = Optimizer(made, RATES)
    weight = made.layers[0].down
    with torch.no_grad():
        weight.normal_(generator=torch.Generator().manual_seed(9))
    momentum = torch.zeros_like(weight)
    second = torch.zeros(len(weight), 1)
    expected = weight.detach().clone()
    for step in range(1, 4):
        give_gradients(made, step)
        gradient = weight.grad.clone() * 0.5  # type: ignore[union-attr]
        momentum = STEP.momentum * momentum + (1 - STEP.momentum) * gradient
        update = orthogonalise((STEP.momentum * momentum + (1 - STEP.momentum) * gradient).unsqueeze(0), torch.float32)[
            0
        ]
        second = RATES.matrix_beta2 * second + (1 - RATES.matrix_beta2) * update.square().mean(dim=1, keepdim=True)
        even = update / (second / (1 - RATES.matrix_beta2**step) + 1e-10).sqrt()
        even = even * (update.norm() / even.norm())
        rate = RATES.matrix * STEP.learning_rate
        decay = rate * RATES.weight_decay * expected * ((even * expected) >= 0)
        expected = expected - rate * even * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5 - decay
        optimizer.compute(STEP, 0.5)
        optimizer.apply()
        torch.testing.assert_close(weight.detach(), expected, atol=1e-5, rtol=1e-4)


def test_queries_keys_and_values_are_three_matrices() -> None:
    """Each of the three that share storage is made orthogonal by itself, however much larger another's gradient is."""
    made = model()
    optimizer = Optimizer(made, RATES)
    give_gradients(made, 0)
    change = made.layers[0].qkv.grad
    assert change is not None
    width = made.sizes.width
    change[:width] *= 1000
    optimizer.compute(STEP, 1.0)
    norms = [float(part.norm()) for part in change.split(width)]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-3)
    for part in change.split(width):
        values = torch.linalg.svdvals(part.double())
        assert float(values[0] / values[-width // 10]) < 1.6 / 0.4  # the smallest stay small


def test_computing_changes_no_parameter() -> None:
    """Between computing and applying, parameters are as they were; applying adds exactly the changes."""
    made = model()
    optimizer = Optimizer(made, RATES)
    before = {name: parameter.detach().clone() for name, parameter in made.named_parameters()}
    give_gradients(made, 0)
    optimizer.compute(STEP, 1.0)
    assert all(torch.equal(before[name], parameter) for name, parameter in made.named_parameters())
    changes = {name: parameter.grad.clone() for name, parameter in made.named_parameters()}  # type: ignore[union-attr]
    norms = optimizer.norms()
    assert set(norms) == {"embedding", "head", "value_embedding", "attention", "mlp", "scalar"}
    for group, parameters in optimizer.groups():
        total = sum(float(p.grad.square().sum()) for p in parameters) ** 0.5  # type: ignore[union-attr]
        assert float(norms[group]) == pytest.approx(total, rel=1e-5)
    optimizer.apply()
    for name, parameter in made.named_parameters():
        assert torch.equal(parameter, before[name] + changes[name]), name


def test_state_carries_everything() -> None:
    """Half the steps, the state taken to a new optimizer, the other half: to the bit the same as all at once."""
    once, first, second = model(), model(), model()
    whole, begun, resumed = Optimizer(once, RATES), Optimizer(first, RATES), Optimizer(second, RATES)

    def advance(made: Transformer, optimizer: Optimizer, step: int) -> None:
        give_gradients(made, step)
        optimizer.compute(STEP, 0.9)
        optimizer.apply()

    for step in range(6):
        advance(once, whole, step)
    for step in range(3):
        advance(first, begun, step)
    second.load_state_dict(first.state_dict())
    resumed.load_state({name: tensor.clone() for name, tensor in begun.state.items()}, begun.num_updates)
    for step in range(3, 6):
        advance(second, resumed, step)
    assert all(tensor.dtype == torch.float32 for tensor in whole.state.values())
    for name, parameter in once.named_parameters():
        assert torch.equal(parameter, dict(second.named_parameters())[name]), name
    resumed.reset()
    assert resumed.num_updates == 0
    assert not any(bool(tensor.any()) for tensor in resumed.state.values())
