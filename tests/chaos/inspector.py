"""Questions that only the product's own code can answer, asked of a process that stays.

One JSON object a line in, one out: Django is loaded once for a whole run of the matrix.
"""

import json
import sys
from contextlib import suppress
from typing import Any


def chain(keys: str) -> dict[str, Any]:
    """What the verification of the activity log finds."""
    from audit import verification

    _use(keys)
    report = verification.verify()
    return {"found": [finding.text for finding in report.findings][:5], "rows": report.rows}


def credentials(keys: str) -> dict[str, Any]:
    """How many credentials open with these keys alone, and how many do not."""
    from django.conf import settings

    from accounts.models import DataKey
    from exchanges import credentials as sealed
    from exchanges.gateway import credentials as opening
    from exchanges.gateway.errors import CredentialUnreadable
    from exchanges.models import ExchangeConnection
    from tracker import tenancy

    _use(keys)
    opened = 0
    with tenancy.as_system("chaos"):
        ids = list(ExchangeConnection.objects.filter(kind="exchange").values_list("id", flat=True))
        for credential in sealed.load(ids).values():
            with suppress(CredentialUnreadable):
                opened += bool(opening.opened(credential).api_secret)
        others = DataKey.objects.exclude(key_id=settings.ENCRYPTION_KEYRING.current_id).count()
    return {"opened": opened, "closed": len(ids) - opened + others}


def people(keys: str, count: int) -> dict[str, Any]:
    """People with a data key each, so that a rotation has several batches."""
    from django.conf import settings

    from accounts.models import DataKey, User
    from tracker import tenancy, vault

    _use(keys)
    with tenancy.as_system("chaos"):
        rows = User.objects.bulk_create(
            User(email=f"key-{number}@example.com") for number in range(count)
        )
        wrap = settings.ENCRYPTION_KEYRING.wrap
        wrapped = [(row.id, wrap(vault.new_data_key(), user_id=row.id)) for row in rows]
        DataKey.objects.bulk_create(
            DataKey(user_id=user_id, key_id=key.key_id, wrapped_key=key.ciphertext)
            for user_id, key in wrapped
        )
    return {"made": count}


def _use(keys: str) -> None:
    from django.conf import settings

    from tracker.vault import Keyring

    settings.ENCRYPTION_KEYRING = Keyring.parse(keys)


def main() -> None:
    """Answer until the input ends; a lost database is an answer, too."""
    import django

    django.setup()
    from django.db import connection

    for line in sys.stdin:
        asked = json.loads(line)
        question = {"chain": chain, "credentials": credentials, "people": people}[asked.pop("ask")]
        try:
            answer = question(**asked)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        connection.close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
