"""Strategies that people keep and watch, and what these would have done in the past."""
