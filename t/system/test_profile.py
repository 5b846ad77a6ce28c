"""Credentials as a host has them: files of "aws configure", what "nginx -t"
says of the environment and of the files, files and tokens that change while
nginx runs, and the addresses of AWS's own.

As root all of it runs in a network and a file system of its own: the home of
root is a directory of the test's there, and 169.254.169.254 and the like are
this machine.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import pwd
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
import time
from urllib.parse import urlsplit

import pytest

from aws_fakes import AUTHORIZATION, TASK_ID, make_jwt
from ivschat_testlib import KEY, SECRET
from nginx_testlib import (NO_CREDENTIALS, Nginx, alive, ask, binary, checked,
                           code, imds_env, in_parallel, is_token, modules,
                           request, sanitized, slow, status, sts_env, told,
                           wait_for)

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SIOCSIFADDR, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8916, 0x8913, 0x8914
SIOCSIFNETMASK = 0x891c
IFF_UP = 1

ROLE = 'arn:aws:iam::123456789012:role/app'
WEB_ROLE = 'arn:aws:iam::123456789012:role/web'
STS = 'sts.us-west-2.amazonaws.com'
WATCH = 6                              # seconds, in which a change is seen
LIFETIME = 4                           # of credentials that are refreshed soon

# of a slow machine
PATIENT = {'AWS_METADATA_SERVICE_TIMEOUT': '5'}

FAKES = ['--bad-tls']
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason='another user needs root')
SECRETS = [SECRET, AUTHORIZATION]      # what must not be in a log


# A world of its own


def call(function, *arguments):
    """A function of the C library; OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), function)


@contextlib.contextmanager
def own_world(base):
    """The home of root in a world of its own, None when there is none."""
    cwd = os.getcwd()
    spaces = [os.open(f'/proc/self/ns/{name}', os.O_RDONLY)
              for name in ('net', 'mnt')]
    try:
        call('unshare', CLONE_NEWNS | CLONE_NEWNET)
    except OSError:
        yield None
        return

    try:
        mount_files(base)
        add_addresses()
        yield base / 'root'
    finally:
        for space in spaces:
            call('setns', space, 0)
            os.close(space)
        os.chdir(cwd)


def mount_files(base):
    """The files of /etc that tell where a home and STS are."""
    call('mount', b'none', b'/', None, MS_REC | MS_PRIVATE, None)
    passwd = re.sub(r'^(root:(?:[^:]*:){4})[^:]*', rf'\g<1>{base / "root"}',
                    pathlib.Path('/etc/passwd').read_text('utf-8'),
                    flags=re.M)
    for name, text in (('passwd', passwd),
                       ('hosts', f'127.0.0.1 localhost {STS}\n')):
        (base / name).write_text(text, 'utf-8')
        call('mount', bytes(base / name), f'/etc/{name}'.encode(), None,
             MS_BIND, None)


def add_addresses():
    """Those of AWS's endpoints are this machine's."""
    with socket.socket() as sock:
        flags = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack('16sh22x', b'lo',
                                                            0))
        flags = struct.unpack('16sh22x', flags)[1] | IFF_UP
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack('16sh22x', b'lo', flags))

        for number, address in enumerate(('169.254.169.254', '169.254.170.2',
                                          '169.254.170.23'), 1):
            for order, value in ((SIOCSIFADDR, address),
                                 (SIOCSIFNETMASK, '255.255.255.255')):
                fcntl.ioctl(sock, order, struct.pack(
                    '16sHH4s16x', f'lo:{number}'.encode(), socket.AF_INET, 0,
                    socket.inet_aton(value)))

    for address in ('fd00:ec2::254', 'fd00:ec2::23'):
        with socket.socket(socket.AF_INET6) as sock:
            fcntl.ioctl(sock, SIOCSIFADDR, struct.pack(
                '16sIi', socket.inet_pton(socket.AF_INET6, address), 128,
                socket.if_nametoindex('lo')))


@pytest.fixture(scope='module', autouse=True)
def world(tmp_path_factory):
    """The home of root in a world of its own, None when there is none."""
    base = tmp_path_factory.mktemp('world')
    with pytest.MonkeyPatch.context() as patch, own_world(base) as home:
        for name in [name for name in os.environ if name.startswith('AWS_')]:
            patch.delenv(name)
        patch.setenv('HOME', str(base / 'empty'))
        yield home


@pytest.fixture
def own(world):
    """The same, needed."""
    if world is None:
        pytest.skip('namespaces for network and mounts need root')
    return world


# Files


class Home:
    """A home with AWS's shared files."""

    def __init__(self, path=None, mode=0o700, owner=None):
        self.path = pathlib.Path(path or tempfile.mkdtemp(prefix='home.'))
        self.owner = owner
        self.aws = self.path / '.aws'
        self.aws.mkdir(parents=True)
        self.path.chmod(mode)
        self.env = {'HOME': str(self.path)}
        self.config = self.aws / 'config'
        self.credentials = self.aws / 'credentials'

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        shutil.rmtree(self.path)

    def write(self, path, text, mode=0o600):
        """Replace a file, as a whole."""
        new = path.with_suffix('.new')
        new.write_bytes(text if isinstance(text, bytes)
                        else text.encode('utf-8'))
        new.chmod(mode)
        if self.owner is not None:
            os.chown(new, self.owner, -1)
        new.replace(path)

    def keys(self, path, key, name='default', mode=0o600):
        """A profile of keys."""
        self.write(path, f'[{name}]\naws_access_key_id = {key[0]}\n'
                   f'aws_secret_access_key = {key[1]}\n', mode)

    def configure(self, key, mode=0o600):
        """What "aws configure" writes."""
        self.write(self.config,
                   '[default]\nregion = us-west-2\noutput = json\n')
        self.keys(self.credentials, key, mode=mode)


@pytest.fixture
def home():
    with Home() as home:
        yield home


@pytest.fixture
def public():
    """A home that the workers may read."""
    with Home(mode=0o755, owner=(pwd.getpwnam('www-data').pw_uid if ROOT
                                 else None)) as home:
        yield home


def new_key(service):
    """(key, secret) that the service knows."""
    number = len(SECRETS)
    secret = f'hush{number}/{os.urandom(12).hex()}+='
    SECRETS.append(secret)
    service.config(credentials=[{'key': f'AKIDTEST{number:04}',
                                 'secret': secret}])
    return f'AKIDTEST{number:04}', secret


# Nginx


@contextlib.contextmanager
def started(service, credentials, env, user='root', fakes=None, allow=None,
            **options):
    """An nginx whose /token has these credentials; no secret is logged."""
    nginx = Nginx(service, env=env,
                  location=f'ivschat_token_credentials {credentials};',
                  **options)
    if ROOT:
        nginx.configure(user=f'user {user};', port=0, h2port=0)
    with checked(nginx, allow):
        yield nginx
        text = nginx.error_log() + (nginx.dir / 'stderr').read_text('utf-8')
        secrets = [*SECRETS, *(known[part] for known in (
            fakes.issued() if fakes else ()) for part in ('secret', 'token'))]
        assert [secret for secret in secrets if secret in text] == []


def key_used(service, nginx, target='/token'):
    """The access key that a token was signed with; else the answer's code."""
    answer = ask(nginx.port, request(target))
    if not is_token(answer):
        return code(answer)
    return service.requests(limit=1)[0]['access_key']


def keys_used(service, nginx, count=12):
    """Those of many tokens at a time, so that each worker mints some."""
    service.forget()

    if sanitized():                    # slow TLS: one after the other
        answers = [ask(nginx.port, request()) for _ in range(4)]
    else:
        answers = in_parallel(count, lambda number: ask(
            nginx.port, request(user=f'user{number}')))

    assert set(map(told, answers)) == {'token'}
    return {record['access_key'] for record in service.requests()}


def mints(service, nginx):
    """Whether a token is signed with fetched credentials."""
    return str(key_used(service, nginx)).startswith('ASIA')


def key_notices(nginx, source='.*'):
    """The ends of the access keys that notices tell."""
    return re.findall(f'AWS credentials from "{source}": access key "…(.*)"',
                      nginx.error_log())


def reload(nginx):
    """A reload; the old workers take no requests any more."""
    old = nginx.reload()
    wait_for(lambda: not any(map(alive, old)))


CONF = '''
{load}
pid nginx.pid;
events {{ }}
http {{
    access_log            off;
    client_body_temp_path body;
    proxy_temp_path       proxy;
    fastcgi_temp_path     fastcgi;
    uwsgi_temp_path       uwsgi;
    scgi_temp_path        scgi;
    upstream ivschat.us-west-2.amazonaws.com {{ server 127.0.0.1:1; }}
    server {{
        listen unix:socket;
        location = /token {{
            ivschat_token             /ivschat;
            ivschat_token_user        alice;
            ivschat_token_room        {room};
            ivschat_token_credentials {credentials};
        }}
        location = /ivschat {{
            internal;
            proxy_pass https://$ivschat_token_host/CreateChatToken;
        }}
    }}
}}
'''
ROOM = 'arn:aws:ivschat:us-west-2:123456789012:room/a'


def check_config(credentials, env, room=ROOM):
    """(whether it is accepted, what "nginx -t" says)"""
    with tempfile.TemporaryDirectory() as path:
        conf = pathlib.Path(path) / 'nginx.conf'
        conf.write_text(CONF.format(
            load='\n'.join(f'load_module {name};' for name in modules()),
            credentials=credentials, room=room), 'utf-8')
        conf.chmod(0o600)
        done = subprocess.run(
            [binary(), '-t', '-e', 'stderr', '-p', path, '-c', str(conf)],
            env={**os.environ, **env}, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True,
            errors='replace', timeout=20 * slow())
    assert done.returncode in (0, 1)
    assert SECRET not in done.stderr
    assert 'hush' not in done.stderr
    return done.returncode == 0, [
        line for line in done.stderr.splitlines() if not re.search(
            r'syntax is ok$|test is successful$|test failed$'
            r'|is the same for all clients', line)]


def refused(credentials, env, *texts, room=ROOM):
    """It is refused, with one line that has these texts."""
    good, said = check_config(credentials, env, room)
    assert (good, len(said)) == (False, 1), said
    for text in ('[emerg]', 'nginx.conf:', *texts):
        assert text in said[0]


def accepted(credentials, env, *texts, room=ROOM):
    """It is accepted, with one warning that has these texts if there are
    any."""
    good, said = check_config(credentials, env, room)
    assert (good, len(said)) == (True, 1 if texts else 0), said
    for text in texts:
        assert '[warn]' in said[0]
        assert text in said[0]


def ended(env, text, room=ROOM):
    """auto is accepted with an error, and without credentials."""
    good, said = check_config('auto', env, room)
    assert (good, len(said)) == (True, 1), said
    assert '[error]' in said[0]
    assert '"ivschat_token_credentials auto" finds no credentials: ' in said[0]
    assert 'imds: ' not in said[0]
    assert text in said[0]


# "aws configure" as root: files 0600 in its home, workers that are www-data


@needs_root
@pytest.mark.parametrize('source', ('profile', 'auto'))
@pytest.mark.parametrize('form', ('HOME', 'no HOME'))
def test_aws_configure_as_root(service, world, monkeypatch, form, source):
    if form == 'no HOME':
        if world is None:
            pytest.skip('namespaces for network and mounts need root')
        monkeypatch.delenv('HOME')
    first, second = new_key(service), new_key(service)

    with Home(None if form == 'HOME' else world) as home:
        home.configure(first)
        broken = f'{home.credentials}:1: a section must end with "]"'
        with started(service, source, home.env if form == 'HOME' else {},
                     'www-data', allow=re.escape(broken), workers=2,
                     daemon=True) as nginx:
            assert keys_used(service, nginx) == {first[0]}
            assert {status(pid, 'Uid') for pid in nginx.workers()} == {
                pwd.getpwnam('www-data').pw_uid}
            # one notice that a change needs a reload, and one of the key
            assert re.findall(
                r'\[notice\].*worker processes cannot read "(.*)": reload '
                'nginx when it changes', nginx.error_log()) == [
                    str(home.config)]
            name = 'auto: profile' if source == 'auto' else 'profile'
            assert key_notices(nginx, name) == [first[0][-4:]]
            assert key_notices(nginx) == [first[0][-4:]]
            assert '[warn]' not in nginx.error_log()

            home.configure(second)
            reload(nginx)
            assert keys_used(service, nginx) == {second[0]}
            assert key_notices(nginx) == [first[0][-4:], second[0][-4:]]

            # a malformed file is passed over by auto, and refused by profile
            home.write(home.credentials, '[default\n')
            nginx.signal(1)
            assert wait_for(lambda: broken in nginx.error_log())
            if source == 'profile':
                assert re.search(r'\[emerg\].*' + re.escape(broken),
                                 nginx.error_log())
                assert keys_used(service, nginx) == {second[0]}


# Files that change


def bad_changes(home):
    """Changes that cannot be taken over: what is done to a file, and what is
    said then."""
    def write(text):
        return lambda path: home.write(path, text)

    yield (write('[default]\naws_access_key_id = AKIDHALF\n'),
           'PATH:2: the profile has aws_access_key_id, but no '
           'aws_secret_access_key')
    yield (write('aws_access_key_id = AKIDHALF\n'),
           'PATH:1: there must be a section')
    yield (write('[other]\naws_access_key_id = AKIDHALF\n'
                 'aws_secret_access_key = hush\n'),
           'there is no profile "default" in "" or "PATH"')
    yield (write(f'[default]\nrole_arn = {ROLE}\n'
                 'credential_source = Environment\n'),
           'more than the keys has changed')
    yield (write('[default]\ncredential_process = /bin/true\n'),
           'PATH:2: credential_process is not supported')
    yield write(''), 'there is no profile "default" in "" or "PATH"'
    yield pathlib.Path.unlink, 'there is neither "" nor "PATH"'
    if ROOT:
        yield (lambda path: path.parent.chmod(0),
               'PATH: (13: Permission denied)')


def test_change_of_a_file_that_the_workers_may_read(service, public):
    first, second = new_key(service), new_key(service)
    public.configure(first)
    with started(service, 'profile', public.env, 'www-data',
                 workers=2) as nginx:
        assert keys_used(service, nginx) == {first[0]}
        assert 'cannot read' not in nginx.error_log()
        assert '[warn]' not in nginx.error_log()
        public.configure(second)
        assert wait_for(lambda: keys_used(service, nginx) == {second[0]},
                        WATCH)
        assert key_notices(nginx, 'profile') == [first[0][-4:],
                                                 second[0][-4:]]


def test_changes_that_are_not_taken_over(service, public):
    """Each is to a file of its own, so that all are waited for once."""
    last = new_key(service)
    bad, locations = [], ''
    for number, (change, message) in enumerate(bad_changes(public)):
        path = public.path / f'directory{number}' / 'credentials'
        path.parent.mkdir(mode=0o755)
        key = new_key(service)
        public.keys(path, key)
        bad.append((f'/bad{number}', path, key, change, re.escape(
            'the changed profile "default" cannot be used: '
            + message.replace('PATH', str(path)))))
        locations += (f'location = /bad{number} {{ ivschat_token /ivschat;'
                      f' ivschat_token_credentials profile file={path}; }}')
    public.configure(last)

    with started(service, 'profile', public.env, 'www-data', workers=2,
                 server=locations) as nginx:
        assert keys_used(service, nginx) == {last[0]}
        for _, path, _, change, _ in bad:
            change(path)
        for target, _, key, _, message in bad:
            # a warning of each worker
            assert wait_for(lambda: len(re.findall(
                rf'\[warn\].*{message}.*; the present keys stay in use',
                nginx.error_log())) == 2, WATCH), message
            assert {key_used(service, nginx, target)
                    for _ in range(4)} == {key[0]}
        for _, path, *_ in bad:
            path.parent.chmod(0o755)
            public.keys(path, last)
        for target, *_ in bad:
            assert wait_for(lambda: key_used(service, nginx, target)
                            == last[0], WATCH), target


@pytest.mark.parametrize('source, config, profile', [
    ('profile name=role', f'[profile role]\nrole_arn = {ROLE}\n'
     'source_profile = keys\n', 'keys'),
    (f'assume_role role={ROLE} source=profile', '', 'default'),
], ids=['a role of a profile', 'assume_role with a profile'])
def test_new_keys_of_a_profile_sign_the_next_calls_of_sts(
        service, fakes, public, source, config, profile):
    first, second = new_key(service), new_key(service)
    fakes.config(credentials=[{'key': key, 'secret': secret}
                              for key, secret in (first, second)],
                 lifetime=LIFETIME)
    public.write(public.config, config)
    public.keys(public.credentials, first, profile)
    with started(service, source, {**sts_env(fakes), **public.env},
                 fakes=fakes) as nginx:
        assert mints(service, nginx)
        public.keys(public.credentials, second, profile)
        assert wait_for(lambda: second[0] in {
            record.get('access_key') for record
            in fakes.requests(source='sts')}, WATCH + LIFETIME)
        assert mints(service, nginx)


# Files with secrets that everyone can read


@pytest.mark.parametrize('source', ('profile', 'auto'))
@pytest.mark.parametrize('mode, warned', [
    (0o644, True), (0o604, True), (0o666, True), (0o640, False),
    (0o600, False)], ids=oct)
def test_credentials_that_everyone_can_read(home, mode, warned, source):
    home.configure(('AKID', 'hush'), mode)
    accepted(source, home.env, *(
        [f'"{home.credentials}" holds secrets and is readable by all users: '
         'chmod 600 it'] if warned else ()))


def test_config_that_everyone_can_read(home):
    home.write(home.credentials, '[other]\n')
    home.keys(home.config, ('AKID', 'hush'), mode=0o644)
    accepted('profile', home.env,
             f'"{home.config}" holds secrets and is readable by all users')
    # credentials without any
    home.config.chmod(0o600)
    home.credentials.chmod(0o644)
    accepted('profile', home.env)


def test_file_of_the_line_that_everyone_can_read(home):
    path = home.path / 'of-the-line'
    home.keys(path, ('AKID', 'hush'), mode=0o644)
    accepted(f'profile file={path}', {}, f'"{path}" holds secrets')


# What "nginx -t" says


MALFORMED = [
    # file, its text, the line, what is said
    ('credentials', '[default\n', 1, 'a section must end with "]"'),
    ('credentials', '\n\n[default\nkey = a\n', 3, 'a section must end with'),
    ('config', '[default]\nregion\n', 2, 'no "=" in the line'),
    ('config', '# x\n[default]\n\n; y\nregion us-west-2\n', 5, 'no "=" in'),
    ('credentials', 'aws_access_key_id = A\n', 1, 'there must be a section'),
    ('config', '[default]\n= us-west-2\n', 2, 'no name before "="'),
    ('config', '[default]\n  region = a\n', 2, 'the line is indented'),
    ('config', '[default]\ns3 =\n  max\n', 3, 'no "=" in a line that belongs'),
    ('config', '[default]\ns3 =\n  = 1\n', 3, 'no name before "="'),
    ('config', '[]\n', 1, 'the section has no name'),
    ('config', '[profile ]\n', 1, 'the section has no name'),
    ('credentials', b'\xef\xbb\xbf[default]\n', 1, 'a byte order mark'),
    ('credentials', '[default]\n'.encode('utf-16-le'), 1, 'is it UTF-16?'),
    ('credentials', b'[default]\na = \x01\n', 2, 'a control character'),
    ('credentials', b'[default]\na = b\0c\n', 2, 'the line has a NUL'),
    ('credentials', '[default]\naws_access_key_id = A\n', 2,
     'the profile has aws_access_key_id, but no aws_secret_access_key'),
    ('config', '[default]\naws_secret_access_key = hush\n', 2,
     'the profile has aws_secret_access_key, but no aws_access_key_id'),
    ('credentials', '[default]\naws_access_key_id = A-B\n'
     'aws_secret_access_key = hush\n', 2,
     'aws_access_key_id cannot be used: an access key id has only letters'),
    ('credentials', '[default]\naws_access_key_id = AB\n'
     'aws_secret_access_key = hush hush\n', 3,
     'aws_secret_access_key cannot be used'),
    ('config', f'[default]\nrole_arn = {ROLE}\n', 2, 'role_arn needs '),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = none\n', 3,
     'source_profile "none" is neither in '),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = b\n'
     f'[profile b]\nrole_arn = {ROLE}\nsource_profile = default\n', 6,
     'source_profile "default" leads to a loop'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = default\n', 3,
     'source_profile is the profile itself'),
    ('config', f'[default]\nrole_arn = {ROLE}\ncredential_source = Ec2\n', 3,
     'credential_source must be Environment, Ec2InstanceMetadata or'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = a\n'
     'credential_source = Environment\n', 4,
     'source_profile and credential_source are mutually exclusive'),
    ('config', '[default]\nrole_arn = app\ncredential_source = Environment\n',
     2, 'role_arn cannot be used'),
    ('config', f'[default]\nrole_arn = {ROLE}\nrole_session_name = a b\n'
     'credential_source = Environment\n', 3,
     'role_session_name cannot be used'),
    ('config', f'[default]\nrole_arn = {ROLE}\nexternal_id = a b\n'
     'credential_source = Environment\n', 3, 'external_id cannot be used'),
    ('config', f'[default]\nrole_arn = {ROLE}\nduration_seconds = 1h\n'
     'credential_source = Environment\n', 3,
     'duration_seconds cannot be used'),
    ('config', '[default]\nregion = US\n', 2, 'region cannot be used'),
    ('config', '[default]\nweb_identity_token_file = /a\n', 2,
     'web_identity_token_file needs role_arn'),
    ('config', f'[default]\nweb_identity_token_file = a\nrole_arn = {ROLE}\n',
     2, 'web_identity_token_file cannot be used: it must be an absolute path'),
    ('config', '[default]\nendpoint_url = sts\n', 2, 'endpoint_url must be'),
    ('config', '[default]\nservices = none\n', 2, 'there is no section'),
    # what is refused on purpose
    ('config', '[default]\ncredential_process = /bin/true hush\n', 2,
     'credential_process is not supported, as it would block nginx'),
    ('config', '[default]\nsso_session = a\n[sso-session a]\n', 2,
     'sso_session is not supported, as SSO requires a browser'),
    ('config', '[default]\nsso_start_url = https://a.example\n'
     'sso_account_id = 123456789012\n', 2,
     'sso_start_url is not supported, as SSO requires a browser'),
    ('config', '[default]\nlogin_session = arn:aws:iam::1:user/a\n', 2,
     'login_session is not supported, as a login requires a browser'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = a\n'
     'mfa_serial = arn:aws:iam::123456789012:mfa/me\n', 4,
     'mfa_serial is not supported, as it requires a typed code'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = a\n'
     '[profile a]\ncredential_process = /bin/true hush\n', 5,
     'credential_process is not supported, as it would block nginx'),
]


@pytest.mark.parametrize('name, text, line, message', MALFORMED,
                         ids=[case[3] for case in MALFORMED])
def test_malformed_file_is_refused_and_passed_over_by_auto(home, name, text,
                                                           line, message):
    path = home.aws / name
    home.write(path, text)
    refused('profile', home.env, '"ivschat_token_credentials profile" cannot '
            f'be used: {path}:{line}: ', message)
    accepted('auto', home.env, '"ivschat_token_credentials auto" skips '
             f'"profile": {path}:{line}: ', message)


# What is set explicitly ends the search of auto

WRONG_WEB = [
    ({'AWS_ROLE_ARN': 'arn:aws:iam::123456789012:role/web'},
     'AWS_WEB_IDENTITY_TOKEN_FILE is not set'),
    ({'AWS_WEB_IDENTITY_TOKEN_FILE': '/a'}, 'AWS_ROLE_ARN is not set'),
    ({'AWS_WEB_IDENTITY_TOKEN_FILE': '/a', 'AWS_ROLE_ARN': 'web'},
     'the ARN of a role'),
    ({'AWS_WEB_IDENTITY_TOKEN_FILE': '/a', 'AWS_ROLE_ARN': ROLE,
      'AWS_ROLE_SESSION_NAME': 'a b'}, 'a session name has 2 to 64'),
    ({'AWS_WEB_IDENTITY_TOKEN_FILE': '/a', 'AWS_ROLE_ARN': ROLE,
      'AWS_ENDPOINT_URL_STS': 'http://sts.example'},
     'the endpoint of STS must be https'),
]
WRONG_PROFILES = [
    ('[default]\nregion = us-west-2\n', 'there is no profile "chat"'),
    ('[profile chat]\nregion = us-west-2\n', 'has no aws_access_key_id'),
    ('[profile chat]\naws_access_key_id = A\n',
     'but no aws_secret_access_key'),
    ('[profile chat]\ncredential_process = /bin/true\n',
     'credential_process is not supported'),
    (f'[profile chat]\nrole_arn = {ROLE}\nsource_profile = none\n',
     'source_profile "none" is'),
    (f'[profile chat]\nrole_arn = {ROLE}\ncredential_source = Environment\n',
     'AWS_ACCESS_KEY_ID is not set'),
]


@pytest.mark.parametrize('env, message', WRONG_WEB,
                         ids=[case[1] for case in WRONG_WEB])
def test_wrong_web_identity_ends_the_search(home, env, message):
    ended({**home.env, **env}, f'; web_identity: {message}'
          if 'is not set' in message else message)


@pytest.mark.parametrize('text, message', WRONG_PROFILES,
                         ids=[case[1] for case in WRONG_PROFILES])
def test_wrong_profile_that_is_named_ends_the_search(home, text, message):
    home.write(home.config, text)
    ended({**home.env, **WEB, 'AWS_PROFILE': 'chat'}, message)


def test_named_profile_without_files_ends_the_search(home):
    ended({**home.env, 'AWS_PROFILE': 'chat'}, 'there is neither ')


def test_credential_source_of_the_default_profile_ends_the_search(home):
    home.write(home.config, f'[default]\nrole_arn = {ROLE}\n'
               'credential_source = Environment\n')
    ended({**home.env, **WEB}, 'AWS_ACCESS_KEY_ID is not set')


@pytest.mark.parametrize('header', ('[profile "chat"]', "[profile 'chat']"))
def test_name_in_quotes(home, header):
    home.write(home.config, f'{header}\naws_access_key_id = {KEY}\n'
               f'aws_secret_access_key = {SECRET}\n')
    accepted('profile name=chat', home.env)


@pytest.mark.parametrize('name', ('use_fips_endpoint',
                                  'use_dualstack_endpoint'))
def test_setting_of_a_profile_that_is_not_supported(home, name):
    keys = (f'[default]\naws_access_key_id = {KEY}\n'
            f'aws_secret_access_key = {SECRET}\n')
    home.write(home.config, keys + f'{name} = true\n')
    accepted('profile', home.env, f'"{name}" of the profile "default" is not '
             'supported: use "ivschat_token_endpoint"')
    home.write(home.config, keys + f'{name} = false\n')
    accepted('profile', home.env)


def test_malformed_profile_under_assume_role(home):
    home.write(home.config, f'[default]\nrole_arn = {ROLE}\n')
    refused(f'assume_role role={ROLE} source=profile', home.env,
            '"ivschat_token_credentials assume_role" cannot be used: '
            f'{home.config}:2: role_arn needs')


def test_only_the_profile_that_is_used_counts(home):
    home.write(home.config, '[default]\nregion = us-west-2\n'
               f'[profile b]\nrole_arn = {ROLE}\nmfa_serial = a\n'
               'source_profile = default\n')
    refused('profile name=b', home.env, 'mfa_serial is not supported')
    home.keys(home.credentials, ('A', 'b'))
    accepted('profile', home.env)


def test_profile_without_its_prefix_in_config(home):
    home.write(home.config, '[chat]\nregion = us-west-2\n')
    home.write(home.credentials, '')
    accepted('profile name=chat', home.env, 'must be "[profile chat]"')


def test_name_that_no_profile_has(home):
    refused("profile 'name=a b'", home.env,
            'invalid profile name')


def test_files_that_are_none(home):
    home.credentials.mkdir()
    refused('profile', home.env, f'{home.credentials}: (21: ')
    home.credentials.rmdir()
    os.mkfifo(home.credentials)
    check_config('profile', home.env)       # it does not wait
    home.credentials.unlink()
    home.write(home.credentials, '#' * (1 << 20) + '\n[default]\n')
    refused('profile', home.env, 'the file is larger than 1 MB')


def test_where_the_shared_files_are(home):
    def accept(env, *texts, source='profile'):
        accepted(source, {**home.env, **env}, *texts)

    home.write(home.credentials, '[default]\naws_access_key_id = A\n')
    other = home.path / 'other'
    home.keys(other, ('A', 'b'))
    nowhere = {'AWS_SHARED_CREDENTIALS_FILE': '/nowhere'}
    accept({'AWS_SHARED_CREDENTIALS_FILE': str(other)})
    accept({'AWS_SHARED_CREDENTIALS_FILE': '~/other'})
    accept(nowhere, f'there is neither "{home.config}" nor "/nowhere"')
    accept({**nowhere, 'AWS_CONFIG_FILE': '~/other'})
    accept({'AWS_SHARED_CREDENTIALS_FILE': '~/.aws/credentials'},
           source=f'profile file={other}')

    home.keys(home.credentials, ('A', 'b'))
    accept({'AWS_PROFILE': 'chat'}, 'there is no profile "chat" in ')
    accept({'AWS_PROFILE': ''})


def test_without_home_the_files_are_in_the_home_of_the_user(own):
    accepted('profile', {'HOME': ''},
             f'there is neither "{own}/.aws/config" nor "')


# Settings that AWS's SDKs follow, and this module does not

STATIC = f'static key={KEY} secret={SECRET}'


@pytest.mark.parametrize('name, value', [
    ('AWS_ENDPOINT_URL', 'http://127.0.0.1:1'), ('AWS_ENDPOINT_URL', 'x'),
    ('AWS_ENDPOINT_URL_IVSCHAT', 'https://ivschat.example'),
    ('AWS_USE_FIPS_ENDPOINT', 'true'), ('AWS_USE_FIPS_ENDPOINT', 'TRUE'),
    ('AWS_USE_FIPS_ENDPOINT', '1'), ('AWS_USE_DUALSTACK_ENDPOINT', 'true'),
    ('AWS_USE_DUALSTACK_ENDPOINT', 'True')])
def test_endpoint_of_the_environment_is_not_followed(name, value):
    accepted(STATIC, {name: value}, f'{name} of the environment is not '
             'followed: use "ivschat_token_endpoint"')


@pytest.mark.parametrize('name, value', [
    ('AWS_ENDPOINT_URL', ''), ('AWS_USE_FIPS_ENDPOINT', 'false'),
    ('AWS_USE_DUALSTACK_ENDPOINT', 'False'),
    ('AWS_ENDPOINT_URL_STS', 'https://sts.example'),
    ('AWS_EC2_METADATA_SERVICE_ENDPOINT', 'http://a')])
def test_setting_that_needs_no_warning(name, value):
    accepted(STATIC, {name: value})


# http only to this machine and to the addresses that AWS uses

FULL = 'AWS_CONTAINER_CREDENTIALS_FULL_URI'
RELATIVE = 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'


@pytest.mark.parametrize('url', [
    'http://127.0.0.1/a', 'http://127.0.0.1', 'http://127.0.0.1:1',
    'http://127.0.0.1:8080/get-credentials?a=b',
    'http://127.1.2.3/', 'http://127.255.255.254/',
    'http://localhost/', 'http://LOCALHOST:80/a', 'HTTP://[::1]/a',
    'http://[::1]:8080/a', 'http://[::1]', 'http://169.254.170.2/',
    'http://169.254.170.23/v1/credentials',
    'http://[fd00:ec2::23]/v1/credentials',
    'http://[FD00:EC2::23]:80/v1', 'https://example.com/a',
    'https://192.0.2.1:8443/a', 'HTTPS://example.com',
    # as libcurl reads them
    'http://127.1/', 'http://2130706433/', 'http://0x7f000001/',
    'http:/127.0.0.1/', 'https:///a'])
def test_uri_of_container_credentials(url):
    accepted('container', {FULL: url})


@pytest.mark.parametrize('url', [
    'http://example.com/', 'http://192.0.2.1/', 'http://0.0.0.0/',
    'http://128.0.0.1/', 'http://169.254.169.254/',
    'http://169.254.170.3/', 'http://169.254.170.2.example.com/',
    'http://localhost.example.com/', 'http://localhostx/',
    'http://127.0.0.1.example.com/', 'http://127.0.0.1x/',
    'http://[::ffff:127.0.0.1]/', 'http://[::2]/', 'http://[::]/',
    'http://[fd00:ec2::254]/', 'http://[::1].example.com/',
    'http://[::1]example.com/', 'http://[::1',
    'http://127.0.0.1@example.com/',
    'http://a:b@127.0.0.1/', 'http://example.com#@127.0.0.1/',
    'http://example.com\\@127.0.0.1/', 'http://127.0.0.1;a/',
    'http:///a', 'http://', 'http://:80/', 'ftp://127.0.0.1/',
    'file:///etc/passwd', '//127.0.0.1/', '127.0.0.1/a',
    'http://127.0.0.1/a b',
    'http://127.0.0.1/\t', 'http://127.0.0.1/\r\nX: y',
    'https://', 'https://a@b/',
    'http://127.0.0.1/' + 'a' * 1024],
    ids=lambda url: repr(url[:60]))
def test_invalid_uri_of_container_credentials(url):
    refused('container', {FULL: url},
            f'"ivschat_token_credentials container" cannot be used: {FULL} '
            'must be https, or http to this host, 169.254.170.2, '
            '169.254.170.23 or [fd00:ec2::23]')
    ended({FULL: url}, f'container: {FULL} must be https')


@pytest.mark.parametrize('path', (
    '/v2/credentials/a-b', '/', '/a?b=c', '/a@b'))
def test_path_of_container_credentials(path):
    accepted('container', {RELATIVE: path})


@pytest.mark.parametrize('path', (
    'v2', '@example.com/', '.example.com/', ':80@example.com', '/a b',
    '/a\r\nX: y', '/a#b'))
def test_invalid_path_of_container_credentials(path):
    refused('container', {RELATIVE: path}, f'{RELATIVE} is not a valid path')


# The metadata service

MODE = 'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'
ENDPOINT = 'AWS_EC2_METADATA_SERVICE_ENDPOINT'
DISABLED = 'AWS_EC2_METADATA_DISABLED'


@pytest.mark.parametrize('mode', ('IPv4', 'IPv6', 'ipv6', 'IPV4', ''))
def test_mode_of_the_metadata_endpoint(mode):
    accepted('imds', {MODE: mode})


@pytest.mark.parametrize('mode', ('IPv5', '6', 'true'))
def test_invalid_mode_of_the_metadata_endpoint(mode):
    refused('imds', {MODE: mode}, f'{MODE} must be IPv4 or IPv6')
    accepted('imds', {MODE: mode, ENDPOINT: 'http://[fd00:ec2::254]/'})


@pytest.mark.parametrize('url', (
    '169.254.169.254', 'http://', 'http:///', 'ftp://a', 'http://:',
    'http://a b', 'http://a@b', 'x'))
def test_invalid_metadata_endpoint(url):
    refused('imds', {ENDPOINT: url}, f'{ENDPOINT} is not a valid URL')


@pytest.mark.parametrize('value', ('true', 'TRUE', '1', 'yes', 'off'))
def test_metadata_service_disabled(value):
    accepted('imds', {DISABLED: value},
             f'finds no credentials: {DISABLED} is set')


@pytest.mark.parametrize('value', ('false', 'False', ''))
def test_metadata_service_not_disabled(value):
    accepted('imds', {DISABLED: value})


# Region and endpoint of STS, as far as they can be wrong

ENV = {'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET}
WEB = {'AWS_ROLE_ARN': WEB_ROLE, 'AWS_WEB_IDENTITY_TOKEN_FILE': '/a'}
ANY_REGION = 'arn:aws:ivschat:$arg_r:123456789012:room/a trusted'
ASSUME = f'assume_role role={ROLE} source=env'


def test_sts_needs_a_region(home):
    message = 'STS needs a region: add "region=", or set AWS_REGION'
    refused(ASSUME, ENV, message, room=ANY_REGION)
    refused('web_identity', WEB, message, room=ANY_REGION)
    ended(WEB, message, room=ANY_REGION)
    text = f'[default]\nrole_arn = {ROLE}\ncredential_source = Environment\n'
    home.write(home.config, text)
    refused('profile', {**ENV, **home.env}, message, room=ANY_REGION)
    home.write(home.config, text + 'region = us-west-2\n')
    accepted('profile', {**ENV, **home.env}, room=ANY_REGION)


@pytest.mark.parametrize('name', ('AWS_REGION', 'AWS_DEFAULT_REGION'))
def test_region_of_the_environment(name):
    accepted(ASSUME, {**ENV, name: 'us-west-2'}, room=ANY_REGION)
    refused(ASSUME, {**ENV, name: 'us_west_2'},
            'invalid region of STS: add "region="', room=ANY_REGION)


def test_region_of_the_line_and_of_the_room():
    line = ASSUME + ' region=us-west-2'
    accepted(line, ENV, room=ANY_REGION)
    accepted(line, {**ENV, 'AWS_REGION': '?'}, room=ANY_REGION)
    accepted(ASSUME, ENV)


@pytest.mark.parametrize('url', (
    'https://sts.example', 'https://sts.example/', 'https://127.0.0.1:8443',
    'https://[::1]:8443/', 'http://localhost:4566', 'http://127.0.0.1:4566/',
    'http://[::1]:4566'))
def test_endpoint_of_sts(url):
    accepted(ASSUME, {**ENV, 'AWS_ENDPOINT_URL_STS': url})


@pytest.mark.parametrize('url', (
    'http://sts.example', 'sts.example', 'https://', 'https:///',
    'https://a@b', 'https://a b'))
def test_invalid_endpoint_of_sts(url):
    refused(ASSUME, {**ENV, 'AWS_ENDPOINT_URL_STS': url},
            'the endpoint of STS must be https, or http to this host')


def test_general_endpoint_counts_for_sts():
    url = {'AWS_ENDPOINT_URL': 'http://sts.example'}
    message = 'the endpoint of STS must be https, or http to this host'
    refused(ASSUME, {**ENV, **url}, message)
    accepted(ASSUME, {**ENV, **url, 'AWS_ENDPOINT_URL_STS': 'https://a'},
             'AWS_ENDPOINT_URL of the environment')


def test_endpoint_of_sts_with_a_path_or_ignored():
    refused(ASSUME, {**ENV, 'AWS_ENDPOINT_URL_STS': 'https://sts.example/p'},
            'the endpoint of STS must not have a path')
    accepted(ASSUME, {**ENV, 'AWS_ENDPOINT_URL_STS': 'http://x',
                      'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS': 'true'})


@pytest.mark.parametrize('name, value, message', [
    ('AWS_ROLE_ARN', 'role/web', 'the ARN of a role'),
    ('AWS_ROLE_ARN', WEB_ROLE.replace('123456789012', '1'), '<12 digits>'),
    ('AWS_ROLE_SESSION_NAME', 'a b', 'a session name has ')])
def test_invalid_role_of_a_web_identity(name, value, message):
    refused('web_identity', {**WEB, name: value}, message)


# Fetches

REGIONS = {'AWS_REGION': 'us-east-1', 'AWS_DEFAULT_REGION': 'eu-west-1'}


@pytest.mark.parametrize('line, names, region', [
    (ASSUME + ' region=ap-south-1', [*REGIONS], 'ap-south-1'),
    ('profile', [*REGIONS], 'us-east-1'),
    ('profile', ['AWS_DEFAULT_REGION'], 'eu-west-1'),
    ('profile', [], 'eu-central-1')],
    ids=['line', 'AWS_REGION', 'AWS_DEFAULT_REGION', 'profile'])
def test_region_in_which_sts_is_asked(service, fakes, home, line, names,
                                      region):
    env = {**sts_env(fakes), **home.env}
    del env['AWS_REGION']
    env.update((name, REGIONS[name]) for name in names)
    home.write(home.config, '[default]\nregion = eu-central-1\n'
               f'role_arn = {ROLE}\ncredential_source = Environment\n')
    with started(service, line, env, fakes=fakes) as nginx:
        key_used(service, nginx)
        assert [record['region'] for record
                in fakes.requests(source='sts')] == [region]


def steps(fakes):
    """What IMDS was asked for, without what was handed out."""
    return {name: count for name, count in fakes.counters()['imds'].items()
            if name not in ('issued', 'faults')}


ONE_FETCH = {'token': 1, 'role': 1, 'credentials': 1}


def test_four_workers_fetch_once_and_a_reload_keeps_it(service, fakes):
    with started(service, 'imds', {**imds_env(fakes), **PATIENT}, fakes=fakes,
                 workers=4) as nginx:
        keys = keys_used(service, nginx, 40)
        assert len(keys) == 1
        assert steps(fakes) == ONE_FETCH
        for _ in range(3):
            reload(nginx)
        assert keys_used(service, nginx, 40) == keys
        assert steps(fakes) == ONE_FETCH
        assert nginx.error_log().count('AWS credentials from') == 1


def test_four_workers_fetch_once_for_each_refresh(service, fakes):
    fakes.config(lifetime=LIFETIME)
    with started(service, 'imds', {**imds_env(fakes), **PATIENT}, fakes=fakes,
                 workers=4) as nginx:
        begun = time.monotonic()
        while time.monotonic() - begun < 5 * LIFETIME / 2 + 1:
            keys_used(service, nginx, 8)        # always tokens
            time.sleep(0.05)
        took = time.monotonic() - begun
        times = [record['time'] for record in fakes.requests(
            source='imds', step='credentials')]
        assert 3 <= len(times) <= took / (LIFETIME / 2 - 1) + 1
        assert min(after - before for before, after
                   in zip(times, times[1:])) > LIFETIME / 2 - 1.1
        # one IMDS session for each
        found = steps(fakes)
        assert found['token'] == found['role'] == found['credentials']


def test_reload_with_another_line_and_back(service, fakes):
    def key_after(**changes):
        nginx.configure(**changes)
        reload(nginx)
        key, = keys_used(service, nginx)
        return key

    fakes.config(imds={'role': ROLE})
    with started(service, 'imds', {**imds_env(fakes), **PATIENT,
                                   **sts_env(fakes)}, fakes=fakes,
                 workers=2) as nginx:
        first, = keys_used(service, nginx)
        assert first != key_after(
            location='ivschat_token_credentials assume_role source=imds '
                     'role=arn:aws:iam::123456789012:role/long;')
        # what is still in the zone is taken
        assert first == key_after(location='ivschat_token_credentials imds;')
        # another size of the zone: it begins anew
        assert first != key_after(http='ivschat_token_zone 1m;')


@pytest.mark.parametrize('source', ('container', 'web_identity'))
def test_token_file_that_changes_is_read_at_each_fetch(service, fakes, public,
                                                       source):
    def rotate():
        SECRETS.append(make_jwt(time.time() + 3600) if source != 'container'
                       else os.urandom(20).hex())
        public.write(path, SECRETS[-1] + '\n', 0o644)

    path = public.path / 'token'
    if source == 'container':
        env = {FULL: f'{fakes.container}/v1/credentials',
               'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': str(path)}
        fake, setting = 'container', 'authorization_file'
    else:
        ca = public.path / 'ca.pem'     # the workers must be able to read it
        shutil.copy(fakes.sts_ca, ca)
        env = {**sts_env(fakes), 'AWS_ROLE_ARN': WEB_ROLE,
               'AWS_CA_BUNDLE': str(ca),
               'AWS_WEB_IDENTITY_TOKEN_FILE': str(path)}
        fake, setting = 'sts', 'web_identity_file'

    rotate()
    fakes.config(lifetime=LIFETIME, **{fake: {setting: str(path)}})
    with started(service, source, env, 'www-data', fakes=fakes,
                 workers=2) as nginx:
        first = keys_used(service, nginx)
        for count in (2, 3):
            rotate()
            assert wait_for(lambda: len(fakes.issued()) >= count,
                            2 * LIFETIME)
        assert fakes.counters()[fake].get('refused', 0) == 0
        assert keys_used(service, nginx) != first
        if ROOT:
            path.chmod(0)
            assert wait_for(lambda: re.search(
                rf'\[warn\].*the token file "{path}" cannot be read by '
                r'user www-data: \(13: Permission denied\); the present '
                r'ones stay in use', nginx.error_log()), 2 * LIFETIME)


# AWS's own addresses, with nothing set that leads elsewhere


class Forward:
    """A port of an address leads to a port of a fake."""

    def __init__(self, address, url, outer=80):
        port = urlsplit(url).port

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(('127.0.0.1', port)) as inner:
                    back = threading.Thread(target=pump,
                                            args=(inner, self.request))
                    back.start()
                    pump(self.request, inner)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            address_family = (socket.AF_INET6 if ':' in address
                              else socket.AF_INET)

        self._server = Server((address, outer), Handler)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self._server.shutdown()
        self._server.server_close()


def pump(source, target):
    """Copy until the end of the stream."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope='module')
def link_local(world, module_fakes):
    """AWS's addresses lead to the fakes."""
    if world is None:
        pytest.skip('namespaces for network and mounts need root')
    with contextlib.ExitStack() as stack:
        for address in ('169.254.169.254', 'fd00:ec2::254'):
            stack.enter_context(Forward(address, module_fakes.imds))
        for address in ('169.254.170.2', '169.254.170.23', 'fd00:ec2::23'):
            stack.enter_context(Forward(address, module_fakes.container))
        yield


TOKEN = {'AWS_CONTAINER_AUTHORIZATION_TOKEN': AUTHORIZATION}
ECS = {RELATIVE: f'/v2/credentials/{TASK_ID}', **TOKEN}
EKS = {FULL: 'http://169.254.170.23/v1/credentials', **TOKEN}


@pytest.mark.parametrize('source, env, fake, host', [
    ('imds', PATIENT, 'imds', '169.254.169.254'),
    ('imds', {MODE: 'IPv6', **PATIENT}, 'imds', '[fd00:ec2::254]'),
    ('auto', PATIENT, 'imds', '169.254.169.254'),
    ('container', ECS, 'container', '169.254.170.2'),
    ('auto', ECS, 'container', '169.254.170.2'),
    ('container', EKS, 'container', '169.254.170.23'),
    ('container', {**EKS, **ECS}, 'container', '169.254.170.2'),
    ('container', {FULL: 'http://[fd00:ec2::23]/v1/credentials', **TOKEN},
     'container', '[fd00:ec2::23]'),
], ids=['imds', 'imds, IPv6', 'auto, imds', 'ECS', 'auto, ECS', 'EKS',
        'both URIs', 'EKS, IPv6'])
def test_source_at_the_address_of_aws(service, fakes, link_local, source, env,
                                      fake, host):
    with started(service, source, env, fakes=fakes) as nginx:
        assert mints(service, nginx)
        assert {dict(record['headers']).get('Host') for record
                in fakes.requests(source=fake)} == {host}


def test_sts_by_its_own_name(service, fakes, own):
    env = {**ENV, 'AWS_CA_BUNDLE': fakes.sts_ca}
    with Forward('127.0.0.1', fakes.sts, 443), \
            started(service, ASSUME + ' region=us-west-2', env,
                    fakes=fakes) as nginx:
        assert mints(service, nginx)
        assert {(record['sni'], dict(record['headers']).get('Host'),
                 record['region']) for record in fakes.requests()} == {
                     (STS, STS, 'us-west-2')}


def test_sts_with_a_certificate_that_is_not_to_be_trusted(service, fakes):
    env = sts_env(fakes)
    envs = [{**env, 'AWS_ENDPOINT_URL_STS': f'https://127.0.0.1:{port}'}
            for port in fakes.bad_tls.values()]
    envs.append({**env, 'AWS_CA_BUNDLE': '/nowhere'})
    if not sanitized():                # it reads the system's CAs for 40 s
        del env['AWS_CA_BUNDLE']
        envs.append(env)
    for env in envs:
        with started(service, ASSUME, env) as nginx:
            assert key_used(service, nginx) == NO_CREDENTIALS, env
            assert re.search(r'\[error\].*AWS STS: .*(SSL|certificate)',
                             nginx.error_log())
    assert fakes.requests(source='sts') == []


@pytest.mark.parametrize('options', [{'master': False}, {'daemon': True}],
                         ids=str)
def test_one_fetch_without_a_master_and_as_a_daemon(service, fakes, options):
    with started(service, 'imds', {**imds_env(fakes), **PATIENT}, fakes=fakes,
                 **options) as nginx:
        assert mints(service, nginx)
        assert steps(fakes) == ONE_FETCH
