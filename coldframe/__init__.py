"""coldframe: train a small chat model on your own hardware, under glass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coldframe.api import Run, open_run

__all__ = ["Run", "__version__", "open_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`coldframe.open_run`, imported only when somebody asks: the command line starts without it."""
    if name in ("Run", "open_run"):
        from coldframe import api

        return getattr(api, name)
    raise AttributeError(f"module 'coldframe' has no attribute {name!r}")
