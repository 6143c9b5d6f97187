"""The files by which phones believe that an app belongs to our domain."""

import pytest
from django.test import Client

from accounts.second_factor import passkeys

APPLE, ANDROID = "/.well-known/apple-app-site-association", "/.well-known/assetlinks.json"
FINGERPRINT = ":".join(["AB"] * 32)


@pytest.mark.parametrize("address", [APPLE, ANDROID])
def test_without_apps_there_are_no_files(address):
    assert Client().get(address).status_code == 404


def test_the_apps_of_the_settings_are_named(settings):
    settings.APPLE_APP_IDS = ["TEAM123456.com.example.tracker"]
    settings.ANDROID_APPS = {"com.example.tracker": [FINGERPRINT]}
    apple = Client().get(APPLE)
    assert apple["Content-Type"] == "application/json"
    assert apple.json() == {"webcredentials": {"apps": ["TEAM123456.com.example.tracker"]}}
    (statement,) = Client().get(ANDROID).json()
    assert "delegate_permission/common.get_login_creds" in statement["relation"]
    assert statement["target"] == {
        "namespace": "android_app",
        "package_name": "com.example.tracker",
        "sha256_cert_fingerprints": [FINGERPRINT],
    }


def test_an_android_app_speaks_from_its_certificate(settings):
    """Its origin is the fingerprint again, in base64url."""
    settings.ANDROID_APPS = {"com.example.tracker": [FINGERPRINT]}
    assert passkeys.origins()[-1] == "android:apk-key-hash:" + "q6ur" * 10 + "q6s"
