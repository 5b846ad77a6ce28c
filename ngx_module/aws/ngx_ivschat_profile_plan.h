
/*
 * What a profile of AWS's shared files means: where its credentials come
 * from, and which roles are assumed with them.
 *
 * The rules: "Assume role credential provider" in the AWS SDKs and Tools
 * Reference Guide, and the SDKs' common test cases.  Where SDKs differ:
 *
 *     - the profile asked for is a role before it is a pair of keys; one that
 *       is reached by source_profile is its keys, if it has both (all SDKs);
 *     - web_identity_token_file goes before source_profile and
 *       credential_source (Python, Rust), and without role_arn is an error;
 *     - role_arn with none of the three is an error (Python, Rust) and does
 *       not fall back to keys (JavaScript);
 *     - keys go before credential_process, SSO and login (JavaScript), which
 *       block or need a browser, and are refused;
 *     - an aws_session_token of config does not go with an access key of
 *       credentials (Python reads the files apart);
 *     - duration_seconds is for role_arn with a source, not for a web identity
 *       (all SDKs).
 *
 * Nothing here allocates, does I/O or knows nginx.
 */


#ifndef _NGX_IVSCHAT_PROFILE_PLAN_H_INCLUDED_
#define _NGX_IVSCHAT_PROFILE_PLAN_H_INCLUDED_


#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_profile.h"
#include "ngx_ivschat_role.h"


typedef enum {
    NGX_IVSCHAT_PLAN_OK = 0,
    NGX_IVSCHAT_PLAN_ERROR,            /* the operator has to change a file */
    NGX_IVSCHAT_PLAN_NOTHING           /* there is no such profile, or nothing
                                          in it is about credentials: another
                                          source may be tried */
} ngx_ivschat_plan_e;


/*
 * Exactly one of secret_key, identity_file and source is set.  All strings
 * belong to the profiles.
 */

typedef struct {
    const ngx_ivschat_property_t   *secret_key;      /* keys are in creds */
    const char                     *identity_file;   /* for the role "web" */
    const ngx_ivschat_property_t   *source;          /* credential_source */

    ngx_ivschat_role_t              web;
    ngx_ivschat_role_t              roles[NGX_IVSCHAT_ROLES_MAX];
    size_t                          nroles;          /* assumed from the last
                                                        to the first */

    const char                     *region;          /* NULL: none */
    ngx_ivschat_str_t               sts_endpoint;    /* URL; empty: AWS's */
    const ngx_ivschat_property_t   *unfollowed;      /* FIPS, dual-stack */
} ngx_ivschat_plan_t;


/*
 * Fills *plan for a profile, and *creds if it has keys.  All values that are
 * used are checked, but the name of a credential_source.  Unless the result is
 * OK, reason is a text for the log, mostly with file and line; it may have
 * names of profiles, but no other values.
 *
 * region is that of the profile asked for, else that of the first in the chain
 * of source_profile that has one.  sts_endpoint is endpoint_url below "sts" in
 * the section that "services" names, else the profile's own endpoint_url, and
 * nothing with ignore_configured_endpoint_urls.  unfollowed is a
 * use_fips_endpoint or use_dualstack_endpoint that is not "false";
 * sts_regional_endpoints is ignored.  All three are valid with NOTHING, too.
 */

ngx_ivschat_plan_e ngx_ivschat_profile_plan(
    const ngx_ivschat_profiles_t *profiles, ngx_ivschat_str_t name,
    ngx_ivschat_plan_t *plan, ngx_ivschat_credentials_t *creds, char *reason,
    size_t size);


#endif /* _NGX_IVSCHAT_PROFILE_PLAN_H_INCLUDED_ */
