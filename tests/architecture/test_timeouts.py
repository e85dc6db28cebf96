"""The table of timeouts in docs/operations.md says what the code does."""

import inspect
import re
from collections.abc import Sequence

import pytest

from parlor.adapters import health
from parlor.adapters.http.caller import GuardedCaller
from parlor.adapters.http.generator import TOTAL_S as GENERATOR_S
from parlor.adapters.mail.smtp import TIMEOUT_S as MAIL_S
from parlor.adapters.rabbitmq import connection as rabbitmq, outlet, topology
from parlor.adapters.redis import client as redis, feed
from parlor.adapters.security.passwords import QUEUE_S
from parlor.adapters.sql import chat_search, engine
from parlor.config import Settings
from parlor.core.identity import mail_tokens, tickets
from parlor.core.tasks.running import FIRST_DELAY_S, LONGEST_DELAY_S
from parlor.entrypoints.consume_worker.messages import TaskMessage
from parlor.entrypoints.http import body, mailbox, outflow, realtime_socket, server, streams, websockets
from parlor.entrypoints.http.tasks import LONGEST_WAIT_S
from tests.architecture.source import ROOT


def setting(name: str) -> float:
    default: float = Settings.model_fields[name].default
    return default


HEADER_S = setting("header_timeout_s")
LIMITS_S = {name: int(value) / 1000 for name, value in engine.LIMITS.items() if value.isdigit()}
HALF_A_SECOND = chat_search.LIMIT_MS / 1000

# By how the row begins; what the table says of anything else would be nobody's word.
IN_THE_CODE: dict[str, Sequence[float]] = {
    "a request's head": [HEADER_S],
    "the next byte of a request's body": [HEADER_S],
    "a request's body to be complete": [body.WAITS * HEADER_S],
    "a reader takes less than 32 KiB": [outflow.LOOK_EVERY_S],
    "a WebSocket's answer to a ping": [realtime_socket.HEARTBEAT_S],
    "a WebSocket's reader to catch up": [mailbox.STUCK_S],
    "a WebSocket to be closed by its peer": [websockets.LINGER_S],
    "an idle HTTP connection": [server.KEEP_ALIVE_S],
    "what still runs when a process is told to end": [setting("drain_s")],
    "an API process that is told to end": [setting("unready_s")],
    "`?wait=` of a task": [LONGEST_WAIT_S],
    "between two comments of a quiet stream": [streams.BEAT_S],
    "a reader of a stream takes nothing": [streams.STUCK_S],
    "a stream that a ticket opened": [
        tickets.LONGEST_STREAM.total_seconds(),
        tickets.TICKET_LIFE.total_seconds(),
    ],
    "a free connection of the pool": [engine.ACQUIRE_S],
    "a connection to PostgreSQL": [engine.CONNECT_S],
    "a lock": [LIMITS_S["lock_timeout"]],
    "a statement": [LIMITS_S["statement_timeout"]],
    "a search for words among parties": [HALF_A_SECOND],
    "those who join the same party": [LIMITS_S["statement_timeout"]],
    "a transaction that does nothing": [LIMITS_S["idle_in_transaction_session_timeout"]],
    "waiting for a place to hash": [QUEUE_S],
    "any answer of Redis": [redis.TIMEOUT_S],
    "silence on the feed": [feed.SILENCE_S],
    "a connection to RabbitMQ": [rabbitmq.CONNECT_S],
    "RabbitMQ's heartbeat": [rabbitmq.HEARTBEAT_S],
    "a task's lease": [setting("lease_s")],
    "an attempt of a task": [TaskMessage.model_fields["timeout_s"].default],
    "between attempts": [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S, LONGEST_DELAY_S],
    "a mail, all of it": [MAIL_S],
    "a mailed token": [mail_tokens.LIFE.total_seconds()],
    "`http_request`: a connection": [
        inspect.signature(GuardedCaller).parameters["connect_timeout_s"].default
    ],
    "`http_request`: the whole call": [],
    "the card generator": [GENERATOR_S],
    "one part of `/readyz`": [health.CHECK_S],
}


def rows() -> list[tuple[str, str]]:
    page = (ROOT / "docs/operations.md").read_text()
    table = page.partition("## Timeouts\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \|", table, re.MULTILINE)[1:]


@pytest.mark.parametrize(("what", "seconds"), rows(), ids=[what for what, _ in rows()])
def test_a_timeout_of_the_page_is_the_codes(what: str, seconds: str) -> None:
    said = [float(number) for number in re.findall(r"[\d.]+", seconds)]
    (meant,) = {begin for begin in IN_THE_CODE if re.match(rf"{re.escape(begin)}(?!\w)", what)}
    assert said == list(IN_THE_CODE[meant])


def test_no_timeout_is_missing_on_the_page() -> None:
    told = [what for what, _ in rows()]
    assert not [begin for begin in IN_THE_CODE if not any(what.startswith(begin) for what in told)]
    assert outlet.CONFIRM_S == topology.RPC_S == rabbitmq.CONNECT_S  # one row for these three
