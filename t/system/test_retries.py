"""What AWS fails to do is tried again: which failures, when, and how often."""

import re
import time

import pytest

from ivschat_testlib import Fakes
from nginx_testlib import (Client, Mute, Nginx, ask, code, in_parallel,
                           is_token, no_keepalive, request, slow, sts_env,
                           upstream, wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

SERVICE = ['--rate', 'off', '--bad-tls']

# Beyond nginx's own second attempt on a connection that was kept alive.

HTTP = '''
    ivschat_token_tries 3;
    limit_req_zone $ivschat_token_user zone=users:1m rate=1r/m;
'''

SERVER = '''
    location = /limited {
        internal;
        limit_req  zone=users;
        limit_req_status 429;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    ivschat_params;
    }
    location = /limited-token { ivschat_token /limited; }

    location = /short { ivschat_token /ivschat; ivschat_token_timeout 700ms; }
    location = /unverified {
        internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    params_unverified;
    }
    location = /unverified-token { ivschat_token /unverified; }
''' + ''.join(f'''
    location = /tries{number} {{
        ivschat_token       /ivschat;
        ivschat_token_tries {number};
    }}
''' for number in (1, 2, 4, 10))

UNSEEN = '/token?region=eu-west-1'     # each attempt on its own connection
SHORT = 0.7                            # the deadline of /short

AGAIN = ('internal', 'status-500', 'status-502', 'status-503', 'status-504',
         'error-503-SlowDown', 'error-400-RequestTimeout', 'reset-before',
         'close-before', 'reset-headers', 'reset-body', 'truncated')

NEVER = {
    'validation': (502, 'rejected'),
    'access-denied': (502, 'rejected'),
    'pending-verification': (502, 'rejected'),
    'invalid-signature': (502, 'rejected'),
    'not-found': (404, 'room_not_found'),
    'status-404': (502, 'rejected'),
    'status-408': (502, 'rejected'),
    'status-418': (502, 'rejected'),
    'status-501': (502, 'unavailable'),
    'status-505': (502, 'unavailable'),
    'redirect': (502, 'bad_response'),
    'empty': (502, 'bad_response'),
    'missing-token': (502, 'bad_response'),
    'notjson': (502, 'bad_response'),
    'html': (502, 'bad_response'),
    'bigheader-20000': (502, 'bad_response'),
}


class Tried:
    """What one user's request came to."""

    def __init__(self, nginx, service, target, user, *faults):
        service.faults(*({'fault': fault, 'count': count, 'user': user}
                         for fault, count in faults))
        start = time.monotonic()
        self.answer = ask(nginx.port, request(target, user))
        self.took = time.monotonic() - start
        self.code = code(self.answer)
        line, = nginx.lines_of(user)
        self.attempts = int(line['attempts'])
        self.seen = service.requests(user=user)

    def __repr__(self):
        return (f'{self.code} after {self.took:.3f} s, {self.attempts} '
                f'attempts, {[one["verdict"] for one in self.seen]}')

    def is_token_by(self, attempt):
        """Whether AWS gave a token, at this attempt."""
        return (is_token(self.answer)
                and self.attempts == len(self.seen) == attempt)

    def is_problem(self, code, attempts):
        """Whether it failed so, after so many attempts."""
        return (self.code == code
                and self.attempts == len(self.seen) == attempts)


@pytest.fixture(scope='module')
def mute():
    with Mute() as mute:
        yield mute


@pytest.fixture(scope='module')
def nginx(service, mute):
    nginx = Nginx(service, server=SERVER, http=HTTP
                  + upstream('eu-west-1', more=no_keepalive())
                  + upstream('eu-central-1', mute.port)
                  + upstream('us-east-1', service.bad_tls['unknown_ca']))
    params = (nginx.dir / 'ivschat_params').read_text('utf-8')
    nginx.file('params_unverified', re.sub(
        r'(?m)^(proxy_ssl_verify\s+)on;', r'\1off;', params))
    with nginx:
        yield nginx
        nginx.check(allow='crit.*SSL')


@pytest.fixture
def tried(nginx, service):
    """Makes a request whose attempts have faults."""
    return lambda *arguments: Tried(nginx, service, *arguments)


@pytest.mark.parametrize('count', (1, 2))
@pytest.mark.parametrize('fault', AGAIN)
def test_next_attempt_may_not_meet_the_failure(tried, fault, count):
    found = tried(UNSEEN, f'again {fault} {count}', (fault, count))
    assert found.is_token_by(count + 1), found

    # all attempts ask for the same, and are signed well
    assert len({one['body'] for one in found.seen}) == 1
    assert all(one.get('account') for one in found.seen)
    assert all('Signature' not in str(one['verdict']['code'])
               for one in found.seen)


@pytest.mark.parametrize('fault', ('throttling', 'status-429'))
def test_refusal_for_the_rate(tried, fault):
    found = tried('/token', f'throttled {fault}', (fault, 1))
    assert found.is_token_by(2), found


@pytest.mark.parametrize('milliseconds, most', ((400, 1.2), (1300, 1.8)))
def test_pause_is_not_shorter_than_aws_says(tried, milliseconds, most):
    found = tried('/token', f'hint {milliseconds}',
                  (f'retry-after-{milliseconds}', 1))
    assert is_token(found.answer), found
    gap = found.seen[-1]['time'] - found.seen[0]['time']
    assert milliseconds / 1000 - 0.03 <= gap <= most * slow()


def test_pause_beyond_the_deadline(tried):
    """The answer comes at once."""
    found = tried('/short', 'hint too long', ('retry-after-4000', 1))
    assert found.is_problem((429, 'throttled'), 1), found
    assert found.answer.get('Retry-After')
    assert found.took < 0.6 * slow()


def test_each_attempt_is_signed_anew(tried):
    """With the time that it then is."""
    found = tried('/token', 'anew', ('retry-after-1500', 1))
    first, second = [{name.lower(): value for name, value in one['headers']}
                     for one in found.seen]
    assert first['x-amz-date'] < second['x-amz-date']
    assert first['authorization'] != second['authorization']
    assert found.seen[1]['verdict']['status'] == 200


@pytest.mark.parametrize('fault', NEVER)
def test_failure_would_be_the_same_again(tried, fault):
    found = tried('/token', f'never {fault}', (fault, 1))
    assert found.is_problem(NEVER[fault], 1), found


def test_limit_req_of_the_internal_location(nginx, tried):
    """What nginx answers itself is not tried again."""
    ask(nginx.port, request('/limited-token', 'limited'))
    start = time.monotonic()
    answer = ask(nginx.port, request('/limited-token', 'limited'))
    assert time.monotonic() - start < 0.5 * slow()
    assert code(answer) == (429, 'throttled')
    assert [line['attempts'] for line in nginx.lines_of('limited', 2)] == [
        '1', '1']


def test_no_verified_tls(tried):
    found = tried('/unverified-token', 'never unverified', ('status-500', 1))
    assert found.is_problem((502, 'rejected'), 1), found


def test_wrong_ca(tried):
    """It is a connection that fails, and is tried again."""
    found = tried('/token?region=us-east-1', 'wrong ca')
    assert (found.code[0], found.attempts) == (502, 3)


@pytest.mark.parametrize('number', (1, 2, 4))
def test_tries(tried, number):
    found = tried(f'/tries{number}', f'tries {number}', ('status-500', 20))
    assert found.is_problem((502, 'unavailable'), number), found


def test_tries_10(tried):
    found = tried('/tries10', 'tries 10', ('status-503', 5))
    assert found.is_token_by(6), found


def test_client_leaves_in_the_pause(nginx, service):
    service.faults({'fault': 'retry-after-1000', 'user': 'leaving'})
    with Client(nginx.port) as client:
        client.send(request('/token', 'leaving'))
        wait_for(lambda: service.requests(user='leaving'))
        time.sleep(0.1)
    line, = nginx.lines_of('leaving')
    assert (line['status'], line['result']) == (499, 'aborted')
    time.sleep(1)
    assert len(service.requests(user='leaving')) == 1


@pytest.mark.parametrize('fault', ('silence', 'drip-100'))
def test_deadline(service, tried, fault):
    def left():
        counters = service.connections()
        return counters['left_waiting'] + counters['half_closed']

    before = left()
    found = tried('/short', f'deadline {fault}', (fault, 9))
    assert found.code == (504, 'timeout'), found
    assert SHORT - 0.02 <= found.took <= SHORT + 0.3 * slow()
    assert wait_for(lambda: left() > before, 2), \
        'the connection to AWS is closed'


def test_deadline_without_tls(tried, mute):
    """The peer does not even speak TLS; its connection is closed."""
    found = tried('/short?region=eu-central-1', 'deadline mute')
    assert found.code[0] in (502, 504), found
    assert found.took <= SHORT + 0.3 * slow()
    assert mute.left()


def test_deadline_is_of_all_attempts(tried):
    found = tried('/short', 'deadline of all', ('status-500', 1),
                  ('silence', 9))
    assert found.is_problem((504, 'timeout'), 2), found
    assert found.took <= SHORT + 0.3 * slow()


def test_attempts_do_not_multiply(service):
    """AWS fails for everybody."""
    service.faults({'fault': 'status-500', 'count': None})
    with Nginx(service, workers=2, http='ivschat_token_tries 3;') as nginx:
        def run(number):
            with Client(nginx.port) as client:
                return [code(client.ask(request(
                    user=f'quota {number} {turn}'))) for turn in range(10)]

        answers = sum(in_parallel(20, run), [])
        assert answers == [(502, 'unavailable')] * 200
        # 500 / 14 of a transient failure's cost
        assert len(service.requests(fault='status-500')) == 200 + 35
        assert ('the request is not retried: the retry quota is exhausted'
                in nginx.error_log())

        # successes pay for new ones
        service.clear_faults()
        for turn in range(30):
            ask(nginx.port, request(user=f'well {turn}'))
        service.faults({'fault': 'status-500', 'user': 'again'})
        assert is_token(ask(nginx.port, request(user='again')))
        nginx.check()


def test_clock_that_is_off(service):
    """It costs one attempt, once."""
    with Nginx(service, workers=2, http='ivschat_token_tries 3;') as nginx:
        def attempts(user):
            found = Tried(nginx, service, '/token', user)
            return is_token(found.answer) and found.attempts

        for turn, offset in enumerate((3600, 0, -3600, 0)):
            service.config(clock_offset=offset)
            assert [attempts(f'skew {turn} {number}')
                    for number in range(4)] == [2, 1, 1, 1]

        # each change is one line; Date and the signature have whole seconds:
        # one more or less, and one more where the answer takes its time

        lines = [line for line in nginx.error_log().splitlines()
                 if 'the clock of this host' in line]
        found = [re.search(r'(\d+) seconds (behind|ahead)|right again', line)
                 for line in lines]
        assert len(found) == 4 and all(found), lines
        assert [one[2] for one in found] == ['behind', None, 'ahead', None]
        assert all(abs(int(one[1]) - 3600) <= 2 for one in found if one[2])

        # less than what AWS takes needs no correction

        service.config(clock_offset=200)
        assert attempts('skew little') == 1
        nginx.check()


def test_sts_tells_the_offset(service):
    """Before anyone asks for a token; by a name, as the clock of a loopback
    address would be that of this host."""
    host = 'sts.localhost'
    lines = """
        ivschat_token_credentials
            assume_role role=arn:aws:iam::123456789012:role/app source=env;
    """
    with Fakes(service, args=['--san', host]) as fakes:
        fakes.config(clock_offset=-3600)
        service.config(clock_offset=-3600)
        env = {**sts_env(fakes),
               'AWS_ENDPOINT_URL_STS': f'https://{host}:{fakes.port}'}
        with Nginx(service, location=lines, env=env,
                   http='ivschat_token_tries 3;') as nginx:
            wait_for(lambda: is_token(ask(nginx.port, request())))
            found = Tried(nginx, service, '/token', 'sts skew')
            assert found.is_token_by(1), found
            assert nginx.error_log().count('seconds ahead of AWS') == 1
            nginx.check()
