"""A user with something derived from every memory: what the tests of forgetting stand on."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from memory_house import House, episode, uid
from personaagent.labels.statistics import statistic_facts
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.queues import Jobs
from personaagent.ledger.users import Grants, Users
from personaagent.memory.portability import export_user
from personaagent.types import Candidate, Clause, FactOperation, Section

SECRET = "xylophone"


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
            metadata={"run": f"run-{n}/1"},
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
