# smoke

# Only a client's own request mints, only the subrequest reaches AWS, and
# nothing of the client's goes with it.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

# The headers of a request that arrived, in alphabetical order, as they were.

our $Headers = sub {
    my ($request) = @_;
    return [sort { lc $a cmp lc $b } map { $_->[0] } @{ $request->{headers} }];
};

our $Expected = [qw(authorization Content-Length content-type Host
                    x-amz-date)];

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: an SSI include of the token location mints nothing
--- config
    location = /page {
        ssi       on;
        ssi_types text/plain;
        return 200 "before <!--#include virtual=\"/token\" --> after";
    }

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- request
GET /page
--- response_body_like: ^before (.*) after$
--- arrived
nothing
--- logged
location "/token" mints no token for a subrequest



=== TEST 2: nor one that gets there by an error_page
--- config
    location = /page {
        ssi       on;
        ssi_types text/plain;
        return 200 "before <!--#include virtual=\"/way\" --> after";
    }

    location = /way {
        error_page 418 = /token;
        return 418;
    }

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- request
GET /page
--- response_body_like: ^before (.*) after$
--- arrived
nothing
--- logged
location "/token" mints no token for a subrequest



=== TEST 3: auth_request is told 403
--- config
    location = /page {
        auth_request /token;
        root         html;
    }

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- ask
GET /page  => 403
POST /page => 403
--- arrived
nothing
--- logged
location "/token" mints no token for a subrequest



=== TEST 4: a mirror gets nothing
--- config
    location = /page {
        mirror     /token;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/answer;
    }

    location = /answer {
        return 200 "answer";
    }

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- request
POST /page
hello
--- response_body chop
answer
--- arrived
nothing
--- logged
location "/token" mints no token for a subrequest



=== TEST 5: add_before_body adds no token
--- config
    location = /page {
        add_before_body /token;
        addition_types  text/plain;
        return 200 "answer";
    }

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- request
GET /page
--- response_body_like: answer$
--- arrived
nothing
--- logged
location "/token" mints no token for a subrequest



=== TEST 6: subrequests of the token location's own answer mint nothing more
--- config
    location = /token {
        add_after_body     /another;
        addition_types     application/json;

        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /another {
        ivschat_token      /ivschat;
        ivschat_token_user bob;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- request
POST /token
--- response_body_like: ^\{"token":".*room_forbidden
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}



=== TEST 7: a client cannot reach the internal location
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /ivschat                => 404
GET /ivschat                 => 404
POST //ivschat               => 404
POST /ivschat?a=b            => 404
POST /%69vschat              => 404
POST /token/../ivschat       => 404
--- arrived
nothing



=== TEST 8: what arrives is the few headers that are needed, each once
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
    Test::More::is_deeply($main::Headers->($seen->[0]), $main::Expected,
                          "$name - names");

    my %value = map { lc $_->[0] => $_->[1] } @{ $seen->[0]{headers} };

    Test::More::is($value{'content-type'}, 'application/json',
                   "$name - Content-Type");
    Test::More::is($value{host}, 'ivschat.us-west-2.amazonaws.com',
                   "$name - Host");
    Test::More::is($value{'content-length'}, length $seen->[0]{body},
                   "$name - Content-Length");
    Test::More::like($value{authorization}, qr{\A
        AWS4-HMAC-SHA256\ Credential=AKIDEXAMPLE/\d{8}/us-west-2/ivschat/
        aws4_request,\ ?SignedHeaders=content-type;host;x-amz-date,
        \ ?Signature=[0-9a-f]{64}\z}x, "$name - Authorization");
    Test::More::is("$seen->[0]{method} $seen->[0]{target} "
                   . "$seen->[0]{version}",
                   'POST /CreateChatToken HTTP/1.1', "$name - first line");
}



=== TEST 9: nothing of the client's request arrives
--- config
    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;
    }
--- request eval
["POST /token?X-Amz-Signature=1\n{\"userId\":\"mallory\"}",
 "GET /token?a=b"]
--- more_headers
Cookie: session=1
Authorization: AWS4-HMAC-SHA256 Credential=X
X-Amz-Date: 20200101T000000Z
X-Amz-Security-Token: client
X-Amz-Content-Sha256: UNSIGNED-PAYLOAD
X-Amz-Target: client
X-Amzn-Trace-Id: client
Accept: text/html
Accept-Encoding: gzip
Accept-Language: de
Content-Type: text/xml
Content-Encoding: gzip
Range: bytes=0-1
Origin: https://example.com
Referer: https://example.com/
User-Agent: client
Via: 1.1 client
Forwarded: for=client
X-Forwarded-For: 1.2.3.4
X-User: mallory
TE: trailers
Upgrade: h2c
X-HTTP-Method-Override: DELETE
--- expect
token
token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;

    for my $i (0, 1) {
        Test::More::is_deeply($main::Headers->($seen->[$i]), $main::Expected,
                              "$name - headers of request $i");
        Test::More::is($seen->[$i]{target}, '/CreateChatToken',
                       "$name - no arguments ($i)");
    }
}



=== TEST 10: a chunked body with "Expect: 100-continue" and a forged If-Modified-Since stays here
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- raw_request eval
"POST /token HTTP/1.1\r
Host: mallory.example\r
Connection: close\r
If-Modified-Since: Tue, 24 Nov 2020 00:00:00 GMT\r
Transfer-Encoding: chunked\r
\r
18\r
{\"userId\":\"mallory\"    }\r
0\r
\r
"
--- expect: token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply($main::Headers->($seen->[0]), $main::Expected,
                          $name);
    Test::More::ok(!$seen->[0]{chunked}, "$name - not chunked");
}



=== TEST 11: headers that the server adds for its other proxies do not arrive
--- config
    proxy_set_header X-Real-IP       $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header Host            $host;
    proxy_set_header Authorization   "Basic abc";

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
    Test::More::is_deeply($main::Headers->($seen->[0]), $main::Expected,
                          $name);
}



=== TEST 12: the internal location sees host, user and room
--- http_config
    log_format internal '$uri $ivschat_token_host $ivschat_token_user $ivschat_token_room';
--- config
    log_subrequest on;
    access_log     off;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /ivschat {
        internal;
        access_log logs/access.log internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }
--- ask
POST /token?user=alice => token
POST /token?user=bob   => token
--- access
/ivschat ivschat.us-west-2.amazonaws.com alice $TEST_NGINX_IVSCHAT_ROOM
/ivschat ivschat.us-west-2.amazonaws.com bob $TEST_NGINX_IVSCHAT_ROOM
