"""Parts of the caller's own in the library: a chat model, an embedder, tools, an answering agent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import Field

from personaagent import Clause, PersonaAgent, ProposalContext, Turn, read_only
from personaagent.errors import (
    EmptyQuery,
    InputError,
    InvalidContext,
    InvalidLabel,
    InvalidUserId,
    ModelError,
    OwnAnswerFailed,
    SetupError,
    UnknownInteraction,
    UnknownPin,
    UnknownTool,
)
from personaagent.library.aligning import Aligned
from personaagent.library.values import Token, ToolStep
from personaagent.ports import Role
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModel, ScriptedModels

Open = Callable[..., PersonaAgent]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """An agent over a folder of the test, with a hash embedder unless another is given."""

    def make(name: str = "data", **parts: Any) -> PersonaAgent:
        parts.setdefault("embedder", HashEmbedder())
        return PersonaAgent(tmp_path / name, **parts)

    return make


def in_folder(folder: Path) -> list[Path]:
    return list(folder.iterdir())


class CountingEmbeddings(DeterministicFakeEmbedding):
    """LangChain embeddings that note what they embedded."""

    texts: list[str] = Field(default_factory=list)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts.extend(texts)
        return super().embed_documents(texts)


class BrokenEmbeddings(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise RuntimeError("no capacity")

    def embed_query(self, text: str) -> list[float]:
        raise RuntimeError("no capacity")


async def test_an_agent_in_memory_works_like_another_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    model = GenericFakeChatModel(messages=iter([AIMessage("rock")]))
    settings = Settings(database_url="postgresql://nobody@localhost:1/none", qdrant_url="http://localhost:1")
    async with PersonaAgent(":memory:", settings=settings, embedder=HashEmbedder(), model=model) as agent:
        ann = agent.user("ann")
        turn = await ann.ask("What shall I play?")
        await turn.correct("jazz")
        assert (await agent.user("bob").memories()).count == 0
        assert [one.ground_truth for one in (await ann.memories()).interactions] == ["jazz"]
        assert in_folder(tmp_path)
    assert in_folder(tmp_path) == []


# --- model


async def test_any_langchain_chat_model_answers_and_is_counted(opened: Open) -> None:
    async with opened(model=GenericFakeChatModel(messages=iter([AIMessage("Play something slow.")]))) as agent:
        events = [event async for event in agent.user("ann").stream("What shall I play?")]
        turn = events[-1]
        assert isinstance(turn, Turn)
        assert str(turn) == "Play something slow."
        tokens = [event for event in events if isinstance(event, Token)]
        assert "".join(token.text for token in tokens) == tokens[-1].so_far == "Play something slow."


async def test_a_langchain_chat_model_is_asked_for_a_choice_in_words(opened: Open) -> None:
    def speak(messages: list[BaseMessage], tools: object) -> str:
        return "Rock" if "exactly one of these" in messages[-1].text else "hm"

    model = ScriptedModel(speak)
    async with opened(model=model) as agent:
        turn = await agent.user("ann").ask("What shall I play?", choices=["jazz", "rock"])
        assert turn.answer == "rock"
        assert turn.probabilities["rock"] > turn.probabilities["jazz"]


async def test_a_failing_provider_is_a_named_error_that_says_what_failed(opened: Open) -> None:
    model = ScriptedModel([RuntimeError("the moon is full")])
    async with opened(model=model) as agent:
        with pytest.raises(ModelError, match="the moon is full"):
            await agent.user("ann").ask("What shall I play?")


@pytest.mark.parametrize("model", ["nowhere:gpt-9", "anthropic:claude", 5])
async def test_a_model_that_cannot_be_used_says_why(opened: Open, model: object) -> None:
    with pytest.raises(SetupError, match=r"model .*(nowhere|anthropic|int)"):
        await opened(model=model).open()


# --- embedder


async def test_langchain_embeddings_make_the_vectors(opened: Open) -> None:
    embeddings = CountingEmbeddings(size=24)
    async with opened(model=ScriptedModels("fine"), embedder=embeddings) as agent:
        ann = agent.user("ann")
        await ann.ask("What is the capital of France?")
        assert any("France" in text for text in embeddings.texts)
        assert [recall.interaction.query for recall in await ann.search("capital")] == [
            "What is the capital of France?"
        ]
        assert agent.services.embedder.dim == 24


async def test_embeddings_that_fail_are_a_named_error(opened: Open) -> None:
    with pytest.raises(ModelError, match="no capacity"):
        await opened(embedder=BrokenEmbeddings()).open()
    with pytest.raises(SetupError, match="give LangChain Embeddings"):
        await opened(embedder=5).open()


# --- tools


@read_only
def shelf(user_id: str, genre: str, limit: int = 3) -> str:
    """The records on the user's shelf."""
    return f"{limit} {genre} records of {user_id}"


def calls(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": "1"}])


async def test_a_function_is_a_tool_and_knows_whose_turn_it_is(opened: Open) -> None:
    models = ScriptedModels(agent=[calls("shelf", genre="jazz"), "You have three."])
    async with opened(model=models, tools=[shelf]) as agent:
        events = [event async for event in agent.user("ann").stream("What jazz do I have?")]
        turn = events[-1]
        assert isinstance(turn, Turn)
        assert turn.tools[0].brief == "3 jazz records of ann"
        assert ToolStep(name="shelf", outcome="ok") in events
        offered = next(t for t in models.calls[0].tools if t["function"]["name"] == "shelf")
        assert set(offered["function"]["parameters"]["properties"]) == {"genre", "limit"}


async def test_the_model_cannot_name_another_user(opened: Open) -> None:
    models = ScriptedModels(agent=[calls("shelf", genre="jazz", user_id="bob"), "Sorry."])
    async with opened(model=models, tools=[shelf]) as agent:
        turn = await agent.user("ann").ask("What does bob have?")
        assert turn.tools[0].outcome == "error"
        assert "bob" not in turn.tools[0].brief.replace("user_id", "")


async def test_a_function_that_is_not_read_only_waits_for_approval(opened: Open) -> None:
    sent: list[str] = []

    async def send(text: str) -> str:
        """Send a message."""
        sent.append(text)
        return "sent"

    scripts = [calls("send", text="one"), "Done.", calls("send", text="two"), "Not sent.", calls("send", text="3"), "!"]
    async with opened(model=ScriptedModels(agent=scripts), tools=[send]) as agent:
        ann = agent.user("ann")
        turn = await ann.ask("Send one.")
        assert [(a.tool, a.arguments) for a in turn.approvals] == [("send", {"text": "one"})]
        assert (sent, turn.answer, turn.id) == ([], "", "")
        done = await turn.approve()
        assert (sent, done.answer, done.tools[0].outcome) == (["one"], "Done.", "ok")
        refused = await (await ann.ask("Send two.", thread="work")).decline("not now")
        assert (sent, refused.tools[0].outcome, refused.thread) == (["one"], "rejected", "work")
        with pytest.raises(InputError, match="waits for no approval"):
            await refused.approve()
        always = await (await ann.ask("Send 3.")).approve(always=True)
        assert (sent, always.answer) == (["one", "3"], "!")
        assert not next(t for t in await ann.tools() if t.name == "send").asks_first


async def test_a_langchain_tool_is_a_tool(opened: Open) -> None:
    @langchain_tool
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    double.metadata = {"readOnlyHint": True}
    async with opened(model=ScriptedModels(agent=[calls("double", number=21), "42"]), tools=[double]) as agent:
        assert (await agent.user("ann").ask("Double 21")).tools[0].brief == "42"


async def test_what_cannot_be_a_tool_says_why(opened: Open) -> None:
    def mute(text: str) -> str:
        return text

    def untyped(text) -> str:  # type: ignore[no-untyped-def]
        """Untyped."""
        return str(text)

    for tool, why in ((mute, "no docstring"), (untyped, "annotate it"), (5, "give a function")):
        with pytest.raises(SetupError, match=why):
            await opened(tools=[tool]).open()


# --- answer


async def test_an_own_agent_answers_under_the_persona_and_is_aligned(opened: Open) -> None:
    systems: list[str] = []

    async def answer(system: str, messages: list[BaseMessage]) -> str:
        systems.append(system)
        return "I say: rock" if system.count("rock") > system.count("jazz") else "I say: jazz"

    async with opened(model=ScriptedModels(embedded=True), answer=answer) as agent:
        ann = agent.user("ann")
        for number in range(9):
            turn = await ann.ask(f"What shall I play on evening {number}?", choices=["jazz", "rock"], task="music")
            assert turn.answer == "jazz"
            await turn.correct("rock", align="off")
        aligned = await ann.align(align_judge=6)
        assert aligned.version == 1, str(aligned)
        assert "loss 1.00 → 0.00" in str(await ann.persona())
        turn = await ann.ask("What shall I play tonight?", choices=["jazz", "rock"], task="music")
        assert (turn.answer, turn.persona_version) == ("rock", 1)
        assert any("rock" in clause for clause in turn.clauses)
        assert str(await ann.diff()).count("\n+ ") >= 1
        assert [version.version for version in await ann.history()] == [0, 1]
        assert (await ann.why()).persona.version == 1
        assert (await ann.roll_back(0)).version == 2


async def test_a_runnable_and_a_graph_answer(opened: Open) -> None:
    seen: list[list[BaseMessage]] = []

    def speak(messages: list[BaseMessage]) -> AIMessage:
        seen.append(messages)
        return AIMessage("by a runnable")

    builder = StateGraph(MessagesState)
    builder.add_node("speak", lambda state: {"messages": [AIMessage("by a graph")]})
    builder.add_edge(START, "speak")
    builder.add_edge("speak", END)
    async with opened("one", answer=RunnableLambda(speak)) as agent:
        assert str(await agent.user("ann").ask("Who answers?")) == "by a runnable"
        assert [message.type for message in seen[0]] == ["system", "human"]
    async with opened("two", answer=builder.compile()) as agent:
        turn = await agent.user("ann").ask("Who answers?")
        assert str(turn) == "by a graph"
        assert (await agent.user("ann").memory(turn.id)).response == "by a graph"


async def test_an_own_agent_that_fails_or_says_nothing_is_named(opened: Open) -> None:
    async def fails(system: str, messages: list[BaseMessage]) -> str:
        raise KeyError("lost")

    async def wrong(system: str, messages: list[BaseMessage]) -> str:
        return 5  # type: ignore[return-value]

    async def silent(system: str, messages: list[BaseMessage]) -> str:
        return "polka"

    for name, answer in (("fails", fails), ("wrong", wrong)):
        async with opened(name, answer=answer) as agent:
            with pytest.raises(OwnAnswerFailed, match=r"lost|returned int"):
                await agent.user("ann").ask("Well?")
    async with opened("silent", answer=silent) as agent:
        turn = await agent.user("ann").ask("Well?", choices=["jazz", "rock"])
        assert (turn.answer, turn.degraded) == ("", ("model: it named none of the choices",))


# --- proposers


def obeying(clause: str) -> ScriptedModels:
    """A model that says rock under this clause, and jazz without."""

    def choose(role: Role, messages: list[BaseMessage], choices: list[str]) -> str:
        return "rock" if clause in messages[0].text else "jazz"

    return ScriptedModels(choose=choose, tool_calling=False)


async def taught(agent: PersonaAgent, turns: int = 12) -> Aligned:
    """Ann corrects every answer to rock; then her persona is aligned, without a vote of the memories."""
    ann = agent.user("ann")
    for number in range(turns):
        turn = await ann.ask(f"What on evening {number}?", choices=["jazz", "rock"], task="music", recall_k=0)
        await turn.correct("rock", align="off")
    return await ann.align(recall_k=0, align_epochs=1)


async def test_a_clause_of_an_own_proposer_is_judged_and_committed(opened: Open) -> None:
    shown: list[ProposalContext] = []

    async def guitars(context: ProposalContext) -> str:
        shown.append(context)
        return "Wants guitars."

    async with opened(model=obeying("guitars"), proposers=[guitars], default_proposers=False) as agent:
        aligned = await taught(agent)
        ann = agent.user("ann")
        assert (aligned.version, aligned.calls > 0) == (1, True), aligned.reason
        persona = (await ann.persona()).persona
        assert (persona.proposer, persona.loss_before, persona.loss_after) == ("guitars", 1.0, 0.0)
        assert "Wants guitars." in (await ann.persona()).text
        assert (await ann.ask("What now?", choices=["jazz", "rock"], task="music", recall_k=0)).answer == "rock"
        labels = {i.id: i for i in (await ann.memories()).interactions}
        assert {i.id for i in shown[0].history} <= labels.keys()
        assert len(shown[0].history) < 12  # never one that judges
        await ann.forget(*persona.evidence)
        assert "Wants guitars." not in (await ann.persona()).text


async def test_own_proposers_are_tried_before_the_default_ones_and_a_failing_one_stops_none(opened: Open) -> None:
    def broken(context: ProposalContext) -> str:
        raise RuntimeError("out of ideas")

    def useless(context: ProposalContext) -> list[str]:
        return ["Likes the evening."]

    def guitars(context: ProposalContext) -> Clause:
        return Clause(text="Wants guitars.", evidence=(context.history[0].id,))

    async with opened(model=obeying("guitars"), proposers=[broken, useless, guitars]) as agent:
        aligned = await taught(agent)
        verdicts = {one.proposer: one.verdict for one in aligned.rejected if one.verdict}
        assert "out of ideas" in verdicts["broken"].reason, aligned.reason
        assert verdicts["useless"].wins == 0 < verdicts["useless"].ties
        assert "out of ideas" in str(await agent.user("ann").candidates())
        assert aligned.committed is not None, aligned.reason
        assert aligned.committed.proposer == "guitars"


async def test_what_cannot_be_a_proposer_is_named_when_the_agent_is_opened(opened: Open) -> None:
    with pytest.raises(SetupError, match="a proposer has the name None"):
        await opened(proposers=["guitars"]).open()


# --- the library itself


async def test_two_agents_at_once_share_nothing(opened: Open) -> None:
    async def one(name: str) -> list[str]:
        models = ScriptedModels(f"I am {name}")

        @read_only
        def where() -> str:
            """Where the agent is."""
            return name

        async with opened(name, model=models, tools=[where] if name == "otter" else []) as agent:
            ann = agent.user("ann")
            for number in range(5):
                turn = await ann.ask(f"{name} {number}", thread="talk")
                assert turn.answer == f"I am {name}"
                await asyncio.sleep(0)
            await ann.pin(f"pinned {name}")
            assert [pin.text for pin in await ann.pins()] == [f"pinned {name}"]
            assert ("where" in [tool.name for tool in await ann.tools()]) == (name == "otter")
            assert {call.text.count("otter" if name == "heron" else "heron") for call in models.calls} == {0}
            return [interaction.query for interaction in (await ann.memories()).interactions]

    left, right = await asyncio.gather(one("otter"), one("heron"))
    assert left == [f"otter {n}" for n in range(5)]
    assert right == [f"heron {n}" for n in range(5)]


async def test_threads_go_on_by_name_and_belong_to_their_user(opened: Open) -> None:
    models = ScriptedModels(agent=lambda messages, tools: f"{len(messages)} messages")
    async with opened(model=models) as agent:
        ann, bob = agent.user("ann"), agent.user("bob")
        await ann.ask("My dog is called Rex.", thread="dogs")
        again = await ann.ask("What is my dog called?", thread="dogs")
        assert "Rex" in models.calls[-1].text
        assert (again.thread, again.answer) == ("dogs", "4 messages")
        await bob.ask("What is my dog called?", thread="dogs")
        assert "Rex" not in models.calls[-1].text
        alone = await ann.ask("And now?")
        assert (alone.thread, alone.answer) == (None, "2 messages")
        both = await asyncio.gather(ann.ask("one", thread="dogs"), ann.ask("two", thread="cats"))
        assert [turn.thread for turn in both] == ["dogs", "cats"]
        assert (await ann.memories(thread="dogs")).count == 3


async def test_forgetting_takes_the_threads_too(opened: Open) -> None:
    models = ScriptedModels("fine")
    async with opened(model=models) as agent:
        ann = agent.user("ann")
        turn = await ann.ask("My dog is called Rex.", thread="dogs")
        preview = await ann.preview_forget(turn.id)
        assert preview.memories == 1
        report = await ann.forget(turn.id)
        assert (report.interactions, report.remains) == ((turn.id,), ())
        await ann.ask("What is my dog called?", thread="dogs")
        assert "Rex" not in models.calls[-1].text
        with pytest.raises(UnknownInteraction):
            await ann.forget(turn.id)
        with pytest.raises(InputError, match="choose one of the two"):
            await ann.forget(turn.id, everything=True)
        with pytest.raises(InputError, match="nothing is selected"):
            await ann.forget()
        with pytest.raises(InputError, match="memories are chosen by"):
            await ann.forget(colour="red")


async def test_what_is_said_of_an_answer(opened: Open) -> None:
    async with opened(model=ScriptedModels("A long answer with many words.")) as agent:
        ann = agent.user("ann")
        turn = await ann.ask("Well?")
        assert "You cut the answer" in str(await turn.edit("Short."))
        assert "Noted" in str(await turn.comment("Too long"))
        second = await ann.ask("And?")
        assert str(await second.thumb()) == "Right as it was."
        third = await ann.ask("So?")
        assert "2 of 5" in str(await third.rate(2, "hm"))
        assert "you prefer: this" in str(await third.prefer("this", "that"))
        with pytest.raises(InvalidLabel):
            await third.rate(9)
        off = await ann.ask("Unremembered?", personalize=False)
        with pytest.raises(InvalidLabel, match="not remembered"):
            await off.thumb()


async def test_a_user_carries_everything_elsewhere(opened: Open, tmp_path: Path) -> None:
    async with opened("one", model=ScriptedModels("fine")) as agent:
        ann = agent.user("ann")
        await ann.remember("Plays the cello.")
        await ann.pin("Be brief")
        assert "i will" in str(await ann.wish("Always answer in French")).casefold()
        await ann.ask("Well?")
        document = await ann.export()
    async with opened("two", model=ScriptedModels("fine")) as agent:
        taken = await agent.user("zoe").restore(document)
        zoe = agent.user("zoe")
        assert len(taken.interactions) == (await zoe.memories()).count
        assert str((await zoe.facts())[0]).startswith("Plays the cello.")
        assert [pin.text for pin in await zoe.pins()] == ["Be brief", "always answer in French"]
        file = tmp_path / "history.jsonl"
        file.write_text('{"query": "jazz?", "response": "yes"}\n{"query"}\n')
        imported = await zoe.import_file(file)
        assert (imported.read, imported.new, len(imported.bad)) == (1, 1, 1)


async def test_bad_input_is_named_and_changes_nothing(opened: Open) -> None:
    agent = opened(model=ScriptedModels("fine"))
    with pytest.raises(SetupError, match="not open"):
        await agent.user("ann").ask("Well?")
    async with agent:
        ann = agent.user("ann")
        with pytest.raises(InvalidUserId):
            agent.user(" ")
        with pytest.raises(EmptyQuery):
            await ann.ask("  ")
        with pytest.raises(InvalidContext, match="colour"):
            await ann.ask("Well?", colour="red")
        with pytest.raises(InvalidContext):
            await ann.ask("Well?", recall_k=-1)
        with pytest.raises(UnknownPin):
            await ann.unpin("nothing")
        with pytest.raises(UnknownTool):
            await ann.grant("nothing")
        assert (await ann.memories()).count == 0


async def test_personalization_off_remembers_nothing(opened: Open) -> None:
    async with opened(model=ScriptedModels("fine")) as agent:
        ann = agent.user("ann")
        await ann.personalize(False)
        assert not await ann.personalized()
        turn = await ann.ask("Well?")
        assert (turn.id, turn.persona, turn.clauses) == ("", None, ())
        assert "personalization is off" in str(await ann.persona())


async def test_background_work_runs_while_the_agent_is_open(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAAGENT_ALIGN_DELAY_S", "0")
    monkeypatch.setattr("personaagent.library.worker.POLL_S", 0.05)
    done: asyncio.Queue[Any] = asyncio.Queue()
    async with opened(model=ScriptedModels("fine"), background=True) as agent:
        agent.start_background(done.put_nowait)
        ann = agent.user("ann")
        for number in range(3):
            await (await ann.ask(f"question {number}")).correct(f"truth {number}")
        one = await asyncio.wait_for(done.get(), 30)
        assert (one.user_id, one.kind) == ("ann", "alignment")
