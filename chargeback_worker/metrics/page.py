"""docs/metrics.md, from the catalogue: `python -m chargeback_worker.metrics.page` prints it."""

from collections.abc import Iterator

from chargeback_worker.metrics.catalogue import GROUPS
from chargeback_worker.metrics.measure import Measure

_HEAD = """# Metrics

Every `chargeback run` serves these on `metrics.port` (9464) at `/metrics`, without a key. This page
is written by `make metrics-page` from `chargeback_worker/metrics/catalogue.py`; change it there.

Units are seconds and USD. No team and no user is a label. *Read from the store* means: the same
whichever process is asked, read at most once a minute, at most a second waited for; while the store
does not answer they show what was read last, and `chargeback_store_up` is 0. All else is of one
process: sum it over all of them. Counts of commands (`chargeback ingest`, `close`) are in no
process's metrics; what they did is in those read from the store.

Alerts on them are in `deploy/prometheus/alerts.yml`; [runbook.md](runbook.md) says what to do about
each. Dashboards for Grafana are in `deploy/grafana/` (*operations*; *money by period*), with a data
source and a provider to provision them. Each of their queries is put to a real Prometheus that has
scraped a real worker, in the tests; Grafana itself was never run on them, so how they look is not
known.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *_groups()])


def _groups() -> Iterator[str]:
    for group in GROUPS:
        yield f"## {group.title}\n"
        for measure in group.measures:
            yield from _measure(measure)


def _measure(measure: Measure) -> Iterator[str]:
    yield f"### `{measure.name}`\n"
    kind = measure.kind.capitalize()
    yield f"{kind}{', read from the store' if measure.stored else ''}. {measure.help}\n"
    for label in measure.labels:
        values = ": " + ", ".join(f"`{value}`" for value in label.values) if label.values else ""
        yield f"- label `{label.name}`: {label.help}{values}"
    if measure.labels:
        yield ""
    if measure.buckets:
        yield f"Buckets: {', '.join(format(bound, 'g') for bound in measure.buckets)}.\n"
    yield f"What to do: {measure.todo}\n"


if __name__ == "__main__":
    print(page(), end="")
