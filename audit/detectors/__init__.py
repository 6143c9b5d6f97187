"""Detectors of security alerts: pure functions, plain values in, a finding with evidence out.

Nothing here reads the clock, the database or the settings. `audit.detection` and
`portfolios.watch` gather what they judge; the thresholds come from ``ALERT_THRESHOLDS``.
"""
