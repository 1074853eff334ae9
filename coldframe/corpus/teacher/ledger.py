"""What a folder's requests cost: a line before each is sent and one after, on the disk before anything rests on it.

    {"time", "number", "event": "sent", "request", "attempt", "tokens", "cost"}          what it may cost at most
    {"time", "number", "event": "ended", "request", "status", "retries", "tokens_in", "tokens_out", "tokens", "cost",
     "estimated"}                                                                        what it cost

A request without its second line, since the process was killed or nobody knows what became of it, counts with what it
may have cost at most. So the sum is never below the provider's bill, whatever happens to this machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from coldframe.corpus.teacher.settings import TeacherSettings
from coldframe.errors import TeacherError
from coldframe.run.durable import fsync_folder, room_for

LEDGER = "teacher/ledger.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Tokens there and back, and what they cost."""

    tokens_in: int = 0
    tokens_out: int = 0
    money: float = 0.0
    estimated: bool = False
    """Whether the provider did not say, so that these are bounds."""

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.tokens_in + self.tokens_out


def cost_of(teacher: TeacherSettings, tokens_in: int, tokens_out: int, *, estimated: bool = False) -> Cost:
    """Tokens with their price."""
    money = (tokens_in * teacher.price_input + tokens_out * teacher.price_output) / 1e6
    return Cost(tokens_in=tokens_in, tokens_out=tokens_out, money=round(money, 12), estimated=estimated)


class Lines:
    """A file of JSON lines that grows: each line is on the disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        """Open a file, without a last line that was cut off.

        Raises:
            TeacherError: when another line is damaged.
        """
        self.path = path
        content = path.read_bytes() if path.exists() else b""
        self._end = content.rfind(b"\n") + 1
        self.found = list(_parsed(path, content[: self._end]))
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("ab", buffering=0)
        self._file.truncate(self._end)
        fsync_folder(path.parent)

    def add(self, line: Mapping[str, Any]) -> None:
        """One more line; raises DiskFullError, and then nothing of it stays."""
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        with room_for(self.path):
            try:
                written = 0
                while written < len(data):
                    written += self._file.write(data[written:])
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(self._end)
                raise
        self._end += len(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Ledger:
    """The budget of a folder, over all calls."""

    def __init__(self, folder: Path, teacher: TeacherSettings) -> None:
        self._teacher = teacher
        self._lines = Lines(folder / LEDGER)
        self._open: dict[int, Cost] = {}
        self._tokens, self._money, self._number = 0, 0.0, 0
        self.session = Cost()
        """What this call cost, as far as it is known."""
        self.requests = 0
        """What this call sent."""
        unknown: dict[int, tuple[int, float]] = {}
        try:
            for line in self._lines.found:
                self._number = max(self._number, line["number"])
                if line["event"] == "sent":
                    unknown[line["number"]] = (line["tokens"], line["cost"])
                else:
                    unknown.pop(line["number"], None)
                    self._tokens, self._money = self._tokens + line["tokens"], self._money + line["cost"]
        except (KeyError, TypeError) as error:
            self._lines.close()
            raise TeacherError(
                f"{folder / LEDGER} is no ledger: {error!r}", advice="restore the file from a copy"
            ) from error
        self._tokens += sum(tokens for tokens, _ in unknown.values())
        self._money += sum(money for _, money in unknown.values())

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()

    @property
    def under_way(self) -> int:
        """Requests that were sent and have not ended."""
        return len(self._open)

    def left(self) -> dict[str, float | None]:
        """What may still be spent, as tokens and as money; None where there is no limit."""
        tokens = self._tokens + sum(cost.tokens for cost in self._open.values())
        money = self._money + sum(cost.money for cost in self._open.values())
        limits = self._teacher.budget_tokens, self._teacher.budget_money
        return {
            "tokens": None if limits[0] is None else max(0, limits[0] - tokens),
            "money": None if limits[1] is None else max(0.0, round(limits[1] - money, 9)),
        }

    def fits(self, most: Cost) -> bool:
        """Whether the budget has room for a request that costs so much at most."""
        tokens, money = self.left().values()
        return (tokens is None or most.tokens <= tokens) and (money is None or most.money <= money)

    def send(self, request: str, most: Cost, attempt: int) -> int:
        """Note that a request is about to be sent; its number."""
        assert self.fits(most)
        number = self._number = self._number + 1
        sent = {"event": "sent", "request": request, "attempt": attempt, "tokens": most.tokens, "cost": most.money}
        self._lines.add({"time": _now(), "number": number} | sent)
        self._open[number] = most
        self.requests += 1
        return number

    def end(self, number: int, request: str, status: int | str, cost: Cost | None, *, retries: int) -> Cost:
        """Note what a request cost; None where nobody knows, so that it counts with what it may have cost at most."""
        most = self._open[number]
        known = cost or Cost(tokens_in=most.tokens_in, tokens_out=most.tokens_out, money=most.money, estimated=True)
        said = {"tokens_in": known.tokens_in, "tokens_out": known.tokens_out, "tokens": known.tokens}
        self._lines.add(
            {"time": _now(), "number": number, "event": "ended", "request": request, "status": status}
            | {"retries": retries, **said, "cost": known.money, "estimated": known.estimated}
        )
        del self._open[number]
        self._tokens, self._money = self._tokens + known.tokens, self._money + known.money
        self.session = Cost(
            tokens_in=self.session.tokens_in + known.tokens_in, tokens_out=self.session.tokens_out + known.tokens_out,
            money=self.session.money + known.money, estimated=self.session.estimated or known.estimated,
        )  # fmt: skip
        return known


def _parsed(path: Path, content: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TeacherError(
                f"line {number} of {path} is damaged",
                advice="restore the file from a copy; without it what was paid for is not known",
            )
        yield found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
