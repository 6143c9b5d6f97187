"""One page with everything that is known about a connection's health. It is for reading; its one
button has quarantined rows read again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from exchanges import admin as exchanges_admin
from exchanges import gateway, remedies
from exchanges.models import ConnectionKind, Coverage, ExchangeConnection, QuarantinedPage
from exchanges.reports import Asked, BudgetState, PoolState
from portfolios.models import SyncRun
from portfolios.sync import diagnosis, support
from portfolios.sync.diagnosis import FeedCoverage, Visited
from tracker import charts, clock, touching
from tracker.admin import staff_id


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A feed on a line of time: read by all its symbols, by some, and where its horizon is."""

    feed: FeedCoverage
    read: charts.Stretch | None
    partly: charts.Stretch | None
    horizon: float | None


@dataclass(frozen=True, slots=True)
class CallLine:
    """A call in its run: where it waited and where it was under way, in percent of the run."""

    asked: Asked
    waited: charts.Stretch
    took: charts.Stretch
    left_out: int  # calls between the one before and this one


class DoctorAdmin(exchanges_admin.ConnectionAdmin):
    """A connection's page leads to its doctor."""

    change_form_template = "admin/exchanges/connection_change_form.html"

    def get_urls(self) -> list[Any]:
        doctor = self.admin_site.admin_view(self.doctor)
        replay = self.admin_site.admin_view(self.replay)
        name = "exchanges_exchangeconnection"
        return [
            path("<uuid:key>/doctor/", doctor, name=f"{name}_doctor"),
            path("<uuid:key>/doctor/replay/", replay, name=f"{name}_replay"),
            *super().get_urls(),
        ]

    def doctor(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """The page; each part only for those who may see what it is made of."""
        found = self._found(request, key)
        context = self.admin_site.each_context(request) | self._shown(request, found) | {
            "title": f"Doctor: {found}", "opts": self.opts, "original": found,
        }  # fmt: skip
        return TemplateResponse(request, "admin/exchanges/connection_doctor.html", context)

    def replay(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Have the connection's quarantine read again by a worker."""
        found = self._found(request, key)
        if request.method != "POST" or not self._may_replay(request, found):
            raise PermissionDenied
        rows = support.replay_connection(connection=found, actor_id=staff_id(request))
        text = f"Rows to be read again by a worker: {rows}."
        self.message_user(request, text, messages.SUCCESS if rows else messages.WARNING)
        return HttpResponseRedirect(
            reverse("admin:exchanges_exchangeconnection_doctor", args=[found.pk])
        )

    def _found(self, request: HttpRequest, key: UUID) -> ExchangeConnection:
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = ExchangeConnection.objects.select_related("user", "exchange")
        found = rows.filter(id=key, kind=ConnectionKind.EXCHANGE).first()
        if found is None:
            raise Http404
        return found

    def _may_see(self, request: HttpRequest, model: type[models.Model]) -> bool:
        other = self.admin_site._registry.get(model)
        return other is not None and other.has_view_permission(request)

    def _may_replay(self, request: HttpRequest, found: ExchangeConnection) -> bool:
        other: Any = self.admin_site._registry.get(QuarantinedPage)
        may = other.has_view_permission(request) and other.has_act_permission(request)
        return may and touching.may_act_on(request, found.user)

    def _shown(self, request: HttpRequest, found: ExchangeConnection) -> dict[str, Any]:
        now = clock.now()
        shown: dict[str, Any] = {
            "health": diagnosis.health(found, now=now), "now": now,
            "budget": _meters(gateway.budget_state(found.exchange_id)),
        }  # fmt: skip
        if self._may_see(request, Coverage):
            feeds = diagnosis.coverage(found, now=now)
            shown |= {"feeds": list(_feed_lines(feeds, now)), "axis": _axis(feeds, now)}
        if self._may_see(request, QuarantinedPage):
            waiting = diagnosis.waiting(found)
            replayable = sum(row.replayable for row in waiting)
            shown |= {
                "waiting": waiting, "replayable": replayable,
                "may_replay": self._may_replay(request, found),
            }  # fmt: skip
        if self._may_see(request, SyncRun):
            shown["visits"] = [_visit(visited) for visited in diagnosis.runs(found)]
        return shown


# --- drawing ------------------------------------------------------------------------------------
def _axis(feeds: Sequence[FeedCoverage], now: datetime) -> tuple[datetime, datetime]:
    """The line of time: from where anything was read to now."""
    return min((feed.since for feed in feeds if feed.since), default=now), now


def _feed_lines(feeds: Sequence[FeedCoverage], now: datetime) -> Iterator[FeedLine]:
    first, last = (moment.timestamp() for moment in _axis(feeds, now))

    def drawn(since: datetime | None, until: datetime | None) -> charts.Stretch | None:
        if since is None or until is None:
            return None
        return charts.stretch(since.timestamp(), until.timestamp(), first=first, last=last)

    for feed in feeds:
        horizon = drawn(feed.horizon, feed.horizon)
        inside = feed.horizon is not None and feed.horizon.timestamp() > first
        yield FeedLine(
            feed, drawn(feed.since, feed.until), drawn(feed.until, feed.reached),
            horizon.left if horizon and inside else None,
        )  # fmt: skip


def _visit(visited: Visited) -> dict[str, Any]:
    problems = [
        {**problem, "remedy": remedies.of(problem.get("code", ""))}
        for problem in visited.run.problems
    ]
    return {"visited": visited, "problems": problems, "calls": list(_call_lines(visited))}


def _call_lines(visited: Visited) -> Iterator[CallLine]:
    calls = [call for stretch in visited.stretches for call in stretch.calls]
    last = max((call.at + call.waited + call.took for call in calls), default=0)
    for stretch in visited.stretches:
        for place, call in enumerate(stretch.calls):
            sent = call.at + call.waited
            yield CallLine(
                call, charts.stretch(call.at, sent, first=0, last=last),
                charts.stretch(sent, sent + call.took, first=0, last=last),
                0 if place else stretch.left_out,
            )  # fmt: skip


def _meters(state: BudgetState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "stopped_for": state.stopped_for,
        "used": [(pool, _share(pool)) for pool in state.pools if pool.used],
        "unused": [pool for pool in state.pools if not pool.used],
    }


def _share(pool: PoolState) -> float:
    """In percent; a call heavier than its pool goes beyond a hundred."""
    return min(100.0, 100 * pool.used / pool.allowed) if pool.allowed else 0.0
