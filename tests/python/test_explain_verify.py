"""Anyone can ask where a figure comes from, and whether the table still is what was committed."""

import decimal
import hashlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cambist
import samples


@pytest.fixture
def table(tmp_path, rates, output):
    """Three partitions, quarantine beside them, and one row whose figure is known by hand."""
    rows = samples.transactions(range(2, 400), range(3))
    rows.append([1, "by hand", "100.10", "GBP", samples.event_time(2)])
    rows.append([900, "bad", "oops", "USD", samples.event_time(0)])
    source = samples.write_csv(tmp_path / "rows.csv", rows)
    cambist.committed(cambist.normalize(source, rates, output, "INR", "--types", "transaction_id=int64"))
    return output


def test_explain_shows_every_part_of_a_figure(table, rates):
    done = cambist.succeed("explain", "--output", table, "--row", "transaction_id=1")
    snapshot = rates / "2011-03-03.json"
    digest = hashlib.sha256(snapshot.read_bytes()).hexdigest()
    # 100.10 * 45.1275 / 0.628571 = 4517.26275 / 0.628571 = 7186.5593…; the fraction in lowest terms.
    exact = decimal.Decimal("100.10") * decimal.Decimal("45.1275") / decimal.Decimal("0.628571")
    for part in ("100.1", "GBP", "INR", "0.628571", "45.1275", "2011-03-03", digest[:12], "half_even", "7186.56"):
        assert part in done.stdout, f"no `{part}`\n{done}"
    assert "/" in done.stdout and str(exact)[:8] in done.stdout, done
    assert snapshot.name in done.stdout, done


def test_explain_finds_a_quarantined_row_or_says_that_there_is_none(table):
    done = cambist.run("explain", "--output", table, "--row", "transaction_id=123456")
    assert done.code != cambist.DONE and "123456" in done.stderr, done
    done = cambist.run("explain", "--output", table, "--row", "no_such_column=1")
    assert done.code == cambist.USAGE and "no_such_column" in done.stderr, done
    done = cambist.run("explain", "--output", table, "--row", "transaction_id")
    assert done.code == cambist.USAGE and "=" in done.stderr, done


def test_verify_passes_on_what_was_committed(table):
    cambist.succeed("verify", "--output", table)
    cambist.succeed("verify", "--output", table, "--sample", "10")


def test_verify_needs_the_rows_only_and_no_rates(table, rates):
    shutil.rmtree(rates)
    cambist.succeed("verify", "--output", table)


def victim(table):
    """One data file, never the same by accident: the first by name."""
    return table / sorted(cambist.data_files(table))[0]


def fails_naming(table, path):
    done = cambist.run("verify", "--output", table)
    assert done.code == cambist.DATA_AT_FAULT, done
    assert path.name in done.stderr + done.stdout, done


def test_a_flipped_byte_is_found(table):
    path = victim(table)
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0x40
    path.write_bytes(content)
    fails_naming(table, path)


def test_a_truncated_file_is_found(table):
    path = victim(table)
    path.write_bytes(path.read_bytes()[:-100])
    fails_naming(table, path)


def test_a_deleted_file_is_found(table):
    path = victim(table)
    path.unlink()
    fails_naming(table, path)


def test_a_file_put_in_place_of_another_is_found(table):
    first, second = (table / name for name in sorted(cambist.data_files(table))[:2])
    shutil.copyfile(second, first)
    fails_naming(table, first)


def rewrite(path, change):
    """Writes a valid file of the same schema with changed rows."""
    rows = pq.ParquetFile(path).read()
    pq.write_table(change(rows), path)


def test_a_changed_amount_is_found(table):
    def one_paisa_more(rows):
        amounts = rows.column("amount_inr").to_pylist()
        amounts[0] += decimal.Decimal("0.01")
        at = rows.schema.get_field_index("amount_inr")
        return rows.set_column(at, rows.schema.field(at), pa.array(amounts, rows.schema.field(at).type))

    path = victim(table)
    rewrite(path, one_paisa_more)
    fails_naming(table, path)


def test_a_doubled_row_is_found(table):
    path = victim(table)
    rewrite(path, lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    fails_naming(table, path)


def test_a_lost_row_is_found(table):
    path = victim(table)
    rewrite(path, lambda rows: rows.slice(1))
    fails_naming(table, path)


def test_a_quarantine_file_that_is_gone_is_found(table):
    quarantine = cambist.quarantine_of(table)
    path = quarantine / sorted(cambist.data_files(quarantine))[0]
    path.unlink()
    fails_naming(table, path)


def test_the_log_tells_what_happened(table):
    log = cambist.succeed("table", "log", "--output", table)
    assert "default" in log.stdout and "normalize" in log.stdout, log
