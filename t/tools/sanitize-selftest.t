#!/usr/bin/perl

# Reaches the content handler, and no more; for sanitize-selftest.sh.

use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a method that mints nothing
--- config
    location = /token {
        ivschat_token              /ivschat;
        ivschat_token_room         arn:aws:ivschat:us-west-2:123456789012:room/a;
        ivschat_token_user         $arg_user trusted;
        ivschat_token_credentials  static key=AKIAEXAMPLE secret=example;
    }

    location = /ivschat {
        internal;
        proxy_pass  http://127.0.0.1:1/CreateChatToken;
    }
--- request
GET /token?user=u
--- error_code: 405
