#!/usr/bin/python3
"""The demo starts, mints, serves its page, and leaves nothing behind."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 't' / 'lib'))

import ivschat_testlib as lib

FIELDS = ['token', 'sessionExpirationTime', 'tokenExpirationTime']
SEND, KICK, DELETE = 'SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE'
GRANTS = {'alice': [], 'bob': [SEND], 'mod': [SEND, KICK, DELETE]}

tap = lib.Tap()


class Demo:
    """The demo in a directory and on a port of its own."""

    def __init__(self, path):
        self.dir = path
        self.port = free_port()

    def run(self, script, **settings):
        """Run start or stop; its output and exit status."""
        # An account that the environment has must not be used.
        env = {**os.environ, 'AWS_ACCESS_KEY_ID': 'AKIDSOMEONEELSE',
               'AWS_SECRET_ACCESS_KEY': 'someone-else',
               'AWS_SESSION_TOKEN': 'someone-else',
               'DEMO_DIR': str(self.dir), 'DEMO_PORT': str(self.port)}

        if 'TEST_NGINX_BINARY' in env:
            env['NGINX'] = env['TEST_NGINX_BINARY']
            env['DEMO_MODULE'] = env.get('TEST_NGINX_LOAD_MODULES', '')

        env.update(settings)

        return subprocess.run(
            [str(TOP / 't' / 'demo' / f'{script}.sh')], env=env, text=True,
            cwd='/', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=100, check=False)

    def processes(self):
        """The living processes that have the directory as an argument."""
        found = []

        for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            try:
                line = path.read_bytes().decode('latin-1')
            except OSError:
                continue
            if f'{self.dir}/' in line:
                found.append(line.replace('\0', ' '))

        return found

    def get(self, path, method='GET', user=None):
        """(status, headers, body) of the demo's nginx."""
        headers = {}

        if user:
            word = base64.b64encode(f'{user}:demo'.encode()).decode()
            headers['Authorization'] = 'Basic ' + word

        connection = http.client.HTTPConnection('127.0.0.1', self.port,
                                                timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def service(self, path):
        """A GET at the service's control port."""
        ports = json.loads((self.dir / 'service/ports.json').read_text())
        connection = http.client.HTTPConnection(
            '127.0.0.1', ports['control_port'], timeout=20)
        connection.request('GET', path)
        value = json.loads(connection.getresponse().read())
        connection.close()
        return value


def free_port():
    """A port that nobody has at this moment."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def once(demo):
    """DEMO_ONCE=1."""
    done = demo.run('start', DEMO_ONCE='1')

    tap.equal(done.returncode, 0, 'DEMO_ONCE exits with 0')
    lines = done.stdout.splitlines()
    tap.ok(lines and list(json.loads(lines[-1])) == FIELDS,
           'the last line is the token\'s JSON', done.stdout, done.stderr)
    tap.equal(demo.processes(), [], 'nothing runs on')


def refused(demo):
    """What cannot work says why."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', demo.port))
        sock.listen()
        done = demo.run('start')

    tap.equal(done.returncode, 1, 'a port in use is an error')
    tap.ok(f'port {demo.port} ' in done.stderr
           and 'in use' in done.stderr and 'DEMO_PORT=' in done.stderr,
           'which names the port and what to do', done.stderr)

    done = demo.run('start', DEMO_PORT='http')
    tap.ok(done.returncode == 1 and 'DEMO_PORT=http' in done.stderr,
           'so is one that is no port', done.stderr)

    done = demo.run('start', NGINX='/bin/false')
    tap.ok(done.returncode == 1 and 'nginx did not start' in done.stderr,
           'and an nginx that does not start', done.stderr)
    tap.equal(demo.processes(), [], 'nothing runs on after a failure')


def running(demo):
    """The demo as its user has it."""
    done = demo.run('start')
    tap.equal(done.returncode, 0, 'it starts')
    tap.ok(f'http://127.0.0.1:{demo.port}/' in done.stdout
           and 'make demo-stop' in done.stdout, 'says where its page is',
           done.stdout, done.stderr)
    tap.equal(done.stderr, '', 'and complains of nothing')

    for path, kind in (('/', 'text/html'), ('/demo.css', 'text/css'),
                       ('/demo.js', 'text/javascript')):
        status, headers, _ = demo.get(path)
        tap.equal((status, headers['Content-Type']), (200, kind),
                  f'{path} is served')

    for user, granted in GRANTS.items():
        minted(demo, user, granted)

    status, headers, _ = demo.get('/chat/token', 'POST', 'eve')
    tap.equal((status, headers['X-Chat-Capabilities']), (401, None),
              'eve gets nothing')
    tap.equal(demo.get('/ivschat', 'POST', 'mod')[0], 404,
              'nobody reaches the internal location')

    before = demo.processes()
    tap.equal(demo.run('start').returncode, 0, 'started again, it restarts')
    tap.equal(len(demo.processes()), len(before), 'and runs once')
    tap.equal(demo.get('/')[0], 200, 'and serves')

    tap.equal(demo.run('stop').returncode, 0, 'it stops')
    tap.equal(demo.processes(), [], 'and leaves no process')
    tap.equal(demo.run('stop').returncode, 0, 'stopped again, no error')


def minted(demo, user, granted):
    """What the browser gets for a user, and what the service was asked."""
    status, headers, body = demo.get('/chat/token', 'POST', user)
    tap.equal((status, list(json.loads(body))), (200, FIELDS),
              f'{user} gets a token')
    tap.equal(headers['X-Chat-Capabilities'], ','.join(granted) or None,
              'the page is told the capabilities')

    asked = json.loads(demo.service(f'/requests?user={user}&limit=1')
                       [-1]['body'])
    tap.equal(asked.get('capabilities', []), granted,
              'which are those that the service was asked for')
    tap.equal(asked['attributes']['displayName'].split()[0].lower(), user,
              'with the user\'s name as an attribute')


def main():
    """Each part with the same directory, as by one user."""
    path = pathlib.Path(tempfile.mkdtemp(prefix='ivschat-demo.'))
    demo = Demo(path / 'demo')

    try:
        once(demo)
        refused(demo)
        running(demo)
    finally:
        demo.run('stop')
        shutil.rmtree(path)

    tap.done()


if __name__ == '__main__':
    main()
