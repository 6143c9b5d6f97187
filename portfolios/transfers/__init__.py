"""Withdrawals and deposits that are one move between own accounts."""
