// Unpack the library that draws, and begin.
async function unpackLibrary() {
  const bytes = Uint8Array.from(atob(byId("library").textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    byId("notice").textContent = "The moving pictures need a browser of 2023 or newer; figures and tables do not.";
    byId("notice").hidden = false;
    return;
  }
  await unpackLibrary();
  makePanels();
  await drawAll();
  connect();
  show(0);
}

start();
