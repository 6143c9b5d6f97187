from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """Django's admin on our site, which asks for a second factor."""

    default_site = "accounts.staff.site.StaffSite"
