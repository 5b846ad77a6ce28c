
/*
 * The rooms: the directives that list them, and which of them a request is
 * for.
 *
 * Without names, the first line whose condition holds is the room.  With
 * names, one is picked: by "ivschat_token_room_name" or, where the client's
 * body is accepted and that says nothing, by the ARN in the body.
 */


#include "ngx_ivschat_rooms.h"
#include "../aws/ngx_ivschat_api.h"


static char *ngx_ivschat_parse_room(ngx_conf_t *cf, ngx_ivschat_room_t *room);
static char *ngx_ivschat_parse_name(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *name);
static char *ngx_ivschat_among(ngx_conf_t *cf, ngx_array_t *rooms,
    ngx_ivschat_room_t *room);
static char *ngx_ivschat_check_picker(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);
static char *ngx_ivschat_check_reach(ngx_conf_t *cf, ngx_array_t *rooms);

static ngx_ivschat_result_e ngx_ivschat_first_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_ivschat_room_choice_t *choice);
static ngx_ivschat_result_e ngx_ivschat_pick_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *asked,
    ngx_ivschat_room_choice_t *choice);
static ngx_ivschat_result_e ngx_ivschat_named_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *name,
    ngx_ivschat_room_choice_t *choice);
static ngx_ivschat_result_e ngx_ivschat_asked_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *asked,
    ngx_ivschat_room_choice_t *choice);
static ngx_ivschat_result_e ngx_ivschat_no_pick(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf);
static ngx_ivschat_result_e ngx_ivschat_take_room(ngx_http_request_t *r,
    ngx_ivschat_room_t *room, ngx_ivschat_room_choice_t *choice);


char *
ngx_ivschat_room(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t          *value;
    ngx_ivschat_room_t  room;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0) {
        return ngx_ivschat_list(cf, &ilcf->rooms, sizeof(room), NULL);
    }

    ngx_memzero(&room, sizeof(ngx_ivschat_room_t));

    if (ngx_ivschat_parse_room(cf, &room) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ilcf->rooms != NGX_CONF_UNSET_PTR
        && ngx_ivschat_among(cf, ilcf->rooms, &room)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (room.condition && ngx_ivschat_never(room.condition)) {
        return ngx_ivschat_invalid(cf, &value[cf->args->nelts - 1],
                                   "this room can never be reached");
    }

    return ngx_ivschat_list(cf, &ilcf->rooms, sizeof(room), &room);
}


/* [name=NAME] value [if=condition] */

static char *
ngx_ivschat_parse_room(ngx_conf_t *cf, ngx_ivschat_room_t *room)
{
    ngx_str_t  *value;
    ngx_uint_t  i;

    value = cf->args->elts;
    i = 1;

    if (value[i].len >= 5 && ngx_strncmp(value[i].data, "name=", 5) == 0) {

        if (ngx_ivschat_parse_name(cf, &value[i], &room->name)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (++i == cf->args->nelts) {
            return ngx_ivschat_invalid(cf, &value[1],
                         "it is no room's ARN, which has to follow the name");
        }
    }

    if (ngx_ivschat_is_condition(&value[i])) {
        return ngx_ivschat_invalid(cf, &value[i],
                                   "the room's ARN comes first");
    }

    if (ngx_ivschat_compile(cf, &value[i], &room->value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (!ngx_ivschat_literal(&room->value)) {

        if (room->name.len) {
            return ngx_ivschat_invalid(cf, &value[i],
                         "the ARN of a room with a name has no variables");
        }

    } else if (ngx_ivschat_room_arn_parse(
                                          ngx_ivschat_pure(&value[i]), NULL)
               != 0)
    {
        return ngx_ivschat_invalid(cf, &value[i],
                                   "it is no room's ARN of the form "
                     "\"arn:aws:ivschat:REGION:ACCOUNT:room/ID\"");
    }

    if (++i == cf->args->nelts) {
        return NGX_CONF_OK;
    }

    if (i + 1 < cf->args->nelts) {

        /* nginx counts for the longer form, with a name */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_condition(cf, &value[i], &room->condition);
}


static char *
ngx_ivschat_parse_name(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name)
{
    size_t  i;

    name->data = value->data + 5;
    name->len = value->len - 5;

    if (name->len == 0) {
        return ngx_ivschat_invalid(cf, value, "the room's name is empty");
    }

    if (ngx_strlchr(name->data, name->data + name->len, '$')) {
        return ngx_ivschat_invalid(cf, value,
                        "no variables are allowed in a room's name");
    }

    if (ngx_ivschat_utf8_length(ngx_ivschat_pure(name)) < 0) {
        return ngx_ivschat_invalid(cf, value, "it is not UTF-8");
    }

    for (i = 0; i < name->len; i++) {
        if (name->data[i] < 0x20 || name->data[i] == 0x7f) {
            return ngx_ivschat_invalid(cf, value,
                        "a room's name has no control characters");
        }
    }

    return NGX_CONF_OK;
}


/* Whether a line fits to those above it. */

static char *
ngx_ivschat_among(ngx_conf_t *cf, ngx_array_t *rooms, ngx_ivschat_room_t *room)
{
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_ivschat_room_t  *above;

    value = cf->args->elts;
    above = rooms->elts;

    for (i = 0; i < rooms->nelts; i++) {

        if ((above[i].name.len == 0) != (room->name.len == 0)) {
            return ngx_ivschat_invalid(cf, &value[1],
                         "rooms with and without a name cannot be mixed");
        }

        if (room->name.len) {

            if (ngx_ivschat_equal(&above[i].name, &room->name)) {
                return ngx_ivschat_invalid(cf, &value[1],
                         "there is a room of this name already");
            }

        } else if (ngx_ivschat_always(above[i].condition)) {
            return ngx_ivschat_invalid(cf, &value[1],
                         "this room can never be reached, since a line above "
                                       "it always counts");
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_ivschat_room_name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_ivschat_invalid(cf, &value[1], "no room has an empty name");
    }

    ilcf->own_room_name = 1;

    return ngx_ivschat_once(cf, &ilcf->room_name);
}


char *
ngx_ivschat_rooms_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_ivschat_room_t        *room;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    room = conf->rooms->elts;

    if (room[0].name.len == 0) {

        /* one that is inherited may be meant for other locations */

        if (conf->own_room_name) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ivschat_token_room_name\" in location "
                               "\"%V\" has no rooms to pick from: add "
                               "\"name=\" to the \"ivschat_token_room\" "
                               "lines", &clcf->name);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (conf->room_name) {
        return ngx_ivschat_check_picker(cf, conf);
    }

    if (conf->rooms->nelts > 1 && !conf->client_body) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" has "
                           "several rooms and nothing that picks among them: "
                           "\"ivschat_token_room_name\" or "
                           "\"ivschat_token_client_body on\" is needed",
                           &conf->uri, &clcf->name);
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_check_reach(cf, conf->rooms);
}


static char *
ngx_ivschat_check_picker(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_uint_t                 i;
    ngx_ivschat_room_t        *room;
    ngx_http_core_loc_conf_t  *clcf;

    if (!ngx_ivschat_literal(conf->room_name)) {
        return NGX_CONF_OK;
    }

    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {
        if (ngx_ivschat_equal(&room[i].name, &conf->room_name->value))
        {
            return NGX_CONF_OK;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"ivschat_token_room_name %V\" in location \"%V\" "
                       "picks none of its rooms",
                       &conf->room_name->value, &clcf->name);

    return NGX_CONF_ERROR;
}


/* A body picks by the ARN, and gets the first line whose condition holds. */

static char *
ngx_ivschat_check_reach(ngx_conf_t *cf, ngx_array_t *rooms)
{
    ngx_uint_t           i, j;
    ngx_ivschat_room_t  *room;

    room = rooms->elts;

    for (i = 1; i < rooms->nelts; i++) {
        for (j = 0; j < i; j++) {

            if (!ngx_ivschat_always(room[j].condition)
                || !ngx_ivschat_equal(&room[j].value.value,
                                   &room[i].value.value))
            {
                continue;
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ivschat_token_room name=%V\" can never be "
                               "reached: a client's body picks by the ARN, "
                               "and that of \"name=%V\" is the same",
                               &room[i].name, &room[j].name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_ivschat_result_e
ngx_ivschat_rooms_choose(ngx_http_request_t *r, ngx_ivschat_str_t asked,
    ngx_ivschat_room_choice_t *room)
{
    ngx_str_t                arn;
    ngx_ivschat_room_t      *rooms;
    ngx_ivschat_result_e     result;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    arn.data = (u_char *) asked.data;
    arn.len = asked.len;

    rooms = conf->rooms->elts;

    result = rooms[0].name.len
             ? ngx_ivschat_pick_room(r, conf, &arn, room)
             : ngx_ivschat_first_room(r, conf, room);

    if (result != NGX_IVSCHAT_OK || arn.data == NULL) {
        return result;
    }

    if (!ngx_ivschat_equal(&arn, &room->arn)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the room in the client's body is not the one that "
                      "this request is for");
        return NGX_IVSCHAT_ROOM_FORBIDDEN;
    }

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_first_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_ivschat_room_choice_t *choice)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_ivschat_room_t  *room;

    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        rc = ngx_ivschat_holds(r, room[i].condition);

        if (rc == NGX_ERROR) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        if (rc == NGX_OK) {
            return ngx_ivschat_take_room(r, &room[i], choice);
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "no \"ivschat_token_room\" line counts for this request");

    return NGX_IVSCHAT_ROOM_FORBIDDEN;
}


/* By name, else by the client's body, else the only one. */

static ngx_ivschat_result_e
ngx_ivschat_pick_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *asked,
    ngx_ivschat_room_choice_t *choice)
{
    ngx_str_t            name;
    ngx_ivschat_room_t  *room;

    if (conf->room_name) {

        if (ngx_http_complex_value(r, conf->room_name, &name) != NGX_OK)
        {
            return NGX_IVSCHAT_UNKNOWN;
        }

        if (name.len) {
            return ngx_ivschat_named_room(r, conf, &name, choice);
        }
    }

    if (asked->data) {
        return ngx_ivschat_asked_room(r, conf, asked, choice);
    }

    if (conf->room_name || conf->rooms->nelts > 1) {
        return ngx_ivschat_no_pick(r, conf);
    }

    room = conf->rooms->elts;

    return ngx_ivschat_named_room(r, conf, &room[0].name, choice);
}


static ngx_ivschat_result_e
ngx_ivschat_named_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *name,
    ngx_ivschat_room_choice_t *choice)
{
    ngx_int_t            rc;
    ngx_str_t            printable;
    ngx_uint_t           i;
    ngx_ivschat_room_t  *room;

    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        if (!ngx_ivschat_equal(&room[i].name, name)) {
            continue;
        }

        /* the condition may go by the name, through a map */

        choice->name = room[i].name;

        rc = ngx_ivschat_holds(r, room[i].condition);

        if (rc == NGX_OK) {
            return ngx_ivschat_take_room(r, &room[i], choice);
        }

        if (rc == NGX_ERROR) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the condition of \"ivschat_token_room name=%V\" does "
                      "not hold for this request", name);

        return NGX_IVSCHAT_ROOM_FORBIDDEN;
    }

    printable = ngx_ivschat_printable(r, name);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "no \"ivschat_token_room\" has the name \"%V\"",
                  &printable);

    return NGX_IVSCHAT_ROOM_NOT_FOUND;
}


static ngx_ivschat_result_e
ngx_ivschat_asked_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *asked,
    ngx_ivschat_room_choice_t *choice)
{
    ngx_int_t            rc;
    ngx_str_t            printable;
    ngx_uint_t           i, known;
    ngx_ivschat_room_t  *room;

    known = 0;
    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        if (!ngx_ivschat_equal(&room[i].value.value, asked)) {
            continue;
        }

        /* the condition may go by the name, through a map */

        choice->name = room[i].name;

        rc = ngx_ivschat_holds(r, room[i].condition);

        if (rc == NGX_OK) {
            return ngx_ivschat_take_room(r, &room[i], choice);
        }

        if (rc == NGX_ERROR) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        known = 1;
    }

    if (known) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the condition of the \"ivschat_token_room\" that the "
                      "client's body names does not hold for this request");
        return NGX_IVSCHAT_ROOM_FORBIDDEN;
    }

    printable = ngx_ivschat_printable(r, asked);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "no \"ivschat_token_room\" has the ARN in the client's "
                  "body: \"%V\"", &printable);

    return NGX_IVSCHAT_ROOM_NOT_FOUND;
}


static ngx_ivschat_result_e
ngx_ivschat_no_pick(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf)
{
    if (conf->client_body) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the client's body names no room, and nothing else "
                      "picks one");
        return NGX_IVSCHAT_INVALID_REQUEST;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the value of \"ivschat_token_room_name\" is empty");

    return NGX_IVSCHAT_ROOM_NOT_FOUND;
}


static ngx_ivschat_result_e
ngx_ivschat_take_room(ngx_http_request_t *r, ngx_ivschat_room_t *room,
    ngx_ivschat_room_choice_t *choice)
{
    ngx_str_t               value;
    ngx_ivschat_room_arn_t  arn;

    if (ngx_http_complex_value(r, &room->value, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_room_arn_parse(ngx_ivschat_pure(&value), &arn) != 0) {
        value = ngx_ivschat_printable(r, &value);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_room\" is no room's "
                      "ARN: \"%V\"", &value);

        return NGX_IVSCHAT_ROOM_NOT_FOUND;
    }

    choice->arn = value;
    choice->region.data = (u_char *) arn.region.data;
    choice->region.len = arn.region.len;

    return NGX_IVSCHAT_OK;
}
