#include "layers/counters.h"

__thread size_t counter_stripe;
