"""Apache Kafka from its published jars: one KRaft node on loopback, for tests.

Maven brings the jars into `build/kafka` once. The node keeps its port and its data over `stop` and
`kill`, so that a test may take the broker away and give it back. It is durable like any Kafka that
is killed while its machine lives.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from chargeback_worker.broker.embedded import ended_with_parent
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from chargeback_worker.errors import Unavailable
from tests.support.ladder import NotStarted, free_port

VERSION = "4.1.0"

_POM = Path(__file__).with_name("kafka-pom.xml")
_CACHE = Path(__file__).parents[2] / "build" / "kafka"
_START_SECONDS = 60
_STOP_SECONDS = 30
# The serial collector suits a small heap on few cores. A node lives for seconds or minutes, and to
# start is most of its work: the second compiler and a look at Kafka's own classes only add to that.
_JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:-BytecodeVerificationRemote",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"

# Everything internal is made small, and sessions may be short, for the sake of quick tests.
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/topics
auto.create.topics.enable=false
num.partitions=1
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class JarsKafka:
    """One node; it starts when it is made."""

    def __init__(self) -> None:
        self._jars = _jars()
        self._folder = Path(tempfile.mkdtemp(prefix="chargeback-kafka-"))
        self._port = free_port()
        self._running: subprocess.Popen[bytes] | None = None
        try:
            self._format()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def described(self) -> str:
        return f"Apache Kafka {VERSION} (jars)"

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it on its port and data, and wait until it answers."""
        if self._running is not None:
            return
        command = self._java("-Xms256m", "-Xmx512m", "kafka.Kafka", str(self._settings))
        with open(self._folder / "log", "ab") as log:
            self._running = subprocess.Popen(
                ended_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._running.poll() is not None or time.monotonic() > deadline:
                raise NotStarted((self._folder / "log").read_text(errors="replace")[-800:])
            time.sleep(0.1)

    def stop(self) -> None:
        """Let it shut down by itself."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Let it answer nothing, with all its connections open, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def log_of(self, topic: str, partition: int) -> Path:
        """The file that the first messages of a partition lie in."""
        return self._folder / "topics" / f"{topic}-{partition}" / f"{0:020}.log"

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    def _java(self, *arguments: str) -> list[str]:
        return ["java", *_JVM, "-cp", f"{self._jars}/*", *arguments]

    def _format(self) -> None:
        settings = _SETTINGS.format(
            port=self._port, controller_port=free_port(), folder=self._folder
        )
        self._settings.write_text(settings)
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool",
                *("format", "--cluster-id", _CLUSTER_ID, "--config", str(self._settings)),
            ),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise NotStarted(f"formatting failed: {done.stderr.strip()[-500:]}")

    def _answers(self) -> bool:
        # The client waits longer and longer between attempts; a bare connection costs nothing.
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        broker = KafkaBroker(self.bootstrap_servers, patience=Patience(answer_s=2))
        try:
            broker.topics()
            return True
        except Unavailable:
            return False
        finally:
            broker.close()

    def _signal(self, how: signal.Signals) -> None:
        assert self._running is not None
        os.killpg(self._running.pid, how)

    def _end(self, how: signal.Signals) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, how)
        try:
            running.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def jars_absence() -> str | None:
    """Why the jars cannot be used here, or nothing when they look usable."""
    if shutil.which("java") is None:
        return "no java"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    version = said.partition('"')[2].partition(".")[0].partition('"')[0]
    if not version.isdigit() or int(version) < 17:
        return f"java {version or 'of unknown version'} is older than 17"
    if shutil.which("mvn") is None and not _cached().is_dir():
        return "no mvn"
    return None


def _cached() -> Path:
    # A changed list of jars gets a folder of its own.
    return _CACHE / hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]


def _jars() -> Path:
    """The folder with the jars; Maven fills it the first time."""
    target = _cached()
    if target.is_dir():
        return target
    _CACHE.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=_CACHE))
    try:
        done = subprocess.run(
            [
                *("mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={part}"),
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise NotStarted(f"mvn could not bring the jars: {done.stdout.strip()[-500:]}")
        with contextlib.suppress(OSError):
            # Another session may have been faster; its folder is as good.
            part.rename(target)
    except subprocess.TimeoutExpired as slow:
        raise NotStarted("mvn did not bring the jars in five minutes") from slow
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target
