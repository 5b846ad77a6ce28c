
/*
 * AWS credentials: checks, the answers that carry them, refresh times.
 */


#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_api.h"
#include "ngx_ivschat_errors.h"

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_ANSWER_LEVELS       8
#define NGX_IVSCHAT_YEAR_10000          INT64_C(253402300800)

#define NGX_IVSCHAT_ADVISORY_SHORT      (5 * 60)
#define NGX_IVSCHAT_ADVISORY_MEDIUM     (15 * 60)
#define NGX_IVSCHAT_ADVISORY_LONG       (60 * 60)
#define NGX_IVSCHAT_MANDATORY           60

#define NGX_IVSCHAT_BACKOFF_MIN         300000     /* milliseconds */
#define NGX_IVSCHAT_BACKOFF_MAX         600000
#define NGX_IVSCHAT_RETRY_MIN           1000
#define NGX_IVSCHAT_RETRY_MAX           5000
#define NGX_IVSCHAT_RETRY_DOUBLINGS     4


/* The members of an answer; the first three are the fields of a set. */

typedef enum {
    NGX_IVSCHAT_MEMBER_EXPIRATION = NGX_IVSCHAT_SESSION_TOKEN + 1,
    NGX_IVSCHAT_MEMBER_CODE,
    NGX_IVSCHAT_NMEMBERS
} ngx_ivschat_member_e;


typedef struct {
    const char   *path[3];             /* the objects around the members */
    const char   *token;
    unsigned      token_optional:1;
    unsigned      sts:1;               /* the expiration may be a number */
} ngx_ivschat_flavour_t;


typedef struct {
    const ngx_ivschat_flavour_t   *flavour;
    ngx_ivschat_json_member_t      m[NGX_IVSCHAT_NMEMBERS];
    ngx_ivschat_credentials_t     *creds;
    char                          *reason;
    size_t                         size;
} ngx_ivschat_reader_t;


static int ngx_ivschat_read_answer(ngx_ivschat_reader_t *rd,
    const cJSON *object, ngx_ivschat_str_t answer);
static int ngx_ivschat_find_members(ngx_ivschat_reader_t *rd,
    const cJSON *object);
static int ngx_ivschat_read_keys(ngx_ivschat_reader_t *rd);
static int ngx_ivschat_read_expiration(ngx_ivschat_reader_t *rd, int64_t now);
static int ngx_ivschat_read_text(ngx_ivschat_reader_t *rd, size_t member,
    int required, ngx_ivschat_str_t *text);
static uint32_t ngx_ivschat_between(uint32_t min, uint32_t max,
    uint32_t random);


static const ngx_ivschat_flavour_t  ngx_ivschat_flavours[] = {
    [NGX_IVSCHAT_CONTAINER] = { { NULL }, "Token", 1, 0 },
    [NGX_IVSCHAT_IMDS] = { { NULL }, "Token", 0, 0 },
    [NGX_IVSCHAT_ASSUME_ROLE] = {
        { "AssumeRoleResponse", "AssumeRoleResult", "Credentials" },
        "SessionToken", 0, 1
    },
    [NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY] = {
        { "AssumeRoleWithWebIdentityResponse",
          "AssumeRoleWithWebIdentityResult", "Credentials" },
        "SessionToken", 0, 1
    }
};

_Static_assert(sizeof(ngx_ivschat_flavours)
               == NGX_IVSCHAT_NFLAVOURS * sizeof(ngx_ivschat_flavour_t),
               "a flavour without its row");


const char *
ngx_ivschat_credentials_set(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t access_key, ngx_ivschat_str_t secret_key,
    ngx_ivschat_str_t session_token, ngx_ivschat_credentials_field_e *field)
{
    size_t             i;
    ngx_ivschat_str_t  values[] = { access_key, secret_key, session_token };

    static const struct {
        size_t         max;
        const char    *set;
        const char    *reason;
    } fields[] = {
        [NGX_IVSCHAT_ACCESS_KEY] = {
            NGX_IVSCHAT_ACCESS_KEY_MAX,
            NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS "_",
            "an access key id has only letters, digits and \"_\""
        },
        [NGX_IVSCHAT_SECRET_KEY] = {
            NGX_IVSCHAT_SECRET_KEY_MAX, NGX_IVSCHAT_VISIBLE,
            "it may have only visible ASCII characters"
        },
        [NGX_IVSCHAT_SESSION_TOKEN] = {
            NGX_IVSCHAT_SESSION_TOKEN_MAX, NGX_IVSCHAT_VISIBLE,
            "it may have only visible ASCII characters"
        }
    };

    ngx_ivschat_credentials_wipe(creds);

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        *field = (ngx_ivschat_credentials_field_e) i;

        if (values[i].len == 0 && i != NGX_IVSCHAT_SESSION_TOKEN) {
            return "it is missing";
        }

        if (values[i].len > fields[i].max) {
            return "it is too long";
        }

        if (!ngx_ivschat_str_only(values[i], fields[i].set)) {
            return fields[i].reason;
        }
    }

    creds->access_key_len = ngx_ivschat_str_copy(creds->access_key,
                                                 access_key);
    creds->secret_key_len = ngx_ivschat_str_copy(creds->secret_key,
                                                 secret_key);
    creds->session_token_len = ngx_ivschat_str_copy(creds->session_token,
                                                    session_token);

    return NULL;
}


int
ngx_ivschat_credentials_parse(ngx_ivschat_credentials_flavour_e flavour,
    const char *body, size_t len, int64_t now,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    int                    rc;
    cJSON                 *object;
    const char            *why;
    ngx_ivschat_str_t      answer = { body, len };
    ngx_ivschat_reader_t   rd = {
        &ngx_ivschat_flavours[flavour],
        {
            [NGX_IVSCHAT_ACCESS_KEY] = { "AccessKeyId", NULL },
            [NGX_IVSCHAT_SECRET_KEY] = { "SecretAccessKey", NULL },
            [NGX_IVSCHAT_SESSION_TOKEN] = { ngx_ivschat_flavours[flavour].token,
                                            NULL },
            [NGX_IVSCHAT_MEMBER_EXPIRATION] = { "Expiration", NULL },
            [NGX_IVSCHAT_MEMBER_CODE] = { "Code", NULL }
        },
        creds, reason, size
    };

    ngx_ivschat_credentials_wipe(creds);

    object = ngx_ivschat_json_object(answer, NGX_IVSCHAT_ANSWER_LEVELS, &why);

    if (object == NULL) {
        return ngx_ivschat_fail(reason, size, "invalid answer: %s",
                                len != 0 && body[0] == '<' ? NGX_IVSCHAT_XML
                                                           : why);
    }

    rc = ngx_ivschat_read_answer(&rd, object, answer);

    if (rc == 0) {
        rc = ngx_ivschat_read_expiration(&rd, now);
    }

    ngx_ivschat_json_delete(object);

    if (rc != 0) {
        ngx_ivschat_credentials_wipe(creds);
    }

    return rc;
}


void
ngx_ivschat_credentials_wipe(ngx_ivschat_credentials_t *creds)
{
    explicit_bzero(creds, sizeof(ngx_ivschat_credentials_t));
}


void
ngx_ivschat_refresh_times(int64_t issued, int64_t expiration,
    ngx_ivschat_refresh_t *times)
{
    int64_t  lifetime, window;

    if (expiration == 0) {
        times->advisory = NGX_IVSCHAT_NEVER;
        times->mandatory = NGX_IVSCHAT_NEVER;
        return;
    }

    lifetime = expiration > issued ? expiration - issued : 0;

    if (lifetime < 2 * NGX_IVSCHAT_ADVISORY_SHORT) {
        window = lifetime / 2;

    } else {
        window = lifetime <= 20 * 60 ? NGX_IVSCHAT_ADVISORY_SHORT
                 : lifetime < 90 * 60 ? NGX_IVSCHAT_ADVISORY_MEDIUM
                                      : NGX_IVSCHAT_ADVISORY_LONG;
    }

    times->advisory = issued + lifetime - window;

    window = lifetime < 4 * NGX_IVSCHAT_MANDATORY ? lifetime / 4
                                                  : NGX_IVSCHAT_MANDATORY;

    times->mandatory = issued + lifetime - window;
}


uint32_t
ngx_ivschat_refresh_delay(const ngx_ivschat_refresh_t *times, int64_t now,
    unsigned failures, uint32_t random)
{
    int64_t   left;
    uint32_t  delay;

    if (times != NULL && times->mandatory > now) {
        delay = ngx_ivschat_between(NGX_IVSCHAT_BACKOFF_MIN,
                                    NGX_IVSCHAT_BACKOFF_MAX, random);
        left = times->mandatory - now;

        if (left < delay / 1000 + 1) {
            delay = (uint32_t) left * 1000;
        }

        return delay;
    }

    if (failures > NGX_IVSCHAT_RETRY_DOUBLINGS + 1) {
        failures = NGX_IVSCHAT_RETRY_DOUBLINGS + 1;
    }

    delay = ngx_ivschat_between(NGX_IVSCHAT_RETRY_MIN, NGX_IVSCHAT_RETRY_MAX,
                                random);

    return failures > 1 ? delay << (failures - 1) : delay;
}


static int
ngx_ivschat_read_answer(ngx_ivschat_reader_t *rd, const cJSON *object,
    ngx_ivschat_str_t answer)
{
    ngx_ivschat_str_t    none = { NULL, 0 };
    ngx_ivschat_error_t  error;

    if (ngx_ivschat_find_members(rd, object) != 0) {
        return -1;
    }

    if (rd->m[NGX_IVSCHAT_ACCESS_KEY].item != NULL
        || rd->m[NGX_IVSCHAT_SECRET_KEY].item != NULL
        || rd->m[NGX_IVSCHAT_SESSION_TOKEN].item != NULL)
    {
        return ngx_ivschat_read_keys(rd);
    }

    /* a 200 may be an error; beside keys, its text might repeat them */

    ngx_ivschat_error_parse(none, answer.data, answer.len, &error);

    if (error.code[0] == '\0' || strcmp(error.code, "Success") == 0) {
        return ngx_ivschat_read_keys(rd);
    }

    return ngx_ivschat_fail(rd->reason, rd->size, "the answer is an error, "
                            "\"%s\"%s%s", error.code,
                            error.message[0] ? ": " : "", error.message);
}


static int
ngx_ivschat_find_members(ngx_ivschat_reader_t *rd, const cJSON *object)
{
    size_t                     i;
    const char                *duplicate;
    ngx_ivschat_json_member_t  level;

    duplicate = NULL;

    for (i = 0; i < 3 && rd->flavour->path[i] != NULL; i++) {
        level.name = rd->flavour->path[i];

        duplicate = duplicate ? duplicate
                              : ngx_ivschat_json_members(object, &level, 1);

        object = cJSON_IsObject(level.item) ? level.item : NULL;
    }

    if (duplicate == NULL) {
        duplicate = ngx_ivschat_json_members(object, rd->m,
                                             NGX_IVSCHAT_NMEMBERS);
    }

    return duplicate == NULL ? 0
           : ngx_ivschat_fail(rd->reason, rd->size, "duplicate \"%s\" in the "
                              "answer", duplicate);
}


static int
ngx_ivschat_read_keys(ngx_ivschat_reader_t *rd)
{
    const char                       *why;
    ngx_ivschat_str_t                 code, access_key, secret_key, token;
    ngx_ivschat_credentials_field_e   field;

    if (ngx_ivschat_read_text(rd, NGX_IVSCHAT_MEMBER_CODE, 0, &code) != 0) {
        return -1;
    }

    if (code.len != 0 && !ngx_ivschat_str_is(code, "Success")) {
        return ngx_ivschat_fail(rd->reason, rd->size, "the answer has keys, "
                                "but its \"Code\" is not \"Success\"");
    }

    if (ngx_ivschat_read_text(rd, NGX_IVSCHAT_ACCESS_KEY, 1, &access_key) != 0
        || ngx_ivschat_read_text(rd, NGX_IVSCHAT_SECRET_KEY, 1, &secret_key)
           != 0
        || ngx_ivschat_read_text(rd, NGX_IVSCHAT_SESSION_TOKEN,
                                 !rd->flavour->token_optional, &token)
           != 0)
    {
        return -1;
    }

    why = ngx_ivschat_credentials_set(rd->creds, access_key, secret_key, token,
                                      &field);

    return why == NULL ? 0
           : ngx_ivschat_fail(rd->reason, rd->size, "invalid \"%s\" in the "
                              "answer: %s", rd->m[field].name, why);
}


static int
ngx_ivschat_read_expiration(ngx_ivschat_reader_t *rd, int64_t now)
{
    char                time[NGX_IVSCHAT_TIME_LEN + 1];
    double              seconds;
    int64_t             ms;
    const cJSON        *item;
    ngx_ivschat_str_t   text;

    item = rd->m[NGX_IVSCHAT_MEMBER_EXPIRATION].item;

    if (rd->flavour->sts && cJSON_IsNumber(item)) {
        seconds = item->valuedouble;

    } else if (ngx_ivschat_read_text(rd, NGX_IVSCHAT_MEMBER_EXPIRATION, 1,
                                     &text)
               != 0)
    {
        return -1;

    } else {
        seconds = ngx_ivschat_time_parse(text.data, &ms) == 0
                  ? (double) ms / 1000 : 0;
    }

    /* 0 would be "never" */

    if (!(seconds >= 1 && seconds < NGX_IVSCHAT_YEAR_10000)) {
        return ngx_ivschat_fail(rd->reason, rd->size, "invalid "
                                "\"Expiration\" in the answer");
    }

    rd->creds->expiration = (int64_t) seconds;

    if (!rd->flavour->sts || rd->creds->expiration > now) {
        return 0;
    }

    (void) ngx_ivschat_time_format(rd->creds->expiration * 1000, time);

    return ngx_ivschat_fail(rd->reason, rd->size, "the credentials expired at "
                            "%s; if that is in the future, the clock of this "
                            "host is wrong", time);
}


/* null is the same as an absent member. */

static int
ngx_ivschat_read_text(ngx_ivschat_reader_t *rd, size_t member, int required,
    ngx_ivschat_str_t *text)
{
    const char   *name;
    const cJSON  *item;

    item = rd->m[member].item;
    name = rd->m[member].name;

    *text = ngx_ivschat_json_text(item);

    if (item == NULL || cJSON_IsNull(item)) {
        return !required ? 0
               : ngx_ivschat_fail(rd->reason, rd->size,
                                  "the answer has no \"%s\"", name);
    }

    if (text->data == NULL || (required && text->len == 0)) {
        return ngx_ivschat_fail(rd->reason, rd->size,
                                "\"%s\" in the answer is %s", name,
                                text->data ? "empty" : "not a string");
    }

    return 0;
}


static uint32_t
ngx_ivschat_between(uint32_t min, uint32_t max, uint32_t random)
{
    return min + random % (max - min + 1);
}
