"use strict";

// Asks for the page again and again, and takes over what has changed of its live parts.

const pause = 500;
const pulse = document.getElementById("pulse");

function show(state, text) {
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.className = "pulse " + state;
}

// What is selected, or scrolled, is left alone or put back as it was.
function selecting(part) {
  const selection = document.getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

function update(part, next) {
  if (!next || part.innerHTML === next.innerHTML || selecting(part)) return;
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const id = active && active.id;
  const label = active && active.getAttribute("aria-label");
  const scrolled = [...part.querySelectorAll(".scroll, .events")].map((e) => [e.scrollLeft, e.scrollTop]);
  part.replaceChildren(...next.childNodes);
  part.querySelectorAll(".scroll, .events").forEach((e, i) => {
    if (scrolled[i]) [e.scrollLeft, e.scrollTop] = scrolled[i];
  });
  const again = id ? document.getElementById(id) : label && part.querySelector(`[aria-label="${label}"]`);
  if (again) again.focus({ preventScroll: true });
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { "x-live": "1" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) update(part, page.getElementById(part.id));
        show("on", "live");
      } else {
        show("off", answer.status === 404 ? "the table is gone" : "error " + answer.status);
      }
    } catch (_unreachable) {
      show("off", "no answer from the node");
    }
  }
  setTimeout(look, pause);
}

look();
