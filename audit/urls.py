from django.urls import path

from audit import views, views_security

urlpatterns = [
    path("me/activity", views.MyActivityView.as_view()),
    path("me/alerts", views_security.AlertsView.as_view()),
    path("me/alerts/<uuid:id>/acknowledge", views_security.AcknowledgeView.as_view()),
]
