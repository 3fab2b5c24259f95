"""Text to settings: what an operator wrote becomes the frozen objects of `sslbroker.settings`.

Decides whether a configuration can be used, and says everything that is wrong with it at once: the
place of each mistake, what was found, what was expected and, where it can be guessed, what was
meant. Invariant: TOML and ``.tac`` files keep the same rules, and what does not work yet is refused
with a message that says so. Refuses to open sockets, to read certificates and to look up names: a
start of the broker does that.

`load` reads a TOML file, `from_dict` what TOML would give, `check` the objects of a ``.tac`` file.
"""

from ..settings import THROWAWAY
from .configuration import check, from_dict, load
from .report import BALANCING, BUILT_IN, Extensions

__all__ = ["BALANCING", "BUILT_IN", "THROWAWAY", "Extensions", "check", "from_dict", "load"]
