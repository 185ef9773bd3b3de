"""The tools that a deployment offers by default, from ports and a few settings; building them does no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personaagent.errors import SetupError
from personaagent.ports import EpisodicMemory, SemanticMemory
from personaagent.tools.calculator import calculator_tool
from personaagent.tools.calendar_ics import calendar_tool
from personaagent.tools.current_time import current_time_tool
from personaagent.tools.forget import Forgetting, forget_tool
from personaagent.tools.mcp import McpServer
from personaagent.tools.memory_write import Correct, Remember, correct_tool, remember_tool
from personaagent.tools.notes import notes_tool
from personaagent.tools.page import PageReader, page_tool
from personaagent.tools.profile import profile_tool
from personaagent.tools.recall import recall_tool
from personaagent.tools.spec import ToolSpec
from personaagent.tools.table_csv import table_tool
from personaagent.tools.web_search import web_search_tool
from personaagent.tools.wikipedia import LiveWikipedia, RecordedWikipedia, wikipedia_tool


class OwnFiles(BaseModel):
    """The files that one user shares with the agent; each is a tool when it is set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notes: Path | None = None
    calendar: Path | None = None
    table: Path | None = None


class ToolsConfig(BaseModel):
    """The deployment's ``tools.json``: MCP servers for all, and what single users have besides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: Mapping[str, McpServer] = Field(default_factory=dict)
    user_servers: Mapping[str, Mapping[str, McpServer]] = Field(default_factory=dict)
    user_files: Mapping[str, OwnFiles] = Field(default_factory=dict)


def read_config(path: Path) -> ToolsConfig:
    """The configuration in a JSON file; raises SetupError. Reads the file: call it in a thread or before the loop."""
    try:
        return ToolsConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise SetupError(f"the tools file {path} cannot be used: {' '.join(str(error).split())[:300]}") from error


class FileTools:
    """A source of tools: what each user's own files offer to that user alone."""

    def __init__(self, files: Mapping[str, OwnFiles]) -> None:
        self._files = files

    async def specs(self, user_id: str) -> Sequence[ToolSpec]:
        """The tools over this user's files; none for everybody else."""
        own = self._files.get(user_id, OwnFiles())
        offered = [(own.notes, notes_tool), (own.calendar, calendar_tool), (own.table, table_tool)]
        return [tool(path) for path, tool in offered if path is not None]


def default_tools(
    episodic: EpisodicMemory,
    semantic: SemanticMemory,
    *,
    remember: Remember | None = None,
    correct: Correct | None = None,
    forget: Forgetting | None = None,
    wikipedia_pages: Path | None = None,
    searxng_url: str | None = None,
) -> list[ToolSpec]:
    """The default tools; those whose port or setting is None are not offered."""
    lookup = RecordedWikipedia(wikipedia_pages) if wikipedia_pages else LiveWikipedia()
    specs = [
        recall_tool(episodic),
        profile_tool(semantic),
        wikipedia_tool(lookup),
        page_tool(PageReader()),
        calculator_tool(),
        current_time_tool(),
    ]
    if searxng_url:
        specs.append(web_search_tool(searxng_url))
    if remember:
        specs.append(remember_tool(remember))
    if correct:
        specs.append(correct_tool(correct))
    if forget:
        specs.append(forget_tool(forget))
    return specs
