"""What a turn reads and writes in single trips, and what is kept at hand only as long as it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from personaagent.head import PREDICTED_KEY, PRIOR, Weighing
from personaagent.inputs import Feedback
from personaagent.ledger import users as users_module
from personaagent.ledger.database import Database
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.turns import Turns
from personaagent.ledger.users import Grants, Users
from personaagent.persona.store import LedgerPersonaStore
from personaagent.ports import Where
from personaagent.types import Clause, FactOperation, Interaction, Section

START = datetime(2026, 1, 1, tzinfo=UTC)


def turn(number: int, user_id: str = "ann", **fields: Any) -> Interaction:
    given = {"id": f"i{number}", "query": f"query {number}", "created_at": START + timedelta(hours=number)} | fields
    return Interaction(user_id=user_id, **given)


async def test_the_beginning_of_a_turn_tells_what_the_parts_tell_and_nothing_of_others(database: Database) -> None:
    personas, grants = LedgerPersonaStore(database), Grants(database)
    await Interactions(database).append(turn(1))
    for user in ("ann", "bob"):
        await personas.append(user, {Section.WHO: (Clause(text=f"{user} it is"),)}, "seed", expected_parent=None)
        await personas.pin(user, f"call me {user}")
    added = FactOperation(kind="add", text="keeps bees", evidence=("i1",))
    await Facts(database).apply("ann", [added], through=START + timedelta(hours=1))
    await Users(database).set_personalize("bob", False)
    await grants.put("ann", "wikipedia", "deny")
    ann, bob, eve = [await Turns(database, grants).begin(user) for user in ("ann", "bob", "eve")]
    assert ann.persona == await personas.current("ann")
    assert [pin.text for pin in ann.pins] == ["call me ann"]
    assert [fact.text for fact in ann.facts] == ["keeps bees"]
    assert ann.through == START + timedelta(hours=1)
    assert (ann.personalize, bob.personalize, eve.personalize) == (True, False, True)
    assert bob.facts == [] and [pin.text for pin in bob.pins] == ["call me bob"]
    assert (eve.persona, eve.pins, eve.facts, eve.through) == (None, [], [], None)
    assert (await grants.of("ann", recent=True)).denied == {"wikipedia"}


async def test_a_revocation_by_another_process_is_seen_at_once_where_a_call_is_carried_out_and_soon_elsewhere(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = Grants(database), Grants(database)
    assert (await here.of("ann")).denied == frozenset()
    await there.put("ann", "fetch", "deny")
    assert (await here.of("ann")).denied == {"fetch"}
    await there.clear("ann")
    assert (await here.of("ann", recent=True)).denied == {"fetch"}
    monkeypatch.setattr(users_module, "FRESH_S", 0.0)
    assert (await here.of("ann", recent=True)).denied == frozenset()


async def test_ones_own_change_of_grants_is_seen_at_once(database: Database) -> None:
    grants = Grants(database)
    await grants.of("ann")
    await grants.put("ann", "fetch", "allow")
    assert (await grants.of("ann", recent=True)).allowed == {"fetch"}


async def test_a_turn_is_kept_once_with_the_one_before_it_in_its_thread(database: Database) -> None:
    interactions = Interactions(database)
    first = await interactions.keep(turn(1, thread_id="t"))
    await interactions.keep(turn(2, thread_id="other"))
    await interactions.keep(turn(1, "bob", thread_id="t"))
    second = await interactions.keep(turn(3, thread_id="t"))
    again = await interactions.keep(turn(3, thread_id="t", query="other words"))
    assert (first.new, first.before, first.unread) == (True, None, 1)
    assert (second.new, second.before, second.unread) == (True, first.turn, 3)
    assert (again.new, again.turn, again.before) == (False, second.turn, first.turn)
    replayed = await interactions.keep(turn(1, thread_id="t"))
    assert (replayed.new, replayed.before) == (False, None)  # not its thread's newest


async def test_an_earlier_attempt_of_the_same_run_stands_for_the_turn(database: Database) -> None:
    interactions = Interactions(database)
    await interactions.keep(turn(1, thread_id="t", metadata={"run": "r"}))
    kept = await interactions.keep(turn(2, thread_id="t"), lambda past: past.metadata.get("run") == "r")
    assert (kept.new, kept.turn.id) == (False, "i1")
    assert [i.id for i in await interactions.newest("ann", 9)] == ["i1"]


async def test_weights_are_learnt_anew_after_a_label_a_correction_and_a_loss_and_not_otherwise(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    interactions, read = Interactions(database), 0
    real = interactions.newest

    async def newest(*given: Any) -> list[Interaction]:
        nonlocal read
        read += 1
        return await real(*given)

    monkeypatch.setattr(interactions, "newest", newest)
    weighing = Weighing(interactions)
    where = Where(task="drinks")
    foretold = {"model": {"tea": 0.9, "beer": 0.1}, "vote": {"tea": 0.1, "beer": 0.9}}
    for n in range(12):
        await interactions.append(turn(n, task="drinks", choices=("tea", "beer"), metadata={PREDICTED_KEY: foretold}))
    assert await weighing.of("ann", where) == await weighing.of("ann", where) == PRIOR
    assert read == 1
    for n in range(12):
        await interactions.feedback("ann", f"i{n}", Feedback(ground_truth="tea", source="choice"))
    by_model = await weighing.of("ann", where)
    assert (by_model.model > PRIOR.model, by_model.vote < PRIOR.vote, read) == (True, True, 2)
    for n in range(12):
        await interactions.feedback("ann", f"i{n}", Feedback(ground_truth="beer", source="correction"))
    assert (await weighing.of("ann", where)).model < by_model.model
    assert await weighing.of("bob", where) == PRIOR
    before = read
    await interactions.delete("ann", ["i3"])
    await weighing.of("ann", where)
    await weighing.of("ann", where)
    assert read == before + 1
