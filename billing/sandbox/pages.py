"""The pages that a browser is sent to: checkout, billing portal, an invoice."""

from html import escape

from aiohttp import web

from billing.sandbox import cards, changes, checkout, lines, states
from billing.sandbox.gateway import Gateway
from billing.sandbox.wire import Object, StripeError
from billing.sandbox.world import World, kept

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body {{ font: 16px sans-serif; max-width: 32em; margin: 3em auto; padding: 0 1em }}
button {{ font: inherit; padding: .5em 1em; margin: .2em }}</style></head>
<body><h1>{title}</h1><p>This is a sandbox: no money moves.</p>
{content}</body></html>
"""
# The smallest document that a reader opens: one empty page.
_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""
_SESSION_MARK = "{CHECKOUT_SESSION_ID}"


class Pages:
    """Handlers over one sandbox."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self._world, self._gateway = world, gateway

    def routes(self) -> list[web.RouteDef]:
        """The paths and what answers them."""
        return [
            web.get("/_pages/checkout/{id}", self.checkout),
            web.post("/_pages/checkout/{id}", self.check_out),
            web.get("/_pages/portal/{id}", self.portal),
            web.post("/_pages/portal/{id}", self.cancel),
            web.get("/_pages/invoices/{id}", self.invoice),
            web.get("/_pages/invoices/{id}/pdf", self.pdf),
            web.get("/_pages/charges/{id}", self.receipt),
        ]

    async def checkout(self, request: web.Request) -> web.Response:
        """What is bought, and buttons to pay, be declined, or go back."""
        return _page("Checkout", self._offer(self._session(request)))

    async def check_out(self, request: web.Request) -> web.Response:
        """Pay and go to the page of success, or say why not."""
        session, form = self._session(request), await request.post()
        if form.get("action") == "cancel":
            raise web.HTTPSeeOther(session["cancel_url"] or session["success_url"])
        method = cards.BAD if form.get("action") == "decline" else cards.GOOD
        try:
            async with self._gateway.turn:
                await checkout.complete(self._world, session["id"], method)
        except StripeError as error:
            content = f"<p role=alert>{escape(error.message)}</p>{self._offer(session)}"
            return _page("Checkout", content, status=error.status)
        raise web.HTTPSeeOther(session["success_url"].replace(_SESSION_MARK, session["id"]))

    def _session(self, request: web.Request) -> Object:
        return _found(self._world.sessions, request)

    def _offer(self, session: Object) -> str:
        if session["status"] != "open":
            return f"<p>This session is {escape(session['status'])}.</p>"
        shown = "".join(
            f"<li>{escape(line['description'])}: {_money(line)}</li>"
            for line in session["line_items"]["data"]
        )
        return f"<ul>{shown}</ul>" + _form(
            {"pay": "Pay", "decline": "Pay with a card that is declined", "cancel": "Cancel"}
        )

    async def portal(self, request: web.Request) -> web.Response:
        """The customer's subscriptions, each with a button that ends it with its period."""
        session = _found(self._world.portals, request)
        owned = [
            one
            for one in self._world.subscriptions.values()
            if one["customer"] == session["customer"] and one["status"] not in states.OVER
        ]
        listed = "".join(f"<li>{_subscription(self._world, one)}</li>" for one in owned)
        back = session["return_url"]
        link = f'<p><a href="{escape(back)}">Back</a></p>' if back else ""
        return _page("Billing", f"<ul>{listed or '<li>No subscription.</li>'}</ul>{link}")

    async def cancel(self, request: web.Request) -> web.Response:
        """End a subscription with its period, and show them again."""
        session, form = _found(self._world.portals, request), await request.post()
        subscription = self._world.subscriptions.get(str(form.get("action")))
        if subscription is None or subscription["customer"] != session["customer"]:
            raise web.HTTPNotFound
        async with self._gateway.turn:
            await changes.apply(self._world, subscription, {"cancel_at_period_end": True})
        raise web.HTTPSeeOther(request.path)

    async def invoice(self, request: web.Request) -> web.Response:
        """An invoice, line by line."""
        invoice = _found(self._world.invoices, request)
        shown = "".join(
            f"<li>{escape(line['description'])}: {_money(line)}</li>"
            for line in invoice["lines"]["data"]
        )
        total = f"<p>Total {_money({**invoice, 'amount': invoice['total']})}</p>"
        return _page(f"Invoice {invoice['number']}", f"<ul>{shown}</ul>{total}")

    async def pdf(self, request: web.Request) -> web.Response:
        """An invoice as a document, empty here."""
        _found(self._world.invoices, request)
        return web.Response(body=_PDF, content_type="application/pdf")

    async def receipt(self, request: web.Request) -> web.Response:
        """That a charge was paid."""
        return _page("Receipt", f"<p>{escape(request.match_info['id'])}</p>")


def _found(objects: dict[str, Object], request: web.Request) -> Object:
    try:
        return kept(objects, "page", request.match_info["id"])
    except StripeError:
        raise web.HTTPNotFound from None


def _subscription(world: World, subscription: Object) -> str:
    price = subscription["items"]["data"][0]["price"]
    title = escape(f"{lines.called(world, price)}: {subscription['status']}")
    if subscription["cancel_at_period_end"]:
        return f"{title}, ends with its period"
    return title + _form({subscription["id"]: "Cancel at the end of the period"})


def _form(actions: dict[str, str]) -> str:
    buttons = "".join(
        f'<button name="action" value="{escape(action)}">{escape(label)}</button>'
        for action, label in actions.items()
    )
    return f'<form method="post">{buttons}</form>'


def _money(line: Object) -> str:
    amount = line["amount_total"] if "amount_total" in line else line["amount"]
    return f"{amount / 100:.2f} {escape(line['currency'].upper())}"


def _page(title: str, content: str, *, status: int = 200) -> web.Response:
    text = _PAGE.format(title=escape(title), content=content)
    return web.Response(text=text, status=status, content_type="text/html")
