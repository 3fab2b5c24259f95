"""Is a backend protocol whole? What a plugin's author forgot is told at the start, in words.

Decides whether what a plugin offers can carry transactions. Invariant: whatever a plugin is or raises
comes out as lines for its author, before an address is taken; nothing of it is found out by a client.
Refuses to try transcripts: what a codec makes of bytes is for the plugin's own tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zope.interface import Interface
from zope.interface.exceptions import (
    BrokenImplementation,
    BrokenMethodImplementation,
    DoesNotImplement,
    Invalid,
)
from zope.interface.verify import verifyObject

from ..errors import ConfigurationError
from ..interfaces import (
    IAnswerTimes,
    IBackendProtocol,
    ICascades,
    ICodec,
    IExchangeRules,
    IHealthChecks,
    IHosts,
    ILengths,
    IMeasured,
    IOwnAnswers,
    IProbe,
    IResponseClassifier,
    IRests,
    IResumable,
    IStickiness,
    IUndone,
)
from ..settings import Limits, Pool

#: What each part may provide besides, and is then asked.
OPTIONAL: Mapping[type[Interface], Sequence[type[Interface]]] = {
    IBackendProtocol: (IProbe,),
    IExchangeRules: (
        IAnswerTimes,
        IHealthChecks,
        IHosts,
        ILengths,
        IMeasured,
        IOwnAnswers,
        IStickiness,
        ICascades,
        IResumable,
    ),
    IResponseClassifier: (IUndone, IRests),
}


def examine(protocol: IBackendProtocol, pool: Pool) -> list[str]:
    """What is wrong with `protocol` for `pool`, a line each; [] for a whole one.

    Makes its rules, its classifier and a codec of each kind. Raises the `ConfigurationError` that
    `rules` may raise about the pool's settings.
    """
    faults = lacks(IBackendProtocol, protocol, "the protocol")
    if faults:
        return faults
    limits, links = Limits(), pool.links
    parts: tuple[tuple[str, type[Interface], Callable[[], object]], ...] = (
        ("rules(…)", IExchangeRules, lambda: protocol.rules(pool, "sslbroker")),
        ("classifier(…)", IResponseClassifier, lambda: protocol.classifier(pool)),
        ("client_codec(…)", ICodec, lambda: protocol.client_codec(limits.head_size, limits.headers)),
        ("server_codec(…)", ICodec, lambda: protocol.server_codec(links.head_size, links.headers)),
    )
    faults = _values(protocol) + _besides(IBackendProtocol, protocol, "the protocol")
    for name, interface, make in parts:
        try:
            made = make()
        except ConfigurationError:
            raise
        except Exception as error:  # a plugin may raise anything
            faults.append(f"{name} raised {type(error).__name__}: {error}")
        else:
            faults += lacks(interface, made, f"what {name} gives")
            faults += _besides(interface, made, f"what {name} gives")
            capacity = getattr(made, "capacity", 1)
            if interface is ICodec and capacity != 1:
                faults.append(f"what {name} gives has capacity {capacity!r}: only 1 is built yet")
    return faults


def _values(protocol: IBackendProtocol) -> list[str]:
    faults = []
    alpn: object = protocol.alpn
    if not isinstance(alpn, Sequence) or not all(isinstance(one, bytes) and one for one in alpn):
        faults.append(f"alpn is {alpn!r}, expected a list of bytes such as (b'http/1.1',), or ()")
    if not isinstance(protocol.server_first, bool):
        faults.append(f"server_first is {protocol.server_first!r}, expected True or False")
    return faults


def _besides(interface: type[Interface], thing: object, name: str) -> list[str]:
    """What is wrong with the optional interfaces: provided by half, or meant and not declared."""
    faults = []
    for optional in OPTIONAL.get(interface, ()):
        methods = list(optional)
        if optional.providedBy(thing):
            faults += lacks(optional, thing, name)
        elif all(callable(getattr(thing, method, None)) for method in methods):
            faults.append(
                f"{name} has {' and '.join(methods)}, and is never asked: "
                f"it does not say @implementer({optional.__name__})"
            )
    return faults


def lacks(interface: type[Interface], thing: object, name: str) -> list[str]:
    """What `thing` lacks of `interface`, a line each; `name` begins each line."""
    try:
        verifyObject(interface, thing)
    except Invalid as error:
        return [_told(one, interface, name) for one in getattr(error, "exceptions", (error,))]
    return []


def _told(error: Invalid, interface: type[Interface], name: str) -> str:
    if isinstance(error, DoesNotImplement):
        return f"{name} does not say @implementer({interface.__name__})"
    if isinstance(error, BrokenMethodImplementation):
        method = error.method
        return f"{name} has a {_signature(method)} of another form: {error.mess}"
    if isinstance(error, BrokenImplementation):
        return f"{name} has no {_signature(error.name)}, which {interface.__name__} asks for"
    return f"{name}: {error}"


def _signature(element: object) -> str:
    """`element` is of an interface: an attribute's name, or a method's with its arguments."""
    arguments = getattr(element, "getSignatureString", str)()
    return f"{getattr(element, '__name__', element)}{arguments}"
