"""Which memories a form asks for: words, a task, days. The same fields find and forget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from personaagent.errors import InputError
from personaagent.ports import Where

MAX_NAME_CHARS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The form's fields as they were entered; ``first`` and ``last`` are days (UTC), both of them included."""

    task: str = ""
    first: str = ""
    last: str = ""

    @property
    def narrows(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(self.task or self.first or self.last)

    @property
    def where(self) -> Where:
        """The filter of the memory; raises InputError where a day is none."""
        last = day(self.last)
        return Where(
            task=self.task or None,
            since=day(self.first),
            before=last + timedelta(days=1) if last else None,
        )

    @property
    def fields(self) -> dict[str, str]:
        """What a link carries on."""
        return {name: getattr(self, name) for name in ("task", "first", "last") if getattr(self, name)}


def filters_of(given: Mapping[str, str]) -> Filters:
    """The filters of a form or of a query string; raises InputError where a name is too long."""
    task = given.get("task", "").strip()
    if len(task) > MAX_NAME_CHARS:
        raise InputError(f"a task's name has {MAX_NAME_CHARS} characters at most")
    return Filters(task=task, first=given.get("first", "").strip(), last=given.get("last", "").strip())


def day(text: str) -> datetime | None:
    """The day (UTC) of a form's field, None for an empty one; raises InputError."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError("a day has the form 2026-03-31") from error
    if not 1970 <= day.year <= 9000:
        raise InputError("a day lies between 1970 and 9000")
    return day
