
/*
 * One attempt: a signed POST, as an in-memory subrequest into the operator's
 * internal location, and what came back from there.
 */


#include "ngx_ivschat_token.h"
#include "../creds/ngx_ivschat_creds.h"
#include "../creds/ngx_ivschat_zone.h"


#define NGX_IVSCHAT_HEADERS   4   /* those that are signed */


typedef struct {
    ngx_ivschat_sigv4_header_t      headers[NGX_IVSCHAT_HEADERS];
    ngx_ivschat_sigv4_request_t     request;
    ngx_ivschat_sigv4_scope_t       scope;
    ngx_str_t                       authorization;
} ngx_ivschat_signed_t;


static ngx_int_t ngx_ivschat_sign(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_signed_t *s);
static ngx_int_t ngx_ivschat_scope(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_creds_t *creds,
    ngx_ivschat_sigv4_scope_t *scope);
static void ngx_ivschat_sign_header(ngx_ivschat_sigv4_request_t *request,
    const char *name, ngx_ivschat_str_t value);
static ngx_int_t ngx_ivschat_subrequest(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_signed_t *s);
static ngx_int_t ngx_ivschat_set_headers(ngx_http_request_t *sr,
    ngx_ivschat_signed_t *s);
static ngx_int_t ngx_ivschat_push_header(ngx_http_request_t *sr,
    const char *name, size_t name_len, const char *value, size_t value_len);
static ngx_int_t ngx_ivschat_set_body(ngx_http_request_t *sr, ngx_str_t *body);
static ngx_int_t ngx_ivschat_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_ivschat_collect(ngx_http_request_t *sr,
    ngx_ivschat_answer_t *answer);
static void ngx_ivschat_collect_headers(ngx_http_upstream_t *u,
    ngx_ivschat_answer_t *answer);
static void ngx_ivschat_collect_sent(ngx_http_upstream_t *u,
    ngx_ivschat_answer_t *answer);
static ngx_ivschat_answer_t *ngx_ivschat_awaited(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_ivschat_keep(ngx_http_request_t *r,
    ngx_ivschat_answer_t *answer, ngx_buf_t *b);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_ivschat_send(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_ivschat_signed_t  s;

    ngx_memzero(&ctx->answer, sizeof(ngx_ivschat_answer_t));
    ctx->answer.date = NGX_ERROR;
    ngx_memzero(&ctx->error, sizeof(ngx_ivschat_error_t));
    ngx_memzero(&s, sizeof(ngx_ivschat_signed_t));

    rc = ngx_ivschat_sign(r, ctx, &s);

    if (rc == NGX_OK) {
        rc = ngx_ivschat_subrequest(r, ctx, &s);
    }

    ngx_explicit_memzero(s.scope.key, sizeof(s.scope.key));

    return rc;
}


static ngx_int_t
ngx_ivschat_sign(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_signed_t *s)
{
    size_t               size;
    ngx_int_t            rc;
    ngx_ivschat_str_t    value;
    ngx_ivschat_creds_t  creds;

    static ngx_ivschat_str_t  method = ngx_ivschat_string("POST");
    static ngx_ivschat_str_t  path
                        = ngx_ivschat_string(NGX_IVSCHAT_PATH);
    static ngx_ivschat_str_t  json = ngx_ivschat_string("application/json");

    rc = ngx_ivschat_creds_get(ctx->conf->credentials, &creds);
    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no AWS credentials from \"ivschat_token_credentials "
                      "%V\"",
                      ngx_ivschat_creds_name(
                                             ctx->conf->credentials));
        return rc;
    }

    ctx->generation = creds.generation;

    if (ngx_ivschat_scope(r, ctx, &creds, &s->scope) != NGX_OK) {
        return NGX_ERROR;
    }

    s->request.method = method;
    s->request.uri = path;
    s->request.headers = s->headers;
    ngx_memcpy(s->request.payload_hash, ctx->body_hash,
               sizeof(ctx->body_hash));

    ngx_ivschat_sign_header(&s->request, "content-type", json);

    ngx_ivschat_sign_header(&s->request, "host", ngx_ivschat_pure(&ctx->host));

    value.data = s->scope.time;
    value.len = NGX_IVSCHAT_SIGV4_TIME_LEN;
    ngx_ivschat_sign_header(&s->request, "x-amz-date", value);

    if (creds.session_token.len) {
        ngx_ivschat_sign_header(&s->request, "x-amz-security-token",
                                ngx_ivschat_pure(&creds.session_token));
    }

    size = ngx_ivschat_sigv4_buffer_size(&s->request, &s->scope);

    s->authorization.data = ngx_pnalloc(r->pool, size);
    if (s->authorization.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ivschat_sigv4_authorization(&s->request, &s->scope,
                                        (char *) s->authorization.data, size,
                                        &s->authorization.len)
        != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "the request for a chat token could not be signed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_scope(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_creds_t *creds, ngx_ivschat_sigv4_scope_t *scope)
{
    ngx_ivschat_main_conf_t  *mcf;

    static ngx_ivschat_str_t  service
                     = ngx_ivschat_string(NGX_IVSCHAT_SERVICE);

    mcf = ngx_http_get_module_main_conf(r, ngx_http_ivschat_token_module);

    scope->access_key = ngx_ivschat_pure(&creds->access_key);
    scope->region = ngx_ivschat_pure(&ctx->region);
    scope->service = service;

    /* by AWS's clock, as far as it is known */

    if (ngx_ivschat_sigv4_time(ngx_ivschat_creds_time(&mcf->creds),
                               scope->time)
        != 0
        || ngx_ivschat_sigv4_cached_key(&mcf->keys, creds->id,
                                        ngx_ivschat_pure(&creds->secret_key),
                              scope->time, scope->region, scope->service,
                                        scope->key)
        != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "no signing key could be derived");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_ivschat_sign_header(ngx_ivschat_sigv4_request_t *request, const char *name,
    ngx_ivschat_str_t value)
{
    ngx_ivschat_sigv4_header_t  *h;

    h = (ngx_ivschat_sigv4_header_t *) &request->headers[request->nheaders++];

    h->name.data = name;
    h->name.len = ngx_strlen(name);
    h->value = value;
}


static ngx_int_t
ngx_ivschat_subrequest(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_signed_t *s)
{
    ngx_http_request_t          *sr;
    ngx_http_post_subrequest_t  *ps;

    static ngx_str_t  method = ngx_string("POST");

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_ivschat_done;
    ps->data = ctx;

    if (ngx_http_subrequest(r, &ctx->conf->uri, NULL, &sr, ps,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * The subrequest starts as a GET with a copy of the client's headers;
     * nothing of them may reach AWS.
     */

    sr->method = NGX_HTTP_POST;
    sr->method_name = method;

    if (ngx_ivschat_set_headers(sr, s) != NGX_OK
        || ngx_ivschat_set_body(sr, &ctx->body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(sr, ctx, ngx_http_ivschat_token_module);

    ctx->subrequest = sr;
    ctx->attempts++;
    ctx->sent = ngx_time();

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ivschat token attempt:%ui uri:\"%V\" host:\"%V\"",
                   ctx->attempts, &ctx->conf->uri, &ctx->host);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_set_headers(ngx_http_request_t *sr, ngx_ivschat_signed_t *s)
{
    size_t                             i;
    const ngx_ivschat_sigv4_header_t  *h;

    ngx_memzero(&sr->headers_in, sizeof(ngx_http_headers_in_t));

    sr->headers_in.content_length_n = -1;
    sr->headers_in.keep_alive_n = -1;

    if (ngx_list_init(&sr->headers_in.headers, sr->pool,
                      NGX_IVSCHAT_HEADERS + 1,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < s->request.nheaders; i++) {
        h = &s->request.headers[i];

        if (h->name.len == 4) {
            continue;                  /* "host" is the proxy module's */
        }

        if (ngx_ivschat_push_header(sr, h->name.data, h->name.len,
                                    h->value.data, h->value.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_ivschat_push_header(sr, "authorization",
                                   sizeof("authorization") - 1,
                                   (const char *) s->authorization.data,
                                   s->authorization.len);
}


static ngx_int_t
ngx_ivschat_push_header(ngx_http_request_t *sr, const char *name,
    size_t name_len, const char *value, size_t value_len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&sr->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    /* the names are in lower case, and literals */

    h->key.data = (u_char *) name;
    h->key.len = name_len;
    h->lowcase_key = h->key.data;

    /* by its hash the proxy module sees that it is not to be sent twice */

    h->hash = ngx_hash_key(h->key.data, h->key.len);

    h->value.data = ngx_pnalloc(sr->pool, value_len + 1);
    if (h->value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, value_len);
    h->value.data[value_len] = '\0';
    h->value.len = value_len;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_set_body(ngx_http_request_t *sr, ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(sr->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    rb->bufs = ngx_alloc_chain_link(sr->pool);
    if (rb->bufs == NULL) {
        return NGX_ERROR;
    }

    /* to send it to another address, nginx goes back to b->start */

    b->start = body->data;
    b->pos = b->start;
    b->last = b->start + body->len;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    sr->request_body = rb;
    sr->headers_in.content_length_n = body->len;

    return NGX_OK;
}


/*
 * The post-subrequest handler.  An error handed on would end the client's
 * request, so it returns NGX_OK, unless the client has left.
 */

static ngx_int_t
ngx_ivschat_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_ivschat_ctx_t  *ctx = data;

    if (ctx->subrequest != sr) {
        return NGX_OK;                 /* nginx may finalize it twice */
    }

    ctx->subrequest = NULL;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, sr->connection->log, 0,
                   "ivschat token subrequest done rc:%i s:%ui",
                   rc, sr->headers_out.status);

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || sr->connection->error) {
        return rc;                     /* nginx ends the main request, too */
    }

    ctx->answer.rc = rc;

    ngx_ivschat_collect(sr, &ctx->answer);

    ctx->request->write_event_handler = ngx_ivschat_resume;

    return NGX_OK;
}


static void
ngx_ivschat_collect(ngx_http_request_t *sr, ngx_ivschat_answer_t *answer)
{
    ngx_http_upstream_t       *u;
    ngx_http_core_loc_conf_t  *clcf;

    answer->status = (answer->rc >= NGX_HTTP_SPECIAL_RESPONSE)
                     ? (ngx_uint_t) answer->rc : sr->headers_out.status;

    u = sr->upstream;

    if (u == NULL) {
        return;
    }

    clcf = ngx_http_get_module_loc_conf(sr, ngx_http_core_module);

    answer->upstream = 1;

    if (u->header_sent) {
        answer->aws_status = u->headers_in.status_n;
        answer->not_http = (u->headers_in.status_n == 0);
    }

    answer->connected = u->state
                        && u->state->connect_time != (ngx_msec_t) -1;

    /* the peer is noted once there is a socket */

    answer->no_socket = answer->status == NGX_HTTP_INTERNAL_SERVER_ERROR
                        && u->state && u->state->peer == NULL;

    answer->unresolved = u->resolved && u->resolved->sockaddr == NULL
                         && u->resolved->naddrs == 0 && u->peer.get == NULL
                         && clcf->resolver->connections.nelts == 0;

    answer->big_header = !u->header_sent && u->buffer.start
                         && u->buffer.last == u->buffer.end;

    ngx_ivschat_collect_headers(u, answer);
    ngx_ivschat_collect_sent(u, answer);
}


static void
ngx_ivschat_collect_headers(ngx_http_upstream_t *u,
    ngx_ivschat_answer_t *answer)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  request_id = ngx_string("x-amzn-requestid");
    static ngx_str_t  error_type = ngx_string("x-amzn-errortype");
    static ngx_str_t  retry_after = ngx_string("x-amz-retry-after");
    static ngx_str_t  date = ngx_string("date");

    if (answer->aws_status == 0) {
        return;
    }

    part = &u->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == retry_after.len
            && ngx_strncasecmp(h[i].key.data, retry_after.data,
                               retry_after.len)
            == 0)
        {
            answer->retry_after = h[i].value;
            continue;
        }

        if (h[i].key.len == date.len
            && ngx_strncasecmp(h[i].key.data, date.data, date.len) == 0)
        {
            answer->date = ngx_parse_http_time(h[i].value.data,
                                               h[i].value.len);
            continue;
        }

        if (h[i].key.len == 3
            && ngx_strncasecmp(h[i].key.data, (u_char *) "age", 3) == 0)
        {
            answer->old = 1;
        }

        if (h[i].key.len != request_id.len) {
            continue;                  /* the two are of one length */
        }

        if (ngx_strncasecmp(h[i].key.data, request_id.data, request_id.len)
            == 0)
        {
            answer->request_id = h[i].value;

        } else if (ngx_strncasecmp(h[i].key.data, error_type.data,
                                   error_type.len)
                   == 0)
        {
            answer->error_type = h[i].value;
        }
    }
}


/*
 * The path and the Host header that have left, from the buffer with the
 * request's head; nothing else of it may get into a log.
 */

static void
ngx_ivschat_collect_sent(ngx_http_upstream_t *u, ngx_ivschat_answer_t *answer)
{
    u_char     *p, *last, *end;
    ngx_buf_t  *b;

    static const char  host[] = "\r\nHost: ";

    if (u->request_bufs == NULL || u->request_bufs->buf->start == NULL) {
        return;
    }

    b = u->request_bufs->buf;
    last = b->last;

    p = ngx_strlchr(b->start, last, ' ');
    if (p == NULL) {
        return;
    }

    end = ngx_strlchr(++p, last, ' ');
    if (end == NULL) {
        return;
    }

    answer->sent_path.data = p;
    answer->sent_path.len = end - p;

    p = ngx_strlcasestrn(end, last, (u_char *) host, sizeof(host) - 2);
    if (p == NULL) {
        return;
    }

    p += sizeof(host) - 1;

    end = ngx_strlchr(p, last, '\r');
    if (end == NULL) {
        return;
    }

    answer->sent_host.data = p;
    answer->sent_host.len = end - p;
}


void
ngx_ivschat_cancel(ngx_ivschat_ctx_t *ctx, ngx_int_t status)
{
    ngx_event_t          *wev;
    ngx_http_request_t   *sr;
    ngx_http_upstream_t  *u;

    sr = ctx->subrequest;
    u = sr->upstream;

    if (u && u->cleanup && *u->cleanup) {

        /*
         * This finalizes the upstream, and with it one reference to the
         * request, but not the request itself.
         */

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


ngx_int_t
ngx_ivschat_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_ivschat_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_ivschat_body_filter;

    return NGX_OK;
}


/* The answer that this request of ours waits for; NULL for all others. */

static ngx_ivschat_answer_t *
ngx_ivschat_awaited(ngx_http_request_t *r)
{
    ngx_ivschat_ctx_t  *ctx;

    if (r == r->main || r->upstream == NULL) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    return (ctx && ctx->subrequest == r) ? &ctx->answer : NULL;
}


/*
 * Whether the answer comes over TLS with a certificate that was verified is
 * asked of the connection itself while it is there: it may be a kept-alive one
 * that another location, which does not verify, has opened.
 */

static ngx_int_t
ngx_ivschat_header_filter(ngx_http_request_t *r)
{
    ngx_connection_t      *c;
    ngx_http_upstream_t   *u;
    ngx_ivschat_answer_t  *answer;

    answer = ngx_ivschat_awaited(r);

    if (answer) {
        u = r->upstream;
        c = u->peer.connection;

        answer->tls = u->ssl && u->conf->ssl_verify && c && c->ssl
                      && SSL_get_verify_result(c->ssl->connection)
                         == X509_V_OK;

        if (!answer->tls) {

            /* nor may the next request find it among those kept alive */

            u->headers_in.connection_close = 1;
        }
    }

    return ngx_http_next_header_filter(r);
}


/*
 * The body is kept here, and not by nginx's filter for subrequests in memory:
 * that one fails where the body is too large, which ends the client's request
 * as well.
 */

static ngx_int_t
ngx_ivschat_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t           *cl;
    ngx_ivschat_answer_t  *answer;

    answer = ngx_ivschat_awaited(r);

    if (answer == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {

        if (cl->buf->last_in_chain || cl->buf->last_buf) {
            answer->whole = 1;
        }

        if (ngx_buf_special(cl->buf)) {
            continue;
        }

        if (ngx_ivschat_keep(r, answer, cl->buf) != NGX_OK) {

            /*
             * The rest is of no use: this has nginx close the connection, be
             * proxy_buffering on or off.
             */

            answer->big_body = 1;
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
ngx_ivschat_keep(ngx_http_request_t *r, ngx_ivschat_answer_t *answer,
    ngx_buf_t *b)
{
    off_t                      size;
    size_t                     len;
    ngx_http_core_loc_conf_t  *clcf;

    if (answer->body.data == NULL) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        size = r->headers_out.content_length_n;

        if (size > (off_t) clcf->subrequest_output_buffer_size) {
            return NGX_ERROR;
        }

        answer->size = (size >= 0) ? (size_t) size
                                   : clcf->subrequest_output_buffer_size;

        answer->body.data = ngx_pnalloc(r->pool, answer->size);
        if (answer->body.data == NULL) {
            return NGX_ERROR;
        }
    }

    len = b->last - b->pos;

    if (len > answer->size - answer->body.len) {
        return NGX_ERROR;
    }

    ngx_memcpy(answer->body.data + answer->body.len, b->pos, len);
    answer->body.len += len;

    return NGX_OK;
}
