"""Metrics, alerts, dashboard and the pages about them speak of the same things."""

import json
import re
from collections import Counter

import pytest
import yaml

from parlor.container import Container, make_container
from parlor.core.shared.meters import Level, Meter, Tally, Timing
from parlor.entrypoints.consume_worker.main import make_relay, make_runner, make_timers
from parlor.entrypoints.http.app import make_app
from parlor.wiring.modes import Mode
from tests.architecture.documents import anchors
from tests.architecture.operations import ALERTS, DASHBOARD, alerts, expressions, panels
from tests.architecture.source import ROOT
from tests.fakes.container import settings_for_tests
from tests.promql import groupings_of, labels_of, metrics_of

SUFFIX = re.compile(r"_(bucket|count|sum)$")
KINDS: dict[type[Meter], str] = {Tally: "counter", Timing: "histogram", Level: "gauge"}
# What Prometheus adds to what it reads, and what comes from its own library.
ADDED = {"job", "instance", "role", "le"}
LIBRARYS = re.compile(r"up|process_\w+")
CONVENTIONS = {Tally: r"parlor_\w+_total", Timing: r"parlor_\w+_seconds", Level: r"parlor_\w+(?<!_total)"}


@pytest.fixture(scope="module")
def meters() -> dict[str, Meter]:
    """Make every part that counts; none of them is begun."""
    container: Container = make_container(
        settings_for_tests(DATABASE_URL="postgresql://nobody@127.0.0.1/none"), mode=Mode.EMBEDDED
    )
    make_app(container).build_middleware_stack()
    for make in (make_runner, make_relay, make_timers):
        make(container)
    return {meter.name: meter for meter in container.meters.all()}


def row(meter: Meter) -> str:
    labels = ", ".join(f"`{label}`" for label in meter.labels) or "none"
    return f"| `{meter.name}` | {KINDS[type(meter)]} | {labels} | {meter.told} |"


def test_the_page_lists_every_metric_with_its_labels(meters: dict[str, Meter]) -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert re.findall(r"^\| `parlor_.*$", page, re.MULTILINE) == [row(meter) for meter in meters.values()]


def test_names_keep_to_prometheus_conventions(meters: dict[str, Meter]) -> None:
    wrong = [name for name, meter in meters.items() if not re.fullmatch(CONVENTIONS[type(meter)], name)]
    assert wrong == []


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_a_query_names_metrics_and_labels_that_there_are(meters: dict[str, Meter], expression: str) -> None:
    named = {name for name in metrics_of(expression) if not LIBRARYS.fullmatch(name)}
    known = {name if name in meters else SUFFIX.sub("", name) for name in named}
    assert known <= set(meters), expression
    labels = {name: {*meters[name].labels, *ADDED} for name in known}
    for name, asked in labels_of(expression):
        assert LIBRARYS.fullmatch(name) or asked <= labels[SUFFIX.sub("", name)], expression
    assert groupings_of(expression) <= {*ADDED, *(label for some in labels.values() for label in some)}


def test_each_alert_has_a_section_about_the_incident_and_each_section_an_alert() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "docs/incidents.md").read_text(), re.MULTILINE)
    assert sections == list(alerts())


def test_each_section_says_what_it_means_what_users_see_where_to_look_and_what_to_do() -> None:
    _, *sections = re.split(r"^## .+$", (ROOT / "docs/incidents.md").read_text(), flags=re.MULTILINE)
    for section in sections:
        said = section.replace("\n", " ")
        assert [said.count(word) for word in ("**Means**", "**Users see**", "**Look at**", "**Do**")] == [
            1
        ] * 4


def test_each_alert_says_how_urgent_it_is_and_what_is_the_matter() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert rule["annotations"]["summary"], name


def test_for_each_alert_there_is_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = yaml.safe_load(ALERTS.with_name("alerts_test.yml").read_text())["tests"]
    expected = Counter(
        (one["alertname"], bool(one["exp_alerts"])) for case in cases for one in case["alert_rule_test"]
    )
    assert expected == Counter((name, fires) for name in alerts() for fires in (True, False))


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert dashboard["uid"] == "parlor"
    assert len(set(ids)) == len(ids)
    variables = {f"${{{one['name']}}}" for one in dashboard["templating"]["list"]}
    for panel in panels():
        assert panel["datasource"]["uid"] in variables
        assert panel["targets"], panel["title"]


def test_no_two_panels_lie_on_each_other() -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken.update(
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        )
    assert set(taken.values()) == {1}


def test_the_example_reads_the_rules_under_the_name_that_they_go_by() -> None:
    example = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
    assert example["rule_files"] == [ALERTS.name]
    assert [job["job_name"] for job in example["scrape_configs"]] == ["parlor"]


def test_pages_link_to_alerts_by_their_names() -> None:
    assert {name.lower() for name in alerts()} <= anchors(ROOT / "docs/incidents.md")


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ("up == 0", {"up"}),
        ('sum by (le) (rate(a_bucket{route!~".*/{id}|x"}[5m])) > bool 1', {"a_bucket"}),
        ("max by (q) (a) > 0 and on (q) sum by (q) (rate(b_total[5m])) == 0", {"a", "b_total"}),
        ("histogram_quantile(0.99, sum(rate(a_bucket[$__rate_interval]))) or vector(0)", {"a_bucket"}),
    ],
)
def test_metrics_are_found_in_a_query(expression: str, metrics: set[str]) -> None:
    assert metrics_of(expression) == metrics
