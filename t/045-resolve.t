#!/usr/bin/python3
"""ivschat_token_resolve: an upstream whose addresses follow DNS.

nginx itself looks the names of "server" lines up when it starts, as libc
does.  So that the real name can stand there, the test has a mount namespace
of its own, with its own /etc/hosts and /etc/resolv.conf; where it may have
none, it is skipped.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

import nginx_testlib
from dns_server import DnsServer
from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Nginx, ask, attempt, binary, bounded, code,
                           free_ports, in_parallel, is_token, modules,
                           request, rss, sanitized, slow, wait_for)

tap = Tap()

NAME = 'ivschat.us-west-2.amazonaws.com'
OTHER = 'other.example'
ONE, TWO, SIX = '127.0.0.1', '127.0.0.2', '::1'
DEAD = '127.0.0.3'                     # nobody listens there
MUTE = '127.0.0.4'
HOSTS = '127.0.0.5'                    # what /etc/hosts says
MOVED = '"%s" in upstream "' + NAME + '" is resolved to'
FAULTY = ('empty', 'servfail', 'nxdomain', 'refused', 'timeout', 'garbage',
          'formerr')

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

# The upstream of the usual configuration is ours here.
nginx_testlib.CONFIG = re.sub(r'(upstream ivschat\S+) {.*?\n    }',
                              r'\1 {\n@UPSTREAM@\n    }',
                              nginx_testlib.CONFIG, count=1, flags=re.S)


# The surroundings


class Files:
    """/etc/hosts and /etc/resolv.conf, for this process and its children."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix='ivschat-etc.')
        self.hosts = pathlib.Path(self.dir.name, 'hosts')
        self.resolv_conf = pathlib.Path(self.dir.name, 'resolv.conf')
        self.libc(HOSTS)
        self.resolv_conf.write_text('')

    def libc(self, address):
        """What libc finds for each name."""
        self.hosts.write_text(f'{ONE} localhost\n' + ''.join(
            f'{address} {name}\n' for name in
            (NAME, OTHER, *(f'{fault}.example' for fault in FAULTY))))

    def mount(self):
        """Put them into place; OSError when that is not allowed."""
        libc = ctypes.CDLL(None, use_errno=True)

        def must(result):
            if result != 0:
                raise OSError(ctypes.get_errno(), 'no mount namespace')

        uid, gid = os.geteuid(), os.getegid()
        if libc.unshare(CLONE_NEWNS) != 0:
            must(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
            pathlib.Path('/proc/self/setgroups').write_text('deny')
            pathlib.Path('/proc/self/uid_map').write_text(f'{uid} {uid} 1')
            pathlib.Path('/proc/self/gid_map').write_text(f'{gid} {gid} 1')

        # In a chroot "/" may be no mount point; it is enough that nothing is
        # shared.
        libc.mount(None, b'/', None, MS_REC | MS_PRIVATE, None)
        if ' shared:' in pathlib.Path('/proc/self/mountinfo').read_text():
            raise OSError('mounts are shared')

        for path in (self.hosts, self.resolv_conf):
            must(libc.mount(os.fsencode(path), b'/etc/' + os.fsencode(
                path.name), None, MS_BIND, None))


class Services:
    """The same port of three addresses, and the name servers."""

    def __init__(self, stack, files):
        self.files = files
        self.dns = stack.enter_context(DnsServer())
        self.one = stack.enter_context(Service(args=self._args(ONE)))
        self.port = self.one.port
        self.two = stack.enter_context(Service(args=self._args(TWO)))
        self.six = stack.enter_context(Service(args=self._args(SIX)))
        self.all = {ONE: self.one, TWO: self.two, SIX: self.six}

        bundle = pathlib.Path(files.dir.name, 'ca.pem')
        bundle.write_text(''.join(pathlib.Path(service.ca).read_text('ascii')
                                  for service in self.all.values()))
        self.ca = str(bundle)

    def _args(self, address):
        port = self.port if address != ONE else 0
        return ['--rate', 'off', '--address', address, '--port', port,
                '--san', NAME, '--keep', 20000]

    port = 0

    def forget(self):
        """Nothing happened yet."""
        for service in self.all.values():
            service.forget()
            service.config(latency=0)

    def opened(self):
        """How many connections each has seen."""
        return {address: service.connections()['opened']
                for address, service in self.all.items()}

    def requests(self):
        """How many requests each has seen since forget()."""
        return {address: len(service.requests())
                for address, service in self.all.items()}


class Follower(Nginx):
    """An nginx whose upstream follows our DNS server."""

    def __init__(self, services, *servers, keepalive='keepalive 16;',
                 resolver=None, http='', **options):
        self._first = (NAME in ''.join(servers) or not servers)
        if resolver is None:
            resolver = (f'resolver 127.0.0.1:{services.dns.port};'
                        'resolver_timeout 1s;')
        super().__init__(services, http=resolver + http, **options)
        self._values['UPSTREAM'] = '\n'.join([
            *(f'server {server};' for server in
              servers or [f'{NAME}:{services.port}']),
            'ivschat_token_resolve;', keepalive])

    def __enter__(self):
        """Start, and wait for the first answers."""
        super().__enter__()
        if self._first and not wait_for(
                lambda: self.error_log().count(f'{MOVED % NAME} ')
                >= self._count, 15):
            super().__exit__()
            raise RuntimeError('no first answer')
        return self

    def __exit__(self, *exception):
        if exception[0] is None and self.running():
            self.check(tap)
        super().__exit__(*exception)

    def resolved(self, *addresses, since=0, count=1):
        """Wait until so many workers have these addresses."""
        want = {f'[{address}]' if ':' in address else address
                for address in addresses}

        def seen():
            found = re.findall(r'is resolved to (.*)',
                               self.error_log()[since:])
            return sum({part.rsplit(':', 1)[0] for part in
                        line.strip().split(', ')} == want
                       for line in found) >= count

        return wait_for(seen, 15)

    def mark(self):
        """Where the log ends now."""
        return len(self.error_log())


class Load:
    """Clients who mint all the time."""

    def __init__(self, nginx, clients=4, pause=0.005):
        self.nginx, self.pause = nginx, pause * slow() ** 2
        self.count, self.failures = 0, []
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True,
                                          args=(f'user{number}',))
                         for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, user):
        while not self._end.is_set():
            try:
                # A connection each: so all workers have their share.
                answer = ask(self.nginx.port, request(user=user))
                failure = None if is_token(answer) else code(answer)
            except (OSError, EOFError, ValueError) as error:
                failure = repr(error)
            with self._lock:
                self.count += 1
                if failure:
                    self.failures.append(failure)
            self._end.wait(self.pause)

    def more(self, count):
        """Wait for so many more."""
        goal = self.count + count
        return wait_for(lambda: self.count >= goal, 20)


def mint(nginx, count, clients=1):
    """Mint, on kept-alive connections; how many were no tokens."""
    def run(number):
        with Client(nginx.port) as client:
            return [client.ask(request(user=f'user{number}'))
                    for _ in range(count)]

    answers = [answer for answers in in_parallel(clients, run)
               for answer in (answers if isinstance(answers, list)
                              else [answers])]
    return [answer if isinstance(answer, Exception) else code(answer)
            for answer in answers if isinstance(answer, Exception)
            or not is_token(answer)]


def no_loss(load, name):
    """One test: all that was asked for came.

    A handshake that takes a second is this machine's fault, not a loss: all
    addresses that are silent are ours.
    """
    errors = re.findall(r'\[error\].*', load.nginx.error_log())
    slow_ones = sum('timed out' in line and 'SSL handshaking' in line
                    for line in errors)
    tap.ok(load.count > 50 and len(load.failures) <= slow_ones,
           f'{name}: {load.count} tokens, none lost', load.failures[:10],
           *errors[-20:])


# What DNS says, and what nginx does


def changes(services):
    """The answer changes under load."""
    dns = services.dns
    dns.set(NAME, ONE)
    before = services.opened()

    with Follower(services, workers=2, keepalive='keepalive 4;'
                  'keepalive_requests 10;') as nginx, Load(nginx) as load:
        at = ONE
        load.more(50)
        for answer in [(TWO,), (TWO, SIX), (SIX,), (ONE, SIX), (ONE,),
                       (TWO,)]:
            since = nginx.mark()
            dns.set(NAME, *answer)
            tap.ok(nginx.resolved(*answer, since=since, count=2),
                   f'both workers follow to {" and ".join(answer)}',
                   nginx.error_log()[since:])
            time.sleep(0.1)
            at = services.opened()
            load.more(150)
            now = services.opened()
            tap.equal([address for address in services.all
                       if now[address] > at[address]],
                      [address for address in services.all
                       if address in answer],
                      'new connections go there, and nowhere else')
        no_loss(load, 'changes')
        tap.ok(services.opened()[TWO] > before[TWO], 'the load was there')


def failures(services):
    """Lookups that fail."""
    dns, port, = services.dns, free_ports(1)[0]
    names = {fault: f'{fault}.example' for fault in FAULTY}
    http = ''.join(f'''
        upstream {fault} {{
            server {name}:{port};
            ivschat_token_resolve;
        }}''' for fault, name in names.items()) + f'''
        server {{
            listen {ONE}:{port};
            listen {TWO}:{port};
            location / {{ return 200 $server_addr; }}
        }}'''
    server = 'location ~ ^/fail/(.*) { proxy_pass http://$1; }'

    def where(fault):
        """Which address answers; the status when none does."""
        got = ask(nginx.port, request(f'/fail/{fault}', body=None,
                                      method='GET'))
        return got.body.decode() if got.status == 200 else got.status

    def lines(text):
        """How many lines of the log have it."""
        return nginx.error_log().count(text)

    for name in (NAME, *names.values()):
        dns.set(name, ONE)

    with Follower(services, http=http, server=server) as nginx:
        for name in names.values():
            wait_for(lambda: lines(f'"{name}" in upstream'))
        at = time.monotonic()
        with Load(nginx, 2) as load:
            for fault, name in {**names, 'servfail ': NAME}.items():
                dns.fail(name, fault.strip())
            wait_for(lambda: all(dns.count(name, since=at) >= 3
                                 for name in names.values()), 20)
            for fault in FAULTY:
                tap.equal({where(fault) for _ in range(10)}, {ONE},
                          f'{fault}: the last good address serves')
                tap.equal(len(re.findall(
                    rf'\[error\] [\d#]+: "{names[fault]}" in upstream '
                    f'"{fault}" could not be resolved', nginx.error_log())),
                    1, f'{fault}: one error line')
            for name in (NAME, *names.values()):
                dns.set(name, TWO)
            wait_for(lambda: lines('is resolved again') > len(names), 20)
            load.more(20)
        for fault in FAULTY:
            tap.equal(({where(fault) for _ in range(10)},
                       lines(f'"{names[fault]}" in upstream "{fault}" is '
                             'resolved again')), ({TWO}, 1),
                      f'{fault}: it follows again when DNS does, and says so')
        no_loss(load, 'lookups that fail')
        tap.equal(dns.malformed, [], 'each query was in order')


def answers(services):
    """Kinds of answers."""
    dns = services.dns

    dns.set(NAME, TWO)
    dns.fail(NAME, 'truncated')
    with Follower(services) as nginx:
        tap.ok(nginx.resolved(TWO), 'a truncated answer: asked again by TCP')
        tap.ok(any(query.transport == 'tcp' for query in dns.queries),
               'by TCP indeed')

        dns.set(NAME, SIX)
        tap.ok(nginx.resolved(SIX), 'IPv6 only')
        services.forget()
        tap.equal(mint(nginx, 10), [], 'IPv6 only: tokens')
        tap.equal(services.requests(), {ONE: 0, TWO: 0, SIX: 10},
                  'IPv6 only: from there')

        many = [f'127.0.1.{number}' for number in range(1, 150)]
        since = nginx.mark()
        dns.set(NAME, *many, ONE)
        tap.ok(wait_for(lambda: MOVED % NAME in nginx.error_log()[since:]),
               '150 addresses')
        dns.set(NAME, ONE, TWO, ONE, TWO, ONE)
        tap.ok(nginx.resolved(ONE, TWO), 'the same address twice')
        services.forget()
        tap.equal(mint(nginx, 20), [], 'the same address twice: tokens')
        tap.equal(services.requests(), {ONE: 10, TWO: 10, SIX: 0},
                  'the same address twice: counts once')


def dead(services):
    """An address that is dead."""
    dns = services.dns
    dns.set(NAME, DEAD, ONE)

    with Follower(services, f'{NAME}:{services.port} fail_timeout=1h'
                  ) as nginx:
        with Load(nginx, 2) as load:
            load.more(50)
            for answer in ((DEAD, ONE, TWO), (TWO, DEAD), (DEAD, SIX, TWO)):
                dns.set(NAME, *answer)
                nginx.resolved(*answer)
                load.more(50)
        no_loss(load, 'a dead address among others')
        refused = re.findall('connect.. failed.*Connection refused',
                             nginx.error_log())
        tap.equal(len(refused), 1, 'it costs one attempt, and is remembered '
                  'over new answers')

    dns.set(NAME, DEAD)
    with Follower(services, f'{NAME}:{services.port}') as nginx:
        tap.equal(mint(nginx, 1), [(502, 'unavailable')], 'only dead ones')
        dns.set(NAME, ONE)
        nginx.resolved(ONE)
        tap.equal(mint(nginx, 5), [], 'only dead ones, until DNS says more')


def parameters(services):
    """What the server lines say is kept."""
    dns, port = services.dns, services.port
    dns.set(NAME, ONE)

    with Follower(services, f'{NAME}:{port} weight=3', f'{TWO}:{port}'
                  ) as nginx:
        services.forget()
        tap.equal(mint(nginx, 40), [], 'weights: tokens')
        tap.equal(services.requests(), {ONE: 30, TWO: 10, SIX: 0},
                  'weights, and a literal address beside the name')
        dns.set(NAME, SIX)
        nginx.resolved(SIX)
        services.forget()
        tap.equal(mint(nginx, 40), [], 'weights: tokens, elsewhere')
        tap.equal(services.requests(), {ONE: 0, TWO: 10, SIX: 30},
                  'weights are kept for a new address, and the literal too')

    dns.set(NAME, DEAD)
    dns.set(OTHER, TWO)
    with Follower(services, f'{NAME}:{port} fail_timeout=1h',
                  f'{OTHER}:{port} backup') as nginx:
        nginx.resolved(TWO)
        services.forget()
        tap.equal(mint(nginx, 10), [], 'backup: tokens')
        tap.equal(services.requests(), {ONE: 0, TWO: 10, SIX: 0},
                  'backup is used, by its name')
        dns.set(OTHER, SIX)
        nginx.resolved(SIX)
        dns.set(NAME, ONE)
        nginx.resolved(ONE)
        services.forget()
        tap.equal(mint(nginx, 10), [], 'not backup: tokens')
        tap.equal(services.requests(), {ONE: 10, TWO: 0, SIX: 0},
                  'backup is not used when the others are well')

    with Follower(services, f'{ONE}:{port}', f'[{SIX}]:{port}',
                  resolver='') as nginx:
        services.forget()
        tap.equal(mint(nginx, 20), [], 'literal addresses only: tokens')
        tap.equal(services.requests(), {ONE: 10, TWO: 0, SIX: 10},
                  'literal addresses only, without any name server')


class Holding:
    """A port where requests wait until they are answered."""

    def __init__(self, address, port):
        self._server = socket.create_server((address, port))
        self._server.settimeout(0.3 * slow())

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._server.close()

    def take(self):
        """The connections that have come."""
        taken = []
        with contextlib.suppress(socket.timeout):
            while True:
                taken.append(self._server.accept()[0])
        return taken


def release(connections):
    """Answer them."""
    for sock in connections:
        sock.recv(65536)
        sock.sendall(b'HTTP/1.0 200 OK\r\n\r\n')
        sock.close()


def max_conns(services):
    """max_conns holds while addresses come and go."""
    dns, port = services.dns, free_ports(1)[0]
    http = f'''upstream plain {{
        server {OTHER}:{port} max_conns=2;
        ivschat_token_resolve;
    }}'''
    server = 'location = /plain { proxy_pass http://plain; }'
    dns.set(NAME, ONE)
    dns.set(OTHER, ONE)

    with Holding(ONE, port) as one, Holding(TWO, port) as two, Follower(
            services, http=http, server=server) as nginx:
        moved = f'"{OTHER}" in upstream "plain" is resolved to'
        wait_for(lambda: moved in nginx.error_log())

        for number in range(3):
            clients = [Client(nginx.port) for _ in range(6)]
            ask_plain = request('/plain', body=None, method='GET')
            for client in clients[:2]:
                client.send(ask_plain)
            first = one.take()
            since = nginx.mark()
            dns.set(OTHER, ONE, TWO)
            wait_for(lambda: moved in nginx.error_log()[since:])
            for client in clients[2:]:
                client.send(ask_plain)
            taken = one.take(), two.take()
            tap.equal((len(first), *map(len, taken)), (2, 0, 2),
                      f'max_conns=2, round {number}: counted over new answers')
            since = nginx.mark()
            dns.set(OTHER, ONE)
            wait_for(lambda: moved in nginx.error_log()[since:])
            for connections in (first, *taken):
                release(connections)
            tap.equal(sorted(client.answer().status for client in clients),
                      [200] * 4 + [502] * 2,
                      f'max_conns=2, round {number}: four of six')
        tap.equal(len(re.findall('no live upstreams', nginx.error_log())), 6,
                  'max_conns: that was why')


# Time


def ttl(services):
    """Queries are made when the TTL says so."""
    dns = services.dns
    for seconds, span, low, high in ((0, 4.5, 3, 6), (2, 7.5, 2, 4),
                                     (3600, 3, 1, 1)):
        dns.set(NAME, ONE, ttl=seconds)
        at = time.monotonic()
        with Follower(services):
            time.sleep(span)
            count = dns.count(NAME, since=at)
        tap.ok(low <= count <= high,
               f'TTL {seconds}: {count} queries in {span} seconds')
        tap.equal(dns.count(NAME, 'AAAA', at), count, 'as many for AAAA')


def hanging(services):
    """A lookup that never ends."""
    dns = services.dns
    dns.set(NAME, ONE)
    resolver = (f'resolver 127.0.0.1:{dns.port}; resolver_timeout 1h;')

    with Follower(services, resolver=resolver, workers=2) as nginx:
        at = time.monotonic()
        dns.fail(NAME, 'timeout')
        wait_for(lambda: dns.count(NAME, since=at) >= 2)
        tap.equal(mint(nginx, 5), [], 'tokens while a lookup hangs')
        services.files.libc(ONE)
        old = nginx.reload()
        tap.ok(wait_for(lambda: not set(old) & set(nginx.children()), 5),
               'reload: the old workers leave although lookups hang')
        tap.equal(mint(nginx, 5), [], 'reload: tokens')
        tap.ok(nginx.quit(5), 'quit: the workers leave')
        nginx.check(tap, 'lookups that hang')
    services.files.libc(HOSTS)

    # Requests that are on their way keep their generation.
    dns.set(NAME, ONE)
    with Follower(services) as nginx:
        clients = [Client(nginx.port) for _ in range(5)]
        services.forget()
        services.one.config(latency=1500)
        for client in clients:
            client.send(request())
        wait_for(lambda: services.requests()[ONE] == 5)
        dns.set(NAME, TWO)
        nginx.reload()
        tap.ok(all(is_token(client.answer()) for client in clients),
               'a reload and a new answer: requests end where they are')
        services.forget()


def reloads(services):
    """Reloads under load, and answers that change all the time."""
    dns = services.dns
    dns.set(NAME, ONE, ttl=0)
    with Follower(services, workers=2) as nginx, Load(nginx) as load:
        services.files.libc(ONE)
        for number in range(6):
            dns.set(NAME, (ONE, TWO, SIX)[number % 3], ttl=0)
            nginx.reload()
            load.more(50)
        # A client that connects to a worker which leaves gets no answer,
        # with any nginx.
        lost = [failure for failure in load.failures
                if 'EOFError' not in failure and 'Connection' not in failure]
        tap.ok(not lost, f'{load.count} tokens over 6 reloads', lost[:10])
    services.files.libc(HOSTS)


def withdrawn(services):
    """Requests at an address that is withdrawn, and then fails."""
    dns = services.dns
    port, = free_ports(1)
    http = f'''
        upstream plain {{
            server {OTHER}:{port};
            ivschat_token_resolve;
        }}
        server {{
            listen {TWO}:{port};
            location / {{ return 200 here; }}
        }}
    '''
    server = '''
        location = /plain { proxy_pass http://plain; }
        location = /once  { proxy_pass http://plain;
                            proxy_next_upstream_tries 1; }
    '''
    dns.set(NAME, ONE)

    for path, expected in (('/plain', 200), ('/once', 502)):
        dns.set(OTHER, MUTE)
        with socket.create_server((MUTE, port)) as mute, Follower(
                services, http=http, server=server) as nginx:
            nginx.resolved(MUTE)
            with Client(nginx.port) as client:
                client.send(request(path, body=None, method='GET'))
                sock, _ = mute.accept()
                dns.set(OTHER, TWO)
                nginx.resolved(TWO)
                sock.close()
                tap.equal(client.answer().status, expected,
                          f'{path}: the address in use was withdrawn, and '
                          'fails')


# Processes


def single(services):
    """master_process off (such an nginx cannot be reloaded at all)."""
    dns = services.dns
    dns.set(NAME, ONE)
    with Follower(services, master=False) as nginx:
        for address in (TWO, SIX):
            dns.set(NAME, address)
            tap.ok(nginx.resolved(address), 'master_process off: it follows')
            services.forget()
            tap.equal(mint(nginx, 5), [], 'master_process off: tokens')
            tap.equal(services.requests()[address], 5, 'from there')


def memory(services):
    """Many upstreams, many new answers."""
    dns, upstreams, rounds = services.dns, 60, 16
    http = ''.join(f'''
        upstream u{number} {{
            server {OTHER}:{services.port};
            ivschat_token_resolve;
            keepalive 1;
        }}''' for number in range(upstreams))
    dns.set(NAME, ONE, ttl=3600)
    dns.set(OTHER, ONE, ttl=0)
    sizes = []

    with Follower(services, http=http, level='info') as nginx:
        with Load(nginx, 1):
            for number in range(rounds):
                since = nginx.mark()
                dns.set(OTHER, *[(TWO, SIX), (ONE,)][number % 2], ttl=0)
                wait_for(lambda: nginx.error_log()[since:].count(
                    f'"{OTHER}" in upstream') >= upstreams, 15)
                sizes.append(rss(nginx.worker()))
        done = nginx.error_log().count(f'"{OTHER}" in upstream')
        tap.ok(done >= upstreams * rounds * 0.9, f'{done} new answers')
        tap.ok(max(sizes[4:]) - sizes[3] <= (512 if not sanitized() else
                                             65536),
               f'memory is flat over them: {sizes[3]} kB to {sizes[-1]} kB',
               sizes)


def keepalive(services):
    """Connections are kept."""
    dns = services.dns
    dns.set(NAME, ONE, TWO)
    before = services.opened()
    with Follower(services) as nginx:
        tap.equal(mint(nginx, 100, 4), [], 'keepalive: 400 tokens')
        since = nginx.mark()
        dns.set(NAME, TWO, SIX)
        nginx.resolved(TWO, SIX, since=since)
        tap.equal(mint(nginx, 100, 4), [], 'keepalive: 400 more')
        now = services.opened()
        count = sum(now.values()) - sum(before.values())
        tap.ok(count <= 16, f'{count} connections for 800 tokens')


def native(services):
    """What docs/install.md shows beside it, where nginx has it."""
    if version() < 1027003 or not has_zone():
        return

    dns = services.dns
    dns.set(NAME, ONE)
    nginx = Follower(services)
    nginx._first = False
    nginx._values['UPSTREAM'] = f'''
        zone   ivschat 64k;
        server {NAME}:{services.port} resolve;
        keepalive 16;'''

    with nginx:
        for address in (ONE, TWO, SIX):
            dns.set(NAME, address)

            def arrived():
                services.forget()
                return (not mint(nginx, 5)
                        and services.requests()[address] == 5)

            tap.ok(wait_for(arrived, 15),
                   f'zone and server … resolve follow to {address}')


# Configuration


def run_test(upstream, http=''):
    """(exit status, what nginx -t says)."""
    with tempfile.TemporaryDirectory(prefix='ivschat-nginx.') as name:
        path = pathlib.Path(name, 'nginx.conf')
        load = ''.join(f'load_module {module};\n' for module in modules())
        path.write_text(load + f'''
            pid nginx.pid;
            events {{}}
            http {{
                access_log            off;
                client_body_temp_path body;
                proxy_temp_path       proxy;
                fastcgi_temp_path     fastcgi;
                uwsgi_temp_path       uwsgi;
                scgi_temp_path        scgi;
                {http}
                upstream {NAME} {{ {upstream} }}
                server {{ listen 127.0.0.1:{free_ports(1)[0]}; }}
            }}''')
        done = subprocess.run([binary(), '-t', '-p', name, '-c', str(path),
                               '-e', 'stderr'], capture_output=True,
                              check=False, text=True)
        return done.returncode, done.stderr


def version():
    """nginx's version, as a number."""
    major, minor, patch = re.search(r'nginx/(\d+)\.(\d+)\.(\d+)',
                                    nginx_testlib.version()).groups()
    return int(major) * 1000000 + int(minor) * 1000 + int(patch)


def has_zone():
    """Whether upstreams can be shared by workers."""
    return ('--without-http_upstream_zone_module'
            not in nginx_testlib.version())


def refusals(services):
    """nginx -t."""
    server = f'server {NAME}:443;'
    resolver = f'resolver 127.0.0.1:{services.dns.port};'
    other = 'cannot be used with another load balancing method'
    bad = [
        (f'{server} ivschat_token_resolve on;', 'invalid number of arguments '
         'in "ivschat_token_resolve"'),
        (f'{server} ivschat_token_resolve; ivschat_token_resolve;',
         '"ivschat_token_resolve" directive is duplicate'),
        ('ivschat_token_resolve;', 'no servers are inside upstream'),
        ('server 127.0.0.1:1 backup; ivschat_token_resolve;',
         f'no servers in upstream "{NAME}"'),
    ]
    for method in ('least_conn', 'ip_hash', 'hash $uri', 'random'):
        bad += [(f'{method}; {server} ivschat_token_resolve;', other),
                (f'ivschat_token_resolve; {method}; {server}', other),
                (f'{server} ivschat_token_resolve; {method}; keepalive 2;',
                 other)]
    good = [f'{server} ivschat_token_resolve;',
            f'ivschat_token_resolve; {server} keepalive 2;',
            f'{server} server 127.0.0.1:1 backup; ivschat_token_resolve;']

    after = f'{server} keepalive 2; ivschat_token_resolve;'
    if version() < 1029007:
        bad.append((after, 'must stand before "keepalive"'))
    else:
        good.append(after)

    if has_zone():
        bad += [(f'{server} zone z 64k; ivschat_token_resolve;',
                 '"ivschat_token_resolve" cannot be used with "zone"'),
                (f'ivschat_token_resolve; {server} zone z 64k;',
                 '"ivschat_token_resolve" cannot be used with "zone"')]

    if has_zone() and version() >= 1027003:
        bad += [(f'server {NAME}:443 resolve; {zone} ivschat_token_resolve;',
                 f'cannot be used with "server {NAME}:443 resolve"')
                for zone in ('zone z 64k;', '')]

    at = time.monotonic()
    for upstream, message in bad:
        status, said = run_test(upstream, resolver)
        tap.ok(status != 0 and message in said
               and (NAME in said or ':' in said), f'refused: {upstream}',
               status, said)
    for upstream in good:
        status, said = run_test(upstream, resolver)
        tap.ok(status == 0 and 'warn' not in said, f'accepted: {upstream}',
               said)

    for place in ('http', 'server'):
        line = 'ivschat_token_resolve;'
        status, said = run_test(server, resolver + (
            line if place == 'http' else f'server {{ {line} }}'))
        tap.ok(status != 0 and 'is not allowed here' in said,
               f'refused: at the {place} level', said)
    tap.equal(services.dns.count(NAME, since=at), 0,
              'nginx -t asks no name server of ours')


def resolv_conf(services):
    """Without a resolver: the name servers of /etc/resolv.conf."""
    path = services.files.resolv_conf
    upstream = f'server {NAME}:443; ivschat_token_resolve;'

    for text, message in (
            ('', 'has no name server to ask'),
            ('# nameserver 127.0.0.1\n; nameserver 127.0.0.1\n'
             ' nameserver 127.0.0.1\nnameserver\nnameservers 127.0.0.1\n',
             'has no name server to ask'),
            ('nameserver fe80::1%eth0\n',
             'name server "fe80::1%eth0" in /etc/resolv.conf is skipped'),
            ('nameserver example.com\n',
             'name server "example.com" in /etc/resolv.conf is skipped')):
        path.write_text(text)
        status, said = run_test(upstream)
        tap.ok(status != 0 and message in said
               and 'has no name server to ask' in said,
               f'refused: /etc/resolv.conf {text!r}', said)

    path.write_text('nameserver ::1')
    status, said = run_test(upstream)
    tap.equal((status, 'warn' in said), (0, False),
              'IPv6, and no newline at the end')

    try:
        server = DnsServer('127.0.53.53', 53).__enter__()
    except OSError as error:
        tap.ok(True, f'/etc/resolv.conf at run time # SKIP {error}')
        return

    with contextlib.ExitStack() as stack:
        stack.push(server)
        path.write_text('search example\n# ours\n'
                        'nameserver\t 127.0.53.53  # here\noptions ndots:2\n')
        server.set(NAME, TWO)
        with Follower(services, resolver='') as nginx:
            tap.ok(nginx.resolved(TWO), '/etc/resolv.conf is used')
            services.forget()
            tap.equal(mint(nginx, 5), [], '/etc/resolv.conf: tokens')
            tap.equal(services.requests()[TWO], 5, 'from there')
            server.set(NAME, SIX, ONE)
            tap.ok(nginx.resolved(SIX, ONE), 'and again')
    path.write_text('')


PARTS = [refusals, changes, failures, answers, dead, parameters, max_conns,
         ttl, hanging, reloads, withdrawn, single, memory, keepalive,
         native, resolv_conf]


def main():
    """All parts, or those named."""
    bounded(400)
    files = Files()

    try:
        files.mount()
    except OSError as error:
        print(f'1..0 # SKIP {error}')
        return

    with contextlib.ExitStack() as stack:
        services = Services(stack, files)
        for part in PARTS:
            if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
                at = time.monotonic()
                attempt(tap, part, services)
                print(f'# {part.__name__}: {time.monotonic() - at:.1f} s',
                      flush=True)
    tap.done()


if __name__ == '__main__':
    main()
