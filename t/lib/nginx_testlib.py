"""Helpers for Python tests: an nginx with the module, raw HTTP/1.1, HTTP/2.

    with Service(args=['--rate', 'off']) as service, Nginx(service) as nginx:
        with Client(nginx.port) as client:
            client.send(request('/token', user='alice'))
            answer = client.answer()
        nginx.check()

The nginx is the one that TEST_NGINX_BINARY and TEST_NGINX_LOAD_MODULES name.
It listens on 127.0.0.1 only, lives in a directory of its own, and is ended
with all its processes when the block is left, however it is left.
"""

import base64
import contextlib
import ctypes
import functools
import glob
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from ivschat_testlib import KEY, REGION, SECRET, Answer

TOP = pathlib.Path(__file__).resolve().parents[2]
MODULE = TOP / 'objs' / 'ngx_http_ivschat_token_module.so'
PARAMS = TOP / 'ngx_module' / 'ivschat_params'
ROOM_ID = 'g1H2I3j4k5L6'

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PORTS = range(10240, 32768)            # below those that clients are given
TCP_STATES = {'01': 'ESTABLISHED', '02': 'SYN_SENT', '08': 'CLOSE_WAIT',
              '0A': 'LISTEN'}

CONFIG = '''\
@LOAD@
@USER@
daemon           @DAEMON@;
master_process   @MASTER@;
worker_processes @WORKERS@;
pid              nginx.pid;
lock_file        nginx.lock;
error_log        error.log @LEVEL@;
@MAIN@

events {
    worker_connections @CONNECTIONS@;
    @EVENTS@
}

http {
    client_body_temp_path body;
    proxy_temp_path       proxy;
    fastcgi_temp_path     fastcgi;
    uwsgi_temp_path       uwsgi;
    scgi_temp_path        scgi;

    log_format ivschat escape=json
        '{"request":"$request","status":"$status",'
        '"result":"$ivschat_token_result","user":"$ivschat_token_user",'
        '"attempts":"$ivschat_token_attempts","time":"$ivschat_token_time",'
        '"wait":"$ivschat_token_wait",'
        '"worker":$pid}';
    access_log access.log ivschat;

    map $arg_room   $room_id     { "" @ROOM@;   default $arg_room;   }
    map $arg_region $room_region { "" @REGION@; default $arg_region; }

    upstream ivschat.@REGION@.amazonaws.com {
        @UPSTREAM@
    }

    @TRIES@
    @RATE@
    @TIMEOUT@
    ivschat_token_credentials  static key=@KEY@ secret=@SECRET@;
    ivschat_token_capabilities SEND_MESSAGE;
    ivschat_token_user         $remote_user trusted;
    ivschat_token_room
        arn:aws:ivschat:$room_region:123456789012:room/$room_id;

    @HTTP@

    server {
        listen             127.0.0.1:@PORT@ @LISTEN@;
        listen             127.0.0.1:@H2PORT@ http2;
        keepalive_requests 1000000;

        location = /token {
            ivschat_token /ivschat;
            @LOCATION@
        }

        location = /ivschat {
            internal;
            proxy_pass https://$ivschat_token_host/CreateChatToken;
            include    ivschat_params;
        }

        location = /after { return 200 after; }
        location = /evil  { return 200 evil;  }

        @SERVER@
    }
}
'''

# What http may override, as a level may have each but once.
DEFAULTS = {'TRIES': 'ivschat_token_tries 1;',
            'RATE': 'ivschat_token_rate 100000 burst=100000;'}

UPSTREAM = '''
        server             127.0.0.1:@SERVICE@;
        keepalive          @KEEPALIVE@;
        keepalive_requests 1000000;
'''

BAD_LINE = re.compile(r'\[(alert|emerg|crit)\]|open socket #|exited on signal'
                      r'|exited with (fatal )?code [1-9]|AddressSanitizer'
                      r'|runtime error:')


def binary():
    """The nginx that is tested."""
    return os.environ.get('TEST_NGINX_BINARY') or '/usr/sbin/nginx'


@functools.lru_cache
def version():
    """What nginx -V says."""
    return subprocess.run([binary(), '-V'], stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, text=True,
                          check=True).stderr


def sanitized():
    """Whether it was built with AddressSanitizer."""
    return '-fsanitize=address' in version()


def slow():
    """By which factor everything takes longer."""
    return 5 if sanitized() else 1


def upstream(region, port='@SERVICE@', more=''):
    """The upstream of a region's endpoint."""
    return (f'upstream ivschat.{region}.amazonaws.com '
            f'{{ server 127.0.0.1:{port}; {more} }}\n')


# One room for each account.
ACCOUNT = '''
    location = /account {
        ivschat_token /ivschat;
        ivschat_token_room
            arn:aws:ivschat:$room_region:$arg_account:room/@ROOM@ trusted;
    }
'''


def at_least(*number):
    """Whether nginx is of this version, or of a later one."""
    found = re.search(r'nginx/(\d+)\.(\d+)\.(\d+)', version())
    return tuple(map(int, found.groups())) >= number


def no_keepalive():
    """A line for an upstream that keeps no connections.

    Since 1.29.7 they do without being told; before, 0 was no number.
    """
    return 'keepalive 0;' if at_least(1, 29, 7) else ''


def own_etc(path):
    """What a wrap needs so that the hosts and the resolv.conf of a directory
    are those of /etc: a mount namespace, and for a user who is not root a
    user namespace, too.

    In a chroot "/" may be no mount point; it is enough that nothing is
    shared.
    """
    uid = os.geteuid()
    again = f'unshare -U --map-user={uid} --map-group={os.getegid()}'
    return ['unshare', '-m' if uid == 0 else '-rm', '--propagation',
            'unchanged', 'sh', '-c', f'''
                mount --make-rprivate / 2>/dev/null
                ! grep -q ' shared:' /proc/self/mountinfo &&
                mount --bind "$0"/resolv.conf /etc/resolv.conf &&
                mount --bind "$0"/hosts /etc/hosts &&
                exec {'' if uid == 0 else again} "$@"''', str(path)]


def modules():
    """The modules to load: none where ours is linked in."""
    if '--add-module=' in version():
        return []
    return os.environ.get('TEST_NGINX_LOAD_MODULES', str(MODULE)).split()


def prctl(option, value):
    """prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def wait_for(condition, seconds=10, pause=0.01):
    """Wait until condition() is true; its last value."""
    deadline = time.monotonic() + seconds * slow()

    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(pause)


def is_free(port):
    """Whether nobody listens on a port."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def free_ports(count):
    """Ports that nobody listens on."""
    ports = []
    while len(ports) < count:
        port = random.choice(PORTS)
        if port not in ports and is_free(port):
            ports.append(port)
    return ports


# Processes


def status(pid, name):
    """A number from /proc/PID/status (kB, where it has a unit)."""
    text = pathlib.Path(f'/proc/{pid}/status').read_text('utf-8')
    return int(re.search(rf'^{name}:\s+(\d+)', text, re.M)[1])


def rss(pid):
    """Resident memory of a process, in kB."""
    return status(pid, 'VmRSS')


def memory(pid):
    """Bytes that are the process's own, as the kernel counts them."""
    text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text('ascii')
    return 1024 * sum(int(size) for size in re.findall(
        r'^Private_(?:Clean|Dirty): +(\d+)', text, re.M))


def fds(pid):
    """The number of open files of a process."""
    return len(os.listdir(f'/proc/{pid}/fd'))


def title(pid):
    """A process's command line; empty when it is gone or a zombie."""
    try:
        line = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    except OSError:
        return ''
    return line.replace(b'\0', b' ').decode('utf-8', 'replace').strip()


def alive(pid):
    """Whether a process is there, and no zombie."""
    return title(pid) != ''


def sockets(pid, port=None):
    """The TCP connections of a process, [(remote port, state)]."""
    inodes = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f'/proc/{pid}/fd'):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(f'/proc/{pid}/fd/{name}'))

    try:
        lines = pathlib.Path(f'/proc/{pid}/net/tcp').read_text('ascii')
    except OSError:
        return []

    found = []
    for fields in map(str.split, lines.splitlines()[1:]):
        remote = int(fields[2].split(':')[1], 16)
        if f'socket:[{fields[9]}]' in inodes and port in (None, remote):
            found.append((remote, TCP_STATES.get(fields[3], fields[3])))
    return found


def blocked_signals(pid):
    """The masks of blocked signals of a process's threads, {tid: mask}."""
    return {int(name): int(re.search(
        r'^SigBlk:\s+(\w+)', pathlib.Path(
            f'/proc/{pid}/task/{name}/status').read_text('ascii'), re.M)[1],
        16) for name in os.listdir(f'/proc/{pid}/task')}


class Nginx:
    """An nginx as a context manager.

    main, events, http, server and location are lines for these blocks of the
    configuration above; location is /token, upstream that of the region,
    listen the options of the port.  One attempt is made, at a rate that no
    test meets, unless http says otherwise.  env is added to the environment.
    wrap is a command that runs another one, which it is given.

    patience multiplies the times that limit a mint, those of ivschat_params
    and the default of ivschat_token_timeout.  Without a number it is slow():
    a TLS handshake or an answer that takes longer than a second on a busy
    machine is not what most tests are about.  A module with PATIENCE has
    another number: t/conftest.py.
    """

    patience = None

    def __init__(self, service=None, workers=1, daemon=False, master=True,
                 keepalive=16, level='info', env=None, wrap=(),
                 connections=1000, **blocks):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='ivschat-nginx.'))
        self.port = self.h2port = self.pid = None
        self.exit_status = None
        self._process = None
        self._master, self._daemon = master, daemon
        self._count = workers
        self._env = {**os.environ, **(env or {})}
        self._wrap = list(wrap)
        self._values = {
            'LOAD': '\n'.join(f'load_module {name};' for name in modules()),
            # else we could not look at the workers in /proc
            'USER': 'user root;' if os.geteuid() == 0
                    else f'working_directory {self.dir};',
            'DAEMON': 'on' if daemon else 'off',
            'MASTER': 'on' if master else 'off', 'WORKERS': workers,
            'CONNECTIONS': connections,
            'LEVEL': level, 'ROOM': ROOM_ID, 'REGION': REGION, 'KEY': KEY,
            'SECRET': SECRET, 'KEEPALIVE': keepalive,
            'SERVICE': service.port if service else 1,
            'UPSTREAM': blocks.pop('upstream', UPSTREAM),
        }
        for name in ('main', 'events', 'http', 'server', 'location',
                     'listen'):
            self._values[name.upper()] = blocks.pop(name, '')
        if blocks:
            raise TypeError(f'unknown: {blocks}')

        ca = service.ca if service else '/etc/ssl/certs/ca-certificates.crt'
        text, count = re.subn(r'^(proxy_ssl_trusted_certificate\s+).*;$',
                              rf'\g<1>{ca};', PARAMS.read_text('utf-8'),
                              flags=re.M)
        if count != 1:
            raise RuntimeError('the CA of ivschat_params is not found')
        patience = self.patience or slow()
        text = re.sub(r'(_timeout\s+)(\d+)s;', lambda match: match[1]
                      + f'{int(match[2]) * patience}s;', text)
        self._defaults = {**DEFAULTS, 'TIMEOUT':
                          f'ivschat_token_timeout {5 * patience}s;'}
        (self.dir / 'ivschat_params').write_text(text, 'utf-8')

    def __enter__(self):
        # Orphans become our children, so that their end is seen.
        prctl(PR_SET_CHILD_SUBREAPER, 1)

        try:
            for _ in range(5):
                if self._start():
                    return self
            raise RuntimeError('no free port')
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_exception):
        if self.running():
            self.signal(signal.SIGTERM)
            self.wait(10)
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reap()

        if os.environ.get('IVSCHAT_KEEP'):
            print(f'# {self.dir}', flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def file(self, name, text):
        """Write a file beside the configuration; its path."""
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def configure(self, **values):
        """Write the configuration, some of its values changed."""
        self._values.update((name.upper(), value)
                            for name, value in values.items())
        self._count = self._values['WORKERS']
        for name, line in self._defaults.items():
            own = f'ivschat_token_{name.lower()} ' in self._values['HTTP']
            self._values[name] = '' if own else line
        text = re.sub('@([A-Z0-9]+)@',
                      lambda match: str(self._values[match[1]]), CONFIG)
        # Blocks may have placeholders too.
        text = re.sub('@([A-Z0-9]+)@',
                      lambda match: str(self._values[match[1]]), text)
        conf = self.dir / 'nginx.conf'
        conf.write_text(text, 'utf-8')
        conf.chmod(0o600)               # it holds secrets

    def try_configuration(self):
        """nginx -t, and no more: (exit status, what it says)."""
        try:
            self.configure(port=1025, h2port=1026)
            done = subprocess.run(
                [*self._wrap, binary(), '-t', '-p', f'{self.dir}/', '-c',
                 str(self.dir / 'nginx.conf')], text=True,
                stderr=subprocess.PIPE, check=False)
            return done.returncode, done.stderr
        finally:
            self.__exit__()

    def _start(self):
        """Start; False when another process took the port."""
        self.port, self.h2port = free_ports(2)
        self.configure(port=self.port, h2port=self.h2port)
        log = self.dir / 'error.log'
        log.unlink(missing_ok=True)

        with open(self.dir / 'stderr', 'ab') as stderr:
            self._process = subprocess.Popen(
                [*self._wrap, binary(), '-p', f'{self.dir}/', '-c',
                 str(self.dir / 'nginx.conf'), '-e', str(log)],
                cwd=self.dir, env=self._env, stdin=subprocess.DEVNULL,
                stdout=stderr, stderr=stderr,
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM))

        if self._daemon and self._process.wait(60) != 0:
            return self._failed()

        if wait_for(self._ready, 30) == 'ready':
            return True
        return self._failed()

    def _ready(self):
        """'ready', 'gone', or None."""
        if not self._daemon and self._process.poll() is not None:
            return 'gone'

        self.pid = self._pid_in('nginx.pid')
        if self.pid is None:
            return None

        if len(self.workers()) < self._count:
            return None

        for port in (self.port, self.h2port):
            try:
                socket.create_connection(('127.0.0.1', port), 5).close()
            except OSError:
                return None
        return 'ready'

    def _failed(self):
        text = self.error_log() + (self.dir / 'stderr').read_text('utf-8')
        if 'Address already in use' in text:
            return False
        raise RuntimeError('nginx does not start: ' + text)

    # processes

    def running(self):
        """Whether the master, or the only process, is there."""
        return self.pid is not None and alive(self.pid)

    def signal(self, number):
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def children(self):
        """The master's children that are no zombies."""
        path = pathlib.Path(f'/proc/{self.pid}/task/{self.pid}/children')
        try:
            pids = [int(word) for word in path.read_text('ascii').split()]
        except OSError:
            return []
        return [pid for pid in pids if alive(pid)]

    def workers(self):
        """The workers that take new requests."""
        if not self._master:
            return [self.pid] if self.running() else []
        return [pid for pid in self.children()
                if title(pid) == 'nginx: worker process']

    def worker(self):
        """The only worker."""
        pid, = self.workers()
        return pid

    def old_workers(self):
        """The workers that only finish what they have."""
        return [pid for pid in self.children()
                if title(pid) == 'nginx: worker process is shutting down']

    def leftovers(self):
        """All processes that belong here."""
        found = []
        for name in os.listdir('/proc'):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    if (os.readlink(f'/proc/{name}/cwd') == str(self.dir)
                            and alive(int(name))):
                        found.append(int(name))
        return found

    def _reap(self):
        """Collect what has ended; the master's status is kept."""
        if self._process is not None and self._process.poll() is not None:
            if not self._daemon and self.exit_status is None:
                self.exit_status = self._process.returncode

        if self._daemon and self.pid is not None:
            with contextlib.suppress(ChildProcessError):
                pid, value = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.exit_status = os.waitstatus_to_exitcode(value)

    def wait(self, seconds=20):
        """Wait until all processes have ended; whether they did."""
        def gone():
            if self.running() or self.leftovers():
                return False
            self._reap()
            return self.exit_status is not None
        return wait_for(gone, seconds)

    def reload(self):
        """SIGHUP; returns when the new workers are there: the old ones."""
        old = self.workers()
        self.signal(signal.SIGHUP)

        if not wait_for(lambda: len(set(self.workers()) - set(old))
                        == self._count, 20):
            raise RuntimeError('no new workers: ' + self.error_log()[-2000:])
        return old

    def upgrade(self):
        """SIGUSR2; returns when the new master has workers: the old master.

        From now on the new one is meant.
        """
        old = self.pid
        self.signal(signal.SIGUSR2)
        if not wait_for(lambda: self._pid_in('nginx.pid') not in (None, old)
                        and self._pid_in('nginx.pid.oldbin') == old, 20):
            raise RuntimeError('no new master: ' + self.error_log()[-2000:])
        self.pid = self._pid_in('nginx.pid')
        if not wait_for(lambda: len(self.workers()) == self._count, 20):
            raise RuntimeError('no new workers: ' + self.error_log()[-2000:])
        return old

    def workers_of(self, master):
        """The workers of another master."""
        path = pathlib.Path(f'/proc/{master}/task/{master}/children')
        return [pid for pid in map(int, path.read_text('ascii').split())
                if pid != self.pid and alive(pid)]

    def _pid_in(self, name):
        """A process's number in a file, or None."""
        try:
            return int((self.dir / name).read_text('ascii'))
        except (OSError, ValueError):
            return None

    def quit(self, seconds=20):
        """SIGQUIT; whether all processes have ended in time."""
        self.signal(signal.SIGQUIT)
        return self.wait(seconds)

    # logs

    def error_log(self):
        """The error log."""
        try:
            return (self.dir / 'error.log').read_text('utf-8', 'replace')
        except OSError:
            return ''

    def access_log(self):
        """The access log, one dictionary a line."""
        text = (self.dir / 'access.log').read_bytes()
        lines = [json.loads(line) for line in
                 text.decode('utf-8', 'replace').split('\n')[:-1]]
        return [{**line, 'status': int(line['status'])} for line in lines]

    def logged(self, count, seconds=10):
        """Wait until the access log has so many lines; these."""
        wait_for(lambda: len(self.access_log()) >= count, seconds)
        return self.access_log()

    def lines_of(self, user, count=1):
        """Wait until the access log has so many lines of a user; these."""
        def found():
            return [line for line in self.access_log()
                    if line['user'] == user]

        wait_for(lambda: len(found()) >= count)
        return found()

    def lines_so_far(self):
        """How many lines the access log has when nothing is added to it."""
        count = -1
        while count != len(self.access_log()):
            count = len(self.access_log())
            time.sleep(0.03)
        return count

    def bad_lines(self, allow=None):
        """The lines of the log that must not be there."""
        text = self.error_log()
        with contextlib.suppress(OSError):
            text += (self.dir / 'stderr').read_text('utf-8', 'replace')
        if sanitized():
            # Nginx leaves the TLS sessions of its upstreams to the end of
            # the process; t/tools/sanitize.sh tells such leaks from ours.
            text = text.replace('exited with code 1\n', 'exited\n')
        return [line for line in text.splitlines() if BAD_LINE.search(line)
                and not (allow and re.search(allow, line))]

    def check(self, allow=None):
        """It ends when told to, and nothing was wrong with it.

        allow: a pattern of lines in the log that may be there.
        """
        ended = self.quit() if self.running() else self.wait()
        bad = self.bad_lines(allow)
        assert ended, f'nginx has not ended: {self.leftovers()}'
        assert self.exit_status == 0
        assert not bad[:20]


@contextlib.contextmanager
def checked(nginx, allow=None):
    """An nginx that runs in the block, and is checked at its end."""
    with nginx:
        yield nginx
        nginx.check(allow=allow)


# HTTP/1.1


def basic(user, password='x'):
    """An Authorization of the Basic kind."""
    user = user if isinstance(user, bytes) else user.encode('utf-8')
    return 'Basic ' + base64.b64encode(
        user + b':' + password.encode()).decode()


def request(target='/token', user='alice', body=b'', headers=(),
            method='POST', length=None):
    """A request's bytes; without a body when body is None.

    length: a Content-Length for more than the body given here.
    """
    lines = [f'{method} {target} HTTP/1.1'.encode(), b'Host: localhost']

    if user is not None:
        lines.append(b'Authorization: ' + basic(user).encode())
    if body is not None:
        lines.append(b'Content-Length: %d' % (len(body) if length is None
                                              else length))

    for name, value in headers:
        lines.append(name.encode() + b': ' + (
            value if isinstance(value, bytes) else value.encode('utf-8')))

    return b'\r\n'.join(lines) + b'\r\n\r\n' + (body or b'')


def chunk(data, extension=b''):
    """One chunk."""
    return b'%x%s\r\n%s\r\n' % (len(data), extension, data)


def chunks(body, size=8192, extension=b'', trailers=b''):
    """A chunked body."""
    return b''.join(chunk(body[i:i + size], extension)
                    for i in range(0, len(body), size)) + (
        b'0\r\n' + trailers + b'\r\n')


def chunked(target='/token', body=b'', user='alice', headers=(), **options):
    """A request with a chunked body."""
    return request(target, user, None,
                   [*headers, ('Transfer-Encoding', 'chunked')]
                   ) + chunks(body, **options)


# A body that nginx must never take for a request, and one that is a request.
EVIL = b'GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n'
AFTER = request('/after', None, None, method='GET')


def js(**members):
    """A compact JSON object, as JSON.stringify() makes it."""
    return json.dumps(members, separators=(',', ':'),
                      ensure_ascii=False).encode()


def sent(service):
    """What AWS was asked for since the last look, one object a request."""
    bodies = [json.loads(record['body']) for record in service.requests()]
    service.forget()
    return bodies


class Client:
    """A connection that shows all that the server sends."""

    def __init__(self, port, timeout=15):
        self.sock = socket.create_connection(('127.0.0.1', port),
                                             timeout * slow())
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.sock.getsockname()[1]
        self.buffer = b''

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """Leave, politely."""
        self.sock.close()

    def abort(self):
        """Leave with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack('ii', 1, 0))
        self.sock.close()

    def half_close(self):
        """Send nothing any more, but read."""
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data):
        """Send bytes."""
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError('the server has closed the connection')
        self.buffer += data

    def _line_end(self, mark):
        while mark not in self.buffer:
            self._more()
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def answer(self):
        """The next answer, be it 100; EOFError when there is none."""
        lines = self._line_end(b'\r\n\r\n').decode('latin-1').split('\r\n')
        if not re.fullmatch(r'HTTP/1\.1 \d{3}( .*)?', lines[0]):
            raise ValueError(f'no status line: {lines[0]!r}')

        headers = [tuple(line.split(': ', 1)) for line in lines[1:]]
        answer = Answer(int(lines[0][9:12]), headers, b'')

        if answer.get('Transfer-Encoding') == 'chunked':
            while True:
                size = int(self._line_end(b'\r\n'), 16)
                answer.body += self._take(size + 2)[:-2]
                if size == 0:
                    break
        else:
            answer.body = self._take(int(answer.get('Content-Length') or 0))

        return answer

    def ask(self, data):
        """Send a request, and the answer."""
        self.send(data)
        return self.answer()

    def closed(self, seconds=5):
        """Whether the server closes, and sends nothing before."""
        return self._rest(seconds) == 'closed'

    def quiet(self, seconds=0.2):
        """Whether the server sends nothing, and does not close."""
        return self._rest(seconds, 1) == 'quiet'

    def _rest(self, seconds, factor=None):
        if self.buffer:
            return 'data'
        timeout = self.sock.gettimeout()
        self.sock.settimeout(seconds * (factor or slow()))
        try:
            self.buffer = self.sock.recv(65536)
            return 'data' if self.buffer else 'closed'
        except socket.timeout:
            return 'quiet'
        except ConnectionError:
            return 'closed'
        finally:
            self.sock.settimeout(timeout)


def ask(port, data):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.ask(data)


def code(answer):
    """(status, code) of a problem; code is None when it is no problem."""
    if answer.get('Content-Type') != 'application/problem+json':
        return answer.status, None
    return answer.status, answer.json()['code']


def is_token(answer):
    """Whether it is a token, as the contract has it."""
    return (isinstance(answer, Answer) and answer.status == 200
            and answer.get('Content-Type') == 'application/json'
            and list(answer.json()) == ['token', 'sessionExpirationTime',
                                        'tokenExpirationTime'])


def told(answer):
    """'token', (status, code), or the text of what came instead."""
    if answer is None or isinstance(answer, Exception):
        return repr(answer)
    return 'token' if is_token(answer) else code(answer)


def then_after(client):
    """Whether the next answer is the one to AFTER."""
    answer = client.answer()
    return answer.status == 200 and answer.body == b'after'


def check_bodies(nginx):
    """No body was ever taken for a request, and none is left on the disk."""
    assert [line for line in nginx.access_log()
            if '/evil' in line['request']] == []
    assert wait_for(lambda: not [path for path in (nginx.dir / 'body')
                                 .rglob('*') if path.is_file()])


# HTTP/2


class Http2:
    """A connection with prior knowledge; by python3-h2."""

    def __init__(self, port, timeout=15):
        import h2.config
        import h2.connection
        self._timeout = timeout * slow()
        self.sock = socket.create_connection(('127.0.0.1', port),
                                             self._timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding='utf-8'))
        self.conn.initiate_connection()
        self.answers, self.ended, self.resets = {}, set(), {}
        self.gone = False
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.sock.close()

    def flush(self):
        """Send what is to be sent."""
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def open(self, target='/token', user='alice', headers=(), end=True,
             method='POST'):
        """Start a stream with its head; its number."""
        stream = self.conn.get_next_available_stream_id()
        fields = [(':method', method), (':scheme', 'http'),
                  (':authority', 'localhost'), (':path', target)]
        if user is not None:
            fields.append(('authorization', basic(user)))
        self.conn.send_headers(stream, [*fields, *headers], end_stream=end)
        self.flush()
        return stream

    def send(self, stream, data, end=False, size=16384):
        """Send a body, as fast as the windows allow."""
        pos = 0
        while pos < len(data):
            room = min(self.conn.local_flow_control_window(stream), size,
                       len(data) - pos)
            if room <= 0:
                if stream in self.ended or not self.pump():
                    return
                continue
            self.conn.send_data(stream, data[pos:pos + room])
            pos += room
            self.flush()
        if end and stream not in self.ended:
            self.conn.end_stream(stream)
            self.flush()

    def ask(self, target='/token', user='alice', body=None, headers=()):
        """A request, and its answer."""
        stream = self.open(target, user, headers, end=body is None)
        if body is not None:
            self.send(stream, body, end=True)
        return self.wait(stream)[0]

    def reset(self, stream):
        """RST_STREAM."""
        self.conn.reset_stream(stream, 8)
        self.flush()

    def pump(self, timeout=None):
        """Read once; False at the end of the connection or of the time."""
        self.sock.settimeout(self._timeout if timeout is None else timeout)
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            return False
        except ConnectionError:
            data = b''
        if not data:
            self.gone = True
            return False
        for event in self.conn.receive_data(data):
            self._handle(event)
        self.flush()
        return True

    def _handle(self, event):
        kind = type(event).__name__
        stream = getattr(event, 'stream_id', None)
        if kind == 'ResponseReceived':
            fields = [(str(name), value) for name, value in event.headers]
            self.answers[stream] = Answer(int(dict(fields)[':status']),
                                          fields, b'')
        elif kind == 'DataReceived':
            self.answers[stream].body += event.data
            if event.flow_controlled_length:
                self.conn.acknowledge_received_data(
                    event.flow_controlled_length, stream)
        elif kind in ('StreamEnded', 'StreamReset'):
            self.ended.add(stream)
            if kind == 'StreamReset':
                self.resets[stream] = event.error_code
        elif kind == 'ConnectionTerminated':
            self.gone = True

    def wait(self, *streams):
        """The answers of streams, None for one without."""
        while not set(streams) <= self.ended and not self.gone:
            if not self.pump():
                break
        return [self.answers.get(stream) for stream in streams]


# Load


def in_parallel(count, function):
    """Call function(number) in so many threads; the results."""
    results = [None] * count

    def run(number):
        try:
            results[number] = function(number)
        except Exception as error:      # shown by the test that compares
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True)
               for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Flight:
    """Requests that are on their way; begun when AWS has all of them."""

    def __init__(self, nginx, service, count, target, name='user'):
        before = service.health()['requests']
        self.clients = [Client(nginx.port, 60) for _ in range(count)]
        for number, client in enumerate(self.clients):
            client.send(request(target, f'{name} {number}'))
        self.begun = wait_for(lambda: service.health()['requests']
                              >= before + count)

    def answers(self):
        """The answers; an exception for a connection that broke."""
        def read(number):
            with self.clients[number] as client:
                return client.answer()

        return in_parallel(len(self.clients), read)


class BlackHole:
    """A port of this machine that answers no SYN: its backlog is full."""

    def __init__(self, host='127.0.0.1', port=0):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self._server = socket.socket(family)
        self._server.bind((host, port))
        self._server.listen(0)
        self.port = self._server.getsockname()[1]
        self._fillers = []

        for _ in range(4):
            filler = socket.socket(family)
            filler.setblocking(False)
            filler.connect_ex((host, self.port))
            self._fillers.append(filler)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for sock in [*self._fillers, self._server]:
            sock.close()


class Mute:
    """A port where connections are accepted and nothing is ever said."""

    def __init__(self):
        self._server = socket.create_server(('127.0.0.1', 0), backlog=1000)
        self._server.setblocking(False)
        self.port = self._server.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._server.close()

    def left(self, seconds=2):
        """Whether the one who connected has left again."""
        sock, _ = self._server.accept()
        sock.settimeout(seconds * slow())
        try:
            while sock.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False
        finally:
            sock.close()


class Minting:
    """Clients who mint all the time, each request on its own connection.

    targets are taken in turn; every request is another user's.  failures are
    (seconds since the start, user, target, what came, the client's port);
    broken are those whose connection broke, where breaks is true.
    """

    def __init__(self, nginx, targets=('/token',), clients=4, pause=0.02,
                 name='u', breaks=False):
        self._nginx, self._targets = nginx, targets
        self._pause = pause * slow()
        self._name, self._breaks = name, breaks
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.start = time.monotonic()
        self.count, self.failures, self.broken = 0, [], []
        self._threads = [threading.Thread(target=self._run, args=(number,),
                                          daemon=True)
                         for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self.stop()

    def stop(self):
        """End it; returns when all have their answers."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count, seconds=10):
        """Wait until so many more answers have come."""
        goal = self.count + count
        return wait_for(lambda: self.count >= goal, seconds)

    def _run(self, number):
        turn = 0
        while not self._end.is_set():
            target = self._targets[(turn + number) % len(self._targets)]
            user = f'{self._name}{number}.{turn}'
            turn += 1
            port = None
            try:
                with Client(self._nginx.port) as client:
                    port = client.port
                    found = client.ask(request(target, user))
            except (OSError, EOFError, ValueError) as error:
                found = error
            self._note(user, target, found, port)
            self._end.wait(self._pause)

    def _note(self, user, target, found, port):
        when = round(time.monotonic() - self.start, 2)
        with self._lock:
            self.count += 1
            if isinstance(found, Exception):
                (self.broken if self._breaks else self.failures).append(
                    (when, user, target, repr(found), port))
            elif not is_token(found):
                self.failures.append((when, user, target, code(found), port))


class Probing:
    """Asks other locations without pause, and notes the slowest answer.

    By a process of its own.  It and the workers go before all others (where
    the system lets us), so that what is measured is nginx, not the machine.
    """

    def __init__(self, *nginxes, target='/after'):
        self._nginxes = nginxes
        self._ports = [nginx.port for nginx in nginxes]
        self._target = target
        self.count, self.slowest, self.late = 0, None, []

    def __enter__(self):
        for nginx in self._nginxes:
            for pid in nginx.workers():
                go_first(pid)
        self._process = subprocess.Popen(
            ['/usr/bin/python3', '-c',
             'import sys, nginx_testlib; nginx_testlib.probe(sys.argv[1], '
             'sys.argv[2:])', self._target, *map(str, self._ports)],
            env={**os.environ, 'PYTHONPATH': str(TOP / 't' / 'lib')},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_exception):
        found, _ = self._process.communicate('')
        found = json.loads(found or 'null')
        if found is not None:
            self.count, self.slowest = found['count'], found['slowest']
            self.late = found['late']

    def good(self):
        """Whether every answer came in time."""
        return (self.count > 100 and self.slowest is not None
                and self.slowest < self.bound())

    @staticmethod
    def bound():
        """In milliseconds."""
        return 50 * slow()

    def __str__(self):
        return (f'{self.count} answers, the slowest after {self.slowest} ms; '
                f'late: {self.late[:10]}')


def go_first(pid):
    """Let a process run before all those of the usual kind."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def probe(target, ports):
    """What the process of Probing does until its standard input ends."""
    go_first(0)
    clients = [(port, Client(int(port))) for port in ports]
    data = request(target, method='GET', body=None)
    end = threading.Event()
    threading.Thread(target=lambda: (os.read(0, 1), end.set()),
                     daemon=True).start()
    count, slowest, late = 0, 0, []
    start = time.monotonic()

    while not end.is_set():
        for port, client in clients:
            before = time.monotonic()
            if client.ask(data).body != b'after':
                raise RuntimeError('not the answer')
            took = round((time.monotonic() - before) * 1000, 1)
            count += 1
            slowest = max(slowest, took)
            if took > 20:
                late.append((port, round(before - start, 2), took))
        time.sleep(0.002 * slow() ** 2)

    print(json.dumps({'count': count, 'slowest': slowest, 'late': late}))


class DeadResolver:
    """A name server that never answers, and the only one there is for an
    nginx whose wrap is this one's; root is needed.

    hosts: what stands in its /etc/hosts.
    """

    OPTIONS = 'options timeout:3 attempts:2\n'

    def __init__(self, hosts='127.0.0.1 localhost\n'):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        host = f'127.53.{os.getpid() % 250 + 1}.{random.randrange(1, 250)}'
        self._socket.bind((host, 53))
        self._dir = pathlib.Path(tempfile.mkdtemp(prefix='ivschat-etc.'))
        self._dir.chmod(0o755)
        (self._dir / 'resolv.conf').write_text(
            f'nameserver {host}\n{self.OPTIONS}', 'ascii')
        (self._dir / 'hosts').write_text(hosts, 'ascii')
        self.wrap = own_etc(self._dir)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._socket.close()
        shutil.rmtree(self._dir)

    def asked(self):
        """How many questions have come since the last call."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(4096):
                count += 1
        return count


# Time

FAKETIME = '/usr/lib/*/faketime/libfaketime.so.1'


def clock_env(seconds):
    """The variables that make an nginx see another time."""
    found = glob.glob(FAKETIME)
    assert found, 'libfaketime is not there: install faketime'

    # It looks at FAKETIME again later, and nginx clears its environment; and
    # with ASan linked in, it is not the first library any more.
    options = [os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0']

    return {'LD_PRELOAD': found[0], 'FAKETIME': f'{seconds:+d}',
            'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_DONT_FAKE_MONOTONIC': '1',
            'NO_FAKE_STAT': '1', 'FAKETIME_CACHE_DURATION': '3600',
            'ASAN_OPTIONS': ','.join(filter(None, options))}


# Sources of credentials

CONTAINER = 'ivschat_token_credentials container;'
NO_CREDENTIALS = (503, 'no_credentials')


def imds_env(fakes):
    """The environment in which "imds" finds the fakes."""
    return {'AWS_EC2_METADATA_SERVICE_ENDPOINT': fakes.imds}


def container_env(fakes):
    """The same for "container"."""
    return {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
            fakes.container + '/v1/credentials',
            'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'pod+identity/token=='}


def sts_env(fakes):
    """The same for "assume_role"; "source=env" signs with the known key."""
    return {'AWS_ENDPOINT_URL_STS': fakes.sts, 'AWS_CA_BUNDLE': fakes.sts_ca,
            'AWS_REGION': REGION, 'AWS_ACCESS_KEY_ID': KEY,
            'AWS_SECRET_ACCESS_KEY': SECRET}


def failed_fetches(nginx):
    """The lines of failed fetches."""
    return [line for line in nginx.error_log().splitlines()
            if 'no AWS credentials could be fetched' in line]


def fetches(fakes, source='container', step='credentials'):
    """How many requests of a step a fake has seen that were in order."""
    return fakes.counters()[source].get(step, 0)


def holder(nginx, port):
    """The worker that is connected to a port, or None."""
    for pid in nginx.workers():
        if sockets(pid, port):
            return pid
    return None
