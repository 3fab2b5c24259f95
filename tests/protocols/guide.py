"""The protocol that docs/protocols.md shows, as its reader would have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"


def names() -> dict[str, Any]:
    """What the guide's module defines."""
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert found is not None
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(found.group(1), str(GUIDE), "exec"), names)
    return names
