// The console works without scripts; this only makes it quicker: choosing all rows of a page, and no button that
// would do nothing.
"use strict";

for (const form of document.querySelectorAll("form")) {
  const boxes = [...form.querySelectorAll("input[name=id][type=checkbox]")];
  const all = form.querySelector("[data-choose-all]");
  const buttons = form.querySelectorAll("[data-needs-chosen]");
  const told = form.querySelector("[data-chosen]");
  if (!all || !boxes.length) continue;

  const show = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    for (const button of buttons) button.disabled = chosen === 0;
    told.textContent = chosen ? `With the ${chosen} chosen:` : "Choose rows to do something with them:";
    all.checked = chosen === boxes.length;
    all.indeterminate = chosen > 0 && !all.checked;
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const box of boxes) box.addEventListener("change", show);
  window.addEventListener("pageshow", show); // a browser that goes back keeps what was chosen
  show();
}

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = `${new Date(time.dateTime).toLocaleString()} where you are; shown in UTC`;
}
