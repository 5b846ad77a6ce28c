#!/usr/bin/python3
"""A thousand clients of AWS's SDK who join in the same moment.

With --measure it prints the figures of docs/clients.md, for the provider and
for the bare SDK, and tests nothing.
"""

import json
import pathlib
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 't' / 'lib'))

from ivschat_testlib import MessagingEdge, Service, Tap
from nginx_testlib import (Nginx, ask, bounded, in_parallel, is_token,
                           request, slow)

tap = Tap()

# A TLS handshake can take seconds where everything is on one machine.
Nginx.patience = 5

COUNT = 1000
NPM = TOP / 'objs' / 'npm' / 'node_modules'

# The words keep the library from lines of its own: the defaults are tested.
DEFAULTS = '# without "ivschat_token_rate 200" and "ivschat_token_tries 3"\n'


def crowd(which, nginx, edge, seconds):
    """What became of the clients of t/browser/crowd.mjs."""
    done = subprocess.run(
        ['node', str(TOP / 't' / 'browser' / 'crowd.mjs'), which, str(NPM),
         f'http://127.0.0.1:{nginx.port}/token', edge.url, str(COUNT),
         str(seconds)],
        stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60)
    return json.loads(done.stdout)


class Outage:
    """AWS is away for so many seconds, from now on."""

    def __init__(self, service, seconds):
        self._service = service
        self._timer = threading.Timer(seconds, service.clear_faults)

    def __enter__(self):
        self._service.faults({'fault': 'internal', 'count': None})
        self._timer.start()

    def __exit__(self, *_exception):
        self._timer.cancel()
        self._timer.join()
        self._service.clear_faults()


def warm(service, nginx):
    """nginx has its connections to AWS, as one that runs, and a full bucket.

    Meanwhile AWS does not throttle, since nginx would be slower after that.
    """
    service.config(rate=None)
    answers = in_parallel(400, lambda number: ask(
        nginx.port, request(user=f'warm {number}')))
    failed = [answer for answer in answers if not is_token(answer)]
    if failed:
        raise RuntimeError(f'{len(failed)} got no token: {failed[:3]}')
    time.sleep(1.5)
    service.config(rate=200)
    service.forget()


def world(part):
    """Run a part with a service, an edge and an nginx of its own."""
    with Service(args=['--rate', '200']) as service, \
            MessagingEdge(service) as edge, \
            Nginx(service, workers=2, connections=8000, keepalive=400,
                  http=DEFAULTS, main='worker_rlimit_nofile 16384;') as nginx:
        warm(service, nginx)
        return part(service, edge, nginx)


def show(seen):
    """The figures, without the long list."""
    at = sorted(seen.pop('joinedAt'))
    if at:
        seen['joined after'] = {
            f'{share} %': round(at[max(0, len(at) * share // 100 - 1)], 2)
            for share in (20, 50, 100)}
    return json.dumps(seen)


def wave(service, edge, nginx):
    """All of them join, at the pace of the quota."""
    seen = crowd('ours', nginx, edge, 60 * slow())
    at = sorted(seen['joinedAt'])
    print('# measured: ' + show(seen))

    tap.equal(seen['joined'], COUNT, 'all have joined')
    tap.equal((seen['gaveUp'], seen['refused']), ({}, {}),
              'nobody has given up, or was refused')
    made = service.health()['by_code'].get('ok', 0)
    tap.ok(COUNT <= made <= COUNT * 1.05,
           'AWS has made one token for each, and hardly any for nobody', made)
    tap.ok(set(seen['statuses']) <= {'200', '429', '502', '504'}
           and seen['statuses']['200'] == COUNT,
           'a client who was not served at first was told to wait',
           seen['statuses'])
    tap.ok(at[-1] > 3.5, 'not faster than the quota: 200 at once, then 200 '
           'a second', at[-1])
    tap.ok(at[-1] < 30 * slow(), 'and not much slower', at[-1])
    tap.equal(edge.health().get('joined'), COUNT, 'the edge has let in as many')
    nginx.check(tap, 'a thousand clients')


def outage(service, edge, nginx):
    """AWS has errors for five seconds: all join after that."""
    with Outage(service, 5):
        seen = crowd('ours', nginx, edge, 120 * slow())
    print('# measured: ' + show(seen))
    tap.equal((seen['joined'], seen['gaveUp']), (COUNT, {}),
              'while AWS is away they wait, and all join afterwards')
    tap.ok(seen['statuses'].get('502', 0) > 0
           and seen['statuses']['200'] == COUNT,
           'some were refused at first', seen['statuses'])
    nginx.check(tap, 'an outage')


def measure():
    """The figures of docs/clients.md."""
    def joining(which):
        def part(service, edge, nginx):
            seen = crowd(which, nginx, edge, 120)
            return {**seen, 'AWS': service.health()['by_code']}
        return part

    def away(which, outage):
        def part(service, edge, nginx):
            with Outage(service, outage):
                seen = crowd(which, nginx, edge, 120)
            return {**seen, 'AWS': service.health()['by_code']}
        return part

    for which in ('ours', 'bare'):
        print(which, 'joins:', show(world(joining(which))), flush=True)
        for outage in (5, 20):
            print(which, f'outage of {outage} s:',
                  show(world(away(which, outage))), flush=True)


def main():
    """Each part in a world of its own."""
    if sys.argv[1:] == ['--measure']:
        measure()
        return

    bounded(400)
    world(wave)
    world(outage)
    tap.done()


if __name__ == '__main__':
    main()
