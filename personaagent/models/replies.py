"""What the text of a reply holds beside the answer: calls of tools, thinking aloud, and repetition without end.

Tool calls that a model wrote as text are found, checked by name, and kept away from whoever reads the answer. Models
write them as they were trained to: JSON in one of many forms, a name in marks before its arguments
(``<function=x>{…}``, ``[TOOL_CALLS]x[ARGS]{…}``), tags with parameters, or a Python call. What is looked for is what
all of them have: a tool's name where a name stands, its arguments behind it, nothing else in the marks around both.

Only a block at the very beginning is thinking; the same tags further on are what somebody asked for.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatResult

MAX_CHARS: Final = 20_000
MAX_CODE: Final = 4_000  # characters that are read as Python
MAX_TRIES: Final = 20  # objects of a text that are tried as Python
MAX_MARKS: Final = 300  # characters of marks before a call
_DECODER = json.JSONDecoder()
_FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")
_MAY_BE_CALL = re.compile(r"\s*(?:`{1,2}\Z|```\w*\s*(?:\{|\Z)|\{)")
_NAME_KEY = re.compile(r"(?:tool|function|action|recipient)(?:_?name)?|name", re.IGNORECASE)
_ARGS_KEY = re.compile(r"\w*(?:arg(?:ument)?s|param(?:eter)?s|input|kwargs)", re.IGNORECASE)
_LABELS: Final = frozenset({"id", "type", "tool_call_id", "call_id"})  # beside name and arguments, where both are flat
# what stands around a call: <|special|> tokens, [TOOL_CALLS], tags, fences
_TAG = r"</?[\w:.-]*(?:tool|function|call|invoke|action|code)[\w:.-]*(?:[ =][^<>]{0,80})?>?"
_BAR = "<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>"
_SPECIAL = rf"{_BAR}|(?-i:\[/?[A-Z]+(?:_[A-Z]+)*\])"
_MARK = rf"(?:{_SPECIAL}|{_TAG}|```\w*)"
_BEFORE = re.compile(rf"(?:{_MARK}|\b(?:Action(?=:)|functools(?=\[))|[\s\[,:])+\Z", re.IGNORECASE)
_AFTER = re.compile(rf"(?:{_MARK}|[\s\],}}])+", re.IGNORECASE)
_GAP = rf"(?:\"?'?>|:\d+)?(?:\s{{0,9}}(?:{_SPECIAL}|```\w*)[\w-]{{0,40}}){{0,4}}\s{{0,9}}"
_LEAD = (
    rf"(?:(?:{_SPECIAL})\w{{0,12}}){{0,2}}(?:{_SPECIAL}|<[\w:]*(?:tool|function|call)\w*>)"
    rf"(?:[^\n<>{{}}\[]{{0,40}}[\s.=])?(?:{_SPECIAL})?\s*\[?(?:\w+\.)?"
)
_NAMING = r"<(?:function|invoke|tool|tool_call)\b[^<>]{0,12}?[ =\"']"
_PARAMETER = re.compile(
    r"\s*(?:<(?:parameter|param|arg)\b[^<>\w]*(?:name=)?[\"']?(?P<key>[\w.-]+)[\"']?[^<>]*>"
    r"(?P<value>.*?)</(?:parameter|param|arg)>"
    r"|<arg_key>\s*(?P<key2>[\w.-]+)\s*</arg_key>\s*<arg_value>(?P<value2>.*?)</arg_value>)",
    re.DOTALL,
)
_EDGES = re.compile(rf"\A(?:{_MARK}|\s)+|(?:{_MARK}|\s)+\Z", re.IGNORECASE)
_FENCED = re.compile(r"```(?P<kind>\w*)[^\n]*\n(?P<code>.*?)(?:```|\Z)", re.DOTALL)
_OPENS = re.compile(rf"```|\{{|{_BAR}|(?-i:\[[A-Z]+_[A-Z]+\])|<[\w:]*(?:tool|function|invoke)", re.IGNORECASE)
_MAY_OPEN = re.compile(r"(?:`{1,2}|<[\w:|\uff5c\u2581 ]{0,40}|(?-i:\[[A-Z_]{0,24}))$", re.IGNORECASE)


class _Span(NamedTuple):
    start: int
    end: int
    calls: list[ToolCall]


def calls_of(text: str, names: Collection[str]) -> list[ToolCall]:
    """The calls that a text holds, each once, without ids.

    A call names one of ``names`` and gives arguments. Where ``names`` is a mapping to the parameters of each tool,
    calls that only these make clear are found too. JSON that names no tool is an answer.
    """
    calls: list[ToolCall] = []
    for span in _spans(text, names):
        calls += [call for call in span.calls if call not in calls]
    return calls


def without_calls(text: str, names: Collection[str]) -> str:
    """The text without the calls in it and what they are wrapped in; the same text where it holds none."""
    spans = _spans(text, names)
    if not spans:
        return text
    rest, at = "", 0
    for span in spans:
        before = _BEFORE.search(text, max(at, span.start - MAX_MARKS), span.start)
        after = _AFTER.match(text, span.end)
        kept = text[at : before.start() if before else span.start]
        rest += ("\n\n" if rest and kept.strip() else "") + kept
        at = max(at, after.end() if after else span.end)
    tail = text[at:]
    return (rest + ("\n\n" if rest and tail else "") + tail).strip()


def is_call_alone(text: str) -> bool:
    """Whether a text is one call and nothing else, of a tool of whatever name, fenced or not."""
    found = next(_objects(text[:MAX_CHARS]), None)
    if found is None or _call(found[0], None) is None:
        return False
    start, end = found[1], found[2]
    before, after = _BEFORE.search(text, max(0, start - MAX_MARKS), start), _AFTER.match(text, end)
    return (before.start() if before else start) == 0 and (after.end() if after else end) == len(text)


def spoken(text: str, names: Collection[str]) -> str:
    """What of a text is said to the user: it without calls, nothing where it is one call of whatever tool."""
    return "" if is_call_alone(text) else without_calls(text, names)


def may_be_call(text: str) -> bool:
    """Whether a text that is still being written is one call and nothing else so far, or may become one."""
    if not _MAY_BE_CALL.match(text) or len(text) > MAX_CHARS:
        return False
    bare = _FENCE.sub("", text.strip())
    return not bare.startswith("{") or _end(bare) is None or is_call_alone(text)


def numbered(calls: Sequence[ToolCall], key: str | None) -> list[ToolCall]:
    """The calls under ids that follow from their content, so that a replay gives the same."""
    return [
        {**call, "id": f"call_{uuid5(NAMESPACE_URL, f'{key}{index}{call}').hex[:24]}"}
        for index, call in enumerate(calls)
    ]


def names_in(tools: Any, messages: Sequence[BaseMessage]) -> dict[str, tuple[str, ...]]:
    """The tools that are bound or were called, with their parameters: what a call in a text may be of."""
    called = {c["name"]: tuple(c["args"]) for m in messages if isinstance(m, AIMessage) for c in m.tool_calls}
    functions = [tool["function"] for tool in tools or () if "function" in tool]
    return called | {f["name"]: tuple((f.get("parameters") or {}).get("properties") or ()) for f in functions}


class CallFilter:
    """Of a stream of text: what looks like a call is held back until it is one, or is let go of."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self._to_the_end = False  # whether what is held is held until nothing more comes
        self._begun = False  # whether text of this line was given back already
        self.found: list[ToolCall] = []

    def feed(self, piece: str) -> str:
        """What of the text so far is answer and was not given back yet."""
        if not self._names:
            return piece
        self._held += piece
        if self._to_the_end and len(self._held) <= MAX_CHARS:
            return ""
        given, self._to_the_end = "", False
        while opening := _OPENS.search(self._held):
            if self._line(self._held[: opening.start()]) < opening.start():
                break
            given, self._held = given + self._held[: opening.start()], self._held[opening.start() :]
            end = _end(self._held)
            if end is None:
                self._to_the_end = not self._held.startswith(("{", "```"))
                return self._give(given)
            given += self._settled(self._held[:end])
            self._held = self._held[end:]
        rest = _MAY_OPEN.search(self._held)
        keep = min(rest.start() if rest else len(self._held), self._line(self._held))
        given, self._held = given + self._held[:keep], self._held[keep:]
        return self._give(given)

    def end(self) -> str:
        """What was held back and is answer after all."""
        held, self._held = self._held, ""
        return self._settled(held)

    def chunks(self) -> list[ToolCallChunk]:
        """The calls that were found, for the stream's last chunk."""
        return [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
            for index, call in enumerate(numbered(self.found, "text"))
        ]

    def _give(self, text: str) -> str:
        if text:
            self._begun = bool(text.rpartition("\n")[2].strip()) or (self._begun and "\n" not in text)
        return text

    def _line(self, text: str) -> int:
        """Where a line begins that is a call by name, or may become one; the text's length where none does."""
        at, heads = 0, ["Action:", *(f"{name}(" for name in self._names)]
        for line in text.splitlines(keepends=True):
            bare = line.lstrip(" [*")
            begins = at > 0 or not self._begun
            last = at + len(line) == len(text) and not line.endswith("\n") and len(line) <= MAX_MARKS
            if begins and any(bare.startswith(head) or (last and head.startswith(bare)) for head in heads):
                self._to_the_end = bare.startswith(tuple(heads))
                return at
            at += len(line)
        return len(text)

    def _settled(self, text: str) -> str:
        calls = calls_of(text, self._names)
        self.found += [call for call in calls if call not in self.found]
        return without_calls(text, self._names) if calls else text


def _end(held: str) -> int | None:
    """Where what begins here ends; None while it goes on. What never ends is let go of at ``MAX_CHARS``.

    Behind a tool's own marks there is mostly nothing but calls: they are held to the end.
    """
    if len(held) > MAX_CHARS:
        return len(held)
    if held.startswith("{"):
        try:
            return _DECODER.raw_decode(held)[1]
        except json.JSONDecodeError as error:
            if held[1:].lstrip().startswith("'"):
                return _balanced(held, 0) or (1 if len(held) > MAX_CODE else None)
            return None if _goes_on(held, error) else 1
        except (ValueError, RecursionError):
            return 1
    if held.startswith("```"):
        closing = held.find("```", 3)
        return None if closing < 0 else closing + 3
    return None


def _goes_on(held: str, error: json.JSONDecodeError) -> bool:
    """Whether JSON that cannot be read yet may become readable: a text, a word or a value is not complete."""
    rest = held[error.pos :].rstrip()
    return (
        len(rest) < 2
        or error.msg.startswith("Unterminated string")
        or any(word.startswith(rest) for word in ("true", "false", "null"))
    )


def _spans(text: str, names: Collection[str]) -> list[_Span]:
    """Where the text holds calls, in order and apart."""
    if not names:
        return []
    text = text[:MAX_CHARS]
    found = [*_named(text, names), *_in_json(text, names), *_in_code(text, names)]
    kept: list[_Span] = []
    for span in sorted(filter(lambda span: span.calls, found), key=lambda span: (span.start, -span.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _in_json(text: str, names: Collection[str]) -> Iterator[_Span]:
    for value, start, end in _objects(text):
        inner = value.get("tool_calls", value.get("function_call"))
        entries = inner if isinstance(inner, list) else [value if inner is None else inner]
        calls = [_call(entry, names) for entry in entries if isinstance(entry, dict)]
        if made := [call for call in calls if call is not None]:
            yield _Span(start, end, made)


def _named(text: str, names: Collection[str]) -> Iterator[_Span]:
    """Calls whose name stands in marks before the arguments: an object, tags, or a line of its own."""
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    headed = re.compile(
        rf"(?:{_LEAD}|{_NAMING}|\A\s*)(?P<name>{known})\b{_GAP}(?=\{{|<(?:param|arg)|</(?:function|invoke))",
        re.IGNORECASE,
    )
    for head in headed.finditer(text):
        name, at = _known(head["name"], names), head.end()
        read = _object_at(text, at) if text.startswith("{", at) else _parameters_at(text, at)
        if name is not None and read is not None and (call := _with(name, read[0])) is not None:
            yield _Span(head.start(), read[1], [call])
    action = rf"^[ *]*Action:[ *]*(?P<name>{known})\b[^\n]*\n[ *]*Action[ _]Input:[ *]*(?P<input>[^\n]*)"
    for head in re.finditer(action, text, re.IGNORECASE | re.MULTILINE):
        name, read = _known(head["name"], names), _object_at(text, head.start("input"))
        given = read[0] if read else _only(head["name"], head["input"].strip(" \"'`"), names)
        if name is not None and given is not None:
            yield _Span(head.start(), read[1] if read else head.end(), [_made(name, given)])


def _only(name: str, text: str, names: Collection[str]) -> dict[str, Any] | None:
    """The text as the one argument of a tool that has no other."""
    parameters = _parameters(name, names)
    return {parameters[0]: text} if parameters and len(parameters) == 1 and text else None


def _parameters_at(text: str, at: int) -> tuple[dict[str, Any], int] | None:
    """The arguments in tags from here on, and where they end; none at all where a closing tag stands."""
    given: dict[str, Any] = {}
    while found := _PARAMETER.match(text, at):
        value = (found["value"] or found["value2"] or "").strip()
        given[found["key"] or found["key2"]] = _loaded(value) if value[:1] in {"{", "["} else value
        at = found.end()
    return given, at


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _in_code(text: str, names: Collection[str]) -> Iterator[_Span]:
    """Python calls that are the whole text, a whole block of tool code, or a whole line outside of other code."""
    if not any(name in text for name in names):
        return
    if len(text) <= MAX_CODE and (calls := _code(_EDGES.sub("", text), names)):
        yield _Span(0, len(text), calls)
        return
    covered: list[tuple[int, int]] = []
    for block in _FENCED.finditer(text):
        covered.append(block.span())
        if "tool" in block["kind"].lower():
            yield _Span(*block.span(), _code(block["code"].strip(), names))
    for line in re.finditer(r"[^\n]+\n?", text):
        if not any(start <= line.start() < end for start, end in covered):
            yield _Span(*line.span(), _line_code(line[0], names))


def _line_code(line: str, names: Collection[str]) -> list[ToolCall]:
    bare = re.sub(_MARK, "", line).strip(" `\n")
    return _code(bare, names) if bare.endswith((")", ")]")) and bare.lstrip("[").startswith(tuple(names)) else []


def _code(source: str, names: Collection[str]) -> list[ToolCall]:
    """The calls of Python source that is nothing but calls of tools; else none."""
    try:
        statements = ast.parse(source[: MAX_CODE + 1]).body
        values = [node.value for node in statements if isinstance(node, ast.Expr | ast.Assign)]
        inner = [one for v in values for one in (v.elts if isinstance(v, ast.List | ast.Tuple) else [v])]
        calls = [call for node in inner if (call := _python(node, names)) is not None]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return calls if len(values) == len(statements) and len(calls) == len(inner) else []


def _python(node: ast.AST, names: Collection[str]) -> ToolCall | None:
    if not isinstance(node, ast.Call):
        return None
    path = ast.unparse(node.func).split(".")
    if path == ["print"] and len(node.args) == 1:
        return _python(node.args[0], names)
    name = next((part for part in path if part in names), None)
    return _made(name, given) if name and (given := _given(node, _parameters(name, names))) is not None else None


def _given(node: ast.Call, parameters: tuple[str, ...] | None) -> dict[str, Any] | None:
    """The arguments of a Python call, by place too; None where they cannot be the tool's."""
    given = {str(word.arg): _literal(word.value) for word in node.keywords}
    if parameters is None:
        return None if node.args else given
    if len(node.args) > len(parameters) or not set(given) <= set(parameters):
        return None
    return dict(zip(parameters, map(_literal, node.args), strict=False)) | given


def _literal(node: ast.AST) -> Any:
    """The value of a Python literal, with JSON's words for constants; raises ValueError for anything else."""
    match node:
        case ast.Name(id="true" | "false" | "null" as word):
            return {"true": True, "false": False, "null": None}[word]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_literal(k): _literal(v) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.List(elts=elements):
            return [_literal(element) for element in elements]
        case _:
            return ast.literal_eval(node)


def _objects(text: str) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Every outermost object in the text, also those inside lists, and where it is; all else is passed over."""
    at = tries = 0
    while (start := text.find("{", at)) >= 0:
        read = _object_at(text, start, python=tries < MAX_TRIES)
        at, tries = start + 1, tries + 1
        if read is not None:
            value, at = read
            yield value, start, at


def _object_at(text: str, at: int, *, python: bool = True) -> tuple[dict[str, Any], int] | None:
    """The object that begins there, as JSON or as Python writes it, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        closed = _balanced(text, at) if python and text[at + 1 : at + 40].lstrip()[:1] in {"'", '"'} else None
        if closed is None:
            return None
        try:
            value, end = _literal(ast.parse(text[at:closed], mode="eval").body), closed
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            return None
    return (value, end) if isinstance(value, dict) else None


def _balanced(text: str, at: int) -> int | None:
    """Where the bracket that opens there is closed again, quotes heeded; None where it is not."""
    depth, quote, skip = 0, "", False
    for place in range(at, min(len(text), at + MAX_CODE)):
        mark = text[place]
        if skip:
            skip = False
        elif quote:
            skip, quote = mark == "\\", "" if mark == quote else quote
        elif mark in "\"'":
            quote = mark
        elif mark in "{}":
            depth += 1 if mark == "{" else -1
            if not depth:
                return place + 1
    return None


def _call(found: dict[str, Any], names: Collection[str] | None) -> ToolCall | None:
    """The call that an object is, of one of the names (None: of any); None where it is none."""
    if isinstance(function := found.get("function"), dict):
        found = function
    said = [value for key, value in found.items() if _NAME_KEY.fullmatch(key) and isinstance(value, str)]
    name = next((known for value in said if (known := _known(value, names)) is not None), None)
    if name is None:
        return _keyed(found, names)
    keys = ("arguments", "parameters", "args", "input", *filter(_ARGS_KEY.fullmatch, found))
    given = next((key for key in keys if key in found), None)
    if given is not None:
        return _with(name, found[given], names)
    flat = {key: value for key, value in found.items() if value not in said and key not in _LABELS}
    return _made(name, flat) if _fits(flat, _parameters(name, names)) else None


def _keyed(found: dict[str, Any], names: Collection[str] | None) -> ToolCall | None:
    """The call of an object whose one key is the tool: ``{"calculator": {"expression": "1+1"}}``."""
    name = next(iter(found)) if len(found) == 1 else ""
    fits = names is not None and name in names and _fits(found[name], _parameters(name, names))
    return _made(name, found[name]) if fits else None


def _known(name: str, names: Collection[str] | None) -> str | None:
    """The tool that a name means, with or without a namespace before it (``functions.calculator``)."""
    last = name.rpartition(".")[2]
    return name if names is None or name in names else last if last in names else None


def _parameters(name: str, names: Collection[str] | None) -> tuple[str, ...] | None:
    return names.get(name) if isinstance(names, Mapping) else None


def _fits(value: object, parameters: tuple[str, ...] | None) -> bool:
    """Whether a value can be the arguments of a tool with these parameters."""
    return isinstance(value, dict) and bool(value) and parameters is not None and set(value) <= set(parameters)


def _with(name: str, arguments: object, names: Collection[str] | None = None) -> ToolCall | None:
    if isinstance(arguments, str):
        read = _loaded(arguments)
        arguments = read if isinstance(read, dict) else _only(name, arguments, names or ())
    return _made(name, arguments) if isinstance(arguments, dict) else None


def _made(name: str, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(name=name, args=arguments, id=None, type="tool_call")


OPENING: Final = ("<think>", "<thinking>", "<thought>", "<reasoning>")
_THOUGHT_CLOSING: Final = {tag: f"</{tag[1:]}" for tag in OPENING}
_UNOPENED: Final = re.compile(r"^(?:(?!<think>).)*?</think>\s*", re.DOTALL)  # the template wrote the opening


def without_thinking(text: str) -> str:
    """The answer alone; empty where the thinking was cut off before it."""
    stream = ThinkingFilter()
    answer = stream.feed(text) + stream.end()
    return _UNOPENED.sub("", answer, count=1) if "</think>" in answer else answer


def answers_alone(result: ChatResult) -> ChatResult:
    """The result, its texts without thinking."""
    for generation in result.generations:
        if isinstance(text := generation.message.content, str) and text:
            generation.message.content = without_thinking(text)
            generation.text = generation.message.text
    return result


class ThinkingFilter:
    """The same for a stream: give it the pieces as they come, it gives back what is answer."""

    def __init__(self) -> None:
        self._held = ""
        self._inside: str | None = None  # the tag that is to come
        self._answering = self._thought = False

    def feed(self, piece: str) -> str:
        """What of the text so far is answer and was not given back yet."""
        if self._answering:
            return piece
        self._held += piece
        if self._inside is None:
            begun = self._held.lstrip()
            tag = next((tag for tag in OPENING if begun.lower().startswith(tag)), None)
            if tag is None:
                if any(tag.startswith(begun.lower()) for tag in OPENING):
                    return ""  # it may still become one
                return self._answer(self._held)
            self._inside, self._held = _THOUGHT_CLOSING[tag], begun[len(tag) :]
        at = self._held.lower().find(self._inside)
        if at < 0:
            self._held = self._held[-len(self._inside) :]
            return ""
        rest = self._held[at + len(self._inside) :]
        self._inside, self._held, self._thought = None, "", True
        return self.feed(rest)  # the answer, white space before it, or a second block

    def end(self) -> str:
        """What was held back and is answer after all."""
        return "" if self._inside is not None or self._answering else self._answer(self._held)

    def _answer(self, text: str) -> str:
        self._answering, self._held = True, ""
        return text.lstrip() if self._thought else text


LOOP_WORDS = 8  # the same words again, one after the other, are a loop
_LOOP_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<!\d)[.!?…][\"'\u201d\u2019)*]*(?=\s|$)|\n|(?<=\d)[.](?=\s*$)")


def loop_start(text: str) -> int | None:
    """Where the text first says ``LOOP_WORDS`` words again that it has said before; None where it never does."""
    words = list(_LOOP_WORD.finditer(text))
    seen: set[tuple[str, ...]] = set()
    for at in range(len(words) - LOOP_WORDS + 1):
        said = tuple(word[0].casefold() for word in words[at : at + LOOP_WORDS])
        if said in seen:
            return words[at].start()
        seen.add(said)
    return None


def whole_sentences(text: str, end: int | None = None) -> str:
    """The whole sentences and lines before ``end``; where there is none, the words before it, marked as cut."""
    text = text[:end]
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    if whole := text[: ends[-1]].strip() if ends else "":
        return whole
    return f"{text.rstrip(' ,;:-')}…" if text.strip(" ,;:-") else ""
