
#include "ngx_ivschat_accounts.h"
#include "../aws/ngx_ivschat_api.h"
#include "../creds/ngx_ivschat_nginx.h"


#define NGX_IVSCHAT_ACCOUNTS   512
#define NGX_IVSCHAT_TALLIES    1024


static ngx_ivschat_account_t *ngx_ivschat_account_room(
    ngx_ivschat_accounts_t *table, ngx_uint_t configured);
static ngx_uint_t ngx_ivschat_account_older(ngx_ivschat_account_t *one,
    ngx_ivschat_account_t *two);
static void ngx_ivschat_tally_free(ngx_ivschat_accounts_t *table,
    ngx_ivschat_tally_t **link);


ngx_uint_t
ngx_ivschat_accounts_number(ngx_uint_t literal)
{
    ngx_uint_t  n;

    for (n = NGX_IVSCHAT_ACCOUNTS; n / 2 < literal; n *= 2) { /* void */ }

    return n;
}


size_t
ngx_ivschat_accounts_size(ngx_uint_t n)
{
    return sizeof(ngx_ivschat_accounts_t)
           + n * (sizeof(ngx_ivschat_account_t) + sizeof(uint32_t))
           + (n + NGX_IVSCHAT_TALLIES) * sizeof(ngx_ivschat_tally_t);
}


ngx_ivschat_accounts_t *
ngx_ivschat_accounts_create(ngx_slab_pool_t *shpool, ngx_uint_t n)
{
    ngx_uint_t               i;
    ngx_ivschat_tally_t     *tallies;
    ngx_ivschat_accounts_t  *table;

    table = ngx_slab_calloc(shpool, ngx_ivschat_accounts_size(n));
    if (table == NULL) {
        return NULL;
    }

    table->n = n;
    table->accounts = (ngx_ivschat_account_t *)
                          ngx_align_ptr(&table->hashes[n], sizeof(void *));
    tallies = (ngx_ivschat_tally_t *) &table->accounts[n];

    for (i = 0; i < n + NGX_IVSCHAT_TALLIES; i++) {
        tallies[i].next = table->free;
        table->free = &tallies[i];
    }

    return table;
}


void
ngx_ivschat_account_name(ngx_str_t *arn, ngx_ivschat_account_name_t *name)
{
    u_char                 *p;
    ngx_ivschat_room_arn_t  parts;

    name->len = 0;

    if (ngx_ivschat_room_arn_parse(ngx_ivschat_pure(arn), &parts) == 0) {
        p = ngx_snprintf(name->data, NGX_IVSCHAT_ACCOUNT_MAX, "%*s/%*s",
                         ngx_min(parts.account.len, 32), parts.account.data,
                         parts.region.len, parts.region.data);
        name->len = p - name->data;
    }

    name->hash = ngx_murmur_hash2(name->data, name->len);
}


ngx_ivschat_account_t *
ngx_ivschat_account_find(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_name_t *name, ngx_uint_t configured)
{
    ngx_uint_t              i;
    ngx_ivschat_account_t  *account;

    for (i = 0; i < table->n; i++) {
        account = &table->accounts[i];

        if (table->hashes[i] == name->hash
            && account->name.len == name->len
            && ngx_memcmp(account->name.data, name->data, name->len) == 0)
        {
            account->used = ngx_current_msec;
            return account;
        }
    }

    account = ngx_ivschat_account_room(table, configured);

    if (account) {
        ngx_memzero(account, sizeof(ngx_ivschat_account_t));

        account->name = *name;
        account->used = ngx_current_msec;

        ngx_ivschat_bucket_init(&account->bucket, (uint32_t) ngx_current_msec,
                                table->limit, table->burst, table->wait);
        ngx_ivschat_retry_init(&account->quota);

        table->hashes[account - table->accounts] = name->hash;
    }

    return account;
}


static ngx_ivschat_account_t *
ngx_ivschat_account_room(ngx_ivschat_accounts_t *table, ngx_uint_t configured)
{
    ngx_uint_t              i, computed;
    ngx_ivschat_account_t  *account, *unused, *oldest;

    unused = NULL;
    oldest = NULL;
    computed = 0;

    for (i = 0; i < table->n; i++) {
        account = &table->accounts[i];

        if (account->name.len == 0) {
            unused = account;

        } else if (!account->configured) {
            computed++;

            if (account->held == 0
                && (oldest == NULL
                    || ngx_ivschat_account_older(account, oldest)))
            {
                oldest = account;
            }
        }
    }

    return (unused && (configured || computed < table->n / 2)) ? unused
                                                               : oldest;
}


static ngx_uint_t
ngx_ivschat_account_older(ngx_ivschat_account_t *one,
    ngx_ivschat_account_t *two)
{
    if (one->minted != two->minted) {
        return two->minted;
    }

    return (ngx_msec_int_t) (two->used - one->used) > 0;
}


void
ngx_ivschat_account_hold(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_t *account, ngx_ivschat_tally_t **tally)
{
    ngx_ivschat_tally_t  *t;

    for (t = account->tallies; t && t->pid != ngx_pid; t = t->next) {
        /* void */
    }

    if (t == NULL && table->free) {
        t = table->free;
        table->free = t->next;

        ngx_memzero(t, sizeof(ngx_ivschat_tally_t));

        t->pid = ngx_pid;
        t->next = account->tallies;
        account->tallies = t;
    }

    if (t) {
        t->held++;
    }

    account->held++;
    *tally = t;
}


void
ngx_ivschat_account_release(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_t *account, ngx_ivschat_tally_t *tally)
{
    ngx_ivschat_tally_t  **link;

    account->held--;

    if (tally && --tally->held == 0) {

        for (link = &account->tallies; *link != tally; link = &(*link)->next) {
            /* void */
        }

        ngx_ivschat_tally_free(table, link);
    }
}


void
ngx_ivschat_account_bury(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_t *account, ngx_pid_t self)
{
    uint32_t               now;
    ngx_uint_t             i;
    ngx_ivschat_tally_t   *t, **link;

    now = (uint32_t) ngx_current_msec;
    link = &account->tallies;

    while (*link) {
        t = *link;

        if (t->pid != self && (kill(t->pid, 0) == 0 || ngx_errno != ESRCH)) {
            link = &t->next;
            continue;
        }

        for (i = 0; i < 2; i++) {
            ngx_ivschat_bucket_dead(&account->bucket, now, i, t->waiting[i]);
        }

        account->held -= t->held;

        ngx_ivschat_tally_free(table, link);
    }
}


static void
ngx_ivschat_tally_free(ngx_ivschat_accounts_t *table,
    ngx_ivschat_tally_t **link)
{
    ngx_ivschat_tally_t  *t;

    t = *link;
    *link = t->next;

    t->next = table->free;
    table->free = t;
}
