/* redis_read.h - the get operation of layer "redis". */
#ifndef TOWER_LAYERS_REDIS_READ_H
#define TOWER_LAYERS_REDIS_READ_H

#include "layers/layer.h"

/* As layer.h says for get. */
void redis_read(struct layer *layer, struct layer_batch *batch);

#endif
