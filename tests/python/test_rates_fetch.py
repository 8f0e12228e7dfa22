"""Fetching rates: every provider is played by a server on this machine, and the ledger is read as files."""

import base64
import calendar
import datetime
import email.utils
import json
import pathlib
import threading
import time

import boto3
import pytest

import cambist
import rate_server
import stores
from rate_server import Answer

KEY = "5ecretKeyOfTheTest/0123456789+abcdef"
KEY_FORMS = [KEY, "5ecretKeyOfTheTest%2F0123456789%2Babcdef", "5ecretKeyOfTheTest"]
INFRASTRUCTURE = 20
# Patience costs tests time: pauses of some milliseconds do.
HASTE = ["--retry-pause", "5ms"]
VARIABLES = {"openexchangerates": "OPENEXCHANGERATES_APP_ID", "currencylayer": "CURRENCYLAYER_ACCESS_KEY",
             "exchangerate.host": "EXCHANGERATE_HOST_ACCESS_KEY"}


def body_of(day):
    """An invented document of Open Exchange Rates for one day."""
    moment = calendar.timegm(time.strptime(day, "%Y-%m-%d"))
    figures = {"EUR": 0.9, "GBP": 0.8, "INR": 83 + moment // 86400 % 7 / 100, "USD": 1}
    document = {"disclaimer": "invented", "license": "none", "timestamp": moment, "base": "USD", "rates": figures}
    return json.dumps(document, indent=2).encode()


def days_between(first, last):
    first, last = (datetime.date.fromisoformat(day) for day in (first, last))
    return [str(first + datetime.timedelta(days)) for days in range((last - first).days + 1)]


def arguments(server, to, *what, provider="openexchangerates"):
    place = [] if provider == "url" else ["--base-url", server.url]
    pace = [] if "--rate-limit" in what else ["--rate-limit", "10000/s"]
    return ["rates", "fetch", "--provider", provider, *place, "--to", to, *HASTE, *pace, *what]


def fetch(server, to, *what, provider="openexchangerates", env=None):
    variable = VARIABLES.get(provider)
    env = {variable: KEY} if env is None and variable else env
    return cambist.run(*arguments(server, to, *what, provider=provider), env=env)


def payloads(folder):
    """The payloads of a ledger: first ones by day, then versions."""
    folder = pathlib.Path(folder)
    first = {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}
    later = [path.read_bytes() for path in sorted(folder.glob("_versions/**/*")) if path.is_file()]
    return first, later


def counts(done, *names):
    return {name: done.summary[name] for name in names or ("requested", "stored")}


def holds(folder, days):
    """Demands that each day is there once, byte for byte."""
    first, later = payloads(folder)
    assert first == {f"{day}.json": body_of(day) for day in days}
    assert later == []


# Each provider.


REAL = [
    ("openexchangerates", ["--date", "2015-01-01"], "openexchangerates/historical_2015-01-01.json",
     "/historical/2015-01-01.json"),
    ("openexchangerates", ["--latest"], "openexchangerates/latest_2014-10-22.json", "/latest.json"),
    ("openexchangerates", ["--from", "2023-01-01", "--until", "2023-01-05", "--series"],
     "openexchangerates/time_series_2023-01.json", "/time-series.json"),
    ("currencylayer", ["--date", "2015-05-05"], "currencylayer/historical_2015-05-05.json", "/historical"),
    ("currencylayer", ["--latest"], "currencylayer/live.json", "/live"),
    ("exchangerate.host", ["--date", "2000-01-03"], "exchangerate_host/historical_2000-01-03.json", "/historical"),
    ("exchangerate.host", ["--latest"], "exchangerate_host/latest_2022-04-29.json", "/live"),
    ("frankfurter", ["--latest"], "frankfurter/latest_2026-10-30.json", "/latest"),
    ("frankfurter", ["--from", "2026-10-19", "--until", "2026-10-30", "--series"],
     "frankfurter/time_series_2026-10-19_2026-10-30.json", "/2026-10-19..2026-10-30"),
    ("ecb", ["--latest"], "ecb/eurofxref-daily_2023-01-03.xml", "/eurofxref-daily.xml"),
    ("ecb", ["--from", "2019-11-01", "--until", "2019-11-29"], "ecb/eurofxref-hist-90d_2019-11-29.xml",
     "/eurofxref-hist.xml"),
]


@pytest.mark.parametrize("provider, what, file, path", REAL, ids=lambda value: str(value)[:40])
def test_each_provider_is_asked_and_its_answer_kept(data, tmp_path, provider, what, file, path):
    body = (data / "providers" / file).read_bytes()
    with rate_server.serve(lambda _: Answer(body)) as server:
        done = fetch(server, tmp_path / "rates", *what, provider=provider)
        assert done.code == cambist.DONE, done
        again = fetch(server, tmp_path / "rates", *what, provider=provider)
    assert counts(done) == {"requested": 1, "stored": 1}
    assert server.requests[0].path == path
    key = server.requests[0].query.get("access_key") or server.requests[0].headers.get("authorization")
    assert (key or "").removeprefix("Token ") == (KEY if provider in VARIABLES else "")
    assert again.code == cambist.DONE and again.summary["stored"] == 0, again
    first, later = payloads(tmp_path / "rates")
    assert list(first.values()) == [body] and later == []


def test_a_sunday_is_answered_with_friday(data, tmp_path):
    body = (data / "providers/frankfurter/historical_asked_sunday_2026-10-25_answers_friday.json").read_bytes()
    with rate_server.serve(lambda _: Answer(body)) as server:
        sunday = fetch(server, tmp_path / "rates", "--date", "2026-10-25", provider="frankfurter")
        saturday = fetch(server, tmp_path / "rates", "--date", "2026-10-24", provider="frankfurter")
        assert counts(sunday, "stored", "no_publication") == {"stored": 1, "no_publication": 1}, sunday
        assert counts(saturday, "stored", "unchanged") == {"stored": 0, "unchanged": 1}, saturday
        first, later = payloads(tmp_path / "rates")
        assert list(first) == ["2026-10-23.json"] and later == []
        # Nobody asks for weekends in a range.
        asked = len(server.requests)
        weekend = fetch(server, tmp_path / "rates", "--from", "2026-10-24", "--until", "2026-10-25",
                        provider="frankfurter")
        assert counts(weekend, "requested", "no_publication") == {"requested": 0, "no_publication": 2}
        assert len(server.requests) == asked


def test_any_url_with_a_declared_shape(data, tmp_path):
    body = (data / "providers/other/abstractapi_live.json").read_bytes()
    with rate_server.serve(lambda _: Answer(body)) as server:
        template = ["--url", server.url + "/v1/live?api_key={key}&base={base}", "--base", "USD"]
        env = {"MY_KEY": KEY}
        done = fetch(server, tmp_path / "rates", "--latest", *template, "--shape", "abstractapi",
                     "--api-key-env", "MY_KEY", provider="url", env=env)
        assert counts(done) == {"requested": 1, "stored": 1}, done
        assert server.requests[0].query == {"api_key": KEY, "base": "USD"}
        other = fetch(server, tmp_path / "rates", "--latest", *template, "--shape", "fixer",
                      "--api-key-env", "MY_KEY", provider="url", env=env)
        assert other.code == cambist.DATA_AT_FAULT, other
        assert other.summary["failures"][0]["error"] == "wrong_shape"
        header = fetch(server, tmp_path / "rates", "--latest", "--url", server.url + "/live", "--shape",
                       "abstractapi", "--key-header", "X-Api-Key", "--api-key-env", "MY_KEY", provider="url", env=env)
        assert header.code == cambist.DONE, header
        assert server.requests[-1].headers["x-api-key"] == KEY


def test_every_kind_of_store(store):
    days = days_between("2024-05-01", "2024-05-07")
    prefix = "exchange_rates/"
    env = store.environment | {"OPENEXCHANGERATES_APP_ID": KEY}
    bodies = {day: body_of(day) for day in days}
    with rate_server.serve(rate_server.days_from(bodies.get, KEY)) as server:
        what = ["--from", days[0], "--until", days[-1]]
        done = fetch(server, store.url(prefix), *what[:3], days[3], env=env)
        assert counts(done) == {"requested": 4, "stored": 4}, done
        rest = fetch(server, store.url(prefix), *what, env=env)
        assert counts(rest, "stored", "days_there") == {"stored": 3, "days_there": 4}, rest
        bodies[days[0]] = body_of(days[0]).replace(b"0.8", b"0.81")
        again = fetch(server, store.url(prefix), *what, "--refetch", env=env)
        assert counts(again, "stored", "not_modified") == {"stored": 1, "not_modified": 6}, again
    for day in days:
        assert store.get(f"{prefix}{day}.json") == body_of(day)
    versions = [key for key in store.keys(prefix) if key.startswith(prefix + "_versions/")]
    assert [store.get(key) for key in versions] == [bodies[days[0]]]
    store.clear(prefix)


def certificate(folder):
    """A certificate of `localhost` that nobody but a test trusts, in one file with its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(secret.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    public = signed.public_bytes(serialization.Encoding.PEM)
    private = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "trusted.pem").write_bytes(public)
    (folder / "server.pem").write_bytes(private + public)
    return folder / "server.pem", folder / "trusted.pem"


def test_over_tls_the_provider_must_be_who_it_says(tmp_path):
    served, trusted = certificate(tmp_path)
    with rate_server.serve(rate_server.days_from(body_of, KEY), served) as server:
        env = {"OPENEXCHANGERATES_APP_ID": KEY, "RUST_LOG": "trace"}
        done = fetch(server, tmp_path / "rates", "--date", DAY, env=env | {"SSL_CERT_FILE": trusted})
        assert counts(done) == {"requested": 1, "stored": 1}, done
        assert "hyper" in done.stderr and KEY not in done.stderr
        holds(tmp_path / "rates", [DAY])
        unknown = fetch(server, tmp_path / "other", "--date", DAY, "--attempts", "1", env=env)
    assert unknown.code == INFRASTRUCTURE and "certificate" in unknown.stderr, unknown


# What goes wrong.


FAILURES = [
    ("openexchangerates", 401, "openexchangerates/error_401_app_id_inactive.json", "unauthorized", 1,
     "This App ID has been deactivated"),
    ("openexchangerates", 403, "openexchangerates/error_403_not_allowed.json", "unauthorized", 1, "Not Allowed"),
    ("openexchangerates", 429, "openexchangerates/error_429_access_restricted.json", "rate_limited", 20,
     "Access restricted until 2050-01-01"),
    ("openexchangerates", 400, "openexchangerates/error_400_not_available.json", "error_body", 1,
     "Historical rates for the requested date are not available"),
    ("currencylayer", 200, "currencylayer/error_101_invalid_access_key.json", "unauthorized", 1,
     "You have not supplied a valid API Access Key"),
    ("exchangerate.host", 200, "exchangerate_host/error_success_false.json", "error_body", 1, "no explanation"),
    ("frankfurter", 404, "frankfurter/error_404_not_found.json", "error_body", 1, "not found"),
]


@pytest.mark.parametrize("provider, status, file, error, code, words", FAILURES, ids=lambda value: str(value)[:40])
def test_a_provider_that_refuses_is_quoted(data, tmp_path, provider, status, file, error, code, words):
    body = (data / "providers" / file).read_bytes()
    with rate_server.serve(lambda _: Answer(body, status)) as server:
        done = fetch(server, tmp_path / "rates", "--date", "2024-05-01", "--attempts", "2", provider=provider)
    assert done.code == code, done
    assert done.summary["failures"][0]["error"] == error, done
    assert words in done.stderr
    assert len(server.requests) == (2 if code == INFRASTRUCTURE else 1)
    assert payloads(tmp_path / "rates") == ({}, [])


DAY = "2024-05-01"
AHEAD = email.utils.formatdate(time.time() + 7200, usegmt=True)
ODD = {
    "server_error": (Answer(b"<html>busy</html>", 503), "server_error", INFRASTRUCTURE),
    "html": (Answer(b"<!DOCTYPE html><title>Sign in</title>"), "not_json", INFRASTRUCTURE),
    "cut by the connection": (Answer(body_of(DAY), cut=100), "truncated", INFRASTRUCTURE),
    "cut by the provider": (Answer(body_of(DAY)[:-20]), "truncated", INFRASTRUCTURE),
    "empty": (Answer(b""), "truncated", INFRASTRUCTURE),
    "hangs up": (Answer(silent=True), "unreachable", INFRASTRUCTURE),
    "another day": (Answer(body_of("2024-04-28")), "wrong_day", 1),
    "a dated document of another day": (
        Answer.json({"base": "USD", "date": "2024-05-02", "license": "", "rates": {"EUR": 0.9}}), "wrong_day", 1),
    "their clock": (Answer(body_of(DAY), headers={"Date": AHEAD}), "clock_skew", INFRASTRUCTURE),
    "no rates": (Answer.json({"base": "USD", "timestamp": 1714521600, "license": "", "rates": {}}), "refused", 1),
    "a string": (Answer(b'"Error 503: try later"'), "error_body", 1),
    "the key": (Answer(body_of(DAY).replace(b"invented", b"for " + KEY.encode())), "key_in_answer", 1),
    "moved": (Answer(b"", 302, {"Location": "http://127.0.0.2/?app_id=" + KEY}), "moved", 1),
}


@pytest.mark.parametrize("name", ODD)
def test_each_failure_has_its_name_and_leaves_nothing(tmp_path, name):
    answer, error, code = ODD[name]
    with rate_server.serve(lambda _: answer) as server:
        done = fetch(server, tmp_path / "rates", "--date", DAY, "--attempts", "3")
    assert done.code == code, done
    assert [failure["error"] for failure in done.summary["failures"]] == [error], done
    # What may pass is tried again, what will not is not; of a wrong clock another answer tells nothing new.
    assert len(server.requests) == (3 if code == INFRASTRUCTURE and error != "clock_skew" else 1), done
    assert payloads(tmp_path / "rates") == ({}, [])
    assert KEY not in done.stderr + done.stdout


def test_rates_from_the_future_are_refused(tmp_path):
    tomorrow = datetime.date.today() + datetime.timedelta(days=2)
    with rate_server.serve(lambda _: Answer(body_of(str(tomorrow)))) as server:
        done = fetch(server, tmp_path / "rates", "--latest")
        asked = fetch(server, tmp_path / "rates", "--date", tomorrow)
    assert done.code == cambist.DATA_AT_FAULT and done.summary["failures"][0]["error"] == "clock_skew", done
    assert asked.code == cambist.USAGE and "has not begun yet" in asked.stderr, asked


def test_a_redirect_within_the_service_is_followed_and_bounded(tmp_path):
    def play(request):
        if request.path.startswith("/moved"):
            return Answer(body_of(request.day))
        return Answer(status=301, headers={"Location": f"/moved{request.path}"})

    with rate_server.serve(play) as server:
        done = fetch(server, tmp_path / "rates", "--date", DAY)
        assert done.code == cambist.DONE, done
        assert [request.headers["authorization"] for request in server.requests] == [f"Token {KEY}"] * 2
        server.play = lambda request: Answer(status=302, headers={"Location": request.path + "/x"})
        endless = fetch(server, tmp_path / "rates", "--date", DAY)
    assert endless.code == cambist.DATA_AT_FAULT and endless.summary["failures"][0]["error"] == "moved", endless
    assert len(server.requests) == 6


def test_nobody_there(tmp_path):
    with rate_server.serve(lambda _: Answer()) as server:
        pass
    done = fetch(server, tmp_path / "rates", "--date", DAY, "--attempts", "2")
    assert done.code == INFRASTRUCTURE and done.summary["failures"][0]["error"] == "unreachable", done


def test_retry_after_is_kept_within_bounds(tmp_path):
    times = []

    def play(request):
        times.append(time.monotonic())
        if len(times) == 1:
            return Answer.json({"message": "slow down"}, 429, **{"Retry-After": "1"})
        if len(times) == 2:
            later = email.utils.formatdate(time.time() + 2, usegmt=True)
            return Answer.json({"message": "slow down"}, 503, **{"Retry-After": later})
        return Answer(body_of(request.day))

    with rate_server.serve(play) as server:
        done = fetch(server, tmp_path / "rates", "--date", DAY)
    assert done.code == cambist.DONE and done.summary["retries"] == 2, done
    assert times[1] - times[0] >= 1
    assert times[2] - times[1] >= 0.9

    with rate_server.serve(lambda _: Answer(b"", 429, {"Retry-After": "86400"})) as server:
        done = fetch(server, tmp_path / "other", "--date", DAY)
    assert done.code == INFRASTRUCTURE and len(server.requests) == 1, done
    assert "asks to wait 86400 s" in done.stderr


def test_the_pace_is_kept(tmp_path):
    days = days_between("2024-05-01", "2024-05-21")
    times = []

    def play(request):
        times.append(time.monotonic())
        return Answer(body_of(request.day))

    with rate_server.serve(play) as server:
        began = time.monotonic()
        done = fetch(server, tmp_path / "rates", "--from", days[0], "--until", days[-1], "--rate-limit", "3/s",
                     "--parallel", "8")
    assert done.code == cambist.DONE, done
    # 21 requests at three a second: the last ones are sent six seconds after the first, which is sent after the start.
    # (Not from when the first was received: a busy server may note it late.)
    assert times[-1] - began > 5.9
    holds(tmp_path / "rates", days)


# Ranges.


def year(data):
    folder = data / "oxr" / "daily"
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("2011-*.json"))}


def outages(play, at):
    """The same player, with three outages of different kinds after so many requests each."""
    seen, lock = [0], threading.Lock()
    kinds = [Answer(b"down", 503), Answer(silent=True), Answer(b"", 429, {"Retry-After": "0"})]

    def failing(request):
        with lock:
            seen[0] += 1
            number = seen[0]
        for start, answer in zip(at, kinds):
            if start <= number < start + 9:
                return answer
        return play(request)

    return failing


def test_a_year_with_three_outages_is_complete(data, tmp_path):
    bodies = year(data)
    assert len(bodies) == 365
    play = outages(rate_server.days_from(bodies.get, KEY), at=(50, 150, 300))
    with rate_server.serve(play) as server:
        # Nine answers fail in each outage: whoever tries ten times gets through, however they fall.
        done = fetch(server, tmp_path / "rates", "--from", "2011-01-01", "--until", "2011-12-31", "--parallel", "4",
                     "--attempts", "10")
        assert done.code == cambist.DONE, done
        assert counts(done) == {"requested": 365, "stored": 365}
        assert done.summary["retries"] == 27
        assert payloads(tmp_path / "rates") == ({f"{day}.json": body for day, body in bodies.items()}, [])
        asked = len(server.requests)
        again = fetch(server, tmp_path / "rates", "--from", "2011-01-01", "--until", "2011-12-31")
        assert counts(again, "requested", "days_there") == {"requested": 0, "days_there": 365}, again
        assert len(server.requests) == asked


def test_an_outage_that_lasts_ends_the_run_and_the_next_one_goes_on(tmp_path):
    days = days_between("2024-01-01", "2024-02-09")
    down = threading.Event()
    up = rate_server.days_from(body_of, KEY)

    def play(request):
        if request.day == "2024-01-21":
            down.set()
        return Answer(b"down", 503) if down.is_set() else up(request)

    with rate_server.serve(play) as server:
        what = ["--from", days[0], "--until", days[-1], "--attempts", "3", "--parallel", "3"]
        first = fetch(server, tmp_path / "rates", *what)
        assert first.code == INFRASTRUCTURE, first
        assert first.summary["failed"] == 1 and first.summary["left"] > 15, first
        assert "goes on from there" in first.stderr
        stored = first.summary["stored"]
        assert stored >= 18
        holds(tmp_path / "rates", days[:stored])
        down.clear()
        server.play = up
        second = fetch(server, tmp_path / "rates", *what)
    assert second.code == cambist.DONE, second
    assert counts(second, "stored", "days_there") == {"stored": len(days) - stored, "days_there": stored}
    holds(tmp_path / "rates", days)


def test_killed_in_the_midst_and_resumed(tmp_path):
    days = days_between("2024-01-01", "2024-04-30")
    play = rate_server.days_from(body_of, KEY)
    enough = threading.Event()

    def slow(request):
        if len(server.requests) > 40:
            enough.set()
        time.sleep(0.01)
        return play(request)

    with rate_server.serve(slow) as server:
        what = ["--from", days[0], "--until", days[-1]]
        process, command = cambist.start(*arguments(server, tmp_path / "rates", *what),
                                         env={"OPENEXCHANGERATES_APP_ID": KEY})
        assert enough.wait(cambist.TIMEOUT_SECONDS)
        process.kill()
        assert cambist.finish(process, command).killed
        there = payloads(tmp_path / "rates")[0]
        assert 0 < len(there) < len(days)
        done = fetch(server, tmp_path / "rates", *what)
    assert done.code == cambist.DONE, done
    assert done.summary["days_there"] + done.summary["stored"] + done.summary["unchanged"] == len(days)
    assert done.summary["days_there"] >= len(there) - 1
    holds(tmp_path / "rates", days)


def test_one_bad_day_does_not_stop_the_others(tmp_path):
    days = days_between("2024-01-01", "2024-01-10")
    play = rate_server.days_from(lambda day: None if day == days[3] else body_of(day), KEY)
    with rate_server.serve(play) as server:
        done = fetch(server, tmp_path / "rates", "--from", days[0], "--until", days[-1])
    assert done.code == cambist.DATA_AT_FAULT, done
    assert counts(done, "stored", "failed", "left") == {"stored": 9, "failed": 1, "left": 0}
    assert done.summary["failures"][0]["asked"] == days[3]
    holds(tmp_path / "rates", days[:3] + days[4:])


def test_a_correction_becomes_a_further_version(tmp_path):
    days = days_between("2024-01-01", "2024-01-05")
    corrected = body_of(days[2]).replace(b"0.9", b"0.91")
    bodies = {day: body_of(day) for day in days}
    with rate_server.serve(rate_server.days_from(bodies.get, KEY)) as server:
        what = ["--from", days[0], "--until", days[-1]]
        assert fetch(server, tmp_path / "rates", *what).code == cambist.DONE
        bodies[days[2]] = corrected
        known = fetch(server, tmp_path / "rates", *what)
        assert counts(known, "requested", "days_there") == {"requested": 0, "days_there": 5}
        again = fetch(server, tmp_path / "rates", *what, "--refetch")
    assert counts(again, "stored", "not_modified") == {"stored": 1, "not_modified": 4}, again
    first, later = payloads(tmp_path / "rates")
    assert first == {f"{day}.json": body_of(day) for day in days}
    assert later == [corrected]


def test_one_day_alone_is_asked_again_and_a_day_that_has_not_ended_too(tmp_path):
    today = str(datetime.datetime.now(datetime.timezone.utc).date())
    with rate_server.serve(rate_server.days_from(body_of, KEY)) as server:
        for expected in ("stored", "not_modified"):
            done = fetch(server, tmp_path / "rates", "--date", DAY)
            assert done.summary[expected] == 1, done
        # The rates of today may change until it ends.
        for expected in ("stored", "not_modified"):
            done = fetch(server, tmp_path / "today", "--from", today)
            assert done.summary[expected] == 1, done


def test_every_now_and_then(tmp_path):
    figures = iter(range(100))

    def play(request):
        number = next(figures)
        if number == 1:
            return Answer(b"down", 503)
        moment = int(time.time())
        return Answer.json({"license": "", "timestamp": moment, "base": "USD", "rates": {"EUR": 1 + number}})

    with rate_server.serve(play) as server:
        done = fetch(server, tmp_path / "rates", "--every", "200ms", "--rounds", "3", "--attempts", "1")
        assert done.code == cambist.DONE, done
        rounds = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(one["stored"], one["failed"]) for one in rounds] == [(1, 0), (0, 1), (1, 0)]
        first, later = payloads(tmp_path / "rates")
        assert len(first) + len(later) == 2
        assert [request.path for request in server.requests] == ["/latest.json"] * 3

        wrong = fetch(server, "gs://nowhere", "--every", "1h")
        assert wrong.code == cambist.USAGE and "unknown scheme" in wrong.stderr, wrong
        process, command = cambist.start(*arguments(server, tmp_path / "rates", "--every", "1h"),
                                         env={"OPENEXCHANGERATES_APP_ID": KEY})
        process.stdout.readline()
        process.terminate()
        assert cambist.finish(process, command).code == cambist.DONE


def test_a_round_that_is_told_to_stop_ends_with_what_it_has(tmp_path):
    asked, told = threading.Event(), threading.Event()

    def play(_):
        asked.set()
        assert told.wait(cambist.TIMEOUT_SECONDS)
        moment = int(time.time())
        return Answer.json({"license": "", "timestamp": moment, "base": "USD", "rates": {"EUR": 0.9}})

    with rate_server.serve(play) as server:
        process, command = cambist.start(*arguments(server, tmp_path / "rates", "--every", "1h"),
                                         env={"OPENEXCHANGERATES_APP_ID": KEY})
        assert asked.wait(cambist.TIMEOUT_SECONDS)
        process.terminate()
        # The answer is held back until the program says that it was told.
        assert "told to stop" in process.stderr.readline()
        told.set()
        done = cambist.finish(process, command)
    assert done.code == cambist.DONE and done.summary["stored"] == 1, done
    assert len(payloads(tmp_path / "rates")[0]) == 1


# Keys.


@pytest.mark.parametrize("provider", ["openexchangerates", "currencylayer", "url"])
@pytest.mark.parametrize("source", ["variable", "file"])
def test_the_key_is_seen_by_the_provider_alone(tmp_path, provider, source):
    to, seen = tmp_path / "rates", []
    days = days_between("2024-01-01", "2024-01-06")
    process = None

    def play(request):
        seen.append(request)
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(path.read_bytes())
            except OSError:
                pass
        day = request.query.get("date", request.day)
        if len(seen) == 2:
            return Answer(silent=True)
        if len(seen) == 3:
            # The words of a provider that repeats the key.
            words = f"no quota for {KEY}"
            return Answer.json({"success": False, "error": {"code": 1, "info": words}}, 500)
        if day == days[4]:
            return Answer.json({"success": False, "error": {"code": 302, "info": f"{KEY} may not"}})
        quotes = {"USDEUR": 0.9, "USDGBP": 0.8}
        layered = {"success": True, "source": "USD", "date": day, "quotes": quotes}
        return Answer.json(layered, ETag=f'"{KEY}"') if provider != "openexchangerates" else Answer(body_of(day))

    commands = []
    what = ["--from", days[0], "--until", days[-1], "-vv"]
    if provider == "url":
        what += ["--url", "URL/{key}/day?date={date}&token={key}", "--shape", "currencylayer"]
    env = {"RUST_LOG": "trace", "SOME_KEY": KEY}
    if source == "file":
        (tmp_path / "key").write_text(KEY + "\n")
        env = {"RUST_LOG": "trace"}
        what += ["--api-key-file", tmp_path / "key"]
    else:
        what += ["--api-key-env", "SOME_KEY"]
    with rate_server.serve(play) as server:
        what = [str(part).replace("URL", server.url) for part in what]
        process, command = cambist.start(*arguments(server, to, *what, provider=provider), env=env)
        done = cambist.finish(process, command)
    assert done.code == cambist.DATA_AT_FAULT and done.summary["stored"] == 5, done
    assert all(KEY in str(request.query) + str(request.headers) for request in seen)
    assert "***" in done.stderr, "the provider's words are shown without the key"
    # The log is that of the libraries too: what is searched is not empty.
    assert "hyper" in done.stderr and any(b"rates\0fetch" in command for command in commands)
    stored = b"".join(path.read_bytes() + str(path).encode() for path in to.rglob("*") if path.is_file())
    for form in KEY_FORMS:
        assert form not in done.stderr
        assert form not in done.stdout
        assert form.encode() not in stored
        assert not any(form.encode() in command for command in commands)


def test_a_key_is_wanted_and_where_it_comes_from_is_told(tmp_path):
    with rate_server.serve(lambda _: Answer.json({"message": "invalid_app_id"}, 401)) as server:
        missing = fetch(server, tmp_path / "rates", "--latest", env={})
        assert missing.code == cambist.USAGE and "OPENEXCHANGERATES_APP_ID is not set" in missing.stderr, missing
        wrong = fetch(server, tmp_path / "rates", "--latest")
        assert wrong.code == 1 and "the key came from the variable OPENEXCHANGERATES_APP_ID" in wrong.stderr, wrong
        broken = fetch(server, tmp_path / "rates", "--latest", env={"OPENEXCHANGERATES_APP_ID": "two words in it"})
        assert broken.code == cambist.USAGE and "two words" not in broken.stderr, broken
    clear = cambist.run("rates", "fetch", "--provider", "currencylayer", "--base-url", "http://rates.example",
                        "--latest", "--to", tmp_path, env={"CURRENCYLAYER_ACCESS_KEY": KEY})
    assert clear.code == cambist.USAGE and "without TLS" in clear.stderr, clear


@pytest.mark.parametrize("wrong, words", [
    (["--provider", "oanda", "--latest"], "unknown provider `oanda`, expected one of openexchangerates"),
    (["--provider", "ecb"], "--latest"),
    (["--provider", "ecb", "--latest", "--date", DAY], "cannot be used with"),
    (["--provider", "ecb", "--from", "2024-05-02", "--until", "2024-05-01"], "before it begins"),
    (["--provider", "ecb", "--latest", "--base", "USD"], "has one base"),
    (["--provider", "frankfurter", "--latest", "--base", "Euro"], "expected a currency code"),
    (["--provider", "frankfurter", "--latest", "--api-key-env", "HOME"], "frankfurter takes no key"),
    (["--provider", "frankfurter", "--latest", "--rate-limit", "fast"], "`fast` is no pace"),
    (["--provider", "url", "--latest"], "--provider url wants --url and --shape"),
    (["--provider", "url", "--latest", "--url", "https://x.example/{datum}", "--shape", "fixer"],
     "unknown placeholder `{datum}`"),
    (["--provider", "url", "--latest", "--url", "https://x.example/?key=0123456789", "--shape", "fixer"],
     "bears a value of its own"),
])
def test_what_cannot_be_meant_is_refused_at_once(tmp_path, wrong, words):
    done = cambist.run("rates", "fetch", "--to", tmp_path / "rates", *wrong)
    assert done.code == cambist.USAGE and words in done.stderr, done
    cambist.nothing_written(tmp_path / "rates")


# Firehose.


@pytest.fixture(scope="module")
def firehose_built():
    done = cambist.run("rates", "fetch", "--provider", "ecb", "--latest", "--to", "firehose://no/name")
    if "built with the feature `aws`" in done.stderr:
        assert done.code == cambist.USAGE, done
        pytest.skip("the program was built without the feature `aws`")
    assert done.code == cambist.USAGE and "`no/name` is no name of a stream" in done.stderr, done


def firehose_environment(endpoint):
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": stores.REGION, "OPENEXCHANGERATES_APP_ID": KEY}


def test_answers_arrive_in_firehose(firehose_built, moto_endpoint, tmp_path):
    lake = stores.Bucket(moto_endpoint)
    client = boto3.client("firehose", endpoint_url=moto_endpoint, region_name=stores.REGION,
                          aws_access_key_id="test", aws_secret_access_key="test")
    client.create_delivery_stream(
        DeliveryStreamName="rates", ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose", "BucketARN": f"arn:aws:s3:::{lake.name}",
            "Prefix": "fetched/"})
    days = days_between("2024-05-01", "2024-05-05")
    env = firehose_environment(moto_endpoint)
    with rate_server.serve(rate_server.days_from(body_of, KEY)) as server:
        what = ["--from", days[0], "--until", days[-1]]
        done = fetch(server, "firehose://rates", *what, env=env)
        assert counts(done) == {"requested": 5, "stored": 5}, done
        absent = fetch(server, "firehose://absent", *what, env=env)
        assert absent.code == cambist.DATA_AT_FAULT and "ResourceNotFoundException" in absent.stderr, absent
        long = fetch(server, "firehose://rates", "--date", DAY, env=env)
        assert counts(long) == {"requested": 1, "stored": 1}, "a stream cannot tell what it holds"
    records = b"".join(lake.get(key) for key in sorted(lake.keys("fetched/")))
    for day in days:
        assert records.count(body_of(day) + b"\n") == (2 if day == DAY else 1)
    assert KEY.encode() not in records
    lake.clear("fetched/")


def test_firehose_is_tried_again(firehose_built):
    answers = [Answer(b"{}", 503), Answer.json({"__type": "ThrottlingException"}, 400)]

    def play(request):
        if request.path != "/":
            return Answer(body_of(request.day))
        return answers.pop(0) if answers else Answer.json({"RecordId": "r1"})

    with rate_server.serve(play) as server:
        done = fetch(server, "firehose://rates", "--date", DAY, env=firehose_environment(server.url))
        assert counts(done) == {"requested": 1, "stored": 1}, done
        assert server.asked("/") == 3
        record = json.loads(server.requests[-1].body)["Record"]["Data"]
        assert base64.b64decode(record) == body_of(DAY) + b"\n"
        large = Answer.json({"base": "USD", "timestamp": 1714521600, "license": "x" * (1000 << 10),
                             "rates": {"EUR": 0.9}})
        server.play = lambda _: large
        refused = fetch(server, "firehose://rates", "--date", DAY, env=firehose_environment(server.url))
    assert refused.code == cambist.DATA_AT_FAULT and refused.summary["refused"] == 1, refused
    assert "bytes long" in refused.stderr


def test_firehose_that_is_not_there(firehose_built):
    with rate_server.serve(lambda _: Answer()) as gone:
        pass
    with rate_server.serve(rate_server.days_from(body_of, KEY)) as server:
        done = fetch(server, "firehose://rates", "--date", DAY, env=firehose_environment(gone.url))
    assert done.code == INFRASTRUCTURE, done
