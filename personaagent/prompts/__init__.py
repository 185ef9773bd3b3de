"""The prompts, one ``.md`` file each, read once at import so that no call blocks an event loop.

A deployment may have its own in LangSmith's hub (``hub``), which take the files' place in this process (``put``).
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal

from personaagent.errors import SetupError
from personaagent.text import clean

if TYPE_CHECKING:
    from langsmith import Client

    from personaagent.settings import Settings


MAX_CHARS: Final = 20_000  # of a prompt that was not written here
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_FENCE = re.compile(r"<(?=\s*/?\s*data\b)", re.IGNORECASE)
_PROMPTS = {
    entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8").strip()
    for entry in files(__package__).iterdir()
    if entry.name.endswith(".md")
}


_pulled: dict[str, str] = {}


class PromptError(KeyError):
    """A prompt was asked for with the wrong name or slots: a mistake in the program, never in what a user gave."""

    def __str__(self) -> str:
        return str(self.args[0])


def render(name: str, **slots: str) -> str:
    """Return the prompt with each ``{{slot}}`` replaced by its value; what a value contains is never replaced.

    Raises PromptError for an unknown prompt, for a slot without a value and for a value without a slot.
    """
    text = _pulled.get(name) or default(name)
    wanted = slots_of(text)
    if missing := wanted - slots.keys():
        raise PromptError(f"prompt {name!r} needs a value for {', '.join(sorted(missing))}")
    if unused := slots.keys() - wanted:
        raise PromptError(f"prompt {name!r} has no slot {', '.join(sorted(unused))}: its value would be dropped")
    return _SLOT.sub(lambda match: slots[match[1]], text)


def names() -> list[str]:
    """The names of all prompts, sorted."""
    return sorted(_PROMPTS)


def default(name: str) -> str:
    """The prompt as its file has it; raises PromptError for an unknown one."""
    if name not in _PROMPTS:
        raise PromptError(f"there is no prompt {name!r}: add personaagent/prompts/{name}.md")
    return _PROMPTS[name]


def slots_of(text: str) -> set[str]:
    """The slots of a prompt's text."""
    return set(_SLOT.findall(text))


def in_force(name: str) -> tuple[str, Literal["file", "hub"]]:
    """The text that ``render`` fills, and where it comes from."""
    return (_pulled[name], "hub") if name in _pulled else (default(name), "file")


def put(texts: Mapping[str, str]) -> None:
    """Let these texts stand for the files of the same names from now on, and the files for all others.

    Raises PromptError where a text is not what its file is: unknown, empty, too long, or with other slots.
    """
    checked = {name: check(name, text) for name, text in texts.items()}
    _pulled.clear()
    _pulled.update(checked)


def check(name: str, text: str) -> str:
    """Return somebody else's text for a prompt, cleaned; raises PromptError where it cannot take the file's place."""
    text = clean(text).strip()
    wanted, given = slots_of(default(name)), slots_of(text)
    if not text or len(text) > MAX_CHARS:
        raise PromptError(f"prompt {name!r} has {len(text)} characters: it needs 1 to {MAX_CHARS}")
    if wanted != given or "{{" in _SLOT.sub("", text):
        needed = ", ".join(sorted(wanted)) or "none"
        raise PromptError(f"prompt {name!r} has other slots than its file: it needs {needed}")
    return text


def quote(text: str, label: str) -> str:
    """Return untrusted text as data, between ``<data label="…">`` and ``</data>``, which the text cannot close.

    Hidden characters are removed and any look-alike of the fence in the text is broken; the rest stays as it is.
    """
    name = re.sub(r"[^\w -]", "", label)
    inside = _FENCE.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", clean(text)).strip()
    return f'<data label="{name}">\n{inside}\n</data>'


log = logging.getLogger(__name__)

FRAME: Final = "frame"
SECONDS: Final = 10.0  # that the first use waits for all prompts
TIMEOUT_MS: Final = (2_000, 5_000)  # to connect and to read, for one prompt
AT_ONCE: Final = 6


class Hub:
    """The prompts of one prefix in the hub. Every method blocks; none is for an event loop."""

    def __init__(self, prefix: str, *, frame: bool = False, client: Client | None = None) -> None:
        self._prefix = prefix
        self._frame = frame
        self._client = client

    def names(self) -> list[str]:
        """The prompts that this hub is asked for."""
        return [name for name in names() if self._frame or name != FRAME]

    def pull(self, wanted: Iterable[str]) -> dict[str, str]:
        """The texts of those that can be had and used; a warning for each that cannot."""
        executor = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prompt-hub")
        asked = {executor.submit(self._pull, name): name for name in wanted}
        done, late = wait(asked, SECONDS)
        executor.shutdown(wait=False, cancel_futures=True)
        for future in late:
            log.warning("prompt %s: the hub was too slow, its file is used", asked[future])
        return {asked[future]: text for future in done if (text := future.result()) is not None}

    def push(self, name: str) -> bool:
        """Commit a prompt's file under its name; False where the hub has the same. Raises SetupError."""
        from langchain_core.prompts import ChatPromptTemplate
        from langsmith.utils import LangSmithError, LangSmithNotFoundError

        text = default(name)
        client = self._connected()
        try:
            try:
                if _text_of(client.pull_prompt_commit(self._prefix + name, skip_cache=True).manifest) == text:
                    return False
            except (LangSmithNotFoundError, PromptError):
                log.info("prompt %s is new in the hub", name)
            made = ChatPromptTemplate.from_messages([("system", text)], template_format="mustache")
            client.push_prompt(self._prefix + name, object=made)
        except (LangSmithError, OSError, ValueError) as error:
            raise SetupError(f"prompt {name!r} was not pushed ({_line(error)}): check LANGSMITH_API_KEY") from error
        return True

    def _pull(self, name: str) -> str | None:
        try:
            commit = self._connected().pull_prompt_commit(self._prefix + name, skip_cache=True)
            return check(name, _text_of(commit.manifest))
        except Exception as error:
            # whatever the hub answers or does not, a turn goes on with the file
            log.warning("prompt %s: its file is used, not the hub's: %s", name, _line(error))
            return None

    def _connected(self) -> Client:
        if self._client is None:
            from langsmith import Client
            from urllib3.util import Retry

            self._client = Client(auto_batch_tracing=False, timeout_ms=TIMEOUT_MS, retry_config=Retry(total=0))
        return self._client


def hub_of(settings: Settings) -> Hub:
    """The hub that the settings name; raises SetupError where they name none."""
    if settings.prompt_hub is None:
        raise SetupError("no prompt hub is set: PERSONAAGENT_PROMPT_HUB=personaagent- and LANGSMITH_API_KEY name one")
    return Hub(settings.prompt_hub, frame=settings.prompt_hub_frame)


_waiting: list[Hub] = []  # the hub of this process until it was asked
_pulling = threading.Lock()


def set_up_hub(settings: Settings) -> None:
    """Let the hub of the settings be asked at first use; without one the files stand. Asks nothing yet."""
    put({})
    _waiting[:] = [hub_of(settings)] if settings.prompt_hub else []


async def pulled() -> None:
    """Have the hub's prompts in force; the first call waits for them in a thread, later ones for nothing."""
    if _waiting:
        await asyncio.to_thread(pull_now)


def pull_now() -> None:
    """Put the hub's prompts in force, once; blocks until they are there or were given up."""
    with _pulling:
        if _waiting:
            put(_waiting[0].pull(_waiting[0].names()))
            _waiting.clear()


def _text_of(manifest: Mapping[str, Any]) -> str:
    """The template of a serialized prompt: a string's, or that of a chat's only message. Raises PromptError."""
    given: Any = manifest.get("kwargs", {})
    if "messages" in given:
        messages = given["messages"]
        if not isinstance(messages, list) or len(messages) != 1:
            raise PromptError("the prompt has several messages: it needs exactly one")
        given = messages[0].get("kwargs", {}).get("prompt", {}).get("kwargs", {})
    template = given.get("template")
    if not isinstance(template, str):
        raise PromptError("the prompt is no text template")
    if slots_of(template) and given.get("template_format") != "mustache":
        raise PromptError("the prompt's template format must be mustache")
    return template


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
