"""What a program that uses Parlor as a library may give to the container."""

import pytest

from parlor.container import make_container
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.kinds import Kinds
from tests.fakes.container import settings_for_tests
from tests.fakes.tasks import NoteHandler

SERVERS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    "REDIS_URL": "redis://127.0.0.1",
    "RABBITMQ_URL": "amqp://127.0.0.1",
}


def test_handlers_that_are_given_add_to_the_kinds_that_parlor_has() -> None:
    kinds = make_container(settings_for_tests(**SERVERS), handlers=[NoteHandler()]).get(Kinds)
    assert kinds.check(NoteHandler.kind, {"text": "hi"}).payload == {"text": "hi"}
    assert HttpRequestHandler.kind in kinds.handlers


def test_a_handler_that_is_given_takes_no_kind_from_parlor() -> None:
    class Another(NoteHandler):
        kind = HttpRequestHandler.kind

    with pytest.raises(ValueError, match="share a kind"):
        make_container(settings_for_tests(**SERVERS), handlers=[Another()])
