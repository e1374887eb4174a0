/** Server-sent events out of a stream of text, piece by piece (WHATWG HTML, section 9.2). */

export interface Frame {
  id: string;
  event: string;
  data: string;
}

/** Takes pieces of a stream and gives the events that they complete. */
export class FrameReader {
  #rest = "";

  push(piece: string): Frame[] {
    const parts = (this.#rest + piece).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = parts.pop() ?? "";
    return parts.map(frameOf).filter((frame) => frame !== null);
  }
}

function frameOf(text: string): Frame | null {
  const frame: Frame = { id: "", event: "", data: "" };
  let filled = false;
  for (const line of text.split("\n")) {
    const split = line.indexOf(":");
    if (split === 0 || !line) continue;
    const name = split < 0 ? line : line.slice(0, split);
    const value = split < 0 ? "" : line.slice(split + 1).replace(/^ /, "");
    if (name === "data") frame.data += frame.data ? `\n${value}` : value;
    else if (name === "id" || name === "event") frame[name] = value;
    else continue;
    filled = true;
  }
  return filled ? frame : null;
}
