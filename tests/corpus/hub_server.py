"""A server that speaks as much of the Hugging Face hub's API as reading a dataset needs, in a process of its own.

    python tests/corpus/hub_server.py FOLDER

serves FOLDER/owner/name/... at one commit each, and prints its address. What it is asked goes to FOLDER/asked.jsonl;
FOLDER/trouble.json says what goes wrong: path -> {"status": 503, "times": 2}, {"short": true} or {"from": byte, ...}.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(sys.argv[1])
LOCK = threading.Lock()
COUNTS: dict[str, int] = {}


def commit_of(folder: Path) -> str:
    """Changes with every file."""
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    content = "".join(f"{path}{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in names)
    return hashlib.sha1(content.encode()).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", head: bool = False, **headers: str) -> None:
        """Send it."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def do_HEAD(self) -> None:  # noqa: N802
        """As GET, without the body."""
        self.do_GET(head=True)

    def do_GET(self, head: bool = False) -> None:  # noqa: N802
        """Everything that is asked."""
        path = unquote(urlsplit(self.path).path)
        span = self.headers.get("Range", "")
        with LOCK, (ROOT / "asked.jsonl").open("a") as log:
            token = self.headers.get("Authorization", "")
            log.write(json.dumps({"path": path, "range": span, "token": token}) + "\n")
        api = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(revision|tree)/(.+?)/?", path)
        file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        match = api or file
        folder = ROOT / match[1] if match else ROOT / "nothing"
        if not match or not folder.is_dir():
            return self.answer(404, b'{"error": "Repository not found"}', head, X_Error_Code="RepoNotFound")
        if (folder / ".gated").exists():
            return self.answer(403, b'{"error": "gated"}', head, X_Error_Code="GatedRepo")
        commit = commit_of(folder)
        revision = match[3].split("/")[0] if api else match[2]
        if revision not in ("main", commit):
            return self.answer(404, b'{"error": "Revision not found"}', head, X_Error_Code="RevisionNotFound")
        if api:
            body = self.info(match[1], commit) if match[2] == "revision" else self.tree(folder)
            return self.answer(200, json.dumps(body).encode(), head, Content_Type="application/json")
        return self.file(folder / match[3], match[3], span, head)

    def info(self, name: str, commit: str) -> object:
        """What a dataset is."""
        return {"id": name, "_id": "0", "sha": commit, "private": False, "siblings": [], "tags": [], "downloads": 0}

    def tree(self, folder: Path) -> object:
        """All files of it."""
        found = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": name})
            else:
                content = path.read_bytes()
                one = {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": name}
                if name.endswith((".parquet", ".gz", ".zst")):
                    oid = hashlib.sha256(content).hexdigest()
                    one["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
                found.append(one)
        return found

    def file(self, path: Path, name: str, span: str, head: bool) -> None:
        """A file, or a part of it."""
        if not path.is_file():
            return self.answer(404, b"", head, X_Error_Code="EntryNotFound")
        content = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", span)
        start, end = (int(found[1]), int(found[2]) + 1) if found else (0, len(content))
        body = content[start:end]
        trouble = ROOT / "trouble.json"
        wrong = json.loads(trouble.read_text()).get(name, {}) if trouble.exists() else {}
        if wrong and end > wrong.get("from", 0):
            with LOCK:
                COUNTS[name] = COUNTS.get(name, 0) + 1
            if COUNTS[name] <= wrong.get("times", 1 << 30):
                if wrong.get("die"):
                    os._exit(1)
                if wrong.get("short"):
                    body = body[: len(body) // 2]
                else:
                    return self.answer(wrong["status"], b"{}", head)
        part = {"Content_Range": f"bytes {start}-{end - 1}/{len(content)}"} if found else {}
        return self.answer(206 if found else 200, body, head, Accept_Ranges="bytes", **part)


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
