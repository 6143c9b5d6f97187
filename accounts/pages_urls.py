"""Addresses outside the API: pages that links in e-mails open (`accounts.links` knows them too),
legal pages, and the files that phones read."""

from django.urls import path

from accounts import legal, pages, well_known

urlpatterns = [
    path("confirm-email", pages.confirm_email),
    path("confirm-new-email", pages.confirm_new_email),
    path("reset-password", pages.reset_password),
    path("cancel-second-factor-reset", pages.cancel_second_factor_reset),
    path("unsubscribe", pages.unsubscribe),
    path("terms", legal.terms),
    path("privacy", legal.privacy),
    path("exports", legal.fetch_export),
    path(".well-known/apple-app-site-association", well_known.apple),
    path(".well-known/assetlinks.json", well_known.android),
]
