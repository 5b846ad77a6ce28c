"""Many clients at once, on one event loop in a thread of its own.

    with Crowd() as crowd:
        viewers = crowd.every(port, 40, lambda number: f'viewer {number}')
        reloading = crowd.always(port, 80, lambda number: f'user {number}')
        ...
        viewers.stop()
        viewers.asked                   # [Asked(...)], in the order of answers

and Prober, which asks another location from a process of its own.
"""

import asyncio
import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from typing import NamedTuple, Optional

from nginx_testlib import TOP, Client, request, slow


class Asked(NamedTuple):
    """A request and its answer; status is None where none came."""

    user: str
    at: float                          # time.monotonic()
    took: float                        # seconds
    status: Optional[int]
    code: Optional[str]                # of a problem; or the exception

    @property
    def good(self):
        """Whether it got a token."""
        return self.status == 200 and self.code is None


class Connection:
    """One connection, kept alive."""

    def __init__(self, port):
        self._port = port
        self._reader = self._writer = None

    async def ask(self, data):
        """(status, code)"""
        if self._writer is not None and self._reader.at_eof():
            self.close()               # the server has ended it meanwhile
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                '127.0.0.1', self._port, limit=256 * 1024)
        self._writer.write(data)
        head = (await self._reader.readuntil(b'\r\n\r\n')).decode('latin-1')
        status = int(head[9:12])
        fields = dict(line.lower().split(': ', 1)
                      for line in head.split('\r\n')[1:] if line)
        body = await self._reader.readexactly(
            int(fields.get('content-length', 0)))
        if fields.get('connection') == 'close':
            self.close()
        return status, self._code(status, fields, body)

    @staticmethod
    def _code(status, fields, body):
        kind = fields.get('content-type')
        if kind == 'application/problem+json':
            return json.loads(body)['code']
        if status == 200 and 'token' in json.loads(body):
            return None
        return kind

    def close(self):
        """Leave."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


class Stream:
    """Requests of one kind; asked grows until stop()."""

    def __init__(self, crowd, port, user, target):
        self._crowd, self._port = crowd, port
        self._user, self._target = user, target
        self._number = 0
        self._idle, self._pending = [], set()
        self._over = False
        self._main = None
        self.begun, self.asked = 0, []

    def stop(self, seconds=60):
        """No more requests; returns when all begun have their answers."""
        self._over = True
        self._crowd.call(self._finish(), seconds * slow())
        return self

    async def _finish(self):
        await self._main
        while self._pending:
            await asyncio.wait(set(self._pending))
        for connection in self._idle:
            connection.close()

    async def _one(self, connection):
        user = self._user(self._number)
        self._number += 1
        self.begun += 1
        start = time.monotonic()
        try:
            status, code = await connection.ask(request(self._target, user))
        except (OSError, EOFError, ValueError) as error:
            connection.close()
            status, code = None, type(error).__name__
        self.asked.append(Asked(user, start, time.monotonic() - start,
                                status, code))
        return status == 200

    async def every(self, rate):
        """So many a second, however long the answers take."""
        async def one():
            connection = (self._idle.pop() if self._idle
                          else Connection(self._port))
            await self._one(connection)
            self._idle.append(connection)

        due = time.monotonic()
        while not self._over:
            due += 1 / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            task = asyncio.ensure_future(one())
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def always(self, clients, pause, leave):
        """So many clients, each of whom asks again after the answer.

        After a failure they wait for pause seconds, as it were for a person;
        leave is the part of the requests whose client goes before the answer.
        """
        async def one():
            connection = Connection(self._port)
            while not self._over:
                if leave and random.random() < leave:
                    await self._leave(connection)
                elif not await self._one(connection):
                    await asyncio.sleep(pause)
            connection.close()

        await asyncio.gather(*(one() for _ in range(clients)))

    async def _leave(self, connection):
        """Ask, and go after some milliseconds, an answer there or not."""
        asking = asyncio.ensure_future(self._one(connection))
        await asyncio.wait({asking}, timeout=random.uniform(0, 0.05))
        connection.close()
        await asyncio.wait({asking})

    def run(self, work):
        """Start; work is a coroutine."""
        self._main = self._crowd.start(work)
        return self


class Crowd:
    """The thread."""

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever,
                                        daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def call(self, work, seconds):
        """Run a coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(
            work, self._loop).result(seconds)

    def start(self, work):
        """Start a coroutine; its task."""
        async def task():
            return asyncio.ensure_future(work)
        return self.call(task(), 10 * slow())

    def every(self, port, rate, user, target='/token'):
        """A stream of so many requests a second; user(number) asks."""
        stream = Stream(self, port, user, target)
        return stream.run(stream.every(rate))

    def always(self, port, clients, user, target='/token', pause=0.1,
               leave=0):
        """A stream of clients who are always in want."""
        stream = Stream(self, port, user, target)
        return stream.run(stream.always(clients, pause, leave))


def percentile(values, percent):
    """The value that so many percent do not exceed; None of no values."""
    values = sorted(values)
    if not values:
        return None
    return values[min(len(values) * percent // 100, len(values) - 1)]


def allow_files(count):
    """Raise this process's limit of open files, and its children's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    elif soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Prober:
    """Asks a location again and again; times are [(at, seconds)] after."""

    def __init__(self, port, target='/after'):
        self._arguments = [str(port), target]
        self.times = []

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, '-c', 'import sys, crowd; '
             'crowd.probe(int(sys.argv[1]), sys.argv[2])', *self._arguments],
            env={**os.environ, 'PYTHONPATH': str(TOP / 't' / 'lib')},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_exception):
        found, _ = self._process.communicate('')
        self.times = json.loads(found or '[]')

    def between(self, start, end):
        """Seconds of the answers to what was asked in that time."""
        return [took for at, took in self.times if start <= at < end]


def probe(port, target):
    """What Prober's process does until its standard input ends."""
    end = threading.Event()
    threading.Thread(target=lambda: (os.read(0, 1), end.set()),
                     daemon=True).start()
    data = request(target, method='GET', body=None)
    times = []

    with contextlib.suppress(EOFError, OSError), Client(port, 60) as client:
        while not end.is_set():
            start = time.monotonic()
            answer = client.ask(data)
            took = time.monotonic() - start
            if answer.status != 200:
                break
            times.append((start, took))
            time.sleep(0.002)

    print(json.dumps(times))
