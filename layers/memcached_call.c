/* One write as the program wrote it: which function, with or without a group key. */
#include "layers/memcached.h"

static memcached_return_t store(enum layer_verb verb, const struct memcached_call *c)
{
	typedef memcached_return_t store_fn(memcached_st *, const char *, size_t, const char *,
					    size_t, time_t, uint32_t);
	typedef memcached_return_t store_by_key_fn(memcached_st *, const char *, size_t,
						   const char *, size_t, const char *, size_t,
						   time_t, uint32_t);
	store_fn *plain = NULL;
	store_by_key_fn *by_key = NULL;

	switch (verb) {
	case LAYER_SET:
		plain = memcached_real.memcached_set;
		by_key = memcached_real.memcached_set_by_key;
		break;
	case LAYER_ADD:
		plain = memcached_real.memcached_add;
		by_key = memcached_real.memcached_add_by_key;
		break;
	case LAYER_REPLACE:
		plain = memcached_real.memcached_replace;
		by_key = memcached_real.memcached_replace_by_key;
		break;
	case LAYER_APPEND:
		plain = memcached_real.memcached_append;
		by_key = memcached_real.memcached_append_by_key;
		break;
	default:
		plain = memcached_real.memcached_prepend;
		by_key = memcached_real.memcached_prepend_by_key;
		break;
	}
	return c->by_key ? by_key(c->handle, c->group, c->n_group, c->key, c->n_key, c->value,
				  c->n_value, c->expiration, c->flags)
			 : plain(c->handle, c->key, c->n_key, c->value, c->n_value, c->expiration,
				 c->flags);
}

static memcached_return_t compare_and_store(const struct memcached_call *c)
{
	return c->by_key
		       ? memcached_real.memcached_cas_by_key(c->handle, c->group, c->n_group,
							     c->key, c->n_key, c->value, c->n_value,
							     c->expiration, c->flags, c->cas)
		       : memcached_real.memcached_cas(c->handle, c->key, c->n_key, c->value,
						      c->n_value, c->expiration, c->flags, c->cas);
}

/* Without a master key libmemcached's plain functions take 32 bits of the offset. */
static memcached_return_t count_up_or_down(bool up, const struct memcached_call *c)
{
	if (c->by_key) {
		return (up ? memcached_real.memcached_increment_by_key
			   : memcached_real.memcached_decrement_by_key)(
			c->handle, c->group, c->n_group, c->key, c->n_key, c->delta, c->counter);
	}
	return (up ? memcached_real.memcached_increment : memcached_real.memcached_decrement)(
		c->handle, c->key, c->n_key, (uint32_t)c->delta, c->counter);
}

static memcached_return_t count_with_initial(bool up, const struct memcached_call *c)
{
	if (c->by_key) {
		return (up ? memcached_real.memcached_increment_with_initial_by_key
			   : memcached_real.memcached_decrement_with_initial_by_key)(
			c->handle, c->group, c->n_group, c->key, c->n_key, c->delta, c->initial,
			c->expiration, c->counter);
	}
	return (up ? memcached_real.memcached_increment_with_initial
		   : memcached_real.memcached_decrement_with_initial)(
		c->handle, c->key, c->n_key, c->delta, c->initial, c->expiration, c->counter);
}

static memcached_return_t delete_item(const struct memcached_call *c)
{
	return c->by_key ? memcached_real.memcached_delete_by_key(c->handle, c->group, c->n_group,
								  c->key, c->n_key, c->expiration)
			 : memcached_real.memcached_delete(c->handle, c->key, c->n_key,
							   c->expiration);
}

static memcached_return_t touch(const struct memcached_call *c)
{
	return c->by_key
		       ? memcached_real.memcached_touch_by_key(c->handle, c->group, c->n_group,
							       c->key, c->n_key, c->expiration)
		       : memcached_real.memcached_touch(c->handle, c->key, c->n_key, c->expiration);
}

void memcached_perform(enum layer_verb verb, struct memcached_call *call)
{
	bool up = verb == LAYER_INCREMENT;

	switch (verb) {
	case LAYER_CAS:
		call->rc = compare_and_store(call);
		break;
	case LAYER_DELETE:
		call->rc = delete_item(call);
		break;
	case LAYER_INCREMENT:
	case LAYER_DECREMENT:
		call->rc = call->with_initial ? count_with_initial(up, call)
					      : count_up_or_down(up, call);
		break;
	case LAYER_TOUCH:
		call->rc = touch(call);
		break;
	default:
		call->rc = store(verb, call);
		break;
	}
}
