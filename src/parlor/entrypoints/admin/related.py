"""Rows that belong to another one, shown on its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import selectinload

MOST = 100


@dataclass(frozen=True, slots=True)
class Related:
    """The first of them, by an index that begins with what they belong to."""

    heading: str
    model: Any
    belongs_by: str
    order: str
    props: Sequence[str]
    links: Sequence[str] = ()

    def of(self, key: object) -> Select[Any]:
        """Write the statement for the row with this key; one more than is shown tells that there are more."""
        linked = [selectinload(getattr(self.model, name)) for name in self.links]
        belongs = getattr(self.model, self.belongs_by) == key
        return (
            select(self.model)
            .where(belongs)
            .order_by(getattr(self.model, self.order))
            .options(*linked)
            .limit(MOST + 1)
        )
