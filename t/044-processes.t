#!/usr/bin/python3
"""When processes die or change, or connections, memory or disk run out."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Http2, Minting, Nginx, alive, ask, attempt,
                           binary, bounded, code, fds, in_parallel, is_token,
                           request, sanitized, slow, sockets, wait_for)

tap = Tap()

CLOSE = [('Connection', 'close')]
UNAVAILABLE = (502, 'unavailable')
EU = '''
    upstream ivschat.eu-west-1.amazonaws.com {
        server 127.0.0.1:@SERVICE@;
    }
'''
ACCOUNT = '''
    location = /account {
        ivschat_token /ivschat;
        ivschat_token_room
            arn:aws:ivschat:$room_region:$arg_account:room/@ROOM@;
    }
'''
QUEUE = 8192
# in the directory of the configuration, which is the working directory
TINY_DISK = ['unshare', '-m', 'sh', '-c', 'mkdir -p logs && mount -t tmpfs '
             '-o size=64k tmpfs logs && exec "$@"', 'sh']
# nginx's own, which are not ours to prevent
NO_MORE = 'worker_connections are not enough'
KILLED = r'exited on signal 9|was locked by'


def begin(nginx, service, count, target, name='user'):
    """Clients whose requests AWS has."""
    before = service.health()['requests']
    clients = [Client(nginx.port, 60) for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(request(target, f'{name} {number}'))
    wait_for(lambda: service.health()['requests'] >= before + count, 5)
    return clients


def answers(clients):
    """Their answers; an exception for a connection that broke."""
    def read(number):
        with clients[number] as client:
            return client.answer()
    return in_parallel(len(clients), read)


def show(found):
    """Answers, for a note."""
    return [repr(one) if isinstance(one, Exception)
            else is_token(one) or code(one) for one in found]


def port_of(client):
    """The client's own port."""
    return client.sock.getsockname()[1]


def kill(pid):
    """SIGKILL; the ports of the clients whose connections it had.

    It is stopped before, so that these are exact.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: pathlib.Path(f'/proc/{pid}/stat').read_text('ascii')
             .rpartition(')')[2].split()[0] == 'T')
    ports = {port for port, _ in sockets(pid)}
    os.kill(pid, signal.SIGKILL)
    return ports


def connections(service):
    """No connection is left in the worker."""
    with Nginx(service, connections=64, keepalive=8) as nginx:
        ask(nginx.port, request())
        files = fds(nginx.worker())

        # two connections each, and then one each of clients who have not
        # sent all of their bodies, until there are no more

        clients = begin(nginx, service, 20, '/token?room=fault-silence')
        halves = []
        while len(halves) < 60 and NO_MORE not in nginx.error_log():
            halves.append(Client(nginx.port))
            halves[-1].send(request(body=b'x' * 10, length=20))
            time.sleep(0.02 * slow())
        tap.ok(5 < len(halves) < 60, 'no connection is left: nginx\'s usual '
                                     'alert, and the client is dropped',
               len(halves))

        # the next ones may get the connection of the first, which is idle

        found = [code(client.ask(b'x' * 10)) for client in halves[:3]]
        tap.ok(found[0] == UNAVAILABLE
               and set(found) <= {UNAVAILABLE, (200, None)}
               and 'the worker has none left' in nginx.error_log(),
               'nor one to AWS: 502, and the log says why', found,
               nginx.error_log()[-2000:])

        clients += halves
        for client in clients:
            client.close()
        tap.ok(wait_for(lambda: fds(nginx.worker()) <= files + 8),
               'the others leave: all is freed', files, fds(nginx.worker()))
        tap.ok(all(is_token(ask(nginx.port, request())) for _ in range(20)),
               'and there are tokens again')
        nginx.check(tap, 'no connections', allow=NO_MORE)


def least_zone(nginx, more=''):
    """The bytes that a configuration needs at least."""
    nginx.configure(port=1025, h2port=1026,
                    http=more + 'ivschat_token_zone 20k;')
    done = subprocess.run([binary(), '-t', '-p', f'{nginx.dir}/', '-c',
                           str(nginx.dir / 'nginx.conf')], text=True,
                          stderr=subprocess.PIPE, check=False)
    return int(re.search(r'needs (\d+) bytes', done.stderr)[1])


def zone(service):
    """A zone of no byte more than is needed, with all that it can hold."""
    with_zone = Nginx(service, workers=2, server=ACCOUNT)
    least = least_zone(with_zone, EU)
    with_zone.configure(http=EU + f'''
        ivschat_token_rate 1000 burst=100; ivschat_token_tries 3;
        ivschat_token_zone {least};''')
    with with_zone as nginx:
        tap.ok(is_token(ask(nginx.port, request())),
               f'a zone of {least} bytes, the least: a token')
        found = [code(ask(nginx.port, request(
            f'/account?account=3333333333{number:02d}')))
            for number in range(20)]
        tap.equal(found, [(502, 'rejected')] * 15
                  + [(404, 'room_not_found')] * 5,
                  'it has room for 16 pairs of account and region, no more')
        found = in_parallel(200, lambda number: ask(
            nginx.port, request(user=f'zone {number}')))
        tap.ok(all(map(is_token, found)), 'full, it serves those it has',
               show(found)[:20])
        nginx.reload()
        found = [code(ask(nginx.port, request(
            f'/account?account=4444444444{number:02d}')))
            for number in range(3)]
        tap.ok(found == [(404, 'room_not_found')] * 3
               and is_token(ask(nginx.port, request())),
               'a reload: still full, and a token', found)
        nginx.check(tap, 'the least zone')


def queue(service):
    """As many as can wait for the rate do; by HTTP/2, 128 on a connection."""
    full = 'too many requests wait for the rate'
    http = 'ivschat_token_rate 1 burst=1 wait=60s;'
    with Nginx(service, workers=2, http=http) as nginx, ExitStack() as stack:
        for _ in range(66):
            client = stack.enter_context(Http2(nginx.h2port))
            for _ in range(128):
                client.open()
        tap.ok(wait_for(lambda: full in nginx.error_log()),
               f'{66 * 128} requests: not all can wait for the rate')
        start = time.monotonic()
        answer = ask(nginx.port, request(user='late'))
        took = time.monotonic() - start
        tap.ok(code(answer) == (429, 'throttled') and took < 0.5 * slow()
               and 30 <= int(answer.get('Retry-After')) <= 60,
               'one more is told at once', code(answer), took,
               answer.get('Retry-After'))
        refused = [line for line in nginx.access_log()
                   if line['status'] == 429]
        most = 66 * 128 - QUEUE + 64 + 1
        tap.ok(most - 64 - 30 * slow() <= len(refused) <= most,
               f'{QUEUE} wait', len(refused), most)
        tap.equal({(line['attempts'], line['wait']) for line in refused},
                  {('0', '0.000')}, 'the others have not waited')

        stack.close()
        tap.ok(wait_for(lambda: is_token(ask(nginx.port,
                                             request(user='after')))),
               'all leave: soon there is a token')
        line, = wait_for(lambda: [line for line in nginx.access_log()
                                  if line['user'] == 'after'
                                  and line['status'] == 200])
        tap.ok(float(line['wait']) < 3 * slow(), 'for which nobody is before',
               line)
        nginx.check(tap, 'a full queue')


def full_device(service):
    """The logs cannot be written: /dev/full."""
    if not os.path.exists('/dev/full'):
        raise RuntimeError('there is no /dev/full')
    server = '''
        location = /full {
            access_log    /dev/full ivschat;
            error_log     /dev/full info;
            ivschat_token /ivschat;
        }'''
    with Nginx(service, workers=2, server=server) as nginx:
        found = in_parallel(100, lambda number: ask(
            nginx.port, request('/full?room=fault-html' if number % 4 == 0
                                else '/full')))
        good = [one for number, one in enumerate(found) if number % 4]
        bad = [one for number, one in enumerate(found) if number % 4 == 0]
        tap.ok(all(map(is_token, good)) and {code(one) for one in bad}
               == {(502, 'bad_response')},
               'logs on a full device: 100 answers as ever', show(found))
        nginx.check(tap, '/dev/full', allow=r'"/dev/full" (failed \(28|was inc)')


def full_disk(service):
    """The file system of the logs is full, and then is not."""
    if os.geteuid() != 0:
        print('# not root: no file system of its own can be mounted; '
              '/dev/full above has to do', flush=True)
        return
    with Nginx(service, wrap=TINY_DISK, server='''
            location = /disk {
                access_log    logs/access.log ivschat;
                error_log     logs/error.log info;
                ivschat_token /ivschat;
            }''') as nginx:
        inside = pathlib.Path(f'/proc/{nginx.pid}/root/{nginx.dir}/logs')
        (inside / 'filler').write_bytes(b'x' * 32768)
        found = []
        wait_for(lambda: found.append(ask(nginx.port, request('/disk')))
                 or os.statvfs(inside).f_bavail == 0, 30)
        full = len(found)
        found += [ask(nginx.port, request('/disk')) for _ in range(50)]
        tap.ok(os.statvfs(inside).f_bavail == 0 and all(map(is_token, found)),
               f'a full disk, after {full} tokens: 50 more', show(found)[-5:])
        size = (inside / 'access.log').stat().st_size
        (inside / 'filler').unlink()

        # nginx itself stays away from a full disk for a second
        tap.ok(wait_for(lambda: is_token(ask(nginx.port, request('/disk')))
                        and (inside / 'access.log').stat().st_size > size),
               'room is made: it logs again')
        nginx.check(tap, 'a full disk', allow=r'logs/\S+" (failed \(28|was inc)')


def kill_waiting(service):
    """A worker is killed: its requests wait for the rate, or in a pause."""
    # AWS throttles the first ones: how slow that makes the rate depends on
    # how they come
    http = ('ivschat_token_rate 30 burst=20 wait=60s; ivschat_token_tries 3; '
            'ivschat_token_timeout 60s;')
    # reuseport, so that both workers have some
    with Nginx(service, workers=2, http=http, listen='reuseport') as nginx:
        service.faults(*({'fault': 'retry-after-2000', 'user': f'pause {n}'}
                         for n in range(10)))
        pausing = begin(nginx, service, 10, '/token', 'pause')
        waiting = [Client(nginx.port, 60) for _ in range(40)]
        for number, client in enumerate(waiting):
            client.send(request('/token', f'queue {number}'))
        time.sleep(0.1)
        everybody = pausing + waiting
        ports = [port_of(client) for client in everybody]
        victim = nginx.workers()[0]
        killed = kill(victim)
        found = answers(everybody)

        theirs = [one for port, one in zip(ports, found) if port in killed]
        others = [one for port, one in zip(ports, found)
                  if port not in killed]
        broken = [one for one in theirs if isinstance(one, Exception)]
        tap.ok(broken and others, 'a worker is killed while others wait '
               f'for the rate or in a pause: {len(broken)} are lost',
               show(found))
        tap.ok(all(map(is_token, others)),
               f'the {len(others)} of the other worker get their tokens',
               show(others))
        tap.ok(all(isinstance(one, Exception) or is_token(one)
                   for one in theirs), 'of its own none gets anything else',
               show(theirs))
        tap.ok(wait_for(lambda: len(nginx.workers()) == 2
                        and victim not in nginx.workers()),
               'there is a new one')
        tap.ok(wait_for(lambda: wait_of(nginx) < 0.2, 15),
               'and soon nobody waits for the places of the dead one')
        nginx.check(tap, 'killed', allow=KILLED)


def wait_of(nginx):
    """Seconds for which a request waits for the rate."""
    user = f'wait {time.monotonic()}'
    ask(nginx.port, request(user=user))
    line, = wait_for(lambda: [line for line in nginx.access_log()
                              if line['user'] == user])
    return float(line['wait'])


class Load:
    """Clients who mint, each request on a connection of its own.

    answers are (the client's port, the answer or an exception).
    """

    def __init__(self, nginx, clients):
        self.answers, self._stop = [], threading.Event()
        self._threads = [threading.Thread(target=self._run,
                                          args=(nginx, number))
                         for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, nginx, number):
        while not self._stop.is_set():
            port = None
            try:
                with Client(nginx.port) as client:
                    port = port_of(client)
                    found = client.ask(request(user=f'user{number}',
                                               headers=CLOSE))
            except (OSError, EOFError) as error:
                found = error
            self.answers.append((port, found))


def reloads(service):
    """Ten reloads with AWS 50 ms away and a queue, and a kill among them."""
    service.config(latency=50)
    http = 'ivschat_token_rate 100 burst=1 wait=10s;'
    with Nginx(service, workers=2, http=http) as nginx:
        minted = service.health()['by_code'].get('ok', 0)
        with Load(nginx, 8 if sanitized() else 24) as load:
            for number in range(10):
                if number == 5:
                    victim = nginx.workers()[0]
                    killed = kill(victim)
                    wait_for(lambda: len(nginx.workers()) == 2
                             and victim not in nginx.workers())
                old = nginx.reload()
                time.sleep(0.1)
            tap.ok(wait_for(lambda: not any(map(alive, old))),
                   'ten reloads, and a kill: the old workers end')
        lost = [(port, one) for port, one in load.answers
                if isinstance(one, Exception)]
        wrong = [(port, code(one)) for port, one in load.answers
                 if not isinstance(one, Exception) and not is_token(one)]
        tap.ok(not wrong and len(load.answers) > 50,
               f'of {len(load.answers)} requests none is answered wrongly',
               wrong[:10])
        tap.ok({port for port, _ in lost} <= killed,
               f'{len(lost)} are lost, all of them the killed worker\'s',
               lost[:10], killed)

        good = len(load.answers) - len(lost) - len(wrong)
        minted = service.health()['by_code']['ok'] - minted
        tap.ok(good <= minted <= good + len(lost),
               'AWS has minted as many as came, but for the lost', minted,
               good)
        waits = [float(line['wait']) for line in nginx.logged(good)]
        tap.ok(max(waits) > 0.01, 'the rate was waited for', max(waits))
        nginx.check(tap, 'reloads and a kill', allow=KILLED)
    service.config(latency=0)


def upgrade(service):
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
            tap.ok(wait_for(lambda: not nginx.workers_of(old), 20),
                   'USR2 and WINCH: the old workers end')
            os.kill(old, signal.SIGQUIT)
            tap.ok(wait_for(lambda: not alive(old), 20),
                   'QUIT: the old master ends')
            after = calls(service)
            minting.stop()
        tap.ok(not minting.failures, f'of {minting.count} requests none is '
               'lost', *minting.failures[:10])
        tap.ok(alone <= 44 and after <= 44 and both <= 88,
               'the rate holds before and after, and twice while both are '
               'there', alone, both, after)
        tap.ok(min(alone, after) >= 20 / slow(), 'and is used', alone, both,
               after)
        nginx.check(tap, 'upgrade')


def calls(service, seconds=2):
    """How many AWS gets a second."""
    before, start = service.health()['requests'], time.monotonic()
    time.sleep(seconds)
    return ((service.health()['requests'] - before)
            / (time.monotonic() - start))


def main():
    """An nginx for each part."""
    bounded(120)
    with Service(args=['--rate', 'off']) as service:
        for part in (connections, zone, queue, full_device, full_disk, kill_waiting,
                     reloads, upgrade):
            attempt(tap, part, service)
            service.clear_faults()
    tap.done()


main()
