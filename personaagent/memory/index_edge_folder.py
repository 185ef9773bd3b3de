"""The folder of the embedded index: making, opening and wiping its shard, and naming what can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from personaagent.errors import (
    EmbedderChanged,
    HomeInUse,
    HomeNotWritable,
    IndexUnavailable,
    PersonaAgentError,
)
from personaagent.memory import index_common as common

if TYPE_CHECKING:
    import qdrant_edge

MARK = "index.json"  # which embedding model the folder's vectors are of


class EdgeFolder:
    """``root`` with the mark and one shard folder named by the vector space. Every method blocks."""

    def __init__(self, root: Path, embedder: str, dim: int) -> None:
        self.root = root
        self._mark = {"embedder": embedder, "dim": dim}
        self._dim = dim
        self._path = root / common.space_name(embedder, dim)

    def open(self) -> qdrant_edge.EdgeShard:
        """The shard, made at first use; raises EmbedderChanged and whatever ``engine_errors`` names."""
        import qdrant_edge as edge

        self.root.mkdir(parents=True, exist_ok=True)
        self._check_mark()
        if not self._path.exists():
            self._make()
        return edge.EdgeShard.load(str(self._path))

    def refuse_if_in_use(self) -> None:
        """Raise HomeInUse if another process has a shard open; a shard that cannot be read is in nobody's use."""
        import qdrant_edge as edge

        for path in self._shards():
            try:
                with engine_errors(self.root):
                    edge.EdgeShard.load(str(path)).close()
            except IndexUnavailable:
                continue

    def wipe(self) -> None:
        """Remove the shards of every embedding model and mark the folder for this one."""
        for path in self._shards():
            shutil.rmtree(path)
        self.root.mkdir(parents=True, exist_ok=True)
        self._write_mark()

    def _shards(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []

    def _check_mark(self) -> None:
        path = self.root / MARK
        if not path.exists():
            self._write_mark()
            return
        try:
            found = json.loads(path.read_text())
            held = {"embedder": str(found["embedder"]), "dim": int(found["dim"])}
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(self.root, error) from error
        if held != self._mark:
            raise EmbedderChanged(
                f"the index in {self.root} is of {held['embedder']} ({held['dim']} dimensions), the settings name "
                f"{self._mark['embedder']} ({self._mark['dim']}): run `personaagent memory reindex`"
            )

    def _write_mark(self) -> None:
        draft = self.root / f"{MARK}.{os.getpid()}"
        draft.write_text(json.dumps(self._mark))
        draft.replace(self.root / MARK)

    def _make(self) -> None:
        """Make an empty shard aside and move it in place, so that a kill leaves a whole shard or none."""
        import qdrant_edge as edge

        aside = Path(tempfile.mkdtemp(prefix=".making-", dir=self.root))
        # no graph is built over the vectors: a user's points are found by the payload index and compared exactly
        config = edge.EdgeConfig(
            vectors={common.DENSE: edge.EdgeVectorParams(size=self._dim, distance=edge.Distance.Cosine)},
            sparse_vectors={common.LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        )
        shard = edge.EdgeShard.create(str(aside), config)
        for name, schema in (
            ("user_id", edge.KeywordIndexParams(is_tenant=True)),
            ("created_at", edge.IntegerIndexParams(lookup=False, range=True)),
            ("task", edge.KeywordIndexParams()),
            ("thread_id", edge.KeywordIndexParams()),
        ):
            shard.update(edge.UpdateOperation.create_field_index(name, schema))
        shard.flush()
        shard.close()
        try:
            aside.rename(self._path)
        except OSError:
            shutil.rmtree(aside)
            if not self._path.exists():  # otherwise another process was faster, and its shard is as good
                raise


@contextmanager
def engine_errors(root: Path) -> Iterator[None]:
    """Give the engine's and the file system's failures their names; our own errors pass."""
    try:
        yield
    except PersonaAgentError:
        raise
    except OSError as error:
        raise HomeNotWritable(
            f"the index folder {root} cannot be written ({error.strerror or error}): "
            "mend its permissions or set PERSONAAGENT_HOME to another folder"
        ) from error
    except Exception as error:
        if type(error) is not Exception:  # the engine raises the bare class and nothing else does
            raise
        if "WouldBlock" in str(error):
            raise HomeInUse(
                f"{root} is open in another process: stop that one, or give this one its own PERSONAAGENT_HOME"
            ) from error
        raise _unreadable(root, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's panics are no Exceptions
            raise
        raise _unreadable(root, error) from error


def _unreadable(root: Path, error: BaseException) -> IndexUnavailable:
    reason = " ".join(str(error).split())[:200]
    return IndexUnavailable(f"the index in {root} fails ({reason}): rebuild it with `personaagent memory reindex`")
