"""2000 clients wait in one worker while AWS is silent: what that costs.

The same worker goes on answering others; the memory of those who wait is
that of a plain proxy_pass and little more; and all of it is given back.
"""

import time

import pytest

from crowd import Prober, allow_files, percentile
from ivschat_testlib import room, sign, token_body
from nginx_testlib import (Client, Nginx, code, fds, is_token, memory,
                           request, sanitized, slow, wait_for)

COUNT = 200 if sanitized() else 2000
DEADLINE = 25                          # seconds; all have to begin before
PATIENCE = DEADLINE * slow()           # the deadline is what ends requests
WATCH = 3
AWS = 'ivschat.us-west-2.amazonaws.com'
BOUND = 24 * 1024                      # bytes for each that waits
SILENT = '/token?room=fault-silence'

allow_files(12000)                     # the service's, too

OPTIONS = {'connections': 3 * 2000 + 200, 'keepalive': 16,
           'main': 'worker_rlimit_nofile 10000;', 'level': 'warn'}
HTTP = f'ivschat_token_timeout {DEADLINE}s;'
PLAIN = '''
    location /plain {
        include ivschat_params;

        location = /plain {
            proxy_pass                https://%s/CreateChatToken;
            proxy_ignore_client_abort off;
            proxy_set_header          Connection "";
            %s
            proxy_set_body            '%s';
        }
    }
'''


def plain():
    """The location of a request that was signed once, for everybody."""
    body = token_body(roomIdentifier=room('fault-silence'))
    headers = sign(body, AWS)
    lines = '\n'.join(f"proxy_set_header {name} '{value}';"
                      for name, value in headers
                      if name.lower() not in ('content-length', 'host'))
    return PLAIN % (AWS, lines, body.decode())


class Waiting:
    """Clients who wait for AWS, all in one worker."""

    def __init__(self, nginx, service, target, count=COUNT):
        worker = nginx.worker()
        before = service.health()['requests']
        self.start = time.monotonic()
        self.memory, self.files = memory(worker), fds(worker)
        self.clients = []
        for number in range(count):
            client = Client(nginx.port, 3 * DEADLINE)
            client.send(request(target, f'user {number}'))
            self.clients.append(client)
        self.begun = wait_for(lambda: service.health()['requests']
                              >= before + count, DEADLINE)
        self.there = time.monotonic()
        time.sleep(0.5)
        self.cost = (memory(worker) - self.memory) / count
        self.more_files = fds(worker) - self.files

    def answers(self):
        """Each one's (status, code)."""
        found = []
        for client in self.clients:
            try:
                found.append(code(client.answer()))
            except (OSError, EOFError, ValueError) as error:
                found.append(repr(error))
        self.leave()
        return found

    def report(self, nginx, name):
        """What the C library keeps, for the next ones."""
        left = memory(nginx.worker()) - self.memory
        print(f'{name}: {left / 1024:.0f} KB of '
              f'{self.cost * len(self.clients) / 1024:.0f} KB are still the '
              'worker\'s when all are gone', flush=True)

    def leave(self):
        """All of them go."""
        for client in self.clients:
            client.close()


def first_bytes(nginx, service, target):
    """What a worker needs once, whoever comes: not what a request costs."""
    few = Waiting(nginx, service, target, 50)
    few.leave()
    wait_for(lambda: fds(nginx.worker()) <= few.files + 1)


@pytest.fixture(scope='module')
def plain_cost(service):
    """Bytes of each waiting request of a plain proxy_pass."""
    with Nginx(service, server=plain(), **OPTIONS) as nginx:
        first_bytes(nginx, service, '/plain')
        waiting = Waiting(nginx, service, '/plain')
        # They wait, and AWS has found them good.
        assert waiting.begun
        assert (service.requests(limit=1)[0]['verdict']['fault']
                == 'silence')
        waiting.leave()
        wait_for(lambda: fds(nginx.worker()) <= waiting.files + 1)
        waiting.report(nginx, 'plain proxy_pass')
        nginx.check()
    return waiting.cost


@pytest.mark.timeout(150)
def test_requests_wait_for_a_silent_aws(service, plain_cost):
    """Others ask for something else meanwhile."""
    with Nginx(service, http=HTTP, **OPTIONS) as nginx:
        worker = nginx.worker()
        first_bytes(nginx, service, SILENT)
        service.forget()

        with Prober(nginx.port) as prober:
            nobody = time.monotonic()
            time.sleep(WATCH)
            waiting = Waiting(nginx, service, SILENT)
            time.sleep(WATCH)
            end = time.monotonic()
            answers = waiting.answers()
            over = time.monotonic()
        check_answers(waiting, answers, end)
        check_latency(prober, {
            'nobody waits': (nobody, waiting.start),
            f'{COUNT} come': (waiting.start, waiting.there),
            f'{COUNT} wait': (waiting.there, end),
            'their time is over': (end, over)})
        check_memory(waiting.cost, plain_cost)

        assert wait_for(lambda: fds(worker) <= waiting.files + 1)
        waiting.report(nginx, 'the module')
        check_more_requests(nginx, service, waiting)
        nginx.check()


def check_answers(waiting, answers, end):
    """All of them waited at the same time, with two connections each."""
    assert waiting.begun
    assert end < waiting.start + DEADLINE
    assert waiting.more_files >= 2 * COUNT
    assert [one for one in answers if one != (504, 'timeout')] == []
    assert len(answers) == COUNT


def check_latency(prober, phases):
    """Another location answers as ever."""
    found = {}
    for name, (start, end) in phases.items():
        times = [1000 * took for took in prober.between(start, end)]
        found[name] = (len(times), percentile(times, 50),
                       percentile(times, 99))
        print('another location, %s: %d answers, p50 %.2f ms, p99 %.2f ms'
              % (name, *found[name]) if times else f'{name}: no answers')

    (_, half, most), _, (count, half_then, most_then), _ = found.values()
    assert count > 100 / slow()
    assert half_then < 3 * half + 1 * slow()
    assert most_then < most + 25 * slow()


def check_memory(cost, plain_cost):
    """A waiting request costs little more than one of a plain proxy_pass."""
    print(f'each waiting request: {cost / 1024:.1f} KB, of a plain '
          f'proxy_pass {plain_cost / 1024:.1f} KB')
    if not sanitized():
        assert plain_cost > 4096
        assert cost - plain_cost < BOUND


def check_more_requests(nginx, service, first):
    """As many once more use the memory of the first ones.

    Not quite: the heap gets holes, with a plain proxy_pass as well, where a
    second and a third 2000 add a sixth and a fiftieth.
    """
    waiting = Waiting(nginx, service, SILENT)
    peak = first.memory + first.cost * COUNT
    now = waiting.memory + waiting.cost * COUNT
    assert waiting.begun
    if not sanitized():
        assert now < peak + 0.3 * first.cost * COUNT

    # They leave, and all files are closed.
    waiting.leave()
    assert wait_for(lambda: fds(nginx.worker()) <= first.files + 1,
                    2 * DEADLINE)
    with Client(nginx.port) as client:
        assert is_token(client.ask(request()))
