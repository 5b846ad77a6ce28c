# Variables whose text the client writes are refused on the lines that grant
# something.  Every variable that the running nginx has registered, as a module
# made for this test prints them, is in one of two lists.

use strict;
use warnings;

use lib 't/lib';
use Cwd ();
use File::Temp ();
use NginxConf;
use Test::More;

plan skip_all => 'this nginx loads no dynamic modules'
    unless $ENV{TEST_NGINX_LOAD_MODULES};

# What ends with "_" is a prefix.

my @REFUSED = qw(
    arg_ args content_length content_type cookie_ document_uri
    fastcgi_path_info fastcgi_script_name host http_ is_args is_request_port
    proxy_add_x_forwarded_for query_string realpath_root request request_body
    request_body_file request_filename request_length request_method
    request_port request_uri server_protocol ssl_ech_outer_server_name
    ssl_server_name uid_got uri
);

# What nginx generates, measures or verifies, or an operator configures.

my @FREE = qw(
    ancient_browser binary_remote_addr body_bytes_sent bytes_sent connection
    connection_requests connection_time connections_active
    connections_reading connections_waiting connections_writing date_gmt
    date_local document_root geoip_ grpc_internal_trailers gzip_ratio hostname http2 http3 https
    invalid_referer ivschat_token_ jwt_ limit_conn_status limit_rate
    limit_req_status memcached_key modern_browser msec msie nginx_version pid
    pipe proxy_host proxy_internal_ proxy_port proxy_protocol_ realip_remote_
    remote_addr remote_port remote_user request_completion request_id
    request_time scheme secure_link secure_link_expires sent_http_
    sent_trailer_ server_addr server_name server_port slice_range
    ssl_alpn_protocol ssl_cipher ssl_ciphers ssl_client_ ssl_curve ssl_curves
    ssl_early_data ssl_ech_status ssl_protocol ssl_server_sigalg
    ssl_session_id ssl_session_reused ssl_sigalg status tcpinfo_ time_iso8601
    time_local uid_reset uid_set upstream_ upstream_http_ upstream_trailer_
    upstream_cookie_ userid_
);

my $ARN = 'arn:aws:ivschat:us-west-2:123456789012:room/AbCdEfGhIjKl';
my %GRANTS = (
    user => 'ivschat_token_user VALUE',
    room => 'ivschat_token_room VALUE',
    'if= of a room' => "ivschat_token_room $ARN if=VALUE",
    'if= of a named room' => "ivschat_token_room name=a $ARN if=VALUE",
    'if= of a capability' => 'ivschat_token_capabilities SEND_MESSAGE if=VALUE',
    attribute => 'ivschat_token_attribute a VALUE',
    'if= of an attribute' => 'ivschat_token_attribute a b if=VALUE',
    duration => 'ivschat_token_session_duration VALUE',
    region => 'ivschat_token_region VALUE',
);


sub output {
    my ($status, $output) = NginxConf::test(@_);
    return $output;
}


# A token location with these lines, user and room being added if missing; it
# is a server's "location" unless that is given.

sub token {
    my (%in) = @_;

    my $lines = join ' ', map { "$_;" } @{ $in{lines} };
    my $all = "$lines " . ($in{http} // '');

    $lines .= ' ivschat_token_user alice;' if $all !~ /(?<!-)ivschat_token_user /;
    $lines .= " ivschat_token_room $ARN;" if $all !~ /(?<!-)ivschat_token_room /;

    return output(
        http => 'resolver 127.0.0.1:53; ivschat_token_credentials static '
                . 'key=AKIDEXAMPLE secret=secret; ' . ($in{http} // ''),
        server => ($in{server} // '') . ' location = /ivschat { internal; '
                  . 'proxy_pass https://$ivschat_token_host/; } '
                  . "location " . ($in{location} // '= /token')
                  . " { ivschat_token /ivschat; $lines }");
}


sub refused {
    my ($name, $variable, %in) = @_;

    my $message = qr/the client writes "\$\Q$variable\E";/;

    like(token(%in), qr/\[emerg\] .* in "ivschat_token_\w+" directive: $message/,
         "refused: $name");
}


sub accepted {
    my ($name, %in) = @_;

    like(token(%in), qr/\Anginx: .*syntax is ok\n.*test is successful\n\z/,
         "accepted: $name");
}


sub listed {
    my ($name, @list) = @_;
    return grep { /_\z/ ? index($name, $_) == 0 : $name eq $_ } @list;
}


# The test's module is compiled as ours was.

sub build {
    my ($dir) = @_;

    my $top = Cwd::getcwd();
    my $build = "$top/objs/module/build";
    my $so = "$dir/ngx_variables_module.so";

    open my $makefile, '<', "$build/Makefile" or die "$build/Makefile: $!";
    my $text = do { local $/; <$makefile> };

    my ($flags) = $text =~ /^CFLAGS\s*=(.*)$/m or die 'no CFLAGS';
    my ($incs) = $text =~ /^ALL_INCS\s*=((?:.*\\\n)*.*)$/m or die 'no ALL_INCS';
    $incs =~ s/\\\n/ /g;

    system("cd '$top/objs/module/tree' && cc $flags -fPIC $incs -shared "
           . "-o '$so' '$top/t/lib/ngx_variables_module.c'") == 0
        or die 'the module of this test does not compile';

    return $so;
}


my $dir = File::Temp->newdir('nginx-variables.XXXXXX', TMPDIR => 1);
my $so = build("$dir");
my %seen = map { $_ => 1 }
           output(main => "load_module $so;") =~ /^nginx: variable (\S+)$/mg;

cmp_ok(scalar keys %seen, '>', 100, 'nginx has registered its variables');
ok($seen{$_}, "\$$_ is among them") for qw(remote_user arg_ ivschat_token_user);

my (@free, @refused);

for my $name (sort keys %seen) {
    my ($bad, $good) = (scalar listed($name, @REFUSED),
                        scalar listed($name, @FREE));
    my $text = $name =~ /_\z/ ? "${name}x" : $name;

    ok(!$bad != !$good, "\$$name is in one list");
    push @{ $bad ? \@refused : \@free }, $text;
}


# All lines, and all variables

for my $name (@refused) {
    for my $line (sort keys %GRANTS) {
        (my $grant = $GRANTS{$line}) =~ s/VALUE/"a\${$name}b"/;
        $grant =~ s/if="(.*)"/"if=$1"/;

        refused("\$$name: $line", $name, lines => [$grant]);
    }
}

for my $line (sort keys %GRANTS) {

    (my $trusted = $GRANTS{$line}) =~ s/VALUE/\$arg_x/;
    accepted("trusted: $line", lines => ["$trusted trusted"]);

    for my $n (1, 9) {
        (my $capture = $GRANTS{$line}) =~ s/VALUE/\$$n/;
        refused("\$$n: $line", $n, lines => [$capture]);
    }

    (my $named = $GRANTS{$line}) =~ s/VALUE/\$who/;
    my @regex = (location => '~ ^/(?<who>\w+)/token$');

    refused("a capture of the location: $line", 'who', lines => [$named],
            @regex);
    refused("a capture of the server's name: $line", 'who',
            lines => [$named], server => 'server_name ~^(?<who>.+)$;');
    accepted("a trusted capture: $line", lines => ["$named trusted"], @regex);

    # inherited from the http level, by a location within another

    my $nested = 'location ~ ^/(?<who>\w+) { location ~ /a$ { '
                 . 'ivschat_token /ivschat; } }';
    my $inherited = "$named; "
                    . ($line eq 'user' ? '' : 'ivschat_token_user alice; ')
                    . ($line =~ /room/ ? '' : "ivschat_token_room $ARN; ");

    refused("an inherited capture: $line", 'who', lines => [],
            http => $inherited, @regex);
    refused("a capture of an outer location: $line", 'who',
            lines => [], http => $inherited, server => $nested,
            location => '~ ^/(?<other>\w+)$');
}

accepted('all free variables', lines => [
    map { "ivschat_token_attribute a-$_ \"\${$_}\"" } @free]);
accepted('ivschat_token_room_name takes all', lines => [
    "ivschat_token_room name=a $ARN", 'ivschat_token_room_name "'
    . join('', map { "\${$_}" } @refused) . '"']);
accepted('what map, set and auth_request_set make of it',
    http => 'map $arg_x $m { default $arg_x; }',
    lines => ['set $s $arg_x', 'ivschat_token_user $m$s',
              "ivschat_token_room $ARN if=\$s"]);
refused('"trusted" on another line', 'arg_x', lines => [
    'ivschat_token_user $arg_u trusted', "ivschat_token_room $ARN if=\$arg_x"]);

for my $line ('ivschat_token_attribute a trusted $arg_x',
              "ivschat_token_room $ARN trusted if=\$scheme",
              'ivschat_token_capabilities SEND_MESSAGE trusted if=$scheme')
{
    like(token(lines => [$line]), qr/\[emerg\] .*: invalid value "/,
         "refused: \"trusted\" is not the last word of $line");
}

done_testing();
