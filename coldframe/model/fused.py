"""Parts of the model whose way back is written by hand, because eager CPU training spends its time on memory traffic.

Each does what the plain operations named in its docstring do, in fewer passes and with less kept for the way back. On a
GPU torch.compile fuses the plain operations, which `transformer` then uses.

Shapes: B rows, T tokens, C width, F hidden units, H heads, D channels a head, R = D/2.
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


def norm_and_rotate(x_BTHD: Tensor, cos_T1R: Tensor, sin_T1R: Tensor) -> Tensor:
    """The norm of each head's channels, turned by its position's angle; gives B, H, T, D.

    Pairs are (channel i, channel i + R), as in rotary embeddings (Su et al., 2021).
    """
    if by_hand(x_BTHD):
        return _NormAndRotate.apply(x_BTHD, cos_T1R.squeeze(1), sin_T1R.squeeze(1))
    left, right = norm(x_BTHD).chunk(2, dim=-1)
    turned = torch.cat([left * cos_T1R + right * sin_T1R, right * cos_T1R - left * sin_T1R], dim=-1)
    return turned.transpose(1, 2)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Any:
        scale = _inverse_rms(x)
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
        grad_hidden = torch.mm(grad, down_CF, out=hidden).mul_(active).mul_(2)
        return (grad_hidden @ up_FC).view_as(x_BTC), grad_hidden.t() @ x, grad_down


class _NormAndRotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTHD: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Any:
        scale = _inverse_rms(x_BTHD)
        y = x_BTHD * scale
        ctx.save_for_backward(y, scale, cos_TR, sin_TR)
        batch, length, heads, channels = y.shape
        out = y.new_empty(batch, heads, length, channels)
        left, right = y.transpose(1, 2).chunk(2, dim=-1)
        out_left, out_right = out.chunk(2, dim=-1)
        torch.mul(left, cos_TR, out=out_left).addcmul_(right, sin_TR)
        torch.mul(right, cos_TR, out=out_right).addcmul_(left, sin_TR, value=-1)
        return out

    @staticmethod
    def backward(ctx: Any, grad_BHTD: Tensor) -> Any:
        y, scale, cos_TR, sin_TR = ctx.saved_tensors
        left, right = grad_BHTD.chunk(2, dim=-1)
        grad = torch.empty_like(y)
        grad_left, grad_right = grad.transpose(1, 2).chunk(2, dim=-1)
        torch.mul(left, cos_TR, out=grad_left).addcmul_(right, sin_TR, value=-1)
        torch.mul(right, cos_TR, out=grad_right).addcmul_(left, sin_TR)
        return _norm_backward(grad, y, scale), None, None


def _inverse_rms(x: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().mul_(1 / x.shape[-1]).add_(EPSILON).rsqrt_()


def _norm_backward(grad: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """d/dx of x / rms(x), from the normalised y and 1/rms (epsilon's part, of order 1e-6, is left out)."""
    along = (grad * y).mean(dim=-1, keepdim=True)
    return torch.addcmul(grad, y, along, value=-1).mul_(scale)
