"""How parts of the document refer to each other."""

from typing import Any


def to_schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def channel_of(
    address: str, title: str, description: str, names: list[str], topic: dict[str, Any]
) -> dict[str, Any]:
    """A topic with its messages, and what its configuration has to say for itself."""
    return {
        "address": address,
        "title": title,
        "description": description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {"topic": address, "topicConfiguration": topic, "bindingVersion": "0.5.0"}
        },
    }


def key(description: str) -> dict[str, Any]:
    """The binding that says what the key of a message is."""
    schema = {"type": "string", "description": description}
    return {"kafka": {"key": schema, "bindingVersion": "0.5.0"}}
