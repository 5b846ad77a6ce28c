# Rooms with names: what is refused when the configuration is read, which room
# a request gets, and what goes by its name.

use lib 't/lib';
use IvsChat;
use NginxConf;
use Test::Nginx::Socket 'no_plan';

my $STATIC = 'ivschat_token_credentials static key=' . IvsChat::KEY
             . ' secret=' . IvsChat::SECRET . ';';
my $INTERNAL = 'location = /ivschat { internal; '
               . 'proxy_pass https://$ivschat_token_host/CreateChatToken; }';


# "nginx -t" with these lines in a token location, and at the server level.

sub nginx_t {
    my ($lines, $server) = @_;

    return NginxConf::test(
        http => "resolver 127.0.0.1:53; $STATIC ivschat_token_user alice;",
        server => "$INTERNAL " . ($server // '')
                  . " location = /token { ivschat_token /ivschat; $lines }");
}


sub refused {
    my ($name, $lines, $message, $server) = @_;

    my ($status, $output) = nginx_t($lines, $server);
    my ($emerg) = $output =~ /\[emerg\] (?:\d+\#\d+: )?(.*)/;

    $emerg = defined $emerg ? $emerg =~ s{ in /\S+:\d+$}{}r : '';

    Test::More::ok($status != 0 && $status >> 8 < 128 && !($status & 127)
                   && $emerg eq $message, "refused: $name")
        or Test::More::diag("status $status\n$output\nwanted: $message");
}


sub accepted {
    my ($name, $lines, $server, $warning) = @_;

    my ($status, $output) = nginx_t($lines, $server);
    my @said = grep { !/syntax is ok$|test is successful$/
                      && !/ is the same for all clients, / }
               split /\n/, $output;
    my $fits = defined $warning
               ? @said == 1 && $said[0] =~ /\[warn\] .*\Q$warning\E/
               : @said == 0;

    Test::More::ok($status == 0 && $fits, "accepted: $name")
        or Test::More::diag("status $status\n$output");
}


sub invalid {
    my ($directive, $value, $reason) = @_;
    return qq(invalid value "$value" in "ivschat_token_$directive" directive: )
           . $reason;
}


sub rooms { return join ' ', map { "ivschat_token_room $_;" } @_ }

my ($A, $B) = map { "$IvsChat::ROOMS$_" } qw(a b);
my $AB = rooms("name=a $A", "name=b $B");
my $PICK = 'ivschat_token_room_name $arg_room;';
my $BODY = 'ivschat_token_client_body on;';
my $LINE = '"ivschat_token_room" lines';


# A room with a name

for my $case (
    ['no ARN', 'name=a', 'name=a',
     "a room ARN is expected after the name"],
    ['a condition for the ARN', 'name=a if=$https', 'if=$https',
     'a value is expected before "if="'],
    ['an empty name', "name= $A", 'name=',
     'a name must be valid UTF-8 and not empty'],
    ['a variable in the name', "name=\$arg_a $A", 'name=$arg_a',
     "a name must not contain variables"],
    ['a name that is not UTF-8', "name=\xff $A", "name=\xff",
     'a name must be valid UTF-8 and not empty'],
    ['a control character in the name', "\"name=a\tb\" $A", "name=a\tb",
     "a name must not contain control characters"],
    ['a variable for the ARN', 'name=a $hostname', '$hostname',
     'the ARN of a named room must not contain variables'],
    ['no ARN for the ARN', 'name=a b', 'b', "a room ARN of the form "
     . '"arn:aws:ivschat:REGION:ACCOUNT:room/ID" is expected'],
    ['a name behind the ARN', "$A name=a", 'name=a',
     '"[if=condition] [trusted]" is expected'],
    ['another parameter behind the ARN', "name=a $A when=\$https",
     'when=$https', '"[if=condition] [trusted]" is expected'],
    ['a condition that never holds', "name=a $A if=off", 'if=off',
     'this room can never be selected'],
    ['a condition without a variable', "name=a $A if=staff", 'if=staff',
     'a condition without variables would always be true'],
) {
    my ($name, $line, $value, $reason) = @$case;
    refused($name, rooms($line), invalid('room', $value, $reason));
}

refused('five arguments', rooms("name=a $A if=\$https if=\$scheme trusted"),
        'invalid number of arguments in "ivschat_token_room" directive');
refused('two conditions, without a name', rooms("$A if=\$https if=\$scheme"),
        invalid('room', 'if=$https', '"[if=condition] [trusted]" is expected'));


# Several

refused('a name twice', rooms("name=a $A", "name=b $B", "name=a $B") . $PICK,
        invalid('room', 'name=a', 'duplicate room name'));
refused('a name twice, with conditions',
        rooms("name=a $A if=\$https", "name=a $B if=\$scheme") . $PICK,
        invalid('room', 'name=a', 'duplicate room name'));
refused('a room without a name behind one with', rooms("name=a $A", $B),
        invalid('room', $B, 'rooms with and without names cannot be mixed'));
refused('a room with a name behind one without', rooms("$A if=\$https",
                                                       "name=b $B"),
        invalid('room', 'name=b',
                'rooms with and without names cannot be mixed'));
refused('"none" behind a room with a name', rooms("name=a $A", 'none'),
        invalid('room', 'none',
                '"none" must be the only line on its level'));
refused('a room with a name behind "none"', rooms('none', "name=a $A"),
        invalid('room', 'name=a',
                '"none" must be the only line on its level'));

my $no_pick = '"ivschat_token /ivschat" in location "/token" has several '
              . 'rooms and no way to select one: add "ivschat_token_room_name" '
              . 'or "ivschat_token_client_body on"';

refused('several, and nothing that picks', $AB, $no_pick);
refused('several of the server, and nothing that picks', '', $no_pick, $AB);
refused('several with conditions, and nothing that picks',
        rooms("name=a $A if=\$https", "name=b $B if=\$scheme"), $no_pick);
refused('several, and the client\'s body off again',
        "$AB ivschat_token_client_body off;", $no_pick, $BODY);
refused('one ARN, which the body picks by, under two names',
        rooms("name=a $A", "name=b $A if=\$https") . $BODY,
        '"ivschat_token_room name=b" can never be selected: the client\'s '
        . 'body selects by ARN, and "name=a" has the same ARN');
refused('"none" over rooms of the server', rooms('none') . $PICK,
        '"ivschat_token /ivschat" in location "/token" requires '
        . '"ivschat_token_room"', $AB);

accepted('several, and a picker', "$AB $PICK");
accepted('several, and the client\'s body', "$AB $BODY");
accepted('several, a picker of the server', $AB, $PICK);
accepted('several of the server, a picker in the location', $PICK, $AB);
accepted('a single one', rooms("name=a $A"));
accepted('a single one with a condition', rooms("name=a $A if=\$https"));
accepted('one ARN under two names, and a picker',
         rooms("name=a $A", "name=b $A") . $PICK);
accepted('one ARN under two names, the first with a condition',
         rooms("name=a $A if=\$https", "name=b $A") . $BODY);
accepted('a list of its own below that of the server',
         rooms("name=c $A"), $AB);
accepted('several where nothing mints', rooms($A), "location /x { $AB }");
accepted('the name "none"', rooms("name=none $A"));


# ivschat_token_room_name

refused('an empty picker', "$AB ivschat_token_room_name \"\";",
        invalid('room_name', '', 'empty room name'));
refused('two pickers', "$AB $PICK $PICK",
        '"ivschat_token_room_name" directive is duplicate');
refused('a picker with two arguments', "$AB ivschat_token_room_name a b;",
        'invalid number of arguments in "ivschat_token_room_name" directive');
refused('a picker with an unknown variable',
        "$AB ivschat_token_room_name \$nosuch_variable;",
        'unknown "nosuch_variable" variable');
refused('a literal picker that is no name', "$AB ivschat_token_room_name c;",
        '"ivschat_token_room_name c" in location "/token" selects none of its '
        . 'rooms');
refused('a literal picker in another case', "$AB ivschat_token_room_name A;",
        '"ivschat_token_room_name A" in location "/token" selects none of its '
        . 'rooms');
refused('a picker, and rooms without names', rooms($A) . $PICK,
        '"ivschat_token_room_name" in location "/token" has no rooms to select '
        . "from: add \"name=\" to the $LINE");

accepted('a literal picker', "$AB ivschat_token_room_name b;");
accepted('a picker of the server, which other locations need', rooms($A),
         "$PICK location = /other { ivschat_token /ivschat; $AB }");


# ivschat_token_client_body, ivschat_token_client_attributes

my $utf8 = 'a name must be valid UTF-8 and not empty';

refused('neither on nor off', rooms($A) . 'ivschat_token_client_body yes;',
        'invalid value "yes" in "ivschat_token_client_body" directive, '
        . 'it must be "on" or "off"');
refused('on twice', rooms($A) . $BODY . $BODY,
        '"ivschat_token_client_body" directive is duplicate');

for my $case (['an empty name', '""', '', $utf8],
              ['a name that is not UTF-8', "\xff", "\xff", $utf8],
              ['a variable', '$arg_a', '$arg_a',
               'a name must not contain variables'],
              ['a condition', 'a if=$arg_a', 'if=$arg_a',
               'a name must not contain variables'],
              ['a literal condition', 'a if=1', 'if=1',
               'conditions are not supported here'],
              ['a name twice', 'a b a', 'a', 'duplicate'],
              ['"none" behind a name', 'a; ivschat_token_client_attributes '
               . 'none', 'none',
               '"none" must be the only line on its level']) {
    my ($name, $line, $value, $reason) = @$case;
    refused("client attributes: $name",
            rooms($A) . "$BODY ivschat_token_client_attributes $line;",
            invalid('client_attributes', $value, $reason));
}

refused('client attributes: a name twice, on two lines',
        rooms($A) . "$BODY ivschat_token_client_attributes a;"
        . 'ivschat_token_client_attributes b a;',
        invalid('client_attributes', 'a', 'duplicate'));

accepted('client attributes',
         rooms($A) . "$BODY ivschat_token_client_attributes a \xc3\xa9;"
         . 'ivschat_token_client_attributes c;');
accepted('client attributes "none"',
         rooms($A) . "$BODY ivschat_token_client_attributes none;",
         'ivschat_token_client_attributes a;');
accepted('client attributes without a body',
         rooms($A) . 'ivschat_token_client_attributes a;', '',
         '"ivschat_token_client_attributes" in location "/token" has no '
         . 'effect without "ivschat_token_client_body on"');
accepted('client attributes of the server, for other locations', rooms($A),
         'ivschat_token_client_attributes a;');

for my $line ("ivschat_token_room name=a $A", 'ivschat_token_room_name a',
              'ivschat_token_client_body on',
              'ivschat_token_client_attributes a') {
    my ($name) = split ' ', $line;
    refused("$name in \"if\"", rooms($A) . "if (\$arg_a) { $line; }",
            "\"$name\" directive is not allowed here");
}


our $Passwords = ">>> passwords\n" . join '', map { "$_:{PLAIN}secret\n" }
                                              qw(alice bob carol);

sub basic {
    my ($user) = @_;
    return 'Authorization: Basic '
           . MIME::Base64::encode_base64("$user:secret", '');
}

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: one of several, by its name
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room      name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;
        ivschat_token_room      name=a/b-c.d $TEST_NGINX_IVSCHAT_ROOMSthree;
    }
--- ask
POST /token?room=lobby   => token
POST /token?room=stage   => token
POST /token?room=a/b-c.d => token
POST /token?room=lobby   => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSthree","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}



=== TEST 2: a name that there is not, and none at all
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room      name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;
    }
--- ask
POST /token?room=nosuch   => 404 room_not_found
POST /token?room=Lobby    => 404 room_not_found
POST /token?room=lobb     => 404 room_not_found
POST /token?room=lobby2   => 404 room_not_found
POST /token?room=%6cobby  => 404 room_not_found
POST /token?room=lobby%00 => 404 room_not_found
POST /token?room=         => 404 room_not_found
POST /token               => 404 room_not_found
POST /token?room=$TEST_NGINX_IVSCHAT_ROOMSone => 404 room_not_found
--- arrived
nothing
--- logged
no "ivschat_token_room" has the name "nosuch"
the value of "ivschat_token_room_name" is empty
--- not_logged
[error]



=== TEST 3: a strange name gets into the log as it may be there
--- config
    location ~ "(?s)^/token/(.*)$" {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $1;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
    }
--- ask
POST /token/a%0Ab%FF%09 => 404 room_not_found
POST /token/lobby       => token
--- logged
has the name "a?b??"



=== TEST 4: a room whose condition says no, and one that others may have
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room      name=staff $TEST_NGINX_IVSCHAT_ROOMStwo if=$arg_staff trusted;
    }
--- ask
POST /token?room=staff             => 403 room_forbidden
POST /token?room=staff&staff=false => 403 room_forbidden
POST /token?room=staff&staff=1     => token
POST /token?room=lobby             => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
--- logged
the condition of "ivschat_token_room name=staff" is false



=== TEST 5: a single one needs no picking
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room name=lobby $TEST_NGINX_IVSCHAT_ROOMSone if=$arg_in trusted;
        add_header         X-Room $ivschat_token_room_name always;
    }
--- ask
POST /token?in=1 => token
POST /token      => 403 room_forbidden
--- response_headers eval: ["X-Room: lobby\n", "X-Room: lobby\n"]
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}



=== TEST 6: with a picker a single one is picked, or not
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
    }
--- ask
POST /token?room=lobby => token
POST /token?room=other => 404 room_not_found
POST /token            => 404 room_not_found



=== TEST 7: a picker in the location, for the rooms of the server
--- config
    ivschat_token_user alice;
    ivschat_token_room name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
    ivschat_token_room name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;

    location = /lobby {
        ivschat_token           /ivschat;
        ivschat_token_room_name lobby;
    }

    location ~ ^/rooms/(\w+)$ {
        ivschat_token           /ivschat;
        ivschat_token_room_name $1;
    }

    location = /own {
        ivschat_token           /ivschat;
        ivschat_token_room      name=own $TEST_NGINX_IVSCHAT_ROOMSthree;
    }
--- ask
POST /lobby       => token
POST /rooms/stage => token
POST /rooms/own   => 404 room_not_found
POST /own         => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSthree","userId":"alice"}



=== TEST 8: a picker of the server, and a location whose rooms have no names
--- config
    ivschat_token_user      alice;
    ivschat_token_room_name $arg_room;

    location = /named {
        ivschat_token      /ivschat;
        ivschat_token_room name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
    }

    location = /plain {
        ivschat_token      /ivschat;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMStwo;
        add_header         X-Room "<$ivschat_token_room_name>";
    }
--- ask
POST /named?room=lobby => token
POST /plain?room=lobby => token
--- response_headers eval: ["", "X-Room: <>\n"]
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice"}



=== TEST 9: the variable, in a header, in the internal location, and in the log
--- http_config
    log_format rooms "$status <$ivschat_token_room_name> <$ivschat_token_room>";
--- config
    access_log logs/access.log rooms;

    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room      name=staff $TEST_NGINX_IVSCHAT_ROOMStwo if=$arg_staff trusted;
        add_header              X-Room $ivschat_token_room_name;
    }

    location = /ivschat {
        internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
        proxy_set_header X-Room-Name $ivschat_token_room_name;
    }
--- ask
POST /token?room=lobby => token
POST /token?room=staff => 403 room_forbidden
POST /token?room=other => 404 room_not_found
--- response_headers eval: ["X-Room: lobby\n", "", ""]
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my @values = map { $_->[1] } grep { lc $_->[0] eq 'x-room-name' }
                 map { @{ $_->{headers} } } @$seen;
    Test::More::is_deeply(\@values, ['lobby'], "$name - in /ivschat");
}
--- access
200 <lobby> <$TEST_NGINX_IVSCHAT_ROOMSone>
403 <staff> <>
404 <> <>



=== TEST 10: moderators of each room, by a map over room and user
--- http_config
    map "$ivschat_token_room_name:$ivschat_token_user" $moderator {
        lobby:alice  1;
        stage:bob    1;
        default      0;
    }
--- config
    auth_basic           chat;
    auth_basic_user_file ../html/passwords;

    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         $remote_user;
        ivschat_token_room_name    $arg_room;
        ivschat_token_room         name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room         name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;
        ivschat_token_capabilities SEND_MESSAGE;
        ivschat_token_capabilities DELETE_MESSAGE DISCONNECT_USER if=$moderator;
        ivschat_token_attribute    badge "mod of $ivschat_token_room_name" if=$moderator;
    }
--- user_files eval: $main::Passwords
--- request eval
[map { "POST /token?room=$_" } qw(lobby stage lobby stage lobby)]
--- more_headers eval
[map { main::basic($_) } qw(alice alice bob bob carol)]
--- expect
token
token
token
token
token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my @got = map { my $json = IvsChat::sent_json($_);
                    CORE::join ' ', $json->{userId}, $json->{roomIdentifier} =~ m{(\w+)$},
                              @{ $json->{capabilities} },
                              $json->{attributes}{badge} // () } @$seen;

    Test::More::is_deeply(\@got, [
        'alice one SEND_MESSAGE DISCONNECT_USER DELETE_MESSAGE mod of lobby',
        'alice two SEND_MESSAGE',
        'bob one SEND_MESSAGE',
        'bob two SEND_MESSAGE DISCONNECT_USER DELETE_MESSAGE mod of stage',
        'carol one SEND_MESSAGE'], $name);
}



=== TEST 11: the same with the room out of the client's body
--- http_config
    map "$ivschat_token_room_name:$ivschat_token_user" $moderator {
        lobby:alice  1;
        stage:bob    1;
        default      0;
    }

    map $ivschat_token_room_name $minutes { stage 90m; default 20m; }
--- config
    auth_basic           chat;
    auth_basic_user_file ../html/passwords;

    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             $remote_user;
        ivschat_token_room             name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room             name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;
        ivschat_token_capabilities     SEND_MESSAGE;
        ivschat_token_capabilities     DELETE_MESSAGE if=$moderator;
        ivschat_token_session_duration $minutes;
        ivschat_token_client_body      on;
    }
--- user_files eval: $main::Passwords
--- request eval
[map { qq(POST /token\n{"arn":"${IvsChat::ROOMS}$_","userId":"bob",)
       . '"capabilities":["SEND_MESSAGE","DELETE_MESSAGE","DISCONNECT_USER"]}' }
     qw(one two one two)]
--- more_headers eval
[map { main::basic($_) } qw(alice alice bob bob)]
--- expect
token
token
token
token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice","capabilities":["SEND_MESSAGE","DELETE_MESSAGE"],"sessionDurationInMinutes":20}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice","capabilities":["SEND_MESSAGE"],"sessionDurationInMinutes":90}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"bob","capabilities":["SEND_MESSAGE"],"sessionDurationInMinutes":20}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"bob","capabilities":["SEND_MESSAGE","DELETE_MESSAGE"],"sessionDurationInMinutes":90}



=== TEST 12: a room's own condition may go by its name
--- http_config
    map "$ivschat_token_room_name:$ivschat_token_user" $member {
        ~^lobby:.   1;
        staff:alice 1;
        default     0;
    }
--- config
    auth_basic           chat;
    auth_basic_user_file ../html/passwords;

    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         $remote_user;
        ivschat_token_room_name    $arg_room;
        ivschat_token_room         name=lobby $TEST_NGINX_IVSCHAT_ROOMSone if=$member;
        ivschat_token_room         name=staff $TEST_NGINX_IVSCHAT_ROOMStwo if=$member;
        ivschat_token_capabilities SEND_MESSAGE if=$member;
    }
--- user_files eval: $main::Passwords
--- request eval
[map { "POST /token?room=$_" } qw(lobby staff lobby staff)]
--- more_headers eval
[map { main::basic($_) } qw(alice alice bob bob)]
--- expect
token
token
token
403 room_forbidden
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice","capabilities":["SEND_MESSAGE"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice","capabilities":["SEND_MESSAGE"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"bob","capabilities":["SEND_MESSAGE"]}



=== TEST 13: a map that was used too early is evaluated again if it is volatile
--- http_config
    map "$ivschat_token_room_name:$ivschat_token_user" $moderator {
        volatile;
        lobby:alice 1;
        default     0;
    }
--- config
    location = /token {
        set $early $moderator;

        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_capabilities DELETE_MESSAGE if=$moderator;
        add_header                 X-Early $early;
    }
--- ask
POST /token => token
--- response_headers
X-Early: 0
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice","capabilities":["DELETE_MESSAGE"]}



=== TEST 14: rooms of two regions, each signed for its own
--- http_config eval
IvsChat::upstream('us-west-2') . IvsChat::upstream('eu-west-1')
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=west $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room      name=east arn:aws:ivschat:eu-west-1:123456789012:room/two;
    }
--- ask
POST /token?room=west => token
POST /token?room=east => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"arn:aws:ivschat:eu-west-1:123456789012:room/two","userId":"alice"}
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([map { $_->{region} } @$seen],
                          ['us-west-2', 'eu-west-1'], "$name - signed for");
}



=== TEST 15: a region that is computed from the room's name
--- http_config
    map $ivschat_token_room_name $region { lobby us-west-2; default wrong_one; }
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_region    $region;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room      name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;
    }
--- ask
POST /token?room=lobby => token
POST /token?room=stage => 500 misconfigured
--- logged
the value of "ivschat_token_region" is not a region: "wrong_one"



=== TEST 16: a computed duration that is wrong, and one that is empty
--- http_config
    map $ivschat_token_room_name $minutes { lobby ""; stage 90; default 2h; }
--- config
    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             alice;
        ivschat_token_session_duration $minutes;
        ivschat_token_room_name        $arg_room;
        ivschat_token_room             name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
        ivschat_token_room             name=stage $TEST_NGINX_IVSCHAT_ROOMStwo;
        ivschat_token_room             name=staff $TEST_NGINX_IVSCHAT_ROOMSthree;
    }
--- ask
POST /token?room=lobby => token
POST /token?room=stage => 500 misconfigured
POST /token?room=staff => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSthree","userId":"alice","sessionDurationInMinutes":120}
--- logged
invalid value "90" of "ivschat_token_session_duration": whole minutes



=== TEST 17: who has no user gets no further, whatever the room
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      $arg_room$http_x_user trusted;
        ivschat_token_room_name $arg_room;
        ivschat_token_room      name=lobby $TEST_NGINX_IVSCHAT_ROOMSone;
    }
--- ask
POST /token            => 401 unauthenticated
POST /token?room=other => 401 unauthenticated
POST /token?room=lobby => 401 unauthenticated
--- arrived
nothing
