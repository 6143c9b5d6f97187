"""Row-level security on what 0001 made, and on dj-stripe's copies of what people have at Stripe,
which know their person through the customer."""

from django.db import migrations

from tracker import tenancy

_CUSTOMER = "SELECT c.subscriber_id FROM djstripe_customer c WHERE c.id = {}"
_SUBSCRIPTION = (
    "SELECT c.subscriber_id FROM djstripe_customer c JOIN djstripe_subscription s "
    "ON s.customer_id = c.id WHERE s.id = djstripe_subscriptionitem.subscription_id"
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("djstripe", "0001_initial")]

    operations = [
        tenancy.protect("billing_accounts"),
        tenancy.protect("subscriptions"),
        tenancy.protect("invoices"),
        tenancy.protect("plan_grants"),
        tenancy.protect("stripe_requests"),
        tenancy.protect("stripe_events"),
        tenancy.protect("usage_days"),
        tenancy.protect("usage_months"),
        tenancy.protect("meter_reports"),
        tenancy.protect("djstripe_customer", user_column="subscriber_id"),
        tenancy.protect_through(
            "djstripe_subscription", _CUSTOMER.format("djstripe_subscription.customer_id")
        ),
        tenancy.protect_through("djstripe_subscriptionitem", _SUBSCRIPTION),
    ]
