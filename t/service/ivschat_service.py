#!/usr/bin/python3
"""Start the local IVS Chat service; docs/local-service.md describes it."""

import argparse
import asyncio
import json
import os
import pathlib
import resource
import signal
import sys

from ivschat import control, server, tls
from ivschat.service import LOCAL_NAMES, Service
from ivschat.state import Credential

DEFAULT_KEY = 'AKIDEXAMPLE'
DEFAULT_SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
PARENT_CHECK = 0.5


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--dir', required=True, type=pathlib.Path,
        help='state directory: ca.pem, ports.json, certificates')
    add('--port', type=int, default=0, help='TLS port (0: any)')
    add('--address', default='127.0.0.1', help='address of the TLS port')
    add('--control-port', type=int, default=0, help='control port (0: any)')
    add('--account', default='123456789012', help='account of the keys')
    add('--key', default=DEFAULT_KEY, help='access key id')
    add('--secret', default=DEFAULT_SECRET, help='secret access key')
    add('--session-token', help='session token that belongs to the key')
    add('--credentials', type=pathlib.Path, metavar='FILE',
        help='JSON list of {"key", "secret", "token", "account", "expires", '
             '"expired"}')
    add('--rate', default=200, type=rate, metavar='N|off',
        help='calls per second, account and region')
    add('--latency', default=0, type=float, metavar='MS',
        help='delay of every answer')
    add('--room', action='append', metavar='ARN|any',
        help='a room that exists (repeatable; default: any)')
    add('--san', action='append', default=[], metavar='NAME',
        help='one more host name of the service (repeatable)')
    add('--bad-tls', action='store_true',
        help='three more ports with bad certificates')
    add('--token-lifetime', default=3600, type=float, metavar='SEC')
    add('--keep', default=10000, type=int, metavar='N',
        help='how many requests, connections and tokens are remembered')
    add('--allow-unsigned-content-type', action='store_true',
        help='for clients like the AWS SDK for JavaScript v2')
    add('--parent', type=int, metavar='PID',
        help='exit when this process is gone')
    return parser.parse_args()


def rate(text):
    """A positive number, or None for 'off'."""
    if text == 'off':
        return None

    value = float(text)

    if value < 1:
        raise argparse.ArgumentTypeError('at least 1')

    return value


def make_service(options):
    """The service as the command line wants it."""
    service = Service(options.account, options.rate, options.keep)
    service.latency = options.latency
    service.token_lifetime = options.token_lifetime
    service.need_signed_content_type = not options.allow_unsigned_content_type
    service.hosts.update(dict.fromkeys(options.san))

    if options.room and 'any' not in options.room:
        service.rooms = set(options.room)

    service.add_credential(Credential(options.key, options.secret,
                                      options.account, options.session_token))

    if options.credentials:
        for fields in json.loads(options.credentials.read_text('utf-8')):
            service.add_credential(
                Credential.from_dict(fields, options.account))

    return service


async def open_ports(service, options):
    """Every listener, and the contents of ports.json."""
    names = sorted(service.hosts)
    authority = tls.Authority(options.dir.resolve())
    context = authority.issue('server', names)
    bad = (tls.bad_contexts(authority, list(LOCAL_NAMES) + names)
           if options.bad_tls else {})

    main, port = await server.listen(service, context, port=options.port,
                                      address=options.address)
    inner, control_port = await control.listen(service, options.control_port)
    servers, bad_ports = [main, inner], {}

    for name, bad_context in bad.items():
        listener, bad_ports[name] = await server.listen(service, bad_context,
                                                        name)
        servers.append(listener)

    return servers, {'pid': os.getpid(), 'port': port,
                     'control_port': control_port, 'bad_tls': bad_ports,
                     'ca': str(authority.certificate)}


def write_atomically(path, value):
    """A reader sees the whole file or none."""
    partial = path.with_suffix('.new')
    partial.write_text(json.dumps(value) + '\n', encoding='utf-8')
    partial.replace(path)


def is_running(pid):
    """Whether a process lives (a zombie does not)."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text('latin-1')
    except OSError:
        return False
    return stat.rpartition(')')[2].split()[0] not in 'ZX'


async def wait_for_end(parent):
    """Return at SIGTERM, SIGINT, or when the parent is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    while parent is None or is_running(parent):
        try:
            await asyncio.wait_for(stop.wait(),
                                   PARENT_CHECK if parent else None)
            return
        except asyncio.TimeoutError:
            pass


def allow_many_connections():
    """Use all the file descriptors that the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main():
    """Run until told to stop."""
    options = parse_arguments()
    options.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    ports_file = options.dir / 'ports.json'
    ports_file.unlink(missing_ok=True)
    allow_many_connections()

    servers, ports = await open_ports(make_service(options), options)
    write_atomically(ports_file, ports)
    print(f'IVS Chat at https://127.0.0.1:{ports["port"]}, control at '
          f'http://127.0.0.1:{ports["control_port"]}, CA {ports["ca"]}',
          flush=True)

    await wait_for_end(options.parent)
    ports_file.unlink(missing_ok=True)

    for listener in servers:
        listener.close()


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
