"""The first stage of a run's mixture, and the stream that reads it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from coldframe.corpus.sources import Source
from coldframe.errors import SettingsError
from coldframe.mixture.stages import Stage, stage_from_json
from coldframe.mixture.stream import Stream
from coldframe.plan import Plan
from coldframe.tokens.shards import TokenSource
from coldframe.train.state import TrainState

OFTEN = 10
"""A source that is read more often than this is worth a warning."""
_DUST = 1e-9
"""What sums of shares may be off by."""
_log = logging.getLogger("coldframe")


def first_stage(sources: Sequence[TokenSource], wanted: Mapping[str, Source]) -> Stage:
    """Shares as the user gave them; what is left is divided in proportion to the other sources' tokens.

    Where sources were skipped and none is left to take their part, the given shares are raised alike.
    """
    given = {source.name: share for source in sources if (share := wanted[source.name].share) is not None}
    rest = [source for source in sources if source.name not in given]
    if not rest:
        total = sum(given.values())
        given = {name: share / total for name, share in given.items()}
    left = 1.0 - sum(given.values())
    num_tokens = sum(source.num_tokens for source in rest)
    shares = given | {source.name: max(left, 0.0) * source.num_tokens / num_tokens for source in rest}
    return Stage(
        start_block=0,
        shares=shares,
        sources={source.name: source.manifest_hash for source in sources},
        skip_blocks=(),
        by="plan",
        why="in proportion to tokens" if not given else "as given, the rest in proportion to tokens",
    )


def check_shares(wanted: Sequence[Source]) -> None:
    """Refuse shares that no mixture can have, before anything is read.

    Raises:
        SettingsError: when they come to more than 1, to less with no source to take the rest, or to 1 and leave nothing
            to a source without a share.
    """
    given = [source.share for source in wanted if source.share is not None]
    without = [source.name for source in wanted if source.share is None]
    if sum(given) > 1 + _DUST or (not without and sum(given) < 1 - _DUST):
        raise SettingsError(
            f"the given shares come to {sum(given):.3f}",
            advice="they must come to 1, or less when other sources take the rest",
        )
    if without and sum(given) > 1 - _DUST:
        raise SettingsError(
            f"the given shares come to 1 already, and nothing is left for the source {', '.join(without)}",
            advice="give it a share, lower the others, or leave it out",
        )


def times_read(stage: Stage, sources: Sequence[TokenSource], num_tokens: int) -> dict[str, float]:
    """How often each source is gone through in so many tokens of this stage; what rows read twice is not counted."""
    return {
        source.name: share * num_tokens / source.num_tokens
        for source in sources
        if (share := stage.shares.get(source.name, 0.0)) > 0
    }


def tell_times_read(stage: Stage, sources: Sequence[TokenSource], plan: Plan) -> None:
    """Log how often the whole run reads the text, and warn of each source that it reads more than `OFTEN` times."""
    num_tokens = plan.num_steps * plan.total_batch_tokens
    times = times_read(stage, sources, num_tokens)
    held = {source.name: source.num_tokens for source in sources if source.name in times}
    each = ", ".join(f"{name} {_rounded(count)}" for name, count in times.items())
    by_source = f" ({each})" if len(times) > 1 else ""
    _log.info("the text will be read %s times%s", _rounded(num_tokens / sum(held.values())), by_source)
    instead = "fewer steps, a smaller depth or more text would do"
    if len(times) > 1:
        instead = "fewer steps, a smaller depth or share, or more text would do"
    for name, count in times.items():
        if count > OFTEN:
            what, about = f"{held[name]:,}", f"{float(f'{count:.2g}'):,.0f}"
            _log.warning("source %s: %s tokens will be read about %s times; %s", name, what, about, instead)


def _rounded(times: float) -> str:
    """Two digits, or all before the point."""
    return f"{times:.2g}" if times < 9.95 else f"{times:,.0f}"


def open_stream(plan: Plan, state: TrainState, sources: Sequence[TokenSource]) -> Stream:
    """The stream of the recorded stages, which are the authority on what is read."""
    stages = [stage_from_json(stage) for stage in state.stages]
    return Stream(sources, stages, seed=plan.seed, context=plan.context, block_rows=plan.block_rows)
