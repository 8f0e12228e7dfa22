#!/usr/bin/env python3
"""Times a local cluster against the embedded run of the same job, by the same binary.

    ./dev measure-cluster [ROWS]            (20,000,000 rows unless told otherwise)

1. The whole job: a scheduler and two executors of one core each, against one process with two cores; the
   two take turns, the quickest of each counts.
2. A job of 1,000 rows through the warm cluster, from submission to the end of the command.
3. The scheduler's resident memory over 200 such runs in a row.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from measure import TARGET, run, write_rates

CAMBIST = TARGET / "cambist"


def normalize(source, form, rates, output, *extra):
    """The command; a typed CSV and a typed Parquet have the same columns."""
    types = ["--types", "transaction_id=int64,amount=decimal(18,2)"] if form == "csv" else []
    return [CAMBIST, "normalize", "--source", source, "--format", form, *types, "--amount", "amount",
            "--currency", "currency", "--event-time", "event_time", "--time-zone", "UTC", "--rates", rates,
            "--to", "SGD", "--output", output, "--json", *extra]


def fresh(output):
    """Removes a table and its quarantine."""
    for path in (output, output.with_name(output.name + "_quarantine")):
        shutil.rmtree(path, ignore_errors=True)
    return output


def figures(report):
    """What must be equal wherever the job ran."""
    return {key: report[key] for key in ("records_in", "converted", "quarantined", "totals", "content_hash")}


def timed(command):
    """Runs a command; returns its seconds and its report."""
    seconds, _, text = run([str(part) for part in command])
    return seconds, json.loads(text.splitlines()[-1])


class Cluster:
    """Two executors of one core each, up for the length of a `with`."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        command = [CAMBIST, "cluster", "up", "--executors", "2", "--cores-each", "1", "--dir", self.folder]
        up = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
        self.url = json.loads(up.stdout.splitlines()[-1])["url"]
        return self

    def __exit__(self, *_):
        subprocess.run([CAMBIST, "cluster", "down", "--dir", self.folder], check=True, capture_output=True)

    def scheduler_memory(self):
        """The scheduler's resident memory in MiB."""
        pid = json.loads((self.folder / "cluster.json").read_text())["scheduler"]["pid"]
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        sys.exit("the scheduler has gone")


def whole_job(folder, rows, rounds, cluster):
    """Part 1."""
    for form in ("csv", "parquet"):
        source = folder / form
        if not source.exists():
            subprocess.run([TARGET / "make_transactions", source, str(rows), form], check=True)
        best, reports = {}, {}
        for _ in range(rounds):
            for name, extra in (("embedded", []), ("cluster", ["--cluster", cluster.url])):
                command = normalize(source, form, folder / "rates", fresh(folder / f"out-{form}-{name}"), *extra)
                seconds, reports[name] = timed(command)
                best[name] = min(seconds, best.get(name, seconds))
        assert figures(reports["embedded"]) == figures(reports["cluster"]), reports
        assert reports["cluster"]["records_in"] == rows, reports
        print(f"{form}: {rows:,} rows, {reports['cluster']['files']} files from the cluster, "
              f"{reports['embedded']['files']} embedded")
        for name, seconds in best.items():
            print(f"  {name:<10}{seconds:7.2f} s")
        print(f"  ratio     {best['cluster'] / best['embedded']:7.2f}   (at most 1.25 wanted)")


def small_jobs(folder, runs, cluster):
    """Parts 2 and 3."""
    source = folder / "small"
    if not source.exists():
        subprocess.run([TARGET / "make_transactions", source, "1000", "csv"], check=True)
    shutil.rmtree(folder / "out-small", ignore_errors=True)
    seconds, memory = [], []
    for number in range(runs):
        # A table of its own for each: what a growing table costs is not the cluster's.
        output = folder / "out-small" / str(number)
        command = normalize(source, "csv", folder / "rates", output, "--cluster", cluster.url)
        taken, report = timed(command)
        assert report["status"] == "committed", report
        seconds.append(taken)
        memory.append(cluster.scheduler_memory())
    seconds.sort()
    print(f"1,000 rows through the warm cluster, {runs} runs: median "
          f"{statistics.median(seconds):.2f} s, p95 {seconds[int(len(seconds) * 0.95)]:.2f} s (under 0.7 wanted)")
    marks = [0, runs // 4, runs // 2, 3 * runs // 4, runs - 1]
    print("scheduler's memory after run " +
          ", ".join(f"{mark + 1}: {memory[mark]:.0f} MiB" for mark in marks))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=20_000_000)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/cambist-measure"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small-runs", type=int, default=200)
    options = parser.parse_args()
    folder = options.folder / str(options.rows)
    write_rates(folder / "rates" / "ecb.csv")
    began = time.monotonic()
    with Cluster(folder / "cluster") as cluster:
        if options.rows:
            whole_job(folder, options.rows, options.rounds, cluster)
        small_jobs(folder, options.small_runs, cluster)
    print(f"measured in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
