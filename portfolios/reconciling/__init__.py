"""Where reports and books differ, since when, why, and what can be done about it."""
