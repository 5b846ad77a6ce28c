#!/usr/bin/perl

# The seconds of rate_sim -s, on standard input, as an SVG: what AWS grants 4
# edges and refuses 64 under each law, each point the mean of 5 seconds.

use strict;
use warnings;

my @laws = (
    [ module => 'the module', '#0a7a43' ],
    [ cubic => 'AWS SDKs, adaptive (cubic)', '#b4471f' ],
    [ aimd => 'plain additive increase, halving', '#44659c' ],
);

my ($from, $until, $mean) = (60, 300, 5);
my ($left, $width, $height) = (64, 800, 190);

my (%granted, %refused);

while (my $line = <STDIN>) {
    chomp $line;
    my (undef, $law, $edges, $second, $yes, $no) = split /,/, $line;
    my $slot = int($second / $mean);

    $granted{$edges}{$law}[$slot] += $yes / $mean;
    $refused{$edges}{$law}[$slot] += $no / $mean;
}

my %share;

for my $law (keys %{ $granted{64} }) {
    for my $slot (0 .. $#{ $granted{64}{$law} }) {
        my $no = $refused{64}{$law}[$slot];
        my $all = $granted{64}{$law}[$slot] + $no;
        $share{$law}[$slot] = $all ? 100 * $no / $all : 0;
    }
}

print <<"END";
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 560" width="900" height="560" role="img" aria-label="Edges in overload; half of them vanish at 120 seconds">
<style>
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #17211c; }
.h { font-weight: 600; }
.s { fill: #5b6a62; font-size: 12px; }
.grid { stroke: #dfe5e1; }
.line { fill: none; stroke-width: 1.8; }
</style>
<rect width="900" height="560" rx="8" fill="#f7f9f8"/>
END

panel(44, '4 edges: tokens a second (quota: 200)', $granted{4}, 260, 50, 200);
panel(290, '64 edges: calls refused by AWS, % (aim: 2)', \%share, 25, 5, 2);
legend(530);

print "</svg>\n";


sub panel {
    my ($top, $title, $series, $max, $step, $mark) = @_;

    text($left, $top - 12, 'h', $title);

    for (my $v = 0; $v <= $max; $v += $step) {
        my $y = level($top, $v, $max);
        line($left, $y, $left + $width, $y, 'class="grid"');
        text($left - 8, $y + 4, 's', $v, 'end');
    }

    for (my $s = $from; $s <= $until; $s += 30) {
        text(at($s), $top + $height + 16, 's', "$s s", 'middle');
    }

    line($left, level($top, $mark, $max), $left + $width, level($top, $mark, $max),
         'stroke="#17211c" stroke-dasharray="2 4"');
    line(at(120), $top, at(120), $top + $height,
         'stroke="#5b6a62" stroke-dasharray="5 4"');
    text(at(120) + 6, $top + 12, 's', 'half of the edges vanish');

    for my $law (reverse @laws) {
        my ($name, undef, $colour) = @$law;
        my @points = map {
            sprintf '%.1f,%.1f', at(($_ + 0.5) * $mean),
                level($top, min($series->{$name}[$_], $max), $max);
        } $from / $mean .. $until / $mean - 1;

        print qq{<polyline class="line" stroke="$colour" points="@points"/>\n};
    }
}

sub legend {
    my ($y) = @_;
    my $x = $left;

    for my $law (@laws) {
        line($x, $y, $x + 24, $y, qq{stroke="$law->[2]" stroke-width="3"});
        text($x + 32, $y + 4, 's', $law->[1]);
        $x += 150 + 4 * length $law->[1];
    }
}

sub at { return $left + ($_[0] - $from) * $width / ($until - $from) }

sub level {
    my ($top, $value, $max) = @_;
    return $top + $height * (1 - $value / $max);
}

sub min { return $_[0] < $_[1] ? $_[0] : $_[1] }

sub line {
    my ($x1, $y1, $x2, $y2, $rest) = @_;
    printf qq{<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>\n},
        $x1, $y1, $x2, $y2, $rest;
}

sub text {
    my ($x, $y, $class, $text, $anchor) = @_;
    printf qq{<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>\n},
        $x, $y, $class, $anchor // 'start', $text;
}
