#!/bin/sh
# Runs a command without stdin, stdout and stderr.
exec "$@" <&- >&- 2>&-
