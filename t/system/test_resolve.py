"""ivschat_token_resolve: an upstream whose addresses follow DNS.

nginx itself looks the names of "server" lines up when it starts, as libc
does.  So that the real name can stand there, nginx has an /etc/hosts and an
/etc/resolv.conf of its own; where it may have none, all is skipped.
"""

import contextlib
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from dns_server import DnsServer
from ivschat_testlib import Service
from nginx_testlib import (Client, Minting, Nginx, ask, at_least, code,
                           free_ports, in_parallel, is_token, no_keepalive,
                           own_etc, request, rss, sanitized, slow, version,
                           wait_for)

NAME = 'ivschat.us-west-2.amazonaws.com'
OTHER = 'other.example'
ONE, TWO, SIX = '127.0.0.1', '127.0.0.2', '::1'
DEAD = '127.0.0.3'                     # nobody listens there
MUTE = '127.0.0.4'
HOSTS = '127.0.0.5'                    # what /etc/hosts says
MOVED = '"%s" in upstream "' + NAME + '" is resolved to'
FAULTY = ('empty', 'servfail', 'nxdomain', 'refused', 'timeout', 'garbage',
          'formerr')

ZONES = '--without-http_upstream_zone_module' not in version()
NATIVE = ZONES and at_least(1, 27, 3)


# The surroundings


class Services:
    """The same port of three addresses, the name servers, and nginx's /etc."""

    def __init__(self, stack):
        self.etc = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix='ivschat-etc.')))
        self.wrap = own_etc(self.etc)
        self.reset_etc()

        self.dns = stack.enter_context(DnsServer())
        self.port = 0
        self.all = {}
        for address in (ONE, TWO, SIX):
            self.all[address] = stack.enter_context(Service(args=[
                '--rate', 'off', '--address', address, '--port', self.port,
                '--san', NAME, '--keep', 20000]))
            self.port = self.all[ONE].port

        bundle = self.etc / 'ca.pem'
        bundle.write_text(''.join(pathlib.Path(service.ca).read_text('ascii')
                                  for service in self.all.values()))
        self.ca = str(bundle)

    def libc(self, address):
        """What libc finds for each name."""
        (self.etc / 'hosts').write_text(f'{ONE} localhost\n' + ''.join(
            f'{address} {name}\n' for name in
            (NAME, OTHER, *(f'{fault}.example' for fault in FAULTY))))

    def resolv_conf(self, text):
        """What /etc/resolv.conf says."""
        (self.etc / 'resolv.conf').write_text(text)

    def reset_etc(self):
        """As it is for each test."""
        self.libc(HOSTS)
        self.resolv_conf('')

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
        return [len(service.requests()) for service in self.all.values()]


class Follower(Nginx):
    """An nginx whose upstream follows our DNS server."""

    def __init__(self, services, *servers, keepalive='keepalive 16;',
                 resolver=None, http='', **options):
        servers = servers or [f'{NAME}:{services.port}']
        self._services = services
        self._first = NAME in ''.join(servers)
        if resolver is None:
            resolver = (f'resolver 127.0.0.1:{services.dns.port};'
                        'resolver_timeout 1s;')
        super().__init__(
            services, http=resolver + http, wrap=services.wrap,
            upstream=''.join(f'server {server};' for server in servers)
            + f'ivschat_token_resolve; {keepalive}', **options)

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
        if exception == (None, None, None):
            self.check()
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

    def move(self, *addresses, name=NAME, count=1):
        """DNS has other addresses, and so have so many workers, soon."""
        since = self.mark()
        self._services.dns.set(name, *addresses)
        assert self.resolved(*addresses, since=since, count=count), \
            self.error_log()[since:]

    def mark(self):
        """Where the log ends now."""
        return len(self.error_log())


@pytest.fixture(scope='module')
def all_services():
    with contextlib.ExitStack() as stack:
        services = Services(stack)
        done = subprocess.run([*services.wrap, 'true'], text=True,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            pytest.skip(f'no /etc of its own: {done.stderr}')
        yield services


@pytest.fixture
def services(all_services):
    """As they are at the start."""
    all_services.reset_etc()
    all_services.forget()
    return all_services


@pytest.fixture
def dns(services):
    """The name server, which knows the usual name."""
    services.dns.set(NAME, ONE)
    return services.dns


def load(nginx, clients=4):
    """Clients who mint all the time."""
    return Minting(nginx, clients=clients, pause=0.005)


def mint(nginx, count, clients=1):
    """Mint, on kept-alive connections; what was no token."""
    def run(number):
        with Client(nginx.port) as client:
            return [client.ask(request(user=f'user{number}'))
                    for _ in range(count)]

    return [code(answer) for answers in in_parallel(clients, run)
            for answer in answers if not is_token(answer)]


def served(services, nginx, count):
    """Mint so many tokens; how many each address has served."""
    services.forget()
    assert mint(nginx, count) == []
    return services.requests()


def no_loss(nginx, minting):
    """All that was asked for came.

    A handshake that takes a second is this machine's fault, not a loss: all
    addresses that are silent are ours.
    """
    errors = re.findall(r'\[error\].*', nginx.error_log())
    slow_ones = sum('timed out' in line and 'SSL handshaking' in line
                    for line in errors)
    assert minting.count > 50
    assert len(minting.failures) <= slow_ones, (minting.failures[:10],
                                                errors[-20:])


# What DNS says, and what nginx does


def test_answers_change_under_load(services, dns):
    before = services.opened()[TWO]

    with Follower(services, workers=2, keepalive='keepalive 4;'
                  'keepalive_requests 10;') as nginx, load(nginx) as minting:
        minting.wait_for_more(50, 20)
        for answer in [(TWO,), (TWO, SIX), (SIX,), (ONE, SIX), (ONE,),
                       (TWO,)]:
            nginx.move(*answer, count=2)
            time.sleep(0.1)
            at = services.opened()
            minting.wait_for_more(150, 20)
            now = services.opened()
            assert {address for address in at
                    if now[address] > at[address]} == {*answer}, \
                'new connections go there, and nowhere else'
        no_loss(nginx, minting)
        assert services.opened()[TWO] > before


def test_lookups_that_fail(services, dns):
    port, = free_ports(1)
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
        """Which addresses answer; the status when none does."""
        answers = [ask(nginx.port, request(f'/fail/{fault}', body=None,
                                           method='GET')) for _ in range(10)]
        return {answer.body.decode() if answer.status == 200
                else answer.status for answer in answers}

    def lines(text):
        """How many lines of the log have it."""
        return len(re.findall(text, nginx.error_log()))

    for name in names.values():
        dns.set(name, ONE)

    with Follower(services, http=http, server=server) as nginx:
        for name in names.values():
            wait_for(lambda: lines(f'"{name}" in upstream'))
        at = time.monotonic()
        with load(nginx, 2) as minting:
            for fault, name in (*names.items(), ('servfail', NAME)):
                dns.fail(name, fault)
            wait_for(lambda: all(dns.count(name, since=at) >= 3
                                 for name in names.values()), 20)
            for fault, name in names.items():
                assert where(fault) == {ONE}, 'the last good address serves'
                assert lines(rf'\[error\] [\d#]+: "{name}" in upstream '
                             f'"{fault}" could not be resolved') == 1
            for name in (NAME, *names.values()):
                dns.set(name, TWO)
            wait_for(lambda: lines('is resolved again') > len(names), 20)
            minting.wait_for_more(20, 20)
        for fault, name in names.items():
            assert where(fault) == {TWO}, 'it follows again'
            assert lines(f'"{name}" in upstream "{fault}" is resolved '
                         'again') == 1
        no_loss(nginx, minting)
        assert dns.malformed == []


def test_kinds_of_answers(services, dns):
    dns.set(NAME, TWO)
    dns.fail(NAME, 'truncated')
    with Follower(services) as nginx:
        assert nginx.resolved(TWO), 'asked again by TCP'
        assert any(query.transport == 'tcp' for query in dns.queries)

        nginx.move(SIX)                # IPv6 only
        assert served(services, nginx, 10) == [0, 0, 10]

        since = nginx.mark()
        dns.set(NAME, *(f'127.0.1.{number}' for number in range(1, 150)), ONE)
        assert wait_for(lambda: MOVED % NAME in nginx.error_log()[since:])
        # the same address twice counts once
        dns.set(NAME, ONE, TWO, ONE, TWO, ONE)
        assert nginx.resolved(ONE, TWO)
        assert served(services, nginx, 20) == [10, 10, 0]


def test_dead_address_among_others(services, dns):
    """It costs one attempt, and is remembered over new answers."""
    dns.set(NAME, DEAD, ONE)

    with Follower(services, f'{NAME}:{services.port} fail_timeout=1h'
                  ) as nginx:
        with load(nginx, 2) as minting:
            minting.wait_for_more(50, 20)
            for answer in ((DEAD, ONE, TWO), (TWO, DEAD), (DEAD, SIX, TWO)):
                nginx.move(*answer)
                minting.wait_for_more(50, 20)
        no_loss(nginx, minting)
        assert len(re.findall('connect.. failed.*Connection refused',
                              nginx.error_log())) == 1


def test_dead_address_alone(services, dns):
    dns.set(NAME, DEAD)
    with Follower(services) as nginx:
        assert mint(nginx, 1) == [(502, 'unavailable')]
        nginx.move(ONE)
        assert mint(nginx, 5) == []


# When all addresses fail, and when they are well again


class Relay:
    """A port of two addresses that leads to the service, or is closed."""

    def __init__(self, to):
        self._to = to
        self.port, = free_ports(1)
        self._socks, self._servers = [], []

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_exception):
        self.close()

    def open(self):
        """Lead to the service."""
        self._servers = [socket.create_server((address, self.port),
                                              backlog=100)
                         for address in (DEAD, MUTE)]
        for server in self._servers:
            threading.Thread(target=self._accept, args=(server,),
                             daemon=True).start()

    def close(self):
        """Refuse connections, and break those that there are."""
        for sock in self._servers + self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for server in self._servers:
            server.close()
        self._socks.clear()

    def _accept(self, server):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = server.accept()
                other = socket.create_connection((ONE, self._to))
                self._socks += [sock, other]
                for ends in ((sock, other), (other, sock)):
                    threading.Thread(target=self._pump, args=ends,
                                     daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize('backup', (False, True))
def test_aws_is_gone_for_a_second(services, dns, backup):
    """Tokens are back within a second, whatever fail_timeout says."""
    dns.set(NAME, DEAD, MUTE)
    dns.set(OTHER, DEAD)

    with Relay(services.port) as relay:
        servers = [f'{NAME}:{relay.port} fail_timeout=1h',
                   f'{OTHER}:{relay.port} fail_timeout=1h backup']
        with Follower(services, *servers[:1 + backup]) as nginx, \
                load(nginx) as minting:
            minting.wait_for_more(50, 20)
            relay.close()
            time.sleep(1)
            relay.open()
            back = time.monotonic() - minting.start
            time.sleep(2 * slow())
        lost = [when for when, *_ in minting.failures]
        print(f'{len(lost)} failures, the last one '
              f'{max(lost) - back:.2f} s after the end')
        assert lost, 'the outage was seen'
        assert max(lost) < back + slow()


def refused(nginx, count):
    """Mint so many tokens: how often a dead address was tried."""
    since = nginx.mark()
    assert mint(nginx, count) == []
    return nginx.error_log()[since:].count('Connection refused')


def test_backup_is_alive(services, dns):
    """A dead active address is not tried for each request."""
    dns.set(NAME, DEAD)
    dns.set(OTHER, ONE)

    with Follower(services, f'{NAME}:{services.port} fail_timeout=1h',
                  f'{OTHER}:{services.port} fail_timeout=1h backup',
                  keepalive=no_keepalive()) as nginx:
        assert nginx.resolved(ONE)
        assert refused(nginx, 10) == 1

        # the backup fails once: both are tried, and the one that answers is
        # used from then on

        services.all[ONE].faults({'fault': 'reset-before', 'count': 1})
        assert mint(nginx, 1) == [(502, 'unavailable')]
        assert refused(nginx, 1) == 1
        assert refused(nginx, 10) == 0


# TLS sessions


SESSIONS = f'''
    location = /unverified {{
        proxy_pass https://{NAME};
        proxy_ssl_server_name on;
        proxy_ssl_verify off;
    }}
    location = /strange {{ ivschat_token /strange_ca; }}
    location = /strange_ca {{
        internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    strange_params;
    }}
'''


def resumed(services, nginx):
    """Whether the next token goes over a session that was resumed."""
    assert mint(nginx, 1) == []
    return max(services.all[ONE].connections()['connections'],
               key=lambda connection: connection['id'])['resumed']


@pytest.fixture
def sessions(services, dns):
    """An nginx that keeps sessions, and no connections."""
    nginx = Follower(services, keepalive=no_keepalive(), server=SESSIONS)
    text = (nginx.dir / 'ivschat_params').read_text('utf-8')
    nginx.file('strange_params',
               text.replace(services.ca, services.all[SIX].ca))
    with nginx:
        yield nginx


def test_session_is_resumed(services, sessions):
    assert mint(sessions, 1) == []
    assert resumed(services, sessions)


def test_session_of_an_unverified_handshake(services, sessions):
    """It is not kept: here another location does not verify."""
    for first in (True, False):
        ask(sessions.port, request('/unverified', body=None, method='GET'))
        assert resumed(services, sessions) != first


def test_session_of_another_authority(services, sessions):
    """A location resumes its own sessions only."""
    for _ in range(3):
        assert mint(sessions, 3) == []
        assert code(ask(sessions.port, request('/strange'))) == (
            502, 'unavailable')


def test_session_where_nginx_balances(services):
    """What docs/install.md says for it."""
    with Nginx(services, upstream=f'server {ONE}:{services.port};'
               + no_keepalive(), server=SESSIONS.split('location = /strange')[0]
               + 'proxy_ssl_session_reuse off;') as nginx:
        ask(nginx.port, request('/unverified', body=None, method='GET'))
        assert not resumed(services, nginx)
        assert not resumed(services, nginx)
        nginx.check()


# What the server lines say is kept


def test_weights(services, dns):
    """They are kept for a new address, and a literal one beside the name."""
    with Follower(services, f'{NAME}:{services.port} weight=3',
                  f'{TWO}:{services.port}') as nginx:
        assert served(services, nginx, 40) == [30, 10, 0]
        nginx.move(SIX)
        assert served(services, nginx, 40) == [0, 10, 30]


def test_backup(services, dns):
    """It is used by its name, and not when the others are well."""
    dns.set(NAME, DEAD)
    dns.set(OTHER, TWO)
    with Follower(services, f'{NAME}:{services.port} fail_timeout=1h',
                  f'{OTHER}:{services.port} backup') as nginx:
        nginx.resolved(TWO)
        assert served(services, nginx, 10) == [0, 10, 0]
        nginx.move(SIX, name=OTHER)
        nginx.move(ONE)
        assert served(services, nginx, 10) == [10, 0, 0]


def test_literal_addresses_only(services):
    """They need no name server."""
    with Follower(services, f'{ONE}:{services.port}',
                  f'[{SIX}]:{services.port}', resolver='') as nginx:
        assert served(services, nginx, 20) == [10, 0, 10]


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


def test_max_conns(services, dns):
    """It holds while addresses come and go."""
    port, = free_ports(1)
    http = f'''upstream plain {{
        server {OTHER}:{port} max_conns=2;
        ivschat_token_resolve;
    }}'''
    server = 'location = /plain { proxy_pass http://plain; }'
    dns.set(OTHER, ONE)

    with Holding(ONE, port) as one, Holding(TWO, port) as two, Follower(
            services, http=http, server=server) as nginx:
        wait_for(lambda: f'"{OTHER}" in upstream "plain" is resolved to'
                 in nginx.error_log())

        for _ in range(3):
            clients = [Client(nginx.port) for _ in range(6)]
            ask_plain = request('/plain', body=None, method='GET')
            for client in clients[:2]:
                client.send(ask_plain)
            taken = [one.take()]
            nginx.move(ONE, TWO, name=OTHER)
            for client in clients[2:]:
                client.send(ask_plain)
            taken += [one.take(), two.take()]
            assert [*map(len, taken)] == [2, 0, 2]
            nginx.move(ONE, name=OTHER)
            for sock in sum(taken, []):
                sock.recv(65536)
                sock.sendall(b'HTTP/1.0 200 OK\r\n\r\n')
                sock.close()
            assert sorted(client.answer().status for client in clients) == [
                *[200] * 4, *[502] * 2]
        assert nginx.error_log().count('no live upstreams') == 6


# Time


@pytest.mark.parametrize('ttl, seconds, low, high', (
    (0, 4.5, 3, 6), (2, 7.5, 2, 4), (3600, 3, 1, 1)))
def test_queries_are_made_when_the_ttl_says_so(services, dns, ttl, seconds,
                                               low, high):
    dns.set(NAME, ONE, ttl=ttl)
    at = time.monotonic()
    with Follower(services):
        time.sleep(seconds)
        count = dns.count(NAME, since=at)
    assert low <= count <= high
    assert dns.count(NAME, 'AAAA', at) == count


def test_lookup_that_never_ends(services, dns):
    resolver = f'resolver 127.0.0.1:{dns.port}; resolver_timeout 1h;'

    with Follower(services, resolver=resolver, workers=2) as nginx:
        at = time.monotonic()
        dns.fail(NAME, 'timeout')
        wait_for(lambda: dns.count(NAME, since=at) >= 2)
        assert mint(nginx, 5) == []
        services.libc(ONE)
        old = nginx.reload()
        assert wait_for(lambda: not set(old) & set(nginx.children()), 5)
        assert mint(nginx, 5) == []
        assert nginx.quit(5)


def test_requests_end_where_they_are(services, dns):
    """At a reload, and when a new answer comes."""
    with Follower(services) as nginx:
        clients = [Client(nginx.port) for _ in range(5)]
        services.all[ONE].config(latency=1500)
        for client in clients:
            client.send(request())
        wait_for(lambda: services.requests()[0] == 5)
        dns.set(NAME, TWO)
        nginx.reload()
        assert all(is_token(client.answer()) for client in clients)


def test_reloads_under_load(services, dns):
    """The answers change all the time."""
    dns.set(NAME, ONE, ttl=0)
    with Follower(services, workers=2) as nginx, load(nginx) as minting:
        services.libc(ONE)
        for number in range(6):
            dns.set(NAME, (ONE, TWO, SIX)[number % 3], ttl=0)
            nginx.reload()
            minting.wait_for_more(50, 20)
        # A client that connects to a worker which leaves gets no answer,
        # with any nginx.
        lost = [failure for failure in minting.failures
                if not re.search('EOFError|Connection', str(failure))]
        assert not lost, lost[:10]


@pytest.mark.parametrize('path, expected', (('/plain', 200), ('/once', 502)))
def test_address_in_use_is_withdrawn_and_fails(services, dns, path, expected):
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
    dns.set(OTHER, MUTE)
    with socket.create_server((MUTE, port)) as mute, Follower(
            services, http=http, server=server) as nginx:
        nginx.resolved(MUTE)
        with Client(nginx.port) as client:
            client.send(request(path, body=None, method='GET'))
            sock, _ = mute.accept()
            nginx.move(TWO, name=OTHER)
            sock.close()
            assert client.answer().status == expected


# Processes


def test_master_process_off(services, dns):
    """Such an nginx cannot be reloaded at all."""
    with Follower(services, master=False) as nginx:
        nginx.move(TWO)
        assert served(services, nginx, 5) == [0, 5, 0]
        nginx.move(SIX)
        assert served(services, nginx, 5) == [0, 0, 5]


def test_memory(services, dns):
    """It is flat over many new answers in many upstreams."""
    upstreams, rounds = 60, 16
    http = ''.join(f'''
        upstream u{number} {{
            server {OTHER}:{services.port};
            ivschat_token_resolve;
            keepalive 1;
        }}''' for number in range(upstreams))
    dns.set(NAME, ONE, ttl=3600)
    dns.set(OTHER, ONE, ttl=0)
    sizes = []

    with Follower(services, http=http) as nginx:
        with load(nginx, 1):
            for number in range(rounds):
                since = nginx.mark()
                dns.set(OTHER, *[(TWO, SIX), (ONE,)][number % 2], ttl=0)
                wait_for(lambda: nginx.error_log()[since:].count(
                    f'"{OTHER}" in upstream') >= upstreams, 15)
                sizes.append(rss(nginx.worker()))
        assert nginx.error_log().count(
            f'"{OTHER}" in upstream') >= upstreams * rounds * 0.9
        assert max(sizes[4:]) - sizes[3] <= (65536 if sanitized()
                                             else 512), sizes


def test_connections_are_kept(services, dns):
    dns.set(NAME, ONE, TWO)
    before = sum(services.opened().values())
    with Follower(services) as nginx:
        assert mint(nginx, 100, 4) == []
        nginx.move(TWO, SIX)
        assert mint(nginx, 100, 4) == []
        assert sum(services.opened().values()) - before <= 16


@pytest.mark.skipif(not NATIVE, reason='nginx has no "server … resolve"')
def test_what_nginx_has_itself(services, dns):
    """What docs/install.md shows beside ours."""
    with Nginx(services, wrap=services.wrap, http=f'''
            resolver 127.0.0.1:{dns.port};
            resolver_timeout 1s;''', upstream=f'''
            zone   ivschat 64k;
            server {NAME}:{services.port} resolve max_fails=0;
            keepalive 16;''') as nginx:
        for number, address in enumerate((ONE, TWO, SIX)):
            dns.set(NAME, address)

            def arrived():
                services.forget()
                return (not mint(nginx, 5)
                        and services.requests()[number] == 5)

            assert wait_for(arrived, 15), address
        nginx.check()


# Configuration


SERVER = f'server {NAME}:443;'
AFTER = f'{SERVER} keepalive 2; ivschat_token_resolve;'

GOOD = [f'{SERVER} ivschat_token_resolve;',
        f'ivschat_token_resolve; {SERVER} keepalive 2;',
        f'{SERVER} server 127.0.0.1:1 backup; ivschat_token_resolve;',
        *([AFTER] if at_least(1, 29, 7) else [])]

BAD = {
    f'{SERVER} ivschat_token_resolve on;':
    'invalid number of arguments in "ivschat_token_resolve"',
    f'{SERVER} ivschat_token_resolve; ivschat_token_resolve;':
    '"ivschat_token_resolve" directive is duplicate',
    'ivschat_token_resolve;': 'no servers are inside upstream',
    'server 127.0.0.1:1 backup; ivschat_token_resolve;':
    f'no servers in upstream "{NAME}"',
    **{line: 'cannot be used with another load balancing method'
       for method in ('least_conn', 'ip_hash', 'hash $uri', 'random')
       for line in (f'{method}; {SERVER} ivschat_token_resolve;',
                    f'ivschat_token_resolve; {method}; {SERVER}',
                    f'{SERVER} ivschat_token_resolve; {method}; '
                    'keepalive 2;')},
}
if not at_least(1, 29, 7):
    BAD[AFTER] = 'must stand before "keepalive"'
if ZONES:
    BAD.update({line: '"ivschat_token_resolve" cannot be used with "zone"'
                for line in (f'{SERVER} zone z 64k; ivschat_token_resolve;',
                             f'ivschat_token_resolve; {SERVER} zone z 64k;')})
if NATIVE:
    BAD.update({f'server {NAME}:443 resolve; {zone} ivschat_token_resolve;':
                f'cannot be used with "server {NAME}:443 resolve"'
                for zone in ('zone z 64k;', '')})

NONE = 'has no name server to ask'


def try_upstream(services, upstream, http=None):
    """nginx -t, which asks no name server: (exit status, what it says)."""
    if http is None:
        http = f'resolver 127.0.0.1:{services.dns.port};'
    at = time.monotonic()
    found = Nginx(services, upstream=upstream, http=http,
                  wrap=services.wrap).try_configuration()
    assert services.dns.count(NAME, since=at) == 0
    return found


def warnings(said):
    """What it warns of, but for our own line for HTTP/2, which is old."""
    return [line for line in said.splitlines()
            if '[warn]' in line and '... http2' not in line]


@pytest.mark.parametrize('upstream', BAD)
def test_refused(services, upstream):
    status, said = try_upstream(services, upstream)
    assert status != 0 and BAD[upstream] in said


@pytest.mark.parametrize('upstream', GOOD)
def test_accepted(services, upstream):
    status, said = try_upstream(services, upstream)
    assert status == 0 and not warnings(said), said


@pytest.mark.parametrize('line', ('ivschat_token_resolve;',
                                  'server { ivschat_token_resolve; }'))
def test_refused_outside_of_an_upstream(services, line):
    status, said = try_upstream(services, SERVER, line)
    assert status != 0 and 'is not allowed here' in said


@pytest.mark.parametrize('text, message', (
    ('', NONE),
    ('# nameserver 127.0.0.1\n; nameserver 127.0.0.1\n'
     ' nameserver 127.0.0.1\nnameserver\nnameservers 127.0.0.1\n', NONE),
    ('nameserver fe80::1%eth0\n',
     'name server "fe80::1%eth0" in /etc/resolv.conf is skipped'),
    ('nameserver example.com\n',
     'name server "example.com" in /etc/resolv.conf is skipped')))
def test_resolv_conf_without_a_name_server(services, text, message):
    services.resolv_conf(text)
    status, said = try_upstream(services, GOOD[0], '')
    assert status != 0 and message in said and NONE in said


def test_resolv_conf_with_ipv6(services):
    """And without a newline at the end."""
    services.resolv_conf('nameserver ::1')
    status, said = try_upstream(services, GOOD[0], '')
    assert status == 0 and not warnings(said), said


def test_resolv_conf_is_used(services):
    services.resolv_conf('search example\n# ours\nnameserver\t 127.0.53.53  '
                         '# here\noptions ndots:2\n')
    with contextlib.ExitStack() as stack:
        try:
            dns = stack.enter_context(DnsServer('127.0.53.53', 53))
        except OSError as error:
            pytest.skip(f'no name server on port 53: {error}')

        dns.set(NAME, TWO)
        with Follower(services, resolver='') as nginx:
            assert nginx.resolved(TWO)
            assert served(services, nginx, 5) == [0, 5, 0]
            dns.set(NAME, SIX, ONE)
            assert nginx.resolved(SIX, ONE)
