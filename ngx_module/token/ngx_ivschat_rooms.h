
/*
 * The rooms: the directives that list them, and the choice for a request.
 *
 * Without names, the first line whose condition is true is the room.  With
 * names, "ivschat_token_room_name" selects one or, if that is empty and the
 * client's body is accepted, the ARN in the body.
 */


#ifndef _NGX_IVSCHAT_ROOMS_H_INCLUDED_
#define _NGX_IVSCHAT_ROOMS_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_result.h"


/* The room of a request; until it is chosen, what is known of it. */

typedef struct {
    ngx_str_t                    arn;
    ngx_str_t                    name;       /* empty: none */
    ngx_str_t                    region;     /* in the ARN */
} ngx_ivschat_room_choice_t;


/* "ivschat_token_room": all lines of a list have names, or none. */

extern ngx_ivschat_line_rule_t  ngx_ivschat_room_rule;

char *ngx_ivschat_room_name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Whether one of the rooms of a location that mints tokens can be chosen. */

char *ngx_ivschat_rooms_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

/*
 * Chooses the room of a request; asked is the ARN in the client's body, or has
 * no data.  Anything but NGX_IVSCHAT_OK is logged.
 */

ngx_ivschat_result_e ngx_ivschat_rooms_choose(ngx_http_request_t *r,
    ngx_ivschat_str_t asked, ngx_ivschat_room_choice_t *room);


#endif /* _NGX_IVSCHAT_ROOMS_H_INCLUDED_ */
