"""What makes ``twistd sslbroker`` known; imports nothing heavy, for twistd reads it at every start."""

from twisted.application.service import ServiceMaker

sslbroker = ServiceMaker(
    "sslbroker",
    "sslbroker.tap",
    "A TLS broker in front of a pool of servers.",
    "sslbroker",
)
