"""Watches: the access log, the metrics and the page at [admin]. Never decides."""
