#!/usr/bin/env python3
"""Times the loading of a ledger of rates, with its index and without.

    ./dev measure-rates [DAYS]      (5,000 daily snapshots of 170 currencies unless told otherwise)

The snapshots are made here, of invented figures, and kept in a folder between runs. Each way of loading runs
three times; wall-clock seconds inside the process and the largest resident memory of the quickest run are
printed. Copies of the snapshots on one local disk: a bucket adds the time of its answers.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import string
import subprocess
import sys
import time

TARGET = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / os.environ.get("CAMBIST_PROFILE", "release")
CURRENCIES = 170
LAST_DAY = datetime.date(2024, 12, 31)


def write_snapshots(folder, days):
    """One file a day in the shape of Open Exchange Rates; each figure walks a little from day to day."""
    chance = random.Random(11)
    codes = sorted({"".join(chance.choices(string.ascii_uppercase, k=3)) for _ in range(2 * CURRENCIES)} - {"USD"})
    rates = {code: chance.lognormvariate(1, 2) for code in codes[:CURRENCIES]}
    folder.mkdir(parents=True)
    for number in range(days):
        day = LAST_DAY - datetime.timedelta(days=days - 1 - number)
        stamp = int(datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc).timestamp())
        rates = {code: rate * chance.uniform(0.99, 1.01) for code, rate in rates.items()}
        figures = ",\n".join(f'    "{code}": {rate:.6f}' for code, rate in rates.items())
        folder.joinpath(f"{day}.json").write_text(
            f'{{\n  "timestamp": {stamp},\n  "base": "USD",\n  "rates": {{\n{figures}\n  }}\n}}\n'
        )


def run(command):
    """Runs a command; returns the JSON object that its last line is, and its wall-clock seconds."""
    before = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} failed: {done.stderr}")
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1]), time.monotonic() - before


def measure(name, url, days):
    """Loads a book three times, each in a process of its own, and prints the quickest."""
    runs = [run([TARGET / "load_rates", url])[0] for _ in range(3)]
    if {(found["snapshots"], found["rates"]) for found in runs} != {(days, days * CURRENCIES)}:
        sys.exit(f"{name}: expected {days} snapshots of {CURRENCIES} rates, found {runs}")
    best = min(runs, key=lambda found: found["seconds"])
    print(f"{name:<34} {best['seconds']:8.3f} s  {best['peak_mib']:8.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("days", nargs="?", type=int, default=5_000)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/cambist-measure"))
    options = parser.parse_args()
    folder = options.folder / f"rates-{options.days}"
    plain, ledger = folder / "plain", folder / "ledger"
    if not plain.exists():
        write_snapshots(plain, options.days)
    shutil.rmtree(ledger, ignore_errors=True)
    shutil.rmtree(plain / "_index", ignore_errors=True)
    measure("plain folder", plain, options.days)
    indexed, seconds = run([TARGET / "cambist", "rates", "index", "--url", plain, "--json"])
    print(f"{'index of it made':<34} {seconds:8.3f} s  {indexed['objects']:8} objects")
    measure("plain folder, with its index", plain, options.days)
    imported, seconds = run([TARGET / "cambist", "rates", "import", plain, "--to", ledger, "--json"])
    print(f"{'imported, judged by the gates':<34} {seconds:8.3f} s  {imported['stored']:8} stored, "
          f"{imported['held_rates']} rates held")
    measure("ledger, with its index", ledger, options.days)
    shutil.rmtree(ledger / "_index")
    measure("ledger, without its index", ledger, options.days)


if __name__ == "__main__":
    main()
