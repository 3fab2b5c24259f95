"""The protocol that docs/protocols.md shows, as its reader would have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"


def blocks(language: str) -> list[str]:
    """The blocks of code in this language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)


def names() -> dict[str, Any]:
    """What the guide's module defines."""
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(blocks("python")[0], str(GUIDE), "exec"), names)
    return names
