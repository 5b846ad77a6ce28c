# For the tests that use Test::Nginx: a local IVS Chat service for the file,
# and sections of its own for the blocks.
#
#     use lib 't/lib';
#     use IvsChat;                     # or: use IvsChat '--bad-tls', …
#     use Test::Nginx::Socket 'no_plan';
#
# What follows "use IvsChat" goes to t/service/ivschat_service.py; but "--fakes"
# starts t/service/aws_fakes.py as well, with what follows it.
#
# Each block gets, unless it has them: the upstream of us-west-2, the static
# credentials that the service knows, the internal location /ivschat, one
# attempt instead of three, and a rate that no test meets.  A block with
# "--- bare" gets nothing.
#
# Sections:
#
#   ask         a line for each request, and what is expected of its answer:
#                   POST /token => token
#                   GET /token  => 405 method_not_allowed
#                   POST /token => 429 throttled retry     with Retry-After
#                   POST /page  => 200                     the status only
#   expect      the same right-hand sides, for requests of Test::Nginx's own
#   arrived     the JSON of the requests that the service accepted, in this
#               order; or "nothing"
#   inspect     (eval) a sub that is called with the requests that the service
#               saw and the bodies of the answers
#   logged      a line, or /regex/, for what the error log has at the end
#   not_logged  the reverse
#   access      the lines of access.log, exactly, or each as /regex/
#   aws_env     lines NAME=value for the environment of nginx
#   alerts      what of [alert], [crit] and [emerg] may be there
#
# With --fakes:
#
#   settings    (JSON) what differs from the fakes' settings at their start
#   faults      (JSON) one order of a fault a line
#   shared_config, shared_credentials
#               AWS's shared files
#   fetched     what the fakes were asked for in all, as "imds token 1 role 1",
#               one source a line, or "nothing"
#
# Always checked: no [alert], [crit] or [emerg] in the error log, nor, unless
# the level is "debug", a secret key or a token; at "debug" no secret key that
# the fakes have issued.

package IvsChat;

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Temp ();
use HTTP::Tiny ();
use IO::Socket::INET ();
use JSON::PP ();
use MIME::Base64 ();
use Test::More ();
use Time::HiRes ();

use constant {
    KEY     => 'AKIDEXAMPLE',
    SECRET  => 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    ACCOUNT => '123456789012',
    REGION  => 'us-west-2',
};

our $ROOMS = 'arn:aws:ivschat:' . REGION . ':' . ACCOUNT . ':room/';
our $ROOM = $ROOMS . 'AbCdEfGhIjKl';

our $TIME = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
our $TOKEN = qr/\A\{"token":"[^"\\]+",
                "sessionExpirationTime":"$TIME",
                "tokenExpirationTime":"$TIME"\}\z/x;

my $LIB = Cwd::abs_path(File::Basename::dirname(__FILE__));
my $START_TIMEOUT = 30;

my ($service, $control, $dir, @secrets);
my ($fakes, $fakes_control, $fakes_settings);
my $owner = $$;
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $number = 0;
my (%log_start, @bodies);


sub import {
    my ($class, @args) = @_;

    return if $service;

    delete $ENV{$_} for grep { /^AWS_/ } keys %ENV;

    my ($n) = grep { $args[$_] eq '--fakes' } 0 .. $#args;
    my @fakes_args = defined $n ? splice @args, $n : ();

    $dir = File::Temp->newdir('ivschat-test.XXXXXX', TMPDIR => 1);

    # a home without AWS's files

    $ENV{HOME} = "$dir/home";
    mkdir $ENV{HOME} or die "$ENV{HOME}: $!";

    start_service(@args);
    start_fakes(@fakes_args[1 .. $#fakes_args]) if @fakes_args;
    hook();
}


sub start_service {
    my (@args) = @_;

    @args = ('--rate', 'off', @args) unless grep { $_ eq '--rate' } @args;
    @secrets = (SECRET);

    for my $i (0 .. $#args) {
        push @secrets, $args[$i + 1] if $args[$i] eq '--session-token';
    }

    $service = start_process('ivschat_service', @args);

    my $ports = wait_for_ports('ivschat_service', $service,
                               "$dir/service/ports.json");

    $control = "http://127.0.0.1:$ports->{control_port}";

    set_env(PORT => $ports->{port}, CONTROL_PORT => $ports->{control_port},
            CA => $ports->{ca}, DIR => "$dir", KEY => KEY, SECRET => SECRET,
            PARAMS => write_params($ports->{ca}), ROOM => $ROOM,
            PARAMS_WITHOUT_TIMEOUTS => write_params($ports->{ca},
                                                    '_without_timeouts'),
            ROOMS => $ROOMS);

    set_env(uc "PORT_$_" => $ports->{bad_tls}{$_})
        for keys %{ $ports->{bad_tls} };

    set_env(UPSTREAM => upstream(REGION),
            CREDENTIALS => credentials());
}


# The fakes of the sources of credentials, which tell the service of all that
# they issue.

sub start_fakes {
    my (@args) = @_;

    $fakes = start_process('aws_fakes', '--service-control', $control, @args);

    my $urls = wait_for_ports('aws_fakes', $fakes,
                              "$dir/service/fakes.json");

    $fakes_control = $urls->{control};
    $fakes_settings = ask_fakes('GET', '/config');

    set_env(map { uc $_ => $urls->{$_} }
            grep { exists $urls->{$_} }
                 qw(imds imds6 container container6 sts sts_ca));
    set_env(IDENTITY_FILE => "$dir/identity",
            AUTHORIZATION_FILE => "$dir/authorization");

    write_file('identity', make_jwt());
    write_file('authorization', random_text());
}


# A web identity token, as the fake of STS wants it, and a text that is hard to
# guess; both are looked for in the logs.

sub make_jwt {
    my %claims = (iss => 'https://oidc.example.com', exp => time + 3600,
                  aud => ['sts.amazonaws.com'], sub => random_text());
    my $jwt = join '.', map { MIME::Base64::encode_base64url($_) }
                        '{"alg":"RS256","typ":"JWT"}', $json->encode(\%claims),
                        random_text();

    push @secrets, $jwt;
    return $jwt;
}


sub random_text {
    my $text = join '', map { sprintf '%08x', rand 2 ** 32 } 1 .. 4;

    push @secrets, $text;
    return $text;
}


sub start_process {
    my ($name, @args) = @_;

    my $pid = fork() // die "fork: $!";

    return $pid if $pid;

    open STDOUT, '>', "$dir/$name.log";
    open STDERR, '>&', \*STDOUT;
    exec '/usr/bin/python3', "$LIB/../service/$name.py", '--dir', "$dir/service",
         '--parent', $owner, @args
        or POSIX::_exit(1);
}


sub wait_for_ports {
    my ($name, $pid, $path) = @_;

    my $deadline = Time::HiRes::time() + $START_TIMEOUT;

    until (-e $path) {
        if (waitpid($pid, 1) != 0 || Time::HiRes::time() > $deadline) {
            die "$name.py did not start\n", slurp("$dir/$name.log");
        }

        Time::HiRes::sleep(0.02);
    }

    return $json->decode(slurp($path));
}


sub set_env {
    my (%values) = @_;
    $ENV{"TEST_NGINX_IVSCHAT_$_"} = $values{$_} for keys %values;
}


# ivschat_params as shipped, but for the CA; a second copy leaves nginx's own
# timeouts to the test.

sub write_params {
    my ($ca, $without) = @_;

    my $path = "$dir/ivschat_params" . ($without // '');
    my $text = slurp("$LIB/../../ngx_module/ivschat_params");

    $text =~ s/^(proxy_ssl_trusted_certificate \s+) \S+;$/$1$ca;/mx
        or die "no proxy_ssl_trusted_certificate in ivschat_params\n";

    # valgrind takes longer for a TLS handshake than AWS would ever be given
    $text =~ s/^(proxy_\w+_timeout \s+) (\d+)s;$/$1${2}0s;/mxg
        if $ENV{TEST_NGINX_USE_VALGRIND};

    $text =~ s/^proxy_\w+_timeout .*\n//mg if $without;

    open my $out, '>', $path or die "$path: $!";
    print $out $text;
    close $out or die "$path: $!";

    return $path;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<', $path or die "$path: $!";
    local $/;
    return scalar <$in>;
}


sub upstream {
    my ($region, $port) = @_;

    $port //= $ENV{TEST_NGINX_IVSCHAT_PORT};

    return "upstream ivschat.$region.amazonaws.com {"
           . " server 127.0.0.1:$port; keepalive 16; }\n";
}


sub credentials {
    return 'ivschat_token_credentials static key=' . KEY . ' secret='
           . SECRET . ";\n";
}


sub internal_location {
    return <<'END';
        location = /ivschat {
            internal;
            proxy_pass https://$ivschat_token_host/CreateChatToken;
            include    $TEST_NGINX_IVSCHAT_PARAMS;
        }
END
}


# One more credential, which the service then knows; its parts are looked for
# in the logs, unless they are so short that they are in any line.

sub add_credential {
    my (%parts) = @_;

    ask_control('PUT', '/config', { credentials => [\%parts] });
    push @secrets, grep { defined && length > 8 } @parts{qw(secret token)};
}


# A request to the control port; what it says, decoded.

sub ask_control {
    return ask_at($control, @_);
}


# The same of the fakes.

sub ask_fakes {
    return ask_at($fakes_control, @_);
}


sub ask_at {
    my ($at, $method, $path, $value) = @_;

    my $http = HTTP::Tiny->new(timeout => 10);
    my $answer = $http->request($method, "$at$path",
                     defined $value ? { content => $json->encode($value) }
                                    : {});

    die "$method $path: $answer->{status} $answer->{content}\n"
        unless $answer->{success};

    return length $answer->{content} ? $json->decode($answer->{content})
                                     : undef;
}


sub requests {
    return @{ ask_control('GET', '/requests') };
}


sub sent_json {
    my ($request) = @_;
    return $json->decode(MIME::Base64::decode_base64(
                                                 $request->{body_base64}));
}


# Raw bytes to nginx, and all that comes back until it closes.

sub exchange {
    my (@pieces) = @_;

    my $sock = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => Test::Nginx::Util::server_port(),
        Timeout => 10) or die "connect: $!";

    for my $i (0 .. $#pieces) {
        Time::HiRes::sleep(0.1) if $i;
        print $sock $pieces[$i];
        $sock->flush;
    }

    local $/;
    return scalar(<$sock>) // '';
}


# Our hooks in Test::Nginx

sub hook {
    require Test::Nginx::Socket;

    stay_below_ephemeral_ports();

    Test::Nginx::Util::add_block_preprocessor(\&prepare);
    Test::Nginx::Socket::add_response_body_check(\&check);
}


# Test::Nginx takes any port that is free when it looks.  nginx is started
# again and again, and meanwhile the kernel may give the port to a connection.

sub stay_below_ephemeral_ports {
    my ($first) = slurp('/proc/sys/net/ipv4/ip_local_port_range') =~ /(\d+)/;
    my $any = \&Test::Nginx::Util::gen_rand_port;
    my $below = sub (;$$$) {
        my (@args) = @_;

        for (1 .. 100) {
            my $port = $any->(@args) // return undef;
            return $port if $port + 4 < $first;
        }

        return undef;
    };

    no warnings 'redefine';
    *Test::Nginx::Util::gen_rand_port = $below;

    if ($ENV{TEST_NGINX_RANDOMIZE}
        && Test::Nginx::Util::server_port() + 4 >= $first)
    {
        my $port = $below->(1000) // die "no free port\n";

        Test::Nginx::Util::server_port($port);
        Test::Nginx::Util::server_port_for_client($port);
    }
}


sub prepare {
    my ($block) = @_;

    $number++;

    delete $ENV{$_} for grep { /^AWS_/ } keys %ENV;

    my $env = Test::Nginx::Util::expand_env_in_text($block->aws_env // '',
                                                    $block->name, {});

    for my $line (grep { /\S/ } split /\n/, $env) {
        my ($variable, $value) = split /=/, $line, 2;
        $ENV{$variable} = $value;
    }

    prepare_fakes($block) if $fakes;
    prepare_config($block);
    prepare_requests($block);
    prepare_expectations($block);

    $block->set_value('log_level', 'info') unless $block->log_level;

    if (!defined $block->must_die && !defined $block->alerts) {
        $block->set_value('no_shutdown_error_log', '[alert]');
    }
}


# The fakes begin anew, but only when the last block's nginx has ended: so a
# hook of Test::Nginx's is used.

sub prepare_fakes {
    my ($block) = @_;

    my %files = (shared_config => 'AWS_CONFIG_FILE',
                 shared_credentials => 'AWS_SHARED_CREDENTIALS_FILE');

    for my $name (keys %files) {
        next unless defined $block->$name;
        write_file($name, Test::Nginx::Util::expand_env_in_text(
                              $block->$name, $block->name, {}));
        $ENV{$files{$name}} = "$dir/$name";
    }

    our $Block = $block;

    $block->set_value('post_setup_server_root',
                      'IvsChat::reset_fakes($IvsChat::Block)');
}


# A file beside the service, with mode 0600; its path.

sub write_file {
    my ($name, $text) = @_;

    my $path = "$dir/$name";

    unlink $path;
    my $umask = umask 0077;
    open my $out, '>', $path or die "$path: $!";
    umask $umask;
    print $out $text;
    close $out or die "$path: $!";

    return $path;
}


sub reset_fakes {
    my ($block) = @_;

    my $settings = Test::Nginx::Util::expand_env_in_text(
                       $block->settings // '{}', $block->name, {});

    ask_fakes('DELETE', '/faults');
    ask_fakes('PUT', '/config', $fakes_settings);
    ask_fakes('PUT', '/config', $json->decode($settings));
    ask_fakes('POST', '/faults', $json->decode($_))
        for grep { /\S/ } split /\n/, $block->faults // '';
    ask_fakes('DELETE', '/requests');
}


sub prepare_config {
    my ($block) = @_;

    my $http = $block->http_config // '';
    my $config = $block->config // '';

    if (!defined $block->bare) {
        $http = upstream(REGION) . $http
            unless $http =~ /^\s*upstream \s+ ivschat\.us-west-2\.amazonaws/mx;
        $http = credentials() . $http
            unless "$http$config" =~ /ivschat_token_credentials/;
        $http = "ivschat_token_tries 1;\n" . $http
            unless $http =~ /ivschat_token_tries/;
        $http = "ivschat_token_rate 100000 burst=100000;\n" . $http
            unless $http =~ /ivschat_token_rate/;
        $config .= internal_location()
            unless $config =~ m{location \s+ = \s+ /ivschat \s}x;
    }

    # the number has nginx started anew for each block

    $block->set_value('http_config', $http);
    $block->set_value('config', "$config\n# block $number\n");
}


sub prepare_requests {
    my ($block) = @_;

    my (@requests, @expected);

    unless (defined $block->ask) {
        my $list = $block->pipelined_requests // $block->request;
        $block->set_value('answers', ref $list eq 'ARRAY' ? scalar @$list : 1);
        return;
    }

    for my $line (grep { /\S/ } split /\n/, $block->ask) {
        my ($request, $answer) = $line =~ /^\s*(.*\S)\s+=>\s+(.*\S)\s*$/
            or die "ask: $line\n";
        push @requests, $request;
        push @expected, $answer;
    }

    $block->set_value('request', @requests > 1 ? \@requests : $requests[0]);
    $block->set_value('answers', scalar @requests);
    $block->set_value('expect', join "\n", @expected);
}


sub prepare_expectations {
    my ($block) = @_;

    return unless defined $block->expect;

    my @expected = map { expectation($_) } expected($block);
    my @retry = map { $_->{retry} ? 'Retry-After: [1-9]\d*\r\n' : '' }
                    @expected;

    $block->set_value('error_code', [ map { $_->{status} } @expected ]);
    $block->set_value('response_headers',
                      [ headers($block, \@expected) ]);
    $block->set_value('raw_response_headers_like', \@retry)
        if grep { length } @retry;
}


sub expected {
    my ($block) = @_;
    return grep { /\S/ } split /\n/, $block->expect // '';
}


sub expectation {
    my ($line) = @_;

    return { status => 200, token => 1, headers => <<'END' }
Content-Type: application/json
Cache-Control: no-store
X-Content-Type-Options: nosniff
END
        if $line =~ /^\s*token\s*$/;

    my ($status, $code, $retry) = $line =~ /^\s*(\d{3})(?:\s+(\w+)(\s+retry)?)?\s*$/
        or die "expect: $line\n";

    return { status => $status, headers => '' } unless defined $code;

    return { status => $status, code => $code, retry => $retry,
             headers => "Content-Type: application/problem+json\n"
                        . "Cache-Control: no-store\n"
                        . ($retry ? '' : "!Retry-After\n") };
}


sub headers {
    my ($block, $expected) = @_;

    my $more = $block->response_headers // '';

    return map {
        $expected->[$_]{headers} . (ref $more ? $more->[$_] // '' : $more)
    } 0 .. $#$expected;
}


# Called for every answer.

sub check {
    my ($block, $body, $i, $repeat, $dry_run) = @_;

    return if $dry_run;

    my $name = $block->name;
    my @expected = map { expectation($_) } expected($block);

    @bodies = () if $i == 0;
    push @bodies, $body;

    check_body($name, $expected[$i], $body, $i) if $expected[$i];

    return if $i < $block->answers - 1;

    my @seen = requests();
    ask_control('DELETE', '/requests');

    check_arrived($block, @seen);
    check_logs($block, $repeat);
    check_access($block, $repeat);

    check_fetched($block) if defined $block->fetched;

    $block->inspect->(\@seen, [@bodies], $name) if $block->inspect;
}


# What the fakes were asked for, but for what they count besides.

sub check_fetched {
    my ($block) = @_;

    my $counters = ask_fakes('GET', '/counters');
    my @got;

    for my $source (sort keys %$counters) {
        my %steps = %{ $counters->{$source} };

        delete @steps{qw(issued faults)};
        push @got, join ' ', $source, map { "$_ $steps{$_}" } sort keys %steps
            if %steps;
    }

    my $expected = join "\n", sort grep { /\S/ } split /\n/, $block->fetched;

    Test::More::is(@got ? join("\n", @got) : 'nothing', $expected,
                   $block->name . ' - what was fetched');
}


sub check_body {
    my ($name, $expected, $body, $i) = @_;

    if ($expected->{token}) {
        Test::More::like($body, $TOKEN, "$name - a token (req $i)");

        my $token = eval { $json->decode($body)->{token} } // '';
        (my $path = $token) =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
        Test::More::ok(eval { ask_control('GET', "/tokens/$path") },
                       "$name - the service knows it (req $i)");
        return;
    }

    return unless $expected->{code};

    my $problem = eval { $json->decode($body) } // {};
    my @members = qw(code detail status title type);

    push @members, 'retryAfter' if $expected->{retry};

    Test::More::is_deeply([sort keys %$problem], [sort @members],
                          "$name - the members of a problem (req $i)");
    Test::More::is($problem->{code}, $expected->{code},
                   "$name - its code (req $i)");
    Test::More::is($problem->{status}, $expected->{status},
                   "$name - its status (req $i)");
    Test::More::is($problem->{type}, 'about:blank',
                   "$name - its type (req $i)");
    Test::More::like($problem->{retryAfter}, qr/\A[1-9]\d*\z/,
                     "$name - its retryAfter (req $i)") if $expected->{retry};
    Test::More::unlike($body, qr/arn:aws|@{[ACCOUNT]}/,
                       "$name - nothing of AWS's in it (req $i)");
}


sub check_arrived {
    my ($block, @seen) = @_;

    return unless defined $block->arrived;

    my $name = $block->name;
    my $text = Test::Nginx::Util::expand_env_in_text($block->arrived, $name,
                                                     {});

    if ($text =~ /\A\s*nothing\s*\z/) {
        Test::More::is(scalar(@seen), 0, "$name - nothing arrived");
        return;
    }

    my @expected = map { $json->encode($json->decode(encoded($_))) }
                       grep { /\S/ } split /\n/, $text;
    my @got = map { ($_->{verdict}{status} // '') eq '200'
                    ? $json->encode(sent_json($_))
                    : "$_->{verdict}{status} $_->{verdict}{code}: "
                      . ($_->{verdict}{message} // '') } @seen;

    Test::More::is(join("\n", @got), join("\n", @expected),
                   "$name - what arrived");
}


sub encoded {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}


# The lines of a log since this repetition of the block began.

sub log_lines {
    my ($file, $block, $repeat) = @_;

    my $path = Test::Nginx::Util::server_root() . "/logs/$file";
    my $text = -e $path ? slurp($path) : '';
    my $start = $repeat ? $log_start{$file} // 0 : 0;

    $log_start{$file} = length $text;

    return split /\n/, substr $text, $start;
}


sub check_logs {
    my ($block, $repeat) = @_;

    my $name = $block->name;
    my @lines = log_lines('error.log', $block, $repeat);
    my $allowed = $block->alerts // 'nothing at all';

    chomp $allowed;

    my @alerts = grep { /\[(?:alert|crit|emerg)\]/ && !/\Q$allowed\E/ }
                      @lines;

    Test::More::is("@alerts", '', "$name - no alert in the error log");

    check_issued($block, @lines) if $fakes;

    unless ($block->log_level =~ /debug/) {
        my @tokens = grep { defined && length > 8 }
                     map { /"token":"([^"]+)"/ ? $1 : undef } @bodies;
        my $found = grep { my $line = $_;
                           grep { index($line, $_) >= 0 } @secrets, @tokens }
                         @lines;

        Test::More::is($found, 0, "$name - no secret in the error log");
    }

    for my $wanted (patterns($block->logged)) {
        Test::More::ok((grep { $_ =~ $wanted } @lines),
                       "$name - the error log has $wanted")
            or Test::More::diag(join "\n", @lines);
    }

    for my $unwanted (patterns($block->not_logged)) {
        my ($line) = grep { $_ =~ $unwanted } @lines;
        Test::More::is($line, undef,
                       "$name - the error log does not have $unwanted");
    }
}


# Nginx itself writes proxied headers, and so session tokens, at debug.

sub check_issued {
    my ($block, @lines) = @_;

    my $log = join "\n", @lines;
    my @issued = @{ ask_fakes('GET', '/issued') };
    my @hidden = map { $_->{secret} } @issued;

    push @hidden, map { $_->{token} } @issued
        unless $block->log_level =~ /debug/;

    Test::More::is(scalar(grep { index($log, $_) >= 0 } @hidden), 0,
                   $block->name . ' - nothing of what was issued in the log');
}


# What must or must not be in a log: "text" or "/regex/", one a line.

sub patterns {
    my ($text) = @_;

    return map { m{^/(.*)/$} ? qr/$1/ : qr/\Q$_\E/ }
           grep { length } split /\n/, $text // '';
}


sub check_access {
    my ($block, $repeat) = @_;

    return unless defined $block->access;

    my $name = $block->name;
    my @expected = patterns_exact(Test::Nginx::Util::expand_env_in_text(
                                      $block->access, $name, {}));
    my @lines;
    my $deadline = Time::HiRes::time() + 3;
    my $start = $repeat ? $log_start{'access.log'} // 0 : 0;

    # nginx writes it when the answer has left

    do {
        Time::HiRes::sleep(0.02);
        $log_start{'access.log'} = $start;
        @lines = log_lines('access.log', $block, $repeat);
    } until (@lines >= @expected || Time::HiRes::time() > $deadline);

    Test::More::is(scalar(@lines), scalar(@expected),
                   "$name - the number of lines in the access log");

    for my $i (0 .. $#expected) {
        Test::More::like($lines[$i] // '', $expected[$i],
                         "$name - line $i of the access log");
    }
}


sub patterns_exact {
    my ($text) = @_;

    return map { m{^/(.*)/$} ? qr/\A$1\z/ : qr/\A\Q$_\E\z/ }
           grep { length } split /\n/, $text;
}


END {
    if ($service && $$ == $owner) {
        local $?;

        for my $pid (grep { defined } $fakes, $service) {
            kill 'TERM', $pid;
            waitpid $pid, 0;
        }
    }
}


1;
