"""The TLS side: connections, and how an answer goes onto the wire."""

import asyncio
import asyncio.sslproto
import socket
import struct

from .http1 import HttpError, Reader, render_head
from .reply import Reply

RESET_ON_CLOSE = struct.pack('ii', 1, 0)
MAX_WAITING = 1024 * 1024

# A refused client may still be sending.  To close at once would reset the
# connection, and the refusal could be lost: what comes is thrown away until
# it has been quiet for so long, but not for ever.
LINGER = 0.1
MAX_LINGER = 5

# asyncio keeps a buffer of 256 KB per TLS connection; a few TLS records are
# enough, and thousands of connections then fit into memory.
asyncio.sslproto.SSLProtocol.max_size = 64 * 1024


class Connection(asyncio.Protocol):
    """One TLS connection; its requests are answered one after the other."""

    def __init__(self, service, listener):
        self.service = service
        self.listener = listener
        self.reader = Reader()
        self.transport = None
        self.info = None
        self.record = None
        self.task = None
        self.doomed = False
        self.linger = None
        self.linger_end = 0
        self.drained = asyncio.Event()
        self.drained.set()

    def connection_made(self, transport):
        """The TLS handshake is done."""
        self.transport = transport
        self.port = transport.get_extra_info('sockname')[1]
        tls = transport.get_extra_info('ssl_object')
        self.info = self.service.journal.connect(
            self.listener, getattr(tls, 'asked_name', None), tls,
            transport.get_extra_info('peername')[1])

    def data_received(self, data):
        """Bytes from the client."""
        if self.doomed:
            self._garbage(data, HttpError(400, 'the connection was doomed'),
                          'stale')
            self._reset()
            return

        if self.linger is not None:
            self._linger()
            return

        self.reader.feed(data)

        if self.record is None:
            self._next()
        elif len(self.reader.buffer) > MAX_WAITING:
            self.transport.pause_reading()

    def eof_received(self):
        """The client has sent its last byte; TLS ends with it."""
        if self.record is not None:
            self.info['half_closed'] = True
            self.service.journal.half_closed += 1
        return False

    def connection_lost(self, exc):
        """The connection is gone, and with it what is still to be sent."""
        if self.record is not None:
            self.record.client_left = True
            self.info['left_waiting'] = True
            self.service.journal.left_waiting += 1

        elif self.reader.buffer and not self.doomed:
            self._garbage(bytes(self.reader.buffer),
                          HttpError(400, 'the request never ended'))

        if self.task is not None:
            self.task.cancel()

        if self.linger is not None:
            self.linger.cancel()

        self.drained.set()
        self.service.journal.disconnect(self.info)

    def pause_writing(self):
        """The client reads too slowly."""
        self.drained.clear()

    def resume_writing(self):
        """The client has caught up."""
        self.drained.set()

    def _next(self):
        """Answer requests until there is none, or one takes time."""
        while self.record is None and not self.transport.is_closing():
            raw = bytes(self.reader.buffer)

            try:
                request = self.reader.next_request()
            except HttpError as error:
                self._garbage(raw, error)
                self._refuse(error)
                return

            if request is None:
                return

            self._answer(request)

    def _answer(self, request):
        journal = self.service.journal
        record = journal.add(self.info, request)
        reply = self.service.handle(request, self.port, record.details)
        journal.decide(record, reply)

        if reply.data is not None and not self.service.latency:
            self.transport.write(reply.data)
            if reply.close:
                self.transport.close()
            return

        self.record = record
        steps = reply.all_steps(self.service.latency / 1000)
        self.task = asyncio.get_running_loop().create_task(self._play(steps))

    async def _play(self, steps):
        """Do what a slow or faulty answer consists of."""
        for name, value in steps:
            if name == 'send':
                await self.drained.wait()
                self.transport.write(value)
                # lets a client be seen that has gone
                await asyncio.sleep(0)
            elif name == 'sleep':
                await asyncio.sleep(value)
            else:
                await self._end(name)

            if self.transport.is_closing():
                break

        self.record = self.task = None
        self.transport.resume_reading()
        self._next()

    async def _end(self, name):
        """The steps after which nothing is sent any more."""
        if name == 'hang':
            await asyncio.get_running_loop().create_future()
        elif name == 'doom':
            self.doomed = True
        else:
            self.record = None
            if name == 'reset':
                self._reset()
            else:
                self.transport.close()

    def _reset(self):
        """End with RST instead of FIN."""
        sock = self.transport.get_extra_info('socket')
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    def _garbage(self, raw, error, code='garbage'):
        """Record what was no request."""
        journal = self.service.journal
        record = journal.add(self.info, raw=raw)
        journal.decide(record, Reply(error.status, code,
                                     message=error.reason))

    def _refuse(self, error):
        body = b'<html><body>Bad request</body></html>'
        self.reader.buffer.clear()
        self.transport.write(render_head(error.status, [
            ('Content-Type', 'text/html'), ('Content-Length', len(body)),
            ('Connection', 'close')]) + body)
        self.linger_end = asyncio.get_running_loop().time() + MAX_LINGER
        self._linger()

    def _linger(self):
        """Close when the client has nothing more to say."""
        loop = asyncio.get_running_loop()

        if self.linger is not None:
            self.linger.cancel()

        self.linger = loop.call_at(min(loop.time() + LINGER, self.linger_end),
                                   self.transport.close)


async def listen(service, context, listener='main', port=0,
                 address='127.0.0.1'):
    """Open a TLS listener; (server, port)."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service, listener), address, port,
        ssl=context, backlog=4096, ssl_handshake_timeout=30,
        ssl_shutdown_timeout=5)
    return server, server.sockets[0].getsockname()[1]
