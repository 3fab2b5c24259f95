"""What the author of a backend protocol tries it with; docs/protocols.md says how."""

from .kit import Kit
from .meaning import joined, plain
from .pieces import cuts, mutated

__all__ = ["Kit", "cuts", "joined", "mutated", "plain"]
