"""All three servers for as long as a developer or a benchmark wants: `python -m tests.servers`.

`python -m tests.servers ensure` starts none. It tells what they would be started from, and installs
what is missing where it may.
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

from tests.servers import KINDS, VARIABLES, NoServer, Server, pgbouncer


def main(arguments: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        if arguments == ["ensure"]:
            ensure()
        else:
            serve()
    except NoServer as error:
        sys.exit(str(error))


def ensure() -> None:
    for kind, variable in VARIABLES.items():
        print(f"{kind:<9} {os.environ.get(variable) or _origin(kind)}", flush=True)
    server = pgbouncer.PgBouncer("postgresql://nobody@127.0.0.1:1")
    print(f"pgbouncer {server.origin}", flush=True)
    server.close()


def serve() -> None:
    with ExitStack() as running, suppress(KeyboardInterrupt):
        wanted = [kind for kind, variable in VARIABLES.items() if variable not in os.environ]
        servers = {kind: running.enter_context(closing(KINDS[kind]())) for kind in wanted}
        with ThreadPoolExecutor() as starting:
            list(starting.map(Server.start, servers.values()))
        for kind, variable in VARIABLES.items():
            url = servers[kind].url if kind in servers else os.environ[variable]
            print(f"export {variable}={url}", flush=True)
        print("Ctrl-C stops them.", file=sys.stderr, flush=True)
        signal.pause()


def _origin(kind: str) -> str:
    server = KINDS[kind]()
    try:
        return server.origin
    finally:
        server.close()


if __name__ == "__main__":
    main(sys.argv[1:])
