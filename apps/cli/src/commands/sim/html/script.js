(() => {
  "use strict";
  const by = (id) => document.getElementById(id);
  const moments = [...document.querySelectorAll(".moment")];
  const slider = by("moment");
  if (moments.length === 0) {
    return;
  }

  /* Of all moments, the chosen one is shown. */
  const show = () => {
    for (const [index, moment] of moments.entries()) {
      moment.toggleAttribute("hidden", index !== slider.valueAsNumber);
    }
    const what = moments[slider.valueAsNumber].dataset.what;
    by("what").textContent = what;
    slider.setAttribute("aria-valuetext", what);
  };

  slider.addEventListener("input", show);
  by("slide").hidden = false;
  show();
})();
