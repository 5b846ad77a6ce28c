"""Many clients at once: every token is good, and nothing grows."""

import json
import time

import pytest

from nginx_testlib import (Client, Nginx, code, fds, in_parallel, is_token,
                           request, rss, sanitized, slow, wait_for)

PATIENCE = 3 * slow()                  # of handshakes on a busy machine

CLIENTS = 64
WORKERS = 2
KEEPALIVE = 8
MINTS = 1250 if sanitized() else 5000
REGION = '''
    upstream ivschat.eu-west-1.amazonaws.com {
        server    127.0.0.1:@SERVICE@;
        keepalive %d;
    }
''' % KEEPALIVE


def load(nginx, count, target='/token', name='user'):
    """So many mints by 64 clients, each on its kept-alive connection.

    A client is somebody else for every request.
    """
    def run(number):
        answers = []
        with Client(nginx.port, 60) as client:
            for turn in range(number, count, CLIENTS):
                user = f'{name} {turn}'
                answers.append((user, client.ask(request(target, user))))
        return answers

    found = []
    for result in in_parallel(CLIENTS, run):
        found += result if isinstance(result, list) else [(None, result)]
    return found


def failures(answers):
    """What is no token."""
    return [answer if isinstance(answer, Exception) else code(answer)
            for _, answer in answers
            if isinstance(answer, Exception) or not is_token(answer)]


def state(nginx, service):
    """Memory, in kB, and files but connections to AWS, of all workers."""
    def own():
        return (sum(map(fds, nginx.workers()))
                - service.connections()['open'])

    least = own()
    for _ in range(10):                # until all clients' ends are closed
        time.sleep(0.02)
        least = min(least, own())
    return max(map(rss, nginx.workers())), least


@pytest.fixture(scope='module')
def nginx(service):
    with Nginx(service, workers=WORKERS, keepalive=CLIENTS,
               http=REGION) as nginx:
        yield nginx


@pytest.mark.timeout(120)
def test_every_token_is_good_and_nothing_grows(service, nginx):
    workers = nginx.workers()
    answers = load(nginx, MINTS // 2)
    memory, files = state(nginx, service)
    opened = service.connections()['opened']
    more = load(nginx, MINTS // 2, name='another')
    memory_after, files_after = state(nginx, service)

    assert not failures(answers)
    assert not failures(more)
    assert len(answers) == len(more) == MINTS // 2
    check_tokens(service, [*answers, *more])

    # At most one connection to AWS for each client.
    assert opened <= CLIENTS
    # They are used again; the second half's clients may be with other workers.
    assert service.connections()['opened'] <= 2 * CLIENTS
    assert files_after <= files

    lines = nginx.logged(MINTS)
    assert {(line['status'], line['result'], line['attempts'])
            for line in lines} == {(200, 'ok', '1')}
    # Both workers have served, and are still there.
    assert {line['worker'] for line in lines} == set(workers)

    check_memory(nginx, memory, memory_after)
    check_keepalive(nginx, service)
    nginx.check()


def check_tokens(service, answers):
    """No two are alike, and each is its user's."""
    tokens = {answer.json()['token']: user for user, answer in answers}
    assert len(tokens) == MINTS

    # AWS was asked once for each, and has accepted all.
    records = service.requests()
    users = {json.loads(record['body'])['userId'] for record in records}
    assert len(users) == len(records) == MINTS
    assert {record['verdict']['status'] for record in records} == {200}

    # One in ten is looked at.
    wrong = [user for token, user in [*tokens.items()][::10]
             if service.token(token)[1].get('userId') != user]
    assert not wrong


def check_memory(nginx, before, after):
    """No worker grows and grows.

    One that meets more clients at once than before grows as well, but not
    for ever, as one that leaks does: it gets another chance.
    """
    # Freed memory stays in quarantine with AddressSanitizer.
    bound = 400 * 1024 if sanitized() else 512
    seen = [before, after]

    while seen[-1] - seen[-2] > bound and len(seen) < 5:
        load(nginx, MINTS // 2, name=f'again {len(seen)}')
        seen.append(max(map(rss, nginx.workers())))

    assert seen[-1] - seen[-2] <= bound, seen


def check_keepalive(nginx, service):
    """With a smaller "keepalive" fewer connections are kept."""
    before = service.connections()['open']
    answers = load(nginx, 500, '/token?region=eu-west-1')
    assert not failures(answers)
    assert len(answers) == 500
    assert wait_for(lambda: service.connections()['open']
                    <= before + WORKERS * KEEPALIVE), before
