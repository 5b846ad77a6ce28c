#!/usr/bin/python3
"""Sources of credentials that fail, in every way, one after the other.

Several nginx at once, since each fault has to wait for the next refresh: all
mint all the time, and another location of each is asked without pause.
"""

import contextlib
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from ivschat_testlib import Service, Tap
from nginx_testlib import (DeadResolver, Minting, Nginx, Probing, ask, attempt,
                           bounded, code, container_env, imds_env, is_token,
                           request, slow, sts_env)

LIFETIME = 20
LONG = 60                              # a fetch that is given up takes 16 s
NO_CREDENTIALS = (503, 'no_credentials')
NAMES = {'imds': 'imds', 'container': 'container', 'sts': 'assume_role'}
ROLE = 'arn:aws:iam::123456789012:role/app'
SERVER = f'''
    location = /imds {{
        ivschat_token             /ivschat;
        ivschat_token_credentials imds;
    }}

    location = /container {{
        ivschat_token             /ivschat;
        ivschat_token_credentials container;
    }}

    location = /sts {{
        ivschat_token             /ivschat;
        ivschat_token_credentials assume_role source=env role={ROLE};
    }}

    location = /short {{
        ivschat_token             /ivschat;
        ivschat_token_credentials assume_role source=env role={ROLE};
        ivschat_token_timeout     1500ms;
    }}
'''

# What an operator finds in the log: the fault, its step, words of the line.

DOWN = 'connect to server'
TIMEOUT = 'imed out after'
CUT = 'returned nothing|Empty reply|reset|receiving data'
FAULTS = {
    'imds': [
        ('down', None, DOWN),
        ('silence', 'token', TIMEOUT + '.*HttpPutResponseHopLimit'),
        ('silence', 'credentials', TIMEOUT),
        ('drip-100', None, TIMEOUT),
        ('refuse', None, CUT),
        ('reset', None, CUT),
        ('truncated', None, 'transfer closed|partial'),
        ('status-500', None, 'it answered 500'),
        ('status-429', 'token', 'it answered 429'),
        ('status-403', 'token', 'it answered 403.*switched off'),
        ('status-404', 'role', 'it answered 404.*no IAM role'),
        ('unauthorized', None, 'it answered 401'),
        ('redirect', None, 'it answered 302'),
        ('html', 'token', 'token is malformed'),
        ('html', 'credentials', 'JSON'),
        ('half', 'credentials', 'JSON'),
        ('empty', 'credentials', 'empty|JSON'),
        ('big-200000', 'credentials', 'too large'),
        ('expired', None, 'expired'),
        ('wrongtypes', None, '"?AccessKeyId'),
        ('missing-Token', None, '"?Token'),
        ('code-failed', None, 'AssumeRoleUnauthorizedAccess'),
    ],
    'container': [
        ('silence', None, TIMEOUT),
        ('down', None, DOWN),
        ('refuse', None, CUT),
        ('reset-body', None, 'receiving data|reset'),
        ('status-500', None, 'it answered 500'),
        ('status-429', None, 'it answered 429'),
        ('status-403', None, 'it answered 403.*authorization token'),
        ('status-404', None, 'it answered 404'),
        ('unauthorized', None, 'it answered 401.*authorization token'),
        ('redirect', None, 'it answered 302'),
        ('html', None, 'JSON'),
        ('half', None, 'JSON'),
        ('empty', None, 'empty|JSON'),
        ('big-200000', None, 'too large'),
        ('expired', None, 'expired'),
        ('wrongtypes', None, '"?AccessKeyId'),
        ('missing-SecretAccessKey', None, '"?SecretAccessKey'),
    ],
    'sts': [
        ('drip-300', None, TIMEOUT),
        ('down', None, DOWN),
        ('refuse', None, 'SSL|TLS|reset'),
        ('reset', None, CUT + '|SSL'),
        ('status-500', None, 'it answered 500'),
        ('throttling', None, 'it answered 400 Throttling'),
        ('error-403-AccessDenied', None, f'403 AccessDenied.*{ROLE}.*trust'),
        ('status-404', None, 'it answered 404'),
        ('redirect', None, 'it answered 302'),
        ('html', None, 'XML or HTML, not JSON'),
        ('half', None, 'not JSON'),
        ('empty', None, 'empty'),
        ('big-200000', None, 'too large'),
        ('expired', None, 'expired'),
        ('wrongtypes', None, '"AccessKeyId" of the answer is not a string'),
        ('missing-SessionToken', None, '"SessionToken"'),
        ('xml', None, 'XML or HTML, not JSON'),
        ('doctype', None, 'XML or HTML, not JSON'),
    ],
}
LANES = 6


class LockedTap(Tap):
    """For several threads."""

    lock = threading.RLock()

    def ok(self, *arguments):
        """One test."""
        with self.lock:
            return super().ok(*arguments)


tap = LockedTap()


def wait_for(condition, seconds):
    """As the library's, without haste: many wait at once."""
    deadline = time.monotonic() + seconds * slow()
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.1)


def lines_of(nginx, source, text='no AWS credentials could be fetched'):
    """The lines of a source's failed fetches, or its other ones."""
    return [line for line in nginx.error_log().splitlines()
            if f'{text} from "{NAMES[source]}"' in line]


def notices(nginx, source):
    """The lines of new credentials of a source."""
    return lines_of(nginx, source, 'AWS credentials')


def order(fakes, source, fault, step):
    """From now on, it fails."""
    if fault == 'down':
        fakes.config(**{source: {'down': True}})
    else:
        fakes.faults(source, fault, count=None,
                     **({'step': step} if step else {}))


def heal(fakes, source):
    """And now it does not."""
    fakes.clear_faults(source)
    fakes.config(**{source: {'down': False}})


def describe(source, fault, step):
    """The name of a case."""
    return f'{source}, {fault}' + (f' at {step}' if step else '')


def start(service, fakes, **options):
    """An nginx with all three sources."""
    return Nginx(service, env={**imds_env(fakes), **container_env(fakes),
                               **sts_env(fakes)},
                 server=SERVER, **options)


# With good credentials in hand


def share(source, number):
    """A lane's part; the first one of two sources takes a lane's time."""
    faults = FAULTS[source]
    if source == 'imds':
        return faults[number::LANES]
    return faults[:1] if number == 0 else faults[number::LANES - 1]


class Lane:
    """One nginx, one set of fakes, and a part of the faults."""

    def __init__(self, number, service):
        self.number = number
        self.fakes = Fakes(service, dir=pathlib.Path(service.dir)
                           / f'fakes{number}')
        self.service = service
        self.nginx = self.minting = None
        self.cases = {source: share(source, number) for source in FAULTS}

    def __enter__(self):
        self.fakes.__enter__()
        try:
            self.configure()
            self.nginx = start(self.service, self.fakes)
            self.nginx.__enter__()
        except BaseException:
            self.fakes.__exit__()
            raise
        self.minting = Minting(self.nginx, ('/imds', '/container', '/sts'),
                               clients=3, pause=0.1, name=f'l{self.number}.')
        return self

    def __exit__(self, *_exception):
        self.nginx.__exit__()
        self.fakes.__exit__()

    def configure(self):
        """The faults of time, which are the first lane's first ones, need
        credentials that live longer than a fetch takes.
        """
        long = {'lifetime': LONG if self.number == 0 else LIFETIME}
        self.fakes.config(imds={'lifetime': LIFETIME}, container=long,
                          sts=long, token_length=64)

    def run(self):
        """All sources at once; then what has to hold for all of it."""
        with self.minting:
            threads = [threading.Thread(target=self.run_source,
                                        args=(source,), daemon=True)
                       for source in self.cases]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        tap.ok(not self.minting.failures,
               f'lane {self.number}: {self.minting.count} mints go on, with '
               'the credentials at hand', *self.minting.failures[:10])
        paths = {record['target'] for record in self.fakes.requests()}
        tap.ok('/elsewhere' not in paths,
               f'lane {self.number}: no redirect is followed', paths)

    def run_source(self, source):
        """One fault after the other, each followed by a good fetch."""
        for fault, step, words in self.cases[source]:
            attempt(tap, self.run_case, source, fault, step, words)
            heal(self.fakes, source)

    def run_case(self, source, fault, step, words):
        """One fault, at the next refresh."""
        name = 'with credentials: ' + describe(source, fault, step)
        wait = LONG if fault[:4] in ('sile', 'drip') else LIFETIME
        failed = len(lines_of(self.nginx, source))
        order(self.fakes, source, fault, step)
        if not wait_for(lambda: len(lines_of(self.nginx, source)) > failed,
                        wait):
            tap.ok(False, f'{name}: the fetch fails')
            return
        heal(self.fakes, source)
        count = len(notices(self.nginx, source))
        good = wait_for(lambda: len(notices(self.nginx, source)) > count,
                        LIFETIME / 2)
        lines = lines_of(self.nginx, source)[failed:]
        tap.ok(good and len(lines) == 1 and '[warn]' in lines[0]
               and re.search(words, lines[0])
               and 'those at hand are used on, next try in' in lines[0],
               f'{name}: one line in the log, and the next fetch is good',
               f'good: {good}, wanted: {words}', *lines)


# Without


def without(service, number, picks):
    """An nginx for each of the faults, of all three sources at once."""
    with Fakes(service, dir=pathlib.Path(service.dir)
               / f'without{number}') as fakes:
        for pick in picks:
            chosen = {source: faults[pick] for source, faults
                      in FAULTS.items() if pick < len(faults)}
            attempt(tap, without_one, service, fakes, chosen)


def without_one(service, fakes, chosen):
    """The first fetch fails."""
    fakes.forget()
    for source, (fault, step, _) in chosen.items():
        order(fakes, source, fault, step)
    with start(service, fakes) as nginx:
        for source, (fault, step, words) in chosen.items():
            name = 'without: ' + describe(source, fault, step)
            wait_for(lambda: lines_of(nginx, source), 30)
            answer = ask(nginx.port, request(f'/{source}'))
            line = (lines_of(nginx, source) or [''])[0]
            tap.ok('[error]' in line and re.search(words, line)
                   and 'no tokens are minted with them, next try in' in line,
                   f'{name}: the log says why', f'wanted: {words}', line)
            # a later fetch may be under way, and is then waited for
            tap.ok(code(answer) in (NO_CREDENTIALS, (504, 'timeout'))
                   and (answer.status == 504 or answer.get('Retry-After')),
                   f'{name}: 503 no_credentials', code(answer))
            heal(fakes, source)
        source, (fault, step, _) = [*chosen.items()][-1]
        tap.ok(wait_for(lambda: is_token(ask(nginx.port, request(
            f'/{source}'))), 15),
            'without: ' + describe(source, fault, step)
            + ': a token when it is over')
        nginx.check(tap, 'without: ' + ', '.join(
            describe(source, *fault[:2]) for source, fault in chosen.items()))


# What is good, although it looks unusual


def unusual(service):
    """Answers that a client has to take."""
    with Fakes(service, dir=pathlib.Path(service.dir) / 'unusual') as fakes:
        for fault in ('chunked', 'http10', 'escaped', 'big-20000',
                      'times-milliseconds', 'slow-300', 'pause-300'):
            fakes.forget()
            for source in NAMES:
                fakes.faults(source, fault, count=None)
            with start(service, fakes) as nginx:
                answers = [ask(nginx.port, request(f'/{source}'))
                           for source in NAMES]
                tap.ok(all(map(is_token, answers)),
                       f'unusual, {fault}: taken, from all sources',
                       *lines_of(nginx, 'imds'),
                       *lines_of(nginx, 'container'),
                       *lines_of(nginx, 'sts'))
                nginx.check(tap, f'unusual, {fault}')
            fakes.clear_faults()

        # a 401 in the middle: the session token is asked for again
        for step in ('role', 'credentials'):
            fakes.forget()
            fakes.faults('imds', 'unauthorized', step=step)
            with start(service, fakes) as nginx:
                tap.ok(is_token(ask(nginx.port, request('/imds'))),
                       f'imds, 401 at {step}: a token all the same')
                tap.ok(fakes.counters()['imds']['token'] >= 2,
                       f'imds, 401 at {step}: with a second session token')
                tap.equal(lines_of(nginx, 'imds'), [],
                          f'imds, 401 at {step}: no line in the log')
                nginx.check(tap, f'imds, 401 at {step}')

        # one attempt that fails is no failed fetch
        for fault in ('status-500', 'reset', 'half'):
            fakes.forget()
            for source in ('imds', 'container'):
                fakes.faults(source, fault)
            if fault != 'half':
                fakes.faults('sts', fault)
            with start(service, fakes) as nginx:
                answers = [ask(nginx.port, request(f'/{source}'))
                           for source in NAMES]
                tap.ok(all(map(is_token, answers)),
                       f'once {fault}: tried again, and tokens')
                tap.equal([lines_of(nginx, source) for source in NAMES],
                          [[], [], []], f'once {fault}: no line in the log')
                nginx.check(tap, f'once {fault}')


# Names


def dead_dns(service, fakes, resolver, nginx):
    """STS has a name, and the name server is dead (C7)."""
    name = 'a dead name server'
    with Minting(nginx, ('/container',), clients=2, pause=0.05) as minting:
        tap.ok(wait_for(resolver.asked, 5), f'{name}: it is asked')
        start_time = time.monotonic()
        answer = ask(nginx.port, request('/short'))
        took = time.monotonic() - start_time
        tap.equal(code(answer), (504, 'timeout'),
                  f'{name}: who waits for it gets 504')
        tap.ok(1 < took < 2 * slow(), f'{name}: at the deadline', took)
        tap.ok(wait_for(lambda: lines_of(nginx, 'sts'), 20),
               f'{name}: the fetch fails')
        line = (lines_of(nginx, 'sts') or [''])[0]
        tap.ok(re.search('AWS STS.*([Rr]esolv|name)', line),
               f'{name}: the log says so', line)
        tap.equal(code(ask(nginx.port, request('/sts'))), NO_CREDENTIALS,
                  f'{name}: then 503')
        # the lookups that were left behind end meanwhile
        time.sleep(5)
        minting.stop()
        tap.ok(not minting.failures and minting.count > 100 / slow(),
               f'{name}: {minting.count} mints with other credentials',
               *minting.failures[:5])


def main():
    """All at once; what is looked at last is how long others had to wait."""
    bounded(200)
    with Service(args=['--rate', 'off']) as service, \
            contextlib.ExitStack() as stack, \
            Fakes(service, dir=pathlib.Path(service.dir) / 'dns') as fakes, \
            DeadResolver() as resolver:
        lanes = [stack.enter_context(Lane(number, service))
                 for number in range(LANES)]
        env = {**sts_env(fakes), **container_env(fakes),
               'AWS_ENDPOINT_URL_STS': f'https://sts.test.example:{fakes.port}'
               '/', 'AWS_EC2_METADATA_DISABLED': 'true'}
        with Nginx(service, env=env, server=SERVER,
                   wrap=resolver.wrap) as nginx:
            with Probing(*(lane.nginx for lane in lanes),
                         nginx) as probing:
                jobs = [(lane.run,) for lane in lanes]
                jobs += [(dead_dns, service, fakes, resolver, nginx),
                         (unusual, service)]
                # the slow ones: of time
                slow_ones = (0, 1, 2, 3)
                others = range(4, max(map(len, FAULTS.values())))
                jobs += [(without, service, 0, slow_ones),
                         (without, service, 1, others[::2]),
                         (without, service, 2, others[1::2])]
                threads = [threading.Thread(target=attempt, args=(tap, *job),
                                            daemon=True) for job in jobs]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            tap.ok(probing.good(), 'another location of the same workers '
                                   f'answers in {probing.bound()} ms '
                                   'throughout', probing)
            print(f'# {probing}')
            nginx.check(tap, 'a dead name server')
        for lane in lanes:
            lane.nginx.check(tap, f'lane {lane.number}')

    tap.done()


main()
