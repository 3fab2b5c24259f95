"""Does: the Twisted glue between clients, links to servers, and the core that decides."""
