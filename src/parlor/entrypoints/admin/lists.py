"""Pages of rows: read only, by keys and not by numbers, so that the last page costs what the first does."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from uuid import UUID

from markupsafe import Markup, escape
from sqladmin import ModelView
from sqlalchemy import ColumnElement, Select, func, inspect, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request

from parlor.container import Container
from parlor.core.shared.errors import Invalid, NotFound
from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.actions import Action
from parlor.entrypoints.admin.cells import shown
from parlor.entrypoints.admin.filters import Filter, uuid_in
from parlor.entrypoints.admin.links import linked
from parlor.entrypoints.admin.related import Related
from parlor.entrypoints.admin.rows import Row
from parlor.entrypoints.admin.visits import may
from parlor.entrypoints.http.paging import Cursors

PAGE = 50
COUNTED = 10_000
OTHER_WAY_ROUND = "reversed"

# Lends a session that only reads. Raises what is Unavailable.
Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One page of a list, and where the neighbouring ones begin."""

    rows: Sequence[Any]
    newer: str | None
    older: str | None


class Rows(ModelView):
    """A table's pages. They show; what they change, actions do by use cases."""

    can_create = can_edit = can_delete = can_export = can_import = False
    permissions: ClassVar[tuple[str, ...]]
    about: ClassVar[str] = ""
    order: ClassVar[tuple[str, ...]] = ("id",)
    ascending: ClassVar[bool] = False
    filters: ClassVar[Sequence[Filter]] = ()
    searches: ClassVar[str] = "id"
    related: ClassVar[Sequence[Related]] = ()
    elsewhere: ClassVar[Sequence[tuple[str, str, str]]] = ()
    new: ClassVar[str] = ""
    edit: ClassVar[str] = ""
    reading: Reading
    acts: Mapping[str, Action]
    cursors: Cursors

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Make what may be done to such rows; nothing, unless a list says otherwise."""
        del container
        return ()

    def furnish(self, container: Container, reading: Reading) -> None:
        """Take what the process has."""
        self.reading = reading
        self.acts = {action.name: action for action in self.actions_of(container)}
        self.cursors = Cursors(f"console:{self.identity}", container.settings.secrets)

    def is_accessible(self, request: Request) -> bool:
        """Ask for one of the permissions."""
        return may(request, *self.permissions)

    def allowed(self, request: Request) -> Sequence[Action]:
        """List what this admin may do here."""
        return [action for action in self.acts.values() if may(request, action.permission)]

    def search(self, term: str) -> ColumnElement[bool]:
        """Say which rows a text means. Only the id, unless a list says more."""
        found = uuid_in(term)
        if found is None:
            raise Invalid(f"{self.name_plural} are found by their id here.")
        return cast("ColumnElement[bool]", self.key == found)

    @property
    def key(self) -> Any:
        """Answer the column that a row is known by."""
        return getattr(self.model, inspect(self.model).primary_key[0].key)

    async def turn(self, request: Request) -> Turn:
        """Read the page that the address asks for."""
        asked = request.query_params
        place = asked.get("after") or asked.get("before")
        backwards = "before" in asked and "after" not in asked
        key = None if place is None else self.cursors.read(place)
        async with self.reading() as session:
            found = list((await session.scalars(self._page(request, key, backwards=backwards))).all())
        more = len(found) > PAGE
        rows = found[:PAGE][::-1] if backwards else found[:PAGE]
        has_newer, has_older = (more, True) if backwards else (key is not None, more)
        return Turn(
            rows,
            newer=self._cursor(rows[0]) if rows and has_newer else None,
            older=self._cursor(rows[-1]) if rows and has_older else None,
        )

    async def one(self, key: str) -> Any:
        """Read a row with what it is linked to. Raises NotFound."""
        return next(iter(await self.some([key], self._details_relations)), None) or _raise(NotFound())

    async def some(self, keys: Sequence[str], relations: Sequence[Any] = ()) -> Sequence[Any]:
        """Read rows by their keys; what is no key, or no row, is left out."""
        known = [key for key in map(self.read_key, keys) if key is not None]
        statement: Select[Any] = (
            select(self.model).where(self.key.in_(known)).options(*map(selectinload, relations))
        )
        async with self.reading() as session:
            return list((await session.scalars(statement)).all())

    def read_key(self, written: str) -> Any:
        """Read what an address names a row by; None where it is nothing of the sort."""
        return uuid_in(written)

    def key_of(self, row: Any) -> Any:
        """Answer what a row is known by."""
        return getattr(row, inspect(self.model).primary_key[0].key)

    def label(self, prop: str) -> str:
        """Name a column."""
        return self._column_labels.get(prop) or prop.removesuffix("_at").replace("_", " ").capitalize()

    def ascends(self, request: Request) -> bool:
        """Whether the first rows are the oldest, or the first by name: the list's own order, or the other way round."""
        return self.ascending != (request.query_params.get("order") == OTHER_WAY_ROUND)

    def first_cell(self, request: Request, row: Any, prop: str) -> Markup:
        """Write what leads to the row's own page: its first value, or what it is called where that is empty."""
        value = getattr(row, prop)
        return (
            escape(row) if value in (None, "") or isinstance(value, UUID) else self.cell(request, row, prop)
        )

    def ways(self, request: Request, row: Any) -> Sequence[tuple[str, str]]:
        """Lead to other lists, narrowed to this row: to those that the admin may see."""
        seen = {view.identity for view in self._admin_ref.views if view.is_accessible(request)}
        return [
            (label, f"{cookies.PATH}/{identity}/list?{name}={self.key_of(row)}")
            for label, identity, name in self.elsewhere
            if identity in seen
        ]

    async def choices(self, action: Action) -> Sequence[str]:
        """List what may be chosen for an action that asks for more than yes."""
        del action
        return ()

    def cell(self, request: Request, row: Any, prop: str, *, whole: bool = False) -> Markup:
        """Write one value of a row; what it is linked to is named to those only who may see it."""
        value = getattr(row, prop)
        targets = value if isinstance(value, list) else [value]
        if not all(isinstance(one, Row) for one in targets) or not targets:
            return shown(value if targets else None, prop, whole=whole)
        return Markup(", ").join(linked(self._admin_ref, request, one, whole=whole) for one in targets)

    async def number(self) -> str:
        """Tell about how many rows there are: counted while they are few, else PostgreSQL's own estimate."""
        name: str = inspect(self.model).local_table.name
        estimate = text("select reltuples::bigint from pg_class where oid = cast(:name as regclass)")
        few = select(func.count()).select_from(
            select(literal(1)).select_from(self.model).limit(COUNTED).subquery()
        )
        async with self.reading() as session:
            guessed = int(await session.scalar(estimate, {"name": name}) or 0)
            if guessed >= COUNTED:
                return f"about {guessed:,}"
            counted = int(await session.scalar(few) or 0)
        return f"{counted:,}" if counted < COUNTED else f"more than {COUNTED:,}"

    def _page(self, request: Request, key: Sequence[Any] | None, *, backwards: bool) -> Select[Any]:
        down = self.ascends(request) == backwards
        columns = [getattr(self.model, name) for name in self.order]
        statement: Select[Any] = select(self.model).options(*map(selectinload, self._list_relations))
        for clause in self._clauses(request):
            statement = statement.where(clause)
        if key is not None:
            place = tuple_(
                *(
                    literal(_read(column, part), column.type)
                    for column, part in zip(columns, key, strict=True)
                )
            )
            here = tuple_(*columns)
            statement = statement.where(here < place if down else here > place)
        return statement.order_by(*(c.desc() if down else c.asc() for c in columns)).limit(PAGE + 1)

    def _clauses(self, request: Request) -> list[ColumnElement[bool]]:
        asked = request.query_params
        clauses = [
            one.clause(asked[one.name].strip()) for one in self.filters if asked.get(one.name, "").strip()
        ]
        term = asked.get("search", "").strip()
        return [*clauses, self.search(term)] if term else clauses

    def _cursor(self, row: Any) -> str:
        return self.cursors.write(tuple(_written(getattr(row, name)) for name in self.order))


def _written(value: Any) -> Any:
    return (
        value
        if isinstance(value, str | int)
        else str(value.isoformat() if hasattr(value, "isoformat") else value)
    )


def _read(column: Any, part: Any) -> Any:
    kind = column.type.python_type
    return kind.fromisoformat(part) if hasattr(kind, "fromisoformat") else kind(part)


def _raise(error: Exception) -> Any:
    raise error
