"""Several processes that serve as one broker: a parent, which owns, and workers, which serve.

    parent    owns the listening sockets, the admin pages, limits of servers, findings; serves nobody
    template  forked once from the parent, before anything runs: what workers are forked from
    worker    a broker of its own on the socket of its slot, with its share of what is limited

They talk by the table of `messages`. The parent, `sslbroker.several`, knows the broker; nothing here does.
"""
