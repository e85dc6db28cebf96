"""What is counted about deliveries and the runs that they become."""

from collections.abc import Callable

from parlor.core.shared.bus import Delivery
from parlor.core.shared.meters import LONG_SECONDS, ONE, Meters
from parlor.core.tasks.model import Ending, Failed, Postponed, Priority, Succeeded
from parlor.core.tasks.reasons import Reason

STOPPED = "stopped"
NOT_RENEWED, CANCELLED = "not_renewed", "cancelled"
OUTCOMES: dict[type[Ending], str] = {Succeeded: "succeeded", Failed: "failed", Postponed: "postponed"}


class RunMeter:
    """Counts by the kind of the task; kinds are registered, so there are not many."""

    def __init__(self, meters: Meters, *, running: Callable[[], int], slots: int) -> None:
        self._attempts = meters.tally(
            "parlor_task_attempts_total",
            "Attempts by how they ended: succeeded, failed, postponed (another follows), or stopped (a lost lease, a "
            "cancelled task, a shutdown).",
            "kind",
            "outcome",
        )
        self._durations = meters.timing(
            "parlor_task_attempt_duration_seconds", "How long attempts took.", "kind", bounds=LONG_SECONDS
        )
        self._deliveries = meters.tally(
            "parlor_task_deliveries_total", "Messages that were taken from the queues.", "queue"
        )
        self._refused = meters.tally(
            "parlor_task_deliveries_refused_total",
            "Messages that became dead letters, by the reason.",
            "reason",
        )
        self._let_go = meters.tally(
            "parlor_task_runs_let_go_total",
            "Runs that were stopped: not_renewed (the lease is lost), cancelled.",
            "why",
        )
        self.ends_refused = meters.tally(
            "parlor_task_ends_refused_total", "Ends that came too late: somebody else owned the task by then."
        ).of()
        meters.level("parlor_task_runs", "Runs that this worker holds.").reads(lambda: {ONE: running()})
        meters.level("parlor_task_slots", "How many runs this worker holds at most.").reads(
            lambda: {ONE: slots}
        )
        self._show_zeros()

    def ended(self, kind: str, ending: Ending | None, seconds: float) -> None:
        """Count an attempt; without an ending it was stopped."""
        outcome = STOPPED if ending is None else OUTCOMES[type(ending)]
        self._attempts.of(kind, outcome).n += 1
        self._durations.of(kind).see(seconds)

    def delivered(self, delivery: Delivery) -> None:
        """Count a message."""
        self._deliveries.of(delivery.queue).n += 1

    def refused(self, reason: str) -> None:
        """Count a message that cannot be taken."""
        self._refused.add(reason)

    def let_go(self, why: str) -> None:
        """Count a run that is no longer ours, or no longer wanted."""
        self._let_go.add(why)

    def _show_zeros(self) -> None:
        """Let the first of each kind be seen as a rise, not as the beginning of a series."""
        for queue in Priority:
            self._deliveries.of(queue.value)
        for reason in Reason:
            self._refused.of(reason.value)
        for why in (NOT_RENEWED, CANCELLED):
            self._let_go.of(why)
