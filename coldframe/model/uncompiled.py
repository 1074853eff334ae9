"""Functions that stay out of the compiler's sight.

torch's own mark (`torch.compiler.disable`) imports the whole compiler where it stands, 70 MB of memory and a second of
every start, in programs that compile nothing too. So a function is only noted here, and marked before something is
compiled.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Function = TypeVar("_Function", bound=Callable[..., Any])
_noted: list[list[Callable[..., Any]]] = []


def uncompiled(function: _Function) -> _Function:
    """The function, noted; it takes arguments by position. Say at its place why a compiler has no business in it."""
    held: list[Callable[..., Any]] = [function]
    _noted.append(held)

    @functools.wraps(function)
    def called(*arguments: Any) -> Any:
        return held[0](*arguments)

    return called  # type: ignore[return-value]


def keep_out_of_compiling() -> None:
    """Mark every noted function; call it before anything is compiled."""
    while _noted:
        held = _noted.pop()
        held[0] = torch.compiler.disable(held[0])
