"""Many edges and one hub: docs/guide/hub.md, and the hub is killed.

Three nginx with the page's edge, two with its hub, and more clients than AWS
has tokens for.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from crowd import Crowd
from ivschat_testlib import read_answer, room
from nginx_testlib import (TOP, Nginx, ask, free_ports, is_token, modules,
                           request, slow)
from test_four_edges import QUOTA, Clock
from test_guide import FRAME, MODERATE, SEND, Authority

PATIENCE = 3 * slow()

PAGE = TOP / 'docs' / 'guide' / 'hub.md'
CHAT = '/chat/token'
CLIENTS = 200 // slow()                # of each edge
USERS = 100
SERVICE = ['--rate', QUOTA, '--latency', '40']
STORM, AWAY, BACK = 10, 18, 15         # seconds
CLIMB = 12                             # a new bucket begins at a quarter


class Page(Nginx):
    """An nginx with a configuration of the page; its port stays."""

    def __init__(self, service, tls, name, port, *changes):
        super().__init__(service)
        self._text, = re.findall(
            rf'```nginx\n(# conf\.d/{name}\.conf\n.*?)```',
            PAGE.read_text('utf-8'), re.S)
        self._fixed, self._changes = port, changes
        shutil.copytree(tls, self.dir / 'tls')
        self.file('chat.htpasswd', ''.join(
            f'{user}:{{PLAIN}}x\n' for user in (
                'alice', 'carol', *(f'user{n}' for n in range(USERS)))))

    def configure(self, **_values):
        """Write it."""
        self.port = self.h2port = self._fixed
        self.file('nginx.conf', FRAME.replace(
            '@LOAD@', '\n'.join(f'load_module {path};' for path in modules()))
            .replace('@USER@', 'user root;' if os.geteuid() == 0 else '')
            .replace('events {}', 'events { worker_connections 4096; }'))
        text = self._text
        for old, new in self._changes:
            assert old in text, old
            text = text.replace(old, new)
        (self.dir / 'conf.d').mkdir(exist_ok=True)
        self.file('conf.d/page.conf', text)

    def kill(self):
        """As when its container ends."""
        for pid in (self.pid, *self.children()):
            os.kill(pid, signal.SIGKILL)


class Hubs:
    """The edges, and the hub with its backup."""

    def __init__(self, stack, service, path):
        self._stack, self._service = stack, service
        self.tls = path / 'tls'
        servers = Authority(self.tls, 'servers CA')
        edges = Authority(path / 'edges', 'edges CA')
        servers.issue('hub.example.net', '/CN=hub', 'hub.example.net')
        strangers = Authority(path / 'strangers', 'another CA')
        self.edge = edges.issue('edge', '/CN=edge-1')
        self.stranger = strangers.issue('stranger', '/CN=edge-1')
        for file, name in ((servers.pem, 'hub-ca.pem'),
                           (edges.pem, 'edges-ca.pem'),
                           (self.edge[0], 'edge.pem'),
                           (self.edge[1], 'edge.key')):
            shutil.copy(file, self.tls / name)

        *ports, one, two = free_ports(5)
        self.hub, self.backup = self.start(one), self.start(two)
        self.edges = [stack.enter_context(Page(
            service, self.tls, 'hub-edge', port,
            ('443 ssl', f'127.0.0.1:{port}'),
            ('    ssl_certificate     tls/www.example.com.pem;\n', ''),
            ('    ssl_certificate_key tls/www.example.com.key;\n', ''),
            ('hub-1.example.net:443', f'127.0.0.1:{one}'),
            ('hub-2.example.net:443', f'127.0.0.1:{two}'),
            ('connect_timeout         1s',
             f'connect_timeout         {PATIENCE}s'))) for port in ports]

    def start(self, port):
        """A hub."""
        return self._stack.enter_context(Page(
            self._service, self.tls, 'hub', port,
            ('443 ssl', f'127.0.0.1:{port} ssl'),
            ('server    ivschat.us-west-2.amazonaws.com:443',
             f'server    127.0.0.1:{self._service.port}'),
            ('200 burst=20 ', f'{QUOTA} burst={QUOTA // 10} '),
            ('user         $http_x_user trusted;',
             'user         $http_x_user trusted;'
             'ivschat_token_credentials static key=AKIDEXAMPLE secret='
             'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY;')))

    def ask_hub(self, certificate=None, name='hub.example.net', headers=()):
        """What the hub says to one who comes past the edges."""
        context = ssl.create_default_context(
            cafile=self.tls / 'hub-ca.pem')
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(*certificate)
        with socket.create_connection(('127.0.0.1', self.hub.port), 10) as \
                plain, context.wrap_socket(plain, server_hostname=name) as tls:
            tls.sendall(request(CHAT, None, headers=headers))
            return read_answer(tls)


@pytest.fixture(scope='module')
def hubs(service, tmp_path_factory):
    with ExitStack() as stack:
        yield Hubs(stack, service, tmp_path_factory.mktemp('hub'))


# Who gets what


def rights(service, answer):
    """(user, rights) that AWS was asked for; else the status."""
    asked = [json.loads(one['body']) for one in service.requests()]
    service.forget()
    if not is_token(answer):
        return answer.status, asked
    body, = asked
    assert body['roomIdentifier'] == room('AbCdEfGhIjKl')
    return body['userId'], body['capabilities']


@pytest.mark.parametrize('user, expected', (
    ('alice', ('alice', SEND)), ('carol', ('carol', MODERATE)),
    ('mallory', (401, [])), (None, (401, []))))
def test_user_of_an_edge(service, hubs, user, expected):
    """The client's own headers, in any spelling, never reach the hub."""
    for headers in ((), [('X-User', 'carol'), ('X-Moderator', 'yes')],
                    [('X_User', 'carol'), ('x_moderator', 'yes')]):
        answer = ask(hubs.edges[0].port, request(CHAT, user, headers=headers))
        assert rights(service, answer) == expected


def test_other_methods(service, hubs):
    answer = ask(hubs.edges[0].port, request(CHAT, method='GET', body=None))
    assert rights(service, answer) == (405, [])


USER = [('X-User', 'alice')]


@pytest.mark.parametrize('certificate, name, headers, expected', (
    ('edge', 'hub.example.net', USER, ('alice', SEND)),
    ('edge', 'hub.example.net', [*USER, ('X-Moderator', 'no')],
     ('alice', SEND)),
    ('edge', 'hub.example.net', (), (401, [])),
    ('edge', 'www.example.com', USER, (421, [])),
    ('stranger', 'hub.example.net', USER, (400, [])),
    (None, 'hub.example.net', USER, (400, []))))
def test_past_the_edges(service, hubs, certificate, name, headers, expected):
    answer = hubs.ask_hub(certificate and getattr(hubs, certificate), name,
                          headers)
    assert rights(service, answer) == expected


# The hub is killed


def lost(streams):
    """What was not a token."""
    return [one for stream in streams for one in [*stream.asked]
            if not one.good]


def gap(streams, since):
    """Seconds until the first request that came after this has a token."""
    ends = [one.at + one.took for stream in streams for one in [*stream.asked]
            if one.good and one.at > since]
    return min(ends) - since


@pytest.mark.timeout(150)
def test_hub_is_killed(service, hubs):
    clock = Clock(service)

    with Crowd() as crowd:
        streams = [crowd.always(edge.port, CLIENTS,
                                lambda number: f'user{number % USERS}', CHAT)
                   for edge in hubs.edges]
        time.sleep(CLIMB)
        clock.start()
        clock.watch(STORM)
        assert not lost(streams), lost(streams)[:5]

        waiting = sum(stream.begun - len(stream.asked) for stream in streams)
        hubs.hub.kill()
        killed = time.monotonic()
        clock.watch(AWAY)
        first = lost(streams)
        hubs.hub = hubs.start(hubs.hub.port)
        clock.watch(BACK)
        for stream in streams:
            stream.stop()

        report('before', clock.part(0, STORM))
        report('the hub is away', clock.part(STORM, STORM + AWAY))
        report('it is back', clock.part(STORM + AWAY, STORM + AWAY + BACK))
        print(f'{waiting} waited when the hub was killed, {len(first)} '
              f'were lost, the last one '
              f'{max(one.at for one in first) - killed:.2f} s after, and '
              f'{len(lost(streams)) - len(first)} when it was back; the '
              f'first token came after {gap(streams, killed):.2f} s')

        assert {one.status for one in first} == {502}
        assert len(first) <= waiting * 1.1
        assert all(one.at <= killed + slow() for one in first), \
            'nothing is lost that came a second after'
        assert len(lost(streams)) == len(first), 'nor when it is back'

    for used, refused in (clock.part(0, STORM),
                          clock.part(STORM + CLIMB, STORM + AWAY)):
        assert used >= 0.9 and refused <= 0.01, clock.seconds
    for nginx in (hubs.hub, hubs.backup, *hubs.edges):
        nginx.check()


def report(name, part):
    """For docs/guide/hub.md."""
    print(f'{name}: used {100 * part[0]:.1f} %, '
          f'refused {100 * part[1]:.2f} %')
