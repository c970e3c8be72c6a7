/** Runs in each page before the page's own scripts, and does for the tests what is done there: the policy is not asked about it. */

const inPage = {
  /** What broke the page's policy. @type {string[]} */
  violations: [],
  /** Each value that the progress of an upload had. @type {number[]} */
  progress: [],
  width: () => document.documentElement.scrollWidth,
  storedForAllTabs: () => localStorage.length,
  /**
   * @param {string} place
   * @param {string} value
   */
  keep: (place, value) => sessionStorage.setItem(place, value),
  /**
   * @param {string} name
   * @param {string} text
   */
  transferOf(name, text) {
    const made = new DataTransfer();
    made.items.add(new File([text], name));
    return made;
  },
};

addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  inPage.violations.push(`${violatedDirective} ${blockedURI}`);
});

new MutationObserver(() => {
  const progress = document.querySelector("progress");
  if (progress !== null && progress.position >= 0) inPage.progress.push(progress.value);
}).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });

Object.assign(globalThis, { inPage });
