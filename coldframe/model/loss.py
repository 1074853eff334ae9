"""Cross-entropy without ever holding all logits: head, softmax and both gradients, some hundred rows at a time.

Shapes: N rows (tokens), C width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from coldframe.model.sizes import ROWS_ON_CPU, ROWS_ON_GPU
from coldframe.model.uncompiled import uncompiled


def cross_entropy_rows(hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """Cross-entropy of each row in nats (float32, N): no gradient, never more than a chunk of logits."""
    with torch.no_grad():
        chunk = _chunk_rows(hidden_NC)
        parts = [
            torch.nn.functional.cross_entropy((rows @ head_VC.to(rows.dtype).t()).float(), targets, reduction="none")
            for rows, targets in zip(hidden_NC.split(chunk), targets_N.split(chunk), strict=True)
        ]
    return torch.cat(parts)


@uncompiled  # its gradients are made on the way forward, which a compiler has nothing to add to
def cross_entropy_sum(hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor, mask_N: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy in nats over the rows whose mask is 1, and each row's own (detached, 0 where masked).

    The gradients with respect to `hidden` and `head` are made on the way forward, while a chunk's logits are there, so
    that the backward pass only scales them.
    """
    losses_N = torch.empty(0)
    if torch.is_grad_enabled() and (hidden_NC.requires_grad or head_VC.requires_grad):
        total, losses_N = _ChunkedCrossEntropy.apply(hidden_NC, head_VC, targets_N, mask_N)
        return total, losses_N
    losses_N = cross_entropy_rows(hidden_NC, head_VC, targets_N) * mask_N
    return losses_N.sum(), losses_N


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor, mask_N: Tensor) -> Any:
        head = head_VC.to(hidden_NC.dtype)
        grad_hidden = torch.empty_like(hidden_NC)
        grad_head = torch.zeros_like(head_VC)
        losses_N = torch.empty(len(targets_N), dtype=torch.float32, device=hidden_NC.device)
        chunk = min(_chunk_rows(hidden_NC), len(targets_N))
        for start in range(0, len(targets_N), chunk):
            rows = slice(start, start + chunk)
            losses_N[rows], grad_logits = _loss_and_gradient(hidden_NC[rows], head, targets_N[rows], mask_N[rows])
            torch.mm(grad_logits, head, out=grad_hidden[rows])
            if grad_head.dtype == grad_logits.dtype:
                grad_head.addmm_(grad_logits.t(), hidden_NC[rows])
            else:  # bfloat16 products, summed over the chunks in the master's float32
                grad_head += grad_logits.t() @ hidden_NC[rows]
            del grad_logits  # before the next chunk's logits are made: the largest tensor there is
        ctx.save_for_backward(grad_hidden, grad_head)
        ctx.mark_non_differentiable(losses_N)
        return losses_N.sum(), losses_N

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> Any:
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden.mul_(grad_total.to(grad_hidden.dtype)), grad_head.mul_(grad_total), None, None


def _loss_and_gradient(rows_NC: Tensor, head_VC: Tensor, targets_N: Tensor, mask_N: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's masked loss (float32) and its gradient with respect to the logits (the rows' dtype)."""
    logits = rows_NC @ head_VC.t()
    targets_N1, mask_N1 = targets_N.unsqueeze(1), mask_N.unsqueeze(1)
    if logits.is_cuda or logits.dtype != torch.float32:
        scores = logits.float()
        log_sum = torch.logsumexp(scores, dim=1, keepdim=True)
        losses = log_sum - scores.gather(1, targets_N1)
        softmax = scores.sub_(log_sum).exp_()
    else:
        softmax = torch.softmax(logits, dim=1, out=logits)
        losses = -softmax.gather(1, targets_N1).log()
        if not bool(torch.isfinite(losses).all()):  # a probability too small for its logarithm: rare, so made again
            logits = rows_NC @ head_VC.t()
            losses = torch.logsumexp(logits, dim=1, keepdim=True) - logits.gather(1, targets_N1)
    softmax.scatter_add_(1, targets_N1, softmax.new_full(targets_N1.shape, -1.0))
    if softmax.is_cuda or not bool(mask_N.all()):
        losses, softmax = losses * mask_N1, softmax.mul_(mask_N1)
    return losses.squeeze(1), softmax.to(rows_NC.dtype)


def _chunk_rows(hidden_NC: Tensor) -> int:
    return ROWS_ON_GPU if hidden_NC.is_cuda else ROWS_ON_CPU
