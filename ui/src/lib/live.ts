/** Says something to a screen reader without moving the focus. */
let timer = 0;

export function announce(text: string) {
  window.clearTimeout(timer);
  timer = window.setTimeout(() => {
    const region = document.getElementById("live");
    if (region && region.textContent !== text) region.textContent = text;
  }, 250);
}
