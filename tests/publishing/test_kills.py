"""One killed run of each kind; `python -m tests.publishing.kills` has many."""

from __future__ import annotations

import pytest

from tests.publishing.kills import ACTIONS, run


@pytest.mark.parametrize("action", ACTIONS)
def test_a_killed_run_is_completed(action: str) -> None:
    run([action], 1, seed=len(action))
