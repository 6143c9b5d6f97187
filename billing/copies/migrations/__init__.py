"""dj-stripe's tables as one migration.

Its own history makes and removes hundreds of fields, which takes a minute on each new database.
Nobody here has an older one. When dj-stripe is upgraded, ``makemigrations`` writes what changed
into this package, and ``make check`` fails until it has.
"""
