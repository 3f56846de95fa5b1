// Points and comments of one page, by keyboard or mouse; each is saved as it is made.
"use strict";

const { token, points: most } = document.body.dataset;
const answers = [...document.querySelectorAll(".answer")];
const list = document.getElementById("comments");
let current = -1;
let again = false; // after "r", a digit chooses a comment

function show(index) {
  if (index < 0 || index >= answers.length) return;
  current = index;
  answers[index].focus({ preventScroll: true });
  answers[index].scrollIntoView({ block: "start" });
}

function count() {
  const waiting = answers.filter((one) => one.classList.contains("waits")).length;
  document.getElementById("count").textContent = `${waiting} of ${answers.length} wait`;
}

function remember(text) {
  const known = [...list.querySelectorAll("button")].map((one) => one.textContent);
  if (!text.trim() || known.includes(text.trim()) || known.length >= 9) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "again";
  button.textContent = text.trim();
  list.appendChild(document.createElement("li")).appendChild(button);
}

async function save(answer) {
  const state = answer.querySelector(".state");
  const points = answer.querySelector(".points");
  const comment = answer.querySelector(".comment");
  state.className = "state";
  if (!points.checkValidity()) {
    state.textContent = `not saved: points are between 0 and ${most}, in quarters`;
    state.classList.add("wrong");
    return;
  }
  state.textContent = "saving";
  try {
    const reply = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Token": token },
      body: JSON.stringify({
        key: answer.dataset.key,
        digest: answer.dataset.digest,
        points: points.value === "" ? null : Number(points.value),
        comment: comment.value,
      }),
    });
    if (!reply.ok) throw new Error(await reply.text());
    const said = await reply.json();
    answer.querySelector(".preview").innerHTML = said.comment; // cleaned by the server
    answer.classList.toggle("waits", said.waits);
    state.textContent = said.waits ? "saved, not read yet" : "saved";
    remember(comment.value);
    count();
  } catch (error) {
    state.textContent = `not saved: ${error.message}`;
    state.classList.add("wrong");
  }
}

function give(answer, points) {
  const field = answer.querySelector(".points");
  field.value = Math.max(0, Math.min(Number(most), points));
  save(answer);
}

function repeat(answer, number) {
  const chosen = list.querySelectorAll("button")[number];
  if (!chosen) return;
  const comment = answer.querySelector(".comment");
  const before = comment.value.trim();
  if (!before.includes(chosen.textContent)) {
    comment.value = before ? `${before}\n\n${chosen.textContent}` : chosen.textContent;
  }
  save(answer);
}

answers.forEach((answer, index) => {
  answer.addEventListener("focusin", () => { current = index; });
  for (const field of answer.querySelectorAll(".points, .comment")) {
    field.addEventListener("change", () => save(answer));
  }
});

list.addEventListener("click", (event) => {
  const buttons = [...list.querySelectorAll("button")];
  const number = buttons.indexOf(event.target);
  if (number >= 0 && current >= 0) {
    repeat(answers[current], number);
    answers[current].focus();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const answer = answers[current];
  if (event.target.matches("textarea, input")) {
    if (event.key === "Escape" && answer) answer.focus(); // a change is saved by this
    return;
  }
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : -1;
  if (event.key === "j" || event.key === "ArrowDown") show(current + 1);
  else if (event.key === "k" || event.key === "ArrowUp") show(current - 1);
  else if (event.key === "u") {
    const order = [...answers.keys()].map((i) => (current + 1 + i) % answers.length);
    const next = order.find((i) => answers[i].classList.contains("waits"));
    if (next !== undefined) show(next);
  } else if (!answer) return;
  else if (event.key === "c") answer.querySelector(".comment").focus();
  else if (event.key === "r") { again = true; event.preventDefault(); return; }
  else if (again && digit > 0) repeat(answer, digit - 1);
  else if (digit >= 0) give(answer, digit);
  else if (event.key === "h") {
    const now = Number(answer.querySelector(".points").value);
    give(answer, now % 1 ? Math.floor(now) : now + 0.5);
  } else return;
  again = false;
  event.preventDefault();
});

count();
show(Math.max(0, answers.findIndex((one) => one.classList.contains("waits"))));
