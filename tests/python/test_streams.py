"""What Firehose and Kafka Connect leave in a bucket, as transactions and as rates: records one after the other with
nothing between, gzip that only its content tells, folders by the hour of arrival, repetitions, a tail that is cut off."""

import datetime
import gzip
import json
import uuid

import cambist
import samples

FIELDS = ["transaction_id", "note", "amount", "currency", "event_time"]
SECOND = samples.FIRST_DAY + datetime.timedelta(1)
THIRD = samples.FIRST_DAY + datetime.timedelta(2)


def sale(number, day, second=43_200):
    return dict(zip(FIELDS, [number, f"note {number}", f"{number}.50", "EUR", samples.event_time(day, second)]))


def joined(rows, between=""):
    return between.join(json.dumps(row) for row in rows).encode()


def firehose(folder, arrival, content, packed=False):
    """An object as Firehose names it: by the arrival of its first record."""
    number = uuid.UUID(int=arrival.toordinal() * 100 + arrival.hour, version=4)
    path = folder / arrival.strftime("%Y/%m/%d/%H") / f"sales-1-{arrival:%Y-%m-%d-%H-%M-%S}-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def at(day, hour):
    return datetime.datetime.combine(day, datetime.time(hour, 59, 7))


def normalize(source, rates, output, *extra, form="json"):
    arguments = cambist.normalize_arguments(source, rates, output, "SGD", "--max-quarantine-ratio", "0.5", *extra,
                                            form=form)
    return cambist.run(*arguments)


def ids_by_day(output):
    found = {}
    for row in cambist.read(output).to_pylist():
        found.setdefault(str(row["dt"]), []).append(int(row["transaction_id"]))
    return {day: sorted(ids) for day, ids in found.items()}


def test_firehose_objects_are_transactions_and_each_is_in_one_batch(tmp_path, rates, output):
    raw = tmp_path / "raw"
    firehose(raw, at(SECOND, 10), joined([sale(1, SECOND), sale(2, SECOND)]))
    # Delivered twice, the second time in another object; the last record is cut off.
    firehose(raw, at(SECOND, 23), joined([sale(2, SECOND), sale(3, SECOND)]) + joined([sale(4, SECOND)])[:-20])
    # After midnight, and not told by its name: gzip, with records of the day before.
    firehose(raw, at(THIRD, 0), joined([sale(5, SECOND, 86_399), sale(6, THIRD)]), packed=True)
    template = f"{raw}/{{yyyy}}/{{mm}}/{{dd}}/*/*"
    summary = cambist.committed(normalize(template, rates, output, "--date", str(SECOND)))
    assert (summary["records_in"], summary["quarantined"]) == (5, 1), summary
    assert ids_by_day(output) == {str(SECOND): [1, 2, 2, 3]}
    rows = cambist.read(cambist.quarantine_of(output)).to_pylist()
    assert [row["raw_record"] for row in rows] == [json.dumps(sale(4, SECOND))[:-20]]
    # The batch of the next day completes the partition of this one, and takes nothing from it.
    summary = cambist.committed(normalize(template, rates, output, "--date", str(THIRD)))
    assert (summary["records_in"], summary["quarantined"]) == (2, 0), summary
    assert ids_by_day(output) == {str(SECOND): [1, 2, 2, 3, 5], str(THIRD): [6]}
    again = normalize(template, rates, output, "--date", str(SECOND))
    assert cambist.committed(again, "already_done")


def test_a_firehose_object_whose_gzip_is_cut_off_is_a_damaged_file(tmp_path, rates, output):
    raw = tmp_path / "raw"
    rows = [sale(number, SECOND) for number in range(1, 2_001)]
    path = firehose(raw, at(SECOND, 10), joined(rows), packed=True)
    path.write_bytes(path.read_bytes()[:-2_000])
    refused = normalize(f"{raw}/2011/*/*/*/*", rates, output)
    assert refused.code == cambist.DATA_AT_FAULT and path.name in refused.stderr, refused
    cambist.nothing_written(output)
    summary = cambist.committed(normalize(f"{raw}/2011/*/*/*/*", rates, output, "--allow-damaged"))
    found = ids_by_day(output)[str(SECOND)]
    assert found == list(range(1, len(found) + 1)) and 0 < len(found) < 2_000
    assert [path.name in str(file) for file in summary["damaged_files"]] == [True], summary


def test_objects_of_kafka_connect_are_transactions(tmp_path, rates, output):
    topic = tmp_path / "topics" / "sales"
    for partition, offset, rows in [(0, 0, [sale(1, SECOND), sale(2, SECOND)]), (0, 2, [sale(3, THIRD)]),
                                    (1, 0, [sale(4, THIRD), sale(1, SECOND)])]:
        path = topic / f"partition={partition}" / f"sales+{partition}+{offset:010}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(joined(rows, "\n") + b"\n")
    cambist.committed(normalize(f"{topic}/*/*.json", rates, output, form="ndjson"))
    assert ids_by_day(output) == {str(SECOND): [1, 1, 2], str(THIRD): [3, 4]}


def test_what_both_deliver_are_rates_and_convert_as_single_files_do(tmp_path, rates, output):
    documents = {path.stem: path.read_bytes().strip() for path in sorted(rates.glob("*.json"))}
    for day, document in documents.items():
        (rates / f"{day}.json").write_bytes(document)
    days = [datetime.date.fromisoformat(day) for day in documents]
    source = samples.write_ndjson(tmp_path / "sales.ndjson", [sale(n, day) for n, day in enumerate(days, 1)])
    cambist.committed(normalize(source, rates, output, form="ndjson"))
    wanted = cambist.rows_by(cambist.read(output), "transaction_id")

    stream = tmp_path / "firehose"
    all_of_them = b"".join(documents.values())
    # The hour of arrival dates nothing; the first half comes twice, and a last document is cut off.
    later = datetime.datetime(2011, 3, 20, 1, 2, 3)
    firehose(stream, later, all_of_them + list(documents.values())[0][:50], packed=True)
    firehose(stream, later.replace(hour=2), all_of_them[: len(all_of_them) // 2])
    connect = tmp_path / "connect" / "topics" / "rates" / "partition=0"
    connect.mkdir(parents=True)
    lines = [json.dumps(json.loads(document)).encode() + b"\n" for document in documents.values()]
    (connect / "rates+0+0000000000.json").write_bytes(b"".join(lines[:5]))
    (connect / "rates+0+0000000005.json").write_bytes(b"".join(lines[5:]))
    for number, folder in enumerate((stream, tmp_path / "connect")):
        other = tmp_path / f"out{number}" / "processed_data"
        summary = cambist.committed(normalize(source, folder, other, form="ndjson"))
        found = cambist.rows_by(cambist.read(other), "transaction_id")
        assert found.keys() == wanted.keys()
        for key, row in found.items():
            for column in ("amount_sgd", "rate_date", "rate_source", "rate_sgd"):
                assert row[column] == wanted[key][column], (folder, key, column)
            # A document that came without a change has the identity that it has as a file of its own.
            assert (row["rate_snapshot"] == wanted[key]["rate_snapshot"]) == (folder == stream), (folder, key)
        assert summary["converted"] == len(days)
