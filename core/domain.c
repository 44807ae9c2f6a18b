#include "core/domain.h"

#include "core/tower.h"
#include "layers/redis.h"

#define LINE_BYTES 64

size_t domain_seen_offset(void)
{
	return (redis_shared_bytes() + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

size_t domain_extra_bytes(void)
{
	return domain_seen_offset() + sizeof(struct tower_seen);
}

void domain_table(const struct config *config, char *path, struct slots_options *ret)
{
	*ret = (struct slots_options){ .n = config->coherence_slots,
				       .n_extra = domain_extra_bytes(),
				       .n_lazy = redis_filter_bytes(),
				       .group = SHM_NO_GROUP };
	if (config->coherence_mode != CONFIG_COHERENCE_HOST) {
		return;
	}
	config_slots_path(config, path, CONFIG_TEXT_MAX);
	ret->path = path;
	if (config->coherence_group[0]) {
		ret->group = config_group(config->coherence_group);
	}
}
