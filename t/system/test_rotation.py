"""Fetched credentials over time: rotation, refusals, waits, lost workers."""

import os
import signal
import socket
import time

import pytest

from ivschat_testlib import Fakes, Service
from nginx_testlib import (CONTAINER, NO_CREDENTIALS, Client, Minting, Nginx,
                           alive, ask, checked, code, container_env,
                           failed_fetches, fds, fetches, holder, imds_env,
                           in_parallel, request, slow, sts_env, told,
                           wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

LIFETIME = 20
ROTATIONS = 10
ASSUME = ('ivschat_token_credentials assume_role source=env '
          'role=arn:aws:iam::123456789012:role/%s;')
LOCATION = '''
    location = /%s {
        ivschat_token             /ivschat;
        ivschat_token_credentials container;
        ivschat_token_timeout     %s;
    }
'''
SHORT = LOCATION % ('short', '300ms')
LONG = LOCATION % ('long', '30s')


@pytest.fixture(scope='module', autouse=True)
def rotation():
    """Credentials that live 20 seconds, 4 workers, clients all the time.

    The rotations take their time; all else is done meanwhile.
    """
    with Service(args=['--rate', 'off', '--keep', '100000']) as service, \
            Fakes(service) as fakes:
        fakes.config(lifetime=LIFETIME, token_length=64)
        with checked(Nginx(
                service, workers=4, env=imds_env(fakes),
                location='ivschat_token_credentials imds;')) as nginx, \
                Minting(nginx, clients=6, pause=0.04) as minting:
            yield service, fakes, nginx, minting


def container(service, fakes, allow=None, **options):
    """An nginx with credentials of the container endpoint."""
    return checked(Nginx(service, env=container_env(fakes),
                         location=CONTAINER, **options), allow)


def many(nginx, count):
    """The answers to so many requests at the same time."""
    return in_parallel(count, lambda number: ask(
        nginx.port, request(user=f'user{number}')))


def all_told(answers):
    """What the answers say, without repetition."""
    return set(map(told, answers))


# Requests that wait


def test_first_requests_wait_for_the_first_fetch(service, fakes):
    fakes.faults('container', 'slow-1500')
    with container(service, fakes, workers=2, server=SHORT) as nginx:
        start = time.monotonic()
        short = ask(nginx.port, request('/short'))
        took = time.monotonic() - start
        assert all_told(many(nginx, 20)) == {'token'}
        assert 0.5 < time.monotonic() - start < 2.5 * slow()

        # a deadline that passes meanwhile
        assert code(short) == (504, 'timeout')
        assert 0.25 < took < 0.6 * slow()
        assert ('within the 300ms of "ivschat_token_timeout"'
                in nginx.error_log())
        assert fetches(fakes) == 1


def test_no_token_and_no_fetch_before_the_next_try(service, fakes):
    fakes.faults('container', 'status-404', count=None)
    with container(service, fakes, workers=4) as nginx:
        wait_for(lambda: failed_fetches(nginx))
        start = time.monotonic()
        answer = ask(nginx.port, request())
        took = time.monotonic() - start
        assert code(answer) == NO_CREDENTIALS
        assert took < 0.5 * slow()
        after = int(answer.get('Retry-After'))
        assert 1 <= after <= 60
        assert answer.json()['retryAfter'] == after

        with Minting(nginx, clients=8, pause=0.01) as minting:
            time.sleep(4)
        assert {failure[3] for failure in minting.failures} == {NO_CREDENTIALS}
        assert len(minting.failures) == minting.count > 100 / slow()
        assert 1 <= fetches(fakes) <= 4
        assert len(failed_fetches(nginx)) == fetches(fakes)
        assert service.health()['requests'] == 0

        fakes.clear_faults()
        assert wait_for(lambda: told(ask(nginx.port, request())) == 'token',
                        25)


def test_clients_leave_while_they_wait_for_credentials(service, fakes):
    fakes.faults('container', 'silence')
    with container(service, fakes, server=LONG) as nginx:
        worker = nginx.worker()
        wait_for(lambda: fetches(fakes))
        before = fds(worker)
        clients = [Client(nginx.port) for _ in range(30)]
        for number, client in enumerate(clients):
            client.send(request('/long', f'user{number}'))
        assert wait_for(lambda: fds(worker) == before + 30)
        ways = [Client.close, Client.abort, Client.half_close]
        for number, client in enumerate(clients):
            ways[number % 3](client)
        assert wait_for(lambda: fds(worker) <= before, 2)
        assert {(line['status'], line['result'])
                for line in nginx.logged(30)} == {(499, 'aborted')}
        for client in clients:
            client.close()
        assert told(ask(nginx.port, request('/long'))) == 'token'
        assert nginx.workers() == [worker]


# Credentials that AWS refuses


def test_expired_credentials_are_refreshed_and_mints_tried_again(service,
                                                                 fakes):
    with container(service, fakes, workers=4) as nginx:
        assert all_told(many(nginx, 8)) == {'token'}

        for faults in ([], ['slow-700']):
            service.forget()
            before = fetches(fakes)
            fakes.faults('container', *faults)
            fakes.config(expire_credentials=[fakes.issued()[-1]['key']])
            assert all_told(many(nginx, 40)) == {'token'}
            assert fetches(fakes) - before == 1
            codes = service.health()['by_code']
            assert codes['ok'] == 40
            assert 1 <= codes['ExpiredTokenException'] <= 40

        assert {line['attempts'] for line in nginx.logged(88)} <= {'1', '2'}


def test_expired_credentials_whose_refresh_fails(service, fakes):
    with container(service, fakes, workers=4) as nginx:
        assert all_told(many(nginx, 8)) == {'token'}
        before = fetches(fakes)
        fakes.faults('container', 'status-403', count=None)
        fakes.config(expire_credentials=[fakes.issued()[-1]['key']])
        answers = many(nginx, 20)
        assert all_told(answers) == {NO_CREDENTIALS}
        assert all(answer.get('Retry-After') for answer in answers)

        service.forget()
        with Minting(nginx, clients=8, pause=0.01) as minting:
            time.sleep(3)
        assert {failure[3] for failure in minting.failures} == {NO_CREDENTIALS}
        assert len(minting.failures) == minting.count
        # what AWS refuses is not tried again, and the backoff is kept
        assert service.health()['requests'] == 0
        assert 1 <= fetches(fakes) - before <= 4
        fakes.clear_faults()
        assert wait_for(lambda: told(ask(nginx.port, request())) == 'token',
                        25)


# Workers that come and go


def kill_fetching(nginx, fakes):
    """Kill the worker that fetches; the time."""
    port = int(fakes.container.rpartition(':')[2])
    os.kill(wait_for(lambda: holder(nginx, port)), signal.SIGKILL)
    return time.monotonic()


def test_worker_that_makes_the_first_fetch_is_killed(service, fakes):
    fakes.faults('container', 'silence')
    with container(service, fakes, 'exited on signal 9', workers=4,
                   server=LONG) as nginx:
        wait_for(lambda: fetches(fakes))
        clients = [Client(nginx.port) for _ in range(24)]
        for number, client in enumerate(clients):
            client.send(request('/long', f'user{number}'))
        time.sleep(0.2)
        start = kill_fetching(nginx, fakes)
        assert wait_for(lambda: fetches(fakes) > 1)
        assert time.monotonic() - start < 1.5 * slow()
        answers = []
        for client in clients:
            try:
                answers.append(client.answer())
            except (OSError, EOFError):
                pass                   # it was the victim's
            client.close()
        assert all_told(answers) == {'token'}
        assert all_told(many(nginx, 8)) == {'token'}
        assert fetches(fakes) == 2
        assert wait_for(lambda: len(nginx.workers()) == 4)


def test_worker_that_renews_credentials_is_killed_and_its_successor(service,
                                                                    fakes):
    fakes.config(container={'lifetime': 10})
    with container(service, fakes, 'exited on signal 9', workers=4) as nginx, \
            Minting(nginx, clients=4, pause=0.03, breaks=True) as minting:
        minting.wait_for_more(20)
        fakes.faults('container', 'silence', 'silence')
        count = fetches(fakes)
        assert wait_for(lambda: fetches(fakes) > count, 8)
        start = kill_fetching(nginx, fakes)
        assert wait_for(lambda: fetches(fakes) > count + 1, 5)
        assert time.monotonic() - start < 1.5 * slow()

        fakes.forget()
        start = kill_fetching(nginx, fakes)
        assert wait_for(fakes.issued, 5)
        assert time.monotonic() - start < 1.5 * slow()

        assert minting.wait_for_more(100)
        minting.stop()
        assert minting.failures == []


# Reloads


def test_reloads_with_other_numbers_of_workers_fetch_nothing(service, fakes):
    with container(service, fakes, workers=4) as nginx, \
            Minting(nginx, clients=4) as minting:
        for count in (2, 6, 1, 4):
            nginx.configure(workers=count)
            nginx.reload()
            minting.wait_for_more(40)
        minting.stop()
        assert minting.failures == []
        assert minting.count > 150 / slow()
        assert fetches(fakes) == 1
        assert {record['access_key'] for record in
                service.requests(user='u0.0') + service.requests(limit=50)
                } == {fakes.issued()[0]['key']}


def roles(fakes):
    """The role of each access key."""
    return {known['key']: known['arn'].split('/')[-2]
            for known in fakes.issued()}


def test_reload_with_another_role_under_load(service, fakes):
    targets = ('/token', '/token', '/token?room=fault-slow-300')
    with checked(Nginx(service, workers=2, env=sts_env(fakes),
                       location=ASSUME % 'app')) as nginx, \
            Minting(nginx, targets, clients=6) as minting:
        workers = {'app': set(nginx.workers())}
        minting.wait_for_more(60)
        with Client(nginx.port) as client:
            client.send(request(body=b'x' * 10, length=20, user='left over'))
            time.sleep(0.2)
            nginx.configure(location=ASSUME % 'long')
            old = nginx.reload()
            workers['long'] = set(nginx.workers())
            minting.wait_for_more(60)
            # an old worker is left, and still mints for its client
            assert any(map(alive, old))
            assert told(client.ask(b'x' * 10)) == 'token'
        assert wait_for(lambda: not any(map(alive, old)))
        time.sleep(0.1)
        gone = time.time()
        minting.wait_for_more(100)
        minting.stop()
        assert minting.failures == []

        role_of = roles(fakes)
        worker_of = {line['user']: line['worker']
                     for line in nginx.logged(minting.count + 1)}
        records = [record for record in service.requests()
                   if record['user'] in worker_of]
        assert len(records) > 150
        for record in records:
            assert worker_of[record['user']] in workers[
                role_of[record['access_key']]], 'each signs with its own role'
        last = [role_of[record['access_key']] for record in records
                if record['time'] > gone]
        assert len(last) > 50
        assert set(last) == {'long'}
        assert [role_of[record['access_key']] for record in
                service.requests(user='left over')] == ['app']


def test_reloads_with_other_roles_faster_than_workers_end(service, fakes):
    with checked(Nginx(service, workers=2, env=sts_env(fakes),
                       location=ASSUME % 'long')) as nginx:
        # their slot of the zone is another source's after some reloads
        assert wait_for(lambda: told(ask(nginx.port, request())) == 'token'
                        and {line['worker'] for line in nginx.access_log()}
                        == set(nginx.workers()))
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
        assert all_told(answers + many(nginx, 10)) == {'token'}
        role_of = roles(fakes)
        used = {record['user']: role_of[record['access_key']]
                for record in service.requests()}
        assert {used[f'user{number}'] for number in range(10)} == {'long'}
        assert [used[f'stays {number}'] for number in range(5)] == [
            'long', 'app', 'long', 'app', 'external']


def test_reloads_that_fail_do_not_disturb(service, fakes):
    fakes.config(container={'lifetime': 6})
    with socket.create_server(('127.0.0.1', 0)) as taken, \
            checked(Nginx(service, workers=2, location=CONTAINER,
                          env={**sts_env(fakes), **container_env(fakes)}),
                    'nonsense|could not bind|bind\\(\\) to') as nginx, \
            Minting(nginx, clients=4) as minting:
        workers = nginx.workers()
        port = taken.getsockname()[1]
        minting.wait_for_more(10)
        start, count = time.monotonic(), fetches(fakes)

        for number in range(3):
            nginx.configure(server='nonsense on;', location=ASSUME
                            % f'broken{number}')
            nginx.signal(signal.SIGHUP)
            assert wait_for(lambda: nginx.error_log().count(
                'unknown directive "nonsense"') == number + 1)

        for number in range(4):
            nginx.configure(server='', location=ASSUME % f'role{number}',
                            http=f'server {{ listen 127.0.0.1:{port}; }}')
            nginx.signal(signal.SIGHUP)
            assert wait_for(lambda: nginx.error_log().count(
                'still could not bind') == number + 1, 15)

        took = time.monotonic() - start
        minting.wait_for_more(20)
        assert nginx.workers() == workers
        assert took / 4 - 1 <= fetches(fakes) - count <= took / 2 + 1

        # this one is to succeed, and finds what the failed ones have left
        nginx.configure(http='', location=ASSUME % 'app')
        old = nginx.reload()
        assert wait_for(lambda: not any(map(alive, old)))
        minting.stop()
        assert minting.failures == []


def test_ten_rotations_under_load(rotation):
    service, fakes, nginx, minting = rotation
    wait_for(lambda: fakes.counters()['imds']['issued'] > ROTATIONS, 120)
    minting.wait_for_more(50)
    minting.stop()
    assert minting.failures == []

    # one fetch for each, over all workers, when half of the time has passed
    counters = fakes.counters()['imds']
    issued = fakes.issued()
    assert (counters['issued'] == counters['token'] == counters['role']
            == counters['credentials'] == len(issued) > ROTATIONS)
    times = [record['time'] for record in
             fakes.requests(source='imds', step='credentials')]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert LIFETIME / 2 - 1 <= min(gaps)
    assert max(gaps) <= LIFETIME / 2 + 2 * slow()

    # AWS is asked once for each mint, by all workers, and refuses none
    assert service.health()['by_code'] == {'ok': minting.count}
    lines = nginx.logged(minting.count)
    assert {line['attempts'] for line in lines} == {'1'}
    assert {line['worker'] for line in lines} == set(nginx.workers())

    # each key is used, the last time well before it expires
    used = {record['access_key']: record['time']
            for record in service.requests()}
    assert sorted(used) == sorted(known['key'] for known in issued)
    for known in issued:
        assert used[known['key']] - known['expires'] < -5

    # one notice for each, and no other line
    assert nginx.error_log().count('access key "…') == len(issued)
    assert failed_fetches(nginx) == []
