"""What the broker's own page tells while clients come."""

from __future__ import annotations

from pathlib import Path

from bench.priorities.windows import figures, watched


def said(*windows: int | None, share: float = 1.0) -> dict[str, object]:
    return {"plain_share": share, "servers": [{"window": each} for each in windows]}


def test_windows_are_told_server_by_server() -> None:
    found = figures([said(4, None), said(8, None), said(4, 7, share=0.5), said(5, 6)])
    assert found["servers"] == [[4, 8, 4, 5], [0, 0, 7, 6]]
    assert found["share"] == [1.0, 1.0, 0.5, 1.0]
    assert found["turns"] == 1 / (4 / 60)


def test_without_groups_there_is_nothing_to_tell() -> None:
    assert figures([]) == {}
    assert figures([{"servers": [{}]}]) == {}


def test_a_proxy_without_such_a_page_is_not_asked(tmp_path: Path) -> None:
    with watched(tmp_path / "broker.toml") as found:
        assert found == []


def test_a_page_that_does_not_answer_ends_no_run(tmp_path: Path) -> None:
    settings = tmp_path / "broker.toml"
    settings.write_text('[admin]\nendpoint = "tcp:1:interface=127.0.0.1"\n')
    with watched(settings, every=0.001) as found:
        pass
    assert found == []
