"""Tasks for those who watch them: one as JSON with its version, many by their versions."""

from collections.abc import Collection, Mapping

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.views import TASK, VISIBLE, viewer_of
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.watching import Sight

_ONE = f"""
select version, status in ('succeeded', 'failed', 'cancelled') as ended, {TASK}::text as json
  from tasks where {VISIBLE} and id = $4"""
_VERSIONS = "select id, version from tasks where id = any($1::uuid[])"


class SqlTaskSights:
    """Port `TaskSights`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, viewer: Actor, task_id: TaskId) -> Sight:
        """Read one row as JSON, with what it says of itself."""
        async with self._database.session() as session:
            row = await session.fetchrow(_ONE, *viewer_of(viewer), task_id)
        if row is None:
            raise NotFound
        return Sight(version=row["version"], ended=row["ended"], json=row["json"].encode())

    async def versions(self, task_ids: Collection[TaskId]) -> Mapping[TaskId, int]:
        """Look up all of them by their keys."""
        async with self._database.session() as session:
            rows = await session.fetch(_VERSIONS, list(task_ids))
        return {TaskId(row["id"]): row["version"] for row in rows}
