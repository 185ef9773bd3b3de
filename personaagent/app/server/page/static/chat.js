// The chat: sends a message, shows the answer while it is written, and puts what the server rendered in its place.
"use strict";

const ask = document.getElementById("ask");
const field = document.getElementById("text");
const talk = document.getElementById("talk");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const temporary = document.getElementById("temporary");
const said = []; // of a temporary chat, which nothing else keeps
const SAID_CHARS = 40000;
const NEWS_S = [4, 12, 30, 75];
let thread = ask.dataset.thread;
let running = null;

const made = (id) => talk.appendChild(document.getElementById(id).content.firstElementChild.cloneNode(true));
const toEnd = () => ask.scrollIntoView({ block: "end" });

function line(place, text, kind) {
  const one = document.createElement("p");
  one.className = kind;
  one.setAttribute("role", kind === "failed" ? "alert" : "status");
  one.textContent = text;
  place.append(one);
}

async function failureOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return { name: "", message: "The server did not answer as it should. Try again." };
  }
}

// Server-sent events of a response, one after the other.
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/);
      const name = lines.find((one) => one.startsWith("event: "));
      const data = lines.filter((one) => one.startsWith("data: ")).map((one) => one.slice(6)).join("\n");
      if (name && data) yield [name.slice(7), JSON.parse(data)];
    }
  }
}

function busy(controller) {
  running = controller;
  send.hidden = Boolean(controller);
  stop.hidden = !controller;
}

// Posts a form and shows what comes into `item`; returns the text of the answer, or null where none came.
async function stream(address, body, item) {
  const place = item.querySelector(".body");
  const live = place.querySelector(".live");
  const controller = new AbortController();
  busy(controller);
  let answer = null;
  try {
    const response = await fetch(address, {
      method: "POST", body, signal: controller.signal, headers: { Accept: "text/event-stream, application/json" },
    });
    if (!response.ok) {
      wrong(place, await failureOf(response));
      return null;
    }
    for await (const [name, data] of eventsOf(response)) {
      if (name === "token") {
        place.querySelector(".thinking")?.remove();
        live.textContent = (data.reset ? "" : live.textContent) + data.text;
        toEnd();
      } else if (name === "done") {
        answer = data.answer;
        place.innerHTML = data.html; // rendered and escaped by the server
        document.getElementById("new").hidden = false;
        const asked = askedBy(item);
        if (asked) asked.dataset.memory = data.interaction_id;
        item.dataset.version = data.persona_version ?? "";
        askForNews(item, data.interaction_id);
        if (!temporary.checked && data.interaction_id) remember(data.thread_id);
      } else if (name === "error") {
        wrong(place, data.error);
      }
    }
    if (answer === null && !place.querySelector(".failed")) wrong(place, { message: "The answer broke off. Try again." });
  } catch (error) {
    place.querySelector(".thinking")?.remove();
    if (error.name === "AbortError") line(place, "Stopped. This answer is not kept.", "faint");
    else wrong(place, { message: "The server cannot be reached. Try again in a while." });
  } finally {
    place.removeAttribute("aria-busy");
    busy(null);
    offer();
    toEnd();
  }
  return answer;
}

// The user's message that an answer is to.
function askedBy(item) {
  let one = item.previousElementSibling;
  while (one && !one.matches(".mine")) one = one.previousElementSibling;
  return one;
}

// What is learnt of a message or of feedback comes a while after it: asked for a few times, until there is some.
function askForNews(item, memory) {
  if (!memory) return;
  item.querySelector(".news")?.remove();
  for (const seconds of NEWS_S) {
    setTimeout(async () => {
      if (item.querySelector(".news")) return;
      try {
        const address = `${ask.dataset.here}/chat/news/${encodeURIComponent(memory)}?version=${item.dataset.version ?? ""}`;
        const response = await fetch(address, { headers: { Accept: "application/json" } });
        const html = response.ok ? (await response.json()).html : "";
        if (!html) return;
        const news = document.createElement("div");
        news.className = "news";
        news.innerHTML = html; // rendered and escaped by the server
        item.append(news);
      } catch {
        // there is no news while the server cannot be reached
      }
    }, seconds * 1000);
  }
}

// The last message can be edited, and its answer made anew.
function offer() {
  const mine = [...talk.querySelectorAll(".mine")].pop();
  for (const one of talk.querySelectorAll("[data-change]")) one.hidden = one.closest("li") !== mine;
  for (const one of talk.querySelectorAll("[data-again]")) one.hidden = one.closest("li") !== talk.lastElementChild;
}
offer();

function wrong(place, error) {
  place.querySelector(".thinking")?.remove();
  line(place, error.message, "failed");
  if (error.name === "NotSignedIn") {
    const link = document.createElement("a");
    link.href = `${ask.dataset.here}/sign-in`;
    link.textContent = "Sign in";
    place.append(link);
  }
}

function remember(name) {
  thread = name;
  history.replaceState(null, "", `${ask.dataset.here}?thread=${encodeURIComponent(name)}`);
}

// What a message is sent with; `former` is the memory of the message whose place it takes.
function sent(text, former = "") {
  const body = new URLSearchParams({ token: ask.elements.token.value, text, thread: temporary.checked ? "" : thread });
  if (temporary.checked) {
    body.set("temporary", "on");
    body.set("earlier", earlier());
  } else if (former) {
    body.set("instead_of", former);
  }
  return body;
}

// The newest messages of a temporary chat that fit.
function earlier() {
  let room = SAID_CHARS;
  const kept = [];
  for (const one of said.slice().reverse()) {
    room -= one[1].length;
    if (room < 0) break;
    kept.unshift(one);
  }
  return JSON.stringify(kept);
}

ask.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = field.value;
  if (running || !text.trim()) return;
  const mine = made("mine");
  mine.querySelector("p").textContent = text;
  const item = made("theirs");
  field.value = "";
  temporary.disabled = true; // a chat is kept or it is not
  toEnd();
  const answer = await stream(ask.action, sent(text), item);
  if (answer === null && item.querySelector(".failed") && !field.value) field.value = text;
  if (answer) keepSaid(mine, text, answer);
  field.focus();
});

// In a temporary chat the page alone has what was said.
function keepSaid(mine, text, answer) {
  if (!temporary.checked) return;
  said.push(["user", text], ["assistant", answer]);
  mine.dataset.said = "yes";
}

document.addEventListener("keydown", (event) => {
  if (!event.target.matches("#text, #changed")) return;
  const touch = matchMedia("(pointer: coarse)").matches;
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (running) running.abort();
  else document.querySelector("[data-leave]")?.click();
});
stop.addEventListener("click", () => {
  running?.abort();
  field.focus();
});

talk.addEventListener("click", (event) => {
  if (running) return;
  const item = event.target.closest("li");
  if (event.target.closest("[data-again]")) again(item);
  if (event.target.closest("[data-change]")) change(item);
  if (event.target.closest("[data-leave]")) leave(item);
});

// Another answer in the place of the last one: of the two the user says which is better.
async function again(first) {
  const asked = askedBy(first);
  const before = first.querySelector("[name=edit]").defaultValue;
  const item = made("theirs");
  toEnd();
  const answer = await stream(ask.action, sent("", asked.dataset.memory), item);
  if (answer === null) {
    first.querySelector(".understood").replaceChildren(...item.querySelectorAll(".failed, .faint"));
    item.remove();
    offer();
    return;
  }
  if (answer.trim() === before.trim()) {
    first.remove();
    line(item, "It is the same answer once more.", "faint");
    return;
  }
  for (const one of first.querySelectorAll(".feedback, .pick")) one.remove();
  const pick = document.getElementById("pick").content.firstElementChild.cloneNode(true);
  pick.action = `${ask.dataset.here}/memories/${encodeURIComponent(asked.dataset.memory)}/feedback`;
  pick.dataset.texts = JSON.stringify([before, answer]);
  item.append(pick);
  pick.scrollIntoView({ block: "nearest" });
}

// The last message in other words: it takes the place of the old one, and so does its answer.
function change(mine) {
  const form = document.getElementById("change").content.firstElementChild.cloneNode(true);
  const old = mine.querySelector("p");
  form.elements.text.value = old.textContent;
  for (const one of mine.querySelectorAll("p, [data-change]")) one.hidden = true;
  mine.append(form);
  form.elements.text.focus();
}

function leave(mine) {
  mine.querySelector(".change").remove();
  for (const one of mine.querySelectorAll("p, [data-change]")) one.hidden = false;
  mine.querySelector("[data-change]").focus();
}

async function resend(mine, text) {
  const old = mine.querySelector("p").textContent;
  leave(mine);
  if (!text.trim() || text === old) return;
  const following = [...talk.children].slice([...talk.children].indexOf(mine) + 1);
  for (const one of following) one.remove();
  const pair = mine.dataset.said ? said.splice(-2) : [];
  delete mine.dataset.said;
  mine.querySelector("p").textContent = text;
  const item = made("theirs");
  toEnd();
  const answer = await stream(ask.action, sent(text, mine.dataset.memory), item);
  if (answer !== null) {
    if (answer) keepSaid(mine, text, answer);
    field.focus();
    return;
  }
  mine.querySelector("p").textContent = old; // what was said before still holds, the words are not lost
  said.push(...pair);
  if (pair.length) mine.dataset.said = "yes";
  item.replaceWith(...following);
  offer();
  change(mine);
  mine.querySelector("textarea").value = text;
  mine.querySelector(".change").append(...item.querySelectorAll(".failed, .faint"));
}

// What is said of an answer, and what is taken back, without leaving the page.
talk.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches(".change")) {
    event.preventDefault();
    if (!running) resend(form.closest("li"), form.elements.text.value);
    return;
  }
  if (form.matches(".pick")) {
    const texts = JSON.parse(form.dataset.texts);
    if (event.submitter?.value === "second") texts.reverse();
    [form.elements.picked.value, form.elements.over.value] = texts;
  }
  const body = new URLSearchParams(new FormData(form, event.submitter));
  if (form.matches("[data-decide]")) {
    event.preventDefault();
    const item = form.closest("li");
    const place = item.querySelector(".body");
    place.replaceChildren(...document.getElementById("theirs").content.querySelector(".body").cloneNode(true).children);
    await stream(form.action, body, item);
    return;
  }
  if (!form.matches("[data-ask]")) return;
  event.preventDefault();
  let told;
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    told = response.ok ? await response.json() : { failed: (await failureOf(response)).message };
  } catch {
    told = { failed: "The server cannot be reached. Try again in a while." };
  }
  const place = form.closest(".feedback")?.querySelector(".understood") ?? form;
  place.textContent = told.failed ?? told.said.join(" ");
  place.classList.toggle("failed", Boolean(told.failed));
  if (told.failed) return;
  form.closest("details")?.removeAttribute("open");
  const about = form.closest(".feedback");
  if (about) askForNews(about.closest("li"), about.dataset.memory);
});
