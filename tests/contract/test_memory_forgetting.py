"""Forgetting: what is selected and what was derived from it is nowhere afterwards, and nothing else is touched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_house import START, House, episode, opened, uid
from personaagent.errors import InputError
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.grants import Grants
from personaagent.ledger.jobs import Jobs
from personaagent.ledger.users import Users
from personaagent.memory.forgetting import Selection
from personaagent.memory.portability import export_user
from personaagent.memory.statistics import statistic_facts
from personaagent.ports import Where
from personaagent.types import Candidate, Clause, FactOperation, Section

SECRET = "xylophone"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path / "home") as made:
        for user, first in (("ann", 0), ("bob", 100)):
            await fill(made, user, first)
        yield made


async def fill(house: House, user: str, first: int) -> None:
    """Ten interactions, the third and the seventh telling the secret, and everything that is derived from them."""
    rows = [
        episode(
            first + n,
            user,
            query=f"{SECRET} lesson of {user} {'ab'[n // 5]}" if n in {3, 7} else f"plain thing {chr(97 + n)}",
            response=f"you like the {SECRET}" if n in {3, 7} else "fine",
            task="music" if n in {3, 7} else "other",
            thread_id=f"{user}-thread-{n}",
            ground_truth=SECRET if n in {3, 7} else "plain",
            truth_source="correction",
        )
        for n in range(10)
    ]
    await house.episodic.append_many(user, rows)
    both = (uid(first + 3), uid(first + 7))
    facts = [
        FactOperation(kind="add", text=f"Plays the {SECRET}.", evidence=both),
        FactOperation(kind="add", text="Likes music and plain things.", evidence=(uid(first + 1), uid(first + 3))),
        *statistic_facts(rows, []),
    ]
    await house.semantic.apply(user, facts, through=rows[-1].created_at)
    sections = {
        Section.WHO: (Clause(text="Be precise."), Clause(text=f"Plays the {SECRET} well.", evidence=both)),
        Section.INTERESTS: (Clause(text="Plain things.", evidence=(uid(first + 1),)),),
    }
    await house.personas.append(user, sections, "aligned", expected_parent=None)
    await Candidates(house.database).save(user, [Candidate(proposer="gradient", sections=sections)])
    await house.personas.pin(user, f"mention the {SECRET}")
    await Jobs(house.database).enqueue(user, "align", {}, datetime(2026, 1, 1, tzinfo=UTC))
    await Grants(house.database).put(user, "wikipedia", "deny")
    await Users(house.database).add_label(user)


async def told(house: House, user: str) -> str:
    """Everything that the stores say of a user."""
    rejected = await Candidates(house.database).newest(user, 99)
    exported = await export_user(house.database, user)
    del exported["exported_at"]
    return json.dumps(exported) + str(rejected)


def bytes_on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


async def test_a_forgotten_interaction_goes_with_what_stood_on_it_alone(house: House) -> None:
    report = await house.forgetter.forget("ann", Selection(ids=(uid(3),)))
    assert (report.interactions, report.unknown, report.threads) == ((uid(3),), (), ("ann-thread-3",))
    assert len(report.facts_trimmed) >= 2
    assert report.persona_rebuilt is None
    assert report.candidates == 1
    assert await house.episodic.count("ann") == 9
    assert uid(3) not in await house.found("ann", SECRET)
    facts = {fact.text: fact.evidence for fact in await house.semantic.history("ann")}
    assert facts[f"Plays the {SECRET}."] == (uid(7),)
    assert facts["Likes music and plain things."] == (uid(1),)


async def test_a_forgotten_task_leaves_no_word_of_it(house: House) -> None:
    before = await told(house, "bob")
    report = await house.forgetter.forget("ann", Selection(where=Where(task="music")))
    assert set(report.interactions) == {uid(3), uid(7)}
    assert len(report.facts_deleted) >= 1
    assert report.persona_rebuilt == 1
    persona = await house.personas.current("ann")
    assert persona is not None
    assert [c.text for clauses in persona.sections.values() for c in clauses] == ["Be precise.", "Plain things."]
    assert persona.origin == "rebuilt"
    left = await told(house, "ann")
    assert SECRET not in left.replace(f"mention the {SECRET}", "")  # the pin is the user's own instruction
    assert any(fact.text.startswith("Answers in") for fact in await house.semantic.history("ann"))
    assert await told(house, "bob") == before


async def test_a_time_range_is_forgotten_from_its_first_moment_to_before_its_last(house: House) -> None:
    where = Where(since=START + timedelta(days=2), before=START + timedelta(days=5))
    report = await house.forgetter.forget("ann", Selection(where=where))
    assert set(report.interactions) == {uid(2), uid(3), uid(4)}
    assert await house.index.count("ann") == 7


async def test_a_forgotten_user_is_nowhere_and_the_other_stays(house: House) -> None:
    await house.episodic.append("ann", episode(50, query=f"one more {SECRET}", task="music"))
    for number in (103, 107):  # the other user shall not tell the secret, so that its bytes can be looked for
        await house.forgetter.forget("bob", Selection(ids=(uid(number),)))
    await house.personas.unpin("bob", (await house.personas.pins("bob"))[0].id)
    report = await house.forgetter.forget("ann", Selection(everything=True))
    assert len(report.interactions) == 11
    assert (report.personas_deleted, report.pins, report.jobs, report.candidates) == (1, 1, 1, 1)
    assert len(report.facts_deleted) == 4
    assert (report.index_pending, len(report.threads)) == (0, 10)
    assert len(report.remains) == 1
    empty = await export_user(house.database, "ann")
    assert [empty[part] for part in ("interactions", "facts", "personas", "pins", "grants")] == [[]] * 5
    assert await house.found("ann", SECRET) == []
    assert (await house.index.count("ann"), await house.indexer.depth()) == (0, 0)
    assert await house.episodic.count("bob") == 8
    await house.close()
    assert SECRET.encode() not in bytes_on_disk(house.home)
    assert b"plain thing" in bytes_on_disk(house.home)


async def test_what_waits_in_outbox_and_spool_is_forgotten_too(house: House) -> None:
    house.index_down()
    await house.episodic.append("ann", episode(60, query=f"waiting {SECRET}", task="music"))
    house.ledger_down()
    await house.episodic.append("ann", episode(61, query=f"spooled {SECRET}", task="music"))
    await house.episodic.append("bob", episode(161, "bob", query="spooled too", task="music"))
    house.ledger_up()
    report = await house.forgetter.forget("ann", Selection(where=Where(task="music")))
    assert set(report.interactions) == {uid(3), uid(7), uid(60), uid(61)}
    assert report.index_pending > 0
    assert "until the index answers" in report.remains[0]
    house.index_up()
    await house.indexer.close()
    await house.indexer.flush()
    assert await house.index.count("ann") == 8
    await house.episodic.drain_spool()
    assert await house.episodic.count("ann") == 8
    assert (await house.episodic.get("bob", uid(161))).query == "spooled too"


async def test_forgetting_again_or_of_another_user_changes_nothing(house: House) -> None:
    await house.forgetter.forget("ann", Selection(ids=(uid(3), uid(7))))
    before = await told(house, "ann"), await told(house, "bob")
    report = await house.forgetter.forget("ann", Selection(ids=(uid(3), uid(103), "no id")))
    assert (report.interactions, report.unknown) == ((), (uid(3), uid(103), "no id"))
    assert (await told(house, "ann"), await told(house, "bob")) == before


@pytest.mark.parametrize("nothing", [Selection(), Selection(where=Where())])
async def test_an_empty_selection_never_means_everything(house: House, nothing: Selection) -> None:
    with pytest.raises(InputError, match="nothing is selected"):
        await house.forgetter.forget("ann", nothing)
    assert await house.episodic.count("ann") == 10


async def test_a_crash_at_any_step_is_completed_by_the_same_call(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        (type(house.facts), "drop_evidence"),
        (type(house.personas), "drop_evidence"),
        (Candidates, "drop_evidence"),
        (type(house.interactions), "delete"),
    ]
    for owner, name in steps:
        with monkeypatch.context() as patch:

            async def crash(*args: object) -> None:
                raise RuntimeError("crash")

            patch.setattr(owner, name, crash)
            with pytest.raises(RuntimeError):
                await house.forgetter.forget("ann", Selection(where=Where(task="music")))
    report = await house.forgetter.forget("ann", Selection(where=Where(task="music")))
    assert set(report.interactions) == {uid(3), uid(7)}
    assert SECRET not in (await told(house, "ann")).replace(f"mention the {SECRET}", "")


async def test_forgetting_while_others_append_and_search_leaves_no_ghost(house: House) -> None:
    async def write() -> None:
        for number in range(200, 230):
            await house.episodic.append("ann", episode(number, query=f"thing {number}", task="gone"))

    async def forget() -> None:
        for _ in range(10):
            await house.forgetter.forget("ann", Selection(where=Where(task="gone")))
            await house.found("ann", "thing")

    await asyncio.gather(write(), forget())
    await house.forgetter.forget("ann", Selection(where=Where(task="gone")))
    assert (await house.episodic.count("ann"), await house.index.count("ann")) == (10, 10)
