
#include "ngx_ivschat_subrequest.h"


/* Content type, host, date, session token, and the signature itself. */

#define NGX_IVSCHAT_HEADERS   5


typedef struct {
    ngx_ivschat_sigv4_header_t      headers[NGX_IVSCHAT_HEADERS];
    size_t                          nheaders;
    ngx_ivschat_sigv4_scope_t       scope;
} ngx_ivschat_signed_t;


static ngx_int_t ngx_ivschat_sign(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_ivschat_policy_t *policy,
    ngx_ivschat_signed_t *sgn);
static ngx_int_t ngx_ivschat_sign_scope(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy, ngx_ivschat_creds_t *creds,
    ngx_ivschat_sigv4_scope_t *scope);
static ngx_int_t ngx_ivschat_sign_headers(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy, ngx_ivschat_signed_t *sgn);
static void ngx_ivschat_add_header(ngx_ivschat_signed_t *sgn,
    const char *name, ngx_ivschat_str_t value);
static ngx_int_t ngx_ivschat_create(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_ivschat_policy_t *policy,
    ngx_ivschat_signed_t *sgn);
static ngx_int_t ngx_ivschat_set_headers(ngx_http_request_t *sr,
    ngx_ivschat_signed_t *sgn);
static ngx_int_t ngx_ivschat_set_body(ngx_http_request_t *sr, ngx_str_t *body);
static void ngx_ivschat_clear_limits(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s);
static void ngx_ivschat_restore_limits(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s);
static void ngx_ivschat_reading(ngx_http_request_t *sr);
static ngx_uint_t ngx_ivschat_client_left(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_ivschat_collect(ngx_http_request_t *sr,
    ngx_ivschat_subrequest_t *s);
static void ngx_ivschat_collect_headers(ngx_http_upstream_t *u,
    ngx_ivschat_subrequest_t *s);
static void ngx_ivschat_collect_sent(ngx_http_upstream_t *u,
    ngx_ivschat_subrequest_t *s);
static ngx_ivschat_subrequest_t *ngx_ivschat_awaited(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_top_header_filter(ngx_http_request_t *r);
static void ngx_ivschat_see(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_ivschat_top_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_ivschat_collect_body(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_chain_t *in);
static ngx_int_t ngx_ivschat_keep(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_buf_t *b);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;

/* what is below our filters at the top, if there are such */

static ngx_http_output_header_filter_pt  ngx_ivschat_below_header_filter;
static ngx_http_output_body_filter_pt    ngx_ivschat_below_body_filter;

/* whose connections to a server without a verified certificate, last seen */

static ngx_http_upstream_srv_conf_t     *ngx_ivschat_unverified;


/* Headers of an answer, and where their values go. */

static struct {
    ngx_str_t   name;
    size_t      offset;
} ngx_ivschat_answer_headers[] = {
    { ngx_string("x-amzn-requestid"),
      offsetof(ngx_ivschat_subrequest_t, request_id) },
    { ngx_string("x-amzn-errortype"),
      offsetof(ngx_ivschat_subrequest_t, error_type) },
    { ngx_string("x-amz-retry-after"),
      offsetof(ngx_ivschat_subrequest_t, retry_after) },
    { ngx_string("age"),
      offsetof(ngx_ivschat_subrequest_t, age) },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_ivschat_subrequest_send(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_ivschat_policy_t *policy, ngx_http_event_handler_pt handler)
{
    ngx_int_t             rc;
    ngx_ivschat_signed_t  sgn;
    ngx_ivschat_limits_t  limits;

    limits = s->limits;

    ngx_memzero(s, sizeof(ngx_ivschat_subrequest_t));
    ngx_memzero(&sgn, sizeof(ngx_ivschat_signed_t));

    s->limits = limits;
    s->handler = handler;
    s->date = NGX_ERROR;

    rc = ngx_ivschat_sign(r, s, policy, &sgn);

    if (rc == NGX_OK) {
        rc = ngx_ivschat_create(r, s, policy, &sgn);
    }

    ngx_explicit_memzero(sgn.scope.key, sizeof(sgn.scope.key));

    return rc;
}


static ngx_int_t
ngx_ivschat_sign(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_ivschat_policy_t *policy, ngx_ivschat_signed_t *sgn)
{
    ngx_int_t             rc;
    ngx_ivschat_str_t     value;
    ngx_ivschat_slot_t   *slot;
    ngx_ivschat_creds_t   creds;

    static ngx_ivschat_str_t  json = ngx_ivschat_string("application/json");

    slot = ngx_ivschat_get_conf(r)->credentials;

    rc = ngx_ivschat_creds_get(slot, &creds);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no AWS credentials from \"ivschat_token_credentials "
                      "%V\"", ngx_ivschat_creds_name(slot));
        return rc;
    }

    s->generation = creds.generation;

    if (ngx_ivschat_sign_scope(r, policy, &creds, &sgn->scope) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "failed to derive the signing key");
        return NGX_ERROR;
    }

    value.data = sgn->scope.time;
    value.len = NGX_IVSCHAT_SIGV4_TIME_LEN;

    ngx_ivschat_add_header(sgn, "content-type", json);
    ngx_ivschat_add_header(sgn, "host", ngx_ivschat_pure(&policy->host));
    ngx_ivschat_add_header(sgn, "x-amz-date", value);

    if (creds.session_token.len) {
        ngx_ivschat_add_header(sgn, "x-amz-security-token",
                               ngx_ivschat_pure(&creds.session_token));
    }

    return ngx_ivschat_sign_headers(r, policy, sgn);
}


static ngx_int_t
ngx_ivschat_sign_scope(ngx_http_request_t *r, ngx_ivschat_policy_t *policy,
    ngx_ivschat_creds_t *creds, ngx_ivschat_sigv4_scope_t *scope)
{
    ngx_ivschat_main_conf_t  *mcf;

    static ngx_ivschat_str_t  service
                                   = ngx_ivschat_string(NGX_IVSCHAT_SERVICE);

    mcf = ngx_ivschat_get_main_conf(r);

    scope->access_key = ngx_ivschat_pure(&creds->access_key);
    scope->region = ngx_ivschat_pure(&policy->region);
    scope->service = service;

    /* by AWS's clock, as far as it is known */

    if (ngx_ivschat_sigv4_time(ngx_ivschat_creds_time(&mcf->creds),
                               scope->time)
        != 0
        || ngx_ivschat_sigv4_cached_key(&mcf->keys, creds->id, scope,
                                        ngx_ivschat_pure(&creds->secret_key))
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Adds the header with the signature of all that were added before. */

static ngx_int_t
ngx_ivschat_sign_headers(ngx_http_request_t *r, ngx_ivschat_policy_t *policy,
    ngx_ivschat_signed_t *sgn)
{
    char                         *buf;
    size_t                        size;
    ngx_ivschat_str_t             value;
    ngx_ivschat_sigv4_request_t   request;

    static ngx_ivschat_str_t  method = ngx_ivschat_string("POST");
    static ngx_ivschat_str_t  path = ngx_ivschat_string(NGX_IVSCHAT_PATH);

    ngx_memzero(&request, sizeof(ngx_ivschat_sigv4_request_t));

    request.method = method;
    request.uri = path;
    request.headers = sgn->headers;
    request.nheaders = sgn->nheaders;
    ngx_memcpy(request.payload_hash, policy->body_hash,
               sizeof(policy->body_hash));

    size = ngx_ivschat_sigv4_buffer_size(&request, &sgn->scope);

    buf = ngx_pnalloc(r->pool, size);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ivschat_sigv4_authorization(&request, &sgn->scope, buf, size,
                                        &value.len)
        != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "failed to sign the request for a chat token");
        return NGX_ERROR;
    }

    value.data = buf;
    ngx_ivschat_add_header(sgn, "authorization", value);

    return NGX_OK;
}


static void
ngx_ivschat_add_header(ngx_ivschat_signed_t *sgn, const char *name,
    ngx_ivschat_str_t value)
{
    ngx_ivschat_sigv4_header_t  *h;

    h = &sgn->headers[sgn->nheaders++];

    h->name.data = name;
    h->name.len = ngx_strlen(name);
    h->value = value;
}


static ngx_int_t
ngx_ivschat_create(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_ivschat_policy_t *policy, ngx_ivschat_signed_t *sgn)
{
    ngx_http_request_t          *sr;
    ngx_http_post_subrequest_t  *ps;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_ivschat_done;
    ps->data = s;

    if (ngx_http_subrequest(r, &ngx_ivschat_get_conf(r)->uri, NULL, &sr, ps,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * A subrequest starts as a GET with a copy of the client's headers, none
     * of which may reach AWS.
     */

    sr->method = NGX_HTTP_POST;
    ngx_str_set(&sr->method_name, "POST");

    if (ngx_ivschat_set_headers(sr, sgn) != NGX_OK
        || ngx_ivschat_set_body(sr, &policy->body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(sr, s, ngx_http_ivschat_token_module);

    /* the proxy module keeps it if "proxy_ignore_client_abort" is on */

    sr->read_event_handler = ngx_ivschat_reading;

    s->active = sr;
    s->sent = ngx_time();

    ngx_ivschat_clear_limits(r, s);

    return NGX_OK;
}


/*
 * limit_req and limit_conn count once per request.  Those of the internal
 * location count, too, for the first attempt.
 */

static void
ngx_ivschat_clear_limits(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    if (s->limits.cleared) {
        return;
    }

    s->limits.cleared = 1;
    s->limits.req = r->limit_req_status;
    s->limits.conn = r->limit_conn_status;

    r->limit_req_status = 0;
    r->limit_conn_status = 0;
}


static void
ngx_ivschat_restore_limits(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    if (s->limits.req) {
        r->limit_req_status = s->limits.req;
    }

    if (s->limits.conn) {
        r->limit_conn_status = s->limits.conn;
    }
}


/*
 * The client has sent something, or has left.  A request that AWS has is
 * finished, so that its connection can be kept.
 */

static void
ngx_ivschat_reading(ngx_http_request_t *sr)
{
    ngx_event_t               *rev;
    ngx_ivschat_subrequest_t  *s;

    rev = sr->connection->read;

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active
        && ngx_del_event(rev, NGX_READ_EVENT, 0) != NGX_OK)
    {
        ngx_http_finalize_request(sr, NGX_ERROR);
        return;
    }

    s = ngx_http_get_module_ctx(sr, ngx_http_ivschat_token_module);

    if (s->active == sr && ngx_ivschat_client_left(sr)) {

        s->left = 1;
        sr->read_event_handler = ngx_http_request_empty_handler;

        if (sr->upstream == NULL || !sr->upstream->request_sent) {
            ngx_ivschat_subrequest_cancel(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        }
    }
}


/* As ngx_http_test_reading(), which ends the request. */

static ngx_uint_t
ngx_ivschat_client_left(ngx_http_request_t *r)
{
    char               buf[1];
    ssize_t            n;
    ngx_connection_t  *c;

    c = r->connection;

    if (c->error || c->read->error || c->read->pending_eof) {
        return 1;
    }

#if (NGX_HTTP_V2)
    if (r->stream) {
        return 0;
    }
#endif

#if (NGX_HTTP_V3)
    if (c->quic) {
        return 0;
    }
#endif

    if (!c->read->ready) {
        return 0;
    }

    n = recv(c->fd, buf, 1, MSG_PEEK);

    return n == 0 || (n == -1 && ngx_socket_errno != NGX_EAGAIN);
}


static ngx_int_t
ngx_ivschat_set_headers(ngx_http_request_t *sr, ngx_ivschat_signed_t *sgn)
{
    size_t                       i;
    ngx_str_t                    value;
    ngx_table_elt_t             *h;
    ngx_ivschat_sigv4_header_t  *header;

    ngx_memzero(&sr->headers_in, sizeof(ngx_http_headers_in_t));

    sr->headers_in.content_length_n = -1;
    sr->headers_in.keep_alive_n = -1;

    if (ngx_list_init(&sr->headers_in.headers, sr->pool, NGX_IVSCHAT_HEADERS,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < sgn->nheaders; i++) {
        header = &sgn->headers[i];

        if (ngx_strcmp(header->name.data, "host") == 0) {
            continue;                  /* the proxy module sends it */
        }

        h = ngx_list_push(&sr->headers_in.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        h->key.data = (u_char *) header->name.data;
        h->key.len = header->name.len;
        h->lowcase_key = h->key.data;

        /* the hash tells the proxy module not to send it twice */

        h->hash = ngx_hash_key(h->key.data, h->key.len);

        value.data = (u_char *) header->value.data;
        value.len = header->value.len;

        h->value.len = value.len;
        h->value.data = ngx_pstrdup(sr->pool, &value);
        if (h->value.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_set_body(ngx_http_request_t *sr, ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    b = ngx_create_temp_buf(sr->pool, body->len);
    cl = ngx_alloc_chain_link(sr->pool);

    if (rb == NULL || b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, body->data, body->len);
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    rb->bufs = cl;
    rb->buf = b;

    sr->request_body = rb;
    sr->headers_in.content_length_n = body->len;

    return NGX_OK;
}


/*
 * The post-subrequest handler.  An error returned here ends the client's
 * request, so it returns NGX_OK, unless the client has left.
 */

static ngx_int_t
ngx_ivschat_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_ivschat_subrequest_t *s = data;

    if (s->active != sr) {
        return NGX_OK;                 /* nginx may finalize it twice */
    }

    s->active = NULL;

    ngx_ivschat_restore_limits(sr->main, s);

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        return rc;
    }

    s->rc = rc;
    s->left = s->left || ngx_ivschat_client_left(sr);

    ngx_ivschat_collect(sr, s);

    if (s->left) {
        s->handler(sr->parent);
        return NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    sr->parent->write_event_handler = s->handler;

    return NGX_OK;
}


static void
ngx_ivschat_collect(ngx_http_request_t *sr, ngx_ivschat_subrequest_t *s)
{
    ngx_http_upstream_t       *u;
    ngx_http_core_loc_conf_t  *clcf;

    s->status = (s->rc >= NGX_HTTP_SPECIAL_RESPONSE)
                ? (ngx_uint_t) s->rc : sr->headers_out.status;

    u = sr->upstream;

    if (u == NULL) {
        return;
    }

    s->upstream = 1;

    if (u->header_sent) {
        s->aws_status = u->headers_in.status_n;
        s->not_http = (u->headers_in.status_n == 0);

    } else {
        s->big_header = u->buffer.start && u->buffer.last == u->buffer.end;
    }

    if (u->state) {
        s->connected = u->state->connect_time != (ngx_msec_t) -1;

        /* the peer is noted once there is a socket */

        s->no_socket = s->status == NGX_HTTP_INTERNAL_SERVER_ERROR
                       && u->state->peer == NULL;

        s->unverified = u->ssl && u->conf->ssl_verify
                        && u->conf->ssl_session_reuse && !s->connected
                        && u->upstream == ngx_ivschat_unverified;
    }

    clcf = ngx_http_get_module_loc_conf(sr, ngx_http_core_module);

    s->unresolved = u->resolved && u->resolved->sockaddr == NULL
                    && u->resolved->naddrs == 0 && u->peer.get == NULL
                    && clcf->resolver->connections.nelts == 0;

    ngx_ivschat_collect_headers(u, s);
    ngx_ivschat_collect_sent(u, s);
}


static void
ngx_ivschat_collect_headers(ngx_http_upstream_t *u,
    ngx_ivschat_subrequest_t *s)
{
    ngx_uint_t        i, n;
    ngx_str_t        *name;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (s->aws_status == 0) {
        return;
    }

    h = u->headers_in.date;

    if (h) {
        s->date = ngx_parse_http_time(h->value.data, h->value.len);
    }

    for (part = &u->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (n = 0; ngx_ivschat_answer_headers[n].name.len; n++) {
                name = &ngx_ivschat_answer_headers[n].name;

                /* nothing else may get into a log or a header */

                if (h[i].key.len == name->len
                    && ngx_strncasecmp(h[i].key.data, name->data, name->len)
                       == 0
                    && ngx_ivschat_str_only(ngx_ivschat_pure(&h[i].value),
                                            NGX_IVSCHAT_VISIBLE))
                {
                    *(ngx_str_t *) ((u_char *) s
                                    + ngx_ivschat_answer_headers[n].offset)
                        = h[i].value;
                }
            }
        }
    }
}


/*
 * The path and the Host header that nginx has sent, from the buffer with the
 * head of the request; nothing else of it may get into a log.
 */

static void
ngx_ivschat_collect_sent(ngx_http_upstream_t *u, ngx_ivschat_subrequest_t *s)
{
    u_char     *path, *host, *last, *end;
    ngx_buf_t  *b;

    static const char  name[] = "\r\nHost: ";

    if (u->request_bufs == NULL || u->request_bufs->buf->start == NULL) {
        return;
    }

    b = u->request_bufs->buf;
    last = b->last;

    path = ngx_strlchr(b->start, last, ' ');
    end = path ? ngx_strlchr(++path, last, ' ') : NULL;

    if (end == NULL) {
        return;
    }

    s->sent_path.data = path;
    s->sent_path.len = end - path;

    host = ngx_strlcasestrn(end, last, (u_char *) name, sizeof(name) - 2);

    if (host == NULL) {
        return;
    }

    host += sizeof(name) - 1;
    end = ngx_strlchr(host, last, '\r');

    if (end) {
        s->sent_host.data = host;
        s->sent_host.len = end - host;
    }
}


void
ngx_ivschat_subrequest_cancel(ngx_ivschat_subrequest_t *s, ngx_int_t status)
{
    ngx_event_t          *wev;
    ngx_http_request_t   *sr;
    ngx_http_upstream_t  *u;

    sr = s->active;
    u = sr->upstream;

    if (u && u->cleanup && *u->cleanup) {

        /* it drops a reference, and does not finalize the subrequest */

        sr->main->count++;
        (*u->cleanup)(sr);

    } else {

        /* delayed by limit_req, whose timer would hold up the answer */

        wev = sr->connection->write;

        if (wev->delayed) {
            wev->delayed = 0;

            if (wev->timer_set) {
                ngx_del_timer(wev);
            }
        }
    }

    sr->buffered = 0;

    ngx_http_finalize_request(sr, status);
}


void
ngx_ivschat_subrequest_init(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_ivschat_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_ivschat_body_filter;
}


/* Filters of modules that are loaded later must not alter AWS's answer. */

void
ngx_ivschat_subrequest_top(void)
{
    if (ngx_http_top_header_filter != ngx_ivschat_header_filter) {
        ngx_ivschat_below_header_filter = ngx_http_top_header_filter;
        ngx_http_top_header_filter = ngx_ivschat_top_header_filter;
    }

    if (ngx_http_top_body_filter != ngx_ivschat_body_filter) {
        ngx_ivschat_below_body_filter = ngx_http_top_body_filter;
        ngx_http_top_body_filter = ngx_ivschat_top_body_filter;
    }
}


/* The state of this subrequest, if it is ours and in flight. */

static ngx_ivschat_subrequest_t *
ngx_ivschat_awaited(ngx_http_request_t *r)
{
    ngx_ivschat_subrequest_t  *s;

    if (r == r->main || r->upstream == NULL) {
        return NULL;
    }

    s = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    return (s && s->active == r) ? s : NULL;
}


static ngx_int_t
ngx_ivschat_header_filter(ngx_http_request_t *r)
{
    ngx_ivschat_see(r);

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_ivschat_top_header_filter(ngx_http_request_t *r)
{
    ngx_ivschat_see(r);

    return ngx_ivschat_below_header_filter(r);
}


/*
 * The connection itself tells whether its certificate was verified: it may be
 * a kept-alive one that a location without verification has opened.
 */

static void
ngx_ivschat_see(ngx_http_request_t *r)
{
    ngx_uint_t                 verified;
    ngx_connection_t          *c;
    ngx_http_upstream_t       *u;
    ngx_ivschat_subrequest_t  *s;

    u = r->upstream;

    if (u == NULL) {
        return;
    }

    c = u->peer.connection;

    verified = c && c->ssl
               && SSL_get_verify_result(c->ssl->connection) == X509_V_OK;

    if (u->ssl && !verified) {
        ngx_ivschat_unverified = u->upstream;
    }

    s = ngx_ivschat_awaited(r);

    if (s) {
        s->tls = u->ssl && u->conf->ssl_verify && verified;

        if (!s->tls) {
            u->headers_in.connection_close = 1;    /* do not keep it alive */
        }
    }
}


static ngx_int_t
ngx_ivschat_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_ivschat_subrequest_t  *s;

    s = ngx_ivschat_awaited(r);

    return s ? ngx_ivschat_collect_body(r, s, in)
             : ngx_http_next_body_filter(r, in);
}


static ngx_int_t
ngx_ivschat_top_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_ivschat_subrequest_t  *s;

    s = ngx_ivschat_awaited(r);

    return s ? ngx_ivschat_collect_body(r, s, in)
             : ngx_ivschat_below_body_filter(r, in);
}


/*
 * Keeps the body instead of nginx's filter for subrequests in memory, which
 * ends the client's request if a body is too large.
 */

static ngx_int_t
ngx_ivschat_collect_body(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {

        if (cl->buf->last_in_chain || cl->buf->last_buf) {
            s->whole = 1;
        }

        if (ngx_buf_special(cl->buf)) {
            continue;
        }

        if (ngx_ivschat_keep(r, s, cl->buf) != NGX_OK) {

            /* nginx closes the connection, with or without buffering */

            s->big_body = 1;
            r->upstream->error = 1;

            if (r->upstream->buffering) {
                r->upstream->pipe->downstream_error = 1;
            }
        }

        cl->buf->pos = cl->buf->last;
    }

    return NGX_OK;
}


/* NGX_ERROR if it does not fit. */

static ngx_int_t
ngx_ivschat_keep(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_buf_t *b)
{
    off_t                      size;
    size_t                     len;
    ngx_http_core_loc_conf_t  *clcf;

    if (s->body.data == NULL) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        size = r->headers_out.content_length_n;

        if (size > (off_t) clcf->subrequest_output_buffer_size) {
            return NGX_ERROR;
        }

        s->size = (size >= 0) ? (size_t) size
                              : clcf->subrequest_output_buffer_size;

        s->body.data = ngx_pnalloc(r->pool, s->size);
        if (s->body.data == NULL) {
            return NGX_ERROR;
        }
    }

    len = b->last - b->pos;

    if (len > s->size - s->body.len) {
        return NGX_ERROR;
    }

    ngx_memcpy(s->body.data + s->body.len, b->pos, len);
    s->body.len += len;

    return NGX_OK;
}
