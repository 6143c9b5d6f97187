"""A small JSON client over Django's test client, signed in as a person."""

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts import sessions
from accounts.sessions import Device
from tracker import clock


class ApiClient:
    """`api.get("/portfolio")` → response with `.status_code`, `.json()`, headers."""

    def __init__(self, user: Any = None) -> None:
        self.django = Client()
        self.headers: dict[str, str] = {}
        if user is not None:
            # As somebody who has shown a second factor, too, where there is one.
            signed_in = sessions.start(
                user=user, device=Device(), now=clock.now(), method="everything"
            )
            self.headers["Authorization"] = f"Bearer {signed_in.access}"
            self.refresh_token = signed_in.refresh

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.django.generic(
            method, path if path.startswith("/api/") else f"/api/v1{path}",
            data=b"" if body is None else data, content_type="application/json",
            headers={**self.headers, **headers},
        )  # fmt: skip

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, None, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("PATCH", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("PUT", path, body, **headers)

    def send_file(
        self, path: str, content: bytes, name: str = "file.csv", *, key: str = "", **fields: str
    ) -> Any:
        """A form with one file and some other fields; ``key`` is its Idempotency-Key."""
        data = {"file": SimpleUploadedFile(name, content), **fields}
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return self.django.post(f"/api/v1{path}", data, headers=headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, None, **headers)
