
/*
 * The body that a client may send.
 */


#include "ngx_ivschat_body.h"

#include <float.h>
#include <stdlib.h>

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_BODY_ALL                                                  \
    (NGX_IVSCHAT_SEND_MESSAGE | NGX_IVSCHAT_DISCONNECT_USER                   \
     | NGX_IVSCHAT_DELETE_MESSAGE)


typedef struct {
    const ngx_ivschat_str_t   *allowed;
    size_t                     nallowed;
    char                      *strings;   /* where the next one goes */
    ngx_ivschat_body_t        *body;
} ngx_ivschat_body_reader_t;


/* These return the reason of a failure, or NULL. */

static const char *ngx_ivschat_body_unique(const cJSON *item);
static const char *ngx_ivschat_body_names(const cJSON *object);
static const char *ngx_ivschat_body_members(ngx_ivschat_body_reader_t *rd,
    const cJSON *object);
static const char *ngx_ivschat_body_room(ngx_ivschat_body_reader_t *rd,
    const cJSON *arn, const cJSON *identifier);
static const char *ngx_ivschat_body_capabilities(ngx_ivschat_body_t *body,
    const cJSON *array);
static const char *ngx_ivschat_body_minutes(ngx_ivschat_body_t *body,
    const cJSON *ours, const cJSON *theirs);
static const char *ngx_ivschat_body_attribute_list(
    ngx_ivschat_body_reader_t *rd, const cJSON *object);

static int ngx_ivschat_body_compare(const void *one, const void *two);
static int ngx_ivschat_body_whole(const cJSON *item);
static ngx_ivschat_str_t ngx_ivschat_body_keep(ngx_ivschat_body_reader_t *rd,
    const cJSON *string);


int
ngx_ivschat_body_parse(ngx_ivschat_str_t s, const ngx_ivschat_str_t *allowed,
    size_t nallowed, char *strings, ngx_ivschat_body_t *body,
    const char **reason)
{
    cJSON                     *object;
    ngx_ivschat_body_reader_t  rd;

    body->room.data = NULL;
    body->room.len = 0;
    body->capabilities = NGX_IVSCHAT_BODY_ALL;
    body->duration = 0;
    body->nattributes = 0;

    if (s.len == 0) {
        return 0;
    }

    object = ngx_ivschat_json_object(s, NGX_IVSCHAT_BODY_DEPTH, reason);
    if (object == NULL) {
        return -1;
    }

    rd.allowed = allowed;
    rd.nallowed = nallowed;
    rd.strings = strings;
    rd.body = body;

    *reason = ngx_ivschat_body_unique(object);

    if (*reason == NULL) {
        *reason = ngx_ivschat_body_members(&rd, object);
    }

    ngx_ivschat_json_delete(object);

    return *reason == NULL ? 0 : -1;
}


unsigned
ngx_ivschat_body_duration(const ngx_ivschat_body_t *body, unsigned granted)
{
    unsigned  most;

    if (body->duration == 0) {
        return granted;
    }

    most = granted ? granted : NGX_IVSCHAT_DURATION_DEFAULT;

    return body->duration < most ? body->duration : most;
}


size_t
ngx_ivschat_body_attributes(const ngx_ivschat_body_t *body,
    ngx_ivschat_attribute_t *attrs, size_t n)
{
    size_t  i, j, granted;

    granted = n;

    for (i = 0; i < body->nattributes; i++) {

        for (j = 0; j < granted; j++) {
            if (ngx_ivschat_str_equal(attrs[j].name,
                                      body->attributes[i].name))
            {
                break;
            }
        }

        if (j == granted) {
            attrs[n++] = body->attributes[i];
        }
    }

    return n;
}


/*
 * Of duplicate members some readers take the first and others the last: such a
 * body may be intended to be read in two ways.
 */

static const char *
ngx_ivschat_body_unique(const cJSON *item)
{
    const char   *reason;
    const cJSON  *child;

    if (cJSON_IsObject(item)) {
        reason = ngx_ivschat_body_names(item);

        if (reason != NULL) {
            return reason;
        }
    }

    cJSON_ArrayForEach(child, item) {
        reason = ngx_ivschat_body_unique(child);

        if (reason != NULL) {
            return reason;
        }
    }

    return NULL;
}


/* Sorts the names, since there may be a thousand. */

static const char *
ngx_ivschat_body_names(const cJSON *object)
{
    size_t        i, n;
    const char  **names, *reason;
    const cJSON  *item;

    n = (size_t) cJSON_GetArraySize(object);

    if (n < 2) {
        return NULL;
    }

    names = malloc(n * sizeof(const char *));
    if (names == NULL) {
        return "no memory";
    }

    i = 0;

    cJSON_ArrayForEach(item, object) {
        names[i++] = item->string;
    }

    qsort(names, n, sizeof(const char *), ngx_ivschat_body_compare);

    reason = NULL;

    for (i = 1; i < n; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            reason = "duplicate member";
            break;
        }
    }

    free(names);

    return reason;
}


static int
ngx_ivschat_body_compare(const void *one, const void *two)
{
    return strcmp(*(const char * const *) one, *(const char * const *) two);
}


static const char *
ngx_ivschat_body_members(ngx_ivschat_body_reader_t *rd, const cJSON *object)
{
    const char                 *reason;
    ngx_ivschat_json_member_t   m[] = {
        { "arn", NULL }, { "roomIdentifier", NULL },
        { "durationInMinutes", NULL }, { "sessionDurationInMinutes", NULL },
        { "capabilities", NULL },
        { "attributes", NULL }
    };

    (void) ngx_ivschat_json_members(object, m, sizeof(m) / sizeof(m[0]));

    reason = ngx_ivschat_body_room(rd, m[0].item, m[1].item);

    if (reason == NULL) {
        reason = ngx_ivschat_body_minutes(rd->body, m[2].item, m[3].item);
    }

    if (reason == NULL) {
        reason = ngx_ivschat_body_capabilities(rd->body, m[4].item);
    }

    if (reason == NULL) {
        reason = ngx_ivschat_body_attribute_list(rd, m[5].item);
    }

    return reason;
}


static const char *
ngx_ivschat_body_room(ngx_ivschat_body_reader_t *rd, const cJSON *arn,
    const cJSON *identifier)
{
    if ((arn != NULL && !cJSON_IsString(arn))
        || (identifier != NULL && !cJSON_IsString(identifier)))
    {
        return "the room is not a string";
    }

    if (arn != NULL && identifier != NULL
        && strcmp(arn->valuestring, identifier->valuestring) != 0)
    {
        return "\"arn\" and \"roomIdentifier\" differ";
    }

    if (arn == NULL) {
        arn = identifier;
    }

    if (arn != NULL) {
        rd->body->room = ngx_ivschat_body_keep(rd, arn);
    }

    return NULL;
}


static const char *
ngx_ivschat_body_capabilities(ngx_ivschat_body_t *body, const cJSON *array)
{
    unsigned      bit;
    const cJSON  *item;

    if (array == NULL) {
        return NULL;
    }

    if (!cJSON_IsArray(array)) {
        return "\"capabilities\" is not an array";
    }

    body->capabilities = 0;

    cJSON_ArrayForEach(item, array) {

        if (!cJSON_IsString(item)) {
            return "a capability is not a string";
        }

        bit = ngx_ivschat_capability(ngx_ivschat_json_text(item));

        if (bit == 0) {
            return "unknown capability";
        }

        body->capabilities |= bit;
    }

    return NULL;
}


static const char *
ngx_ivschat_body_minutes(ngx_ivschat_body_t *body, const cJSON *ours,
    const cJSON *theirs)
{
    if ((ours != NULL && !ngx_ivschat_body_whole(ours))
        || (theirs != NULL && !ngx_ivschat_body_whole(theirs)))
    {
        return "the duration is not a positive integer";
    }

    if (ours != NULL && theirs != NULL
        && ours->valuedouble != theirs->valuedouble)
    {
        return "\"durationInMinutes\" and \"sessionDurationInMinutes\" "
               "differ";
    }

    if (ours == NULL) {
        ours = theirs;
    }

    if (ours != NULL) {
        body->duration = ours->valuedouble < NGX_IVSCHAT_DURATION_MAX
                         ? (unsigned) ours->valuedouble
                         : NGX_IVSCHAT_DURATION_MAX;
    }

    return NULL;
}


/* All doubles beyond 2^53 are whole; 1e400 is infinite. */

static int
ngx_ivschat_body_whole(const cJSON *item)
{
    double  n;

    if (!cJSON_IsNumber(item)) {
        return 0;
    }

    n = item->valuedouble;

    return n >= 1 && n <= DBL_MAX
           && (n >= 9007199254740992.0 || n == (double) (uint64_t) n);
}


static const char *
ngx_ivschat_body_attribute_list(ngx_ivschat_body_reader_t *rd,
    const cJSON *object)
{
    size_t                    i;
    const cJSON              *item;
    ngx_ivschat_attribute_t  *attr;

    if (object == NULL) {
        return NULL;
    }

    if (!cJSON_IsObject(object)) {
        return "\"attributes\" is not an object";
    }

    cJSON_ArrayForEach(item, object) {

        if (!cJSON_IsString(item)) {
            return "an attribute is not a string";
        }

        if (item->valuestring[0] == '\0') {
            continue;
        }

        for (i = 0; i < rd->nallowed; i++) {

            if (ngx_ivschat_str_is(rd->allowed[i], item->string)) {
                attr = &rd->body->attributes[rd->body->nattributes++];

                attr->name = rd->allowed[i];
                attr->value = ngx_ivschat_body_keep(rd, item);
                break;
            }
        }
    }

    return NULL;
}


/* The quotes are gone, so that there is room for the NUL. */

static ngx_ivschat_str_t
ngx_ivschat_body_keep(ngx_ivschat_body_reader_t *rd, const cJSON *string)
{
    ngx_ivschat_str_t  s;

    s.data = rd->strings;
    s.len = ngx_ivschat_str_copy(rd->strings, ngx_ivschat_json_text(string));

    rd->strings += s.len + 1;

    return s;
}
