"""A headless Chromium, spoken to over a pipe (the DevTools protocol): no port, no other library.

with Browser(folder) as browser:
    page = browser.open(address, width=1280, height=900)
    page.until("document.title === 'x'")
"""
import base64
import json
import os
import shutil
import signal
import subprocess
import time

PATIENCE_S = 100


class Page:
    def __init__(self, browser, session):
        self.browser = browser
        self.session = session
        self.requests = []   # addresses that the page asked for
        self.complaints = [] # errors that it had, and what it wrote to the console

    def call(self, method, **arguments):
        return self.browser.call(method, self.session, **arguments)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, expression):
        end = time.monotonic() + PATIENCE_S
        while not (found := self.value(expression)):
            assert time.monotonic() < end, (f"not in time: {expression}; {self.complaints}; "
                                            f"{self.value('document.body.innerText')}")
            time.sleep(0.05)
        return found

    def picture(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        size["width"] = self.value("window.innerWidth") # bars for scrolling are not in it
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                           clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def shape(self, width, height, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


class Browser:
    def __init__(self, folder, program="chromium"):
        ours, theirs = os.pipe(), os.pipe() # what we read, what it reads
        command = [shutil.which(program), "--headless", "--remote-debugging-pipe", "--disable-gpu",
                   "--disable-background-networking", "--disable-component-update", "--no-first-run",
                   "--no-default-browser-check", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                   f"--user-data-dir={folder}/profile", f"--disk-cache-dir={folder}/cache"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")

        # It reads 3 and writes 4: moved up first, so that none overwrites another.
        reading, writing = os.dup(theirs[0]), os.dup(ours[1])
        shell = ["sh", "-c", f'exec setpriv --pdeathsig KILL "$@" 3<&{reading} 4>&{writing}', "sh"]
        self.log = open(f"{folder}/chromium.log", "wb")
        self.process = subprocess.Popen(shell + command, pass_fds=(reading, writing), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True,
                                        env={**os.environ, "HOME": folder, "LD_PRELOAD": ""})
        for fd in (theirs[0], ours[1], reading, writing):
            os.close(fd)
        self.out = open(theirs[1], "wb", buffering=0)
        self.into = open(ours[0], "rb", buffering=0)
        self.rest = b""
        self.n = 0
        self.pages = {}

    def message(self):
        while b"\0" not in self.rest:
            part = self.into.read(1 << 20)
            assert part, "the browser has ended"
            self.rest += part
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def note(self, message):
        page = self.pages.get(message.get("sessionId"))
        if page and message["method"] == "Network.requestWillBeSent":
            page.requests.append(message["params"]["request"]["url"])
        elif page and message["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled",
                                            "Log.entryAdded"):
            page.complaints.append(message["params"])

    def call(self, method, session=None, **arguments):
        self.n += 1
        message = {"id": self.n, "method": method, "params": arguments}
        if session:
            message["sessionId"] = session
        self.out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.n:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer:
                self.note(answer)

    def open(self, address, width=1280, height=900):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.shape(width, height)
        page.call("Page.navigate", url=address)
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except Exception:
            pass
        # Whatever it started is in its session.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
