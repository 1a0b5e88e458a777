"""The HTTP door: who may ask, what was asked, and the answer of a report or a step.

Owns: routes with their roles, keys on requests, the reading of bodies and parameters, problem
documents, request ids, limits, what a repeated request is answered, the OpenAPI document and the
pages under `/docs`.

Does not own: what any number means, or what may happen: all reads are from `reports`, all writes
by `pipeline`. It opens nothing by itself: an `App` is given to it.

Invariants: a route without a declared role cannot be made; a GET writes nothing; bodies are read
as bytes by the decoder of events, and answers are written by the one encoder, so no amount passes
through a float; a caller's mistake is a problem document with a named type, and never a 500; a key
of a scope sees only its own.
"""
