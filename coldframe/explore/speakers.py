"""Models in memory that can speak: the newest weights of the runs that somebody talks to, at most two of them.

torch is imported when the first model is loaded, so that looking at charts costs neither its start nor its memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from coldframe.errors import CheckpointError
from coldframe.run.view import RunView

if TYPE_CHECKING:
    from coldframe.generate.engine import Engine, Session
    from coldframe.generate.load import Loaded

MAX_MODELS = 2
MAX_SESSIONS = 2

Which = Literal["live", "best"] | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights that stand on disk now."""

    kind: Literal["live", "checkpoint"]
    step: int
    id: int
    """The row that announced them."""


@dataclass(slots=True, kw_only=True)
class Speaker:
    """A loaded model with its engine; `turn` is held while it speaks, one conversation at a time."""

    weights: Weights
    loaded: Loaded
    engine: Engine
    turn: threading.Lock = field(default_factory=threading.Lock)
    sessions: OrderedDict[int, Session] = field(default_factory=OrderedDict)

    def session(self, conversation: int) -> Session:
        """The conversation's kept keys and values under these weights; call while holding `turn`."""
        from coldframe.generate.engine import Session

        if conversation not in self.sessions:
            self.sessions[conversation] = Session()
            while len(self.sessions) > MAX_SESSIONS:
                self.sessions.popitem(last=False)
        self.sessions.move_to_end(conversation)
        return self.sessions[conversation]


class Speakers:
    """Loads and keeps models, the least recently used one making room."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Weights], Speaker] = OrderedDict()

    def speaker(self, view: RunView, which: Which = "live") -> Speaker:
        """The model that should speak now: the newest weights, loaded anew when newer ones came since the last turn.

        Raises:
            CheckpointError: when the run has no weights yet.
        """
        with self._lock:
            weights = newest_weights(view) if which == "live" else checkpoint_weights(view, which)
            if weights is None and isinstance(which, int):
                raise CheckpointError(
                    f"run {view.folder.name!r} keeps no weights of step {which}",
                    advice="choose one of its checkpoints, the best or the newest",
                )
            if weights is None:
                raise CheckpointError(
                    f"run {view.folder.name!r} has no weights to speak with yet",
                    advice="wait for its first checkpoint, or ask for one: coldframe checkpoint " + view.folder.name,
                )
            key = (str(view.folder.path), weights)
            if key not in self._kept:
                self._make_room(key[0])
                self._kept[key] = _load(view, weights, which)
            self._kept.move_to_end(key)
            return self._kept[key]

    def is_loaded(self, view: RunView, weights: Weights) -> bool:
        """Whether these weights would speak without loading."""
        return (str(view.folder.path), weights) in self._kept

    def close(self) -> None:
        """Forget every model."""
        with self._lock:
            self._kept.clear()

    def _make_room(self, run: str) -> None:
        for key in [key for key in self._kept if key[0] == run]:
            del self._kept[key]  # older weights of the same run; a turn under way keeps its own reference
        while len(self._kept) >= MAX_MODELS:
            self._kept.popitem(last=False)


def newest_weights(view: RunView) -> Weights | None:
    """The published weights or the checkpoint, whichever is of the later step; None while there is neither."""
    found = checkpoint_weights(view, "newest")
    for row in reversed(view.rows("published", limit=2, newest=True)):
        if (view.folder.live / row["file"]).is_file() and (found is None or row["step"] >= found.step):
            return Weights(kind="live", step=row["step"], id=row["id"])
    return found


def checkpoint_weights(view: RunView, which: Literal["newest", "best"] | int) -> Weights | None:
    """A checkpoint whose weights are still there."""
    order = "val_bpb IS NULL, val_bpb ASC, id DESC" if which == "best" else "id DESC"
    rows = view.query(
        f"SELECT id, step, folder FROM checkpoints WHERE contains != 'nothing' ORDER BY {order} LIMIT 500"
    )
    for row in rows:
        if (which in ("newest", "best") or row["step"] == which) and (view.folder.checkpoints / row["folder"]).is_dir():
            return Weights(kind="checkpoint", step=row["step"], id=row["id"])
    return None


def _load(view: RunView, weights: Weights, which: Which) -> Speaker:
    """Load weights; where the newest were asked for and are damaged, those before them speak, under their own step."""
    import torch

    from coldframe.generate.engine import Engine
    from coldframe.generate.load import load_model

    torch.set_num_threads(1)  # the other cores belong to whatever trains
    loaded = load_model(view.folder, "newest" if which == "live" else weights.step, "cpu")
    found = Weights(kind=loaded.kind, step=loaded.step, id=weights.id)
    return Speaker(weights=found, loaded=loaded, engine=Engine(loaded.model, loaded.tokenizer))
