"""Numbers as a person says them: shared by every sentence that the explorer writes."""

from __future__ import annotations

_STEPS = ((90.0, 1.0, "s"), (90 * 60.0, 60.0, "min"), (48 * 3600.0, 3600.0, "h"))


def duration(seconds: float) -> str:
    """A length of time in one unit, or in two when hours deserve minutes: "40 s", "6 min", "2 h 10 min", "3 days"."""
    for limit, unit, name in _STEPS:
        if seconds < limit:
            if name == "h" and seconds < 10 * 3600:
                hours, minutes = divmod(round(seconds / 60), 60)
                return f"{hours} h {minutes} min" if minutes else f"{hours} h"
            return f"{round(seconds / unit)} {name}"
    return f"{round(seconds / 86400)} days"


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{round(value):,}"
