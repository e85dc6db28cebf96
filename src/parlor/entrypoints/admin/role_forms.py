"""Forms for roles: a new one, and what one permits."""

from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError
from sqladmin import expose
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from parlor.core.identity.administration import AddRole, ChangeRole
from parlor.core.identity.roles import MANAGE_ROLES, Permissions
from parlor.core.shared.errors import Invalid, NotFound, ParlorError
from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.actions import in_words
from parlor.entrypoints.admin.lists import Rows
from parlor.entrypoints.admin.pages import Page
from parlor.entrypoints.admin.visits import Asked, Tone, actor_of, asked_of
from parlor.entrypoints.http.errors import status_of
from parlor.entrypoints.http.roles import RoleBody
from parlor.validation import flaws_of

LIST = f"{cookies.PATH}/role/list"


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the form."""

    name: str = ""
    description: str = ""
    permissions: frozenset[str] = frozenset()

    @classmethod
    def of(cls, asked: Asked) -> "Filled":
        """Read what was sent: permissions are ticked, or written, one a line."""
        written = asked.value("more").split()
        ticked = asked.form.get("permission", ())
        description = asked.value("description").replace("\r\n", "\n").strip()
        return cls(asked.value("name").strip(), description, frozenset((*ticked, *written)))

    def checked(self) -> RoleBody:
        """Answer what the API would take. Raises Invalid."""
        try:
            return RoleBody(
                name=self.name, description=self.description, permissions=sorted(self.permissions)
            )
        except ValidationError as error:
            raise Invalid(flaws=flaws_of(error.errors(), within=("body",))) from None


class RoleForms(Page):
    """Reached from the list of roles, and in no menu."""

    name = "Role"
    permissions = (MANAGE_ROLES,)

    def is_visible(self, request: Request) -> bool:
        """Stay out of the menu."""
        del request
        return False

    @cached_property
    def _known(self) -> list[str]:
        return sorted(self.container.get(Permissions).known)

    @cached_property
    def _roles(self) -> Rows:
        return next(
            view for view in self._admin_ref.views if isinstance(view, Rows) and view.identity == "role"
        )

    def furnish(self) -> None:
        """Make the use cases, once."""
        self._add = self.container.command(AddRole)
        self._change = self.container.command(ChangeRole)

    @expose("/roles/new", methods=["GET", "POST"])
    async def new_role(self, request: Request) -> Response:
        """Make a role."""
        asked = asked_of(request)
        if request.method != "POST":
            return await self._form(request, Filled(), new=True)
        filled = Filled.of(asked)
        try:
            body = filled.checked()
            await self._add(
                actor_of(request), name=body.name, description=body.description, permissions=body.permissions
            )
        except ParlorError as error:
            return await self._form(request, filled, new=True, error=error)
        asked.tell(Tone.DONE, f"The role {filled.name} was made.")
        return RedirectResponse(LIST, status_code=303)

    @expose("/roles/change", methods=["GET", "POST"])
    async def change_role(self, request: Request) -> Response:
        """Say what a role permits from now on, for all who hold it."""
        asked = asked_of(request)
        if request.method != "POST":
            row = next(iter(await self._roles.some([request.query_params.get("name", "")])), None)
            if row is None:
                raise NotFound
            filled = Filled(row.name, row.description, frozenset(row.permissions))
            return await self._form(request, filled, new=False)
        filled = Filled.of(asked)
        try:
            body = filled.checked()
            await self._change(
                actor_of(request), body.name, description=body.description, permissions=body.permissions
            )
        except ParlorError as error:
            return await self._form(request, filled, new=False, error=error)
        asked.tell(Tone.DONE, f"The role {filled.name} was changed.")
        return RedirectResponse(f"{cookies.PATH}/role/details/{filled.name}", status_code=303)

    async def _form(
        self, request: Request, filled: Filled, *, new: bool, error: ParlorError | None = None
    ) -> Response:
        more = sorted(filled.permissions - set(self._known))
        answer = await self.render(
            request,
            "sqladmin/role.html",
            filled=filled,
            new=new,
            known=self._known,
            more=more,
            error=error and in_words(error),
        )
        answer.status_code = 200 if error is None else status_of(type(error))
        return answer
