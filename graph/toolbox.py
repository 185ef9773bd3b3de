"""The tools of the deployment (paper, ``A ∪ D``): general ones, and those over the user's own data."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from personaagent.errors import SetupError
from personaagent.extras import install
from personaagent.memory.statements import Statements
from personaagent.ports import EpisodicMemory, SemanticMemory
from personaagent.settings import Settings
from personaagent.tools.house import FileTools, default_tools, read_config
from personaagent.tools.mcp import McpTools
from personaagent.tools.registry import ActionSpaces
from personaagent.tools.spec import Grants, ToolSource, ToolSpec


def build_toolbox(
    settings: Settings,
    episodic: EpisodicMemory,
    semantic: SemanticMemory,
    grants: Grants,
    statements: Statements,
    own: Sequence[ToolSpec] = (),
) -> ActionSpaces:
    """All tools that this deployment offers; who may use which is for the grants to say. An own one wins by name.

    Raises SetupError where the tools file cannot be used.
    """
    sources: list[ToolSource] = []
    if settings.tools_file is not None:
        config = read_config(settings.tools_file)
        if (config.servers or config.user_servers) and find_spec("langchain_mcp_adapters") is None:
            raise SetupError(f"MCP servers need langchain-mcp-adapters: {install('mcp')}")
        sources = [FileTools(config.user_files), McpTools(config.servers, config.user_servers)]
    defaults = default_tools(
        episodic,
        semantic,
        remember=statements.remember,
        correct=statements.correct,
        forget=statements,
        wikipedia_pages=settings.wikipedia_pages,
        searxng_url=settings.searxng_url,
    )
    return ActionSpaces(
        [*defaults, *own],
        grants,
        deployment=settings.deployment_tools,
        sources=sources,
        max_result_chars=settings.max_tool_result_chars,
    )
