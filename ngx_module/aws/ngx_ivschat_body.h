
/*
 * The body of a client's request: the JSON of AWS's chat demos ("chat-auth" of
 * amazon-ivs-chat-web-demo, and the demos for iOS and Android), read strictly.
 * A client can only reduce what the policy grants.
 */


#ifndef _NGX_IVSCHAT_BODY_H_INCLUDED_
#define _NGX_IVSCHAT_BODY_H_INCLUDED_


#include "ngx_ivschat_api.h"


#define NGX_IVSCHAT_BODY_MAX           8192   /* bytes */
#define NGX_IVSCHAT_BODY_DEPTH         16     /* of objects and arrays */


/* What a client requests; an absent member does not limit anything. */

typedef struct {
    ngx_ivschat_str_t         room;          /* an unchecked ARN; data NULL:
                                                none */
    unsigned                  capabilities;  /* NGX_IVSCHAT_* bits */
    unsigned                  duration;      /* minutes, at most
                                                NGX_IVSCHAT_DURATION_MAX; 0:
                                                none */
    ngx_ivschat_attribute_t  *attributes;    /* allowed and not empty */
    size_t                    nattributes;
} ngx_ivschat_body_t;


/*
 * Reads a body.  An empty one is "{}".  Any other must be an object accepted by
 * ngx_ivschat_json_object(), at most NGX_IVSCHAT_BODY_DEPTH deep, without
 * duplicate members in any object (however they are escaped), with these
 * members, all optional:
 *
 *     arn, roomIdentifier        a string; equal if both are present
 *     attributes                 an object of strings
 *     capabilities               an array of names of capabilities
 *     durationInMinutes,         a positive integer; equal if both are present
 *     sessionDurationInMinutes
 *
 * Other members are ignored, such as userId.  Names are case-sensitive.
 *
 * "allowed" are the names of the attributes to read; body->attributes has room
 * for nallowed of them.  The strings of *body are written to "strings", which
 * has s.len bytes, each with a NUL that is not counted; the names of
 * attributes are those of "allowed".
 *
 * Returns 0, or -1 and *reason, a constant text for the log; *body is then
 * undefined.
 */

int ngx_ivschat_body_parse(ngx_ivschat_str_t s,
    const ngx_ivschat_str_t *allowed, size_t nallowed, char *strings,
    ngx_ivschat_body_t *body, const char **reason);

/*
 * Returns the minutes for a client whose policy grants "granted", where 0 is
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
