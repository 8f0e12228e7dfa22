"""A broken record is set aside with its place and its bytes; its neighbours do not notice."""

import decimal
import gzip
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cambist
import dirty
import exact
import samples

MAX_RECORD_BYTES = 4096
# Several blocks of every compression, so that some are whole before the damage.
ROWS = 30_000
AMOUNT = {"csv": "amount", "ndjson": "amount.value", "json": "amount.value", "parquet": "amount"}


def normalize(folder, name, content, rates, form, *extra, amount=None, **source):
    """Writes `content` as a file and normalizes it into a table beside it."""
    folder.joinpath(name).write_bytes(content)
    output = folder / f"out_{name}"
    spec = folder / f"{name}.toml"
    types = {"transaction_id": "int64"} if form != "parquet" else {}
    spec.write_text(samples.toml({
        "source": {"url": folder / name, "format": form, "amount": amount or AMOUNT[form],
                   "currency": "currency", "event_time": "event_time", "time_zone": "UTC",
                   "max_record_bytes": MAX_RECORD_BYTES} | source,
        "source.types": types,
        "rates": {"url": rates},
        "target": {"currencies": ["SGD"]},
        "output": {"url": output},
        "quality": {"max_quarantine_ratio": 1.0},
    }))
    return cambist.run("normalize", "--spec", spec, *extra), output


@pytest.mark.parametrize("packing", dirty.PACKINGS)
@pytest.mark.parametrize("form", dirty.SAMPLES)
def test_broken_records_are_set_aside_and_their_neighbours_stand(tmp_path, rates, form, packing):
    sample = dirty.SAMPLES[form]()
    pack = dirty.PACKINGS[packing]
    content = sample.content()
    done, output = normalize(tmp_path, "dirty", pack(content), rates, form)
    clean_run, clean = normalize(tmp_path, "clean", pack(sample.content(only_good=True)), rates, form)

    summary = cambist.committed(done)
    broken = sample.broken()
    assert summary["records_in"] == sample.count()
    assert summary["converted"] == sample.count() - len(broken)
    quarantine = cambist.read(cambist.quarantine_of(output)).to_pylist()
    got = sorted((row["byte_offset"], row["reason"]) for row in quarantine)
    assert got == [(record.offset, record.reason) for record in broken], shown(quarantine)
    check_evidence(quarantine, broken)

    assert cambist.committed(clean_run)["quarantined"] == 0
    assert cambist.rows_by(cambist.read(output), "transaction_id") == cambist.rows_by(
        cambist.read(clean), "transaction_id")


def shown(quarantine):
    return [(row["byte_offset"], row["record_number"], row["reason"], row["detail"], row["raw_record"][:60])
            for row in sorted(quarantine, key=lambda row: row["byte_offset"])]


def check_evidence(quarantine, broken):
    """The raw record, its number and its file are kept; bytes that are no text are kept as bytes."""
    by_offset = {row["byte_offset"]: row for row in quarantine}
    for record in broken:
        row = by_offset[record.offset]
        assert row["source_file"].endswith("/dirty"), row
        assert row["record_number"] == record.number, row
        assert row["detail"], row
        if record.reason == "ENCODING_INVALID":
            assert row["raw_bytes"] == record.raw
            assert "\ufffd" in row["raw_record"]
        elif len(record.raw) > MAX_RECORD_BYTES:
            beginning = row["raw_record"].encode()
            assert 0 < len(beginning) <= len(record.raw) and record.raw.startswith(beginning)
        else:
            assert row["raw_record"].encode() == record.raw
            assert row["raw_bytes"] is None


def test_json_amounts_keep_every_digit(tmp_path, rates):
    """Expected: the text of each amount times SGD/GBP = 1.2834/0.628571, rounded once to cents."""
    done, output = normalize(tmp_path, "dirty", dirty.ndjson_sample().content(), rates, "ndjson")
    cambist.committed(done)
    rows = cambist.rows_by(cambist.read(output), "transaction_id")
    texts = {101: "10.00", 102: "10.01", 103: "0.100000000000000005", 104: "1000", 105: "0.30000000000000004",
             106: "0.25", 107: "9007199254740993", 108: "-12345678901234567.89", 109: "7", 110: "10.00"}
    for number, text in texts.items():
        assert rows[number]["source_amount"] == decimal.Decimal(text), number
        assert rows[number]["amount_sgd"] == exact.converted(text, "0.628571", "1.2834", 2), number


def test_latin1_text_is_read_and_shown_as_such(tmp_path, rates):
    content = (b"transaction_id,note,amount,currency,event_time\n"
               b"1,caf\xe9 \xa3,10.00,GBP,2011-03-02\n2,\xa3 short,10.00\n")
    done, output = normalize(tmp_path, "dirty", content, rates, "csv", encoding="latin1")
    assert cambist.committed(done)["quarantined_by_reason"] == {"ROW_MALFORMED": 1}
    assert cambist.read(output).column("note").to_pylist() == ["caf\u00e9 \u00a3"]
    quarantined = cambist.read(cambist.quarantine_of(output)).to_pylist()
    assert quarantined[0]["raw_record"] == "2,\u00a3 short,10.00"


def cut_short(packed):
    return packed[: len(packed) * 2 // 3]


def flipped(packed):
    at = len(packed) * 2 // 3
    return packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :]


def with_a_reserved_block(packed):
    """A frame without a checksum shows only damage to its structure: one block is of no known kind."""
    *_, at = list(dirty.zstd_block_headers(packed))[:-1]
    return packed[:at] + bytes([packed[at] | 0b110]) + packed[at + 1 :]


HARMS = {
    "gzip cut short": (gzip.compress, cut_short),
    "gzip with a flipped bit": (gzip.compress, flipped),
    "zstd cut short": (dirty.zstd, cut_short),
    "zstd with a corrupt block": (dirty.zstd, with_a_reserved_block),
}


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_named_and_nothing_is_committed(tmp_path, rates, form, harm):
    pack, damage = HARMS[harm]
    content = damage(pack(long_content(form)))
    done, output = normalize(tmp_path, "damaged.bin", content, rates, form)
    assert done.code == cambist.DATA_AT_FAULT, done
    assert "damaged.bin" in done.stderr and "--allow-damaged" in done.stderr, done
    assert cambist.read(output).num_rows == 0
    assert not cambist.data_files(output) and not list(output.glob("_commits/*.json"))

    done, output = normalize(tmp_path, "damaged.bin", content, rates, form, "--allow-damaged")
    summary = cambist.committed(done)
    assert [entry for entry in summary["damaged_files"] if "damaged.bin" in str(entry)], done
    rows = cambist.read(output, columns=["transaction_id", "source_amount"]).to_pylist()
    assert len(rows) == summary["converted"] > 1000
    if damage is not flipped:
        # A prefix of the stream holds a prefix of the records, and at most one broken one.
        ids = sorted(row["transaction_id"] for row in rows)
        assert ids == list(range(1, len(rows) + 1)) and summary["quarantined"] <= 1
    # Behind a flipped bit a gzip stream may go on as nonsense until its checksum; before it, nothing changes.
    found = {(row["transaction_id"], row["source_amount"]) for row in rows}
    assert {(number, decimal.Decimal(amount)) for number, amount in long_rows()[:1000]} <= found


@pytest.mark.parametrize("pack", [gzip.compress, dirty.zstd])
def test_a_damaged_file_without_one_whole_record_is_named(tmp_path, rates, pack):
    done, output = normalize(tmp_path, "damaged.bin", pack(long_content("csv"))[:40], rates, "csv")
    assert done.code == cambist.DATA_AT_FAULT and "damaged.bin" in done.stderr, done
    cambist.nothing_written(output)


def long_rows():
    """Rows that do not compress away, so that two thirds of the bytes hold about two thirds of them."""
    chance = random.Random(3)
    return [(number, f"{chance.randint(1, 10**9) / 100:.2f}") for number in range(1, ROWS + 1)]


def long_content(form):
    rows = long_rows()
    if form == "csv":
        lines = "".join(f"{number},n,{amount},GBP,2011-03-02\n" for number, amount in rows)
        return f"transaction_id,note,amount,currency,event_time\n{lines}".encode()
    end = "\n" if form == "ndjson" else ""
    return "".join(dirty.json_record(number, amount) + end for number, amount in rows).encode()


def test_a_gzip_file_cut_inside_its_trailer_is_damaged(tmp_path, rates):
    packed = gzip.compress(long_content("csv"), mtime=0)[:-3]
    done, output = normalize(tmp_path, "damaged.bin", packed, rates, "csv")
    assert done.code == cambist.DATA_AT_FAULT and "damaged.bin" in done.stderr, done
    done, output = normalize(tmp_path, "damaged.bin", packed, rates, "csv", "--allow-damaged")
    assert cambist.committed(done)["converted"] == ROWS


def parquet_bytes(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


def test_parquet_rows_with_bad_values_are_set_aside(tmp_path, rates):
    table = pa.table({
        "transaction_id": pa.array([1, 2, 3, 4, 5], pa.int64()),
        "amount": pa.array(["10.00", "ten", None, "-2.50", "1e2"]),
        "currency": pa.array(["GBP", "GBP", "GBP", "gbp ", None]),
        "event_time": pa.array(["2011-03-02"] * 5),
    })
    done, output = normalize(tmp_path, "rows.parquet", parquet_bytes(table), rates, "parquet")
    summary = cambist.committed(done)
    assert summary["quarantined_by_reason"] == {"AMOUNT_NOT_NUMERIC": 1, "AMOUNT_MISSING": 1, "CURRENCY_MISSING": 1}
    assert sorted(cambist.rows_by(cambist.read(output), "transaction_id")) == [1, 4]
    quarantined = {row["reason"]: row for row in cambist.read(cambist.quarantine_of(output)).to_pylist()}
    # The position in a Parquet file is the row's, counted from 0; the record number counts from 1.
    assert quarantined["AMOUNT_NOT_NUMERIC"]["record_number"] == 2
    assert '"ten"' in quarantined["AMOUNT_NOT_NUMERIC"]["raw_record"]
    assert '"transaction_id":3' in quarantined["AMOUNT_MISSING"]["raw_record"].replace(" ", "")


def test_a_parquet_amount_inside_a_struct_is_reached_by_its_path(tmp_path, rates):
    values = [decimal.Decimal("10.00"), decimal.Decimal("0.05")]
    amount = pa.array([{"value": value} for value in values], pa.struct([("value", pa.decimal128(12, 2))]))
    table = pa.table({"transaction_id": [1, 2], "amount": amount, "currency": ["USD", "USD"],
                      "event_time": ["2011-03-02", "2011-03-02"]})
    done, output = normalize(tmp_path, "rows.parquet", parquet_bytes(table), rates, "parquet", amount="amount.value")
    cambist.committed(done)
    rows = cambist.rows_by(cambist.read(output), "transaction_id")
    # 10 * 1.2834 = 12.834; 0.05 * 1.2834 = 0.06417
    assert {number: str(row["amount_sgd"]) for number, row in rows.items()} == {1: "12.83", 2: "0.06"}


@pytest.mark.parametrize("harm", ["cut", "page"])
def test_a_damaged_parquet_file_is_named_and_nothing_is_committed(tmp_path, rates, harm):
    count = 5000
    table = pa.table({"transaction_id": range(count), "amount": [f"{number}.25" for number in range(count)],
                      "currency": ["GBP"] * count, "event_time": ["2011-03-02"] * count})
    content = bytearray(parquet_bytes(table))
    if harm == "cut":
        del content[-5:]
    else:
        # Wipes data pages in the middle and leaves the footer whole.
        middle = len(content) // 4
        content[middle : middle + 400] = b"\xff" * 400
    done, output = normalize(tmp_path, "damaged.parquet", bytes(content), rates, "parquet")
    assert done.code == cambist.DATA_AT_FAULT, done
    assert "damaged.parquet" in done.stderr, done
    assert not cambist.data_files(output)
