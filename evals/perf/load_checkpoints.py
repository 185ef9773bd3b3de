"""What LangGraph server keeps of threads during the load: the newest checkpoint of each, and nothing of deleted ones.

The development runtime keeps every checkpoint that ever was in memory. With this in its place, what grows is ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver


class NewestOnly(InMemorySaver):
    """Keeps one checkpoint a thread and namespace: enough to go on, to resume and to replay nothing."""

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Put it in the place of the one before."""
        kept = await super().aput(config, checkpoint, metadata, new_versions)
        thread, space = config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns", "")
        checkpoints = self.storage[thread][space]
        for old in [known for known in checkpoints if known != checkpoint["id"]]:
            del checkpoints[old]
            self.writes.pop((thread, space, old), None)
        versions = checkpoint["channel_versions"]
        for key in [k for k in self.blobs if k[:2] == (thread, space) and versions.get(k[2]) != k[3]]:
            del self.blobs[key]
        return kept


@asynccontextmanager
async def checkpointer() -> AsyncIterator[NewestOnly]:
    """What ``checkpointer.path`` of langgraph.json names."""
    yield NewestOnly()
