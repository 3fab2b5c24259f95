"""Why a client saw a failure: what the broker's access log says of that transaction.

Decides how a transaction's tries are told in one line, so that equal stories can be counted. Invariant: each
failure of a client has one reason, "not in the access log" if need be. Refuses to read other proxies' logs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .seen import Failure

Entry = Mapping[str, Any]


def entries(file: Path) -> list[Entry]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def story(entry: Entry) -> str:
    """How it went: what each try came to, what was decided then and why, and how it ended."""
    tries = []
    for each in entry["tries"]:
        words = [str(each.get("outcome", "?")), str(each.get("next", "")), str(each.get("detail", ""))]
        tries.append(" ".join(word for word in words if word))
    return f"{'; then '.join(tries) or 'no try'}; end: {entry['end']}, status {entry['status']}"


def reasons(failed: Sequence[Failure], log: Iterable[Entry]) -> list[str]:
    """For each kind of failure and each story, how often: the most frequent first."""
    wanted = {each.target: each for each in failed}
    stories = {}
    for entry in log:
        if entry["target"] in wanted:
            stories[entry["target"]] = story(entry)
    told = Counter(
        f"{each.kind} ({each.detail}): {stories.get(each.target, 'not in the access log')}" for each in failed
    )
    return [f"{count} times {text}" for text, count in told.most_common()]


def tries(log: Iterable[Entry]) -> dict[str, int]:
    """How often a try came to what, over all transactions: what the fault has done, and the broker mended."""
    found = Counter(str(each.get("outcome")) for entry in log for each in entry["tries"])
    return dict(found.most_common())
