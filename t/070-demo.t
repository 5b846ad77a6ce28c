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
from chromium import Chromium
from nginx_testlib import slow

FIELDS = ['token', 'sessionExpirationTime', 'tokenExpirationTime']
SEND, KICK, DELETE = 'SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE'
GRANTS = {'alice': [], 'bob': [SEND], 'mod': [SEND, KICK, DELETE]}

# What a person does with the page, and what can be seen then.
HELPERS = '''
    window.$ = (selector) => document.querySelector(selector);
    window.until = async (condition, seconds = 30 * slow) => {
        const end = performance.now() + seconds * 1000;
        while (!condition() && performance.now() < end) {
            await new Promise((done) => setTimeout(done, 20));
        }
        return condition();
    };
    window.state = (who) => $(`#${who} .state`)?.textContent;
    window.states = () => ['alice', 'bob', 'mod'].map(state);
    window.say = (who, text) => {
        $(`#${who} input`).value = text;
        $(`#${who} form`).requestSubmit();
    };
    window.lines = (who) => [...document.querySelectorAll(
        `#${who} .messages li`)].map((line) => line.innerText
        .replace(/\\s+/g, ' '));
    window.tool = (who, name) => [...document.querySelectorAll(
        `#${who} .tool`)].find((one) => one.textContent === name);
'''

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
                       ('/demo.js', 'text/javascript'),
                       ('/token-provider.js', 'text/javascript'),
                       ('/sdk/amazon-ivs-chat-messaging/index.js',
                        'text/javascript')):
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


def chat(demo):
    """The page in a browser: a chat of three."""
    done = demo.run('start')
    tap.equal(done.returncode, 0, 'it starts, for a browser')

    with Chromium(timeout=100 * slow()) as browser:
        page = browser.open(f'http://127.0.0.1:{demo.port}/',
                            before=f'window.slow = {slow()};' + HELPERS)
        seen = page.run('''
            await until(() => states().every((one) => one === 'connected'));
            return states();
        ''')
        tap.equal(seen, ['connected'] * 3, 'all three are in the chat')
        if seen != ['connected'] * 3:
            print('#  ', page.console)
            return

        seen = page.run('''
            say('bob', 'rude');
            await until(() => lines('mod').length === 1);
            tool('mod', 'delete').click();
            await until(() => ['alice', 'bob', 'mod'].every(
                (who) => lines(who)[0] !== 'B Bob rude'
                         && lines(who)[0]?.startsWith('A moderator')));
            say('alice', 'hello');
            await until(() => lines('alice').length === 2);
            return {alice: lines('alice'), bob: lines('bob'),
                    tools: document.querySelectorAll('#bob .tool').length};
        ''')
        tap.equal((seen['bob'], seen['tools']),
                  (['A moderator has deleted a message.'], 0),
                  'mod deletes what bob has said')
        tap.ok(len(seen['alice']) == 2
               and seen['alice'][1].startswith('403: '),
               'alice may only watch', seen['alice'])

        seen = page.run('''
            const first = $('#bob .short').textContent;
            say('bob', 'again');
            await until(() => tool('mod', 'disconnect'));
            tool('mod', 'disconnect').click();
            await until(() => state('bob') === 'disconnected');
            const out = state('bob');
            $('#bob .join').click();
            await until(() => state('bob') === 'connected');
            $('#eve').click();
            await until(() => $('#eve-says').textContent.includes('401'));
            return {out, back: state('bob'), eve: $('#eve-says').textContent,
                    token: $('#bob .short').textContent !== first,
                    rights: [...document.querySelectorAll(
                        '#bob .rights .yes')].map((one) => one.textContent),
                    left: $('#bob .expires').textContent};
        ''')
        tap.equal((seen['out'], seen['back'], seen['token']),
                  ('disconnected', 'connected', True),
                  'bob is disconnected, and joins again with another token')
        tap.ok(seen['rights'] == ['view', 'send'] and seen['left'][:2] in
               ('1:', '59'), 'what the token is good for can be seen', seen)
        tap.ok('after 1 call;' in seen['eve'], 'eve is refused, once', seen)
        bad = [text for kind, text in page.console if kind == 'exception'
               or 'Content Security' in text]
        tap.equal(bad, [], 'no script has failed or was blocked')

    demo.run('stop')
    without_npm(demo)


def without_npm(demo):
    """Where there is no npm there is no SDK: tokens are shown all the same."""
    done = demo.run('start', DEMO_NPM='/nonexistent')
    tap.ok(done.returncode == 0 and 't/tools/npm.sh' in done.stdout,
           'without npm, it starts and says what brings the chat',
           done.stdout, done.stderr)

    with Chromium(timeout=100 * slow()) as browser:
        page = browser.open(f'http://127.0.0.1:{demo.port}/',
                            before=f'window.slow = {slow()};' + HELPERS)
        seen = page.run('''
            await until(() => states().every((one) => one === 'has a token'));
            return [states(), $('#no-chat').hidden, $('#mod .short')
                .textContent.length];
        ''')
        tap.equal(seen, [['has a token'] * 3, False, 15],
                  'the page shows tokens, and why there is no chat')


def main():
    """Each part with the same directory, as by one user."""
    path = pathlib.Path(tempfile.mkdtemp(prefix='ivschat-demo.'))
    demo = Demo(path / 'demo')

    try:
        once(demo)
        refused(demo)
        running(demo)
        chat(demo)
    finally:
        demo.run('stop')
        shutil.rmtree(path)

    tap.done()


if __name__ == '__main__':
    main()
