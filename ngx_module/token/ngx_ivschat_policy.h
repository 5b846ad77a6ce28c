
/*
 * The policy: the room, capabilities, attributes and duration for a user.  It
 * is evaluated once for a request, in this order, and each step sees the
 * variables of the previous ones.  The client's body, if it is accepted, is
 * read between the user and the room; it can only reduce what is granted.
 */


#ifndef _NGX_IVSCHAT_POLICY_H_INCLUDED_
#define _NGX_IVSCHAT_POLICY_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "ngx_ivschat_rooms.h"
#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_body.h"


/* The outcome for one request; the strings are in its pool. */

typedef struct {
    ngx_str_t                    user;
    ngx_ivschat_room_choice_t    room;
    ngx_str_t                    region;     /* to sign for */
    ngx_str_t                    host;
    ngx_str_t                    capabilities;   /* comma-separated */

    const ngx_ivschat_body_t    *asked;      /* by the client */
    ngx_ivschat_request_t        request;
    ngx_str_t                    body;       /* the JSON to send */
    char                 body_hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
} ngx_ivschat_policy_t;


/* "ivschat_token_capabilities", "_attribute", "_session_duration", "_region" */

extern ngx_ivschat_line_rule_t  ngx_ivschat_capabilities_rule;
extern ngx_ivschat_line_rule_t  ngx_ivschat_attribute_rule;
extern ngx_ivschat_line_rule_t  ngx_ivschat_duration_rule;
extern ngx_ivschat_line_rule_t  ngx_ivschat_region_rule;

/* Checks what a location that mints tokens has, inherited lines included. */

char *ngx_ivschat_policy_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

/*
 * Evaluates everything but the user, which policy->user has already, within
 * what the client's body asks for.  Anything but NGX_IVSCHAT_OK is logged.
 */

ngx_ivschat_result_e ngx_ivschat_policy_evaluate(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy);


#endif /* _NGX_IVSCHAT_POLICY_H_INCLUDED_ */
