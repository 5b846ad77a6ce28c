"""The demo starts, creates tokens, serves its page, and stops completely."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess

import pytest

from chromium import Chromium
from nginx_testlib import TOP, slow

FIELDS = ['token', 'sessionExpirationTime', 'tokenExpirationTime']
SEND, KICK, DELETE = 'SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE'
GRANTS = {'alice': [], 'bob': [SEND], 'mod': [SEND, KICK, DELETE]}

# Actions on the page, and what it shows.
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


class Demo:
    """The demo in its own directory and on its own port.

    "with" starts it, with the settings in its environment, and stops it.
    """

    def __init__(self, path, **settings):
        self.dir = path
        self.port = free_port()
        self.settings = settings
        self.started = None

    def __enter__(self):
        self.started = self.run('start')
        return self

    def __exit__(self, *_exception):
        self.run('stop')

    def run(self, script, **settings):
        """Run start or stop; return its output and exit status."""
        # An account in the environment must not be used.
        env = {**os.environ, 'AWS_ACCESS_KEY_ID': 'AKIDSOMEONEELSE',
               'AWS_SECRET_ACCESS_KEY': 'someone-else',
               'AWS_SESSION_TOKEN': 'someone-else',
               'DEMO_DIR': str(self.dir), 'DEMO_PORT': str(self.port)}

        if 'TEST_NGINX_BINARY' in env:
            env['NGINX'] = env['TEST_NGINX_BINARY']
            env['DEMO_MODULE'] = env.get('TEST_NGINX_LOAD_MODULES', '')

        env.update(self.settings, **settings)

        return subprocess.run(
            [str(TOP / 't' / 'demo' / f'{script}.sh')], env=env, text=True,
            cwd='/', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=100, check=False)

    def processes(self):
        """Running processes that have the directory as an argument."""
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
        """GET from the control port of the service."""
        ports = json.loads((self.dir / 'service/ports.json').read_text())
        connection = http.client.HTTPConnection(
            '127.0.0.1', ports['control_port'], timeout=20)
        connection.request('GET', path)
        value = json.loads(connection.getresponse().read())
        connection.close()
        return value


def free_port():
    """A port that is not in use."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


@pytest.fixture(scope='module')
def running(tmp_path_factory):
    """A running demo."""
    with Demo(tmp_path_factory.mktemp('running') / 'demo') as demo:
        yield demo


@pytest.fixture
def demo(tmp_path):
    """A demo that is not running."""
    demo = Demo(tmp_path / 'demo')
    yield demo
    demo.run('stop')


def test_once(demo):
    """DEMO_ONCE=1: the last line is the token in JSON; all is stopped."""
    done = demo.run('start', DEMO_ONCE='1')

    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout.splitlines()[-1])) == FIELDS
    assert demo.processes() == []


def test_port_in_use(demo):
    """For a port in use, the error names the port and the remedy."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', demo.port))
        sock.listen()
        done = demo.run('start')

    assert done.returncode == 1
    assert f'port {demo.port} ' in done.stderr and 'in use' in done.stderr
    assert 'DEMO_PORT=' in done.stderr
    assert demo.processes() == []


@pytest.mark.parametrize('settings, says', [
    ({'DEMO_PORT': 'http'}, 'DEMO_PORT=http'),
    ({'NGINX': '/bin/false'}, 'nginx did not start')], ids=str)
def test_does_not_start(demo, settings, says):
    """A failed start gives the reason, and leaves no processes."""
    done = demo.run('start', **settings)

    assert done.returncode == 1 and says in done.stderr
    assert demo.processes() == []


def test_start(running):
    """It starts, prints the URL of its page, and reports no errors."""
    done = running.started

    assert (done.returncode, done.stderr) == (0, '')
    assert f'http://127.0.0.1:{running.port}/' in done.stdout
    assert 'make demo-stop' in done.stdout


@pytest.mark.parametrize('path, kind', [
    ('/', 'text/html'), ('/demo.css', 'text/css'),
    ('/demo.js', 'text/javascript'),
    ('/token-provider.js', 'text/javascript'),
    ('/sdk/amazon-ivs-chat-messaging/index.js', 'text/javascript')])
def test_file(running, path, kind):
    """The page's files are served."""
    status, headers, _ = running.get(path)
    assert (status, headers['Content-Type']) == (200, kind)


@pytest.mark.parametrize('user', GRANTS)
def test_token(running, user):
    """The response for a user, and the request to the service."""
    granted = GRANTS[user]
    status, headers, body = running.get('/chat/token', 'POST', user)
    assert (status, list(json.loads(body))) == (200, FIELDS)
    assert headers['X-Chat-Capabilities'] == (','.join(granted) or None)

    asked = json.loads(running.service(f'/requests?user={user}&limit=1')
                       [-1]['body'])
    assert asked.get('capabilities', []) == granted
    assert asked['attributes']['displayName'].split()[0].lower() == user


def test_eve(running):
    """Eve gets nothing."""
    status, headers, _ = running.get('/chat/token', 'POST', 'eve')
    assert (status, headers['X-Chat-Capabilities']) == (401, None)


def test_internal_location(running):
    """Clients cannot reach the internal location."""
    assert running.get('/ivschat', 'POST', 'mod')[0] == 404


def test_restart_and_stop(demo):
    """A second start restarts it; stop leaves no processes."""
    assert demo.run('start').returncode == 0
    before = demo.processes()
    assert demo.run('start').returncode == 0
    assert len(demo.processes()) == len(before)
    assert demo.get('/')[0] == 200

    assert demo.run('stop').returncode == 0
    assert demo.processes() == []
    assert demo.run('stop').returncode == 0


@contextlib.contextmanager
def opened(demo):
    """The page in a browser."""
    with Chromium(timeout=100 * slow()) as browser:
        yield browser.open(f'http://127.0.0.1:{demo.port}/',
                           before=f'window.slow = {slow()};' + HELPERS)


def test_chat(running):
    """In a chat of three, each can do what the token allows."""
    with opened(running) as page:
        seen = page.run('''
            await until(() => states().every((one) => one === 'connected'));
            return states();
        ''')
        assert seen == ['connected'] * 3, page.console

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
        assert seen['bob'] == ['A moderator has deleted a message.']
        assert seen['tools'] == 0
        assert len(seen['alice']) == 2
        assert seen['alice'][1].startswith('403: ')

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
        assert (seen['out'], seen['back']) == ('disconnected', 'connected')
        assert seen['token'], 'bob joins again with another token'
        assert seen['rights'] == ['view', 'send']
        assert seen['left'][:2] in ('1:', '59')
        assert 'after 1 call;' in seen['eve']
        assert not [text for kind, text in page.console
                    if kind == 'exception' or 'Content Security' in text]


def test_without_npm(tmp_path):
    """Without npm there is no SDK, but tokens are shown."""
    with Demo(tmp_path / 'demo', DEMO_NPM='/nonexistent') as demo:
        assert demo.started.returncode == 0, demo.started.stderr
        assert 't/tools/npm.sh' in demo.started.stdout

        with opened(demo) as page:
            seen = page.run('''
                await until(() => states().every(
                    (one) => one === 'has a token'));
                return [states(), $('#no-chat').hidden, $('#mod .short')
                    .textContent.length];
            ''')
            assert seen == [['has a token'] * 3, False, 15]
