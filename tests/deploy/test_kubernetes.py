"""The Kubernetes manifests: by the schemas of their kinds, by our settings, and by each other.

What the example overlay comes to is kept in `tests/data/kubernetes/example.yaml`, so that it is
held on any machine; where there is `kubectl`, it is made anew and compared. No cluster has seen it.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from chargeback_worker import __version__
from chargeback_worker.cli.topics import PARTITIONS
from chargeback_worker.settings import load
from chargeback_worker.worker.lifecycle import END_S
from tests.fresh.dockerfile import read
from tests.support import custom_resources
from tests.support.command_lines import parsed

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
EXAMPLE = ROOT / "tests/data/kubernetes/example.yaml"
IMAGE = read(ROOT / "Dockerfile")[-1]
VERSIONS = ("1.31", kubernetes_validate.latest_version())
# The kinds of Kubernetes itself; others have definitions of their own.
CORE = ("v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1")

Document = dict[str, Any]
DOCUMENTS: list[Document] = list(yaml.safe_load_all(EXAMPLE.read_text()))


def named(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(*kinds: str) -> list[Document]:
    return [document for document in DOCUMENTS if document["kind"] in kinds]


WORKLOADS = of_kind("Job", "StatefulSet", "Deployment")
WORKERS = of_kind("StatefulSet", "Deployment")


def pod_of(document: Document) -> Document:
    found: Document = document["spec"]["template"]["spec"]
    return found


def container_of(document: Document) -> Document:
    [found] = pod_of(document)["containers"]
    assert isinstance(found, dict)
    return found


def test_the_kept_example_is_what_the_overlay_comes_to() -> None:
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("kubectl is not there")
    made = subprocess.run(
        [kubectl, "kustomize", FOLDER / "overlays/example"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    again = f"kubectl kustomize deploy/kubernetes/overlays/example > {EXAMPLE.relative_to(ROOT)}"
    assert made.stdout == EXAMPLE.read_text(), again


def test_every_file_is_part_of_a_kustomization() -> None:
    for file in FOLDER.rglob("kustomization.yaml"):
        told = yaml.safe_load(file.read_text())
        patches = [one["path"] for one in told.get("patches", ()) if "path" in one]
        listed = [*told.get("resources", ()), *patches]
        there = {path.name for path in file.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert there == {name for name in listed if "/" not in name}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_each_document_is_valid_for_its_kind(document: Document, version: str) -> None:
    if document["apiVersion"] in CORE:
        kubernetes_validate.validate(document, version, strict=True)
    else:
        assert custom_resources.faults(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_field_that_is_not_known_is_found(document: Document) -> None:
    section = "data" if document["kind"] == "ConfigMap" else "spec"
    wrong = {**document, section: {**document.get(section, {}), "replicass": 3}}
    if document["apiVersion"] not in CORE:
        assert custom_resources.faults(wrong) != []
    elif document["kind"] in ("Namespace", "ServiceAccount", "ConfigMap"):
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate({**document, "specs": {}}, VERSIONS[0], strict=True)
    else:
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_no_two_documents_are_the_same_thing_and_all_are_in_one_namespace() -> None:
    assert len({named(document) for document in DOCUMENTS}) == len(DOCUMENTS)
    [namespace] = of_kind("Namespace")
    for document in DOCUMENTS:
        if document is not namespace:
            assert document["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_every_role_runs_once_and_the_schema_is_brought_first() -> None:
    told = {
        document["metadata"]["name"]: parsed(container_of(document)["args"])
        for document in WORKLOADS
    }
    assert told.pop("chargeback-migrate")[0] == ("db", "upgrade")
    assert {path for path, _ in told.values()} == {("run",)}
    roles = {name: {str(role) for role in given["role"]} for name, (_, given) in told.items()}
    assert roles == {
        "chargeback-ingest": {"ingest"},
        "chargeback-closing": {"scheduler", "publisher"},
        "chargeback-api": {"api"},
    }


@pytest.mark.parametrize("document", WORKLOADS, ids=named)
def test_each_variable_is_a_setting_of_ours(document: Document, tmp_path: Path) -> None:
    environ = environment_of(document)
    # Each file that is named is a key of the Secret, mounted where it is looked for.
    files = {name: value for name, value in environ.items() if name.endswith("_FILE")}
    assert set(files.values()) <= secret_files_of(document)
    secret = tmp_path / "database_url"
    secret.write_text("postgresql://chargeback:pw@db/chargeback\n")
    environ["CHARGEBACK_DATABASE__URL_FILE"] = str(secret)
    settings = load({}, {**IMAGE.environment(), **environ})
    assert settings.metrics.host == "0.0.0.0"
    assert settings.metrics.port == 9464
    assert (settings.api.host == "0.0.0.0") is ("CHARGEBACK_BOOTSTRAP_KEY_FILE" in environ)


def environment_of(document: Document) -> dict[str, str]:
    container = container_of(document)
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind("ConfigMap")}
    environ: dict[str, str] = {}
    for source in container["envFrom"]:
        environ |= maps[source["configMapRef"]["name"]]
    for one in container.get("env", ()):
        field = one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        assert field in (None, "metadata.name")
        environ[one["name"]] = f"{document['metadata']['name']}-0" if field else one["value"]
    return environ


def secret_files_of(document: Document) -> set[str]:
    mounts = {one["name"]: one["mountPath"] for one in container_of(document)["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod_of(document)["volumes"]}
    return {
        f"{mounts[volume['name']]}/{item['path']}"
        for volume in pod_of(document)["volumes"]
        for item in volume.get("secret", {}).get("items", ())
    }


def test_the_secret_holds_what_the_pages_say_and_stands_in_no_file() -> None:
    assert of_kind("Secret") == []
    used = {
        (volume["secret"]["secretName"], item["key"])
        for document in WORKLOADS
        for volume in pod_of(document)["volumes"]
        for item in volume.get("secret", {}).get("items", ())
    }
    assert used == {("chargeback", "database_url"), ("chargeback", "api_key")}
    page = (ROOT / "docs/deploy.md").read_text()
    assert "create secret generic chargeback" in page
    for _, key in used:
        assert f"--from-file={key}=" in page


@pytest.mark.parametrize("document", WORKLOADS, ids=named)
def test_a_pod_may_do_nothing_that_the_restricted_standard_forbids(document: Document) -> None:
    pod, container = pod_of(document), container_of(document)
    user, _, group = IMAGE.of("USER")[0].text.partition(":")
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(group),
        "fsGroup": int(group),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container["image"] == f"chargeback-worker:{__version__}"
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]
    for word in ("hostNetwork", "hostPID", "hostIPC"):
        assert word not in pod


@pytest.mark.parametrize("document", WORKERS, ids=named)
def test_a_worker_is_asked_on_its_metrics_port_and_gets_the_time_to_drain(
    document: Document,
) -> None:
    container = container_of(document)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == 9464
    paths = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }
    assert {one["port"] for one in paths.values()} == {"metrics"}
    assert paths["readiness"]["path"] == "/readyz"
    assert paths["liveness"]["path"] == paths["startup"]["path"] == "/healthz"
    assert pod_of(document)["terminationGracePeriodSeconds"] > END_S


def test_ingest_pods_are_static_members_by_their_ordinal() -> None:
    [ingest] = of_kind("StatefulSet")
    assert environment_of(ingest)["CHARGEBACK_KAFKA__GROUP_INSTANCE_ID"] == "chargeback-ingest-0"
    assert "replicas" not in ingest["spec"], "KEDA sets them; an apply would set them back"
    services = {service["metadata"]["name"]: service for service in of_kind("Service")}
    assert services[ingest["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    for other in WORKERS:
        if other is not ingest:
            assert "CHARGEBACK_KAFKA__GROUP_INSTANCE_ID" not in environment_of(other)


def test_selectors_find_pods_of_ours() -> None:
    pods = {
        document["metadata"]["name"]: document["spec"]["template"]["metadata"]["labels"]
        for document in WORKLOADS
    }
    for document in WORKERS:
        assert found_by(document["spec"]["selector"]["matchLabels"], pods) == {named_only(document)}
    for budget in of_kind("PodDisruptionBudget"):
        assert found_by(budget["spec"]["selector"]["matchLabels"], pods) == {named_only(budget)}
    for service in of_kind("Service"):
        found = found_by(service["spec"]["selector"], pods)
        metrics = service["metadata"]["name"] == "chargeback-metrics"
        assert found == (set(pods) if metrics else {named_only(service)})
    for policy in of_kind("NetworkPolicy"):
        found = found_by(policy["spec"]["podSelector"]["matchLabels"], pods)
        assert found == (set(pods) if named_only(policy) == "chargeback" else {named_only(policy)})


def found_by(selector: dict[str, str], pods: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, labels in pods.items() if selector.items() <= labels.items()}


def named_only(document: Document) -> str:
    return str(document["metadata"]["name"])


def test_the_scaler_reads_what_the_ingest_pods_read() -> None:
    [scaler] = of_kind("ScaledObject")
    [ingest] = of_kind("StatefulSet")
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", ingest["metadata"]["name"])
    [trigger] = scaler["spec"]["triggers"]
    environ = environment_of(ingest)
    read_from = {
        name.removesuffix("FromEnv"): environ[value]
        for name, value in trigger["metadata"].items()
        if name.endswith("FromEnv")
    }
    assert read_from == {
        "bootstrapServers": "kafka.kafka.svc:9092",
        "consumerGroup": "chargeback",
        "topic": "usage-events",
    }
    assert scaler["spec"]["maxReplicaCount"] >= PARTITIONS


def test_prometheus_finds_the_metrics_port_of_every_pod() -> None:
    [monitor] = of_kind("ServiceMonitor")
    selected = monitor["spec"]["selector"]["matchLabels"]
    [service] = [
        service
        for service in of_kind("Service")
        if selected.items() <= service["metadata"]["labels"].items()
    ]
    [port] = service["spec"]["ports"]
    assert monitor["spec"]["endpoints"][0]["port"] == port["name"] == port["targetPort"]
    job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    scrapes = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert job == scrapes["scrape_configs"][0]["job_name"]


def test_what_a_stopped_partition_holds_asks_for_no_more_pods() -> None:
    """They could not read it either; somebody is paged for it."""
    [scaled] = of_kind("ScaledObject")
    [trigger] = scaled["spec"]["triggers"]
    assert trigger["metadata"]["excludePersistentLag"] == "true"


def test_the_migration_is_tried_for_as_long_as_it_may_last() -> None:
    """A Job that has failed for good would be waited for in vain. A container that fails is
    started again after 10 s at first, and each five minutes in the end."""
    [job] = of_kind("Job")
    slowest_s = 300
    assert job["spec"]["backoffLimit"] * slowest_s > 2 * job["spec"]["activeDeadlineSeconds"]


def test_a_chart_s_prometheus_selects_what_it_is_to_scrape_and_alert() -> None:
    selected = {"release": "kube-prometheus-stack"}
    for document in of_kind("ServiceMonitor", "PrometheusRule"):
        assert selected.items() <= document["metadata"]["labels"].items()
        assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "chargeback"


def test_the_cluster_is_alerted_as_everywhere() -> None:
    [rule] = of_kind("PrometheusRule")
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    assert rule["spec"] == alerts, "make prometheus-rule"
