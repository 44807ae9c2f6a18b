/*
 * page.h - the page that `tower metrics --listen` shows to people: cli/page.html, as it is.
 */
#ifndef TOWER_CLI_PAGE_H
#define TOWER_CLI_PAGE_H

#include <stdint.h>

extern const char page_html[]; /* no NUL behind it */
extern const uint64_t page_html_bytes;

#endif
