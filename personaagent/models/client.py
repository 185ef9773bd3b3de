"""The one chat model class: ``ChatOpenAI`` that counts its calls and names its failures. Imports in seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

from personaagent.errors import ModelOutputInvalid
from personaagent.models.failures import translated
from personaagent.models.meter import counting
from personaagent.ports import Role


class MeteredChat(ChatOpenAI):
    """A chat model of one role. Every call is counted (``models.meter``) and raises ModelError, nothing else."""

    role: Role = "agent"
    where: str = "the endpoint"  # how messages call it

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with counting(self.role, messages) as call, translated(self.where, self.model_name):
            result = await super()._agenerate(messages, stop, run_manager, **kwargs)
            call.received(result.generations[0].message)
            return result

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        came = False
        with counting(self.role, messages) as call, translated(self.where, self.model_name):
            async for chunk in super()._astream(messages, *args, **kwargs):
                came = True
                call.received(chunk.message)
                yield chunk
            if not came:
                raise ModelOutputInvalid(
                    f"{self.where} did not stream a chat completion of {self.model_name}: "
                    "check OPENAI_BASE_URL, it mostly ends in /v1"
                )
