"""A server on this machine that plays a provider of rates, and remembers what it was asked."""

import contextlib
import hashlib
import http.server
import json
import ssl
import threading
import urllib.parse
from dataclasses import dataclass, field


@dataclass
class Request:
    """What the server was asked."""

    path: str
    query: dict
    headers: dict
    body: bytes = b""

    @property
    def day(self):
        """The day in the last part of the path, such as `/historical/2024-05-01.json`."""
        return self.path.rsplit("/", 1)[-1].removesuffix(".json")


@dataclass
class Answer:
    """What it answers. `cut` sends so many bytes of the body and hangs up; `silent` only hangs up."""

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    cut: int = None
    silent: bool = False

    @classmethod
    def json(cls, value, status=200, **headers):
        return cls(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})


class RateServer:
    """Answers each request with what `play` returns for it."""

    def __init__(self, play):
        self.play = play
        self.requests = []
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def do_POST(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        request = Request(parts.path, dict(urllib.parse.parse_qsl(parts.query)), headers, body)
        with self.lock:
            self.requests.append(request)
        answer = self.play(request)
        with contextlib.suppress(OSError):
            self.send(handler, answer)

    @staticmethod
    def send(handler, answer):
        if answer.silent:
            handler.close_connection = True
            handler.connection.close()
            return
        if "Date" in answer.headers:
            handler.send_response_only(answer.status)
        else:
            handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if answer.status == 304:
            return
        if answer.cut is None:
            handler.wfile.write(answer.body)
            return
        handler.wfile.write(answer.body[: answer.cut])
        handler.wfile.flush()
        handler.close_connection = True

    def asked(self, path):
        """How often a path was asked for."""
        with self.lock:
            return sum(request.path == path for request in self.requests)

    def days(self):
        with self.lock:
            return [request.day for request in self.requests]


@contextlib.contextmanager
def serve(play, certificate=None):
    """Runs a server on a free port of the loopback as long as the block does, with TLS where a file with a
    certificate and its key is given."""
    server = RateServer(play)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
        server.url = server.url.replace("http://127.0.0.1", "https://localhost")
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join(10)


def days_from(body_of, key=None):
    """Plays Open Exchange Rates: `/historical/DAY.json` is answered with `body_of(DAY)`, with an ETag."""

    def play(request):
        if key is not None and request.headers.get("authorization") != f"Token {key}":
            return Answer.json({"error": True, "status": 401, "message": "invalid_app_id"}, 401)
        body = body_of(request.day)
        if body is None:
            message = {"error": True, "status": 400, "message": "not_available", "description": "No rates."}
            return Answer.json(message, 400)
        etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        if request.headers.get("if-none-match") == etag:
            return Answer(status=304, headers={"ETag": etag})
        return Answer(body, headers={"ETag": etag, "Content-Type": "application/json; charset=utf-8"})

    return play
