"""The tools of the deployment (paper, ``A ∪ D``): general ones, and those over the user's own data."""

from __future__ import annotations

from personaagent.memory.statements import Statements
from personaagent.ports import EpisodicMemory, SemanticMemory
from personaagent.settings import Settings
from tools.house import FileTools, default_tools, read_config
from tools.mcp import McpTools
from tools.registry import ActionSpaces
from tools.spec import Grants, ToolSource


def build_toolbox(
    settings: Settings,
    episodic: EpisodicMemory,
    semantic: SemanticMemory,
    grants: Grants,
    statements: Statements,
) -> ActionSpaces:
    """All tools that this deployment offers; who may use which is for the grants to say.

    Raises SetupError where the tools file cannot be used.
    """
    sources: list[ToolSource] = []
    if settings.tools_file is not None:
        config = read_config(settings.tools_file)
        sources = [FileTools(config.user_files), McpTools(config.servers, config.user_servers)]
    return ActionSpaces(
        default_tools(
            episodic,
            semantic,
            remember=statements.remember,
            correct=statements.correct,
            forget=statements.forget,
            wikipedia_pages=settings.wikipedia_pages,
            searxng_url=settings.searxng_url,
        ),
        grants,
        deployment=settings.deployment_tools,
        sources=sources,
        max_result_chars=settings.max_tool_result_chars,
    )
