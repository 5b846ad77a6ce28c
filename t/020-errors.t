# Every way in which AWS can say no: what the client is told, and what the
# operator is.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

our $Config = <<'END';
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      "user-in-question";
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOMSfault-$arg_fault trusted;
        ivschat_token_attribute color "attribute-in-question";
    }
END

# Nothing of AWS's own words is in what the clients got.

our $Silent = sub {
    my ($seen, $bodies, $name) = @_;

    for my $request (@$seen) {
        my $message = $request->{verdict}{message} or next;
        Test::More::is(scalar(grep { index($_, $message) >= 0 } @$bodies), 0,
                       "$name - not told: $message");
    }

    Test::More::unlike(
        "@$bodies",
        qr/request id|gateway|by request|Exception|in-question|[0-9a-f]{8}-/i,
        "$name - nothing of AWS's answer is told");
};

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: throttling
--- config eval: $main::Config
--- ask
POST /token?fault=throttling                    => 429 throttled retry
POST /token?fault=retry-after-1500              => 429 throttled retry
POST /token?fault=status-429                    => 429 throttled retry
POST /token?fault=error-400-ThrottlingException => 429 throttled retry
POST /token?fault=error-503-SlowDown            => 429 throttled retry
POST /token?fault=error-400-RequestLimitExceeded => 429 throttled retry
--- logged
/AWS answered 429 ThrottlingException \(request id "[-0-9a-f]{36}"\) for room "arn:aws:ivschat:us-west-2:123456789012:room\/fault-throttling": ".*"; the quota is 200 tokens per second for an account and region/
/AWS answered 503 SlowDown .*; the quota is 200 tokens per second/
--- inspect eval: $main::Silent



=== TEST 2: the error's type in all the forms it has
--- config eval: $main::Config
--- ask
POST /token?fault=errortype-colon                            => 429 throttled retry
POST /token?fault=errortype-hash                             => 429 throttled retry
POST /token?fault=errortype-both                             => 429 throttled retry
POST /token?fault=body-code                                  => 429 throttled retry
POST /token?fault=body-type                                  => 429 throttled retry
POST /token?fault=errortype-colon-ResourceNotFoundException  => 404 room_not_found
POST /token?fault=errortype-hash-ResourceNotFoundException   => 404 room_not_found
POST /token?fault=errortype-both-ResourceNotFoundException   => 404 room_not_found
POST /token?fault=body-code-ResourceNotFoundException        => 404 room_not_found
POST /token?fault=body-type-ResourceNotFoundException        => 404 room_not_found
POST /token?fault=body-type-AccessDeniedException            => 502 rejected
--- inspect eval: $main::Silent



=== TEST 3: permission is missing
--- config eval: $main::Config
--- ask
POST /token?fault=access-denied => 502 rejected
--- logged
/AWS answered 403 AccessDeniedException \(request id "[-0-9a-f]{36}"\) for room "arn:.*": ".*"; allow the IAM action ivschat:CreateChatToken on this room to the credentials in use/
--- inspect eval: $main::Silent



=== TEST 4: the account is being verified
--- config eval: $main::Config
--- ask
POST /token?fault=pending-verification => 502 rejected
--- logged
/AWS answered 403 PendingVerification .*; the AWS account is still being verified: contact AWS support/
--- inspect eval: $main::Silent



=== TEST 5: a value is not to AWS's liking
--- config eval: $main::Config
--- ask
POST /token?fault=validation => 502 rejected
--- logged
/AWS answered 400 ValidationException .*; a value of the request is outside AWS's limits/
--- inspect eval: $main::Silent



=== TEST 6: a message that quotes user and attributes is in no log
--- config eval: $main::Config
--- ask
POST /token?fault=mention-values => 502 rejected
--- logged
/AWS answered 400 ValidationException .*: "\(not shown: contains .*\)"; a value/
--- not_logged
-in-question
--- inspect eval: $main::Silent



=== TEST 7: there is no such room
--- config eval: $main::Config
--- ask
POST /token?fault=not-found => 404 room_not_found
--- logged
/AWS answered 404 ResourceNotFoundException .*; the room does not exist in that account and region/
--- inspect eval: $main::Silent



=== TEST 8: credentials and signatures that AWS does not take
--- config eval: $main::Config
--- ask
POST /token?fault=expired-token       => 502 rejected
POST /token?fault=invalid-signature   => 502 rejected
POST /token?fault=unrecognized-client => 502 rejected
POST /token?fault=request-expired     => 502 rejected
POST /token?fault=error-403-InvalidClientTokenId => 502 rejected
--- logged
/AWS answered 403 ExpiredTokenException .*; the session token has expired or is invalid/
/AWS answered 403 InvalidSignatureException .*; the secret access key is wrong, or the internal location changed/
/AWS answered 403 UnrecognizedClientException .*; the access key id is unknown/
/AWS answered 403 RequestExpired .*; the clock of this host is wrong/
/AWS answered 403 InvalidClientTokenId .*; the access key id is unknown/
--- inspect eval: $main::Silent



=== TEST 9: a wrong secret and an unknown key, as the service finds them
--- config
    location = /secret {
        ivschat_token_credentials static key=AKIDEXAMPLE secret=not-that-one;
        ivschat_token             /ivschat;
        ivschat_token_user        alice;
        ivschat_token_room        $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /key {
        ivschat_token_credentials static key=AKIDOTHER secret=not-that-one;
        ivschat_token             /ivschat;
        ivschat_token_user        alice;
        ivschat_token_room        $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /session {
        ivschat_token_credentials static key=$TEST_NGINX_IVSCHAT_KEY
                                  secret=$TEST_NGINX_IVSCHAT_SECRET
                                  token=not-that-session;
        ivschat_token             /ivschat;
        ivschat_token_user        alice;
        ivschat_token_room        $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /secret  => 502 rejected
POST /key     => 502 rejected
POST /session => 502 rejected
--- logged
/AWS answered 403 InvalidSignatureException .*; the secret access key is wrong/
/AWS answered 403 UnrecognizedClientException .*; the access key id is unknown/
--- not_logged
not-that
--- inspect eval: $main::Silent



=== TEST 10: a clock that is wrong, which each answer tells
--- config eval: $main::Config
--- ask
POST /token?fault=skew-900  => 502 rejected
POST /token?fault=skew-900  => token
POST /token?fault=skew--900 => 502 rejected
POST /token?fault=skew--900 => token
POST /token?fault=skew-200  => 502 rejected
POST /token?fault=skew-200  => token
--- logged
/the clock of this host is (?:899|900|901) seconds behind AWS's/
/the clock of this host is (?:899|900|901) seconds ahead of AWS's/
/the clock of this host is right again/
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    $main::Silent->($seen, [@$bodies[0, 2, 4]], $name);
}



=== TEST 11: any other 4xx
--- config eval: $main::Config
--- ask
POST /token?fault=status-400               => 502 rejected
POST /token?fault=status-401               => 502 rejected
POST /token?fault=status-403               => 502 rejected
POST /token?fault=status-404               => 502 rejected
POST /token?fault=status-405               => 502 rejected
POST /token?fault=status-413               => 502 rejected
POST /token?fault=status-418               => 502 rejected
POST /token?fault=status-499               => 502 rejected
POST /token?fault=error-400-NewException   => 502 rejected
POST /token?fault=there-is-no-such-fault   => 502 rejected
--- logged
/AWS answered 418 \(request id "[-0-9a-f]{36}"\) for room/
/AWS answered 400 NewException \(request id "[-0-9a-f]{36}"\) for room/
/AWS answered 404 \(request id .*; the path is wrong: proxy_pass of the internal location must end in \/CreateChatToken/
--- inspect eval: $main::Silent



=== TEST 12: 5xx
--- config eval: $main::Config
--- ask
POST /token?fault=internal                          => 502 unavailable
POST /token?fault=status-500                        => 502 unavailable
POST /token?fault=status-502                        => 502 unavailable
POST /token?fault=status-503                        => 502 unavailable
POST /token?fault=status-504                        => 502 unavailable
POST /token?fault=error-503-ServiceUnavailable      => 502 unavailable
--- logged
/AWS answered 500 InternalServerException \(request id/
/AWS answered 504 \(request id/
--- inspect eval: $main::Silent



=== TEST 13: a success that is none, or a redirect
--- config eval: $main::Config
--- ask
POST /token?fault=status-200 => 502 bad_response
POST /token?fault=status-201 => 502 bad_response
POST /token?fault=status-299 => 502 bad_response
POST /token?fault=redirect   => 502 bad_response
--- inspect eval: $main::Silent



=== TEST 14: a 200 that is not the three fields
--- config eval: $main::Config
--- ask
POST /token?fault=html                          => 502 bad_response
POST /token?fault=empty                         => 502 bad_response
POST /token?fault=notjson                       => 502 bad_response
POST /token?fault=trailing                      => 502 bad_response
POST /token?fault=badutf8                       => 502 bad_response
POST /token?fault=nul                           => 502 bad_response
POST /token?fault=wrongtypes                    => 502 bad_response
POST /token?fault=missing-token                 => 502 bad_response
POST /token?fault=missing-sessionExpirationTime => 502 bad_response
POST /token?fault=missing-tokenExpirationTime   => 502 bad_response
POST /token?fault=duplicate                     => 502 bad_response
POST /token?fault=nested                        => 502 bad_response
POST /token?fault=gzip                          => 502 bad_response
POST /token?fault=times-garbage                 => 502 bad_response
--- logged
/AWS's response is not a CreateChatToken response: not JSON \(request id "[-0-9a-f]{36}"\)/
/AWS's response is not a CreateChatToken response: empty \(request id/
/AWS's response is not a CreateChatToken response: no token \(request id/
/AWS's response is not a CreateChatToken response: no expiration time/
/AWS's response is not a CreateChatToken response: an expiration time is neither ISO 8601 nor a number/
/AWS's response is not a CreateChatToken response: duplicate token/
/AWS's response is not a CreateChatToken response: not UTF-8, or contains U\+0000/
--- inspect eval: $main::Silent



=== TEST 15: an answer as large as is allowed, and one byte more
--- config eval: $main::Config
--- ask
POST /token?fault=big-16384        => token
POST /token?fault=big-16385        => 502 bad_response
POST /token?fault=long-token-12000 => 200
POST /token?fault=huge             => 502 bad_response
POST /token?fault=big-300          => 502 rejected
--- logged
/AWS's response is too big: if it is valid, increase "subrequest_output_buffer_size" in location "\/ivschat" \(request id "[-0-9a-f]{36}"\)/
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::like($bodies->[2], $IvsChat::TOKEN, "$name - a long token");
    Test::More::is(length JSON::PP::decode_json($bodies->[2])->{token}, 12000,
                   "$name - its length");
}



=== TEST 16: a head that does not fit
--- config eval: $main::Config
--- ask
POST /token?fault=bigheader-15000 => token
POST /token?fault=bigheader-17000 => 502 bad_response
POST /token?fault=bigheader-40000 => 502 bad_response
--- logged
AWS's response header is too big: increase "proxy_buffer_size" in location "/ivschat"



=== TEST 17: connections that break
--- config eval: $main::Config
--- ask
POST /token?fault=reset-before  => 502 unavailable
POST /token?fault=reset-headers => 502 unavailable
POST /token?fault=reset-body    => 502 unavailable
POST /token?fault=close-before  => 502 unavailable
POST /token?fault=truncated     => 502 unavailable
--- logged
AWS at "ivschat.us-west-2.amazonaws.com" could not be reached or closed the connection prematurely
/AWS closed the connection before the end of its response \(request id "[-0-9a-f]{36}"\)/
--- inspect eval: $main::Silent



=== TEST 18: a kept-alive connection that the service has closed harms no one
--- config eval: $main::Config
--- ask
POST /token?fault=stale    => token
POST /token?fault=chunked  => token
POST /token?fault=stale-50 => token
POST /token?fault=chunked  => token



=== TEST 19: no connection, and nothing behind the port
--- http_config
    upstream ivschat.us-west-2.amazonaws.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- config eval: $main::Config
--- ask
POST /token?fault=nothing => 502 unavailable
--- arrived
nothing
--- logged
AWS at "ivschat.us-west-2.amazonaws.com" could not be reached or closed the connection prematurely



=== TEST 20: Retry-After is the retryAfter of the body
--- config eval: $main::Config
--- ask
POST /token?fault=throttling => 429 throttled retry
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;

    for (1 .. 5) {
        my $answer = IvsChat::exchange(
            "POST /token?fault=throttling HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n");
        my ($header) = $answer =~ /^Retry-After: (\d+)\r$/m;
        my ($member) = $answer =~ /"retryAfter":(\d+)\}$/;

        Test::More::is($header, $member, $name);
    }
}



=== TEST 21: the usual error_page does not hand HTML to an SDK
--- config
    error_page 400 401 403 404 405 429 500 502 503 504 =200 /index.html;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-$arg_fault if=$arg_fault trusted;
    }
--- ask
POST /token?fault=x                            => 401 unauthenticated
POST /token?user=a                             => 403 room_forbidden
GET /token                                     => 405 method_not_allowed
POST /token?user=a&fault=not-found             => 404 room_not_found
POST /token?user=a&fault=throttling            => 429 throttled retry
POST /token?user=a&fault=html                  => 502 bad_response



=== TEST 22: an error_page that may, does
--- config
    ivschat_token_intercept_errors on;
    error_page                     401     /sorry;
    error_page                     404 429 =200 /sorry;
    error_page                     403     =444 @named;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $arg_user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-$arg_fault if=$arg_fault trusted;
    }

    location = /sorry {
        internal;
        return 200 "sorry: $ivschat_token_result";
    }

    location @named {
        return 410 "named: $ivschat_token_result";
    }
--- request eval
["POST /token?fault=x", "POST /token?user=a",
 "POST /token?user=a&fault=not-found", "POST /token?user=a&fault=throttling",
 "POST /token?user=a&fault=html"]
--- error_code eval: [401, 444, 200, 200, 502]
--- response_body eval
["sorry: unauthenticated", "named: room_forbidden", "sorry: room_not_found",
 "sorry: throttled", qr/"code":"bad_response"/]



=== TEST 23: a location can turn that off again
--- config
    ivschat_token_intercept_errors on;
    error_page                     404 =200 /sorry;

    location = /token {
        ivschat_token_intercept_errors off;

        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
    }

    location = /sorry {
        return 200 sorry;
    }
--- ask
POST /token => 404 room_not_found



=== TEST 24: an error_page that fails itself leaves our error
--- config
    ivschat_token_intercept_errors on;
    error_page                     404 /again;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
    }

    location = /again {
        ivschat_token         /ivschat;
        ivschat_token_user    bob;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOMSfault-not-found;
        ivschat_token_methods GET;
    }
--- request
POST /token
--- error_code: 404
--- response_body_like: "code":"room_not_found"
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my @mine = grep { $_->{body} =~ /fault-not-found/ } @$seen;
    Test::More::is(scalar(@mine), 2, $name);
}



=== TEST 25: a connection of a client goes on after errors
--- config eval: $main::Config
--- pipelined_requests eval
["POST /token?fault=not-found\nbody", "POST /token?fault=truncated\nbody",
 "GET /token", "POST /token?fault=chunked\nbody"]
--- expect
404 room_not_found
502 unavailable
405 method_not_allowed
token



=== TEST 26: 100 Continue, which nginx does not know in an answer, spoils no later request
--- config eval: $main::Config
--- request eval
["POST /token?fault=100", "POST /token?fault=chunked",
 "POST /token?fault=100", "POST /token?fault=chunked"]
--- error_code_like eval: ['200|502', 200, '200|502', 200]
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;

    for my $i (0 .. 3) {
        Test::More::like($bodies->[$i],
            $i % 2 ? $IvsChat::TOKEN : qr/"token"|"code":"bad_response"/,
            "$name - req $i");
    }

    my %seen;
    Test::More::is(scalar(grep { $seen{$_}++ } @$bodies[1, 3]), 0,
                   "$name - no token twice");
}
