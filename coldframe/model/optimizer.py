"""Muon for the weight matrices, AdamW for tables, gates and scalars; the update is computed first and applied after.

`compute` turns each parameter's gradient into the change it asks for, in place; `apply` adds the changes. Between the
two stands whatever must see or alter an update: the guard, the update norms, freezing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coldframe.model.orthogonal import orthogonalise
from coldframe.model.schedule import StepRates
from coldframe.model.transformer import Transformer

#: Numbers handled together by AdamW on a CPU: few enough that all its passes stay in the cache.
CHUNK_ON_CPU = 1 << 17
EPSILON = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Peak learning rates and decay of a run; the schedule multiplies them."""

    embedding: float
    value_embedding: float
    head: float
    matrix: float
    scalar: float
    weight_decay: float
    table_weight_decay: float
    beta1: float
    beta2: float
    matrix_beta2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: str
    parameter: nn.Parameter
    group: str
    rate: float
    weight_decay: float


class Optimizer:
    """Holds the moments of a model's parameters; every tensor of its state is float32."""

    def __init__(self, model: Transformer, rates: Rates, *, orthogonal_dtype: torch.dtype = torch.float32) -> None:
        self.rates = rates
        self.num_updates = 0
        self._head_rows = (model.sizes.num_heads * model.sizes.head_dim, model.sizes.kv_width, model.sizes.kv_width)
        self._orthogonal_dtype = orthogonal_dtype
        self.members = [_member(name, parameter, rates) for name, parameter in model.named_parameters()]
        self._tables = [member for member in self.members if member.group not in ("attention", "mlp")]
        self._matrices = [member for member in self.members if member.group in ("attention", "mlp")]
        self.state: dict[str, Tensor] = {}
        for member in self._tables:
            self.state[f"{member.name}.first"] = torch.zeros_like(member.parameter, dtype=torch.float32)
            self.state[f"{member.name}.second"] = torch.zeros_like(member.parameter, dtype=torch.float32)
        for member in self._matrices:
            self.state[f"{member.name}.momentum"] = torch.zeros_like(member.parameter, dtype=torch.float32)
            rows = len(member.parameter)
            self.state[f"{member.name}.row_second"] = torch.zeros(rows, 1, device=member.parameter.device)

    def groups(self) -> Iterator[tuple[str, list[nn.Parameter]]]:
        """The parameter groups that norms are recorded for."""
        for group in dict.fromkeys(member.group for member in self.members):
            yield group, [member.parameter for member in self.members if member.group == group]

    @torch.no_grad()
    def norms(self) -> dict[str, Tensor]:
        """The norm of each group's gradients, or of its changes between `compute` and `apply`; 0-d tensors."""
        return {
            group: torch.stack(torch._foreach_norm([_grad(parameter) for parameter in parameters])).norm()
            for group, parameters in self.groups()
        }

    @torch.no_grad()
    def compute(self, step: StepRates, scale: float | Tensor) -> None:
        """Replace every gradient, times `scale` (the clip), by the change that it asks for."""
        self.num_updates += 1
        for member in self._tables:
            self._adamw(member, step, scale)
        for shape in dict.fromkeys(member.parameter.shape for member in self._matrices):
            self._muon([member for member in self._matrices if member.parameter.shape == shape], step, scale)

    @torch.no_grad()
    def apply(self) -> None:
        """Add the changes to the parameters and forget them."""
        torch._foreach_add_([member.parameter for member in self.members], [_grad(m.parameter) for m in self.members])

    def zero_gradients(self) -> None:
        """Forget all gradients, keeping their memory."""
        gradients = [member.parameter.grad for member in self.members if member.parameter.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)

    def reset(self) -> None:
        """Begin as new."""
        torch._foreach_zero_(list(self.state.values()))
        self.num_updates = 0

    def load_state(self, tensors: Mapping[str, Tensor], num_updates: int) -> None:
        """Take over saved moments; names and shapes must match exactly."""
        assert set(tensors) == set(self.state), sorted(set(tensors) ^ set(self.state))
        for name, tensor in tensors.items():
            self.state[name].copy_(tensor)
        self.num_updates = num_updates

    def _adamw(self, member: _Member, step: StepRates, scale: float | Tensor) -> None:
        """AdamW (Loshchilov and Hutter, 2019), some numbers at a time."""
        r = self.rates
        rate = member.rate * step.learning_rate
        correction1 = 1 - r.beta1**self.num_updates
        correction2 = 1 - r.beta2**self.num_updates
        gradient = _grad(member.parameter).view(-1)
        chunk = gradient.numel() if gradient.is_cuda else CHUNK_ON_CPU
        parts = (
            gradient,
            self.state[f"{member.name}.first"].view(-1),
            self.state[f"{member.name}.second"].view(-1),
            member.parameter.detach().view(-1),
        )
        for g, first, second, p in zip(*(part.split(chunk) for part in parts), strict=True):
            g.mul_(scale)
            first.lerp_(g, 1 - r.beta1)
            second.mul_(r.beta2).addcmul_(g, g, value=1 - r.beta2)
            root = second.sqrt().mul_(correction2**-0.5).add_(EPSILON)
            torch.div(first, root, out=g).mul_(-rate / correction1)
            if member.weight_decay:
                g.add_(p, alpha=-rate * member.weight_decay)

    def _muon(self, members: list[_Member], step: StepRates, scale: float | Tensor) -> None:
        """Muon (Jordan, 2024) with Nesterov momentum, row-wise second moments (NorMuon, 2025) and cautious decay."""
        rate = members[0].rate * step.learning_rate
        decay = rate * members[0].weight_decay * step.weight_decay
        for member in members:
            gradient, momentum = _grad(member.parameter).mul_(scale), self.state[f"{member.name}.momentum"]
            momentum.lerp_(gradient, 1 - step.momentum)
            gradient.lerp_(momentum, step.momentum)
        for rows in self._row_blocks(members[0]):
            updates = orthogonalise(torch.stack([_grad(m.parameter)[rows] for m in members]), self._orthogonal_dtype)
            height, width = updates.shape[-2:]
            for member, update in zip(members, updates.unbind(), strict=True):
                self._even_rows(self.state[f"{member.name}.row_second"][rows], update)
                parameter = member.parameter[rows]
                if decay:
                    agree = (update * parameter) >= 0  # decay only where the update shrinks the weight anyway
                    update.mul_(-rate * max(1.0, height / width) ** 0.5).sub_(parameter * agree, alpha=decay)
                else:
                    update.mul_(-rate * max(1.0, height / width) ** 0.5)
                _grad(member.parameter)[rows] = update

    def _even_rows(self, second_R1: Tensor, update_RC: Tensor) -> None:
        """Scale rows to like size by their running second moment, keeping the update's norm."""
        before = update_RC.norm()
        second_R1.lerp_(update_RC.square().mean(dim=1, keepdim=True), 1 - self.rates.matrix_beta2)
        correction = 1 - self.rates.matrix_beta2**self.num_updates
        update_RC.mul_((second_R1 / correction).add_(EPSILON).rsqrt())
        update_RC.mul_(before / update_RC.norm().clamp_min(EPSILON))

    def _row_blocks(self, member: _Member) -> list[slice]:
        """Queries, keys and values are three matrices that share storage; each is made orthogonal by itself."""
        if not member.name.endswith(".qkv"):
            return [slice(None)]
        stops = [sum(self._head_rows[: i + 1]) for i in range(3)]
        return [slice(stop - rows, stop) for stop, rows in zip(stops, self._head_rows, strict=True)]


def _member(name: str, parameter: nn.Parameter, rates: Rates) -> _Member:
    leaf = name.split(".")[-1]
    if name.startswith("value_embeddings."):
        return _Member(
            name=name,
            parameter=parameter,
            group="value_embedding",
            rate=rates.value_embedding,
            weight_decay=rates.table_weight_decay,
        )
    if leaf in ("embedding", "head"):
        rate = rates.embedding if leaf == "embedding" else rates.head
        return _Member(name=name, parameter=parameter, group=leaf, rate=rate, weight_decay=rates.table_weight_decay)
    if leaf in ("qkv", "output", "up", "down"):
        group = "attention" if leaf in ("qkv", "output") else "mlp"
        return _Member(name=name, parameter=parameter, group=group, rate=rates.matrix, weight_decay=rates.weight_decay)
    return _Member(name=name, parameter=parameter, group="scalar", rate=rates.scalar, weight_decay=0.0)


def _grad(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "no gradient: was backward called?"
    return parameter.grad
