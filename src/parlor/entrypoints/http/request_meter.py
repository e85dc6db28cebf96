"""What is counted about requests."""

from starlette.types import Scope

from parlor.core.shared.meters import ONE, OTHER, Count, Meters, Spread
from parlor.entrypoints.http.call import template_of

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"


class RequestMeter:
    """Counts requests by their route's template, never by their path: what anybody can type names no series."""

    def __init__(self, meters: Meters) -> None:
        self.in_flight = 0
        self._requests = meters.tally(
            "parlor_http_requests_total", "Requests that were answered.", "method", "route", "status"
        )
        self._durations = meters.timing(
            "parlor_http_request_duration_seconds",
            "How long requests took, to the end of the answer.",
            "method",
            "route",
        )
        meters.level("parlor_http_requests_in_flight", "Requests that are being answered.").reads(
            lambda: {ONE: self.in_flight}
        )
        self._cells: dict[tuple[str, str, int], tuple[Count, Spread]] = {}

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one."""
        template = template_of(scope) or UNMATCHED
        cells = self._cells.get((scope["method"], template, status))
        if cells is None:
            cells = self._new_cells(scope["method"], template, status)
        count, spread = cells
        count.n += 1
        spread.see(seconds)

    def _new_cells(self, method: str, template: str, status: int) -> tuple[Count, Spread]:
        """Find cells, and keep them where the method is one of those that there are."""
        named = method if method in METHODS else OTHER
        cells = self._requests.of(named, template, str(status)), self._durations.of(named, template)
        if method in METHODS:
            self._cells[method, template, status] = cells
        return cells
