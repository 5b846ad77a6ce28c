// Three people on one page.  Each has a ChatRoom of AWS's SDK, which gets its
// tokens from nginx through the tokenProvider of docs/client.

import {tokenProvider} from './token-provider.js';

const PASSWORD = 'demo';
const PEOPLE = [
    {user: 'alice', name: 'Alice', hint: 'Alice may only watch: try it'},
    {user: 'bob', name: 'Bob', hint: 'Say something as Bob'},
    {user: 'mod', name: 'Mod', hint: 'Say something as Mod'},
];
const EDGE = `${location.protocol === 'https:' ? 'wss' : 'ws'}://`
    + `${location.host}/chat/messaging`;

const $ = (id) => document.getElementById(id);

// Without the SDK the page shows tokens only.

const sdk = await import('amazon-ivs-chat-messaging').catch(() => null);

function credentials(user) {
    return {
        credentials: 'omit',        // a 401 opens no dialog
        headers: {Authorization: 'Basic ' + btoa(`${user}:${PASSWORD}`)},
    };
}

class Person {
    tokens = 0;
    rights = [];

    constructor({user, name, hint}) {
        this.user = user;
        this.name = name;
        this.panel = $('person').content.cloneNode(true).firstElementChild;
        this.panel.id = user;
        this.find('h2').textContent = name;
        this.find('.avatar').textContent = name[0];
        this.find('input').placeholder = hint;
        this.find('input').ariaLabel = hint;
        this.find('.join').onclick = () => this.joinOrLeave();
        this.find('form').onsubmit = (event) => {
            event.preventDefault();
            this.say();
        };
        $('people').append(this.panel);

        this.provider = tokenProvider('/chat/token', {
            room: () => this.room,
            request: () => credentials(user),
            answered: (response) => this.showRights(response),
            refused: (problem) => this.showState(
                `refused: ${problem.code ?? problem.status}`, 'bad'),
            waiting: (seconds) => this.showState(
                `waits ${Math.ceil(seconds)} s for a token`, 'busy'),
        });
    }

    find(selector) {
        return this.panel.querySelector(selector);
    }

    // The room

    makeRoom() {
        const room = new sdk.ChatRoom({
            regionOrUrl: EDGE,
            tokenProvider: async () => this.showToken(await this.provider()),
        });

        room.logLevel = 'error';            // "debug" logs each token

        room.addListener('connecting', () => this.showState('connecting…',
                                                            'busy'));
        room.addListener('connect', () => this.showState('connected', 'good'));
        room.addListener('disconnect', (reason) => {
            if (reason === 'clientDisconnect') {
                this.showState('not in the chat', '');
            } else {
                this.showState('disconnected', 'bad');
            }
        });
        room.addListener('message', (message) => this.addMessage(message));
        room.addListener('messageDelete', ({messageId}) => {
            this.removeMessage(messageId);
        });
        room.addListener('userDisconnect', ({userId}) => {
            this.addLine(`${nameOf(userId)} was disconnected.`);
        });
        return room;
    }

    async start() {
        if (sdk !== null) {
            this.room = this.makeRoom();
            this.room.connect();
            return;
        }

        this.room = {state: 'connecting', disconnect() {}};
        this.find('form').hidden = this.find('.messages').hidden = true;
        this.find('.join').hidden = true;
        this.showToken(await this.provider());
        this.showState('has a token', 'good');
    }

    joinOrLeave() {
        if (this.room.state === 'disconnected') {
            this.room.connect();
        } else {
            this.room.disconnect();
        }
    }

    // Requests

    async say() {
        const input = this.find('input');
        const text = input.value.trim();

        if (text !== '') {
            input.value = '';
            await this.attempt(() => this.room.sendMessage(
                new sdk.SendMessageRequest(text)));
        }
    }

    async attempt(action) {
        try {
            await action();
        } catch (error) {
            this.addLine(error.errorCode
                ? `${error.errorCode}: ${error.errorMessage}`
                : error.message, 'bad');
        }
    }

    // Events

    addMessage({id, sender, content}) {
        const line = document.createElement('li');
        const text = document.createElement('p');
        const head = document.createElement('span');

        head.append(element('strong', sender.attributes?.displayName
                                      ?? sender.userId));
        head.append(...this.tools(id, sender.userId));
        text.append(head, content);
        line.dataset.id = id;
        line.classList.toggle('own', sender.userId === this.user);
        line.append(avatar(sender.userId), text);
        this.append(line);
    }

    // The buttons that this person's token allows for a message.

    tools(id, sender) {
        const found = [];

        if (this.rights.includes('DELETE_MESSAGE')) {
            found.push(tool('delete', () => this.attempt(
                () => this.room.deleteMessage(
                    new sdk.DeleteMessageRequest(id, 'moderation')))));
        }

        if (this.rights.includes('DISCONNECT_USER') && sender !== this.user) {
            found.push(tool('disconnect', () => this.attempt(
                () => this.room.disconnectUser(
                    new sdk.DisconnectUserRequest(sender)))));
        }

        return found;
    }

    removeMessage(id) {
        const line = this.find(`li[data-id="${CSS.escape(id)}"]`);

        if (line !== null) {
            line.className = 'line';
            line.textContent = 'A moderator has deleted a message.';
        }
    }

    addLine(text, kind = '') {
        this.append(element('li', text, `line ${kind}`));
    }

    append(line) {
        const list = this.find('.messages');
        list.append(line);
        list.scrollTop = list.scrollHeight;
    }

    // State and token

    showState(text, kind) {
        const out = sdk !== null && this.room.state === 'disconnected';
        this.find('.state').textContent = text;
        this.find('.state').className = `state ${kind}`;
        this.find('.join').textContent = out ? 'Join' : 'Leave';
    }

    showRights(response) {
        this.rights = (response.headers.get('X-Chat-Capabilities') ?? '')
            .split(',').filter(Boolean);

        for (const item of this.panel.querySelectorAll('[data-right]')) {
            item.classList.toggle('yes',
                                  this.rights.includes(item.dataset.right));
        }
    }

    showToken(token) {
        this.token = token;
        this.tokens++;
        this.find('.count').textContent = this.tokens === 1 ? 'Token'
            : `Token no. ${this.tokens}`;
        this.find('.short').textContent =
            `${token.token.slice(0, 7)}…${token.token.slice(-7)}`;
        this.tick();
        return token;
    }

    tick() {
        if (this.token) {
            show(this.find('.expires'), this.token.tokenExpirationTime);
            show(this.find('.ends'), this.token.sessionExpirationTime);
        }
    }
}

function nameOf(user) {
    return PEOPLE.find((one) => one.user === user)?.name ?? user;
}

function element(tag, text, name = '') {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
}

function avatar(user) {
    const circle = element('span', nameOf(user)[0],
                           `avatar small of-${user}`);
    circle.ariaHidden = 'true';
    return circle;
}

function tool(text, action) {
    const button = element('button', text, 'tool');
    button.type = 'button';
    button.onclick = action;
    return button;
}

function show(time, date) {
    const seconds = Math.max(0, Math.ceil((date - Date.now()) / 1000));
    const two = (n) => String(n).padStart(2, '0');
    const hours = Math.floor(seconds / 3600);

    time.dateTime = date.toISOString();
    time.title = date.toLocaleTimeString();
    time.textContent = `${hours ? `${hours}:` : ''}`
        + `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

// The 401 is returned by auth_basic before the module is run.

async function letEveTry() {
    let calls = 0, left = false;

    tokenProvider('/chat/token', {
        room: () => ({state: 'connecting', disconnect() { left = true; }}),
        request: () => {
            calls++;
            return credentials('eve');
        },
        refused: ({status}) => {
            $('eve-says').textContent = `eve: ${status}, after ${calls} call`
                + `${left ? '; her room is disconnected' : ''}.`;
        },
    })();
}

$('no-chat').hidden = sdk !== null;
$('eve').onclick = letEveTry;

const people = PEOPLE.map((one) => new Person(one));

people.forEach((person) => person.start());
setInterval(() => people.forEach((person) => person.tick()), 1000);
