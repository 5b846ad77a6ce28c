# The policy: who, into which room, with what, for how long.  What the service
# got is looked at there.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

# Basic authentication knows alice and bob by the password "secret".

our $Passwords = ">>> passwords\nalice:{PLAIN}secret\nbob:{PLAIN}secret\n";

sub basic {
    my ($user, $password) = @_;
    return 'Authorization: Basic '
           . MIME::Base64::encode_base64("$user:$password", '');
}

# The texts of one member in all requests that arrived.

sub sent {
    my ($name, $seen) = @_;
    return map { IvsChat::sent_json($_)->{$name} } @$seen;
}

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: the user that auth_basic has checked
--- config
    location = /token {
        auth_basic           chat;
        auth_basic_user_file ../html/passwords;

        ivschat_token        /ivschat;
        ivschat_token_user   $remote_user;
        ivschat_token_room   $TEST_NGINX_IVSCHAT_ROOM;
    }
--- user_files eval: $main::Passwords
--- request eval: ["POST /token", "POST /token", "POST /token", "POST /token"]
--- more_headers eval
[main::basic('alice', 'secret'), main::basic('bob', 'secret'),
 main::basic('alice', 'wrong'), '']
--- expect
token
token
401
401
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}



=== TEST 2: where nothing checks it, a made-up Authorization is nobody's
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $remote_user;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /braces {
        ivschat_token      /ivschat;
        ivschat_token_user u-${remote_user}-x;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /capitals {
        ivschat_token      /ivschat;
        ivschat_token_user $REMOTE_USER;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token    => 401 unauthenticated
POST /braces   => 401 unauthenticated
POST /capitals => 401 unauthenticated
--- more_headers eval: main::basic('alice', 'secret')
--- arrived
nothing
--- logged
"ivschat_token_user" depends on $remote_user, which "auth_basic" has not verified for this request



=== TEST 3: nor where auth_basic is off
--- config
    auth_basic           chat;
    auth_basic_user_file ../html/passwords;

    location = /token {
        auth_basic         off;
        ivschat_token      /ivschat;
        ivschat_token_user u-$remote_user;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- user_files eval: $main::Passwords
--- request
POST /token
--- more_headers eval: main::basic('alice', 'secret')
--- expect: 401 unauthenticated
--- arrived
nothing



=== TEST 4: without Authorization, $remote_user is nobody, and no error
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user u-$remote_user;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => 401 unauthenticated
--- arrived
nothing
--- not_logged
[error]



=== TEST 5: "satisfy any" that the address has satisfied leaves the user unchecked
--- config
    location = /token {
        satisfy              any;
        allow                all;
        auth_basic           chat;
        auth_basic_user_file ../html/passwords;

        ivschat_token        /ivschat;
        ivschat_token_user   $remote_user;
        ivschat_token_room   $TEST_NGINX_IVSCHAT_ROOM;
    }
--- user_files eval: $main::Passwords
--- request eval: ["POST /token", "POST /token", "POST /token"]
--- more_headers eval
[main::basic('alice', 'wrong'), main::basic('mallory', 'x'), '']
--- expect
401 unauthenticated
401 unauthenticated
401 unauthenticated
--- arrived
nothing
--- logged
"auth_basic" has not verified for this request



=== TEST 6: "satisfy any" that only the password can satisfy
--- config
    location = /token {
        satisfy              any;
        deny                 all;
        auth_basic           chat;
        auth_basic_user_file ../html/passwords;

        ivschat_token        /ivschat;
        ivschat_token_user   $remote_user;
        ivschat_token_room   $TEST_NGINX_IVSCHAT_ROOM;
    }
--- user_files eval: $main::Passwords
--- request eval: ["POST /token", "POST /token"]
--- more_headers eval
[main::basic('alice', 'secret'), main::basic('alice', 'wrong')]
--- expect
token
401
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 7: "satisfy any" with auth_request that says yes and a wrong password
--- config
    location = /token {
        satisfy              any;
        auth_request         /auth;
        auth_basic           chat;
        auth_basic_user_file ../html/passwords;

        ivschat_token        /ivschat;
        ivschat_token_user   $remote_user;
        ivschat_token_room   $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /auth {
        return 204;
    }
--- user_files eval: $main::Passwords
--- request
POST /token
--- more_headers eval: main::basic('alice', 'wrong')
--- expect: 401 unauthenticated
--- arrived
nothing



=== TEST 8: what auth_basic checked elsewhere does not count after a redirect
--- config
    location = /start {
        auth_basic           chat;
        auth_basic_user_file ../html/passwords;

        ivschat_token                  /ivschat;
        ivschat_token_user             $remote_user;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
        ivschat_token_intercept_errors on;
        error_page                     404 = @token;
    }

    location @token {
        ivschat_token      /ivschat;
        ivschat_token_user $remote_user;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- user_files eval: $main::Passwords
--- request
POST /start
--- more_headers eval: main::basic('alice', 'secret')
--- error_code: 401
--- response_body_like: "code":"unauthenticated"



=== TEST 9: with "trusted", $remote_user is taken as it is
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $remote_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request
POST /token
--- more_headers eval: main::basic('carol', '')
--- expect: token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"carol"}



=== TEST 10: with "trusted", a header of the proxy in front
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $http_x_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval: ["POST /token", "POST /token", "POST /token"]
--- more_headers eval: ["X-User: carol", "X-User: -", "X-Other: carol"]
--- expect
token
401 unauthenticated
401 unauthenticated
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"carol"}



=== TEST 11: a client's X-User is of no use where it is not asked for
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user guest;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request
POST /token
--- more_headers
X-User: mallory
X-Forwarded-User: mallory
Authorization: Bearer mallory
--- expect: token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"guest"}



=== TEST 12: one empty variable in a value makes it nobody's
--- http_config
    map $http_x_sub $sub { default $http_x_sub; }
    map $http_x_tenant $tenant { default $http_x_tenant; }
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user u-$tenant-$sub;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval: ["POST /token", "POST /token", "POST /token", "POST /token"]
--- more_headers eval
["X-Sub: 7\nX-Tenant: t", "X-Sub: 7", "X-Tenant: t", '']
--- expect
token
401 unauthenticated
401 unauthenticated
401 unauthenticated
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"u-t-7"}



=== TEST 13: an empty capture, too
--- config
    merge_slashes off;

    location ~ ^/token/(\w*)/(\w*)$ {
        ivschat_token      /ivschat;
        ivschat_token_user $1.$2 trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token/a/b => token
POST /token/a/  => 401 unauthenticated
POST /token//b  => 401 unauthenticated
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"a.b"}



=== TEST 14: 128 characters, of one to four bytes, arrive as they are
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $http_x_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval: ["POST /token", "POST /token", "POST /token", "POST /token"]
--- more_headers eval
["X-User: " . "x" x 128, "X-User: " . "\xc3\xa9" x 128,
 "X-User: " . "\xe2\x80\xa8" x 128, "X-User: " . "\xf0\x9f\x98\x80" x 128]
--- expect
token
token
token
token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([main::sent('userId', $seen)],
        ["x" x 128, "\x{e9}" x 128, "\x{2028}" x 128, "\x{1f600}" x 128],
        $name);
}



=== TEST 15: 129 characters are too many
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $http_x_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval: ["POST /token", "POST /token", "POST /token", "POST /token"]
--- more_headers eval
["X-User: " . "x" x 129, "X-User: " . "\xc3\xa9" x 129,
 "X-User: " . "\xf0\x9f\x98\x80" x 129, "X-User: " . "x" x 4000]
--- expect
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
--- arrived
nothing
--- logged
invalid value of "ivschat_token_user": it is longer than 128 characters
--- not_logged
xxxxxxxx



=== TEST 16: what is not UTF-8 is no user
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $http_x_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval: [("POST /token") x 7]
--- more_headers eval
[map { "X-User: a$_" } "\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80",
                       "\xf4\x90\x80\x80", "\x80", "\xe2\x80z"]
--- expect
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
--- arrived
nothing
--- logged
invalid value of "ivschat_token_user": it is not valid UTF-8



=== TEST 17: a NUL, which basic authentication can carry, is no part of a user
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $remote_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval: ["POST /token", "POST /token"]
--- more_headers eval
[main::basic("al\0ice", 'secret'), main::basic("\0", 'secret')]
--- expect
400 invalid_user
400 invalid_user
--- arrived
nothing



=== TEST 18: quotes and backslashes arrive as they are
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      $remote_user trusted;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_attribute copy $remote_user;
    }
--- request eval: [("POST /token") x 4]
--- more_headers eval
[map { main::basic($_, '') } '"\\"', '%41+ /\\u0041', " ", "'<&>"]
--- expect
token
token
token
token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my @users = ('"\\"', '%41+ /\\u0041', " ", "'<&>");

    Test::More::is_deeply([main::sent('userId', $seen)], \@users,
                          "$name - users");
    Test::More::is_deeply([map { $_->{copy} } main::sent('attributes', $seen)],
                          \@users, "$name - attributes");
}



=== TEST 19: the first room whose condition holds
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSone   if=$arg_one trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMStwo   if=$arg_two trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSthree if=$arg_one$arg_three trusted;
    }
--- ask
POST /token?one=1         => token
POST /token?two=1         => token
POST /token?two=1&one=1   => token
POST /token?one=no&two=no => 403 room_forbidden
POST /token?one=0&three=1 => token
POST /token               => 403 room_forbidden
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMStwo","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSone","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSthree","userId":"alice"}
--- logged
no "ivschat_token_room" line applies to this request



=== TEST 20: a room for the rest
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSvip if=$arg_vip trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSall;
    }
--- ask
POST /token?vip=true  => token
POST /token?vip=False => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSvip","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSall","userId":"alice"}



=== TEST 21: a condition that is false in any of these ways grants nothing
--- config
    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_capabilities DELETE_MESSAGE if=$arg_mod trusted;
    }
--- ask
POST /token           => token
POST /token?mod=      => token
POST /token?mod=0     => token
POST /token?mod=false => token
POST /token?mod=FALSE => token
POST /token?mod=fAlSe => token
POST /token?mod=off   => token
POST /token?mod=Off   => token
POST /token?mod=no    => token
POST /token?mod=NO    => token
POST /token?mod=null  => token
POST /token?mod=Null  => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is(scalar(grep { defined } main::sent('capabilities', $seen)),
                   0, "$name - no capability");
    Test::More::is(scalar(@$seen), 12, "$name - all arrived");
}



=== TEST 22: anything else grants it
--- config
    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_capabilities DELETE_MESSAGE if=$arg_mod trusted;
    }
--- ask
POST /token?mod=1      => token
POST /token?mod=true   => token
POST /token?mod=yes    => token
POST /token?mod=on     => token
POST /token?mod=00     => token
POST /token?mod=0.0    => token
POST /token?mod=-      => token
POST /token?mod=none   => token
POST /token?mod=nope   => token
POST /token?mod=falsey => token
POST /token?mod=n      => token
POST /token?mod=%30    => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([main::sent('capabilities', $seen)],
                          [(['DELETE_MESSAGE']) x 12], $name);
}



=== TEST 23: a computed room
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $arg_room trusted;
    }
--- ask
POST /token?room=arn:aws:ivschat:us-west-2:123456789012:room/Some-Room => token
POST /token?room=                                                      => 404 room_not_found
POST /token                                                            => 404 room_not_found
POST /token?room=lobby                                                 => 404 room_not_found
POST /token?room=arn:aws:ivs:us-west-2:123456789012:channel/abc        => 404 room_not_found
POST /token?room=arn:aws:ivschat:us-west-2:123456789012:room/a%2Fb     => 404 room_not_found
POST /token?room=arn:aws:ivschat:us-west-2:123456789012:room/a/b       => 404 room_not_found
POST /token?room=arn:aws:ivschat:evil.example/:123456789012:room/a     => 404 room_not_found
--- arrived
{"roomIdentifier":"arn:aws:ivschat:us-west-2:123456789012:room/Some-Room","userId":"alice"}
--- logged
the value of "ivschat_token_room" is not a room ARN: "lobby"
the value of "ivschat_token_room" is not a room ARN: ""



=== TEST 24: what a client puts into a room's name cannot forge a line of the log
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice trusted;
        ivschat_token_room $remote_user;
    }
--- request
POST /token
--- more_headers eval: main::basic("x\n2026/11/24 [warn] forged", '')
--- expect: 404 room_not_found
--- logged
"x?2026/11/24 [warn] forged"
--- arrived
nothing



=== TEST 25: a room of another region is asked for there
--- http_config eval
IvsChat::upstream('eu-central-1')
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room arn:aws:ivschat:$arg_region:123456789012:room/abc trusted;
    }
--- ask
POST /token?region=us-west-2    => token
POST /token?region=eu-central-1 => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply(
        [map { my %h = map { lc $_->[0] => $_->[1] } @{ $_->{headers} };
               [$h{host}, $_->{sni}, $h{authorization} =~ m{/([^/]+)/ivschat/}]
             } @$seen],
        [map { ["ivschat.$_.amazonaws.com", "ivschat.$_.amazonaws.com", $_] }
             'us-west-2', 'eu-central-1'],
        $name);
}



=== TEST 26: no capability is said, none is sent
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply(IvsChat::sent_json($seen->[0]),
        { roomIdentifier => $ENV{TEST_NGINX_IVSCHAT_ROOM},
          userId => 'alice' }, $name);
}



=== TEST 27: lines of capabilities add up, each once
--- config
    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_capabilities SEND_MESSAGE;
        ivschat_token_capabilities SEND_MESSAGE DELETE_MESSAGE if=$arg_mod trusted;
        ivschat_token_capabilities DISCONNECT_USER if=$arg_admin trusted;
    }
--- ask
POST /token               => token
POST /token?mod=1         => token
POST /token?admin=1       => token
POST /token?mod=1&admin=1 => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE","DELETE_MESSAGE"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE","DISCONNECT_USER"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE","DISCONNECT_USER","DELETE_MESSAGE"]}



=== TEST 28: attributes; an empty one is left out, the first one that counts is sent
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_attribute name  $arg_name trusted;
        ivschat_token_attribute empty "";
        ivschat_token_attribute role  moderator if=$arg_mod trusted;
        ivschat_token_attribute role  vip       if=$arg_vip trusted;
        ivschat_token_attribute role  viewer;
    }
--- ask
POST /token                  => token
POST /token?name=Al&mod=1    => token
POST /token?name=&vip=1      => token
POST /token?mod=1&vip=1      => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","attributes":{"role":"viewer"}}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","attributes":{"name":"Al","role":"moderator"}}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","attributes":{"role":"vip"}}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","attributes":{"role":"moderator"}}



=== TEST 29: when all attributes are empty the member is left out
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_attribute name $arg_name trusted;
        ivschat_token_attribute mod  yes if=$arg_mod trusted;
    }
--- ask
POST /token => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 30: names and values of any characters
--- config eval
'    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_attribute "a \"name\"" "\\\\ back\tslash";
        ivschat_token_attribute ' . "\xc3\xa9 \xf0\x9f\x98\x80" . ';
    }
'
--- ask
POST /token => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([main::sent('attributes', $seen)],
        [{ 'a "name"' => "\\ back\tslash", "\x{e9}" => "\x{1f600}" }], $name);
}



=== TEST 31: 1024 bytes of attributes are sent, 1025 are not
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_attribute a  $http_x_a trusted;
        ivschat_token_attribute bb $http_x_b trusted;
    }
--- request eval: [("POST /token") x 5]
--- more_headers eval
["X-A: " . "x" x 1023, "X-A: " . "x" x 1024,
 "X-A: " . "x" x 500 . "\nX-B: " . "y" x 521,
 "X-A: " . "x" x 500 . "\nX-B: " . "y" x 522,
 "X-A: " . "\xc3\xa9" x 512]
--- expect
token
400 invalid_attributes
token
400 invalid_attributes
400 invalid_attributes
--- logged
the "ivschat_token_attribute" lines have 1025 bytes of names and values, the limit is 1024
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([main::sent('attributes', $seen)],
        [{ a => 'x' x 1023 }, { a => 'x' x 500, bb => 'y' x 521 }], $name);
}



=== TEST 32: an attribute that is not UTF-8
--- config
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      alice trusted;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_attribute name $http_x_name trusted;
        ivschat_token_attribute user $remote_user if=$remote_user;
    }
--- request eval: ["POST /token", "POST /token"]
--- more_headers eval: ["X-Name: \xe9", main::basic("a\0b", '')]
--- expect
400 invalid_attributes
400 invalid_attributes
--- arrived
nothing
--- logged
the value of "ivschat_token_attribute name" is not valid UTF-8
the value of "ivschat_token_attribute user" is not valid UTF-8



=== TEST 33: a session of a fixed length
--- config
    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             alice;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_session_duration 1h30m;
    }
--- ask
POST /token => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","sessionDurationInMinutes":90}



=== TEST 34: a session of a computed length; empty is AWS's
--- config
    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             alice;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_session_duration $arg_d trusted;
    }
--- ask
POST /token?d=1m   => token
POST /token?d=180m => token
POST /token?d=120s => token
POST /token?d=2h   => token
POST /token?d=     => token
POST /token        => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","sessionDurationInMinutes":1}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","sessionDurationInMinutes":180}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","sessionDurationInMinutes":2}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","sessionDurationInMinutes":120}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 35: a computed length that is none
--- config
    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             alice;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_session_duration $arg_d trusted;
    }
--- ask
POST /token?d=60   => 500 misconfigured
POST /token?d=0m   => 500 misconfigured
POST /token?d=181m => 500 misconfigured
POST /token?d=90s  => 500 misconfigured
POST /token?d=long => 500 misconfigured
POST /token?d=-1m  => 500 misconfigured
POST /token?d=99999999999999999999m => 500 misconfigured
--- arrived
nothing
--- logged
invalid value "60" of "ivschat_token_session_duration": whole minutes from "1m" to "180m" with a unit are expected



=== TEST 36: a region of one's own is signed for and asked
--- http_config eval: IvsChat::upstream('us-east-1')
--- config
    location = /token {
        ivschat_token        /ivschat;
        ivschat_token_user   alice;
        ivschat_token_room   $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_region $arg_region trusted;
    }
--- ask
POST /token?region=us-west-2 => token
POST /token?region=us-east-1 => 404 room_not_found
POST /token?region=US-EAST-1 => 500 misconfigured
POST /token?region=a/b       => 500 misconfigured
POST /token?region=          => 500 misconfigured
--- logged
the value of "ivschat_token_region" is not a region: "US-EAST-1"
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([map { $_->{sni} } @$seen],
        ['ivschat.us-west-2.amazonaws.com',
         'ivschat.us-east-1.amazonaws.com'], $name);
}



=== TEST 37: another endpoint is signed for and asked
--- http_config
    upstream ivschat-fips.us-west-2.amazonaws.com {
        server 127.0.0.1:$TEST_NGINX_IVSCHAT_PORT;
    }
--- config
    location = /fips {
        ivschat_token          /ivschat;
        ivschat_token_user     alice;
        ivschat_token_room     $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_endpoint IvsChat-FIPS.us-west-2.amazonaws.com;
    }

    location = /default-port {
        ivschat_token          /ivschat;
        ivschat_token_user     alice;
        ivschat_token_room     $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_endpoint ivschat.us-west-2.amazonaws.com:443;
    }

    location = /port {
        ivschat_token          /port-ivschat;
        ivschat_token_user     alice;
        ivschat_token_room     $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_endpoint localhost:$TEST_NGINX_IVSCHAT_PORT;
    }

    location = /port-ivschat {
        internal;
        proxy_pass https://localhost:$TEST_NGINX_IVSCHAT_PORT/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }
--- ask
POST /fips         => token
POST /default-port => token
POST /port         => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply(
        [map { map { $_->[1] } grep { lc $_->[0] eq 'host' }
               @{ $_->{headers} } } @$seen],
        ['ivschat-fips.us-west-2.amazonaws.com',
         'ivschat.us-west-2.amazonaws.com',
         "localhost:$ENV{TEST_NGINX_IVSCHAT_PORT}"], $name);
}



=== TEST 38: each step sees the variables of those before it
--- http_config
    map $ivschat_token_user $own_room {
        alice   $TEST_NGINX_IVSCHAT_ROOMSalices;
        default $TEST_NGINX_IVSCHAT_ROOMSlobby;
    }

    map $ivschat_token_room $is_own {
        ~alices$ yes;
    }

    map $ivschat_token_capabilities $length {
        SEND_MESSAGE 2h;
    }
--- config
    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             $arg_user trusted;
        ivschat_token_room             $own_room;
        ivschat_token_capabilities     SEND_MESSAGE if=$is_own;
        ivschat_token_attribute        who   $ivschat_token_user;
        ivschat_token_attribute        where $ivschat_token_room;
        ivschat_token_attribute        what  $ivschat_token_capabilities;
        ivschat_token_attribute        host  $ivschat_token_host;
        ivschat_token_session_duration $length;
    }
--- ask
POST /token?user=alice => token
POST /token?user=bob   => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSalices","userId":"alice","capabilities":["SEND_MESSAGE"],"sessionDurationInMinutes":120,"attributes":{"who":"alice","where":"$TEST_NGINX_IVSCHAT_ROOMSalices","what":"SEND_MESSAGE","host":"ivschat.us-west-2.amazonaws.com"}}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSlobby","userId":"bob","attributes":{"who":"bob","where":"$TEST_NGINX_IVSCHAT_ROOMSlobby","host":"ivschat.us-west-2.amazonaws.com"}}



=== TEST 39: the user is asked for before the room
--- config
    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             $arg_user trusted;
        ivschat_token_room             $arg_room trusted;
        ivschat_token_attribute        a $http_x_a trusted;
        ivschat_token_session_duration $arg_d trusted;
    }
--- request eval
["POST /token?room=x&d=x", "POST /token?user=a&room=x&d=x",
 "POST /token?user=a&room=$ENV{TEST_NGINX_IVSCHAT_ROOM}&d=x",
 "GET /token"]
--- more_headers eval
["X-A: \xff", "X-A: \xff", "X-A: \xff", "X-A: \xff"]
--- expect
401 unauthenticated
404 room_not_found
400 invalid_attributes
405 method_not_allowed
--- arrived
nothing



=== TEST 40: everything is inherited from http
--- http_config
    ivschat_token_user             alice;
    ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOM;
    ivschat_token_capabilities     SEND_MESSAGE;
    ivschat_token_attribute        a b;
    ivschat_token_session_duration 1h;
    ivschat_token_methods          GET;
--- config
    location = /token {
        ivschat_token /ivschat;
    }
--- ask
GET /token  => token
POST /token => 405 method_not_allowed
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE"],"sessionDurationInMinutes":60,"attributes":{"a":"b"}}



=== TEST 41: a level that has a line of a list inherits none of it
--- http_config
    ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOMShttp;
    ivschat_token_capabilities     DELETE_MESSAGE;
    ivschat_token_attribute        a http;
    ivschat_token_attribute        b http;
    ivschat_token_session_duration 1h;
--- config
    ivschat_token_user             server;
    ivschat_token_capabilities     DISCONNECT_USER;
    ivschat_token_attribute        a server;

    location = /server {
        ivschat_token              /ivschat;
    }

    location = /location {
        ivschat_token                  /ivschat;
        ivschat_token_user             location;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOMSlocation;
        ivschat_token_capabilities     SEND_MESSAGE;
        ivschat_token_attribute        c location;
        ivschat_token_session_duration 2h;
    }

    location = /none {
        ivschat_token              /ivschat;
        ivschat_token_capabilities none;
        ivschat_token_attribute    none;
    }
--- ask
POST /server   => token
POST /location => token
POST /none     => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMShttp","userId":"server","capabilities":["DISCONNECT_USER"],"sessionDurationInMinutes":60,"attributes":{"a":"server"}}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSlocation","userId":"location","capabilities":["SEND_MESSAGE"],"sessionDurationInMinutes":120,"attributes":{"c":"location"}}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMShttp","userId":"server","sessionDurationInMinutes":60}



=== TEST 42: a nested location does not mint unless it says so
--- config
    location /a {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;

        location /a/b {
            return 200 "no token";
        }

        location /a/c {
            root html;
        }

        location /a/d {
            ivschat_token      /ivschat;
            ivschat_token_user bob;
        }
    }
--- ask
POST /a   => token
POST /a/b => 200
GET /a/c  => 404
POST /a/d => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}



=== TEST 43: an "if" of the location mints like the location
--- config
    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_capabilities SEND_MESSAGE if=$may_send;

        if ($arg_send) {
            set $may_send 1;
            add_header X-In-If yes;
        }

        if ($arg_stop) {
            return 418;
        }
    }
--- ask
POST /token?send=1 => token
POST /token        => token
POST /token?stop=1 => 418
--- response_headers eval
["X-In-If: yes", "!X-In-If", "!X-In-If"]
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 44: limit_except mints like the location, or keeps others out
--- config
    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    $remote_user;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;

        limit_except GET {
            auth_basic           chat;
            auth_basic_user_file ../html/passwords;
        }
    }

    location = /denied {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;

        limit_except GET {
            deny all;
        }
    }
--- user_files eval: $main::Passwords
--- request eval: ["POST /token", "GET /token", "POST /denied", "GET /denied"]
--- more_headers eval: main::basic('bob', 'secret')
--- expect
token
401 unauthenticated
403
token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 45: what the server's rewrites set is seen once, for the client's request
--- config
    set $who $arg_user;
    set $room $TEST_NGINX_IVSCHAT_ROOMS$arg_room;

    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      $who trusted;
        ivschat_token_room      $room;
        ivschat_token_attribute who $who;
    }
--- ask
POST /token?user=alice&room=abc => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOMSabc","userId":"alice","attributes":{"who":"alice"}}



=== TEST 46: auth_request decides before, and says who it is
--- config
    location = /token {
        auth_request       /auth;
        auth_request_set   $who $upstream_http_x_who;

        ivschat_token      /ivschat;
        ivschat_token_user $who;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /auth {
        internal;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/sessions;
    }

    location = /sessions {
        if ($http_x_session = expired) {
            return 403;
        }

        add_header X-Who $http_x_session;
        return 204;
    }
--- request eval: ["POST /token", "POST /token", "POST /token"]
--- more_headers eval: ["X-Session: dave", "X-Session: expired", ""]
--- expect
token
403
401 unauthenticated
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"dave"}



=== TEST 47: control characters are no part of a user
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $remote_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
        add_header         X-Who $ivschat_token_user always;
    }
--- request eval: [("POST /token") x 6]
--- more_headers eval
[map { main::basic($_, '') } "carol\n", "a\r\nX-Evil: 1", "a\tb", "\x01",
                             "a\x1f", "\x7fa"]
--- expect
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
400 invalid_user
--- raw_response_headers_unlike eval: [(qr/X-(Who|Evil)/) x 6]
--- arrived
nothing
--- logged
invalid value of "ivschat_token_user": it contains a control character



=== TEST 48: a Basic name that auth_basic has not verified is not seen by the policy
--- http_config
    map $remote_user $mapped { default "$remote_user"; }
    map $remote_user $moderator { ~^alice\z yes; }
    map $http_x_sub $sub { default $http_x_sub; }
    log_format basic '$request_uri name:$remote_user';
--- config
    access_log         logs/access.log basic;
    ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;

    location = /map {
        ivschat_token      /ivschat;
        ivschat_token_user $mapped;
    }

    location = /any {
        satisfy              any;
        allow                all;
        auth_basic           chat;
        auth_basic_user_file ../html/passwords;
        ivschat_token        /ivschat;
        ivschat_token_user   x-$mapped;
    }

    location = /cached {
        if ($remote_user = nobody) { return 418; }

        ivschat_token      /ivschat;
        ivschat_token_user $remote_user;
        add_header         X-Name $remote_user always;
    }

    location = /elsewhere {
        ivschat_token              /ivschat;
        ivschat_token_user         $sub;
        ivschat_token_capabilities SEND_MESSAGE if=$remote_user;
        ivschat_token_capabilities DELETE_MESSAGE if=$moderator;
        add_header                 X-Name $remote_user always;
    }

    location = /body {
        ivschat_token              /ivschat;
        ivschat_token_user         $sub;
        ivschat_token_capabilities DELETE_MESSAGE if=$moderator;
        ivschat_token_client_body  on;
        add_header                 X-Name $remote_user always;
    }

    location = /verified {
        auth_basic                 chat;
        auth_basic_user_file       ../html/passwords;
        ivschat_token              /ivschat;
        ivschat_token_user         $mapped;
        ivschat_token_capabilities DELETE_MESSAGE if=$moderator;
        add_header                 X-Name $remote_user always;
    }

    location = /trusted {
        ivschat_token              /ivschat;
        ivschat_token_user         $mapped trusted;
        ivschat_token_capabilities DELETE_MESSAGE if=$moderator;
        add_header                 X-Name $remote_user always;
    }
--- user_files eval: $main::Passwords
--- ask
POST /map       => 401 unauthenticated
POST /any       => 401 unauthenticated
POST /cached    => 401 unauthenticated
POST /elsewhere => token
POST /body      => token
POST /verified  => token
POST /trusted   => token
--- more_headers eval: main::basic('alice', 'secret') . "\nX-Sub: dave"
--- response_headers eval
["!X-Name", "!X-Name", "X-Name: alice", "X-Name: alice", "X-Name: alice",
 "X-Name: alice", "X-Name: alice"]
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"dave"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"dave"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["DELETE_MESSAGE"]}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["DELETE_MESSAGE"]}
--- access
/map name:alice
/any name:alice
/cached name:alice
/elsewhere name:alice
/body name:alice
/verified name:alice
/trusted name:alice
--- logged
/"ivschat_token_user" depends on \$remote_user, which "auth_basic" has not verified for this request.*"POST \/map /
/"ivschat_token_user" depends on \$remote_user, which "auth_basic" has not verified for this request.*"POST \/any /
/"ivschat_token_user" depends on \$remote_user, which "auth_basic" has not verified for this request.*"POST \/cached /
--- not_logged
/not verified.*"POST \/(elsewhere|body|verified|trusted) /



=== TEST 49: a user that is empty for another reason is not logged as an error
--- http_config
    map $http_x_sub $sub { default $http_x_sub; }
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $sub;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request
POST /token
--- more_headers eval: main::basic('alice', 'secret')
--- expect: 401 unauthenticated
--- arrived
nothing
--- logged
no token without a user: "ivschat_token_user", or a variable in it, is empty
--- not_logged
auth_basic
