"""Flight SQL without a driver: the commands as bytes, for what no driver sends."""

import contextlib

import pyarrow as pa
import pyarrow.flight as flight

PREFIX = "type.googleapis.com/arrow.flight.protocol.sql."


def varint(number):
    """A number as protobuf writes it."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def message(fields):
    """A message of protobuf: {number of the field: whole number, text, bytes, or a list of them}."""
    encoded = b""
    for number, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                encoded += varint(number << 3) + varint(value)
            else:
                value = value.encode() if isinstance(value, str) else value
                encoded += varint(number << 3 | 2) + varint(len(value)) + value
    return encoded


def packed(name, fields=None):
    """A command or the body of an action, as the protocol wraps it."""
    return message({1: PREFIX + name, 2: message(fields or {})})


def fields_of(encoded):
    """The fields of a message that have bytes: {number: [bytes]}."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = encoded[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(encoded):
        key = number()
        if key & 7 == 0:
            number()
            continue
        assert key & 7 == 2, key
        length = number()
        found.setdefault(key >> 3, []).append(encoded[at:at + length])
        at += length
    return found


class RawClient:
    """A client that sends a token with each call and keeps no session."""

    def __init__(self, uri, authority, token):
        self.client = flight.FlightClient(uri, tls_root_certs=authority)
        self.options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])

    def info(self, name, fields=None):
        """GetFlightInfo of a command."""
        descriptor = flight.FlightDescriptor.for_command(packed(name, fields))
        return self.client.get_flight_info(descriptor, self.options)

    def fetch(self, info):
        """The rows of a result."""
        [endpoint] = info.endpoints
        reader = self.client.do_get(endpoint.ticket, self.options)
        # `read_all` turns a result that is cancelled into an interrupt of this whole process.
        return pa.Table.from_batches([chunk.data for chunk in reader], reader.schema)

    def ask(self, name, fields=None):
        """The rows that a command returns; its columns are those that were announced."""
        info = self.info(name, fields)
        rows = self.fetch(info)
        assert rows.schema.equals(info.schema), (rows.schema, info.schema)
        return rows

    def query(self, sql):
        """The rows of a statement."""
        return self.ask("CommandStatementQuery", {1: sql})

    def prepare(self, sql):
        """The handle of a prepared statement."""
        body = packed("ActionCreatePreparedStatementRequest", {1: sql})
        [answer] = self.client.do_action(flight.Action("CreatePreparedStatement", body), self.options)
        [value] = fields_of(answer.body.to_pybytes())[2]
        return fields_of(value)[1][0]

    def execute_prepared(self, handle):
        """Executes a prepared statement, as one that returns rows."""
        return self.ask("CommandPreparedStatementQuery", {1: handle})

    def update_prepared(self, handle):
        """Executes a prepared statement, as one that returns none."""
        self.put("CommandPreparedStatementUpdate", handle, pa.record_batch({}))

    def bind(self, handle, row):
        """Gives values to the parameters of a prepared statement."""
        self.put("CommandPreparedStatementQuery", handle, row)

    def put(self, name, handle, row):
        descriptor = flight.FlightDescriptor.for_command(packed(name, {1: handle}))
        writer, _ = self.client.do_put(descriptor, row.schema, self.options)
        with writer:
            writer.write_batch(row)
            writer.done_writing()

    def cancel(self, info):
        """Cancels a result."""
        body = message({1: info.serialize()})
        return list(self.client.do_action(flight.Action("CancelFlightInfo", body), self.options))


@contextlib.contextmanager
def connect(server, token):
    """A raw client of a server, for the length of a `with`."""
    raw = RawClient(server.uri, server.ca.read_bytes(), token)
    with raw.client:
        yield raw


def refusal(action, *arguments):
    """The text of the error with which a call fails."""
    try:
        found = action(*arguments)
    except (flight.FlightError, pa.ArrowException, OSError, KeyError, ValueError, NotImplementedError) as error:
        return str(error)
    raise AssertionError(f"it was not refused: {found}")
