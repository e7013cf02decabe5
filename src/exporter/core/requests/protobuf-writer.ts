/** Writes protocol buffers: https://protobuf.dev/programming-guides/encoding/. Only what OTLP needs. */

const wireType = { varint: 0, fixed64: 1, bytes: 2 } as const

/** One message. Fields are written in the order of the calls; empty ones are left out, as proto3 does. */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = []
  #length = 0

  /** A whole number from 0 to 2^53. `always`: also 0, as a member of a oneof is. */
  varint(field: number, value: number, always = false): this {
    if (value !== 0 || always) this.#tag(field, wireType.varint).#number(value)
    return this
  }

  fixed64(field: number, value: bigint): this {
    return this.#tag(field, wireType.fixed64).#push(new Uint8Array(BigUint64Array.of(value).buffer))
  }

  bytes(field: number, value: Uint8Array, always = false): this {
    if (value.length === 0 && !always) return this
    return this.#tag(field, wireType.bytes).#number(value.length).#push(value)
  }

  text(field: number, value: string, always = false): this {
    return this.bytes(field, Buffer.from(value, 'utf8'), always)
  }

  /** A message within; written also when it is empty. */
  message(field: number, write: (inner: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter()
    write(inner)
    this.#tag(field, wireType.bytes).#number(inner.#length)
    for (const part of inner.#parts) this.#push(part)
    return this
  }

  finish(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  #tag(field: number, type: number): this {
    return this.#number(field * 8 + type)
  }

  #number(value: number): this {
    const octets: number[] = []
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 128)
    octets.push(rest)
    return this.#push(Uint8Array.from(octets))
  }

  #push(part: Uint8Array): this {
    this.#parts.push(part)
    this.#length += part.length
    return this
  }
}
