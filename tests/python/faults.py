"""A job that is done in quiet once, and again and again while things go wrong: its result must be the same.

Faults happen at points that are named in the environment of a process (`cambist fault-points`), not after so
many seconds; what happened is read back from the file that each firing writes."""

import os
import pathlib
import signal

import cambist
import clusters
import samples
from clusters import wait_until
from table_checks import age_staged_files, check_manifests, check_readers, staged_files

# What may differ between two runs of the same inputs; everything else in a report may not.
OF_THE_RUN = ("run_id", "seconds")
FILES, ROWS, DAYS = 12, 1500, 4
TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "0.1")


def say(injected, found):
    """The line that a fault test leaves behind."""
    print(f"fault: {injected} injected; found {found}")


class Fault:
    """The environment of processes in which something goes wrong, and whether it did."""

    def __init__(self, folder, setting, once=True):
        self.setting = setting
        self.token, self.log = pathlib.Path(folder) / "fault-token", pathlib.Path(folder) / "fault-log"
        self.environment = {"CAMBIST_FAULT": setting, "CAMBIST_FAULT_LOG": self.log}
        if once:
            # In one process only, whichever comes there first.
            self.environment["CAMBIST_FAULT_TOKEN"] = self.token

    def firings(self):
        """A line per firing: `POINT ACTION pid NUMBER`."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait(self, times=1):
        """Waits until it has happened; returns the number of the last process that it happened to."""
        wait_until(lambda: len(self.firings()) >= times, f"{self.setting} does not fire")
        return self.pid()

    def wait_paused(self):
        """Waits until the process has stopped; returns its number."""
        pid = self.wait()
        wait_until(lambda: clusters.is_stopped(pid), "the process does not stop")
        return pid

    def pid(self):
        return int(self.firings()[-1].split()[-1])


class Job:
    """A normalize job over many small files, and what it comes to in quiet."""

    def __init__(self, folder, files=FILES, rows=ROWS):
        self.folder = pathlib.Path(folder)
        self.files, self.rows = files, rows
        self.rates = samples.steady_rates(self.folder / "rates")
        self.source = self.folder / "raw"
        for file in range(files):
            first = file * 100_000
            bad = [[first + 99_999, "bad", "no number", "USD", samples.event_time(0)]]
            good = samples.transactions(range(first, first + rows), range(DAYS), seed=file)
            self.write(self.source / f"{file:03}.csv", good + bad)
        quiet = self.folder / "quiet" / "table"
        self.quiet = cambist.committed(cambist.run(*self.arguments(quiet)))
        self.quiet_rows, self.quiet_broken = self.contents(quiet)
        assert self.quiet["converted"] == files * rows and self.quiet["quarantined"] == files

    def write(self, path, rows):
        samples.write_csv(path, rows)

    def arguments(self, output, *extra, batch="b", source=None):
        """The command; as many tasks as files, wherever it runs."""
        return cambist.normalize_arguments(
            source or self.source, self.rates, output, "SGD", "--batch", batch, *TYPES,
            "--parallelism", self.files, *extra)

    def start(self, cluster, output, *extra, **options):
        """Sends it to a cluster; returns what `finish` waits for."""
        return cambist.start(*self.arguments(output, "--cluster", cluster.url, *extra, **options))

    def run(self, cluster, output, *extra, **options):
        return cambist.finish(*self.start(cluster, output, *extra, **options))

    def submit(self, cluster, output, *extra, **options):
        """Sends it and does not wait; returns the run's id."""
        done = self.run(cluster, output, "--detach", *extra, **options)
        assert done.code == cambist.DONE, done
        return done.summary["id"]

    @staticmethod
    def contents(output):
        """All rows in a fixed order, of the table and of its quarantine."""
        rows = cambist.read(output).sort_by("transaction_id")
        broken = cambist.read(cambist.quarantine_of(output))
        return rows, sorted(str(sorted((name, str(value)) for name, value in row.items() if name != "run_id"))
                            for row in broken.to_pylist())

    def check(self, output, done, status="committed", without=(), leftovers=()):
        """The run's figures and the table are those of the quiet run, to every reader, and nothing lies about."""
        report = cambist.committed(done, status)
        leave = (*OF_THE_RUN, *without)
        assert list(report) == list(self.quiet)
        assert {key: report[key] for key in report if key not in leave} == {
            key: self.quiet[key] for key in report if key not in leave}
        self.check_table(output, leftovers)
        return report

    def check_table(self, output, leftovers=()):
        """The table holds the quiet run's rows and nothing else.

        `leftovers` names staging folders whose drivers died: what lies there is hidden, and goes with `table gc`."""
        rows, broken = self.contents(output)
        assert rows.equals(self.quiet_rows), (rows.num_rows, self.quiet_rows.num_rows)
        assert broken == self.quiet_broken
        cambist.succeed("verify", "--output", output)
        check_readers(output, self.quiet_rows.num_rows)
        check_manifests(output)
        staged = age_staged_files(output)
        assert all(any(f"/_staging/{name}/" in path for name in leftovers) for path in staged), staged
        if staged:
            cambist.succeed("table", "gc", "--output", output, "--older-than", "0s")
            assert not staged_files(output)
            assert self.contents(output)[0].equals(self.quiet_rows)

    def check_next(self, cluster, folder):
        """The next job on the same cluster gets its slots, and gives them back."""
        output = pathlib.Path(folder) / "next" / "table"
        self.check(output, self.run(cluster, output))
        wait_until(cluster.is_idle, "vcores stay taken")


class StoredJob:
    """A job whose source, rates and output lie in a bucket, and what it comes to in quiet."""

    FILES, ROWS = 10, 200

    def __init__(self, bucket, folder):
        self.bucket = bucket
        samples.steady_rates(folder / "rates", days=DAYS)
        for file in range(self.FILES):
            first = file * 10_000
            bad = [[first + 9_999, "bad", "oops", "USD", samples.event_time(0)]]
            good = samples.transactions(range(first, first + self.ROWS), range(DAYS), seed=file)
            samples.write_csv(folder / "raw" / f"{file:02}.csv", good + bad)
        bucket.put_tree("", folder)
        self.quiet = cambist.committed(cambist.run(*self.arguments("quiet"), env=bucket.environment))
        self.quiet_rows = self.rows("quiet")

    def arguments(self, table, *extra, batch="b"):
        return cambist.normalize_arguments(
            self.bucket.url("raw"), self.bucket.url("rates"), self.bucket.url(table), "SGD", "--batch", batch,
            "--parallelism", self.FILES, *TYPES, *extra)

    def start(self, cluster, table):
        return cambist.start(*self.arguments(table, "--cluster", cluster.url), env=self.bucket.environment)

    def rows(self, table):
        rows = sorted(self.bucket.rows(f"{table}/"), key=lambda row: row["transaction_id"])
        return rows, len(self.bucket.rows(f"{table}_quarantine/"))

    def check(self, table, done):
        """Figures, rows and what lies about, seen past the proxy."""
        report = cambist.committed(done)
        assert {key: report[key] for key in report if key not in OF_THE_RUN} == {
            key: self.quiet[key] for key in self.quiet if key not in OF_THE_RUN}
        assert self.rows(table) == self.quiet_rows
        cambist.succeed("verify", "--output", self.bucket.url(table), env=self.bucket.environment)
        # Aborted like this, even what nobody could clear away while the store failed costs nothing.
        cambist.succeed("table", "gc", "--output", self.bucket.url(table), "--older-than", "0s",
                        env=self.bucket.environment)
        assert self.rows(table) == self.quiet_rows


def run_view(cluster, run_id=None):
    """A run as the scheduler tells of it; the newest where none is named."""
    return cluster.get(f"/v1/runs/{run_id or cluster.runs()[0]['id']}")


def wake(pid):
    """Lets a stopped process go on."""
    os.kill(pid, signal.SIGCONT)


def wait_lost(cluster, living):
    """Waits until the scheduler counts on no more than `living` executors."""
    wait_until(lambda: len(cluster.executors()) <= living, "the scheduler does not notice the loss")
