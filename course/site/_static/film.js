// An animation is one picture with all frames below each other: a window moves over it.
function film(box) {
  const frame = box.querySelector(".film-frame");
  const button = box.querySelector("button");
  const slider = box.querySelector("input");
  const frames = Number(slider.max) + 1;
  let timer = null;
  function show(k) {
    slider.value = k;
    frame.style.backgroundPositionY = (100 * k) / Math.max(frames - 1, 1) + "%";
  }
  function pause() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  button.addEventListener("click", () => {
    if (timer !== null) return pause();
    timer = setInterval(() => show((Number(slider.value) + 1) % frames), Number(box.dataset.interval));
    button.textContent = "Pause";
  });
  slider.addEventListener("input", () => { pause(); show(Number(slider.value)); });
  show(0);
}
document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".film").forEach(film));
