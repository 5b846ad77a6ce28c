# What "nginx -t" says: of mistakes, the directive, the value and the reason;
# of correct configurations, nothing.

use strict;
use warnings;

use lib 't/lib';
use NginxConf;
use Test::More;

my $KEY = 'AKIDEXAMPLE';
my $SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
my $ARN = 'arn:aws:ivschat:us-west-2:123456789012:room/AbCdEfGhIjKl';

my $USER = 'ivschat_token_user alice;';
my $ROOM = "ivschat_token_room $ARN;";
my $STATIC = "ivschat_token_credentials static key=$KEY secret=$SECRET;";
my $INTERNAL = 'location = /ivschat { internal; '
               . 'proxy_pass https://$ivschat_token_host/CreateChatToken; }';
my $RESOLVER = 'resolver 127.0.0.1:53;';


# A token location that is complete but for what is given here.

sub location {
    my (%in) = @_;

    my $user = $in{user} // $USER;
    my $room = $in{room} // $ROOM;
    my $add = $in{add} // '';

    return "location = /token { ivschat_token /ivschat; $user $room $add }";
}


sub parts {
    my (%in) = @_;

    my $credentials = $in{credentials} // $STATIC;

    return (
        mode => $in{mode},
        main => $in{main},
        http => "$RESOLVER $credentials " . ($in{http} // ''),
        server => $INTERNAL . ' ' . ($in{server} // '') . ' '
                  . ($in{location} // location(%in)),
    );
}


# One test: it is refused in an orderly way, with this message.  With
# "hidden", the output does not have that.

sub bad {
    my ($name, $in, $message) = @_;

    my ($status, $output) = NginxConf::test(parts(%$in));
    my @wrong;

    push @wrong, 'it was accepted' if $status == 0;
    push @wrong, 'it crashed' if $status & 127 || $status >> 8 > 127;
    push @wrong, 'a sanitizer reported' if $output =~ /Sanitizer|runtime error/;
    push @wrong, 'the message is another one'
        if $output !~ /\[emerg\] [^\n]*\Q$message\E/;
    push @wrong, 'it has a secret'
        if index($output, $SECRET) >= 0
           || defined $in->{hidden} && index($output, $in->{hidden}) >= 0;

    ok(!@wrong, "refused: $name")
        or diag(join(', ', @wrong), "\n", $output, "wanted: $message");
}


# One test: it is accepted, and nothing is said but this warning, if any.

sub good {
    my ($name, $in, $warning) = @_;

    my ($status, $output) = NginxConf::test(parts(%$in));

    # most locations here have a user without variables

    my @said = grep { !/syntax is ok$|test is successful$/
                      && (/\[warn\]/ || !/ is the same for all clients, /
                          || defined $warning && /\Q$warning\E/) }
               split /\n/, $output;
    my $fits = defined $warning
               ? @said == 1 && $said[0] =~ /\[(warn|notice)\] .*\Q$warning\E/
               : @said == 0;

    ok($status == 0 && $fits, "accepted: $name") or diag($output);
}


sub invalid {
    my ($directive, $value, $reason) = @_;
    return qq(invalid value "$value" in "$directive" directive: $reason);
}


# ivschat_token

my $pass = 'ivschat_token';

sub uri {
    my ($uri) = @_;
    return { location => "location = /token { ivschat_token $uri; "
                         . "$USER $ROOM }" };
}

bad('a URI without "/"', uri('ivschat'),
    invalid($pass, 'ivschat', 'a URI that begins with'));
bad('an empty URI', uri('""'),
    invalid($pass, '', 'a URI that begins with'));
bad('a named location', uri('@ivschat'),
    invalid($pass, '@ivschat', 'a URI that begins with'));
bad('a URL', uri('https://ivschat.us-west-2.amazonaws.com/'),
    invalid($pass, 'https://ivschat.us-west-2.amazonaws.com/', 'a URI that'));
bad('a variable in the URI', uri('/$host'),
    invalid($pass, '/$host', 'the URI must not contain variables'));
bad('arguments in the URI', uri('/ivschat?a=b'),
    invalid($pass, '/ivschat?a=b', 'the URI must not contain arguments'));
bad('a fragment in the URI', uri('"/ivschat#a"'),
    invalid($pass, '/ivschat#a', 'the URI must not contain arguments or a fragment'));
bad('the location itself', uri('/token'),
    invalid($pass, '/token', 'this is the location itself'));
bad('two ivschat_token', { add => 'ivschat_token /other;' },
    '"ivschat_token" directive is duplicate');
bad('ivschat_token without a URI', uri(''),
    'invalid number of arguments in "ivschat_token" directive');
bad('ivschat_token with two URIs', uri('/a /b'),
    'invalid number of arguments in "ivschat_token" directive');
bad('ivschat_token at the http level', { http => 'ivschat_token /ivschat;' },
    '"ivschat_token" directive is not allowed here');
bad('ivschat_token at the server level',
    { server => 'ivschat_token /ivschat;' },
    '"ivschat_token" directive is not allowed here');
bad('ivschat_token in "if"',
    { location => 'location / { if ($arg_a) { ivschat_token /ivschat; } }' },
    '"ivschat_token" directive is not allowed here');
bad('ivschat_token in "limit_except"',
    { location => 'location / { limit_except GET { ivschat_token /x; } }' },
    '"ivschat_token" directive is not allowed here');
bad('no user', { user => '' },
    '"ivschat_token /ivschat" in location "/token" requires '
    . '"ivschat_token_user"');
bad('no room', { room => '' },
    '"ivschat_token /ivschat" in location "/token" requires '
    . '"ivschat_token_room"');
bad('"none" for the room', { room => 'ivschat_token_room none;' },
    '"ivschat_token /ivschat" in location "/token" requires '
    . '"ivschat_token_room"');
bad('"none" over a room of the server',
    { server => $ROOM, room => 'ivschat_token_room none;' },
    'requires "ivschat_token_room"');
bad('a user that is there for another server only',
    { user => '', server => "location / { $USER }" },
    'requires "ivschat_token_user"');

for my $handler ('proxy_pass http://127.0.0.1:1', 'empty_gif',
                 'fastcgi_pass 127.0.0.1:1', 'memcached_pass 127.0.0.1:1')
{
    my ($name) = split ' ', $handler;

    bad("$name behind it", { add => "$handler;" },
        '"ivschat_token /ivschat" in location "/token" has no effect');
}

bad('empty_gif before it',
    { location => "location = /token { empty_gif; ivschat_token /ivschat; "
                  . "$USER $ROOM proxy_pass http://127.0.0.1:1; }" },
    '"ivschat_token /ivschat" in location "/token" has no effect');


# The internal location, where nginx -t can tell which one that is

sub target {
    my ($uri, $locations) = @_;
    return { location => "location = /token { ivschat_token $uri; $USER $ROOM "
                         . "} $locations" };
}

my $warning = 'to which "ivschat_token" in location "/token" passes requests, '
              . 'is not "internal": clients can send requests of their own';

good('an exact location that is not internal',
    target('/a', 'location = /a { }'), "location \"/a\", $warning");
good('a prefix that is not internal', target('/a/b', 'location /a { }'),
    "location \"/a\", $warning");
good('the longest prefix counts',
    target('/a/b', 'location / { internal; } location /a/ { } '
                   . 'location = /a/c { internal; }'),
    "location \"/a/\", $warning");
good('a nested location', target('/a/b', 'location /a/ { internal; '
                                         . 'location = /a/d { } '
                                         . 'location /a/b { } }'));
good('a prefix above regular expressions that it excludes',
    target('/a', 'location ^~ /a { } location ~ a { internal; }'),
    "location \"/a\", $warning");
good('an exact location that is internal',
    target('/a', 'location / { } location = /a { internal; }'));
good('a regular expression, which may match',
    target('/a', 'location / { } location ~ ^/a$ { internal; }'));
good('a nested regular expression, which may match',
    target('/a', 'location / { location ~ ^/a$ { internal; } }'));
good('no location at all', target('/a', ''));


# ivschat_token_user

my $user = 'ivschat_token_user';

sub user {
    my ($value) = @_;
    return { user => "ivschat_token_user $value;" };
}

bad('an empty user', user('""'), invalid($user, '', 'an empty value and "-" mean'));
bad('"-" for a user', user('-'), invalid($user, '-', 'an empty value and "-" mean'));
bad('a user of 129 characters', user('x' x 129),
    invalid($user, 'x' x 129, 'it is longer than 128 characters'));
bad('a user of 129 characters in two bytes each', user("\xc3\xa9" x 129),
    invalid($user, "\xc3\xa9" x 129, 'it is longer than 128'));
bad('a user that is not UTF-8', user("al\xffice"),
    invalid($user, "al\xffice", 'it is not valid UTF-8'));
bad('a surrogate in the user', user("\xed\xa0\x80"),
    invalid($user, "\xed\xa0\x80", 'it is not valid UTF-8'));
bad('an overlong form in the user', user("\xc0\xaf"),
    invalid($user, "\xc0\xaf", 'it is not valid UTF-8'));

bad('a control character in the user', user("\"al\nice\""),
    invalid($user, "al\nice", 'it contains a control character'));
bad('DEL in the user', user("al\x7fice"),
    invalid($user, "al\x7fice", 'it contains a control character'));

for my $value ('$http_x_user', '${http_x_user}', '$HTTP_X_USER',
               'u-$http_x-y', '$arg_user', '$args', '$cookie_user',
               '$query_string', '$request_uri', '$remote_user$arg_x',
               '$remote_user $cookie_a')
{
    bad("$value for the user", user("\"$value\""),
        invalid($user, $value, 'the client writes "$'));
}

bad('an unknown variable for the user', user('$nosuch_variable'),
    'unknown "nosuch_variable" variable');
bad('an invalid variable for the user', user('"$"'), 'invalid variable name');
bad('another word than "trusted"', user('alice sure'),
    invalid($user, 'sure', '"[trusted]" is expected'));
bad('"Trusted"', user('$http_x_user Trusted'),
    invalid($user, 'Trusted', '"[trusted]" is expected'));
bad('two users', { add => 'ivschat_token_user bob;' },
    '"ivschat_token_user" directive is duplicate');
bad('no argument for the user', user(''),
    'invalid number of arguments in "ivschat_token_user" directive');
bad('three arguments for the user', user('alice trusted trusted'),
    'invalid number of arguments in "ivschat_token_user" directive');


# ivschat_token_room

my $room = 'ivschat_token_room';
my $no_arn = 'a room ARN';

sub room {
    return { room => join ' ', map { "ivschat_token_room $_;" } @_ };
}

for my $value ('lobby', '""', "arn:aws:ivs:us-west-2:123456789012:room/a",
               'arn:aws:ivschat:us-west-2:123456789012:room/',
               'arn:aws:ivschat:us-west-2:123456789012:room/a_b',
               'arn:aws:ivschat:us-west-2:12345678901x:room/ab',
               'arn:aws:ivschat::123456789012:room/ab',
               'arn:aws:ivschat:US-WEST-2:123456789012:room/ab',
               'arn:aws:ivschat:us-west-2:123456789012:logging-config/ab',
               'arn:aws:ivschat:us-west-2:123456789012:room/ab/cd',
               'arn:aws:ivschat:us-west-2:123456789012:room/' . 'a' x 85,
               " $ARN", 'none ', 'name=lobby')
{
    (my $text = $value) =~ s/"//g;

    bad("\"$text\" for a room", room($value eq '""' ? $value : "\"$value\""),
        invalid($room, $text, $no_arn));
}

bad('a room behind one that always counts', room($ARN, '$remote_addr'),
    invalid($room, '$remote_addr', 'this room can never be selected: a '
                                . 'line above always applies'));
bad('the same room twice', room($ARN, $ARN),
    invalid($room, $ARN, 'this room can never be selected'));
bad('a room behind one with if=1', room("$ARN if=1", '$remote_addr'),
    invalid($room, '$remote_addr', 'this room can never be selected'));
bad('a conditional room behind one that always counts',
    room($ARN, "$ARN if=\$https"),
    invalid($room, $ARN, 'this room can never be selected'));

for my $false (qw(0 false off no null FALSE Off)) {
    bad("a room with if=$false", room("$ARN if=$false"),
        invalid($room, "if=$false", 'this room can never be selected'));
}

bad('a condition without a variable', room("$ARN if=is_moderator"),
    invalid($room, 'if=is_moderator', 'a condition without variables'));
bad('an empty condition', room("$ARN if="),
    invalid($room, 'if=', 'empty condition'));
bad('a condition with an unknown variable', room("$ARN if=\$nosuch_variable"),
    'unknown "nosuch_variable" variable');
bad('another parameter than if=', room("$ARN when=\$https"),
    invalid($room, 'when=$https', '"[if=condition] [trusted]" is expected'));
bad('a condition before the room', room("if=\$https $ARN"),
    invalid($room, 'if=$https', 'a value is expected before "if="'));
bad('a room with three arguments', room("$ARN if=\$https if=\$scheme"),
    '"[if=condition] [trusted]" is expected');
bad('a room and then "none"', room($ARN, 'none'),
    invalid($room, 'none', '"none" must be the only line on its level'));
bad('"none" and then a room', room('none', $ARN),
    invalid($room, 'none', '"none" must be the only line') =~ s/"none"(?= in)/"$ARN"/r);
bad('"none" twice for rooms', { room => $ROOM, server =>
                               'ivschat_token_room none; '
                               . 'ivschat_token_room none;' },
    invalid($room, 'none', '"none" must be the only line on its level'));
bad('an unknown variable for a room', room('$nosuch_variable'),
    'unknown "nosuch_variable" variable');


# ivschat_token_capabilities

my $caps = 'ivschat_token_capabilities';

sub caps {
    return { add => join ' ', map { "ivschat_token_capabilities $_;" } @_ };
}

bad('an unknown capability', caps('SEND_MESSAGES'),
    invalid($caps, 'SEND_MESSAGES', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('a capability in lower case', caps('send_message'),
    invalid($caps, 'send_message', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('capabilities with a comma', caps('SEND_MESSAGE,DELETE_MESSAGE'),
    invalid($caps, 'SEND_MESSAGE,DELETE_MESSAGE', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('an empty capability', caps('""'),
    invalid($caps, '', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('a capability twice on a line', caps('SEND_MESSAGE SEND_MESSAGE'),
    invalid($caps, 'SEND_MESSAGE', 'duplicate'));
bad('a variable for a capability', caps('$https'),
    invalid($caps, '$https', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('a condition alone', caps('if=$https'),
    invalid($caps, 'if=$https', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('a condition among the capabilities',
    caps('SEND_MESSAGE if=$https DELETE_MESSAGE'),
    invalid($caps, 'if=$https', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('two conditions', caps('SEND_MESSAGE if=$https if=$scheme'),
    invalid($caps, 'if=$https', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('a capability if=moderator', caps('DELETE_MESSAGE if=moderator'),
    invalid($caps, 'if=moderator', 'a condition without variables'));
bad('"none" with a capability', caps('none SEND_MESSAGE'),
    invalid($caps, 'none', 'SEND_MESSAGE, DISCONNECT_USER or'));
bad('a capability and then "none"', caps('SEND_MESSAGE', 'none'),
    invalid($caps, 'none', '"none" must be the only line'));
bad('"none" and then a capability', caps('none', 'SEND_MESSAGE'),
    invalid($caps, 'SEND_MESSAGE', '"none" must be the only line'));
bad('no capability', caps(''),
    'invalid number of arguments in "ivschat_token_capabilities" directive');


# ivschat_token_attribute

my $attr = 'ivschat_token_attribute';

sub attr {
    return { add => join ' ', map { "ivschat_token_attribute $_;" } @_ };
}

bad('an attribute without a value', attr('color'),
    invalid($attr, 'color', 'a name and a value, or'));
bad('an attribute without a name', attr('"" red'),
    invalid($attr, '', 'a name must be valid UTF-8'));
bad('an attribute whose name is not UTF-8', attr("\xff red"),
    invalid($attr, "\xff", 'a name must be valid UTF-8'));
bad('an attribute whose value is not UTF-8', attr("color r\xe9d"),
    invalid($attr, "r\xe9d", 'it is not valid UTF-8'));
bad('a variable in an attribute\'s name', attr('$arg_name red'),
    invalid($attr, '$arg_name', 'a name must not contain variables'));
bad('a condition instead of a value', attr('color if=$https'),
    invalid($attr, 'if=$https', 'a value is expected before "if="'));
bad('a third argument that is no condition', attr('color red blue'),
    invalid($attr, 'blue', '"[if=condition] [trusted]" is expected'));
bad('an attribute if=moderator', attr('color red if=moderator'),
    invalid($attr, 'if=moderator', 'a condition without variables'));
bad('an attribute twice', attr('color red', 'color blue'),
    'duplicate "ivschat_token_attribute color"');
bad('an attribute that a line above always has',
    attr('color red', 'color blue if=$https'),
    'duplicate "ivschat_token_attribute color"');
bad('an attribute of 1025 bytes', attr('color ' . 'x' x 1020),
    'the "ivschat_token_attribute" lines have 1025 bytes of names and '
    . 'values, the limit is 1024');
bad('attributes of 1026 bytes in all', attr('ab ' . 'x' x 511,
                                            'cd ' . 'x' x 511),
    'the "ivschat_token_attribute" lines have 1026 bytes');
bad('attributes whose bytes, not characters, are over 1024',
    attr('a ' . "\xc3\xa9" x 512),
    'the "ivschat_token_attribute" lines have 1025 bytes');
bad('an attribute of 1025 bytes with a condition that always holds',
    attr('color ' . 'x' x 1020 . ' if=1'),
    'the limit is 1024');
bad('an attribute that alone is over 1 KB whenever its condition holds',
    attr('color ' . 'x' x 1020 . ' if=$https'),
    'the limit is 1024');
bad('an attribute behind one with a condition that always holds',
    attr('color red if=1', 'color blue'),
    'duplicate "ivschat_token_attribute color"');
bad('inherited attributes over 1 KB',
    { http => 'ivschat_token_attribute ab ' . 'x' x 1023 . ';' },
    'the "ivschat_token_attribute" lines have 1025 bytes');
bad('an attribute and then "none"', attr('color red', 'none'),
    invalid($attr, 'none', '"none" must be the only line'));
bad('"none" and then an attribute', attr('none', 'color red'),
    invalid($attr, 'color', '"none" must be the only line'));
bad('an attribute with four arguments', attr('a b if=$https c'),
    '"[if=condition] [trusted]" is expected');


# ivschat_token_session_duration

my $duration = 'ivschat_token_session_duration';

for my $value ('60', '0m', '181m', '4h', '90s', '30s', '1m30s', '1d', 'm',
               'abc', '-1m', '60 m', '""', '60min', '1.5h')
{
    (my $text = $value) =~ s/"//g;

    bad("a duration of \"$text\"",
        { add => "$duration " . ($text eq '' ? '""' : "\"$text\"") . ';' },
        invalid($duration, $text, 'whole minutes from "1m" to "180m"'));
}

bad('two durations', { add => "$duration 1h; $duration 2h;" },
    "\"$duration\" directive is duplicate");
bad('a duration with two arguments', { add => "$duration 1h 30m;" },
    invalid($duration, '30m', '"[trusted]" is expected'));


# ivschat_token_methods

my $methods = 'ivschat_token_methods';

for my $value ('HEAD', 'PUT', 'post', 'DELETE', 'GET,POST', 'none') {
    bad("the method $value", { add => "$methods $value;" },
        invalid($methods, $value, 'POST or GET is expected'));
}

bad('a method twice', { add => "$methods GET GET;" },
    invalid($methods, 'GET', 'duplicate'));
bad('methods on two lines', { add => "$methods GET; $methods POST;" },
    "\"$methods\" directive is duplicate");
bad('no method', { add => "$methods;" },
    "invalid number of arguments in \"$methods\" directive");


# ivschat_token_endpoint

my $endpoint = 'ivschat_token_endpoint';

bad('an endpoint with a scheme', { add => "$endpoint https://a.example;" },
    invalid($endpoint, 'https://a.example', 'a host without a scheme'));

for my $value ('a.example/path', '$host', 'user@a.example', 'a b', 'a_b',
               "\xc3\xa9.example", 'a.example?')
{
    bad("the endpoint \"$value\"", { add => "$endpoint \"$value\";" },
        invalid($endpoint, $value, 'a host with an optional port'));
}

for my $value ('a.example:0', 'a.example:65536', 'a.example:x', '""', ':443',
               '[::1', '[]:443', '[::zz]', 'a.example:443:443',
               'a' x 256 . '.example')
{
    (my $text = $value) =~ s/"//g;

    bad("the endpoint \"$text\"",
        { add => "$endpoint " . ($text eq '' ? '""' : $text) . ';' },
        qq(invalid value "$text" in "$endpoint" directive: ));
}

bad('two endpoints', { add => "$endpoint a.example; $endpoint b.example;" },
    "\"$endpoint\" directive is duplicate");


# ivschat_token_region

my $region = 'ivschat_token_region';

for my $value ('US-WEST-2', 'us_west_2', 'us-west-2.', '', 'r' x 33,
               "\xc3\xa9")
{
    bad("the region \"$value\"", { add => "$region \"$value\";" },
        invalid($region, $value, 'a region such as'));
}

bad('two regions', { add => "$region us-west-2; $region us-east-1;" },
    "\"$region\" directive is duplicate");


# ivschat_token_timeout

my $timeout = 'ivschat_token_timeout';

for my $value ('', 'soon', '-1s', '5x', '1.5s', '$arg_a') {
    bad("a timeout of \"$value\"", { add => "$timeout \"$value\";" },
        invalid($timeout, $value, 'invalid time'));
}

for my $value ('0', '0ms', '0s') {
    bad("a timeout of $value", { add => "$timeout $value;" },
        invalid($timeout, $value, 'the time must not be zero'));
}

bad('two timeouts', { add => "$timeout 5s; $timeout 6s;" },
    "\"$timeout\" directive is duplicate");


# ivschat_token_tries

my $tries = 'ivschat_token_tries';

for my $value ('', '0', '11', '-1', 'three', '3x', '$arg_a', 'off') {
    bad("\"$value\" tries", { add => "$tries \"$value\";" },
        invalid($tries, $value, 'a number from 1 to 10 is expected'));
}

bad('tries twice', { add => "$tries 1; $tries 2;" },
    "\"$tries\" directive is duplicate");


# ivschat_token_rate

my $rate = 'ivschat_token_rate';

for my $value ('', '0', '-1', '100001', '1.5', '200r/s', 'on', '$arg_a') {
    bad("a rate of \"$value\"", { http => "$rate \"$value\";" },
        invalid($rate, $value,
                'a number from 1 to 100000 is expected'));
}

for my $value ('burst=', 'burst=0', 'burst=-1', 'burst=x', 'burst=100001',
               'user=', 'user=0', 'user=x', 'user=100001', 'user=on')
{
    bad("a rate with $value", { http => "$rate 200 $value;" },
        invalid($rate, $value, 'a number from 1 to 100000 is expected'));
}

for my $value ('wait=', 'wait=x', 'wait=-1s', 'wait=121s', 'wait=120001ms') {
    bad("a rate with $value", { http => "$rate 200 $value;" },
        invalid($rate, $value, 'a time up to "120s" is expected'));
}

my $parameters = 'the parameters are "burst=number", "wait=time" and '
                 . '"user=number|off", each once';

for my $value ('nodelay', 'burst', 'wait', 'user', 'delay=1') {
    bad("a rate with $value", { http => "$rate 200 $value;" },
        invalid($rate, $value, $parameters));
}

for my $value ('burst=2', 'wait=2s', 'user=2', 'user=off') {
    my ($name) = split /=/, $value;

    bad("two parameters, the second $value",
        { http => "$rate 200 $name=1 $value;" },
        invalid($rate, $value, $parameters));
}

bad('no rate, with a wait', { http => "$rate off wait=1s;" },
    invalid($rate, 'wait=1s', '"off" has no parameters'));
bad('two rates', { http => "$rate 200; $rate off;" },
    "\"$rate\" directive is duplicate");
bad("$rate in a server", { server => "$rate 200;" },
    "\"$rate\" directive is not allowed here");
bad("$rate in a location", { add => "$rate 200;" },
    "\"$rate\" directive is not allowed here");


# Each pair of account and region of a literal room has a rate.

sub rooms {
    my ($count) = @_;

    return join ' ', map {
        sprintf 'location = /t%d { ivschat_token /ivschat; '
                . 'ivschat_token_region us-west-2; ivschat_token_user alice; '
                . 'ivschat_token_room arn:aws:ivschat:us-west-2:'
                . '123456789%03d:room/AbCdEfGhIjKl; }', $_, $_
    } 1 .. $count;
}

good('rooms of 600 pairs of account and region', { location => rooms(600) });

my $same = '"ivschat_token_user" in location "/t1" is the same for all '
           . 'clients, so "user" of "ivschat_token_rate" does not limit it';

good('a user without variables', { location => rooms(1) }, $same);


# ivschat_token_refresh_spread

my $spread = 'ivschat_token_refresh_spread';

for my $value ('', '0', '0%', '91%', '100', '-1', '%', '5%%', 'on', '10s',
               '$arg_a')
{
    bad("a spread of \"$value\"", { add => "$spread \"$value\";" },
        invalid($spread, $value, '"off" or 1% to 90% is expected'));
}

bad('two spreads', { add => "$spread 10%; $spread off;" },
    "\"$spread\" directive is duplicate");


# ivschat_token_require_tls, ivschat_token_intercept_errors

for my $flag (qw(ivschat_token_require_tls ivschat_token_intercept_errors)) {
    bad("$flag yes", { add => "$flag yes;" },
        "invalid value \"yes\" in \"$flag\" directive, it must be \"on\" or");
    bad("$flag without a value", { add => "$flag;" },
        "invalid number of arguments in \"$flag\" directive");
    bad("$flag twice", { add => "$flag on; $flag off;" },
        "\"$flag\" directive is duplicate");
}


# ivschat_token_credentials

my $creds = 'ivschat_token_credentials';
my $static = 'in "ivschat_token_credentials static" directive: ';

sub creds {
    my ($value, $hidden) = @_;
    return { credentials => "ivschat_token_credentials $value;",
             hidden => $hidden };
}

bad('an unknown source of credentials', creds('vault'),
    invalid($creds, 'vault', 'it must be'));
bad('a source in upper case', creds("STATIC key=$KEY secret=$SECRET"),
    invalid($creds, 'STATIC', 'it must be'));
bad('parameters alone', creds("key=$KEY secret=$SECRET"),
    "\"$creds\" directive: it must be");
bad('a secret in the place of the source',
    creds("secret=$SECRET key=$KEY static", $SECRET),
    '"ivschat_token_credentials" directive');
bad('static without a key', creds("static secret=$SECRET"),
    "invalid parameter \"key=\" ${static}it is missing");
bad('static without a secret', creds("static key=$KEY"),
    "invalid parameter \"secret=\" ${static}it is missing");
bad('static alone', creds('static'),
    "invalid parameter \"key=\" ${static}it is missing");
bad('an empty key', creds("static key= secret=$SECRET"),
    "invalid parameter \"key=\" ${static}it is empty");
bad('an empty secret', creds("static key=$KEY secret="),
    "invalid parameter \"secret=\" ${static}it is empty");
bad('an empty session token', creds("static key=$KEY secret=$SECRET token="),
    "invalid parameter \"token=\" ${static}it is empty");
bad('two keys', creds("static key=$KEY key=OTHERKEY secret=$SECRET",
                      'OTHERKEY'),
    "invalid parameter \"key=\" ${static}it is a duplicate");
bad('two secrets', creds("static key=$KEY secret=$SECRET secret=another-one",
                         'another-one'),
    "invalid parameter \"secret=\" ${static}it is a duplicate");
bad('a key with a dash', creds("static key=AKID-EXAMPLE secret=$SECRET"),
    "invalid parameter \"key=\" ${static}an access key id has only letters");
bad('a key of 129 characters', creds("static key=@{['A' x 129]} secret=x"),
    "invalid parameter \"key=\" ${static}it is too long");
bad('a secret with a blank', creds("static key=$KEY 'secret=not so secret'",
                                   'not so secret'),
    "invalid parameter \"secret=\" ${static}it may have only visible ASCII");
bad('a secret with a tab', creds("static key=$KEY \"secret=hush\thush\"",
                                 'hush'),
    "invalid parameter \"secret=\" ${static}it may have only visible ASCII");
bad('a secret of 257 characters',
    creds("static key=$KEY secret=@{['s' x 257]}", 'sss'),
    "invalid parameter \"secret=\" ${static}it is too long");
bad('a secret that is not ASCII', creds("static key=$KEY secret=h\xc3\xa9",
                                        "h\xc3\xa9"),
    "invalid parameter \"secret=\" ${static}it may have only visible ASCII");
bad('a session token with a blank',
    creds("static key=$KEY secret=$SECRET 'token=se ssion'", 'se ssion'),
    "invalid parameter \"token=\" ${static}it may have only visible ASCII");
bad('a secret without its name',
    creds("static key=$KEY hush-hush", 'hush-hush'),
    "invalid parameter \"…=\" ${static}this source has no such parameter");
bad('a secret under a wrong name',
    creds("static key=$KEY secret_key=hush-hush", 'hush-hush'),
    "invalid parameter \"secret_key=\" ${static}this source has no such");
bad('parameters for env', creds("env key=$KEY"),
    'directive: this source has no');
bad('parameters for auto', creds("auto key=$KEY"),
    'directive: this source has no');
bad('a secret as parameter of env', creds('env secret=hush-hush', 'hush-hush'),
    'directive: this source has no');
bad('credentials twice',
    creds("static key=$KEY secret=$SECRET; $creds env"),
    "\"$creds\" directive is duplicate");
bad('credentials without a source', creds(''),
    "invalid number of arguments in \"$creds\" directive");

for my $source ('credential_process', 'process', 'sso', 'ssm', 'Imds',
                'AUTO', 'ecs', 'web-identity', 'assume-role', 'none', '""')
{
    (my $text = $source) =~ s/"//g;

    bad("the source \"$text\"", creds($source),
        invalid($creds, $text, 'it must be "auto", "env", "static", '
                . '"profile", "container", "web_identity", "imds" or '
                . '"assume_role"; credential_process and SSO are not '
                . 'supported'));
}

# Which parameter belongs to which source

my $ROLE = 'arn:aws:iam::123456789012:role/app';

my %value = (key => $KEY, secret => $SECRET, token => 'hush-hush',
             name => 'chat', file => '/nowhere/credentials', role => $ROLE,
             source => 'imds', region => 'us-west-2', external_id => 'x-1',
             session_name => 'chat', duration => '1h');

my %takes = (auto => [], env => [], container => [], imds => [],
             static => [qw(key secret token)], profile => [qw(name file)],
             web_identity => ['region'],
             assume_role => [qw(role source region external_id session_name
                                duration)]);

# what is there before the parameter, so that nothing else is missing

my %before = (static => " key=$KEY secret=$SECRET",
              assume_role => " role=$ROLE");

for my $source (sort keys %takes) {
    my $in = "in \"ivschat_token_credentials $source\" directive: ";

    for my $name (sort keys %value) {
        next if grep { $_ eq $name } @{ $takes{$source} };

        bad("$name= for $source",
            creds($source . ($before{$source} // '')
                  . " $name=$value{$name}", 'hush-hush'),
            "invalid parameter \"$name=\" ${in}this source has no such");
    }

    for my $name (@{ $takes{$source} }) {
        next if $source eq 'static';

        bad("an empty $name= for $source", creds("$source $name="),
            "invalid parameter \"$name=\" ${in}it is empty");
        bad("$name= twice for $source",
            creds("$source $name=$value{$name} $name=$value{$name}"),
            "invalid parameter \"$name=\" ${in}it is a duplicate");
    }

    bad("a word alone for $source", creds("$source hush-hush", 'hush-hush'),
        "invalid parameter \"…=\" ${in}this source has no such parameter");
}

# Their values

sub role {
    my ($add, $role) = @_;
    return creds('assume_role role=' . ($role // $ROLE) . " $add");
}

bad('assume_role without a role', creds('assume_role'),
    'invalid parameter "role=" in "ivschat_token_credentials assume_role" '
    . 'directive: it is missing');
bad('assume_role with all but a role',
    creds('assume_role source=imds region=us-west-2 duration=1h'),
    'invalid parameter "role=" in "ivschat_token_credentials assume_role" '
    . 'directive: it is missing');

my $form = 'the ARN of a role has the form arn:aws:iam::<12 digits>:role/<name>';

for my $arn ((map { [$_ => $form] } qw(
                 arn:aws:iam::1:role/a
                 arn:aws:iam::12345678901x:role/app
                 arn:aws:iam::1234567890123:role/a
                 arn:aws:iam::123456789012:user/a
                 arn:aws:iam::123456789012:role/
                 arn:aws:iam::123456789012:role/a/
                 arn:aws:iam::123456789012:role/a*
                 arn:aws:ivschat:us-west-2:123456789012:room/a
                 arn:awsx:iam::123456789012:role/app
                 app-that-has-a-long-name
                 $arg_role_that_is_some_variable)),
             ['arn:aws:sts::123456789012:assumed-role/app/i-0' =>
              'use the ARN of the role, arn:aws:iam::<account>:role/<name>, '
              . 'instead of that of a session'],
             ['role/app' => 'the ARN of a role has 20 to 2048'])
{
    bad("the role $arn->[0]", role('', $arn->[0]),
        invalid($creds, $arn->[0], $arn->[1]));
}

for my $source ('static', 'assume_role', 'vault', 'Imds', 'auto,env') {
    bad("assume_role with source=$source", role("source=$source"),
        invalid($creds, $source, '"source=" must be "auto", "env", '
                . '"profile", "container", "web_identity" or "imds"'));
}

for my $name ('a', 'a b', 'a/b', 'a:b', "\xc3\xa9t\xc3\xa9", 'a' x 65, '$host',
              'a*')
{
    bad("the session name \"$name\"", role("'session_name=$name'"),
        invalid($creds, $name, 'a session name has '));
}

for my $id ('a', 'a b', 'a*b', 'a' x 1225, "\xc3\xa9t\xc3\xa9", 'a;b', '$host') {
    bad('the external id "' . substr($id, 0, 20) . '"',
        role("'external_id=$id'"),
        length $id < 1000 ? invalid($creds, $id, 'an external id has ')
                          : qq(invalid value "aaaa));
}

for my $time ('soon', '-1h', '1.5h', '$arg_a', '1x', '1m1h') {
    bad("the duration \"$time\" of a role", role("'duration=$time'"),
        invalid($creds, $time, 'it must be a time such as "1h"'));
}

for my $time (qw(899 14m59s 1m 0 43201 12h1s 13h 1d)) {
    bad("the duration $time of a role", role("duration=$time"),
        invalid($creds, $time, 'the duration of a role\'s session is 900 to '
                . '43200 seconds'));
}

for my $name ('US-WEST-2', 'us_west_2', 'us-west-2.', 'r' x 33, '$arg_r',
              'us-west-2.example.com/')
{
    bad("the region $name for a role", role("region=$name"),
        invalid($creds, $name, 'it must be a region such as "us-west-2"'));
    bad("the region $name for a web identity",
        creds("web_identity region=$name"),
        invalid($creds, $name, 'it must be a region such as "us-west-2"'));
}

bad('a mistake in a line that no location uses',
    { http => 'server { listen unix:/nowhere; '
              . "$creds assume_role role=nobody; }" },
    invalid($creds, 'nobody', 'the ARN of a role'));


# ivschat_token_zone

my $zone = 'ivschat_token_zone';

for my $size ('', 'large', '-1m', '1.5m', '1g1', '$arg_a', '1 m', '1t') {
    bad("a zone of \"$size\"", { http => "$zone '$size';" },
        "\"$zone\" directive invalid value");
}

for my $size (qw(0 0k 0m)) {
    bad("a zone of $size", { http => "$zone $size;" },
        "in \"$zone\" directive: this configuration needs ");
}

bad('two zones', { http => "$zone 1m; $zone 1m;" },
    "\"$zone\" directive is duplicate");
bad('a zone without a size', { http => "$zone;" },
    "invalid number of arguments in \"$zone\" directive");
bad('a zone with a name', { http => "$zone ivschat 1m;" },
    "invalid number of arguments in \"$zone\" directive");
bad('a zone at the server level', { server => "$zone 1m;" },
    "\"$zone\" directive is not allowed here");
bad('a zone in a location', { add => "$zone 1m;" },
    "\"$zone\" directive is not allowed here");

for my $size (qw(1 8k 100k)) {
    bad("a zone of $size for three slots",
        { %{ creds('imds') }, http => "$zone $size;",
          location => location(add => "$creds imds;")
          . location(add => "$creds assume_role role=$ROLE source=imds;")
            =~ s{/token }{/a }r
          . location(add => "$creds assume_role role=$ROLE source=imds "
                            . 'session_name=other;') =~ s{/token }{/b }r },
        "in \"$zone\" directive: this configuration needs ");
}

{
    my %in = (%{ creds('imds') }, http => "$zone 20k;");
    my ($status, $output) = NginxConf::test(parts(%in));
    my ($least) = $output =~ /this configuration needs (\d+) bytes/;

    ok($least, 'a zone too small is refused with the figure')
        or diag($output);

    $least //= 0;

    good("a zone of these $least bytes", { %in, http => "$zone $least;" });
    bad('a zone of one byte less', { %in, http => "$zone @{[$least - 1]};" },
        "this configuration needs $least bytes");
}


# The wrong place

for my $line ("$user alice", "$room $ARN", "$caps SEND_MESSAGE", "$attr a b",
              'ivschat_token_room_name a', 'ivschat_token_client_body on',
              'ivschat_token_client_attributes a',
              "$duration 1h", "$methods GET", "$endpoint a.example",
              "$region us-west-2", "$timeout 5s", "$creds env",
              "$creds imds", "$tries 3", "$rate 200", "$spread 10%",
              'ivschat_token_require_tls on',
              'ivschat_token_intercept_errors on')
{
    my ($name) = split ' ', $line;

    bad("$name outside of http", { main => "$line;" },
        "\"$name\" directive is not allowed here");
    bad("$name in an upstream",
        { http => "upstream u { server 127.0.0.1:1; $line; }" },
        "\"$name\" directive is not allowed here");
}

bad("$user in an \"if\" of the location",
    { add => "if (\$arg_a) { ivschat_token_user bob; }" },
    '"ivschat_token_user" directive is not allowed here');
bad("$room in \"limit_except\"",
    { add => "limit_except GET { $ROOM }" },
    '"ivschat_token_room" directive is not allowed here');
bad("$user in an \"if\" of the server",
    { server => 'if ($arg_a) { ivschat_token_user bob; }' },
    '"ivschat_token_user" directive is not allowed here');


# What is correct

good('the shortest configuration', {});
good('everything at the http level',
    { http => "$USER $ROOM ivschat_token_capabilities SEND_MESSAGE; "
              . 'ivschat_token_attribute a b; '
              . 'ivschat_token_session_duration 1h; '
              . 'ivschat_token_methods GET POST; '
              . 'ivschat_token_region us-west-2; '
              . 'ivschat_token_timeout 5s; ivschat_token_require_tls off; '
              . 'ivschat_token_tries 5; ivschat_token_refresh_spread 20%; '
              . 'ivschat_token_rate 100 burst=50 wait=2s; '
              . 'ivschat_token_intercept_errors on; '
              . 'ivschat_token_room_name $arg_room; '
              . 'ivschat_token_client_body on; '
              . 'ivschat_token_client_attributes a; '
              . 'ivschat_token_endpoint a.example;',
      user => '', room => '' });
good('user and room of the server',
    { server => "$USER $ROOM", user => '', room => '' });
good('other values at every level',
    { http => "$USER $ROOM", server => "ivschat_token_user bob; $ROOM",
      user => 'ivschat_token_user carol;' });
good('lines without a location that mints', { location => "$USER $ROOM" });
good('a room of the http level below "none" of the server',
    { http => $ROOM, server => 'ivschat_token_room none;' });
good('"none" for capabilities and attributes',
    { http => 'ivschat_token_capabilities SEND_MESSAGE; '
              . 'ivschat_token_attribute a b;',
      add => 'ivschat_token_capabilities none; '
             . 'ivschat_token_attribute none;' });
good('"none" ends attributes that are too many for a token',
    { http => 'ivschat_token_attribute ab ' . 'x' x 1023 . ';',
      add => 'ivschat_token_attribute none;' });
good('an "if" in the location', { add => 'if ($arg_a) { set $x 1; }' });
good('an "if" that another module handles',
    { add => 'if ($arg_a) { proxy_pass http://127.0.0.1:1; }' });
good('limit_except', { add => 'limit_except POST { deny all; }' });
good('limit_except that another module handles',
    { add => 'limit_except POST { proxy_pass http://127.0.0.1:1; }' });
good('a location within a token location',
    { location => "location /token { ivschat_token /ivschat; $USER $ROOM "
                  . 'location /token/static { return 200 x; } }' });
good('a location within one that has all but ivschat_token',
    { location => "location /a { $USER $ROOM location = /a/token { "
                  . 'ivschat_token /ivschat; } }' });
good('a named token location',
    { location => "location \@token { ivschat_token /ivschat; "
                  . "$USER $ROOM }" });
good('a token location by a regular expression',
    { location => 'location ~ ^/(\w+)/token$ { ivschat_token /ivschat; '
                  . "ivschat_token_user \$1 trusted; $ROOM }" });
good('a user of 128 characters in two bytes each', user("\xc3\xa9" x 128));
good('a user of 128 emoji', user("\xf0\x9f\x98\x80" x 128));
good('a user with blanks and quotes', user('"a \"quoted\" user"'));
good('$remote_user', user('$remote_user'));
good('a variable of the client that is trusted', user('$http_x trusted'));
good('a variable whose name only resembles one',
    { http => 'map $uri $http3user { default a; } map $uri $argument '
              . '{ default a; }', user => 'ivschat_token_user '
              . '$http3user$argument;' });
good('variables of TLS', user('$ssl_client_s_dn'));
good('rooms with conditions, and one for the rest',
    room("$ARN if=\$https", "$ARN if=\$scheme", '$remote_addr'));
good('a room with if=1', room("$ARN if=1"));
good('a room with if=on behind others', room("$ARN if=\$https", "$ARN if=on"));
good('a room in China', room('arn:aws:ivschat:cn-north-1:1:room/a'));
good('a room with an ARN of 128 characters',
    room('arn:aws:ivschat:us-west-2:123456789012:room/' . 'a' x 84));
good('a room that is partly computed',
    room('arn:aws:ivschat:us-west-2:123456789012:room/$remote_addr'));
good('all capabilities on one line',
    caps('SEND_MESSAGE DISCONNECT_USER DELETE_MESSAGE'));
good('capabilities on many lines, twice, and never',
    caps('SEND_MESSAGE', 'SEND_MESSAGE DELETE_MESSAGE if=$https',
         'DISCONNECT_USER if=off', 'DISCONNECT_USER if=true'));
good('attributes of 1024 bytes', attr('color ' . 'x' x 1019));
good('attributes that only together are over 1 KB, by conditions',
    attr('a ' . 'x' x 1000 . ' if=$https', 'b ' . 'x' x 1000 . ' if=$scheme'));
good('an attribute with a fallback',
    attr('color red if=$https', 'color blue if=$scheme', 'color green'));
good('an attribute without a value', attr('color ""'));
good('an attribute whose value is $https', attr('color $https'));

for my $value (qw(1m 180m 60m 1h 3h 1h30m 60s 3600s 2h60m $https 0h1m)) {
    good("a duration of $value", { add => "$duration $value;" });
}

for my $value (qw(a.example a.example:443 a.example:8443 A.Example 127.0.0.1
                  127.0.0.1:8443 [::1] [::1]:443 [2001:db8::1]:8443
                  ivschat-fips.us-west-2.api.aws localhost))
{
    good("the endpoint $value", { add => "$endpoint $value;" });
}

good('a computed region', { add => "$region \$hostname;" });
good('the region of the room', { add => "$region us-west-2;" });
good('another region than the room\'s', { add => "$region us-east-1;" },
    "\"ivschat_token_region us-east-1\" is not the region of the room "
    . "\"$ARN\"");
good('a timeout in milliseconds', { add => "$timeout 1500ms;" });
good("$_ tries", { add => "$tries $_;" }) for 1, 10;
good("a rate of $_", { http => "$rate $_;" })
    for 'off', '1', '100000', '50 burst=10', '50 wait=0', '50 wait=60s',
        '50 wait=1500ms burst=100000', '50 wait=120s user=off burst=1',
        '50 user=100000';
good("a spread of $_", { add => "$spread $_;" })
    for 'off', '1', '1%', '25%', '90%';
good('credentials of the location',
    { credentials => '', add => $STATIC });
good('a session token',
    creds("static key=$KEY secret=$SECRET token=IQoJb3/+=="));
good('parameters in any order', creds("static secret=$SECRET key=$KEY"));
good('a secret that begins with "/" and has "+" and "$"',
    creds("static key=$KEY 'secret=/a+b\$c=='"));
good('the same credentials twice',
    { server => $STATIC, add => $STATIC });
good('env without an environment',  creds('env'),
    '"ivschat_token_credentials env" finds no credentials: AWS_ACCESS_KEY_ID is '
    . 'not set in the environment');
good('no credentials at all, since there may be a metadata service',
    { credentials => '' });

for my $line ('auto', 'imds', 'assume_role source=imds role=' . $ROLE,
              "assume_role role=$ROLE",
              'assume_role role=arn:aws-cn:iam::123456789012:role/a/path/app',
              'assume_role role=arn:aws-us-gov:iam::123456789012:role/app',
              "assume_role role=$ROLE region=eu-central-1",
              "assume_role role=$ROLE external_id=a+b=c,d.e\@f:g/h-i_j",
              "assume_role role=$ROLE session_name=a+b=c,d.e\@f-g_h",
              "assume_role role=$ROLE session_name=@{['a' x 64]} "
              . "external_id=@{['a' x 1224]}",
              "assume_role role=$ROLE duration=900",
              "assume_role role=$ROLE duration=15m",
              "assume_role role=$ROLE duration=12h",
              "assume_role duration=1h30m session_name=ab region=us-west-2 "
              . "external_id=ab source=auto role=$ROLE")
{
    good("the line \"" . substr($line, 0, 70) . '"', creds($line));
}

for my $size (qw(1m 512k 2M 1000000)) {
    good("a zone of $size", { %{ creds('imds') }, http => "$zone $size;" });
}

good('a zone before the credentials, and none that needs it',
    { http => "$zone 512k;" });
good('the same line in many places is one slot',
    { %{ creds('imds') }, http => "$zone 512k;",
      location => join ' ', map { location(add => "$creds imds;")
                                  =~ s{/token }{/token$_ }r } 1 .. 50 });

for my $line (['profile' => 'there is neither "'],
              ['profile name=chat' => 'there is neither "'],
              ['profile file=/nowhere/credentials' =>
               'there is neither "" nor "/nowhere/credentials"'],
              ['profile name=chat file=nowhere' => 'there is neither "" nor "'],
              ['container' => 'neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI '
                              . 'nor _FULL_URI is set in the environment'],
              ['web_identity' => 'AWS_WEB_IDENTITY_TOKEN_FILE is not set'],
              ['web_identity region=us-west-2' =>
               'AWS_WEB_IDENTITY_TOKEN_FILE is not set'],
              map { ["assume_role role=$ROLE source=$_->[0]" => $_->[1]] }
                  ['env' => 'AWS_ACCESS_KEY_ID is not set'],
                  ['profile' => 'there is neither "'],
                  ['container' => 'neither AWS_CONTAINER_CREDENTIALS_'],
                  ['web_identity' => 'AWS_WEB_IDENTITY_TOKEN_FILE is not set'])
{
    my ($source) = split ' ', $line->[0];

    good("\"$line->[0]\" without credentials, with a warning",
        creds($line->[0]),
        "\"$creds $source\" finds no credentials: $line->[1]");
}

# Who may read the file with the secret

for my $mode (0644, 0604, 0666) {
    good(sprintf('static in a file of mode %o, with a warning', $mode),
        { mode => $mode }, 'nginx.conf" holds secrets and is readable by '
        . 'all users: chmod 600 it');
}

for my $mode (0400, 0600, 0640, 0660) {
    good(sprintf('static in a file of mode %o', $mode), { mode => $mode });
}

good('credentials that are no secret, in a file for everyone',
    { %{ creds('imds') }, mode => 0644 });

good('no credentials, and no need of them',
    { credentials => '', location => 'location / { return 200; }' });

{
    local $ENV{AWS_ACCESS_KEY_ID} = $KEY;
    local $ENV{AWS_SECRET_ACCESS_KEY} = $SECRET;

    good('env with an environment', creds('env'));
    good('auto, which is the default', { credentials => '' });

    local $ENV{AWS_SESSION_TOKEN} = "a b";

    good('env with an unusable session token', creds('env'),
         'AWS_SESSION_TOKEN');
}

{
    local $ENV{AWS_ACCESS_KEY_ID} = $KEY;
    local $ENV{AWS_SECRET_ACCESS_KEY} = 'hush hush';

    my ($status, $output) = NginxConf::test(parts(%{ creds('env') }));

    is($status, 0, 'accepted: env with an unusable secret');
    like($output, qr/\[warn\] .*AWS_SECRET_ACCESS_KEY/,
         'a warning names the variable');
    unlike($output, qr/hush/, 'the secret is not shown');
}


done_testing();
