"""The Hub's HTTP API over a catalogue: which request gets which answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from samplehub import html, listing
from samplehub import query as asking
from samplehub.callers import Caller, Refusal, caller_of
from samplehub.catalogue import Repo
from samplehub.files import Blob, Commit, Snapshots, Tree, file_entry, folder_entry, pointer, sibling, tree_entries
from samplehub.http11 import JSON, FileSlice, Headers, Request, Response, json_bytes
from samplehub.listing import Shelf
from samplehub.prerender import Pages
from samplehub.sending import content_type, send_blob
from samplehub.shape import INFO_FIELDS, project

SUBPATHS = ("revision", "tree", "paths-info", "commits", "refs", "auth-check", "resolve")
LOST = "Sorry, we can't find the page you are looking for."
TREE_PAGE, TREE_PAGE_EXPANDED, COMMITS_PAGE = 1000, 50, 50


@dataclass
class Routes:
    """Answers requests from one catalogue. ``storage`` is the origin of large files ("" is the same host)."""

    catalogue: Shelf
    storage: str = ""
    pages: Pages | None = None

    def answer(self, request: Request, origin: str) -> Response:
        """The answer to a request; ``origin`` (scheme, host and port) begins the links in it."""
        try:
            parts = request.segments
            if parts[0] == "storage" and len(parts) > 1:  # a signed link is enough: no token is looked at
                return self._stored(request, parts[1:])
            caller = caller_of(request)
            if parts[:2] == ["api", "models"]:
                return self._models(request, caller, origin, parts[2:])
            if parts == ["api", "whoami-v2"]:
                return self._whoami(caller)
            for verb in ("resolve", "raw"):
                if verb in parts[1:3] and len(parts) > (at := parts.index(verb, 1)) + 2:
                    repo = self._open(parts, 0, at, caller, request)
                    path = "/".join(parts[at + 2 :])
                    return self._file(request, caller, repo, parts[at + 1], path, raw=verb == "raw")
            if parts[0] != "api" and len(parts) <= 2:
                return self._page(request, caller, parts)
            raise Refusal(404, LOST)
        except Refusal as refusal:
            return refusal.response()

    # Models ----------------------------------------------------------------------------------

    def _models(self, request: Request, caller: Caller, origin: str, parts: list[str]) -> Response:  # noqa: PLR0911
        if not parts or parts == [""]:
            _allow(request, "GET", "HEAD")
            return self._list(request, caller, origin)
        width = self._id_width(parts)
        verb, rest = parts[width] if len(parts) > width else "", parts[width + 1 :]
        _allow(request, *(("POST",) if verb == "paths-info" else ("GET", "HEAD")))
        repo = self._open(request.segments, 2, 2 + width, caller, request)
        if verb in ("", "revision"):
            return self._info(request, repo, rest[0] if rest else "main")
        if verb == "auth-check":
            self._check_gate(repo, caller)
            return _json({"ok": True})
        if verb == "tree" and rest:
            return self._tree(request, repo, origin, rest[0], "/".join(rest[1:]))
        if verb == "paths-info" and rest:
            return self._paths_info(request, repo, rest[0])
        if verb == "commits" and rest:
            return self._commits(request, repo, origin, rest[0])
        if verb == "refs":
            return self._refs(repo)
        raise Refusal(404, LOST)

    def _id_width(self, parts: list[str]) -> int:
        """How many parts of a path below ``/api/models/`` are the id: one (old ids) or two."""
        if len(parts) == 1 or (parts[1] in SUBPATHS and self.catalogue.find("/".join(parts[:2])) is None):
            return 1
        return 2

    def _list(self, request: Request, caller: Caller, origin: str) -> Response:
        query = request.query
        try:
            asked = asking.parse(query)
        except asking.QueryError as error:
            raise Refusal(400, str(error)) from None
        found = self.pages.find(asked, self.catalogue.version) if self.pages is not None else None
        body: bytes | FileSlice
        if found is not None and caller.user is None:
            body, cursor = found
        else:
            rows, cursor = listing.page(self.catalogue, asked, caller.user)
            body = json_bytes(rows)
        headers = [JSON]
        if cursor:
            headers.append(("Link", f'<{origin}{asking.next_target(query, cursor)}>; rel="next"'))
        return Response(200, headers, body)

    def _open(self, parts: list[str], start: int, stop: int, caller: Caller, request: Request) -> Repo:
        """The repo whose id stands in a path's parts ``start`` to ``stop``, or the Hub's way of saying why not."""
        repo_id = "/".join(parts[start:stop])
        repo = self.catalogue.find(repo_id)
        if repo is None and (new := self.catalogue.new_name(repo_id)):
            # The id alone is changed: verb, revision, file and query stay as they were asked.
            path, mark, query = request.target.partition("?")
            raw = path.split("/")[1:]
            target = "/" + "/".join([*raw[:start], quote(new), *raw[stop:]]) + mark + query
            raise Refusal(307, f"Temporary Redirect. Redirecting to {target}", headers=[("Location", target)])
        if repo is None or (repo.private and not caller.may_read(repo)):
            # Missing and private look alike. The code goes with the 401 too: from a bare one the client guesses
            # a missing repo on https only.
            if caller.user is None:
                realm = ("WWW-Authenticate", 'Bearer realm="Authentication required"')
                raise Refusal(401, "Invalid username or password.", "RepoNotFound", [realm])
            raise Refusal(404, "Repository not found", "RepoNotFound")
        if repo.disabled and not caller.may_read(repo):
            raise Refusal(403, "Access to this resource is disabled.")
        return repo

    def _check_gate(self, repo: Repo, caller: Caller) -> None:
        if not repo.gated or caller.may_read(repo):
            return
        where = f"Access to model {repo.id} is restricted"
        if caller.user is None:
            raise Refusal(401, f"{where}. You must be authenticated to access it. Please log in.", "GatedRepo")
        raise Refusal(403, f"{where} and you are not in the authorized list. Ask for access.", "GatedRepo")

    def _info(self, request: Request, repo: Repo, revision: str) -> Response:
        query = request.query
        try:
            expand = asking.expand_of(query)
        except asking.QueryError as error:
            raise Refusal(400, str(error)) from None
        blobs = asking.truth(query.get("blobs"))
        if expand and blobs:
            raise Refusal(400, "expand cannot be used together with blobs")
        fields = ("_id", "id", *expand) if expand else INFO_FIELDS
        row = dict(listing.answer_row(self.catalogue, repo, fields))
        if repo.snapshots is not None:
            commit, tree = self._at(repo, revision)
            row["sha"] = commit.id
            row["siblings"] = [sibling(name, blob, blobs=blobs) for name, blob in sorted(tree.items())]
        elif revision not in ("main", row.get("sha")):
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        row.setdefault("modelId", repo.id)
        if not expand:
            row.setdefault("siblings", [])
            row.setdefault("spaces", [])
        return _json(project(row, fields))

    def _at(self, repo: Repo, revision: str) -> tuple[Commit, Tree]:
        found = repo.snapshots.at(revision) if repo.snapshots is not None else None
        if found is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    # Files -----------------------------------------------------------------------------------

    def _tree(self, request: Request, repo: Repo, origin: str, revision: str, folder: str) -> Response:
        query = request.query
        expand = asking.truth(query.get("expand"))
        commit, tree = self._at(repo, revision)
        entries = tree_entries(tree, folder, recursive=asking.truth(query.get("recursive")))
        if entries is None:
            raise Refusal(
                404, f'{folder} does not exist on "{revision}"', "EntryNotFound", [("X-Repo-Commit", commit.id)]
            )
        size = TREE_PAGE_EXPANDED if expand else TREE_PAGE
        start = _offset(query.get("cursor"))
        headers = [JSON, ("X-Repo-Commit", commit.id)]
        if start + size < len(entries):
            headers.append(_next_link(origin, request, "cursor", str(start + size)))
        found = [self._with_commit(entry, repo, commit) if expand else entry for entry in entries[start : start + size]]
        return Response(200, headers, json_bytes(found))

    def _with_commit(self, entry: dict[str, Any], repo: Repo, at: Commit) -> dict[str, Any]:
        last = (repo.snapshots or Snapshots([at], [Tree()])).last_commit(entry["path"], at)
        entry["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
        if entry["type"] == "file":
            entry["securityFileStatus"] = {"status": "safe", "avScan": {"status": "safe"}, "pickleImportScan": None}
        return entry

    def _paths_info(self, request: Request, repo: Repo, revision: str) -> Response:
        commit, tree = self._at(repo, revision)
        if request.headers.get("content-type", "").startswith("application/json"):
            try:
                form = json.loads(request.body)
                paths, expand = list(form["paths"]), bool(form.get("expand"))
            except (ValueError, KeyError, TypeError):
                raise Refusal(400, "Invalid body: expected paths") from None
        else:
            fields = parse_qs(request.body.decode("utf-8", "replace"))
            paths, expand = fields.get("paths", []) + fields.get("paths[]", []), asking.truth(fields.get("expand"))
        found: list[dict[str, Any]] = []
        for path in paths:
            if path in tree:
                found.append(file_entry(path, tree[path]))
            elif path in tree.folders:
                found.append(folder_entry(path, tree.folders[path]))
        return _json([self._with_commit(entry, repo, commit) if expand else entry for entry in found])

    def _commits(self, request: Request, repo: Repo, origin: str, revision: str) -> Response:
        commit, _ = self._at(repo, revision)
        history = repo.snapshots.commits if repo.snapshots is not None else [commit]
        commits = history[history.index(commit) :]
        query = request.query
        page, limit = _offset(query.get("p")), min(_offset(query.get("limit")) or COMMITS_PAGE, 1000)
        headers = [JSON, ("X-Total-Count", str(len(commits)))]
        if (page + 1) * limit < len(commits):
            headers.append(_next_link(origin, request, "p", str(page + 1)))
        found = [
            {"id": c.id, "title": c.title, "message": c.message, "authors": [{"user": c.author}], "date": c.date}
            for c in commits[page * limit : (page + 1) * limit]
        ]
        return Response(200, headers, json_bytes(found))

    def _refs(self, repo: Repo) -> Response:
        commit, _ = self._at(repo, "main")
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": commit.id}
        return _json({"branches": [branch], "converts": [], "tags": [], "pullRequests": []})

    def _file(self, request: Request, caller: Caller, repo: Repo, revision: str, path: str, *, raw: bool) -> Response:
        _allow(request, "GET", "HEAD")
        self._check_gate(repo, caller)
        commit, tree = self._at(repo, revision)
        about = [("X-Repo-Commit", commit.id), ("Accept-Ranges", "bytes")]
        blob = tree.get(path)
        if blob is None:
            raise Refusal(404, "Entry not found", "EntryNotFound", about)
        if blob.sha256 and not raw:
            stored = f"{quote(repo.id, safe='')}/{commit.id}/{quote(path)}"
            location = f"{self.storage}/storage/{stored}?X-Signature={blob.sha256[:16]}"
            headers = [*about, *_linked(blob), ("Location", location), ("Content-Type", "text/plain; charset=utf-8")]
            return Response(302, headers, f"Found. Redirecting to {location}".encode())
        if blob.sha256:  # raw shows what git holds: the pointer
            blob = Blob.of_bytes(pointer(blob.sha256, blob.size))
        return send_blob(request, blob, [*about, ("ETag", f'"{blob.oid}"'), ("Content-Type", content_type(path))])

    def _stored(self, request: Request, parts: list[str]) -> Response:
        """A large file behind its signed link; who has the link may read, no token is looked at."""
        _allow(request, "GET", "HEAD")
        repo = self.catalogue.find(parts[0])
        found = repo.snapshots.at(parts[1]) if repo and repo.snapshots and len(parts) > 2 else None
        blob = found[1].get("/".join(parts[2:])) if found else None
        if found is None or blob is None or not blob.sha256:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        if request.query.get("X-Signature") != [blob.sha256[:16]]:
            return Response(403, [("Content-Type", "application/xml")], b"<Error><Code>AccessDenied</Code></Error>")
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Accept-Ranges", "bytes"),
            ("ETag", f'"{blob.sha256}"'),
        ]
        # On the same host the client takes these from the last answer of the chain.
        headers += [("X-Repo-Commit", found[0].id), *_linked(blob)]
        return send_blob(request, blob, headers)

    def _page(self, request: Request, caller: Caller, parts: list[str]) -> Response:
        """The pages that a person sees who follows a link: all models, or one."""
        _allow(request, "GET", "HEAD")
        if parts == [""]:
            repos, _ = listing.page(self.catalogue, asking.parse({"sort": ["downloads"], "limit": ["100"]}))
            return html.front(repos, len(self.catalogue))
        return html.model(self._open(parts, 0, len(parts), caller, request))

    def _whoami(self, caller: Caller) -> Response:
        if caller.user is None:
            raise Refusal(401, "Invalid username or password.")
        auth = {"type": "access_token", "accessToken": {"displayName": "sample", "role": "read"}}
        name = caller.user
        about = {"type": "user", "id": name, "name": name, "fullname": name, "isPro": caller.tier == "pro", "orgs": []}
        return _json({**about, "auth": auth})


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refusal(405, "Method Not Allowed", headers=[("Allow", ", ".join(methods))])


def _json(value: Any) -> Response:
    return Response(200, [JSON], json_bytes(value))


def _linked(blob: Blob) -> Headers:
    return [("X-Linked-Size", str(blob.size)), ("X-Linked-ETag", f'"{blob.sha256}"')]


def _offset(values: list[str] | None) -> int:
    if not values:
        return 0
    if not values[-1].isdecimal():
        raise Refusal(400, "Invalid cursor")
    return int(values[-1])


def _next_link(origin: str, request: Request, name: str, value: str) -> tuple[str, str]:
    pairs = [(key, v) for key, values in request.query.items() if key != name for v in values]
    query = "&".join(f"{quote(key)}={quote(v)}" for key, v in [*pairs, (name, value)])
    return ("Link", f'<{origin}{request.path}?{query}>; rel="next"')
