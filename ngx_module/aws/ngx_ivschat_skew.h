
/*
 * How far this host's clock is from AWS's, as the Date headers of its answers
 * tell.
 *
 * The rule is that of AWS's SDKs of 2026: the offset is taken against the
 * middle between sending and receiving, unless the answer is an old one (it
 * has an Age) or was under way for more than 15 minutes; AWS refuses what is
 * more than five minutes off, so that more than four are corrected.
 */


#ifndef _NGX_IVSCHAT_SKEW_H_INCLUDED_
#define _NGX_IVSCHAT_SKEW_H_INCLUDED_


#include <stdint.h>


#define NGX_IVSCHAT_SKEW_MOST     240      /* seconds that need no correction */
#define NGX_IVSCHAT_SKEW_FLIGHT   900      /* seconds */


/*
 * The seconds to add to this host's clock: 0 if it is near enough, and what it
 * was if the answer cannot tell (date is -1, or it was under way too long).
 * All times are seconds since the epoch, sent and received by this host's
 * clock.
 */

int64_t ngx_ivschat_skew(int64_t was, int64_t date, int64_t sent,
    int64_t received);

/*
 * Whether a refusal with this code may have come from a wrong clock: then the
 * same request, signed with the time corrected, may be taken.
 */

int ngx_ivschat_skew_code(const char *code);


#endif /* _NGX_IVSCHAT_SKEW_H_INCLUDED_ */
