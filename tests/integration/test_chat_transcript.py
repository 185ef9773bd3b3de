"""Ten turns with five corrections in a terminal, on a model that obeys its prompt (tests/chat_transcript.py)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from test_cli_process import environment

from chat_transcript import transcript
from stub_endpoint import endpoint, obliging

LONG = " It takes a little time but is well worth it. Here are some hints: go slowly, prepare all of it, and taste."


def obedient(body: dict[str, Any]) -> dict[str, Any]:
    said = [str(message.get("content") or "") for message in body["messages"]]
    if "Write the lasting rule" in said[0]:
        return {"content": json.dumps({"rule": "Always suggest vegetarian dishes." if "lentil" in said[0] else ""})}
    if "response_format" in body:
        return obliging(body)
    dish = "Roasted vegetables with couscous." if "vegetarian" in said[0] else "Beef stew with carrots."
    answer = dish if re.search("dish|lunch|soup", said[-1]) else "The simple way has always worked."
    return {"content": answer if re.search(r"one sentence|at most \d+ words", said[0]) else answer + LONG}


def test_five_corrections_change_the_answers_that_come_after_them(tmp_path: Path) -> None:
    with endpoint(obedient) as (url, _):
        settings = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "x", "PERSONAAGENT_TOOL_CALLING": "off"}
        seen = transcript(tmp_path, environment(tmp_path, **settings))
    first, after_one, after_all = (
        seen.partition("/wrong")[0],
        seen.partition("/wrong")[2],
        seen.rpartition("guests.")[2],
    )
    assert "Beef stew" in first and "Beef stew" not in after_one
    assert "Shall this hold from now on: “Always suggest vegetarian dishes”? y/n y" in after_one
    assert re.search(r"Shall this hold from now on: “Answer in one sentence of at most \d+ words", after_one)
    assert "vegetables" in after_all and "well worth" not in after_all.partition("/persona")[0]
    assert after_all.count("(your own rule)") == 2
