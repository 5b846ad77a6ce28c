
/*
 * CreateChatToken: limits, hosts, the request's body, answers, times, errors.
 */


#include "aws/ngx_ivschat_api.h"
#include "aws/ngx_ivschat_errors.h"

#include <stdlib.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "tap.h"


#define lit(s)   { (s), sizeof(s) - 1 }
#define size(a)  (sizeof(a) / sizeof((a)[0]))

#define ARN      "arn:aws:ivschat:us-west-2:123456789012:room/g1H2I3j4k5L6"

/* Times that are right, to put beside a token that is not, and so on. */
#define S        "\"sessionExpirationTime\":\"2026-11-24T22:00:00Z\""
#define T        "\"tokenExpirationTime\":\"2026-11-24T21:01:00Z\""
#define TOKEN    "\"token\":\"abc\""
#define WITH(x)  "{" TOKEN "," x "}"

#define X10      "xxxxxxxxxx"
#define X50      X10 X10 X10 X10 X10
#define X100     X50 X50


typedef struct {
    ngx_ivschat_str_t   text;
    long                length;        /* -1: refused */
    const char         *name;
} utf8_case_t;

typedef struct {
    const char   *region;
    const char   *host;                /* NULL: refused */
} host_case_t;

typedef struct {
    const char   *text;
    int64_t       ms;                  /* -1: refused */
} time_case_t;

typedef struct {
    ngx_ivschat_str_t   body;
    const char         *reason;        /* a part of it */
} bad_answer_t;

typedef struct {
    const char   *body;
    const char   *json;                /* what clients get */
} good_answer_t;

typedef struct {
    const char   *header;
    const char   *body;
    const char   *code;
    const char   *message;
} error_case_t;


static const utf8_case_t  utf8[] = {
    { lit(""), 0, "empty" },
    { lit("a"), 1, "ASCII" },
    { lit("\x01\x1f\x7f"), 3, "controls" },
    { lit("\xc2\x80"), 1, "U+0080" },
    { lit("\xdf\xbf"), 1, "U+07FF" },
    { lit("\xe0\xa0\x80"), 1, "U+0800" },
    { lit("\xe2\x80\xa8"), 1, "U+2028" },
    { lit("\xed\x9f\xbf"), 1, "U+D7FF" },
    { lit("\xee\x80\x80"), 1, "U+E000" },
    { lit("\xef\xbb\xbf"), 1, "U+FEFF" },
    { lit("\xef\xbf\xbf"), 1, "U+FFFF" },
    { lit("\xf0\x90\x80\x80"), 1, "U+10000" },
    { lit("\xf0\x9f\x98\x80" "a"), 2, "an emoji and a letter" },
    { lit("\xf4\x8f\xbf\xbf"), 1, "U+10FFFF" },
    { lit("\0"), -1, "NUL alone" },
    { lit("a\0b"), -1, "NUL inside" },
    { lit("a\0"), -1, "NUL at the end" },
    { lit("\x80"), -1, "a continuation alone" },
    { lit("\xbf" "a"), -1, "a continuation first" },
    { lit("\xc0\x80"), -1, "NUL in two bytes" },
    { lit("\xc1\xbf"), -1, "U+007F in two bytes" },
    { lit("\xe0\x80\x80"), -1, "NUL in three bytes" },
    { lit("\xe0\x9f\xbf"), -1, "U+07FF in three bytes" },
    { lit("\xf0\x80\x80\x80"), -1, "NUL in four bytes" },
    { lit("\xf0\x8f\xbf\xbf"), -1, "U+FFFF in four bytes" },
    { lit("\xed\xa0\x80"), -1, "U+D800" },
    { lit("\xed\xaf\xbf"), -1, "U+DBFF" },
    { lit("\xed\xb0\x80"), -1, "U+DC00" },
    { lit("\xed\xbf\xbf"), -1, "U+DFFF" },
    { lit("\xed\xa0\xbd\xed\xb8\x80"), -1, "an emoji as two surrogates" },
    { lit("\xf4\x90\x80\x80"), -1, "U+110000" },
    { lit("\xf5\x80\x80\x80"), -1, "U+140000" },
    { lit("\xf7\xbf\xbf\xbf"), -1, "U+1FFFFF" },
    { lit("\xf8\x88\x80\x80\x80"), -1, "five bytes" },
    { lit("\xfc\x84\x80\x80\x80\x80"), -1, "six bytes" },
    { lit("\xfe"), -1, "FE" },
    { lit("\xff"), -1, "FF" },
    { lit("\xc2"), -1, "one byte of two" },
    { lit("\xe2\x82"), -1, "two bytes of three" },
    { lit("\xf0\x9f\x98"), -1, "three bytes of four" },
    { lit("\xf0\x9f"), -1, "two bytes of four" },
    { lit("\xf0"), -1, "one byte of four" },
    { lit("\xc2" "a"), -1, "a letter for a continuation" },
    { lit("\xe2\x82" "a"), -1, "a letter for the second continuation" },
    { lit("\xf0\x9f\x98" "a"), -1, "a letter for the third continuation" },
    { lit("\xe2\xc2\x80"), -1, "a beginning for a continuation" },
    { lit("caf\xe9"), -1, "Latin-1" },
    { lit("caf\xc3\xa9"), 4, "the same in UTF-8" }
};


static const char  *good_arns[] = {
    ARN,
    "arn:aws:ivschat:eu-central-1:0:room/a",
    "arn:aws:ivschat:us-east-1:123456789012:room/A-b-0",
    "arn:aws:ivschat:a:1:room/-",
    "arn:aws:ivschat:us-west-2:123456789012:room/" X50 X10 X10 X10 "xxxx"
};


static const ngx_ivschat_str_t  bad_arns[] = {
    lit(""),
    lit("arn"),
    lit("arn:aws:ivschat:"),
    lit("arn:aws:ivschat:us-west-2"),
    lit("arn:aws:ivschat:us-west-2:"),
    lit("arn:aws:ivschat:us-west-2:123456789012"),
    lit("arn:aws:ivschat:us-west-2:123456789012:"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a/b"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a:b"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a_b"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a b"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a\n"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a\0"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/\xc3\xa9"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/*"),
    lit("arn:aws:ivschat:us-west-2:123456789012:Room/a"),
    lit("arn:aws:ivschat:us-west-2:123456789012:channel/a"),
    lit("arn:aws:ivschat:us-west-2:123456789012:logging-configuration/a"),
    lit("arn:aws:ivschat:us-west-2::room/a"),
    lit("arn:aws:ivschat:us-west-2:12345678901a:room/a"),
    lit("arn:aws:ivschat:us-west-2:-1:room/a"),
    lit("arn:aws:ivschat:us-west-2: 1:room/a"),
    lit("arn:aws:ivschat::123456789012:room/a"),
    lit("arn:aws:ivschat:US-WEST-2:123456789012:room/a"),
    lit("arn:aws:ivschat:us_west_2:123456789012:room/a"),
    lit("arn:aws:ivschat:us.west.2:123456789012:room/a"),
    lit("arn:aws:ivschat:us/west/2:123456789012:room/a"),
    lit("arn:aws:ivschat:us-west-2\n:123456789012:room/a"),
    lit("arn:aws:ivschat:a-region-longer-than-32-characters:1:room/a"),
    lit("arn:aws:ivs:us-west-2:123456789012:room/a"),
    lit("arn:aws:ivschat2:us-west-2:123456789012:room/a"),
    lit("arn:aws-cn:ivschat:cn-north-1:123456789012:room/a"),
    lit("arn:aws-us-gov:ivschat:us-gov-west-1:123456789012:room/a"),
    lit("ARN:aws:ivschat:us-west-2:123456789012:room/a"),
    lit(" arn:aws:ivschat:us-west-2:123456789012:room/a"),
    lit("xarn:aws:ivschat:us-west-2:123456789012:room/a"),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/a "),
    lit("arn:aws:ivschat:us-west-2:123456789012:room/" X50 X10 X10 X10
        "xxxxx"),
    lit("https://ivschat.us-west-2.amazonaws.com"),
    lit("AbCdEfGhIjKl"),
    { NULL, 0 }
};


static const host_case_t  hosts[] = {
    { "us-west-2", "ivschat.us-west-2.amazonaws.com" },
    { "us-east-1", "ivschat.us-east-1.amazonaws.com" },
    { "eu-central-1", "ivschat.eu-central-1.amazonaws.com" },
    { "eu-west-1", "ivschat.eu-west-1.amazonaws.com" },
    { "ap-south-1", "ivschat.ap-south-1.amazonaws.com" },
    { "ap-northeast-1", "ivschat.ap-northeast-1.amazonaws.com" },
    { "ap-northeast-2", "ivschat.ap-northeast-2.amazonaws.com" },
    { "mx-central-1", "ivschat.mx-central-1.amazonaws.com" },
    { "us-gov-west-1", "ivschat.us-gov-west-1.amazonaws.com" },
    { "cn-north-1", "ivschat.cn-north-1.amazonaws.com" },
    { "a", "ivschat.a.amazonaws.com" },
    { "", NULL },
    { "US-WEST-2", NULL },
    { "us west", NULL },
    { "evil.example.com/", NULL },
    { "us-west-2.", NULL },
    { "us-west-2\n", NULL },
    { "a-region-longer-than-32-letters-x", NULL }
};


static const time_case_t  times[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "1970-01-01T00:00:00.001Z", 1 },
    { "2026-11-24T21:01:00.000Z", 1795554060000 },
    { "2026-11-24T21:01:00Z", 1795554060000 },
    { "2026-11-24t21:01:00z", 1795554060000 },
    { "2026-11-24T21:01:00+00:00", 1795554060000 },
    { "2026-11-24T21:01:00-00:00", 1795554060000 },
    { "2026-11-24T21:01:00+0000", 1795554060000 },
    { "2026-11-24T21:01:00+00", 1795554060000 },
    { "2026-11-24T22:31:00+01:30", 1795554060000 },
    { "2026-11-24T22:31:00+0130", 1795554060000 },
    { "2026-11-25T02:01:00+05", 1795554060000 },
    { "2026-11-24T13:01:00-08:00", 1795554060000 },
    { "2026-11-24T21:01:00.1Z", 1795554060100 },
    { "2026-11-24T21:01:00.12Z", 1795554060120 },
    { "2026-11-24T21:01:00.123Z", 1795554060123 },
    { "2026-11-24T21:01:00,123Z", 1795554060123 },
    { "2026-11-24T21:01:00.1239Z", 1795554060123 },
    { "2026-11-24T21:01:00.123999999999999999999999999999Z", 1795554060123 },
    { "2026-11-24T21:01:00.5+00:00", 1795554060500 },
    { "2022-03-16T03:45:09+00:00", 1647402309000 },
    { "2024-02-29T00:00:00Z", 1709164800000 },
    { "2000-02-29T23:59:59Z", 951868799000 },
    { "2100-03-01T00:00:00Z", 4107542400000 },
    { "2038-01-19T03:14:08Z", 2147483648000 },
    { "2026-12-31T23:59:59.999Z", 1798761599999 },
    { "9999-12-31T23:59:59.999Z", 253402300799999 },
    { "9999-12-31T23:59:59.999+00:01", 253402300739999 },

    { "", -1 },
    { "2026", -1 },
    { "2026-11-24", -1 },
    { "2026-11-24T21:01Z", -1 },
    { "2026-11-24T21:01:00", -1 },
    { "2026-11-24 21:01:00Z", -1 },
    { "20261124T210100Z", -1 },
    { "2026-11-24T21:01:00.Z", -1 },
    { "2026-11-24T21:01:00.", -1 },
    { "2026-11-24T21:01:00. 1Z", -1 },
    { "2026-11-24T21:01:00.1", -1 },
    { "2026-11-24T21:01:00ZZ", -1 },
    { "2026-11-24T21:01:00Z ", -1 },
    { " 2026-11-24T21:01:00Z", -1 },
    { "2026-11-24T21:01:00+", -1 },
    { "2026-11-24T21:01:00+1", -1 },
    { "2026-11-24T21:01:00+01:", -1 },
    { "2026-11-24T21:01:00+01:3", -1 },
    { "2026-11-24T21:01:00+013", -1 },
    { "2026-11-24T21:01:00+01:300", -1 },
    { "2026-11-24T21:01:00+24:00", -1 },
    { "2026-11-24T21:01:00+01:60", -1 },
    { "2026-11-24T21:01:00Z+01:00", -1 },
    { "2026-11-24T21:01:00 GMT", -1 },
    { "2026-00-24T21:01:00Z", -1 },
    { "2026-13-24T21:01:00Z", -1 },
    { "2026-11-00T21:01:00Z", -1 },
    { "2026-11-31T21:01:00Z", -1 },
    { "2026-12-32T21:01:00Z", -1 },
    { "2026-02-29T21:01:00Z", -1 },
    { "2024-02-30T21:01:00Z", -1 },
    { "2100-02-29T21:01:00Z", -1 },
    { "2026-11-24T24:00:00Z", -1 },
    { "2026-11-24T21:60:00Z", -1 },
    { "2026-11-24T21:01:60Z", -1 },
    { "2026-11-24T-1:01:00Z", -1 },
    { "2026-11-24T+1:01:00Z", -1 },
    { "-026-11-24T21:01:00Z", -1 },
    { "+002026-11-24T21:01:00Z", -1 },
    { "02026-11-24T21:01:00Z", -1 },
    { "999-12-31T23:59:59", -1 },
    { "999-12-31T23:59:59Z", -1 },
    { "1969-12-31T23:59:59Z", -1 },
    { "1970-01-01T00:00:00+00:01", -1 },
    { "0000-01-01T00:00:00Z", -1 },
    { "9999-12-31T23:59:59-00:01", -1 },
    { "1795554060", -1 },
    { "Tue, 24 Nov 2026 21:01:00 GMT", -1 },
    { "now", -1 }
};


static const good_answer_t  good_answers[] = {

    { "{" TOKEN "," S "," T "}",
      "{" TOKEN ",\"sessionExpirationTime\":\"2026-11-24T22:00:00.000Z\","
      "\"tokenExpirationTime\":\"2026-11-24T21:01:00.000Z\"}" },

    { " \r\n\t{ " T " ,\n" S ",\"new\":{\"a\":[1,null,true]}, " TOKEN "}\r\n ",
      "{" TOKEN ",\"sessionExpirationTime\":\"2026-11-24T22:00:00.000Z\","
      "\"tokenExpirationTime\":\"2026-11-24T21:01:00.000Z\"}" },

    { "{\"token\":\"ACEGmnoq#1rstu2...BDFH3vxwy!4hlm!#5\","
      "\"sessionExpirationTime\":\"2022-03-16T04:44:09+00:00\","
      "\"tokenExpirationTime\":\"2022-03-16T03:45:09.123456Z\"}",
      "{\"token\":\"ACEGmnoq#1rstu2...BDFH3vxwy!4hlm!#5\","
      "\"sessionExpirationTime\":\"2022-03-16T04:44:09.000Z\","
      "\"tokenExpirationTime\":\"2022-03-16T03:45:09.123Z\"}" },

    { "{" TOKEN ",\"sessionExpirationTime\":1647402309,"
      "\"tokenExpirationTime\":1.647402309123E9}",
      "{" TOKEN ",\"sessionExpirationTime\":\"2022-03-16T03:45:09.000Z\","
      "\"tokenExpirationTime\":\"2022-03-16T03:45:09.123Z\"}" },

    { "{\"token\":\"q\\\"b\\\\s\\/\\u00e9\\ud83d\\ude00\\n\\\\u0000\","
      S "," T "}",
      "{\"token\":\"q\\\"b\\\\s/\xc3\xa9\xf0\x9f\x98\x80\\n\\\\u0000\","
      "\"sessionExpirationTime\":\"2026-11-24T22:00:00.000Z\","
      "\"tokenExpirationTime\":\"2026-11-24T21:01:00.000Z\"}" },

    /* names are case-sensitive, and members of members are not ours */

    { "{\"Token\":\"x\",\"TOKEN\":\"y\"," S "," T ",\"a\":{\"token\":\"z\"},"
      TOKEN "}",
      "{" TOKEN ",\"sessionExpirationTime\":\"2026-11-24T22:00:00.000Z\","
      "\"tokenExpirationTime\":\"2026-11-24T21:01:00.000Z\"}" },

    { "{\"x\":1,\"x\":2," TOKEN "," S "," T "}",
      "{" TOKEN ",\"sessionExpirationTime\":\"2026-11-24T22:00:00.000Z\","
      "\"tokenExpirationTime\":\"2026-11-24T21:01:00.000Z\"}" }
};


static const bad_answer_t  bad_answers[] = {
    { { NULL, 0 }, "empty" },
    { lit(""), "empty" },
    { lit(" "), "not JSON" },
    { lit("\n"), "not JSON" },
    { lit("x"), "not JSON" },
    { lit("<html></html>"), "not JSON" },
    { lit("{"), "not JSON" },
    { lit("}"), "not JSON" },
    { lit("{\"token\""), "not JSON" },
    { lit("{\"token\":"), "not JSON" },
    { lit("{\"token\":\""), "not JSON" },
    { lit("{\"token\":\"abc\\"), "not JSON" },
    { lit("{\"token\":\"\\u"), "not JSON" },
    { lit("{\"token\":\"\\u00"), "not JSON" },
    { lit("{" TOKEN "," S "," T), "not JSON" },
    { lit("{" TOKEN "," S "," T ",}"), "not JSON" },
    { lit("{" TOKEN "," S "," T ","), "not JSON" },
    { lit("{" TOKEN "," S T "}"), "not JSON" },
    { lit("{'token':'abc'," S "," T "}"), "not JSON" },
    { lit("{token:\"abc\"," S "," T "}"), "not JSON" },
    { lit("{\"token\":\"\\x\"," S "," T "}"), "not JSON" },
    { lit("{\"token\":\"\\ud83d\"," S "," T "}"), "not JSON" },
    { lit("{\"token\":\"\\ude00\"," S "," T "}"), "not JSON" },
    { lit("{\"token\":\"\\ud83d\\u0041\"," S "," T "}"), "not JSON" },
    { lit("{" TOKEN "," S "," T "}}"), "not JSON" },
    { lit("{" TOKEN "," S "," T "}x"), "not JSON" },
    { lit("{" TOKEN "," S "," T "} {}"), "not JSON" },
    { lit("{" TOKEN "," S "," T "},"), "not JSON" },
    { lit("{" TOKEN "," S "," T "}\0"), "not JSON" },
    { lit("{" TOKEN "," S "," T "}\n\0{"), "not JSON" },
    { lit("null"), "not a JSON object" },
    { lit("true"), "not a JSON object" },
    { lit("1"), "not a JSON object" },
    { lit("\"token\""), "not a JSON object" },
    { lit("[]"), "not a JSON object" },
    { lit("[{" TOKEN "," S "," T "}]"), "not a JSON object" },
    { lit("{}"), "no expiration time" },
    { lit("{" TOKEN "}"), "no expiration time" },
    { lit("{" TOKEN "," S "}"), "no expiration time" },
    { lit("{" TOKEN "," T "}"), "no expiration time" },
    { lit("{" S "," T "}"), "no token" },
    { lit("{\"Token\":\"abc\"," S "," T "}"), "no token" },
    { lit("{\"a\":{" TOKEN "}," S "," T "}"), "no token" },
    { lit("{\"token\":null," S "," T "}"), "not a string" },
    { lit("{\"token\":123," S "," T "}"), "not a string" },
    { lit("{\"token\":true," S "," T "}"), "not a string" },
    { lit("{\"token\":[\"abc\"]," S "," T "}"), "not a string" },
    { lit("{\"token\":{}," S "," T "}"), "not a string" },
    { lit("{\"token\":\"\"," S "," T "}"), "empty" },
    { lit("{\"token\":\"a\\u0000\"," S "," T "}"), "U+0000" },
    { lit("{\"token\":\"\\u0000\"," S "," T "}"), "U+0000" },
    { lit("{\"token\":\"\\\\\\u0000b\"," S "," T "}"), "U+0000" },
    { lit("{\"token\":\"a\0b\"," S "," T "}"), "U+0000" },
    { lit("{\"token\\u0000x\":\"abc\"," S "," T "}"), "U+0000" },
    { lit("{\"token\":\"caf\xe9\"," S "," T "}"), "not UTF-8" },
    { lit("{\"token\":\"\xed\xa0\x80\"," S "," T "}"), "not UTF-8" },
    { lit("{\"token\":\"\xc0\x80\"," S "," T "}"), "not UTF-8" },
    { lit("{" TOKEN "," TOKEN "," S "," T "}"), "duplicate token" },
    { lit("{" TOKEN "," S "," T ",\"t\\u006fken\":\"x\"}"),
      "duplicate token" },
    { lit("{" TOKEN "," S "," S "," T "}"), "duplicate expiration time" },
    { lit("{" TOKEN "," S "," T "," T "}"), "duplicate expiration time" },
    { lit(WITH("\"sessionExpirationTime\":null," T)), "neither" },
    { lit(WITH("\"sessionExpirationTime\":false," T)), "neither" },
    { lit(WITH("\"sessionExpirationTime\":[]," T)), "neither" },
    { lit(WITH("\"sessionExpirationTime\":{}," T)), "neither" },
    { lit(WITH("\"sessionExpirationTime\":\"\"," T)), "ISO 8601" },
    { lit(WITH("\"sessionExpirationTime\":\"soon\"," T)), "ISO 8601" },
    { lit(WITH("\"sessionExpirationTime\":\"1647402309\"," T)), "ISO 8601" },
    { lit(WITH("\"sessionExpirationTime\":-1," T)), "out of range" },
    { lit(WITH("\"sessionExpirationTime\":1e999," T)), "out of range" },
    { lit(WITH("\"sessionExpirationTime\":-1e999," T)), "out of range" },
    { lit(WITH("\"sessionExpirationTime\":1647402309000," T)),
      "out of range" },
    { lit(WITH("\"sessionExpirationTime\":253402300800," T)),
      "out of range" },
    { lit(WITH(S ",\"tokenExpirationTime\":\"2026-02-30T00:00:00Z\"")),
      "ISO 8601" },
    { lit(WITH(S ",\"tokenExpirationTime\":\"10000-01-01T00:00:00Z\"")),
      "ISO 8601" }
};


#define MSG(code)  "{\"" code "\":\"FooError\",\"message\":\"m\"}"


static const error_case_t  errors[] = {

    /* the header, in every form */

    { "FooError", "", "FooError", "" },
    { "FooError:http://internal.amazon.com/coral/x/", "", "FooError", "" },
    { "aws.protocoltests.restjson#FooError:http://internal.amazon.com/x/", "",
      "FooError", "" },
    { "aws.protocoltests.restjson#FooError", "", "FooError", "" },
    { "com.amazonaws.ivschat#ThrottlingException:http://internal.amazon.com/",
      "", "ThrottlingException", "" },
    { "FooError,BarError", "", "FooError", "" },
    { "ns#FooError,ns#BarError", "", "FooError", "" },
    { "FooError:http://x/,y", "", "FooError", "" },
    { "FooError:http://x/#frag", "", "FooError", "" },
    { " FooError ", "", "FooError", "" },
    { "FooError :x", "", "FooError", "" },

    /* the body, in every form */

    { "", MSG("code"), "FooError", "m" },
    { "", MSG("Code"), "FooError", "m" },
    { "", MSG("__type"), "FooError", "m" },
    { "", "{\"__type\":\"ns#FooError\"}", "FooError", "" },
    { "", "{\"__type\":\"ns#FooError:http://x/\"}", "FooError", "" },
    { "", "{\"code\":\"ns#FooError:http://x/\"}", "FooError", "" },
    { "", "{\"code\":\"A\",\"__type\":\"B\"}", "A", "" },
    { "", "{\"__type\":\"B\",\"code\":\"A\"}", "A", "" },
    { "H", "{\"code\":\"A\",\"__type\":\"B\",\"message\":\"m\"}", "H", "m" },
    { "", "{\"code\":\"\",\"__type\":\"B\"}", "B", "" },
    { "", "{\"code\":403,\"__type\":\"B\"}", "B", "" },
    { "", "{\"code\":null,\"__type\":null}", "", "" },

    /* no code, or none that a log could bear */

    { "", "", "", "" },
    { "", "{}", "", "" },
    { ":http://x/", "{\"code\":\"A\"}", "A", "" },
    { ",A", "{\"code\":\"B\"}", "B", "" },
    { "ns#", "{\"code\":\"A\"}", "A", "" },
    { "  ", "{\"code\":\"A\"}", "A", "" },
    { "Foo Error", "", "", "" },
    { "Foo\nError", "", "", "" },
    { "Foo\tError", "", "", "" },
    { "Foo\x7f", "", "", "" },
    { "Foo\x1b[31m", "", "", "" },
    { "Caf\xc3\xa9", "{\"code\":\"A\"}", "A", "" },
    { "", "{\"code\":\"Foo\\nError\",\"__type\":\"B\"}", "B", "" },
    { X50 X10 "xxx", "", X50 X10 "xxx", "" },
    { X50 X10 "xxxx", "", "", "" },

    /* messages */

    { "A", "{\"message\":\"one\",\"Message\":\"two\"}", "A", "one" },
    { "A", "{\"Message\":\"two\"}", "A", "two" },
    { "A", "{\"message\":\"\",\"Message\":\"two\"}", "A", "two" },
    { "A", "{\"message\":null,\"Message\":\"two\"}", "A", "two" },
    { "A", "{\"message\":{\"a\":1}}", "A", "" },
    { "A", "{\"message\":\"a\\r\\nb\\tc\\u0001d\\u001b[31me\"}", "A",
      "a  b c d [31me" },
    { "A", "{\"message\":\"a\x7f" "b\xc2\x80" "c\xc2\x9f" "d\xc2\xa0" "e\"}",
      "A", "a b c d\xc2\xa0" "e" },
    { "A", "{\"message\":\"caf\xe9 \x9b[0m \xed\xa0\x80\"}", "A",
      "" },
    { "A", "{\"message\":\"caf\xc3\xa9 \\ud83d\\ude00\"}", "A",
      "caf\xc3\xa9 \xf0\x9f\x98\x80" },
    { "A", "{\"message\":\"should have been 'POST\\n/\\n\\nx-amz-date:1\\n"
      "x-amz-security-token:SECRET\\n\\nhost'\"}", "A",
      "should have been 'POST /  x-amz-date:1 " },

    /* bodies that tell nothing */

    { "A", "<html>FooError</html>", "A", "" },
    { "A", "{\"message\":\"m\"", "A", "" },
    { "A", "{\"message\":\"m\"}x", "A", "" },
    { "A", "[\"message\"]", "A", "" },
    { "A", "\"message\"", "A", "" },
    { "A", "{\"message\":\"m\\u0000\"}", "A", "" },
    { "", "null", "", "" }
};


static ngx_ivschat_str_t
str(const char *text)
{
    ngx_ivschat_str_t  s = { text, strlen(text) };

    return s;
}


/* A copy with no byte to spare, so that ASan sees a read too many. */

static char *
tight(ngx_ivschat_str_t s)
{
    char  *p;

    p = malloc(s.len ? s.len : 1);

    if (s.len) {
        memcpy(p, s.data, s.len);
    }

    return p;
}


static int
equal(ngx_ivschat_str_t s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}


static void
test_utf8(void)
{
    char               *p, text[4 * 130];
    size_t              i, n;
    ngx_ivschat_str_t   s;
    static const char  *units[] = { "a", "\xc3\xa9", "\xe2\x82\xac",
                                    "\xf0\x9f\x98\x80" };

    for (i = 0; i < size(utf8); i++) {
        p = tight(utf8[i].text);
        s.data = p;
        s.len = utf8[i].text.len;
        is_int(ngx_ivschat_utf8_length(s), utf8[i].length, "UTF-8: %s",
               utf8[i].name);
        free(p);
    }

    for (i = 0; i < size(units); i++) {
        n = strlen(units[i]);

        for (s.len = 0; s.len < sizeof(text); s.len++) {
            text[s.len] = units[i][s.len % n];
        }

        s.data = text;

        for (s.len = n; s.len <= 129 * n; s.len += n) {
            if (ngx_ivschat_utf8_length(s) != (long) (s.len / n)) {
                break;
            }
        }

        is_int((long long) s.len, (long long) (130 * n),
               "1 to 129 characters of %zu bytes", n);
    }
}


static void
test_arns(void)
{
    char                   *p;
    size_t                  i;
    ngx_ivschat_str_t       s;
    ngx_ivschat_room_arn_t  arn;

    for (i = 0; i < size(good_arns); i++) {
        is_int(ngx_ivschat_room_arn_parse(str(good_arns[i]), NULL), 0,
               "good ARN: %s", good_arns[i]);
    }

    is_int((long long) strlen(good_arns[size(good_arns) - 1]),
           NGX_IVSCHAT_ROOM_ARN_MAX, "the last one is as long as may be");

    for (i = 0; i < size(bad_arns); i++) {
        p = tight(bad_arns[i]);
        s.data = bad_arns[i].data ? p : NULL;
        s.len = bad_arns[i].len;
        is_int(ngx_ivschat_room_arn_parse(s, &arn), -1, "bad ARN: %.*s",
               (int) s.len, bad_arns[i].data ? bad_arns[i].data : "");
        free(p);
    }

    s = str(ARN);
    ngx_ivschat_room_arn_parse(s, &arn);
    ok(equal(arn.region, "us-west-2"), "the region of an ARN");
    ok(equal(arn.account, "123456789012"), "the account of an ARN");
    ok(arn.account.data > s.data && arn.account.data < s.data + s.len,
       "the parts point into the ARN");

    /* no prefix of an ARN is one, up to the first character of the id */

    for (s.len = 0; s.len <= sizeof(ARN) - 1; s.len++) {
        if (ngx_ivschat_room_arn_parse(s, NULL) == 0) {
            break;
        }
    }

    is_int((long long) s.len, (long long) (sizeof(ARN) - sizeof("1H2I3j4k5L6")),
           "no ARN without an id");
}


static void
test_hosts(void)
{
    int     rc;
    char    host[NGX_IVSCHAT_HOST_MAX + 1];
    size_t  i, len, n;

    for (i = 0; i < size(hosts); i++) {
        len = 0;
        rc = ngx_ivschat_host(str("ivschat"), str(hosts[i].region), host,
                              sizeof(host), &len);

        if (hosts[i].host == NULL) {
            is_int(rc, -1, "no region: %s", hosts[i].region);
            continue;
        }

        is_str(rc == 0 ? host : NULL, hosts[i].host, "the host of %s",
               hosts[i].region);
        is_int((long long) len, (long long) strlen(hosts[i].host),
               "its length");
    }

    rc = ngx_ivschat_host(str("sts"), str("eu-west-1"), host, sizeof(host),
                          &len);
    is_str(rc == 0 ? host : NULL, "sts.eu-west-1.amazonaws.com",
           "another service");

    n = strlen(hosts[0].host);
    is_int(ngx_ivschat_host(str("ivschat"), str("us-west-2"), host, n, &len),
           -1, "no space for the NUL");
    is_int(ngx_ivschat_host(str("ivschat"), str("us-west-2"), host, n + 1,
                            &len), 0, "just enough space");
    is_int(ngx_ivschat_host(str("ivschat"), str("us-west-2"), host, 0, &len),
           -1, "no space");
    is_int(ngx_ivschat_host(str(""), str("us-west-2"), host, sizeof(host),
                            &len), -1, "no service");

    ok(ngx_ivschat_region_valid(str("us-west-2")), "a region");
    ok(ngx_ivschat_region_valid(str("a-region-of-just-32-letters-----")),
       "the longest region");
    ok(!ngx_ivschat_region_valid(str("a-region-of-just-33-letters------")),
       "a region too long");
    ok(!ngx_ivschat_region_valid(str("")), "an empty region");
    ok(!ngx_ivschat_region_valid(str("us-west-2/")), "a bad region");
}


static void
test_capabilities(void)
{
    char                buf[NGX_IVSCHAT_CAPABILITIES_LEN];
    size_t              i;
    static const char  *texts[] = {
        "", "SEND_MESSAGE", "DISCONNECT_USER", "SEND_MESSAGE,DISCONNECT_USER",
        "DELETE_MESSAGE", "SEND_MESSAGE,DELETE_MESSAGE",
        "DISCONNECT_USER,DELETE_MESSAGE",
        "SEND_MESSAGE,DISCONNECT_USER,DELETE_MESSAGE"
    };
    static const char  *bad[] = {
        "", "send_message", "SEND_MESSAGE ", "SEND_MESSAGES", "SEND_MESSAG",
        "VIEW_MESSAGE", "SEND_MESSAGE,DELETE_MESSAGE", "*"
    };

    is_int(ngx_ivschat_capability(str("SEND_MESSAGE")),
           NGX_IVSCHAT_SEND_MESSAGE, "SEND_MESSAGE");
    is_int(ngx_ivschat_capability(str("DISCONNECT_USER")),
           NGX_IVSCHAT_DISCONNECT_USER, "DISCONNECT_USER");
    is_int(ngx_ivschat_capability(str("DELETE_MESSAGE")),
           NGX_IVSCHAT_DELETE_MESSAGE, "DELETE_MESSAGE");

    for (i = 0; i < size(bad); i++) {
        is_int(ngx_ivschat_capability(str(bad[i])), 0, "no capability: %s",
               bad[i]);
    }

    for (i = 0; i < size(texts); i++) {
        is_int((long long) ngx_ivschat_capabilities_text((unsigned) i, buf),
               (long long) strlen(texts[i]), "length of capabilities %zu", i);
        is_str(buf, texts[i], "capabilities %zu", i);
    }
}


static void
test_request(void)
{
    int                      rc;
    char                    *json;
    size_t                   len;
    ngx_ivschat_request_t    req = { lit(ARN), lit("11231234"),
                                     NGX_IVSCHAT_SEND_MESSAGE, 30, NULL, 1 };
    ngx_ivschat_attribute_t  attributes[] = { { lit("displayName"),
                                                lit("DemoUser") },
                                              { lit(""), lit("") },
                                              { lit("b"), { NULL, 0 } } };

    req.attributes = attributes;

    rc = ngx_ivschat_request_json(&req, &json, &len);
    is_str(rc == 0 ? json : NULL, "{\"roomIdentifier\":\"" ARN "\","
           "\"userId\":\"11231234\",\"capabilities\":[\"SEND_MESSAGE\"],"
           "\"sessionDurationInMinutes\":30,"
           "\"attributes\":{\"displayName\":\"DemoUser\"}}",
           "the request of the SDK, byte for byte");
    is_int((long long) len, 199, "its length");
    free(json);

    req.nattributes = 3;
    req.capabilities = 7;
    req.duration = 180;

    rc = ngx_ivschat_request_json(&req, &json, &len);
    is_str(rc == 0 ? json : NULL, "{\"roomIdentifier\":\"" ARN "\","
           "\"userId\":\"11231234\",\"capabilities\":[\"SEND_MESSAGE\","
           "\"DISCONNECT_USER\",\"DELETE_MESSAGE\"],"
           "\"sessionDurationInMinutes\":180,\"attributes\":{"
           "\"displayName\":\"DemoUser\",\"\":\"\",\"b\":\"\"}}",
           "all members, in their order");
    free(json);

    req.nattributes = 0;
    req.capabilities = 0;
    req.duration = 0;

    rc = ngx_ivschat_request_json(&req, &json, &len);
    is_str(rc == 0 ? json : NULL, "{\"roomIdentifier\":\"" ARN "\","
           "\"userId\":\"11231234\"}", "no member that is not set");
    free(json);
}


/* What goes in comes out of a JSON parser unchanged. */

static void
test_round_trip(void)
{
    int                      rc;
    char                    *json, name[64], control[2] = { 0, 0 };
    cJSON                   *object;
    size_t                   i, len;
    const cJSON             *attribute;
    ngx_ivschat_request_t    req = { lit(ARN), lit("u"), 0, 0, NULL, 1 };
    ngx_ivschat_attribute_t  attribute_in;
    static const char       *texts[] = {
        "\"", "\\", "\\\"", "\\u0041", "\\u0000", "\\\\u0000", "a\\",
        "\"},\"userId\":\"root\",\"x\":{\"", "/", "</script>", "%", "%22",
        "%s%n", "+", "a b", " ", "'", "$1", "${x}", "{{x}}", "\xc3\xa9",
        "\xe2\x80\xa8\xe2\x80\xa9", "\xf0\x9f\x98\x80", "\xef\xbb\xbf",
        "\xf4\x8f\xbf\xbf", "e\xcc\x81", "\xe2\x80\xaexyz",
        "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9", "\x7f", "\xc2\x80",
        "null", "0", "1e5", "-", ".", "__proto__", "\r\n\t\b\f", "\x01\x1f"
    };

    req.attributes = &attribute_in;

    for (i = 0; i < size(texts) + 31; i++) {

        if (i < size(texts)) {
            snprintf(name, sizeof(name), "%s", texts[i]);

        } else {
            control[0] = (char) (i - size(texts) + 1);
            snprintf(name, sizeof(name), "a%sb", control);
        }

        req.user = str(name);
        attribute_in.name = str(name);
        attribute_in.value = str(name);

        rc = ngx_ivschat_request_json(&req, &json, &len);
        object = rc == 0 ? cJSON_ParseWithLength(json, len) : NULL;
        attribute = cJSON_GetObjectItemCaseSensitive(object, "attributes");
        attribute = cJSON_GetArrayItem(attribute, 0);

        ok(attribute != NULL && cJSON_GetArraySize(object) == 3
           && strcmp(attribute->string, name) == 0
           && strcmp(attribute->valuestring, name) == 0
           && strcmp(cJSON_GetObjectItemCaseSensitive(object, "userId")
                     ->valuestring, name)
              == 0
           && strcmp(cJSON_GetObjectItemCaseSensitive(object, "roomIdentifier")
                     ->valuestring, ARN)
              == 0,
           "round trip of text %zu: %s", i, name);

        cJSON_Delete(object);

        if (rc == 0) {
            free(json);
        }
    }
}


static void
test_request_refused(void)
{
    char                     *json;
    size_t                    i, len;
    ngx_ivschat_request_t     req = { lit(ARN), lit("u"), 0, 0, NULL, 1 };
    ngx_ivschat_request_t     r;
    ngx_ivschat_attribute_t   attribute = { lit("a"), lit("b") };
    ngx_ivschat_attribute_t   bad_attribute;

    req.attributes = &attribute;

    for (i = 0; i < size(utf8); i++) {
        if (utf8[i].length >= 0) {
            continue;
        }

        r = req;
        r.user = utf8[i].text;
        is_int(ngx_ivschat_request_json(&r, &json, &len), -1,
               "refused in a user: %s", utf8[i].name);

        r = req;
        r.attributes = &bad_attribute;
        bad_attribute = attribute;
        bad_attribute.name = utf8[i].text;
        is_int(ngx_ivschat_request_json(&r, &json, &len), -1,
               "refused in an attribute's name: %s", utf8[i].name);

        bad_attribute = attribute;
        bad_attribute.value = utf8[i].text;
        is_int(ngx_ivschat_request_json(&r, &json, &len), -1,
               "refused in an attribute's value: %s", utf8[i].name);
    }
}


static void
test_large_request(void)
{
    char                     *json, controls[1025];
    cJSON                    *object;
    size_t                    i, len;
    ngx_ivschat_request_t     req = { lit(ARN), lit("u"), 7, 180, NULL, 1 };
    ngx_ivschat_attribute_t   one = { lit(""), { controls, 1024 } };
    ngx_ivschat_attribute_t   many[512];

    /* every byte becomes six, \u0001 */

    memset(controls, 1, sizeof(controls) - 1);
    controls[1024] = '\0';
    req.attributes = &one;

    if (!is_int(ngx_ivschat_request_json(&req, &json, &len), 0,
                "1 KB of controls"))
    {
        return;
    }

    object = cJSON_ParseWithLength(json, len);
    ok(len > 6 * 1024 && len == strlen(json), "its length");
    is_str(cJSON_GetStringValue(cJSON_GetObjectItem(
               cJSON_GetObjectItem(object, "attributes"), "")),
           controls, "1 KB of controls arrives");
    cJSON_Delete(object);
    free(json);

    for (i = 0; i < size(many); i++) {
        many[i].name = str("n");
        many[i].value = str("v");
    }

    req.attributes = many;
    req.nattributes = size(many);

    if (is_int(ngx_ivschat_request_json(&req, &json, &len), 0,
               "512 attributes"))
    {
        object = cJSON_ParseWithLength(json, len);
        is_int(cJSON_GetArraySize(cJSON_GetObjectItem(object, "attributes")),
               512, "512 attributes arrive");
        cJSON_Delete(object);
        free(json);
    }
}


static void
test_good_answers(void)
{
    int                    rc;
    char                  *body, *json;
    size_t                 i, len;
    const char            *reason;
    ngx_ivschat_token_t   answer;

    for (i = 0; i < size(good_answers); i++) {
        body = tight(str(good_answers[i].body));
        rc = ngx_ivschat_token_parse(body, strlen(good_answers[i].body),
                                      &answer, &reason);
        free(body);

        if (!is_int(rc, 0, "good answer %zu", i)) {
            printf("# %s\n", reason);
            continue;
        }

        ok(reason == NULL, "no reason");

        rc = ngx_ivschat_token_json(&answer, &json, &len);
        is_str(rc == 0 ? json : NULL, good_answers[i].json,
               "what clients get of it");
        is_int((long long) len, (long long) strlen(good_answers[i].json),
               "its length");

        free(json);
        ngx_ivschat_token_free(&answer);
        ok(answer.token == NULL, "freed");
        ngx_ivschat_token_free(&answer);
    }

    memset(&answer, 0, sizeof(answer));
    ngx_ivschat_token_free(&answer);
    ok(1, "a zeroed answer can be freed");

    is_int(ngx_ivschat_token_json(&answer, &json, &len), -1,
           "no answer without a token");

    answer.token = (char *) "t";
    answer.token_expiration = -1;
    is_int(ngx_ivschat_token_json(&answer, &json, &len), -1,
           "no answer before 1970");
    answer.token_expiration = 0;
    answer.session_expiration = 253402300800000;
    is_int(ngx_ivschat_token_json(&answer, &json, &len), -1,
           "no answer after 9999");
}


static void
test_bad_answers(void)
{
    int                    rc;
    char                  *body;
    size_t                 i;
    const char            *reason;
    ngx_ivschat_token_t   answer;

    for (i = 0; i < size(bad_answers); i++) {
        body = tight(bad_answers[i].body);
        reason = NULL;
        rc = ngx_ivschat_token_parse(body, bad_answers[i].body.len, &answer,
                                      &reason);
        free(body);

        if (!ok(rc == -1 && reason != NULL
                && strstr(reason, bad_answers[i].reason) != NULL
                && answer.token == NULL,
                "bad answer %zu: %s: %.*s", i, bad_answers[i].reason,
                (int) bad_answers[i].body.len, bad_answers[i].body.data))
        {
            printf("# %d %s\n", rc, reason);
        }
    }
}


/* Every beginning of an answer is refused, and read no further than it is. */

static void
test_cut_answers(void)
{
    int                    rc;
    char                  *body;
    size_t                 i;
    const char            *reason;
    ngx_ivschat_str_t      s;
    ngx_ivschat_token_t   answer;

    s = str(good_answers[4].body);
    rc = -1;

    for (i = 0; i < strlen(good_answers[4].body); i++) {
        s.len = i;
        body = tight(s);
        rc = ngx_ivschat_token_parse(body, i, &answer, &reason);
        free(body);

        if (rc == 0) {
            ngx_ivschat_token_free(&answer);
            break;
        }
    }

    is_int(rc, -1, "an answer cut anywhere is refused");
}


static void
test_deep_answers(void)
{
    char                  *body;
    size_t                 i, n;
    const char            *reason;
    ngx_ivschat_token_t   answer;
    ngx_ivschat_error_t    error;
    ngx_ivschat_str_t      none = { NULL, 0 };
    static const size_t    depths[] = { 10, 900, 1100, 100000 };
    static const char      head[] = "{" TOKEN "," S "," T ",\"x\":";

    for (i = 0; i < size(depths); i++) {
        n = depths[i];
        body = malloc(sizeof(head) + 2 * n);

        memcpy(body, head, sizeof(head) - 1);
        memset(body + sizeof(head) - 1, '[', n);
        memset(body + sizeof(head) - 1 + n, ']', n);
        body[sizeof(head) - 1 + 2 * n] = '}';

        is_int(ngx_ivschat_token_parse(body, sizeof(head) + 2 * n, &answer,
                                        &reason),
               n < 1000 ? 0 : -1, "%zu arrays in each other", n);
        ngx_ivschat_token_free(&answer);

        ngx_ivschat_error_parse(none, body, sizeof(head) + 2 * n, &error);
        is_str(error.code, "", "as an error");

        memset(body, '{', sizeof(head) + 2 * n);
        is_int(ngx_ivschat_token_parse(body, sizeof(head) + 2 * n, &answer,
                                        &reason), -1, "as many braces");
        free(body);
    }
}


static void
test_times(void)
{
    int      rc;
    char     buf[NGX_IVSCHAT_TIME_LEN + 1], *p;
    size_t   i;
    int64_t  ms;

    for (i = 0; i < size(times); i++) {
        p = strdup(times[i].text);
        ms = -2;
        rc = ngx_ivschat_time_parse(p, &ms);
        free(p);

        if (times[i].ms < 0) {
            is_int(rc, -1, "bad time: %s", times[i].text);

        } else {
            is_int(rc == 0 ? ms : -1, times[i].ms, "time: %s", times[i].text);
        }
    }

    is_int(ngx_ivschat_time_format(-1, buf), -1, "no form before 1970");
    is_int(ngx_ivschat_time_format(INT64_MIN, buf), -1, "nor long before");
    is_int(ngx_ivschat_time_format(253402300800000, buf), -1,
           "no form after 9999");
    is_int(ngx_ivschat_time_format(INT64_MAX, buf), -1, "nor long after");

    ngx_ivschat_time_format(0, buf);
    is_str(buf, "1970-01-01T00:00:00.000Z", "the first time");
    ngx_ivschat_time_format(253402300799999, buf);
    is_str(buf, "9999-12-31T23:59:59.999Z", "the last time");
    ngx_ivschat_time_format(1795554060007, buf);
    is_str(buf, "2026-11-24T21:01:00.007Z", "a time between them");

    /* each day of the calendar, as gmtime() has it, there and back */

    for (ms = 86399999; ms <= 253402300799999; ms += 86400000) {
        char       expected[64];
        time_t     sec = (time_t) (ms / 1000);
        int64_t    back;
        struct tm  tm;

        gmtime_r(&sec, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.999Z", &tm);

        if (ngx_ivschat_time_format(ms, buf) != 0
            || strcmp(buf, expected) != 0
            || ngx_ivschat_time_parse(buf, &back) != 0
            || back != ms)
        {
            break;
        }
    }

    is_int(ms, 253402300799999 + 86400000, "every day until 9999");
}


static void
test_errors(void)
{
    char                 *body, long_body[700];
    size_t                i;
    ngx_ivschat_str_t     none = { NULL, 0 };
    ngx_ivschat_error_t   error;

    for (i = 0; i < size(errors); i++) {
        body = tight(str(errors[i].body));
        memset(&error, 'x', sizeof(error));
        ngx_ivschat_error_parse(str(errors[i].header), body,
                                strlen(errors[i].body), &error);
        free(body);

        is_str(error.code, errors[i].code, "code of error %zu: %s %s", i,
               errors[i].header, errors[i].body);
        is_str(error.message, errors[i].message, "message of error %zu", i);
    }

    ngx_ivschat_error_parse(none, NULL, 0, &error);
    ok(error.code[0] == '\0' && error.message[0] == '\0', "nothing at all");

    /* 512 bytes with the NUL, cut between characters */

    snprintf(long_body, sizeof(long_body), "{\"message\":\"%s\"}",
             X100 X100 X100 X100 X100 X50);
    ngx_ivschat_error_parse(none, long_body, strlen(long_body), &error);
    is_int((long long) strlen(error.message), 511, "a message too long");

    snprintf(long_body, sizeof(long_body), "{\"message\":\"%s%s\"}",
             X100 X100 X100 X100 X100 X10, "\xc3\xa9" "y");
    ngx_ivschat_error_parse(none, long_body, strlen(long_body), &error);
    is_int((long long) strlen(error.message), 510,
           "cut before a character of two bytes");

    snprintf(long_body, sizeof(long_body), "{\"message\":\"%s%s\"}",
             X100 X100 X100 X100 X100 "xxxxxxx", "\xf0\x9f\x98\x80" "y");
    ngx_ivschat_error_parse(none, long_body, strlen(long_body), &error);
    is_str(error.message + 507, "\xf0\x9f\x98\x80",
           "a character of four bytes that just fits");

    snprintf(long_body, sizeof(long_body), "{\"message\":\"%s%s\"}",
             X100 X100 X100 X100 X100 "xxxxxxxx", "\xf0\x9f\x98\x80" "y");
    ngx_ivschat_error_parse(none, long_body, strlen(long_body), &error);
    is_str(error.message + 507, "x",
           "a character of four bytes that just does not");
}


/*
 * Another module of the process may have given cJSON an allocator of its own:
 * here one whose memory plain free() cannot take, and that fails at will.
 */

static int  allocations_left;


static void *
hook_malloc(size_t n)
{
    char  *p;

    if (allocations_left-- <= 0) {
        return NULL;
    }

    p = malloc(n + 16);

    return p ? p + 16 : NULL;
}


static void
hook_free(void *p)
{
    if (p != NULL) {
        free((char *) p - 16);
    }
}


static void
test_memory(void)
{
    int                      i, rc, parsed, asked;
    char                    *json;
    size_t                   len;
    cJSON_Hooks              hooks = { hook_malloc, hook_free };
    const char              *reason;
    ngx_ivschat_error_t      error;
    ngx_ivschat_token_t     answer;
    ngx_ivschat_request_t    req = { lit(ARN), lit("u"), 7, 180, NULL, 1 };
    ngx_ivschat_attribute_t  attribute = { lit("a"), lit("b") };

    req.attributes = &attribute;
    parsed = 0;
    asked = 0;

    cJSON_InitHooks(&hooks);

    for (i = 0; i < 100; i++) {
        allocations_left = i;
        rc = ngx_ivschat_request_json(&req, &json, &len);

        if (rc == 0) {
            asked += strlen(json) == len;
            free(json);
        }

        allocations_left = i;
        rc = ngx_ivschat_token_parse(good_answers[0].body,
                                      strlen(good_answers[0].body), &answer,
                                      &reason);
        if (rc == 0) {
            allocations_left = i;

            if (ngx_ivschat_token_json(&answer, &json, &len) == 0) {
                parsed += strcmp(json, good_answers[0].json) == 0;
                free(json);
            }

            ngx_ivschat_token_free(&answer);
        }

        allocations_left = i;
        ngx_ivschat_error_parse(str("A"), MSG("code"), strlen(MSG("code")),
                                &error);
    }

    cJSON_InitHooks(NULL);

    is_int(asked, 100, "requests need no memory of cJSON");
    ok(parsed > 0 && parsed < 100, "answers when memory ends: %d", parsed);
    is_str(error.message, "m", "errors when memory ends");
}


int
main(void)
{
    test_utf8();
    test_arns();
    test_hosts();
    test_capabilities();
    test_request();
    test_round_trip();
    test_request_refused();
    test_large_request();
    test_good_answers();
    test_bad_answers();
    test_cut_answers();
    test_deep_answers();
    test_times();
    test_errors();
    test_memory();

    return done_testing();
}
