"""Many requests on one connection, and bodies of all sizes and speeds, while
requests wait for the rate and between attempts.

test_client_body.py has the bodies of requests that do not wait.
"""

import os
import pathlib
import random
import threading
import time

import pytest

from nginx_testlib import (Client, Http2, Nginx, ask, chunk, chunked, code,
                           fds, in_parallel, is_token, request, rss,
                           sanitized, slow, upstream, wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

EVIL = b'GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n'
AFTER = request('/after', None, None, method='GET')
MEGABYTE = 1024 * 1024                 # client_max_body_size of nginx

# Requests wait: for the rate in one region, and in the other one, where AWS
# throttles, for their next attempt.

HTTP = '''
    ivschat_token_tries 3;
    ivschat_token_rate  40 burst=4 wait=30s;
''' + upstream('eu-west-1')

SERVER = '''
    location = /impatient {
        ivschat_token       /ivschat;
        client_body_timeout 2s;
    }
'''


def filler(size):
    """A body that is full of requests, and ends in one."""
    return (EVIL * (size // len(EVIL) + 1))[-size:] if size else b''


def described(service, answer):
    """('token', whose) of a token, (status, code) of all else."""
    if answer is None:
        return None
    if not is_token(answer):
        return code(answer)
    status, contents = service.token(answer.json()['token'])
    return 'token', contents['userId'] if status == 200 else status


class Mixture:
    """Requests of every kind, and what each has to be answered.

    A request is (target, user, method, body); the body may be None.
    """

    def __init__(self, service, name, count):
        self.requests, self.expected = [], []
        for number in range(count):
            self._add(service, f'{name} {number} é', number)

    def _add(self, service, user, number):
        target, whose, method, body = '/token', user, 'POST', b''
        expected = ('token', user)
        kind = number % 10

        if kind in (1, 2):
            body = filler(number * 37 + kind)
        elif kind == 3:
            target, expected = ('/token?room=fault-not-found',
                                (404, 'room_not_found'))
        elif kind == 4:
            whose, expected = None, (401, 'unauthenticated')
            body = filler(100)
        elif kind == 5:
            service.faults({'fault': 'status-500', 'user': user})
        elif kind == 6:
            target, whose, method, body = '/after', None, 'GET', None
            expected = (200, None)
        elif kind == 7:
            target = '/token?room=fault-slow-60'
        elif kind == 8:
            method, expected = 'PUT', (405, 'method_not_allowed')
            body = filler(300)
        self.requests.append((target, whose, method, body))
        self.expected.append(expected)

    def bytes(self):
        """All of them for HTTP/1.1, every other body in chunks."""
        data = []
        for number, (target, user, method, body) in enumerate(self.requests):
            if body and number % 4 == 1 and method == 'POST':
                data.append(chunked(target, body, user, size=number % 50 + 7))
            else:
                data.append(request(target, user, body, method=method))
        return b''.join(data)


class Sending:
    """Sends pieces in a thread, while the block reads what comes back."""

    def __init__(self, client, *pieces, pause=0):
        self._client, self._pieces, self._pause = client, pieces, pause
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_exception):
        self._thread.join()

    def _run(self):
        for piece in self._pieces:
            try:
                self._client.send(piece)
            except OSError:
                return                 # it is closed before all is sent
            time.sleep(self._pause)


@pytest.fixture(scope='module')
def nginx(service):
    """One worker for all; no body was ever taken for a request."""
    with Nginx(service, http=HTTP, server=SERVER) as nginx:
        yield nginx
        assert not [line for line in nginx.access_log()
                    if '/evil' in line['request']]
        nginx.check()


@pytest.fixture
def crowd(nginx):
    """Half a second's worth of clients before the next one."""
    def one(number):
        return ask(nginx.port, request('/token', f'crowd {number}'))

    thread = threading.Thread(target=in_parallel, args=(30, one), daemon=True)
    thread.start()
    time.sleep(0.15)
    yield
    thread.join()


def lines_with(nginx, name):
    """The access log's lines of users whose names begin so."""
    return [line for line in nginx.access_log()
            if line['user'].startswith(name)]


def users_with(service, name):
    """The users whose names begin so and for whom AWS was asked."""
    return [one['user'] for one in service.requests()
            if str(one.get('user')).startswith(name)]


# Pipelining: answers come in the order of the requests, each its own


@pytest.mark.parametrize('cuts, pause', ((0, 0), (40, 0.003), (8, 0.1)))
def test_60_requests_on_one_connection(nginx, service, cuts, pause):
    """All in one send, or cut at so many places."""
    name = f'cut {cuts}'
    mixture = Mixture(service, name, 60)
    data = mixture.bytes()
    cut = sorted(random.Random(1).choices(range(1, len(data)), k=cuts))
    pieces = [data[start:end] for start, end in zip([0, *cut],
                                                    [*cut, len(data)])]

    with Client(nginx.port, 40) as client:
        with Sending(client, *pieces, pause=pause):
            got = [described(service, client.answer())
                   for _ in mixture.requests]
        assert got == mixture.expected
        assert client.quiet(), 'and no more comes'

    numbers = [int(line['user'].split()[2])
               for line in lines_with(nginx, name)]
    assert numbers and numbers == sorted(numbers), 'in order as well'


def check_behind(nginx, service, target, user):
    """What is sent behind a request that waits is no part of it."""
    with Client(nginx.port, 30) as client:
        client.send(request(target, user, filler(5000)))
        time.sleep(0.05)
        before = cpu(nginx.worker())
        with Sending(client,
                     request('/token', 'behind', filler(MEGABYTE)) + AFTER,
                     chunked('/token', filler(200000), 'chunks')[:-5]):
            got = [described(service, client.answer())]
            used = cpu(nginx.worker()) - before
            got += [described(service, client.answer()) for _ in range(2)]
        assert got == [('token', user), ('token', 'behind'), (200, None)]
        assert client.quiet(0.3), 'half a request in chunks is none'
        client.send(b'0\r\n\r\n')
        assert described(service, client.answer()) == ('token', 'chunks')
        assert used < 0.3 * slow(), 'bytes that wait keep nobody busy'


def cpu(pid):
    """The seconds that a process has used."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text(
        'ascii').rpartition(')')[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')


@pytest.mark.usefixtures('crowd')
def test_1_mb_behind_a_request_that_waits_for_the_rate(nginx, service):
    check_behind(nginx, service, '/token', 'waits for the rate')


def test_1_mb_behind_a_request_in_a_pause(nginx, service):
    service.faults({'fault': 'retry-after-800', 'user': 'in a pause'})
    check_behind(nginx, service, '/token?region=eu-west-1', 'in a pause')


@pytest.mark.parametrize('data, expected', (
    (request('/token', 'large', EVIL * 100, length=MEGABYTE + 1),
     (413, None)),
    (chunked('/token', filler(MEGABYTE + 1), 'large') + EVIL * 100,
     (413, 'request_too_large'))), ids=('Content-Length', 'chunks'))
@pytest.mark.usefixtures('crowd')
def test_body_over_the_limit_ends_the_connection(nginx, service, data,
                                                 expected):
    """Behind a request that waits, too."""
    with Client(nginx.port, 30) as client:
        with Sending(client, request('/token', 'before') + data):
            got = [described(service, client.answer()) for _ in range(2)]
            assert got == [('token', 'before'), expected]
            # nginx waits for lingering_timeout, 5 seconds
            assert client.closed(15)
    assert service.requests(user='large') == []


def test_who_leaves_takes_along_what_was_sent_behind(nginx, service):
    count = nginx.lines_so_far()
    with Client(nginx.port) as client:
        client.send(b''.join(
            request('/token?room=fault-slow-300', f'gone {number}',
                    filler(number * 100)) for number in range(20)))
        wait_for(lambda: service.requests(user='gone 0'))
    nginx.logged(count + 1)
    time.sleep(0.5)
    assert [(line['user'], line['status']) for line in
            nginx.access_log()[count:]] == [('gone 0', 499)]
    assert users_with(service, 'gone') == ['gone 0']


# HTTP/2


def test_100_streams_on_one_connection(nginx, service):
    dice = random.Random(2)
    mixture = Mixture(service, 'stream', 100)

    with Http2(nginx.h2port, 40) as client:
        bodies, numbers = {}, []
        for target, user, method, body in mixture.requests:
            number = client.open(target, user, method=method, end=not body)
            numbers.append(number)
            if body:
                bodies[number] = body

        # their bodies in pieces, all mixed
        while bodies:
            number = dice.choice([*bodies])
            size = dice.randrange(1, 2000)
            piece, rest = bodies[number][:size], bodies[number][size:]
            client.send(number, piece, end=not rest)
            bodies[number] = rest
            if not rest or number in client.ended:
                del bodies[number]

        assert [described(service, answer)
                for answer in client.wait(*numbers)] == mixture.expected
        # nginx resets a stream whose body it need not have read to the end
        assert not any(client.resets.values()), client.resets
        assert described(service, client.ask('/token', 'next')) == (
            'token', 'next')


def test_streams_that_wait(nginx, service):
    """60 in the queue and in pauses, and 20 with a body that never ends."""
    with Http2(nginx.h2port, 40) as client:
        users, numbers, stuck = [], [], []
        for number in range(60):
            user = f'waiting {number}'
            region = '?region=eu-west-1' if number % 12 == 0 else ''
            if region:
                service.faults({'fault': 'error-500-Again', 'user': user})
            users.append(('token', user))
            numbers.append(client.open('/token' + region, user))
            if number % 3 == 0:
                stuck.append(client.open('/impatient', f'stuck {number}',
                                         end=False))
                client.send(stuck[-1], b'half a body')
        assert [described(service, answer)
                for answer in client.wait(*numbers)] == users
        statuses = {answer and answer.status
                    for answer in client.wait(*stuck)}
        assert set(stuck) <= client.ended and statuses <= {408, None}

    wait_for(lambda: len(lines_with(nginx, 'stuck')) == 20)
    assert [line['status'] for line in lines_with(nginx, 'stuck')] == [
        408] * 20
    assert users_with(service, 'stuck') == []


# Slow and large bodies


def test_slow_body_takes_no_place_in_the_rate(nginx, service):
    time.sleep(0.3)                    # the bucket is full
    body = b'x' * 12
    clients = [Client(nginx.port, 30) for _ in range(60)]
    for number, client in enumerate(clients):
        head = ('/impatient', f'slow {number}')
        if number % 2:
            client.send(request(*head, body[:1], length=len(body)))
        else:
            client.send(chunked(head[0], b'', head[1])[:-5] + chunk(b'x'))

    assert is_token(ask(nginx.port, request('/token', 'quick')))
    line, = nginx.lines_of('quick')
    assert float(line['wait']) == 0

    # 20 go on, a byte at a time, longer than client_body_timeout; 40 do not

    steady = clients[:20]
    for _ in range(len(body) - 1):
        time.sleep(0.25)
        for number, client in enumerate(steady):
            client.send(b'x' if number % 2 else chunk(b'x'))
    for client in steady[::2]:
        client.send(b'0\r\n\r\n')

    assert [described(service, client.answer()) for client in steady] == [
        ('token', f'slow {number}') for number in range(20)]
    assert all(client.closed() for client in clients[20:])
    for client in clients:
        client.close()

    wait_for(lambda: len(lines_with(nginx, 'slow')) == 60)
    assert sorted(line['status'] for line in lines_with(nginx, 'slow')) == [
        *[200] * 20, *[408] * 40]
    assert {one['user'] for one in service.requests()} == {
        'quick', *(f'slow {number}' for number in range(20))}


def test_large_bodies_at_once(nginx, service):
    """Of the largest size, and all wait for the rate."""
    worker = nginx.worker()
    body = filler(MEGABYTE)
    count = 10 if sanitized() else 40

    def one(number):
        user = f'large {number}'
        with Client(nginx.port, 40) as client:
            if number % 2:
                client.send(request('/token', user, body))
            else:
                client.send(chunked('/token', body, user, size=60000))
            return described(service, client.answer())

    in_parallel(count, one)            # nginx's own buffers are there
    before, files = rss(worker), fds(worker)
    most = [before]
    end = threading.Event()

    def watch():
        while not end.wait(0.02):
            most.append(rss(worker))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    got = in_parallel(count, one)
    end.set()
    watcher.join()
    assert got == [('token', f'large {number}') for number in range(count)]
    # freed memory stays in quarantine with AddressSanitizer
    bound = 400 * 1024 if sanitized() else 4 * 1024
    assert max(most) - before <= bound
    assert wait_for(lambda: fds(worker) <= files + 16, 3)
    assert not [path for path in (nginx.dir / 'body').rglob('*')
                if path.is_file()], 'no body is written to a file'
