"""The folder of the embedded index: making, opening and wiping its shard, and naming what can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

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

GONE = ".gone-"  # begins the name of what is being removed
MARK = "index.json"  # which embedding model the folder's vectors are of
LOCK = "lock"  # a file that is locked by the process that has the folder
WANTED = "wanted"  # a file that another process makes while it waits for the folder


class EdgeFolder:
    """``root`` with the mark and one shard folder named by the vector space. Every method blocks."""

    def __init__(self, root: Path, embedder: str, dim: int) -> None:
        self.root = root
        self._mark = {"embedder": embedder, "dim": dim}
        self._dim = dim
        self._path = root / common.space_name(embedder, dim)
        self._taken: IO[bytes] | None = None

    def open(self) -> qdrant_edge.EdgeShard:
        """The shard, made at first use; raises EmbedderChanged and whatever ``engine_errors`` names."""
        import qdrant_edge as edge

        self.take()
        try:
            self._check_mark()
            if not self._path.exists():
                self._write_mark()  # with an id of its own: what the shard before held is not in this one
                self._make()
            return edge.EdgeShard.load(str(self._path))
        except BaseException:
            self.release()
            raise

    def take(self) -> None:
        """Keep every other process out until ``release``; raises HomeInUse where one is in.

        The engine has a lock of its own, but takes it only after it has begun to load, and so to mend, the files.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = (self.root / LOCK).open("ab")
        try:
            _lock(lock)
        except BlockingIOError:
            lock.close()
            raise _in_use(self.root) from None
        self._taken = lock

    def release(self) -> None:
        """Let others in; the shard must be closed."""
        if self._taken is not None:
            self._taken.close()
            self._taken = None

    def ask(self) -> None:
        """Let the process that has the folder know that it is wanted."""
        (self.root / WANTED).touch()

    def wanted(self) -> bool:
        """Whether another process waits for the folder."""
        return (self.root / WANTED).exists()

    def answered(self) -> None:
        """The folder is this process's now; whoever still waits asks again."""
        (self.root / WANTED).unlink(missing_ok=True)

    def wipe(self) -> None:
        """Remove the shards of every embedding model and mark the folder for this one."""
        for path in self._shards():
            # renamed first: half a shard, which a kill would leave, is one that no start could open
            gone = path.with_name(f"{GONE}{uuid4().hex}")
            path.rename(gone)
            shutil.rmtree(gone)
        self.root.mkdir(parents=True, exist_ok=True)
        self._write_mark()

    def identity(self) -> str | None:
        """What tells this shard from one that was made in its place; None for one of an earlier version."""
        try:
            found = json.loads((self.root / MARK).read_text()).get("id")
        except (OSError, ValueError, AttributeError):
            return None
        return found if isinstance(found, str) else None

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
        draft.write_text(json.dumps(self._mark | {"id": uuid4().hex}))
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
            raise _in_use(root) from error
        raise _unreadable(root, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's panics are no Exceptions
            raise
        raise _unreadable(root, error) from error


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError:
        return  # elsewhere the engine's own lock has to do
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _in_use(root: Path) -> HomeInUse:
    return HomeInUse(
        f"{root} is held by another process that does not give it up: end that one, it may hang or be stopped"
    )


def _unreadable(root: Path, error: BaseException) -> IndexUnavailable:
    reason = " ".join(str(error).split())[:200]
    return IndexUnavailable(f"the index in {root} fails ({reason}): rebuild it with `personaagent memory reindex`")
