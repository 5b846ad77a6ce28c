
/*
 * The body of a client: whatever it is, the policy is not exceeded.
 */


#include "aws/ngx_ivschat_body.h"

#include "fuzz.h"


#define ALL   (NGX_IVSCHAT_SEND_MESSAGE | NGX_IVSCHAT_DISCONNECT_USER         \
               | NGX_IVSCHAT_DELETE_MESSAGE)


typedef struct {
    int                        rc;
    char                      *text;     /* no byte to spare */
    char                      *strings;  /* neither */
    ngx_ivschat_str_t          s;
    ngx_ivschat_body_t         body;
    ngx_ivschat_attribute_t    attrs[3];
} reading_t;


static const ngx_ivschat_str_t  allowed[] = {
    S("username"), S("avatar"), S("a")
};

static const unsigned  granted_minutes[] = { 0, 1, 30, 60, 180 };


static void
reading_begin(reading_t *rd, const char *data, size_t len, const char *more)
{
    const char  *reason;

    rd->s.len = len + strlen(more);
    rd->text = malloc(rd->s.len ? rd->s.len : 1);
    rd->strings = malloc(rd->s.len ? rd->s.len : 1);
    must(rd->text != NULL && rd->strings != NULL);

    if (len) {
        memcpy(rd->text, data, len);
    }

    memcpy(rd->text + len, more, strlen(more));

    rd->s.data = rd->text;
    rd->body.attributes = rd->attrs;
    reason = NULL;

    rd->rc = ngx_ivschat_body_parse(rd->s, allowed, size(allowed),
                                    rd->strings, &rd->body, &reason);

    must(rd->rc == 0 || (rd->rc == -1 && reason != NULL));
}


static void
reading_end(reading_t *rd)
{
    free(rd->text);
    free(rd->strings);
}


/* A string of the result: in its place, whole, and fit for AWS. */

static void
check_string(const reading_t *rd, ngx_ivschat_str_t s)
{
    must(s.data >= rd->strings);
    must(s.data + s.len < rd->strings + rd->s.len);
    must(s.data[s.len] == '\0');
    must(strlen(s.data) == s.len);
    must(ngx_ivschat_utf8_length(s) >= 0);
}


static void
check_body(const reading_t *rd)
{
    size_t                     i, j;
    const ngx_ivschat_body_t  *body;

    body = &rd->body;

    must((body->capabilities & ~(unsigned) ALL) == 0);
    must(body->duration <= NGX_IVSCHAT_DURATION_MAX);
    must(body->nattributes <= size(allowed));
    must(body->room.data != NULL || body->room.len == 0);

    if (body->room.data != NULL) {
        check_string(rd, body->room);
    }

    for (i = 0; i < body->nattributes; i++) {

        check_string(rd, body->attributes[i].value);
        must(body->attributes[i].value.len > 0);

        for (j = 0; j < size(allowed); j++) {
            if (fuzz_same(allowed[j], body->attributes[i].name)) {
                break;
            }
        }

        must(j < size(allowed));

        for (j = 0; j < i; j++) {
            must(!fuzz_same(body->attributes[j].name,
                            body->attributes[i].name));
        }
    }
}


/* What AWS would be sent, read back: no more than the policy. */

static void
check_sent(const ngx_ivschat_request_t *req, unsigned granted,
    unsigned minutes)
{
    int            n;
    char          *json;
    cJSON         *object, *item, *child;
    size_t         len;

    must(ngx_ivschat_request_json(req, &json, &len) == 0);

    object = cJSON_ParseWithLength(json, len + 1);
    must(object != NULL);
    free(json);

    item = cJSON_GetObjectItemCaseSensitive(object, "userId");
    must(strcmp(item->valuestring, "alice") == 0);

    item = cJSON_GetObjectItemCaseSensitive(object, "roomIdentifier");
    must(strcmp(item->valuestring, "the policy's") == 0);

    item = cJSON_GetObjectItemCaseSensitive(object, "capabilities");
    cJSON_ArrayForEach(child, item) {
        ngx_ivschat_str_t  name = { child->valuestring,
                                    strlen(child->valuestring) };

        must((ngx_ivschat_capability(name) & granted) != 0);
    }

    item = cJSON_GetObjectItemCaseSensitive(object,
                                            "sessionDurationInMinutes");
    must(item == NULL || item->valuedouble >= 1);
    must(item == NULL || item->valuedouble <= (minutes ? minutes : 60));
    must(minutes == 0 || item != NULL);

    item = cJSON_GetObjectItemCaseSensitive(object, "attributes");
    n = 0;

    cJSON_ArrayForEach(child, item) {
        if (strcmp(child->string, "avatar") == 0) {
            must(strcmp(child->valuestring, "ours") == 0);
            n++;
        }
    }

    must(n == 1);

    cJSON_Delete(object);
}


static void
check_policy(const reading_t *rd)
{
    size_t                    i;
    unsigned                  granted;
    ngx_ivschat_request_t     req;
    ngx_ivschat_attribute_t   attrs[4];
    ngx_ivschat_attribute_t   ours = { S("avatar"), S("ours") };
    ngx_ivschat_str_t         user = S("alice"), room = S("the policy's");

    for (granted = 0; granted <= ALL; granted++) {
        for (i = 0; i < size(granted_minutes); i++) {

            attrs[0] = ours;

            req.room = room;
            req.user = user;
            req.capabilities = granted & rd->body.capabilities;
            req.duration = ngx_ivschat_body_duration(&rd->body,
                                                     granted_minutes[i]);
            req.attributes = attrs;
            req.nattributes = ngx_ivschat_body_attributes(&rd->body, attrs, 1);

            check_sent(&req, granted, granted_minutes[i]);
        }
    }
}


/* A body that is read stays one with a blank behind it, and with no other. */

static void
check_end(const char *data, size_t len, const reading_t *rd)
{
    size_t       i;
    reading_t    other;

    static const char  *ends[] = { "x", "}", "{}", ",", "\"", "]", "0" };

    reading_begin(&other, data, len, len ? " \n" : "{}");

    must(other.rc == 0);
    must(other.body.capabilities == rd->body.capabilities);
    must(other.body.duration == rd->body.duration);
    must(other.body.nattributes == rd->body.nattributes);
    must(fuzz_same(other.body.room, rd->body.room) || rd->body.room.len == 0);

    reading_end(&other);

    for (i = 0; len && i < size(ends); i++) {
        reading_begin(&other, data, len, ends[i]);
        must(other.rc == -1);
        reading_end(&other);
    }

    while (len && memchr(" \t\r\n", data[len - 1], 4) != NULL) {
        len--;
    }

    if (len) {
        reading_begin(&other, data, len - 1, "");
        must(other.rc == -1);
        reading_end(&other);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    reading_t  rd;

    if (len > NGX_IVSCHAT_BODY_MAX) {
        return 0;                      /* 413 */
    }

    reading_begin(&rd, (const char *) data, len, "");

    if (rd.rc == 0) {
        fuzz_accepted++;

        check_body(&rd);
        check_policy(&rd);
        check_end((const char *) data, len, &rd);
    }

    reading_end(&rd);

    return 0;
}
