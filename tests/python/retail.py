"""The real retail file: how it is normalized, and its rows in file order."""

import hashlib
import pathlib

import pyarrow as pa

import cambist
import samples

TARGETS = ["INR", "SGD", "USD"]
RECORDS = 541_909

ALL_IN_POUNDS = (
    "SELECT *, Quantity * UnitPrice AS amount, 'GBP' AS currency, InvoiceDate AS event_time FROM source"
)
BY_COUNTRY = (
    "SELECT source.*, Quantity * UnitPrice AS amount, currency_assumed AS currency, "
    "InvoiceDate AS event_time FROM source "
    "LEFT JOIN country_currency ON source.Country = country_currency.Country"
)


def spec(data, output, sql, rounding, currencies):
    """The job's options, as a user would write them."""
    sections = {
        "source": {
            "url": data / "retail" / "online_retail.csv.gz",
            "format": "csv",
            "encoding": "latin1",
            "time_zone": "Europe/London",
            "time_format": "%m/%d/%Y %H:%M",
            "sql": sql,
        },
        "source.types": {"Quantity": "int64", "UnitPrice": "decimal(18,4)"},
    }
    if sql == BY_COUNTRY:
        sections["source.tables.country_currency"] = {"url": data / "retail" / "country_currency.csv"}
    return samples.toml(sections | {
        "rates": {"url": data / "oxr" / "daily", "mode": "date", "rate_zone": "UTC", "max_age_days": 7},
        "target": {"currencies": currencies, "rounding": rounding},
        "output": {"url": output, "partition_by": "dt", "lineage": True},
        "quality": {"max_quarantine_ratio": 0.01},
    })


def normalize(data, folder, sql, rounding="half_even", currencies=TARGETS):
    """Runs the job in `folder`; returns the summary and where the table is."""
    folder = pathlib.Path(folder)
    output = folder / "out" / "processed_data"
    path = folder / "retail.toml"
    path.write_text(spec(data, output, sql, rounding, currencies))
    return cambist.committed(cambist.run("normalize", "--spec", path)), output


def in_file_order(output, columns):
    """Columns of the converted rows in the order of the file, which the offsets give."""
    rows = cambist.read(output, columns=["source_offset", *columns])
    return rows.sort_by("source_offset")


def minor_unit_hash(rows, column):
    """The golden files' hash: every amount as an integer of its last place, each followed by LF."""
    digest = hashlib.sha256()
    units = cambist.minor_units(rows.column(column))
    digest.update("".join(f"{unit}\n" for unit in units).encode())
    return digest.hexdigest(), sum(units)


def decimal_type(minor_units):
    """What an amount column must be."""
    return pa.decimal128(38, minor_units)
