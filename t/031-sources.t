# Every source of credentials, from where it has them to a token: the fakes of
# AWS's services are as strict as the real ones, and so is the service that
# the tokens are from.  Four workers, as a rule one fetch for all of them.

use lib 't/lib';
use Digest::SHA 'hmac_sha256';
use IvsChat '--fakes', '--ipv6';
use POSIX ();
use Test::Nginx::Socket 'no_plan';

master_on();
workers(4);

our $App = 'arn:aws:iam::123456789012:role/app';
our $Other = 'arn:aws:iam::210987654321:role/app';
our $OtherRoom = 'arn:aws:ivschat:us-west-2:210987654321:room/a';

our $Imds = "AWS_METADATA_SERVICE_TIMEOUT=5\n"      # of a slow machine
            . 'AWS_EC2_METADATA_SERVICE_ENDPOINT=$TEST_NGINX_IVSCHAT_IMDS';
our $Container = 'AWS_CONTAINER_CREDENTIALS_FULL_URI='
                 . "\$TEST_NGINX_IVSCHAT_CONTAINER/v1/credentials\n"
                 . 'AWS_CONTAINER_AUTHORIZATION_TOKEN=pod+identity/token==';
our $Sts = "AWS_ENDPOINT_URL_STS=\$TEST_NGINX_IVSCHAT_STS\n"
           . 'AWS_CA_BUNDLE=$TEST_NGINX_IVSCHAT_STS_CA';
our $Identity = "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/web\n"
                . 'AWS_WEB_IDENTITY_TOKEN_FILE='
                . '$TEST_NGINX_IVSCHAT_IDENTITY_FILE';
our $Keys = 'AWS_ACCESS_KEY_ID=' . IvsChat::KEY
            . "\nAWS_SECRET_ACCESS_KEY=" . IvsChat::SECRET;
our $IdentityFile = '{"sts": {"web_identity_file": '
                    . '"$TEST_NGINX_IVSCHAT_IDENTITY_FILE"}}';

sub env { return join "\n", @_ }

# A token location with these credentials; "" is for none.

sub token {
    my ($credentials, $path, $room) = @_;

    my $line = $credentials eq '' ? ''
                                  : "ivschat_token_credentials $credentials;";

    return 'location = ' . ($path // '/token') . " { $line "
           . 'ivschat_token /ivschat; ivschat_token_user alice; '
           . 'ivschat_token_room ' . ($room // $IvsChat::ROOM) . "; }\n";
}

# In "inspect": what each token was signed with, as the fakes know it.

sub signed_by {
    my (@expected) = @_;

    return sub {
        my ($seen, $bodies, $name) = @_;
        my %arn = map { $_->{key} => $_->{arn} }
                      @{ IvsChat::ask_fakes('GET', '/issued') };

        Test::More::is_deeply(
            [map { $arn{$_->{access_key}} // $_->{access_key} } @$seen],
            \@expected, "$name - signed by");
    };
}

# Or the same, of a role's name in an account: "123456789012:app".

sub signed_by_role {
    my (@expected) = @_;

    return sub {
        my ($seen, $bodies, $name) = @_;
        my %arn = map { $_->{key} => $_->{arn} }
                      @{ IvsChat::ask_fakes('GET', '/issued') };

        Test::More::is_deeply(
            [map { ($arn{$_->{access_key}} // '')
                   =~ m{::(\d+):assumed-role/(\w+)/} ? "$1:$2"
                                                     : $_->{access_key} }
                 @$seen],
            \@expected, "$name - signed by");
    };
}

# The requests that STS has seen: parameters, region and key of the signature.

sub sts_requests {
    return map {
        my $request = $_;
        my %form = map { s/\+/ /gr =~ s/%(..)/chr hex $1/ger }
                   map { /^([^=]*)=(.*)$/ } split /&/, $request->{body};
        +{ %form, region => $request->{region}, key => $request->{access_key} }
    } @{ IvsChat::ask_fakes('GET', '/requests?source=sts') };
}

sub sts_has {
    my (@expected) = @_;

    return sub {
        my ($seen, $bodies, $name) = @_;
        my @requests = sts_requests();

        Test::More::is(scalar(@requests), scalar(@expected),
                       "$name - requests to STS");

        for my $i (0 .. $#expected) {
            for my $field (sort keys %{ $expected[$i] }) {
                Test::More::is($requests[$i]{$field}, $expected[$i]{$field},
                               "$name - STS, request $i, $field");
            }
        }
    };
}

# ivschat-<hostname>, as far as it may be a session's name

sub default_session {
    my ($host) = (POSIX::uname())[1];
    return substr 'ivschat-' . $host =~ s/[^\w+=,.@-]/-/gr, 0, 64;
}

# All keys that a signature of these days is made with.

sub keys_of {
    my ($secret, $service) = @_;
    my %keys;

    for my $day (map { time + 86400 * $_ } -1, 0, 1) {
        my $date = POSIX::strftime('%Y%m%d', gmtime $day);
        my $key = "AWS4$secret";

        for my $part ($date, 'us-west-2', $service, 'aws4_request') {
            $key = hmac_sha256($part, $key);
            $keys{"$secret $date $part"} = $key;
            $keys{"$secret $date $part hex"} = unpack 'H*', $key;
        }
    }

    return %keys;
}

sub all_of {
    my (@subs) = @_;
    return sub { $_->(@_) for @subs };
}

run_tests();

__DATA__

=== TEST 1: imds: token, role, credentials, once for four workers
--- config eval: main::token('imds')
--- aws_env eval: $main::Imds
--- pipelined_requests eval: [("POST /token") x 20]
--- expect eval: "token\n" x 20
--- fetched
imds credentials 1 role 1 token 1
--- inspect eval
main::signed_by(("arn:aws:sts::123456789012:assumed-role/app/"
                 . "i-0123456789abcdef0") x 20)
--- logged
/\[notice\] .*AWS credentials from "imds": access key "….{4}"/



=== TEST 2: imds: a slash behind the endpoint
--- config eval: main::token('imds')
--- aws_env eval: "$main::Imds//"
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1



=== TEST 3: imds over IPv6
--- config eval: main::token('imds')
--- aws_env
AWS_EC2_METADATA_SERVICE_ENDPOINT=$TEST_NGINX_IVSCHAT_IMDS6
AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv4
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1



=== TEST 4: imds: the name of the role in the first of several lines
--- config eval: main::token('imds')
--- aws_env eval: $main::Imds
--- faults
{"source": "imds", "fault": "inject", "step": "role"}
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1



=== TEST 5: imds: no role
--- config eval: main::token('imds')
--- aws_env eval: $main::Imds
--- settings: {"imds": {"role": null}}
--- ask
POST /token => 503 no_credentials retry
--- arrived
nothing
--- logged
no AWS credentials could be fetched from "imds": the instance metadata service: it answered 404: the instance has no IAM role
no AWS credentials from "ivschat_token_credentials imds"



=== TEST 6: imds: switched off by the environment
--- config eval: main::token('imds')
--- aws_env eval: main::env($main::Imds, 'AWS_EC2_METADATA_DISABLED=true')
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
[warn]
"ivschat_token_credentials imds" finds no credentials: AWS_EC2_METADATA_DISABLED is set in



=== TEST 7: imds: not switched off
--- config eval: main::token('imds')
--- aws_env eval: main::env($main::Imds, 'AWS_EC2_METADATA_DISABLED=FALSE')
--- ask
POST /token => token



=== TEST 8: imds: a session token that has expired is asked for once more
--- config eval: main::token('imds')
--- aws_env eval: $main::Imds
--- faults
{"source": "imds", "fault": "unauthorized", "step": "credentials"}
--- ask
POST /token => token
--- fetched
imds credentials 2 role 2 token 2



=== TEST 9: imds: a role of another account
--- config eval: main::token('imds', '/token', $main::OtherRoom)
--- aws_env eval: $main::Imds
--- settings eval: qq({"imds": {"role": "$main::Other"}})
--- ask
POST /token => token
--- inspect eval: main::signed_by_role('210987654321:app')



=== TEST 10: imds: credentials of the wrong account
--- config eval: main::token('imds', '/token', $main::OtherRoom)
--- aws_env eval: $main::Imds
--- ask
POST /token => 502 rejected
--- logged
AccessDeniedException



=== TEST 11: container with a token of the environment
--- config eval: main::token('container')
--- aws_env eval: $main::Container
--- ask
POST /token => token
POST /token => token
--- fetched
container credentials 1
--- inspect eval
main::signed_by(("arn:aws:sts::123456789012:assumed-role/app/"
                 . "5f0c1d9e-8a57-4b1c-9c56-0e2a8f3b7d41") x 2)
--- logged
AWS credentials from "container": access key "…



=== TEST 12: container with a token file, which goes before a token
--- config eval: main::token('container')
--- aws_env eval
main::env($main::Container, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE='
                            . '$TEST_NGINX_IVSCHAT_AUTHORIZATION_FILE')
--- settings
{"container": {"authorization_file": "$TEST_NGINX_IVSCHAT_AUTHORIZATION_FILE"}}
--- ask
POST /token => token
--- fetched
container credentials 1



=== TEST 13: container: no authorization is wanted, as in ECS
--- config eval: main::token('container')
--- aws_env
AWS_CONTAINER_CREDENTIALS_FULL_URI=$TEST_NGINX_IVSCHAT_CONTAINER/v2/credentials/5f0c1d9e-8a57-4b1c-9c56-0e2a8f3b7d41
--- settings: {"container": {"authorization": null}}
--- ask
POST /token => token
--- fetched
container credentials 1
--- inspect eval
sub {
    my ($request) = @{ IvsChat::ask_fakes('GET',
                                          '/requests?source=container') };
    my %headers = map { lc $_->[0] => $_->[1] } @{ $request->{headers} };

    Test::More::is($headers{accept}, 'application/json', 'it accepts JSON');
    Test::More::is($headers{authorization}, undef, 'and has no token');
}



=== TEST 14: container over IPv6, and by name
--- config eval
main::token('container')
--- aws_env
AWS_CONTAINER_CREDENTIALS_FULL_URI=$TEST_NGINX_IVSCHAT_CONTAINER6/v1/credentials
AWS_CONTAINER_AUTHORIZATION_TOKEN=pod+identity/token==
--- ask
POST /token => token



=== TEST 15: container: a wrong token
--- config eval: main::token('container')
--- aws_env
AWS_CONTAINER_CREDENTIALS_FULL_URI=$TEST_NGINX_IVSCHAT_CONTAINER/v1/credentials
AWS_CONTAINER_AUTHORIZATION_TOKEN=pod+identity/token=
--- ask
POST /token => 503 no_credentials retry
--- logged
/the container credentials endpoint: it answered 403: the authorization token was rejected/
--- not_logged
pod+identity



=== TEST 16: container: no token file
--- config eval: main::token('container')
--- aws_env eval
main::env($main::Container, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/nowhere/at/all')
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/the token file "\/nowhere\/at\/all" cannot be read by user \w+: \(2: No such file or directory\)/



=== TEST 17: container: a token with a line end
--- config eval: main::token('container')
--- aws_env eval
main::env($main::Container, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE='
          . IvsChat::write_file('two-lines', "token\r\nX-Injected: 1\n"))
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
the authorization token has control characters
--- not_logged
X-Injected



=== TEST 18: web_identity
--- config eval: main::token('web_identity')
--- aws_env eval: main::env($main::Sts, $main::Identity)
--- settings eval: $main::IdentityFile
--- ask
POST /token => token
POST /token => token
--- fetched
sts AssumeRoleWithWebIdentity 1
--- inspect eval
main::all_of(main::signed_by_role(('123456789012:web') x 2),
             main::sts_has({ Action => 'AssumeRoleWithWebIdentity',
                             RoleArn => 'arn:aws:iam::123456789012:role/web',
                             RoleSessionName => main::default_session(),
                             DurationSeconds => undef }))
--- logged
AWS credentials from "web_identity": access key "…



=== TEST 19: web_identity with a session name of the environment, and a region
--- config eval: main::token('web_identity region=eu-central-1')
--- aws_env eval
main::env($main::Sts, $main::Identity, 'AWS_ROLE_SESSION_NAME=of-the,environment')
--- settings eval: $main::IdentityFile
--- ask
POST /token => token
--- inspect eval
main::sts_has({ RoleSessionName => 'of-the,environment' })



=== TEST 20: web_identity: a token that STS does not take
--- config eval: main::token('web_identity')
--- aws_env eval: main::env($main::Sts, $main::Identity)
--- settings eval: '{"sts": {"web_identity": "x.y.z"}}'
--- ask
POST /token => 503 no_credentials retry
--- logged
/AWS STS: it answered 400 InvalidIdentityToken for role "arn:aws:iam::123456789012:role\/web"/



=== TEST 21: web_identity: no token file
--- config eval: main::token('web_identity')
--- aws_env eval
main::env($main::Sts, $main::Identity, 'AWS_WEB_IDENTITY_TOKEN_FILE=/nowhere')
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/the token file "\/nowhere" cannot be read by user \w+: \(2: No such file/



=== TEST 22: assume_role with keys of the environment
--- config eval: main::token("assume_role role=$main::App source=env")
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- ask
POST /token => token
POST /token => token
POST /token => token
--- fetched
sts AssumeRole 1
--- inspect eval
main::all_of(main::signed_by_role(('123456789012:app') x 3),
             main::sts_has({ Action => 'AssumeRole', RoleArn => $main::App,
                             Version => '2011-06-15', key => IvsChat::KEY,
                             region => 'us-west-2', ExternalId => undef,
                             RoleSessionName => main::default_session(),
                             DurationSeconds => undef }))
--- logged
AWS credentials from "assume_role": access key "…



=== TEST 23: assume_role with all parameters
--- config eval
main::token('assume_role role=arn:aws:iam::123456789012:role/external '
            . 'source=env region=eu-central-1 external_id=external+id '
            . 'session_name=chat=tokens@example.com duration=15m')
--- aws_env eval: main::env($main::Sts, $main::Keys, 'AWS_REGION=us-east-1')
--- settings: {"sts": {"region": "eu-central-1"}}
--- ask
POST /token => token
--- inspect eval
main::all_of(main::signed_by('arn:aws:sts::123456789012:assumed-role/external/'
                             . 'chat=tokens@example.com'),
             main::sts_has({ ExternalId => 'external+id',
                             DurationSeconds => 900,
                             region => 'eu-central-1',
                             RoleSessionName => 'chat=tokens@example.com' }))



=== TEST 24: assume_role for twelve hours
--- config eval
main::token('assume_role role=arn:aws:iam::123456789012:role/long source=env '
            . 'duration=12h')
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- ask
POST /token => token
--- inspect eval
main::sts_has({ DurationSeconds => 43200 })



=== TEST 25: assume_role: an external id that is missing
--- config eval
main::token('assume_role role=arn:aws:iam::123456789012:role/external '
            . 'source=env')
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- ask
POST /token => 503 no_credentials retry
--- logged
/AWS STS: it answered 403 AccessDenied for role "arn:aws:iam::123456789012:role\/external"/



=== TEST 26: assume_role: a session longer than the role allows
--- config eval
main::token("assume_role role=$main::App source=env duration=2h")
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- ask
POST /token => 503 no_credentials retry
--- logged
AWS STS: it answered 400 ValidationError



=== TEST 27: assume_role with the metadata service: a chain of roles
--- config eval
main::token("assume_role role=$main::Other source=imds", '/token',
            $main::OtherRoom)
--- aws_env eval: main::env($main::Sts, $main::Imds)
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1
sts AssumeRole 1
--- inspect eval: main::signed_by_role('210987654321:app')



=== TEST 28: assume_role with a container
--- config eval: main::token("assume_role role=$main::App source=container")
--- aws_env eval: main::env($main::Sts, $main::Container)
--- ask
POST /token => token
--- fetched
container credentials 1
sts AssumeRole 1



=== TEST 29: assume_role with a web identity, in another account
--- config eval
main::token("assume_role role=$main::Other source=web_identity", '/token',
            $main::OtherRoom)
--- aws_env eval: main::env($main::Sts, $main::Identity)
--- settings eval: $main::IdentityFile
--- ask
POST /token => token
--- fetched
sts AssumeRole 1 AssumeRoleWithWebIdentity 1
--- inspect eval: main::signed_by_role('210987654321:app')



=== TEST 30: assume_role with keys of a profile
--- config eval: main::token("assume_role role=$main::App source=profile")
--- aws_env eval: $main::Sts
--- shared_credentials
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- fetched
sts AssumeRole 1
--- inspect eval: main::sts_has({ key => IvsChat::KEY })



=== TEST 31: assume_role upon a profile's role
--- config eval
main::token("assume_role role=$main::Other source=profile", '/token',
            $main::OtherRoom)
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
credential_source = Environment
region = eu-west-1
--- ask
POST /token => token
--- fetched
sts AssumeRole 2
--- inspect eval
main::all_of(main::signed_by_role('210987654321:app'),
             main::sts_has({ RoleArn => $main::App, key => IvsChat::KEY,
                             region => 'eu-west-1' },
                           { RoleArn => $main::Other,
                             region => 'eu-west-1' }))



=== TEST 32: assume_role with auto, which is the default
--- config eval: main::token("assume_role role=$main::App")
--- aws_env eval: main::env($main::Sts, $main::Keys, $main::Imds)
--- ask
POST /token => token
--- fetched
sts AssumeRole 1



=== TEST 33: assume_role with auto that comes to the container
--- config eval: main::token("assume_role role=$main::App source=auto")
--- aws_env eval: main::env($main::Sts, $main::Container, $main::Imds)
--- ask
POST /token => token
--- fetched
container credentials 1
sts AssumeRole 1



=== TEST 34: assume_role with something that is not there
--- config eval: main::token("assume_role role=$main::App source=container")
--- aws_env eval: main::env($main::Sts, $main::Imds, $main::Keys)
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
"ivschat_token_credentials assume_role" finds no credentials: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor _FULL_URI is set



=== TEST 35: env
--- config eval: main::token('env')
--- aws_env eval: main::env($main::Keys, $main::Imds)
--- ask
POST /token => token
--- fetched
nothing
--- inspect eval: main::signed_by(IvsChat::KEY)



=== TEST 36: profile: keys of the credentials file
--- config eval: main::token('profile')
--- shared_credentials
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- fetched
nothing
--- inspect eval: main::signed_by(IvsChat::KEY)
--- logged
AWS credentials from "profile": access key "…MPLE"



=== TEST 37: profile: a name, of the line before that of the environment
--- config eval: main::token('profile name=chat')
--- aws_env
AWS_PROFILE=other
--- shared_config
[profile chat]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET

[profile other]
aws_access_key_id = AKIDOTHER
aws_secret_access_key = other
--- ask
POST /token => token
--- inspect eval: main::signed_by(IvsChat::KEY)



=== TEST 38: profile: AWS_PROFILE
--- config eval: main::token('profile')
--- aws_env
AWS_PROFILE=chat
--- shared_config
[default]
aws_access_key_id = AKIDOTHER
aws_secret_access_key = other

[profile chat]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- inspect eval: main::signed_by(IvsChat::KEY)



=== TEST 39: profile: a file of the line's
--- config eval
main::token('profile name=chat file='
            . IvsChat::write_file('of-the-line', "[chat]\n"
                                  . "aws_access_key_id = AKIDEXAMPLE\n"
                                  . 'aws_secret_access_key = '
                                  . IvsChat::SECRET . "\n"))
--- shared_credentials
[chat]
aws_access_key_id = AKIDOTHER
aws_secret_access_key = other
--- ask
POST /token => token
--- inspect eval: main::signed_by(IvsChat::KEY)



=== TEST 40: profile: a role, with keys of another profile
--- config eval: main::token('profile name=role')
--- aws_env eval: $main::Sts
--- shared_config
[profile role]
role_arn = arn:aws:iam::123456789012:role/external
source_profile = keys
external_id = external+id
role_session_name = of-the-profile
duration_seconds = 1800
region = ap-south-1
--- shared_credentials
[keys]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
POST /token => token
--- fetched
sts AssumeRole 1
--- inspect eval
main::all_of(
    main::signed_by(('arn:aws:sts::123456789012:assumed-role/external/'
                     . 'of-the-profile') x 2),
    main::sts_has({ ExternalId => 'external+id', DurationSeconds => 1800,
                    region => 'ap-south-1', key => IvsChat::KEY }))



=== TEST 41: profile: a chain of three roles
--- config eval
main::token('profile name=third', '/token', $main::OtherRoom)
--- aws_env eval: $main::Sts
--- shared_config
[profile third]
role_arn = arn:aws:iam::210987654321:role/app
source_profile = second
region = us-east-1

[profile second]
role_arn = arn:aws:iam::123456789012:role/long
role_session_name = second
source_profile = first

[profile first]
role_arn = arn:aws:iam::123456789012:role/app
role_session_name = first
source_profile = keys

[profile keys]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- fetched
sts AssumeRole 3
--- inspect eval
main::all_of(main::signed_by_role('210987654321:app'),
             main::sts_has({ RoleArn => $main::App, key => IvsChat::KEY,
                             RoleSessionName => 'first' },
                           { RoleArn =>
                                 'arn:aws:iam::123456789012:role/long',
                             RoleSessionName => 'second' },
                           { RoleArn => $main::Other }))



=== TEST 42: profile: a role and keys in itself
--- config eval: main::token('profile')
--- aws_env eval: $main::Sts
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
source_profile = default
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- fetched
sts AssumeRole 1



=== TEST 43: profile: credential_source Environment
--- config eval: main::token('profile')
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
credential_source = Environment
--- ask
POST /token => token
--- fetched
sts AssumeRole 1
--- inspect eval: main::sts_has({ key => IvsChat::KEY })



=== TEST 44: profile: credential_source Ec2InstanceMetadata
--- config eval: main::token('profile')
--- aws_env eval: main::env($main::Sts, $main::Keys, $main::Imds)
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
credential_source = Ec2InstanceMetadata
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1
sts AssumeRole 1



=== TEST 45: profile: credential_source EcsContainer
--- config eval: main::token('profile')
--- aws_env eval: main::env($main::Sts, $main::Keys, $main::Container)
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
credential_source = EcsContainer
--- ask
POST /token => token
--- fetched
container credentials 1
sts AssumeRole 1



=== TEST 46: profile: credential_source of what is not there
--- config eval: main::token('profile')
--- aws_env eval: main::env($main::Sts, $main::Imds)
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
credential_source = Environment
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
"ivschat_token_credentials profile" finds no credentials: AWS_ACCESS_KEY_ID is not set in the environment



=== TEST 47: profile: a web identity
--- config eval: main::token('profile')
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- settings eval: $main::IdentityFile
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/web
web_identity_token_file = $TEST_NGINX_IVSCHAT_IDENTITY_FILE
role_session_name = of-the-profile
--- ask
POST /token => token
--- fetched
sts AssumeRoleWithWebIdentity 1
--- inspect eval
main::signed_by('arn:aws:sts::123456789012:assumed-role/web/of-the-profile')



=== TEST 48: profile: a role upon a web identity
--- config eval
main::token('profile', '/token', $main::OtherRoom)
--- aws_env eval: $main::Sts
--- settings eval: $main::IdentityFile
--- shared_config
[default]
role_arn = arn:aws:iam::210987654321:role/app
source_profile = web

[profile web]
role_arn = arn:aws:iam::123456789012:role/web
web_identity_token_file = $TEST_NGINX_IVSCHAT_IDENTITY_FILE
--- ask
POST /token => token
--- fetched
sts AssumeRole 1 AssumeRoleWithWebIdentity 1



=== TEST 49: profile: the endpoint of STS is the profile's
--- config eval: main::token('profile')
--- aws_env
AWS_CA_BUNDLE=$TEST_NGINX_IVSCHAT_STS_CA
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
source_profile = keys
services = local

[profile keys]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET

[services local]
sts =
  endpoint_url = $TEST_NGINX_IVSCHAT_STS
--- ask
POST /token => token
--- fetched
sts AssumeRole 1



=== TEST 50: auto: keys of the environment before all else
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Keys, $main::Imds, $main::Container, $main::Sts,
          $main::Identity, 'AWS_PROFILE=default')
--- shared_credentials
[default]
aws_access_key_id = AKIDOTHER
aws_secret_access_key = other
--- ask
POST /token => token
--- fetched
nothing
--- inspect eval: main::signed_by(IvsChat::KEY)
--- logged
AWS credentials from "auto: env": access key "…MPLE"



=== TEST 51: auto: then a profile
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Imds, $main::Container, $main::Sts, $main::Identity)
--- shared_credentials
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- fetched
nothing
--- inspect eval: main::signed_by(IvsChat::KEY)
--- logged
AWS credentials from "auto: profile": access key "…MPLE"



=== TEST 52: auto: a role of a profile
--- config eval: main::token('auto')
--- aws_env eval: main::env($main::Imds, $main::Sts)
--- shared_config
[default]
role_arn = arn:aws:iam::123456789012:role/app
source_profile = keys

[profile keys]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /token => token
--- fetched
sts AssumeRole 1



=== TEST 53: auto: then a web identity
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Imds, $main::Container, $main::Sts, $main::Identity)
--- settings eval: $main::IdentityFile
--- ask
POST /token => token
--- fetched
sts AssumeRoleWithWebIdentity 1
--- logged
AWS credentials from "auto: web_identity": access key "…



=== TEST 54: auto: then a container
--- config eval: main::token('auto')
--- aws_env eval: main::env($main::Imds, $main::Container)
--- ask
POST /token => token
--- fetched
container credentials 1
--- logged
AWS credentials from "auto: container": access key "…



=== TEST 55: auto: at last the metadata service
--- bare
--- http_config eval: IvsChat::upstream('us-west-2')
--- config eval: main::token('') . IvsChat::internal_location()
--- aws_env eval: $main::Imds
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1
--- logged
AWS credentials from "auto: imds": access key "…



=== TEST 56: auto: incomplete keys, an empty variable and another profile are skipped
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Imds, 'AWS_ACCESS_KEY_ID=AKIDEXAMPLE',
          'AWS_CONTAINER_CREDENTIALS_FULL_URI=',
          'AWS_CONTAINER_AUTHORIZATION_TOKEN=unused')
--- shared_config
[profile other]
aws_access_key_id = AKIDOTHER
--- ask
POST /token => token
--- fetched
imds credentials 1 role 1 token 1



=== TEST 57: auto does not go on to the metadata service from a container that fails
--- config eval: main::token('auto')
--- aws_env eval: main::env($main::Imds, $main::Container)
--- faults
{"source": "container", "fault": "status-404", "count": null}
--- ask
POST /token => 503 no_credentials retry
--- fetched
container credentials 1



=== TEST 58: nor from a container whose address is wrong
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Imds,
          'AWS_CONTAINER_CREDENTIALS_FULL_URI=http://example.com/keys')
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/\[error\] .*"ivschat_token_credentials auto" finds no credentials: .*; container: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https/



=== TEST 58.1: nor from an incomplete web identity
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Imds, 'AWS_ROLE_ARN=arn:aws:iam::123456789012:role/web')
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/\[error\] .*"ivschat_token_credentials auto" finds no credentials: .*; web_identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set in the environment in /



=== TEST 58.2: nor from a profile of AWS_PROFILE whose credential_source is missing, to a web identity
--- config eval: main::token('auto')
--- aws_env eval
main::env($main::Imds, $main::Sts, $main::Identity, 'AWS_PROFILE=chat')
--- settings eval: $main::IdentityFile
--- shared_config
[profile "chat"]
role_arn = arn:aws:iam::123456789012:role/app
credential_source = Environment
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/\[error\] .*"ivschat_token_credentials auto" finds no credentials: .*; profile: AWS_ACCESS_KEY_ID is not set in the environment in /



=== TEST 59: the region of STS from a profile that has nothing else
--- config eval
main::token('assume_role source=env role=' . $main::App)
--- aws_env eval: main::env($main::Sts, $main::Keys)
--- settings: {"sts": {"region": "eu-west-1"}}
--- shared_config
[default]
region = eu-west-1
--- ask
POST /token => token
--- fetched
sts AssumeRole 1



=== TEST 60: auto that finds nothing says where it has looked
--- config eval: main::token('auto')
--- aws_env
AWS_EC2_METADATA_DISABLED=true
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/\[warn\] .*"ivschat_token_credentials auto" finds no credentials: env: AWS_ACCESS_KEY_ID is not set in the environment; profile: there is neither ".*\/home\/.aws\/config" nor ".*\/home\/.aws\/credentials"; web_identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set in the environment; container: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor _FULL_URI is set in the environment; imds: AWS_EC2_METADATA_DISABLED is set in .*nginx.conf:\d+/
no AWS credentials from "ivschat_token_credentials auto"



=== TEST 61: the same, when the last one fails
--- config eval: main::token('auto')
--- aws_env eval: $main::Imds
--- settings: {"imds": {"role": null}}
--- ask
POST /token => 503 no_credentials retry
--- logged
/no AWS credentials could be fetched from "auto: imds": the instance metadata service: it answered 404: the instance has no IAM role; env: AWS_ACCESS_KEY_ID is not set in the environment; profile: there is neither ".*"; web_identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set in the environment; container: neither .* is set in the environment; no tokens are minted with them, next try in \d+ s/



=== TEST 62: different accounts in different locations and servers, at once
--- http_config eval
"server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1;
     ivschat_token_credentials assume_role role=$main::Other source=imds;
     " . main::token('', '/token', $main::OtherRoom)
     . IvsChat::internal_location() . "
     location = /imds { ivschat_token_credentials imds;
         ivschat_token /ivschat; ivschat_token_user alice;
         ivschat_token_room $IvsChat::ROOM; } }"
--- config eval
main::token('imds', '/imds') . main::token('container', '/container')
. main::token('profile name=role', '/profile')
. main::token("assume_role role=$main::Other source=container", '/other',
              $main::OtherRoom)
. main::token("static key=AKIDEXAMPLE secret=@{[IvsChat::SECRET]}", '/static')
. main::token('web_identity', '/web') . '
location /server { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/; }'
--- aws_env eval
main::env($main::Imds, $main::Container, $main::Sts, $main::Identity)
--- settings eval: $main::IdentityFile
--- shared_config
[profile role]
role_arn = arn:aws:iam::123456789012:role/long
source_profile = keys

[profile keys]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = $TEST_NGINX_IVSCHAT_SECRET
--- ask
POST /imds         => token
POST /container    => token
POST /profile      => token
POST /other        => token
POST /static       => token
POST /web          => token
POST /server/token => 200
POST /server/imds  => 200
POST /web          => token
POST /imds         => token
--- fetched
container credentials 2
imds credentials 2 role 2 token 2
sts AssumeRole 3 AssumeRoleWithWebIdentity 1
--- inspect eval
main::signed_by_role(qw(123456789012:app 123456789012:app 123456789012:long
                        210987654321:app AKIDEXAMPLE 123456789012:web
                        210987654321:app 123456789012:app 123456789012:web
                        123456789012:app))



=== TEST 63: equal lines share a slot, in whatever order their parameters are
--- config eval
main::token('imds', '/a') . main::token('imds', '/b')
. main::token("assume_role role=$main::App source=imds session_name=chat",
              '/c')
. main::token("assume_role session_name=chat source=imds role=$main::App",
              '/d')
. main::token("assume_role role=$main::App source=imds session_name=tokens",
              '/e')
--- aws_env eval: main::env($main::Imds, $main::Sts)
--- ask
POST /a => token
POST /b => token
POST /c => token
POST /d => token
POST /e => token
--- fetched
imds credentials 3 role 3 token 3
sts AssumeRole 2
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my @keys = map { $_->{access_key} } @$seen;

    Test::More::is($keys[0], $keys[1], "$name - two lines with imds");
    Test::More::is($keys[2], $keys[3], "$name - two with the same role");
    Test::More::isnt($keys[3], $keys[4], "$name - another session");
}



=== TEST 64: a line that no location mints with fetches nothing
--- http_config
    ivschat_token_credentials imds;
--- config eval
main::token("static key=AKIDEXAMPLE secret=@{[IvsChat::SECRET]}") . '
location /other { ivschat_token_credentials container; return 204; }'
--- aws_env eval: main::env($main::Imds, $main::Container)
--- ask
POST /token => token
POST /other => 204
--- fetched
nothing



=== TEST 65: nothing of them at debug, but what nginx itself writes
--- log_level: debug
--- config eval
main::token('imds', '/imds') . main::token('container', '/container')
. main::token("assume_role role=$main::App source=env", '/role')
. main::token('web_identity', '/web')
--- aws_env eval
main::env($main::Imds, $main::Container, $main::Sts, $main::Identity,
          $main::Keys)
--- settings eval: $main::IdentityFile
--- ask
POST /imds      => token
POST /container => token
POST /role      => token
POST /web       => token
--- inspect eval
sub {
    my ($seen, $bodies, $name) = @_;
    my $log = IvsChat::slurp(Test::Nginx::Util::server_root()
                             . '/logs/error.log');
    my %forbidden = (secret => IvsChat::SECRET,
                     identity => IvsChat::slurp(
                                 $ENV{TEST_NGINX_IVSCHAT_IDENTITY_FILE}),
                     authorization => 'pod+identity/token==');
    my @issued = @{ IvsChat::ask_fakes('GET', '/issued') };
    my $n = 0;

    for my $body (@$bodies) {
        $forbidden{'token ' . ++$n} = $1 if $body =~ /"token":"([^"]+)"/;
    }

    for my $secret (IvsChat::SECRET, map { $_->{secret} } @issued) {
        %forbidden = (%forbidden, main::keys_of($secret, 'ivschat'),
                      main::keys_of($secret, 'sts'));
    }

    Test::More::is(scalar(@issued), 4, "$name - all of them were fetched");
    Test::More::cmp_ok($n, '==', 4, "$name - four tokens");
    Test::More::like($log, qr/\[debug\].* ivschat fetch step:/,
                     "$name - it is a log at debug");
    my @found = grep { index($log, $forbidden{$_}) >= 0 }
                     sort keys %forbidden;

    Test::More::is("@found", '', "$name - nothing secret in it");
}



=== TEST 66: auto as the default, when it finds nothing
--- bare
--- http_config eval: IvsChat::upstream('us-west-2')
--- config eval: main::token('') . IvsChat::internal_location()
--- aws_env
AWS_EC2_METADATA_DISABLED=true
--- ask
POST /token => 503 no_credentials retry
--- fetched
nothing
--- logged
/\[warn\] .*"ivschat_token_credentials auto", the default, finds no credentials: env: .*; imds: AWS_EC2_METADATA_DISABLED is set/



=== TEST 67: nor does its failing in one location keep another from minting
--- config eval
main::token('imds', '/imds') . main::token('container', '/container')
. main::token('env', '/env')
--- aws_env eval: main::env($main::Container, $main::Imds)
--- settings: {"imds": {"role": null}}
--- ask
POST /container => token
POST /imds      => 503 no_credentials retry
POST /env       => 503 no_credentials retry
POST /container => token
--- fetched
container credentials 1
imds refused 1 token 1
