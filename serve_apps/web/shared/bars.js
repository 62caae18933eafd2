// A bar for each emotion, with its name and its probability. Elements stay, so that bars can glide.
export function drawBars(list, scores, colours) {
  const best = Math.max(...Object.values(scores));
  const names = Object.keys(scores);
  if (names.join() !== list.dataset.names) {
    list.dataset.names = names.join();
    list.replaceChildren(...names.map((name) => {
      const item = document.createElement("li");
      const [label, track, fill, value] = ["name", "track", "fill", "value"].map((part) => {
        const element = document.createElement("span");
        element.className = part;
        return element;
      });
      label.textContent = name;
      fill.style.background = colours[name];
      track.append(fill);
      item.append(label, track, value);
      return item;
    }));
  }
  names.forEach((name, i) => {
    const item = list.children[i];
    item.classList.toggle("first", scores[name] === best);
    item.querySelector(".fill").style.width = `${scores[name] * 100}%`;
    item.querySelector(".value").textContent = `${(scores[name] * 100).toFixed(1)} %`;
  });
}
