# Mistakes in the internal location: each has its code, and a line in the log
# that names what to change.

use lib 't/lib';
use IvsChat '--bad-tls';
use Test::Nginx::Socket 'no_plan';

our $Token = <<'END';
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
END

# A server without TLS that answers like AWS.

our $Plain = <<'END';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;

        location = /CreateChatToken {
            default_type application/json;
            return 200 '{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}';
        }
    }
END

# The internal location, with these lines behind the usual ones.

sub internal {
    my ($lines) = @_;

    return $Token . <<"END";
    location = /ivschat {
        internal;
        proxy_pass https://\$ivschat_token_host/CreateChatToken;
        include    \$TEST_NGINX_IVSCHAT_PARAMS;
        $lines
    }
END
}

# The internal location without ivschat_params, but secure.

sub own {
    my ($lines) = @_;

    return $Token . <<"END";
    location = /ivschat {
        internal;
        proxy_pass                    https://\$ivschat_token_host/CreateChatToken;
        proxy_ssl_verify              on;
        proxy_ssl_server_name         on;
        proxy_ssl_trusted_certificate \$TEST_NGINX_IVSCHAT_CA;
        $lines
    }
END
}

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: another Host than the one that was signed
--- config eval: main::internal('proxy_set_header Host $host;')
--- ask
POST /token?user=a => 502 rejected
--- logged
/AWS answered 403 InvalidSignatureException .*: the request was signed for host "ivschat.us-west-2.amazonaws.com" and path "\/CreateChatToken", but location "\/ivschat" sent host "localhost" and path "\/CreateChatToken"; its lines should be "proxy_pass https:\/\/\$ivschat_token_host\/CreateChatToken" and "include ivschat_params", with no "proxy_set_header Host"/



=== TEST 2: no path, so that nginx sends the location's own
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        proxy_pass https://$ivschat_token_host;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }'
--- ask
POST /token?user=a => 502 rejected
--- logged
sent host "ivschat.us-west-2.amazonaws.com" and path "/ivschat"; its lines should be "proxy_pass



=== TEST 3: a wrong path
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        proxy_pass https://$ivschat_token_host/createchattoken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }'
--- ask
POST /token?user=a => 502 rejected
--- logged
sent host "ivschat.us-west-2.amazonaws.com" and path "/createchattoken"



=== TEST 4: a fixed host is right for its region only
--- http_config eval: IvsChat::upstream('eu-west-1')
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room arn:aws:ivschat:$arg_region:123456789012:room/abc trusted;
    }

    location = /ivschat {
        internal;
        proxy_pass https://ivschat.us-west-2.amazonaws.com/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }
--- ask
POST /token?region=us-west-2 => token
POST /token?region=eu-west-1 => 502 rejected
--- logged
the request was signed for host "ivschat.eu-west-1.amazonaws.com" and path "/CreateChatToken", but location "/ivschat" sent host "ivschat.us-west-2.amazonaws.com"



=== TEST 5: the body is replaced
--- config eval: main::internal('proxy_set_body "{}";')
--- ask
POST /token?user=a => 502 rejected
--- logged
/AWS answered 403 InvalidSignatureException .*; the secret access key is wrong, or the internal location changed the Host header, the path or the body/



=== TEST 6: the body, the headers or the method are not passed on
--- config
    ivschat_token_timeout 500ms;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /token2 {
        ivschat_token      /ivschat2;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /token3 {
        ivschat_token      /ivschat3;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    proxy_ssl_verify              on;
    proxy_ssl_server_name         on;
    proxy_ssl_trusted_certificate $TEST_NGINX_IVSCHAT_CA;

    location = /ivschat {
        internal;
        proxy_pass_request_body off;
        proxy_pass              https://$ivschat_token_host/CreateChatToken;
    }

    location = /ivschat2 {
        internal;
        proxy_pass_request_headers off;
        proxy_pass                 https://$ivschat_token_host/CreateChatToken;
    }

    location = /ivschat3 {
        internal;
        proxy_method PUT;
        proxy_pass   https://$ivschat_token_host/CreateChatToken;
    }
--- ask
POST /token  => 504 timeout
POST /token2 => 502 rejected
POST /token3 => 502 rejected
--- logged
/AWS answered 40\d .*MissingAuthenticationToken/



=== TEST 7: without ivschat_params, but verified, it works, too
--- config eval: main::own('')
--- ask
POST /token?user=a => token
POST /token?user=b => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"a"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"b"}



=== TEST 8: the location returns something itself
--- config eval
$main::Token . q(
    location = /ivschat {
        internal;
        return 200 '{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}';
    })
--- ask
POST /token?user=a => 500 misconfigured
--- logged
the request was not passed to AWS, nginx returned 200 itself: "ivschat_token /ivschat" requires a location "/ivschat" with "proxy_pass https://$ivschat_token_host/CreateChatToken"



=== TEST 9: the location has a file
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        error_page 405 =200 /ivschat.json;
        root       html;
    }'
--- user_files
>>> ivschat
{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}
>>> ivschat.json
{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}
--- ask
POST /token?user=a => 500 misconfigured
--- logged
/the request was not passed to AWS, nginx returned 40\d itself: "ivschat_token \/ivschat" requires a location/



=== TEST 10: the location is missing
--- config
    location = /token {
        ivschat_token      /nowhere;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => 500 misconfigured
--- logged
/nginx returned 40\d itself: "ivschat_token \/nowhere" requires a location "\/nowhere" with "proxy_pass/



=== TEST 11: the location says 403, 404 or 500, and its error_page does not matter
--- config
    error_page 403 404 500 =200 /forged;

    location = /token {
        ivschat_token      /ivschat/403;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /token2 {
        ivschat_token      /ivschat/404;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /token3 {
        ivschat_token      /ivschat/500;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /ivschat/403 { internal; return 403; }
    location = /ivschat/404 { internal; return 404; }
    location = /ivschat/500 { internal; return 500; }

    location = /forged {
        return 200 '{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}';
    }
--- ask
POST /token  => 500 misconfigured
POST /token2 => 500 misconfigured
POST /token3 => 500 misconfigured
--- logged
nginx returned 403 itself
nginx returned 404 itself
nginx returned 500 itself



=== TEST 12: an error_page of the server replaces nothing when AWS cannot be reached
--- http_config
    upstream ivschat.us-west-2.amazonaws.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- config eval
'error_page 500 502 503 504 =200 /forged;'
. $main::Token . q(
    location = /forged {
        return 200 '{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}';
    })
--- ask
POST /token?user=a => 502 unavailable



=== TEST 13: proxy_intercept_errors in the location makes no token out of an error
--- config eval
main::own('proxy_intercept_errors on; error_page 404 =200 /forged;') . q(
    location = /token2 {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
    }

    location = /forged {
        return 200 '{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00Z","tokenExpirationTime":"2099-01-01T00:00:00Z"}';
    })
--- request
POST /token2
--- error_code_like: ^(?:404|500|502)$
--- response_headers
Content-Type: application/problem+json
--- response_body_unlike: forged



=== TEST 14: http instead of https
--- http_config eval
$main::Plain . '
    upstream ivschat.us-west-2.amazonaws.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }'
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        proxy_pass http://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }'
--- ask
POST /token?user=a => 502 rejected
--- logged
the response was rejected, because it was not received over TLS with a verified certificate: location "/ivschat" requires "proxy_pass https://…" and "include ivschat_params"



=== TEST 15: http, where TLS is not required
--- http_config eval
$main::Plain . '
    upstream ivschat.us-west-2.amazonaws.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }'
--- config
    location = /token {
        ivschat_token             /ivschat;
        ivschat_token_user        alice;
        ivschat_token_room        $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_require_tls off;
    }

    location = /ivschat {
        internal;
        proxy_pass http://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }
--- request
POST /token
--- response_body chop
{"token":"forged","sessionExpirationTime":"2099-01-01T00:00:00.000Z","tokenExpirationTime":"2099-01-01T00:00:00.000Z"}



=== TEST 16: http to a port that wants TLS
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        proxy_pass http://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }'
--- ask
POST /token?user=a => 502 unavailable



=== TEST 17: the certificate is not verified
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /careless {
        ivschat_token             /ivschat;
        ivschat_token_user        alice;
        ivschat_token_room        $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_require_tls off;
    }

    location = /ivschat {
        internal;
        proxy_ssl_server_name on;
        proxy_pass            https://$ivschat_token_host/CreateChatToken;
    }
--- ask
POST /token    => 502 rejected
POST /careless => token
--- logged
the response was rejected, because it was not received over TLS with a verified certificate: location "/ivschat" requires



=== TEST 18: errors that came unverified are not believed either
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
    }

    location = /ivschat {
        internal;
        proxy_ssl_server_name on;
        proxy_pass            https://$ivschat_token_host/CreateChatToken;
    }
--- ask
POST /token?room=fault-not-found  => 502 rejected
POST /token?room=fault-throttling => 502 rejected
POST /token?room=fault-html       => 502 rejected



=== TEST 19: another CA is trusted
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        proxy_ssl_verify              on;
        proxy_ssl_server_name         on;
        proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
        proxy_pass                    https://$ivschat_token_host/CreateChatToken;
    }'
--- ask
POST /token?user=a => 502 unavailable
--- arrived
nothing
--- logged
upstream SSL certificate verify error
AWS at "ivschat.us-west-2.amazonaws.com" could not be reached



=== TEST 20: a server with a certificate of an unknown CA
--- http_config eval: IvsChat::upstream('us-west-2', $ENV{TEST_NGINX_IVSCHAT_PORT_UNKNOWN_CA})
--- config eval: $main::Token
--- ask
POST /token?user=a => 502 unavailable
--- arrived
nothing
--- logged
upstream SSL certificate verify error



=== TEST 21: a server with a certificate for another name
--- http_config eval: IvsChat::upstream('us-west-2', $ENV{TEST_NGINX_IVSCHAT_PORT_WRONG_NAME})
--- config eval: $main::Token
--- ask
POST /token?user=a => 502 unavailable
--- arrived
nothing
--- logged
upstream SSL certificate does not match "ivschat.us-west-2.amazonaws.com"



=== TEST 22: a server with a certificate that has expired
--- http_config eval: IvsChat::upstream('us-west-2', $ENV{TEST_NGINX_IVSCHAT_PORT_EXPIRED})
--- config eval: $main::Token
--- ask
POST /token?user=a => 502 unavailable
--- arrived
nothing
--- logged
upstream SSL certificate verify error: (10:certificate has expired)



=== TEST 23: a kept-alive connection that another location opened without verifying is no good
--- config eval
$main::Token . '
    location = /other {
        proxy_http_version 1.1;
        proxy_set_header   Connection "";
        proxy_pass         https://ivschat.us-west-2.amazonaws.com/other;
    }'
--- ask
GET /other         => 404
POST /token?user=a => 502 rejected
--- logged
and so does any other location that uses its upstream
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is($seen->[0]{connection}, $seen->[1]{connection},
                   "$name - it was the same connection");
}



=== TEST 24: and it is closed, so that it does harm only once
--- config eval
$main::Token . '
    location = /other {
        proxy_http_version 1.1;
        proxy_set_header   Connection "";
        proxy_pass         https://ivschat.us-west-2.amazonaws.com/other;
    }'
--- ask
GET /other         => 404
POST /token?user=a => 502 rejected
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my $closed;

    for (1 .. 100) {
        my ($connection)
            = grep { $_->{id} == $seen->[1]{connection} }
                   @{ IvsChat::ask_control('GET', '/connections')
                      ->{connections} };

        last if $closed = !$connection || defined $connection->{closed};
        Time::HiRes::sleep(0.02);
    }

    Test::More::ok($closed, $name);
}



=== TEST 25: too small a subrequest_output_buffer_size
--- config eval: main::own('subrequest_output_buffer_size 200;')
--- ask
POST /token?user=a => 502 bad_response
--- logged
/AWS's response is too big: if it is valid, increase "subrequest_output_buffer_size" in location "\/ivschat"/



=== TEST 26: too small a proxy_buffer_size
--- config eval: main::own('proxy_buffer_size 128; proxy_buffers 4 1k; proxy_busy_buffers_size 1k;')
--- ask
POST /token?user=a => 502 bad_response
--- logged
AWS's response header is too big: increase "proxy_buffer_size" in location "/ivschat"



=== TEST 27: too small a client_max_body_size
--- config eval: main::own('client_max_body_size 10;')
--- ask
POST /token?user=a => 500 misconfigured
--- logged
nginx returned 413 itself



=== TEST 28: without buffering it works as well
--- config eval: main::internal('proxy_buffering off; proxy_request_buffering off;')
--- ask
POST /token?user=a => token
POST /token?user=b => token



=== TEST 29: without buffering, too, a large answer is cut off
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
    }

    location = /ivschat {
        internal;
        proxy_pass      https://$ivschat_token_host/CreateChatToken;
        include         $TEST_NGINX_IVSCHAT_PARAMS;
        proxy_buffering off;
    }
--- ask
POST /token?room=fault-big-16384 => token
POST /token?room=fault-big-16385 => 502 bad_response
POST /token?room=fault-huge      => 502 bad_response
POST /token?room=fault-chunked   => token



=== TEST 30: neither an upstream nor a resolver
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room arn:aws:ivschat:eu-west-1:123456789012:room/abc;
    }
--- ask
POST /token => 500 misconfigured
--- logged
neither "upstream ivschat.eu-west-1.amazonaws.com" nor a "resolver" for this name is defined: add one of them



=== TEST 31: a resolver that does not answer
--- config
    resolver         127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    resolver_timeout 300ms;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room arn:aws:ivschat:eu-west-1:123456789012:room/abc;
    }
--- ask
POST /token => 502 unavailable



=== TEST 32: the first address is dead, the second one is not
--- http_config
    upstream ivschat.us-west-2.amazonaws.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_IVSCHAT_PORT;
    }

    log_format attempts '$ivschat_token_attempts';
--- config eval
'access_log logs/access.log attempts;' . $main::Token
--- ask
POST /token?user=a => token
--- access
1



=== TEST 33: limit_req in the location is told as "throttled"
--- http_config
    limit_req_zone $ivschat_token_user zone=user:1m rate=1r/m;
--- config eval
main::internal('limit_req zone=user;') =~ s/\$arg_user/\$arg_user-\$connection/r
--- pipelined_requests eval
["POST /token?user=a\n1", "POST /token?user=a\n2", "POST /token?user=b\n3",
 "POST /token?user=b\n4"]
--- expect
token
429 throttled retry
token
429 throttled retry
--- logged
location "/ivschat" returned 503 itself: its limits rejected the request
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is(scalar(@$seen), 2, $name);
}



=== TEST 34: limit_req with 429
--- http_config
    limit_req_zone $ivschat_token_user zone=user:1m rate=1r/m;
--- config eval
main::internal('limit_req zone=user; limit_req_status 429;')
=~ s/\$arg_user/\$arg_user-\$connection/r
--- pipelined_requests eval
["POST /token?user=a\n1", "POST /token?user=a\n2"]
--- expect
token
429 throttled retry
--- logged
location "/ivschat" returned 429 itself



=== TEST 35: the location mints tokens itself
--- config
    location = /token {
        ivschat_token      /token2;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /token2 {
        ivschat_token      /ivschat;
        ivschat_token_user bob;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => 500 misconfigured
--- arrived
nothing
--- logged
location "/token2" mints no token for a subrequest



=== TEST 36: the URI leads back into the location
--- config
    location /token {
        ivschat_token      /token/ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => 500 misconfigured
--- arrived
nothing
--- logged
mints no token for a subrequest



=== TEST 37: a rewrite within the location is followed
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        rewrite ^ /aws last;
    }

    location = /aws {
        internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }'
--- ask
POST /token?user=a => token



=== TEST 38: "deny all" in the location does not concern a subrequest
--- config eval: main::internal('deny all;')
--- ask
POST /token?user=a => token



=== TEST 39: after a mistake the connection of the client goes on
--- config eval
$main::Token . '
    location = /ivschat {
        internal;
        return 404;
    }

    location = /good {
        return 200 good;
    }'
--- pipelined_requests eval: ["POST /token?user=a\nbody", "GET /good"]
--- expect
500 misconfigured
200
