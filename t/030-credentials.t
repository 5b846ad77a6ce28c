# Credentials: "static" and "env", at every level.

use lib 't/lib';
use IvsChat;
use Test::Nginx::Socket 'no_plan';

IvsChat::add_credential(key => 'AKIDHTTP', secret => 'of-the-http-level');
IvsChat::add_credential(key => 'AKIDSERVER', secret => 'of-the-server-level');
IvsChat::add_credential(key => 'AKIDLOCATION', secret => 'of-the-location');
IvsChat::add_credential(key => 'AKIDSLASH', secret => '/begins+with/$a=');
IvsChat::add_credential(key => 'AKIDQUOTES', secret => q(a"b'c;{d}\\\\#e%00));
IvsChat::add_credential(key => 'A', secret => 'x');
IvsChat::add_credential(key => 'K' x 128, secret => 's' x 256);
IvsChat::add_credential(key => 'AKIDSESSION', secret => 'of-the-session',
                        token => 'IQoJb3JpZ2luX2Vj/+abc==');
IvsChat::add_credential(key => 'AKIDLONG', secret => 'of-a-long-session',
                        token => 'L' x 4000);
IvsChat::add_credential(key => 'AKIDENV', secret => '/of+the$environment=');
IvsChat::add_credential(key => 'AKIDENVSESSION', secret => 'of-the-env-session',
                        token => 'ENVIRONMENT/session+token==');

our $Token = <<'END';
    location = /token {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
END

# Which keys arrived, in a sub for "inspect".

sub keys_are {
    my (@expected) = @_;

    return sub {
        my ($seen, $bodies, $name) = @_;
        Test::More::is_deeply(
            [map { my %h = map { lc $_->[0] => $_->[1] } @{ $_->{headers} };
                   $h{authorization} =~ m{Credential=(\w+)/} } @$seen],
            \@expected, $name);
    };
}

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: static, at every level
--- http_config
    ivschat_token_credentials static key=AKIDHTTP secret=of-the-http-level;

    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;

        location = /token {
            ivschat_token      /ivschat;
            ivschat_token_user alice;
            ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
        }

        location = /ivschat {
            internal;
            proxy_pass https://$ivschat_token_host/CreateChatToken;
            include    $TEST_NGINX_IVSCHAT_PARAMS;
        }
    }
--- config
    ivschat_token_credentials static key=AKIDSERVER secret=of-the-server-level;

    location = /http {
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/token;
    }

    location = /server {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /location {
        ivschat_token_credentials static key=AKIDLOCATION secret=of-the-location;
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /http     => 200
POST /server   => token
POST /location => token
POST /server   => token
POST /http     => 200
--- inspect eval
main::keys_are(qw(AKIDHTTP AKIDSERVER AKIDLOCATION AKIDSERVER AKIDHTTP))



=== TEST 2: secrets of all sorts
--- config
    location = /slash {
        ivschat_token_credentials static key=AKIDSLASH secret=/begins+with/$a=;
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /quotes {
        ivschat_token_credentials static key=AKIDQUOTES
                                  'secret=a"b\'c;{d}\\\\#e%00';
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location = /short {
        ivschat_token_credentials static secret=x key=A;
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /slash  => token
POST /quotes => token
POST /short  => token
--- inspect eval: main::keys_are(qw(AKIDSLASH AKIDQUOTES A))



=== TEST 3: key and secret as long as they may be
--- config eval
'ivschat_token_credentials static key=' . 'K' x 128 . ' secret=' . 's' x 256
. ';' . $main::Token
--- ask
POST /token => token
--- inspect eval: main::keys_are('K' x 128)



=== TEST 4: a session token is sent and signed
--- config
    location = /token {
        ivschat_token_credentials static key=AKIDSESSION secret=of-the-session
                                  token=IQoJb3JpZ2luX2Vj/+abc==;
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }
--- ask
POST /token => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my @headers = @{ $seen->[0]{headers} };
    my ($authorization) = map { $_->[1] }
                          grep { lc $_->[0] eq 'authorization' } @headers;

    Test::More::is_deeply(
        [map { $_->[1] } grep { lc $_->[0] eq 'x-amz-security-token' }
             @headers],
        ['IQoJb3JpZ2luX2Vj/+abc=='], "$name - sent once");
    Test::More::like($authorization,
        qr/SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,/,
        "$name - signed");
    Test::More::is(scalar(@headers), 6, "$name - six headers");
}



=== TEST 5: a long session token
--- config eval
'ivschat_token_credentials static key=AKIDLONG secret=of-a-long-session token='
. 'L' x 4000 . ';' . $main::Token
--- ask
POST /token => token
POST /token => token



=== TEST 6: from the environment, without an "env" line
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=/of+the$environment=
--- ask
POST /token => token
--- inspect eval: main::keys_are('AKIDENV')



=== TEST 7: a session token from the environment
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENVSESSION
AWS_SECRET_ACCESS_KEY=of-the-env-session
AWS_SESSION_TOKEN=ENVIRONMENT/session+token==
--- ask
POST /token => token
--- inspect eval: main::keys_are('AKIDENVSESSION')



=== TEST 8: without a line, the environment is tried
--- bare
--- http_config
    $TEST_NGINX_IVSCHAT_UPSTREAM
--- config eval: $main::Token . IvsChat::internal_location()
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=/of+the$environment=
--- ask
POST /token => token
--- inspect eval: main::keys_are('AKIDENV')



=== TEST 9: "env" at the http level, "static" below, and the reverse
--- http_config
    ivschat_token_credentials env;
--- config
    location = /env {
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }

    location /static {
        ivschat_token_credentials static key=AKIDLOCATION secret=of-the-location;
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;

        location /static/env {
            ivschat_token_credentials auto;
            ivschat_token             /ivschat;
        }
    }
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=/of+the$environment=
--- ask
POST /env        => token
POST /static     => token
POST /static/env => token
--- inspect eval: main::keys_are(qw(AKIDENV AKIDLOCATION AKIDENV))



=== TEST 10: an "env" line with a value goes before the environment
--- main_config
    env AWS_ACCESS_KEY_ID=AKIDSERVER;
    env AWS_SECRET_ACCESS_KEY=of-the-server-level;
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=/of+the$environment=
--- ask
POST /token => token
--- inspect eval: main::keys_are('AKIDSERVER')



=== TEST 11: an "env" line without one lets it through
--- main_config
    env AWS_ACCESS_KEY_ID;
    env AWS_SECRET_ACCESS_KEY;
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=/of+the$environment=
--- ask
POST /token => token
--- inspect eval: main::keys_are('AKIDENV')



=== TEST 12: nothing in the environment
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- ask
POST /token => 503 no_credentials retry
POST /token => 503 no_credentials retry
--- arrived
nothing
--- logged
no AWS credentials from "ivschat_token_credentials env"



=== TEST 13: half of it in the environment
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=
--- ask
POST /token => 503 no_credentials retry
--- arrived
nothing
--- logged
no AWS credentials from "ivschat_token_credentials env"



=== TEST 14: something unusable in the environment
--- config eval: 'ivschat_token_credentials env;' . $main::Token
--- aws_env
AWS_ACCESS_KEY_ID=AKIDENV
AWS_SECRET_ACCESS_KEY=hush hush
--- ask
POST /token => 503 no_credentials retry
--- arrived
nothing
--- not_logged
hush



=== TEST 15: without any line and without an environment
--- bare
--- http_config
    $TEST_NGINX_IVSCHAT_UPSTREAM
--- config eval: $main::Token . IvsChat::internal_location()
--- aws_env
AWS_EC2_METADATA_DISABLED=true
--- ask
POST /token => 503 no_credentials retry
--- arrived
nothing
--- logged
no AWS credentials from "ivschat_token_credentials auto"



=== TEST 16: one location without credentials does not keep another from minting
--- bare
--- http_config
    $TEST_NGINX_IVSCHAT_UPSTREAM
--- config eval
$main::Token . IvsChat::internal_location() . '
    location = /static {
        ivschat_token_credentials static key=AKIDLOCATION secret=of-the-location;
        ivschat_token      /ivschat;
        ivschat_token_user alice;
        ivschat_token_room $TEST_NGINX_IVSCHAT_ROOM;
    }'
--- aws_env
AWS_EC2_METADATA_DISABLED=true
--- ask
POST /static => token
POST /token  => 503 no_credentials retry



=== TEST 17: "if" and "limit_except" have those of their location
--- config
    location = /token {
        ivschat_token_credentials static key=AKIDLOCATION secret=of-the-location;
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    $TEST_NGINX_IVSCHAT_ROOM;
        ivschat_token_methods GET POST;

        if ($arg_a) {
            set $a 1;
        }

        limit_except GET {
            allow all;
        }
    }
--- ask
POST /token    => token
GET /token?a=1 => token
GET /token     => token
--- inspect eval: main::keys_are(('AKIDLOCATION') x 3)



=== TEST 18: keys, regions and credentials in turn, each signed with its own
--- http_config eval
IvsChat::upstream('eu-west-1') . IvsChat::upstream('us-east-1')
--- config
    location = /a {
        ivschat_token_credentials static key=AKIDLOCATION secret=of-the-location;
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    arn:aws:ivschat:$arg_r:123456789012:room/a trusted;
    }

    location = /b {
        ivschat_token_credentials static key=AKIDSESSION secret=of-the-session
                                  token=IQoJb3JpZ2luX2Vj/+abc==;
        ivschat_token         /ivschat;
        ivschat_token_user    alice;
        ivschat_token_room    arn:aws:ivschat:$arg_r:123456789012:room/b trusted;
    }
--- ask
POST /a?r=us-west-2 => token
POST /b?r=us-west-2 => token
POST /a?r=eu-west-1 => token
POST /b?r=us-east-1 => token
POST /a?r=us-west-2 => token
POST /b?r=eu-west-1 => token
POST /a?r=us-east-1 => token
POST /b?r=us-west-2 => token
