"""Percentiles of what was measured."""

from collections.abc import Sequence


def percentile(in_order: Sequence[float], percent: float) -> float:
    """Answer the value that so many percent are not above; 0 for none at all."""
    if not in_order:
        return 0.0
    return in_order[min(len(in_order) - 1, int(len(in_order) * percent / 100))]
