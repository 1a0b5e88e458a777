"""The shapes of bodies and answers, for the OpenAPI document alone: nothing is read or written by
them. Tests hold every answer against its shape."""
