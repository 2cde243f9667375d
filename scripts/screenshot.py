"""Makes the README's picture: starts the product with a few documents, asks a question and photographs the page.

    python scripts/screenshot.py [--out docs/images/screenshot.png] [--dark] [--phone]

Needs the dev dependencies and Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

ROOT = Path(__file__).parents[1]
QUESTIONS = ("When do the tide gates close, and who looks after them?", "What does a motor boat pay?")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
COLOURS = 128
"""Of the picture's palette: it stays sharp and well under 300 kB."""

HARBOUR = {
    "The harbour": (
        "The harbour of Lindholm was built in 1874 by the engineer Astrid Falk. It has three piers and a lighthouse of red granite, whose "
        "light is seen from eleven nautical miles away on a clear night.",
        "The north pier is kept for ferries. The middle pier has the crane, which lifts four tonnes and may be used by anybody who was "
        "shown how. The east pier is open to visitors; it has water and electricity from May to October.",
        "Speed inside the breakwater is limited to three knots. Anchoring is not allowed in the fairway, nor within fifty metres of the "
        "cable to the island, which is shown on the chart at the harbour office.",
    ),
    "The tide gates": (
        "The tide gates close by themselves when the water rises above 2.4 metres. The keeper looks after the gates: every Monday the "
        "hinges are checked, and before the autumn storms they are greased.",
        "While the gates are closed, a red light stands on both sides of the entrance and boats wait at the outer moorings. A hand pump in "
        "the gatehouse opens the gates when the electricity fails; two people need about twenty minutes for it.",
        "The gates were renewed in 1989 after a ship had run into the southern leaf. The old leaf stands in front of the museum. Every "
        "closing since then is noted in the storm log, with the level of the water and the names of those on duty.",
    ),
    "Fees": (
        "A sailing boat pays 18 crowns a night, a motor boat 26 crowns. Fishing vessels of the district moor free of charge during the "
        "herring season from March to May.",
        "Fees are paid at the machine beside the harbour office before six in the evening. Whoever stays for a week pays for five nights. "
        "Water and electricity are part of the fee; showers cost two crowns.",
        "Winter berths are given out in September, in the order in which people asked for them. A list of those who wait hangs in the "
        "harbour office and is read out at the meeting of the harbour board.",
    ),
}
TEXTS = {
    "Storm log 1962.md": "# Storm log 1962\n\nOn the night of 16 February the tide gates closed at ten past nine. The keeper stayed with "
    "them until the water fell in the morning; two moorings on the east pier were lost.\n",
    "Rules of the sailing school.md": "# Rules of the sailing school\n\nBeginners sail inside the breakwater only. Every boat carries a "
    "whistle and a bailer.\n",
    "Letter to the coast guard.txt": "The buoy at the western shoal has drifted by forty metres since the last storm.\n",
    "Lighthouse keeping.md": "# Lighthouse keeping\n\nThe lamp is lit at dusk and trimmed every four hours. In fog, a signal is given "
    "twice a minute.\n",
    "Minutes of the harbour board.txt": "The board decided to renew the hinges of the tide gates in 2027, and to keep the fees as they "
    "are.\n",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "screenshot.png")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--phone", action="store_true")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is needed: install the chromium package.")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        process = start(Path(folder), port)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_up(url, process)
            fill(url)
            with sync_playwright() as playwright:
                picture = photograph(playwright.chromium.launch(executable_path=chromium, args=FLAGS), url, options)
        finally:
            process.terminate()
            process.wait(20)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS).save(options.out, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    settings = {"DATA_DIR": str(folder), "PORT": str(port), "SEED_GUIDES": "false", "LOG_LEVEL": "ERROR"}
    return subprocess.Popen([sys.executable, "-c", "from apps.cli.main import run; run()", "serve"], cwd=ROOT, env=os.environ | settings)


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("The service did not start.")


def fill(url: str) -> None:
    files = {**{name: text.encode() for name, text in TEXTS.items()}, "Harbour handbook.pdf": harbour_pdf()}
    for name, data in files.items():
        answer = httpx.post(f"{url}/api/v1/sources/upload", files={"file": (name, data)}, timeout=30).raise_for_status()
        with httpx.stream("GET", f"{url}/api/v1/jobs/{answer.json()['sources'][0]['job_id']}/events", timeout=60) as events:
            for _ in events.iter_lines():
                pass


def harbour_pdf() -> bytes:
    styles = getSampleStyleSheet()
    story: list[Any] = []
    for title, paragraphs in HARBOUR.items():
        story += [Paragraph(title, styles["Heading1"]), *(Paragraph(text, styles["BodyText"]) for text in paragraphs), PageBreak()]
    buffer = io.BytesIO()
    SimpleDocTemplate(buffer, pagesize=A4, title="Harbour handbook").build(story)
    return buffer.getvalue()


def photograph(browser: Browser, url: str, options: argparse.Namespace) -> bytes:
    size = (390, 844) if options.phone else (1280, 800)
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if options.dark else "light",
        device_scale_factor=2 if options.phone else 1,
    )
    page.goto(url)
    for k, question in enumerate(QUESTIONS):
        page.get_by_label("Your question").fill(question)
        page.keyboard.press("Enter")
        page.locator("article.turn").nth(k).locator("a.card").first.wait_for()
    page.wait_for_timeout(600)  # for the last transition to end
    return page.screenshot()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
