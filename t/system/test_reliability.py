"""What a client gets for everything that can go wrong on the way to AWS.

Each row of the tables below is one fault, met with the settings that are the
default.  What is seen has to be what the row says, and what the table in
docs/reliability.md says; IVSCHAT_WRITE_DOCS=1 writes that table anew.
"""

import collections
import concurrent.futures
import contextlib
import functools
import os
import re
import socket
import ssl
import struct
import threading
import time

import pytest

from dns_server import DnsServer
from ivschat import faults
from ivschat_testlib import Fakes
from nginx_testlib import (TOP, BlackHole, Client, Nginx, ask, code,
                           container_env, imds_env, is_token, no_keepalive,
                           request, sanitized, slow, sts_env, wait_for)

DOCS = TOP / 'docs' / 'reliability.md'
BEGIN = '<!-- the table: written by t/system/test_reliability.py -->'
END = '<!-- the end of the table -->'

# Under a sanitizer everything takes longer, and so the times that limit a
# mint are longer, and the faults that last a time.
SCALE = PATIENCE = 3 if sanitized() else 1
SLACK = 1.5 * slow()                    # seconds, on a busy machine

# The retries of a region come from one quota: the rows are spread over these.
REGIONS = ('ap-northeast-1', 'ap-northeast-2', 'ap-south-1', 'eu-central-1',
           'eu-west-1', 'us-east-1')

# The library's nginx has others, these are the module's own.
DEFAULTS = '''
    ivschat_token_tries 3;
    ivschat_token_rate  200 burst=200 wait=4s;
'''

# Each attempt on a connection of its own, as the way in which a connection
# that was kept alive fails is another row.
UPSTREAMS = ''.join(f'''
    upstream ivschat.{region}.amazonaws.com {{
        server 127.0.0.1:@SERVICE@;
        {no_keepalive()}
    }}
''' for region in REGIONS)

Row = collections.namedtuple('Row', 'what fault each once')
Outcome = collections.namedtuple('Outcome', 'status code attempts least most')
Seen = collections.namedtuple('Seen', 'outcome took bad')


def outcome(text):
    """'504 timeout 3 5.0' or '200 1': status, code, attempts, seconds."""
    found = re.fullmatch(r'(\d+)(?: ([a-z_]+))? (\d)(?: ([\d.]+)(?:-([\d.]+))?'
                         r')?', text)
    least = float(found[4] or 0)
    return Outcome(int(found[1]), found[2], int(found[3]), least,
                   float(found[5] or least))


def row(what, each, once=None, fault=None):
    """A row: what happens at each attempt, and at the first one only.

    once is None where there is no further attempt that could go better, and
    where a fault that passes is another row.
    """
    return Row(what, fault, outcome(each), once and outcome(once))


def failing(what, fault, once='200 2'):
    """A fault that is worth another attempt."""
    return row(what, '502 unavailable 3', once, fault)


def final(what, fault, each='502 bad_response 1'):
    """A fault that would be the same again."""
    return row(what, each, None, fault)


def harmless(what, fault, each='200 1'):
    """None for the client."""
    return row(what, each, None, fault)


# What AWS, or somebody who stands for it, does.  A number in braces is
# milliseconds.

AWS = {
    'AWS fails': [
        failing('an error of its own', 'internal'),
        failing('status 500 and nothing more', 'status-500'),
        failing('status 502', 'status-502'),
        failing('status 503', 'status-503'),
        failing('status 504', 'status-504'),
        final('status 501', 'status-501', '502 unavailable 1'),
        row('`RequestTimeout`', '502 rejected 3', '200 2',
            'error-400-RequestTimeout'),
    ],
    'AWS is slow': [
        row('silence', '504 timeout 3 5.0', '200 2 2.0', 'silence'),
        harmless('1.5 seconds late', 'slow-1500', '200 1 1.5'),
        row('over 2 seconds late', '504 timeout 3 5.0', '200 2 2.0',
            'slow-{3000}'),
        harmless('a pause of 1.5 seconds within the answer', 'pause-1500',
                 '200 1 1.5'),
        row('a pause of over 2 seconds within the answer',
            '504 timeout 3 5.0', '200 2 2.0', 'pause-{3000}'),
        row('one byte of the head a second', '504 timeout 3 5.0',
            '200 2 2.0', 'drip-1000'),
        final('one byte of the body a second', 'drip-body-1000',
              '504 timeout 1 5.0'),
    ],
    'The connection breaks': [
        failing('reset before the answer', 'reset-before'),
        failing('reset within its head', 'reset-headers'),
        failing('reset within its body', 'reset-body'),
        failing('closed before the answer', 'close-before'),
        failing('closed within its body', 'truncated'),
        harmless('closed after each answer', 'close'),
        harmless('HTTP/1.0, the end of the connection ends the answer',
                 'http10'),
    ],
    'AWS refuses': [
        final('access denied', 'access-denied', '502 rejected 1'),
        final('the account awaits verification', 'pending-verification',
              '502 rejected 1'),
        final('no such room', 'not-found', '404 room_not_found 1'),
        final('a value is not valid', 'validation', '502 rejected 1'),
        final('the message quotes the user', 'mention-values',
              '502 rejected 1'),
        final('the signature is wrong', 'invalid-signature',
              '502 rejected 1'),
        final('the key is not known', 'unrecognized-client',
              '502 rejected 1'),
        final('the signature is too old, though the clock is right',
              'request-expired', '502 rejected 1'),
        final('`static` keys with a session token that has expired',
              'expired-token', '502 rejected 1'),
        final('status 404 without a reason', 'status-404', '502 rejected 1'),
    ],
    'The answer is not a token': [
        final('a redirect', 'redirect'),
        final('compressed with gzip', 'gzip'),
        final('20 MB', 'huge'),
        final('over 16 KB', 'big-17000'),
        harmless('9 KB', 'big-9000'),
        harmless('a token of 8000 characters', 'long-token-8000'),
        final('a head of over 16 KB', 'bigheader-20000'),
        harmless('a head of 8 KB', 'bigheader-8000'),
        harmless('`X-Accel-Redirect`', 'accel'),
        harmless('in chunks', 'chunked'),
        final('10,000 arrays within each other', 'nested'),
        final('4000 arrays within each other', 'nested-4000'),
        final('wrong types', 'wrongtypes'),
        final('no token in it', 'missing-token'),
        final('no time in it', 'missing-tokenExpirationTime'),
        final('a member twice', 'duplicate'),
        final('HTML', 'html'),
        final('empty', 'empty'),
        final('half of a JSON text', 'notjson'),
        final('something behind the JSON text', 'trailing'),
        final('not UTF-8', 'badutf8'),
        final('a NUL in the token', 'nul'),
        harmless('every character as an escape', 'escaped'),
        harmless('times with an offset', 'times-offset'),
        harmless('times as numbers', 'times-number'),
        harmless('times without a fraction', 'times-nofraction'),
        harmless('times with microseconds', 'times-micro'),
        harmless('times that are long over', 'times-past'),
        final('times that are none', 'times-garbage'),
        final('`100 Continue` comes first', '100',
              '502 bad_response 1 0.0-2.0'),
    ],
}

# One after another in each region, as each of them lowers its rate.

THROTTLED = [row(what, '429 throttled 3 0.0-3.5', '200 2 0.0-1.5', fault)
             for what, fault in (
    ('`ThrottlingException`', 'throttling'),
    ('with `x-amz-retry-after`', 'retry-after-400'),
    ('status 429 and nothing more', 'status-429'),
    ('status 503, `SlowDown`', 'error-503-SlowDown'),
    ('named as `Code:http://…`', 'errortype-colon'),
    ('named as `namespace#Code`', 'errortype-hash'),
    ('named as both', 'errortype-both'),
    ('named in the body, as `code`', 'body-code'),
    ('named in the body, as `__type`', 'body-type'))]

# What a connection comes to before anything of HTTP is said.

NETWORK = [
    ('refused', 'refused', '502 unavailable 3', None),
    ('reset at once', 'reset', '502 unavailable 3', '200 2'),
    ('closed at once', 'close', '502 unavailable 3', '200 2'),
    ('reset within the handshake', 'cut', '502 unavailable 3', '200 2'),
    ('something that is not TLS', 'plain', '502 unavailable 3', '200 2'),
    ('accepted, then silence', 'mute', '502 unavailable 3 3.0',
     '200 2 1.0'),
    ('packets get lost (a black hole)', 'hole', '502 unavailable 3 3.0',
     None),
    ('certificate of an unknown CA', 'unknown_ca', '502 unavailable 3',
     '200 2'),
    ('certificate of another name', 'wrong_name', '502 unavailable 3',
     '200 2'),
    ('certificate that has expired', 'expired', '502 unavailable 3',
     '200 2'),
    ('within TLS, something that is not HTTP', 'garbage',
     '502 bad_response 1', None),
    ('a header without an end', 'endless', '502 bad_response 1', None),
]

BAD_TLS = ('unknown_ca', 'wrong_name', 'expired')
INSIDE = {'garbage': b'no HTTP at all\r\n' * 10,
          'endless': b'HTTP/1.1 200 OK\r\nA: ' + b'x' * 70000}


# Ports that misbehave


class Gate:
    """A port whose connections all fail, or the first one only.

    The others lead to the port of AWS.  bad is a method's name, or the port
    where the bad ones lead.
    """

    def __init__(self, service, bad, once):
        self._service, self._bad = service, bad
        self._left = 1 if once else None
        self._held = []
        self._server = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._held:
            sock.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            if self._left == 0:
                run, arguments = self._lead, (sock, self._service.port)
            elif isinstance(self._bad, int):
                run, arguments = self._lead, (sock, self._bad)
            else:
                run, arguments = getattr(self, '_' + self._bad), (sock,)
            if self._left:
                self._left -= 1
            threading.Thread(target=self._quietly, daemon=True,
                             args=(run, *arguments)).start()

    @staticmethod
    def _quietly(run, *arguments):
        with contextlib.suppress(OSError):
            run(*arguments)

    @staticmethod
    def _lead(sock, port):
        other = socket.create_connection(('127.0.0.1', port))

        def pump(source, sink):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        back = threading.Thread(target=pump, args=(other, sock), daemon=True)
        back.start()
        pump(sock, other)
        back.join()
        sock.close()
        other.close()

    @staticmethod
    def _reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack('ii', 1, 0))
        sock.close()

    @staticmethod
    def _close(sock):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
        sock.close()

    def _cut(self, sock):
        """The start of a handshake record, then RST."""
        sock.recv(65536)
        sock.sendall(b'\x16\x03\x03\x00\x7a\x02\x00\x00\x76')
        time.sleep(0.05)
        self._reset(sock)

    @staticmethod
    def _plain(sock):
        sock.recv(65536)
        sock.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
        sock.close()

    def _mute(self, sock):
        self._held.append(sock)

    def _garbage(self, sock):
        self._within(sock, INSIDE['garbage'])

    def _endless(self, sock):
        self._within(sock, INSIDE['endless'])

    def _within(self, sock, data):
        """Say something in TLS, with AWS's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._service.dir / 'server.pem',
                                self._service.dir / 'server.key')
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(data)
            tls.unwrap()


def nobody(stack):
    """A port that refuses connections, and that nobody else can take."""
    sock = stack.enter_context(socket.socket())
    sock.bind(('127.0.0.1', 0))
    return sock.getsockname()[1]


# Running rows

# Newer versions of nginx than the one of the table do better here.
BETTER = {'100': (200, None, 1)}


class Bench:
    """An nginx, and what was seen of each row, {what: Seen}."""

    def __init__(self, nginx, service):
        self.nginx, self.service = nginx, service
        self.worker = nginx.worker()
        self.lock = threading.Lock()
        self.number = 0

    def user(self):
        """Another one each time."""
        with self.lock:
            self.number += 1
            return f'user {self.number}'

    def line(self, user):
        """What the access log says about a user's only request."""
        return wait_for(lambda: [line for line in self.nginx.access_log()
                                 if line['user'] == user])[0]

    def ask(self, target, nextone, user=None, first=None):
        """What one request comes to, and the next one of its connection."""
        user = user or self.user()
        bad = []

        with Client(self.nginx.port, 30) as client:
            if first:
                found = client.ask(request(first, self.user()))
                if not is_token(found):
                    bad.append(f'the one before: {code(found)}')

            start = time.monotonic()
            answer = client.ask(request(target, user))
            took = time.monotonic() - start
            found = client.ask(request(nextone, self.user()))
            if not is_token(found):
                bad.append(f'the next one: {code(found)}')

        line = self.line(user)
        status, name = code(answer)
        if status == 200 and not is_token(answer):
            bad.append(f'no token: {answer.body[:200]}')
        if line['result'] != (name or 'ok') or line['status'] != status:
            bad.append(f'logged as {line["status"]} {line["result"]}')
        if line['worker'] != self.worker:
            bad.append(f'worker {line["worker"]}, not {self.worker}')
        if status in (429, 503) and not answer.get('Retry-After'):
            bad.append('no Retry-After')
        return Seen((status, name, int(line['attempts'])), took, bad)

    def fault(self, name, once, region):
        """The same for a fault of the service."""
        name = re.sub(r'{(\d+)}', lambda match: str(int(match[1]) * SCALE),
                      name)
        good = f'/token?region={region}'

        if not once:
            seen = self.ask(f'{good}&room=fault-{name}', good)
            return (seen._replace(outcome=(502, 'bad_response', 1))
                    if seen.outcome == BETTER.get(name) else seen)

        user = self.user()
        self.service.faults({'fault': name, 'user': user})
        return self.ask(good, good, user)

    def check(self, allow=None):
        """It is still the same worker, and it ends as it should."""
        assert self.nginx.workers() == [self.worker]
        self.nginx.check(allow=allow)


def wrong(name, expected, seen):
    """What was not as expected, a list."""
    least = expected.least - 0.1
    most = expected.most * SCALE + SLACK
    found = [f'{name}: {text}' for text in seen.bad]
    if seen.outcome != expected[:3]:
        found.append(f'{name}: {seen.outcome}, expected {expected}')
    if not least <= seen.took <= most:
        found.append(f'{name}: {seen.took:.2f} s, expected {least:.1f} to '
                     f'{most:.1f}')
    return found


class Table:
    """What was seen, by sections in the order of the page."""

    def __init__(self):
        self._sections = collections.OrderedDict()
        self.wrong = []

    def add(self, section, item, each, once=None):
        """Keep a row, and what is wrong with it."""
        self.wrong += wrong(item.what, item.each, each)
        if item.once:
            self.wrong += wrong(item.what + ', once', item.once, once)
        self._sections.setdefault(section, []).append((item, each, once))

    def extend(self, other):
        """Keep the rows of another table."""
        for section, rows in other._sections.items():
            self._sections.setdefault(section, []).extend(rows)

    def lines(self, times=True):
        """The table, with or without the times."""
        text = ['| what happens | each time: the client gets | attempts | '
                'seconds | only once: the client gets | attempts | seconds |',
                '|---|---|---|---|---|---|---|']
        for section, rows in self._sections.items():
            text.append(f'| **{section}** | | | | | | |')
            for item, each, once in rows:
                text.append('| ' + ' | '.join(
                    [item.what, *cells(each, times),
                     *(cells(once, times) if once else ('', '', ''))]) + ' |')
        return text

    def covered(self):
        """The names of the faults of the service that were met."""
        return {faults.parse(item.fault.replace('{', '').replace('}', ''))[0]
                for rows in self._sections.values() for item, _, _ in rows
                if item.fault}


def cells(seen, times):
    """Three cells of the table."""
    status, name, attempts = seen.outcome
    return (f'{status}' if name is None else f'{status} `{name}`',
            str(attempts), f'{seen.took:.1f}' if times else '')


def side_by_side(jobs, count):
    """Run functions, so many at a time; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [future.result() for future in
                [pool.submit(job) for job in jobs]]


def in_turn(jobs):
    """Those that only wait all at once, the others a few at a time.

    jobs: (seconds, function).  More handshakes at a time than that would
    take a busy machine longer than proxy_connect_timeout.
    """
    slow_ones = [job for seconds, job in jobs if seconds >= 1]
    quick_ones = [job for seconds, job in jobs if seconds < 1]

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        others = pool.submit(side_by_side, quick_ones, 3)
        first = iter(side_by_side(slow_ones, len(slow_ones) or 1))
        second = iter(others.result())
    return [next(first if seconds >= 1 else second) for seconds, _ in jobs]


def run_rows(table, items):
    """items: (section, row, function(once)); all of them, in order."""
    jobs = []
    for _, item, run in items:
        jobs.append((item.each.least,
                     lambda run=run: run(False)))
        if item.once:
            jobs.append((item.once.least,
                         lambda run=run: run(True)))

    found = iter(in_turn(jobs))
    for section, item, _ in items:
        each = next(found)
        table.add(section, item, each, next(found) if item.once else None)


# The parts: each has its own nginx


def region_of(number):
    """They take turns."""
    return REGIONS[number % len(REGIONS)]


def aws(table, service):
    """What AWS does."""
    with Nginx(service, http=DEFAULTS + UPSTREAMS) as nginx:
        bench = Bench(nginx, service)
        items = []
        for section, rows in AWS.items():
            for item in rows:
                region = region_of(len(items))
                items.append((section, item, lambda once, item=item,
                              region=region: bench.fault(item.fault, once,
                                                         region)))

        # the one before has left a connection that seems to be alive

        for item in KEPT:
            target = f'/token?room=fault-{item.fault}'
            items.append(('The connection breaks', item,
                          lambda once, target=target:
                          bench.ask(target, '/token', first=target)))
        run_rows(table, items)
        bench.check()


def throttled(table, service):
    """AWS throttles."""
    regions = [*REGIONS, 'us-west-2']
    found = {}

    with Nginx(service, http=DEFAULTS + UPSTREAMS) as nginx:
        bench = Bench(nginx, service)

        def chain(number):
            for item in THROTTLED[number::len(regions)]:
                found[item] = [bench.fault(item.fault, once, regions[number])
                               for once in (False, True)]

        side_by_side([lambda number=number: chain(number)
                      for number in range(len(regions))], len(regions))
        for item in THROTTLED:
            table.add('AWS throttles', item, *found[item])
        bench.check()


def network(table, service):
    """What happens before anything of HTTP is said."""
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(BlackHole())
        http, server, items = DEFAULTS + UPSTREAMS, '', []

        def port(bad, once):
            if bad == 'refused':
                return nobody(stack)
            if bad == 'hole':
                return hole.port
            return stack.enter_context(Gate(
                service, service.bad_tls.get(bad, bad), once)).port

        for number, (what, bad, each, once) in enumerate(NETWORK):
            items.append((row(what, each, once), number))
            for name in ('each', 'once')[:1 + bool(once)]:
                host = f'{name}-{number}.test'
                http += upstream(host, port(bad, name == 'once'))
                server += location(f'/{name}-{number}', host)

        nginx = stack.enter_context(Nginx(service, http=http, server=server))
        bench = Bench(nginx, service)
        run_rows(table, [('No connection', item,
                          lambda once, number=number: elsewhere(
                              bench, number, once))
                         for item, number in items])
        bench.check(allow=r'crit.*SSL_do_handshake\(\)')


def elsewhere(bench, number, once):
    """A request into one of the locations of network()."""
    region = region_of(number)
    return bench.ask(f'/{"once" if once else "each"}-{number}?region={region}',
                     f'/token?region={region}')


def upstream(name, *ports, more=''):
    """An upstream block."""
    return f'    upstream {name} {{\n' + ''.join(
        f'        server 127.0.0.1:{port};\n' for port in ports
    ) + f'        {more} {no_keepalive()}\n    }}\n'


def location(name, endpoint=None, lines='', internal='/ivschat'):
    """A location that mints."""
    if endpoint:
        lines += f' ivschat_token_endpoint {endpoint};'
    return f'    location = {name} {{ ivschat_token {internal}; {lines} }}\n'


def addresses(table, service):
    """Several addresses, and names that have to be looked up."""
    with BlackHole() as hole, DnsServer() as dns, \
            contextlib.ExitStack() as stack:
        dns.set('two.test', '127.0.0.1', '127.0.0.9')
        dns.set('empty.test', '127.0.0.1')
        for fault in ('timeout', 'servfail', 'empty'):
            dns.fail(fault + '.test', fault)

        good = service.port
        http = (DEFAULTS + UPSTREAMS
                + f'resolver 127.0.0.1:{dns.port} ipv6=off;'
                + upstream('one-hole.test', hole.port, good)
                + upstream('two-holes.test', hole.port, hole.port, good)
                + upstream('only-holes.test', hole.port, hole.port)
                + upstream('one-dead.test', nobody(stack), good)
                + f"""
                upstream kept.test {{
                    server localhost:{good};
                    ivschat_token_resolve;
                }}""" + upstream(
                    'again.test', *(stack.enter_context(
                        Gate(service, 'reset', once=True)).port
                        for _ in range(2)), more='ivschat_token_resolve;'))
        server = ''.join(location(f'/{name}', f'{name}.test') for name in (
            'one-hole', 'two-holes', 'only-holes', 'one-dead', 'kept',
            'again', 'timeout', 'servfail', 'empty', 'nowhere'))
        server += location('/two', f'two.test:{good}')

        with Nginx(service, http=http, server=server) as nginx:
            bench = Bench(nginx, service)
            wait_for(lambda: dns.count('localhost') > 0)
            run_rows(table, [
                ('Addresses and names', row(what, each),
                 lambda _, target=target, number=number: bench.ask(
                     f'{target}?region={region_of(number)}',
                     f'/token?region={region_of(number)}'))
                for number, (what, target, each) in enumerate(ADDRESSES)])
            bench.check()


ADDRESSES = [
    ('one of two addresses is a black hole', '/one-hole', '200 1 1.0'),
    ('two of three addresses are black holes', '/two-holes', '200 2 2.0'),
    ('both addresses are black holes', '/only-holes',
     '502 unavailable 3 2.0'),
    ('one of two addresses refuses', '/one-dead', '200 1'),
    ('looked up for each request: the name does not exist', '/nowhere',
     '502 unavailable 3'),
    ('… it has no address', '/empty', '502 unavailable 3'),
    ('… the name server fails', '/servfail', '502 unavailable 3'),
    ('… the name server is silent', '/timeout', '504 timeout 1 5.0'),
    ('… one of two addresses refuses', '/two', '200 1'),
    ('`ivschat_token_resolve`: the name does not exist any more', '/kept',
     '200 1'),
    ('`ivschat_token_resolve`: both addresses have failed, and work again',
     '/again', '200 2'),
]

KEPT = [harmless('closed while it was kept alive', 'stale'),
        harmless('kept alive, and reset by the next request', 'stale-next')]


MISTAKES = [
    ('the internal location is missing', '/missing', '500 misconfigured 1'),
    ('… answers by itself', '/itself', '500 misconfigured 1'),
    ('… has no `upstream` for the host and no `resolver`', '/nobody',
     '500 misconfigured 1'),
    ('… sends another path', '/path', '502 rejected 1'),
    ('… sends another `Host`', '/host', '502 rejected 1'),
    ('… does not verify the certificate', '/unverified', '502 rejected 1'),
    ('… has a `limit_req` that says no', '/limited', '429 throttled 1'),
    ('there are no credentials (`env` without any)', '/poor',
     '503 no_credentials 0'),
]

INTERNAL = """
    location = /in/itself { internal; return 200 hello; }
    location = /in/path {
        internal;
        proxy_pass https://$ivschat_token_host/createchattoken;
        include    ivschat_params;
    }
    location = /in/host {
        internal;
        proxy_pass       https://$ivschat_token_host/CreateChatToken;
        include          ivschat_params;
        proxy_set_header Host localhost;
    }
    location = /in/unverified {
        internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    params_unverified;
    }
    location = /in/limited {
        internal;
        limit_req  zone=all;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    ivschat_params;
    }
"""


def mistakes(table, service):
    """The configuration is wrong, or has limits of its own."""
    server = INTERNAL + ''.join(
        location(f'/{name}', internal=f'/in/{name}') for name in (
            'missing', 'itself', 'path', 'host', 'unverified', 'limited'))
    server += location('/nobody', 'nobody.test')
    server += location('/poor', lines='ivschat_token_credentials env;')

    nginx = Nginx(service, server=server, http=DEFAULTS + """
                  limit_req_zone $server_port zone=all:1m rate=1r/m;
                  """, env={'AWS_ACCESS_KEY_ID': ''})
    params = (nginx.dir / 'ivschat_params').read_text('utf-8')
    nginx.file('params_unverified', re.sub(
        r'(?m)^(proxy_ssl_verify\s+)on;', r'\1off;', params))
    with nginx:
        bench = Bench(nginx, service)
        run_rows(table, [
            ('Mistakes and limits of our own', row(what, each),
             lambda _, target=target: bench.ask(
                 target, '/token',
                 first='/limited' if target == '/limited' else None))
            for what, target, each in MISTAKES])
        bench.check()


def credentials(table, service):
    """Keys that have to be fetched, and that expire."""
    role = 'arn:aws:iam::123456789012:role/app'
    server = (location('/role',
                       lines='ivschat_token_credentials container;')
              + location('/imds', lines='ivschat_token_credentials imds;')
              + location('/sts', lines='ivschat_token_timeout 2s; '
                         'ivschat_token_credentials assume_role '
                         f'role={role} source=env;'))
    with Fakes(service) as fakes:
        fakes.faults('imds', 'status-500', count=None)
        fakes.faults('sts', 'silence', count=None)
        env = {**container_env(fakes), **imds_env(fakes), **sts_env(fakes)}
        with Nginx(service, server=server, http=DEFAULTS, env=env) as nginx:
            bench = Bench(nginx, service)

            def expired(once):
                if not once:
                    return bench.ask('/role?room=fault-expired-token',
                                     '/role')
                user = bench.user()
                service.faults({'fault': 'expired-token', 'user': user})
                return bench.ask('/role', '/role', user)

            def failed(_):
                wait_for(lambda: 'could be fetched from "imds"'
                         in nginx.error_log())
                return bench.ask('/imds', '/token')

            run_rows(table, [
                ('Credentials', row(what, each, once), run)
                for what, each, once, run in (
                    ('their source is silent (`ivschat_token_timeout 2s`)',
                     '504 timeout 0 2.0', None,
                     lambda _: bench.ask('/sts', '/token')),
                    ('their source fails', '503 no_credentials 0', None,
                     failed),
                    ('those of a role have expired: they are fetched anew',
                     '502 rejected 2', '200 2', expired))])
            bench.check()


def clock(table, service):
    """One after another: the clock is the worker's."""
    with Nginx(service, http=DEFAULTS) as nginx:
        bench = Bench(nginx, service)
        for what, offset, each in (
                ('200 seconds off', 200, '200 1'),
                ('10 minutes slow', 600, '200 2'),
                ('still so', 600, '200 1'),
                ('set right again', 0, '200 2'),
                ('10 minutes fast', -600, '200 2')):
            target = f'/token?room=fault-skew-{offset}'
            table.add('The clock of this host',
                      row(what, each, fault=f'skew-{offset}'),
                      bench.ask(target, target))
        bench.check()


def rate(table, service):
    """No place in the rate."""
    http = f"""
        ivschat_token_tries 3;
        ivschat_token_rate  1 burst=1;
        {UPSTREAMS}
    """
    with Nginx(service, http=http) as nginx, \
            contextlib.ExitStack() as stack:
        bench = Bench(nginx, service)

        def full(_):
            crowd = [stack.enter_context(Client(nginx.port, 30))
                     for _ in range(16)]
            for client in crowd:
                client.ask(request('/after', None, None, method='GET'))

            # One or two places come when the wait of the first 12 has ended,
            # and before that of the last one has: the others get them.
            ask(nginx.port, request(user=bench.user()))
            for client in crowd[:12]:
                client.send(request(user=bench.user()))
            time.sleep(0.4)
            for client in crowd[12:]:
                client.send(request(user=bench.user()))
            time.sleep(0.1)
            return bench.ask('/token', '/token')

        run_rows(table, [
            ('The rate', row('a place comes (`ivschat_token_rate 1 '
                             'burst=1`)', '200 1 0.6-1.0'),
             lambda _: bench.ask('/token?region=eu-west-1',
                                 '/token?region=eu-west-1',
                                 first='/token?region=eu-west-1')),
            ('The rate', row('none comes within `wait`',
                             '429 throttled 0 4.0'), full)])
        bench.check()


def quota(table, service):
    """AWS fails for everybody."""
    with Nginx(service, http=DEFAULTS + UPSTREAMS) as nginx:
        bench = Bench(nginx, service)

        def spent(_):
            with Client(nginx.port) as client:
                for _ in range(18):
                    client.ask(request('/token?room=fault-internal',
                                       bench.user()))
            return bench.ask('/token?room=fault-internal', '/token')

        run_rows(table, [('AWS fails', row(
            'as before, and has done so for many requests: the quota of '
            'retries is spent', '502 unavailable 1', fault='internal'),
            spent)])
        bench.check()


# The tests

PARTS = (aws, quota, throttled, network, addresses, credentials, rate, clock,
         mistakes)

pytestmark = pytest.mark.timeout(240)

NAMES = ['one-hole', 'two-holes', 'only-holes', 'one-dead', 'kept', 'again',
         'two',
         *(f'{name}-{number}' for name in ('each', 'once')
           for number in range(len(NETWORK)))]
SERVICE = ['--rate', 'off', '--bad-tls',
           *(f'--san={name}.test' for name in NAMES)]


@pytest.fixture(scope='module')
def seen(service):
    """The table of a part, which runs once."""
    @functools.cache
    def run(part):
        table = Table()
        part(table, service)
        return table
    return run


@pytest.fixture(scope='module')
def whole(seen):
    """The table of all parts."""
    table = Table()
    for part in PARTS:
        table.extend(seen(part))
    return table


@pytest.mark.parametrize('part', PARTS, ids=lambda part: part.__name__)
def test_outcomes(seen, part):
    assert not seen(part).wrong


def test_every_fault_of_the_service_is_in_the_table(whole):
    assert sorted(set(faults.FAULTS) - whole.covered()) == []


def test_page_has_the_table(whole):
    """IVSCHAT_WRITE_DOCS=1 writes it anew."""
    text = DOCS.read_text('utf-8')
    before, rest = text.split(BEGIN + '\n')
    old, after = rest.split(END)

    if os.environ.get('IVSCHAT_WRITE_DOCS'):
        DOCS.write_text(before + BEGIN + '\n'
                        + '\n'.join(['', *whole.lines(), '', '']) + END
                        + after, 'utf-8')
        return

    assert ([untimed(line) for line in old.strip().splitlines()]
            == [untimed(line) for line in whole.lines()])


def untimed(line):
    """A line of the table without its times."""
    parts = line.split(' | ')
    return ' | '.join(part for number, part in enumerate(parts)
                      if number not in (3, 6))
