"""Where Twisted looks for backend protocols of third parties (``getPlugins(IBackendProtocol, …)``)."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
