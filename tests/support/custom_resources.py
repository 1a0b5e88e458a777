"""Custom resources of Kubernetes, held to their own definitions as its API server holds them."""

from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import validator_for

FOLDER = Path(__file__).parents[1] / "data/crds"


def faults(document: dict[str, Any]) -> list[str]:
    """What the definition of its kind refuses. KeyError for a kind whose definition is not kept."""
    group, _, version = document["apiVersion"].partition("/")
    schema = _schemas()[group, version, document["kind"]]
    return [f"{error.instance_path}: {error.message}" for error in schema.iter_errors(document)]


def _schemas() -> dict[tuple[str, str, str], Any]:
    found = {}
    for file in FOLDER.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            # The API server adds what every object has.
            schema["properties"] |= {"metadata": {"type": "object"}}
            key = spec["group"], version["name"], spec["names"]["kind"]
            found[key] = validator_for({"$schema": _DRAFT, **schema})
    return found


_DRAFT = "http://json-schema.org/draft-07/schema#"


def _strict(schema: Any) -> Any:
    """A field that is not known is refused, as `kubectl apply` does."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(one) for name, one in schema.items()}
    if "(?i)" in str(made.get("pattern")):
        # A flag in the midst of a pattern is Go's own.
        del made["pattern"]
    open_to_all = made.get("x-kubernetes-preserve-unknown-fields", False)
    if (
        isinstance(made.get("properties"), dict)
        and made.get("type") == "object"
        and not open_to_all
    ):
        made.setdefault("additionalProperties", False)
    return made
