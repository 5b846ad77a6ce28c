"""libcurl on nginx's event loop: what is known to go wrong does not.

C1 … are the rows of a table of such things, which were all seen elsewhere.
"""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from ivschat_testlib import Fakes
from nginx_testlib import (CONTAINER, NO_CREDENTIALS, BlackHole, Client,
                           DeadResolver, Minting, Nginx, alive, ask,
                           blocked_signals, checked, code, container_env,
                           failed_fetches, fds, fetches, imds_env, is_token,
                           request, rss, sanitized, slow, sockets, sts_env,
                           told, wait_for)

ASSUME = ('ivschat_token_credentials assume_role source=env '
          'role=arn:aws:iam::123456789012:role/app;')
LOCATIONS = f'''
    location = /imds {{
        ivschat_token             /ivschat;
        ivschat_token_credentials imds;
    }}

    location = /sts {{
        ivschat_token             /ivschat;
        {ASSUME}
    }}
'''
SIGNALS = pytest.mark.parametrize('how', (signal.SIGHUP, signal.SIGQUIT),
                                  ids=['HUP', 'QUIT'])
# Where a fetch can hang: after the request, or it is never connected.
PLACES = pytest.mark.parametrize('place', ('silent', 'no SYN'))
needs_root = pytest.mark.skipif(os.geteuid() != 0,
                                reason='a name server needs root')


@pytest.fixture(scope='module')
def hole():
    with BlackHole() as hole:
        yield hole


def port_of(url):
    """The port in a URL."""
    return urlsplit(url).port


def all_env(fakes):
    """The environment in which all sources are the fakes."""
    return {**container_env(fakes), **imds_env(fakes), **sts_env(fakes)}


def hanging(fakes, hole, place):
    """(environment, port) of a place where a fetch hangs."""
    if place == 'no SYN':
        return {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                f'http://127.0.0.1:{hole.port}/'}, hole.port
    fakes.faults('container', 'silence', count=None)
    return container_env(fakes), port_of(fakes.container)


def begun(nginx, port):
    """Wait until the worker is connected to a port, or about to be."""
    return wait_for(lambda: sockets(nginx.worker(), port), 5)


def waiting(nginx, count):
    """Clients that wait for credentials."""
    clients = [Client(nginx.port, 30) for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(request(user=f'waits {number}'))
    time.sleep(0.2)
    return clients


def answer_of(client):
    """What a client gets, 'closed' when it is no answer."""
    with client:
        try:
            return told(client.answer())
        except (OSError, EOFError):
            return 'closed'


def seconds_until_gone(pids):
    """How long it takes until processes have ended."""
    start = time.monotonic()
    assert wait_for(lambda: not any(map(alive, pids)), 10)
    return time.monotonic() - start


def check_soon(nginx):
    """It ends immediately, and nothing was wrong with it."""
    start = time.monotonic()
    nginx.check()
    assert time.monotonic() - start < 1 * slow()


# C1 to C4: the end of a worker


@PLACES
@pytest.mark.parametrize('level', ('info', 'debug'))
def test_c1_worker_with_a_fetch_and_no_client_ends_immediately(
        service, fakes, hole, place, level):
    env, port = hanging(fakes, hole, place)
    with Nginx(service, env=env, location=CONTAINER, level=level) as nginx:
        assert begun(nginx, port)
        assert seconds_until_gone(nginx.reload()) < 1 * slow()
        assert begun(nginx, port), 'the new worker takes the fetch over'
        check_soon(nginx)


@SIGNALS
@PLACES
def test_c2_c3_shutdown_timeout_ends_a_worker_with_clients_that_wait(
        service, fakes, hole, place, how):
    env, port = hanging(fakes, hole, place)
    with checked(Nginx(
            service, env=env, main='worker_shutdown_timeout 1s;',
            location=CONTAINER + 'ivschat_token_timeout 20s;')) as nginx:
        assert begun(nginx, port)
        old = nginx.workers()
        clients = waiting(nginx, 3)
        nginx.signal(how)
        assert 0.5 < seconds_until_gone(old) < 2.5 * slow()
        assert set(map(answer_of, clients)) <= {'closed', NO_CREDENTIALS}


@SIGNALS
def test_c4_worker_stays_for_a_client_that_waits(service, fakes, how):
    fakes.faults('container', 'slow-1500')
    with checked(Nginx(service, env=container_env(fakes),
                       location=CONTAINER)) as nginx:
        assert begun(nginx, port_of(fakes.container))
        clients = waiting(nginx, 5)
        nginx.signal(how)
        assert list(map(answer_of, clients)) == ['token'] * 5


def test_c4_deadline_holds_in_a_worker_that_quits(service, fakes):
    fakes.faults('container', 'silence', count=None)
    with checked(Nginx(
            service, env=container_env(fakes),
            location=CONTAINER + 'ivschat_token_timeout 2s;')) as nginx:
        assert begun(nginx, port_of(fakes.container))
        clients = waiting(nginx, 5)
        nginx.signal(signal.SIGQUIT)
        assert list(map(answer_of, clients)) == [(504, 'timeout')] * 5


@pytest.mark.parametrize('reload', (False, True), ids=['quit', 'reload'])
def test_c1_worker_ends_right_after_a_fetch(service, fakes, reload):
    with checked(Nginx(service, env=container_env(fakes),
                       location=CONTAINER)) as nginx:
        if reload:
            assert wait_for(lambda: 'access key "…' in nginx.error_log())
            nginx.reload()
        else:
            assert told(ask(nginx.port, request())) == 'token'


# What is left after fetches


@pytest.mark.parametrize('fault', ('http10', 'stale-0', 'stale-100', 'chunked',
                                   'redirect', 'stale-next'))
def test_c9_no_connection_is_left_when_the_source_closes_first(service, fakes,
                                                               fault):
    for source in ('container', 'imds', 'sts'):
        fakes.faults(source, fault, count=None)
    with checked(Nginx(service, env=all_env(fakes), location=CONTAINER,
                       server=LOCATIONS)) as nginx:
        for target in ('/token', '/imds', '/sts'):
            ask(nginx.port, request(target))
        time.sleep(0.4)
        ports = map(port_of, (fakes.container, fakes.imds, fakes.sts))
        assert {port for port, _ in sockets(nginx.worker())
                }.isdisjoint(ports)


ROLE_OF = ('location = /s%d { ivschat_token /ivschat; '
           'ivschat_token_credentials assume_role source=imds '
           'role=arn:aws:iam::123456789012:role/app session_name=s%d; }\n')


def test_many_fetches_leave_no_files_and_no_memory(service, fakes):
    def wait_until(count):
        assert wait_for(lambda: fetches(fakes, 'sts', 'AssumeRole') >= count,
                        30)

    fakes.config(lifetime=2, token_length=64)
    with checked(Nginx(service, env=all_env(fakes), level='warn',
                       server=''.join(ROLE_OF % (number, number)
                                      for number in range(20)))) as nginx:
        worker = nginx.worker()
        wait_until(60)
        memory = rss(worker)
        files = min(fds(worker) for _ in range(200))
        wait_until(300)             # of four steps each
        # how many fetches are under way differs from one moment to the next
        assert wait_for(lambda: fds(worker) <= files + 2)
        # freed memory stays in quarantine with AddressSanitizer
        assert rss(worker) - memory <= (400 * 1024 if sanitized() else 1024)


# C7, C8: names


@needs_root
@pytest.mark.parametrize('how', (signal.SIGHUP, signal.SIGQUIT,
                                 signal.SIGTERM), ids=['HUP', 'QUIT', 'TERM'])
def test_c7_c8_c20_lookup_hangs_while_the_worker_is_to_end(service, fakes,
                                                           how):
    env = {**sts_env(fakes), 'AWS_ENDPOINT_URL_STS':
           f'https://sts.test.example:{fakes.port}/'}
    with DeadResolver() as resolver, \
            Nginx(service, env=env, location=ASSUME,
                  wrap=resolver.wrap) as nginx:
        worker = nginx.worker()
        assert wait_for(resolver.asked)
        masks = blocked_signals(worker)
        del masks[worker]
        # all but those that cannot be blocked, or are glibc's own
        wanted = ((1 << 64) - 1) & ~sum(
            1 << number - 1 for number in
            (signal.SIGKILL, signal.SIGSTOP, 32, 33))
        assert masks, 'the resolver has a thread'
        assert {mask & wanted for mask in masks.values()} == {wanted}
        # and the worker itself none, as soon as it has started that thread
        assert wait_for(lambda: not blocked_signals(worker)[worker] & wanted)
        nginx.signal(how)
        assert seconds_until_gone([worker]) < 1 * slow()
        check_soon(nginx)


# C11: sockets that libcurl closes without a word


@needs_root
@pytest.mark.parametrize('refuses', (True, False), ids=['refuses', 'no SYN'])
def test_c11_ipv4_is_used_when_ipv6_fails(service, refuses):
    """The first socket is dropped, and the second one may get its number.

    libcurl 7.88 does not go on in time to a second address of one family, so
    that is not looked at here.
    """
    host = 'sts.test.example'
    with Fakes(service, args=['--san', host]) as fakes, \
            (contextlib.nullcontext() if refuses
             else BlackHole('::1', fakes.port)), \
            DeadResolver(f'::1 {host}\n127.0.0.1 {host}\n') as resolver, \
            checked(Nginx(service, location=ASSUME, wrap=resolver.wrap,
                          env={**sts_env(fakes), 'AWS_ENDPOINT_URL_STS':
                               f'https://{host}:{fakes.port}/'})) as nginx:
        start = time.monotonic()
        assert told(ask(nginx.port, request())) == 'token'
        assert time.monotonic() - start < 1 * slow()


# C13: no connections left


def is_token_or_none(nginx):
    """Whether a token is minted; connections may be scarce."""
    try:
        return is_token(ask(nginx.port, request()))
    except (OSError, EOFError):
        return False


def test_c13_worker_connections_are_all_in_use(service, fakes):
    fakes.config(lifetime=8)
    with checked(Nginx(service, env=container_env(fakes), location=CONTAINER,
                       connections=16),
                 allow='worker_connections are not enough') as nginx:
        assert told(ask(nginx.port, request())) == 'token'
        worker = nginx.worker()
        clients = []
        for _ in range(40):
            client = Client(nginx.port)
            client.send(request(body=b'x', length=100))
            clients.append(client)
            time.sleep(0.02)           # until it can not be closed for others
        count = len(failed_fetches(nginx))
        assert wait_for(lambda: len(failed_fetches(nginx)) > count, 20)
        for client in clients:
            client.close()
        fakes.config(lifetime=None)
        assert wait_for(lambda: is_token_or_none(nginx), 20)
        assert nginx.workers() == [worker]
        assert wait_for(lambda: not sockets(worker, port_of(fakes.container)))


# Where requests go


def test_certificates_of_sts_that_are_not_good(service):
    with Fakes(service, args=['--bad-tls']) as fakes:
        cases = [(f'https://localhost:{port}/', fakes.sts_ca)
                 for port in fakes.bad_tls.values()]
        cases.append((fakes.sts, '/etc/ssl/certs/ca-certificates.crt'))
        for url, bundle in cases:
            with checked(Nginx(service, location=ASSUME, env={
                    **sts_env(fakes), 'AWS_ENDPOINT_URL_STS': url,
                    'AWS_CA_BUNDLE': bundle})) as nginx:
                assert wait_for(lambda: failed_fetches(nginx))
                line = failed_fetches(nginx)[0]
                assert 'AWS STS' in line
                assert re.search('certificate|SSL peer', line)
                assert code(ask(nginx.port, request())) == NO_CREDENTIALS
        assert fakes.counters()['sts'].get('issued', 0) == 0
        assert fakes.requests(source='sts') == []


class Recorder:
    """A port that notes connections."""

    def __init__(self):
        self._server = socket.create_server(('127.0.0.1', 0), backlog=50)
        self.url = 'http://127.0.0.1:%d' % self._server.getsockname()[1]
        self.seen = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            sock, address = self._server.accept()
            self.seen.append(address)
            sock.close()


def test_no_proxy_and_no_netrc_of_the_environment_is_used(service, fakes,
                                                          tmp_path):
    recorder = Recorder()
    for name in ('.netrc', '_netrc'):
        (tmp_path / name).write_text('machine 127.0.0.1 login u password p\n'
                                     'default login u password p\n')
    (tmp_path / '.curlrc').write_text(f'proxy = {recorder.url}\n')
    env = dict.fromkeys(('http_proxy', 'https_proxy', 'all_proxy',
                         'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'),
                        recorder.url)
    env.update({'NO_PROXY': 'nothing.example', 'no_proxy': 'nothing.example',
                'HOME': str(tmp_path), 'NETRC': str(tmp_path / '.netrc'),
                'CURL_HOME': str(tmp_path)})

    with checked(Nginx(service, env={**env, **all_env(fakes)},
                       main=''.join(f'env {name};\n' for name in env),
                       location=CONTAINER, server=LOCATIONS)) as nginx:
        for target in ('/token', '/imds', '/sts'):
            assert told(ask(nginx.port, request(target))) == 'token', target
        assert recorder.seen == []
        seen = {record['source']: {name.lower(): value for name, value
                                   in record['headers']}
                for record in fakes.requests()}
        assert seen['container']['authorization'] == 'pod+identity/token=='
        assert 'authorization' not in seen['imds']
        assert seen['sts']['authorization'].startswith('AWS4-')


def test_c14_debug_log_of_all_sources_has_no_secrets(service, fakes):
    fakes.config(lifetime=4)
    with checked(Nginx(service, env=all_env(fakes), level='debug', workers=2,
                       location=CONTAINER, server=LOCATIONS)) as nginx, \
            Minting(nginx, ('/token', '/imds', '/sts'), clients=3,
                    pause=0.1) as minting:
        time.sleep(3)
        nginx.reload()
        time.sleep(2)
        minting.stop()
        assert minting.failures == []
        assert minting.count > 20 / slow()
        log = nginx.error_log()
        ours = '\n'.join(line for line in log.splitlines()
                         if 'ivschat' in line and 'token credentials' in line)
        assert '[debug]' in log
        issued = fakes.issued()
        assert issued
        for known in issued:
            assert known['secret'] not in log
            assert known['token'] not in ours
