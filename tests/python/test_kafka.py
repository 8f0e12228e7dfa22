"""Kafka: what is fetched goes into a topic, and what lies there is stored, each message once."""

import calendar
import contextlib
import datetime
import hashlib
import json
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

import cambist
import kafka_broker
import rate_server
import stores
from fault_proxy import FaultProxy
from rate_server import Answer

INFRASTRUCTURE = 20
TOPIC = "exchange-rates-topic"
FIRST_DAY = datetime.date(1990, 1, 1)

# The group finds quickly that a member was killed; the broker lets members that come first wait for three seconds.
SESSION = "session.timeout.ms=3600\nheartbeat.interval.ms=400\n"
HASTE = ["--retry-pause", "5ms", "--parallel", "16"]


def body_of(day, extra=0):
    """An invented document for one day; no two days have the same."""
    moment = calendar.timegm(time.strptime(day, "%Y-%m-%d"))
    figures = {"EUR": 0.9, "GBP": 0.8, "INR": 83 + moment // 86400 % 7 / 100 + extra, "USD": 1}
    document = {"disclaimer": "invented", "license": "none", "timestamp": moment, "base": "USD", "rates": figures}
    return json.dumps(document, indent=2).encode()


def days(count, first=FIRST_DAY):
    return [str(first + datetime.timedelta(number)) for number in range(count)]


@pytest.fixture(scope="module")
def provider():
    with rate_server.serve(lambda request: Answer(body_of(request.day))) as server:
        yield server


@pytest.fixture
def broker():
    with kafka_broker.run() as broker:
        yield broker


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "kafka.properties"
    path.write_text(SESSION)
    return path


def fetch_arguments(provider, to, first, last, *more):
    return ["rates", "fetch", "--provider", "url", "--url", provider.url + "/historical/{date}.json", "--shape",
            "openexchangerates", "--from", first, "--until", last, "--to", to, *HASTE, "--json",
            *(more or ["--rate-limit", "10000/s"])]


def fetch(provider, to, first, last, *more):
    return cambist.run(*fetch_arguments(provider, to, first, last, *more))


def sink_arguments(source, to, config, *more):
    return ["rates", "sink", "--from", source, "--to", to, "--kafka-config", config, "--batch-wait", "50ms",
            "--json", *more]


def sink(source, to, config, *more, **options):
    """Stores all that lies in a topic."""
    return cambist.run(*sink_arguments(source, to, config, "--until-idle", "1s", *more), **options)


def stored(done):
    assert done.code == cambist.DONE, done
    summary = done.summary
    assert summary["read"] == summary["stored"] + summary["unchanged"] + summary["dead_letters"], done
    return {name: summary[name] for name in ("stored", "unchanged", "dead_letters")}


@contextlib.contextmanager
def running(log, *arguments, env=None):
    """The program in the background, its output in a file. Whoever is left at the end is killed."""
    with open(log, "a") as output:
        process = subprocess.Popen(
            [cambist.binary(), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=cambist.clean_environment(env))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_until(holds, seconds=240, what="what was waited for"):
    """Asks again and again; what does not come in time fails the test."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, f"{what} did not come in {seconds} s"
        time.sleep(0.05)
    return found


def payloads(folder):
    """The payloads of a ledger by name, without leftovers of writers that were killed."""
    folder = pathlib.Path(folder)
    files = [*folder.glob("*.json"), *folder.glob("_versions/**/*.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def entries(folder):
    return [json.loads(path.read_bytes()) for path in sorted(pathlib.Path(folder).glob("_ledger/**/*.json"))]


def connect_objects(folder, topic=TOPIC):
    """The objects of a topic under Kafka Connect's names, by partition and offset."""
    found = {}
    for path in pathlib.Path(folder).glob("topics/**/*.json"):
        parts = re.fullmatch(rf"topics/{topic}/partition=(\d+)/{topic}\+(\d+)\+(\d{{10}})\.json",
                             str(path.relative_to(folder)))
        assert parts and parts[1] == parts[2], path
        found[int(parts[2]), int(parts[3])] = path.read_bytes()
    return found


def dead_letters(folder):
    folder = pathlib.Path(folder) / "_dead_letter"
    letters = {path.name: json.loads(path.read_bytes()) for path in folder.glob("*.json")}
    return {(letter["partition"], letter["offset"]): letter for letter in letters.values()}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def little_cpu(most):
    """Demands that the programs that end in the block have not computed much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < most, f"{spent} s of computing, expected less than {most}: a busy loop?"


# What goes in comes out.


def test_what_is_fetched_into_a_topic_comes_into_the_ledger_as_it_was_received(provider, broker, config, tmp_path):
    topic, ledger = broker.topic(TOPIC, 3), tmp_path / "rates"
    wanted = days(20)
    done = fetch(provider, topic, wanted[0], wanted[-1])
    assert done.code == cambist.DONE and done.summary["stored"] == 20, done
    log, keys = broker.read(TOPIC, tmp_path / "log")
    assert sorted(log.values()) == sorted(map(body_of, wanted))
    assert sorted(keys.values()) == [f"openexchangerates/{day}" for day in wanted]
    assert len({partition for partition, _ in log}) > 1

    assert stored(sink(topic, ledger, config)) == {"stored": 20, "unchanged": 0, "dead_letters": 0}
    assert payloads(ledger) == {f"{day}.json": body_of(day) for day in wanted}
    found = entries(ledger)
    assert len(found) == 20
    now = datetime.datetime.now(datetime.timezone.utc)
    for entry in found:
        place = re.fullmatch(rf"kafka:{TOPIC}/(\d+)/(\d+)", entry["origin"])
        assert log[int(place[1]), int(place[2])] == body_of(entry["stem"])
        assert entry["channel"] == "sink" and entry["provider"] == "openexchangerates"
        assert entry["metadata"]["request"].endswith(f"/historical/{entry['stem']}.json")
        known_at = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z|Z$", r"\1+00:00", entry["known_at"]))
        assert datetime.timedelta(0) <= now - known_at < datetime.timedelta(minutes=5)
    assert broker.committed(TOPIC, "cambist-sink") == {
        number: sum(partition == number for partition, _ in log) for number in range(3)}

    # The same group has read all; another one finds all there.
    before = cambist.tree(ledger)
    assert stored(sink(topic, ledger, config)) == {"stored": 0, "unchanged": 0, "dead_letters": 0}
    assert stored(sink(topic, ledger, config, "--group", "other")) == {
        "stored": 0, "unchanged": 20, "dead_letters": 0}
    assert cambist.tree(ledger) == before


def test_a_corrected_day_is_a_version_and_a_producer_without_headers_is_as_good(broker, config, tmp_path):
    topic, ledger = broker.topic(TOPIC), tmp_path / "rates"
    first, second = (body_of("2024-05-01", extra).decode() for extra in (0, 1))
    for payload in (first, second, second, first):
        broker.produce(TOPIC, payload)
    assert stored(sink(topic, ledger, config)) == {"stored": 3, "unchanged": 1, "dead_letters": 0}
    found = payloads(ledger)
    assert found.pop("2024-05-01.json") == first.encode()
    assert list(found.values()) == [second.encode()]
    # Back to the first payload: an entry more, and no payload more.
    assert [entry["origin"] for entry in entries(ledger)] == [f"kafka:{TOPIC}/0/{offset}" for offset in (0, 1, 3)]


def test_objects_can_be_named_as_kafka_connect_does(provider, broker, config, tmp_path):
    topic = broker.topic(TOPIC, 2)
    assert fetch(provider, topic, *days(30)[::29]).code == cambist.DONE
    log, _ = broker.read(TOPIC, tmp_path / "log")
    named = ["--names", "connect"]
    assert stored(sink(topic, tmp_path / "raw", config, *named))["stored"] == len(log) == 30
    assert connect_objects(tmp_path / "raw") == log
    assert stored(sink(topic, tmp_path / "raw", config, *named, "--group", "b"))["unchanged"] == 30
    # Another topic of that name would mix with this one.
    (tmp_path / "raw/topics" / TOPIC / "partition=0" / f"{TOPIC}+0+0000000000.json").write_bytes(b"other")
    refused = sink(topic, tmp_path / "raw", config, *named, "--group", "c")
    assert refused.code == cambist.DATA_AT_FAULT and "holds another payload" in refused.stderr, refused
    assert broker.committed(TOPIC, "c")[0] is None


# Bad messages.


@pytest.mark.parametrize("names", ["date", "connect"])
def test_bad_messages_go_aside_with_their_place_and_reason_and_stop_nothing(names, broker, config, tmp_path):
    topic, folder = broker.topic(TOPIC), tmp_path / "rates"
    large = tmp_path / "large"
    large.write_bytes(body_of("2024-05-09") + b" " * (2 << 20))
    good = [body_of(day).decode() for day in ("2024-05-01", "2024-05-02", "2024-05-03")]
    bad = [
        ({"payload": "<html>sorry</html>"}, "SNAPSHOT_MALFORMED"),
        ({"payload": good[0][:-30]}, "SNAPSHOT_MALFORMED"),
        ({"payload": '{"success": false, "error": {"code": 104, "info": "limit reached"}}'}, "SNAPSHOT_ERROR_BODY"),
        ({}, "MESSAGE_EMPTY"),
        ({"payload_file": str(large)}, "MESSAGE_TOO_LARGE"),
        ({"payload": good[0], "key": "openexchangerates/2024-06-01"}, "MESSAGE_KEY_MISMATCH"),
        ({"payload": good[0], "headers": {"sha256": "0" * 64}}, "MESSAGE_CHECKSUM_MISMATCH"),
        ({"payload": good[0], "headers": {"known_at": "yesterday"}}, "MESSAGE_KNOWN_AT_INVALID"),
    ]
    broker.produce(TOPIC, good[0])
    for arguments, _ in bad[:4]:
        broker.produce(TOPIC, partition=0, **arguments)
    broker.produce(TOPIC, good[1])
    for arguments, _ in bad[4:]:
        broker.produce(TOPIC, partition=0, **arguments)
    broker.produce(TOPIC, good[2])
    done = sink(topic, folder, config, "--names", names, "--message-mib-max", "1")
    assert stored(done) == {"stored": 3, "unchanged": 0, "dead_letters": 8}
    assert broker.committed(TOPIC, "cambist-sink") == {0: 11}
    found = payloads(folder) if names == "date" else connect_objects(folder)
    assert sorted(found.values()) == sorted(map(str.encode, good))
    letters = dead_letters(folder)
    offsets = [1, 2, 3, 4, 6, 7, 8, 9]
    assert {place: letter["reason"] for place, letter in letters.items()} == {
        (0, offset): reason for offset, (_, reason) in zip(offsets, bad)}
    assert "limit reached" in letters[0, 3]["detail"]
    assert letters[0, 7]["key"] == "openexchangerates/2024-06-01"
    assert letters[0, 9]["headers"] == {"known_at": "yesterday"}
    assert letters[0, 4]["payload"] is None
    for offset, (arguments, _) in zip(offsets, bad):
        if name := letters[0, offset]["payload"]:
            wanted = arguments["payload"].encode() if "payload" in arguments else large.read_bytes()
            assert (folder / "_dead_letter" / name).read_bytes() == wanted
    before = cambist.tree(folder)
    again = stored(sink(topic, folder, config, "--names", names, "--message-mib-max", "1", "--group", "again"))
    assert again == {"stored": 0, "unchanged": 3, "dead_letters": 8}
    assert cambist.tree(folder) == before


# Brokers that fail.


def test_a_topic_that_is_not_there_is_told_and_not_made(provider, broker, config, tmp_path):
    nowhere = f"kafka://{broker.servers}/no-such-topic"
    for _ in range(2):
        for done in (sink(nowhere, tmp_path / "rates", config), fetch(provider, nowhere, "2024-05-01", "2024-05-02")):
            assert done.code == cambist.DATA_AT_FAULT, done
            assert "there is no topic `no-such-topic`" in done.stderr, done
    assert not list((tmp_path / "rates").glob("*.json"))


def test_an_address_that_is_none_is_a_usage_error(provider, config, tmp_path):
    for address in ("kafka://localhost:9092", "kafka://localhost:9092/a/b"):
        for done in (sink(address, tmp_path, config), fetch(provider, address, "2024-05-01", "2024-05-02")):
            assert done.code == cambist.USAGE and "kafka://host:port/topic" in done.stderr, done
    config.write_text("acks=0\n")
    done = sink("kafka://localhost/t", tmp_path, config)
    assert done.code == cambist.USAGE and "sets `acks`" in done.stderr, done


def test_a_broker_that_is_not_there_is_waited_for_within_bounds(provider, config, tmp_path):
    nobody = f"kafka://127.0.0.1:{free_port()}/{TOPIC}"
    patience = ["--broker-timeout", "3s"]
    for run in (lambda: sink(nobody, tmp_path / "rates", config, *patience),
                lambda: fetch(provider, nobody, "2024-05-01", "2024-05-02", *patience)):
        began = time.monotonic()
        with little_cpu(1.5):
            done = run()
        assert done.code == INFRASTRUCTURE and "no broker has answered for 3 s" in done.stderr, done
        assert time.monotonic() - began > 2.9


def test_a_broker_that_goes_in_the_midst_is_waited_for_and_then_given_up(provider, broker, config, tmp_path):
    topic, log = broker.topic(TOPIC), tmp_path / "sink.log"
    broker.produce(TOPIC, body_of("2024-05-01").decode())
    ledger = tmp_path / "rates"
    with running(log, *sink_arguments(topic, ledger, config, "--broker-timeout", "6s")) as process:
        wait_until(lambda: broker.committed(TOPIC, "cambist-sink")[0] == 1)
        broker.do("down")
        before, began = cambist.cpu_seconds(process.pid), time.monotonic()
        while time.monotonic() - began < 4:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        assert cambist.cpu_seconds(process.pid) - before < 0.8
        assert process.wait(cambist.TIMEOUT_SECONDS) == INFRASTRUCTURE, log.read_text()
    assert "no broker has answered for" in log.read_text()
    broker.do("up")
    broker.produce(TOPIC, body_of("2024-05-02").decode())
    assert stored(sink(topic, ledger, config))["stored"] == 1
    assert set(payloads(ledger)) == {"2024-05-01.json", "2024-05-02.json"}


def test_a_producer_outlives_a_broker_that_goes_for_a_while(provider, broker, tmp_path):
    topic, log = broker.topic(TOPIC), tmp_path / "fetch.log"
    wanted = days(400)
    broker.do("request_errors", api="produce", error="not_enough_replicas", count=3)
    with running(log, *fetch_arguments(provider, topic, wanted[0], wanted[-1])) as process:
        wait_until(lambda: len(provider.days()) > 100)
        broker.do("down")
        time.sleep(1.5)
        assert process.poll() is None, log.read_text()
        broker.do("up")
        assert process.wait(cambist.TIMEOUT_SECONDS) == cambist.DONE, log.read_text()
    found, _ = broker.read(TOPIC, tmp_path / "log")
    assert list(dict.fromkeys(found.values())) == [body_of(day) for day in wanted]


def test_a_message_that_the_topic_does_not_take_is_refused_and_the_others_go_on(provider, broker, tmp_path):
    topic = broker.topic(TOPIC)
    broker.do("request_errors", api="produce", error="too_large", count=1)
    done = fetch(provider, topic, "2024-05-01", "2024-05-03")
    assert done.code == cambist.DATA_AT_FAULT, done
    assert (done.summary["stored"], done.summary["refused"]) == (2, 1), done
    assert len(broker.read(TOPIC, tmp_path / "log")[0]) == 2


def test_commits_that_fail_are_made_later(broker, config, tmp_path):
    topic = broker.topic(TOPIC)
    broker.produce(TOPIC, body_of("2024-05-01").decode())
    broker.do("request_errors", api="commit", error="coordinator_loading", count=8)
    done = sink(topic, tmp_path / "rates", config)
    assert stored(done)["stored"] == 1
    assert broker.committed(TOPIC, "cambist-sink") == {0: 1}, done


# A sink as a service.


def page(address, name):
    try:
        with urllib.request.urlopen(f"http://{address}/{name}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(address):
    _, text = page(address, "metrics")
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_a_sink_tells_how_it_is_doing_and_ends_well_when_it_is_told_to(broker, config, tmp_path):
    topic, log = broker.topic(TOPIC, 2), tmp_path / "sink.log"
    for number, day in enumerate(days(10)):
        broker.produce(TOPIC, body_of(day).decode(), partition=number % 2)
    broker.produce(TOPIC, "poison", partition=1)
    # Nobody dies here: the group waits for who is slow to come back after the broker was down.
    config.write_text("session.timeout.ms=60000\nheartbeat.interval.ms=400\n")
    listen = ["--listen", "127.0.0.1:0"]
    with running(log, *sink_arguments(topic, tmp_path / "rates", config, *listen)) as process:
        address = wait_until(lambda: re.search(r"metrics at http://([^/]+)/metrics", log.read_text()))[1]
        assert page(address, "healthz") == (200, "ok\n")
        wait_until(lambda: metrics(address).get("cambist_sink_messages_read_total") == 11)
        wait_until(lambda: page(address, "readyz")[0] == 200)
        wait_until(lambda: metrics(address).get('cambist_sink_lag{partition="1"}') == 0)
        shown = metrics(address)
        assert shown["cambist_sink_messages_stored_total"] == 10
        assert shown['cambist_sink_dead_letters_total{reason="SNAPSHOT_MALFORMED"}'] == 1
        assert shown['cambist_sink_committed_offset{partition="0"}'] == 5
        assert shown["cambist_sink_commits_total"] >= 1 and shown["cambist_sink_brokers_up"] == 1
        assert abs(shown["cambist_sink_last_commit_timestamp_seconds"] - time.time()) < 60
        broker.do("down")
        wait_until(lambda: page(address, "readyz")[0] == 503)
        broker.do("up")
        wait_until(lambda: page(address, "readyz")[0] == 200)
        # What was read and not stored yet is stored before the end.
        broker.produce(TOPIC, body_of("2024-05-01").decode(), partition=0)
        wait_until(lambda: metrics(address).get("cambist_sink_messages_read_total") == 12)
        process.send_signal(signal.SIGTERM)
        assert process.wait(cambist.TIMEOUT_SECONDS) == cambist.DONE, log.read_text()
    summary = json.loads(log.read_text().strip().rsplit("\n", 1)[-1])
    assert (summary["stored"], summary["dead_letters"], summary["lag"]) == (11, 1, {"0": 0, "1": 0}), summary
    assert broker.committed(TOPIC, "cambist-sink") == {0: 6, 1: 6}
    assert list((tmp_path / "rates/_index").glob("*.parquet"))


def test_a_sink_stores_to_s3(provider, broker, config, moto_endpoint, tmp_path):
    bucket = stores.Bucket(moto_endpoint)
    topic = broker.topic(TOPIC, 2)
    assert fetch(provider, topic, *days(40)[::39]).code == cambist.DONE
    log, _ = broker.read(TOPIC, tmp_path / "log")
    for names, group in (("date", "a"), ("connect", "b")):
        done = sink(topic, bucket.url(f"kafka-{names}/"), config, "--names", names, "--group", group,
                    env=bucket.environment)
        assert stored(done)["stored"] == 40
    assert {key: bucket.get(key) for key in bucket.keys("kafka-date/") if "/_" not in key} == {
        f"kafka-date/{day}.json": body_of(day) for day in days(40)}
    assert {key: bucket.get(key) for key in bucket.keys("kafka-connect/topics/")} == {
        f"kafka-connect/topics/{TOPIC}/partition={partition}/{TOPIC}+{partition}+{offset:010}.json": payload
        for (partition, offset), payload in log.items()}
    # Nothing is committed that could not be stored.
    refused = sink(topic, "s3://no-such-bucket/rates/", config, "--group", "c", env=bucket.environment)
    assert refused.code not in (cambist.DONE, -signal.SIGSEGV), refused
    assert broker.committed(TOPIC, "c") == {0: None, 1: None}


def test_a_store_that_fails_now_and_then_costs_no_message(provider, broker, config, moto_endpoint, tmp_path):
    topic = broker.topic(TOPIC, 2)
    assert fetch(provider, topic, *days(40)[::39]).code == cambist.DONE
    log, _ = broker.read(TOPIC, tmp_path / "log")
    bucket = stores.Bucket(moto_endpoint)
    with FaultProxy(moto_endpoint, seed=SEED) as proxy:
        environment = stores.environment(proxy.url)
        proxy.spoil({"500": 0.1, "503": 0.1, "reset": 0.1})
        for names, group in (("date", "a"), ("connect", "b")):
            proxy.fail_all_for(2)
            done = sink(topic, bucket.url(f"spoiled-{names}/"), config, "--names", names, "--group", group,
                        "--batch-messages", "10", env=environment)
            summary = stored(done)
            # An object whose creation was answered with an error may have been created all the same.
            assert summary["stored"] + summary["unchanged"] == 40 and not summary["dead_letters"], done
            assert sum(broker.committed(TOPIC, group).values()) == 40
        assert sum(proxy.injected.values()) > 20, proxy.injected
    assert {key: bucket.get(key) for key in bucket.keys("spoiled-date/") if "/_" not in key} == {
        f"spoiled-date/{day}.json": body_of(day) for day in days(40)}
    assert len(bucket.keys("spoiled-date/_ledger/")) == 40
    assert {key: bucket.get(key) for key in bucket.keys("spoiled-connect/topics/")} == {
        f"spoiled-connect/topics/{TOPIC}/partition={partition}/{TOPIC}+{partition}+{offset:010}.json": payload
        for (partition, offset), payload in log.items()}


# Deaths.


MESSAGES, PARTITIONS, DEATHS, SEED = 10_000, 4, 30, 20_240_501
# Documents that a killed producer may have asked for and not delivered, with room to spare.
UNDER_WAY = 100


class PacedProvider:
    """A provider that answers for so many of its days as it was allowed; whoever asks for a later one waits."""

    def __init__(self, all_days):
        self.positions = {day: position for position, day in enumerate(all_days)}
        self.allowed = 0
        self.answered = 0
        self.change = threading.Condition()

    def play(self, request):
        position = self.positions[request.day]
        with self.change:
            self.change.wait_for(lambda: position < self.allowed, cambist.TIMEOUT_SECONDS)
            self.answered = max(self.answered, position + 1)
        return Answer(body_of(request.day))

    def allow(self, count):
        with self.change:
            self.allowed = count
            self.change.notify_all()


class Scene:
    """Producers that follow each other, and two sinks of each of two groups; all of them die and come again."""

    def __init__(self, stack, topic, config, folder):
        self.stack, self.topic, self.config, self.folder = stack, topic, config, folder
        self.all_days = days(MESSAGES)
        self.pace = PacedProvider(self.all_days)
        self.provider = stack.enter_context(rate_server.serve(self.pace.play))
        # Whoever still waits for an answer gets it before the server ends.
        stack.callback(self.pace.allow, MESSAGES)
        self.processes = {}
        self.deaths = 0
        for name in ("date", "connect"):
            for number in range(2):
                self.start_sink(name, number)
        self.start_producer(0)

    def start(self, who, *arguments):
        self.processes[who] = self.stack.enter_context(running(self.log(who), *arguments))

    def log(self, who):
        return self.folder / f"{'-'.join(map(str, who))}.log"

    def start_sink(self, names, number):
        options = ["--names", names, "--group", names, "--batch-messages", "100"]
        self.start((names, number), *sink_arguments(self.topic, self.folder / names, self.config, *options))

    def start_producer(self, position):
        self.start(("producer",), *fetch_arguments(self.provider, self.topic, self.all_days[position],
                                                   self.all_days[-1], "--rate-limit", "200/s"))

    def is_produced(self):
        code = self.processes["producer",].poll()
        assert code in (None, cambist.DONE), self.log(("producer",)).read_text()[-3000:]
        return code == cambist.DONE

    def done_by(self, who):
        """A count that grows while one of them, or its like, works: days asked for, or objects created."""
        if who == ("producer",):
            return len(self.provider.requests)
        names, _ = who
        pattern = "topics/**/*.json" if names == "connect" else "*.json"
        return sum(1 for _ in (self.folder / names).glob(pattern))

    def kill_at_work(self, who, chance):
        """Kills one of them, after its like has got on since the death before."""
        before = self.done_by(who)
        wait_until(lambda: self.done_by(who) > before + 20, what=f"work of {who}")
        time.sleep(chance.uniform(0, 0.3))
        process = self.processes[who]
        assert process.poll() is None, f"{who} ended by itself:\n{self.log(who).read_text()[-3000:]}"
        process.kill()
        process.wait()
        self.deaths += 1
        if who == ("producer",):
            self.start_producer(max(0, self.pace.answered - UNDER_WAY))
        else:
            self.start_sink(*who)

    def stop_sinks(self):
        for who, process in self.processes.items():
            if who != ("producer",):
                process.send_signal(signal.SIGTERM)
        for who, process in self.processes.items():
            assert process.wait(cambist.TIMEOUT_SECONDS) == cambist.DONE, (who, self.log(who).read_text()[-3000:])


def test_every_message_is_stored_once_and_in_order_however_often_anybody_is_killed(broker, config, tmp_path):
    chance = random.Random(SEED)
    topic = broker.topic(TOPIC, PARTITIONS)
    with contextlib.ExitStack() as stack:
        scene = Scene(stack, topic, config, tmp_path)
        victims = [("producer",)] * 10 + [(names, number) for names in ("date", "connect") for number in (0, 1)] * 5
        chance.shuffle(victims)
        for death, victim in enumerate(victims, 1):
            if death == DEATHS // 2:
                broker.do("down")
                time.sleep(3)
                broker.do("up")
            # There is work for each of them until the last has died, however fast or slow this machine is.
            scene.pace.allow(MESSAGES * death // (DEATHS + 1))
            scene.kill_at_work(victim, chance)
        assert scene.deaths == DEATHS
        scene.pace.allow(MESSAGES)
        wait_until(scene.is_produced, what="the end of the producer")
        wait_until(lambda: all(
            sum(offset or 0 for offset in broker.committed(TOPIC, group).values()) >= MESSAGES
            for group in ("date", "connect")), what="the last commit")
        scene.stop_sinks()
    for group in ("date", "connect"):
        stored(sink(topic, tmp_path / group, config, "--names", group, "--group", group))

    log, keys = broker.read(TOPIC, tmp_path / "log")
    assert len(log) >= MESSAGES
    assert set(log.values()) == {body_of(day) for day in scene.all_days}
    ends = {number: sum(partition == number for partition, _ in log) for number in range(PARTITIONS)}
    assert broker.committed(TOPIC, "date") == broker.committed(TOPIC, "connect") == ends

    # Each message of the log has its one object, and there is no other.
    assert connect_objects(tmp_path / "connect") == log
    assert not dead_letters(tmp_path / "connect") and not dead_letters(tmp_path / "date")
    # A day that was produced twice is one version, admitted once, as the first of its messages in the log.
    assert payloads(tmp_path / "date") == {f"{day}.json": body_of(day) for day in scene.all_days}
    first = {}
    for (partition, offset), payload in sorted(log.items(), reverse=True):
        first[payload] = f"kafka:{TOPIC}/{partition}/{offset}"
    found = entries(tmp_path / "date")
    assert {entry["sha256"]: entry["origin"] for entry in found} == {
        hashlib.sha256(payload).hexdigest(): origin for payload, origin in first.items()}
    assert len(found) == MESSAGES
