
#include "ngx_ivschat_rooms.h"
#include "../aws/ngx_ivschat_api.h"


static const char *ngx_ivschat_check_arn(ngx_str_t *value);
static char *ngx_ivschat_parse_room(ngx_conf_t *cf, ngx_array_t *above,
    ngx_ivschat_line_t *room);
static char *ngx_ivschat_among(ngx_conf_t *cf, ngx_array_t *above,
    ngx_ivschat_line_t *room);
static char *ngx_ivschat_check_picker(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *location);
static char *ngx_ivschat_check_reach(ngx_conf_t *cf, ngx_array_t *rooms);

static ngx_ivschat_result_e ngx_ivschat_pick_room(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_str_t *name, ngx_str_t *arn);
static ngx_ivschat_result_e ngx_ivschat_find_room(ngx_http_request_t *r,
    ngx_array_t *rooms, ngx_str_t *name, ngx_str_t *arn,
    ngx_ivschat_room_choice_t *choice);
static ngx_ivschat_result_e ngx_ivschat_no_room(ngx_http_request_t *r,
    ngx_uint_t known, ngx_str_t *name, ngx_str_t *arn);
static ngx_ivschat_result_e ngx_ivschat_take_room(ngx_http_request_t *r,
    ngx_str_t *value, ngx_ivschat_room_choice_t *choice);


ngx_ivschat_line_rule_t  ngx_ivschat_room_rule = {
    .condition = 1,
    .check = ngx_ivschat_check_arn,
    .parse = ngx_ivschat_parse_room
};


static const char *
ngx_ivschat_check_arn(ngx_str_t *value)
{
    return ngx_ivschat_room_arn_parse(ngx_ivschat_pure(value), NULL) == 0
           ? NULL : "a room ARN of the form "
                    "\"arn:aws:ivschat:REGION:ACCOUNT:room/ID\" is expected";
}


static char *
ngx_ivschat_parse_room(ngx_conf_t *cf, ngx_array_t *above,
    ngx_ivschat_line_t *room)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;
    i = 1;

    if (ngx_strncmp(value[i].data, "name=", 5) == 0) {

        room->name.data = value[i].data + 5;
        room->name.len = value[i].len - 5;

        if (ngx_ivschat_check_name(cf, &value[i], &room->name) != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (ngx_ivschat_has_control(&room->name)) {
            return ngx_ivschat_invalid(cf, &value[i],
                               "a name must not contain control characters");
        }

        if (++i == cf->args->nelts) {
            return ngx_ivschat_invalid(cf, &value[1],
                         "a room ARN is expected after the name");
        }
    }

    if (ngx_ivschat_line(cf, i, &ngx_ivschat_room_rule, room) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (room->name.len && !ngx_ivschat_literal(&room->value)) {
        return ngx_ivschat_invalid(cf, &value[i],
                         "the ARN of a named room must not contain variables");
    }

    if (ngx_ivschat_never(room)) {
        return ngx_ivschat_invalid(cf, &value[i + 1],
                                   "this room can never be selected");
    }

    return ngx_ivschat_among(cf, above, room);
}


/* Checks a line against those above it. */

static char *
ngx_ivschat_among(ngx_conf_t *cf, ngx_array_t *above, ngx_ivschat_line_t *room)
{
    ngx_str_t           *value;
    ngx_uint_t           i, named;
    ngx_ivschat_line_t  *line;

    value = cf->args->elts;
    line = above->elts;
    named = (room->name.len != 0);

    for (i = 0; i < above->nelts; i++) {

        if ((line[i].name.len != 0) != named) {
            return ngx_ivschat_invalid(cf, &value[1],
                         "rooms with and without names cannot be mixed");
        }

        if (named ? ngx_ivschat_equal(&line[i].name, &room->name)
                  : ngx_ivschat_always(&line[i]))
        {
            return ngx_ivschat_invalid(cf, &value[1],
                         named ? "duplicate room name"
                               : "this room can never be selected: a line "
                                 "above always applies");
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
        return ngx_ivschat_invalid(cf, &value[1], "empty room name");
    }

    ilcf->own_room_name = 1;

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


char *
ngx_ivschat_rooms_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_ivschat_line_t        *room;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    room = conf->rooms->elts;

    if (room[0].name.len == 0) {

        /* an inherited one may be for other locations */

        if (conf->own_room_name) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ivschat_token_room_name\" in location "
                               "\"%V\" has no rooms to select from: add "
                               "\"name=\" to the \"ivschat_token_room\" "
                               "lines", &clcf->name);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (conf->room_name) {
        return ngx_ivschat_check_picker(cf, conf, &clcf->name);
    }

    if (conf->rooms->nelts > 1 && !conf->client_body) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" has "
                           "several rooms and no way to select one: add "
                           "\"ivschat_token_room_name\" or "
                           "\"ivschat_token_client_body on\"",
                           &conf->uri, &clcf->name);
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_check_reach(cf, conf->rooms);
}


static char *
ngx_ivschat_check_picker(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf,
    ngx_str_t *location)
{
    ngx_uint_t           i;
    ngx_ivschat_line_t  *room;

    if (!ngx_ivschat_literal(conf->room_name)) {
        return NGX_CONF_OK;
    }

    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {
        if (ngx_ivschat_equal(&room[i].name, &conf->room_name->value)) {
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"ivschat_token_room_name %V\" in location \"%V\" "
                       "selects none of its rooms",
                       &conf->room_name->value, location);

    return NGX_CONF_ERROR;
}


/* A body selects by ARN, and gets the first line whose condition is true. */

static char *
ngx_ivschat_check_reach(ngx_conf_t *cf, ngx_array_t *rooms)
{
    ngx_uint_t           i, j;
    ngx_ivschat_line_t  *room;

    room = rooms->elts;

    for (i = 1; i < rooms->nelts; i++) {
        for (j = 0; j < i; j++) {

            if (!ngx_ivschat_always(&room[j])
                || !ngx_ivschat_equal(&room[j].value.value,
                                      &room[i].value.value))
            {
                continue;
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ivschat_token_room name=%V\" can never be "
                               "selected: the client's body selects by ARN, "
                               "and \"name=%V\" has the same ARN",
                               &room[i].name, &room[j].name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_ivschat_result_e
ngx_ivschat_rooms_choose(ngx_http_request_t *r, ngx_ivschat_str_t asked,
    ngx_ivschat_room_choice_t *choice)
{
    ngx_str_t                name, arn;
    ngx_ivschat_line_t      *room;
    ngx_ivschat_result_e     result;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_ivschat_get_conf(r);
    room = conf->rooms->elts;

    ngx_str_null(&name);
    ngx_str_null(&arn);

    if (room[0].name.len) {

        arn.data = (u_char *) asked.data;
        arn.len = asked.len;

        result = ngx_ivschat_pick_room(r, conf, &name, &arn);

        if (result != NGX_IVSCHAT_OK) {
            return result;
        }
    }

    result = ngx_ivschat_find_room(r, conf->rooms, &name, &arn, choice);

    if (result == NGX_IVSCHAT_OK && asked.data
        && !ngx_ivschat_str_equal(asked, ngx_ivschat_pure(&choice->arn)))
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the client's body names another room than the one "
                      "selected for this request");
        return NGX_IVSCHAT_ROOM_FORBIDDEN;
    }

    return result;
}


/*
 * What selects one of the named rooms: the name, else the ARN in the client's
 * body; neither if there is only one room and nothing else selects.
 */

static ngx_ivschat_result_e
ngx_ivschat_pick_room(ngx_http_request_t *r, ngx_ivschat_loc_conf_t *conf,
    ngx_str_t *name, ngx_str_t *arn)
{
    if (conf->room_name
        && ngx_http_complex_value(r, conf->room_name, name) != NGX_OK)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (name->len) {
        ngx_str_null(arn);
        return NGX_IVSCHAT_OK;
    }

    if (arn->data || (conf->room_name == NULL && conf->rooms->nelts == 1)) {
        return NGX_IVSCHAT_OK;
    }

    if (conf->client_body) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the client's body does not name a room, and nothing "
                      "else selects one");
        return NGX_IVSCHAT_INVALID_REQUEST;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the value of \"ivschat_token_room_name\" is empty");

    return NGX_IVSCHAT_ROOM_NOT_FOUND;
}


/* The first room with this name or ARN, if any, whose condition is true. */

static ngx_ivschat_result_e
ngx_ivschat_find_room(ngx_http_request_t *r, ngx_array_t *rooms,
    ngx_str_t *name, ngx_str_t *arn, ngx_ivschat_room_choice_t *choice)
{
    ngx_str_t            value;
    ngx_uint_t           i, known;
    ngx_ivschat_line_t  *room;

    known = 0;
    room = rooms->elts;

    for (i = 0; i < rooms->nelts; i++) {

        if ((name->len && !ngx_ivschat_equal(&room[i].name, name))
            || (arn->data && !ngx_ivschat_equal(&room[i].value.value, arn)))
        {
            continue;
        }

        /* the condition may depend on the name, by a map */

        choice->name = room[i].name;

        switch (ngx_ivschat_line_value(r, &room[i], &value)) {

        case NGX_OK:
            return ngx_ivschat_take_room(r, &value, choice);

        case NGX_DECLINED:
            known = 1;
            continue;

        default:
            return NGX_IVSCHAT_UNKNOWN;
        }
    }

    /* a single room is identified by its name */

    return ngx_ivschat_no_room(r, known, name->len ? name : &choice->name, arn);
}


static ngx_ivschat_result_e
ngx_ivschat_no_room(ngx_http_request_t *r, ngx_uint_t known, ngx_str_t *name,
    ngx_str_t *arn)
{
    ngx_str_t    value;
    const char  *fmt;

    value = known ? *name : ngx_ivschat_printable(r, arn->data ? arn : name);

    if (arn->data) {
        fmt = known ? "the condition of the \"ivschat_token_room\" named in "
                      "the client's body is false"
                    : "no \"ivschat_token_room\" has the ARN in the client's "
                      "body: \"%V\"";

    } else if (name->len) {
        fmt = known ? "the condition of \"ivschat_token_room name=%V\" is "
                      "false"
                    : "no \"ivschat_token_room\" has the name \"%V\"";

    } else {
        fmt = "no \"ivschat_token_room\" line applies to this request";
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, fmt, &value);

    return known ? NGX_IVSCHAT_ROOM_FORBIDDEN : NGX_IVSCHAT_ROOM_NOT_FOUND;
}


static ngx_ivschat_result_e
ngx_ivschat_take_room(ngx_http_request_t *r, ngx_str_t *value,
    ngx_ivschat_room_choice_t *choice)
{
    ngx_str_t               printable;
    ngx_ivschat_room_arn_t  arn;

    if (ngx_ivschat_room_arn_parse(ngx_ivschat_pure(value), &arn) != 0) {
        printable = ngx_ivschat_printable(r, value);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_room\" is not a room "
                      "ARN: \"%V\"", &printable);

        return NGX_IVSCHAT_ROOM_NOT_FOUND;
    }

    choice->arn = *value;
    choice->region.data = (u_char *) arn.region.data;
    choice->region.len = arn.region.len;

    return NGX_IVSCHAT_OK;
}
