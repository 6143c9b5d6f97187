"""What the status page's template draws: bars, words and instants, made of the plain copy. Pure."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

WIDTH, GAP, HEIGHT = 10, 2, 40  # of one bar, in the units of its picture
HOLE = 15  # minutes of a day that were not measured: from a hundredth on they are listed
# Higher is worse, so that bad days stand out, without their colours too.
_HEIGHTS = {"up": 20, "degraded": 30, "down": 40, "unknown": 4}
WORDS = {
    "up": "works", "degraded": "works in part", "down": "does not work",
    "unknown": "not measured",
}  # fmt: skip
IMPACTS = {
    "maintenance": "Planned maintenance", "minor": "Minor", "major": "Major",
    "critical": "Critical",
}  # fmt: skip
STATES = {
    "investigating": "Investigating", "identified": "Cause found",
    "monitoring": "Repaired, being watched", "resolved": "Resolved",
}  # fmt: skip


def page(copy: Mapping[str, Any]) -> dict[str, Any]:
    """The template's context; the copy itself stays as it is."""
    told = [_incident(row) for row in copy["incidents"]]
    begun = [row for row in told if not row["planned"]]
    return {
        "as_of": datetime.fromisoformat(copy["as_of"]),
        "overall": copy["overall"],
        "components": [_component(part) for part in copy["components"]],
        "planned": [row for row in told if row["planned"] and row["state"] != "resolved"],
        "open": [row for row in begun if row["state"] != "resolved"],
        "past": [row for row in begun if row["state"] == "resolved"],
        "levels": copy["service_levels"],
    }


def _component(part: Mapping[str, Any]) -> dict[str, Any]:
    days = part["days"]
    troubled = [day for day in days if day["state"] in ("degraded", "down")]
    return {
        **part,
        "word": WORDS[part["state"]],
        "width": len(days) * WIDTH - GAP,
        "height": HEIGHT,
        "bars": [_bar(place, day) for place, day in enumerate(days)],
        "disturbed": len(troubled),
        "told": [_told(day) for day in reversed(days) if day in troubled or _has_hole(day)],
        "unmeasured": sum(day["state"] == "unknown" for day in days),
        "measured": sum(day["state"] != "unknown" for day in days),
    }


def _bar(place: int, day: Mapping[str, Any]) -> dict[str, Any]:
    height = _HEIGHTS[day["state"]]
    return {
        "state": day["state"], "hole": _has_hole(day), "text": f"{_date(day)}: {_said(day)}",
        "x": place * WIDTH, "y": HEIGHT - height, "width": WIDTH - GAP, "height": height,
    }  # fmt: skip


def _has_hole(day: Mapping[str, Any]) -> bool:
    """Whether so much of a day that is known was not measured that it is worth a line."""
    return day["state"] != "unknown" and day["unmeasured"] >= HOLE


def _told(day: Mapping[str, Any]) -> dict[str, str]:
    return {"date": _date(day), "text": _said(day)}


def _said(day: Mapping[str, Any]) -> str:
    if day["state"] == "unknown":
        return WORDS["unknown"]
    parts = [WORDS["up"]] if day["state"] == "up" else []
    parts += [
        f"{day[name]} min {word}"
        for name, word in (
            ("down", "not working"), ("degraded", "in part"), ("unmeasured", "not measured"),
        )
        if day[name]
    ]  # fmt: skip
    return ", ".join(parts)


def _date(day: Mapping[str, Any]) -> str:
    return f"{date.fromisoformat(day['day']):%-d %b %Y}"


def _incident(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "impact_word": IMPACTS[row["impact"]],
        "state_word": STATES[row["state"]],
        "started": datetime.fromisoformat(row["started_at"]),
        "updates": [
            {
                **update,
                "at": datetime.fromisoformat(update["at"]),
                "word": STATES[update["state"]],
            }
            for update in row["updates"]
        ],
    }
