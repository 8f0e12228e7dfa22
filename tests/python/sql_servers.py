"""Servers of SQL over Flight: `cambist serve`, and schedulers of clusters that serve SQL too."""

import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager

import cambist
import clusters
import samples
import stores

PASSWORDS = {"rea": "reads only", "oli": "runs jobs too", "ada": "does everything"}
ROLES = {"rea": "reader", "oli": "operator", "ada": "admin"}

# Rates of two days, which the files of SQL logic tests are about. They held from 16:00 on, and were known an hour later.
RATES = {
    "2024-05-03": {"GBP": "0.8575", "INR": "89.60", "USD": "1.0765", "JPY": "164.50", "KWD": "0.33"},
    "2024-05-06": {"GBP": "0.8570", "INR": "89.95", "USD": "1.0770", "JPY": "165.64"},
}
PAYMENTS = """\
id,amount,currency,day
1,10.00,EUR,2024-05-03
2,20.00,EUR,2024-05-03
3,100.00,GBP,2024-05-04
4,89.95,INR,2024-05-06
5,10.00,USD,2024-05-03
6,10.00,USD,2024-05-03
"""
# What a second commit adds to the table `history`: two payments, and one that cannot be converted.
LATER_PAYMENTS = """\
id,amount,currency,day
7,1.00,EUR,2024-05-06
8,2.00,USD,2024-05-06
9,3.00,QQQ,2024-05-06
"""

# A query whose end nobody waits for. It reads no file, so that the server itself does the work.
ENDLESS = ("SELECT count(*) FROM generate_series(1, 10000000) AS a CROSS JOIN generate_series(1, 10000000) AS b "
           "WHERE a.value % 1000 = b.value % 999")
# One that reads a file, so that on a cluster an executor does the work, in a single stage.
ENDLESS_OF_A_FILE = ("SELECT count(*) FROM payments AS p CROSS JOIN generate_series(1, 10000000000000) AS a "
                     "WHERE a.value + p.id <> 0")
# One that makes rows for hours out of one batch of what it reads.
ENDLESS_LOOP = ("SELECT count(*) FROM payments AS p CROSS JOIN generate_series(1, 1000000) AS a "
                "CROSS JOIN generate_series(1, 1000000) AS b WHERE a.value + p.id <> b.value")

# How often a process is looked at before it counts as idle, and how often its threads may be at work.
IDLE_LOOKS, IDLE_LOOKS_AT_WORK = 20, 5


class SqlServer:
    """A server of SQL that answers."""

    def __init__(self, folder, port, process=None, tls=True):
        self.folder, self.port, self.process = pathlib.Path(folder), port, process
        self.ca = self.folder / "tls" / "ca.pem" if tls else None
        self.uri = f"grpc{'+tls' if tls else ''}://127.0.0.1:{port}"

    def connect(self, user="rea", password=None, token=None, **more):
        """A DB-API connection of the Flight SQL driver, over TLS."""
        options = adbc_driver_flightsql.DatabaseOptions
        settings = {options.TLS_ROOT_CERTS.value: self.ca.read_text(), **more} if self.ca else more
        if token:
            settings[options.AUTHORIZATION_HEADER.value] = f"Bearer {token}"
        else:
            settings |= {"username": user, "password": PASSWORDS.get(user, "") if password is None else password}
        return adbc_driver_flightsql.dbapi.connect(self.uri, db_kwargs=settings, autocommit=True)

    def rows(self, sql, user="rea", parameters=None):
        """The rows of a statement, over a connection of its own."""
        with self.connect(user) as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    def refusal(self, sql, user="rea"):
        """The error of a statement that is refused: its status and its text."""
        try:
            found = self.rows(sql, user)
        except adbc_driver_manager.Error as error:
            return error.status_code.name, str(error)
        raise AssertionError(f"{user} was not refused: {sql}: {found}")

    def sql(self, statement, user="ada", *flags, **options):
        """Runs `cambist sql` against the server."""
        return cambist.run("sql", "--endpoint", self.uri, "--tls-ca", self.ca, "--user", user, *flags, statement,
                           env={"CAMBIST_PASSWORD": PASSWORDS[user]}, **options)

    def users(self, *arguments, **options):
        """Changes the file of users."""
        return cambist.succeed("users", "--credentials", self.folder / "users.toml", *arguments, **options)

    def token(self, user):
        """One more token of a user."""
        return re.search(r"cambist_\w+", self.users("token", user).stdout)[0]

    def is_at_work(self, sql):
        """Whether a statement runs."""
        states = self.rows("SELECT statement, state FROM system.queries", user="ada")
        return any(statement == sql and state == "running" for statement, state in states)

    def memory_peak_kib(self):
        """The most memory that the server's process has ever had."""
        return memory_peak_kib(self.process.pid)

    def audit(self):
        """The entries of the audit log."""
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


def memory_peak_kib(pid):
    """The most memory that a process has ever had."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def is_idle(*pids):
    """Whether processes have nothing to do, however fast the machine is: a thread that has work, and waits for a
    processor, counts as one that has it."""
    at_work = 0
    for _ in range(IDLE_LOOKS):
        at_work += any(has_work(pid) for pid in pids)
        if at_work > IDLE_LOOKS_AT_WORK:
            return False
        time.sleep(0.05)
    return True


def has_work(pid):
    """Whether one of a process's threads runs or is ready to."""
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (thread / "stat").read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


def grpc_code(text):
    """The protocol's own status, which the driver tells at the end of its message."""
    return re.search(r"\((\w+); ", text)[1]


def execute(server, statement, user):
    """Executes a statement, whether it returns rows or not."""
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()


def refusal(server, statement, user):
    """The error of a statement that is refused, whether it returns rows or not: its status and its text."""
    try:
        execute(server, statement, user)
    except adbc_driver_manager.Error as error:
        return error.status_code.name, str(error)
    raise AssertionError(f"{user} was not refused: {statement}")


def call(server, statement, user="oli"):
    """The row of a `CALL`, with its report read."""
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        [row] = cursor.fetch_arrow_table().to_pylist()
    return row | {"report_json": json.loads(row["report"], parse_float=str) if row["report"] else None}


def users(folder):
    """A file of three users, one of each role."""
    path = folder / "users.toml"
    for user, role in ROLES.items():
        cambist.succeed("users", "--credentials", path, "add", user, "--role", role)
        password = subprocess.run(
            [cambist.binary(), "users", "--credentials", path, "password", user], text=True, capture_output=True,
            input=PASSWORDS[user] + "\n", env=cambist.clean_environment())
        assert password.returncode == cambist.DONE, password.stderr
    return path


def flags(folder, settings, port, tls=True):
    """What `serve` and `scheduler` are told to serve SQL."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    places = json.dumps([str(place) for place in settings[""]["locations"]])
    sections = {name: keys for name, keys in settings.items() if name}
    config.write_text(f"locations = {places}\n{samples.toml(sections)}")
    return [f"--flight-listen=127.0.0.1:{port}", f"--credentials={users(folder)}", f"--config={config}",
            f"--tls-self-signed={folder / 'tls'}" if tls else "--no-tls", f"--audit-log={folder / 'audit.jsonl'}"]


@contextlib.contextmanager
def serve(folder, settings, *more_flags, tls=True):
    """A server that does the work itself, for the length of a `with`."""
    folder = pathlib.Path(folder)
    port, http = stores.free_port(), stores.free_port()
    command = [cambist.binary(), "serve", f"--listen=127.0.0.1:{http}", f"--state-url={folder / 'state'}",
               "--stop-grace=5", *flags(folder, settings, port, tls), *more_flags]
    log = folder / "serve.log"
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                   env=cambist.clean_environment())
    try:
        wait_for_port(port, process, log)
        yield SqlServer(folder, port, process, tls)
    except BaseException:
        print(log.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def on_cluster(folder, settings, *more_flags, executors=2):
    """A cluster whose scheduler serves SQL, for the length of a `with`; yields the server and the cluster."""
    folder = pathlib.Path(folder)
    port = stores.free_port()
    scheduler_flags = [*flags(folder, settings, port), *more_flags]
    with clusters.up(folder / "cluster", executors, scheduler_flags=scheduler_flags) as cluster:
        yield SqlServer(folder, port), cluster


def wait_for_port(port, process, log, seconds=clusters.WAIT_SECONDS):
    """Waits until the server listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens: {log.read_text()}")


def payments(folder):
    """Six payments as raw files, two tables that were made of them, and rates; returns the settings."""
    folder = pathlib.Path(folder)
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "payments.csv").write_text(PAYMENTS)
    (folder / "later.csv").write_text(LATER_PAYMENTS)
    write_rates(folder / "rates")
    normalize(folder, "raw/payments.csv", "sales")
    normalize(folder, "raw/payments.csv", "history", "--batch=first")
    normalize(folder, "later.csv", "history", "--batch=second", "--max-quarantine-ratio=1")
    return {
        "": {"locations": [folder]},
        "tables.payments": {"url": folder / "raw", "kind": "raw", "format": "csv"},
        "tables.payments.types": {"id": "int64", "amount": "decimal(12,2)", "day": "date"},
        "tables.sales": {"url": folder / "sales", "kind": "cambist"},
        "tables.history": {"url": folder / "history", "kind": "cambist"},
        "tables.rates": {"url": folder / "rates", "kind": "rates"},
        "rates": {"default": "rates"},
    }


def write_rates(folder):
    """The rates as a folder of files, each with its own time of change."""
    folder.mkdir()
    for day, rates in RATES.items():
        figures = ", ".join(f'"{code}": {rate}' for code, rate in rates.items())
        held = datetime.datetime.fromisoformat(f"{day}T16:00:00+00:00").timestamp()
        path = folder / f"{day}.json"
        path.write_text(f'{{"timestamp": {int(held)}, "base": "EUR", "date": "{day}", "rates": {{{figures}}}}}')
        os.utime(path, (held + 3600, held + 3600))


def normalize(folder, source, output, *flags):
    """One commit of a table in euros and dollars."""
    return cambist.committed(cambist.run(
        "normalize", "--source", folder / source, "--format", "csv", "--event-time", "day", "--time-zone", "UTC",
        "--rates", folder / "rates", "--to", "EUR,USD", "--output", folder / output, *flags))
