"""What makes ``twistd -r sslbroker`` known; imports nothing heavy, for twistd reads it at every start."""

from twisted.application.reactors import Reactor

sslbroker = Reactor(
    "sslbroker",
    "sslbroker.sockets.reactor",
    "epoll, with less around each event; `sslbroker` takes it itself.",
)
