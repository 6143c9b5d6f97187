from django.urls import path

from billing import views

urlpatterns = [
    path("billing/plans", views.PlansView.as_view()),
    path("billing/subscription", views.SubscriptionView.as_view()),
    path("billing/checkout", views.CheckoutView.as_view()),
    path("billing/portal", views.PortalView.as_view()),
    path("billing/invoices", views.InvoicesView.as_view()),
    path("billing/usage", views.UsageView.as_view()),
]
