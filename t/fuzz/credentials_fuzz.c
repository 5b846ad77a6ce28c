
/*
 * The answers of metadata services and of STS: what is accepted is what cJSON
 * finds in them, what is refused leaves nothing, and a reason never tells a
 * secret.  The same bytes are read as each kind of answer.
 */


#include "aws/ngx_ivschat_api.h"
#include "aws/ngx_ivschat_credentials.h"

#include "fuzz.h"


#define NOW   INT64_C(1795500000)


/* The object with the keys, which is in three others in an answer of STS. */

static const cJSON *
keys_of(const cJSON *tree, ngx_ivschat_credentials_flavour_e flavour)
{
    size_t       i;
    char         name[64];
    const char  *ends[] = { "Response", "Result" };

    if (flavour < NGX_IVSCHAT_ASSUME_ROLE) {
        return tree;
    }

    for (i = 0; i < size(ends); i++) {
        (void) snprintf(name, sizeof(name), "%s%s",
                        flavour == NGX_IVSCHAT_ASSUME_ROLE
                        ? "AssumeRole" : "AssumeRoleWithWebIdentity", ends[i]);
        tree = cJSON_GetObjectItemCaseSensitive(tree, name);
    }

    return cJSON_GetObjectItemCaseSensitive(tree, "Credentials");
}


static void
check_accepted(const cJSON *keys, const ngx_ivschat_credentials_t *creds,
    int sts)
{
    int64_t       ms;
    const char   *token;
    const cJSON  *expiration;

    must(strcmp(creds->access_key, fuzz_string(keys, "AccessKeyId")) == 0);
    must(strcmp(creds->secret_key, fuzz_string(keys, "SecretAccessKey")) == 0);

    token = fuzz_string(keys, sts ? "SessionToken" : "Token");
    must(strcmp(creds->session_token, token ? token : "") == 0);

    must(creds->access_key_len == strlen(creds->access_key));
    must(creds->secret_key_len == strlen(creds->secret_key));
    must(creds->session_token_len == strlen(creds->session_token));
    must(creds->access_key_len && creds->secret_key_len);
    must(fuzz_visible(creds->access_key) && fuzz_visible(creds->secret_key));
    must(fuzz_visible(creds->session_token));

    expiration = cJSON_GetObjectItemCaseSensitive(keys, "Expiration");

    if (cJSON_IsString(expiration)) {
        token = expiration->valuestring;
        must(ngx_ivschat_time_parse(token, &ms) == 0);
        must(creds->expiration == ms / 1000);

    } else {
        must(sts && creds->expiration == (int64_t) expiration->valuedouble);
    }

    must(creds->expiration > (sts ? NOW : 0));
}


/* The same set in the plainest answer of each kind is accepted. */

static void
check_again(const ngx_ivschat_credentials_t *creds)
{
    int                 i;
    char                buf[65536], time[NGX_IVSCHAT_TIME_LEN + 1];
    char                reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_out_t   out;

    static const char  *heads[] = {
        "{\"Token\":", "{\"Token\":",
        "{\"AssumeRoleResponse\":{\"AssumeRoleResult\":{\"Credentials\":"
        "{\"SessionToken\":",
        "{\"AssumeRoleWithWebIdentityResponse\":"
        "{\"AssumeRoleWithWebIdentityResult\":{\"Credentials\":"
        "{\"SessionToken\":"
    };

    static ngx_ivschat_credentials_t  again;

    (void) ngx_ivschat_time_format(creds->expiration * 1000, time);

    for (i = 0; i < NGX_IVSCHAT_NFLAVOURS && creds->session_token_len; i++) {
        out = (ngx_ivschat_out_t) { buf, sizeof(buf), 0 };

        ngx_ivschat_out_text(&out, heads[i]);
        ngx_ivschat_json_write(&out, ngx_ivschat_str(creds->session_token));
        ngx_ivschat_out_text(&out, ",\"AccessKeyId\":");
        ngx_ivschat_json_write(&out, ngx_ivschat_str(creds->access_key));
        ngx_ivschat_out_text(&out, ",\"SecretAccessKey\":");
        ngx_ivschat_json_write(&out, ngx_ivschat_str(creds->secret_key));
        ngx_ivschat_out_text(&out, ",\"Expiration\":");
        ngx_ivschat_json_write(&out, ngx_ivschat_str(time));
        ngx_ivschat_out_text(&out, i < NGX_IVSCHAT_ASSUME_ROLE ? "}" : "}}}}");
        must(out.len < out.size);

        must(ngx_ivschat_credentials_parse(i, buf, out.len,
                                           creds->expiration - 1, &again,
                                           reason, sizeof(reason)) == 0);
        must(memcmp(&again, creds, sizeof(again)) == 0);
    }
}


/* A value of this length is in no text of ours. */

static void
check_reason(const cJSON *keys, const char *reason)
{
    size_t       i;
    const char  *secret;
    const char  *names[] = { "SecretAccessKey", "SessionToken", "Token" };

    for (i = 0; i < size(names); i++) {
        secret = fuzz_string(keys, names[i]);
        must(secret == NULL || strlen(secret) < 40
             || strstr(reason, secret) == NULL);
    }
}


static void
check_refresh(int64_t expiration)
{
    uint32_t               delay;
    ngx_ivschat_refresh_t  times;

    ngx_ivschat_refresh_times(NOW, expiration, &times);

    must(times.advisory <= times.mandatory);
    must(times.mandatory <= (expiration > NOW ? expiration : NOW));

    delay = ngx_ivschat_refresh_delay(&times, NOW, 1, (uint32_t) expiration);
    must(delay >= 1000 && delay <= 600000);
}


static void
check_flavour(ngx_ivschat_str_t s, const cJSON *tree,
    ngx_ivschat_credentials_flavour_e flavour)
{
    int           rc, sts;
    char          reason[NGX_IVSCHAT_REASON_LEN];
    const cJSON  *keys;

    static ngx_ivschat_credentials_t        creds;
    static const ngx_ivschat_credentials_t  none;

    reason[0] = '\0';
    sts = flavour >= NGX_IVSCHAT_ASSUME_ROLE;
    keys = keys_of(tree, flavour);
    rc = ngx_ivschat_credentials_parse(flavour, s.data, s.len, NOW, &creds,
                                       reason, sizeof(reason));

    if (rc == 0) {
        fuzz_accepted++;

        check_accepted(keys, &creds, sts);
        check_again(&creds);
        check_refresh(creds.expiration);
        return;
    }

    must(rc == -1 && reason[0] != '\0');
    must(memcmp(&creds, &none, sizeof(none)) == 0);
    check_reason(keys, reason);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int                 i;
    cJSON              *tree;
    ngx_ivschat_str_t   s;

    s = fuzz_copy(data, len);
    tree = fuzz_cjson(s);

    for (i = 0; i < NGX_IVSCHAT_NFLAVOURS; i++) {
        check_flavour(s, tree, (ngx_ivschat_credentials_flavour_e) i);
    }

    cJSON_Delete(tree);
    fuzz_free(s);

    return 0;
}
