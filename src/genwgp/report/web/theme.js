// Light or dark, before anything is painted: as the system has it, until the reader chooses.
const system = window.matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function applyTheme() {
  document.documentElement.dataset.theme = chosenTheme ?? (system.matches ? "dark" : "light");
}

applyTheme();
