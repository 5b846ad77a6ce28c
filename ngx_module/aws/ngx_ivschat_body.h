
/*
 * The body that a client may send: the JSON of the chat demos of AWS, read
 * strictly, and what is left of its wishes within what the policy grants.
 *
 * The members: "chat-auth" of amazon-ivs-chat-web-demo, and the requests of
 * the demos for iOS and Android.
 *
 * Nothing here knows nginx.  The functions return 0 on success and -1 on
 * failure unless they say otherwise.
 */


#ifndef _NGX_IVSCHAT_BODY_H_INCLUDED_
#define _NGX_IVSCHAT_BODY_H_INCLUDED_


#include "ngx_ivschat_api.h"


#define NGX_IVSCHAT_BODY_MAX           8192   /* bytes */
#define NGX_IVSCHAT_BODY_DEPTH         16     /* of objects and arrays */


/* What a client asks for; a wish that is not there limits nothing. */

typedef struct {
    ngx_ivschat_str_t         room;          /* an ARN, unchecked; data is
                                                NULL if there is none */
    unsigned                  capabilities;  /* NGX_IVSCHAT_* bits */
    unsigned                  duration;      /* minutes, AWS's maximum at the
                                                most; 0: not asked for */
    ngx_ivschat_attribute_t  *attributes;    /* only those that are allowed,
                                                and not empty */
    size_t                    nattributes;
} ngx_ivschat_body_t;


/*
 * Reads a body.  No bytes at all are "{}".  Otherwise it must be one object of
 * JSON as ngx_ivschat_json_object() takes it, NGX_IVSCHAT_BODY_DEPTH deep at
 * most, in which no object has two members of one name (however they are
 * escaped), with these members, all of them optional:
 *
 *     arn, roomIdentifier        a string; the same if both are there
 *     attributes                 an object of strings
 *     capabilities               an array of names of capabilities
 *     durationInMinutes,         a number, whole, 1 or more; the same if
 *     sessionDurationInMinutes   both are there
 *
 * Others are ignored, userId among them.  Names count in their exact case.
 *
 * allowed are the names of the attributes that are taken; body->attributes
 * must have room for nallowed of them.  The strings of *body are written to
 * strings, which has room for len bytes, each with a NUL behind it that is not
 * counted; the names of attributes are those of allowed.
 *
 * On failure *reason is a constant text for the log, and *body is of no use.
 */

int ngx_ivschat_body_parse(ngx_ivschat_str_t s,
    const ngx_ivschat_str_t *allowed, size_t nallowed, char *strings,
    ngx_ivschat_body_t *body, const char **reason);

/*
 * The minutes for a client to whom the policy grants this many, or 0: AWS's
 * default, which then is the most.  0: neither has a wish.
 */

unsigned ngx_ivschat_body_duration(const ngx_ivschat_body_t *body,
    unsigned granted);

/*
 * Appends the client's attributes to the n that the policy grants, unless
 * there is one of that name; returns how many there are then.  attrs has room
 * for n and body->nattributes.
 */

size_t ngx_ivschat_body_attributes(const ngx_ivschat_body_t *body,
    ngx_ivschat_attribute_t *attrs, size_t n);


#endif /* _NGX_IVSCHAT_BODY_H_INCLUDED_ */
