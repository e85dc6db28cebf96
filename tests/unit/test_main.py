"""The command `parlor`, before its own modules are there."""

import gc

import pytest

from parlor import __main__
from parlor.entrypoints import cli


def test_the_collector_rests_only_while_the_command_line_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    collecting: list[bool] = []

    def command() -> int:
        collecting.append(gc.isenabled())
        return 3

    monkeypatch.setattr(cli, "main", command)
    try:
        assert __main__.main() == 3
        assert collecting == [True]
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
