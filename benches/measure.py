#!/usr/bin/env python3
"""Times `cambist normalize` against a bare transcode of the same files by the same engine.

    ./dev measure [ROWS]            (20,000,000 rows unless told otherwise)

Each program runs three times, the two taking turns; wall-clock seconds and the largest resident memory of
the quickest run are printed, and their ratio. Ratios say something, seconds speak of one machine on one
day. The rates are ECB-shaped, made here for every business day of the year.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

TARGET = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "release"
RATES = {
    "USD": "1.0812", "GBP": "0.8466", "JPY": "163.85", "CHF": "0.9526", "SEK": "11.4325", "NOK": "11.629",
    "DKK": "7.4589", "PLN": "4.3058", "CZK": "25.12", "HUF": "395.3", "RON": "4.9746", "TRY": "35.5656",
    "AUD": "1.6397", "CAD": "1.4821", "CNY": "7.7875", "HKD": "8.4454", "IDR": "17157.5", "INR": "90.5456",
    "KRW": "1475.4", "MXN": "19.8314", "SGD": "1.4458", "THB": "38.152", "ZAR": "19.8297",
}


def write_rates(path):
    """One line per business day, each day's figures a little different."""
    lines = ["Date," + ",".join(RATES) + ","]
    day = datetime.date(2023, 12, 22)
    while day <= datetime.date(2024, 12, 31):
        if day.weekday() < 5:
            figures = [f"{text}{day.timetuple().tm_yday % 10}" if "." in text else text for text in RATES.values()]
            lines.append(f"{day},{','.join(figures)},")
        day += datetime.timedelta(days=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def run(command):
    """Runs a command; returns wall-clock seconds, the largest resident memory in MiB, and its output."""
    before = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - before
    if status != 0:
        sys.exit(f"{command[0]} failed: {errors.decode()}")
    return seconds, usage.ru_maxrss / 1024, output.decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=20_000_000)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/cambist-measure"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = options.folder / str(options.rows)
    write_rates(folder / "rates" / "ecb.csv")
    for form in ("csv", "parquet"):
        source = folder / form
        if not source.exists():
            subprocess.run([TARGET / "make_transactions", source, str(options.rows), form], check=True)
        best = {}
        for _ in range(options.rounds):
            for name in ("transcode", "normalize"):
                output = folder / f"out-{form}-{name}"
                for path in (output, output.with_name(output.name + "_quarantine")):
                    shutil.rmtree(path, ignore_errors=True)
                if name == "transcode":
                    command = [TARGET / "transcode", source, form, f"{output}/"]
                else:
                    command = [TARGET / "cambist", "normalize", "--source", source, "--format", form,
                               "--types", "transaction_id=int64,amount=decimal(18,2)" if form == "csv" else "",
                               "--amount", "amount", "--currency", "currency", "--event-time", "event_time",
                               "--time-zone", "UTC", "--rates", folder / "rates", "--to", "SGD",
                               "--output", output, "--json"]
                    command = [part for part in command if part != ""]
                    command = [part for at, part in enumerate(command)
                               if not (form == "parquet" and part == "--types")]
                seconds, memory, text = run(command)
                if name == "normalize":
                    summary = json.loads(text.splitlines()[-1])
                    assert summary["records_in"] == summary["converted"] == options.rows, summary
                    partitions, files = summary["partitions"], summary["files"]
                if name not in best or seconds < best[name][0]:
                    best[name] = (seconds, memory)
        size = sum(path.stat().st_size for path in source.iterdir()) / 1e9
        print(f"{form}: {options.rows:,} rows, {size:.2f} GB, {partitions} partitions, {files} files")
        for name, (seconds, memory) in best.items():
            print(f"  {name:<10}{seconds:7.2f} s {memory:8.0f} MiB")
        print(f"  ratio     {best['normalize'][0] / best['transcode'][0]:7.2f}")


if __name__ == "__main__":
    main()
