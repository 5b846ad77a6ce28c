// A tokenProvider for the ChatRoom of AWS's amazon-ivs-chat-messaging, 1.1.1.
// docs/clients.md describes it.  It needs no other file.

const KEEP_TRYING = [408, 425, 429];            // statuses below 500
const LONGEST_WAIT = 60;                        // seconds, before the jitter
const LONGEST_SESSION = 180 * 60;               // AWS's limit

export function tokenProvider(url, {
    room,                   // () => the ChatRoom
    request = () => ({}),   // () => options of fetch(), except the method
    refused = () => {},     // (problem): a retry would not help
    waiting = () => {},     // (seconds, problem): called before a retry
    answered = () => {},    // (response): called for each answer
    timeout = 20,           // time limit of an answer, in seconds
    soonest = 20,           // shortest use of a token, up to 30 seconds
}) {
    return async () => {
        for (let tries = 0; ; tries++) {
            const {token, problem} = await ask(url, request, answered,
                                               timeout, soonest);

            if (token) {
                return token;
            }

            // If rejected, the SDK immediately retries three times.
            if (problem.status >= 400 && problem.status < 500
                && !KEEP_TRYING.includes(problem.status))
            {
                setTimeout(() => { room().disconnect(); refused(problem); });
                return new Promise(() => {});
            }

            // Retry-After has whole seconds, random for each client.
            const told = Math.min(Number(problem.retryAfter), LONGEST_WAIT);
            const untold = Math.min(2 ** tries, LONGEST_WAIT);
            const seconds = told > 0
                ? told + Math.random() * Math.max(told / 4, 1)
                : untold + Math.random() * untold;

            setTimeout(waiting, 0, seconds, problem);
            await new Promise((done) => setTimeout(done, seconds * 1000));

            if (room()?.state === 'disconnected') {     // the user has left
                return new Promise(() => {});
            }
        }
    };
}

// Returns {token} in the form of the SDK, or {problem}; never throws.

async function ask(url, request, answered, timeout, soonest) {
    let status = 0, retryAfter, body;
    const signal = AbortSignal.timeout(timeout * 1000);

    // fetch() should do that, but Node 18 may lose the signal.
    const late = new Promise((_, reject) => {
        signal.onabort = () => reject(signal.reason);
    });
    late.catch(() => {});

    try {
        const response = await Promise.race([late, fetch(url, {
            method: 'POST', signal, ...await request(),
        })]);

        setTimeout(answered, 0, response);
        status = response.status;
        retryAfter = response.headers.get('Retry-After');
        body = await Promise.race([late, response.json()]);

        if (status === 200 && typeof body.token === 'string') {
            return {token: onThisClock(body, response.headers, soonest)};
        }
    } catch (error) {
        body = {detail: String(error), ...body};
    }

    return {problem: {retryAfter, ...body, status}};
}

// Converts the times to the clock of this device, which may be wrong.  Without
// the server's Date they are not converted.  The SDK requests the next token
// 60 s before the token expires, or 30 s before if no more than 60 s are left.
// It would do so immediately, and in a loop, if the token seems to have expired
// or 61 s are left.

function onThisClock(body, headers, soonest) {
    const now = Date.now();
    const wrong = now - Date.parse(headers.get('Date')) || 0;
    const ends = Date.parse(body.sessionExpirationTime) + wrong;
    const left = (Date.parse(body.tokenExpirationTime) + wrong - now) / 1000;
    const kept = left >= 60 + soonest
        ? Math.min(left, LONGEST_SESSION)
        : Math.min(Math.max(left, 30 + soonest), 60);

    return {
        token: body.token,
        tokenExpirationTime: isNaN(kept) ? undefined
                                         : new Date(now + kept * 1000),
        sessionExpirationTime: isNaN(ends) ? undefined : new Date(ends),
    };
}
