# A token: the answer that a client gets, and the variables that tell of it.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

our $Variables = <<'END';
    log_format variables '$ivschat_token_result $ivschat_token_attempts '
        '$ivschat_token_time [$ivschat_token_aws_status] '
        '[$ivschat_token_aws_error] [$ivschat_token_aws_request_id] '
        '[$ivschat_token_host] [$ivschat_token_user] [$ivschat_token_room] '
        '[$ivschat_token_capabilities]';
END

# What the client was told is what the service knows, to the second, or to the
# millisecond where the service says those.

our $Fraction = 0;
our $Difference = sub {
    my ($seen, $bodies, $name) = @_;

    my $answer = JSON::PP::decode_json($bodies->[0]);
    (my $path = $answer->{token}) =~ s/([^A-Za-z0-9])/sprintf '%%%02X',
                                                              ord $1/ge;
    my $known = IvsChat::ask_control('GET', "/tokens/$path");

    for my $pair (['tokenExpirationTime', 'expires'],
                  ['sessionExpirationTime', 'session_ends'])
    {
        my ($told, $is) = ($answer->{$pair->[0]}, $known->{$pair->[1]});
        my ($seconds, $ms) = $told =~ /^(.*)\.(\d{3})Z$/;
        my $got = `date -u -d '${seconds}Z' +%s` + $ms / 1000;

        Test::More::cmp_ok(abs($got - $is), '<=',
                           $Fraction ? 0.001001 : 1,
                           "$name - $pair->[0] is the service's");
    }
};

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: the shortest configuration gives a token
--- config
    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_capabilities SEND_MESSAGE;
    }
--- ask
POST /token => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice","capabilities":["SEND_MESSAGE"]}



=== TEST 2: the answer is the service's, and nothing else
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => token
--- response_headers
!Set-Cookie
!x-amzn-RequestId
!x-amz-apigw-id
!ETag
!Last-Modified
!Retry-After
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;

    local $main::Fraction = 1;
    $main::Difference->(@_);

    my $answer = JSON::PP::decode_json($bodies->[0]);
    Test::More::is_deeply([sort keys %$answer],
        [qw(sessionExpirationTime token tokenExpirationTime)],
        "$name - three members");
    Test::More::is(scalar(@$seen), 1, "$name - one request");
}



=== TEST 3: a time with an offset becomes UTC with milliseconds
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-times-offset;
    }
--- ask
POST /token => token
--- inspect eval: $main::Difference



=== TEST 4: a time as a number becomes a text
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-times-number;
    }
--- ask
POST /token => token
--- inspect eval: sub { local $main::Fraction = 1; $main::Difference->(@_) }



=== TEST 5: a time without a fraction gets one
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-times-nofraction;
    }
--- ask
POST /token => token
--- inspect eval: $main::Difference



=== TEST 6: microseconds are cut to milliseconds
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-times-micro;
    }
--- ask
POST /token => token
--- inspect eval: sub { local $main::Fraction = 1; $main::Difference->(@_) }



=== TEST 7: a time that is over is passed on, since it is the service's word
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-times-past;
    }
--- ask
POST /token => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::like($bodies->[0],
        qr/"tokenExpirationTime":"2020-01-01T00:00:00\.000Z"/, $name);
}



=== TEST 8: a token that came in escapes is sent as itself
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-escaped;
    }
--- ask
POST /token => token



=== TEST 9: an answer in chunks, of HTTP/1.0, with more members, or with Connection: close is as good
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
    }
--- ask
POST /token?room=fault-chunked    => token
POST /token?room=fault-http10     => token
POST /token?room=fault-close      => token
POST /token?room=fault-nested-100 => token



=== TEST 10: X-Accel-Redirect in the answer leads nowhere
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-accel;
    }

    location = /secret {
        internal;
        return 200 "secret";
    }
--- ask
POST /token => token



=== TEST 11: without a word, POST only
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
GET /token      => 405 method_not_allowed
PUT /token      => 405 method_not_allowed
DELETE /token   => 405 method_not_allowed
OPTIONS /token  => 405 method_not_allowed
PATCH /token    => 405 method_not_allowed
PROPFIND /token => 405 method_not_allowed
HEAD /token     => 405
--- response_headers
Allow: POST
--- arrived
nothing



=== TEST 12: an unknown method is refused
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
BREW /token => 405 method_not_allowed
--- response_headers
Allow: POST
--- arrived
nothing



=== TEST 13: GET, if it is said, and then not POST
--- config
    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET;
    }
--- ask
GET /token  => token
--- response_headers
!Allow
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 14: with GET alone the others are told so
--- config
    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET;
    }
--- ask
POST /token => 405 method_not_allowed
PUT /token  => 405 method_not_allowed
--- response_headers
Allow: GET
--- arrived
nothing



=== TEST 15: GET and POST
--- config
    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- ask
GET /token  => token
POST /token => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 16: HEAD never mints, GET or not
--- config
    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods POST GET;
    }
--- ask
HEAD /token => 405
--- response_headers
Allow: POST, GET
Content-Type: application/problem+json
Cache-Control: no-store
--- arrived
nothing



=== TEST 17: the client's body is thrown away
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request
POST /token
{"userId":"mallory","capabilities":["DELETE_MESSAGE"]}
--- expect: token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 18: a chunked body is thrown away
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- raw_request eval
"POST /token HTTP/1.1\r
Host: localhost\r
Connection: close\r
Transfer-Encoding: chunked\r
\r
5\r
hello\r
0\r
\r
"
--- expect: token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 19: a chunked body over client_max_body_size is 413
--- config
    location = /token {
        client_max_body_size 4;
        ivschat_token        /ivschat;
        ivschat_token_user   alice;
        ivschat_token_room   $TEST_NGINX_IVSCHAT_ROOM;
    }
--- raw_request eval
"POST /token HTTP/1.1\r
Host: localhost\r
Connection: close\r
Transfer-Encoding: chunked\r
\r
5\r
hello\r
0\r
\r
"
--- expect: 413 request_too_large
--- arrived
nothing



=== TEST 20: a body that is no chunked body is 400
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- raw_request eval
"POST /token HTTP/1.1\r
Host: localhost\r
Connection: close\r
Transfer-Encoding: chunked\r
\r
zzz\r
"
--- expect: 400 invalid_request
--- arrived
nothing



=== TEST 21: two requests in one packet get two tokens
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- pipelined_requests eval
["POST /token?user=alice\nbody", "POST /token?user=bob\nanother"]
--- expect
token
token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}



=== TEST 22: one connection to the service does for many tokens
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => token
POST /token => token
POST /token => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my %connections = map { $_->{connection} => 1 } @$seen;
    Test::More::is(scalar(keys %connections), 1, "$name - one connection");
    Test::More::is(scalar(@$seen), 3, "$name - three requests");

    my %tokens = map { $_ => 1 } @$bodies;
    Test::More::is(scalar(keys %tokens), 3, "$name - three tokens");
}



=== TEST 23: preconditions and ranges of the client do not keep its token from it
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request eval
["POST /token", "POST /token", "POST /token", "POST /token", "POST /token"]
--- more_headers eval
["Range: bytes=0-5", "If-None-Match: *", 'If-Match: "x"',
 "If-Modified-Since: Tue, 24 Nov 2099 00:00:00 GMT",
 "If-Unmodified-Since: Tue, 24 Nov 2020 00:00:00 GMT"]
--- expect
token
token
token
token
token



=== TEST 24: the variables in the access log
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_user         alice;
        ivschat_token_room         $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_capabilities SEND_MESSAGE DELETE_MESSAGE;
    }
--- ask
POST /token => token
--- access
/ok 1 \d+\.\d{3} \[200\] \[-?\] \[[-0-9a-f]{36}\] \[ivschat\.us-west-2\.amazonaws\.com\] \[alice\] \[arn:aws:ivschat:us-west-2:123456789012:room\/AbCdEfGhIjKl\] \[SEND_MESSAGE,DELETE_MESSAGE\]/



=== TEST 25: of AWS's error the status, the code and the request id
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-access-denied;
    }
--- ask
POST /token => 502 rejected
--- access
/rejected 1 \d+\.\d{3} \[403\] \[AccessDeniedException\] \[[-0-9a-f]{36}\] \[ivschat\.us-west-2\.amazonaws\.com\] \[alice\] \[.*fault-access-denied\] \[-?\]/
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is($seen->[0]{verdict}{code}, 'AccessDeniedException', $name);
}



=== TEST 26: without an attempt there is none, and nothing of AWS's
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $arg_room trusted;
    }
--- ask
POST /token            => 401 unauthenticated
POST /token?user=alice => 404 room_not_found
GET /token?user=alice  => 405 method_not_allowed
--- access
/unauthenticated 0 0\.\d{3} \[-?\] \[-?\] \[-?\] \[-?\] \[-?\] \[-?\] \[-?\]/
/room_not_found 0 0\.\d{3} \[-?\] \[-?\] \[-?\] \[-?\] \[alice\] \[-?\] \[-?\]/
/method_not_allowed 0 0\.\d{3} \[-?\] \[-?\] \[-?\] \[-?\] \[-?\] \[-?\] \[-?\]/



=== TEST 27: elsewhere the variables are empty
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /elsewhere {
        return 200 "[$ivschat_token_result$ivschat_token_attempts$ivschat_token_time$ivschat_token_aws_status$ivschat_token_aws_error$ivschat_token_aws_request_id$ivschat_token_host$ivschat_token_user$ivschat_token_room$ivschat_token_capabilities]";
    }
--- request
GET /elsewhere
--- response_body chop
[]
--- access
/-? -? -? \[-?\] \[-?\] \[-?\] \[-?\] \[-?\] \[-?\] \[-?\]/



=== TEST 28: the variables in add_header and map
--- http_config
    map $ivschat_token_result $verdict {
        volatile;
        ok      yes;
        ""      unknown;
        default no;
    }
--- config
    location = /token {
        add_header X-Result   $ivschat_token_result     always;
        add_header X-Attempts $ivschat_token_attempts   always;
        add_header X-User     $ivschat_token_user       always;
        add_header X-Status   $ivschat_token_aws_status always;
        add_header X-Verdict  $verdict                  always;

        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
    }
--- ask
POST /token?room=AbCdEfGhIjKl    => token
POST /token?room=fault-internal  => 502 unavailable
--- response_headers eval
["X-Result: ok\nX-Attempts: 1\nX-User: alice\nX-Status: 200\nX-Verdict: yes",
 "X-Result: unavailable\nX-User: alice\nX-Status: 500\nX-Verdict: no"]



=== TEST 29: the time is that of the request to AWS
--- http_config
    log_format time '$ivschat_token_time';
--- config
    access_log logs/access.log time;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-slow-300;
    }
--- ask
POST /token => token
--- access
/0\.[3-9]\d\d|1\.\d{3}/



=== TEST 30: a rewrite leads to the token
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /start {
        rewrite ^ /token last;
    }

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /start => token
--- access
/ok 1 .*\[alice\].*/



=== TEST 31: try_files leads to the token, which is evaluated for the client's request
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /start {
        try_files /nothing /token?$args;
    }

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /start?user=bob => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}
--- access
/ok 1 .*\[bob\].*/



=== TEST 32: an error_page leads to the token, as a GET
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /start {
        error_page 418 = /token;
        return 418;
    }

    location = /named {
        error_page 418 = @token;
        return 418;
    }

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET;
    }

    location @token {
        ivschat_token         /ivschat;
        ivschat_token_user    bob;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /start => token
POST /named => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}
--- access
/ok 1 .*\[alice\].*/
/ok 1 .*\[bob\].*/



=== TEST 33: the variables outlive an error_page
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             alice;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
        ivschat_token_intercept_errors on;
        error_page                     404 /sorry;
    }

    location = /sorry {
        internal;
        add_header X-Result $ivschat_token_result always;
        return 200 "$ivschat_token_result for $ivschat_token_user";
    }
--- request
POST /token
--- error_code: 404
--- response_headers
X-Result: room_not_found
--- response_body chop
room_not_found for alice
--- access
/room_not_found 1 .*\[404\] \[ResourceNotFoundException\] .*\[alice\].*/



=== TEST 34: an error_page can try once more, in another room
--- http_config eval: $main::Variables
--- config
    access_log logs/access.log variables;

    location = /token {
        ivschat_token                  /ivschat;
        ivschat_token_user             alice;
        ivschat_token_room             $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
        ivschat_token_intercept_errors on;
        error_page                     404 = @lobby;
    }

    location @lobby {
        ivschat_token      /ivschat;
        ivschat_token_user bob;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => token
--- access
/ok 1 .*\[200\] \[-?\] .*\[bob\].*AbCdEfGhIjKl.*/
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([map { $_->{verdict}{status} } @$seen], [404, 200],
                          $name);
}



=== TEST 35: nested and prefix locations can mint, too
--- config
    location /chat/ {
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_user alice;

        location /chat/token/ {
            ivschat_token /ivschat;
        }
    }

    location ~ ^/users/(?<name>[a-z]+)/token$ {
        ivschat_token      /ivschat;
        ivschat_token_user $name trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /chat/token/x      => token
POST /users/carol/token => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"carol"}
