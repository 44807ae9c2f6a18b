/*
 * What a program finds in results, in its handle and in its allocators, and
 * what its callbacks are told.
 */
#include "tests/shim/client.h"

#include <errno.h>

static const char *const keys[] = { "alpha", "beta", "missing", "gamma" };
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static void store_keys(memcached_st *handle)
{
	store(handle, "alpha", "A", 1);
	store(handle, "beta", "BB", 2);
	store(handle, "gamma", "", 3);
}

/* --- the handle's own result, which C programs look into after a get --- */

static void observe_own_result(memcached_st *handle)
{
	const memcached_result_st *result = &handle->result;

	observe("own result: key \"%.*s\" %zu flags %#x cas %s value %zu expires %lld",
		(int)memcached_result_key_length(result), memcached_result_key_value(result) ?: "",
		memcached_result_key_length(result), memcached_result_flags(result),
		memcached_result_cas(result) ? "yes" : "no", memcached_result_length(result),
		(long long)result->item_expiration);
}

TEST_IN_BOTH(test_own_result__tells_of_the_last_get)
{
	store_keys(handle);
	if (handle->flags.binary_protocol) {
		/* Else the id of what the program itself wrote is not asked for. */
		memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	}
	for (int i = 0; i < 3; i++) {
		for (size_t k = 0; k < N_KEYS; k++) {
			get(handle, keys[k]);
			observe_own_result(handle);
			get(handle, keys[k]);
			observe_own_result(handle);
		}
		ask(handle, keys, N_KEYS);
		fetch_all(handle);
		observe_own_result(handle);
	}
}

TEST_IN_BOTH(test_get_with_cas__the_id_is_good)
{
	memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	store_keys(handle);
	for (int i = 0; i < 4; i++) {
		get(handle, "beta");
		get(handle, "beta");
		observe_own_result(handle);
		observe_state(handle, "cas",
			      memcached_cas(handle, "beta", 4, i % 2 ? "odd" : "even", 3 + !(i % 2),
					    0, 0, memcached_result_cas(&handle->result)));
		get(handle, "beta");
	}
}

/* --- results of the program's own --- */

/* No NUL follows a key or value of the binary protocol. */
static void observe_result(const memcached_result_st *result)
{
	observe("%.*s: \"%.*s\" flags %#x", (int)memcached_result_key_length(result),
		memcached_result_key_value(result), (int)memcached_result_length(result),
		memcached_result_value(result) ?: "", memcached_result_flags(result));
}

TEST_IN_BOTH(test_results_on_the_stack__all_are_good_after_the_last)
{
	memcached_result_st results[N_KEYS];

	store_keys(handle);
	for (int i = 0; i < 3; i++) {
		memcached_return_t rc = MEMCACHED_SUCCESS;
		size_t n = 0;

		ask(handle, keys, N_KEYS);
		while (n < N_KEYS) {
			memcached_result_create(handle, &results[n]);
			if (memcached_fetch_result(handle, &results[n], &rc) == NULL) {
				break;
			}
			n++;
		}
		observe("end: %s, %s", name_of(rc), results[n].options.is_initialized ? "in" : "");
		memcached_result_free(&results[n]);
		for (size_t k = 0; k < n; k++) {
			observe_result(&results[k]);
			memcached_result_free(&results[k]);
		}
	}
}

TEST_IN_BOTH(test_one_result_for_all__holds_the_last)
{
	memcached_result_st *one = memcached_result_create(handle, NULL);
	memcached_result_st on_stack;

	store_keys(handle);
	memcached_result_create(handle, &on_stack);
	for (int i = 0; i < 3; i++) {
		memcached_return_t rc;

		ask(handle, keys, N_KEYS);
		while (memcached_fetch_result(handle, &on_stack, &rc)) {
			char *taken;
			size_t n = memcached_result_length(&on_stack);

			observe_result(&on_stack);
			taken = memcached_result_take_value(&on_stack);
			observe("taken %.*s, left %zu", (int)n, taken ? taken : "",
				memcached_result_length(&on_stack));
			free(taken);
		}
		observe("end: %s, length %zu", name_of(rc), memcached_result_length(&on_stack));
	}
	ask(handle, keys, 2);
	observe("first %s", memcached_fetch_result(handle, one, NULL) == one ? "same" : "other");
	observe("second %s", memcached_fetch_result(handle, one, NULL) == one ? "same" : "other");
	/* At the end the library frees a result that it made itself. */
	observe("end %s", memcached_fetch_result(handle, one, NULL) ? "one" : "none");
	memcached_result_free(&on_stack);
}

/* Nothing of a value stays before the next one, however much room that needs. */
TEST_IN_BOTH(test_one_result_for_all__values_need_more_room_each)
{
	static const size_t sizes[] = { 10, 1500, 0, 3000, 40, 9000 };
	static const char *const names[] = { "k0", "k1", "k2", "k3", "k4", "k5" };
	const size_t n_keys = sizeof(sizes) / sizeof(sizes[0]);
	char value[9000];

	for (size_t k = 0; k < n_keys; k++) {
		memset(value, (int)('a' + k), sizes[k]);
		observe_state(handle, "set",
			      memcached_set(handle, names[k], 2, value, sizes[k], 0, 0));
	}
	for (int i = 0; i < 3; i++) {
		memcached_result_st result;
		memcached_return_t rc;

		ask(handle, names, n_keys);
		memcached_result_create(handle, &result);
		while (memcached_fetch_result(handle, &result, &rc)) {
			size_t n = memcached_result_length(&result);
			const char *bytes = memcached_result_value(&result);
			size_t n_alike = 0;

			while (n_alike < n && bytes[n_alike] == bytes[0]) {
				n_alike++;
			}
			observe("%zu bytes, %zu of them %c", n, n_alike, n ? bytes[0] : '-');
		}
		memcached_result_free(&result);
	}
}

TEST_IN_BOTH(test_fetch_with_null_outputs__fetches_all_the_same)
{
	store_keys(handle);
	for (int i = 0; i < 2; i++) {
		memcached_return_t rc;
		size_t n = 77;

		ask(handle, keys, N_KEYS);
		free(memcached_fetch(handle, NULL, NULL, NULL, NULL, NULL));
		free(memcached_fetch(handle, NULL, NULL, &n, NULL, &rc));
		observe("second: %s, %zu", name_of(rc), n);
		free(memcached_fetch(handle, NULL, &n, NULL, NULL, &rc));
		observe("third: %s, %s", name_of(rc), n == 77 ? "untouched" : "touched");
		free(memcached_fetch(handle, NULL, NULL, NULL, NULL, &rc));
		observe("end: %s", name_of(rc));
	}
}

/* --- callbacks --- */

struct called {
	unsigned n;
	unsigned fails_at;
	memcached_return_t answer;
};

static memcached_return_t fail_sometimes(const memcached_st *handle, memcached_result_st *result,
					 void *context)
{
	struct called *called = context;

	observe("called with %.*s", (int)memcached_result_key_length(result),
		memcached_result_key_value(result));
	return called->n++ == called->fails_at ? called->answer : MEMCACHED_SUCCESS;
}

static memcached_return_t second(const memcached_st *handle, memcached_result_st *result,
				 void *context)
{
	observe("second with %.*s", (int)memcached_result_key_length(result),
		memcached_result_key_value(result));
	return MEMCACHED_SUCCESS;
}

/* Without the handle's address, with which it begins. */
static void observe_message(memcached_st *handle)
{
	const char *message = memcached_last_error_message(handle);
	const char *text = message ? strchr(message, ')') : NULL;

	observe("message%s", text ? text : " none");
}

TEST_IN_BOTH(test_callback_that_fails__is_the_last_error)
{
	static const memcached_return_t answers[] = {
		MEMCACHED_FAILURE,     MEMCACHED_ERROR,
		MEMCACHED_NOTFOUND,    MEMCACHED_END,
		MEMCACHED_BUFFERED,    MEMCACHED_INVALID_ARGUMENTS,
		MEMCACHED_E2BIG,       MEMCACHED_TIMEOUT,
		MEMCACHED_SOME_ERRORS, MEMCACHED_PROTOCOL_ERROR,
	};
	memcached_execute_fn callbacks[] = { fail_sometimes, second };

	store_keys(handle);
	for (size_t a = 0; a < sizeof(answers) / sizeof(answers[0]); a++) {
		for (unsigned at = 0; at < 3; at++) {
			struct called called = { 0, at, answers[a] };

			ask(handle, keys, N_KEYS);
			observe_state(handle, "fetch_execute",
				      memcached_fetch_execute(handle, callbacks, &called, 2));
			observe_message(handle);
			/* It ends with the next call. */
			get(handle, "alpha");
		}
	}
}

static memcached_return_t trigger_answer;

static memcached_return_t make_value(const memcached_st *handle, const char *key, size_t n_key,
				     memcached_result_st *result)
{
	observe("trigger for %.*s", (int)n_key, key);
	memcached_result_set_value(result, "made", 4);
	memcached_result_set_flags(result, 9);
	return trigger_answer;
}

static memcached_return_t delete_trigger(const memcached_st *handle, const char *key, size_t n_key)
{
	observe("delete trigger for %.*s", (int)n_key, key);
	return MEMCACHED_SUCCESS;
}

static void set_trigger(memcached_st *handle, memcached_callback_t which, void *bytes)
{
	const void *trigger;

	memcpy(&trigger, bytes, sizeof(trigger));
	observe_state(handle, "callback_set", memcached_callback_set(handle, which, trigger));
}

TEST_IN_BOTH(test_get_failure_trigger__called_when_nothing_has_it)
{
	static const memcached_return_t answers[] = { MEMCACHED_SUCCESS, MEMCACHED_NOTFOUND,
						      MEMCACHED_FAILURE, MEMCACHED_BUFFERED };
	memcached_trigger_key_fn make = make_value;
	/* What is sent late for one may come while the other is tested. */
	const char *lost = handle->flags.binary_protocol ? "lost-binary" : "lost-text";

	set_trigger(handle, MEMCACHED_CALLBACK_GET_FAILURE, &make);
	for (size_t a = 0; a < sizeof(answers) / sizeof(answers[0]); a++) {
		trigger_answer = answers[a];
		observe("-- %s", name_of(trigger_answer));
		memcached_delete(handle, lost, strlen(lost), 0);
		get(handle, lost);
		if (trigger_answer == MEMCACHED_BUFFERED) {
			/* Sent over a connection that was closed behind it: comes when it comes. */
			continue;
		}
		get(handle, lost);
		get(handle, lost);
		ask(handle, keys, N_KEYS);
		fetch_result_all(handle);
	}
}

/* What memcached has lost and memory still has is not lost: one large memcached. */
static void test_get_failure_trigger__not_while_memory_has_it(void **state)
{
	memcached_trigger_key_fn make = make_value;
	memcached_st *handle = handle_open(false);
	memcached_return_t rc = MEMCACHED_FAILURE;
	size_t n = 0;
	char *value;

	observe("-- lost by memcached");
	set_trigger(handle, MEMCACHED_CALLBACK_GET_FAILURE, &make);
	trigger_answer = MEMCACHED_FAILURE;
	store(handle, "kept", "value", 0);
	get(handle, "kept");
	assert_true(server_restart(client_server));
	memcached_quit(handle);
	if (preloaded()) {
		value = memcached_get(handle, "kept", 4, &n, NULL, &rc);
		assert_int_equal(rc, MEMCACHED_SUCCESS);
		assert_int_equal(n, 5);
		free(value);
	}
	/* It is gone for whoever deletes it; there is something to delete where Redis has it. */
	memcached_delete(handle, "kept", 4, 0);
	get(handle, "kept");
	memcached_free(handle);
}

TEST_IN_BOTH(test_delete_trigger__called_when_it_was_there)
{
	memcached_trigger_delete_key_fn deleted = delete_trigger;

	store_keys(handle);
	set_trigger(handle, MEMCACHED_CALLBACK_DELETE_TRIGGER, &deleted);
	get(handle, "alpha");
	for (int i = 0; i < 2; i++) {
		observe_state(handle, "delete", memcached_delete(handle, "alpha", 5, 0));
		observe_state(handle, "delete", memcached_delete(handle, "missing", 7, 0));
		get(handle, "alpha");
	}
	observe_state(handle, "buffer",
		      memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1));
	observe_state(handle, "delete", memcached_delete(handle, "beta", 4, 0));
	get(handle, "beta");
}

/* --- allocators of the program, which read what it keeps with its handle --- */

struct own_memory {
	unsigned magic;
	long in_use;
};

static struct own_memory *memory_of(const memcached_st *handle, void *context)
{
	struct own_memory *memory = memcached_get_user_data(handle);

	assert_ptr_equal(memory, context);
	assert_int_equal(memory->magic, 4711);
	return memory;
}

static void *own_malloc(const memcached_st *handle, size_t n, void *context)
{
	char *bytes = malloc(n + 16);

	assert_non_null(bytes);
	memory_of(handle, context)->in_use++;
	/* A block of another allocator would be freed with the wrong address. */
	return bytes + 16;
}

static void own_free(const memcached_st *handle, void *bytes, void *context)
{
	if (bytes) {
		memory_of(handle, context)->in_use--;
		free((char *)bytes - 16);
	}
}

static void *own_realloc(const memcached_st *handle, void *bytes, size_t n, void *context)
{
	char *larger;

	if (bytes == NULL) {
		return own_malloc(handle, n, context);
	}
	memory_of(handle, context);
	larger = realloc((char *)bytes - 16, n + 16);
	assert_non_null(larger);
	return larger + 16;
}

static void *own_calloc(const memcached_st *handle, size_t n, size_t size, void *context)
{
	char *bytes = own_malloc(handle, n * size, context);

	memset(bytes, 0, n * size);
	return bytes;
}

static void get_and_give_back(memcached_st *handle, const char *key, struct own_memory *memory)
{
	memcached_return_t rc;
	uint32_t flags = 0;
	size_t n = 0;
	char *value = memcached_get(handle, key, strlen(key), &n, &flags, &rc);

	observe_value("get", value, n, flags, rc);
	own_free(handle, value, memory);
}

/* Allocated handles belong to the default allocator, so this one is the program's. */
static void with_own_memory(bool binary)
{
	struct own_memory memory = { 4711, 0 };
	memcached_st handle;
	memcached_result_st *result;
	memcached_return_t rc;

	memcached_create(&handle);
	memcached_set_user_data(&handle, &memory);
	observe("allocators: %s",
		name_of(memcached_set_memory_allocators(&handle, own_malloc, own_free, own_realloc,
							own_calloc, &memory)));
	memcached_server_add_unix_socket(&handle, server_socket(client_server));
	memcached_behavior_set(&handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary);
	store_keys(&handle);
	for (int i = 0; i < 3; i++) {
		get_and_give_back(&handle, "beta", &memory);
		get_and_give_back(&handle, "gamma", &memory);
		get_and_give_back(&handle, "missing", &memory);
		ask(&handle, keys, N_KEYS);
		while ((result = memcached_fetch_result(&handle, NULL, &rc))) {
			char *taken = memcached_result_take_value(result);

			own_free(&handle, taken, &memory);
			memcached_result_free(result);
		}
		observe("end: %s", name_of(rc));
	}
	memcached_free(&handle);
	observe("left: %ld", memory.in_use);
}

static void test_own_allocators__have_every_value(void **state)
{
	with_own_memory(false);
	with_own_memory(true);
}

static void test_preloaded__memory_answered(void **state)
{
	if (preloaded()) {
		assert_true(layer_hits("memory") > 0);
		assert_true(calls_seen("memcached_fetch_execute") > 0);
	}
}

int main(int n_arguments, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_result__tells_of_the_last_get),
		cmocka_unit_test(test_get_with_cas__the_id_is_good),
		cmocka_unit_test(test_results_on_the_stack__all_are_good_after_the_last),
		cmocka_unit_test(test_one_result_for_all__holds_the_last),
		cmocka_unit_test(test_one_result_for_all__values_need_more_room_each),
		cmocka_unit_test(test_fetch_with_null_outputs__fetches_all_the_same),
		cmocka_unit_test(test_callback_that_fails__is_the_last_error),
		cmocka_unit_test(test_get_failure_trigger__called_when_nothing_has_it),
		cmocka_unit_test(test_get_failure_trigger__not_while_memory_has_it),
		cmocka_unit_test(test_delete_trigger__called_when_it_was_there),
		cmocka_unit_test(test_own_allocators__have_every_value),
		cmocka_unit_test(test_preloaded__memory_answered),
	};

	/* Long enough for a server to start again. */
	client_environment("TOWER_MEMORY_TTL", "10m", arguments);
	return cmocka_run_group_tests(tests, client_server_up, client_server_down);
}
