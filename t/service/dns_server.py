"""A small, strict DNS server on the loopback, for tests.

    with DnsServer() as dns:
        dns.set('a.example', '127.0.0.1', '::1', ttl=1)
        dns.fail('a.example', 'servfail')

It knows A and AAAA, over UDP and TCP on the same port.  A name that was never
set does not exist.  What it answers can be changed at any time; how a name
fails is one of FAULTS.
"""

import collections
import contextlib
import ipaddress
import socket
import struct
import threading
import time

A, AAAA = 1, 28
TYPES = {A: 'A', AAAA: 'AAAA'}
CODES = {'formerr': 1, 'servfail': 2, 'nxdomain': 3, 'refused': 5}

# empty: the name is there, and has no address.  truncated: over UDP only.
FAULTS = {*CODES, 'empty', 'timeout', 'truncated', 'garbage'}

Query = collections.namedtuple('Query', 'time name type transport')


class Malformed(Exception):
    """Not a query that a resolver may send."""


def parse(data):
    """(id, name, type, the question's bytes) of a query."""
    if len(data) < 12:
        raise Malformed('no header')

    ident, flags, *counts = struct.unpack('!6H', data[:12])

    if flags != 0x0100:
        raise Malformed(f'flags {flags:04x}')
    if counts != [1, 0, 0, 0]:
        raise Malformed(f'sections {counts}')

    labels, pos = [], 12
    while True:
        size = data[pos]
        pos += 1
        if size == 0:
            break
        if size > 63 or pos + size >= len(data):
            raise Malformed('label')
        labels.append(data[pos:pos + size])
        pos += size

    if len(data) != pos + 4:
        raise Malformed('length')

    kind, class_ = struct.unpack('!2H', data[pos:])
    if kind not in TYPES or class_ != 1:
        raise Malformed(f'type {kind}, class {class_}')

    name = b'.'.join(labels).decode('ascii')
    if name != name.lower():
        raise Malformed(f'"{name}"')
    return ident, name, kind, data[12:]


def answer(ident, question, code=0, truncated=False, records=()):
    """An answer's bytes; records are (type, ttl, data)."""
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    head = struct.pack('!6H', ident, flags, 1, len(records), 0, 0)
    return head + question + b''.join(
        b'\xc0\x0c' + struct.pack('!2HIH', kind, 1, ttl, len(data)) + data
        for kind, ttl, data in records)


class DnsServer:
    """The server as a context manager."""

    def __init__(self, address='127.0.0.1', port=0):
        self.address, self.port = address, port
        self.queries, self.malformed = [], []
        self._zone, self._faults = {}, {}
        self._lock = threading.Lock()
        self._udp = self._tcp = None
        self._threads = []

    def __enter__(self):
        # A port that is free for UDP may be taken for TCP.
        for left in range(20, -1, -1):
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._tcp = socket.socket()
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._udp.bind((self.address, self.port))
                port = self._udp.getsockname()[1]
                self._tcp.bind((self.address, port))
                break
            except OSError:
                self._udp.close()
                self._tcp.close()
                if self.port or not left:
                    raise

        self.port = port
        self._tcp.listen(100)

        for function in (self._serve_udp, self._serve_tcp):
            thread = threading.Thread(target=function, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_exception):
        for sock in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(1)
        self._udp.close()
        self._tcp.close()

    def set(self, name, *addresses, ttl=1):
        """The addresses of a name, which fails no more."""
        records = []
        for text in addresses:
            address = ipaddress.ip_address(text)
            records.append((A if address.version == 4 else AAAA, ttl,
                            address.packed))
        with self._lock:
            self._zone[name] = records
            self._faults.pop(name, None)

    def fail(self, name, fault):
        """A name fails until it is set anew."""
        if fault not in FAULTS:
            raise ValueError(fault)
        with self._lock:
            self._faults[name] = fault

    def count(self, name, kind='A', since=0):
        """How many queries there were for a name."""
        with self._lock:
            return sum(query.name == name and query.type == kind
                       and query.time >= since for query in self.queries)

    def _reply(self, data, transport):
        """The bytes to send, or None."""
        try:
            ident, name, kind, question = parse(data)
        except (Malformed, IndexError, UnicodeError) as error:
            with self._lock:
                self.malformed.append((repr(error), data))
            return None

        with self._lock:
            self.queries.append(Query(time.monotonic(), name, TYPES[kind],
                                      transport))
            records = self._zone.get(name)
            fault = self._faults.get(name)

        if fault is None and records is None:
            fault = 'nxdomain'
        if fault == 'timeout':
            return None
        if fault == 'garbage':
            return struct.pack('!H', ident) + b'\x81\x80\xff\xff'
        if fault == 'truncated' and transport == 'udp':
            return answer(ident, question, truncated=True)
        if fault in CODES:
            return answer(ident, question, CODES[fault])
        if fault == 'empty':
            return answer(ident, question)

        return answer(ident, question,
                      records=[record for record in records
                               if record[0] == kind])

    def _serve_udp(self):
        while True:
            try:
                data, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if not data and not peer:
                return
            reply = self._reply(data, 'udp')
            if reply is not None:
                with contextlib.suppress(OSError):
                    self._udp.sendto(reply, peer)

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(sock,),
                             daemon=True).start()

    def _serve_connection(self, sock):
        with sock, contextlib.suppress(OSError, struct.error):
            sock.settimeout(30)
            stream = sock.makefile('rb')
            while True:
                size, = struct.unpack('!H', stream.read(2))
                reply = self._reply(stream.read(size), 'tcp')
                if reply is not None:
                    sock.sendall(struct.pack('!H', len(reply)) + reply)
