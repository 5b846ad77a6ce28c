// What t/browser/test_sdk.py drives in a browser: clients, as window.join()
// makes them, whose rooms are the SDK's and whose tokens come from nginx.

import {ChatRoom, DeleteMessageRequest, DisconnectUserRequest,
        SendMessageRequest} from 'amazon-ivs-chat-messaging';
import {tokenProvider} from '/client/token-provider.js';

const realFetch = window.fetch;

class Client {
    events = [];            // [name, detail], as the SDK tells them
    calls = [];             // {at, status} of each request for a token
    refusals = [];          // what the provider's "refused" was given
    waits = [];             // seconds

    constructor(user, {url = '/token', bare = false, edge = window.edge,
                       ...options})
    {
        this.request = {headers: {Authorization: `Basic ${btoa(user + ':x')}`}};
        this.url = `${url}${url.includes('?') ? '&' : '?'}as=${user}`;

        const provider = bare ? () => this.bare() : tokenProvider(this.url, {
            room: () => this.room,
            request: () => this.request,
            refused: (problem) => this.refusals.push(problem),
            waiting: (seconds) => this.waits.push(seconds),
            ...options,
        });

        this.room = new ChatRoom({regionOrUrl: edge, tokenProvider: provider});
        this.room.logLevel = 'error';
        this.room.logger = {debug() {}, info() {}, error() {}};

        for (const [name, pick] of [
            ['connecting', () => null], ['connect', () => null],
            ['disconnect', (reason) => reason],
            ['message', (message) => message.content],
            ['messageDelete', (event) => [event.messageId, event.reason]],
            ['userDisconnect', (event) => event.userId]])
        {
            this.room.addListener(name, (value) => {
                this.events.push([name, pick(value)]);
            });
        }
    }

    // What AWS's guide shows.

    async bare() {
        const response = await fetch(this.url, {method: 'POST',
                                                ...this.request});
        if (!response.ok) {
            throw new Error(response.status);
        }
        return response.json();
    }

    count(name) {
        return this.events.filter((event) => event[0] === name).length;
    }

    send(text) {
        return this.room.sendMessage(new SendMessageRequest(text, {
            color: 'green'}));
    }

    delete(id, reason) {
        return this.room.deleteMessage(new DeleteMessageRequest(id, reason));
    }

    expel(user, reason) {
        return this.room.disconnectUser(new DisconnectUserRequest(user,
                                                                  reason));
    }

    seen() {
        return {state: this.room.state, events: this.events,
                calls: this.calls, refusals: this.refusals,
                waits: this.waits};
    }
}

window.clients = {};

window.join = (user, options = {}) => {
    const client = new Client(user, options);
    window.clients[user] = client;
    client.room.connect();
    return client;
};

window.tokenProvider = tokenProvider;
window.sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

// Wait until condition() is true; whether it became so.

window.until = async (condition, seconds = 15) => {
    const end = performance.now() + seconds * 1000;

    while (!condition()) {
        if (performance.now() > end) {
            return false;
        }
        await window.sleep(10);
    }
    return true;
};

// Each request is counted for the client in whose name it is made.

window.fetch = async (url, init) => {
    const user = new URL(url, location).searchParams.get('as');
    const call = {at: performance.now(), status: null};

    window.clients[user]?.calls.push(call);
    const response = await realFetch(url, init);
    call.status = response.status;
    return response;
};

window.ready = true;
