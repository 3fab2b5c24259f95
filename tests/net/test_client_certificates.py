"""Certificates of clients: who is let in at which name, what is told of them, and every way around it."""
