// The start: the words of the language first, so that nothing moves afterwards, then the connection.

import { mount } from "svelte";

import App from "./App.svelte";
import "./app.css";
import { line } from "./lib/line.svelte";
import { tongue } from "./lib/words.svelte";

line.start();
void tongue.load().then(() => {
  const target = document.getElementById("page");
  if (target !== null) mount(App, { target });
});
