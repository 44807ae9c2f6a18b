/*
 * fault.h - planted faults; in every other build than a test's each question is
 * a constant false, and no trace of them is left in the code.
 */
#ifndef TOWER_BASE_FAULT_H
#define TOWER_BASE_FAULT_H

#include <stdbool.h>

enum fault {
	FAULT_none,
#define FAULT(name, folder, help) FAULT_##name,
#include "base/fault.def"
#undef FAULT
};

#ifndef TOWER_FAULT
#define TOWER_FAULT none
#endif
#define FAULT_GLUE(name) FAULT_##name
#define FAULT_OF(name) FAULT_GLUE(name)

static inline bool fault_planted(enum fault fault)
{
	return FAULT_OF(TOWER_FAULT) == fault;
}

#endif
