#!/usr/bin/python3
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
import sys
import tempfile
import threading
import time
from urllib.parse import parse_qsl, urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import AUTHORIZATION, TASK_ID, Fakes, make_jwt
from ivschat_testlib import KEY, SECRET, Answer, Service, Tap
from nginx_testlib import (Nginx, alive, ask, attempt, binary, bounded, code,
                           in_parallel, is_token, modules, request, sanitized,
                           slow, status, wait_for)

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

tap = Tap()
root = os.geteuid() == 0


# A world of its own


def call(function, *arguments):
    """A function of the C library; OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), function)


def own_world(home):
    """Whether there is one now, where the home of root is this one."""
    try:
        call('unshare', CLONE_NEWNS | CLONE_NEWNET)
    except OSError:
        return False

    call('mount', b'none', b'/', None, MS_REC | MS_PRIVATE, None)
    passwd = home / 'passwd'
    passwd.write_text(re.sub(r'^(root:(?:[^:]*:){4})[^:]*', rf'\g<1>{home}',
                             pathlib.Path('/etc/passwd').read_text('utf-8'),
                             flags=re.M), 'utf-8')
    hosts = home / 'hosts'
    hosts.write_text(f'127.0.0.1 localhost {STS}\n', 'ascii')
    for path in (passwd, hosts):
        call('mount', bytes(path), bytes(pathlib.Path('/etc') / path.name),
             None, MS_BIND, None)

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

    return True


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


# Files


class Home:
    """A home with AWS's shared files."""

    def __init__(self, path=None, owner=None):
        self.path = pathlib.Path(path or tempfile.mkdtemp(prefix='home.'))
        self.owner = owner
        self.aws = self.path / '.aws'
        self.aws.mkdir(exist_ok=True)
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

    def keys(self, key, secret, name='default', mode=0o600):
        """What "aws configure" writes."""
        self.write(self.config, f'[{name if name == "default" else "profile "}'
                   f'{"" if name == "default" else name}]\n'
                   'region = us-west-2\noutput = json\n')
        self.write(self.credentials, f'[{name}]\n'
                   f'aws_access_key_id = {key}\n'
                   f'aws_secret_access_key = {secret}\n', mode)


def public_directory():
    """A directory into which the workers may look."""
    path = pathlib.Path(tempfile.mkdtemp(prefix='public.'))
    path.chmod(0o755)
    return path


class Keys:
    """Keys that the service knows; all of them, for the search in logs."""

    def __init__(self, service):
        self._service = service
        self.secrets = [SECRET]

    def new(self):
        """(key, secret)"""
        number = len(self.secrets)
        secret = f'hush{number}/{os.urandom(12).hex()}+='
        self.secrets.append(secret)
        self._service.config(credentials=[{'key': f'AKIDTEST{number:04}',
                                           'secret': secret}])
        return f'AKIDTEST{number:04}', secret


# Nginx


def start(service, credentials, env=None, user='root', more='', **options):
    """An nginx whose /token has these credentials."""
    nginx = Nginx(service, env=env,
                  location=f'ivschat_token_credentials {credentials};' + more,
                  **options)
    if root:
        nginx.configure(user=f'user {user};', port=0, h2port=0)
    return nginx


def key_used(service, nginx, target='/token'):
    """The access key that a token was signed with; else the answer's code."""
    answer = ask(nginx.port, request(target))
    if not is_token(answer):
        return code(answer)
    return service.requests(limit=1)[0]['access_key']


def keys_used(service, nginx, count=12):
    """Those of many tokens at once, so that each worker mints some."""
    service.forget()

    if sanitized():                    # slow TLS: one after the other
        answers = [ask(nginx.port, request()) for _ in range(4)]
    else:
        answers = in_parallel(count, lambda _: ask(nginx.port, request()))

    if not all(map(is_token, answers)):
        return [code(answer) if isinstance(answer, Answer) else answer
                for answer in answers]
    return {record['access_key'] for record in service.requests()}


def text_of(nginx):
    """All that was logged or said."""
    return nginx.error_log() + (nginx.dir / 'stderr').read_text('utf-8')


def clean(nginx, name, secrets):
    """One test: nothing secret was logged; then the usual one."""
    text = text_of(nginx)
    tap.equal([secret for secret in secrets if secret in text], [],
              f'{name}: nothing secret in the log')
    nginx.check(tap, name)


def issued(fakes):
    """What the fakes have issued."""
    return [part for known in fakes.issued()
            for part in (known['secret'], known['token'])]


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


def check_config(credentials, env=None, room=ROOM):
    """(whether it is accepted, what "nginx -t" says)"""
    with tempfile.TemporaryDirectory() as path:
        conf = pathlib.Path(path) / 'nginx.conf'
        conf.write_text(CONF.format(
            load='\n'.join(f'load_module {name};' for name in modules()),
            credentials=credentials, room=room), 'utf-8')
        conf.chmod(0o600)
        done = subprocess.run(
            [binary(), '-t', '-e', 'stderr', '-p', path, '-c', str(conf)],
            env={**os.environ, **(env or {})}, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True,
            errors='replace', timeout=20 * slow())
    said = [line for line in done.stderr.splitlines()
            if not re.search(r'syntax is ok$|test is successful$'
                             r'|test failed$', line)]
    if done.returncode not in (0, 1):
        said.append(f'[crash] exit status {done.returncode}')
    return done.returncode == 0, said


def refused(name, message, credentials, env=None, room=ROOM, where=''):
    """One test: refused, with this message."""
    accepted, said = check_config(credentials, env, room)
    tap.ok(not accepted and len(said) == 1 and '[emerg]' in said[0]
           and message in said[0] and where in said[0]
           and SECRET not in said[0]
           and 'hush' not in said[0] and 'nginx.conf:' in said[0],
           f'refused: {name}', *said, f'wanted: {where}{message}')


def accepted(name, warning, credentials, env=None, room=ROOM, where=''):
    """One test: accepted, with this warning, or None."""
    good, said = check_config(credentials, env, room)
    fits = (not said if warning is None else
            len(said) == 1 and '[warn]' in said[0] and warning in said[0]
            and where in said[0])
    tap.ok(good and fits and 'hush' not in ''.join(said)
           and SECRET not in ''.join(said), f'accepted: {name}', *said,
           f'wanted: {warning}')


def reload(nginx):
    """A reload; the old workers take no requests any more."""
    old = nginx.reload()
    wait_for(lambda: not any(map(alive, old)))


# "aws configure" as root


def aws_configure(service):
    """Files 0600 in the home of root, workers that are www-data."""
    keys = Keys(service)
    own = pathlib.Path(pwd.getpwuid(0).pw_dir)
    www_data = pwd.getpwnam('www-data').pw_uid

    for form, path in (('HOME', None), ('no HOME', own)):
        if path is own and not separate:
            continue

        for source in ('profile', 'auto'):
            name = f'aws configure, {form}, {source}'
            with Home(path) as home, contextlib.ExitStack() as stack:
                env = {}
                if path is own:
                    stack.callback(os.environ.__setitem__, 'HOME',
                                   os.environ.pop('HOME'))
                else:
                    env['HOME'] = str(home.path)
                first, second = keys.new(), keys.new()
                home.keys(*first)
                nginx = stack.enter_context(start(
                    service, source, env, 'www-data', workers=2, daemon=True))
                as_configured(service, nginx, name, home, first, second,
                              www_data)
                clean(nginx, name, keys.secrets)
            own.mkdir(exist_ok=True)


def as_configured(service, nginx, name, home, first, second, www_data):
    """It works, and a change needs a reload."""
    tap.equal(keys_used(service, nginx), {first[0]}, f'{name}: it mints')
    tap.equal({status(pid, 'Uid') for pid in nginx.workers()}, {www_data}
              if root else {os.geteuid()}, f'{name}: the workers\' user')
    notices = re.findall(r'\[notice\].*the workers may not read "(.*)": nginx '
                         'has to be reloaded when it changes',
                         nginx.error_log())
    tap.equal(notices, [str(home.config)], f'{name}: one notice that a change '
                                           'needs a reload')
    tap.equal(re.findall(r'AWS credentials from "(.*)": access key "…(.*)"',
                         nginx.error_log()),
              [('auto: profile' if 'auto' in name else 'profile',
                first[0][-4:])], f'{name}: one notice of the key')
    tap.ok('[warn]' not in nginx.error_log(), f'{name}: no warning',
           nginx.error_log())

    home.keys(*second)
    reload(nginx)
    tap.equal(keys_used(service, nginx), {second[0]}, f'{name}: a reload '
                                                      'takes the new key')
    tap.equal(re.findall(r'access key "…(.*)"', nginx.error_log()),
              [first[0][-4:], second[0][-4:]], f'{name}: a second notice')

    home.write(home.credentials, '[default\n')
    nginx.signal(1)
    broken = f'{home.credentials}:1: a section must end with "]"'
    if 'auto' in name:
        tap.ok(wait_for(lambda: broken in nginx.error_log()),
               f'{name}: a malformed file is passed over, at a reload')
        return
    tap.ok(wait_for(lambda: re.search(r'\[emerg\].*' + re.escape(broken),
                                      nginx.error_log())),
           f'{name}: a malformed file ends a reload', nginx.error_log())
    tap.equal(keys_used(service, nginx), {second[0]},
              f'{name}: and the old configuration is used on')
    log = nginx.dir / 'error.log'
    log.write_text(log.read_text('utf-8').replace('[emerg]', '[expected]'),
                   'utf-8')


# Files that change


def watched(service):
    """The workers read what they may read, and it changes.

    Each bad change is to a file of its own, so that all are waited for once.
    """
    keys = Keys(service)
    www_data = pwd.getpwnam('www-data').pw_uid if root else None
    first, second, third = keys.new(), keys.new(), keys.new()

    with Home(public_directory(), www_data) as home:
        home.keys(*first)
        bad, locations = [], ''
        for number, (name, change, message) in enumerate(bad_changes(home)):
            path = home.path / f'directory{number}' / 'credentials'
            path.parent.mkdir()
            path.parent.chmod(0o755)
            bad.append((name, f'/bad{number}', path, keys.new(),
                        change, message.replace('PATH', str(path))))
            write_keys(home, path, bad[-1][3])
            locations += (f'location = /bad{number} {{ ivschat_token /ivschat;'
                          f' ivschat_token_credentials profile file={path}; }}')

        with start(service, 'profile', {'HOME': str(home.path)}, 'www-data',
                   workers=2, server=locations) as nginx:
            tap.equal(keys_used(service, nginx), {first[0]},
                      'a file: it mints')
            tap.ok('may not read' not in nginx.error_log()
                   and '[warn]' not in nginx.error_log(),
                   'a file of the workers\': no notice, no warning',
                   nginx.error_log())
            for _, _, path, _, change, _ in bad:
                change(path)
            home.keys(*second)
            changed(service, nginx, first, second)
            bad_is_kept(service, nginx, bad)
            for _, _, path, key, _, _ in bad:
                path.parent.chmod(0o755)
                write_keys(home, path, third)
            for name, target, *_ in bad:
                tap.ok(wait_for(lambda target=target: key_used(
                    service, nginx, target) == third[0], WATCH),
                    f'{name}, repaired: it is taken over')
            clean(nginx, 'files that change', keys.secrets)


def write_keys(home, path, key):
    """A profile of keys."""
    home.write(path, f'[default]\naws_access_key_id = {key[0]}\n'
               f'aws_secret_access_key = {key[1]}\n')


def changed(service, nginx, first, second):
    """A good change."""
    tap.ok(wait_for(lambda: keys_used(service, nginx) == {second[0]}, WATCH),
           f'a change is seen within {WATCH} s', keys_used(service, nginx),
           second[0], nginx.error_log())
    found = re.findall('AWS credentials from "profile": access key "…(.*)"',
                       nginx.error_log())
    tap.equal([found.count(key[0][-4:]) for key in (first, second)], [1, 1],
              'with one notice')


def bad_is_kept(service, nginx, bad):
    """Changes that are not taken over."""
    for name, target, _, key, _, message in bad:
        pattern = ('profile "default" has changed, and is not taken over: '
                   + message)
        tap.ok(wait_for(lambda pattern=pattern: len(re.findall(
            r'\[warn\].*' + re.escape(pattern)
            + '.*; the keys at hand are used on', nginx.error_log())) == 2,
            WATCH), f'{name}: a warning of each worker', pattern,
            *[line for line in nginx.error_log().splitlines()
              if '[warn]' in line])
        tap.equal({key_used(service, nginx, target) for _ in range(4)},
                  {key[0]}, f'{name}: the old key is used on')


def bad_changes(home):
    """Changes that cannot be taken over: what is done to a file, and what is
    said then."""
    def write(text):
        return lambda path: home.write(path, text)

    yield ('half a file', write('[default]\naws_access_key_id = AKIDHALF\n'),
           'PATH:2: the profile has aws_access_key_id, but no '
           'aws_secret_access_key')
    yield ('no section', write('aws_access_key_id = AKIDHALF\n'),
           'PATH:1: there must be a section')
    yield ('another profile', write('[other]\naws_access_key_id = AKIDHALF\n'
                                    'aws_secret_access_key = hush\n'),
           'there is no profile "default" in "" or "PATH"')
    yield ('a role instead of keys', write(
        f'[default]\nrole_arn = {ROLE}\ncredential_source = Environment\n'),
           'more than keys has changed')
    yield ('a process instead of keys', write(
        '[default]\ncredential_process = /bin/true\n'),
           'PATH:2: credential_process is not supported')
    yield ('an empty file', write(''), 'there is no profile "default" in "" '
                                       'or "PATH"')
    yield 'no file', pathlib.Path.unlink, 'there is neither "" nor "PATH"'
    if root:
        yield ('a directory that is closed',
               lambda path: path.parent.chmod(0),
               'PATH: (13: Permission denied)')


def watched_role(service, fakes):
    """New keys of a profile sign the next call of STS."""
    keys = Keys(service)

    for name, source, text in (
            ('a role of a profile', 'profile name=role',
             f'[profile role]\nrole_arn = {ROLE}\nsource_profile = keys\n'),
            ('assume_role upon a profile',
             f'assume_role role={ROLE} source=profile', '')):
        first, second = keys.new(), keys.new()
        fakes.config(credentials=[{'key': key, 'secret': secret}
                                  for key, secret in (first, second)],
                     lifetime=LIFETIME)
        profile = 'keys' if text else 'default'
        with Home(public_directory()) as home:
            def write(key, home=home, profile=profile):
                home.write(home.credentials, f'[{profile}]\naws_access_key_id '
                           f'= {key[0]}\naws_secret_access_key = {key[1]}\n')
            home.write(home.config, text)
            write(first)
            fakes.forget()
            with start(service, source, {**sts_env(fakes),
                                         'HOME': str(home.path)}) as nginx:
                tap.ok(str(key_used(service, nginx)).startswith('ASIA'),
                       f'{name}: it mints')
                write(second)
                tap.ok(wait_for(lambda: second[0] in {
                    record.get('access_key') for record
                    in fakes.requests(source='sts')}, WATCH + LIFETIME),
                    f'{name}: new keys sign the next calls of STS',
                    *[line for line in nginx.error_log().splitlines()
                      if '[warn]' in line])
                tap.ok(str(key_used(service, nginx)).startswith('ASIA'),
                       f'{name}: and it mints')
                clean(nginx, name, keys.secrets + issued(fakes))
        fakes.config(lifetime=None)


def everyone(service):
    """A file with secrets that everybody can read gets a warning."""
    keys = Keys(service)

    with Home(public_directory()) as home:
        env = {'HOME': str(home.path)}
        warning = (f'"{home.credentials}" holds secrets and can be read by '
                   'everyone: chmod 600 it')
        for mode, expected in ((0o644, warning), (0o604, warning),
                               (0o666, warning), (0o640, None),
                               (0o600, None)):
            home.keys(*keys.new(), mode=mode)
            for source in ('profile', 'auto'):
                accepted(f'{source}, mode {mode:o}', expected, source, env)

        # keys in config, credentials without any
        home.write(home.credentials, '[other]\n')
        home.write(home.config, '[default]\naws_access_key_id = AKID\n'
                                'aws_secret_access_key = hush\n', 0o644)
        accepted('keys in config, which everyone can read',
                 f'"{home.config}" holds secrets and can be read by everyone',
                 'profile', env)
        home.config.chmod(0o600)
        home.credentials.chmod(0o644)
        accepted('keys in config, credentials without any', None, 'profile',
                 env)

        path = home.path / 'of-the-line'
        home.write(path, '[default]\naws_access_key_id = AKID\n'
                         'aws_secret_access_key = hush\n', 0o644)
        accepted('a file of the line that everyone can read',
                 f'"{path}" holds secrets', f'profile file={path}')


# What "nginx -t" says


MALFORMED = [
    # file, its text, the line, what is said
    ('credentials', '[default\n', 1, 'a section must end with "]"'),
    ('credentials', '\n\n[default\nkey = a\n', 3, 'a section must end with'),
    ('config', '[default]\nregion\n', 2, 'no "=" in the line'),
    ('config', '# x\n[default]\n\n; y\nregion us-west-2\n', 5, 'no "=" in'),
    ('credentials', 'aws_access_key_id = A\n', 1, 'there must be a section'),
    ('config', '[default]\n= us-west-2\n', 2, 'no name before "="'),
    ('config', '[default]\n  region = a\n', 2, 'the line begins with a blank'),
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
     'source_profile "default" leads in a circle'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = default\n', 3,
     'source_profile is the profile itself'),
    ('config', f'[default]\nrole_arn = {ROLE}\ncredential_source = Ec2\n', 3,
     'credential_source must be Environment, Ec2InstanceMetadata or'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = a\n'
     'credential_source = Environment\n', 4,
     'source_profile and credential_source exclude each other'),
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
     'sso_session is not supported, as SSO needs a person with a browser'),
    ('config', '[default]\nsso_start_url = https://a.example\n'
     'sso_account_id = 123456789012\n', 2,
     'sso_start_url is not supported, as SSO needs a person'),
    ('config', '[default]\nlogin_session = arn:aws:iam::1:user/a\n', 2,
     'login_session is not supported, as a login needs a person'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = a\n'
     'mfa_serial = arn:aws:iam::123456789012:mfa/me\n', 4,
     'mfa_serial needs a person who types a code'),
    ('config', f'[default]\nrole_arn = {ROLE}\nsource_profile = a\n'
     '[profile a]\ncredential_process = /bin/true hush\n', 5,
     'credential_process is not supported, as it would block nginx'),
]


def malformed():
    """"profile" refuses, with file and line; "auto" says it, and goes on."""
    for name, text, line, message in MALFORMED:
        with Home() as home:
            path = home.aws / name
            home.write(path, text)
            env = {'HOME': str(home.path)}
            refused(f'profile: {message}', message, 'profile', env,
                    where='"ivschat_token_credentials profile" cannot be '
                    f'used: {path}:{line}: ')
            accepted(f'auto: {message}', message, 'auto', env,
                     where='"ivschat_token_credentials auto" passes over a '
                     f'source: {path}:{line}: ')

    with Home() as home:
        env = {'HOME': str(home.path)}
        home.write(home.config, f'[default]\nrole_arn = {ROLE}\n')
        refused('a malformed profile under assume_role',
                f'"ivschat_token_credentials assume_role" cannot be used: '
                f'{home.config}:2: role_arn needs',
                f'assume_role role={ROLE} source=profile', env)
        refused('another profile than the one that is good',
                'mfa_serial needs a person', 'profile name=b',
                files(home, config='[default]\nregion = us-west-2\n'
                      f'[profile b]\nrole_arn = {ROLE}\nmfa_serial = a\n'
                      'source_profile = default\n'))
        accepted('a mistake in a profile that nobody uses', None, 'profile',
                 files(home, config='[profile b]\nmfa_serial = a\n'
                       f'role_arn = {ROLE}\n', credentials='[default]\n'
                       'aws_access_key_id = A\naws_secret_access_key = b\n'))
        accepted('a profile with a dash that has no "profile" before it',
                 'must be "[profile chat]"', 'profile name=chat',
                 files(home, config='[chat]\nregion = us-west-2\n',
                       credentials=''))
        refused('a name that no profile has', 'the name of the profile is '
                'empty or has a character', "profile 'name=a b'", env)
        home.credentials.unlink()
        home.credentials.mkdir()
        refused('a directory for a file', f'{home.credentials}: (21: ',
                'profile', env)
        home.credentials.rmdir()
        os.mkfifo(home.credentials)
        good, said = check_config('profile', env)
        tap.ok('[crash]' not in ''.join(said), 'a pipe for a file: it does '
                                               'not wait', *said)
        home.credentials.unlink()
        home.write(home.credentials, '#' * (1 << 20) + '\n[default]\n')
        refused('a file of more than 1 MB', 'the file is larger than 1 MB',
                'profile', env)


def files(home, **texts):
    """Write the shared files; the environment that leads to them."""
    for name, text in texts.items():
        home.write(home.aws / name, text)
    return {'HOME': str(home.path)}


def paths():
    """Where the shared files are."""
    good = '[default]\naws_access_key_id = A\naws_secret_access_key = b\n'
    bad = '[default]\naws_access_key_id = A\n'

    with Home() as home:
        env = files(home, credentials=bad)
        other = home.path / 'other'
        home.write(other, good)
        accepted('AWS_SHARED_CREDENTIALS_FILE', None, 'profile',
                 {**env, 'AWS_SHARED_CREDENTIALS_FILE': str(other)})
        accepted('AWS_SHARED_CREDENTIALS_FILE with "~"', None, 'profile',
                 {**env, 'AWS_SHARED_CREDENTIALS_FILE': '~/other'})
        accepted('AWS_SHARED_CREDENTIALS_FILE that leads nowhere',
                 f'there is neither "{home.config}" nor "/nowhere"', 'profile',
                 {**env, 'AWS_SHARED_CREDENTIALS_FILE': '/nowhere'})
        accepted('AWS_CONFIG_FILE', None, 'profile', {
            **env, 'AWS_SHARED_CREDENTIALS_FILE': '/nowhere',
            'AWS_CONFIG_FILE': '~/other'})
        accepted('file=, before the environment', None,
                 f'profile file={other}',
                 {**env, 'AWS_SHARED_CREDENTIALS_FILE': '~/.aws/credentials'})
        accepted('a profile of the environment that is not there',
                 'there is no profile "chat" in ', 'profile',
                 {**files(home, credentials=good), 'AWS_PROFILE': 'chat'})
        accepted('an empty AWS_PROFILE is none', None, 'profile',
                 {**env, 'AWS_PROFILE': ''})
        if separate:
            own = pwd.getpwuid(0).pw_dir
            accepted('no HOME: the home of the user',
                     f'there is neither "{own}/.aws/config" nor "', 'profile',
                     {'HOME': ''})


def endpoints():
    """Settings that AWS's SDKs follow, and this module does not."""
    static = f'static key={KEY} secret={SECRET}'

    for name, values in (
            ('AWS_ENDPOINT_URL', ['http://127.0.0.1:1', 'x']),
            ('AWS_ENDPOINT_URL_IVSCHAT', ['https://ivschat.example']),
            ('AWS_USE_FIPS_ENDPOINT', ['true', 'TRUE', '1']),
            ('AWS_USE_DUALSTACK_ENDPOINT', ['true', 'True'])):
        for value in values:
            accepted(f'{name}={value}',
                     f'{name} of the environment is not followed: use '
                     '"ivschat_token_endpoint"', static, {name: value})

    for name, value in (('AWS_ENDPOINT_URL', ''),
                        ('AWS_USE_FIPS_ENDPOINT', 'false'),
                        ('AWS_USE_DUALSTACK_ENDPOINT', 'False'),
                        ('AWS_ENDPOINT_URL_STS', 'https://sts.example'),
                        ('AWS_EC2_METADATA_SERVICE_ENDPOINT', 'http://a')):
        accepted(f'{name}={value}: no warning', None, static, {name: value})


def container_hosts():
    """http only to this machine and to the addresses that AWS uses."""
    name = 'AWS_CONTAINER_CREDENTIALS_FULL_URI'
    message = (f'"ivschat_token_credentials container" cannot be used: {name} '
               'must be https, or http to this machine, 169.254.170.2, '
               '169.254.170.23 or [fd00:ec2::23]')

    for url in ('http://127.0.0.1/a', 'http://127.0.0.1', 'http://127.0.0.1:1',
                'http://127.0.0.1:8080/get-credentials?a=b',
                'http://127.1.2.3/', 'http://127.255.255.254/',
                'http://localhost/', 'http://LOCALHOST:80/a', 'HTTP://[::1]/a',
                'http://[::1]:8080/a', 'http://[::1]', 'http://169.254.170.2/',
                'http://169.254.170.23/v1/credentials',
                'http://[fd00:ec2::23]/v1/credentials',
                'http://[FD00:EC2::23]:80/v1', 'https://example.com/a',
                'https://192.0.2.1:8443/a', 'HTTPS://example.com',
                # as libcurl reads them, which is what connects
                'http://127.1/', 'http://2130706433/', 'http://0x7f000001/',
                'http:/127.0.0.1/', 'https:///example.com/'):
        accepted(f'{name}={url}', None, 'container', {name: url})

    for url in ('http://example.com/', 'http://192.0.2.1/', 'http://0.0.0.0/',
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
                'http://127.0.0.1/a b', 'http:/example.com/',
                'http://127.0.0.1/\t', 'http://127.0.0.1/\r\nX: y',
                'https://', 'https:///', 'https://a@b/',
                'http://127.0.0.1/' + 'a' * 1024):
        refused(f'{name}={url[:60]!r}', message, 'container', {name: url})
        accepted(f'auto passes over {url[:60]!r}', f'{name} must be https',
                 'auto', {name: url})

    name = 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'
    for path in ('/v2/credentials/a-b', '/', '/a?b=c', '/a@b'):
        accepted(f'{name}={path}', None, 'container', {name: path})
    for path in ('v2', '@example.com/', '.example.com/', ':80@example.com',
                 '/a b', '/a\r\nX: y', '/a#b'):
        refused(f'{name}={path!r}', f'{name} is no path', 'container',
                {name: path})


def metadata_settings():
    """The variables of the metadata service."""
    def settings(**values):
        return {'AWS_EC2_METADATA_' + name: value
                for name, value in values.items()}

    for mode in ('IPv4', 'IPv6', 'ipv6', 'IPV4', ''):
        accepted(f'endpoint mode "{mode}"', None, 'imds',
                 settings(SERVICE_ENDPOINT_MODE=mode))
    for mode in ('IPv5', '6', 'true'):
        refused(f'endpoint mode {mode}', 'AWS_EC2_METADATA_SERVICE_ENDPOINT_'
                'MODE is neither IPv4 nor IPv6', 'imds',
                settings(SERVICE_ENDPOINT_MODE=mode))
        accepted(f'endpoint mode {mode}, and an endpoint', None, 'imds',
                 settings(SERVICE_ENDPOINT_MODE=mode,
                          SERVICE_ENDPOINT='http://[fd00:ec2::254]/'))
    for url in ('169.254.169.254', 'http://', 'http:///', 'ftp://a', 'http://:',
                'http://a b', 'http://a@b', 'x'):
        refused(f'metadata endpoint {url}', 'AWS_EC2_METADATA_SERVICE_'
                'ENDPOINT is no URL', 'imds', settings(SERVICE_ENDPOINT=url))
    for value in ('true', 'TRUE', '1', 'yes', 'off'):
        accepted(f'AWS_EC2_METADATA_DISABLED={value}', 'has no credentials: '
                 'AWS_EC2_METADATA_DISABLED is set', 'imds',
                 settings(DISABLED=value))
    for value in ('false', 'False', ''):
        accepted(f'AWS_EC2_METADATA_DISABLED={value}', None, 'imds',
                 settings(DISABLED=value))


def sts_settings():
    """Region and endpoint of STS, as far as they can be wrong."""
    env = {'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET}
    web = {'AWS_ROLE_ARN': WEB_ROLE, 'AWS_WEB_IDENTITY_TOKEN_FILE': '/a'}
    room = 'arn:aws:ivschat:$arg_r:123456789012:room/a'
    line = f'assume_role role={ROLE} source=env'
    message = 'STS needs a region: add "region=", or set AWS_REGION'

    refused('assume_role without a region', message, line, env, room)
    refused('web_identity without a region', message, 'web_identity', web,
            room)
    accepted('auto passes over a web identity without a region', message,
             'auto', web, room)
    with Home() as home:
        text = (f'[default]\nrole_arn = {ROLE}\n'
                'credential_source = Environment\n')
        role = files(home, config=text)
        refused('a role of a profile without a region', message, 'profile',
                {**env, **role}, room)
        accepted('the region of the profile', None, 'profile',
                 {**env, **files(home, config=text + 'region = us-west-2\n')},
                 room)
    for name in ('AWS_REGION', 'AWS_DEFAULT_REGION'):
        accepted(f'{name}', None, line, {**env, name: 'us-west-2'}, room)
        refused(f'{name} that is none', 'the region of STS is invalid: add '
                '"region="', line, {**env, name: 'us_west_2'}, room)
    accepted('a region of the line', None, line + ' region=us-west-2', env,
             room)
    accepted('a region of the room', None, line, env)
    accepted('a region of the line, and a wrong one of the environment', None,
             line + ' region=us-west-2', {**env, 'AWS_REGION': '?'}, room)

    for url in ('https://sts.example', 'https://sts.example/',
                'https://127.0.0.1:8443', 'https://[::1]:8443/'):
        accepted(f'the endpoint {url}', None, line,
                 {**env, 'AWS_ENDPOINT_URL_STS': url})
    for url in ('http://sts.example', 'sts.example', 'https://', 'https:///',
                'https://a@b', 'https://a b'):
        refused(f'the endpoint {url}', 'the endpoint of STS is no https URL',
                line, {**env, 'AWS_ENDPOINT_URL_STS': url})
    refused('an endpoint with a path', 'the endpoint of STS has a path', line,
            {**env, 'AWS_ENDPOINT_URL_STS': 'https://sts.example/path'})
    accepted('an endpoint that is to be ignored', None, line,
             {**env, 'AWS_ENDPOINT_URL_STS': 'http://x',
              'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS': 'true'})
    for arn, why in (('role/web', 'the ARN of a role'),
                     (WEB_ROLE.replace('123456789012', '1'), 'is 12 digits')):
        refused(f'AWS_ROLE_ARN={arn}', why, 'web_identity',
                {**web, 'AWS_ROLE_ARN': arn})
    refused('AWS_ROLE_SESSION_NAME with a blank', 'a session name has only',
            'web_identity', {**web, 'AWS_ROLE_SESSION_NAME': 'a b'})


# Fetches


def sts_env(fakes, **more):
    """The environment in which STS is the fake."""
    return {'AWS_ENDPOINT_URL_STS': fakes.sts, 'AWS_CA_BUNDLE': fakes.sts_ca,
            'AWS_REGION': 'us-west-2', **more}


def imds_env(fakes):
    """The environment in which the metadata service is the fake."""
    return {'AWS_EC2_METADATA_SERVICE_ENDPOINT': fakes.imds, **PATIENT}


def region_order(service, fakes):
    """Which region STS is asked in."""
    env = sts_env(fakes, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    del env['AWS_REGION']
    settings = {'AWS_REGION': 'us-east-1', 'AWS_DEFAULT_REGION': 'eu-west-1'}

    with Home() as home:
        env.update(files(home, config='[default]\nregion = eu-central-1\n'
                         f'role_arn = {ROLE}\n'
                         'credential_source = Environment\n'))
        for name, line, expected in (
                ('region=', f'assume_role role={ROLE} source=env '
                 'region=ap-south-1', 'ap-south-1'),
                ('AWS_REGION', 'profile', 'us-east-1'),
                ('AWS_DEFAULT_REGION', 'profile', 'eu-west-1'),
                ('the profile\'s', 'profile', 'eu-central-1')):
            if name in ('AWS_DEFAULT_REGION', 'the profile\'s'):
                settings.pop({'AWS_DEFAULT_REGION': 'AWS_REGION'}.get(
                    name, 'AWS_DEFAULT_REGION'))
            fakes.forget()
            with start(service, line, {**env, **settings}) as nginx:
                key_used(service, nginx)
                tap.equal([record['region'] for record
                           in fakes.requests(source='sts')], [expected],
                          f'region of STS: {name}')
                nginx.check(tap, f'region of STS: {name}')


def one_fetch(service, fakes):
    """Four workers fetch once for each refresh, and a reload keeps it all."""
    fakes.forget()

    with start(service, 'imds', imds_env(fakes), workers=4) as nginx:
        keys = keys_used(service, nginx, 40)
        tap.ok(len(keys) == 1, 'four workers have one key', keys)
        tap.equal(steps(fakes), {'token': 1, 'role': 1, 'credentials': 1},
                  'and fetched it once')
        for _ in range(3):
            reload(nginx)
        tap.equal(keys_used(service, nginx, 40), keys,
                  'after three reloads they have the same one')
        tap.equal(steps(fakes), {'token': 1, 'role': 1, 'credentials': 1},
                  'which was not fetched again')
        tap.equal(nginx.error_log().count('AWS credentials from'), 1,
                  'one notice')
        clean(nginx, 'one fetch', issued(fakes))

    fakes.forget()
    fakes.config(lifetime=LIFETIME)
    with start(service, 'imds', imds_env(fakes), workers=4) as nginx:
        begun = time.monotonic()
        bad = []
        while time.monotonic() - begun < 5 * LIFETIME / 2 + 1:
            found = keys_used(service, nginx, 8)
            if not isinstance(found, set):
                bad.append(found)
            time.sleep(0.05)
        took = time.monotonic() - begun
        times = [record['time'] for record in fakes.requests(
            source='imds', step='credentials')]
        gaps = [after - before for before, after in zip(times, times[1:])]
        tap.ok(not bad, f'credentials of {LIFETIME} s: always a token', *bad)
        tap.ok(3 <= len(times) <= took / (LIFETIME / 2 - 1) + 1
               and min(gaps) > LIFETIME / 2 - 1.1,
               'four workers: one fetch for each refresh', gaps)
        found = steps(fakes)
        tap.ok(found['token'] == found['role'] == found['credentials'],
               'and one IMDS session for each', found)
        clean(nginx, 'refreshes', issued(fakes))
    fakes.config(lifetime=None)


def steps(fakes, source='imds'):
    """What was asked for, without what was handed out."""
    return {name: count for name, count in fakes.counters()[source].items()
            if name not in ('issued', 'faults')}


def changed_line(service, fakes):
    """A reload with another line has other credentials; and back again."""
    fakes.config(imds={'role': ROLE})
    fakes.forget()
    env = {**imds_env(fakes), **sts_env(fakes)}
    line = ('ivschat_token_credentials assume_role source=imds '
            'role=arn:aws:iam::123456789012:role/long;')

    with start(service, 'imds', env, workers=2) as nginx:
        first = keys_used(service, nginx)
        nginx.configure(location=line)
        reload(nginx)
        second = keys_used(service, nginx)
        tap.ok(len(first) == len(second) == 1 and first != second,
               'another line: other credentials', first, second)
        nginx.configure(location='ivschat_token_credentials imds;')
        reload(nginx)
        tap.equal(keys_used(service, nginx), first,
                  'back again: what is still in the zone is taken')
        nginx.configure(http='ivschat_token_zone 1m;')
        reload(nginx)
        third = keys_used(service, nginx)
        tap.ok(len(third) == 1 and third != first,
               'another size of the zone: it begins anew', third)
        clean(nginx, 'another line', issued(fakes))


def token_files(service, fakes):
    """Token files that change are read at each fetch."""
    directory = public_directory()
    secrets = []

    def rotate(path, text):
        secrets.append(text)
        new = path.with_suffix('.new')
        new.write_text(text + '\n', 'utf-8')
        new.chmod(0o644)
        new.replace(path)

    def jwt():
        return make_jwt(time.time() + 3600)

    def opaque():
        return os.urandom(20).hex()

    authorization, identity = directory / 'pod', directory / 'identity'
    ca = directory / 'ca.pem'             # the workers must be able to read it
    shutil.copy(fakes.sts_ca, ca)
    container = {
        'AWS_CONTAINER_CREDENTIALS_FULL_URI':
        f'{fakes.container}/v1/credentials',
        'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': str(authorization)}
    web = sts_env(fakes, AWS_ROLE_ARN=WEB_ROLE, AWS_CA_BUNDLE=str(ca),
                  AWS_WEB_IDENTITY_TOKEN_FILE=str(identity))

    for source, fake, env, path, make in (
            ('container', 'container', container, authorization, opaque),
            ('web_identity', 'sts', web, identity, jwt)):
        rotate(path, make())
        fakes.config(lifetime=LIFETIME, **{fake: {
            'authorization_file' if fake == 'container'
            else 'web_identity_file': str(path)}})
        fakes.forget()
        with start(service, source, env, 'www-data', workers=2) as nginx:
            first = keys_used(service, nginx)
            rotate(path, make())
            tap.ok(wait_for(lambda: len(fakes.issued()) >= 2, 2 * LIFETIME),
                   f'{source}: a token file that has changed is read')
            rotate(path, make())
            tap.ok(wait_for(lambda: len(fakes.issued()) >= 3, 2 * LIFETIME),
                   f'{source}: and again')
            tap.equal(fakes.counters()[fake].get('refused', 0), 0,
                      f'{source}: never a token of before')
            second = keys_used(service, nginx)
            tap.ok(isinstance(second, set) and first != second,
                   f'{source}: it mints on', first, second)
            if root:
                path.chmod(0)
                tap.ok(wait_for(lambda: re.search(
                    rf'\[warn\].*the token file "{path}" cannot be read by '
                    r'user www-data: \(13: Permission denied\); those at hand '
                    r'are used on', nginx.error_log()), 2 * LIFETIME),
                    f'{source}: a failure names path, errno and user',
                    nginx.error_log())
            clean(nginx, f'{source}, token file', secrets + issued(fakes))

    fakes.config(lifetime=None, container={'authorization_file': None},
                 sts={'web_identity_file': None})
    shutil.rmtree(directory)


def link_local(service, fakes):
    """AWS's own addresses, with nothing set that leads elsewhere."""
    token = {'AWS_CONTAINER_AUTHORIZATION_TOKEN': AUTHORIZATION}
    relative = {'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI':
                f'/v2/credentials/{TASK_ID}', **token}
    full = {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
            'http://169.254.170.23/v1/credentials', **token}

    with contextlib.ExitStack() as stack:
        for address in ('169.254.169.254', 'fd00:ec2::254'):
            stack.enter_context(Forward(address, fakes.imds))
        for address in ('169.254.170.2', '169.254.170.23', 'fd00:ec2::23'):
            stack.enter_context(Forward(address, fakes.container))

        for name, source, env, fake, headers in (
                ('imds', 'imds', PATIENT, 'imds', '169.254.169.254'),
                ('imds, IPv6', 'imds', {
                    'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE': 'IPv6',
                    **PATIENT}, 'imds', '[fd00:ec2::254]'),
                ('auto, imds', 'auto', PATIENT, 'imds', '169.254.169.254'),
                ('container, ECS', 'container', relative, 'container',
                 '169.254.170.2'),
                ('auto, ECS', 'auto', relative, 'container', '169.254.170.2'),
                ('container, EKS', 'container', full, 'container',
                 '169.254.170.23'),
                ('container, both URIs', 'container', {**full, **relative},
                 'container', '169.254.170.2'),
                ('container, EKS, IPv6', 'container', {
                    'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                    'http://[fd00:ec2::23]/v1/credentials', **token},
                 'container', '[fd00:ec2::23]')):
            fakes.forget()
            with start(service, source, env) as nginx:
                tap.ok(str(key_used(service, nginx)).startswith('ASIA'),
                       f'{name}: it mints', nginx.error_log())
                tap.equal({dict(record['headers']).get('Host') for record
                           in fakes.requests(source=fake)}, {headers},
                          f'{name}: at AWS\'s own address')
                clean(nginx, name, [AUTHORIZATION, *issued(fakes)])


def sts_host(service, fakes):
    """STS under its own name, with nothing set but the CA."""
    env = {'AWS_CA_BUNDLE': fakes.sts_ca, 'AWS_ACCESS_KEY_ID': KEY,
           'AWS_SECRET_ACCESS_KEY': SECRET}
    fakes.forget()

    with Forward('127.0.0.1', fakes.sts, 443), start(
            service, f'assume_role role={ROLE} source=env region=us-west-2',
            env) as nginx:
        tap.ok(str(key_used(service, nginx)).startswith('ASIA'),
               'STS by its name: it mints', nginx.error_log())
        tap.equal({(record['sni'], dict(record['headers']).get('Host'),
                    record['region']) for record in fakes.requests()},
                  {(STS, STS, 'us-west-2')}, 'it is asked for, and signed')
        clean(nginx, 'STS by its name', [SECRET, *issued(fakes)])


def sts_tls(service, fakes):
    """STS with a certificate that is not to be trusted."""
    keys = {'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET}
    cases = {name: sts_env(fakes, AWS_ENDPOINT_URL_STS='https://127.0.0.1:'
                           f'{port}') for name, port in fakes.bad_tls.items()}
    if not sanitized():                # it reads the system's CAs for 40 s
        cases['no CA of it'] = sts_env(fakes)
        del cases['no CA of it']['AWS_CA_BUNDLE']
    cases['no file of CAs'] = sts_env(fakes, AWS_CA_BUNDLE='/nowhere')
    fakes.forget()

    for name, env in cases.items():
        with start(service, f'assume_role role={ROLE} source=env',
                   {**env, **keys}) as nginx:
            tap.equal(key_used(service, nginx), (503, 'no_credentials'),
                      f'STS, {name}: no credentials')
            tap.ok(re.search(r'\[error\].*AWS STS: .*(SSL|certificate)',
                             nginx.error_log()),
                   f'STS, {name}: and the reason', nginx.error_log())
            clean(nginx, f'STS, {name}', [SECRET])
    tap.equal(fakes.requests(source='sts'), [], 'and nothing was sent')


def single(service, fakes):
    """Without a master, and as a daemon."""
    for name, options in (('master_process off', {'master': False}),
                          ('daemon', {'daemon': True})):
        fakes.forget()
        with start(service, 'imds', imds_env(fakes), **options) as nginx:
            tap.ok(str(key_used(service, nginx)).startswith('ASIA'),
                   f'{name}: it mints')
            tap.equal(steps(fakes), {'token': 1, 'role': 1, 'credentials': 1},
                      f'{name}: one fetch')
            clean(nginx, name, issued(fakes))


def main():
    """All parts; what needs root or a world of its own is left out else."""
    global separate
    bounded(400)

    for name in [name for name in os.environ if name.startswith('AWS_')]:
        del os.environ[name]

    own = pathlib.Path(tempfile.mkdtemp(prefix='root.'))
    empty = pathlib.Path(tempfile.mkdtemp(prefix='empty.'))
    os.environ['HOME'] = str(empty)
    separate = root and own_world(own)
    try:
        for part in (malformed, paths, endpoints, container_hosts,
                     metadata_settings, sts_settings):
            attempt(tap, part)
        with Service(args=['--rate', 'off']) as service:
            if root:
                attempt(tap, aws_configure, service)
            attempt(tap, watched, service)
            attempt(tap, everyone, service)
            with Fakes(service, args=['--bad-tls']) as fakes:
                for part in (watched_role, region_order, one_fetch,
                             changed_line, token_files, sts_tls, single):
                    attempt(tap, part, service, fakes)
                if separate:
                    attempt(tap, link_local, service, fakes)
                    attempt(tap, sts_host, service, fakes)
    finally:
        shutil.rmtree(own, ignore_errors=True)
        shutil.rmtree(empty, ignore_errors=True)
    tap.done()


separate = False
main()
