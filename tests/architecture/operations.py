"""Reading what is given to Prometheus and Grafana."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.architecture.source import ROOT

ALERTS = ROOT / "ops/prometheus/alerts.yml"
DASHBOARD = ROOT / "ops/grafana/parlor.json"


def alerts() -> dict[str, dict[str, Any]]:
    """Find each alert by its name."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> list[dict[str, Any]]:
    """Find the dashboard's panels, without the rows above them."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Find every query of alerts and dashboard."""
    yield from (rule["expr"] for rule in alerts().values())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
