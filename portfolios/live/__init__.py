"""What moves while a person looks: prices, their portfolio's value, and how a sync goes on.

A process of its own (``manage.py serve_stream``) speaks WebSocket. ``messages`` says what is
spoken, ``server`` who may listen, ``fanout`` and ``people`` what they are told.
"""
