"""A stand-in of the Hugging Face hub on this machine: repositories, files, commits and uploads, and hostile answers."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

from huggingface_hub import constants

from policy_distill.system.hub.pull import forget


@dataclass
class Repository:
    """What a repository holds now."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False

    @property
    def commit(self):
        digest = hashlib.sha1()
        for name, data in sorted(self.files.items()):
            digest.update(name.encode() + data)
        return digest.hexdigest()


@dataclass
class Hub:
    """The state of a stand-in."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    token: str | None = None
    """What private repositories and uploads ask for."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of all that was asked."""
    lies: dict[str, int] = field(default_factory=dict)
    """Bytes that HEAD says of a file, in place of the truth."""
    endless: set[str] = field(default_factory=set)
    """Files that are sent without an end."""
    redirected: set[str] = field(default_factory=set)
    """Files that lie elsewhere, as large ones do."""
    status: int | None = None
    """What all answers are, where that is set."""
    delay: float = 0.0
    full: bool = False
    """Takes no large file."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files that were uploaded, by their SHA-256."""

    def fetched(self):
        """Return the names of the files whose bytes were asked for."""
        paths = [path for how, path in self.requests if how == "GET" and "/resolve/" in path]
        return sorted({path.split("/resolve/")[1].split("/", 1)[1] for path in paths})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.requests.append(("PUT", self.path))
        if self.hub.full:
            self.error(507)
            return
        self.hub.stored[self.path.rsplit("/", 1)[1]] = data
        self.send(b"", etag='"stored"')

    def do_POST(self):
        data = self.body()
        path = unquote(urlparse(self.path).path)
        self.hub.requests.append(("POST", path))
        if self.refused():
            return
        if path == "/api/repos/create":
            self.create(json.loads(data))
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif path.endswith("/info/lfs/objects/batch"):
            self.json({"objects": [self.lfs(one) for one in json.loads(data)["objects"]]})
        elif "/preupload/" in path:
            names = [one["path"] for one in json.loads(data)["files"]]
            modes = ["lfs" if name.endswith(".safetensors") else "regular" for name in names]
            files = [{"path": name, "uploadMode": mode} for name, mode in zip(names, modes, strict=True)]
            self.json({"files": [{**one, "shouldIgnore": False} for one in files]})
        elif "/commit/" in path:
            self.commit(path.split("/api/models/")[1].split("/commit/")[0], data)
        else:
            self.error(404)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def refused(self):
        time.sleep(self.hub.delay)
        if self.hub.status is not None:
            self.error(self.hub.status)
            return True
        if self.command == "POST" and self.hub.token and not self.logged_in():
            self.error(401)
            return True
        return False

    def logged_in(self):
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def create(self, asked):
        name = f"{asked.get('organization') or 'somebody'}/{asked['name']}"
        if name in self.hub.repositories:
            self.error(409, "RepoExists")
            return
        self.hub.repositories[name] = Repository(private=bool(asked.get("private")))
        self.json({"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def lfs(self, one):
        upload = {"href": f"{self.hub.url}/store/{one['oid']}", "header": {}}
        return {"oid": one["oid"], "size": one["size"], "actions": {"upload": upload}}

    def commit(self, name, data):
        files = {}
        for line in data.decode().splitlines():
            record = json.loads(line)
            value = record["value"]
            if record["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif record["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
        repository = self.hub.repositories[name]
        repository.files |= files
        commit = repository.commit
        self.json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit, "success": True})

    def answer(self, body):
        path = unquote(urlparse(self.path).path)
        self.hub.requests.append((self.command, path))
        if path.startswith("/elsewhere/"):
            name, file = path.removeprefix("/elsewhere/").split("|")
            self.content(self.hub.repositories[name].files[file], file, body, {})
        elif self.refused():
            pass
        elif path.startswith("/api/models/"):
            self.listing(*path.removeprefix("/api/models/").partition("/revision/")[::2])
        elif "/resolve/" in path:
            name, _, rest = path[1:].partition("/resolve/")
            self.resolve(name, *rest.split("/", 1), body=body)
        else:
            self.error(404)

    def known(self, name, revision):
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.logged_in()):
            self.error(401, "RepoNotFound")
            return None
        if revision not in ("", "main", repository.commit):
            self.error(404, "RevisionNotFound")
            return None
        return repository

    def listing(self, name, revision):
        if repository := self.known(name, revision):
            siblings = [{"rfilename": file} for file in repository.files]
            self.json({"_id": "0", "id": name, "modelId": name, "sha": repository.commit, "siblings": siblings})

    def resolve(self, name, revision, file, *, body):
        if not (repository := self.known(name, revision)):
            return
        if file not in repository.files:
            self.error(404, "EntryNotFound")
            return
        data = repository.files[file]
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        headers = {"X-Repo-Commit": repository.commit, "ETag": etag}
        if file in self.hub.redirected:
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": etag, "Location": f"/elsewhere/{name}|{file}"}
            # Another host, as that of large files is.
            headers["Location"] = self.hub.url.replace("127.0.0.1", "localhost") + headers["Location"]
            self.send(b"", 302, headers)
        else:
            self.content(data, file, body, headers)

    def content(self, data, file, body, headers):
        if not body:
            self.send(b"", 200, headers, length=self.hub.lies.get(file, len(data)))
        elif file in self.hub.endless:
            self.send_response(200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            block = b"x" * 2**20
            try:
                while True:
                    self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            except OSError:
                self.close_connection = True
        else:
            self.send(data, 200, headers)

    def json(self, value):
        self.send(json.dumps(value).encode(), 200, {"Content-Type": "application/json"})

    def error(self, status, code=None):
        self.send(b"{}", status, {"X-Error-Code": code} if code else {})

    def send(self, data, status=200, headers=None, length=None, etag=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def hub_at_work():
    """Serve an empty hub while this is entered."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def hub_in_use(monkeypatch, cache):
    """Serve an empty hub that `huggingface_hub` of this process speaks to while this is entered."""
    with hub_at_work() as hub:
        place = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "")
        forget()
        yield hub
        forget()
