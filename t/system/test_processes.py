"""When processes die or change, or connections, memory or disk run out."""

import os
import pathlib
import re
import signal
import time
from contextlib import ExitStack

import pytest

from nginx_testlib import (ACCOUNT, Client, Flight, Http2, Minting, Nginx,
                           alive, ask, code, fds, in_parallel, is_token,
                           request, sanitized, slow, sockets, told, upstream,
                           wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

UNAVAILABLE = (502, 'unavailable')
# in the directory of the configuration, which is the working directory
TINY_DISK = ['unshare', '-m', 'sh', '-c', 'mkdir -p logs && mount -t tmpfs '
             '-o size=64k tmpfs logs && exec "$@"', 'sh']
# nginx's own, which are not ours to prevent
NO_MORE = 'worker_connections are not enough'
KILLED = r'exited on signal 9|was locked by'


def kill(nginx):
    """SIGKILL to a worker; the ports of the clients whose connections it had.

    It is stopped before, so that these are exact.  Returns when there is a
    new one.
    """
    pid = nginx.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: pathlib.Path(f'/proc/{pid}/stat').read_text('ascii')
             .rpartition(')')[2].split()[0] == 'T')
    ports = {port for port, _ in sockets(pid)}
    os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: len(nginx.workers()) == 2
                    and pid not in nginx.workers())
    return ports


def test_no_connection_is_left(service):
    with Nginx(service, connections=64, keepalive=8) as nginx:
        ask(nginx.port, request())
        files = fds(nginx.worker())

        # two connections each, and then one each of clients who have not
        # sent all of their bodies, until there are no more

        clients = Flight(nginx, service, 20,
                         '/token?room=fault-silence').clients
        halves = []
        while len(halves) < 60 and NO_MORE not in nginx.error_log():
            halves.append(Client(nginx.port))
            halves[-1].send(request(body=b'x' * 10, length=20))
            time.sleep(0.02 * slow())
        assert 5 < len(halves) < 60, "nginx's usual alert"

        # the next ones may get the connection of the first, which is idle

        found = [code(client.ask(b'x' * 10)) for client in halves[:3]]
        assert found[0] == UNAVAILABLE
        assert set(found) <= {UNAVAILABLE, (200, None)}
        assert 'failed to open a connection to AWS' in nginx.error_log()

        for client in clients + halves:
            client.close()
        assert wait_for(lambda: fds(nginx.worker()) <= files + 8), \
            'all is freed'
        assert all(is_token(ask(nginx.port, request())) for _ in range(20))
        nginx.check(allow=NO_MORE)


def test_least_zone(service):
    """A zone of no byte more than is needed, with all that it can hold."""
    def ask_for(account, count):
        return {code(ask(nginx.port, request(
            f'/account?account={account}{number:03}')))
            for number in range(count)}

    eu = upstream('eu-west-1')
    _, said = Nginx(service, workers=2, server=ACCOUNT,
                    http=eu + 'ivschat_token_zone 20k;').try_configuration()
    least = re.search(r'needs (\d+) bytes', said)[1]

    with Nginx(service, workers=2, server=ACCOUNT, http=eu + f'''
            ivschat_token_rate 1000 burst=1000; ivschat_token_tries 3;
            ivschat_token_zone {least};''') as nginx:
        assert is_token(ask(nginx.port, request()))
        assert ask_for('333333333', 300) == {(502, 'rejected')}
        found = in_parallel(200, lambda number: ask(
            nginx.port, request(user=f'zone {number}')))
        assert all(map(is_token, found)), list(map(told, found))

        nginx.reload()
        assert ask_for('444444444', 3) == {(502, 'rejected')}
        assert is_token(ask(nginx.port, request()))
        nginx.check()


def test_nobody_is_refused_before_the_end_of_the_wait(service):
    """However many there are; by HTTP/2, 128 on a connection."""
    count = 80 * 128
    http = 'ivschat_token_rate 1 burst=1 wait=120s user=off;'
    with Nginx(service, workers=2, http=http) as nginx, ExitStack() as stack:
        for _ in range(80):
            client = stack.enter_context(Http2(nginx.h2port))
            for _ in range(128):
                client.open()
        time.sleep(2)
        with Client(nginx.port, 3) as late:
            late.send(request(user='late'))
            with pytest.raises((EOFError, OSError)):
                late.answer()
        assert {line['result'] for line in nginx.access_log()} <= {
            'ok', 'aborted'}
        assert not re.search('refused', nginx.error_log())

        stack.close()                  # all leave
        assert wait_for(lambda: len(nginx.access_log()) > count, 20)
        assert wait_for(lambda: is_token(ask(nginx.port,
                                             request(user='after'))))
        assert wait_for(lambda: [line for line in nginx.lines_of('after')
                                 if line['status'] == 200
                                 and float(line['wait']) < 3 * slow()])
        nginx.check()


def test_logs_on_a_full_device(service):
    with Nginx(service, workers=2, server='''
            location = /full {
                access_log    /dev/full ivschat;
                error_log     /dev/full info;
                ivschat_token /ivschat;
            }''') as nginx:
        found = in_parallel(100, lambda number: code(ask(
            nginx.port, request('/full?room=fault-html' if number % 4 == 0
                                else '/full', f'user {number}'))))
        assert found == [(502, 'bad_response'), *[(200, None)] * 3] * 25
        nginx.check(allow=r'"/dev/full" (failed \(28|was inc)')


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can mount a tmpfs')
def test_logs_on_a_full_disk(service):
    with Nginx(service, wrap=TINY_DISK, server='''
            location = /disk {
                access_log    logs/access.log ivschat;
                error_log     logs/error.log info;
                ivschat_token /ivschat;
            }''') as nginx:
        def token():
            return is_token(ask(nginx.port, request('/disk')))

        inside = pathlib.Path(f'/proc/{nginx.pid}/root/{nginx.dir}/logs')
        (inside / 'filler').write_bytes(b'x' * 32768)
        found = []
        wait_for(lambda: found.append(token())
                 or os.statvfs(inside).f_bavail == 0, 30)
        assert os.statvfs(inside).f_bavail == 0
        assert all(found) and all(token() for _ in range(50))

        # nginx itself stays away from a full disk for a second
        size = (inside / 'access.log').stat().st_size
        (inside / 'filler').unlink()
        assert wait_for(lambda: token() and (
            inside / 'access.log').stat().st_size > size), 'it logs again'
        nginx.check(allow=r'logs/\S+" (failed \(28|was inc)')


def test_killed_while_requests_wait(service):
    """They wait for the rate, or in a pause between attempts."""
    # AWS throttles the first ones: how slow that makes the rate depends on
    # how they come
    http = ('ivschat_token_rate 30 burst=20 wait=60s; ivschat_token_tries 3; '
            'ivschat_token_timeout 60s;')
    # reuseport, so that both workers have some
    with Nginx(service, workers=2, http=http, listen='reuseport') as nginx:
        service.faults(*({'fault': 'retry-after-2000', 'user': f'pause {n}'}
                         for n in range(10)))
        flight = Flight(nginx, service, 10, '/token', 'pause')
        for number in range(40):
            flight.clients.append(Client(nginx.port, 60))
            flight.clients[-1].send(request(user=f'queue {number}'))
        time.sleep(0.1)
        ports = [client.port for client in flight.clients]
        killed = kill(nginx)
        found = flight.answers()

        theirs = [one for port, one in zip(ports, found) if port in killed]
        others = [one for port, one in zip(ports, found)
                  if port not in killed]
        broken = [one for one in theirs if isinstance(one, Exception)]
        assert broken and others, list(map(told, found))
        assert all(map(is_token, others)), list(map(told, others))
        assert all(one in broken or is_token(one) for one in theirs)

        assert wait_for(lambda: wait_of(nginx) < 0.2, 15), \
            'nobody waits for the places of the dead one'
        nginx.check(allow=KILLED)


def wait_of(nginx):
    """Seconds for which a request waits for the rate."""
    user = f'wait {time.monotonic()}'
    ask(nginx.port, request(user=user))
    line, = nginx.lines_of(user)
    return float(line['wait'])


def test_reloads_and_a_kill(service):
    """AWS is 50 ms away, and there is a queue."""
    service.config(latency=50)
    http = 'ivschat_token_rate 100 burst=1 wait=10s;'
    with Nginx(service, workers=2, http=http) as nginx:
        minted = service.health()['by_code'].get('ok', 0)
        with Minting(nginx, clients=8 if sanitized() else 24, pause=0,
                     breaks=True) as minting:
            for number in range(10):
                if number == 5:
                    killed = kill(nginx)
                old = nginx.reload()
                time.sleep(0.1)
            assert wait_for(lambda: not any(map(alive, old)))

        assert not minting.failures, minting.failures[:10]
        assert minting.count > 50
        assert {port for *_, port in minting.broken} <= killed, \
            minting.broken[:10]

        good = minting.count - len(minting.broken)
        minted = service.health()['by_code']['ok'] - minted
        assert good <= minted <= minting.count
        assert max(float(line['wait']) for line in nginx.logged(good)) > 0.01
        nginx.check(allow=KILLED)


def test_binary_upgrade(service):
    """USR2 under load: nothing is lost, and the new binary has its own rate.

    For as long as both are there AWS gets twice the rate.
    """
    http = 'ivschat_token_rate 40 burst=1 wait=10s; ivschat_token_tries 3;'
    variables = ''.join(f'env {name};\n' for name in os.environ
                        if name.endswith('SAN_OPTIONS'))
    with Nginx(service, workers=2, daemon=True, http=http,
               main=variables) as nginx:
        with Minting(nginx, clients=12, pause=0) as minting:
            alone = calls(service)
            old = nginx.upgrade()
            time.sleep(0.5)
            both = calls(service)
            os.kill(old, signal.SIGWINCH)
            assert wait_for(lambda: not nginx.workers_of(old), 20)
            os.kill(old, signal.SIGQUIT)
            assert wait_for(lambda: not alive(old), 20)
            after = calls(service)
        assert not minting.failures, minting.failures[:10]
        assert alone <= 44 and after <= 44 and both <= 88
        # it begins at a quarter, and climbs
        assert min(alone, after) >= 10 / slow(), 'the rate is used'
        nginx.check()


def calls(service, seconds=2):
    """How many AWS gets a second."""
    before, start = service.health()['requests'], time.monotonic()
    time.sleep(seconds)
    return ((service.health()['requests'] - before)
            / (time.monotonic() - start))
