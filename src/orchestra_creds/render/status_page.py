"""How credentials stand as an offline page: no script, nothing from elsewhere, a time line with a twin in words."""

from datetime import datetime, timedelta

from orchestra_creds.core.durations import rough_text
from orchestra_creds.render.page import fill_template
from orchestra_creds.render.rotation import listing_line
from orchestra_creds.render.status import next_rotation, word
from orchestra_creds.render.times import time_text
from orchestra_creds.rotation.status import CredentialStatus, Survey


def page(found: Survey) -> str:
    """One document: a bar from creation to today for each credential, a diamond at its due date."""
    ends = [one.due for one in found.statuses if one.due] + [found.at + timedelta(days=7)]
    starts = [one.since for one in found.statuses if one.since] + [found.at - timedelta(days=7)]
    first, last = min(starts), max(ends)
    whole = (last - first).total_seconds()

    def position(moment: datetime) -> float:
        return round(100 * (moment - first).total_seconds() / whole, 3)

    rows = [
        {
            "one": one,
            "word": word(one),
            "next": next_rotation(one, found.at),
            "age": _age(one),
            "begin": position(one.since) if one.since else None,
            "length": max(position(found.at) - position(one.since), 0.4) if one.since else None,
            "due": position(one.due) if one.due else None,
            "due_text": time_text(one.due),
            "ends": time_text(one.ends),
        }
        for one in found.statuses
    ]
    return fill_template(
        "status.html",
        project=found.project,
        at=time_text(found.at),
        today=position(found.at),
        first=f"{first:%Y-%m-%d}",
        last=f"{last:%Y-%m-%d}",
        rows=rows,
        problems=sum(bool(one.problems) for one in found.statuses),
        notes=[*([listing_line(found.listing_error)] if found.listing_error else []), *found.notes],
    )


def _age(one: CredentialStatus) -> str:
    if one.age is not None:
        return rough_text(one.age)
    return "state unknown" if one.phase == "?" else "no version yet"
