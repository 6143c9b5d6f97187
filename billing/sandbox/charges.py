"""Charges, what is given back of them, and what is disputed."""

from billing.sandbox import cards
from billing.sandbox.wire import Object, invalid, metadata, now, page, token
from billing.sandbox.world import Call, World, kept

_EVIDENCE_SECONDS = 7 * 86400
_CLOSED = ("won", "lost")


async def charge(world: World, named: str, *, param: str | None = None) -> Object:
    """A charge. Raises StripeError."""
    return await _shape(world, await world.known("charge", named, param=param))


async def retrieve(world: World, call: Call) -> Object:
    """The charge of the path."""
    return await charge(world, call.id)


async def listed(world: World, call: Call) -> Object:
    """Charges, newest first."""
    asked = call.asked
    found = [
        await _shape(world, one)
        for one in reversed(await world.inner.all("charges"))
        if asked.get("customer") in (None, one["customer"])
        and asked.get("payment_intent") in (None, one["payment_intent"])
    ]
    return page(found, asked, "/v1/charges")


async def _shape(world: World, inner: Object) -> Object:
    method, is_paid = await cards.method(world, inner["payment_method"]), inner["paid"]
    return dict.fromkeys(_EMPTY) | {
        "id": inner["id"],
        "object": "charge",
        "amount": inner["amount"],
        "amount_captured": inner["amount"] if is_paid else 0,
        "amount_refunded": inner["amount_refunded"],
        "balance_transaction": inner["balance_transaction"],
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": is_paid,
        "created": inner["created"],
        "currency": inner["currency"],
        "customer": inner["customer"],
        "disputed": world.extras[inner["id"]].get("disputed", False),
        "failure_code": inner["failure_code"],
        "failure_message": inner["failure_message"],
        "fraud_details": {},
        "livemode": False,
        "metadata": metadata(inner["metadata"], None),
        "outcome": _outcome(world, inner),
        "paid": is_paid,
        "payment_intent": inner["payment_intent"],
        "payment_method": inner["payment_method"],
        "payment_method_details": {"card": _card(method), "type": "card"},
        "radar_options": {},
        "receipt_url": f"{world.url}/_pages/charges/{inner['id']}",
        "refunded": inner["refunded"],
        "status": inner["status"],
    }


def _card(method: Object) -> Object:
    shown = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {name: method["card"][name] for name in shown}


def _outcome(world: World, inner: Object) -> Object:
    is_paid = inner["paid"]
    reason = None if is_paid else world.extras[inner["payment_method"]].get("decline_code")
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if is_paid else "declined_by_network",
        "reason": reason,
        "risk_level": "normal",
        "seller_message": "Payment complete." if is_paid else "The bank declined the payment.",
        "type": "authorized" if is_paid else "issuer_declined",
    }


async def create_refund(world: World, call: Call) -> Object:
    """What is given back, the rest of the charge unless less is asked for."""
    asked = call.asked
    paid = await _refundable(world, asked)
    left = paid["amount"] - paid["amount_refunded"]
    if not left or paid["disputed"]:
        code = "charge_disputed" if paid["disputed"] else "charge_already_refunded"
        raise invalid(f"Charge {paid['id']} cannot be refunded.", code=code)
    amount = asked.get("amount", left)
    if not 0 < amount <= left:
        raise invalid(f"Refund amount ({amount}) is not within {left}.", param="amount")
    sent = {"metadata": asked["metadata"]} if asked.get("metadata") else {}
    made = await world.inner.post("refunds", charge=paid["id"], amount=amount, **sent)
    world.extras[made["id"]]["reason"] = asked.get("reason")
    world.events.tell("charge.refunded", await charge(world, paid["id"]))
    return _refund(world, made, paid["payment_intent"])


async def _refundable(world: World, asked: Object) -> Object:
    if ("charge" in asked) == ("payment_intent" in asked):
        raise invalid("One of charge and payment_intent is needed.", param="charge")
    named = asked.get("charge")
    if named is None:
        param = "payment_intent"
        intent = await world.known("payment_intent", asked[param], param=param)
        if intent["status"] != "succeeded":
            raise invalid("This PaymentIntent does not have a successful charge to refund.")
        named = intent["latest_charge"]["id"]
    paid = await charge(world, named, param="charge")
    if not paid["paid"]:
        raise invalid(f"Charge {named} was not successful.", param="charge")
    return paid


async def retrieve_refund(world: World, call: Call) -> Object:
    """The refund of the path."""
    inner = await world.known("refund", call.id)
    paid = await world.known("charge", inner["charge"])
    return _refund(world, inner, paid["payment_intent"])


async def list_refunds(world: World, call: Call) -> Object:
    """Refunds, newest first."""
    asked, intents = call.asked, {}
    for one in await world.inner.all("charges"):
        intents[one["id"]] = one["payment_intent"]
    found = [
        _refund(world, one, intents[one["charge"]])
        for one in sorted(await world.inner.all("refunds"), key=lambda one: -one["created"])
        if asked.get("charge") in (None, one["charge"])
        and asked.get("payment_intent") in (None, intents[one["charge"]])
    ]
    return page(found, asked, "/v1/refunds")


def _refund(world: World, inner: Object, intent: str | None) -> Object:
    return {
        "id": inner["id"],
        "object": "refund",
        "amount": inner["amount"],
        "balance_transaction": inner["balance_transaction"],
        "charge": inner["charge"],
        "created": inner["created"],
        "currency": inner["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": metadata(inner["metadata"], None),
        "payment_intent": intent,
        "reason": world.extras[inner["id"]].get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": inner["status"],
        "transfer_reversal": None,
    }


async def dispute(world: World, named: str, status: str) -> Object:
    """A dispute of a charge, made now."""
    paid = await charge(world, named)
    if not paid["paid"] or paid["disputed"]:
        raise invalid("Only a paid charge can be disputed, and once.")
    made = _dispute(paid, status)
    world.disputes[made["id"]] = made
    world.extras[named]["disputed"] = True
    world.events.tell("charge.dispute.created", made)
    return made


def _dispute(paid: Object, status: str) -> Object:
    return {
        "id": token("du_"),
        "object": "dispute",
        "amount": paid["amount"],
        "balance_transactions": [],
        "charge": paid["id"],
        "created": now(),
        "currency": paid["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now() + _EVIDENCE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": paid["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": paid["payment_method_details"]["card"]["brand"],
                "case_type": "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": "fraudulent",
        "status": status,
    }


def close_dispute(world: World, named: str, status: str) -> Object:
    """The dispute, won or lost now."""
    found = kept(world.disputes, "dispute", named)
    if found["status"] in _CLOSED or status not in _CLOSED:
        raise invalid("An open dispute is won or lost.", param="status")
    found["status"] = status
    world.events.tell("charge.dispute.closed", found)
    return found


async def retrieve_dispute(world: World, call: Call) -> Object:
    """The dispute of the path."""
    return kept(world.disputes, "dispute", call.id)


async def list_disputes(world: World, call: Call) -> Object:
    """Disputes, newest first."""
    asked = call.asked
    found = [
        one
        for one in reversed(world.disputes.values())
        if asked.get("charge") in (None, one["charge"])
        and asked.get("payment_intent") in (None, one["payment_intent"])
    ]
    return page(found, asked, "/v1/disputes")


_EMPTY = (
    "application",
    "application_fee",
    "application_fee_amount",
    "description",
    "failure_balance_transaction",
    "on_behalf_of",
    "receipt_email",
    "receipt_number",
    "review",
    "shipping",
    "source",
    "source_transfer",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)
