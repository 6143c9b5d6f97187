"""What the exchange should do wrong, where, and how often.

A fault is found by the path's beginning, and by account and symbol if it names them. It lasts
until it happened `count` times, until `lasts` seconds are over, or until it is switched off. Some
act before the request is served, some on what becomes of the answer (`acts`, `pages`), and two
change what the exchange believes: `clock` its time, `coarse_times` how finely it tells times. A
new kind is one function and one entry in a table.
"""
