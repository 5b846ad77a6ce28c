# ivschat_token_timeout is a deadline, whatever the service does meanwhile.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

# Connections to it are made by the kernel; nobody ever accepts them.

our $Deaf = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1')
            or die "listen: $!";
our $DeafPort = $Deaf->sockport;

our $Http = <<'END';
    log_format time '$ivschat_token_result $ivschat_token_attempts $ivschat_token_time';
END

# nginx's own timeouts are long, so that they play no part.

our $Config = <<'END';
    access_log logs/access.log time;

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
        ivschat_token_timeout 300ms;
    }

    location = /ivschat {
        internal;
        proxy_pass            https://$ivschat_token_host/CreateChatToken;
        include               $TEST_NGINX_IVSCHAT_PARAMS_WITHOUT_TIMEOUTS;
        proxy_connect_timeout 60s;
        proxy_send_timeout    60s;
        proxy_read_timeout    60s;
    }
END

# The connection on which the service was left waiting is closed.

our $Closed = sub {
    my ($seen, $bodies, $name) = @_;

    my $id = $seen->[0]{connection};
    my $connection;

    for (1 .. 100) {
        my $all = IvsChat::ask_control('GET', '/connections');

        ($connection) = grep { $_->{id} == $id } @{ $all->{connections} };
        last if !$connection || defined $connection->{closed};
        Time::HiRes::sleep(0.02);
    }

    Test::More::ok(!$connection || defined $connection->{closed},
                   "$name - the connection is closed");
};

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: silence
--- http_config eval: $main::Http
--- config eval: $main::Config
--- ask
POST /token?room=fault-silence => 504 timeout
POST /token?room=AbCdEfGhIjKl  => token
--- access
/timeout 1 0\.[3-6]\d\d/
/ok 1 \d\.\d{3}/
--- logged
no token within the 300ms of "ivschat_token_timeout"
--- inspect eval: $main::Closed



=== TEST 2: an answer that is late
--- http_config eval: $main::Http
--- config eval: $main::Config
--- ask
POST /token?room=fault-slow-800 => 504 timeout
POST /token?room=AbCdEfGhIjKl   => token
--- access
/timeout 1 0\.[3-6]\d\d/
/ok 1 \d\.\d{3}/
--- inspect eval: $main::Closed



=== TEST 3: an answer that is slow, but in time
--- http_config eval: $main::Http
--- config eval: $main::Config
--- ask
POST /token?room=fault-slow-100  => token
POST /token?room=fault-pause-100 => token



=== TEST 4: a pause in the middle of the body
--- http_config eval: $main::Http
--- config eval: $main::Config
--- ask
POST /token?room=fault-pause-2000 => 504 timeout
POST /token?room=AbCdEfGhIjKl     => token
--- access
/timeout 1 0\.[3-6]\d\d/
/ok 1 \d\.\d{3}/
--- inspect eval: $main::Closed



=== TEST 5: byte after byte, within the head
--- http_config eval: $main::Http
--- config eval: $main::Config
--- ask
POST /token?room=fault-drip-20 => 504 timeout
POST /token?room=AbCdEfGhIjKl  => token
--- access
/timeout 1 0\.[3-6]\d\d/
/ok 1 \d\.\d{3}/
--- inspect eval: $main::Closed



=== TEST 6: byte after byte, into the body
--- http_config eval: $main::Http
--- config eval: $main::Config =~ s/300ms/1s/r =~ s/access_log .*//r
--- ask
POST /token?room=fault-drip-2 => 504 timeout
POST /token?room=AbCdEfGhIjKl => token
--- inspect eval: $main::Closed



=== TEST 7: a TLS handshake that nobody answers
--- http_config eval
$main::Http . IvsChat::upstream('us-west-2', $main::DeafPort)
--- config eval: $main::Config
--- ask
POST /token?room=AbCdEfGhIjKl => 504 timeout
--- access
/timeout 1 0\.[3-6]\d\d/



=== TEST 8: a delay of limit_req that is longer
--- http_config eval
$main::Http . 'limit_req_zone $ivschat_token_user zone=user:1m rate=1r/m;'
--- config
    access_log logs/access.log time;

    location = /token {
        ivschat_token         /ivschat;
        ivschat_token_user    $arg_user-$connection trusted;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_timeout 300ms;
    }

    location = /ivschat {
        internal;
        limit_req  zone=user burst=10;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
    }
--- pipelined_requests eval
["POST /token?user=a\n1", "POST /token?user=a\n2", "POST /token?user=b\n3"]
--- expect
token
504 timeout
token
--- access
/ok 1 \d\.\d{3}/
/timeout 1 0\.[3-6]\d\d/
/ok 1 \d\.\d{3}/
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is(scalar(@$seen), 2, "$name - nothing arrived for it");
}



=== TEST 9: two clients on one connection, the first one's token is late
--- http_config eval: $main::Http
--- config eval: $main::Config
--- pipelined_requests eval
["POST /token?room=fault-silence\nbody", "POST /token?room=AbCdEfGhIjKl\nbody"]
--- expect
504 timeout
token



=== TEST 10: the client's slow body is not part of the time
--- http_config eval: $main::Http
--- config eval: $main::Config
--- raw_request eval
["POST /token?room=AbCdEfGhIjKl HTTP/1.1\r\nHost: a\r\nConnection: close\r
Content-Length: 10\r\n\r\nhello", "world"]
--- raw_request_middle_delay: 0.5
--- expect: token



=== TEST 11: nginx's read timeout, where it is the shorter one
--- http_config eval: $main::Http
--- config
    access_log logs/access.log time;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
    }

    location = /ivschat {
        internal;
        proxy_pass            https://$ivschat_token_host/CreateChatToken;
        include               $TEST_NGINX_IVSCHAT_PARAMS_WITHOUT_TIMEOUTS;
        proxy_connect_timeout 300ms;
        proxy_send_timeout    300ms;
        proxy_read_timeout    300ms;
    }
--- ask
POST /token?room=fault-silence => 504 timeout
POST /token?room=AbCdEfGhIjKl  => token
--- access
/timeout 1 0\.[3-6]\d\d/
/ok 1 \d\.\d{3}/
--- logged
AWS at "ivschat.us-west-2.amazonaws.com" did not respond in time



=== TEST 12: nginx's connect timeout is no connection, not a late answer
--- http_config eval
$main::Http . IvsChat::upstream('us-west-2', $main::DeafPort)
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /ivschat {
        internal;
        proxy_pass            https://$ivschat_token_host/CreateChatToken;
        include               $TEST_NGINX_IVSCHAT_PARAMS_WITHOUT_TIMEOUTS;
        proxy_connect_timeout 200ms;
    }
--- ask
POST /token => 502 unavailable



=== TEST 13: a timeout of the http level
--- http_config eval: $main::Http . 'ivschat_token_timeout 300ms;'
--- config
    access_log logs/access.log time;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMSfault-silence;
    }
--- ask
POST /token => 504 timeout
--- access
/timeout 1 0\.[3-6]\d\d/
