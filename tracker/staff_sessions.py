"""Where the sessions of staff are kept: in PostgreSQL alone, under the digest of their key.

The key in the cookie opens the admin, so it is stored nowhere, as no token of the app is. Who
reads the table, a dump of it or Redis finds nothing to put into a cookie.
"""

import hashlib
from base64 import b85encode
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.utils import timezone


def stored_key(key: str) -> str:
    """What stands in the table instead of the key: SHA-256, in the 40 characters of the column.

    Without a salt or a slow function: the key is random, 165 bits of it.
    """
    return b85encode(hashlib.sha256(key.encode()).digest()).decode()


class SessionStore(db.SessionStore):
    """Django's own, of which every way to the table goes by the digest."""

    def exists(self, session_key: str) -> bool:
        return super().exists(stored_key(session_key))

    def create_model_instance(self, data: Any) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(stored_key(key))

    def _get_session_from_db(self) -> Any:
        found = self.model.objects.filter(
            session_key=stored_key(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if found is None:
            self._session_key = None  # a key that nobody handed out is not taken over
        return found

    # Nothing here runs asynchronously; what Django brings for that would store the key itself.
    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def acreate_model_instance(self, data: Any) -> Any:
        return await sync_to_async(self.create_model_instance)(data)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    async def _aget_session_from_db(self) -> Any:
        return await sync_to_async(self._get_session_from_db)()
