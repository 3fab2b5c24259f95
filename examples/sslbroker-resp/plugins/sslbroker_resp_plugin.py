"""Tells the broker of ``protocol = "resp"`` and ``protocol = "resp-sharded"``.

There is no ``__init__.py`` beside this file: the folder belongs to sslbroker.
"""

from sslbroker_resp import RESP
from twisted.plugin import IPlugin
from zope.interface import implementer

from sslbroker.interfaces import IBackendProtocol, IProbe


@implementer(IPlugin, IBackendProtocol, IProbe)
class Plugin(RESP):
    """The protocol, so that Twisted finds it."""


resp = Plugin()
resp_sharded = Plugin("resp-sharded", by_key=True)
