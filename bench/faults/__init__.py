"""Servers are killed, stopped and broken while clients compare hashes: the broker beside HAProxy and nginx.

``python -m bench.faults`` runs the cases of `cases` for each proxy of `fronts`: three fulfillment servers as
real processes (`servers`; those that are broken by nature: `server`), clients (`asking`, and `arriving` for
more than the servers can do), and what befalls the servers meanwhile (`befalling`). What clients saw is
counted (`seen`); for the broker each failure is looked up in its access log (`reasons`); `table` shows it.
"""
