"""Many requests, some at once: retried, within the budget, and each answer kept before the next is asked for."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coldframe.corpus.teacher.answers import Answer, Answers, Request
from coldframe.corpus.teacher.endpoint import Endpoint, Refused, TryAgain
from coldframe.corpus.teacher.ledger import Cost, Ledger, cost_of
from coldframe.corpus.teacher.settings import TeacherSettings
from coldframe.errors import ColdframeError, TeacherError

_log = logging.getLogger("coldframe")
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
"""Seconds before the first retry, which double, and the most that they become."""
_REFUSALS = 5
"""After so many requests that the server refused, and none that it answered, it refuses them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How it went."""

    refused: frozenset[str]
    """Keys of requests that the server does not take."""
    no_room_for: Cost | None
    """What the next request may cost at most, where the budget does not hold that."""
    error: ColdframeError | OSError | None
    """Why no more was asked, when that was not for the budget."""


async def ask_all(
    requests: Iterable[Request],
    teacher: TeacherSettings,
    key: str,
    ledger: Ledger,
    answers: Answers,
    told: Callable[[int], None] = lambda answered: None,
) -> Asked:
    """Ask what is not answered yet, in order; `told` hears how many are.

    When the budget has no room for the next request, or an error comes that the next would meet too, those under way
    are waited for and nothing more is asked. An answer stands in the files before anything is made of it.
    """
    distinct = {request.key: request for request in requests}
    waiting = deque(request for request in distinct.values() if answers.get(request) is None)
    told(len(distinct) - len(waiting))
    if not waiting:
        return Asked(refused=frozenset(), no_room_for=None, error=None)
    async with Endpoint(teacher, key) as endpoint:
        asking = _Asking(waiting, endpoint, teacher, ledger, answers, lambda left: told(len(distinct) - left))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(teacher.concurrency, len(waiting))):
                group.create_task(asking.work())
    error = asking.error
    if error is None and asking.refused and not len(answers):
        error = asking.all_refused
    return Asked(refused=frozenset(asking.refused), no_room_for=asking.no_room_for, error=error)


class _Asking:
    """What the workers share."""

    def __init__(
        self,
        waiting: deque[Request],
        endpoint: Endpoint,
        teacher: TeacherSettings,
        ledger: Ledger,
        answers: Answers,
        told: Callable[[int], None],
    ) -> None:
        self._waiting, self._endpoint, self._teacher = waiting, endpoint, teacher
        self._ledger, self._answers, self._told = ledger, answers, told
        self._left = len(waiting)
        self._room = asyncio.Condition()
        self._over = asyncio.Event()
        self._not_before = 0.0
        self.refused: set[str] = set()
        self.all_refused: TeacherError | None = None
        self.no_room_for: Cost | None = None
        self.error: ColdframeError | OSError | None = None

    async def work(self) -> None:
        """Ask one after the other."""
        while self._waiting and not self._over.is_set():
            try:
                await self._ask(self._waiting.popleft())
            except (ColdframeError, OSError) as error:  # the other workers may end what they have begun
                self.error = self.error or error
                await self._stop()

    async def _ask(self, request: Request) -> None:
        most = cost_of(self._teacher, *request.most_tokens)
        for attempt in range(1, self._teacher.retries + 2):
            await self._rest(self._not_before)
            number = await self._send(request, most, attempt)
            if number is None:
                return
            try:
                reply = await self._endpoint.ask(request.body)
            except TryAgain as again:
                await self._end(number, request, again.status, None if again.billed else Cost(), attempt)
                if attempt > self._teacher.retries:
                    raise TeacherError(
                        f"{again.said}, asked {attempt} times" if attempt > 1 else again.said,
                        advice="is it running? what was answered is kept: start again and the rest is asked",
                    ) from None
                await self._wait(attempt, again.wait)
                continue
            except Refused as refused:
                await self._end(number, request, refused.status, Cost(), attempt)
                self._refuse(request, refused)
                return
            except TeacherError:
                await self._end(number, request, "turned-down", Cost(), attempt)
                raise
            cost = self._cost(reply.usage, reply.text, most)
            self._answers.add(
                Answer(
                    key=request.key, text=reply.text, finish=reply.finish, host=self._endpoint.host,
                    tokens_in=cost.tokens_in, tokens_out=cost.tokens_out, cost=cost.money, estimated=cost.estimated,
                    attempts=attempt,
                )
            )  # fmt: skip
            await self._end(number, request, 200, cost, attempt)
            self._left -= 1
            self._told(self._left)
            return

    async def _send(self, request: Request, most: Cost, attempt: int) -> int | None:
        """Note a request that fits the budget; what is under way may turn out cheaper, so that is waited for."""
        async with self._room:
            while not self._over.is_set():
                if self._ledger.fits(most):
                    return self._ledger.send(request.key, most, attempt)
                if not self._ledger.under_way:
                    self.no_room_for = most
                    self._over.set()
                    self._room.notify_all()
                    break
                await self._room.wait()
        return None

    async def _end(self, number: int, request: Request, status: int | str, cost: Cost | None, attempt: int) -> None:
        self._ledger.end(number, request.key, status, cost, retries=attempt - 1)
        async with self._room:
            self._room.notify_all()

    def _cost(self, usage: tuple[int, int] | None, text: str, most: Cost) -> Cost:
        """What an answer cost; bounds where the server does not say."""
        if usage is not None:
            return cost_of(self._teacher, *usage)
        tokens_out = min(len(text.encode()) + 1, most.tokens_out)
        return cost_of(self._teacher, most.tokens_in, tokens_out, estimated=True)

    def _refuse(self, request: Request, refused: Refused) -> None:
        self.refused.add(request.key)
        self.all_refused = self.all_refused or TeacherError(
            f"{refused.said}, and it answered no other request",
            advice="see what it does not like: teacher.model, max_tokens, temperature, or the length of the prompts",
        )
        _log.warning("one request is left out: %s", refused.said)
        if len(self.refused) >= _REFUSALS and not len(self._answers):
            raise self.all_refused

    async def _wait(self, attempt: int, asked: float | None) -> None:
        """Leave the server alone for a while; where it says for how long, all workers do."""
        now = asyncio.get_running_loop().time()
        if asked is not None:
            self._not_before = max(self._not_before, now + asked)
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)
        await self._rest(max(self._not_before, now + (asked or wait)))

    async def _rest(self, until: float) -> None:
        """Wait until then, or until all is over."""
        if until <= asyncio.get_running_loop().time():
            return
        try:
            async with asyncio.timeout_at(until):
                await self._over.wait()
        except TimeoutError:
            return

    async def _stop(self) -> None:
        async with self._room:
            self._over.set()
            self._room.notify_all()
