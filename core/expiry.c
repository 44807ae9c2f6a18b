#include "core/expiry.h"

#include "base/clock.h"

int64_t expiry_deadline_ns(int64_t exptime)
{
	int64_t left_s = exptime;

	if (exptime == 0) {
		return CLOCK_NEVER;
	}
	if (exptime < 0 || exptime > UINT32_MAX) {
		return 0;
	}
	if (exptime > EXPIRY_RELATIVE_MAX_S) {
		left_s = exptime - clock_wall_s();
	}
	if (left_s <= 0) {
		return 0;
	}
	return clock_now_ns() + left_s * CLOCK_NS_PER_S;
}

int64_t expiry_exptime(int64_t deadline_ns)
{
	int64_t left_s;

	if (deadline_ns == CLOCK_NEVER) {
		return 0;
	}
	left_s = (deadline_ns - clock_now_ns()) / CLOCK_NS_PER_S;
	if (left_s <= 0) {
		return -1;
	}
	if (left_s <= EXPIRY_RELATIVE_MAX_S) {
		return left_s;
	}
	left_s += clock_wall_s();
	return left_s < INT32_MAX ? left_s : INT32_MAX;
}

int64_t expiry_cap(int64_t exptime, int64_t ttl_ns)
{
	int64_t ttl_s = ttl_ns / CLOCK_NS_PER_S;
	int64_t left_s = exptime;
	int64_t now_s;

	if (ttl_s == 0 || exptime < 0) {
		return exptime;
	}
	now_s = clock_wall_s();
	if (exptime > EXPIRY_RELATIVE_MAX_S) {
		left_s = exptime - now_s;
	}
	if (exptime != 0 && left_s <= ttl_s) {
		return exptime;
	}
	return ttl_s > EXPIRY_RELATIVE_MAX_S ? now_s + ttl_s : ttl_s;
}
