// The few things that no server-side element can do.

// Citation marks stand in sanitised HTML, which has no targets; they open beside the answer and not over it.
document.addEventListener(
  "click",
  (event) => {
    const mark = event.target.closest?.("a.mark");
    if (mark) {
      mark.target = "_blank";
      mark.rel = "noopener";
    }
  },
  true,
);
