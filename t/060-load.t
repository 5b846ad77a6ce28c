#!/usr/bin/python3
"""Many clients at once: every token is good, and nothing grows."""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Nginx, bounded, code, fds, in_parallel,
                           is_token, request, rss, sanitized, slow,
                           wait_for)

tap = Tap()

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


def main():
    """Two workers, 64 clients."""
    Nginx.patience = 3 * slow()        # of handshakes on a busy machine
    bounded(120)
    with Service(args=['--rate', 'off']) as service, \
            Nginx(service, workers=WORKERS, keepalive=CLIENTS,
                  http=REGION) as nginx:
        workers = nginx.workers()
        answers = load(nginx, MINTS // 2)
        memory, files = state(nginx, service)
        opened = service.connections()['opened']
        more = load(nginx, MINTS // 2, name='another')
        memory_after, files_after = state(nginx, service)

        for name, part in (('first half', answers), ('second half', more)):
            bad = failures(part)
            tap.ok(not bad and len(part) == MINTS // 2,
                   f'{name}: {MINTS // 2} tokens for {CLIENTS} clients',
                   len(part), bad[:10])

        both = [*answers, *more]
        check_tokens(service, both)

        tap.ok(opened <= CLIENTS,
               f'{CLIENTS} clients: at most so many connections to AWS',
               opened)
        # the second half's clients may be with other workers
        opened = service.connections()['opened']
        tap.ok(opened <= 2 * CLIENTS, 'and they are used again', opened)

        tap.ok(files_after <= files, 'no file more is open after it',
               f'{files}, then {files_after}')

        lines = nginx.logged(MINTS)
        tap.equal({(line['status'], line['result'], line['attempts'])
                   for line in lines}, {(200, 'ok', '1')},
                  'each took one attempt, by the access log')
        tap.equal({line['worker'] for line in lines}, set(workers),
                  'both workers have served, and are still there')

        check_memory(nginx, memory, memory_after)
        few(nginx, service)
        nginx.check(tap)

    tap.done()


def check_memory(nginx, before, after):
    """No worker grows and grows.

    One that meets more clients at once than before grows as well, but not
    for ever, as one that leaks does: it gets another chance.
    """
    # freed memory stays in quarantine with AddressSanitizer
    bound = 400 * 1024 if sanitized() else 512
    seen = [before, after]

    while seen[-1] - seen[-2] > bound and len(seen) < 5:
        load(nginx, MINTS // 2, name=f'again {len(seen)}')
        seen.append(max(map(rss, nginx.workers())))

    tap.ok(seen[-1] - seen[-2] <= bound,
           f'no worker grows by more than {bound} kB for {MINTS // 2} tokens, '
           'again and again', f'{seen} kB')


def few(nginx, service):
    """With a smaller "keepalive" fewer connections are kept."""
    before = service.connections()['open']
    answers = load(nginx, 500, '/token?region=eu-west-1')
    bad = failures(answers)
    tap.ok(not bad and len(answers) == 500, 'another region: 500 tokens',
           bad[:10])
    tap.ok(wait_for(lambda: service.connections()['open']
                    <= before + WORKERS * KEEPALIVE),
           f'"keepalive {KEEPALIVE}" keeps that many in each worker',
           before, service.connections()['open'])


def check_tokens(service, answers):
    """No two alike, and each is its user's."""
    tokens = {answer.json()['token']: user for user, answer in answers
              if not isinstance(answer, Exception) and is_token(answer)}
    tap.equal(len(tokens), MINTS, 'no token twice')

    records = service.requests()
    users = {json.loads(record['body'])['userId'] for record in records}
    tap.ok(len(users) == len(records) == MINTS
           and {record['verdict']['status'] for record in records} == {200},
           'AWS was asked once for each, and has accepted all',
           len(users), len(records))

    wrong = [user for token, user in [*tokens.items()][::10]
             if service.token(token)[1].get('userId') != user]
    tap.ok(not wrong, 'and each client got its own user\'s (one in ten is '
                      'looked at)', wrong[:5])


main()
