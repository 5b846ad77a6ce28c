
#include "ngx_ivschat_rate.h"
#include "../creds/ngx_ivschat_nginx.h"


#define NGX_IVSCHAT_USERS       4096    /* lists of places */
#define NGX_IVSCHAT_WAIT_MAX    120000  /* ms */

#define NGX_IVSCHAT_LATE        1000    /* ms after the wait */
#define NGX_IVSCHAT_SECOND      1000    /* ms between lines of the log, and
                                           looks for dead processes */
#define NGX_IVSCHAT_FOREVER     0x7fffffff


/* The requests of this worker that wait for one account. */

struct ngx_ivschat_queues_s {
    ngx_queue_t                  lines[2];   /* by ngx_ivschat_turn_e */
    ngx_msec_t                   buried;     /* last look for the dead */
};


static char *ngx_ivschat_rate_number(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value, ngx_uint_t *number);
static char *ngx_ivschat_rate_param(ngx_conf_t *cf,
    ngx_ivschat_rate_conf_t *rcf, ngx_str_t *arg);
static char *ngx_ivschat_rate_wait(ngx_conf_t *cf,
    ngx_ivschat_rate_conf_t *rcf, ngx_str_t *arg, ngx_str_t *value);
static ngx_int_t ngx_ivschat_rate_worker(ngx_cycle_t *cycle,
    ngx_ivschat_rate_conf_t *rcf);

static ngx_queue_t *ngx_ivschat_rate_users(ngx_ivschat_rate_conf_t *rcf,
    ngx_ivschat_place_t *place, ngx_str_t *user);
static void ngx_ivschat_rate_wait_in_line(ngx_ivschat_place_t *place,
    ngx_msec_t delay);
static void ngx_ivschat_rate_timer(ngx_event_t *ev);
static ngx_msec_int_t ngx_ivschat_rate_ask(ngx_ivschat_place_t *place);
static ngx_msec_int_t ngx_ivschat_rate_left(ngx_ivschat_place_t *place);
static void ngx_ivschat_rate_sleep(ngx_ivschat_place_t *place,
    ngx_msec_int_t ms);
static void ngx_ivschat_rate_dequeue(ngx_ivschat_place_t *place);
static void ngx_ivschat_rate_unbook(ngx_ivschat_place_t *place,
    ngx_uint_t expired);

static void ngx_ivschat_rate_refuse(ngx_ivschat_place_t *place,
    ngx_ivschat_refusal_e refusal);
static void ngx_ivschat_rate_summary(ngx_event_t *ev);


#define ngx_ivschat_rate_lock(rcf)     ngx_shmtx_lock(&(rcf)->shpool->mutex)
#define ngx_ivschat_rate_unlock(rcf)   ngx_shmtx_unlock(&(rcf)->shpool->mutex)

#define ngx_ivschat_rate_now()         ((uint32_t) ngx_current_msec)


static const char  *ngx_ivschat_refusals[] = {
    [NGX_IVSCHAT_REFUSAL_WAIT] = "no token within the wait of "
                                 "\"ivschat_token_rate\"",
    [NGX_IVSCHAT_REFUSAL_USER] = "a user has too many requests, see \"user\" "
                                 "of \"ivschat_token_rate\"",
    [NGX_IVSCHAT_REFUSAL_FULL] = "too many AWS accounts and regions in "
                                 "computed rooms"
};


/* number [burst=n] [wait=time] [user=n|off], or off */

char *
ngx_ivschat_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                     *rv;
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = (ngx_ivschat_rate_conf_t *) ((char *) conf + cmd->offset);

    if (rcf->rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            return ngx_ivschat_invalid(cf, &value[2],
                                       "\"off\" has no parameters");
        }

        rcf->rate = 0;
        return NGX_CONF_OK;
    }

    rv = ngx_ivschat_rate_number(cf, &value[1], &value[1], &rcf->rate);

    for (i = 2; rv == NGX_CONF_OK && i < cf->args->nelts; i++) {
        rv = ngx_ivschat_rate_param(cf, rcf, &value[i]);
    }

    return rv;
}


static char *
ngx_ivschat_rate_number(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value,
    ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || n > 100000) {
        return ngx_ivschat_invalid(cf, arg,
                                   "a number from 1 to 100000 is expected");
    }

    *number = n;

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_rate_param(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf,
    ngx_str_t *arg)
{
    ngx_str_t  value;

    value.data = arg->data + 6;
    value.len = arg->len - 6;

    if (ngx_strncmp(arg->data, "burst=", 6) == 0
        && rcf->burst == NGX_CONF_UNSET_UINT)
    {
        return ngx_ivschat_rate_number(cf, arg, &value, &rcf->burst);
    }

    value.data--;
    value.len++;

    if (ngx_strncmp(arg->data, "wait=", 5) == 0
        && rcf->wait == NGX_CONF_UNSET_MSEC)
    {
        return ngx_ivschat_rate_wait(cf, rcf, arg, &value);
    }

    if (ngx_strncmp(arg->data, "user=", 5) == 0
        && rcf->user == NGX_CONF_UNSET_UINT)
    {
        if (ngx_strcmp(value.data, "off") == 0) {
            rcf->user = 0;
            return NGX_CONF_OK;
        }

        return ngx_ivschat_rate_number(cf, arg, &value, &rcf->user);
    }

    return ngx_ivschat_invalid(cf, arg,
                               "the parameters are \"burst=number\", "
                               "\"wait=time\" and \"user=number|off\", each "
                               "once");
}


static char *
ngx_ivschat_rate_wait(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf,
    ngx_str_t *arg, ngx_str_t *value)
{
    ngx_int_t  ms;

    ms = ngx_parse_time(value, 0);

    if (ms == NGX_ERROR || ms > NGX_IVSCHAT_WAIT_MAX) {
        return ngx_ivschat_invalid(cf, arg,
                                   "a time up to \"120s\" is expected");
    }

    rcf->wait = ms;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_ivschat_rate_create(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf)
{
    rcf->rate = NGX_CONF_UNSET_UINT;
    rcf->burst = NGX_CONF_UNSET_UINT;
    rcf->wait = NGX_CONF_UNSET_MSEC;
    rcf->user = NGX_CONF_UNSET_UINT;

    return ngx_array_init(&rcf->names, cf->pool, 4,
                          sizeof(ngx_ivschat_account_name_t));
}


void
ngx_ivschat_rate_defaults(ngx_ivschat_rate_conf_t *rcf)
{
    ngx_conf_init_uint_value(rcf->rate, 200);
    ngx_conf_init_uint_value(rcf->burst, 200);
    ngx_conf_init_msec_value(rcf->wait, 4000);
    ngx_conf_init_uint_value(rcf->user, 8);

    if (rcf->rate == 0) {
        rcf->user = 0;
    }
}


ngx_int_t
ngx_ivschat_rate_room(ngx_ivschat_rate_conf_t *rcf, ngx_str_t *arn)
{
    ngx_uint_t                   i;
    ngx_ivschat_account_name_t   name, *known;

    ngx_ivschat_account_name(arn, &name);

    known = rcf->names.elts;

    for (i = 0; i < rcf->names.nelts; i++) {
        if (known[i].len == name.len
            && ngx_memcmp(known[i].data, name.data, name.len) == 0)
        {
            return NGX_OK;
        }
    }

    known = name.len ? ngx_array_push(&rcf->names) : &name;
    if (known == NULL) {
        return NGX_ERROR;
    }

    *known = name;

    return NGX_OK;
}


ngx_int_t
ngx_ivschat_rate_commit(ngx_cycle_t *cycle, ngx_ivschat_rate_conf_t *rcf)
{
    ngx_uint_t                   i;
    ngx_ivschat_account_t       *account;
    ngx_ivschat_accounts_t      *table;
    ngx_ivschat_account_name_t  *name;

    table = rcf->table;

    if (table == NULL) {
        return NGX_OK;
    }

    ngx_ivschat_rate_lock(rcf);

    table->limit = ngx_max(rcf->rate, 1);
    table->burst = rcf->burst;
    table->wait = rcf->wait;

    for (i = 0; i < table->n; i++) {
        account = &table->accounts[i];
        account->configured = 0;

        if (account->name.len) {
            ngx_ivschat_bucket_configure(&account->bucket,
                                         ngx_ivschat_rate_now(), table->limit,
                                         table->burst, table->wait);
        }
    }

    name = rcf->names.elts;

    for (i = 0; i < rcf->names.nelts; i++) {
        account = ngx_ivschat_account_find(table, &name[i], 1);

        if (account) {
            account->configured = 1;
        }
    }

    ngx_ivschat_rate_unlock(rcf);

    return ngx_ivschat_rate_worker(cycle, rcf);
}


/* Each worker has its own copy, since they are made before it forks. */

static ngx_int_t
ngx_ivschat_rate_worker(ngx_cycle_t *cycle, ngx_ivschat_rate_conf_t *rcf)
{
    ngx_uint_t  i;

    rcf->queues = ngx_pcalloc(cycle->pool, rcf->table->n
                                           * sizeof(ngx_ivschat_queues_t));
    rcf->users = ngx_palloc(cycle->pool,
                            NGX_IVSCHAT_USERS * sizeof(ngx_queue_t));

    if (rcf->queues == NULL || rcf->users == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rcf->table->n; i++) {
        ngx_queue_init(&rcf->queues[i].lines[NGX_IVSCHAT_BUCKET_RETRY]);
        ngx_queue_init(&rcf->queues[i].lines[NGX_IVSCHAT_BUCKET_FIRST]);
    }

    for (i = 0; i < NGX_IVSCHAT_USERS; i++) {
        ngx_queue_init(&rcf->users[i]);
    }

    rcf->dummy.fd = (ngx_socket_t) -1;
    rcf->dummy.data = rcf;

    rcf->timer.handler = ngx_ivschat_rate_summary;
    rcf->timer.data = &rcf->dummy;
    rcf->timer.log = cycle->log;
    rcf->timer.cancelable = 1;

    return NGX_OK;
}


void
ngx_ivschat_rate_start(ngx_ivschat_rate_conf_t *rcf)
{
    ngx_uint_t  i;

    if (rcf->table == NULL) {
        return;
    }

    rcf->seed = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random();

    /* this worker may replace one that was killed */

    ngx_ivschat_rate_lock(rcf);

    for (i = 0; i < rcf->table->n; i++) {
        ngx_ivschat_account_bury(rcf->table, &rcf->table->accounts[i],
                                 ngx_pid);
    }

    ngx_ivschat_rate_unlock(rcf);
}


void
ngx_ivschat_rate_stop(ngx_ivschat_rate_conf_t *rcf)
{
    if (rcf->timer.timer_set) {
        ngx_del_timer(&rcf->timer);
        ngx_ivschat_rate_summary(&rcf->timer);
    }
}


ngx_int_t
ngx_ivschat_rate_enter(ngx_ivschat_rate_conf_t *rcf,
    ngx_ivschat_place_t *place, ngx_str_t *arn, ngx_str_t *user)
{
    ngx_uint_t            n;
    ngx_queue_t          *q, *users;
    ngx_ivschat_place_t  *other;

    place->rcf = rcf;

    ngx_ivschat_account_name(arn, &place->name);

    if (user == NULL || rcf->user == 0) {
        return NGX_OK;
    }

    users = ngx_ivschat_rate_users(rcf, place, user);
    n = 0;

    for (q = ngx_queue_head(users);
         q != ngx_queue_sentinel(users);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_ivschat_place_t, user_queue);

        if (other->user->len == user->len
            && other->name.len == place->name.len
            && ngx_memcmp(other->user->data, user->data, user->len) == 0
            && ngx_memcmp(other->name.data, place->name.data, place->name.len)
               == 0
            && ++n == rcf->user)
        {
            ngx_ivschat_rate_refuse(place, NGX_IVSCHAT_REFUSAL_USER);
            return NGX_BUSY;
        }
    }

    place->user = user;
    ngx_queue_insert_tail(users, &place->user_queue);

    return NGX_OK;
}


/* The list of a user, whose place a client cannot know. */

static ngx_queue_t *
ngx_ivschat_rate_users(ngx_ivschat_rate_conf_t *rcf,
    ngx_ivschat_place_t *place, ngx_str_t *user)
{
    size_t    i;
    uint64_t  hash;

    hash = rcf->seed ^ place->name.hash;

    for (i = 0; i < user->len; i++) {
        hash = (hash ^ user->data[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }

    return &rcf->users[hash % NGX_IVSCHAT_USERS];
}


ngx_int_t
ngx_ivschat_rate_take(ngx_ivschat_place_t *place, ngx_uint_t retry,
    ngx_msec_t wait)
{
    unsigned                  delay;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = place->rcf;
    delay = 0;

    place->turn = retry ? NGX_IVSCHAT_BUCKET_RETRY : NGX_IVSCHAT_BUCKET_FIRST;
    place->asked = ngx_current_msec;
    place->wait = wait;

    ngx_ivschat_rate_lock(rcf);

    if (place->account == NULL) {
        place->account = ngx_ivschat_account_find(rcf->table, &place->name, 0);

        if (place->account == NULL) {
            ngx_ivschat_rate_unlock(rcf);
            ngx_ivschat_rate_refuse(place, NGX_IVSCHAT_REFUSAL_FULL);
            return NGX_DECLINED;
        }

        ngx_ivschat_account_hold(rcf->table, place->account, &place->tally);
    }

    if (rcf->rate) {
        delay = ngx_ivschat_bucket_book(&place->account->bucket,
                                        ngx_ivschat_rate_now(), place->turn,
                                        &place->ticket);
    }

    if (delay && place->tally) {
        place->tally->waiting[place->turn]++;
    }

    ngx_ivschat_rate_unlock(rcf);

    if (delay == 0) {
        return NGX_OK;
    }

    ngx_ivschat_rate_wait_in_line(place, delay);

    return NGX_AGAIN;
}


static void
ngx_ivschat_rate_wait_in_line(ngx_ivschat_place_t *place, ngx_msec_t delay)
{
    ngx_uint_t                first;
    ngx_msec_int_t            left;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = place->rcf;

    place->timer.handler = ngx_ivschat_rate_timer;
    place->line = &rcf->queues[place->account - rcf->table->accounts]
                       .lines[place->turn];

    first = ngx_queue_empty(place->line);

    ngx_queue_insert_tail(place->line, &place->queue);

    left = ngx_ivschat_rate_left(place);

    ngx_ivschat_rate_sleep(place, first ? ngx_min(left, (ngx_msec_int_t) delay)
                                        : left);
}


/*
 * The first request of a queue asks again, or has become the first; or the
 * wait of any other request has ended.
 */

static void
ngx_ivschat_rate_timer(ngx_event_t *ev)
{
    ngx_msec_int_t        left, delay;
    ngx_ivschat_place_t  *place;

    place = ngx_queue_data(ev, ngx_ivschat_place_t, timer);

    left = ngx_ivschat_rate_left(place);
    delay = NGX_IVSCHAT_FOREVER;

    if (left > -NGX_IVSCHAT_LATE && ngx_queue_head(place->line)
                                    == &place->queue)
    {
        delay = ngx_ivschat_rate_ask(place);
    }

    if (delay && left > 0) {
        ngx_ivschat_rate_sleep(place, ngx_min(delay, left));
        return;
    }

    ngx_ivschat_rate_dequeue(place);

    if (delay) {
        ngx_ivschat_rate_lock(place->rcf);
        ngx_ivschat_rate_unbook(place, 1);
        ngx_ivschat_rate_unlock(place->rcf);

        ngx_ivschat_rate_refuse(place, NGX_IVSCHAT_REFUSAL_WAIT);
    }

    place->handler(place->data, delay == 0);
}


/* Milliseconds until the next question; 0: the call is granted. */

static ngx_msec_int_t
ngx_ivschat_rate_ask(ngx_ivschat_place_t *place)
{
    ngx_msec_int_t            delay;
    ngx_ivschat_queues_t     *queues;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = place->rcf;
    queues = &rcf->queues[place->account - rcf->table->accounts];

    ngx_ivschat_rate_lock(rcf);

    if (ngx_current_msec - queues->buried >= NGX_IVSCHAT_SECOND) {
        queues->buried = ngx_current_msec;
        ngx_ivschat_account_bury(rcf->table, place->account, 0);
    }

    delay = ngx_ivschat_bucket_due(&place->account->bucket,
                                   ngx_ivschat_rate_now(), place->ticket);

    if (delay == 0 && place->tally) {
        place->tally->waiting[place->turn]--;
    }

    ngx_ivschat_rate_unlock(rcf);

    return delay;
}


/* Milliseconds until the end of the wait. */

static ngx_msec_int_t
ngx_ivschat_rate_left(ngx_ivschat_place_t *place)
{
    if (place->wait == NGX_TIMER_INFINITE) {
        return NGX_IVSCHAT_FOREVER;
    }

    return (ngx_msec_int_t) (place->asked + place->wait - ngx_current_msec);
}


static void
ngx_ivschat_rate_sleep(ngx_ivschat_place_t *place, ngx_msec_int_t ms)
{
    /* nginx would leave a timer that is nearly right as it is */

    if (place->timer.timer_set) {
        ngx_del_timer(&place->timer);
    }

    if (ms != NGX_IVSCHAT_FOREVER) {
        ngx_add_timer(&place->timer, (ngx_msec_t) ngx_max(ms, 1));
    }
}


/* If the first request goes, the next one asks. */

static void
ngx_ivschat_rate_dequeue(ngx_ivschat_place_t *place)
{
    ngx_uint_t            first;
    ngx_event_t          *ev;
    ngx_ivschat_place_t  *next;

    first = ngx_queue_head(place->line) == &place->queue;

    ngx_queue_remove(&place->queue);

    if (first && !ngx_queue_empty(place->line)) {
        next = ngx_queue_data(ngx_queue_head(place->line),
                              ngx_ivschat_place_t, queue);
        ev = &next->timer;
        ngx_post_event(ev, &ngx_posted_events);
    }

    place->line = NULL;

    if (place->timer.posted) {
        ev = &place->timer;
        ngx_delete_posted_event(ev);
    }

    if (place->timer.timer_set) {
        ngx_del_timer(&place->timer);
    }

    place->waited += ngx_current_msec - place->asked;
    place->asked = ngx_current_msec;
}


static void
ngx_ivschat_rate_unbook(ngx_ivschat_place_t *place, ngx_uint_t expired)
{
    ngx_ivschat_bucket_leave(&place->account->bucket, ngx_ivschat_rate_now(),
                             place->ticket, expired);

    if (place->tally) {
        place->tally->waiting[place->turn]--;
    }
}


void
ngx_ivschat_rate_leave(ngx_ivschat_place_t *place)
{
    ngx_uint_t  waits;

    if (place->user) {
        ngx_queue_remove(&place->user_queue);
        place->user = NULL;
    }

    if (place->account == NULL) {
        return;
    }

    waits = (place->line != NULL);

    if (waits) {
        ngx_ivschat_rate_dequeue(place);
    }

    ngx_ivschat_rate_lock(place->rcf);

    if (waits) {
        ngx_ivschat_rate_unbook(place, 0);
    }

    ngx_ivschat_account_release(place->rcf->table, place->account,
                                place->tally);

    ngx_ivschat_rate_unlock(place->rcf);

    place->account = NULL;
}


void
ngx_ivschat_rate_tell(ngx_ivschat_place_t *place, ngx_ivschat_call_e outcome,
    ngx_uint_t success)
{
    ngx_ivschat_account_t  *account;

    account = place->account;

    ngx_ivschat_rate_lock(place->rcf);

    if (place->rcf->rate) {
        ngx_ivschat_bucket_feedback(&account->bucket, ngx_ivschat_rate_now(),
                                    (uint32_t) place->asked, outcome);
    }

    if (success) {
        ngx_ivschat_retry_success(&account->quota, place->cost);

        account->minted = 1;
        place->account = NULL;

        ngx_ivschat_account_release(place->rcf->table, account, place->tally);
    }

    ngx_ivschat_rate_unlock(place->rcf);
}


void
ngx_ivschat_rate_give_back(ngx_ivschat_place_t *place)
{
    if (place->rcf->rate == 0) {
        return;
    }

    ngx_ivschat_rate_lock(place->rcf);

    ngx_ivschat_bucket_give_back(&place->account->bucket,
                                 ngx_ivschat_rate_now());

    ngx_ivschat_rate_unlock(place->rcf);
}


ngx_uint_t
ngx_ivschat_rate_retry_after(ngx_ivschat_place_t *place)
{
    ngx_uint_t  seconds;

    if (place->account == NULL || place->rcf->rate == 0) {
        return 1 + ngx_random() % 3;
    }

    ngx_ivschat_rate_lock(place->rcf);

    /* nginx's random numbers have 31 bits */

    seconds = ngx_ivschat_bucket_retry_after(&place->account->bucket,
                                             ngx_ivschat_rate_now(),
                                             (uint32_t) ngx_random() << 1);

    ngx_ivschat_rate_unlock(place->rcf);

    return seconds;
}


ngx_int_t
ngx_ivschat_rate_retry(ngx_ivschat_place_t *place, ngx_ivschat_retry_e cls)
{
    ngx_uint_t  cost;

    ngx_ivschat_rate_lock(place->rcf);

    cost = ngx_ivschat_retry_take(&place->account->quota, cls);

    ngx_ivschat_rate_unlock(place->rcf);

    if (cost == 0) {
        return NGX_DECLINED;
    }

    place->cost = cost;

    return NGX_OK;
}


/*
 * The first refusal in a while is logged with its request, and what follows
 * within a second in one line.
 */

static void
ngx_ivschat_rate_refuse(ngx_ivschat_place_t *place,
    ngx_ivschat_refusal_e refusal)
{
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = place->rcf;

    if (rcf->refusals[refusal].logged) {
        rcf->refusals[refusal].count++;
        return;
    }

    rcf->refusals[refusal].logged = 1;

    ngx_log_error(NGX_LOG_WARN, place->timer.log, 0, "request refused: %s",
                  ngx_ivschat_refusals[refusal]);

    if (!rcf->timer.timer_set) {
        ngx_add_timer(&rcf->timer, NGX_IVSCHAT_SECOND);
    }
}


static void
ngx_ivschat_rate_summary(ngx_event_t *ev)
{
    ngx_uint_t                i, again;
    ngx_connection_t         *dummy;
    ngx_ivschat_rate_conf_t  *rcf;

    dummy = ev->data;
    rcf = dummy->data;
    again = 0;

    for (i = 0; i < NGX_IVSCHAT_REFUSALS; i++) {

        rcf->refusals[i].logged = (rcf->refusals[i].count != 0);

        if (rcf->refusals[i].logged) {
            ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                          "%ui more requests refused: %s",
                          rcf->refusals[i].count, ngx_ivschat_refusals[i]);

            rcf->refusals[i].count = 0;
            again = 1;
        }
    }

    if (again) {
        ngx_add_timer(&rcf->timer, NGX_IVSCHAT_SECOND);
    }
}
