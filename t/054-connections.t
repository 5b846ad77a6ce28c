#!/usr/bin/python3
"""Many requests on one connection, and bodies of all sizes and speeds, while
requests wait for the rate and between attempts.

t/040-client-body.t has the bodies of requests that do not wait.
"""

import os
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Http2, Nginx, ask, attempt, bounded, chunk,
                           chunked, code, fds, in_parallel, is_token, request,
                           rss, sanitized, slow, wait_for)

tap = Tap()

EVIL = b'GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n'
AFTER = request('/after', None, None, method='GET')
MEGABYTE = 1024 * 1024                 # client_max_body_size of nginx

# Requests wait: for the rate in one region, and in the other one, where AWS
# throttles, for their next attempt.

HTTP = '''
    ivschat_token_tries 3;
    ivschat_token_rate  40 burst=4 wait=30s;

    upstream ivschat.eu-west-1.amazonaws.com {
        server 127.0.0.1:@SERVICE@;
    }
'''

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


def same(got, expected, name):
    """One test that compares two lists, and shows where they differ."""
    tap.ok(got == expected, name, *[
        f'{number}: {one}, expected {two}' for number, (one, two) in
        enumerate(zip(got, expected)) if one != two][:10],
        f'{len(got)} answers to {len(expected)} requests')


# Pipelining


def pipelining(nginx, service):
    """Answers come in the order of the requests, each its own."""
    dice = random.Random(1)

    for name, cuts, pause in (('in one send', 0, 0),
                              ('cut at 40 places', 40, 0.003),
                              ('cut at 8 places, slowly', 8, 0.1)):
        mixture = Mixture(service, name, 60)
        data = mixture.bytes()
        ends = [*sorted(dice.choices(range(1, len(data)), k=cuts)), len(data)]

        with Client(nginx.port, 40) as client:
            def send():
                start = 0
                for end in ends:
                    client.send(data[start:end])
                    start = end
                    time.sleep(pause)

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            got = [described(service, client.answer())
                   for _ in mixture.requests]
            sender.join()
            same(got, mixture.expected, f'60 requests on one connection, '
                                        f'{name}: each its own answer, in '
                                        'order')
            tap.ok(client.quiet(), f'{name}: and no more')

    users = [f'in one send {number} é' for number in range(60)]
    lines = [line['user'] for line in nginx.access_log()
             if line['user'] in users]
    order = [user for user in users if user in lines]
    tap.equal(lines, order, 'the access log has them in order as well')


def while_waiting(nginx, service):
    """What is sent behind a request that waits is no part of it."""
    for name, prepare in (('the rate', hold_the_rate), ('a pause', None)):
        user = f'waits for {name}'
        target = '/token'
        if prepare:
            crowd = prepare(nginx)
        else:
            target += '?region=eu-west-1'
            service.faults({'fault': 'retry-after-800', 'user': user})

        with Client(nginx.port, 30) as client:
            big = filler(MEGABYTE)
            client.send(request(target, user, filler(5000)))
            time.sleep(0.05)

            def send():
                client.send(request('/token', 'behind', big) + AFTER)
                client.send(chunked('/token', filler(200000), 'chunks')[:-5])

            sender = threading.Thread(target=send, daemon=True)
            before = cpu(nginx.worker())
            sender.start()
            first = client.answer()
            used = cpu(nginx.worker()) - before
            got = [described(service, first)]
            got += [described(service, client.answer()) for _ in range(2)]
            sender.join()
            same(got, [('token', user), ('token', 'behind'), (200, None)],
                 f'1 MB and more behind a request that waits for {name}: '
                 'each its own answer')
            tap.ok(client.quiet(0.3), f'{name}: half a request in chunks is '
                                      'none')
            client.send(b'0\r\n\r\n')
            tap.equal(described(service, client.answer()), ('token',
                                                            'chunks'),
                      f'{name}: it is answered once it is whole')
            tap.ok(used < 0.3 * slow(), f'{name}: bytes that wait behind it '
                                        'keep the worker not busy', used)
        if prepare:
            crowd.join()


def hold_the_rate(nginx):
    """Half a second's worth of clients before the next one."""
    def one(number):
        return ask(nginx.port, request('/token', f'crowd {number}'))

    thread = threading.Thread(target=in_parallel, args=(30, one), daemon=True)
    thread.start()
    time.sleep(0.15)
    return thread


def cpu(pid):
    """The seconds that a process has used."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text(
        'ascii').rpartition(')')[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')


def too_large(nginx, service):
    """A body over the limit ends the connection, wherever it stands."""
    evil = EVIL * 100

    for name, data, expected in (
            ('by Content-Length', request('/token', 'large', evil,
                                          length=MEGABYTE + 1), (413, None)),
            ('in chunks', chunked('/token', filler(MEGABYTE + 1), 'large')
             + evil, (413, 'request_too_large'))):
        service.forget()
        crowd = hold_the_rate(nginx)
        with Client(nginx.port, 30) as client:
            def send():
                try:
                    client.send(request('/token', 'before') + data)
                except OSError:
                    pass               # it is closed before all is sent

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            got = [described(service, client.answer()) for _ in range(2)]
            same(got, [('token', 'before'), expected],
                 f'a body over the limit, {name}, behind a request that '
                 'waits')
            # nginx waits for lingering_timeout, 5 seconds
            tap.ok(client.closed(15), f'{name}: the connection is closed')
            sender.join()
        crowd.join()
        tap.equal(service.requests(user='large'), [],
                  f'{name}: AWS is not asked')


def leaving(nginx, service):
    """Who leaves takes along what was sent behind."""
    service.forget()
    count = nginx.lines_so_far()
    client = Client(nginx.port)
    client.send(b''.join(request('/token?room=fault-slow-300', f'gone {number}',
                                 filler(number * 100))
                         for number in range(20)))
    wait_for(lambda: service.requests(user='gone 0'))
    client.close()
    lines = nginx.logged(count + 1)[count:]
    time.sleep(0.5)
    tap.equal([(line['user'], line['status']) for line in nginx.access_log()
               if line['user'].startswith('gone')], [('gone 0', 499)],
              '20 requests on one connection that is closed: the first is '
              'aborted')
    tap.equal([one['user'] for one in service.requests()
               if str(one.get('user')).startswith('gone')], ['gone 0'],
              'AWS was asked for none of the others')
    tap.ok(len(lines) == 1, 'and there is no more in the access log', *lines)


# HTTP/2


def streams(nginx, service):
    """100 at once on one connection."""
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

        got = [described(service, answer)
               for answer in client.wait(*numbers)]
        same(got, mixture.expected, '100 streams on one connection, bodies in '
                                    'pieces: each its own answer')
        # nginx resets a stream whose body it need not have read to the end
        odd = {number: reason for number, reason in client.resets.items()
               if reason != 0}
        tap.equal(odd, {}, 'none of them is broken off')
        tap.equal(described(service, client.ask('/token', 'next')),
                  ('token', 'next'), 'the connection goes on')


def waiting_streams(nginx, service):
    """All in the queue and in pauses, some with a body that never ends."""
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
        got = [described(service, answer)
               for answer in client.wait(*numbers)]
        same(got, users, '60 streams that wait, 20 others whose bodies do not '
                         'end: each its own token')
        client.wait(*stuck)
        statuses = {answer and answer.status
                    for answer in client.wait(*stuck)}
        tap.ok(set(stuck) <= client.ended and statuses <= {408, None},
               'those without an end are ended', statuses)
    wait_for(lambda: len(stuck_lines(nginx)) == 20)
    tap.equal([line['status'] for line in stuck_lines(nginx)], [408] * 20,
              'and logged as 408')
    tap.equal([one for one in service.requests()
               if str(one.get('user')).startswith('stuck')], [],
              'AWS is not asked for them')


def stuck_lines(nginx):
    """The access log's lines of those without an end."""
    return [line for line in nginx.access_log()
            if line['user'].startswith('stuck')]


# Slow and large bodies


def slow_bodies(nginx, service):
    """A body that comes slowly takes no place in the rate."""
    time.sleep(0.3)                    # the bucket is full
    service.forget()
    body = b'x' * 12
    clients = [Client(nginx.port, 30) for _ in range(60)]
    for number, client in enumerate(clients):
        head = ('/impatient', f'slow {number}')
        if number % 2:
            client.send(request(*head, body[:1], length=len(body)))
        else:
            client.send(chunked(head[0], b'', head[1])[:-5] + chunk(b'x'))

    answer = ask(nginx.port, request('/token', 'quick'))
    line = wait_for(lambda: [line for line in nginx.access_log()
                             if line['user'] == 'quick'])[0]
    tap.ok(is_token(answer) and float(line['wait']) == 0,
           '60 bodies are on their way: the next client does not wait', line)

    # 20 go on, a byte at a time; 40 do not

    steady = [*range(20)]
    for turn in range(len(body) - 1):
        time.sleep(0.25)
        for number in steady:
            clients[number].send(b'x' if number % 2 else chunk(b'x'))
    for number in steady:
        if number % 2 == 0:
            clients[number].send(b'0\r\n\r\n')

    got = [described(service, clients[number].answer()) for number in steady]
    same(got, [('token', f'slow {number}') for number in steady],
         'slow and steady: 20 bodies longer than client_body_timeout under '
         'way')
    closed = [client.closed() for client in clients[20:]]
    tap.ok(all(closed), 'those that stop are closed', closed)
    for client in clients:
        client.close()

    wait_for(lambda: len(slow_lines(nginx)) == 60)
    tap.equal(sorted(line['status'] for line in slow_lines(nginx)),
              [200] * 20 + [408] * 40, 'and logged as 408')
    tap.equal({one['user'] for one in service.requests()},
              {'quick', *(f'slow {number}' for number in steady)},
              'AWS is asked for the others only')


def slow_lines(nginx):
    """The access log's lines of slow clients."""
    return [line for line in nginx.access_log()
            if line['user'].startswith('slow')]


def large_bodies(nginx, service):
    """Of the largest size, many at once, and all wait for the rate."""
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
    same(got, [('token', f'large {number}') for number in range(count)],
         f'{count} bodies of 1 MB at once: each its own token')
    # freed memory stays in quarantine with AddressSanitizer
    bound = 400 * 1024 if sanitized() else 4 * 1024
    tap.ok(max(most) - before <= bound,
           f'the worker does not grow by more than {bound} kB',
           f'{max(most) - before} kB')
    tap.ok(wait_for(lambda: fds(worker) <= files + 16, 3),
           'and has no more files open', fds(worker), files)
    tap.equal([path.name for path in (nginx.dir / 'body').rglob('*')
               if path.is_file()], [], 'no body is written to a file')


def no_evil(nginx):
    """No body was ever taken for a request."""
    tap.equal([line for line in nginx.access_log()
               if '/evil' in line['request']], [],
              'no body was ever taken for a request')


def main():
    """One worker for all."""
    bounded(150)
    with Service(args=['--rate', 'off']) as service, \
            Nginx(service, http=HTTP, server=SERVER) as nginx:
        for part in (pipelining, while_waiting, too_large, leaving, streams,
                     waiting_streams, slow_bodies, large_bodies):
            attempt(tap, part, nginx, service)
            service.clear_faults()
        attempt(tap, no_evil, nginx)
        nginx.check(tap)
    tap.done()


main()
