"""As much of a Qdrant server as the index uses, in memory, that can be stopped and started again with its data.

For machines where no Qdrant can be installed: it checks what happens around an outage, not how fast Qdrant is.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import numpy as np

_HNSW = {"m": 0, "ef_construct": 100, "full_scan_threshold": 10_000}
_OPTIMIZER = {
    "deleted_threshold": 0.2, "vacuum_min_vector_number": 9, "default_segment_number": 0, "flush_interval_sec": 5,
}  # fmt: skip
_DONE = {"operation_id": 1, "status": "completed"}


class Qdrant:
    """Collections of points over HTTP on loopback. ``stop`` drops every connection, ``start`` keeps port and data."""

    def __init__(self) -> None:
        self.refused = 0  # times it was stopped
        self._collections: dict[str, dict[str, dict[str, Any]]] = {}  # name → point id → point
        self._fields: dict[str, set[str]] = {}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and cut every connection."""
        if self._server is not None:
            self._server.close()
            self.refused += 1
            for writer in list(self._writers):
                writer.transport.abort()
            self._server = None

    def lose(self) -> None:
        """Forget every collection, as a server on a new disk has."""
        self._collections.clear()
        self._fields.clear()

    def points(self, user_id: str) -> list[str]:
        """The interaction ids of this user's points, sorted."""
        rows = (point for points in self._collections.values() for point in points.values())
        return sorted(p["payload"]["interaction_id"] for p in rows if p["payload"].get("user_id") == user_id)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                raw = await reader.readexactly(int(length[1])) if length else b""
                status, told = 200, {"status": "ok", "time": 0.0}
                try:
                    told["result"] = self._answer(method, path.partition("?")[0], json.loads(raw) if raw else {})
                except KeyError as error:
                    status, told = 404, {"status": {"error": f"Collection {error} doesn't exist!"}, "time": 0.0}
                data = json.dumps(told).encode()
                lines = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
                writer.write(lines.encode() + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            self._writers.discard(writer)

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> Any:
        _, *named = path.strip("/").split("/")
        if not named:
            return {"collections": [{"name": known} for known in sorted(self._collections)]}
        name, *rest = named
        match method, rest:
            case "PUT", []:
                self._collections.setdefault(name, {})
                self._fields.setdefault(name, set())
                return True
            case "DELETE", []:
                return self._collections.pop(name, None) is not None
            case "GET", []:
                schema = {field: {"data_type": "keyword", "points": 0} for field in self._fields[name]}
                config = {"params": {}, "hnsw_config": _HNSW, "optimizer_config": _OPTIMIZER}
                told = {"status": "green", "optimizer_status": "ok", "segments_count": 1}
                return told | {"config": config, "payload_schema": schema}
            case "PUT", ["index"]:
                self._fields[name].add(body["field_name"])
                return _DONE
            case _, ["points", *what]:
                return self._of_points(name, (method, *what), body)
            case _:
                raise ValueError(f"the stub knows no {method} {path}")

    def _of_points(self, name: str, asked: tuple[str, ...], body: dict[str, Any]) -> Any:
        held = self._collections[name]
        match asked:
            case ("PUT",):
                held.update({point["id"]: point for point in body["points"]})
            case ("POST",):
                return [{"id": i, "payload": held[i]["payload"]} for i in body["ids"] if i in held]
            case "POST", "delete":
                for point_id in body.get("points") or self._ids(name, body["filter"]):
                    held.pop(point_id, None)
            case "POST", "count":
                return {"count": len(self._ids(name, body.get("filter")))}
            case "POST", "query", "batch":
                return [{"points": self._found(name, search)} for search in body["searches"]]
            case _:
                raise ValueError(f"the stub knows no {asked} of points")
        return _DONE

    def _ids(self, name: str, only: dict[str, Any] | None) -> list[str]:
        return [point["id"] for point in self._matching(name, only or {})]

    def _matching(self, name: str, only: dict[str, Any]) -> list[dict[str, Any]]:
        hidden = {i for none in only.get("must_not") or [] for i in none["has_id"]}
        rows = self._collections[name].values()
        return [p for p in rows if p["id"] not in hidden and all(_holds(p, one) for one in only.get("must") or [])]

    def _found(self, name: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        using, query = search["using"], search["query"]["nearest"]
        scored = [
            (_score(using, query, point["vector"][using]), point)
            for point in self._matching(name, search["filter"])
            if using in point["vector"]
        ]
        best = sorted((row for row in scored if row[0] != 0), key=lambda row: -row[0])[: search["limit"]]
        return [{"id": p["id"], "version": 1, "score": score, "payload": p["payload"]} for score, p in best]


def _holds(point: dict[str, Any], condition: dict[str, Any]) -> bool:
    value = point["payload"].get(condition["key"])
    if "match" in condition:
        return bool(value == condition["match"]["value"])
    bounds = condition["range"]
    low, high = bounds.get("gte"), bounds.get("lt")
    return value is not None and (low is None or value >= low) and (high is None or value < high)


def _score(using: str, query: Any, vector: Any) -> float:
    if using == "dense":
        return float(np.dot(query, vector))
    weights = dict(zip(vector["indices"], vector["values"], strict=True))
    return float(sum(w * weights.get(i, 0.0) for i, w in zip(query["indices"], query["values"], strict=True)))
