/** The key that a gateway with access control asks for: asked for once, kept in this tab, sent to this gateway alone. */

import { byId } from "./elements.js";

const place = "clamgate.key";

/**
 * @typedef {object} AccessKey
 * @property {() => Record<string, string>} headers
 * @property {() => boolean} isMissing while true, nothing is asked of the gateway: it would say 401 again
 * @property {(sent: Record<string, string>) => void} refused a request with these headers was answered 401
 */

/**
 * @param {object} options
 * @param {() => void} options.accepted a key that the gateway takes has been entered
 * @returns {AccessKey}
 */
export function createAccessKey({ accepted }) {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const input = byId("key", HTMLInputElement);
  const use = byId("key-use", HTMLButtonElement);
  const fault = byId("key-fault", HTMLElement);
  const button = byId("key-button", HTMLButtonElement);
  let key = sessionStorage.getItem(place);
  let isMissing = false;
  show();

  byId("key-form", HTMLFormElement).addEventListener("submit", async (event) => {
    event.preventDefault();
    const entered = input.value.trim();
    if (entered === "" || use.disabled) return;
    use.disabled = true;
    fault.textContent = "";
    const status = await tryKey(entered);
    use.disabled = false;
    if (status === 401 || status === 400) return complain("This key is not accepted.");
    // 403: a key that may do other things than read the state. What it may do shows when it is used.
    if (status !== 200 && status !== 403) return complain("The gateway does not answer. Try again.");
    key = entered;
    isMissing = false;
    sessionStorage.setItem(place, key);
    dialog.close();
    show();
    accepted();
  });
  byId("key-later", HTMLButtonElement).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    input.value = "";
    fault.textContent = "";
  });
  button.addEventListener("click", () => {
    if (isMissing) return dialog.showModal();
    sessionStorage.removeItem(place);
    location.reload();
  });

  /** @param {string} text */
  function complain(text) {
    fault.textContent = text;
    input.select();
  }

  function show() {
    byId("key-line", HTMLElement).hidden = key === null && !isMissing;
    byId("key-text", HTMLElement).textContent = isMissing ? "No key entered" : "You use a key";
    button.textContent = isMissing ? "Enter a key" : "Forget it";
  }

  return {
    headers: () => headersFor(key),
    isMissing: () => isMissing,
    refused({ authorization }) {
      // Several requests may have been sent with one key: the first of them asks. One that was sent with another key says nothing of this one.
      if (isMissing || authorization !== headersFor(key).authorization) return;
      if (key !== null) fault.textContent = "The key is not accepted any more.";
      isMissing = true;
      key = null;
      sessionStorage.removeItem(place);
      show();
      dialog.showModal();
    },
  };
}

/**
 * @param {string | null} key
 * @returns {Record<string, string>}
 */
function headersFor(key) {
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/** The status of an answer to it; 400 where it cannot even be sent, 0 without an answer. @param {string} key */
async function tryKey(key) {
  if (!/^[\x21-\x7e]+$/.test(key)) return 400;
  try {
    return (await fetch("/v3/status", { headers: headersFor(key), cache: "no-store" })).status;
  } catch {
    return 0;
  }
}
