/** The files of a drop: those in folders too, with their paths from there. */

/** @typedef {{ file: File, path: string }} FoundFile */

/**
 * To be called while the drop is handled: later the browser forgets what was dropped.
 * @param {DataTransfer} transfer
 * @returns {AsyncIterable<FoundFile>}
 */
export function droppedFiles(transfer) {
  /** @type {(FileSystemEntry | File)[]} */
  const dropped = [];
  for (const item of transfer.items) {
    const one = item.webkitGetAsEntry() ?? item.getAsFile();
    if (one !== null) dropped.push(one);
  }
  return walk(dropped);
}

/**
 * @param {readonly (FileSystemEntry | File)[]} dropped
 * @returns {AsyncGenerator<FoundFile>}
 */
async function* walk(dropped) {
  for (const one of dropped) {
    if (one instanceof File) yield { file: one, path: one.name };
    else if (isFolder(one)) yield* filesIn(one);
    else yield { file: await fileOf(/** @type {FileSystemFileEntry} */ (one)), path: one.fullPath.slice(1) };
  }
}

/**
 * @param {FileSystemDirectoryEntry} folder
 * @returns {AsyncGenerator<FoundFile>}
 */
async function* filesIn(folder) {
  const reader = folder.createReader();
  for (;;) {
    // A hundred at a time; an empty answer is the end.
    const some = await new Promise((/** @type {(entries: FileSystemEntry[]) => void} */ resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return;
    yield* walk(some);
  }
}

/**
 * @param {FileSystemEntry} entry
 * @returns {entry is FileSystemDirectoryEntry}
 */
function isFolder(entry) {
  return entry.isDirectory;
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}
