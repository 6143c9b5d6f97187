"""A Stripe of development and tests: answers in Stripe's shapes, on this machine only.

What localstripe knows it keeps there, in a process of its own; the rest is kept here, in memory.
"""
