/** Where the page begins: as a page of the server, as a file with networks in it, or as the worker of such a file. */
import { serveMessages } from "../engine/worker.js";
import { HttpBackend, LocalBackend } from "./backends.js";
import { embeddedModels, startEngine } from "./embedded.js";
import { start } from "./main.js";

if (typeof document === "undefined") serveMessages(/** @type {any} */ (self));
else if (document.getElementById("models")) {
  const engine = startEngine();
  embeddedModels().then((models) => {
    engine.postMessage({ models }, models.map(({ file }) => file));
    start(new LocalBackend(engine));
  });
} else start(new HttpBackend());
