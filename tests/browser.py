"""Which Chromium the tests of the pages drive, and with which arguments.

`python tests/browser.py` starts it once, shows a page and prints its path; the exit status says whether that worked.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

# Headless, and silent on the network: no updates, no sync, no name that is not this machine's.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def candidates(playwright: Playwright) -> list[str]:
    """Paths to try in order: COLDFRAME_CHROMIUM where it is set, the system's browsers, Playwright's own ("")."""
    named = os.environ.get("COLDFRAME_CHROMIUM")
    if named:
        return [named]
    found = [path for path in map(shutil.which, NAMES) if path]
    return [*dict.fromkeys(found), ""]


def launch(playwright: Playwright) -> tuple[Browser, str]:
    """Start the first candidate that starts; gives the browser and its path.

    Raises RuntimeError with every candidate's last words when none does.
    """
    failures = []
    for path in candidates(playwright):
        try:
            browser = playwright.chromium.launch(executable_path=path or None, args=ARGUMENTS, chromium_sandbox=False)
            return browser, path or playwright.chromium.executable_path
        except PlaywrightError as error:
            failures.append(f"{path or 'Playwright'}: {error.message.strip().splitlines()[0]}")
    tried = "; ".join(failures)
    raise RuntimeError(f"no Chromium starts ({tried}). Run `sh setup/browser.sh`, which installs one.")


def main() -> int:
    """Start the browser, show a page, print the browser's path."""
    try:
        with sync_playwright() as playwright:
            browser, path = launch(playwright)
            page = browser.new_page()
            page.set_content("<p>here</p>")
            shown = page.inner_text("p") == "here"
            browser.close()
    except (RuntimeError, PlaywrightError) as error:
        print(error, file=sys.stderr)
        return 1
    print(Path(path))
    return 0 if shown else 1


if __name__ == "__main__":
    sys.exit(main())
