"""Answers of a given form: one of some choices, or a JSON object of a schema. What comes back is checked here."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from math import exp
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.messages import BaseMessage, HumanMessage

from personaagent.errors import ContextTooLong, InputError, ModelOutputInvalid, ModelRefused
from personaagent.text import one_line

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# the answer's form is nobody's to watch: neither LangGraph's message stream nor a streaming request
QUIET: Any = {"tags": ["nostream"]}
TOP = 20  # log-probabilities asked for: as many as OpenAI gives
BEGUN = 0.3  # of the first token's probability that must begin some choice
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)


async def choose(
    chat: BaseChatModel, messages: Sequence[BaseMessage], choices: Sequence[str], *, grammar: bool, worded: bool = False
) -> str:
    """Return the one of ``choices`` that the model answers, in the choice's own spelling.

    ``grammar``: the endpoint is llama.cpp and takes a grammar; others are given a JSON schema. An answer outside the
    choices, or an endpoint that refuses the form, is asked once more, in words (``worded``: at once, it is known to
    refuse it). Raises ModelOutputInvalid after that, ContextTooLong where less has to be sent,
    InputError when there are no choices.
    """
    if not choices:
        raise InputError("there is nothing to choose from: give at least one choice")
    form = _grammar_form(choices) if grammar else _schema_form("Answer", choice_schema(choices))
    note = "Answer with exactly one of these, and nothing else:\n" + "\n".join(choices)
    said = ""
    tries = [(list(messages), form), (_with(messages, note), form if grammar else {})]
    for asked, bound in tries[1:] if worded else tries:
        try:
            reply = await chat.bind(stream=False, **bound).ainvoke(asked, config=QUIET)
        except ContextTooLong:
            raise
        except (ModelRefused, ModelOutputInvalid) as error:
            if asked != list(messages):
                raise
            said = str(error)
            continue
        said = reply.text
        found = match_choice(said, choices)
        if found is not None:
            return found
    raise ModelOutputInvalid(f"the model answered {one_line(said, 80)!r}, which is none of the {len(choices)} choices")


async def probabilities(
    chat: BaseChatModel, messages: Sequence[BaseMessage], choices: Sequence[str]
) -> dict[str, float] | None:
    """Return the probability that the model begins its answer with each of ``choices``, summing to 1.

    It is read from the log-probabilities of the first token of one free answer, so it costs one token. Choices that
    begin with the same token share what it has. None where most of the model's first tokens begin no choice; empty
    where the endpoint gives no log-probabilities.
    """
    reply = await chat.bind(stream=False, logprobs=True, top_logprobs=TOP, max_tokens=1).ainvoke(
        list(messages), config=QUIET
    )
    first = ((reply.response_metadata.get("logprobs") or {}).get("content") or [{}])[0]
    if not first.get("top_logprobs"):
        return {}
    weights = dict.fromkeys(choices, 0.0)
    for said in first["top_logprobs"]:
        token, value = str(said.get("token", "")).strip().casefold(), said.get("logprob")
        begun = [choice for choice in choices if token and choice.strip().casefold().startswith(token)]
        for choice in begun if isinstance(value, int | float) else ():
            weights[choice] += exp(min(0.0, value)) / len(begun)
    total = sum(weights.values())
    return {choice: weight / total for choice, weight in weights.items()} if total >= BEGUN else None


async def structured(
    chat: BaseChatModel, messages: Sequence[BaseMessage], schema: Mapping[str, Any], *, worded: bool = False
) -> dict[str, Any]:
    """Return the JSON object that the model answers, valid under ``schema`` (its ``title`` names it to the endpoint).

    An invalid answer, or an endpoint that refuses the form, is asked once more, with the schema in words (``worded``:
    at once, it is known to refuse the form). Raises ModelOutputInvalid after that, ContextTooLong.
    """
    form = {} if worded else _schema_form(str(schema.get("title", "Reply")), schema)
    try:
        if form:
            return await _object(chat, messages, schema, form)
    except ContextTooLong:
        raise
    except ModelRefused:
        form = {}
    except ModelOutputInvalid:
        pass  # asked again below, in words too
    note = f"Reply with one JSON object of this schema, and nothing else:\n{json.dumps(dict(schema))}"
    return await _object(chat, _with(messages, note), schema, form)


async def _object(
    chat: BaseChatModel, messages: Sequence[BaseMessage], schema: Mapping[str, Any], form: dict[str, Any]
) -> dict[str, Any]:
    reply = await chat.bind(stream=False, **form).ainvoke(list(messages), config=QUIET)
    if reply.response_metadata.get("finish_reason") == "length":
        raise ModelOutputInvalid("the model's answer breaks off at its token limit")
    value = parse_object(reply.text)
    fault = await asyncio.to_thread(_fault, value, schema)
    if fault:
        raise ModelOutputInvalid(f"the model's answer is not of the asked form: {fault}")
    return value


def match_choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice that the text is, but for case and surrounding space; also inside ``{"answer": ...}``. Else None."""
    try:
        told = parse_object(text).get("answer")
    except ModelOutputInvalid:
        told = text
    if not isinstance(told, str):
        return None
    if told in choices:
        return told
    return next((choice for choice in choices if choice.strip().casefold() == told.strip().casefold()), None)


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that the text is, or that its first fenced block is; raises ModelOutputInvalid."""
    fenced = _FENCE.search(text)
    for part in (text, fenced.group(1) if fenced else ""):
        try:
            value = json.loads(part, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    raise ModelOutputInvalid(f"the model's answer is not a JSON object: {one_line(text, 80)!r}")


def gbnf(choices: Sequence[str]) -> str:
    """The llama.cpp grammar whose only sentences are the choices."""
    return "root ::= " + " | ".join(f'"{"".join(map(_escaped, choice))}"' for choice in dict.fromkeys(choices))


def choice_schema(choices: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of ``{"answer": one of the choices}``."""
    answer = {"type": "string", "enum": list(dict.fromkeys(choices))}
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}


def _grammar_form(choices: Sequence[str]) -> dict[str, Any]:
    longest = max(len(choice.encode("utf-8", "replace")) for choice in choices)
    return {"extra_body": {"grammar": gbnf(choices)}, "max_tokens": longest + 8}  # a token is at least one byte


def _schema_form(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": re.sub(r"\W+", "_", name)[:64], "schema": dict(schema), "strict": _is_strict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI takes the schema as strict: every object closed, with all of its properties required."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
    inner = [*properties.values(), *(value for key, value in schema.items() if key != "properties")]
    return (schema.get("type") != "object" or closed) and all(map(_is_strict, inner))


def _with(messages: Sequence[BaseMessage], note: str) -> list[BaseMessage]:
    """The messages with a note at the end, joined to a last human message: many templates want turns to alternate."""
    if messages and isinstance(messages[-1], HumanMessage):
        return [*messages[:-1], HumanMessage(f"{messages[-1].text}\n\n{note}")]
    return [*messages, HumanMessage(note)]


def _fault(value: dict[str, Any], schema: Mapping[str, Any]) -> str:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    error = best_match(Draft202012Validator(dict(schema)).iter_errors(value))
    return "" if error is None else one_line(f"{error.json_path}: {error.message}", 160)


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if ord(char) < 0x20:
        return f"\\x{ord(char):02X}"
    return char


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
