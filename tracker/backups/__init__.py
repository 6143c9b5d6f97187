"""Encrypted copies of the database and of private files, and bringing them back.

A leaf: it knows tables by name and no room. Rooms add what they verify after a restore through
``tracker.backups.drill.check``.
"""
