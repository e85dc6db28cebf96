"""What is done in the background: tasks, schedules, and messages that could not be taken."""

from collections.abc import Sequence

from parlor.adapters.sql import tables
from parlor.container import Container
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.model import MANAGE, TaskStatus
from parlor.core.tasks.reasons import Reason
from parlor.core.tasks.schedules import Changes
from parlor.core.tasks.schedules_use_cases import ChangeSchedule, RemoveSchedule
from parlor.core.tasks.use_cases import CancelTask, RetryTask
from parlor.entrypoints.admin import rows
from parlor.entrypoints.admin.actions import Action
from parlor.entrypoints.admin.filters import Filter, one_of, user_is
from parlor.entrypoints.admin.lists import Rows

WORK = "Background"
REASONS = tuple(str(reason.value) for reason in Reason)
STATUSES = tuple(map(str, TaskStatus))
LIVE = frozenset({"scheduled", "queued", "running"})


class Tasks(Rows, model=rows.Task):
    """Every task."""

    name, name_plural, icon, category = "Task", "Tasks", "fa-solid fa-list-check", WORK
    about = "What runs, waits, and came to its end in the background."
    permissions = (MANAGE,)
    order = ("created_at", "id")
    column_list = ["kind", "status", "user", "attempts", "priority", "created_at", "finished_at"]
    column_details_list = [
        "kind",
        "status",
        "error",
        "result",
        "payload",
        "progress",
        "attempts",
        "max_attempts",
        "losses",
        "priority",
        "user",
        "requester_kind",
        "requester_id",
        "schedule",
        "unique_key",
        "timeout_s",
        "id",
        "created_at",
        "run_at",
        "started_at",
        "finished_at",
    ]
    column_labels = {
        "user": "For",
        "timeout_s": "Timeout (s)",
        "losses": "Attempts lost",
        "max_attempts": "Attempts at most",
        "requester_kind": "Asked for by",
        "requester_id": "Asked for by (id)",
        "run_at": "Due",
    }
    filters = (
        Filter("status", "Status", one_of(tables.tasks.c.status, STATUSES), STATUSES),
        Filter("user", "For (e-mail or id)", user_is(tables.tasks.c.user_id)),
    )

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Stop, and have run again."""
        cancel, retry = container.command(CancelTask), container.command(RetryTask)
        return (
            Action(
                "retry",
                "Run again",
                "queued again",
                MANAGE,
                lambda doer, row: retry(doer.actor, row.id),
                fits=lambda row: row.status in {"failed", "cancelled"},
            ),
            Action(
                "cancel",
                "Cancel",
                "cancelled",
                MANAGE,
                lambda doer, row: cancel(doer.actor, row.id),
                question="What waits never runs; what runs is stopped within a second.",
                danger=True,
                fits=lambda row: row.status in LIVE,
            ),
        )


class Schedules(Rows, model=rows.Schedule):
    """Every schedule."""

    name, name_plural, icon, category = "Schedule", "Schedules", "fa-solid fa-calendar-days", WORK
    about = "What makes tasks at due moments."
    permissions = (MANAGE,)
    order = ("created_at", "id")
    column_list = ["name", "kind", "cron", "timezone", "enabled", "next_run_at", "owner"]
    column_details_list = [
        "name",
        "kind",
        "cron",
        "timezone",
        "enabled",
        "payload",
        "priority",
        "owner",
        "next_run_at",
        "last_run_at",
        "last_task",
        "id",
        "created_at",
    ]
    column_labels = {"next_run_at": "Next run", "last_run_at": "Last run", "timezone": "Time zone"}
    filters = (Filter("user", "Owner (e-mail or id)", user_is(tables.schedules.c.owner_id)),)

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Switch on, switch off, delete."""
        change, remove = container.command(ChangeSchedule), container.command(RemoveSchedule)
        return (
            Action(
                "enable",
                "Enable",
                "enabled",
                MANAGE,
                lambda doer, row: change(doer.actor, row.id, Changes(enabled=True)),
                fits=lambda row: not row.enabled,
            ),
            Action(
                "disable",
                "Disable",
                "disabled",
                MANAGE,
                lambda doer, row: change(doer.actor, row.id, Changes(enabled=False)),
                fits=lambda row: bool(row.enabled),
            ),
            Action(
                "delete",
                "Delete",
                "deleted",
                MANAGE,
                lambda doer, row: remove(doer.actor, row.id),
                question="It makes no more tasks; those that it made go on.",
                danger=True,
            ),
        )


class DeadLetters(Rows, model=rows.DeadLetter):
    """What could not be taken."""

    name, name_plural, icon, category = "Dead letter", "Dead letters", "fa-solid fa-envelope-open", WORK
    about = "Messages that could not be taken, with the reason."
    permissions = (MANAGE,)
    order = ("dead_at", "id")
    column_list = ["reason", "detail", "routing_key", "message_id", "dead_at", "replayed_at"]
    column_details_list = [*column_list, "content_type", "body_bytes", "id"]
    column_labels = {"body_bytes": "Body (bytes)", "dead_at": "Came", "replayed_at": "Sent again"}
    filters = (Filter("reason", "Reason", one_of(tables.dead_letters.c.reason, REASONS), REASONS),)

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Send again, or throw away."""
        replay, discard = container.command(ReplayDeadLetter), container.command(DiscardDeadLetter)
        return (
            Action(
                "replay",
                "Replay",
                "sent again",
                MANAGE,
                lambda doer, row: replay(doer.actor, row.id),
                fits=lambda row: row.replayed_at is None,
            ),
            Action(
                "discard",
                "Discard",
                "thrown away",
                MANAGE,
                lambda doer, row: discard(doer.actor, row.id),
                question="The message is thrown away for good.",
                danger=True,
            ),
        )
