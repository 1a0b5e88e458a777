"""Settings: precedence, exact reading, and every fault told at once without a secret."""

import pickle
import re
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chargeback_worker.api.server import BOOTSTRAP
from chargeback_worker.broker import kafka_options as broker_options
from chargeback_worker.errors import Misconfigured
from chargeback_worker.period import Period
from chargeback_worker.pipeline.keys import KEY_LENGTH_MIN
from chargeback_worker.settings import (
    BadSettings,
    Settings,
    duration_text,
    load,
    origins,
    redacted,
)
from chargeback_worker.settings.kafka_options import CHOICES, TokenProviderNotFound
from chargeback_worker.settings.sources import KEYS, env_name
from chargeback_worker.settings.values import read_duration, read_fraction, read_size

EXAMPLE = Path(__file__).parent.parent / "config" / "chargeback.toml"


def faults(
    environ: dict[str, str] | None = None,
    file: Path | None = None,
    flags: dict[str, object] | None = None,
) -> dict[str, str]:
    """The faults of a configuration, by key."""
    with pytest.raises(BadSettings) as caught:
        load(flags or {}, environ or {}, config=file)
    return {fault.key: str(fault) for fault in caught.value.faults}


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "worker.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_defaults() -> None:
    assert load({}, {}) == Settings()


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = toml(tmp_path, "[api]\nhost = 'f'\nport = 1\n[metrics]\nport = 2\n")
    environ = {"CHARGEBACK_API__PORT": "3", "CHARGEBACK_API__HOST": "e"}
    settings = load({"api.port": 4, "api.host": None}, environ, config=file)
    assert (settings.api.port, settings.api.host, settings.metrics.port) == (4, "e", 2)
    assert settings.metrics.host == "127.0.0.1"
    shown = {line.key: (line.value, line.origin) for line in origins(settings)}
    assert shown["api.port"] == ("4", "command line")
    assert shown["api.host"] == ("e", "env CHARGEBACK_API__HOST")
    assert shown["metrics.port"] == ("2", f"{file}:5")
    assert shown["metrics.host"] == ("127.0.0.1", "default")


def test_the_file_is_read_only_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toml(tmp_path, "[api]\nport = 1\n").rename(tmp_path / "chargeback.toml")
    monkeypatch.chdir(tmp_path)
    assert load({}, {}).api.port == 8080
    assert load({}, {"CHARGEBACK_CONFIG": str(file)}).api.port == 1
    other = toml(tmp_path, "[api]\nport = 2\n")
    assert load({}, {"CHARGEBACK_CONFIG": str(file)}, config=other).api.port == 2


def test_the_environment_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEBACK_API__PORT", "1")
    assert load({}, {}).api.port == 8080


def test_settings_are_frozen_and_survive_pickling() -> None:
    settings = load({}, {"CHARGEBACK_KAFKA__OPTIONS__CLIENT_ID": "x"})
    with pytest.raises(ValidationError):
        settings.api.port = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_the_example_file_names_the_variable_that_is_no_setting() -> None:
    told = EXAMPLE.read_text("utf-8").partition("[api]")[2].partition("#host")[0]
    assert BOOTSTRAP in told
    assert f"at least {KEY_LENGTH_MIN} characters" in told


def test_the_example_file_names_every_setting_and_its_default(tmp_path: Path) -> None:
    uncommented = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", EXAMPLE.read_text("utf-8"))
    settings = load({}, {}, config=toml(tmp_path, uncommented))
    assert settings.model_dump() == Settings().model_dump()
    written = {line.key for line in origins(settings) if line.origin != "default"}
    assert written == set(KEYS) - {"kafka.options"}


def test_the_example_file_as_it_is_changes_nothing() -> None:
    assert load({}, {}, config=EXAMPLE) == Settings()


@given(st.timedeltas(timedelta(0), timedelta(days=3650)))
def test_a_duration_as_it_is_shown_reads_as_itself(duration: timedelta) -> None:
    assert read_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("48h", 172800),
        ("30s", 30),
        ("15m", 900),
        ("7d", 604800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2w", 1209600),
        ("PT48H", 172800),
        ("P1DT12H", 129600),
        ("P2W", 1209600),
        ("PT0.5S", 0.5),
        ("250ms", 0.25),
        ("90", 90),
        (90, 90),
        ("1.5", 1.5),
        ("0s", 0),
    ],
)
def test_durations_are_read(text: object, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "1 month", "-1s", "1y", "h", "P1Y", "1h30", "999999999d", True, 1.5, None],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("1 MiB", 2**20), ("512KiB", 2**19), ("10", 10), (10, 10), ("1kB", 1000)]
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert read_size(text) == size


@given(st.decimals(0, 1, places=18))
def test_a_fraction_keeps_its_digits(fraction: Decimal) -> None:
    assert read_fraction(f"{fraction:f}") == fraction


def test_numbers_of_the_file_are_read_by_their_text(tmp_path: Path) -> None:
    text = "[billing]\ntax_rate = 0.123456789012345678\n[ingest]\nsource = 7\n"
    settings = load({}, {}, config=toml(tmp_path, text))
    assert settings.billing.tax_rate == Decimal("0.123456789012345678")
    assert settings.ingest.source == "7"
    assert load({}, {"CHARGEBACK_INGEST__SOURCE": "007"}).ingest.source == "007"


def test_labels_are_sorted_and_servers_split() -> None:
    settings = load(
        {},
        {
            "CHARGEBACK_GRAIN__LABELS": "region, model",
            "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": "a:1,[::1]:2,c",
            "CHARGEBACK_BILLING__FIRST_PERIOD": "2026-10",
            "CHARGEBACK_KAFKA__GROUP_INSTANCE_ID": "",
            "CHARGEBACK_INGEST__MAX_AGE": "90d",
            "CHARGEBACK_LOG__LEVEL": "DEBUG",
        },
    )
    assert settings.grain.labels == ("model", "region")
    assert settings.kafka.bootstrap_servers == ("a:1", "[::1]:2", "c")
    assert settings.billing.first_period == Period(2026, 10)
    assert settings.kafka.group_instance_id is None
    assert settings.ingest.max_age == timedelta(days=90)
    assert settings.log.level == "debug"


def test_lines_are_a_list_or_a_text_and_a_comma_is_part_of_one(tmp_path: Path) -> None:
    text = '[documents]\nissuer_address = ["1, Way", "London"]\nfooter = """\na\n\n b\n"""\n'
    found = load({}, {"CHARGEBACK_DOCUMENTS__LOCALE": "de-ch"}, config=toml(tmp_path, text))
    assert found.documents.issuer_address == ("1, Way", "London")
    assert found.documents.footer == ("a", "b")
    assert found.documents.locale == "de_CH"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("database.url", "mysql://h/d", "must be sqlite:///FILE"),
        ("database.url", "sqlite:///:memory:", "must be sqlite:///FILE"),
        ("database.url", "postgres://h/d", "postgresql://USER"),
        ("kafka.bootstrap_servers", "a:99999", "must be host:port"),
        ("kafka.bootstrap_servers", "", "at least one"),
        ("kafka.usage_topic", "a b", "must be a topic's name"),
        ("kafka.group_id", "", "must not be empty"),
        ("kafka.start_at", "now", "must be 'beginning' or 'end'"),
        ("kafka.session_timeout", "10ms", "must be at least 1s"),
        ("ingest.max_refused.share", "1.5", "0.19 is 19 %"),
        ("ingest.max_refused.run", "0", "must be greater than or equal to 1"),
        ("ingest.source", "a\x00b", "without control characters"),
        ("grain.labels", "a,b,c,d,e,f,g,h,i", "at most 8"),
        ("grain.labels", "a,a", "must not name a metadata key twice"),
        ("billing.timezone", "Europe/Berln", "did you mean Europe/Berlin?"),
        ("billing.timezone", "../etc/passwd", "must be an IANA time zone"),
        ("billing.timezone", "America", "must be an IANA time zone"),
        ("billing.first_period", "2026-13", "must be a month such as 2026-10"),
        ("billing.tax_rate", "19", "0.19 is 19 %"),
        ("billing.tax_rate", "1e-2", "must be a plain decimal fraction"),
        ("billing.tax_rate", "nan", "must be a plain decimal fraction"),
        ("billing.tax_rate", "-0.1", "must be a plain decimal fraction"),
        ("billing.due_days", "thirty", "must be a whole number"),
        ("documents.locale", "de_XX", "did you mean one of de, de_AT"),
        ("documents.locale", "zh_TW", "did you mean one of zh_Hant_TW"),
        ("documents.locale", "", "must be a locale such as en, en_GB or de_CH"),
        ("documents.locale", "../root", "must be a locale"),
        ("documents.paper", "a5", "must be 'a4' or 'letter'"),
        ("documents.footer", "\n".join("0123456789abc"), "at most 12 lines of 500 characters"),
        ("documents.footer", "x" * 501, "at most 12 lines of 500 characters"),
        ("quarantine.max_bytes", "1 MB/s", "must be a size"),
        ("api.port", "65536", "must be less than or equal to 65535"),
        ("log.level", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(key: str, value: str, allowed: str) -> None:
    found = faults({env_name(key): value})
    assert list(found) == [key]
    assert allowed in found[key]
    assert f"env {env_name(key)}" in found[key]


@pytest.mark.parametrize("value", ["true", "1.5", "[1]", "{ a = 1 }", "1979-05-27"])
@pytest.mark.parametrize("key", [key for key in KEYS if key != "kafka.options"])
def test_no_value_of_another_type_breaks_the_reading(tmp_path: Path, key: str, value: str) -> None:
    section, _, name = key.rpartition(".")
    with suppress(BadSettings):
        load({}, {}, config=toml(tmp_path, f"[{section}]\n{name} = {value}\n"))


def test_all_faults_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    file = toml(
        tmp_path,
        '[billing]\ntimezone = "Mars"\nduedays = 3\n\n[kafka]\ntimezone = "UTC"\n'
        'usage_topic = "t"\ninvoices_topic = "t"\n'
        '[kafka.options]\nssl_cafil = "x"\napi_version = 3\n',
    )
    found = faults(
        {"CHARGEBACK_API__PORT": "x", "CHARGEBACK_DATABASE_URL": "y"}, file, {"log.level": "loud"}
    )
    assert set(found) == {
        "billing.timezone",
        "billing.duedays",
        "kafka.timezone",
        "kafka.usage_topic",
        "kafka.options.ssl_cafil",
        "kafka.options.api_version",
        "api.port",
        "CHARGEBACK_DATABASE_URL",
        "log.level",
    }
    assert f"({file}:2)" in found["billing.timezone"]
    assert f"({file}:3): is no setting, did you mean billing.due_days?" in found["billing.duedays"]
    assert "did you mean billing.timezone?" in found["kafka.timezone"]
    assert "did you mean ssl_cafile?" in found["kafka.options.ssl_cafil"]
    assert f"({file}:10)" in found["kafka.options.ssl_cafil"]
    assert "did you mean CHARGEBACK_DATABASE__URL?" in found["CHARGEBACK_DATABASE_URL"]
    assert "two topics" in found["kafka.usage_topic"]
    assert "command line" in found["log.level"]


def test_the_error_is_a_misconfiguration_that_names_the_count_and_the_way_out() -> None:
    with pytest.raises(Misconfigured) as caught:
        load({}, {"CHARGEBACK_API__PORT": "x", "CHARGEBACK_X": "y"})
    assert caught.value.message.startswith("2 settings are at fault:\n  ")
    assert "config/chargeback.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[api\n", "is no TOML"),
        (b"\xff\xfe", "is no UTF-8 text"),
        (b"api = 3\n", "is a section: write it as [api]"),
        (b"[api.port]\nx = 1\n", "did you mean api.port?"),
        (b"[kafka]\noptions = 3\n", "is a section: write it as [kafka.options]"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    assert told in "\n".join(faults(file=path).values())


def test_a_missing_file_is_told_beside_other_faults(tmp_path: Path) -> None:
    found = faults({"CHARGEBACK_CONFIG": str(tmp_path / "no"), "CHARGEBACK_API__PORT": "x"})
    assert "cannot be read: No such file" in found[str(tmp_path / "no")]
    assert "api.port" in found


def test_names_that_others_own_are_no_fault() -> None:
    others = {
        "CHARGEBACK_TEST_KAFKA": "x",
        "CHARGEBACK_REQUIRE": "kafka",
        "CHARGEBACK_BOOTSTRAP_KEY_FILE": "/x",
        "CHARGEBACK_CONFIG": "",
        # Kubernetes sets these for services called `chargeback` and `chargeback-api`.
        "CHARGEBACK_PORT": "tcp://10.0.0.1:80",
        "CHARGEBACK_SERVICE_HOST": "10.0.0.1",
        "CHARGEBACK_SERVICE_PORT_HTTP": "80",
        "CHARGEBACK_PORT_80_TCP_ADDR": "10.0.0.1",
        "CHARGEBACK_API_PORT": "tcp://10.0.0.1:80",
        "CHARGEBACK_API_SERVICE_PORT": "80",
        "CHARGEBACK_API_PORT_80_TCP": "tcp://10.0.0.1:80",
        "OTHER": "x",
    }
    assert load({}, others) == Settings()
    assert "CHARGEBACK_API__PORT" in faults({"CHARGEBACK_API_PORT": "80"})["CHARGEBACK_API_PORT"]


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:p@h/d\n")
    settings = load({}, {"CHARGEBACK_DATABASE__URL_FILE": str(file)})
    assert settings.database.url == "postgresql://u:p@h/d"
    shown = next(line for line in origins(settings) if line.key == "database.url")
    assert shown.value == "postgresql://u:***@h/d"
    assert shown.origin == f"file {file}, env CHARGEBACK_DATABASE__URL_FILE"


def test_a_secret_given_twice_or_in_no_file_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("sqlite:///x")
    twice = {"CHARGEBACK_DATABASE__URL": "sqlite:///y", "CHARGEBACK_DATABASE__URL_FILE": str(file)}
    assert "keep one of them" in faults(twice)["database.url"]
    missing = {"CHARGEBACK_KAFKA__OPTIONS__SSL_PASSWORD_FILE": str(tmp_path / "no")}
    assert "cannot be read" in "".join(faults(missing).values())


def test_no_secret_is_shown_anywhere(tmp_path: Path) -> None:
    secret = "Ge/he@im:1"
    misspelt = f"[kafka.options]\nsasl_plain_pasword = '{secret}'\n[x]\ny = '{secret}'\n"
    file = toml(tmp_path, misspelt)
    environ = {
        "CHARGEBACK_DATABASE__URL": f"mysql://u:{secret}@h/d",
        "CHARGEBACK_KAFKA__OPTIONS__SASL_PLAIN_PASSWORD": secret,
        "CHARGEBACK_KAFKA__OPTIONS__PROXY_URL": f"http://u:{secret}@h:1",
    }
    told = "\n".join(faults(environ, file).values())
    assert secret not in told
    environ["CHARGEBACK_DATABASE__URL"] = f"postgresql://u:{secret}@h/d?password={secret}"
    settings = load(
        {},
        environ
        | {
            "CHARGEBACK_KAFKA__OPTIONS__SECURITY_PROTOCOL": "SASL_SSL",
            "CHARGEBACK_KAFKA__OPTIONS__SASL_MECHANISM": "PLAIN",
            "CHARGEBACK_KAFKA__OPTIONS__SASL_PLAIN_USERNAME": "u",
        },
    )
    assert secret not in repr(settings) + str(settings) + repr(origins(settings))
    assert settings.kafka.client_options()["sasl_plain_password"] == secret


@given(st.text(st.characters(exclude_characters=" \t\n\r\x0b\x0c", exclude_categories=["Z", "C"])))
def test_the_password_of_a_url_is_hidden_whatever_it_is(password: str) -> None:
    shown = redacted(f"postgresql://user:{password}@host/base")
    assert shown.startswith("postgresql://user:***@")
    assert shown.endswith("host/base") or "***" in shown[-12:]


def options(**given: str) -> dict[str, str]:
    return {f"CHARGEBACK_KAFKA__OPTIONS__{name.upper()}": value for name, value in given.items()}


def test_options_have_the_types_that_kafka_python_takes(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.touch()
    settings = load(
        {},
        options(
            security_protocol="SSL",
            ssl_cafile=str(certificate),
            ssl_check_hostname="false",
            request_timeout_ms="1000",
            receive_buffer_bytes="4096",
            api_version="3.9",
        ),
    )
    assert settings.kafka.client_options() == {
        "security_protocol": "SSL",
        "ssl_cafile": str(certificate),
        "ssl_check_hostname": False,
        "request_timeout_ms": 1000,
        "receive_buffer_bytes": 4096,
        "api_version": (3, 9),
    }


@pytest.mark.parametrize(
    ("given_options", "key", "told"),
    [
        ({"group_id": "x"}, "group_id", "is set by kafka.group_id"),
        ({"selector": "x"}, "selector", "Python object"),
        ({"enable_idempotence": "false"}, "enable_idempotence", "is no connection or security"),
        ({"security_protocol": "TLS"}, "security_protocol", "must be one of PLAINTEXT, SSL"),
        ({"security_protocol": "SASL_SSL"}, "security_protocol", "needs sasl_mechanism"),
        ({"sasl_mechanism": "AWS_MSK_IAM"}, "sasl_mechanism", "must be one of PLAIN, SCRAM"),
        ({"sasl_plain_password": "x"}, "sasl_plain_password", "has no effect"),
        ({"ssl_cafile": "/no/such/file"}, "ssl_cafile", "there is no such file"),
        ({"ssl_check_hostname": "maybe"}, "ssl_check_hostname", "must be true or false"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"},
            "sasl_mechanism",
            "needs sasl_plain_username",
        ),
    ],
)
def test_an_option_at_fault_is_told(given_options: dict[str, str], key: str, told: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load({}, options(**given_options))
    fault = caught.value.faults[0]
    assert fault.key == f"kafka.options.{key}"
    assert told in fault.sentence


def test_each_word_that_the_settings_take_is_taken_by_the_broker_and_no_other() -> None:
    taken = {option: set(words) for option, words in CHOICES.items()}
    assert taken == broker_options.WORDS


def test_a_token_provider_is_made_of_the_class_that_is_named() -> None:
    oauth = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
    named = load({}, options(**oauth, sasl_oauth_token_provider="builtins:dict"))
    assert named.kafka.client_options()["sasl_oauth_token_provider"] == {}
    missing = load({}, options(**oauth, sasl_oauth_token_provider="no.such:Class"))
    with pytest.raises(TokenProviderNotFound, match=r"no\.such:Class"):
        missing.kafka.client_options()
