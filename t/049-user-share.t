#!/usr/bin/python3
"""One user who asks all the time does not take the share of the others.

The official SDK does that where the clock of a device is ahead of the time
at which its tokens expire.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from crowd import Crowd, percentile
from ivschat_testlib import Service, Tap
from nginx_testlib import (Nginx, ask, attempt, bounded, is_token, request,
                           slow)

tap = Tap()

RATE = 60 // slow()                    # requests a second
OTHERS = 50 // slow()
LOUD = 87 / slow()
SECONDS = 5
EACH, BURST = 1, 3                     # of one user, a second and at once

HTTP = f'''
    limit_req_zone $ivschat_token_user zone=per_user:1m rate={EACH}r/s;

    ivschat_token_rate {RATE} burst={RATE // 6} wait=1s;
    ivschat_token_tries 3;
'''
SERVER = f'''
    location = /limited-token {{
        ivschat_token /limited;
    }}

    location = /limited {{
        internal;
        limit_req        zone=per_user burst={BURST} nodelay;
        limit_req_status @STATUS@;
        proxy_pass       https://$ivschat_token_host/CreateChatToken;
        include          ivschat_params;
    }}
'''


class Trial:
    """What came to others, with or without the loud one."""

    def __init__(self, service, target, loud, status=503):
        service.forget()
        server = SERVER.replace('@STATUS@', str(status))
        with Nginx(service, workers=2, http=HTTP, server=server) as nginx, \
                Crowd() as crowd:
            others = crowd.every(nginx.port, OTHERS,
                                 lambda number: f'other {number % 250}',
                                 target)
            start = time.monotonic()
            noise = loud and crowd.every(nginx.port, LOUD,
                                         lambda number: 'loud', target)
            time.sleep(SECONDS)
            self.loud = noise.stop().asked if noise else []
            self.seconds = time.monotonic() - start
            self.others = others.stop().asked
            self.lines = nginx.logged(len(self.loud) + len(self.others))
            self.seen = service.requests()
            self.after(nginx)
            nginx.check(tap, f'{target}, loud: {loud}')

    def after(self, nginx):
        """The loud one is known still; anybody else is not."""
        self.next = ask(nginx.port, request('/limited-token', 'new'))

    @property
    def served(self):
        """The part of the others' requests that got a token."""
        return (sum(one.good for one in self.others)
                / max(len(self.others), 1))

    def took(self, percent):
        """Seconds until their answer."""
        return percentile([one.took for one in self.others], percent)

    def of_loud(self):
        """The access log's lines of the loud user."""
        return [line for line in self.lines if line['user'] == 'loud']

    def __str__(self):
        return (f'{len(self.others)} requests of others, '
                f'{100 * self.served:.0f} % served; seconds: '
                f'{self.took(50):.3f} (half), {self.took(95):.3f} (95 %); '
                f'{len(self.loud)} of the loud one, '
                f'{sum(one.good for one in self.loud)} served')


def share(service):
    """Four times the same others."""
    trials = {'without the loud user': Trial(service, '/token', False),
              'with it, no limit': Trial(service, '/token', True),
              'with it, limit_req': Trial(service, '/limited-token', True),
              'with it, limit_req with 429':
              Trial(service, '/limited-token', True, 429)}
    for name, trial in trials.items():
        print(f'# {name}: {trial}', flush=True)

    alone, noisy, limited, other = trials.values()
    tap.ok(alone.served == 1 and len(alone.others) >= OTHERS * SECONDS * 0.8,
           'without the loud user all others are served', alone)
    tap.ok(noisy.served < 0.8 and noisy.took(50) > alone.took(50) + 0.3,
           'with it, and no limit, they are not, and wait', noisy, alone)

    for trial, status in ((limited, 503), (other, 429)):
        check(trial, alone, f'limit_req, {status}')


def check(trial, alone, name):
    """The limit keeps the loud one off the others."""
    tap.ok(trial.served == 1, f'{name}: all others are served', trial,
           [one for one in trial.others if not one.good][:5])
    tap.ok(trial.took(95) < alone.took(95) + 0.1 * slow(),
           f'{name}: as soon as without it', trial, alone)

    most = BURST + 1 + EACH * (trial.seconds + 1)
    good = sum(one.good for one in trial.loud)
    refused = [one for one in trial.loud if not one.good]
    tap.ok(BURST < good <= most,
           f'{name}: the loud user has its share', good, most)
    tap.ok(len(refused) > LOUD * SECONDS / 2
           and {(one.status, one.code) for one in refused}
           == {(429, 'throttled')}, f'{name}: and 429 for the rest', trial,
           [one for one in refused if one.code != 'throttled'][:5])

    lines = trial.of_loud()
    tap.equal({line['attempts'] for line in lines}, {'1'},
              f'{name}: a refusal of nginx itself is not tried again')
    users = [one['user'] for one in trial.seen]
    tap.equal((users.count('loud'), len(users)),
              (good, good + len(trial.others)),
              f'{name}: AWS sees nothing of the rest')
    tap.ok(is_token(trial.next), f'{name}: then a token for somebody else')


def main():
    """One service."""
    Nginx.patience = 3 * slow()        # of handshakes on a busy machine
    bounded(90)
    with Service(args=['--rate', 'off', '--latency', '20']) as service:
        attempt(tap, share, service)
    tap.done()


main()
