"""A reverse proxy that spoils a share of the requests to an HTTP service, and counts what it spoiled.

    with FaultProxy(endpoint, seed=7) as proxy:
        proxy.spoil({"500": 0.1, "503": 0.1, "reset": 0.1})
        ...use proxy.url...
        print(proxy.injected)

The kinds: `500` (InternalError, before or after the service did its work), `503` (SlowDown), `429`,
`slow` (the answer comes late), `reset` (the connection breaks inside the answer's body, or before the
answer where it has none: the service did its work) and `truncated` (as `reset`, but the connection is
closed in order). Which request is hit depends on the seed and the order of arrival only.
"""

import asyncio
import collections
import contextlib
import random
import re
import threading
import time

import aiohttp
from aiohttp import web

KINDS = ("500", "503", "429", "slow", "reset", "truncated")
CODES = {"500": "InternalError", "503": "SlowDown", "429": "TooManyRequests"}
# Headers of one connection, which a proxy must not pass on.
OF_CONNECTION = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
CHUNK_BYTES = 64 << 10
START_SECONDS = 30


class FaultProxy:
    """Stands before the service at `target`; `url` is its own address."""

    def __init__(self, target, seed=0, delay_seconds=2.0):
        self.target = target.rstrip("/")
        self.delay_seconds = delay_seconds
        self.random = random.Random(seed)
        self.shares = {}
        self.only = None
        self.outage_until = 0.0
        self.injected = collections.Counter()
        self.requests = 0
        self.url = None
        self.started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)

    def spoil(self, shares, only=None):
        """Spoils this share of the requests of each kind from now on; `only` those whose line matches.

        A line is `METHOD /path?query`. No shares: spoils none."""
        assert set(shares) <= set(KINDS) and sum(shares.values()) <= 1, shares
        self.only = re.compile(only) if only else None
        self.shares = dict(shares)

    def fail_all_for(self, seconds):
        """Answers every request with 503 for a while, from now on; counted as `outage`."""
        self.outage_until = time.monotonic() + seconds

    def __enter__(self):
        self.thread.start()
        assert self.started.wait(START_SECONDS), "the proxy does not start"
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(START_SECONDS)

    async def serve(self):
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
                timeout=timeout, connector=connector, auto_decompress=False) as self.session:
            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = "http://127.0.0.1:%d" % runner.addresses[0][1]
            self.started.set()
            await self.stop.wait()
            await runner.cleanup()

    def choose(self, line):
        """The fault of the next request, if it is to have one."""
        self.requests += 1
        if time.monotonic() < self.outage_until:
            return "outage"
        drawn = self.random.random()
        if self.only and not self.only.search(line):
            return None
        for kind, share in self.shares.items():
            drawn -= share
            if drawn < 0:
                return kind
        return None

    async def handle(self, request):
        kind = self.choose(f"{request.method} {request.path_qs}")
        self.injected.update([kind] if kind else [])
        if kind == "outage":
            return self.error("503")
        if kind == "slow":
            await asyncio.sleep(self.delay_seconds)
        # Some failures come after the work was done: the client must find that out.
        if kind in CODES and (kind != "500" or self.random.random() < 0.5):
            return self.error(kind)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in OF_CONNECTION]
        body = request.content if request.can_read_body else None
        # The raw target: the client signed it as it is.
        url = aiohttp.client.URL(self.target + request.raw_path, encoded=True)
        async with self.session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False,
                skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding")) as answer:
            if kind == "500":
                await answer.read()
                return self.error(kind)
            with contextlib.suppress(ConnectionResetError):
                # A client that has seen enough hangs up.
                return await self.pass_on(request, answer, kind)
            return web.Response()

    async def pass_on(self, request, answer, kind):
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in OF_CONNECTION:
                response.headers.add(name, value)
        is_broken = kind in ("reset", "truncated")
        length = int(answer.headers.get("Content-Length", 0)) if request.method != "HEAD" else 0
        if is_broken and length == 0:
            await answer.read()
            request.transport.abort()
            return response
        await response.prepare(request)
        left = self.random.randrange(length) if is_broken else None
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            if left is not None and len(chunk) > left:
                await response.write(chunk[:left])
                if kind == "reset":
                    request.transport.abort()
                else:
                    request.transport.close()
                return response
            left = left and left - len(chunk)
            await response.write(chunk)
        await response.write_eof()
        return response

    @staticmethod
    def error(kind):
        code = CODES[kind]
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>Injected.</Message></Error>'
        return web.Response(status=int(kind), text=text, content_type="application/xml")
