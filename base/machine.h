/*
 * machine.h - which machine this is, to names that mean another server elsewhere.
 *
 * 127.0.0.1 and the path of a unix socket name one server here and another one on
 * the next machine, or in the next container.  What is shared between machines
 * under such a name must say where it was meant.
 */
#ifndef TOWER_BASE_MACHINE_H
#define TOWER_BASE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The machine since its last start, and the network namespace: the same text for
 * all processes to which 127.0.0.1 is the same place, and for no others.  Where
 * /proc does not tell, the host's name.  Asked once; for the life of the process.
 * Never fails.  Any thread.
 */
const char *machine_id(void);

/* Whether a host's name means the machine itself, whichever that is. */
bool machine_is_here(const char *host);

/*
 * A server by a name that means it alone, on whatever machine it is read; port 0: a unix socket.
 * localhost, 127.0.0.1 and ::1 are one server, as far as they have the same port.
 */
void machine_name_server(const char *host, unsigned port, char *ret_name, size_t n);

#endif
