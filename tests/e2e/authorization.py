"""Who gets which answer: one line a route, from the contract's pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Answer = tuple[int, str | None]

# A stranger has an account, and nothing to do with the owner's things; a peer is in the owner's party or chat, or
# the guest of the invitation. A moderator holds MODERATES. The key has the line's scope: `-` is where no key
# counts (it has every scope there), `*` where any does. The poor key has every scope that does not do.
CALLERS = ("nobody", "stranger", "peer", "owner", "moderator", "admin", "key", "poor key")
MODERATES = frozenset({"api_keys:manage", "chats:moderate", "parties:manage", "tasks:manage"})
REFUSALS: Mapping[str, Answer] = {
    "401": (401, "unauthenticated"),
    "403p": (403, "permission_missing"),
    "403k": (403, "person_required"),
    "403r": (403, "party_role_needed"),
    "403c": (403, "not_chat_owner"),
    "403m": (403, "not_your_message"),
    "403g": (403, "not_your_invitation"),
    "404": (404, "not_found"),
    "409m": (409, "not_a_member"),
}
# What stands in braces is what is put there, a fresh one for each caller where the method changes something.
LINES = """
route                                                     scope            none str. peer own. mod. adm. key  poor
GET    /healthz                                           -                200  200  200  200  200  200  200  200
GET    /readyz                                            -                200  200  200  200  200  200  200  200
GET    /metrics                                           -                200  200  200  200  200  200  200  200
GET    /.well-known/jwks.json                             -                200  200  200  200  200  200  200  200

POST   /auth/register                                     -                201  201  201  201  201  201  201  201
POST   /auth/login                                        -                200  200  200  200  200  200  200  200
POST   /auth/token                                        -                200  200  200  200  200  200  200  200
POST   /auth/refresh                                      -                200  200  200  200  200  200  200  200
POST   /auth/logout                                       -                401  204  204  204  204  204  403k 403k
POST   /auth/password-reset                               -                202  202  202  202  202  202  202  202
POST   /auth/password-reset/confirm                       -                204  204  204  204  204  204  204  204
POST   /auth/email-verification                           -                401  202  202  202  202  202  403k 403k
POST   /auth/email-verification/confirm                   -                204  204  204  204  204  204  204  204
POST   /auth/introspect                                   tokens:introspect 401 403p 403p 403p 403p 200  200  403p
POST   /auth/revoke                                       tokens:introspect 401 403p 403p 403p 403p 200  200  403p
GET    /users/me                                          -                401  200  200  200  200  200  403k 403k
PATCH  /users/me                                          -                401  200  200  200  200  200  403k 403k
DELETE /users/me                                          -                401  204  204  204  204  204  403k 403k
POST   /users/me/password                                 -                401  204  204  204  204  204  403k 403k
GET    /users/me/export                                   -                401  200  200  200  200  200  403k 403k
GET    /users/me/logins                                   -                401  200  200  200  200  200  403k 403k
GET    /users/me/sessions                                 -                401  200  200  200  200  200  403k 403k
DELETE /users/me/sessions/{session}                       -                401  404  404  204  404  404  403k 403k
POST   /realtime/tickets                                  -                401  201  201  201  201  201  403k 403k
GET    /users/{owner}                                     *                401  200  200  200  200  200  200  200
GET    /users                                             users:manage     401  403p 403p 403p 403p 200  200  403p
PATCH  /users/{owner}                                     users:manage     401  403p 403p 403p 403p 200  200  403p
GET    /users/{owner}/logins                              users:manage     401  403p 403p 403p 403p 200  200  403p
DELETE /users/{owner}/sessions                            users:manage     401  403p 403p 403p 403p 204  204  403p
PUT    /users/{owner}/roles/{role}                        roles:manage     401  403p 403p 403p 403p 204  204  403p
DELETE /users/{owner}/roles/{role}                        roles:manage     401  403p 403p 403p 403p 204  204  403p
GET    /roles                                             roles:manage     401  403p 403p 403p 403p 200  200  403p
POST   /roles                                             roles:manage     401  403p 403p 403p 403p 201  201  403p
GET    /roles/{role}                                      roles:manage     401  403p 403p 403p 403p 200  200  403p
PATCH  /roles/{role}                                      roles:manage     401  403p 403p 403p 403p 200  200  403p
DELETE /roles/{role}                                      roles:manage     401  403p 403p 403p 403p 204  204  403p
GET    /api-keys                                          api_keys:manage  401  200  200  200  200  200  200  403p
POST   /api-keys                                          -                401  201  201  201  201  201  403k 403k
DELETE /api-keys/{key}                                    api_keys:manage  401  404  404  204  204  204  204  403p

GET    /parties                                           parties:read     401  200  200  200  200  200  200  403p
POST   /parties                                           parties:write    401  201  201  201  201  201  201  403p
GET    /parties/{private}                                 parties:read     401  404  200  200  200  200  200  403p
GET    /parties/{public}                                  parties:read     401  200  200  200  200  200  200  403p
PATCH  /parties/{private}                                 parties:write    401  404  403r 200  403r 200  200  403p
PATCH  /parties/{public}                                  parties:write    401  403r 403r 200  403r 200  200  403p
DELETE /parties/{private}                                 parties:write    401  404  403r 204  204  204  204  403p
DELETE /parties/{public}                                  parties:manage   401  403r 403r 204  204  204  204  403p
GET    /parties/{private}/members                         parties:read     401  404  200  200  200  200  200  403p
GET    /parties/{public}/members                          parties:read     401  200  200  200  200  200  200  403p
PATCH  /parties/{private}/members/{peer}                  parties:write    401  404  403r 200  403r 200  200  403p
DELETE /parties/{private}/members/{peer}                  parties:write    401  404  403r 204  403r 204  204  403p
POST   /parties/{private}/join                            parties:write    401  404  200  200  403p 200  200  403p
POST   /parties/{public}/join                             parties:write    401  200  200  200  200  200  200  403p
POST   /parties/{private}/leave                           parties:write    401  404  204  204  409m 409m 204  403p
POST   /parties/{public}/leave                            parties:write    401  409m 204  204  409m 409m 204  403p
POST   /parties/{private}/owner                           parties:write    401  404  403r 200  403r 200  200  403p
PUT    /parties/{private}/bans/{other}                    parties:write    401  404  403r 204  403r 204  204  403p
DELETE /parties/{private}/bans/{other}                    parties:write    401  404  403r 204  403r 204  204  403p
POST   /parties/{private}/invitations                     parties:write    401  404  403r 201  403r 201  201  403p
GET    /invitations                                       parties:read     401  200  200  200  200  200  200  403p
POST   /invitations/{invitation}/accept                   parties:write    401  404  200  403g 404  200  200  403p
POST   /invitations/{invitation}/decline                  parties:write    401  404  204  403g 404  204  204  403p
DELETE /invitations/{invitation}                          parties:write    401  404  403r 204  404  204  204  403p

GET    /chats                                             -                401  200  200  200  200  200  403k 403k
POST   /chats                                             -                401  201  201  201  201  201  403k 403k
GET    /chats/{chat}                                      -                401  404  200  200  404  404  403k 403k
PATCH  /chats/{chat}                                      -                401  404  403c 200  404  404  403k 403k
DELETE /chats/{chat}                                      -                401  404  403c 204  404  404  403k 403k
GET    /chats/{chat}/members                              -                401  404  200  200  404  404  403k 403k
POST   /chats/{chat}/members                              -                401  404  403c 201  404  404  403k 403k
DELETE /chats/{chat}/members/{peer}                       -                401  404  204  204  404  404  403k 403k
DELETE /chats/{chat}/members/{owner}                      -                401  404  403c 204  404  404  403k 403k
POST   /chats/{chat}/messages                             -                401  404  201  201  404  404  403k 403k
GET    /chats/{chat}/messages                             -                401  404  200  200  404  404  403k 403k
GET    /chats/{chat}/messages/{text}                      -                401  404  200  200  404  404  403k 403k
PATCH  /chats/{chat}/messages/{text}                      -                401  404  403m 200  404  404  403k 403k
DELETE /chats/{chat}/messages/{text}                      chats:moderate   401  404  403m 204  204  204  204  403p
PUT    /chats/{chat}/messages/{text}/reactions/{emoji}    -                401  404  204  204  404  404  403k 403k
DELETE /chats/{chat}/messages/{text}/reactions/{emoji}    -                401  404  204  204  404  404  403k 403k
POST   /chats/{chat}/read                                 -                401  404  204  204  404  404  403k 403k
GET    /chats/{chat}/search?q=hello                       -                401  404  200  200  404  404  403k 403k
GET    /chats/{chat}/changes                              -                401  404  200  200  404  404  403k 403k

GET    /task-kinds                                        *                401  200  200  200  200  200  200  200
GET    /tasks                                             tasks:create     401  200  200  200  200  200  200  403p
POST   /tasks                                             tasks:create     401  202  202  202  202  202  202  403p
POST   /tasks/batch                                       tasks:create     401  202  202  202  202  202  202  403p
GET    /tasks/{task}                                      tasks:create     401  404  404  200  200  200  200  403p
POST   /tasks/{task}/cancel                               tasks:create     401  404  404  200  200  200  200  403p
POST   /tasks/{ended}/retry                               tasks:create     401  404  404  202  202  202  202  403p
GET    /tasks/{ended}/events                              tasks:create     401  404  404  200  200  200  200  403p
GET    /schedules                                         tasks:create     401  200  200  200  200  200  200  403p
POST   /schedules                                         tasks:create     401  201  201  201  201  201  201  403p
GET    /schedules/{schedule}                              tasks:create     401  404  404  200  200  200  200  403p
PATCH  /schedules/{schedule}                              tasks:create     401  404  404  200  200  200  200  403p
DELETE /schedules/{schedule}                              tasks:create     401  404  404  204  204  204  204  403p
GET    /dead-letters                                      tasks:manage     401  403p 403p 403p 200  200  200  403p
GET    /dead-letters/{letter}                             tasks:manage     401  403p 403p 403p 200  200  200  403p
POST   /dead-letters/{letter}/replay                      tasks:manage     401  403p 403p 403p 202  202  202  403p
DELETE /dead-letters/{letter}                             tasks:manage     401  403p 403p 403p 204  204  204  403p
"""
CARD = {"kind": "truth_or_dare", "payload": {}}
BODIES: Mapping[str, Any] = {
    "POST /auth/register": {"email": "{address}", "password": "{password}"},
    "POST /auth/login": {"email": "{email}", "password": "{password}"},
    "POST /auth/token": {"username": "{email}", "password": "{password}"},
    "POST /auth/refresh": {"refresh_token": "{refresh}"},
    "POST /auth/password-reset": {"email": "{email}"},
    "POST /auth/password-reset/confirm": {"token": "{password_reset}", "new_password": "another horse 43"},
    "POST /auth/email-verification/confirm": {"token": "{email_verification}"},
    "POST /auth/introspect": {"token": "{token}"},
    "POST /auth/revoke": {"token": "{token}"},
    "PATCH /users/me": {"display_name": "Eve"},
    "DELETE /users/me": {"password": "{password}"},
    "POST /users/me/password": {"current_password": "{password}", "new_password": "another horse 43"},
    "PATCH /users/{owner}": {"status": "disabled"},
    "POST /roles": {"name": "{word}", "permissions": ["films:watch"]},
    "PATCH /roles/{role}": {"description": "Watches films."},
    "POST /api-keys": {"name": "films", "scopes": ["tasks:create"]},
    "POST /parties": {"name": "Dragons"},
    "PATCH /parties/{private}": {"name": "Wyverns"},
    "PATCH /parties/{public}": {"name": "Wyverns"},
    "PATCH /parties/{private}/members/{peer}": {"role": "officer"},
    "POST /parties/{private}/owner": {"user_id": "{peer}"},
    "POST /parties/{private}/invitations": {"user_id": "{other}"},
    "POST /chats": {"kind": "group", "member_ids": ["{other}"]},
    "PATCH /chats/{chat}": {"title": "Fans"},
    "POST /chats/{chat}/members": {"user_id": "{other}"},
    "POST /chats/{chat}/messages": {"text": "hello"},
    "PATCH /chats/{chat}/messages/{text}": {"text": "goodbye"},
    "POST /chats/{chat}/read": {"seq": 1},
    "POST /tasks": CARD,
    "POST /tasks/batch": {"tasks": [CARD, CARD]},
    "POST /schedules": {"name": "Mornings", "cron": "0 7 * * *", **CARD},
    "PATCH /schedules/{schedule}": {"name": "Evenings"},
}
FORMS = frozenset({"POST /auth/token"})
# A service says whom it acts for.
NAMED: Mapping[str, Mapping[str, str]] = {
    "POST /parties": {"owner_id": "{owner}"},
    "POST /parties/{private}/join": {"user_id": "{other}"},
    "POST /parties/{public}/join": {"user_id": "{other}"},
    "POST /parties/{private}/leave": {"user_id": "{peer}"},
    "POST /parties/{public}/leave": {"user_id": "{peer}"},
    "GET /parties": {"user_id": "{owner}"},
    "GET /invitations": {"user_id": "{owner}"},
}


@dataclass(frozen=True, slots=True)
class Line:
    """A route with things in its place, the scope that opens it to a key, and what each caller is told."""

    route: str
    scope: str
    answers: Mapping[str, Answer]

    @classmethod
    def of(cls, text: str) -> "Line":
        """Read a line of the table."""
        method, path, scope, *cells = text.split()
        answers = {caller: _answer(cell) for caller, cell in zip(CALLERS, cells, strict=True)}
        return cls(f"{method} {path}", scope, answers)

    @property
    def changes(self) -> bool:
        """Whether one caller's request may disturb the next one's."""
        return not self.route.startswith("GET ")


def _answer(cell: str) -> Answer:
    return REFUSALS[cell] if cell in REFUSALS else (int(cell), None)


TABLE = [Line.of(text) for text in LINES.splitlines()[2:] if text]
