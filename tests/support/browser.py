"""A real browser for tests of HTML documents: Chromium, without a window or the network."""

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.ladder import Ladder, NotStarted, Rung

_WAIT_S = 60
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Whatever a document asks for, there is nobody to answer.
    "--proxy-server=127.0.0.1:9",
    # The page that measures must look into the documents beside it.
    "--allow-file-access-from-files",
)
_RESULT = re.compile(r'<pre id="result">(.*?)</pre>', re.DOTALL)
_MEASURE = """
addEventListener('load', () => {
  const found = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, width = page.documentElement.clientWidth;
    const wide = [...page.body.querySelectorAll('*')].filter(one => {
      const box = one.getBoundingClientRect(), style = frame.contentWindow.getComputedStyle(one);
      const outside = box.right > width + 1 || box.left < -1;
      return outside && box.width > 1 && style.position !== 'absolute';
    });
    return {
      title: page.title,
      ran: frame.contentWindow.ran === true || page.title.startsWith('ran'),
      width: width,
      needed: page.documentElement.scrollWidth,
      wide: wide.map(one => one.tagName + '.' + one.className),
      exact: [...page.querySelectorAll('.exact')].filter(one => one.offsetParent !== null).length,
    };
  });
  document.getElementById('result').textContent = JSON.stringify(found);
});
"""


class Seen(NamedTuple):
    """What became of a document in a frame: its width, the width it would need, what is too wide,
    how many places show exact amounts, and whether any script in it ran.
    """

    title: str
    ran: bool
    width: int
    needed: int
    wide: list[str]
    exact: int


class Browser:
    """One program; every call starts it anew with a profile of its own."""

    def __init__(self, program: str) -> None:
        self._program = program
        try:
            told = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=_WAIT_S
            )
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise NotStarted(str(failure)) from failure
        if told.returncode:
            raise NotStarted(told.stderr.strip() or f"it ended with {told.returncode}")
        self.described = f"{told.stdout.strip()} ({program})"

    def close(self) -> None:
        """Nothing of it runs between two calls."""

    def seen(self, documents: Sequence[bytes], widths: Sequence[int], folder: Path) -> list[Seen]:
        """Each of the HTML documents at each of those widths, in that order."""
        frames = []
        for number, content in enumerate(documents):
            (folder / f"{number}.html").write_bytes(content)
            frames += [
                f'<iframe src="{number}.html" style="width:{width}px;height:900px"></iframe>'
                for width in widths
            ]
        page = folder / "measure.html"
        page.write_text(
            f"<!doctype html><meta charset=utf-8><script>{_MEASURE}</script>"
            f'<pre id="result"></pre><style>iframe {{ border: 0 }}</style>{"".join(frames)}',
            encoding="utf-8",
        )
        printed = self._run("--dump-dom", page.as_uri())
        found = _RESULT.search(printed)
        assert found, printed[:2_000]
        return [Seen(**one) for one in json.loads(html.unescape(found[1]))]

    def printed(self, content: bytes, folder: Path) -> bytes:
        """The PDF of an HTML document as it comes out of a printer."""
        page, out = folder / "print.html", folder / "print.pdf"
        page.write_bytes(content)
        self._run("--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri())
        return out.read_bytes()

    def _run(self, *arguments: str) -> str:
        with tempfile.TemporaryDirectory(prefix="chargeback-browser-") as profile:
            done = subprocess.run(
                [self._program, *_FLAGS, f"--user-data-dir={profile}", *arguments],
                capture_output=True,
                text=True,
                timeout=_WAIT_S,
                env={**os.environ, "HOME": profile},
            )
        assert done.returncode == 0, done.stderr
        return done.stdout


def browser_ladder() -> Ladder[Browser]:
    """The browser that is named, else one on PATH."""
    given = os.environ.get("CHARGEBACK_TEST_BROWSER")
    if given:
        described = f"the browser of CHARGEBACK_TEST_BROWSER ({given})"
        return Ladder("browser", [Rung(described, lambda: Browser(given))])
    rungs = [
        Rung(path, lambda path=path: Browser(path))  # type: ignore[misc]
        for name in ("chromium", "google-chrome")
        if (path := shutil.which(name))
    ]
    return Ladder("browser", rungs, [] if rungs else ["no chromium or google-chrome on PATH"])
