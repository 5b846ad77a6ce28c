#!/usr/bin/python3
"""A client that goes away, at every stage, leaves nothing behind."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (BlackHole, Client, Http2, Mute, Nginx, ask, attempt,
                           bounded, chunked, fds, in_parallel, is_token,
                           request, rss, sanitized, wait_for)

tap = Tap()

UPSTREAMS = '''
    upstream ivschat.eu-west-1.amazonaws.com    { server 127.0.0.1:%d; }
    upstream ivschat.eu-central-1.amazonaws.com { server 127.0.0.1:%d; }
'''

LOCATIONS = '''
    location = /crawling {
        ivschat_token /ivschat;
        limit_rate    100;
    }
'''

ABORTED = (499, 'aborted')
UNREAD = (400, 'aborted')              # nginx's own status for half a body
OK = (200, 'ok')
WAYS = {'close': Client.close, 'reset': Client.abort,
        'half-close': Client.half_close}
RATHER = 1.5                           # seconds: at once, on a busy machine


class Stages:
    """What must be as before when a client has left."""

    def __init__(self, nginx, service, mute):
        self.nginx, self.service, self.mute = nginx, service, mute
        self.worker = nginx.worker()
        self.idle = 16                 # kept-alive connections at most
        ask(nginx.port, request())
        time.sleep(0.3)
        self.baseline = self.own_fds()

    def open(self):
        """The connections that the service has."""
        return self.service.connections()['open']

    def own_fds(self):
        """The worker's open files without its connections to AWS."""
        return fds(self.worker) - self.open()

    def begin(self):
        """Before a client comes."""
        count = self.nginx.lines_so_far()
        self.idle = self.open()
        return count

    def asked(self, count):
        """Wait until AWS has seen so many requests since the start."""
        return wait_for(lambda: self.service.health()['requests'] >= count)

    def freed(self, seconds=RATHER):
        """Whether all is as it was, soon: files, and connections to AWS."""
        return wait_for(lambda: self.own_fds() <= self.baseline
                        and self.open() <= self.idle, seconds)

    def closed(self, left):
        """Whether the service was left waiting once more than before."""
        return wait_for(lambda: self.left() > left, RATHER)

    def left(self):
        """How often a client left the service before its answer was out."""
        counters = self.service.connections()
        return counters['left_waiting'] + counters['half_closed']


def before_aws(stages):
    """Stages at which AWS is not asked yet."""
    nginx, service = stages.nginx, stages.service
    service.forget()

    cases = (
        ('in the middle of the head', request()[:60], None),
        ('before a byte of the body', request(length=100), UNREAD),
        ('in the middle of the body', request(body=b'x' * 50, length=100),
         UNREAD),
        ('in the middle of a chunked body',
         chunked(body=b'x' * 50)[:-5], UNREAD),
        ('in the middle of a chunk', chunked(body=b'x' * 50)[:-20], UNREAD),
        ('in the middle of a large body',
         request(body=b'x' * 300000, length=400000), UNREAD),
        ('while AWS answers no SYN', request('/token?region=eu-west-1'),
         ABORTED),
        ('while AWS accepts and says nothing',
         request('/token?region=eu-central-1'), ABORTED),
    )

    for name, data, expected in cases:
        for way, leave in WAYS.items():
            if way == 'half-close' and expected is None:
                continue               # nginx then closes as well

            count = stages.begin()
            client = Client(nginx.port)
            client.send(data)
            time.sleep(0.05)
            leave(client)
            report(stages, f'{way} {name}', count, expected)
            client.close()

            if 'says nothing' in name:
                tap.ok(stages.mute.left(), f'{way} {name}: the connection '
                                           'to AWS is closed')

    tap.equal(service.requests(), [], 'AWS was never asked')


def in_aws(stages):
    """Stages at which AWS has been asked."""
    nginx, service = stages.nginx, stages.service

    cases = (
        ('while AWS is silent', 'silence', 0),
        ('while AWS is slow', 'slow-1500', 0),
        ('within AWS\'s head', 'drip-50', 0.3),
        ('within AWS\'s body', 'pause-1500', 0.1),
        ('within AWS\'s dripping body', 'drip-1', 0.45),
    )

    for name, fault, delay in cases:
        for way, leave in WAYS.items():
            count = stages.begin()
            asked = service.health()['requests']
            left = stages.left()
            client = Client(nginx.port)
            client.send(request(f'/token?room=fault-{fault}'))
            stages.asked(asked + 1)
            time.sleep(delay)
            leave(client)
            report(stages, f'{way} {name}', count, ABORTED)
            client.close()
            tap.ok(stages.closed(left), f'{way} {name}: its connection to AWS '
                                        'is closed')

    client = Client(nginx.port)
    count = stages.begin()
    asked = service.health()['requests']
    client.send(request('/token?room=fault-silence', body=b'x') + request())
    stages.asked(asked + 1)
    client.close()
    report(stages, 'close with another request sent behind', count, ABORTED)


def in_answer(stages):
    """While the answer is sent: the token was minted by then."""
    nginx = stages.nginx

    for way, leave in WAYS.items():
        ask(nginx.port, request())     # one connection to AWS is kept
        time.sleep(0.05)
        count = stages.begin()
        client = Client(nginx.port)
        client.send(request('/crawling?room=fault-long-token-8000'))
        client.sock.recv(20)
        leave(client)
        report(stages, f'{way} while the answer is sent', count, OK)
        client.close()


def report(stages, name, count, expected):
    """What has to hold after a client has left."""
    tap.ok(stages.freed(), f'{name}: all is freed at once',
           f'files {stages.own_fds()}, before {stages.baseline}; connections '
           f'to AWS {stages.open()}, before {stages.idle}')

    if expected is not None:
        lines = stages.nginx.logged(count + 1)[count:]
        tap.equal([(line['status'], line['result']) for line in lines],
                  [expected], f'{name}: logged once, {expected}')


def http2(stages):
    """Streams that are reset, and connections that go."""
    nginx, service = stages.nginx, stages.service

    cases = (
        ('before a byte of the body', '/token', b''),
        ('in the middle of the body', '/token', b'x' * 5000),
        ('while AWS answers no SYN', '/token?region=eu-west-1', None),
        ('while AWS accepts and says nothing', '/token?region=eu-central-1',
         None),
        ('while AWS is silent', '/token?room=fault-silence', None),
        ('within AWS\'s head', '/token?room=fault-drip-50', None),
        ('within AWS\'s body', '/token?room=fault-pause-1500', None),
    )

    for name, target, body in cases:
        with Http2(nginx.h2port) as client:
            count = stages.begin()
            ok = client.ask()
            stream = client.open(target, end=body is None)
            if body:
                client.send(stream, body)
            time.sleep(0.2)
            client.reset(stream)

            lines = [(line['status'], line['result'])
                     for line in nginx.logged(count + 2)[count:]]
            tap.ok(is_token(ok) and lines in (
                [OK, ABORTED], [OK, ABORTED if body is None else UNREAD]),
                f'HTTP/2, RST_STREAM {name}: logged as aborted', *lines)
            tap.ok(is_token(client.ask()),
                   f'HTTP/2, RST_STREAM {name}: the next stream is served')
        tap.ok(stages.freed(),
               f'HTTP/2, RST_STREAM {name}: all is freed')
        if 'says nothing' in name:
            tap.ok(stages.mute.left(), f'HTTP/2, RST_STREAM {name}: the '
                                       'connection to AWS is closed')

    count = stages.begin()
    asked = service.health()['requests']
    with Http2(nginx.h2port) as client:
        for _ in range(30):
            client.open('/token?room=fault-silence')
        stages.asked(asked + 30)
    tap.ok(stages.freed(),
           'HTTP/2, close with 30 streams waiting: all is freed')
    lines = nginx.logged(count + 30)[count:]
    tap.equal([(line['status'], line['result']) for line in lines],
              [ABORTED] * 30, 'HTTP/2: each is logged as aborted')


def many(stages):
    """1000 aborts in a row."""
    nginx = stages.nginx
    data = [request('/token?room=fault-silence'), request(),
            request(body=b'x' * 10, length=20),
            request('/token?region=eu-west-1'),
            request('/token?room=fault-slow-200')]
    pauses = [0, 0, 0.001, 0.003, 0.01]
    ways = [Client.close, Client.abort]

    def leave(number):
        client = Client(nginx.port)
        client.send(data[number % len(data)])
        time.sleep(pauses[number // 5 % len(pauses)])
        ways[number % len(ways)](client)

    def round_of(count):
        for number in range(count):
            leave(number)
        stages.idle = 16
        freed = stages.freed(10)
        return freed, rss(stages.worker)

    count = stages.begin()
    round_of(200)
    _, before = round_of(200)
    freed, after = round_of(1000)

    tap.ok(freed, '1000 quick aborts: all is freed')
    # freed memory stays in quarantine with AddressSanitizer
    bound = 400 * 1024 if sanitized() else 512
    tap.ok(after - before <= bound, f'1000 quick aborts: the worker does not '
                                    f'grow by more than {bound} kB',
           f'{before} kB, then {after} kB')

    lines = nginx.logged(count + 1400, 2)[count:]
    results = {(line['status'], line['result']) for line in lines}
    tap.ok(ABORTED in results and results <= {ABORTED, UNREAD, OK},
           '1000 quick aborts: nothing but aborted and ok is logged',
           results)
    tap.ok(is_token(ask(nginx.port, request())),
           '1000 quick aborts: and then a token')


def others(stages):
    """Those who stay are served."""
    nginx = stages.nginx

    def one(number):
        with Client(nginx.port) as client:
            if number % 2:
                client.send(request('/token?room=fault-slow-300'))
                time.sleep(0.1)
                return None
            return client.ask(request('/token?room=fault-slow-300'))

    answers = in_parallel(20, one)[::2]
    tap.ok(all(is_token(answer) for answer in answers),
           'clients who stay get their tokens while others leave', answers)


def main():
    """One worker, so that its files can be counted."""
    bounded(100)
    with Service(args=['--rate', 'off']) as service, BlackHole() as hole, \
            Mute() as mute, \
            Nginx(service, http=UPSTREAMS % (hole.port, mute.port),
                  server=LOCATIONS) as nginx:
        stages = Stages(nginx, service, mute)
        attempt(tap, before_aws, stages)
        attempt(tap, in_aws, stages)
        attempt(tap, in_answer, stages)
        attempt(tap, http2, stages)
        attempt(tap, others, stages)
        attempt(tap, many, stages)
        nginx.check(tap)

    tap.done()


main()
