"""Database URLs: libpq's forms are parsed; others are refused, and no password is quoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.config import Settings
from shared.database_url import DatabaseUrl, Host, InvalidDatabaseUrl, parse

HOSTS: list[tuple[str, list[Host]]] = [
    ("postgresql://db.example.com/nps", [Host("db.example.com")]),
    ("postgres://db:5433/nps", [Host("db", 5433)]),
    ("postgresql+asyncpg://db/nps?port=5433", [Host("db", 5433)]),
    ("postgresql://[::1]:5433/nps", [Host("::1", 5433)]),
    ("postgresql://a:1,b:2/nps", [Host("a", 1), Host("b", 2)]),
    ("postgresql://a,b:2/nps", [Host("a"), Host("b", 2)]),
    ("postgresql:///nps?host=a,b&port=1,2", [Host("a", 1), Host("b", 2)]),
    ("postgresql:///nps?host=a,b&port=7", [Host("a", 7), Host("b", 7)]),
    ("postgresql:///nps?host=a:1&host=b:2", [Host("a", 1), Host("b", 2)]),
    ("postgresql://left.out/nps?host=a", [Host("a")]),
    ("postgresql:///nps?host=/run/postgresql", [Host("/run/postgresql")]),
    ("postgresql://%2Frun%2Fpostgresql/nps", [Host("/run/postgresql")]),
    ("postgresql:///nps", []),
]

REFUSED = [
    ("mysql://u:s3cret@db/nps", "must be postgresql://user:password@host:port/database"),
    ("postgresql://u:s3/cret@db/nps", "percent-encoded"),
    ("postgresql://u:s3?cret@db/nps", "percent-encoded"),
    ("postgresql://u:s3@cret@db/nps", "percent-encoded"),
    ("postgresql://u:s3cret", "percent-encoded"),
    ("postgresql://u:s3cret@db:x/nps", "a port is no number"),
    ("postgresql://u:s3cret@db:0/nps", "a port is no number"),
    ("postgresql://u:s3cret@a,b/nps?port=1,2,3", "3 ports for 2 hosts"),
    ("postgresql://u:s3cret@db one/nps", "a host cannot be read"),
    ("postgresql://u:s3cret@/nps?port=1", "port is given without a host"),
    ("postgresql://u:s3cret@db/nps?pool_size=3", "its parameter pool_size is none of application_name, "),
    ("postgresql://u:s3cret@db/nps?sslmode=require&sslmode=disable", "sslmode is given twice"),
    ("postgresql://u:s3cret@db/nps?sslmode=require&ssl=disable", "contradict"),
    ("postgresql://u:s3cret@db/nps?sslmode=yes", "sslmode is none of disable, allow, prefer, "),
    ("postgresql://u:s3cret@db/nps?sslmode=true", "sslmode is none of disable, allow, prefer, "),
    ("postgresql://u:s3cret@db/nps?sslrootcert=/no/such.pem", r"sslrootcert names no file .*\(/no/such.pem\)"),
    ("postgresql://u:s3cret@db/nps?channel_binding=require", "channel_binding=require is not possible"),
    ("postgresql://u:s3cret@db/nps?target_session_attrs=standby", "a standby does not allow"),
    ("postgresql://u:s3cret@db/nps?connect_timeout=soon", "connect_timeout is no number of seconds"),
]


@pytest.mark.parametrize(("url", "hosts"), HOSTS)
def test_every_form_of_a_host_is_understood(url: str, hosts: list[Host]) -> None:
    assert list(parse(url).hosts) == hosts
    assert parse(url).database == "nps"


@pytest.mark.parametrize(("url", "why"), REFUSED)
def test_what_cannot_be_read_is_refused_without_the_password(url: str, why: str) -> None:
    with pytest.raises(InvalidDatabaseUrl, match=why) as refused:
        parse(url)
    assert "s3" not in str(refused.value)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(("url", "why"), REFUSED)
def test_a_wrong_url_in_a_setting_is_refused_at_the_start(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "SCORING_DATABASE_URL", "EVENTS_URL"):
        monkeypatch.setenv(f"EARSHOT_{name}", url)
        with pytest.raises(ValidationError, match=why):
            Settings()
        monkeypatch.delenv(f"EARSHOT_{name}")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("name", ["sslmode", "ssl"])
def test_both_words_for_tls_mean_the_same(name: str, mode: str) -> None:
    assert parse(f"postgresql://db/nps?{name}={mode}").driver == {"sslmode": mode}


def test_files_of_tls_reach_the_driver(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("sslrootcert", "sslcert", "sslkey")}
    for path in files.values():
        Path(path).touch()
    query = "&".join(f"{name}={path}" for name, path in files.items())
    url = parse(f"postgresql://db/nps?sslmode=verify-full&{query}")
    assert url.driver == {"sslmode": "verify-full"} | files
    (host,) = url.hosts
    assert all(f"{name}={path}" in url.dsn(host) for name, path in files.items())


def test_of_several_hosts_the_one_that_writes_is_wanted() -> None:
    assert parse("postgresql://a,b/nps").target == "read-write"
    assert parse("postgresql://a,b/nps?target_session_attrs=any").target == "any"
    assert parse("postgresql://a/nps").target == "any"


def test_what_the_server_is_told_stays_apart_from_what_the_driver_reads() -> None:
    url = parse("postgresql://db/nps?application_name=nps%20one&options=-c%20work_mem%3D8MB&connect_timeout=3")
    assert url.server == {"application_name": "nps one", "options": "-c work_mem=8MB"}
    assert url.connect_timeout_s == 3
    assert parse("postgresql://db/nps?connect_timeout=0").connect_timeout_s is None


def test_user_and_password_in_the_query_win_as_in_libpq() -> None:
    url = parse("postgresql://one:two@db/nps?user=three&password=fo%26ur&dbname=other")
    assert (url.user, url.password, url.database) == ("three", "fo&ur", "other")


@given(
    user=st.text(min_size=1, max_size=10),
    password=st.text(max_size=20),
    database=st.text(min_size=1, max_size=10),
    hosts=st.lists(st.sampled_from([Host("a", 1), Host("::1", 2), Host("/run/pg", 3)]), max_size=3),
)
def test_what_was_written_is_read_again(user: str, password: str, database: str, hosts: list[Host]) -> None:
    url = DatabaseUrl(
        hosts=tuple(hosts), database=database, user=user, password=password, target="any", driver={"sslmode": "require"}
    )
    assert parse(url.text) == url


def test_a_password_is_in_no_representation() -> None:
    url = parse("postgresql://u:s3cret@db/nps?sslpassword=c0vert")
    assert "s3cret" not in repr(url)
    assert "c0vert" not in repr(url)
