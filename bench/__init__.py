"""The broker beside HAProxy, nginx and stock Twisted: same machine, same servers, same load, same run.

``python -m bench`` runs `rows` (what is measured) for `proxies` (who is measured); `measuring` reads what
a proxy cost, `loads` ask, `report` and `plot` show. docs/performance.md says what each row means. The
scripts `transaction`, `http_codec` and `http_worst` measure parts of the broker alone.
"""
