"""`chargeback` for many short commands: a process that has imported it already forks for each.

What a shell starts is a small script that hands its arguments, folder, environment and streams over
a socket, and ends as the fork does. All else is the real program.
"""

import array
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_SCRIPT = """#!{python} -IS
import array, json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({path!r})
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
streams = array.array("i", [0, 1, 2])
link.sendmsg([len(told).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
link.sendall(told)
sys.exit(int(link.recv(16) or 1))
"""


@contextmanager
def warm_command(folder: Path) -> Iterator[None]:
    """Put `chargeback` into a folder that is to be first on the PATH."""
    path = str(folder / "warm.sock")
    script = folder / "chargeback"
    script.write_text(_SCRIPT.format(python=sys.executable, path=path))
    script.chmod(0o755)
    server = subprocess.Popen([sys.executable, "-m", __name__, path], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def _serve(path: str) -> None:
    from chargeback_worker.cli import main, program
    from chargeback_worker.documents import formats
    from chargeback_worker.store import Store, schema

    # What the first use of a database imports, too.
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/warm.db")
        schema.upgrade(store)
        store.close()
    assert program
    assert formats
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    # Nobody waits for the forks.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        link, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _become(link, main)
        link.close()


def _become(link: socket.socket, main: object) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = array.array("i")
    size = streams.itemsize * 3
    length, held, _, _ = link.recvmsg(8, socket.CMSG_SPACE(size))
    streams.frombytes(held[0][2][:size])
    told = b""
    while len(told) < int.from_bytes(length, "big"):
        told += link.recv(65536)
    arguments, folder, environ = json.loads(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    # The objects remember what the streams were before.
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = ["chargeback", *arguments]
    code: object = 0
    try:
        assert callable(main)
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    link.sendall(str(code if isinstance(code, int) else int(bool(code))).encode())
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
