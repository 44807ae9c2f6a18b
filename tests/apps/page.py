"""The page of `tower metrics --listen` in a real browser.

page.py ADDRESS SERVER FOLDER    ADDRESS of the page, pid of its server; pictures go to FOLDER, and
                                 FOLDER/go is made for programs to begin
"""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from browser import Browser # noqa: E402

address, server, folder = sys.argv[1:]
ENOUGH = 8 # looks: lines and areas can be seen

# Bytes of an area or a line that lie apart, of the first chart with such a series.
HEIGHT = """(() => { const area = document.querySelector('#%s [data-series="%s"]');
    return area ? area.getBBox().height : -1; })()"""


def number(page, selector):
    return page.value(f"parseFloat(document.querySelector('{selector}').textContent)")


with Browser(folder) as browser:
    page = browser.open(address)
    page.until("!document.querySelector('#nothing').hidden")
    assert page.value("document.querySelector('#something').hidden")
    open(f"{folder}/go", "w").close()
    page.until(f"+document.body.dataset.looks >= {ENOUGH}")
    assert page.value("document.title").startswith("tower: "), page.value("document.title")
    for name in ("memory", "memcached", "redis", "nobody"):
        share = number(page, f"[data-layer={name}] .share")
        assert 0 < share < 100, (name, share)
        assert page.value(HEIGHT % ("reads", name)) > 2, name

    # Percentiles of the time between are those that tower stat would say; too few are none.
    assert page.value("quantile([[96, 50], [192, 50]], 0.5)") == 104
    assert abs(page.value("quantile([[96, 50], [192, 50]], 0.99, 100)") - (192 + 16 * 49 / 50)) < 1e-6
    assert page.value("isNaN(quantile([[96, 50], [192, 49]], 0.99, 100))")
    assert page.value("[0, 28, 32, 60, 64, 120, 128, 1966080].map(bucketEnd).join()") == \
        "4,32,36,64,72,128,144,2097152"
    known = page.value("""LAYERS.map((name) => { const of = layerOf(looks[looks.length - 1].stat.total, name).get_ns;
        return [of.timed, of.p50, quantile(of.histogram, 0.5), of.p99, quantile(of.histogram, 0.99)]; })""")
    for timed, *pairs in known:
        assert timed > 0 and abs(pairs[0] - pairs[1]) <= 1 and abs(pairs[2] - pairs[3]) <= 1, known
    page.until("timePoints().some((point) => point['memcached p99'] >= point['memcached p50'])")
    for name in ("memory p50", "memcached p50", "memcached p99"):
        assert page.value(HEIGHT % ("times", name)) >= 0, name
    # What was slow long ago is not in what is shown of now.
    assert page.value("""(() => { const of = (n) => ({ layers: [{ name: "memory", get_ns: { histogram: n } }] });
        return quantile(timed(of([[1024, 500]]), of([[64, 200], [1024, 500]]), "memory"), 0.99); })()""") < 72
    assert page.value("document.querySelector('#table-processes').innerText").find("php") > 0
    assert "memcached_get" in page.value("document.querySelector('#table-calls').innerText") or \
        "memcached_mget" in page.value("document.querySelector('#table-calls').innerText")
    assert page.value("document.querySelector('#switch').textContent") == "everything on"

    # Nothing is wider than the window, in one for a telephone either; pictures in both schemes.
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
        page.shape(width, 900, scheme)
        page.value("document.body.dataset.looks = 0")
        page.until("+document.body.dataset.looks > 0")
        assert page.value("document.documentElement.scrollWidth <= window.innerWidth"), width
        page.picture(f"{folder}/page-{width}-{scheme}.png")

    # A layer that is switched off, and a server that ends, are said.
    os.system(f"{os.environ['BUILD']}/tower disable redis >/dev/null")
    page.until("document.querySelector('#switch').textContent === 'redis switched off'")
    os.kill(int(server), signal.SIGTERM)
    page.until("!document.querySelector('#trouble').hidden")

    root = address.rstrip("/")
    strangers = [url for url in page.requests if url not in (root + "/", root + "/stat.json")]
    # Every browser asks for a picture beside the page.
    assert [url for url in strangers if url != root + "/favicon.ico"] == [], strangers
    complaints = [c for c in page.complaints if "ERR_CONNECTION_REFUSED" not in str(c) and
                  "favicon.ico" not in str(c)]
    assert complaints == [], complaints
