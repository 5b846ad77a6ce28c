"""Reloads, quits and killed workers while tokens are minted."""

import os
import signal
import time

import pytest

from nginx_testlib import (Client, Flight, Minting, Nginx, alive, ask, code,
                           imds_env, is_token, request, sanitized, slow,
                           sockets, sts_env, told, wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

# AWS is slow here, and the machine may be; proxy_pass waits for both.
PATIENCE = 3 * slow()
SLOW = '/token?room=fault-slow-1000'
SILENCE = '/token?room=fault-silence'
ROLE = 'arn:aws:iam::123456789012:role/app'
QUICK = '''
    location = /quick {
        ivschat_token         /ivschat;
        ivschat_token_timeout %dms;
    }
'''


def all_tokens(answers):
    """All of them are tokens, and different."""
    tokens = {answer.json()['token'] for answer in answers
              if is_token(answer)}
    assert len(tokens) == len(answers), list(map(told, answers))


def ended(pids):
    """Whether old workers end."""
    return wait_for(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize('count', (1, 15))
def test_other_sources_survive_a_line_more_and_a_line_less(service, fakes,
                                                           count):
    lines = ''.join(f'''
        location = /more{number} {{
            ivschat_token             /ivschat;
            ivschat_token_credentials assume_role source=imds role={ROLE}
                                      session_name=more{number};
        }}''' for number in range(count))
    location = 'ivschat_token_credentials imds;'
    with Nginx(service, workers=2, env={**imds_env(fakes), **sts_env(fakes)},
               location=location) as nginx:
        assert told(ask(nginx.port, request())) == 'token'
        fakes.config(imds={'down': True})
        for server in lines, '':
            nginx.configure(location=location, server=server)
            nginx.reload()
            assert told(ask(nginx.port, request())) == 'token'
        fakes.config(imds={'down': False})


def test_reload_and_quit_wait_for_requests(service):
    with Nginx(service, workers=2) as nginx:
        flight = Flight(nginx, service, 20, SLOW)
        old = nginx.reload()
        assert flight.begun and any(map(alive, old))
        assert is_token(ask(nginx.port, request())), 'a new worker mints'
        all_tokens(flight.answers())
        assert ended(old)

        # AWS is in the middle of its body
        flight = Flight(nginx, service, 20, '/token?room=fault-pause-700')
        old = nginx.reload()
        all_tokens(flight.answers())
        assert ended(old)

        # the client is in the middle of its body
        with Client(nginx.port) as client:
            client.send(request(body=b'x' * 10, length=20))
            time.sleep(0.1)
            nginx.reload()
            assert is_token(client.ask(b'x' * 10))

        flight = Flight(nginx, service, 20, SLOW)
        nginx.signal(signal.SIGQUIT)
        all_tokens(flight.answers())
        assert nginx.wait()
        nginx.check()


def test_sigterm_waits_for_nobody(service):
    with Nginx(service, workers=2) as nginx:
        flight = Flight(nginx, service, 10, SILENCE)
        nginx.signal(signal.SIGTERM)
        assert flight.begun and nginx.wait(3)
        flight.answers()
        nginx.check()


def test_worker_is_killed(service):
    """The others go on, and there is a new one."""
    with Nginx(service, workers=2) as nginx:
        flight = Flight(nginx, service, 20,
                        f'/token?room=fault-slow-{1500 * slow()}')
        before = nginx.workers()
        has = {pid: len(sockets(pid, service.port)) for pid in before}
        victim, other = sorted(before, key=has.get)
        os.kill(victim, signal.SIGKILL)
        assert nginx.access_log() == []
        assert flight.begun and sum(has.values()) == 20, has

        assert wait_for(lambda: len(nginx.workers()) == 2
                        and victim not in nginx.workers())
        assert other in nginx.workers()

        # the other one answers all that are its own
        answers = [answer for answer in flight.answers()
                   if not isinstance(answer, Exception)]
        assert all(map(is_token, answers)), list(map(told, answers))
        assert len(answers) == has[other]
        assert [line['worker'] for line in nginx.logged(has[other])] == [
            other] * has[other]

        all_tokens([ask(nginx.port, request()) for _ in range(20)])
        nginx.check(allow=rf'worker process {victim} exited on signal 9')


def test_worker_shutdown_timeout(service):
    with Nginx(service, main='worker_shutdown_timeout 1s;') as nginx:
        for target in SILENCE, '/token?room=fault-pause-5000':
            flight = Flight(nginx, service, 10, target)
            start = time.monotonic()
            old = nginx.reload()
            assert ended(old)
            assert time.monotonic() - start < 1.9 * slow()
            answers = flight.answers()
            assert not any(map(is_token, answers)), list(map(told, answers))
            assert is_token(ask(nginx.port, request())), 'the new one mints'

        flight = Flight(nginx, service, 10, SILENCE)
        nginx.signal(signal.SIGQUIT)
        assert nginx.wait(5)
        flight.answers()
        nginx.check()


def test_deadline_in_a_worker_that_shuts_down(service):
    """ivschat_token_timeout: each client is told, and then it ends."""
    with Nginx(service, server=QUICK % (800 * slow())) as nginx:
        flight = Flight(nginx, service, 10, '/quick?room=fault-silence')
        old, = nginx.reload()
        assert alive(old)
        assert [code(answer) for answer in flight.answers()] == [
            (504, 'timeout')] * 10
        assert ended([old])
        nginx.check()


@pytest.mark.parametrize('daemon', (False, True))
@pytest.mark.parametrize('master', (False, True))
def test_daemon_and_master_process(service, daemon, master):
    """Without a master nginx knows neither reloads nor graceful ends."""
    with Nginx(service, daemon=daemon, master=master) as nginx:
        with Client(nginx.port) as client:
            all_tokens([client.ask(request()) for _ in range(3)])
        if master:
            nginx.reload()
            assert is_token(ask(nginx.port, request()))
        flight = Flight(nginx, service, 5, '/token?room=fault-slow-500')
        nginx.signal(signal.SIGQUIT)
        answers = flight.answers()
        if master:
            all_tokens(answers)
        assert flight.begun and nginx.wait()
        nginx.check()


def test_ten_reloads_under_load(service):
    """Nothing is lost."""
    service.config(latency=50)
    minted = service.health()['by_code'].get('ok', 0)
    with Nginx(service, workers=2) as nginx:
        with Minting(nginx, clients=4 if sanitized() else 16,
                     pause=0) as minting:
            for _ in range(10):
                old = nginx.reload()
                time.sleep(0.1)
            assert ended(old)

        assert not minting.failures, minting.failures[:5]
        assert minting.count > 50
        lines = nginx.logged(minting.count)
        minted = service.health()['by_code']['ok'] - minted
        assert len(lines) == minted == minting.count
        assert {(line['status'], line['result']) for line in lines} == {
            (200, 'ok')}
        assert len({line['worker'] for line in lines}) > 10
        nginx.check()
