#!/usr/bin/python3
"""Reloads, quits and killed workers while tokens are minted."""

import os
import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Nginx, alive, ask, attempt, bounded, code,
                           is_token, request, sanitized, slow, sockets,
                           wait_for)

tap = Tap()

QUICK = '''
    location = /quick {
        ivschat_token         /ivschat;
        ivschat_token_timeout %dms;
    }
'''
CLOSE = [('Connection', 'close')]


class Flight:
    """Requests that are on their way; begun when AWS has all of them."""

    def __init__(self, nginx, service, count, target):
        before = service.health()['requests']
        self.clients = [Client(nginx.port) for _ in range(count)]
        for number, client in enumerate(self.clients):
            client.send(request(target, f'user{number}'))
        self.begun = wait_for(lambda: service.health()['requests']
                              >= before + count)

    def answers(self):
        """The answers, None where there is none."""
        found = []
        for client in self.clients:
            try:
                found.append(client.answer())
            except (OSError, EOFError):
                found.append(None)
            client.close()
        return found


def show(answers):
    """Answers, for a note."""
    return [answer and (is_token(answer) or code(answer))
            for answer in answers]


def all_tokens(answers, name):
    """One test: all of them are tokens, and different."""
    tokens = {answer.json()['token'] for answer in answers
              if is_token(answer)}
    tap.ok(len(tokens) == len(answers), f'{name}: {len(answers)} tokens',
           show(answers))


def in_flight(service):
    """A reload and a quit find requests that wait for AWS."""
    with Nginx(service, workers=2) as nginx:
        flight = Flight(nginx, service, 20, '/token?room=fault-slow-1000')
        old = nginx.reload()
        tap.ok(flight.begun and any(map(alive, old)),
               'reload: the old workers have something to finish')
        tap.ok(is_token(ask(nginx.port, request())),
               'reload: a new worker mints meanwhile')
        all_tokens(flight.answers(), 'reload, AWS slow')
        tap.ok(wait_for(lambda: not any(map(alive, old))),
               'reload: the old workers end')

        flight = Flight(nginx, service, 20, '/token?room=fault-pause-700')
        old = nginx.reload()
        all_tokens(flight.answers(), 'reload, AWS in the middle of its body')
        tap.ok(wait_for(lambda: not any(map(alive, old))),
               'reload: these end as well')

        with Client(nginx.port) as client:
            client.send(request(body=b'x' * 10, length=20))
            time.sleep(0.1)
            old = nginx.reload()
            tap.ok(is_token(client.ask(b'x' * 10)),
                   'reload in the middle of a client\'s body: a token')

        flight = Flight(nginx, service, 20, '/token?room=fault-slow-1000')
        nginx.signal(signal.SIGQUIT)
        all_tokens(flight.answers(), 'quit, AWS slow')
        tap.ok(nginx.wait(), 'quit: and all processes end')
        nginx.check(tap, 'reload and quit')


def fast_end(service):
    """SIGTERM does not wait for anybody."""
    with Nginx(service, workers=2) as nginx:
        flight = Flight(nginx, service, 10, '/token?room=fault-silence')
        nginx.signal(signal.SIGTERM)
        tap.ok(flight.begun and nginx.wait(3), 'SIGTERM: all processes end')
        flight.answers()
        nginx.check(tap, 'SIGTERM')


def killed(service):
    """A worker is killed: the others go on, and there is a new one."""
    with Nginx(service, workers=2) as nginx:
        flight = Flight(nginx, service, 20,
                        f'/token?room=fault-slow-{1500 * slow()}')
        before = nginx.workers()
        has = {pid: len(sockets(pid, service.port)) for pid in before}
        victim, other = sorted(before, key=has.get)
        os.kill(victim, signal.SIGKILL)
        early = nginx.access_log()
        tap.ok(flight.begun and sum(has.values()) == 20 and not early,
               'SIGKILL of a worker while all 20 wait for AWS',
               f'begun: {flight.begun}, by worker: {has}', early)

        tap.ok(wait_for(lambda: len(nginx.workers()) == 2
                        and victim not in nginx.workers()),
               'there is a new one', before, nginx.workers())
        tap.ok(other in nginx.workers(), 'the other one is still there')

        answers = flight.answers()
        count = sum(answer is not None for answer in answers)
        lines = nginx.logged(count)
        tap.ok(all(answer is None or is_token(answer) for answer in answers)
               and [line['worker'] for line in lines] == [other] * has[other]
               and count == has[other],
               'and has answered all that were its own', show(answers),
               f'victim: {victim}, by worker: {has}',
               *[(line['worker'], line['status'], line['result'])
                 for line in lines], nginx.error_log()[-2000:])
        all_tokens([ask(nginx.port, request()) for _ in range(20)],
                   'after the SIGKILL')
        nginx.check(tap, 'SIGKILL of a worker',
                    allow=rf'worker process {victim} exited on signal 9')


def shutdown_timeout(service):
    """worker_shutdown_timeout comes while AWS is silent."""
    with Nginx(service, main='worker_shutdown_timeout 1s;') as nginx:
        for name, fault in (('silent', 'silence'),
                            ('in the middle of its body', 'pause-5000')):
            flight = Flight(nginx, service, 10, f'/token?room=fault-{fault}')
            start = time.monotonic()
            old, = nginx.reload()
            ended = wait_for(lambda: not alive(old), 5)
            took = time.monotonic() - start
            tap.ok(ended and took < 1.9 * slow(),
                   f'worker_shutdown_timeout, AWS {name}: the old worker '
                   'ends', took)
            answers = flight.answers()
            tap.ok(not any(map(is_token, answers)), 'it had no tokens to '
                                                    'give', show(answers))
            tap.ok(is_token(ask(nginx.port, request())), 'the new one mints')

        flight = Flight(nginx, service, 10, '/token?room=fault-silence')
        nginx.signal(signal.SIGQUIT)
        tap.ok(nginx.wait(5), 'worker_shutdown_timeout and quit: it ends')
        flight.answers()
        nginx.check(tap, 'worker_shutdown_timeout')


def deadline(service):
    """ivschat_token_timeout comes in a worker that is shutting down."""
    milliseconds = 800 * slow()
    with Nginx(service, server=QUICK % milliseconds) as nginx:
        flight = Flight(nginx, service, 10, '/quick?room=fault-silence')
        old, = nginx.reload()
        tap.ok(alive(old), 'deadline and reload: the old worker waits')
        answers = flight.answers()
        tap.ok(all(answer and code(answer) == (504, 'timeout')
                   for answer in answers),
               'and each client is told of the deadline', show(answers))
        tap.ok(wait_for(lambda: not alive(old)), 'then it ends')
        nginx.check(tap, 'deadline and reload')


def ways_to_run(service):
    """daemon and master_process, on and off.

    Without a master nginx knows neither reloads nor graceful ends.
    """
    for name, options in (
            ('daemon off', {}),
            ('daemon on', {'daemon': True}),
            ('master_process off', {'master': False}),
            ('master_process off, daemon on', {'daemon': True,
                                               'master': False})):
        with Nginx(service, **options) as nginx:
            with Client(nginx.port) as client:
                all_tokens([client.ask(request()) for _ in range(3)], name)
            if options.get('master', True):
                nginx.reload()
                tap.ok(is_token(ask(nginx.port, request())),
                       f'{name}: a token after a reload')
            flight = Flight(nginx, service, 5, '/token?room=fault-slow-500')
            nginx.signal(signal.SIGQUIT)
            answers = flight.answers()
            if options.get('master', True):
                all_tokens(answers, f'{name}, quit')
            tap.ok(flight.begun and nginx.wait(), f'{name}: it ends')
            nginx.check(tap, name)


def under_load(service):
    """Ten reloads under load: nothing is lost."""
    service.config(latency=50)
    results, stop = [], threading.Event()

    def run(number):
        while not stop.is_set():
            try:
                results.append(ask(nginx.port, request(
                    user=f'user{number}', headers=CLOSE)))
            except (OSError, EOFError) as error:
                results.append(error)

    with Nginx(service, workers=2) as nginx:
        before = service.health()['by_code'].get('ok', 0)
        threads = [threading.Thread(target=run, args=(number,))
                   for number in range(4 if sanitized() else 16)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                old = nginx.reload()
                time.sleep(0.1)
            gone = wait_for(lambda: not any(map(alive, old)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()

        lost = [result for result in results
                if isinstance(result, Exception) or not is_token(result)]
        tap.ok(not lost and len(results) > 50,
               'ten reloads under load: no token lost',
               f'{len(lost)} of {len(results)}', lost[:5],
               *[line for line in nginx.error_log().splitlines()
                 if '[error]' in line][:10])
        tap.ok(gone, 'and all old workers end')

        lines = nginx.logged(len(results))
        minted = service.health()['by_code']['ok'] - before
        tap.equal((len(lines), minted), (len(results), len(results)),
                  'access log and AWS have as many as the clients')
        tap.equal({(line['status'], line['result']) for line in lines},
                  {(200, 'ok')}, 'all of them good')
        tap.ok(len({line['worker'] for line in lines}) > 10,
               'from many workers')
        nginx.check(tap, 'ten reloads under load')

    service.config(latency=0)


def main():
    """One service, and an nginx for each part.

    AWS is slow here, and the machine may be; proxy_pass waits for both.
    """
    Nginx.patience = 3 * slow()
    bounded(120)
    with Service(args=['--rate', 'off']) as service:
        attempt(tap, in_flight, service)
        attempt(tap, fast_end, service)
        attempt(tap, killed, service)
        attempt(tap, shutdown_timeout, service)
        attempt(tap, deadline, service)
        attempt(tap, ways_to_run, service)
        attempt(tap, under_load, service)

    tap.done()


main()
