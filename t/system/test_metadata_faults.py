"""Sources of credentials that fail, in every way, one after the other.

Several nginx at the same time, since each fault has to wait for the next
refresh: all mint all the time, and another location of each is asked without
pause.  All of it runs before the first test, which then looks at the results.
"""

import contextlib
import functools
import os
import pathlib
import re
import time

import pytest

from ivschat_testlib import Fakes
from nginx_testlib import (NO_CREDENTIALS, DeadResolver, Minting, Nginx,
                           Probing, ask, checked, code, container_env,
                           imds_env, in_parallel, request, slow, sts_env,
                           told, wait_for)

LIFETIME = 20
LONG = 60                              # a fetch that is given up takes 16 s
NAMES = {'imds': 'imds', 'container': 'container', 'sts': 'assume_role'}
ROLE = 'arn:aws:iam::123456789012:role/app'
SERVER = f'''
    location = /imds {{
        ivschat_token             /ivschat;
        ivschat_token_credentials imds;
    }}

    location = /container {{
        ivschat_token             /ivschat;
        ivschat_token_credentials container;
    }}

    location = /sts {{
        ivschat_token             /ivschat;
        ivschat_token_credentials assume_role source=env role={ROLE};
    }}

    location = /short {{
        ivschat_token             /ivschat;
        ivschat_token_credentials assume_role source=env role={ROLE};
        ivschat_token_timeout     1500ms;
    }}
'''

# What an operator finds in the log: the fault, its step, words of the line.

DOWN = 'connect to server'
TIMEOUT = 'imed out after'
CUT = 'returned nothing|Empty reply|reset|receiving data'
FAULTS = {
    'imds': [
        ('down', None, DOWN),
        ('silence', 'token', TIMEOUT + '.*HttpPutResponseHopLimit'),
        ('silence', 'credentials', TIMEOUT),
        ('drip-100', None, TIMEOUT),
        ('refuse', None, CUT),
        ('reset', None, CUT),
        ('truncated', None, 'transfer closed|partial'),
        ('status-500', None, 'it answered 500'),
        ('status-429', 'token', 'it answered 429'),
        ('status-403', 'token', 'it answered 403.*disabled'),
        ('status-404', 'role', 'it answered 404.*no IAM role'),
        ('unauthorized', None, 'it answered 401'),
        ('redirect', None, 'it answered 302'),
        ('html', 'token', 'invalid session token'),
        ('html', 'credentials', 'JSON'),
        ('half', 'credentials', 'JSON'),
        ('empty', 'credentials', 'empty|JSON'),
        ('big-200000', 'credentials', 'too large'),
        ('expired', None, 'expired'),
        ('wrongtypes', None, '"?AccessKeyId'),
        ('missing-Token', None, '"?Token'),
        ('code-failed', None, 'AssumeRoleUnauthorizedAccess'),
    ],
    'container': [
        ('silence', None, TIMEOUT),
        ('down', None, DOWN),
        ('refuse', None, CUT),
        ('reset-body', None, 'receiving data|reset'),
        ('status-500', None, 'it answered 500'),
        ('status-429', None, 'it answered 429'),
        ('status-403', None, 'it answered 403.*authorization token'),
        ('status-404', None, 'it answered 404'),
        ('unauthorized', None, 'it answered 401.*authorization token'),
        ('redirect', None, 'it answered 302'),
        ('html', None, 'JSON'),
        ('half', None, 'JSON'),
        ('empty', None, 'empty|JSON'),
        ('big-200000', None, 'too large'),
        ('expired', None, 'expired'),
        ('wrongtypes', None, '"?AccessKeyId'),
        ('missing-SecretAccessKey', None, '"?SecretAccessKey'),
    ],
    'sts': [
        ('drip-300', None, TIMEOUT),
        ('down', None, DOWN),
        ('refuse', None, 'SSL|TLS|reset'),
        ('reset', None, CUT + '|SSL'),
        ('status-500', None, 'it answered 500'),
        ('throttling', None, 'it answered 400 Throttling'),
        ('error-403-AccessDenied', None, f'403 AccessDenied.*{ROLE}.*trust'),
        ('status-404', None, 'it answered 404'),
        ('redirect', None, 'it answered 302'),
        ('html', None, 'XML or HTML instead of JSON'),
        ('half', None, 'not JSON'),
        ('empty', None, 'empty'),
        ('big-200000', None, 'too large'),
        ('expired', None, 'expired'),
        ('wrongtypes', None, '"AccessKeyId" in the answer is not a string'),
        ('missing-SessionToken', None, '"SessionToken"'),
        ('xml', None, 'XML or HTML instead of JSON'),
        ('doctype', None, 'XML or HTML instead of JSON'),
    ],
}
LANES = 6
ROOT = os.geteuid() == 0

# What a client has to take although it looks unusual; and what fails once,
# and at which sources.
UNUSUAL = ('chunked', 'http10', 'escaped', 'big-20000', 'times-milliseconds',
           'slow-300', 'pause-300')
ONCE = {'status-500': [*NAMES], 'reset': [*NAMES],
        'half': ['imds', 'container']}

# Many wait at the same time.
wait_for = functools.partial(wait_for, pause=0.1)
results = {}


@contextlib.contextmanager
def noted(*case):
    """What goes wrong in the block is a case's result."""
    results[case] = None
    try:
        yield
    except Exception as error:
        results[case] = error


def look_at(*case):
    """The result of a case."""
    if results[case] is not None:
        raise results[case]


def lines_of(nginx, source, text='no AWS credentials could be fetched'):
    """The lines of a source's failed fetches, or its other ones."""
    return [line for line in nginx.error_log().splitlines()
            if f'{text} from "{NAMES[source]}"' in line]


def order(fakes, source, fault, step):
    """From now on, it fails."""
    if fault == 'down':
        fakes.config(**{source: {'down': True}})
    else:
        fakes.faults(source, fault, count=None,
                     **({'step': step} if step else {}))


def heal(fakes, source):
    """And now it does not."""
    fakes.clear_faults(source)
    fakes.config(**{source: {'down': False}})


def start(service, fakes, **options):
    """An nginx with all three sources."""
    env = {**imds_env(fakes), **container_env(fakes), **sts_env(fakes)}
    return checked(Nginx(service, env=env, server=SERVER, **options))


def answers(nginx):
    """What the locations of all sources answer."""
    return {source: told(ask(nginx.port, request(f'/{source}')))
            for source in NAMES}


# With good credentials at hand


def share(source, number):
    """A lane's part; the first one of two sources takes a lane's time."""
    faults = FAULTS[source]
    if source == 'imds':
        return faults[number::LANES]
    return faults[:1] if number == 0 else faults[number::LANES - 1]


def lane(number, fakes, nginx):
    """A part of the faults, each followed by a good fetch."""
    def run(turn):
        source = [*NAMES][turn]
        for fault, step, words in share(source, number):
            with noted('with', source, fault, step):
                fail_once(fakes, nginx, source, fault, step, words)
            heal(fakes, source)

    with Minting(nginx, [f'/{source}' for source in NAMES], clients=3,
                 pause=0.1, name=f'l{number}.') as minting:
        in_parallel(len(NAMES), run)
    with noted('lane', number):
        assert minting.failures == []
        assert '/elsewhere' not in {record['target']
                                    for record in fakes.requests()}


def fail_once(fakes, nginx, source, fault, step, words):
    """A fault at the next refresh: one line in the log, and the next fetch
    is good."""
    failed = len(lines_of(nginx, source))
    order(fakes, source, fault, step)
    assert wait_for(lambda: len(lines_of(nginx, source)) > failed,
                    LONG if fault[:4] in ('sile', 'drip') else LIFETIME)
    heal(fakes, source)
    count = len(lines_of(nginx, source, 'AWS credentials'))
    assert wait_for(lambda: len(lines_of(nginx, source, 'AWS credentials'))
                    > count, LIFETIME / 2)
    line, = lines_of(nginx, source)[failed:]
    assert '[warn]' in line
    assert re.search(words, line)
    assert 'the present ones stay in use, next try in' in line


# Without


def without(service, number, picks):
    """An nginx for each of the faults, of all three sources together."""
    with Fakes(service, dir=pathlib.Path(service.dir)
               / f'without{number}') as fakes:
        for pick in picks:
            chosen = {source: faults[pick] for source, faults
                      in FAULTS.items() if pick < len(faults)}
            with noted('without', pick):
                without_one(service, fakes, chosen)


def without_one(service, fakes, chosen):
    """The first fetch fails, and a later one does not."""
    fakes.forget()
    for source, (fault, step, _) in chosen.items():
        order(fakes, source, fault, step)
    with start(service, fakes) as nginx:
        for source, (fault, step, words) in chosen.items():
            with noted('without', source, fault, step):
                if fault == 'expired' and source != 'sts':
                    # they are used, and AWS rejects them
                    assert wait_for(lambda: 'they are used until AWS rejects '
                                    'them' in nginx.error_log(), 30)
                    assert told(ask(nginx.port, request(
                        f'/{source}'))) != 'token'
                    heal(fakes, source)
                    continue
                wait_for(lambda: lines_of(nginx, source), 30)
                answer = ask(nginx.port, request(f'/{source}'))
                line = lines_of(nginx, source)[0]
                assert '[error]' in line
                assert re.search(words, line)
                assert 'no tokens are minted with them, next try in' in line
                # a later fetch may be under way, and is then waited for
                assert code(answer) in (NO_CREDENTIALS, (504, 'timeout'))
                assert answer.status == 504 or answer.get('Retry-After')
            heal(fakes, source)
        assert wait_for(lambda: told(ask(nginx.port, request(
            f'/{source}'))) == 'token', 15)


# What is good in the end


def unusual(service):
    """Answers that a client has to take."""
    with Fakes(service, dir=pathlib.Path(service.dir) / 'unusual') as fakes:
        for fault in UNUSUAL:
            fakes.forget()
            for source in NAMES:
                fakes.faults(source, fault, count=None)
            with noted('unusual', fault), start(service, fakes) as nginx:
                assert set(answers(nginx).values()) == {'token'}
            fakes.clear_faults()

        # a 401 in the middle: the session token is asked for again
        for step in ('role', 'credentials'):
            fakes.forget()
            fakes.faults('imds', 'unauthorized', step=step)
            with noted('401', step), start(service, fakes) as nginx:
                assert answers(nginx)['imds'] == 'token'
                assert fakes.counters()['imds']['token'] >= 2
                assert lines_of(nginx, 'imds') == []

        for fault, sources in ONCE.items():
            fakes.forget()
            for source in sources:
                fakes.faults(source, fault)
            with noted('once', fault), start(service, fakes) as nginx:
                assert set(answers(nginx).values()) == {'token'}
                assert [lines_of(nginx, source) for source in NAMES] == [
                    [], [], []]


# Names


def dead_dns(resolver, nginx):
    """STS has a name, and the name server is dead (C7)."""
    with noted('dead name server'), \
            Minting(nginx, ('/container',), clients=2, pause=0.05) as minting:
        assert wait_for(resolver.asked, 5)
        begun = time.monotonic()
        answer = ask(nginx.port, request('/short'))
        took = time.monotonic() - begun
        assert code(answer) == (504, 'timeout')
        assert 1 < took < 2 * slow()
        assert wait_for(lambda: lines_of(nginx, 'sts'), 20)
        assert re.search('AWS STS.*([Rr]esolv|name)',
                         lines_of(nginx, 'sts')[0])
        assert code(ask(nginx.port, request('/sts'))) == NO_CREDENTIALS
        # the lookups that were left behind end meanwhile
        time.sleep(5)
        minting.stop()
        assert minting.failures == []
        assert minting.count > 100 / slow()


@contextlib.contextmanager
def with_dead_dns(service):
    """(name server, nginx); nothing without root."""
    if not ROOT:
        yield None
        return
    with Fakes(service, dir=pathlib.Path(service.dir) / 'dns') as fakes, \
            DeadResolver() as resolver:
        env = {**sts_env(fakes), **container_env(fakes),
               'AWS_ENDPOINT_URL_STS': f'https://sts.test.example:{fakes.port}'
               '/', 'AWS_EC2_METADATA_DISABLED': 'true'}
        with checked(Nginx(service, env=env, server=SERVER,
                           wrap=resolver.wrap)) as nginx:
            yield resolver, nginx


@pytest.fixture(scope='module', autouse=True)
def probing(service):
    """All of it, while other locations of the same workers are asked."""
    with contextlib.ExitStack() as stack:
        lanes = []
        for number in range(LANES):
            fakes = stack.enter_context(Fakes(service, dir=pathlib.Path(
                service.dir) / f'fakes{number}'))
            # the faults of time, which are the first lane's first ones, need
            # credentials that live longer than a fetch takes
            long = {'lifetime': LIFETIME if number else LONG}
            fakes.config(imds={'lifetime': LIFETIME}, container=long, sts=long,
                         token_length=64)
            lanes.append((number, fakes,
                          stack.enter_context(start(service, fakes))))
        dns = stack.enter_context(with_dead_dns(service))
        others = range(4, max(map(len, FAULTS.values())))

        jobs = [(lane, *each) for each in lanes]
        jobs += [(unusual, service)]
        # the slow ones: of time
        jobs += [(without, service, 0, range(4)),
                 (without, service, 1, others[::2]),
                 (without, service, 2, others[1::2])]
        jobs += [(dead_dns, *dns)] if dns else []
        with Probing(*(nginx for *_, nginx in lanes),
                     *(dns[1:] if dns else ())) as probing:
            ended = in_parallel(len(jobs), lambda number: jobs[number][0](
                *jobs[number][1:]))
        assert ended == [None] * len(jobs)
        yield probing


@pytest.mark.parametrize('when', ('with', 'without'))
@pytest.mark.parametrize('source, fault, step', [
    (source, fault, step) for source, faults in FAULTS.items()
    for fault, step, _ in faults])
def test_failed_fetch_with_and_without_credentials_at_hand(when, source,
                                                           fault, step):
    look_at(when, source, fault, step)


@pytest.mark.parametrize('pick', range(max(map(len, FAULTS.values()))))
def test_fetch_after_first_ones_that_failed_is_good(pick):
    look_at('without', pick)


@pytest.mark.parametrize('number', range(LANES))
def test_mints_go_on_and_no_redirect_is_followed(number):
    look_at('lane', number)


@pytest.mark.parametrize('fault', UNUSUAL)
def test_unusual_answer_is_taken(fault):
    look_at('unusual', fault)


@pytest.mark.parametrize('step', ('role', 'credentials'))
def test_401_of_imds_leads_to_a_second_session_token(step):
    look_at('401', step)


@pytest.mark.parametrize('fault', ONCE)
def test_one_attempt_that_fails_is_not_a_failed_fetch(fault):
    look_at('once', fault)


@pytest.mark.skipif(not ROOT, reason='a name server needs root')
def test_dead_name_server():
    look_at('dead name server')


def test_other_locations_of_the_workers_answer_in_time(probing):
    assert probing.good(), str(probing)
