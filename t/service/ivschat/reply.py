"""An answer: plain bytes, or steps for the connection to play."""

HANG = ('hang', None)
RESET = ('reset', None)
CLOSE = ('close', None)
DOOM = ('doom', None)


def send(data):
    """The step that writes bytes."""
    return ('send', data)


def sleep(seconds):
    """The step that waits."""
    return ('sleep', seconds)


class Reply:
    """A verdict, for the record, and how it goes onto the wire."""

    def __init__(self, status, code, data=None, steps=None, close=False,
                 message=None):
        self.status = status
        self.code = code
        self.data = data
        self.steps = steps
        self.close = close
        self.message = message
        self.fault = None

    def all_steps(self, delay):
        """Everything to do, a delay at first."""
        if delay:
            yield sleep(delay)

        if self.data is not None:
            yield send(self.data)
        else:
            yield from self.steps

        if self.close:
            yield CLOSE
