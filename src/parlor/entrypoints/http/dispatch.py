"""The short way from the edge to a route: by the first word of its path, past everything that the route does without.

The framework asks one route after the other (0.7 µs each, and there are a hundred), inside layers for what only its
own endpoints do. Routes that are called directly need none of it. Whatever is not for one of them goes the
framework's way: other methods and unknown paths, which are its errors, and endpoints of its own shape.
"""

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from parlor.core.shared.errors import ParlorError
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.errors import problem
from parlor.entrypoints.http.routing import BASE, Route

PARAMETER = "{"


class Dispatch:
    """Takes requests to the routes that are called directly."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self._framework = app
        self._by_word = _by_word([route for route in routes if isinstance(route, Route)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route(scope) if scope["type"] == "http" else None
        if route is None:
            await self._framework(scope, receive, send)
            return
        try:
            await route.app(scope, receive, send)
        except ParlorError as error:
            call = call_of(scope)
            if call.status:
                raise  # the answer has begun
            call.code = error.code
            await problem(error, call.request_id)(scope, receive, send)

    def _route(self, scope: Scope) -> Route | None:
        path: str = scope["path"]
        for route in self._by_word.get(_word(path), ()):
            found = route.path_regex.match(path)
            if found is not None and scope["method"] in (route.methods or ()):
                if not route.is_direct:
                    return None
                scope["route"] = route
                scope["path_params"] = found.groupdict()
                return route
        return None


def _by_word(routes: Sequence[Route]) -> Mapping[str, Sequence[Route]]:
    """Keep the routes' order. Each of ours has a first word of its own, in place of which nothing else may stand."""
    found: dict[str, list[Route]] = {}
    for route in routes:
        word = _word(route.path)
        assert PARAMETER not in word, f"{route.path} has no first word"
        found.setdefault(word, []).append(route)
    return found


def _word(path: str) -> str:
    """Tell the first word, behind the base path where there is one."""
    begin = len(BASE) + 1 if path.startswith(BASE + "/") else 1
    end = path.find("/", begin)
    return path[begin:] if end < 0 else path[begin:end]
