/*
 * top_screen.h - what `tower top` shows, as a grid of characters: no terminal is needed.
 *
 * Whatever does not fit is cut off at the right and below.
 */
#ifndef TOWER_CLI_TOP_SCREEN_H
#define TOWER_CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <wchar.h>

#include "cli/top_model.h"

/* How a character looks, in the terms of the drawing. */
enum top_look {
	TOP_PLAIN,
	TOP_BOLD,
	TOP_TITLE, /* of columns, reversed */
	TOP_ALARM,
	TOP_FAINT,
	TOP_OF_ANSWER, /* and so many more: the colours of who answered */
};

struct top_cell {
	wchar_t glyph;
	unsigned char look;
};

struct top_screen {
	unsigned width, height;
	bool ascii;		/* no other characters can be shown */
	bool colours;		/* who answered can be told by them */
	struct top_cell *cells; /* width * height of them, row after row; owned */
};

/* What the model does not know. */
struct top_about {
	const char *domain;
	unsigned off;	     /* as slots_off() */
	const char *trouble; /* why there is nothing to show; NULL: there is */
	bool stopped;	     /* by the user */
	bool help;
	double every_s;
};

/* Of another size, all blank; false where memory is out. */
bool top_screen_resize(struct top_screen *screen, unsigned width, unsigned height);

void top_screen_free(struct top_screen *screen);

/* Fills all of it. */
void top_screen_show(struct top_screen *screen, const struct top *top,
		     const struct top_about *about);

/* How many processes have room in it. */
unsigned top_screen_rows(const struct top_screen *screen);

#endif
