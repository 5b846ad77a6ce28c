"""Four nginx, one account: what the simulation of t/sim/ says, done.

All of them are in want of tokens all the time; AWS takes 200 calls a second.
First comes a storm out of a calm, then two of the four vanish.

EDGES_SECONDS=600 looks at ten minutes before that, as the simulation does.
Only then can be asked for what docs/scaling.md aims at: within 15 seconds a
host sees one or two refusals, and cannot know what its share is.
"""

import os
import signal
import time
from contextlib import ExitStack

import pytest

from crowd import Crowd
from nginx_testlib import Nginx, sanitized, slow

PATIENCE = 3 * slow()                  # of handshakes on a busy machine

EDGES = 4
CLIENTS = 80 // slow()                 # of each edge
QUOTA = 200 // slow()                  # 40 with the sanitizers
SERVICE = ['--rate', QUOTA, '--latency', '40']
CALM = 3
WINDOW = 5                             # for "back", as in the simulation
LONG = int(os.environ.get('EDGES_SECONDS', 0))
STEADY = LONG or 15
FIRST = 30 if LONG else 15             # second of the storm

# The aims, for WINDOW and for ten minutes; of the law itself single runs are
# as low as 0.92 in fairness.
USED, REFUSED, BACK = 0.95, 0.02, 30
FAIR = 0.9

# Fifteen seconds say less.  Of 150 simulated ones the worst used 0.87 (0.74
# with a quota of 40) and had 0.54 in fairness; of 60 in which half vanish one
# was back after 32 seconds.
if LONG < 600:
    LEAST_USED, LEAST_FAIR = 0.6 if sanitized() else 0.8, 0.35
else:
    LEAST_USED, LEAST_FAIR = USED, FAIR
LATEST = 45

HTTP = f'ivschat_token_rate {QUOTA} burst={QUOTA}; ivschat_token_tries 3;'


class Clock:
    """What AWS has given and refused, and to whom, second by second."""

    def __init__(self, service):
        self._service = service
        self._next = self._last = None
        self.seconds = []              # (tokens, refused)

    def start(self):
        """The first second begins."""
        self._next = time.monotonic()
        self._last = self._now()

    def _now(self):
        codes = self._service.health()['by_code']
        return codes.get('ok', 0), codes.get('ThrottlingException', 0)

    def tick(self):
        """Wait for the end of this second."""
        self._next += 1
        time.sleep(max(self._next - time.monotonic(), 0))
        now = self._now()
        self.seconds.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def watch(self, seconds, enough=lambda: False):
        """So many seconds, or until it is enough."""
        for _ in range(seconds):
            self.tick()
            if enough():
                break

    def part(self, start, end):
        """(used, refused) of some seconds."""
        tokens = sum(one[0] for one in self.seconds[start:end])
        refused = sum(one[1] for one in self.seconds[start:end])
        return (tokens / QUOTA / len(self.seconds[start:end]),
                refused / max(tokens + refused, 1))

    def back(self, start):
        """Seconds until the next five are within the bounds, or None."""
        for second in range(start, len(self.seconds) - WINDOW + 1):
            used, refused = self.part(second, second + WINDOW)
            if used >= USED and refused <= REFUSED:
                return second - start
        return None


def jain(counts):
    """Jain's index: 1 where all are equal."""
    return sum(counts) ** 2 / (len(counts) * sum(n * n for n in counts) or 1)


class Edges:
    """Four nginx, and clients of each."""

    def __init__(self, stack, service):
        self.crowd = stack.enter_context(Crowd())
        self.nginxes = [stack.enter_context(Nginx(service, http=HTTP,
                                                  keepalive=64))
                        for _ in range(EDGES)]
        self.streams = []

    def calm(self):
        """A few clients of each."""
        return [self.crowd.every(nginx.port, 5, lambda number: f'c{number}')
                for nginx in self.nginxes]

    def storm(self):
        """All are in want, of more than there is."""
        self.streams = [self.crowd.always(nginx.port, CLIENTS,
                                          lambda number: f'user {number}')
                        for nginx in self.nginxes]

    def tokens(self):
        """How many each has given out."""
        return [sum(one.good for one in [*stream.asked])
                for stream in self.streams]

    def others(self):
        """The answers that are neither tokens nor 429."""
        return [one for stream in self.streams for one in stream.asked
                if not one.good and one.code != 'throttled'][:10]


@pytest.fixture(scope='module')
def edges(service):
    with ExitStack() as stack:
        yield Edges(stack, service)


@pytest.mark.timeout(150 + LONG)
def test_edges_share_the_quota(service, edges):
    clock = Clock(service)
    check_storm(clock, edges)
    check_vanishing(clock, edges)
    for stream in edges.streams:
        stream.stop()
    for nginx in edges.nginxes[:EDGES // 2]:
        nginx.check()


def check_storm(clock, edges):
    """A storm, and what it comes to."""
    calm = edges.calm()
    time.sleep(CALM)
    for stream in calm:
        stream.stop()
    edges.storm()

    clock.start()
    clock.watch(FIRST)
    before = edges.tokens()
    clock.watch(STEADY)
    counts = [after - then for then, after in zip(before, edges.tokens())]

    used, refused = clock.part(FIRST, FIRST + STEADY)
    back, fair = clock.back(0), jain(counts)
    report(f'after a storm, {STEADY} seconds from second {FIRST} on',
           used, refused, fair, back, counts)
    assert back is not None and back <= BACK, clock.seconds
    assert used >= LEAST_USED, clock.seconds
    assert refused <= REFUSED, clock.seconds
    assert fair >= LEAST_FAIR, counts
    # Clients get tokens or 429.
    assert not edges.others()


def check_vanishing(clock, edges):
    """Two of them stop; the others take over."""
    start = len(clock.seconds)
    for nginx in edges.nginxes[EDGES // 2:]:
        nginx.signal(signal.SIGTERM)
    for stream in edges.streams[EDGES // 2:]:
        stream.stop()
    seen = len(edges.streams[0].asked)
    clock.watch(LATEST + WINDOW, lambda: clock.back(start) is not None)
    back = clock.back(start)
    after = len(clock.seconds) - WINDOW
    used, refused = clock.part(after, after + WINDOW)
    report('after two have vanished, the last 5 seconds', used, refused,
           None, back, edges.tokens())
    assert back is not None and back <= LATEST, clock.seconds[start:]
    assert len(edges.streams[0].asked) > seen


def report(name, used, refused, fair, back, counts):
    """For docs/scaling.md."""
    print(f'{name}: used {100 * used:.1f} %, refused {100 * refused:.2f} %'
          + (f', fair {fair:.3f}' if fair else '')
          + f', back after {back} s; tokens by edge {counts}')
