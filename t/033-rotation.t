#!/usr/bin/python3
"""Fetched credentials over time: rotation, refusals, waits, lost workers."""

import os
import pathlib
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import ROLE, Fakes
from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Minting, Nginx, alive, ask, attempt,
                           bounded, code, container_env, fds, fetches, holder,
                           imds_env, in_parallel, is_token, request, slow,
                           sts_env, wait_for)

tap = Tap()

LIFETIME = 20
ROTATIONS = 10
CONTAINER = 'ivschat_token_credentials container;'
NO_CREDENTIALS = (503, 'no_credentials')
SHORT = '''
    location = /short {
        ivschat_token             /ivschat;
        ivschat_token_credentials container;
        ivschat_token_timeout     300ms;
    }
'''
LONG = '''
    location = /long {
        ivschat_token             /ivschat;
        ivschat_token_credentials container;
        ivschat_token_timeout     30s;
    }
'''


def show(answers):
    """Answers, for a note."""
    return [answer if isinstance(answer, Exception) or answer is None
            else is_token(answer) or code(answer) for answer in answers]


def all_tokens(answers, name):
    """One test: all of them are tokens."""
    return tap.ok(answers and all(
        not isinstance(answer, Exception) and is_token(answer)
        for answer in answers), name, show(answers))


def many(nginx, count, target='/token'):
    """The answers to so many requests at once."""
    return in_parallel(count, lambda number: ask(
        nginx.port, request(target, f'user{number}')))


def failed_lines(nginx):
    """The lines of failed fetches."""
    return [line for line in nginx.error_log().splitlines()
            if 'no AWS credentials could be fetched' in line]


def start_again(fakes, **container):
    """The container endpoint as at the start."""
    fakes.clear_faults()
    fakes.forget()
    fakes.config(container={'lifetime': None, 'role': ROLE, 'down': False,
                            **container})


# Ten rotations


class Rotation:
    """Credentials that live 20 seconds, 4 workers, clients all the time."""

    def __init__(self, service, fakes, nginx):
        self.service, self.fakes, self.nginx = service, fakes, nginx
        self.minting = Minting(nginx, clients=6, pause=0.04)

    def __enter__(self):
        self.minting.__enter__()
        return self

    def __exit__(self, *_exception):
        self.minting.stop()

    def finish(self):
        """Wait for the tenth; what has to hold then."""
        wait_for(lambda: self.fakes.counters()['imds']['issued']
                 > ROTATIONS, 120)
        self.minting.wait_for_more(50)
        self.minting.stop()
        counters = self.fakes.counters()['imds']
        fetched = self.fakes.requests(source='imds', step='credentials')
        keys = [known['key'] for known in self.fakes.issued()]
        name = f'{ROTATIONS} rotations'

        tap.ok(not self.minting.failures,
               f'{name}: {self.minting.count} mints, and none failed',
               *self.minting.failures[:10])
        tap.ok(counters['issued'] == counters['token'] == counters['role']
               == counters['credentials'] == len(keys) > ROTATIONS,
               f'{name}: one fetch for each, over all workers', counters)
        times = [record['time'] for record in fetched]
        gaps = [round(after - before, 1)
                for before, after in zip(times, times[1:])]
        tap.ok(all(LIFETIME / 2 - 1 <= gap <= LIFETIME / 2 + 2 * slow()
                   for gap in gaps),
               f'{name}: each at half the time that credentials live', gaps)

        health = self.service.health()
        tap.ok(health['by_code'] == {'ok': self.minting.count},
               f'{name}: AWS was asked once for each, and refused none',
               health)
        self.check_keys(name, keys)

        lines = self.nginx.logged(self.minting.count)
        tap.equal({line['attempts'] for line in lines}, {'1'},
                  f'{name}: no mint needed a second attempt')
        tap.equal({line['worker'] for line in lines},
                  set(self.nginx.workers()),
                  f'{name}: all workers have minted')
        tap.ok(self.nginx.error_log().count('access key "…')
               == len(keys) and not failed_lines(self.nginx),
               f'{name}: one notice for each, and no other line',
               *failed_lines(self.nginx))

    def check_keys(self, name, keys):
        """Each key was used, and none after its time."""
        expires = {known['key']: known['expires']
                   for known in self.fakes.issued()}
        used = {}
        for record in self.service.requests():
            used.setdefault(record['access_key'], []).append(record['time'])

        tap.equal(sorted(used), sorted(keys), f'{name}: each key was used')
        late = {key: round(max(times) - expires[key], 2)
                for key, times in used.items()}
        tap.ok(all(value < -5 for value in late.values()),
               f'{name}: the last use of each is well before its expiry',
               late)


# Requests that wait


def first_request(service, fakes):
    """The first request comes while the first fetch is running."""
    start_again(fakes)
    fakes.faults('container', 'slow-1500')
    with Nginx(service, workers=2, env=container_env(fakes),
               location=CONTAINER, server=SHORT) as nginx:
        start = time.monotonic()
        short = ask(nginx.port, request('/short'))
        took = time.monotonic() - start
        answers = many(nginx, 20)
        waited = time.monotonic() - start

        all_tokens(answers, 'before the first fetch is done: requests wait, '
                            'and get tokens')
        tap.ok(0.5 < waited < 2.5 * slow(),
               'before the first fetch is done: not longer than it takes',
               waited)
        tap.equal(code(short), (504, 'timeout'),
                  'a deadline that passes while the fetch is slow: 504')
        tap.ok(0.25 < took < 0.6 * slow(),
               'a deadline that passes while the fetch is slow: in time',
               took)
        tap.ok('within the 300ms of "ivschat_token_timeout"'
               in nginx.error_log(),
               'a deadline that passes while the fetch is slow: and a line '
               'in the log')
        tap.equal(fetches(fakes), 1, 'one fetch for all of them')
        nginx.check(tap, 'requests that wait')


def backoff(service, fakes):
    """No credentials, and no fetch is running."""
    start_again(fakes)
    fakes.faults('container', 'status-404', count=None)
    with Nginx(service, workers=4, env=container_env(fakes),
               location=CONTAINER) as nginx:
        wait_for(lambda: failed_lines(nginx))
        start = time.monotonic()
        answer = ask(nginx.port, request())
        took = time.monotonic() - start
        tap.equal(code(answer), NO_CREDENTIALS, 'in backoff: 503')
        tap.ok(took < 0.5 * slow(), 'in backoff: at once', took)
        after = answer.get('Retry-After')
        tap.ok(after and 1 <= int(after) <= 60
               and answer.json()['retryAfter'] == int(after),
               'in backoff: with Retry-After', after, answer.body)

        with Minting(nginx, clients=8, pause=0.01) as minting:
            time.sleep(4)
        codes = {failure[3] for failure in minting.failures}
        tap.ok(codes == {NO_CREDENTIALS} and minting.count > 100 / slow(),
               f'in backoff: {minting.count} requests, all are told so',
               codes)
        tap.ok(1 <= fetches(fakes) <= 4,
               'in backoff: they start no fetches of their own',
               fetches(fakes))
        tap.equal(len(failed_lines(nginx)), fetches(fakes),
                  'in backoff: one line in the log for each fetch')
        tap.equal(service_requests(service), 0, 'in backoff: AWS is not asked')

        fakes.clear_faults()
        tap.ok(wait_for(lambda: is_token(ask(nginx.port, request())), 25),
               'in backoff: and tokens again once there are credentials')
        nginx.check(tap, 'backoff')


def service_requests(service):
    """How many requests the service has seen since it was told to forget."""
    return service.health()['requests']


def aborts(service, fakes):
    """Clients who leave while they wait for credentials."""
    start_again(fakes)
    fakes.faults('container', 'silence')
    with Nginx(service, env=container_env(fakes), location=CONTAINER,
               server=LONG) as nginx:
        worker = nginx.worker()
        wait_for(lambda: fetches(fakes))
        before = fds(worker)
        clients = [Client(nginx.port) for _ in range(30)]
        for client in clients:
            client.send(request('/long'))
        tap.ok(wait_for(lambda: fds(worker) == before + 30),
               'clients wait for credentials')
        ways = [Client.close, Client.abort, Client.half_close]
        for number, client in enumerate(clients):
            ways[number % 3](client)
        tap.ok(wait_for(lambda: fds(worker) <= before, 2),
               'and leave, in three ways: all is freed at once',
               before, fds(worker))
        lines = nginx.logged(30)
        tap.equal({(line['status'], line['result']) for line in lines},
                  {(499, 'aborted')}, 'and leave: logged as aborted')
        for client in clients:
            client.close()
        all_tokens([ask(nginx.port, request('/long'))],
                   'and leave: who stays gets a token')
        tap.equal(nginx.workers(), [worker], 'and leave: the same worker')
        nginx.check(tap, 'clients who leave')


# Credentials that AWS refuses


def refused(service, fakes):
    """ExpiredTokenException: refresh, and one more try."""
    start_again(fakes)
    with Nginx(service, workers=4, env=container_env(fakes),
               location=CONTAINER) as nginx:
        all_tokens(many(nginx, 8), 'before they expire: tokens')

        for delay, name in ((0, 'expired early'), (700, 'a slow refresh')):
            service.forget()
            before = fetches(fakes)
            if delay:
                fakes.faults('container', f'slow-{delay}')
            fakes.config(expire_credentials=[fakes.issued()[-1]['key']])
            all_tokens(many(nginx, 40),
                       f'{name}: all clients get their tokens')
            tap.equal(fetches(fakes) - before, 1, f'{name}: by one fetch')
            codes = service.health()['by_code']
            tap.ok(codes.get('ok') == 40
                   and 1 <= codes.get('ExpiredTokenException', 0) <= 40,
                   f'{name}: with one more try each', codes)

        lines = nginx.logged(88)[8:]
        tap.ok({line['attempts'] for line in lines} <= {'1', '2'},
               'no request was tried more than twice')
        refresh_fails(service, fakes, nginx)
        nginx.check(tap, 'refused credentials')


def refresh_fails(service, fakes, nginx):
    """And the refresh fails, too."""
    before = fetches(fakes)
    fakes.faults('container', 'status-403', count=None)
    fakes.config(expire_credentials=[fakes.issued()[-1]['key']])
    answers = many(nginx, 20)
    tap.equal({code(answer) for answer in answers}, {NO_CREDENTIALS},
              'the refresh fails: 503')
    tap.ok(all(answer.get('Retry-After') for answer in answers),
           'the refresh fails: with Retry-After')

    service.forget()
    with Minting(nginx, clients=8, pause=0.01) as minting:
        time.sleep(3)
    tap.ok({failure[3] for failure in minting.failures} == {NO_CREDENTIALS}
           and len(minting.failures) == minting.count,
           f'the refresh fails: so {minting.count} more', minting.count)
    tap.equal(service_requests(service), 0,
              'the refresh fails: what AWS refuses is not tried again')
    tap.ok(1 <= fetches(fakes) - before <= 4,
           'the refresh fails: the backoff is honoured',
           fetches(fakes) - before)
    fakes.clear_faults()
    tap.ok(wait_for(lambda: is_token(ask(nginx.port, request())), 25),
           'the refresh fails: and then does not')


# Workers that come and go


def kill_the_first(service, fakes):
    """The worker that makes the first fetch is killed."""
    start_again(fakes)
    fakes.faults('container', 'silence')
    port = int(fakes.container.rpartition(':')[2])
    with Nginx(service, workers=4, env=container_env(fakes),
               location=CONTAINER, server=LONG) as nginx:
        victim = wait_for(lambda: holder(nginx, port))
        wait_for(lambda: fetches(fakes))
        clients = [Client(nginx.port) for _ in range(24)]
        for client in clients:
            client.send(request('/long'))
        time.sleep(0.2)
        os.kill(victim, signal.SIGKILL)
        start = time.monotonic()
        again = wait_for(lambda: fetches(fakes) > 1)
        took = time.monotonic() - start
        tap.ok(victim and again and took < 1.5 * slow(),
               'the worker that fetches is killed: another takes over soon',
               victim, took)
        answers = []
        for client in clients:
            try:
                answers.append(client.answer())
            except (OSError, EOFError):
                pass                   # it was the victim's
            client.close()
        all_tokens(answers, 'the worker that fetches is killed: who waits at '
                            'the others gets a token')
        all_tokens(many(nginx, 8),
                   'the worker that fetches is killed: and all who come')
        tap.equal(fetches(fakes), 2, 'the worker that fetches is killed: one '
                                     'more fetch')
        tap.ok(wait_for(lambda: len(nginx.workers()) == 4),
               'the worker that fetches is killed: it is replaced')
        nginx.check(tap, 'killed at the first fetch',
                    allow='exited on signal 9')


def kill_while_minting(service, fakes):
    """The worker that renews good credentials is killed, twice."""
    start_again(fakes, lifetime=10)
    port = int(fakes.container.rpartition(':')[2])
    with Nginx(service, workers=4, env=container_env(fakes),
               location=CONTAINER) as nginx, \
            Minting(nginx, clients=4, pause=0.03, breaks=True) as minting:
        minting.wait_for_more(20)
        fakes.faults('container', 'silence', 'silence')
        times = []
        for _ in range(2):
            count = fetches(fakes)
            wait_for(lambda: fetches(fakes) > count, 8)
            victim = wait_for(lambda: holder(nginx, port))
            os.kill(victim, signal.SIGKILL)
            start = time.monotonic()
            wait_for(lambda: fetches(fakes) > count + 1, 5)
            times.append(round(time.monotonic() - start, 2))
            if len(times) == 1:
                # the second victim is the one that took over
                fakes.forget()
                victim = wait_for(lambda: holder(nginx, port))
                os.kill(victim, signal.SIGKILL)
                start = time.monotonic()
                wait_for(lambda: fakes.issued(), 5)
                times.append(round(time.monotonic() - start, 2))
                break
        minting.wait_for_more(100)
        minting.stop()
        tap.ok(all(took < 1.5 * slow() for took in times),
               'killed at a refresh, and its successor: taken over soon',
               times)
        tap.ok(not minting.failures,
               f'killed at a refresh: {minting.count} mints go on, but those '
               f'of the dead ({len(minting.broken)})',
               *minting.failures[:10])
        nginx.check(tap, 'killed at a refresh', allow='exited on signal 9')


def worker_count(service, fakes):
    """Reloads with other numbers of workers, the line unchanged."""
    start_again(fakes)
    with Nginx(service, workers=4, env=container_env(fakes),
               location=CONTAINER) as nginx, \
            Minting(nginx, clients=4) as minting:
        for count in (2, 6, 1, 4):
            nginx.configure(workers=count)
            nginx.reload()
            minting.wait_for_more(40)
        minting.stop()
        tap.ok(not minting.failures and minting.count > 150 / slow(),
               'reloads, the line unchanged, other numbers of workers: '
               f'{minting.count} mints go on', *minting.failures[:10])
        tap.equal(fetches(fakes), 1, 'reloads, the line unchanged: no fetch')
        tap.equal({record['access_key'] for record in
                   service.requests(user='u0.0')
                   + service.requests(limit=50)},
                  {fakes.issued()[0]['key']},
                  'reloads, the line unchanged: the same credentials')
        nginx.check(tap, 'reloads')


ASSUME = ('ivschat_token_credentials assume_role source=env '
          'role=arn:aws:iam::123456789012:role/%s;')


def changed_line(service, fakes):
    """Another role, and a reload, under load."""
    start_again(fakes)
    service.forget()
    targets = ('/token', '/token', '/token?room=fault-slow-300')
    with Nginx(service, workers=2, env=sts_env(fakes),
               location=ASSUME % 'app') as nginx, \
            Minting(nginx, targets, clients=6) as minting, \
            Client(nginx.port) as client:
        workers = {'app': set(nginx.workers())}
        minting.wait_for_more(60)
        client.send(request(body=b'x' * 10, length=20, user='left over'))
        time.sleep(0.2)

        nginx.configure(location=ASSUME % 'long')
        old = nginx.reload()
        workers['long'] = set(nginx.workers())
        minting.wait_for_more(60)
        tap.ok(any(map(alive, old)), 'another role: an old worker is left')
        all_tokens([client.ask(b'x' * 10)],
                   'another role: it still mints for its client')
        client.close()
        tap.ok(wait_for(lambda: not any(map(alive, old))),
               'another role: then it ends')
        time.sleep(0.1)
        gone = time.time()
        minting.wait_for_more(100)
        minting.stop()
        tap.ok(not minting.failures, f'another role: {minting.count} mints, '
                                     'and none failed', *minting.failures[:9])

        role_of = {known['key']: known['arn'].split('/')[-2]
                   for known in fakes.issued()}
        worker_of = {line['user']: line['worker']
                     for line in nginx.logged(minting.count + 1)}
        records = [record for record in service.requests()
                   if record['user'] in worker_of]
        wrong = [(record['user'], role_of[record['access_key']])
                 for record in records
                 if worker_of[record['user']]
                 not in workers[role_of[record['access_key']]]]
        tap.ok(not wrong and len(records) > 150,
               'another role: each worker has signed with its own',
               len(records), *wrong[:10])
        roles = [role_of[record['access_key']] for record in records
                 if record['time'] > gone]
        tap.ok(len(roles) > 50 and set(roles) == {'long'},
               'another role: nothing is signed with the old one afterwards',
               len(roles), set(roles))
        tap.equal([role_of[record['access_key']] for record in
                   service.requests(user='left over')], ['app'],
                  'another role: the old worker has signed with the old one')
        back_and_forth(service, fakes, nginx)
        nginx.check(tap, 'another role')


def back_and_forth(service, fakes, nginx):
    """Reloads in a row, faster than workers end."""
    clients = []
    for number, name in enumerate(('app', 'long', 'app', 'external',
                                   'long')):
        wait_for(lambda: len(nginx.workers()) == 2)
        clients.append(Client(nginx.port))
        clients[-1].send(request(body=b'x', length=2,
                                 user=f'stays {number}'))
        time.sleep(0.1)
        nginx.configure(location=(ASSUME % name).replace(
            ';', ' external_id=external+id;'))
        nginx.reload()

    wait_for(lambda: len(nginx.workers()) == 2)
    service.forget()
    answers = [client.ask(b'x') for client in clients]
    answers += many(nginx, 10)
    role_of = {known['key']: known['arn'].split('/')[-2]
               for known in fakes.issued()}
    used = {record['user']: role_of[record['access_key']]
            for record in service.requests()}
    all_tokens(answers[-10:], 'five reloads in a row: the new workers mint')
    tap.equal({used[f'user{number}'] for number in range(10)}, {'long'},
              'five reloads in a row: with the last role')
    all_tokens(answers[:-10], 'five reloads in a row: the old ones as well')
    tap.equal([used[f'stays {number}'] for number in range(5)],
              ['long', 'app', 'long', 'app', 'external'],
              'five reloads in a row: each with its own role')


def failed_reload(service, fakes):
    """Reloads that fail do not disturb those who run."""
    start_again(fakes, lifetime=6)
    with socket.create_server(('127.0.0.1', 0)) as taken, \
            Nginx(service, workers=2,
                  env={**sts_env(fakes), **container_env(fakes)},
                  location=CONTAINER) as nginx, \
            Minting(nginx, clients=4) as minting:
        workers = nginx.workers()
        port = taken.getsockname()[1]
        minting.wait_for_more(10)
        start, count = time.monotonic(), fetches(fakes)

        for number in range(3):
            nginx.configure(server='nonsense on;', location=ASSUME
                            % f'broken{number}')
            nginx.signal(signal.SIGHUP)
            tap.ok(wait_for(lambda: nginx.error_log().count(
                'unknown directive "nonsense"') == number + 1),
                'a reload fails: a mistake in the configuration')

        for number in range(4):
            nginx.configure(server='', location=ASSUME % f'role{number}',
                            http=f'server {{ listen 127.0.0.1:{port}; }}')
            nginx.signal(signal.SIGHUP)
            tap.ok(wait_for(lambda: nginx.error_log().count(
                'still could not bind') == number + 1, 15),
                'a reload fails: a port is taken')

        took = time.monotonic() - start
        minting.wait_for_more(20)
        tap.equal(nginx.workers(), workers,
                  'reloads that fail: the workers are the same')
        new = fetches(fakes) - count
        tap.ok(took / 4 - 1 <= new <= took / 2 + 1,
               f'reloads that fail: {new} refreshes in {took:.1f} s')

        # this one is to succeed, and finds what the failed ones have left
        nginx.configure(http='', location=ASSUME % 'app')
        try:
            old = nginx.reload()
        except RuntimeError as error:
            tap.ok(False, 'reloads that fail: the next one succeeds', error)
        else:
            tap.ok(wait_for(lambda: not any(map(alive, old))),
                   'reloads that fail: the next one succeeds')
        minting.stop()
        tap.ok(not minting.failures,
               f'reloads that fail: {minting.count} mints go on',
               *minting.failures[:10])
        nginx.check(tap, 'reloads that fail',
                    allow='nonsense|could not bind|bind\\(\\) to')


def main():
    """The rotations take their time; all else is done meanwhile."""
    bounded(240)
    with Service(args=['--rate', 'off', '--keep', '100000']) as service, \
            Fakes(service) as fakes, \
            Service(args=['--rate', 'off']) as other, \
            Fakes(other) as others:
        fakes.config(lifetime=LIFETIME, token_length=64)
        others.config(token_length=64)
        with Nginx(service, workers=4, env=imds_env(fakes),
                   location='ivschat_token_credentials imds;') as nginx, \
                Rotation(service, fakes, nginx) as rotation:
            only = sys.argv[1:]
            for part in (first_request, backoff, aborts, refused,
                         kill_the_first, kill_while_minting, worker_count,
                         changed_line, failed_reload):
                if only and part.__name__ not in only:
                    continue
                other.forget()
                attempt(tap, part, other, others)
            if not only or 'finish' in only:
                attempt(tap, rotation.finish)
            nginx.check(tap, f'{ROTATIONS} rotations')

    tap.done()


main()
