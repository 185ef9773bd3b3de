"""Systems on scripted models: nobody sees the truth early, ablations lack what they say, nothing is paid twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage

from personaagent.errors import InputError, ModelOutputInvalid, ModelUnreachable
from personaagent.evals.cache import AnswerCache, CachedModels, saved_seconds
from personaagent.evals.records import Records
from personaagent.evals.runner import Plan, run
from personaagent.evals.systems import Bench
from personaagent.evals.systems.registry import SUMMARY, label, parse
from personaagent.evals.tasks import Row, Task, split
from personaagent.models.meter import metering
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

START = datetime(2026, 1, 1, tzinfo=UTC)
CHOICES = ("red", "green", "blue")
FREE = ("majority", "last_label", "nearest_neighbour", "weighted_vote")
MODEL_SYSTEMS = [name for name in SUMMARY if name not in FREE]


def colours(users: int = 2, rows: int = 10) -> Task:
    def row(user: str, n: int) -> Row:
        return Row(
            id=f"{user}-{n}", user_id=user, query=f"unique{user}{n} about topic {n % 3}", truth=CHOICES[n % 3],
            created_at=START + timedelta(days=n),
        )  # fmt: skip

    names = [f"user{n}" for n in range(users)]
    return Task(
        name="colours", instructions="Name the colour.", choices=CHOICES, metric="accuracy", may_be_shown=True,
        users={name: [row(name, n) for n in range(rows)] for name in names},
    )  # fmt: skip


async def answered(spec: str, models: ScriptedModels, folder: Path, task: Task | None = None) -> Records:
    task = task or colours()
    name, arguments = parse(spec)
    settings = Settings(home=folder)
    bench = Bench(task=task, settings=settings, models=models, embedder=HashEmbedder(), home=folder / "home")
    records = Records(folder)
    records.begin({"system": label(name, arguments), "data": task.hash})
    await run(Plan(name=name, arguments=arguments, bench=bench, splits=split(task)), records)
    return records


def small_alignment(spec: str) -> str:
    return f"{spec}:epochs=1,judge=3" if spec == "persona_agent" else spec


@pytest.mark.parametrize("spec", MODEL_SYSTEMS)
async def test_no_system_shows_a_model_a_later_row(spec: str, tmp_path: Path) -> None:
    models = ScriptedModels("a short text")
    task = colours(users=1)
    await answered(small_alignment(spec), models, tmp_path, task)
    rows = task.users["user0"]
    cut = next(n for n, row in enumerate(rows) if row.id == split(task)[0].test[0].id)
    seen = [call.text for call in models.calls if call.role != "simulator"]
    for number in range(cut, len(rows)):
        first = next(place for place, text in enumerate(seen) if rows[number].query in text)
        assert seen[first].count(rows[number].query) == 1  # the row itself is asked, not remembered
        later = [row.query for row in rows[number + 1 :]]
        assert not any(query in text for query in later for text in seen[: first + 1])


@pytest.mark.parametrize("spec", [name for name in SUMMARY if name != "no_personalization"])
async def test_every_system_answers_every_row_and_users_stay_apart(spec: str, tmp_path: Path) -> None:
    models = ScriptedModels("a short text")
    records = await answered(small_alignment(spec), models, tmp_path)
    rows = records.rows()
    assert len(rows) == 6
    assert {row.majority for row in rows.values()} <= set(CHOICES)
    assert all(row.error is None for row in rows.values())
    for call in models.calls:
        assert not ("uniqueuser0" in call.text and "uniqueuser1" in call.text)


async def test_floors_and_neighbours_learn_each_truth_after_its_row(tmp_path: Path) -> None:
    rows = (await answered("last_label", ScriptedModels(), tmp_path / "last")).rows()
    assert [rows[f"user0-{n}"].answer for n in (7, 8, 9)] == [CHOICES[n % 3] for n in (6, 7, 8)]
    assert all(row.answer == row.last for row in rows.values())
    rows = (await answered("majority", ScriptedModels(), tmp_path / "majority")).rows()
    assert all(row.answer == row.majority for row in rows.values())


async def test_examples_are_turns_and_their_number_is_the_budget(tmp_path: Path) -> None:
    models = ScriptedModels()
    await answered("rag", models, tmp_path, colours(users=1))
    for call in models.calls:
        assert [message.type for message in call.messages] == ["system", *["human", "ai"] * 4, "human"]


async def test_the_model_alone_sees_nothing_of_the_user(tmp_path: Path) -> None:
    models = ScriptedModels()
    await answered("no_personalization", models, tmp_path)
    assert all(len(call.messages) == 2 for call in models.calls)


async def test_ablations_lack_what_they_say(tmp_path: Path) -> None:
    def live(models: ScriptedModels) -> list[str]:
        return [call.text for call in models.calls_of("agent")]

    whole, persona, memory, action = (ScriptedModels("x") for _ in range(4))
    task = colours(users=1)
    await answered("persona_agent:alignment=off", whole, tmp_path / "whole", task)
    await answered("persona_agent:persona=off", persona, tmp_path / "persona", task)
    await answered("persona_agent:memory=off,alignment=off", memory, tmp_path / "memory", task)
    await answered("persona_agent:action=off,alignment=off", action, tmp_path / "action", task)
    assert all("# Persona" in text or "Who the user is" in text or "How to answer" in text for text in live(whole))
    assert not any("How to answer this user" in text for text in live(persona))
    assert any("uniqueuser00 " in t or "uniqueuser01 " in t or "uniqueuser05 " in t for t in live(whole))
    for place, text in enumerate(live(memory)):
        assert text.count("uniqueuser0") <= 1, place
    assert whole.calls_of("agent", "chat")
    assert not any(call.tools for call in action.calls)
    assert all("recall" not in call.tool_names for call in memory.calls)
    assert not whole.calls_of("simulator")


async def test_alignment_runs_on_history_and_its_outcome_is_recorded(tmp_path: Path) -> None:
    models = ScriptedModels("x")
    records = await answered("persona_agent:epochs=1,judge=3", models, tmp_path, colours(users=1, rows=30))
    assert models.calls_of("simulator")
    assert records.users()["user0"].outcome
    simulated = "\n".join(call.text for call in models.calls_of("simulator"))
    assert not any(row.query in simulated for row in split(colours(users=1, rows=30))[0].test)


async def test_an_unusable_answer_is_recorded_as_wrong_and_a_dead_endpoint_stops_the_run(tmp_path: Path) -> None:
    def refuse(*_: object) -> Exception:
        return ModelOutputInvalid("gibberish")

    rows = (await answered("rag", ScriptedModels(choose=refuse), tmp_path / "a")).rows()
    assert all((row.answer, row.error) == ("", "gibberish") for row in rows.values())
    dead = ScriptedModels()
    dead.fail("agent", ModelUnreachable("down"), times=99)
    with pytest.raises(ModelUnreachable):
        await answered("rag", dead, tmp_path / "b")
    assert not Records(tmp_path / "b").rows()


async def test_a_stopped_run_goes_on_where_it_was_and_ends_the_same(tmp_path: Path) -> None:
    whole = (await answered("rag", ScriptedModels(), tmp_path / "whole")).rows()
    dying = ScriptedModels(choose=_dies_after(3))
    with pytest.raises(ModelUnreachable):
        await answered("rag", dying, tmp_path / "cut")
    with (tmp_path / "cut" / "rows.jsonl").open("a") as file:
        file.write('{"id": "torn')  # what a kill leaves
    finished = len(Records(tmp_path / "cut").rows())
    rest = ScriptedModels()
    rows = (await answered("rag", rest, tmp_path / "cut")).rows()
    assert 0 < finished < 6
    assert len(rest.calls) == 6 - finished
    assert {k: (r.answer, r.majority, r.last) for k, r in rows.items()} == {
        k: (r.answer, r.majority, r.last) for k, r in whole.items()
    }


def _dies_after(calls: int) -> object:
    left = [calls]

    def choose(*_: object) -> str | Exception:
        left[0] -= 1
        return "red" if left[0] >= 0 else ModelUnreachable("down")

    return choose


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    Records(tmp_path).begin({"system": "rag", "seed": 0})
    Records(tmp_path).begin({"system": "rag", "seed": 0})
    with pytest.raises(InputError, match="seed"):
        Records(tmp_path).begin({"system": "rag", "seed": 1})


async def test_the_cache_pays_once_and_counts_the_same_cost_again(tmp_path: Path) -> None:
    inner = ScriptedModels("hello", latency=0.02)
    asked = [HumanMessage("q", id="one")]
    costs = []
    for turn in range(2):
        models = CachedModels(inner, AnswerCache(tmp_path / "answers.sqlite"))
        with metering() as meter, saved_seconds() as saved:
            chat = await models.chat("agent")
            assert (await chat.bind(max_tokens=5).ainvoke(asked)).text == "hello"
            assert await models.choose("agent", [HumanMessage("q", id=f"other {turn}")], CHOICES) == "red"
        costs.append(meter.total)
        await models.close()
    assert len(inner.calls) == 2
    assert costs[0] == costs[1]
    assert costs[0].calls == 2
    assert saved.seconds >= 0.04


async def test_the_cache_tells_requests_apart_by_all_that_is_asked(tmp_path: Path) -> None:
    inner = ScriptedModels("hello")
    models = CachedModels(inner, AnswerCache(tmp_path / "answers.sqlite"))
    chat = await models.chat("agent")
    tool = {"type": "function", "function": {"name": "t", "description": "", "parameters": {"type": "object"}}}
    for asking in (chat, chat.bind(max_tokens=5), chat.bind_tools([tool]), await models.chat("critic")):
        await asking.ainvoke("q")
    await models.choose("agent", [HumanMessage("q")], CHOICES)
    await models.choose("agent", [HumanMessage("q")], CHOICES[:2])
    assert len(inner.calls) == 6
    await models.close()


class Sure(ScriptedModels):
    """Models of an endpoint that tells probabilities, or that tells none."""

    told: dict[str, float] | None = None
    asked = 0

    async def probabilities(self, *_: object) -> dict[str, float] | None:
        self.asked += 1
        return self.told


@pytest.mark.parametrize("told", [{"red": 0.7, "green": 0.3}, None])
async def test_probabilities_are_kept_by_their_choices(told: dict[str, float] | None, tmp_path: Path) -> None:
    inner = Sure()
    inner.told = told
    models = CachedModels(inner, AnswerCache(tmp_path / "answers.sqlite"))
    for _ in range(2):
        assert await models.probabilities("agent", [HumanMessage("q")], CHOICES) == told
    assert inner.asked == 1
    await models.probabilities("agent", [HumanMessage("q")], CHOICES[:2])
    assert inner.asked == 2
    await models.close()


async def test_a_bound_on_answers_is_part_of_the_request_and_binds_no_critic(tmp_path: Path) -> None:
    inner = ScriptedModels("hello")
    cache = AnswerCache(tmp_path / "answers.sqlite")
    free, bound = CachedModels(inner, cache), CachedModels(inner, cache, answer_tokens=7)
    for models, role in ((free, "simulator"), (bound, "simulator"), (bound, "agent"), (bound, "critic")):
        await (await models.chat(role)).ainvoke("q")  # type: ignore[arg-type]
    assert [call.kwargs.get("max_tokens") for call in inner.calls] == [None, 7, 7, None]
    await bound.close()


async def test_the_weighted_vote_counts_the_near_ones_most_and_gives_probabilities(tmp_path: Path) -> None:
    rows = (await answered("weighted_vote", ScriptedModels(), tmp_path)).rows()
    assert all(row.answer == row.truth and row.calls == 0 for row in rows.values())
    # the same words about the same topic are nearer than those about another: more than a third each
    assert all(row.p_truth is not None and 1 / 3 < row.p_truth <= 1 for row in rows.values())
    rows = (await answered("majority", ScriptedModels(), tmp_path / "majority")).rows()
    assert all(row.p_truth is None for row in rows.values())


async def test_failures_are_not_kept(tmp_path: Path) -> None:
    inner = ScriptedModels()
    inner.fail("agent", ModelUnreachable("down"))
    models = CachedModels(inner, AnswerCache(tmp_path / "answers.sqlite"))
    with pytest.raises(ModelUnreachable):
        await models.choose("agent", [HumanMessage("q")], CHOICES)
    assert await models.choose("agent", [HumanMessage("q")], CHOICES) == "red"
    await models.close()


def test_a_system_is_named_by_one_spelling() -> None:
    assert label(*parse("persona_agent:gate=on,alignment=off")) == "persona_agent:alignment=off"
    assert label(*parse("agent-without-alignment")) == "persona_agent:alignment=off"
    assert label(*parse("recalled-examples")) == "persona_agent:action=off,alignment=off,persona=off"
    for wrong in ("oracle", "rag:votes=3", "persona_agent:gate=maybe", "nearest_neighbour:votes=many"):
        with pytest.raises(InputError):
            parse(wrong)


def test_a_preset_takes_further_arguments() -> None:
    assert parse("agent-without-alignment:epochs=1") == ("persona_agent", {"alignment": False, "epochs": 1})
