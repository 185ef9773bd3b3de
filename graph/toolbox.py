"""The tools of the deployment (paper, ``A ∪ D``): general ones, and those over the user's own data."""

from __future__ import annotations

from personaagent.ports import EpisodicMemory, SemanticMemory
from personaagent.settings import Settings
from tools.calculator import calculator_tool
from tools.current_time import current_time_tool
from tools.profile import profile_tool
from tools.recall import recall_tool
from tools.registry import ActionSpaces
from tools.spec import Grants
from tools.wikipedia import LiveWikipedia, wikipedia_tool


def build_toolbox(
    settings: Settings, episodic: EpisodicMemory, semantic: SemanticMemory, grants: Grants
) -> ActionSpaces:
    """All tools that this deployment offers; who may use which is for the grants to say."""
    return ActionSpaces(
        [
            recall_tool(episodic),
            profile_tool(semantic),
            wikipedia_tool(LiveWikipedia()),
            calculator_tool(),
            current_time_tool(),
        ],
        grants,
        max_result_chars=settings.max_tool_result_chars,
    )
