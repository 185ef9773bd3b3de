"""Critiques in the ledger: kept once and bounded, gone with what they speak of, carried by an export."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memory_house import START, House, episode, ledger_of, opened, uid
from personaagent.errors import InputError
from personaagent.ledger.candidates import MAX_KEPT, Critiques
from personaagent.ledger.database import Database
from personaagent.memory.forgetting import Selection
from personaagent.memory.portability import export_user, import_user
from personaagent.ports import Where
from personaagent.types import Critique, Section


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[House]:
    async with opened(tmp_path / "home", ledger_of(database)) as made:
        await made.interactions.append_many("ann", [episode(n, task="a" if n < 3 else "b") for n in range(6)])
        await made.interactions.append_many("bob", [episode(n + 50, "bob") for n in range(2)])
        yield made


def said(about: int, *behind: int, run: str = "r1", epoch: int = 1, **changes: Any) -> Critique:
    """A critique of an answer, by a critic that read a persona standing on ``behind``."""
    values: dict[str, Any] = {
        "run": run,
        "epoch": epoch,
        "interaction_id": uid(about),
        "loss": 1.0,
        "text": f"Persona: say more about {about}.",
        "evidence": tuple(uid(n) for n in (about, *behind)),
        "created_at": START,
        **changes,
    }
    return Critique(**values)


async def test_critiques_come_back_oldest_first_and_the_same_again_is_kept_once(house: House) -> None:
    critiques = Critiques(house.database)
    later = START + timedelta(days=1)
    given = [said(1, loss=0.5), said(2), said(1, epoch=2), said(3, run="r0", created_at=later, version=4)]
    await critiques.save("ann", given)
    await critiques.save("ann", [replace(given[1], version=7)])  # a run that is carried out again
    await critiques.save("ann", [])
    found = await critiques.history("ann")
    assert found == [replace(given[1], version=7), given[0], given[2], given[3]]
    assert await critiques.history("bob") == []


async def test_what_speaks_of_an_interaction_that_is_not_the_users_or_not_there_is_not_kept(house: House) -> None:
    critiques = Critiques(house.database)
    await critiques.save("ann", [said(1), said(2, 99), said(50), said(99)])
    assert [one.interaction_id for one in await critiques.history("ann")] == [uid(1)]


async def test_only_the_newest_of_a_user_are_kept(house: House) -> None:
    critiques = Critiques(house.database)
    await critiques.save("bob", [said(50)])
    runs = [
        [said(1, run=f"r{n}", epoch=epoch, created_at=START + timedelta(days=n)) for epoch in range(1, 101)]
        for n in range(6)
    ]
    for run in runs:
        await critiques.save("ann", run)
    found = await critiques.history("ann")
    assert len(found) == MAX_KEPT == 500
    assert {one.run for one in found} == {f"r{n}" for n in range(1, 6)}
    assert len(await critiques.history("bob")) == 1


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(ids=(uid(1),)), [2, 4]),
        (Selection(ids=(uid(5),)), [1, 2]),  # the critic of 4 read a sentence that stands on 5
        (Selection(where=Where(task="a")), [4]),
        (Selection(where=Where(task="b")), [1, 2]),
        (Selection(everything=True), []),
    ],
    ids=["its interaction", "what the persona stood on", "a task", "another task", "everything"],
)
async def test_forgetting_takes_the_critiques_that_speak_of_what_goes(
    house: House, selection: Selection, left: list[int]
) -> None:
    critiques = Critiques(house.database)
    await critiques.save("ann", [said(1), said(2), said(4, 5)])
    await critiques.save("bob", [said(50)])
    report = await house.forgetter.forget("ann", selection)
    assert {one.interaction_id for one in await critiques.history("ann")} == {uid(n) for n in left}
    assert report.critiques == 3 - len(left)
    assert len(await critiques.history("bob")) == 1


async def test_a_critique_that_was_under_way_while_its_interaction_was_forgotten_does_not_come_back(
    house: House,
) -> None:
    await house.forgetter.forget("ann", Selection(ids=(uid(1),)))
    await Critiques(house.database).save("ann", [said(1), said(2, 1)])
    assert await Critiques(house.database).history("ann") == []


async def exported(house: House, user: str = "ann") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(await export_user(house.database, user)))
    return document


async def test_an_export_carries_critiques_and_an_import_brings_them_back_once(house: House) -> None:
    await house.personas.append("ann", {Section.WHO: ()}, "seed", expected_parent=None)
    await Critiques(house.database).save("ann", [said(1, version=0), said(2, 1)])
    document = await exported(house)
    for _ in range(2):
        await import_user(house.database, house.indexer, "carl", document)
    assert await Critiques(house.database).history("carl") == await Critiques(house.database).history("ann")


async def test_a_document_of_before_has_no_critiques(house: House) -> None:
    document = await exported(house)
    del document["critiques"]
    await import_user(house.database, house.indexer, "carl", document)
    assert await Critiques(house.database).history("carl") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"text": ""},
        {"text": "x" * 1_001},
        {"loss": 2},
        {"epoch": 0},
        {"run": "r" * 65},
        {"version": 9},
        {"evidence": []},
        {"created_at": "2026-01-01T00:00:00"},
    ],
    ids=str,
)
async def test_a_critique_that_cannot_be_one_is_refused_before_anything_is_written(
    house: House, changes: dict[str, Any]
) -> None:
    await Critiques(house.database).save("ann", [said(1)])
    document = await exported(house)
    document["critiques"][0] |= changes
    with pytest.raises(InputError, match="damaged"):
        await import_user(house.database, house.indexer, "carl", document)
    assert await house.interactions.count("carl") == 0


async def test_secrets_in_an_imported_critique_are_masked(house: House) -> None:
    await Critiques(house.database).save("ann", [said(1)])
    document = await exported(house)
    secret = "sk-proj-" + "Ab1" * 14
    document["critiques"][0]["text"] = f"The key is {secret}"
    await import_user(house.database, house.indexer, "carl", document)
    (kept,) = await Critiques(house.database).history("carl")
    assert secret not in kept.text
