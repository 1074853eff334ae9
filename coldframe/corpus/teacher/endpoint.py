"""One request to an OpenAI-compatible endpoint, and everything that a provider may do instead of answering it."""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coldframe.corpus.documents import clean_text
from coldframe.corpus.teacher.settings import TeacherSettings, host_of
from coldframe.errors import DependencyError, TeacherError

if TYPE_CHECKING:
    import httpx

_AGAIN = (408, 409, 425, 429)
_REFUSED = (400, 413, 422)
_LONGEST_WAIT = 600.0
"""Seconds that a server may ask to be left alone; who asks for more is left alone until somebody starts again."""
_EXCERPT = 200
_SHORTEST_KEY = 8
"""Shorter ones, such as "none", are no secrets, and may be words of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    text: str
    finish: str
    usage: tuple[int, int] | None
    """Tokens there and back, where the server says so."""


class TryAgain(Exception):
    """No answer, which another time may be one."""

    def __init__(self, said: str, status: int | str, *, wait: float | None = None, billed: bool) -> None:
        super().__init__(said)
        self.said, self.status, self.wait = said, status, wait
        self.billed = billed
        """Whether it may have been paid for all the same."""


class Refused(Exception):
    """The server does not take this one request."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.said, self.status = said, status


class Endpoint:
    """Where requests are sent; to be used with `async with`."""

    def __init__(self, teacher: TeacherSettings, key: str) -> None:
        self._httpx = httpx_module()
        self._teacher, self._key = teacher, key
        self.host = host_of(teacher.url)
        self._address = f"{teacher.url.rstrip('/')}/chat/completions"
        self._most_bytes = (1 << 20) + 64 * teacher.max_tokens
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Endpoint:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        near = self.host.startswith(("127.", "localhost", "[::1]"))
        self._client = self._httpx.AsyncClient(
            headers=headers,
            timeout=self._teacher.timeout_seconds,
            trust_env=not near,  # a proxy has no way to this machine
            limits=self._httpx.Limits(max_connections=self._teacher.concurrency),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._client is not None
        await self._client.aclose()

    async def ask(self, body: dict[str, Any]) -> Reply:
        """Send a request once.

        Raises:
            TryAgain: when another attempt may help.
            Refused: when this request will never be answered.
            TeacherError: when no request will.
        """
        assert self._client is not None
        try:
            async with (
                asyncio.timeout(self._teacher.timeout_seconds),
                self._client.stream("POST", self._address, json=body) as response,
            ):
                raw = await self._read(response)
        except TimeoutError:
            said = f"{self.host} gave no whole answer within {self._teacher.timeout_seconds:g} seconds"
            raise TryAgain(said, "timeout", billed=True) from None
        except (self._httpx.ConnectError, self._httpx.ConnectTimeout) as error:
            raise TryAgain(
                f"nobody answers at {self.host} ({self._safe(str(error))})", "no-connection", billed=False
            ) from None
        except self._httpx.TimeoutException:
            said = f"{self.host} gave no whole answer within {self._teacher.timeout_seconds:g} seconds"
            raise TryAgain(said, "timeout", billed=True) from None
        except self._httpx.InvalidURL as error:
            raise TeacherError(f"teacher.url is no address: {self._safe(str(error))}", advice="mend it") from None
        except self._httpx.HTTPError as error:
            raise TryAgain(
                f"the connection to {self.host} broke ({self._safe(str(error)) or type(error).__name__})",
                "broken-connection",
                billed=True,
            ) from None
        if response.status_code != 200:
            self._turned_down(response.status_code, response.headers, raw)
        return self._reply(raw, response.headers.get("content-type", ""))

    async def _read(self, response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > self._most_bytes:
                raise TryAgain(f"{self.host} gave an answer of more than {size:,} bytes", "too-long", billed=True)
        return b"".join(parts)

    def _turned_down(self, status: int, headers: httpx.Headers, raw: bytes) -> None:
        """Raise what a status that is no success means."""
        said = f"{self.host} said {status}: {self._excerpt(raw)}".rstrip(": ")
        if status in _AGAIN or status >= 500:
            wait = _seconds(headers.get("retry-after", ""))
            if wait is not None and wait > _LONGEST_WAIT:
                raise TeacherError(f"{said} (it asks to wait {wait:,.0f} seconds)", advice="start again after that")
            raise TryAgain(said, status, wait=wait, billed=False)
        if status in _REFUSED:
            raise Refused(said, status)
        variable = self._teacher.api_key_env
        advice = {
            401: f"is the key in {variable} right?"
            if variable
            else "name the variable of its key: teacher.api_key_env",
            402: "the account there has nothing left to spend",
            403: "the key may not use that model",
            404: f"is teacher.url right (it mostly ends in /v1), and is there a model {self._teacher.model!r}?",
        }.get(status, "is teacher.url right? it mostly ends in /v1")
        raise TeacherError(said, advice=advice)

    def _reply(self, raw: bytes, kind: str) -> Reply:
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            said = f"{self.host} answered with something else than JSON ({kind or 'no type'}): {self._excerpt(raw)}"
            raise TryAgain(said, "no-json", billed=True) from None
        try:
            choice = found["choices"][0]
            message = choice["message"]
            text = _text(message["content"])
        except (KeyError, IndexError, TypeError):
            said = f"{self.host} answered without a message: {self._excerpt(raw)}"
            raise TryAgain(said, "no-message", billed=True) from None
        finish = choice.get("finish_reason")
        return Reply(
            text=clean_text(self._hidden(text)), finish=finish if isinstance(finish, str) else "", usage=_usage(found)
        )

    def _excerpt(self, raw: bytes) -> str:
        """What a server says of an error, in a line."""
        try:
            found = json.loads(raw)
            error = found.get("error", found.get("detail", found))
            said = str(error.get("message", error) if isinstance(error, dict) else error)
        except (ValueError, AttributeError, RecursionError):
            said = raw[: 4 * _EXCERPT].decode(errors="replace")
        return self._safe(said)

    def _safe(self, text: str) -> str:
        """A line that may be shown: short, printable, and without the key."""
        line = " ".join(self._hidden(text).split())[:_EXCERPT]
        return "".join(letter for letter in line if letter.isprintable())

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_KEY else text


def httpx_module() -> Any:
    """The module httpx.

    Raises:
        DependencyError: when it is not installed.
    """
    try:
        return importlib.import_module("httpx")
    except ImportError as error:
        raise DependencyError(
            "asking a teacher model needs httpx, which is not installed", advice="type: pip install httpx"
        ) from error


def _text(content: object) -> str:
    """A message's text; some servers give it in parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content


def _usage(found: dict[str, Any]) -> tuple[int, int] | None:
    usage = found.get("usage")
    if not isinstance(usage, dict):
        return None
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return counts if all(type(count) is int and count >= 0 for count in counts) else None  # type: ignore[return-value]


def _seconds(text: str) -> float | None:
    """What Retry-After says: seconds, or a date."""
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip()):
        return float(text)
    try:
        wait = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait) if math.isfinite(wait) else None
