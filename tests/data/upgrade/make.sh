#!/usr/bin/env bash
# Makes the books of README.md beside this file, with the program of the release that is to be
# upgraded. Run in a worktree of it, with its own locked .venv:
#
#     make.sh DATABASE_URL OUT_FOLDER
set -euo pipefail
url=$1 out=$2
mkdir -p "$out"
work=$(mktemp -d)
export CHARGEBACK_DATABASE__URL=$url CHARGEBACK_METRICS__PORT=0 CHARGEBACK_LOG__FORMAT=json
chargeback=.venv/bin/chargeback

.venv/bin/python - "$work" <<'PYTHON' &
import signal, sys, threading
from pathlib import Path
from chargeback_worker.broker.embedded import EmbeddedBroker

end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: end.set())
folder = Path(sys.argv[1])
with EmbeddedBroker(folder / "broker") as servers:
    (folder / "servers").write_text(servers)
    end.wait()
PYTHON
broker=$!
until [ -s "$work/servers" ]; do sleep 0.2; done
export CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS=$(cat "$work/servers")

# The worker reads and publishes for so many seconds.
works() {
  "$chargeback" run 2>>"$work/log" &
  local worker=$!
  sleep "$1"
  kill -TERM $worker
  wait $worker
}

"$chargeback" db upgrade
"$chargeback" topics create
"$chargeback" simulate --events 800 --seed 9 --month 2026-09 --anomalies duplicate,conflict,poison=0.01 --to-topic
works 15
"$chargeback" close 2026-09
# Late usage of the closed month comes with the next one.
"$chargeback" simulate --events 200 --seed 10 --month 2026-09 --to-topic
"$chargeback" simulate --events 800 --seed 11 --month 2026-10 --anomalies duplicate,conflict,poison=0.01 --to-topic
works 15
"$chargeback" quarantine dismiss 1 --reason "seen"
"$chargeback" close 2026-10
works 15
# The open month comes by the other door, up to a day that is surely past.
"$chargeback" simulate --events 800 --seed 12 --month 2026-11 --to "$work/all.jsonl"
grep -E '"timestamp": ?"2026-11-(0|1)' "$work/all.jsonl" >"$out/usage-2026-11.jsonl"
"$chargeback" ingest "$out/usage-2026-11.jsonl"
"$chargeback" verify

for month in 2026-09 2026-10 2026-11; do
  "$chargeback" usage summary --period $month -o json >"$out/summary-$month.json"
done
"$chargeback" invoices list -o json >"$out/invoices.json"
"$chargeback" periods -o json >"$out/periods.json"
kill -TERM $broker
wait $broker || true
