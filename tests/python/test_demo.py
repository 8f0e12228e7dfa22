"""The first thing anyone tries, and the list of jobs."""

import json
import pathlib

import cambist

DEMO = pathlib.Path(__file__).resolve().parents[2] / "cli" / "demo"


def test_the_demo_runs_and_reports(tmp_path):
    done = cambist.run("demo", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert done.code == cambist.DONE, done
    assert "European Central Bank" in done.stdout + done.stderr, done
    assert "cambist normalize" in done.stdout + done.stderr, "no word of what to try next"


def test_the_demos_counts_and_totals_are_the_generators(tmp_path):
    """The generator of the demo's data works them out on its own."""
    wanted = json.loads((DEMO / "expected.json").read_text())
    summary = cambist.committed(cambist.run("demo", "--json", "--dir", tmp_path / "demo"))
    for key in ("records_in", "converted", "quarantined", "quarantined_by_reason", "totals", "partitions"):
        assert summary[key] == wanted[key], key
    cambist.succeed("verify", "--output", tmp_path / "demo" / "processed_data")
    again = cambist.committed(cambist.run("demo", "--json", "--dir", tmp_path / "demo"), "already_done")
    assert again["content_hash"] == summary["content_hash"]


def test_what_the_demo_says_to_try_works(tmp_path):
    done = cambist.succeed("demo", cwd=tmp_path)
    offered = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("cambist ")]
    assert len(offered) >= 3, done
    for command in offered:
        cambist.succeed(*command[1:], cwd=tmp_path)


def test_the_jobs_are_listed_with_their_options():
    listed = cambist.succeed("jobs").stdout
    assert "normalize" in listed
    page = cambist.succeed("jobs", "--markdown").stdout
    for option in ("source.url", "rates.max_age_days", "quality.max_quarantine_ratio"):
        assert option in page


def test_the_functions_are_listed_with_one_line_each():
    lines = cambist.succeed("functions").stdout.strip().splitlines()
    assert len(lines) % 2 == 0 and all(line.startswith("      ") for line in lines[1::2]), lines
    names = {line.split("(")[0] for line in lines[::2]}
    assert {"fx_convert", "fx_rate", "fx_rate_date", "money_round", "currency_minor_units", "currency_normalize",
            "parse_decimal", "money_sum"} <= names


def test_help_needs_no_table_and_goes_to_stdout():
    assert "normalize" in cambist.succeed("--help").stdout
    assert "--max-quarantine-ratio" in cambist.succeed("normalize", "--help").stdout
    assert cambist.run("no-such-command").code == cambist.USAGE
