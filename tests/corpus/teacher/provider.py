"""A provider of a chat API that answers by rule, or misbehaves as it is told to; what it is sent is written down."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
WORDS = """
bread oven flour salt water morning street window garden letter winter summer mother brother table candle river horse
market apple butter kettle basket village church bridge meadow shepherd tailor lantern harvest orchard
"""


def answer_to(body: Body) -> str:
    """What a good teacher says: the same to the same request."""
    asked = body["messages"][-1]["content"]
    words = WORDS.split()
    draw = random.Random(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest())
    if asked.startswith("Say this"):
        return f"So what about the {draw.choice(words)} and the {draw.choice(words)}?"
    turns = []
    for name in "ABABAB":
        one, two, three, four, five = draw.sample(words, 5)
        turns.append(f"{name}: The {one} {two} is with the {three}, and {four} has {five}.")
    return "\n".join(turns)


def completion(text: str, *, finish: str = "stop", usage: tuple[int, int] | None = (100, 50)) -> Body:
    """An answer as the API gives it."""
    found: Body = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}]
    }
    if usage is not None:
        found["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return found


class Handler(BaseHTTPRequestHandler):
    """One connection to the provider."""

    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        """Answer as the provider's `act` does."""
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.sent_headers.append(dict(self.headers))
            self.server.times.append(time.monotonic())
            number = len(self.server.bodies)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            time.sleep(self.server.seconds)
            self.server.act(self, body, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def give(
        self,
        body: Body | bytes,
        status: int = 200,
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send a whole answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        if status == 200:
            with self.server.lock:
                self.server.answered += 1

    def begin(self, length: int) -> None:
        """Send the beginning of an answer of so many bytes."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


Act = Callable[[Handler, Body, int], None]


def well(handler: Handler, body: Body, number: int) -> None:
    """Answer as one should."""
    handler.give(completion(answer_to(body)))


class Provider(ThreadingHTTPServer):
    """Who is asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, act: Act = well) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.act, self.seconds = act, 0.0
        self.lock = threading.Lock()
        self.bodies: list[Body] = []
        self.sent_headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.answered = self.under_way = self.most_under_way = 0

    @property
    def url(self) -> str:
        """Where its API begins."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def providing(act: Act = well) -> Iterator[Provider]:
    """A provider for as long as the block lasts."""
    provider = Provider(act)
    thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join()
