
/*
 * What the files of the module share: its configuration, and the state of one
 * request for a token.
 */


#ifndef _NGX_IVSCHAT_TOKEN_H_INCLUDED_
#define _NGX_IVSCHAT_TOKEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_body.h"
#include "../aws/ngx_ivschat_result.h"
#include "../aws/ngx_ivschat_sigv4.h"
#include "../creds/ngx_ivschat_creds.h"
#include "../creds/ngx_ivschat_nginx.h"


#if !(NGX_HTTP_SSL)
#error "ngx_http_ivschat_token_module needs nginx with http_ssl_module"
#endif


#define NGX_IVSCHAT_SERVICE   "ivschat"
#define NGX_IVSCHAT_PATH      "/CreateChatToken"


typedef struct ngx_ivschat_ctx_s      ngx_ivschat_ctx_t;
typedef struct ngx_ivschat_account_s  ngx_ivschat_account_t;
typedef struct ngx_ivschat_line_up_s  ngx_ivschat_line_up_t;


/* ivschat_token_rate */

typedef struct {
    ngx_uint_t                   rate;       /* a second; 0: off */
    ngx_uint_t                   burst;
    ngx_msec_t                   wait;
    ngx_array_t                  pairs;      /* of literal rooms: account and
                                                region, ngx_str_t */

    ngx_slab_pool_t             *shpool;     /* of the zone; NULL: no zone */
    ngx_ivschat_account_t       *accounts;   /* in it */

    ngx_ivschat_line_up_t       *lines;      /* of this worker */
} ngx_ivschat_rate_conf_t;


typedef struct {
    ngx_ivschat_creds_conf_t     creds;
    ngx_ivschat_rate_conf_t      rate;
    ssize_t                      zone_size;  /* 0: as needed */

    ngx_http_handler_pt          auth_basic; /* the access handler that ours
                                                stands before, or NULL */

    ngx_ivschat_sigv4_cache_t    keys;       /* of this worker */
} ngx_ivschat_main_conf_t;


typedef struct {
    ngx_http_complex_value_t     value;
    ngx_uint_t                   captures;   /* bits of $1 … $9 in value */
    unsigned                     remote_user:1;  /* $remote_user is in it */
    unsigned                     trusted:1;
} ngx_ivschat_user_t;


typedef struct {
    ngx_str_t                    name;       /* empty: it has none, and so has
                                                no other room of the list */
    ngx_http_complex_value_t     value;      /* literal if it has a name */
    ngx_http_complex_value_t    *condition;  /* NULL: always */
} ngx_ivschat_room_t;


typedef struct {
    ngx_uint_t                   bits;
    ngx_http_complex_value_t    *condition;
} ngx_ivschat_capabilities_t;


typedef struct {
    ngx_str_t                    name;
    ngx_http_complex_value_t     value;
    ngx_http_complex_value_t    *condition;
} ngx_ivschat_attribute_conf_t;


typedef struct {
    ngx_str_t                        uri;    /* of the internal location;
                                                empty: no tokens here */

    ngx_ivschat_user_t              *user;

    ngx_array_t                     *rooms;          /* NULL or empty: none */
    ngx_http_complex_value_t        *room_name;
    ngx_array_t                     *capabilities;
    ngx_array_t                     *attributes;

    ngx_http_complex_value_t        *session_duration;
    ngx_http_complex_value_t        *region;
    ngx_str_t                        endpoint;
    ngx_uint_t                       methods;        /* NGX_HTTP_* bits */
    ngx_msec_t                       timeout;
    ngx_uint_t                       tries;
    ngx_flag_t                       client_body;
    ngx_array_t                     *client_attributes;  /* their names,
                                                       ngx_ivschat_str_t */
    ngx_flag_t                       require_tls;
    ngx_flag_t                       intercept_errors;
    ngx_uint_t                       refresh_spread; /* percent, 0: off */

    ngx_ivschat_slot_t              *credentials;

    unsigned                         own_room_name:1;    /* not inherited */
    unsigned                         own_client_attributes:1;
} ngx_ivschat_loc_conf_t;


/* What came back from the internal location; all of it in the pool. */

typedef struct {
    ngx_int_t                    rc;         /* of the subrequest */
    ngx_uint_t                   status;     /* of the subrequest */
    ngx_uint_t                   aws_status; /* as it came; 0: none came */
    ngx_str_t                    body;
    size_t                       size;       /* that body has room for */
    ngx_str_t                    error_type;
    ngx_str_t                    request_id;
    ngx_str_t                    retry_after;    /* x-amz-retry-after */
    time_t                       date;       /* NGX_ERROR: none */
    ngx_str_t                    sent_path;  /* as nginx wrote them to the */
    ngx_str_t                    sent_host;  /* connection; for the log */
    unsigned                     upstream:1; /* a proxying module was asked */
    unsigned                     connected:1;
    unsigned                     no_socket:1;    /* nginx had none to give */
    unsigned                     unresolved:1;   /* no upstream block of the
                                                    name, and no resolver */
    unsigned                     tls:1;      /* with a verified certificate */
    unsigned                     whole:1;    /* the body, to its end */
    unsigned                     old:1;      /* it has an Age */
    unsigned                     not_http:1; /* something came, yet no
                                                status line */
    unsigned                     big_header:1;
    unsigned                     big_body:1;
} ngx_ivschat_answer_t;


struct ngx_ivschat_ctx_s {
    ngx_http_request_t                  *request;
    ngx_ivschat_loc_conf_t              *conf;

    /* the client's body, if it is looked at: as it came, and what it says */

    ngx_str_t                            client_body;
    size_t                               client_body_size;   /* has room for */
    ngx_ivschat_body_t                   client;

    /* the policy's outcome; the strings are in the pool */

    ngx_ivschat_request_t                policy;
    ngx_str_t                            user;
    ngx_str_t                            room;
    ngx_str_t                            room_name;
    ngx_str_t                            region;
    ngx_str_t                            host;
    ngx_str_t                            capabilities;

    ngx_str_t                            body;       /* the JSON to send */
    char    body_hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];

    /* the attempt */

    ngx_http_request_t                  *subrequest; /* in flight, or NULL */
    ngx_ivschat_answer_t                 answer;
    ngx_event_t                          deadline;
    ngx_event_t                          timer;      /* of a pause, or of the
                                                        wait for the rate */
    ngx_ivschat_account_t               *bucket;
    ngx_queue_t                          queue;      /* in it */
    uint64_t                             ticket;
    time_t                               sent;       /* by this clock */
    ngx_msec_t                           granted;    /* or asked for */
    ngx_msec_t                           waited;
    ngx_uint_t                           cost;       /* of the last retry */
    ngx_ivschat_result_e                 failure;    /* of the last attempt */
    ngx_ivschat_waiter_t                 waiter;
    ngx_atomic_uint_t                    generation; /* signed with */
    ngx_uint_t                           attempts;
    ngx_ivschat_error_t                  error;      /* AWS's, if any */

    ngx_ivschat_result_e                 result;
    ngx_msec_t                           start;
    ngx_msec_t                           end;

    unsigned                             basic_checked:1;
    unsigned                             started:1;
    unsigned                             timedout:1; /* the deadline passed */
    unsigned                             renewed:1;  /* the credentials were */
    unsigned                             queued:1;   /* waits for the rate */
    unsigned                             skewed:1;   /* the clock is off */
    unsigned                             corrected:1;/* a signature's time */
};


/* _module.c */

extern ngx_module_t  ngx_http_ivschat_token_module;

/*
 * The context of the request, made if there is none; NULL without memory.
 */
ngx_ivschat_ctx_t *ngx_ivschat_create_ctx(ngx_http_request_t *r);

/*
 * The context of the request or, after an internal redirect or in a
 * subrequest, the newest one made for its main request; NULL if none.
 */
ngx_ivschat_ctx_t *ngx_ivschat_get_ctx(ngx_http_request_t *r);


/* _conf.c: the setters of the directives that no stock slot fits */

char *ngx_ivschat_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_user(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_capabilities(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_attribute(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_session_duration(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_ivschat_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_region(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_tries(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_refresh_spread(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * What can be told of a location that mints only once everything that it
 * inherits is known; called at the end of its merge.
 */
char *ngx_ivschat_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

/*
 * Appends to a list of this level, or empties it if item is NULL: "none",
 * which stands alone.
 */
char *ngx_ivschat_list(ngx_conf_t *cf, ngx_array_t **list, size_t size,
    void *item);

char *ngx_ivschat_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv);

/*
 * Compiles the only parameter of a directive that may stand once at a level,
 * into the pool of cf; *cv is NGX_CONF_UNSET_PTR before.
 */
char *ngx_ivschat_once(ngx_conf_t *cf, ngx_http_complex_value_t **cv);

#define ngx_ivschat_literal(cv)   ((cv)->lengths == NULL)

/* Whether it begins with "if="; and what is behind that, compiled. */
ngx_uint_t ngx_ivschat_is_condition(ngx_str_t *value);
char *ngx_ivschat_condition(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **condition);

/* Whether it is known already that a condition holds, or does not. */
ngx_uint_t ngx_ivschat_always(ngx_http_complex_value_t *condition);
ngx_uint_t ngx_ivschat_never(ngx_http_complex_value_t *condition);

/*
 * "60m", "1h", "1h30m" to minutes; 0 unless they are whole minutes between
 * AWS's bounds, with a unit.
 */
ngx_uint_t ngx_ivschat_minutes(ngx_str_t *value);

/* Whether a condition of this value does not hold. */
ngx_uint_t ngx_ivschat_false(ngx_str_t *value);


/* _auth.c */

/*
 * Puts our access handler in the place of auth_basic's, which it calls; so we
 * know for which requests auth_basic has checked the user that $remote_user
 * tells.
 */
ngx_int_t ngx_ivschat_auth_init(ngx_conf_t *cf);


/* _policy.c */

/*
 * Evaluates the configuration for this request, once, into ctx->policy,
 * ->body and the strings beside them: the user first; then all the rest, which
 * sees the client's body in ctx->client_body if it is to be looked at.  Both
 * say why in the error log, and return NGX_IVSCHAT_OK or what the client is to
 * be told.
 */
ngx_ivschat_result_e ngx_ivschat_policy_user(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
ngx_ivschat_result_e ngx_ivschat_policy(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);

/* NGX_OK, NGX_DECLINED, or NGX_ERROR without memory. */
ngx_int_t ngx_ivschat_holds(ngx_http_request_t *r,
    ngx_http_complex_value_t *condition);

/*
 * A value that may come from the client, fit for a line of the log: nginx
 * writes strings there as they are.
 */
ngx_str_t ngx_ivschat_printable(ngx_http_request_t *r, ngx_str_t *value);


/* _rooms.c: which room */

char *ngx_ivschat_room(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_room_name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Of a location that mints: whether one of its rooms can be picked. */
char *ngx_ivschat_check_rooms(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

/* A step of the policy. */
ngx_ivschat_result_e ngx_ivschat_policy_room(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);


/* _client.c: the client's body */

char *ngx_ivschat_client_attributes(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Reads the client's body to its end, keeps it in ctx->client_body if it is to
 * be looked at, and calls ngx_ivschat_body_done(), perhaps before it
 * returns; or ends the request.  The content handler then returns NGX_DONE.
 */
void ngx_ivschat_read_body(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);

/* A step of the policy: what the body says, into ctx->client. */
ngx_ivschat_result_e ngx_ivschat_policy_client(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);


/* _handler.c */

ngx_int_t ngx_ivschat_handler(ngx_http_request_t *r);

/* The client's body has been read to its end. */
void ngx_ivschat_body_done(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);

/*
 * Ends a request with a token, or with an error; json may be NULL if there is
 * no token.
 */
void ngx_ivschat_finish(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result, ngx_str_t *json);

/* Gives up all that a request waits for; its timers, too. */
void ngx_ivschat_let_go(ngx_ivschat_ctx_t *ctx);


/* _attempts.c */

/* What follows once the client's body is read; finish() ends it. */
void ngx_ivschat_start(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);

/* A place in the rate has come, or (granted is 0) will not come. */
void ngx_ivschat_granted(ngx_ivschat_ctx_t *ctx, ngx_uint_t granted);

/* The write event handler of a request whose subrequest is done. */
void ngx_ivschat_resume(ngx_http_request_t *r);


/* _subrequest.c */

/*
 * Signs ctx->body and sends it to the internal location.  NGX_OK: on its way,
 * ctx->subrequest is set, and resume() will be called with ctx->answer
 * filled; NGX_AGAIN: credentials are being fetched, and ctx->waiter may wait
 * for them; NGX_DECLINED: there are none, and the log says so; NGX_ERROR: out
 * of memory, or refused by nginx or libcrypto.
 */
ngx_int_t ngx_ivschat_send(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);

/*
 * Ends the subrequest in flight, with its timers and its connection, as if it
 * had failed with this status.  resume() is called by
 * ngx_http_run_posted_requests(), which is left to the caller.
 */
void ngx_ivschat_cancel(ngx_ivschat_ctx_t *ctx, ngx_int_t status);

/* Filters that see the answer while its connection is there. */
ngx_int_t ngx_ivschat_filter_init(ngx_conf_t *cf);


/* _answer.c */

/*
 * What the answer in ctx->answer means.  With NGX_IVSCHAT_OK, *json is the
 * body for the client, in the pool.  Anything else has been logged.
 */
ngx_ivschat_result_e ngx_ivschat_check_answer(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_str_t *json);


/* _response.c */

/* Both return what ngx_http_finalize_request() takes. */

ngx_int_t ngx_ivschat_send_token(ngx_http_request_t *r, ngx_str_t *json);

/*
 * Our error, or the error_page that the operator has for its status, if it
 * may replace ours.  retry_after in seconds, 0: none.
 */
ngx_int_t ngx_ivschat_send_error(ngx_http_request_t *r,
    ngx_ivschat_loc_conf_t *conf, ngx_ivschat_result_e result,
    ngx_uint_t retry_after);


/* _variables.c */

ngx_int_t ngx_ivschat_add_variables(ngx_conf_t *cf);


#endif /* _NGX_IVSCHAT_TOKEN_H_INCLUDED_ */
