"""The compose files: by the format's schema, and by what our own program and settings say of them.

No container engine is needed. What an engine makes of them is not shown here.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_rs import validator_for

from chargeback_worker import __version__
from chargeback_worker.settings import load
from chargeback_worker.worker.lifecycle import END_S
from tests.fresh.dockerfile import read
from tests.support.command_lines import parsed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = ("compose.yaml", "compose.light.yaml")
IMAGE = read(ROOT / "Dockerfile")[-1]
OURS = f"chargeback-worker:{__version__}"
SCHEMA = json.loads((ROOT / "tests/data/schemas/compose-spec.json").read_text())

Service = dict[str, Any]


@pytest.fixture(params=FILES)
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / request.param).read_text())
    assert isinstance(found, dict)
    return found


def ours(compose: Mapping[str, Any]) -> dict[str, Service]:
    return {name: one for name, one in compose["services"].items() if one["image"] == OURS}


def one_shots(compose: Mapping[str, Any]) -> set[str]:
    return {name for name, one in compose["services"].items() if one["restart"] == "no"}


def test_it_is_a_compose_file(compose: dict[str, Any]) -> None:
    known = validator_for(SCHEMA)
    assert [error.message for error in known.iter_errors(compose)] == []
    compose["services"]["worker"]["reastart"] = "always"
    assert not known.is_valid(compose)


def test_each_command_is_one_of_ours(compose: dict[str, Any]) -> None:
    named = {name: parsed(one["command"])[0] for name, one in ours(compose).items()}
    assert {"ingest": ("run",)} | named == {
        "migrate": ("db", "upgrade"),
        "topics": ("topics", "create"),
        "worker": ("run",),
        "ingest": ("run",),
    }


def test_what_may_run_many_times_has_nothing_of_its_own() -> None:
    """A second one with the same port of the machine, or the same name in the group, would fail."""
    ingest = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["ingest"]
    assert "ports" not in ingest
    assert "container_name" not in ingest
    assert "CHARGEBACK_KAFKA__GROUP_INSTANCE_ID" not in ingest["environment"]
    assert parsed(ingest["command"])[1]["role"] == ["ingest"]
    assert ingest["profiles"] == ["ingest"]


def test_invoices_of_many_lines_get_through_the_broker(compose: dict[str, Any]) -> None:
    told = compose["services"]["kafka"]["environment"]
    assert int(told["KAFKA_MESSAGE_MAX_BYTES"]) == 16 * 1024**2


def test_prometheus_keeps_as_long_as_a_dashboard_looks_back() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    [kept] = [one for one in services["prometheus"]["command"] if "retention.time" in one]
    for file in (DEPLOY / "grafana/dashboards").glob("*.json"):
        looks_back = re.fullmatch(r"now-(\d+)([hd])", json.loads(file.read_text())["time"]["from"])
        assert looks_back is not None
        days = int(looks_back[1]) / (1 if looks_back[2] == "d" else 24)
        assert days <= int(kept.partition("=")[2].removesuffix("d"))


def test_one_service_builds_our_image_and_the_others_take_it(compose: dict[str, Any]) -> None:
    """Compose builds all services at once, and a second image of the same name is refused."""
    built = [name for name, one in compose["services"].items() if "build" in one]
    assert built == ["worker"]
    assert compose["services"]["worker"]["image"] == OURS
    assert {"migrate", "topics", "worker"} <= set(ours(compose))


def test_each_variable_is_a_setting_of_ours(compose: dict[str, Any], tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path)
    for service in ours(compose).values():
        told = {**IMAGE.environment(), **service["environment"]}
        environ = {
            name: value.replace("/run/secrets", str(secrets)) for name, value in told.items()
        }
        settings = load({}, environ)
        assert settings.kafka.bootstrap_servers == ("kafka:9092",)
        assert settings.metrics.host == "0.0.0.0"
        for name, value in service["environment"].items():
            if name.endswith("_FILE"):
                assert Path(value).name in service["secrets"], name


def test_the_drawn_secrets_fit_each_other_and_are_drawn_once(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path)
    drawn = {file.name: file.read_text() for file in secrets.iterdir()}
    password = drawn.pop("database_password")
    settings = load({}, {"CHARGEBACK_DATABASE__URL_FILE": str(secrets / "database_url")})
    assert f"//chargeback:{password}@postgres:5432/chargeback" in settings.database.url
    assert drawn.pop("database_url")
    for value in (password, *drawn.values()):
        assert re.fullmatch(r"[0-9a-f]{48}", value)
    assert len({password, *drawn.values()}) == 1 + len(drawn) == 3
    assert secrets.stat().st_mode & 0o077 == 0
    make_secrets(tmp_path)
    assert (secrets / "database_password").read_text() == password


def test_secrets_are_files_that_the_script_draws_and_git_ignores(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    drawn = {file.name for file in make_secrets(tmp_path).iterdir()}
    assert compose["secrets"] == {
        name: {"file": f"./secrets/{name}"} for name in drawn & set(compose["secrets"])
    }
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    used = {name for one in compose["services"].values() for name in one.get("secrets", ())}
    assert used == set(compose["secrets"])


def test_all_that_is_mounted_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source, _, target = volume.partition(":")
            if source.startswith("."):
                assert (DEPLOY / source).exists(), volume
                assert target.endswith(":ro"), volume
            else:
                assert source in compose["volumes"], volume


def test_grafana_finds_what_it_is_provisioned_with() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounted = {volume.split(":")[1] for volume in services["grafana"]["volumes"]}
    for file in (DEPLOY / "grafana/provisioning").rglob("*.y*ml"):
        told = yaml.safe_load(file.read_text())
        for provider in told.get("providers", ()):
            assert provider["options"]["path"] in mounted, file
        for source in told.get("datasources", ()):
            assert source["url"] == "http://prometheus:9090", file


def test_up_wait_ends_when_all_is_well(compose: dict[str, Any]) -> None:
    """`--wait` waits for the health of what runs on, and for the end of what others wait for so."""
    waited_for: dict[str, set[str]] = {}
    for service in compose["services"].values():
        for name, how in service.get("depends_on", {}).items():
            waited_for.setdefault(name, set()).add(how["condition"])
    for name, service in compose["services"].items():
        checked = "healthcheck" in service or service["image"] == OURS
        if name in one_shots(compose):
            assert waited_for[name] == {"service_completed_successfully"}
        else:
            assert checked, name
            assert waited_for.get(name, set()) <= {"service_healthy"}
    assert IMAGE.of("HEALTHCHECK")


def test_the_worker_starts_on_its_schema_and_its_topics(compose: dict[str, Any]) -> None:
    assert {"migrate", "topics"} == set(compose["services"]["worker"]["depends_on"])
    assert one_shots(compose) == {"migrate", "topics"}


def test_the_worker_gets_the_time_to_drain(compose: dict[str, Any]) -> None:
    grace = compose["services"]["worker"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > END_S


def test_nothing_gets_more_than_it_needs(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        # Kafka's image writes its configuration when it starts.
        assert service.get("read_only", False) or name == "kafka"
        assert re.search(r":v?\d+(\.\d+)+", service["image"]), f"{name}: no version"
        assert service["image"].count("/") <= 1, f"{name}: names a registry"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to others"


def test_prometheus_scrapes_the_metrics_port_of_the_worker() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    [job] = prometheus["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert found["port"] == load({}, IMAGE.environment()).metrics.port
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    running = {name for name, one in ours({"services": services}).items() if "restart" in one}
    assert set(found["names"]) == running - one_shots({"services": services})


def make_secrets(folder: Path) -> Path:
    secrets = folder / "secrets"
    subprocess.run([DEPLOY / "make-secrets", secrets], check=True, capture_output=True)
    return secrets
