"""Web search through a SearXNG instance; without one configured the tool is not offered."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec


class WebSearchArgs(BaseModel):
    """What to search for."""

    query: str = Field(min_length=1, max_length=400, description="search words")
    k: int = Field(5, ge=1, le=10, description="how many results")


def web_search_tool(
    url: str, *, transport: httpx.AsyncBaseTransport | None = None, timeout_s: float = 10.0
) -> ToolSpec:
    """The tool over the SearXNG at ``url`` (its ``json`` format must be enabled); the deployment vouches for it."""

    async def run(call: ToolCall) -> str:
        results = await _search(url, str(call.arguments["query"]), transport, timeout_s)
        lines = [
            f"- {r.get('title', '')} ({r.get('url', '')})\n  {str(r.get('content') or '')[:300]}"
            for r in results[: int(call.arguments["k"])]
        ]
        return "\n".join(lines) or "The search found nothing. Try fewer or other words."

    return ToolSpec(
        name="web_search",
        description="Search the web; gives titles, addresses and excerpts.",
        args=WebSearchArgs,
        run=run,
        scopes=frozenset({"network"}),
        searches=True,
        retries=1,
        cost=1.0,
    )


async def _search(
    url: str, query: str, transport: httpx.AsyncBaseTransport | None, timeout_s: float
) -> list[dict[str, Any]]:
    try:
        async with httpx.AsyncClient(transport=transport, timeout=timeout_s) as client:
            response = await client.get(f"{url.rstrip('/')}/search", params={"q": query, "format": "json"})
            response.raise_for_status()
            content = response.json()
    except httpx.HTTPError as error:
        raise ToolFault("The web search cannot be reached. Go on without it.", transient=True) from error
    except ValueError as error:
        raise ToolFault("The web search did not answer in JSON: enable that format in SearXNG.") from error
    results = content.get("results", []) if isinstance(content, dict) else []
    return [result for result in results if isinstance(result, dict)]
