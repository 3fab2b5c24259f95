"""Who matters most is served first: the broker beside HAProxy and nginx, with more to do than servers can.

``python -m bench.priorities`` runs the cases of `cases` for each proxy of `fronts`: three servers with a
fixed number of places (`server`, `servers`), clients who come when they come (`arriving`), a quarter of them
over TLS from an address that belongs to a group. What they saw, what the servers did and, for the broker,
what its access log says, becomes `figures` and `shares`; `table` and `picture` show it.
"""
