"""A stand-in for W&B's server on this machine: as much of its GraphQL and file streams as a run with artifacts needs.

It notes what it is sent. It can be told to refuse everything, or to hang up in the middle.
"""

import contextlib
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENTITY = "someone"


class WandbServer:
    """Answers until it is told to refuse (`status`) or to stop answering (`stop`)."""

    def __init__(self):
        self.runs, self.history, self.summary, self.files, self.artifacts, self.used = {}, {}, {}, {}, [], []
        self.resumed, self.status, self.unknown, self.offsets = [], 200, [], []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self):
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                # Clients that leave in the middle are part of the trials.
                with contextlib.suppress(ConnectionResetError):
                    super().handle()

            def log_message(self, *_): ...

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                data = b"{}"
                if server.status == 200:
                    data = json.dumps(server.answer(self.path, body)).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(server.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

        return Handler

    def answer(self, path, body):
        if path.startswith("/upload/"):
            self.files[path.removeprefix("/upload/")] = body
        elif path.endswith("/file_stream"):
            self._stream(path.split("/")[-2], json.loads(body))
        elif path.startswith("/graphql"):
            request = json.loads(body)
            return {"data": self._graphql(request["query"], request.get("variables") or {})}
        return {}

    def _stream(self, run, body):
        for name, part in (body.get("files") or {}).items():
            rows = [json.loads(line) for line in part["content"]]
            if name == "wandb-history.jsonl":
                # Lines are placed where the client says: one that sends a run again from its start writes over it.
                stored, place = self.history.setdefault(run, []), part["offset"]
                self.offsets.append(place)
                stored[place : place + len(rows)] = rows
            elif name == "wandb-summary.json":
                self.summary.setdefault(run, {}).update(rows[-1])

    def _graphql(self, query, v):
        for name, answer in self._answers().items():
            if name in query:
                return answer(v)
        self.unknown.append((query, v))
        return {}

    def _answers(self):
        me = {"id": "u", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": {"edges": []}}
        return {
            "RunResumeStatus": self._resume_status,
            "upsertBucket": self._upsert,
            "query Viewer": lambda v: {"viewer": me},
            "createRunFiles": lambda v: {
                "createRunFiles": {
                    "runID": "r",
                    "uploadHeaders": [],
                    "files": [{"name": f, "uploadUrl": f"{self.url}/upload/{v['run']}/{f}"} for f in v["files"]],
                }
            },
            "query ArtifactType": lambda v: {"project": {"artifact": None}},
            "createArtifactManifest(": self._manifest,
            "createArtifactFiles": self._artifact_files,
            "createArtifact(": self._create_artifact,
            "updateArtifactManifest": self._manifest,
            "commitArtifact": lambda v: {"commitArtifact": {"artifact": {"id": v["artifactID"], "digest": "d"}}},
            "useArtifact": self._use,
            "query ArtifactByID": self._artifact,
        }

    def _resume_status(self, v):
        name = v.get("name")
        self.resumed.append(name)
        if name not in self.summary:
            return {"model": {"bucket": None}}
        rows = self.history.get(name, [])
        bucket = {"id": "b", "name": name, "displayName": name, "config": "{}", "tags": [], "wandbConfig": '{"t": 1}'}
        bucket |= {"summaryMetrics": json.dumps(self.summary[name]), "historyLineCount": len(rows)}
        bucket |= {"historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]), "logLineCount": 0}
        bucket |= {"eventsTail": "[]", "eventsLineCount": 0}
        return {"model": {"id": "p", "name": "p", "entity": {"id": "e", "name": ENTITY}, "bucket": bucket}}

    def _upsert(self, v):
        new = v["name"] not in self.runs
        run = self.runs.setdefault(v["name"], {})
        run.update({key: value for key, value in v.items() if value is not None})
        entity = {"id": "e", "name": v.get("entity") or ENTITY}
        project = {"id": "p", "name": v.get("project") or "p", "entity": entity}
        bucket = {"id": "b", "name": v["name"], "displayName": v.get("displayName"), "description": "", "config": "{}"}
        bucket |= {"sweepName": None, "historyLineCount": 0, "project": project}
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def _create_artifact(self, v):
        v = v.get("input") or v
        self.artifacts.append(v)
        number = f"a{len(self.artifacts)}"
        artifact = {"id": number, "state": "PENDING", "artifactSequence": {"id": "s", "latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def _manifest(self, v):
        file = {
            "id": "f",
            "name": "m",
            "displayName": "m",
            "uploadUrl": f"{self.url}/upload/manifest",
            "uploadHeaders": [],
        }
        answer = {"artifactManifest": {"id": "m", "file": file}}
        return {"createArtifactManifest": answer, "updateArtifactManifest": answer}

    def _artifact_files(self, v):
        files = v.get("artifactFiles") or v["input"]["artifactFiles"]
        edges = []
        for i, file in enumerate(files):
            url = f"{self.url}/upload/artifact/{file['name']}"
            node = {"id": f"f{i}", "name": file["name"], "displayName": file["name"], "uploadUrl": url}
            node |= {
                "uploadHeaders": [],
                "artifact": {"id": file["artifactID"]},
                "storagePath": "",
                "uploadMultipartUrls": None,
            }
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _artifact(self, v):
        created = self.artifacts[int(v["id"][1:]) - 1]
        project = {"id": "p", "internalId": "p", "name": created["projectName"], "entity": {"id": "e", "name": ENTITY}}
        collection = {"__typename": "ArtifactSequence", "name": created["artifactCollectionName"], "project": project}
        names = [alias["alias"] for alias in created.get("aliases") or []]
        aliases = [
            {"__typename": "ArtifactAlias", "id": name, "alias": name, "artifactCollection": collection}
            for name in names
        ]
        artifact = {"__typename": "Artifact", "id": v["id"], "artifactSequence": collection, "versionIndex": 0}
        artifact |= {"artifactType": {"name": created["artifactTypeName"]}, "description": None, "tags": []}
        artifact |= {"metadata": created.get("metadata"), "ttlDurationSeconds": -1, "ttlIsInherited": True}
        artifact |= {
            "historyStep": None,
            "state": "COMMITTED",
            "size": 0,
            "digest": created["digest"],
            "aliases": aliases,
        }
        artifact |= {"commitHash": "c", "fileCount": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None}
        return {"artifact": artifact}

    def _use(self, v):
        self.used.append(v)
        return {"useArtifact": {"artifact": {"id": v.get("artifactID")}}}
