#!/bin/sh
# Signals during calls, and handlers that never come back.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

hazard eintr '' eintr
hazard prof '' prof
hazard alternate-stack '' alternate-stack
hazard blocked-signals '' blocked-signals
hits=1450
hazard jump '' jump
hazard jump-callback '' jump-callback
hits=
hazard jump-storm '' jump-storm

hazards_end
