/* redis_read.h - the get operation of layer "redis". */
#ifndef TOWER_LAYERS_REDIS_READ_H
#define TOWER_LAYERS_REDIS_READ_H

#include "layers/layer.h"
#include "layers/redis_place.h"
#include "layers/redis_record.h"

/* As layer.h says for get. */
void redis_read(struct layer *layer, struct layer_batch *batch);

/* The value under a record, or a front, and its key ('r'), into value, flags, deadline of the item.
 */
enum layer_answer redis_read_value(struct layer *layer, const struct redis_record *record,
				   const struct redis_key *key, const char *body, size_t n_body,
				   const struct layer_allocator *allocator,
				   struct layer_item *item);

#endif
