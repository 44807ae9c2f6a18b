#!/bin/sh
# Threads and processes of the host: many, forked, cancelled, in the middle of calls.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

hazard threads '' threads
hazard small-stack '' small-stack
hazard nothing-more '' nothing-more
hazard cancel '' cancel
hazard return-with-threads '' return-with-threads
ends=yes
hazard exit-with-threads '' exit-with-threads
hazard quick-exit-with-threads '' quick-exit-with-threads
hazard _exit-with-threads '' _exit-with-threads
hazard call-at-exit '' call-at-exit
hazard call-at-quick-exit '' call-at-quick-exit
ends=

hazard fork-first '' fork-first
hazard fork-handle '' fork-handle
hazard fork-threads '' fork-threads
ends=yes
hazard fork-chain '' fork-chain
hazard exec '' exec
hazard exec-self '' exec-self
ends=
hazard vfork '' vfork
hazard spawn '' spawn

hazards_end
