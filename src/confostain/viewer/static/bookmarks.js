// Bookmarks: named views of a slide, each of which is a link, kept by this browser.

const KEY = "confostain-bookmarks";

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // no access to storage, or something else lies there
  }
}

/** [{name, link}] of a slide, in the order in which they were made. */
export const bookmarksOf = (slide) => (Array.isArray(stored()[slide]) ? stored()[slide] : []);

/** Keep the bookmarks of a slide; false if the browser keeps nothing. */
export function keepBookmarks(slide, bookmarks) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...stored(), [slide]: bookmarks }));
    return true;
  } catch {
    return false;
  }
}

/** The bookmarks of a slide as a list: a click on one calls `go(link)`, its button removes it. */
export function drawBookmarks(list, slide, go, removed) {
  list.replaceChildren(...bookmarksOf(slide).map(({ name, link }, i, all) => {
    const visit = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: name });
    visit.addEventListener("click", () => go(link));
    const remove = Object.assign(document.createElement("button"), { type: "button", className: "tool", title: "Delete" });
    remove.setAttribute("aria-label", `Delete bookmark ${name}`);
    remove.innerHTML = '<svg class="icon" aria-hidden="true"><use href="static/icons.svg#delete"></use></svg>';
    remove.addEventListener("click", () => {
      keepBookmarks(slide, all.toSpliced(i, 1));
      removed();
    });
    const item = document.createElement("li");
    item.append(visit, remove);
    return item;
  }));
}
