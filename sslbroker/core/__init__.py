"""Decides: storage, choice of server, failover, the life of a transaction. No Twisted, no clock, no sockets."""
