
/*
 * The body that a client may send: the JSON of AWS's chat demos ("chat-auth"
 * of amazon-ivs-chat-web-demo, and the demos for iOS and Android), read
 * strictly.  A client can only lower what the policy grants.
 */


#ifndef _NGX_IVSCHAT_BODY_H_INCLUDED_
#define _NGX_IVSCHAT_BODY_H_INCLUDED_


#include "ngx_ivschat_api.h"


#define NGX_IVSCHAT_BODY_MAX           8192   /* bytes */
#define NGX_IVSCHAT_BODY_DEPTH         16     /* of objects and arrays */


/* What a client asks for; what it does not ask for limits nothing. */

typedef struct {
    ngx_ivschat_str_t         room;          /* an ARN, unchecked; data is
                                                NULL if there is none */
    unsigned                  capabilities;  /* NGX_IVSCHAT_* bits */
    unsigned                  duration;      /* minutes, at most
                                                NGX_IVSCHAT_DURATION_MAX; 0:
                                                not asked for */
    ngx_ivschat_attribute_t  *attributes;    /* allowed and not empty */
    size_t                    nattributes;
} ngx_ivschat_body_t;


/*
 * Reads a body.  An empty one is "{}".  Any other must be an object that
 * ngx_ivschat_json_object() accepts, at most NGX_IVSCHAT_BODY_DEPTH deep, in
 * which no object has two members of one name (however they are escaped),
 * with these members, all of them optional:
 *
 *     arn, roomIdentifier        a string; the same if both are there
 *     attributes                 an object of strings
 *     capabilities               an array of names of capabilities
 *     durationInMinutes,         a number, whole, 1 or more; the same if
 *     sessionDurationInMinutes   both are there
 *
 * Others are ignored, userId among them.  Names are case-sensitive.
 *
 * "allowed" are the names of the attributes that are taken; body->attributes
 * has room for nallowed of them.  The strings of *body are written to
 * "strings", which has s.len bytes, each with a NUL that is not counted; the
 * names of attributes are those of "allowed".
 *
 * Returns 0, or -1 and *reason, a constant text for the log; *body is then
 * undefined.
 */

int ngx_ivschat_body_parse(ngx_ivschat_str_t s,
    const ngx_ivschat_str_t *allowed, size_t nallowed, char *strings,
    ngx_ivschat_body_t *body, const char **reason);

/*
 * Returns the minutes for a client whose policy grants this many; 0 grants
 * AWS's default.  Returns 0 if neither sets a duration.
 */

unsigned ngx_ivschat_body_duration(const ngx_ivschat_body_t *body,
    unsigned granted);

/*
 * Appends the client's attributes to the n attributes of the policy, except
 * for names that the policy has.  Returns the new number.  attrs has room for
 * n + body->nattributes.
 */

size_t ngx_ivschat_body_attributes(const ngx_ivschat_body_t *body,
    ngx_ivschat_attribute_t *attrs, size_t n);


#endif /* _NGX_IVSCHAT_BODY_H_INCLUDED_ */
