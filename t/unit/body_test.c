
/*
 * The body of a client: what is JSON, what is read out of it, and what is left
 * of it within a policy.
 */


#include "aws/ngx_ivschat_body.h"
#include "lib/ngx_ivschat_json.h"

#include <stdlib.h>

#include "tap.h"


#define size(a)  (sizeof(a) / sizeof((a)[0]))

#define S(literal)   ngx_ivschat_string(literal)

#define SEND         NGX_IVSCHAT_SEND_MESSAGE
#define DISCONNECT   NGX_IVSCHAT_DISCONNECT_USER
#define DELETE       NGX_IVSCHAT_DELETE_MESSAGE
#define ALL          (SEND | DISCONNECT | DELETE)

#define ARN          "arn:aws:ivschat:us-west-2:123456789012:room/AbCdEfGhIjKl"


typedef struct {
    ngx_ivschat_str_t    text;
    const char          *reason;       /* a part; NULL: it is JSON */
} json_case_t;

typedef struct {
    ngx_ivschat_str_t    text;
    const char          *room;         /* NULL: none */
    unsigned             capabilities;
    unsigned             duration;
    const char          *attributes;   /* name=value;name=value; */
} good_case_t;

typedef struct {
    ngx_ivschat_str_t    text;
    const char          *reason;
} bad_case_t;

typedef struct {
    unsigned   asked;
    unsigned   granted;
    unsigned   minutes;
} duration_case_t;


static const ngx_ivschat_str_t  allowed[] = {
    S("username"), S("avatar"), S("\xc3\xa9")
};


static const json_case_t  json[] = {
    { S("{}"), NULL },
    { S(" \t\r\n{ } \n"), NULL },
    { S("[]"), NULL },
    { S("null"), NULL },
    { S("true"), NULL },
    { S("false"), NULL },
    { S("\"\""), NULL },
    { S("0"), NULL },
    { S("-0"), NULL },
    { S("-0.0e-0"), NULL },
    { S("1e400"), NULL },
    { S("10.5E+3"), NULL },
    { S("[1,2 , 3]"), NULL },
    { S("{\"a\":{\"b\":[{}]},\"c\":[]}"), NULL },
    { S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\\uabcd\""), NULL },
    { S("\"\\ud83d\\ude00\""), NULL },
    { S("\"\\\\u0000\""), NULL },
    { S("\"\xc3\xa9\xf0\x9f\x98\x80\x7f\""), NULL },
    { S("[[[[[]]]]]"), NULL },
    { S("[[],[[]],[[[]]]]"), NULL },
    { S("123456789012345678901234567890123456789012345678901234567890123"),
      NULL },

    { S(""), "empty" },
    { S(" "), "not JSON" },
    { S("{"), "not JSON" },
    { S("}"), "not JSON" },
    { S("["), "not JSON" },
    { S("{]"), "not JSON" },
    { S("[}"), "not JSON" },
    { S("{,}"), "not JSON" },
    { S("[,]"), "not JSON" },
    { S("[1,]"), "not JSON" },
    { S("[1 2]"), "not JSON" },
    { S("{\"a\":1,}"), "not JSON" },
    { S("{\"a\"}"), "not JSON" },
    { S("{\"a\":}"), "not JSON" },
    { S("{\"a\" 1}"), "not JSON" },
    { S("{\"a\":1 \"b\":2}"), "not JSON" },
    { S("{a:1}"), "not JSON" },
    { S("{'a':1}"), "not JSON" },
    { S("{1:1}"), "not JSON" },
    { S("{null:1}"), "not JSON" },
    { S("{}{}"), "not JSON" },
    { S("{} x"), "not JSON" },
    { S("{},"), "not JSON" },
    { S("[]]"), "not JSON" },
    { S("nul"), "not JSON" },
    { S("nulll"), "not JSON" },
    { S("NULL"), "not JSON" },
    { S("True"), "not JSON" },
    { S("NaN"), "not JSON" },
    { S("Infinity"), "not JSON" },
    { S("-Infinity"), "not JSON" },
    { S("01"), "not JSON" },
    { S("-"), "not JSON" },
    { S("+1"), "not JSON" },
    { S("--1"), "not JSON" },
    { S("1."), "not JSON" },
    { S(".5"), "not JSON" },
    { S("1e"), "not JSON" },
    { S("1e+"), "not JSON" },
    { S("1.e1"), "not JSON" },
    { S("0x10"), "not JSON" },
    { S("1_000"), "not JSON" },
    { S("1234567890123456789012345678901234567890123456789012345678901234"),
      "too long" },
    { S("\""), "not JSON" },
    { S("\"abc"), "not JSON" },
    { S("\"\\\""), "not JSON" },
    { S("\"\\"), "not JSON" },
    { S("\"\\x41\""), "not JSON" },
    { S("\"\\a\""), "not JSON" },
    { S("\"\\'\""), "not JSON" },
    { S("\"\\u12\""), "not JSON" },
    { S("\"\\u123g\""), "not JSON" },
    { S("\"\\u 123\""), "not JSON" },
    { S("\"\\U0041\""), "not JSON" },
    { S("\"\\u0000\""), "U+0000" },
    { S("\"a\\\\\\u0000\""), "U+0000" },
    { S("{\"\\u0000\":1}"), "U+0000" },
    { S("\"\\ud83d\""), "not JSON" },
    { S("\"\\ud83dx\""), "not JSON" },
    { S("\"\\ud83d\\n\""), "not JSON" },
    { S("\"\\ud83d\\u0041\""), "not JSON" },
    { S("\"\\ud83d\\ud83d\""), "not JSON" },
    { S("\"\\ude00\""), "not JSON" },
    { S("\"\\ude00\\ud83d\""), "not JSON" },
    { S("\"a\nb\""), "control character" },
    { S("\"\x1f\""), "control character" },
    { S("{\"a\tb\":1}"), "control character" },
    { S("{}\0"), "not JSON" },
    { S("\0{}"), "not JSON" },
    { S("{\0}"), "not JSON" },
    { S("\"\0\""), "U+0000" },
    { S("\"\xff\""), "not UTF-8" },
    { S("\"\xc3\""), "not UTF-8" },
    { S("\"\xc0\xaf\""), "not UTF-8" },
    { S("\"\xed\xa0\x80\""), "not UTF-8" },
    { S("\"\xf4\x90\x80\x80\""), "not UTF-8" },
    { S("\xef\xbb\xbf{}"), "not JSON" },
    { S("{}\xef\xbb\xbf"), "not JSON" },
    { S("\x0b{}"), "not JSON" },
    { S("\x01{}"), "not JSON" },
    { S("{\x0c}"), "not JSON" },
    { S("\xc2\xa0{}"), "not JSON" },
    { S("// a\n{}"), "not JSON" },
    { S("{/**/}"), "not JSON" },
    { S("[[[[[[]]]]]]"), "too deeply" },
    { S("{\"a\":[{\"b\":[[{\"c\":1}]]}]}"), "too deeply" }
};


static const good_case_t  good[] = {

    /* nothing is asked for */

    { S(""), NULL, ALL, 0, "" },
    { S("{}"), NULL, ALL, 0, "" },
    { S(" { } "), NULL, ALL, 0, "" },
    { S("{\"attributes\":{}}"), NULL, ALL, 0, "" },

    /* what the demos post */

    { S("{\"arn\":\"" ARN "\",\"userId\":\"alice.1b2c\",\"attributes\":"
        "{\"username\":\"alice\",\"avatar\":\"https://example.com/a.png\"},"
        "\"capabilities\":[\"SEND_MESSAGE\"]}"),
      ARN, SEND, 0, "username=alice;avatar=https://example.com/a.png;" },
    { S("{\"arn\":\"" ARN "\",\"userId\":\"a\",\"attributes\":{},"
        "\"capabilities\":[\"SEND_MESSAGE\",\"DELETE_MESSAGE\","
        "\"DISCONNECT_USER\"]}"),
      ARN, ALL, 0, "" },
    { S("{\"roomIdentifier\":\"" ARN "\",\"userId\":\"a\",\"attributes\":"
        "{\"username\":\"A\",\"avatar\":\"b\"},\"capabilities\":[],"
        "\"durationInMinutes\":55}"),
      ARN, 0, 55, "username=A;avatar=b;" },

    /* the room */

    { S("{\"arn\":\"a\",\"roomIdentifier\":\"a\"}"), "a", ALL, 0, "" },
    { S("{\"arn\":\"\"}"), "", ALL, 0, "" },
    { S("{\"\\u0061rn\":\"\\u0062\"}"), "b", ALL, 0, "" },

    /* names in another case, and others, are nothing to us */

    { S("{\"ARN\":\"a\",\"Arn\":1,\"roomidentifier\":[],\"Capabilities\":7,"
        "\"attribute\":null,\"DurationInMinutes\":\"x\"}"),
      NULL, ALL, 0, "" },
    { S("{\"userId\":\"bob\"}"), NULL, ALL, 0, "" },
    { S("{\"userId\":7}"), NULL, ALL, 0, "" },
    { S("{\"userId\":{\"arn\":\"x\"}}"), NULL, ALL, 0, "" },
    { S("{\"x\":[{\"arn\":\"x\",\"capabilities\":[]},1e400,-0,null]}"),
      NULL, ALL, 0, "" },
    { S("{\"x\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"), NULL, ALL, 0, "" },
    { S("{\"a\":{\"arn\":1},\"b\":{\"arn\":2}}"), NULL, ALL, 0, "" },

    /* the capabilities */

    { S("{\"capabilities\":[]}"), NULL, 0, 0, "" },
    { S("{\"capabilities\":[\"DELETE_MESSAGE\"]}"), NULL, DELETE, 0, "" },
    { S("{\"capabilities\":[\"SEND_MESSAGE\",\"SEND_MESSAGE\"]}"),
      NULL, SEND, 0, "" },
    { S("{\"capabilities\":[\"\\u0053END_MESSAGE\"]}"), NULL, SEND, 0, "" },

    /* the duration */

    { S("{\"durationInMinutes\":1}"), NULL, ALL, 1, "" },
    { S("{\"sessionDurationInMinutes\":179}"), NULL, ALL, 179, "" },
    { S("{\"durationInMinutes\":180}"), NULL, ALL, 180, "" },
    { S("{\"durationInMinutes\":181}"), NULL, ALL, 180, "" },
    { S("{\"durationInMinutes\":4294967297}"), NULL, ALL, 180, "" },
    { S("{\"durationInMinutes\":18446744073709551617}"), NULL, ALL, 180, "" },
    { S("{\"durationInMinutes\":1e300}"), NULL, ALL, 180, "" },
    { S("{\"durationInMinutes\":55.0}"), NULL, ALL, 55, "" },
    { S("{\"durationInMinutes\":5.5e1}"), NULL, ALL, 55, "" },
    { S("{\"durationInMinutes\":30,\"sessionDurationInMinutes\":30.0}"),
      NULL, ALL, 30, "" },

    /* the attributes */

    { S("{\"attributes\":{\"role\":\"admin\",\"username\":\"a\"}}"),
      NULL, ALL, 0, "username=a;" },
    { S("{\"attributes\":{\"username\":\"\",\"avatar\":\"b\"}}"),
      NULL, ALL, 0, "avatar=b;" },
    { S("{\"attributes\":{\"\":\"x\",\"Username\":\"x\",\"usernam\":\"x\"}}"),
      NULL, ALL, 0, "" },
    { S("{\"attributes\":{\"user\\u006eame\":\"a\\n\\u00e9\"}}"),
      NULL, ALL, 0, "username=a\n\xc3\xa9;" },
    { S("{\"attributes\":{\"\\u00e9\":\"\\ud83d\\ude00\"}}"),
      NULL, ALL, 0, "\xc3\xa9=\xf0\x9f\x98\x80;" },
    { S("{\"attributes\":{\"\xc3\xa9\":\"\\\"\\\\\"}}"),
      NULL, ALL, 0, "\xc3\xa9=\"\\;" }
};


static const bad_case_t  bad[] = {
    { S(" "), "not JSON" },
    { S("x"), "not JSON" },
    { S("arn=" ARN), "not JSON" },
    { S("[]"), "not a JSON object" },
    { S("null"), "not a JSON object" },
    { S("\"\""), "not a JSON object" },
    { S("1"), "not a JSON object" },
    { S("[{}]"), "not a JSON object" },
    { S("{}{}"), "not JSON" },
    { S("{}\0"), "not JSON" },
    { S("{\"x\":\"\xff\"}"), "not UTF-8" },
    { S("{\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"), "too deeply" },

    { S("{\"arn\":1}"), "the room is not a string" },
    { S("{\"arn\":null}"), "the room is not a string" },
    { S("{\"arn\":[\"" ARN "\"]}"), "the room is not a string" },
    { S("{\"roomIdentifier\":{}}"), "the room is not a string" },
    { S("{\"roomIdentifier\":true}"), "the room is not a string" },
    { S("{\"arn\":\"a\",\"roomIdentifier\":1}"), "the room is not a string" },
    { S("{\"arn\":\"a\",\"roomIdentifier\":\"b\"}"), "differ" },
    { S("{\"arn\":\"a\",\"roomIdentifier\":\"\"}"), "differ" },
    { S("{\"arn\":\"a\",\"roomIdentifier\":\"A\"}"), "differ" },

    { S("{\"arn\":\"a\",\"arn\":\"a\"}"), "duplicate member" },
    { S("{\"arn\":\"a\",\"\\u0061rn\":\"b\"}"), "duplicate member" },
    { S("{\"x\":1,\"y\":2,\"x\":3}"), "duplicate member" },
    { S("{\"userId\":1,\"userId\":1}"), "duplicate member" },
    { S("{\"\":1,\"\":1}"), "duplicate member" },
    { S("{\"attributes\":{\"a\":\"1\",\"a\":\"2\"}}"),
      "duplicate member" },
    { S("{\"x\":[[{\"a\":1,\"b\":1,\"a\":1}]]}"), "duplicate member" },

    { S("{\"capabilities\":\"SEND_MESSAGE\"}"), "not an array" },
    { S("{\"capabilities\":{\"0\":\"SEND_MESSAGE\"}}"), "not an array" },
    { S("{\"capabilities\":null}"), "not an array" },
    { S("{\"capabilities\":[1]}"), "capability is not a string" },
    { S("{\"capabilities\":[null]}"), "capability is not a string" },
    { S("{\"capabilities\":[[\"SEND_MESSAGE\"]]}"),
      "capability is not a string" },
    { S("{\"capabilities\":[\"\"]}"), "unknown capability" },
    { S("{\"capabilities\":[\"ADMIN\"]}"), "unknown capability" },
    { S("{\"capabilities\":[\"send_message\"]}"), "unknown capability" },
    { S("{\"capabilities\":[\"SEND_MESSAGE \"]}"), "unknown capability" },
    { S("{\"capabilities\":[\"SEND_MESSAGE,DELETE_MESSAGE\"]}"),
      "unknown capability" },
    { S("{\"capabilities\":[\"SEND_MESSAGE\",\"VIEW_MESSAGE\"]}"),
      "unknown capability" },

    { S("{\"durationInMinutes\":0}"), "not a positive integer" },
    { S("{\"durationInMinutes\":-0}"), "not a positive integer" },
    { S("{\"durationInMinutes\":-1}"), "not a positive integer" },
    { S("{\"durationInMinutes\":-1e300}"), "not a positive integer" },
    { S("{\"durationInMinutes\":0.5}"), "not a positive integer" },
    { S("{\"durationInMinutes\":0.999999999999999999}"), NULL },
    { S("{\"durationInMinutes\":55.5}"), "not a positive integer" },
    { S("{\"durationInMinutes\":1e400}"), "not a positive integer" },
    { S("{\"durationInMinutes\":-1e400}"), "not a positive integer" },
    { S("{\"durationInMinutes\":1e-400}"), "not a positive integer" },
    { S("{\"durationInMinutes\":\"55\"}"), "not a positive integer" },
    { S("{\"durationInMinutes\":true}"), "not a positive integer" },
    { S("{\"durationInMinutes\":null}"), "not a positive integer" },
    { S("{\"durationInMinutes\":[55]}"), "not a positive integer" },
    { S("{\"sessionDurationInMinutes\":0}"), "not a positive integer" },
    { S("{\"durationInMinutes\":5,\"sessionDurationInMinutes\":\"5\"}"),
      "not a positive integer" },
    { S("{\"durationInMinutes\":55,\"sessionDurationInMinutes\":60}"),
      "differ" },
    { S("{\"durationInMinutes\":200,\"sessionDurationInMinutes\":300}"),
      "differ" },

    { S("{\"attributes\":[]}"), "\"attributes\" is not an object" },
    { S("{\"attributes\":null}"), "\"attributes\" is not an object" },
    { S("{\"attributes\":\"username\"}"), "\"attributes\" is not an object" },
    { S("{\"attributes\":{\"username\":1}}"), "an attribute is not a string" },
    { S("{\"attributes\":{\"other\":null}}"), "an attribute is not a string" },
    { S("{\"attributes\":{\"username\":[\"a\"]}}"),
      "an attribute is not a string" },
    { S("{\"attributes\":{\"username\":{\"a\":\"b\"}}}"),
      "an attribute is not a string" }
};


static const duration_case_t  durations[] = {
    { 0, 0, 0 },
    { 0, 90, 90 },
    { 1, 0, 1 },
    { 59, 0, 59 },
    { 60, 0, 60 },
    { 61, 0, 60 },
    { 180, 0, 60 },
    { 30, 90, 30 },
    { 90, 90, 90 },
    { 91, 90, 90 },
    { 180, 1, 1 },
    { 55, 180, 55 }
};


/* A copy without a byte to spare, so that a sanitizer sees a look too far. */

static int
parse(ngx_ivschat_str_t text, char *strings, ngx_ivschat_body_t *body,
    const char **reason)
{
    int                 rc;
    char               *copy;
    ngx_ivschat_str_t   s;

    copy = malloc(text.len ? text.len : 1);
    memcpy(copy, text.data, text.len);

    s.data = copy;
    s.len = text.len;

    rc = ngx_ivschat_body_parse(s, allowed, size(allowed), strings, body,
                                reason);
    free(copy);

    return rc;
}


static void
test_json(void)
{
    cJSON       *tree;
    size_t       i;
    const char  *reason;

    for (i = 0; i < size(json); i++) {
        tree = ngx_ivschat_json_object(json[i].text, 5, &reason);

        if (tree != NULL
            || strcmp(reason, "not a JSON object") == 0)
        {
            reason = NULL;
        }

        ngx_ivschat_json_delete(tree);

        ok(json[i].reason == NULL
           ? reason == NULL
           : reason != NULL && strstr(reason, json[i].reason) != NULL,
           "%s: %s", json[i].text.data, reason ? reason : "JSON");
    }
}


static void
test_good(void)
{
    char                     *strings, text[256], *p;
    size_t                    i, j;
    const char               *reason;
    ngx_ivschat_body_t        body;
    const good_case_t        *t;
    ngx_ivschat_attribute_t   attrs[size(allowed)];

    for (i = 0; i < size(good); i++) {
        t = &good[i];

        strings = malloc(t->text.len ? t->text.len : 1);
        body.attributes = attrs;
        reason = "";

        if (!ok(parse(t->text, strings, &body, &reason) == 0, "%s: read %s",
                t->text.data, reason))
        {
            free(strings);
            continue;
        }

        if (t->room == NULL) {
            ok(body.room.data == NULL, "no room");

        } else {
            is_str(body.room.data, t->room, "its room");
            is_int(body.room.len, strlen(t->room), "and the length of it");
        }

        is_int(body.capabilities, t->capabilities, "its capabilities");
        is_int(body.duration, t->duration, "its duration");

        p = text;

        for (j = 0; j < body.nattributes; j++) {
            p += sprintf(p, "%.*s=%s;", (int) attrs[j].name.len,
                         attrs[j].name.data, attrs[j].value.data);
        }

        *p = '\0';
        is_str(text, t->attributes, "its attributes");

        free(strings);
    }
}


static void
test_bad(void)
{
    char                      strings[256];
    size_t                    i;
    const char               *reason;
    ngx_ivschat_body_t        body;
    ngx_ivschat_attribute_t   attrs[size(allowed)];

    for (i = 0; i < size(bad); i++) {
        body.attributes = attrs;
        reason = NULL;

        /* what a double cannot tell from 1 is 1 */

        if (bad[i].reason == NULL) {
            is_int(parse(bad[i].text, strings, &body, &reason), 0, "%s",
                   bad[i].text.data);
            continue;
        }

        if (!ok(parse(bad[i].text, strings, &body, &reason) == -1,
                "%s: refused", bad[i].text.data))
        {
            continue;
        }

        ok(strstr(reason, bad[i].reason) != NULL, "as %s: %s", bad[i].reason,
           reason);
    }
}


/* The largest body, with as many members as fit. */

static void
test_large(void)
{
    char                      text[NGX_IVSCHAT_BODY_MAX + 16], *p;
    char                      strings[NGX_IVSCHAT_BODY_MAX];
    int                       n;
    const char               *reason;
    ngx_ivschat_str_t         s;
    ngx_ivschat_body_t        body;
    ngx_ivschat_attribute_t   attrs[size(allowed)];

    p = text + sprintf(text, "{\"durationInMinutes\":7");

    for (n = 0; p - text < NGX_IVSCHAT_BODY_MAX - 12; n++) {
        p += sprintf(p, ",\"%x\":0", n);
    }

    *p++ = '}';

    s.data = text;
    s.len = (size_t) (p - text);
    body.attributes = attrs;

    ok(parse(s, strings, &body, &reason) == 0, "%d members", n);
    is_int(body.duration, 7, "and the one that counts");

    p += sprintf(p - 1, ",\"1\":0}") - 1;
    s.len = (size_t) (p - text);

    ok(parse(s, strings, &body, &reason) == -1
       && strstr(reason, "duplicate member") != NULL,
       "and one that is there already");
}


static void
test_duration(void)
{
    size_t              i;
    ngx_ivschat_body_t  body;

    for (i = 0; i < size(durations); i++) {
        body.duration = durations[i].asked;

        is_int(ngx_ivschat_body_duration(&body, durations[i].granted),
               durations[i].minutes, "asked for %u, granted %u",
               durations[i].asked, durations[i].granted);
    }
}


static void
test_attributes(void)
{
    ngx_ivschat_body_t        body;
    ngx_ivschat_attribute_t   client[] = {
        { S("username"), S("mallory") },
        { S("avatar"), S("a.png") }
    };
    ngx_ivschat_attribute_t   attrs[4] = {
        { S("badge"), S("staff") },
        { S("username"), S("alice") }
    };

    body.attributes = client;
    body.nattributes = 2;

    is_int(ngx_ivschat_body_attributes(&body, attrs, 2), 3,
           "one of two is added");
    is_str(attrs[1].value.data, "alice", "the other is the policy's");
    is_str(attrs[2].value.data, "a.png", "and this is the client's");

    is_int(ngx_ivschat_body_attributes(&body, attrs, 0), 2,
           "both, where the policy has none");
    is_str(attrs[0].value.data, "mallory", "in their order");

    body.nattributes = 0;
    is_int(ngx_ivschat_body_attributes(&body, attrs, 1), 1,
           "none, where the client has none");
}


int
main(void)
{
    test_json();
    test_good();
    test_bad();
    test_large();
    test_duration();
    test_attributes();

    return done_testing();
}
