"""A bare FastAPI route that answers with the bytes of a file, served as the worker serves its own.

    python -m tests.benchmarks.bare_route FILE

prints its port. It has nothing of what a route of the worker has: no key, no parameters, no
database, no encoder.
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response


def main(path: str) -> None:
    content = Path(path).read_bytes()
    program = FastAPI()

    @program.get("/bytes")
    def answer() -> Response:
        return Response(content, media_type="application/json")

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(program, http="h11", ws="none", lifespan="off", log_config=None)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main(sys.argv[1])
