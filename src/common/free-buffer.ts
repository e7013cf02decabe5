/**
 * Gives the memory of a buffer back now, where the buffer is all that lies in it; it is empty afterwards. V8 itself does so when it
 * next looks through its whole heap, and does not hurry, for a buffer is a small object to it: of an answer of 70 MB that is read
 * as a stream, all may be there at once.
 */
export function freeBuffer(buffer: Buffer): void {
  const memory = buffer.buffer as ArrayBuffer
  if (buffer.byteLength === memory.byteLength) memory.transfer(0)
}
