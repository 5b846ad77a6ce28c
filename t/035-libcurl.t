#!/usr/bin/python3
"""libcurl on nginx's event loop: what is known to go wrong does not.

C1 … are the rows of a table of such things, which were all seen elsewhere.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from ivschat_testlib import Service, Tap
from nginx_testlib import (BlackHole, Client, DeadResolver, Minting, Nginx,
                           alive, ask, attempt, blocked_signals, bounded,
                           code, container_env, fds, fetches, imds_env,
                           in_parallel, is_token, request, rss, sanitized,
                           slow, sockets, sts_env, wait_for)

tap = Tap()

CONTAINER = 'ivschat_token_credentials container;'
TIMEOUT = 'ivschat_token_timeout 20s;'
SHUTDOWN = 'worker_shutdown_timeout 1s;'
ASSUME = ('ivschat_token_credentials assume_role source=env '
          'role=arn:aws:iam::123456789012:role/app')
NO_CREDENTIALS = (503, 'no_credentials')


def port_of(url):
    """The port in a URL."""
    return int(url.rpartition(':')[2].rstrip('/'))


def failures(nginx):
    """The lines of failed fetches."""
    return [line for line in nginx.error_log().splitlines()
            if 'no AWS credentials could be fetched' in line]


def begun(nginx, port, seconds=5):
    """Wait until the worker is connected to a port, or about to be."""
    return wait_for(lambda: sockets(nginx.worker(), port), seconds)


def waiting(nginx, count=1):
    """Clients who wait for credentials."""
    clients = [Client(nginx.port, 30) for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(request(user=f'waits {number}'))
    time.sleep(0.2)
    return clients


def answer_of(client):
    """What a client gets: (status, code), 'token', or 'closed'."""
    try:
        answer = client.answer()
    except (OSError, EOFError):
        return 'closed'
    finally:
        client.close()
    return 'token' if is_token(answer) else code(answer)


def gone(pids, seconds):
    """How long it takes until processes have ended, None: too long."""
    start = time.monotonic()
    if wait_for(lambda: not any(map(alive, pids)), seconds):
        return round(time.monotonic() - start, 2)
    return None


# C1 to C4: the end of a worker


class Place:
    """A place where a fetch can hang: (environment, port)."""

    def __init__(self, name, env, port, prepare=lambda: None):
        self.name, self.env, self.port = name, env, port
        self.prepare = prepare


def places(fakes, hole):
    """Silent after the request, or never connected."""
    silent = Place('a silent endpoint', container_env(fakes),
                   port_of(fakes.container),
                   lambda: fakes.faults('container', 'silence', count=None))
    connecting = Place('an endpoint that answers no SYN',
                       {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                        f'http://127.0.0.1:{hole.port}/'}, hole.port)
    return silent, connecting


def nobody_waits(service, fakes, place):
    """A worker with a fetch in flight, and no client: it ends at once."""
    for level in ('info', 'debug'):
        place.prepare()
        name = f'C1, {place.name}, log level {level}'
        with Nginx(service, env=place.env, location=CONTAINER,
                   level=level) as nginx:
            tap.ok(begun(nginx, place.port), f'{name}: a fetch is in flight')
            old = nginx.reload()
            took = gone(old, 5)
            tap.ok(took is not None and took < 1 * slow(),
                   f'{name}: a reload ends the old worker at once', took)
            tap.ok(begun(nginx, place.port),
                   f'{name}: the new worker takes the fetch over')
            start = time.monotonic()
            nginx.check(tap, f'{name}: a quit with the fetch in flight')
            took = time.monotonic() - start
            tap.ok(took < 1 * slow(), f'{name}: at once', took)
        fakes.clear_faults()


def somebody_waits(service, fakes, place):
    """worker_shutdown_timeout, with a client who waits for the fetch."""
    for how in (signal.SIGHUP, signal.SIGQUIT):
        place.prepare()
        name = f'C2, C3, {place.name}, {how.name}'
        with Nginx(service, env=place.env, location=CONTAINER + TIMEOUT,
                   main=SHUTDOWN) as nginx:
            begun(nginx, place.port)
            old = nginx.workers()
            clients = waiting(nginx, 3)
            nginx.signal(how)
            took = gone(old, 4)
            tap.ok(took is not None and 0.5 < took < 2.5 * slow(),
                   f'{name}: the shutdown timeout ends the worker', took)
            answers = [answer_of(client) for client in clients]
            tap.ok(set(answers) <= {'closed', NO_CREDENTIALS},
                   f'{name}: and with it the connections of its clients',
                   answers)
            nginx.check(tap, f'{name}: no crash')
        fakes.clear_faults()


def client_is_answered(service, fakes):
    """C4: the old worker stays for the client who waits."""
    for how in (signal.SIGHUP, signal.SIGQUIT):
        name = f'C4, {how.name} while a client waits for credentials'
        fakes.faults('container', 'slow-1500')
        with Nginx(service, env=container_env(fakes),
                   location=CONTAINER) as nginx:
            begun(nginx, port_of(fakes.container))
            clients = waiting(nginx, 5)
            nginx.signal(how)
            answers = [answer_of(client) for client in clients]
            tap.equal(answers, ['token'] * 5, f'{name}: it gets its token')
            nginx.check(tap, name)
        fakes.clear_faults()

    name = 'C4, a quit while a client waits, and the fetch fails'
    fakes.faults('container', 'silence', count=None)
    with Nginx(service, env=container_env(fakes), location=CONTAINER
               + 'ivschat_token_timeout 2s;') as nginx:
        begun(nginx, port_of(fakes.container))
        clients = waiting(nginx, 5)
        nginx.signal(signal.SIGQUIT)
        answers = [answer_of(client) for client in clients]
        tap.equal(answers, [(504, 'timeout')] * 5,
                  f'{name}: the deadline holds')
        nginx.check(tap, name)
    fakes.clear_faults()

    with Nginx(service, env=container_env(fakes),
               location=CONTAINER) as nginx:
        tap.ok(is_token(ask(nginx.port, request())), 'a fetch is done')
        nginx.check(tap, 'C1: a quit right after it')
    with Nginx(service, env=container_env(fakes),
               location=CONTAINER) as nginx:
        wait_for(lambda: 'access key "…' in nginx.error_log())
        nginx.reload()
        nginx.check(tap, 'C1: a reload right after it')


# C9, and what is left after many fetches


def close_wait(service, fakes):
    """C9: the server closes first, in all ways."""
    names = ('http10', 'stale-0', 'stale-100', 'chunked', 'redirect',
             'stale-next')
    ports = [port_of(fakes.container), port_of(fakes.imds),
             port_of(fakes.sts)]

    for name in names:
        for source in ('container', 'imds', 'sts'):
            fakes.faults(source, name, count=None)
        with Nginx(service, env={**sts_env(fakes), **container_env(fakes),
                                 **imds_env(fakes)},
                   location=CONTAINER, server=LOCATIONS) as nginx:
            for target in ('/token', '/imds', '/sts'):
                ask(nginx.port, request(target))
            time.sleep(0.4)
            left = [found for found in sockets(nginx.worker())
                    if found[0] in ports]
            tap.ok(not left, f'C9, {name}: no connection is left to the '
                             'sources, in CLOSE_WAIT or else', left)
            nginx.check(tap, f'C9, {name}')
        fakes.clear_faults()


LOCATIONS = f'''
    location = /imds {{
        ivschat_token             /ivschat;
        ivschat_token_credentials imds;
    }}

    location = /sts {{
        ivschat_token             /ivschat;
        {ASSUME};
    }}
'''

SLOTS = 20
ROLE_OF = ('location = /s%d { ivschat_token /ivschat; '
           'ivschat_token_credentials assume_role source=imds '
           'role=arn:aws:iam::123456789012:role/app session_name=s%d; }\n')


def many_fetches(service, fakes):
    """Files and memory after hundreds of fetches, of four steps each."""
    fakes.config(lifetime=2, token_length=64)
    name = 'fetches, by IMDS and STS'
    with Nginx(service, env={**sts_env(fakes), **imds_env(fakes)},
               level='warn',
               server=''.join(ROLE_OF % (number, number)
                              for number in range(SLOTS))) as nginx:
        worker = nginx.worker()

        def wait_until(count):
            wait_for(lambda: fetches(fakes, 'sts', 'AssumeRole') >= count,
                     30)

        wait_until(60)
        memory = rss(worker)
        files = min(fds(worker) for _ in range(200))
        wait_until(300)
        # how many fetches are under way differs from one moment to the next
        fewer = wait_for(lambda: fds(worker) <= files + 2)
        grown = rss(worker) - memory
        count = fetches(fakes, 'sts', 'AssumeRole')
        tap.ok(count >= 300, f'{count} {name}')
        tap.ok(fewer, f'{count} {name}: no more files', files, fds(worker))
        # freed memory stays in quarantine with AddressSanitizer
        bound = 400 * 1024 if sanitized() else 1024
        tap.ok(grown <= bound, f'{count} {name}: no more than {bound} kB of '
                               f'memory ({grown})')
        nginx.check(tap, f'{count} {name}')
    fakes.config(lifetime=None)


# C7, C8: names


def resolver_threads(service, fakes):
    """C8, and a worker that is to end while a lookup hangs (C7, C20)."""
    env = {**sts_env(fakes), 'AWS_ENDPOINT_URL_STS':
           f'https://sts.test.example:{fakes.port}/'}

    for how in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        with DeadResolver() as resolver, \
                Nginx(service, env=env, location=ASSUME + ';',
                      wrap=resolver.wrap) as nginx:
            worker = nginx.worker()
            name = f'C7, {how.name} while a lookup hangs'
            tap.ok(wait_for(resolver.asked), f'{name}: it does')
            masks = blocked_signals(worker)
            others = {tid: mask for tid, mask in masks.items()
                      if tid != worker}
            # all but those that cannot be blocked, or are glibc's own
            wanted = ((1 << 64) - 1) & ~sum(
                1 << number - 1 for number in
                (signal.SIGKILL, signal.SIGSTOP, 32, 33))
            tap.ok(others and all(mask & wanted == wanted
                                  for mask in others.values()),
                   'C8: the resolver\'s thread has all signals blocked',
                   {tid: hex(mask) for tid, mask in masks.items()})
            # as soon as it has started that thread
            tap.ok(wait_for(lambda: not blocked_signals(worker)[worker]
                            & wanted), 'C8: and the worker itself none',
                   hex(blocked_signals(worker)[worker]))
            nginx.signal(how)
            took = gone([worker], 10)
            tap.ok(took is not None and took < 1 * slow(),
                   f'{name}: the worker ends at once', took)
            start = time.monotonic()
            nginx.check(tap, name)
            took = time.monotonic() - start
            tap.ok(took < 1 * slow(), f'{name}: and the next one', took)


# C11: sockets that libcurl closes without a word


def second_address(service):
    """IPv6 answers no SYN, or refuses, and IPv4 works: the first socket is
    dropped, and the second one may get its number.

    libcurl 7.88 does not go on in time to a second address of one family, so
    that is not looked at here.
    """
    host = 'sts.test.example'
    with Fakes(service, args=['--san', host]) as fakes:
        holes = {'IPv6 refuses': contextlib.nullcontext,
                 'IPv6 answers no SYN': lambda: BlackHole('::1', fakes.port)}
        for name, hole in holes.items():
            name = f'C11, {name}'
            with hole(), DeadResolver(f'::1 {host}\n127.0.0.1 {host}\n'
                                      ) as resolver, \
                    Nginx(service, location=ASSUME + ';', wrap=resolver.wrap,
                          env={**sts_env(fakes), 'AWS_ENDPOINT_URL_STS':
                               f'https://{host}:{fakes.port}/'}) as nginx:
                start = time.monotonic()
                answer = ask(nginx.port, request())
                took = time.monotonic() - start
                tap.ok(is_token(answer), f'{name}: IPv4 is used',
                       code(answer), *failures(nginx))
                tap.ok(took < 1 * slow(), f'{name}: soon', took)
                nginx.check(tap, name)


# C13: no connections left


def exhausted(service, fakes):
    """worker_connections are all in use when credentials are fetched."""
    fakes.config(lifetime=8)
    with Nginx(service, env=container_env(fakes), location=CONTAINER,
               level='info') as nginx:
        # the last worker_connections counts
        nginx.configure(events='')
        text = (nginx.dir / 'nginx.conf').read_text('utf-8')
        (nginx.dir / 'nginx.conf').write_text(
            text.replace('worker_connections 1000', 'worker_connections 16'),
            'utf-8')
        old = nginx.reload()
        wait_for(lambda: not any(map(alive, old)))
        tap.ok(is_token(ask(nginx.port, request())),
               'C13, 16 connections: a token')
        worker = nginx.worker()
        clients = []
        for _ in range(40):
            client = socket.create_connection(('127.0.0.1', nginx.port), 5)
            client.sendall(request(body=b'x', length=100))
            clients.append(client)
            time.sleep(0.02)           # until it can not be closed for others
        count = len(failures(nginx))
        failed = wait_for(lambda: len(failures(nginx)) > count, 20)
        tap.ok(failed, 'C13, none of them is left: the fetch fails',
               nginx.error_log()[-2000:])
        for client in clients:
            client.close()
        fakes.config(lifetime=None)
        tap.ok(wait_for(lambda: is_token_or_none(nginx), 20),
               'C13: and tokens again when there are some')
        tap.equal(nginx.workers(), [worker], 'C13: by the same worker')
        tap.ok(wait_for(lambda: not sockets(worker,
                                            port_of(fakes.container))),
               'C13: no connection is left behind')
        nginx.check(tap, 'C13', allow='worker_connections are not enough')


def is_token_or_none(nginx):
    """Whether a token is minted; connections may be scarce."""
    try:
        return is_token(ask(nginx.port, request()))
    except (OSError, EOFError):
        return False


# Where requests go


def certificates(service):
    """STS with a certificate that is not good."""
    with Fakes(service, args=['--bad-tls']) as fakes:
        cases = [(name, f'https://localhost:{port}/', fakes.sts_ca)
                 for name, port in fakes.bad_tls.items()]
        cases.append(('another CA', fakes.sts,
                      '/etc/ssl/certs/ca-certificates.crt'))
        for name, url, bundle in cases:
            with Nginx(service, location=ASSUME + ';', env={
                    **sts_env(fakes), 'AWS_ENDPOINT_URL_STS': url,
                    'AWS_CA_BUNDLE': bundle}) as nginx:
                tap.ok(wait_for(lambda: failures(nginx)),
                       f'TLS, {name}: the fetch fails')
                line = (failures(nginx) or [''])[0]
                tap.ok('AWS STS' in line and re.search(
                    'certificate|SSL peer', line),
                    f'TLS, {name}: and the log says why', line)
                tap.equal(code(ask(nginx.port, request())), NO_CREDENTIALS,
                          f'TLS, {name}: 503')
                nginx.check(tap, f'TLS, {name}')
        tap.equal([fakes.counters()['sts'].get('issued', 0),
                   len(fakes.requests(source='sts'))], [0, 0],
                  'TLS: no request was sent over such a connection')


class Recorder:
    """A port that notes who comes."""

    def __init__(self):
        self._server = socket.create_server(('127.0.0.1', 0), backlog=50)
        self.port = self._server.getsockname()[1]
        self.seen = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            sock.settimeout(0.5)
            try:
                self.seen.append(sock.recv(4096))
            except OSError as error:
                self.seen.append(repr(error))
            sock.close()


def proxies(service, fakes):
    """No proxy, and no .netrc, whatever the environment says."""
    recorder = Recorder()
    home = pathlib.Path(fakes.dir) / 'home'
    home.mkdir(exist_ok=True)
    for name in ('.netrc', '_netrc'):
        (home / name).write_text('machine 127.0.0.1 login u password p\n'
                                 'default login u password p\n')
    (home / '.curlrc').write_text(
        f'proxy = http://127.0.0.1:{recorder.port}\n')
    proxy = f'http://127.0.0.1:{recorder.port}'
    env = {name: proxy for name in (
        'http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY',
        'HTTPS_PROXY', 'ALL_PROXY')}
    env.update({'NO_PROXY': 'nothing.example', 'no_proxy': 'nothing.example',
                'HOME': str(home), 'NETRC': str(home / '.netrc'),
                'CURL_HOME': str(home)})
    fakes.forget()

    with Nginx(service, env={**env, **container_env(fakes),
                             **imds_env(fakes), **sts_env(fakes)},
               main=''.join(f'env {name};\n' for name in env),
               location=CONTAINER, server=LOCATIONS) as nginx:
        answers = [ask(nginx.port, request(target))
                   for target in ('/token', '/imds', '/sts')]
        tap.ok(all(map(is_token, answers)),
               'with proxies in the environment: tokens from all sources')
        tap.equal(recorder.seen, [],
                  'with proxies in the environment: they are not asked')
        seen = {record['source']: dict(
            (name.lower(), value) for name, value in record['headers'])
            for record in fakes.requests()}
        tap.equal(seen['container'].get('authorization'),
                  'pod+identity/token==', '~/.netrc: not used for the '
                                          'container endpoint')
        tap.ok('authorization' not in seen['imds']
               and seen['sts']['authorization'].startswith('AWS4-'),
               '~/.netrc: nor for the others', seen)
        nginx.check(tap, 'proxies')


def debug_log(service, fakes):
    """C14: all sources, with the debug log."""
    fakes.config(lifetime=4)
    with Nginx(service, env={**container_env(fakes), **imds_env(fakes),
                             **sts_env(fakes)}, level='debug', workers=2,
               location=CONTAINER, server=LOCATIONS) as nginx, \
            Minting(nginx, ('/token', '/imds', '/sts'), clients=3,
                    pause=0.1) as minting:
        time.sleep(3)
        nginx.reload()
        time.sleep(2)
        minting.stop()
        tap.ok(not minting.failures and minting.count > 20 / slow(),
               f'C14, debug log: {minting.count} mints',
               *minting.failures[:5])
        tap.ok('[debug]' in nginx.error_log(), 'C14: it is there')
        secrets = [known[field] for known in fakes.issued()
                   for field in ('secret', 'token')]
        log = '\n'.join(line for line in nginx.error_log().splitlines()
                        if 'ivschat' in line and 'token credentials' in line)
        tap.ok(secrets and not any(secret in log for secret in secrets),
               'C14: and shows no secret')
        secret = [known['secret'] for known in fakes.issued()]
        tap.ok(not any(text in nginx.error_log() for text in secret),
               'C14: no secret key anywhere in it')
        nginx.check(tap, 'C14, debug log')
    fakes.config(lifetime=None)


def main():
    """Each part has an nginx of its own."""
    bounded(200)
    only = sys.argv[1:]
    with Service(args=['--rate', 'off']) as service, \
            Fakes(service) as fakes, BlackHole() as hole:
        parts = [(part, service, fakes, place)
                 for place in places(fakes, hole)
                 for part in (nobody_waits, somebody_waits)]
        parts += [(client_is_answered, service, fakes),
                  (close_wait, service, fakes),
                  (resolver_threads, service, fakes),
                  (second_address, service),
                  (exhausted, service, fakes), (certificates, service),
                  (proxies, service, fakes), (debug_log, service, fakes),
                  (many_fetches, service, fakes)]
        for part in parts:
            if not only or part[0].__name__ in only:
                fakes.forget()
                attempt(tap, *part)

    tap.done()


main()
