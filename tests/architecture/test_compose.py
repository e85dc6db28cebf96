"""docker-compose.yml and the Dockerfile name what is there: commands, settings, files, services."""

from typing import Any

import pytest
import yaml

from parlor.config import Settings
from parlor.entrypoints import cli
from tests.architecture.compose import dockerfile, entrypoint, health_check, image_environment, services
from tests.architecture.source import ROOT

OURS = ("micro_service", "consume_worker")
SERVERS = ("db", "redis", "rabbitmq")
WATCHERS = ("prometheus", "grafana")
SETTINGS = {field.alias for field in Settings.model_fields.values()} | {
    "HOST",
    "PORT",
}  # the last two: cli.py


def test_the_five_services_are_there_and_more_where_a_profile_asks_for_them() -> None:
    found = services()
    assert {name for name, one in found.items() if not one.get("profiles")} == {*OURS, *SERVERS}
    assert {name for name, one in found.items() if one.get("profiles") == ["dev"]} == {"dev_ports"}
    assert {name for name, one in found.items() if one.get("profiles") == ["metrics"]} == {*WATCHERS}


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
    kept = {
        name: one["volumes"] for name, one in services().items() if "volumes" in one and name not in WATCHERS
    }
    assert set(kept) == {*OURS, "db", "rabbitmq"}
    for name in OURS:
        (place,) = kept[name]
        assert place.endswith(f":{services()[name]['environment']['PARLOR_DATA_DIR']}")


def test_prometheus_and_grafana_are_given_files_that_there_are_to_read() -> None:
    mounted = [volume.split(":") for name in WATCHERS for volume in services()[name]["volumes"]]
    files = {source: mode for source, _, *mode in mounted if source.startswith("./")}
    assert len(files) == 3
    assert all((ROOT / source).exists() and mode == ["ro"] for source, mode in files.items())


def test_prometheus_reads_each_of_our_services_where_it_serves_its_page() -> None:
    example = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
    read = {one["targets"][0] for one in example["scrape_configs"][0]["static_configs"]}
    environment = {name: services()[name]["environment"] for name in OURS}
    served = {name: one.get("PARLOR_WORKER_PORT", one.get("PORT")) for name, one in environment.items()}
    assert read == {f"{name}:{port}" for name, port in served.items()}


def test_grafana_reads_from_prometheus_and_shows_the_dashboard_that_it_is_given() -> None:
    folder = ROOT / "ops/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/parlor.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    places = [volume.split(":")[1] for volume in services()["grafana"]["volumes"]]
    home = services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert f"{provider['options']['path']}/parlor.json" == home
    assert home in places


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
