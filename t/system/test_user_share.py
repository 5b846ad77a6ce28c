"""One user who asks all the time does not take the share of the others.

The official SDK does that where the clock of a device is ahead of the time
at which its tokens expire.
"""

import time

import pytest

from crowd import Crowd, percentile
from nginx_testlib import Nginx, ask, is_token, request, slow

SERVICE = ['--rate', 'off', '--latency', '20']
PATIENCE = 3 * slow()                  # with handshakes on a busy machine
RATE = 60 // slow()                    # requests a second
OTHERS = 50 // slow()
LOUD = 87 / slow()
SECONDS = 5
EACH, BURST = 1, 3                     # of one user, a second and at once

HTTP = f'''
    limit_req_zone $ivschat_token_user zone=per_user:1m rate={EACH}r/s;

    ivschat_token_rate {RATE} burst={RATE // 6} wait=1s user=@USER@;
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

    def __init__(self, service, target, loud, status=503, user='off'):
        server = SERVER.replace('@STATUS@', str(status))
        with Nginx(service, workers=2, http=HTTP.replace('@USER@', user),
                   server=server) as nginx, Crowd() as crowd:
            self.warm(service, nginx, crowd)
            before = len(nginx.access_log())
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
            self.lines = nginx.logged(before + len(self.loud)
                                      + len(self.others))[before:]
            self.seen = service.requests()
            self.next = ask(nginx.port, request('/limited-token', 'new'))
            nginx.check()

    @staticmethod
    def warm(service, nginx, crowd):
        """A new bucket begins at a quarter, and climbs while it is in want."""
        stream = crowd.always(nginx.port, 30, lambda number: f'warm {number}')
        time.sleep(10)
        stream.stop()
        time.sleep(1.5)
        service.forget()

    @property
    def served(self):
        """The part of the others' requests that got a token."""
        return (sum(one.good for one in self.others)
                / max(len(self.others), 1))

    def took(self, percent):
        """Seconds until their answer."""
        return percentile([one.took for one in self.others], percent)

    def __repr__(self):
        return (f'{len(self.others)} requests of others, '
                f'{100 * self.served:.0f} % served; seconds: '
                f'{self.took(50):.3f} (half), {self.took(95):.3f} (95 %); '
                f'{len(self.loud)} of the loud one, '
                f'{sum(one.good for one in self.loud)} served')


@pytest.fixture(scope='module')
def alone(service):
    """Without the loud user."""
    return Trial(service, '/token', False)


def test_all_others_are_served_without_the_loud_user(alone):
    assert alone.served == 1, alone
    assert len(alone.others) >= OTHERS * SECONDS * 0.8


def test_a_user_has_no_more_than_four_requests(service):
    # the rate is lower under sanitizers, and so is the number
    trial = Trial(service, '/token', True, user=str(max(4 // slow(), 1)))
    assert trial.served > 0.99, trial


def test_without_a_limit_they_are_not_and_wait(service, alone):
    noisy = Trial(service, '/token', True)
    assert noisy.served < 0.8, noisy
    assert noisy.took(50) > alone.took(50) + 0.3, (noisy, alone)


@pytest.mark.parametrize('status', (503, 429))
def test_limit_req_keeps_the_loud_user_off(service, alone, status):
    trial = Trial(service, '/limited-token', True, status)
    assert trial.served == 1, (
        trial, [one for one in trial.others if not one.good][:5])
    assert trial.took(95) < alone.took(95) + 0.1 * slow(), (trial, alone)

    # the loud user has its share, and 429 for the rest
    good = sum(one.good for one in trial.loud)
    assert BURST < good <= BURST + 1 + EACH * (trial.seconds + 1)
    refused = [one for one in trial.loud if not one.good]
    assert len(refused) > LOUD * SECONDS / 2, trial
    assert {(one.status, one.code) for one in refused} == {
        (429, 'throttled')}

    # a refusal of nginx itself is not tried again, and AWS sees none
    assert {line['attempts'] for line in trial.lines
            if line['user'] == 'loud'} == {'1'}
    users = [one['user'] for one in trial.seen]
    assert users.count('loud') == good
    assert len(users) == good + len(trial.others)
    assert is_token(trial.next), 'then a token for somebody else'
