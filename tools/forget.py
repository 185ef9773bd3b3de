"""Forget: delete what the user asked to have forgotten, once they have seen what would go."""

from __future__ import annotations

import re
from typing import Final, Protocol, Self

from pydantic import BaseModel, Field, model_validator

from personaagent.inputs import MAX_MATTER_CHARS
from personaagent.text import clean
from personaagent.tools.spec import ToolCall, ToolSpec

NAME: Final = "forget"


class Forgetting(Protocol):
    """Forgets facts, and whatever was said about a matter; ``show`` tells before what would go."""

    async def show(self, user_id: str, fact_id: str, about: str) -> str:
        """What would go, in lines. Raises UnknownFact, or UnknownInteraction where nothing would."""

    async def forget(self, user_id: str, fact_id: str, *, said_too: bool = False) -> int:
        """Delete a fact, and the messages it was said in; returns how many records went. Raises UnknownFact."""

    async def forget_about(self, user_id: str, about: str) -> str:
        """Delete what has all words of a matter; returns what went, without naming it."""


class ForgetArgs(BaseModel):
    """Which fact, or which matter; one of the two."""

    fact_id: str = Field("", max_length=100, description="the fact's id, as the profile tool shows it")
    about: str = Field(
        "",
        max_length=MAX_MATTER_CHARS,
        description="in place of fact_id, for all that the user said about something: its name in their own words",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.fact_id.strip()) == bool(self.about.strip()):
            raise ValueError("give fact_id or about, one of the two")
        return self


def forget_tool(forgetting: Forgetting) -> ToolSpec:
    """The tool over ``forgetting``; a matter is never forgotten without a yes to that very list."""

    async def run(call: ToolCall) -> str:
        if about := str(call.arguments["about"]):
            return await forgetting.forget_about(call.user_id, about)
        count = await forgetting.forget(call.user_id, str(call.arguments["fact_id"]), said_too=True)
        return f"Forgotten: {count} {'record' if count == 1 else 'records'}."

    async def preview(call: ToolCall) -> str:
        return await forgetting.show(call.user_id, str(call.arguments["fact_id"]), str(call.arguments["about"]))

    return ToolSpec(
        name=NAME,
        description="Delete a fact about the user, or all that they said about something, for good. "
        "Only when the user asks you to forget it.",
        args=ForgetArgs,
        run=run,
        preview=preview,
        always_asks=frozenset({"about"}),
        scopes=frozenset({"memory:write"}),
        side_effects=True,
        reads_user_data=True,
    )


_X: Final = r"(?P<what>[^,;.!?，。！？\n]{1,80}?)"  # noqa: RUF001  # as they are written
_PLEASE: Final = r"(?:please|bitte|s'il (?:te|vous) pla[iî]t|por favor|per favore|alsjeblieft|пожалуйста)"
_DROP_DE: Final = r"(?:vergiss|vergessen sie|lösche?n?(?: sie)?)(?: bitte)?,?"
_DROP_FR: Final = r"(?:oublie|oubliez|efface|effacez|supprime|supprimez)"
_ON_FR: Final = r"(?:sur|de|du|des|à propos d[eu]s?|au sujet d[eu]s?|concernant)"
_WISHES: Final = (
    r"(?:can you |could you |i want you to )?(?:forget|delete|erase) (?:(?:everything|all|anything|all of)\W+)?"
    r"(?:what(?:ever)? |that |the things |things )?(?:(?:i|we)(?:'ve| have| had)?(?: ever| just| once)? "
    r"(?:said|told you|mentioned|wrote|written|shared|talked|asked)(?: you)?(?: [\w']+){0,3}?|"
    rf"you (?:know|remember|have|keep|learn\w*))(?: about)?(?: about| on| regarding| concerning) {_X}",
    rf"(?:forget|delete|erase) (?:everything|all) (?:about|regarding|concerning) {_X}",
    rf"{_DROP_DE} (?:alles|das|bitte)?,? ?was (?:ich|wir) (?:dir |ihnen |euch )?(?:jemals |je |mal )?(?:alles )?"
    rf"(?:über|zu|von|wegen|bezüglich) {_X} (?:gesagt|erzählt|geschrieben|erwähnt)(?: hab\w*)?",
    rf"{_DROP_DE} alles,? (?:was du )?(?:über|zu|von) {_X}(?: weißt| wissen)?",
    rf"{_DROP_FR} (?:tout )?(?:ce que|ce qu')\s?(?:je|j'|nous|on)\s?(?:t'|vous )?(?:ai|avons|a) "
    rf"(?:dit|raconté|écrit|confié|parlé) {_ON_FR} {_X}",
    rf"{_DROP_FR} tout {_ON_FR} {_X}",
    r"(?:olvida|olvide|borra|borre|elimina|elimine) (?:todo )?(?:lo )?que (?:yo )?(?:te |le |os )?(?:he |había )?"
    rf"(?:dije|dicho|conté|contado|escribí|escrito|mencioné|hablé) (?:sobre|de|del|acerca de) {_X}",
    r"(?:dimentica|dimentichi|cancella|cancelli) (?:tutto )?(?:quello|ciò|quel) che (?:ti |le |vi )?(?:ho|abbiamo) "
    rf"(?:detto|raccontato|scritto) (?:su|sul|sulla|sui|di|del|della|riguardo a\w*) {_X}",
    r"(?:esqueça|esquece|apague|apaga) (?:tudo )?o que (?:eu )?(?:te |lhe )?(?:disse|falei|contei|escrevi)(?: a você)? "
    rf"(?:sobre|do|da|de|a respeito d[eoa]) {_X}",
    rf"(?:vergeet|wis|verwijder) (?:alles )?wat ik (?:je |jou |u )?(?:heb )?(?:gezegd |verteld )?over {_X}"
    r"(?: (?:heb )?(?:gezegd|verteld|geschreven)(?: heb)?)?",
    r"(?:забудь|забудьте|удали|удалите),? (?:вс[её],? )?что я (?:тебе |вам )?(?:говорил|сказал|рассказывал|рассказал|"
    rf"писал|упоминал)а? (?:о|об|обо|про) {_X}",  # noqa: RUF001
    r"请?(?:忘记|忘掉|忘了|删除)(?:所有)?我(?:之前|以前|刚才)?(?:说|讲|告诉你|提到|跟你说)过?的?(?:所有)?"
    rf"(?:关于|有关){_X}(?:的(?:事|事情|话|内容|一切)?)?",
    rf"{_X}(?:について|のことで)(?:私が)?(?:言った|話した|伝えた)(?:こと)?(?:を|は)?(?:全部|すべて)?"
    r"(?:忘れて|削除して)(?:ください|下さい)?",
)
_WISH: Final = [re.compile(rf"(?:{_PLEASE}\W+)*{wish}(?:\W+{_PLEASE})*\W*", re.IGNORECASE) for wish in _WISHES]


def matter_of(message: str) -> str:
    """What a message that is nothing else wishes to have forgotten ("Forget what I said about X"); "" of any other."""
    plain = " ".join(clean(message).replace("’", "'").split())  # noqa: RUF001
    if len(plain) > MAX_MATTER_CHARS:
        return ""
    return next((found["what"].strip() for wish in _WISH if (found := wish.fullmatch(plain))), "")
