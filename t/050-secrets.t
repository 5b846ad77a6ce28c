# No secret, token, user or attribute in a log.

use lib 't/lib';
use IvsChat;
use NginxConf;
use Digest::SHA 'hmac_sha256';
use Test::Nginx::Socket 'no_plan';

our $Secret = 'seCRET/of+the+session';
our $Session = 'SESSION/tokEn+' . 'x' x 40 . '==';

IvsChat::add_credential(key => 'AKIDSESSION', secret => $Secret,
                        token => $Session);

our $Role = 'arn:aws:iam::123456789012:role/app';

our $Credentials = "ivschat_token_credentials static key=AKIDSESSION "
                   . "secret=$Secret token=$Session;\n";

# User and attribute come in headers, since nginx logs the request's line.

our $Config = <<'END';
    location = /token {
        ivschat_token           /ivschat;
        ivschat_token_user      $http_x_user trusted;
        ivschat_token_room      $TEST_NGINX_IVSCHAT_ROOMS$arg_room trusted;
        ivschat_token_attribute color $http_x_color trusted;
        ivschat_token_timeout   500ms;
    }
END

our $Headers = "X-User: USER-in-question\nX-Color: COLOR-in-question";

# What may not be in a log with these credentials, whatever its level.

sub forbidden {
    my ($secret, @bodies) = @_;

    my %forbidden = (secret => $secret);

    for my $day (map { time + 86400 * $_ } -1, 0, 1) {
        my @t = gmtime $day;
        my $date = sprintf '%04d%02d%02d', $t[5] + 1900, $t[4] + 1, $t[3];
        my $key = "AWS4$secret";

        for my $part ($date, 'us-west-2', 'ivschat', 'aws4_request') {
            $key = hmac_sha256($part, $key);

            $forbidden{"key of $date, $part"} = $key;
            $forbidden{"key of $date, $part, hex"} = unpack 'H*', $key;
            $forbidden{"key of $date, $part, HEX"} = uc unpack 'H*', $key;
            $forbidden{"key of $date, $part, base64"}
                = MIME::Base64::encode_base64($key, '');
        }
    }

    my $n = 0;

    for my $body (@bodies) {
        $forbidden{'token ' . ++$n} = $1 if $body =~ /"token":"([^"]+)"/;
    }

    return %forbidden;
}

sub raw_log {
    my ($file) = @_;
    return IvsChat::slurp(Test::Nginx::Util::server_root() . "/logs/$file");
}

sub clean {
    my ($name, $log, %forbidden) = @_;

    my @found = grep { index($log, $forbidden{$_}) >= 0 } sort keys %forbidden;

    Test::More::is("@found", '', $name);
}

repeat_each(2);
run_tests();

# "nginx -t", on lines with credentials and a mistake

for my $line ("static key=AKID secret=$Secret token='a b'",
              "static key=AKID secret='$Secret x'",
              "static key=A-B secret=$Secret token=$Session",
              "static secret=$Secret token=$Session",
              "static key=AKID secret=$Secret $Session",
              "static key=AKID $Secret",
              "static key=AKID secret=$Secret secret=$Session",
              "static key=AKID secret=$Secret token=$Session token=$Session",
              "static key=AKID Secret=$Secret",
              "secret=$Secret key=AKID",
              "$Secret key=AKID",
              "env $Secret",
              "auto token=$Session",
              "imds key=AKID secret=$Secret",
              "container token=$Session",
              "web_identity $Session",
              "profile key=AKID secret=$Secret",
              "profile name=chat $Secret",
              "profile name=chat secret=$Secret token=$Session",
              "assume_role role=$Role secret=$Secret",
              "assume_role role=$Role source=static key=A secret=$Secret",
              "assume_role role=$Role $Secret",
              "assume_role role=$Role session=$Session")
{
    my ($status, $output)
        = NginxConf::test(http => "ivschat_token_credentials $line;");

    (my $hidden = $line) =~ s/\Q$Secret\E/SECRET/g;
    $hidden =~ s/\Q$Session\E/SESSION/g;

    Test::More::isnt($status, 0, "$0 refused: $hidden");
    clean("$0 nothing secret in the message: $hidden", $output,
          secret => $Secret, token => $Session);
}

__DATA__

=== TEST 1: tokens leave no trace at info
--- http_config eval: $main::Credentials
--- config eval: $main::Config
--- request eval: ["POST /token?room=a", "POST /token?room=b"]
--- more_headers eval: $main::Headers
--- expect
token
token
--- not_logged
-in-question
SESSION



=== TEST 2: nor do errors
--- http_config eval: $main::Credentials
--- config eval: $main::Config
--- request eval
[map { "POST /token?room=fault-$_" }
 qw(mention-values access-denied validation invalid-signature expired-token
    unrecognized-client internal throttling not-found html duplicate nul
    badutf8 missing-tokenExpirationTime huge truncated reset-body silence
    drip-20 bigheader-40000 times-garbage wrongtypes status-400 body-code)]
--- more_headers eval: $main::Headers
--- error_code_like eval: [('^(?:4|5)\d\d$') x 24]
--- not_logged
-in-question
SESSION



=== TEST 3: a wrong signature, to which AWS answers with the canonical request
--- http_config eval
$main::Credentials =~ s/secret=\S+/secret=another-one/r
--- config eval: $main::Config
--- request
POST /token?room=a
--- more_headers eval: $main::Headers
--- expect: 502 rejected
--- logged
/AWS answered 403 InvalidSignatureException/
--- not_logged
-in-question
SESSION
another-one



=== TEST 4: users and attributes outside of the limits
--- http_config eval: $main::Credentials
--- config eval: $main::Config
--- request eval: ["POST /token?room=a", "POST /token?room=a", "POST /token?room=a", "POST /token?room=a"]
--- more_headers eval
["X-User: USER-in-question" . "x" x 128, "X-User: USER-in-question\xff",
 "X-User: USER-in-question\nX-Color: COLOR-in-question" . "x" x 1024,
 "X-User: USER-in-question\nX-Color: COLOR-in-question\xff"]
--- expect
400 invalid_user
400 invalid_user
400 invalid_attributes
400 invalid_attributes
--- not_logged
-in-question



=== TEST 5: the variables in an access log
--- http_config eval
$main::Credentials . q(
    log_format all '$ivschat_token_result $ivschat_token_attempts '
        '$ivschat_token_time $ivschat_token_aws_status '
        '$ivschat_token_aws_error $ivschat_token_aws_request_id '
        '$ivschat_token_host $ivschat_token_room $ivschat_token_capabilities '
        '$request $args $request_body $status $body_bytes_sent '
        '$http_authorization $http_x_amz_security_token $http_x_amz_date '
        '$content_type $content_length $remote_user '
        '$sent_http_content_type $sent_http_authorization '
        '$upstream_addr $upstream_status $upstream_response_length '
        '$upstream_http_x_amzn_requestid $proxy_host $uri $request_filename';)
--- config eval: 'access_log logs/access.log all;' . $main::Config
--- request eval: ["POST /token?room=a", "POST /token?room=fault-mention-values"]
--- more_headers eval: $main::Headers
--- expect
token
502 rejected
--- access
/ok 1 .*/
/rejected 1 .*/
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    main::clean($name, main::raw_log('access.log'), session => $main::Session,
                user => 'USER-in', attribute => 'COLOR-in',
                main::forbidden($main::Secret, @$bodies));
}



=== TEST 6: at debug, neither the secret, nor a key made of it, nor a token
--- http_config eval: $main::Credentials
--- config eval: $main::Config
--- log_level: debug
--- request eval
["POST /token?room=a", "POST /token?room=fault-chunked",
 "POST /token?room=fault-truncated", "POST /token?room=fault-escaped"]
--- more_headers eval: $main::Headers
--- error_code_like eval: ['^200$', '^200$', '^502$', '^200$']
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my $log = main::raw_log('error.log');

    Test::More::like($log, qr/\[debug\].* ivschat token attempt:1 /,
                     "$name - it is a log at debug");
    Test::More::is(scalar(grep { /"token"/ } @$bodies), 3,
                   "$name - with three tokens");
    main::clean($name, $log, main::forbidden($main::Secret, @$bodies));
}



=== TEST 7: at debug, with credentials from the environment
--- config eval: 'ivschat_token_credentials env;' . $main::Config
--- aws_env eval
"AWS_ACCESS_KEY_ID=AKIDSESSION\nAWS_SECRET_ACCESS_KEY=$main::Secret\n"
. "AWS_SESSION_TOKEN=$main::Session"
--- log_level: debug
--- request
POST /token?room=a
--- more_headers eval: $main::Headers
--- expect: token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    main::clean($name, main::raw_log('error.log'),
                main::forbidden($main::Secret, @$bodies));
}



=== TEST 8: the answer has nothing of the credentials
--- http_config eval: $main::Credentials
--- config eval: $main::Config
--- request eval: ["POST /token?room=a", "POST /token?room=fault-invalid-signature"]
--- more_headers eval: $main::Headers
--- expect
token
502 rejected
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    main::clean($name, "@$bodies", session => $main::Session,
                main::forbidden($main::Secret));
}



=== TEST 9: the environment's secrets, when they cannot be used
--- config eval: 'ivschat_token_credentials env;' . $main::Config
--- aws_env eval
"AWS_ACCESS_KEY_ID=AKID-SESSION\nAWS_SECRET_ACCESS_KEY=$main::Secret\n"
. "AWS_SESSION_TOKEN=$main::Session"
--- request
POST /token?room=a
--- more_headers eval: $main::Headers
--- expect: 503 no_credentials retry
--- not_logged
SESSION
-in-question
