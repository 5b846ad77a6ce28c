# ivschat_params as shipped (but for the CA): it holds whatever stands above.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

# Every directive of ivschat_params, set to what would spoil the request.

our $Wrong = <<'END';
    proxy_method                  DELETE;
    proxy_http_version            1.0;
    proxy_set_header              Host wrong.example;
    proxy_set_header              Connection close;
    proxy_set_header              X-Amz-Date wrong;
    proxy_pass_request_headers    off;
    proxy_pass_request_body       off;
    proxy_intercept_errors        on;
    proxy_cache                   zone;
    proxy_cache_methods           POST;
    proxy_cache_valid             any 1h;
    proxy_store                   on;
    proxy_ignore_client_abort     off;
    proxy_ignore_headers          Cache-Control;
    proxy_ssl_server_name         off;
    proxy_ssl_verify              off;
    proxy_ssl_verify_depth        0;
    proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
    proxy_connect_timeout         1ms;
    proxy_send_timeout            1ms;
    proxy_read_timeout            1ms;
    proxy_next_upstream           off;
    proxy_next_upstream_tries     1;
    proxy_buffer_size             128;
    proxy_buffers                 4 128;
    proxy_busy_buffers_size       128;
    proxy_max_temp_file_size      1m;
    subrequest_output_buffer_size 16;
    client_max_body_size          1;

    proxy_buffering               off;
    proxy_request_buffering       off;
    error_page                    400 403 404 500 502 504 /sorry;
END

# It has what ivschat_params has.

{
    my %in = map { $_ => 1 } $Wrong =~ /^\s*(\w+)/mg;
    my $params = IvsChat::slurp($ENV{TEST_NGINX_IVSCHAT_PARAMS});

    Test::More::is(join(' ', grep { !$in{$_} } $params =~ /^(\w+)/mg), '',
                   "$0 every directive of ivschat_params is set wrongly");
}

# nginx itself does not take the two on one level.

our ($WrongHttp, $WrongServer) = ($Wrong, $Wrong);

$WrongHttp =~ s/proxy_store .*//;
$WrongServer =~ s/proxy_cache.*//g;

our $Own = <<'END';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        WRONG

        location = /token {
            ivschat_token      /ivschat;
            ivschat_token_user alice;
            ivschat_token_room $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
        }

        location = /ivschat {
            internal;
            proxy_pass https://$ivschat_token_host/CreateChatToken;
            include    $TEST_NGINX_IVSCHAT_PARAMS;
        }
    }
END

our $Front = <<'END';
    location = /token {
        proxy_method            POST;
        proxy_buffer_size       16k;
        proxy_buffers           4 16k;
        proxy_busy_buffers_size 32k;
        proxy_read_timeout      5s;
        proxy_send_timeout      5s;
        proxy_connect_timeout   5s;
        proxy_intercept_errors  off;
        proxy_cache             off;
        proxy_store             off;
        proxy_pass              http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
END

our $Cache = <<'END';
    proxy_cache_path $TEST_NGINX_IVSCHAT_DIR/cache keys_zone=zone:1m;
END

sub own {
    my ($wrong) = @_;
    (my $text = $Own) =~ s/WRONG/$wrong/;
    return $text;
}

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: with one upstream, over one connection, verified
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => token
POST /token => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply(
        [map { [$_->{sni}, $_->{version}, $_->{connection}] } @$seen],
        [(['ivschat.us-west-2.amazonaws.com', 'HTTP/1.1',
           $seen->[0]{connection}]) x 2], $name);
}



=== TEST 2: with two regions, each on its upstream
--- http_config eval: IvsChat::upstream('eu-west-1')
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room arn:aws:ivschat:us-west-2:123456789012:room/west if=$arg_west trusted;
        ivschat_token_room arn:aws:ivschat:eu-west-1:123456789012:room/eu;
    }
--- ask
POST /token?west=1 => token
POST /token        => token
POST /token?west=1 => token
POST /token        => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply([map { $_->{sni} =~ /ivschat\.(.*?)\./ } @$seen],
                          [('us-west-2', 'eu-west-1') x 2], "$name - SNI");
    Test::More::is($seen->[0]{connection}, $seen->[2]{connection},
                   "$name - kept alive in the one");
    Test::More::is($seen->[1]{connection}, $seen->[3]{connection},
                   "$name - and in the other");
    Test::More::isnt($seen->[0]{connection}, $seen->[1]{connection},
                     "$name - which are two");
}



=== TEST 3: under http and server blocks that set everything wrongly
--- http_config eval: $main::Cache . $main::WrongHttp . main::own($main::WrongServer)
--- config eval: $main::Front
--- ask
POST /token?room=AbCdEfGhIjKl => token
POST /token?room=AbCdEfGhIjKl => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    Test::More::is_deeply(
        [map { [$_->{sni}, $_->{version}, $_->{method}, $_->{connection},
                scalar @{ $_->{headers} }] } @$seen],
        [(['ivschat.us-west-2.amazonaws.com', 'HTTP/1.1', 'POST',
           $seen->[0]{connection}, 5]) x 2], $name);
    Test::More::isnt($bodies->[0], $bodies->[1], "$name - not cached");
}



=== TEST 4: errors under such blocks are ours all the same
--- http_config eval: $main::Cache . $main::WrongHttp . main::own($main::WrongServer)
--- config eval: $main::Front
--- ask
POST /token?room=fault-not-found     => 404 room_not_found
POST /token?room=fault-access-denied => 502 rejected
POST /token?room=fault-html          => 502 bad_response



=== TEST 5: a certificate that the wrong lines above would not check is checked
--- http_config eval
$main::Cache . $main::WrongHttp =~ s/client_max_body_size.*//r
--- config
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /ivschat {
        internal;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    $TEST_NGINX_IVSCHAT_PARAMS;
        proxy_ssl_name wrong.example;
    }
--- ask
POST /token => 502 unavailable
--- arrived
nothing



=== TEST 6: a large answer fits where the level above has small buffers
--- http_config eval: $main::Cache . $main::WrongHttp . main::own($main::WrongServer)
--- config eval: $main::Front
--- request
POST /token?room=fault-big-16000
--- response_body_like: ^\{"token":"[^"]+","sessionExpirationTime":"[^"]+","tokenExpirationTime":"[^"]+"\}$



=== TEST 7: rewrites and variables of the server
--- config
    set $user $arg_user;
    set $ivschat /ivschat;
    rewrite ^/api/(.*)$ /$1 last;
    rewrite ^/old/(.*)$ /new/$1;


    if ($request_method = GET) {
        set $user "";
    }

    if ($http_x_forwarded_proto = http) {
        return 301 https://$host$request_uri;
    }

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $user trusted;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token?user=alice   => token
POST /api/token?user=bob => token
--- arrived
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"alice"}
{"roomIdentifier":"$TEST_NGINX_IVSCHAT_ROOM","userId":"bob"}



=== TEST 8: authentication and limits of the server hold for the client, not for the way to AWS
--- config
    auth_basic           chat;
    auth_basic_user_file ../html/passwords;
    allow                127.0.0.1;
    deny                 all;
    limit_rate           100k;

    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user $remote_user;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- user_files
>>> passwords
alice:{PLAIN}secret
--- request
POST /token
--- more_headers eval
'Authorization: Basic ' . MIME::Base64::encode_base64('alice:secret', '')
--- expect: token
