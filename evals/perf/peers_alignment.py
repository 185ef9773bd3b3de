"""The same job by TextGrad and by langmem's gradient optimizer, timed on the endpoint of fixed latency.

They are no dependency of this project: run this file with the Python of an environment that has them,
``python evals/perf/peers_alignment.py``. The job: answer a batch of past questions under a prompt, criticise each
answer, and rewrite the prompt once. Neither judges its candidate on held-out examples, so for them the job ends there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from alignment_endpoint import running  # type: ignore[import-not-found]

SECONDS = 0.2


def textgrad_epoch(url: str, batch: int) -> None:
    """TextGrad as its documentation has it: forward, loss, one backward over the sum, one step."""
    import textgrad as tg
    from openai import OpenAI
    from textgrad.engine.local_model_openai_api import ChatExternalClient

    # the engine keeps its answers on disk by prompt: a fresh name makes every call a call
    client = OpenAI(base_url=url, api_key="any")
    engine = ChatExternalClient(client=client, model_string=f"m{time.time_ns()}")
    tg.set_backward_engine(engine, override=True)
    persona = tg.Variable("Answer this user.", requires_grad=True, role_description="persona of the user")
    model = tg.BlackboxLLM(engine, system_prompt=persona)
    losses = []
    for n in range(batch):
        answer = model(tg.Variable(f"Which drink goes with book {n}?", role_description="question"))
        losses.append(tg.TextLoss(f"The user wanted tea with book {n}. What is wrong?", engine=engine)(answer))
    total = tg.sum(losses)
    total.backward()
    tg.TGD(parameters=[persona], engine=engine).step()


def langmem_epoch(url: str, batch: int) -> None:
    """langmem: the batch answered at once, then its gradient optimizer over all trajectories."""
    from langchain_openai import ChatOpenAI
    from langmem import create_prompt_optimizer

    async def job() -> None:
        model = ChatOpenAI(base_url=url, api_key="any", model="m")
        asked: list[list[tuple[str, str]]] = [
            [("system", "Answer this user."), ("user", f"Which drink goes with book {n}?")] for n in range(batch)
        ]
        answers = await asyncio.gather(*(model.ainvoke(case) for case in asked))
        told = [
            ([{"role": "user", "content": case[1][1]}, {"role": "assistant", "content": answer.text}], "I wanted tea.")
            for case, answer in zip(asked, answers, strict=True)
        ]
        await create_prompt_optimizer(model, kind="gradient").ainvoke(
            {"trajectories": told, "prompt": "Answer this user."}
        )

    asyncio.run(job())


def timed(job: Callable[[str, int], None], url: str, batch: int) -> float:
    """Seconds of one job."""
    began = time.perf_counter()
    job(url, batch)
    return time.perf_counter() - began


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[3, 8, 16, 32])
    options = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "any"
    print("| optimizer | batch | s | round trips |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache, running(SECONDS) as url:
        os.environ["XDG_CACHE_HOME"] = cache
        for name, job in (("TextGrad", textgrad_epoch), ("langmem gradient", langmem_epoch)):
            job(url, 1)  # imports
            for batch in options.batches:
                seconds = timed(job, url, batch)
                print(f"| {name} | {batch} | {seconds:.2f} | {seconds / SECONDS:.1f} |", flush=True)


if __name__ == "__main__":
    main()
