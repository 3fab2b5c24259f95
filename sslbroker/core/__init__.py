"""Decides: storage, the choice of a server, failover, the life of a transaction.

No Twisted, no clock, no sockets, no HTTP.
"""
