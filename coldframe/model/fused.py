"""Parts of the model whose way back is written by hand, because eager CPU training spends its time on memory traffic.

Each does what the plain operations named in its docstring do, in fewer passes and with less kept for the way back. On a
GPU torch.compile fuses the plain operations, which `transformer` then uses.

Shapes: B rows, T tokens, C width, F hidden units.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6


def by_hand(x: Tensor) -> bool:
    """Whether the hand-written way back is the faster one: training on a CPU."""
    return not x.is_cuda and torch.is_grad_enabled() and not torch.compiler.is_compiling()


def norm(x: Tensor) -> Tensor:
    """RMS norm over the last dimension, without gain (Zhang and Sennrich, 2019)."""
    if by_hand(x):
        return _Norm.apply(x)
    return F.rms_norm(x, (x.shape[-1],), eps=EPSILON)


def squared_relu_mlp(x_BTC: Tensor, up_FC: Tensor, down_CF: Tensor) -> Tensor:
    """relu(x @ up.T) squared @ down.T (So et al., 2021)."""
    up, down = up_FC.to(x_BTC.dtype), down_CF.to(x_BTC.dtype)
    if by_hand(x_BTC):
        return _SquaredReluMlp.apply(x_BTC, up, down)
    return F.linear(F.relu(F.linear(x_BTC, up)).square(), down)


def weighted_sum(x: Tensor, y: Tensor, x_weight: Tensor, y_weight: Tensor) -> Tensor:
    """x * x_weight + y * y_weight, the weights 0-d float32."""
    if by_hand(x):
        return _WeightedSum.apply(x, y, x_weight, y_weight)
    return (x_weight * x + y_weight * y).to(x.dtype)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, x_weight: Tensor, y_weight: Tensor) -> Any:
        ctx.save_for_backward(x, y)
        ctx.weights = float(x_weight), float(y_weight)
        return (x * ctx.weights[0]).add_(y, alpha=ctx.weights[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        along_x, along_y = (grad * x).sum(dtype=torch.float32), (grad * y).sum(dtype=torch.float32)
        return grad * ctx.weights[0], grad * ctx.weights[1], along_x, along_y


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Any:
        scale = inverse_rms(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _norm_backward(grad, *ctx.saved_tensors)


class _SquaredReluMlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, up_FC: Tensor, down_CF: Tensor) -> Any:
        active = F.linear(x_BTC, up_FC).clamp_min_(0)
        ctx.save_for_backward(x_BTC, up_FC, down_CF, active)
        return F.linear(active.square(), down_CF)

    @staticmethod
    def backward(ctx: Any, grad_BTC: Tensor) -> Any:
        x_BTC, up_FC, down_CF, active = ctx.saved_tensors
        grad, x = grad_BTC.flatten(0, 1), x_BTC.flatten(0, 1)
        active = active.flatten(0, 1)
        hidden = active.square()  # computed again: cheaper than keeping it for every layer
        grad_down = grad.t() @ hidden
        grad_hidden = torch.addmm(hidden, grad, down_CF, beta=0, alpha=2, out=hidden).mul_(active)
        return (grad_hidden @ up_FC).view_as(x_BTC), grad_hidden.t() @ x, grad_down


def inverse_rms(x: Tensor) -> Tensor:
    """1 / rms over the last dimension, which stays."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().mul_(1 / x.shape[-1]).add_(EPSILON).rsqrt_()


def _norm_backward(grad: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """d/dx of x / rms(x), from the normalised y and 1/rms (epsilon's part, of order 1e-6, is left out)."""
    along = (grad * y).mean(dim=-1, keepdim=True)
    return torch.addcmul(grad, y, along, value=-1).mul_(scale)
