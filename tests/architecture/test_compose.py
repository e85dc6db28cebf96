"""docker-compose.yml and the Dockerfile name what is there: commands, settings, files, services."""

from typing import Any

import pytest

from parlor.config import Settings
from parlor.entrypoints import cli
from tests.architecture.compose import dockerfile, entrypoint, health_check, image_environment, services
from tests.architecture.source import ROOT

OURS = ("micro_service", "consume_worker")
SERVERS = ("db", "redis", "rabbitmq")
SETTINGS = {field.alias for field in Settings.model_fields.values()} | {
    "HOST",
    "PORT",
}  # the last two: cli.py


def test_the_five_services_are_there_and_one_more_for_developers() -> None:
    found = services()
    assert {name for name, one in found.items() if not one.get("profiles")} == {*OURS, *SERVERS}
    assert {name for name, one in found.items() if one.get("profiles") == ["dev"]} == {"dev_ports"}


@pytest.mark.parametrize("name", OURS)
def test_its_command_is_a_line_that_parlor_takes(name: str) -> None:
    assert entrypoint()[-1] == "parlor"
    cli._parser().parse_args(services()[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_it_is_told_nothing_that_parlor_does_not_know(name: str) -> None:
    assert set(services()[name]["environment"]) <= SETTINGS
    assert set(image_environment()) <= SETTINGS


@pytest.mark.parametrize("name", OURS)
def test_it_brings_the_database_up_to_date(name: str) -> None:
    assert services()[name]["environment"]["PARLOR_MIGRATE_ON_START"] == "true"


@pytest.mark.parametrize("name", OURS)
def test_it_waits_for_what_it_needs(name: str) -> None:
    waits: dict[str, Any] = services()[name]["depends_on"]
    assert set(waits) == set(SERVERS)
    assert waits["db"]["condition"] == "service_healthy"


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_says_whether_it_is_healthy(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] == "CMD"


def test_urls_lead_to_the_services_with_their_passwords() -> None:
    given = services({"POSTGRES_PASSWORD": "one", "RABBITMQ_PASSWORD": "two"})
    for name in OURS:
        environment = given[name]["environment"]
        assert environment["DATABASE_URL"] == "postgresql://parlor:one@db:5432/parlor"
        assert environment["REDIS_URL"] == "redis://redis:6379/0"
        assert environment["RABBITMQ_URL"] == "amqp://parlor:two@rabbitmq:5672/"
    assert given["db"]["environment"]["POSTGRES_PASSWORD"] == "one"
    assert given["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_PASS"] == "two"


def test_only_this_machine_reaches_what_is_published() -> None:
    published = [port for one in services().values() for port in one.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_others_reach_it_where_that_is_asked_for() -> None:
    assert services({"PUBLISH": "0.0.0.0:80"})["micro_service"]["ports"] == ["0.0.0.0:80:8000"]


def test_each_port_for_developers_is_published_and_leads_to_a_service() -> None:
    ports = services()["dev_ports"]
    routes = dict(word.split("=") for word in ports["command"])
    assert ports["ports"] == [f"127.0.0.1:{port}:{port}" for port in routes]
    assert {target.split(":")[0] for target in routes.values()} == set(SERVERS)


def test_volumes_keep_what_the_servers_and_parlor_keep() -> None:
    kept = {name: one["volumes"] for name, one in services().items() if "volumes" in one}
    assert set(kept) == {*OURS, "db", "rabbitmq"}
    for name in OURS:
        (place,) = kept[name]
        assert place.endswith(f":{services()[name]['environment']['PARLOR_DATA_DIR']}")


def test_the_image_runs_as_nobody_special_and_holds_what_its_commands_name() -> None:
    assert dockerfile("USER") == ["parlor"]
    copied = [word for line in dockerfile("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    named = [
        entrypoint()[0].removeprefix("/app/"),
        health_check()[-1],
        services()["dev_ports"]["entrypoint"][-1],
    ]
    assert set(named) <= set(copied)
    assert {"alembic.ini", "migrations"} <= set(copied)
