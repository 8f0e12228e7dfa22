"""Files with broken records, built piece by piece so that every offset and number is known."""

import gzip
from dataclasses import dataclass, field

import pyarrow as pa


@dataclass
class Record:
    """One record as it stands in the file, without its line end; `reason` is None for a good one."""

    raw: bytes
    reason: str | None = None
    end: bytes = b"\n"
    # Blank lines are no records at all.
    counts: bool = True
    offset: int = 0
    number: int = 0


@dataclass
class Sample:
    """A whole file: what comes before the first record, and the records."""

    head: bytes = b""
    records: list = field(default_factory=list)

    def good(self, raw, end=b"\n"):
        self.records.append(Record(as_bytes(raw), end=end))

    def bad(self, raw, reason, end=b"\n"):
        self.records.append(Record(as_bytes(raw), reason, end))

    def blank(self, raw=b"", end=b"\n"):
        self.records.append(Record(raw, end=end, counts=False))

    def content(self, only_good=False):
        """The file's bytes; notes each record's place when everything is written."""
        pieces, offset, number = [self.head], len(self.head), 0
        for record in self.records:
            if only_good and (record.reason or not record.counts):
                continue
            if not only_good:
                number += record.counts
                record.offset, record.number = offset, number
            pieces.append(record.raw + record.end)
            offset += len(pieces[-1])
        return b"".join(pieces)

    def broken(self):
        return [record for record in self.records if record.reason]

    def count(self):
        return sum(record.counts for record in self.records)


def as_bytes(raw):
    return raw if isinstance(raw, bytes) else raw.encode()


def csv_sample():
    """Every kind of broken CSV record between good neighbours."""
    sample = Sample(b"\xef\xbb\xbftransaction_id,note,amount,currency,event_time\n")
    number = iter(range(1, 1000))

    def good(note="fine", amount="10.00", end=b"\n"):
        sample.good(f"{next(number)},{note},{amount},GBP,2011-03-02T10:00:00Z", end)

    def bad(pattern, reason, end=b"\n"):
        raw = as_bytes(pattern).replace(b"ID", str(next(number)).encode())
        sample.bad(raw, reason, end)

    good()
    bad("ID,too few fields,10.00,GBP", "ROW_MALFORMED")
    good('"a ""quoted"" note"', "12.345")
    bad("ID,too many,10.00,GBP,2011-03-02T10:00:00Z,more", "ROW_MALFORMED")
    good('"two\nlines, and a comma"')
    bad('ID,"never closed,10.00,GBP,2011-03-02T10:00:00Z', "ROW_MALFORMED")
    good()
    bad('ID,"text" after quote,10.00,GBP,2011-03-02T10:00:00Z', "ROW_MALFORMED")
    good('"quoted after the broken ones"')
    bad(b"ID,caf\xe9,10.00,GBP,2011-03-02T10:00:00Z", "ENCODING_INVALID")
    good("caf\u00e9")
    bad(b"ID,\xff\xfe,10.00,GBP,2011-03-02T10:00:00Z", "ENCODING_INVALID")
    sample.blank()
    sample.blank(end=b"\r\n")
    good(end=b"\r\n")
    bad("twelve,contradicts its declared type,10.00,GBP,2011-03-02T10:00:00Z", "ROW_MALFORMED")
    bad("99999999999999999999,beyond 64 bits,10.00,GBP,2011-03-02T10:00:00Z", "ROW_MALFORMED", b"\r\n")
    good('6" nails', "1e3")
    bad("ID," + "x" * 9000 + ",10.00,GBP,2011-03-02T10:00:00Z", "ROW_MALFORMED")
    good(amount="-0.005")
    bad("ID,no amount,,GBP,2011-03-02T10:00:00Z", "AMOUNT_MISSING")
    bad('ID,decimal comma,"12,50",GBP,2011-03-02T10:00:00Z', "AMOUNT_NOT_NUMERIC")
    good()
    bad("ID,no currency,10.00,,2011-03-02T10:00:00Z", "CURRENCY_MISSING")
    bad("ID,no time,10.00,GBP,", "EVENT_TIME_MISSING")
    good('"last good one"')
    bad("ID,truncated ta", "ROW_MALFORMED", b"")
    return sample


def json_record(number, amount, time='"2011-03-02T10:00:00Z"'):
    return (f'{{"transaction_id": {number}, "note": "fine", "amount": {{"value": {amount}, "unit": "x"}}, '
            f'"currency": "GBP", "event_time": {time}}}')


def json_good(add):
    """Amounts as numbers and as strings, whose exact text matters."""
    add(json_record(101, "10.00"))
    add(json_record(102, '"10.01"'))
    add(json_record(103, "0.1000000000000000055"[:20]))
    add(json_record(104, "1e3"))
    add(json_record(105, "0.30000000000000004"))
    add(json_record(106, '"2.5E-1"'))
    add(json_record(107, "9007199254740993"))
    add(json_record(108, "-12345678901234567.89"))
    add(json_record(109, "7").replace('"note": "fine", ', ""))
    add(json_record(110, "10.00").replace("fine", "braces } ] { in a \\\"text\\\""))


def ndjson_sample():
    """Every kind of broken line between good ones."""
    sample = Sample(b"\xef\xbb\xbf")
    good_records = []
    json_good(good_records.append)
    good_lines = iter(good_records)
    broken = [
        ('{"transaction_id": 201, "amount": }', "ROW_MALFORMED"),
        ('{"transaction_id": 202, "amount": {"value": 1.0}', "ROW_MALFORMED"),
        ("[1, 2]", "ROW_MALFORMED"),
        ("not json at all", "ROW_MALFORMED"),
        (json_record(205, "1.00").encode().replace(b"fine", b"caf\xe9"), "ENCODING_INVALID"),
        (json_record('"two hundred"', "1.00"), "ROW_MALFORMED"),
        (json_record(207, "1.00").replace("fine", "x" * 9000), "ROW_MALFORMED"),
        (json_record(208, "null"), "AMOUNT_MISSING"),
        (json_record(209, '"12,50"'), "AMOUNT_NOT_NUMERIC"),
        (json_record(210, "true"), "AMOUNT_NOT_NUMERIC"),
        (json_record(211, "0.0000000000000000001"), "AMOUNT_SCALE_EXCEEDED"),
        (json_record(212, "1.00", "null"), "EVENT_TIME_MISSING"),
        ('"a lone text"', "ROW_MALFORMED"),
    ]
    for raw, reason in broken:
        line = next(good_lines, None)
        if line:
            sample.good(line, b"\r\n" if len(sample.records) % 4 == 0 else b"\n")
        sample.bad(raw, reason)
        if len(sample.records) % 5 == 0:
            sample.blank()
    sample.bad('{"transaction_id": 299, "amount": {"val', "ROW_MALFORMED", b"")
    return sample


def json_sample():
    """Objects one after the other, as Firehose leaves them: without a delimiter, or with any."""
    sample = Sample()
    good_records = []
    json_good(good_records.append)
    ends = [b"", b"", b"\n", b"", b"  ", b"\r\n\r\n"]
    for at, raw in enumerate(good_records):
        sample.good(raw, ends[at % len(ends)])
        if at == 1:
            sample.bad('{"transaction_id": 301, "amount": }', "ROW_MALFORMED", b"")
        if at == 3:
            sample.bad(json_record(302, "1.00").encode().replace(b"fine", b"caf\xe9"), "ENCODING_INVALID", b"")
        if at == 5:
            sample.bad(json_record(303, "1.00").replace("fine", "x" * 9000), "ROW_MALFORMED", b"")
        if at == 6:
            sample.bad(json_record('"x"', "1.00"), "ROW_MALFORMED", b"\n")
        if at == 7:
            # Not closed: the next object begins on a line of its own.
            sample.bad('{"transaction_id": 305, "amount": {"value": 1.0', "ROW_MALFORMED", b"\n")
    sample.records[-1].end = b""
    sample.bad('{"transaction_id": 399, "amou', "ROW_MALFORMED", b"")
    return sample


SAMPLES = {"csv": csv_sample, "ndjson": ndjson_sample, "json": json_sample}


def multi_member(content):
    """gzip as `cat a.gz b.gz` leaves it, cut in the middle of records."""
    third = len(content) // 3
    parts = content[:third], content[third : 2 * third], b"", content[2 * third :]
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def zstd(content):
    return pa.Codec("zstd").compress(content, asbytes=True)


def zstd_block_headers(packed):
    """Where the header of each block of one zstd frame stands (RFC 8878, 3.1.1)."""
    descriptor = packed[4]
    is_single = descriptor >> 5 & 1
    size_bytes = [is_single, 2, 4, 8][descriptor >> 6]
    at = 5 + (1 - is_single) + [0, 1, 2, 4][descriptor & 3] + size_bytes
    while True:
        yield at
        header = int.from_bytes(packed[at : at + 3], "little")
        if header & 1:
            return
        # A run-length block holds one byte, whatever its size says.
        at += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)


PACKINGS = {
    "plain": lambda content: content,
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "gzip of several members": multi_member,
    "zstd": zstd,
}
