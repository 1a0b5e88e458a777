"""schemathesis against a running server: what no person would send, and then the books verify.

`make test` runs a short form; `make test-api` asks more than 20,000 times.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from chargeback_worker.reports.verify import verify
from tests.support.http_api import Api

HERE = Path(__file__).parent
LONG = "CHARGEBACK_TEST_FUZZ"
EXAMPLES = int(os.environ.get(LONG, "0"))
SEED = os.environ.get("CHARGEBACK_TEST_SEED", "1")


def _fuzz(api: Api, folder: Path, *options: str) -> tuple[int, str]:
    """How many requests were made, and the end of what schemathesis said."""
    url = f"http://{api.host}:{api.port}"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{url}/openapi.json", "--url", url, "--seed", SEED),
            *("--checks", "all", "--continue-on-failure", "--no-shrink", "--warnings", "off"),
            *options,
        ],
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.api.fuzz_hooks",
            "PYTHONPATH": str(HERE.parents[1]),
            "NO_COLOR": "1",
        },
        cwd=folder,
        capture_output=True,
        text=True,
    )
    made = re.search(r"([\d,]+) generated", done.stdout)
    assert made is not None, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout[-20_000:]
    return int(made[1].replace(",", "")), done.stdout


def _fill(api: Api) -> None:
    """Something of everything, so that requests find what they name."""
    event = {"timestamp": "2026-09-03T12:00:00Z", "cost_usd": 1, "team_id": "team-123"}
    for number in range(5):
        api.ok("POST", "usage", {**event, "usage_id": f"u{number}", "user_id": "user-456"})
    api.ok("POST", "periods/2026-09/close")
    list(api.books.ingest_file("digest", [b"{", b"["]))


if EXAMPLES:

    @pytest.mark.timeout(7200)
    def test_twenty_thousand_requests_find_no_fault_of_the_server(api: Api, tmp_path: Path) -> None:
        _fill(api)
        made, told = _fuzz(api, tmp_path, "--max-examples", str(EXAMPLES))
        print(told[-2_000:])
        print(json.dumps({"requests": made, "seed": SEED, "done": _done(api)}))
        assert made >= 20_000
        assert verify(api.store).mismatches == ()

else:

    @pytest.mark.timeout(280)
    def test_no_request_finds_a_fault_of_the_server(sqlite_api: Api, tmp_path: Path) -> None:
        _fill(sqlite_api)
        phases = ("--phases", "examples,fuzzing,stateful", "--max-examples", "4")
        made, _ = _fuzz(sqlite_api, tmp_path, *phases)
        assert made > 100
        assert verify(sqlite_api.store).mismatches == ()


def _done(api: Api) -> Counter[str]:
    """What of it was done, by kind, as the audit has it."""
    found = Counter[str]()
    cursor = None
    while True:
        page = api.ok("GET", "audit", limit=1000, cursor=cursor)
        found.update(row["action"] for row in page["audit"])
        cursor = page["next_cursor"]
        if cursor is None:
            return found
