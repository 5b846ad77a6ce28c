#!/usr/bin/perl

# The unit tests: programs in C, one for each t/unit/*_test.c, built as
# objs/unit/*_test by "make unit-binaries".  Each prints TAP; here each
# becomes one subtest, so that a failure names its program and its check.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use Test::More;

chdir dirname(__FILE__) . '/..' or die "chdir: $!";

my @names = map { basename($_, '.c') } sort glob 't/unit/*_test.c';

if (!@names) {
    fail('there are unit tests in t/unit');
}

for my $name (@names) {
    subtest $name => sub { run_unit($name) };
}

done_testing();


sub run_unit {
    my ($name) = @_;
    my ($plan, $seen, $failed) = (undef, 0, 0);

    my $pid = open my $out, '-|', "objs/unit/$name";

    if (!$pid) {
        fail("objs/unit/$name runs: $!");
        return;
    }

    while (my $line = <$out>) {
        chomp $line;

        if ($line =~ /^(not )?ok\b(?:\s+\d+)?(?:\s*-)?\s*(.*)/) {
            $seen++;
            $failed = defined $1;
            ok(!$failed, $2);

        } elsif ($line =~ /^1\.\.(\d+)/) {
            $plan = $1;

        } elsif ($line =~ /^Bail out!/) {
            fail($line);

        } else {
            $line =~ s/^#\s?//;
            $failed ? diag($line) : note($line);
        }
    }

    close $out;

    # A crash, or a sanitizer's report, shows in the status or in the plan.
    is($?, 0, 'exit status');
    is($seen, $plan // 'no plan', 'number of checks run');
}
