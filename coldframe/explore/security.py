"""Who may talk to the explorer: Host, Origin and token checks, a limit on what is sent, every answer's headers.

On this machine's own address no token is asked for, since anyone who can reach it can read the run folder as well;
what is left to fear is another web page in the same browser, and the Host and Origin checks are against that.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coldframe.explore.settings import LOOPBACK_HOSTS

#: More than any page of ours sends.
MAX_BODY_BYTES = 256 * 1024

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware that lets through only what the explorer's own pages, or a client with the token, would send."""

    def __init__(self, app: ASGIApp, *, token: str | None, cookie: str, host: str) -> None:
        self.app = app
        self.token = token
        self.cookie = cookie
        self._names = _own_names(host) if token is not None else LOOPBACK_HOSTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = _with_headers(send)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self.app(scope, _LimitedBody(receive).receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not _host_is_ours(host, self._names, remote=self.token is not None):
            return _refuse(
                421,
                f"this explorer does not answer to the name {host[:200]!r}",
                "open the address that coldframe printed",
            )
        if scope["method"] not in _SAFE_METHODS and not _same_origin(headers, host):
            return _refuse(403, "a page from elsewhere may not act on a run", "use the explorer's own page")
        if int(headers.get("content-length") or 0) > MAX_BODY_BYTES:
            return _refuse(413, "the request is too long", f"send at most {MAX_BODY_BYTES} bytes")
        return self._token_refusal(scope, headers)

    def _token_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """None when no token is needed or a right one came; one in the address of a page moves into a cookie."""
        if self.token is None:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if self._right(dict(query).get("token", "")):
            if scope["method"] != "GET":  # a redirect would lose what was sent
                return None
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            path = "/" + scope["path"].lstrip("/")  # two slashes would lead to another machine
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), status_code=303)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="lax", max_age=30 * 86400)
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        held = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")  # beside those of other ports' servers
        if self._right(bearer) or self._right(held):
            return None
        return _refuse(
            401, "this explorer needs its token", "open the whole address that coldframe printed, with ?token=..."
        )

    def _right(self, offered: str) -> bool:
        return hmac.compare_digest(offered.encode(), (self.token or "").encode())


class _LimitedBody:
    """Counts what arrives, for clients that do not say beforehand how much they will send."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._num_bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._num_bytes += len(message.get("body", b""))
        if self._num_bytes > MAX_BODY_BYTES:
            raise HTTPException(413, f"the request is too long; send at most {MAX_BODY_BYTES} bytes")
        return message


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sender


def _own_names(host: str) -> frozenset[str]:
    """What this machine is called; asked once, since a name server may take its time."""
    machine = socket.gethostname().lower()
    return LOOPBACK_HOSTS | {host.lower(), machine, f"{machine}.local", socket.getfqdn().lower()}


def _host_is_ours(host: str, names: frozenset[str], *, remote: bool) -> bool:
    """Whether a Host header names this server; a name that another site made point here (DNS rebinding) does not."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    return name in names or (remote and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(headers: Headers, host: str) -> bool:
    """Browsers send Origin or Sec-Fetch-Site with anything that changes state; programs send neither."""
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc == host
        except ValueError:
            return False
    return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _refuse(status: int, message: str, advice: str) -> JSONResponse:
    return JSONResponse({"error": {"kind": "Serve", "message": message, "advice": advice}}, status_code=status)
