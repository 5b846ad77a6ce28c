# "nginx -t" on configurations of a few lines, without Test::Nginx.
#
#     use lib 't/lib';
#     use NginxConf;
#
#     my ($status, $output) = NginxConf::test(http => '…', server => '…');
#
# The status is $? of nginx; the output is all that it wrote.  The file has mode
# 0600, or that of "mode".

package NginxConf;

use strict;
use warnings;

use File::Temp ();

my $binary = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $dir = File::Temp->newdir('nginx-conf.XXXXXX', TMPDIR => 1);

delete $ENV{$_} for grep { /^AWS_/ } keys %ENV;
$ENV{HOME} = "$dir";


sub test {
    my (%parts) = @_;

    my $path = "$dir/nginx.conf";

    open my $out, '>:raw', $path or die "$path: $!";
    print $out text(%parts);
    close $out or die "$path: $!";

    # it may hold secrets

    chmod $parts{mode} // 0600, $path or die "$path: $!";

    my $output = `'$binary' -t -e stderr -p '$dir' -c '$path' 2>&1`;
    my $status = $?;

    return $status, $output;
}


sub text {
    my (%parts) = @_;

    my $load = join ' ', map { "load_module $_;" }
                         split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my ($main, $http, $server) = map { $parts{$_} // '' }
                                     qw(main http server);

    return <<"END";
$load
pid $dir/nginx.pid;
$main
events { }
http {
    access_log off;
    client_body_temp_path $dir/client_body;
    proxy_temp_path       $dir/proxy;
    fastcgi_temp_path     $dir/fastcgi;
    uwsgi_temp_path       $dir/uwsgi;
    scgi_temp_path        $dir/scgi;
$http
    server {
        listen unix:$dir/socket;
$server
    }
}
END
}


1;
