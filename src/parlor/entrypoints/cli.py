"""The command line: `parlor up`, `serve`, `worker` and the rest; `parlor --help` lists them all."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from getpass import getpass
from typing import TypeVar

import uvloop
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from parlor.config import BadSettings, Settings
from parlor.container import Container, make_container
from parlor.core.identity.use_cases import Register, ResetPassword
from parlor.core.shared.errors import Invalid, ParlorError
from parlor.entrypoints import api_keys, check, dead_letters, logs
from parlor.entrypoints.asyncapi.document import published, written
from parlor.entrypoints.consume_worker.main import work
from parlor.entrypoints.embedded import up
from parlor.entrypoints.embedded.postgres import EmbeddedPostgresError
from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.server import bind, serve
from parlor.entrypoints.setup import declare_topology, migrate
from parlor.wiring.modes import Mode

Command = Callable[[argparse.Namespace, Settings], int | None]
T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake of the caller's is one line on stderr and a non-zero exit."""
    given = _parser().parse_args(arguments)
    command: Command = given.command
    try:
        settings = Settings()
        logs.configure(settings.log_level)
        return command(given, settings) or 0
    except (BadSettings, EmbeddedPostgresError) as error:
        return _complain(str(error))
    except ValidationError as error:
        return _complain("; ".join(map(_told, error.errors(include_input=False, include_url=False))))
    except ParlorError as error:
        told = [flaw.detail for flaw in error.flaws] if isinstance(error, Invalid) else []
        return _complain(" ".join([error.detail, *told]))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parlor", description="Accounts with roles, parties, chats, and background tasks."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add(commands, "up", _up, "everything in one process, with a PostgreSQL of its own", _address)
    _add(commands, "serve", _serve, "the HTTP API on real servers", _address)
    _add(commands, "worker", _worker, "run tasks, publish the outboxes, keep the timers", _worker_options)
    _add(commands, "relay", _relay, "only publish the outboxes")
    _add(commands, "migrate", _migrate, "bring the database up to date")
    _add(commands, "topology", _topology, "declare RabbitMQ's exchanges and queues")
    _add(commands, "asyncapi", _asyncapi, "print the contract over RabbitMQ, an AsyncAPI 3 document")
    _add(commands, "check", _check, "tell what is set up right and what is not")
    users = commands.add_parser("users", help="make users and their passwords").add_subparsers(required=True)
    _add(users, "create-admin", _create_admin, "make a user with every permission", _account)
    _add(users, "reset-password", _reset_password, "give a user a new password; all sessions end", _account)
    _add_api_keys(commands)
    _add_dead_letters(commands)
    return parser


def _add_api_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "what services show in place of a person's token"
    keys = commands.add_parser("api-keys", help=told, description=told).add_subparsers(required=True)
    create = partial(_on_database_with, api_keys.create_key)
    _add(keys, "create", create, "make one without a maker, and print it", api_keys.create_options)
    _add(keys, "list", partial(_on_database_with, api_keys.list_keys), "newest first")
    revoke = partial(_on_database_with, api_keys.revoke_keys)
    _add(keys, "revoke", revoke, "end them for good", api_keys.which_options)


def _add_dead_letters(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "messages that could not be taken"
    letters = commands.add_parser("dead-letters", help=told, description=told).add_subparsers(required=True)
    _add(
        letters,
        "list",
        partial(_on_letters, dead_letters.list_letters),
        "newest first",
        dead_letters.list_options,
    )
    _add(
        letters,
        "show",
        partial(_on_letters, dead_letters.show_letter),
        "all that is known",
        dead_letters.one_option,
    )
    which = dead_letters.which_options
    _add(
        letters,
        "replay",
        partial(_on_letters, dead_letters.replay_letters),
        "send them again, once each",
        which,
    )
    _add(letters, "discard", partial(_on_letters, dead_letters.discard_letters), "throw them away", which)


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Command,
    told: str,
    *options: Callable[[argparse.ArgumentParser], None],
) -> None:
    parser = commands.add_parser(name, help=told, description=told)
    parser.set_defaults(command=command)
    for option in options:
        option(parser)


def _address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=os.environ.get("PORT") or "8000")


def _worker_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-relay", action="store_true", help="another process publishes")
    parser.add_argument("--no-timers", action="store_true", help="another process keeps the timers")


def _account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--email", required=True)
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from stdin, and do not ask for it"
    )


def _up(given: argparse.Namespace, settings: Settings) -> None:
    listener = bind(given.host, given.port)
    uvloop.run(up.up(settings, listener))


def _serve(given: argparse.Namespace, settings: Settings) -> None:
    container = make_container(settings)
    serve(make_app(container), given.host, given.port, settings)


def _worker(given: argparse.Namespace, settings: Settings) -> None:
    uvloop.run(work(settings, relay=not given.no_relay, timers=not given.no_timers))


def _relay(_: argparse.Namespace, settings: Settings) -> None:
    uvloop.run(work(settings, consume=False, timers=False))


def _migrate(_: argparse.Namespace, settings: Settings) -> None:
    asyncio.run(migrate(settings))


def _topology(_: argparse.Namespace, settings: Settings) -> None:
    asyncio.run(declare_topology(settings))


def _asyncapi(_: argparse.Namespace, settings: Settings) -> None:
    print(written(published(settings)))  # noqa: T201 - the command's own output


def _check(_: argparse.Namespace, settings: Settings) -> int:
    return asyncio.run(check.check(settings))


def _create_admin(given: argparse.Namespace, settings: Settings) -> None:
    password = _password(given)
    asyncio.run(
        _on_database(
            settings,
            lambda container: container.command(Register)(
                email=given.email, password=password, display_name=None, roles=up.ADMIN_ROLES
            ),
        )
    )


def _reset_password(given: argparse.Namespace, settings: Settings) -> None:
    password = _password(given)
    asyncio.run(
        _on_database(
            settings, lambda container: container.command(ResetPassword)(email=given.email, password=password)
        )
    )


def _password(given: argparse.Namespace) -> str:
    return sys.stdin.readline().rstrip("\n") if given.password_stdin else getpass()


def _on_letters(
    act: Callable[[Container, argparse.Namespace], Awaitable[int]],
    given: argparse.Namespace,
    settings: Settings,
) -> int:
    if hasattr(given, "all") and not dead_letters.is_clear(given):
        return _complain("say which: ids, or --all, or --reason")
    return asyncio.run(_on_database(settings, lambda container: act(container, given)))


def _on_database_with(
    act: Callable[[Container, argparse.Namespace], Awaitable[int]],
    given: argparse.Namespace,
    settings: Settings,
) -> int:
    return asyncio.run(_on_database(settings, lambda container: act(container, given)))


async def _on_database(settings: Settings, act: Callable[[Container], Awaitable[T]]) -> T:
    """Act on the servers that are set, or else on the embedded database, whether or not it is running."""
    async with AsyncExitStack() as stack:
        if settings.names_services:
            # On the real servers, so that the other processes hear of what changes.
            container = make_container(settings.model_copy(update={"migrate_on_start": settings.may_migrate}))
        else:
            container = make_container(
                await up.with_database(settings, stack, share=True), mode=Mode.EMBEDDED
            )
        await container.start()
        stack.push_async_callback(container.close)
        return await act(container)


def _told(error: ErrorDetails) -> str:
    """Name the variable, and what is wrong with it: never its value, which may be a secret."""
    variable = ".".join(map(str, error["loc"]))
    return f"{variable}: {error['msg']}" if variable else error["msg"].removeprefix("Value error, ")


def _complain(line: str) -> int:
    print(f"parlor: {line}", file=sys.stderr)  # noqa: T201 - the command's own output
    return 1
