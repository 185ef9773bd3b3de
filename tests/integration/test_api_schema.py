"""The JSON routes against their own OpenAPI document: whatever it allows or forbids is sent, nothing breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.internal.conjecture.utils import many
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from page_house import ANN, BOB, fill, key_of, serving
from personaagent.errors import InvalidLabel
from personaagent.inputs import feedback_of


def _more(elements: Any) -> bool:
    """``many.more``, which hypothesis-jsonschema 0.23 calls and newer versions of Hypothesis no longer have."""
    if not hasattr(elements, "_walk"):
        elements.__enter__()
        elements._walk = iter(elements)
    if next(elements._walk, elements) is None:
        return True
    elements.__exit__(None, None, None)
    return False


if not hasattr(many, "more"):
    setattr(many, "more", _more)  # noqa: B010 (mypy knows that it is not there)

EXAMPLES = 10  # of each route
DOCUMENT = "/api/v1/openapi.json"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    home: Path = tmp_path_factory.mktemp("api")
    asyncio.run(fill(home, align=False))
    keys = {user: key_of(home, user) for user in (ANN, BOB)}
    with serving(home, auth="api_key", requests_per_minute=0) as url:
        yield url, keys


def contradicts_itself(case: schemathesis.Case) -> bool:
    """Whether it is feedback whose fields contradict each other, which the document says in words only."""
    if not case.operation.path.endswith("/feedback") or not isinstance(case.body, dict):
        return False
    try:
        feedback_of(case.body)
    except InvalidLabel:
        return True
    return False


def is_lost_on_the_way(case: schemathesis.Case) -> bool:
    """Whether what is forbidden is an empty list or object of the query, of which no address keeps anything."""
    query = case.query if isinstance(case.query, dict) else {}
    return any(value in ([], {}) for value in query.values())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_no_request_that_the_document_describes_or_forbids_breaks_a_route(
    place: tuple[str, dict[str, str]], mode: GenerationMode
) -> None:
    url, keys = place
    tried = []
    for found in schemathesis.openapi.from_url(url + DOCUMENT).get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # our document has no flaw, or this raises
        tried.append(operation.label)
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
            continue  # nothing that could be wrong in it

        @seed(20_261_127)
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def probe(case: schemathesis.Case) -> None:
            # it takes the key that is sent along for one that it made up; the next test asks for credentials
            refused = mode is GenerationMode.POSITIVE and contradicts_itself(case)
            excluded = [ignored_auth, positive_data_acceptance] if refused else [ignored_auth]
            if mode is GenerationMode.NEGATIVE and is_lost_on_the_way(case):
                excluded.append(negative_data_rejection)
            answered = case.call_and_validate(headers={"X-API-Key": keys[BOB]}, excluded_checks=excluded)
            # where it makes up a bearer token too, that is refused first
            assert not refused or answered.json()["error"]["name"] in {"InvalidLabel", "NotSignedIn"}

        try:
            probe()
        except Unsatisfiable:  # the generator finds next to nothing that is wrong beside an id in the path
            assert mode is GenerationMode.NEGATIVE and "/{" in operation.path
    assert len(tried) == 14


def test_only_the_right_credential_in_a_header_opens_a_route(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    with httpx.Client(base_url=url + "/api/v1/me") as client:
        assert client.get("/persona").status_code == 401
        assert client.get("/persona", headers={"X-API-Key": "pa_no_key"}).json()["error"]["name"] == "NotSignedIn"
        mine = client.get("/memories", headers={"X-API-Key": keys[ANN]}, params={"limit": 1}).json()["memories"][0]
        assert client.get(f"/memories/{mine['id']}", headers={"X-API-Key": keys[ANN]}).json() == mine
        assert client.get(f"/memories/{mine['id']}", headers={"X-API-Key": keys[BOB]}).status_code == 404
        foreign = client.post("/forget", headers={"X-API-Key": keys[BOB]}, json={"ids": [mine["id"]]})
        assert foreign.status_code == 404
        assert client.get(f"/memories/{mine['id']}", headers={"X-API-Key": keys[ANN]}).status_code == 200


def test_a_body_that_a_form_of_another_site_could_send_is_not_read(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    sent = httpx.post(
        url + "/api/v1/me/forget",
        headers={"X-API-Key": keys[ANN], "Content-Type": "text/plain"},
        content='{"everything": true}',
    )
    assert sent.status_code == 415
    kept = httpx.get(url + "/api/v1/me/memories", headers={"X-API-Key": keys[ANN]}).json()
    assert kept["count"] == 40


def test_what_was_forgotten_is_reported_and_gone(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    with httpx.Client(base_url=url + "/api/v1/me", headers={"X-API-Key": keys[ANN]}) as client:
        gone = client.get("/memories", params={"limit": 1}).json()["memories"][0]["id"]
        assert client.post("/forget", json={"ids": [gone]}).json()["interactions"] == [gone]
        assert client.get(f"/memories/{gone}").status_code == 404
