#!/usr/bin/python3
"""What AWS fails to do is tried again: which failures, when, and how often."""

import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Mute, Nginx, ask, attempt, bounded, code,
                           in_parallel, is_token, no_keepalive, request, slow,
                           sts_env, wait_for)

tap = Tap()

# Beyond nginx's own second attempt on a connection that was kept alive.

HTTP = '''
    ivschat_token_tries 3;

    upstream ivschat.eu-west-1.amazonaws.com {
        server 127.0.0.1:@SERVICE@;
        %(no_keepalive)s
    }
    upstream ivschat.eu-central-1.amazonaws.com {
        server 127.0.0.1:%(mute)d;
    }
    upstream ivschat.us-east-1.amazonaws.com {
        server 127.0.0.1:%(wrong_ca)d;
    }

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

UNSEEN = '/token?region=eu-west-1'     # each attempt on its own connection


class Retries:
    """nginx and AWS, and what one user's request came to."""

    def __init__(self, nginx, service):
        self.nginx, self.service = nginx, service

    def ask(self, target, user):
        """(answer, seconds) of one request."""
        start = time.monotonic()
        answer = ask(self.nginx.port, request(target, user))
        return answer, time.monotonic() - start

    def lines(self, user):
        """The access log's lines for this user."""
        return [line for line in self.nginx.access_log()
                if line['user'] == user]

    def line(self, user):
        """The first of them, which may yet have to come."""
        found = wait_for(lambda: self.lines(user))
        return found[0] if found else {}

    def attempts_of(self, user):
        """The numbers of attempts in them."""
        return [line['attempts'] for line in self.lines(user)]

    def attempts(self, user):
        """How many the access log says; those that AWS has seen."""
        number = self.line(user).get('attempts')
        return (int(number) if number else None,
                self.service.requests(user=user))


def again(retries):
    """Failures that the next attempt may not meet."""
    for count in (1, 2):
        for name in AGAIN:
            user = f'again {name} {count}'
            retries.service.faults(
                {'fault': name, 'count': count, 'user': user})
            answer, _ = retries.ask(UNSEEN, user)
            number, seen = retries.attempts(user)

            tap.ok(is_token(answer) and number == len(seen) == count + 1,
                   f'{count} x {name}: a token by attempt {count + 1}',
                   code(answer), number, [one['verdict'] for one in seen])
            accepted(user, seen)


def accepted(user, seen):
    """Every attempt is as AWS wants it, and the same but for its time."""
    tap.ok(len({one['body'] for one in seen}) == 1
           and all(one.get('account') for one in seen)
           and all('Signature' not in str(one['verdict']['code'])
                   for one in seen),
           f'{user}: all attempts ask for the same, and are signed well',
           *seen)


def throttled(retries):
    """A refusal for the rate: after a longer pause."""
    for name in ('throttling', 'status-429'):
        user = f'throttled {name}'
        retries.service.faults({'fault': name, 'user': user})
        answer, _ = retries.ask('/token', user)
        number, seen = retries.attempts(user)
        tap.ok(is_token(answer) and number == len(seen) == 2,
               f'{name}: a token by the second attempt', code(answer), number)

    for milliseconds, least, most in ((400, 0.4, 1.2), (1300, 1.3, 1.8)):
        user = f'hint {milliseconds}'
        retries.service.faults(
            {'fault': f'retry-after-{milliseconds}', 'user': user})
        answer, _ = retries.ask('/token', user)
        _, seen = retries.attempts(user)
        gap = seen[-1]['time'] - seen[0]['time']
        tap.ok(is_token(answer) and least - 0.03 <= gap <= most * slow(),
               f'x-amz-retry-after of {milliseconds} ms: the pause is not '
               'shorter', code(answer), gap)

    user = 'hint too long'
    retries.service.faults({'fault': 'retry-after-4000', 'user': user})
    answer, took = retries.ask('/short', user)
    number, _ = retries.attempts(user)
    tap.ok(code(answer) == (429, 'throttled') and number == 1
           and answer.get('Retry-After') and took < 0.6 * slow(),
           'a pause beyond the deadline: the answer comes at once',
           code(answer), number, took)


def resigned(retries):
    """Each attempt has its own time in its signature."""
    user = 'anew'
    retries.service.faults({'fault': 'retry-after-1500', 'user': user})
    retries.ask('/token', user)
    _, seen = retries.attempts(user)
    values = [{name.lower(): value for name, value in one['headers']}
              for one in seen]
    tap.ok(len(values) == 2
           and values[0]['x-amz-date'] < values[1]['x-amz-date']
           and values[0]['authorization'] != values[1]['authorization']
           and seen[1]['verdict']['status'] == 200,
           'the second attempt is signed anew, with the time it then is',
           values)


def never(retries):
    """Failures that would be the same again."""
    for name, expected in NEVER.items():
        user = f'never {name}'
        retries.service.faults({'fault': name, 'user': user})
        answer, _ = retries.ask('/token', user)
        number, seen = retries.attempts(user)
        tap.ok(code(answer) == expected and number == len(seen) == 1,
               f'{name}: one attempt', code(answer), number, len(seen))

    # what nginx answers itself

    for turn in range(2):
        answer, took = retries.ask('/limited-token', 'limited')
    tap.ok(code(answer) == (429, 'throttled') and took < 0.5 * slow(),
           'limit_req of the internal location: no second attempt',
           code(answer), took)
    wait_for(lambda: retries.attempts_of('limited') == ['1', '1'])
    tap.equal(retries.attempts_of('limited'), ['1', '1'],
              'and the access log says so')

    user = 'never unverified'
    retries.service.faults({'fault': 'status-500', 'user': user})
    answer, _ = retries.ask('/unverified-token', user)
    number, seen = retries.attempts(user)
    tap.ok(code(answer) == (502, 'rejected') and number == len(seen) == 1,
           'no verified TLS: one attempt', code(answer), number)

    answer, _ = retries.ask('/token?region=us-east-1', 'wrong ca')
    tap.equal(code(answer)[0], 502, 'a certificate of a wrong CA')
    number, _ = retries.attempts('wrong ca')
    tap.equal(number, 3, 'is a connection that fails, and is tried again')


def tries(retries):
    """As many as ivschat_token_tries says."""
    for number in (1, 2, 4):
        user = f'tries {number}'
        retries.service.faults(
            {'fault': 'status-500', 'count': 20, 'user': user})
        answer, _ = retries.ask(f'/tries{number}', user)
        count, seen = retries.attempts(user)
        tap.ok(code(answer) == (502, 'unavailable')
               and count == len(seen) == number,
               f'ivschat_token_tries {number}', code(answer), count)
    retries.service.clear_faults()

    user = 'tries 10'
    retries.service.faults({'fault': 'status-503', 'count': 5, 'user': user})
    answer, _ = retries.ask('/tries10', user)
    count, _ = retries.attempts(user)
    tap.ok(is_token(answer) and count == 6,
           'ivschat_token_tries 10: a token by attempt 6', code(answer),
           count)


def deadline(retries, mute):
    """Silence, drops, and failures: none of them delays the answer."""
    for name, fault in (('silence', 'silence'), ('a drip', 'drip-100')):
        user = f'deadline {name}'
        retries.service.faults({'fault': fault, 'user': user, 'count': 9})
        before = retries.service.connections()
        answer, took = retries.ask('/short', user)
        tap.ok(code(answer) == (504, 'timeout')
               and 0.68 <= took <= 0.7 + 0.3 * slow(),
               f'{name}: 504 at the deadline', code(answer), took)
        left = wait_for(
            lambda: retries.service.connections()['left_waiting']
            + retries.service.connections()['half_closed']
            > before['left_waiting'] + before['half_closed'], 2)
        tap.ok(left, f'{name}: the connection to AWS is closed', before,
               retries.service.connections())
    retries.service.clear_faults()

    answer, took = retries.ask('/short?region=eu-central-1', 'deadline mute')
    tap.ok(code(answer)[0] in (502, 504) and took <= 0.7 + 0.3 * slow(),
           'a peer that does not even speak TLS', code(answer), took)
    tap.ok(mute.left(), 'has its connection closed')

    user = 'deadline of all'
    retries.service.faults({'fault': 'status-500', 'user': user},
                           {'fault': 'silence', 'user': user, 'count': 9})
    answer, took = retries.ask('/short', user)
    number, _ = retries.attempts(user)
    tap.ok(code(answer) == (504, 'timeout') and number == 2
           and took <= 0.7 + 0.3 * slow(),
           'a failure, then silence: the deadline is of both',
           code(answer), number, took)
    retries.service.clear_faults()


def leaving(retries):
    """A client that leaves in the pause ends it all."""
    user = 'leaving'
    retries.service.faults({'fault': 'retry-after-1000', 'user': user})
    client = Client(retries.nginx.port)
    client.send(request('/token', user))
    wait_for(lambda: retries.service.requests(user=user))
    time.sleep(0.1)
    client.close()
    line = retries.line(user)
    tap.equal((line.get('status'), line.get('result')), (499, 'aborted'),
              'a client that leaves in the pause is noticed')
    time.sleep(1)
    tap.equal(len(retries.service.requests(user=user)), 1,
              'and there is no further attempt')


def quota(service):
    """While AWS fails for everybody, attempts do not multiply."""
    service.forget()
    service.faults({'fault': 'status-500', 'count': None})
    with Nginx(service, workers=2, http='ivschat_token_tries 3;') as nginx:
        def run(number):
            found = []
            with Client(nginx.port) as client:
                for turn in range(10):
                    found.append(code(client.ask(
                        request(user=f'quota {number} {turn}'))))
            return found

        answers = sum(in_parallel(20, run), [])
        tap.equal(set(answers), {(502, 'unavailable')},
                  '200 requests while AWS fails')
        # 500 / 14 of a transient failure's cost
        seen = len(service.requests(fault='status-500'))
        tap.equal(seen, 200 + 35, 'have 35 further attempts in all')
        tap.ok('no further attempt, since too many have failed'
               in nginx.error_log(), 'the log says why')

        service.clear_faults()
        for turn in range(30):
            ask(nginx.port, request(user=f'well {turn}'))
        service.faults({'fault': 'status-500', 'user': 'again'})
        answer = ask(nginx.port, request(user='again'))
        tap.ok(is_token(answer), 'successes pay for new ones', code(answer))
        nginx.check(tap, 'quota')


def skew(service):
    """A clock that is off costs one attempt, once."""
    with Nginx(service, workers=2, http='ivschat_token_tries 3;') as nginx:
        retries = Retries(nginx, service)

        for turn, offset in enumerate((3600, 0, -3600, 0)):
            service.config(clock_offset=offset)
            found = []
            for number in range(4):
                user = f'skew {turn} {number}'
                answer, _ = retries.ask('/token', user)
                found.append((is_token(answer), retries.attempts(user)[0]))
            tap.equal(found, [(True, 2)] + [(True, 1)] * 3,
                      f'AWS\'s clock differs by {offset} s: one more '
                      'attempt, once')

        # Date and the signature have whole seconds: one more or less, and
        # one more where the answer takes its time

        lines = [line for line in nginx.error_log().splitlines()
                 if 'the clock of this host' in line]
        found = [re.search(r'(\d+) seconds (behind|ahead)|right again', line)
                 for line in lines]
        tap.ok(len(found) == 4 and all(found)
               and [one[2] for one in found] == ['behind', None, 'ahead',
                                                 None]
               and all(abs(int(one[1]) - 3600) <= 2
                       for one in found if one[2]),
               'each change is one line in the log, and no more', *lines)

        # less than what AWS takes needs no correction

        service.config(clock_offset=200)
        answer, _ = retries.ask('/token', 'skew little')
        tap.equal((is_token(answer), retries.attempts('skew little')[0]),
                  (True, 1), 'a clock that is off by 200 s is near enough')
        service.config(clock_offset=0)
        nginx.check(tap, 'skew')


def sts_skew(service):
    """STS tells the offset as well, before anyone asks for a token."""
    lines = """
        ivschat_token_credentials
            assume_role role=arn:aws:iam::123456789012:role/app source=env;
    """
    with Fakes(service) as fakes:
        fakes.config(clock_offset=-3600)
        service.config(clock_offset=-3600)
        with Nginx(service, location=lines, env=sts_env(fakes),
                   http='ivschat_token_tries 3;') as nginx:
            retries = Retries(nginx, service)
            wait_for(lambda: is_token(ask(nginx.port, request())))
            answer, _ = retries.ask('/token', 'sts skew')
            tap.equal((is_token(answer), retries.attempts('sts skew')[0]),
                      (True, 1), 'the first attempt has the offset that STS '
                                 'told')
            tap.ok(nginx.error_log().count('seconds ahead of AWS') == 1,
                   'which is logged once', nginx.error_log()[-2000:])
            nginx.check(tap, 'skew of STS')
        service.config(clock_offset=0)


def everything(nginx, service, mute):
    """What one nginx does for."""
    with nginx:
        retries = Retries(nginx, service)
        attempt(tap, again, retries)
        attempt(tap, throttled, retries)
        attempt(tap, resigned, retries)
        attempt(tap, never, retries)
        attempt(tap, tries, retries)
        attempt(tap, leaving, retries)
        attempt(tap, deadline, retries, mute)
        nginx.check(tap, 'retries', allow='crit.*SSL')


def main():
    """All of it."""
    bounded(120)
    with Service(args=['--rate', 'off', '--bad-tls']) as service:
        with Mute() as mute:
            nginx = Nginx(service, server=SERVER, http=HTTP % {
                'mute': mute.port, 'wrong_ca': service.bad_tls['unknown_ca'],
                'no_keepalive': no_keepalive()})
            params = (nginx.dir / 'ivschat_params').read_text('utf-8')
            nginx.file('params_unverified', re.sub(
                r'(?m)^(proxy_ssl_verify\s+)on;', r'\1off;', params))
            everything(nginx, service, mute)
        attempt(tap, quota, service)
        attempt(tap, skew, service)
        attempt(tap, sts_skew, service)
    tap.done()


main()
