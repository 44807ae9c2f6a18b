"""The smallest of applications for gunicorn and uwsgi: as recipe.php."""

import os

import pylibmc


def application(environ, start_response):
    cache = pylibmc.Client([os.environ["MEMCACHED"]])
    cache.add("requests", 0)
    text = f"request {cache.incr('requests')}\n"
    cache.set("page", "a page\n")
    for _ in range(10):
        page = cache.get("page")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(text + page).encode()]
