#!/usr/bin/perl

# ivschat_token_rate among many hosts: the module's own ngx_ivschat_bucket.c in
# the simulation of t/sim/, a part of what docs/scaling.md shows.
#
# The seeds are fixed, but another libm may lead to other runs, and between
# runs Jain's index of a few hosts spreads by 0.02.  So each case has to be
# near the aim, and their mean has to meet it.

use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

chdir dirname(__FILE__) . '/..' or die "chdir: $!";

my ($rows, $jain) = (0, 0);

for my $row (simulate('-l module -r 2 -c steady,vanish -n 4,16,64')) {
    my ($case, undef, $edges, $used, $refused, $fair, undef, $back) = @$row;
    my $name = "$case, $edges edges";

    cmp_ok($used, '>=', 95, "$name: 95 % of the quota is used");
    cmp_ok($refused, '<=', 2.1, "$name: 2 % of the calls are refused");
    cmp_ok($fair, '>=', 0.9, "$name: shares are nearly even");
    unlike($back, qr/>/, "$name: back within 30 seconds");

    $jain += $fair;
    $rows++;
}

is($rows, 6, 'six cases');
cmp_ok($jain / ($rows || 1), '>=', 0.95, 'Jain\'s index is 0.95 on average');

my ($row) = simulate('-l module -r 1 -c steady -n 1');
cmp_ok($row->[3], '>=', 99, 'a host that is alone has the quota');
cmp_ok($row->[4], '<=', 0.1, 'and is not refused');

done_testing();


sub simulate {
    my ($options) = @_;
    my ($head, @lines) = `t/sim/run.sh $options`;

    is($?, 0, "t/sim/run.sh $options");

    return map { [ split ] } @lines;
}
