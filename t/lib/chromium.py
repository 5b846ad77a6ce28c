"""A headless Chromium, driven over its DevTools pipe: no driver is needed.

    with Chromium() as browser:
        page = browser.open('http://127.0.0.1:8080/', before='Date = …')
        value = page.run('return await answer();')
"""

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

# Background services off: they look for the network.  The sandbox wants
# privileges that a container and root do not have; the pages are our own.
FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic',
         '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync',
         '--disable-default-apps', '--disable-extensions',
         '--disable-dev-shm-usage', '--disable-background-timer-throttling',
         '--disable-backgrounding-occluded-windows',
         '--disable-renderer-backgrounding', '--mute-audio',
         '--no-proxy-server', '--remote-debugging-pipe']


class BrowserError(Exception):
    """Chromium, or a script in it, says that something is wrong."""


def find():
    """The browser's path, or None."""
    return os.environ.get('CHROMIUM') or shutil.which('chromium')


class Chromium:
    """A browser with a profile of its own, as a context manager."""

    def __init__(self, timeout=60):
        self.timeout = timeout
        self._dir = None
        self._process = None
        self._in = self._out = None
        self._buffer = b''
        self._number = 0
        self._answers = {}
        self._pages = {}

    def __enter__(self):
        path = find()
        if path is None:
            raise BrowserError('there is no chromium: '
                               't/tools/install-deps.sh test')

        self._dir = pathlib.Path(tempfile.mkdtemp(prefix='ivschat-browser.'))
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        log = open(self._dir / 'log', 'wb')

        # The pipe is file descriptors 3 and 4, by Chromium's rule; bash puts
        # them there, since these two may be others' here.  sh would not take
        # numbers of two digits.
        self._process = subprocess.Popen(
            ['bash', '-c', f'exec "$@" 3<&{commands} 4>&{answers}', 'bash',
             path, *FLAGS, f'--user-data-dir={self._dir}/profile',
             'about:blank'],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=(commands, answers), start_new_session=True,
            env={**os.environ, 'HOME': str(self._dir)})
        log.close()
        os.close(commands)
        os.close(answers)

        try:
            self.call('Browser.getVersion')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        for descriptor in (self._in, self._out):
            os.close(descriptor)

        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)          # the pipe's end is its end
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

        for _ in range(20):                # children may still be writing
            shutil.rmtree(self._dir, ignore_errors=True)
            if not self._dir.exists():
                break
            time.sleep(0.1)

    def open(self, url, before=None, size=None):
        """Open a page; before is a script that runs ahead of its own."""
        target = self.call('Target.createTarget', url='about:blank')
        session = self.call('Target.attachToTarget', flatten=True,
                            targetId=target['targetId'])['sessionId']
        page = Page(self, target['targetId'], session)
        self._pages[session] = page

        page.call('Page.enable')
        page.call('Runtime.enable')
        page.call('Log.enable')
        if before:
            page.call('Page.addScriptToEvaluateOnNewDocument', source=before)
        if size:
            page.call('Emulation.setDeviceMetricsOverride', width=size[0],
                      height=size[1], deviceScaleFactor=1, mobile=False)

        page.loaded = False
        answer = page.call('Page.navigate', url=url)
        if answer.get('errorText'):
            raise BrowserError(f'{url}: {answer["errorText"]}')
        self._until(lambda: page.loaded, 'the page is not loaded')
        return page

    def call(self, method, session=None, **params):
        """A DevTools command, and its result."""
        self._number += 1
        number = self._number
        command = {'id': number, 'method': method, 'params': params}
        if session:
            command['sessionId'] = session
        os.write(self._out, json.dumps(command).encode() + b'\0')

        self._until(lambda: number in self._answers, f'no answer to {method}')
        answer = self._answers.pop(number)
        if 'error' in answer:
            raise BrowserError(f'{method}: {answer["error"]["message"]}')
        return answer['result']

    def _until(self, condition, complaint):
        deadline = time.monotonic() + self.timeout

        while not condition():
            if time.monotonic() > deadline:
                raise BrowserError(complaint + ': ' + self.log()[-1000:])
            self._read(0.05)

    def log(self):
        """What the browser itself has to say."""
        with contextlib.suppress(OSError):
            return (self._dir / 'log').read_text('utf-8', 'replace')
        return ''

    def _read(self, seconds):
        """Take what has come: answers, and events, which a page is told."""
        if not select.select([self._in], [], [], seconds)[0]:
            return

        data = os.read(self._in, 1024 * 1024)
        if not data:
            raise BrowserError('chromium has ended: ' + self.log()[-1000:])

        *texts, self._buffer = (self._buffer + data).split(b'\0')

        for message in map(json.loads, texts):
            page = self._pages.get(message.get('sessionId'))
            if 'id' in message:
                self._answers[message['id']] = message
            elif page is not None:
                page.event(message['method'], message['params'])


class Page:
    """A page of a browser; console has what it has logged."""

    def __init__(self, browser, target, session):
        self._browser = browser
        self._target = target
        self._session = session
        self.loaded = False
        self.console = []

    def call(self, method, **params):
        """A command for this page."""
        return self._browser.call(method, self._session, **params)

    def event(self, method, params):
        """Something that happened in it."""
        if method == 'Page.loadEventFired':
            self.loaded = True
        elif method == 'Runtime.consoleAPICalled':
            self.console.append((params['type'], ' '.join(
                str(arg.get('value', arg.get('description')))
                for arg in params['args'])))
        elif method == 'Runtime.exceptionThrown':
            details = params['exceptionDetails']
            self.console.append(('exception', details.get(
                'exception', details).get('description', details['text'])))
        elif method == 'Log.entryAdded':
            entry = params['entry']
            self.console.append((entry['level'], entry['text']))

    def run(self, body, *arguments):
        """Run the body of an async function (a, b, …); what it returns."""
        names = ', '.join('abcdefgh'[:len(arguments)])
        values = ', '.join(json.dumps(value) for value in arguments)
        answer = self.call(
            'Runtime.evaluate', awaitPromise=True, returnByValue=True,
            expression=f'(async ({names}) => {{ {body} }})({values})')

        if 'exceptionDetails' in answer:
            details = answer['exceptionDetails']
            raise BrowserError(details.get('exception', {}).get(
                'description', details['text']))
        return answer['result'].get('value')

    def screenshot(self, path):
        """Write a PNG of what can be seen."""
        data = self.call('Page.captureScreenshot', format='png')['data']
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        """Close it."""
        self._browser.call('Target.closeTarget', targetId=self._target)
