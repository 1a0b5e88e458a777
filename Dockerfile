# The worker as an image: locked dependencies in one layer, our code in the next, nobody's root.
#
#     docker build -t chargeback-worker .
#     docker run --read-only --tmpfs /tmp -v books:/var/lib/chargeback chargeback-worker --help
#
# `make test-fresh PART=image` runs these steps without a container engine, in a plain Debian.

FROM python:3.11-slim-bookworm AS dependencies
# uv is needed here alone, and stays behind. pip checks what it fetches of it, uv all the rest.
COPY requirements/uv.lock requirements/worker.lock /build/requirements/
RUN python -m venv /build/uv \
 && /build/uv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
    --require-hashes -r /build/requirements/uv.lock
RUN python -m venv --without-pip /opt/chargeback \
 && /build/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --link-mode copy \
    --python /opt/chargeback/bin/python --require-hashes -r /build/requirements/worker.lock

FROM dependencies AS project
COPY pyproject.toml README.md LICENSE /build/project/
COPY chargeback_worker /build/project/chargeback_worker/
# Beside the dependencies, so that a change of our code leaves their layer as it is.
RUN /build/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --link-mode copy --offline \
    --python /opt/chargeback/bin/python --prefix /build/opt/chargeback \
    --no-deps --no-build-isolation /build/project

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="chargeback-worker" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 chargeback \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/chargeback \
    --shell /usr/sbin/nologin chargeback \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/chargeback
COPY --from=dependencies /opt/chargeback /opt/chargeback
COPY --from=project /build/opt/chargeback /opt/chargeback

# The metrics port is for others than this container; the API keeps to itself until it has a key.
ENV PATH=/opt/chargeback/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CHARGEBACK_METRICS__HOST=0.0.0.0 \
    CHARGEBACK_METRICS__PORT=9464
# The only place that is written to, with SQLite, and /tmp. A number, so that Kubernetes can see
# that it is not root.
WORKDIR /var/lib/chargeback
USER 10001:10001
EXPOSE 8080 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CHARGEBACK_METRICS__PORT']), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
# No shell and no tini: the worker itself gets SIGTERM and drains, within 26 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["chargeback"]
CMD ["run"]
